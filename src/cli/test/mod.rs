//! `auditline test`: runs the tests that connectors and pipelines carry, and holds connectors to what is expected of any.

mod bless;
mod conform;
mod difference;
mod examples;
mod pipelines;
mod rewrite;
mod subject;

use std::path::{Path, PathBuf};

use clap::Args;

use self::subject::Subjects;
use super::input::report;
use super::{DONE, FAILED, WRONG, print};
use crate::document::{Context, Problems};

/// Run the examples in the files of connectors and pipelines.
#[derive(Debug, Args)]
pub struct Test {
    /// Files of connectors and pipelines. Without any, the connectors that come with auditline, and all that the main file
    /// names.
    files: Vec<PathBuf>,
    /// The main file, or a folder that holds `auditline.toml` [default: `auditline.toml`, where there is one]
    #[arg(long, value_name = "PATH")]
    config: Option<PathBuf>,
    /// Read from a simulated vendor made of the definition, with all that can go wrong.
    #[arg(long)]
    conformance: bool,
    /// Write into the files what the examples are found to become. UPDATE=1 in the environment does the same.
    #[arg(long, conflicts_with = "conformance")]
    bless: bool,
}

impl Test {
    pub async fn main(self) -> u8 {
        let problems = Problems::new();
        let here = Path::new(MAIN);
        let main = self.config.as_deref().or_else(|| here.is_file().then_some(here));
        if self.bless && self.files.is_empty() && main.is_none() {
            eprintln!("error: there is nothing to write into\n\nhint: name FILES, or the main file by `--config PATH`");
            return WRONG;
        }
        let subjects = Subjects::read(&self.files, main, &Context::new(&problems));
        report(&problems);
        if problems.has_errors() {
            return WRONG;
        }
        let mut tally = Tally::default();
        for subject in &subjects.connectors {
            if self.conformance {
                conform::run(subject, &mut tally).await;
            } else if !examples::run(subject, self.blesses() && subject.path.is_some(), &mut tally) {
                return FAILED;
            }
        }
        // The suite is of connectors alone.
        for test in subjects.pipelines.iter().filter(|_| !self.conformance) {
            if !pipelines::run(test, &subjects.catalogue, self.blesses(), &mut tally) {
                return FAILED;
            }
        }
        say(&format!("\n{tally}"));
        if tally.failed == 0 { DONE } else { FAILED }
    }

    fn blesses(&self) -> bool {
        self.bless || std::env::var_os("UPDATE").is_some_and(|value| !value.is_empty() && value != "0")
    }
}

/// The main file of a folder.
const MAIN: &str = "auditline.toml";

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
