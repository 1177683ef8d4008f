//! A million records through the whole program: does its memory stay bounded, and how fast is it?
//!
//! `make bench` runs it, on Linux. It starts the simulated vendors and `auditline run --once` as processes of their own,
//! looks at what the kernel says of the second one, and counts what arrived. Then the same configuration runs on with
//! nothing to do. It fails when either holds more memory than it may, or when a record is missing or there twice.

use std::collections::HashSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use auditline::simulator::credentials::{CLOUDFLARE_ACCOUNT_ID, CLOUDFLARE_API_TOKEN};
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;

const PROGRAM: &str = env!("CARGO_BIN_EXE_auditline");
const RECORDS: usize = 1_000_000;
/// The most that reading the backlog may hold.
const MOST_BUSY: Memory = Memory::mebibytes(64);
/// The most that waiting for new records may hold. Half of it is the program's own code.
const MOST_IDLE: Memory = Memory::mebibytes(40);
const IDLE: Duration = Duration::from_secs(15);
/// How often the kernel is asked. It keeps the peak itself, so only the last moment can be missed.
const EVERY: Duration = Duration::from_millis(20);

fn main() -> ExitCode {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (simulator, base_url) = simulate();
    configure(folder.path(), &base_url);
    println!("{RECORDS} records of Cloudflare, 7 days, from a simulated vendor through journal and file sink\n");
    println!(
        "  {:<16}{:>10}{:>12}{:>14}{:>14}{:>10}",
        "", "seconds", "records/s", "CPU µs/record", "most MiB", "allowed"
    );

    let busy = observe(run(folder.path(), &["--once"]), None);
    assert!(busy.succeeded, "`auditline run --once` failed");
    let seconds = busy.took.as_secs_f64();
    let (rate, each) = (RECORDS as f64 / seconds, busy.cpu.as_secs_f64() * 1e6 / RECORDS as f64);
    println!("  {:<16}{seconds:>10.1}{rate:>12.0}{each:>14.1}{:>14}{:>10}", "run --once", busy.peak, MOST_BUSY);

    let idle = observe(run(folder.path(), &[]), Some(IDLE));
    assert!(idle.succeeded, "`auditline run` did not end well");
    println!("  {:<16}{:>10.1}{:>12}{:>14}{:>14}{:>10}", "idle", idle.took.as_secs_f64(), "", "", idle.peak, MOST_IDLE);
    stop(simulator);

    let arrived = count(&folder.path().join("cloudflare.ndjson"));
    println!("\n  arrived: {} lines, {} different ids, {:.0} MiB", arrived.lines, arrived.ids, arrived.mebibytes);
    let problems = [
        (busy.peak > MOST_BUSY, "reading holds more memory than it may"),
        (idle.peak > MOST_IDLE, "waiting holds more memory than it may"),
        (arrived.lines != RECORDS || arrived.ids != RECORDS, "what arrived is not each record once"),
    ];
    let failed: Vec<&str> = problems.iter().filter(|(failed, _)| *failed).map(|(_, what)| *what).collect();
    for what in &failed {
        println!("\nFAILED: {what}");
    }
    if failed.is_empty() {
        println!("\nok: each record once, within the memory allowed");
    }
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Starts the simulated vendors; returns where Cloudflare's is.
fn simulate() -> (Child, String) {
    let mut simulator = Command::new(PROGRAM)
        .args(["simulate", "--days", "7", "--records", &RECORDS.to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the simulator starts");
    let said = BufReader::new(simulator.stdout.take().expect("it was piped")).lines();
    let base_url = said.map_while(Result::ok).find_map(|line| line.strip_prefix("cloudflare ").map(str::to_owned));
    (simulator, base_url.expect("the simulator says where Cloudflare is"))
}

/// What an operator would write, but for the address, the vendor's quota and the lag: everything is there at once.
fn configure(folder: &Path, base_url: &str) {
    let main = format!(
        "state_dir = \"{0}/state\"\npipelines = [\"pipelines/*.toml\"]\n\n[sinks.siem.file]\npath = \"{0}/{{vendor}}.ndjson\"\n",
        folder.display()
    );
    let pipeline = format!(
        r#"
[source.cloudflare]
account_id = "{CLOUDFLARE_ACCOUNT_ID}"
api_token = {{ env = "CLOUDFLARE_API_TOKEN" }}
base_url = "{base_url}"
start = "-8d"
lag = "0s"
poll = "1s"
rate = "1000000/1s"

[[transform]]
normalize = "ocsf"

[[transform]]
enrich = {{ labels = ["edge"], fields = {{ environment = "production" }} }}

[[transform]]
redact = {{ emails = "pseudonym", ips = "truncate", key = {{ env = "AUDITLINE_REDACTION_KEY" }} }}

[to.siem]
"#
    );
    fs::create_dir(folder.join("pipelines")).expect("a folder for the pipelines");
    fs::write(folder.join("auditline.toml"), main).expect("the main file");
    fs::write(folder.join("pipelines/cloudflare.toml"), pipeline).expect("the pipeline's file");
}

fn run(folder: &Path, more: &[&str]) -> Child {
    Command::new(PROGRAM)
        .args(["run", "--config"])
        .arg(folder)
        .args(more)
        .env("CLOUDFLARE_API_TOKEN", CLOUDFLARE_API_TOKEN)
        .env("AUDITLINE_REDACTION_KEY", "a benchmark's key, protects nothing")
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts")
}

/// What the kernel said of a process while it lived.
struct Observed {
    took: Duration,
    cpu: Duration,
    peak: Memory,
    succeeded: bool,
}

/// Watches a process until it ends, or stops it when it has run for so long.
fn observe(mut process: Child, stop_after: Option<Duration>) -> Observed {
    let started = Instant::now();
    let (mut cpu, mut peak) = (Duration::ZERO, Memory(0));
    let mut told = false;
    let status = loop {
        if let Some(status) = process.try_wait().expect("the process is ours") {
            break status;
        }
        cpu = processor_time(process.id()).unwrap_or(cpu);
        peak = peak_memory(process.id()).unwrap_or(peak);
        if stop_after.is_some_and(|most| started.elapsed() >= most) && !told {
            terminate(&process);
            told = true;
        }
        std::thread::sleep(EVERY);
    };
    Observed { took: started.elapsed(), cpu, peak, succeeded: status.success() }
}

fn stop(mut process: Child) {
    terminate(&process);
    process.wait().expect("the process is ours");
}

fn terminate(process: &Child) {
    let pid = Pid::from_raw(process.id().cast_signed()).expect("a process has a number");
    kill_process(pid, Signal::TERM).expect("the process is ours");
}

/// Resident memory, in kibibytes.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
struct Memory(u64);

impl Memory {
    const fn mebibytes(mebibytes: u64) -> Self {
        Self(mebibytes * 1024)
    }
}

impl std::fmt::Display for Memory {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.pad(&format!("{:.1}", self.0 as f64 / 1024.0))
    }
}

/// `VmHWM`: the most that was ever resident. `None` when the process has just ended.
fn peak_memory(process: u32) -> Option<Memory> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok().map(Memory)
}

/// User and system time of all its threads. The kernel counts in hundredths of a second.
fn processor_time(process: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name, in parentheses, may hold anything; the two times are the 12th and 13th fields behind it.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(Duration::from_millis(ticks * 10))
}

#[derive(Default)]
struct Arrived {
    lines: usize,
    ids: usize,
    mebibytes: f64,
}

fn count(path: &Path) -> Arrived {
    #[derive(Deserialize)]
    struct Line {
        metadata: Metadata,
    }
    #[derive(Deserialize)]
    struct Metadata {
        uid: String,
    }
    let file = fs::File::open(path).expect("the sink made the file");
    let mut ids = HashSet::with_capacity(RECORDS);
    let mut arrived = Arrived::default();
    for line in BufReader::new(file).lines() {
        let line = line.expect("the file is text");
        let event: Line = serde_json::from_str(&line).expect("every line is an event");
        ids.insert(event.metadata.uid);
        arrived.lines += 1;
        arrived.mebibytes += (line.len() + 1) as f64 / 1_048_576.0;
    }
    Arrived { ids: ids.len(), ..arrived }
}
