//! `auditline test`: runs connectors' own tests, and holds connectors to what is expected of any.

mod bless;
mod conform;
mod difference;
mod examples;
mod subject;

use std::path::PathBuf;

use clap::Args;

use self::subject::Subject;
use super::input::report;
use super::{DONE, FAILED, WRONG, print};
use crate::document::{Context, Problems};

/// Run the examples in connector files.
#[derive(Debug, Args)]
pub struct Test {
    /// Connector files. Without any, the connectors that come with auditline, and those of `./auditline.toml`.
    files: Vec<PathBuf>,
    /// Read from a simulated vendor made of the definition, with all that can go wrong.
    #[arg(long)]
    conformance: bool,
    /// Write into FILES what the examples are found to become. UPDATE=1 in the environment does the same.
    #[arg(long, requires = "files", conflicts_with = "conformance")]
    bless: bool,
}

impl Test {
    pub async fn main(self) -> u8 {
        let problems = Problems::new();
        let subjects = Subject::read(&self.files, &Context::new(&problems));
        report(&problems);
        if problems.has_errors() {
            return WRONG;
        }
        let mut tally = Tally::default();
        for subject in &subjects {
            if self.conformance {
                conform::run(subject, &mut tally).await;
            } else if !examples::run(subject, self.blesses(subject), &mut tally) {
                return FAILED;
            }
        }
        say(&format!("\n{tally}"));
        if tally.failed == 0 { DONE } else { FAILED }
    }

    /// What comes with the binary has no file to write into.
    fn blesses(&self, subject: &Subject) -> bool {
        let asked = self.bless || std::env::var_os("UPDATE").is_some_and(|value| !value.is_empty() && value != "0");
        asked && subject.path.is_some()
    }
}

/// Prints a line. Whoever reads no more of it has seen enough.
fn say(line: &str) {
    print(&format!("{line}\n"));
}

/// How many tests came to what.
#[derive(Debug, Default)]
struct Tally {
    passed: usize,
    failed: usize,
    /// What was found is expected from now on.
    written: usize,
    /// What does not concern the connector.
    skipped: usize,
    /// What no test looks at yet.
    not_covered: usize,
}

impl std::fmt::Display for Tally {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{} passed, {} failed", self.passed, self.failed)?;
        let rest = [(self.written, "written"), (self.skipped, "skipped"), (self.not_covered, "not covered yet")];
        rest.iter().filter(|(count, _)| *count > 0).try_for_each(|(count, what)| write!(out, ", {count} {what}"))
    }
}
