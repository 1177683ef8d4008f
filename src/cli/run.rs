//! `auditline run`: runs the pipelines.

use std::sync::Arc;

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::input::Input;
use super::table::thousands;
use super::{DONE, FAILED, WRONG, progress, stop};
use crate::config::Plan;
use crate::engine::{self, Counters, Outcome, RunOptions};
use crate::journal::{Journal, JournalError, Options, SqliteJournal};

/// The journal's file in the state folder.
const JOURNAL: &str = "journal.sqlite";

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
        let names: Vec<Arc<str>> = plan.pipelines.iter().map(|pipeline| Arc::clone(&pipeline.name)).collect();
        let counters = engine::counters_of(&plan);
        let end = CancellationToken::new();
        let shown = self.once.then(|| tokio::spawn(progress::show(counters.clone(), end.clone())));
        let options = RunOptions { once: self.once, stop: stop::on_signal() };
        let outcome = run_plan(plan, options, &counters).await;
        end.cancel();
        if let Some(shown) = shown {
            let _ = shown.await;
        }
        match outcome {
            Ok(outcome) => {
                if self.once {
                    summarize(&names, &counters);
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

/// Opens the journal in the plan's state folder and runs.
pub async fn run_plan(plan: Plan, options: RunOptions, counters: &[Arc<Counters>]) -> Result<Outcome, JournalError> {
    let options_of_journal = Options { limit_bytes: plan.journal_limit };
    let journal: Arc<dyn Journal> = Arc::new(SqliteJournal::open(&plan.state_dir.join(JOURNAL), options_of_journal)?);
    tracing::info!(pipelines = plan.pipelines.len(), state = %plan.state_dir.display(), "started");
    engine::run(plan, journal, options, counters).await
}

/// Says what failed, with what to do; the exit code.
pub fn report(outcome: &Outcome) -> u8 {
    for (pipeline, reason, hint) in &outcome.failed {
        eprintln!("error: {pipeline}: {reason}");
        if let Some(hint) = hint {
            eprintln!("\nhint: {hint}");
        }
    }
    if outcome.cut_short {
        eprintln!("the grace period was over before everything was delivered; the journal has the rest");
    }
    if outcome.failed.is_empty() { DONE } else { FAILED }
}

fn summarize(names: &[Arc<str>], counters: &[Arc<Counters>]) {
    for (name, counters) in names.iter().zip(counters) {
        let delivered: Vec<String> =
            counters.lanes.iter().map(|lane| format!("{} to {}", thousands(lane.delivered.get()), lane.sink)).collect();
        let watermark =
            counters.watermark().map_or("never".to_owned(), |time| time.format("%Y-%m-%d %H:%M:%S UTC").to_string());
        eprintln!(
            "{name}: read {}, delivered {}, complete up to {watermark}",
            thousands(counters.read.get()),
            delivered.join(", ")
        );
    }
}
