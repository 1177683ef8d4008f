//! Asks how pipelines stand: the process that runs them, or the journal where there is none.

use chrono::Utc;

use super::run::JOURNAL;
use crate::chain;
use crate::config::{PipelinePlan, Plan};
use crate::document::did_you_mean;
use crate::journal::{JournalError, Options, SqliteJournal};
use crate::server::control::{AskError, Client};
use crate::server::{About, PipelineStatus, standing};
use crate::source::Cursor;

/// Where the pipelines of a plan stand, those of `only` where it names any.
///
/// # Errors
/// When neither a process nor the journal can be asked. For a person.
pub async fn standings(plan: &Plan, only: Option<&str>) -> Result<Vec<PipelineStatus>, String> {
    let wanted = |about: &About| only.is_none_or(|only| only == about.name);
    let client = Client::new(&plan.state_dir).map_err(|error| chain(&error))?;
    match client.pipelines().await {
        Ok(all) => return Ok(all.into_iter().filter(|status| wanted(&status.about)).collect()),
        Err(AskError::Refused(reason)) => return Err(reason),
        Err(AskError::Nobody { .. }) => {}
    }
    let Some(journal) = journal(plan)? else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for about in plan.pipelines.iter().map(About::of).filter(wanted) {
        found.push(standing(&about, &journal, None, Utc::now()).await.map_err(|error| chain(&error))?);
    }
    Ok(found)
}

/// The journal of a plan that no process runs; `None` when there is none yet.
///
/// # Errors
/// When it cannot be opened. For a person.
pub fn journal(plan: &Plan) -> Result<Option<SqliteJournal>, String> {
    let path = plan.state_dir.join(JOURNAL);
    if !path.exists() {
        return Ok(None);
    }
    match SqliteJournal::open(&path, Options { limit_bytes: plan.journal_limit }) {
        Ok(journal) => Ok(Some(journal)),
        Err(error @ JournalError::InUse { .. }) => {
            Err(format!("{}, which does not answer; stop it, and ask again", chain(&error)))
        }
        Err(error) => Err(chain(&error)),
    }
}

/// The pipeline of that name. Says on stderr when there is none.
pub fn find<'a>(plan: &'a Plan, name: &str) -> Option<&'a PipelinePlan> {
    let found = plan.pipelines.iter().find(|pipeline| &*pipeline.name == name);
    if found.is_none() && plan.files.iter().any(|pipeline| &*pipeline.name == name) {
        eprintln!("error: `{name}` reads files, which have no windows, and promise nothing of what happened when");
        eprintln!("\nhint: `auditline run --once` says how much of them was read");
    } else if found.is_none() {
        let names: Vec<&str> = plan.pipelines.iter().map(|pipeline| &*pipeline.name).collect();
        eprintln!("error: there is no pipeline `{name}`");
        match did_you_mean(name, names.iter().copied()) {
            Some(near) => eprintln!("\nhint: did you mean `{near}`?"),
            None => eprintln!("\nhint: there are: {}", names.join(", ")),
        }
    }
    found
}

/// The cursor of a pipeline's live walk, and how many records a day its log has had, as far as the journal tells.
///
/// # Errors
/// For a person.
pub async fn live(plan: &Plan, pipeline: &PipelinePlan) -> Result<(Option<Cursor>, Option<f64>), String> {
    let standings = standings(plan, Some(&pipeline.name)).await?;
    let Some(status) = standings.first() else { return Ok((None, None)) };
    let cursor = status.live().cloned();
    let per_day = cursor.as_ref().and_then(|cursor| {
        let span = cursor.complete_up_to - cursor.begin?;
        // Less than an hour says nothing about a day.
        (span.num_seconds() >= 3600).then(|| status.records as f64 * 86_400.0 / span.num_seconds() as f64)
    });
    Ok((cursor, per_day))
}
