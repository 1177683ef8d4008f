//! `auditline demo`: the real pipelines against the simulated vendors, into files on this machine.

mod capture;
mod setup;
mod show;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::run::ready;
use super::{DONE, FAILED, progress, stop};
use crate::engine::{Failure, Handle, Outcome, RunOptions};
use crate::journal::JournalError;
use crate::simulator::{Simulator, Vendor};

/// How long `--once` may take before it is called failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// Show it all on this machine.
#[derive(Debug, Args)]
pub struct Demo {
    /// End when everything is delivered, instead of following new events until stopped.
    #[arg(long)]
    once: bool,
    /// The folder for the delivered events and the state. Made anew each time.
    #[arg(long, value_name = "FOLDER", default_value = "auditline-demo")]
    out: PathBuf,
    /// Records each vendor holds.
    #[arg(long, default_value_t = 2_000)]
    records: u64,
}

impl Demo {
    pub async fn main(self) -> u8 {
        match self.show().await {
            Ok(code) => code,
            Err(reason) => {
                eprintln!("error: {reason}");
                FAILED
            }
        }
    }

    async fn show(&self) -> Result<u8, String> {
        setup::make_folder(&self.out)?;
        let simulator = setup::simulator(self.records, !self.once).await?;
        eprintln!(
            "five simulated vendors on http://{}, {} records each, some of them late",
            simulator.address(),
            self.records
        );
        let (mut plan, text) = setup::plan(&self.out, &simulator)?;
        let captured = capture::insert(&mut plan);
        eprintln!("the pipelines of `pipelines/*.toml`, to the sinks of\n\n{}", indented(&text));

        let started = Instant::now();
        let stop = stop::on_signal();
        let end = CancellationToken::new();
        let options = RunOptions { once: false, stop: stop.clone(), only: None };
        let run = ready(plan, options).map_err(|error| crate::chain(&error))?;
        let handles = run.handles();
        let shown = tokio::spawn(progress::show(handles.clone(), end.clone()));
        let complete = tokio::select! {
            outcome = run.go() => return Err(ended_early(outcome)),
            complete = self.all_delivered(&simulator, &handles), if self.once => complete,
            () = stop.cancelled() => true,
        };
        end.cancel();
        let _ = shown.await;

        show::table(&handles);
        show::events(&self.out, &captured);
        println!("{}", show::files(&self.out, started.elapsed()));
        if complete {
            return Ok(DONE);
        }
        eprintln!("error: not everything was delivered within {} seconds", PATIENCE.as_secs());
        Ok(FAILED)
    }

    /// Waits until every record of every vendor is delivered; `false` when that takes too long.
    async fn all_delivered(&self, simulator: &Simulator, handles: &[Handle]) -> bool {
        let deadline = Instant::now() + PATIENCE;
        let expected: Vec<u64> = handles.iter().map(|handle| expected(simulator, &handle.name)).collect();
        while Instant::now() < deadline {
            let is_done = |(Handle { counters, .. }, expected): (&Handle, &u64)| {
                counters.read.get() >= *expected
                    && counters
                        .lanes
                        .iter()
                        .all(|lane| lane.delivered.get() + lane.rejected.get() >= counters.read.get())
            };
            if handles.iter().zip(&expected).all(is_done) {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        false
    }
}

fn expected(simulator: &Simulator, name: &str) -> u64 {
    let vendor = Vendor::ALL.into_iter().find(|vendor| vendor.name() == name);
    vendor.map_or(0, |vendor| simulator.expected_ids(vendor, chrono::Utc::now()).count() as u64)
}

fn ended_early(outcome: Result<Outcome, JournalError>) -> String {
    match outcome {
        Err(error) => crate::chain(&error),
        Ok(outcome) => match outcome.failed.first() {
            Some(Failure { what, reason, .. }) => format!("{what}: {reason}"),
            None => "the run ended before everything was delivered".to_owned(),
        },
    }
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect()
}
