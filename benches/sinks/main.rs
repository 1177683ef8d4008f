//! What the sinks cost beside the plainest program that sends the same to the same server on the same client library.
//!
//! `make bench` runs it, with the servers of the tests. It fails when a sink costs more than [`MOST`] times the processor
//! time of that program. A sink whose server cannot be had says so, and is counted.

mod clock;
mod elasticsearch;
mod events;
mod file;
mod http;
mod kafka;
mod otlp;
#[path = "../transforms/product.rs"]
mod product;
mod race;
#[path = "../transforms/records.rs"]
mod records;
mod s3;
mod splunk_hec;
mod syslog;
mod web;

use std::path::Path;
use std::process::ExitCode;

use auditline_sinks::{SinkConfig, contract};

use self::events::Events;
use self::race::{Pair, Round};
use self::s3::Packing;

/// What a sink may cost at the most, in times of what the plainest program does.
const MOST: f64 = 1.5;

fn main() -> ExitCode {
    auditline::cli::allocator::keep_little();
    // On a disk, where a sync costs what it costs.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a temporary folder");
    let events = Events::new();
    println!("Cost of delivering a record, beside the plainest program on the same client library");
    println!("OCSF events of {} bytes, in the sinks' own batches; medians of rounds in which both", events.average());
    println!("have a turn, processor time of all threads, and the middle half of the rounds\n");
    println!("  {:<16}{:>8}{:>20}{:>22}{:>26}", "", "", "records/s", "CPU µs/record", "times the CPU");
    println!(
        "  {:<16}{:>8}{:>10}{:>10}{:>12}{:>10}{:>12}{:>16}{:>10}",
        "sink", "rounds", "auditline", "plain", "auditline", "plain", "median", "from…to", "allowed"
    );
    let (mut measured, mut missing, mut dear) = (0, 0, Vec::new());
    for pair in pairs(folder.path()) {
        let Some(pair) = pair() else {
            missing += 1;
            continue;
        };
        let name = pair.name;
        let times = print(name, &pair.run(&events));
        measured += 1;
        if times > MOST {
            dear.push((name, times));
        }
    }
    judge(measured, missing, &dear)
}

/// Makes a pair, unless there is no server for it.
type Make<'a> = Box<dyn Fn() -> Option<Pair> + 'a>;

/// Each made when its turn comes: a client that only waits costs something, too.
fn pairs(folder: &Path) -> Vec<Make<'_>> {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let all: [(&str, Make<'_>); 9] = [
        ("file", Box::new(|| file::pair(folder))),
        ("kafka", Box::new(kafka::pair)),
        ("s3 gzip", Box::new(|| s3::pair("s3 gzip", Packing::Gzip))),
        ("s3 zstd", Box::new(|| s3::pair("s3 zstd", Packing::Zstd))),
        ("syslog", Box::new(syslog::pair)),
        ("elasticsearch", Box::new(elasticsearch::pair)),
        ("splunk_hec", Box::new(splunk_hec::pair)),
        ("http", Box::new(http::pair)),
        ("otlp", Box::new(otlp::pair)),
    ];
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|wanted| name.contains(wanted.as_str()));
    all.into_iter().filter(|(name, _)| is_wanted(name)).map(|(_, pair)| pair).collect()
}

/// Prints a row. Returns the median of how many times as much as the plain program the sink costs in the same round.
fn print(name: &str, rounds: &[Round]) -> f64 {
    let middle = |of: fn(&Round) -> f64| sorted(rounds, of)[rounds.len() / 2];
    let times = sorted(rounds, |round| round.own.cpu / round.plain.cpu);
    let [from, median, to] = [1, 2, 3].map(|quarter| times[(times.len() - 1) * quarter / 4]);
    println!(
        "  {name:<16}{:>8}{:>10.0}{:>10.0}{:>12.1}{:>10.1}{median:>12.2}{:>16}{MOST:>10}",
        rounds.len(),
        middle(|round| round.own.rate),
        middle(|round| round.plain.rate),
        middle(|round| round.own.cpu),
        middle(|round| round.plain.cpu),
        format!("{from:.2}…{to:.2}"),
    );
    median
}

fn sorted(rounds: &[Round], of: impl Fn(&Round) -> f64) -> Vec<f64> {
    let mut values: Vec<f64> = rounds.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values
}

fn judge(measured: usize, missing: usize, dear: &[(&str, f64)]) -> ExitCode {
    for (name, times) in dear {
        println!("\nFAILED: {name} costs {times:.2} times what the plainest program does, and may cost {MOST}");
    }
    if missing > 0 {
        println!("\n{missing} of {} sinks not measured for want of a server", measured + missing);
    }
    if !dear.is_empty() {
        return ExitCode::FAILURE;
    }
    println!("\nok: of {measured} sinks none costs more than {MOST} times what the plainest program does");
    ExitCode::SUCCESS
}

/// A sink's configuration as an operator writes it, below `[sinks.NAME]`.
fn config(toml: &str) -> SinkConfig {
    toml::from_str(toml).unwrap_or_else(|error| panic!("{error}"))
}

/// The address of a server of the tests; where there is none, a line says so.
fn server(sink: &str, what: &str, variable: &str) -> Option<String> {
    contract::server(&format!("bench of {sink}"), what, variable)
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is set together with the server's address"))
}
