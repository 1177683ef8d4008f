//! `auditline state`: looks at the journal's cursors, sets them, takes them to another machine.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};

use super::input::Input;
use super::moment::{Moment, shown};
use super::run::JOURNAL;
use super::table::{Table, thousands};
use super::{DONE, FAILED, WRONG, asked};
use crate::chain;
use crate::config::Plan;
use crate::journal::{Append, Journal, Options, SqliteJournal, Walk};
use crate::source::Cursor;

/// Show, reset, export or import where the pipelines are.
#[derive(Debug, Args)]
pub struct State {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show every walk of every pipeline, and what waits for its sinks.
    Show {
        /// One pipeline only.
        pipeline: Option<String>,
        #[command(flatten)]
        input: Input,
    },
    /// Set where a pipeline goes on reading. No process may be running. What was seen stays known as far as it still is, and
    /// what is not is delivered again.
    Reset {
        /// The pipeline.
        pipeline: String,
        /// Go on at this instant (UTC); without it, at the configuration's `start`.
        #[arg(long, value_name = "WHEN", allow_hyphen_values = true)]
        to: Option<Moment>,
        #[command(flatten)]
        input: Input,
    },
    /// Print where every pipeline is, as JSON. No process may be running.
    Export {
        #[command(flatten)]
        input: Input,
    },
    /// Take over what `export` printed. A pipeline that has read something already is left as it is. No process may be
    /// running.
    Import {
        /// The file that `export` made.
        file: PathBuf,
        #[command(flatten)]
        input: Input,
    },
}

/// What `export` prints: the walks of each pipeline. The ids that were seen are not among it.
#[derive(Debug, Serialize, Deserialize)]
struct Exported {
    /// The form of this file.
    auditline_state: u32,
    pipelines: BTreeMap<String, BTreeMap<String, Cursor>>,
}

/// The form of an export; another one is refused.
const FORM: u32 = 1;

impl State {
    pub async fn main(self) -> u8 {
        let (Verb::Show { input, .. }
        | Verb::Reset { input, .. }
        | Verb::Export { input }
        | Verb::Import { input, .. }) = &self.verb;
        let Some(plan) = input.plan() else { return WRONG };
        let done = match &self.verb {
            Verb::Show { pipeline, .. } => show(&plan, pipeline.as_deref()).await,
            Verb::Reset { pipeline, to, .. } => {
                if asked::find(&plan, pipeline).is_none() {
                    return WRONG;
                }
                reset(&plan, pipeline, to.map(|to| to.0)).await
            }
            Verb::Export { .. } => export(&plan).await,
            Verb::Import { file, .. } => import(&plan, file).await,
        };
        match done {
            Ok(()) => DONE,
            Err(reason) => {
                eprintln!("error: {reason}");
                FAILED
            }
        }
    }
}

async fn show(plan: &Plan, only: Option<&str>) -> Result<(), String> {
    let standings = asked::standings(plan, only).await?;
    let mut walks = Table::new(["PIPELINE", "WALK", "COMPLETE UP TO (UTC)", "READS AGAIN FROM", "ENDS AT"]);
    let mut lanes = Table::new(["PIPELINE", "SINK", "WAITING", "OLDEST (UTC)"]);
    for status in &standings {
        for walk in &status.walks {
            let cursor = &walk.cursor;
            let again = cursor.settled.min(cursor.complete_up_to);
            let end = cursor.end.map_or("-".to_owned(), instant);
            let cells =
                [status.about.name.clone(), walk.name.clone(), instant(cursor.complete_up_to), instant(again), end];
            walks.row(cells);
        }
        for lane in &status.lanes {
            let oldest = lane.oldest.map_or("-".to_owned(), instant);
            lanes.row([status.about.name.clone(), lane.sink.clone(), thousands(lane.waiting), oldest]);
        }
    }
    print!("{walks}\n{lanes}");
    Ok(())
}

fn instant(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d %H:%M:%S").to_string()
}

/// The journal, which has to be there and nobody else's.
fn journal(plan: &Plan) -> Result<SqliteJournal, String> {
    asked::journal(plan)?.ok_or_else(|| format!("there is no journal in `{}` yet", plan.state_dir.display()))
}

async fn reset(plan: &Plan, pipeline: &str, to: Option<DateTime<Utc>>) -> Result<(), String> {
    let journal = journal(plan)?;
    let name: Arc<str> = pipeline.into();
    let before = journal.cursor(&name, &Walk::live()).await.map_err(|error| chain(&error))?;
    match to {
        Some(to) => stand_at(&journal, &name, &Walk::live(), &Cursor::at(to)).await?,
        None => journal.end_walk(&name, &Walk::live()).await.map_err(|error| chain(&error))?,
    }
    // It is counted anew from where the live walk will be.
    journal.end_walk(&name, &Walk::sweep()).await.map_err(|error| chain(&error))?;
    let to = to.map_or_else(|| "the configuration's `start`".to_owned(), shown);
    let was = before.and_then(|cursor| serde_json::from_slice::<Cursor>(&cursor).ok());
    let was = was.map(|cursor| format!(", and not at {}", shown(cursor.complete_up_to))).unwrap_or_default();
    eprintln!("{pipeline} goes on at {to}{was}");
    Ok(())
}

async fn export(plan: &Plan) -> Result<(), String> {
    let journal = journal(plan)?;
    let mut pipelines = BTreeMap::new();
    for pipeline in &plan.pipelines {
        let mut walks = BTreeMap::new();
        for (walk, cursor) in journal.walks(&pipeline.name).await.map_err(|error| chain(&error))? {
            let cursor: Cursor = serde_json::from_slice(&cursor).map_err(|error| error.to_string())?;
            walks.insert(walk.to_string(), cursor);
        }
        pipelines.insert(pipeline.name.to_string(), walks);
    }
    let exported = Exported { auditline_state: FORM, pipelines };
    println!("{}", serde_json::to_string_pretty(&exported).map_err(|error| error.to_string())?);
    Ok(())
}

async fn import(plan: &Plan, file: &PathBuf) -> Result<(), String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("cannot read `{}`: {error}", file.display()))?;
    let exported: Exported = serde_json::from_str(&text)
        .map_err(|error| format!("`{}` is not what `auditline state export` prints: {error}", file.display()))?;
    if exported.auditline_state != FORM {
        return Err(format!("`{}` has form {} of another auditline", file.display(), exported.auditline_state));
    }
    let path = plan.state_dir.join(JOURNAL);
    let journal =
        SqliteJournal::open(&path, Options { limit_bytes: plan.journal_limit }).map_err(|error| chain(&error))?;
    for (name, walks) in exported.pipelines {
        if !plan.pipelines.iter().any(|pipeline| *pipeline.name == *name) {
            eprintln!("{name}: left out, for there is no pipeline of that name");
            continue;
        }
        let pipeline: Arc<str> = name.as_str().into();
        if !journal.walks(&pipeline).await.map_err(|error| chain(&error))?.is_empty() {
            eprintln!("{name}: left as it is, for it has read something already; `auditline state reset` sets it");
            continue;
        }
        for (walk, cursor) in &walks {
            stand_at(&journal, &pipeline, &Walk::named(walk), cursor).await?;
        }
        eprintln!("{name}: taken over");
    }
    Ok(())
}

async fn stand_at(journal: &SqliteJournal, pipeline: &Arc<str>, walk: &Walk, cursor: &Cursor) -> Result<(), String> {
    let bytes = serde_json::to_vec(cursor).map_err(|error| error.to_string())?;
    let append =
        Append { walk: walk.clone(), cursor: Bytes::from(bytes), seen_at: cursor.complete_up_to, ..Append::default() };
    journal.append(pipeline, append).await.map(drop).map_err(|error| chain(&error))
}
