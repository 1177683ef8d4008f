//! The command line: one file per verb.
//!
//! Data goes to stdout, everything else to stderr. Exit code 0: done; 1: a pipeline failed; 2: the command or the
//! configuration is wrong.

pub mod allocator;
mod asked;
mod backfill;
mod check;
mod completions;
mod connectors;
mod coverage;
mod demo;
mod explain;
mod index_template;
mod input;
mod logging;
mod moment;
mod plan;
mod preview;
mod progress;
mod redact;
mod redactions;
mod reveal;
mod run;
mod schema;
mod simulate;
mod state;
mod stop;
mod table;
mod test;

use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use self::logging::LogFormat;

/// Everything was done.
const DONE: u8 = 0;
/// A pipeline failed.
const FAILED: u8 = 1;
/// The command or the configuration is wrong.
const WRONG: u8 = 2;

/// Pulls SaaS audit logs and delivers every record, normalized and redacted, to a SIEM.
#[derive(Debug, Parser)]
#[command(name = "auditline", version, max_term_width = 100)]
struct Arguments {
    /// How log lines look.
    #[arg(long, global = true, value_enum, default_value_t)]
    log_format: LogFormat,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show it all on this machine: five simulated vendors, the real pipelines, local files.
    Demo(demo::Demo),
    /// Run the pipelines.
    Run(run::Run),
    /// Say everything that is wrong with the configuration.
    Check(check::Check),
    /// Say what a pipeline will ask of its vendor, before anything is asked.
    Plan(plan::Plan),
    /// Show one page of a pipeline's log as it would be delivered. Stores nothing.
    Preview(preview::Preview),
    /// Say up to when a log is complete, at each sink, and what it waits for.
    Explain(explain::Explain),
    /// Read a span of the past, beside what is read anyway.
    Backfill(backfill::Backfill),
    /// Show, reset, export or import where the pipelines are.
    State(state::State),
    /// Redact a file as a pipeline would, or say what it finds there.
    Redact(redact::Redaction),
    /// Show in clear what was encrypted, with the key.
    Reveal(reveal::Reveal),
    /// List the connectors, or show one: its parameters, filters and limits.
    Connectors(connectors::Connectors),
    /// Print the JSON Schema of a kind of file, for editors; or an index template for our events.
    Schema(schema::Schema),
    /// Print completions for a shell.
    Completions(completions::Completions),
    /// Run the examples of connectors and pipelines, or hold connectors to what is expected of any.
    Test(test::Test),
    /// Serve the simulated vendors on loopback until stopped.
    #[command(hide = true)]
    Simulate(simulate::Simulate),
}

/// Does what the arguments of this process ask for.
#[must_use]
pub fn main() -> ExitCode {
    allocator::keep_little();
    let arguments = Arguments::parse();
    if let Err(error) = logging::start(arguments.log_format) {
        eprintln!("error: {error}");
        return ExitCode::from(WRONG);
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: the runtime cannot start: {error}");
            return ExitCode::from(FAILED);
        }
    };
    let code = runtime.block_on(async {
        match arguments.verb {
            Verb::Demo(verb) => verb.main().await,
            Verb::Run(verb) => verb.main().await,
            Verb::Check(verb) => verb.main().await,
            Verb::Plan(verb) => verb.main().await,
            Verb::Preview(verb) => verb.main().await,
            Verb::Explain(verb) => verb.main().await,
            Verb::Backfill(verb) => verb.main().await,
            Verb::State(verb) => verb.main().await,
            Verb::Redact(verb) => verb.main().await,
            Verb::Reveal(verb) => verb.main().await,
            Verb::Connectors(verb) => verb.main(),
            Verb::Schema(verb) => verb.main(),
            Verb::Completions(verb) => verb.main(),
            Verb::Test(verb) => verb.main().await,
            Verb::Simulate(verb) => verb.main().await,
        }
    });
    // A delivery that was dropped may sit in a blocking call: the process does not wait for it.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    ExitCode::from(code)
}

/// Prints data. A reader that has had enough, as `head` has, is no failure.
fn print(text: &str) -> u8 {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            eprintln!("error: cannot write to standard output: {error}");
            FAILED
        }
        _ => DONE,
    }
}
