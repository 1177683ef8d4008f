//! `auditline run`: runs the pipelines.

use std::sync::Arc;

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::input::Input;
use super::table::{by_reason, dead, thousands};
use super::{DONE, FAILED, WRONG, progress, stop};
use crate::config::Plan;
use crate::engine::{self, Failure, Handle, Outcome, RunOptions};
use crate::journal::{Journal, JournalError, Options, SqliteJournal};
use crate::server::About;
use crate::server::control::{self, Desk};

/// The journal's file in the state folder.
pub const JOURNAL: &str = "journal.sqlite";

/// Run the pipelines until stopped.
#[derive(Debug, Args)]
pub struct Run {
    #[command(flatten)]
    input: Input,
    /// Read everything up to now, deliver it, and end.
    #[arg(long)]
    once: bool,
}

impl Run {
    pub async fn main(self) -> u8 {
        let Some(plan) = self.input.plan() else { return WRONG };
        let abouts: Vec<About> = plan.pipelines.iter().map(About::of).collect();
        let state_dir = plan.state_dir.clone();
        let options = RunOptions { once: self.once, stop: stop::on_signal(), only: None };
        let run = match ready(plan, options) {
            Ok(run) => run,
            Err(error) => {
                eprintln!("error: {}", crate::chain(&error));
                return FAILED;
            }
        };
        let handles = run.handles();
        let end = CancellationToken::new();
        let desk = Desk { pipelines: abouts.into_iter().zip(run.handles()).collect(), journal: run.journal() };
        if let Err(error) = control::serve(&state_dir, desk, end.clone()) {
            tracing::warn!(%error, "no control socket: `explain` and `backfill` cannot ask this process");
        }
        let shown = self.once.then(|| tokio::spawn(progress::show(handles.clone(), end.clone())));
        let outcome = run.go().await;
        end.cancel();
        if let Some(shown) = shown {
            let _ = shown.await;
        }
        match outcome {
            Ok(outcome) => {
                if self.once {
                    summarize(&handles);
                }
                report(&outcome)
            }
            Err(error) => {
                eprintln!("error: {}", crate::chain(&error));
                FAILED
            }
        }
    }
}

/// Opens the journal in the plan's state folder and makes ready to run.
pub fn ready(plan: Plan, options: RunOptions) -> Result<engine::Run, JournalError> {
    let options_of_journal = Options { limit_bytes: plan.journal_limit };
    let journal: Arc<dyn Journal> = Arc::new(SqliteJournal::open(&plan.state_dir.join(JOURNAL), options_of_journal)?);
    for (connector, file) in plan.catalogue.replacing() {
        tracing::info!(connector, file, "read as this file says, and not as the one that comes with auditline does");
    }
    tracing::info!(pipelines = plan.pipelines.len() + plan.files.len(), state = %plan.state_dir.display(), "started");
    Ok(engine::Run::new(plan, journal, options))
}

/// Says what failed, with what to do; the exit code.
pub fn report(outcome: &Outcome) -> u8 {
    tell(&outcome.failed);
    if outcome.cut_short {
        eprintln!("the grace period was over before everything was delivered; the journal has the rest");
    }
    if outcome.failed.is_empty() { DONE } else { FAILED }
}

/// Says what failed, with what to do.
pub fn tell(failed: &[Failure]) {
    for Failure { what, reason, hint } in failed {
        eprintln!("error: {what}: {reason}");
        if let Some(hint) = hint {
            eprintln!("\nhint: {hint}");
        }
    }
}

fn summarize(handles: &[Handle]) {
    for Handle { name, counters, .. } in handles {
        let delivered: Vec<String> =
            counters.lanes.iter().map(|lane| format!("{} to {}", thousands(lane.delivered.get()), lane.sink)).collect();
        // Files promise nothing of what happened when.
        let reached = match (counters.bytes(), counters.watermark()) {
            (Some((read, total)), _) => format!("{} of {} bytes", thousands(read), thousands(total)),
            (None, Some(time)) => format!("complete up to {}", time.format("%Y-%m-%d %H:%M:%S UTC")),
            (None, None) => "complete up to never".to_owned(),
        };
        let dropped = counters.dropped();
        let dropped = match dropped.values().sum() {
            0 => String::new(),
            total => format!(", dropped {} ({})", thousands(total), by_reason(&dropped)),
        };
        let rejected: u64 = counters.lanes.iter().map(|lane| lane.rejected.get()).sum();
        let dead = match counters.dead_letters.get() + rejected {
            0 => String::new(),
            total => format!(", {}", dead(total)),
        };
        let (read, delivered) = (thousands(counters.read.get()), delivered.join(", "));
        eprintln!("{name}: read {read}, delivered {delivered}{dropped}{dead}, {reached}");
    }
}
