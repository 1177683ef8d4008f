//! An installation in a fresh folder: configuration, state, delivered files, and the real binary run on them.
#![allow(dead_code, reason = "each test program uses the part it needs")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use auditline::journal::{DeadLetter, Journal, JournalError, Options, SqliteJournal};
use auditline::simulator::{Simulator, Vendor, World, credentials};
use chrono::{DateTime, DurationRound, SecondsFormat, TimeDelta, Utc};
use serde_json::Value as Json;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

/// Longer than anything takes on a busy machine: what is not there by then never comes.
const PATIENCE: Duration = Duration::from_secs(600);

/// A file for each pipeline. `FOLDER` stands for the installation's own.
pub const FILES: &str = "[sinks.siem.file]\npath = \"FOLDER/out/{pipeline}.ndjson\"\n";

/// Two days that ended a while ago, so that lag and overlap lie beyond the newest record.
pub fn world(records: u64) -> World {
    let until = (Utc::now() - TimeDelta::minutes(10)).duration_trunc(TimeDelta::seconds(1)).unwrap();
    World { records, span: Duration::from_secs(48 * 3600), until: Some(until), ..World::default() }
}

/// The same with a start that is before all of it.
pub async fn simulate(world: World) -> Simulator {
    Simulator::start(world).await.unwrap()
}

/// One `pipelines/NAME.toml`.
#[derive(Clone, Debug)]
pub struct Pipeline {
    pub name: String,
    source: String,
    keys: BTreeMap<String, String>,
    rest: String,
    sinks: BTreeMap<String, String>,
}

impl Pipeline {
    /// Reads a simulated vendor from before its first record, as fast as it answers, into the sink `siem`.
    pub fn of(simulator: &Simulator, vendor: Vendor) -> Self {
        Self::at(vendor, &simulator.base_url(vendor))
    }

    /// Reads what answers at `base_url` as the vendor does.
    pub fn at(vendor: Vendor, base_url: &str) -> Self {
        let start = (Utc::now() - TimeDelta::hours(50)).to_rfc3339_opts(SecondsFormat::Secs, true);
        let credential = match vendor {
            Vendor::Telnyx => ("api_key", "TELNYX_API_KEY"),
            Vendor::Cloudflare => ("api_token", "CLOUDFLARE_API_TOKEN"),
            Vendor::Voximplant => ("credentials", "VOXIMPLANT_CREDENTIALS"),
            Vendor::Ashby => ("api_key", "ASHBY_API_KEY"),
            Vendor::Nirvana => ("api_key", "NIRVANA_API_KEY"),
        };
        let pipeline = Self {
            name: vendor.name().to_owned(),
            source: vendor.name().to_owned(),
            keys: BTreeMap::new(),
            rest: String::new(),
            sinks: BTreeMap::new(),
        };
        let pipeline = pipeline
            .set("base_url", &quoted(base_url))
            .set("start", &quoted(&start))
            .set("rate", "\"1000/1s\"")
            .set("lag", "\"2s\"")
            .set("overlap", "\"1h\"")
            .set("poll", "\"100ms\"")
            .set(credential.0, &format!("{{ env = \"{}\" }}", credential.1))
            .to("siem", "batch = { max_wait = \"50ms\" }");
        match vendor {
            Vendor::Cloudflare => pipeline.set("account_id", &quoted(credentials::CLOUDFLARE_ACCOUNT_ID)),
            // A report takes a while, and is a test's own subject.
            Vendor::Voximplant => pipeline.set("mode", "\"pages\""),
            _ => pipeline,
        }
    }

    /// The same under another name.
    pub fn named(mut self, name: &str) -> Self {
        self.name = name.to_owned();
        self
    }

    /// With a key of the source set to a TOML value.
    pub fn set(mut self, key: &str, toml: &str) -> Self {
        self.keys.insert(key.to_owned(), toml.to_owned());
        self
    }

    /// Also to that sink, with the keys of `[to.SINK]`.
    pub fn to(mut self, sink: &str, toml: &str) -> Self {
        self.sinks.insert(sink.to_owned(), toml.to_owned());
        self
    }

    /// Not to that sink.
    pub fn not_to(mut self, sink: &str) -> Self {
        self.sinks.remove(sink);
        self
    }

    /// With `[[transform]]`s, or whatever else stands in a pipeline's file.
    pub fn with(mut self, toml: &str) -> Self {
        self.rest.push_str(toml);
        self
    }

    fn text(&self) -> String {
        let keys: String = self.keys.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
        let sinks: String = self.sinks.iter().map(|(sink, keys)| format!("\n[to.{sink}]\n{keys}\n")).collect();
        format!("[source.{}]\n{keys}\n{}{sinks}", self.source, self.rest)
    }
}

/// A pipeline for each of them.
pub fn pipelines(simulator: &Simulator, vendors: &[Vendor]) -> Vec<Pipeline> {
    vendors.iter().map(|vendor| Pipeline::of(simulator, *vendor)).collect()
}

fn quoted(text: &str) -> String {
    Json::String(text.to_owned()).to_string()
}

/// A folder with a configuration, a state folder, and the files that are delivered.
pub struct Installation {
    folder: TempDir,
    secrets: BTreeMap<&'static str, String>,
}

impl Installation {
    /// Writes `auditline.toml` with the text `main`, in which `FOLDER` stands for this folder, and the pipelines.
    pub fn new(main: &str, pipelines: &[Pipeline]) -> Self {
        let secrets = BTreeMap::from([
            ("TELNYX_API_KEY", credentials::TELNYX_API_KEY.to_owned()),
            ("CLOUDFLARE_API_TOKEN", credentials::CLOUDFLARE_API_TOKEN.to_owned()),
            ("VOXIMPLANT_CREDENTIALS", credentials::voximplant_service_account()),
            ("ASHBY_API_KEY", credentials::ASHBY_API_KEY.to_owned()),
            ("NIRVANA_API_KEY", credentials::NIRVANA_API_KEY.to_owned()),
        ]);
        let installation = Self { folder: tempfile::tempdir().unwrap(), secrets };
        std::fs::create_dir(installation.folder.path().join("pipelines")).unwrap();
        let folder = installation.folder.path().display().to_string();
        let head = "state_dir = \"state\"\npipelines = [\"pipelines/*.toml\"]\n";
        std::fs::write(installation.path("auditline.toml"), format!("{head}{}", main.replace("FOLDER", &folder)))
            .unwrap();
        for pipeline in pipelines {
            installation.write(pipeline);
        }
        installation
    }

    /// A copy of a folder of `examples/`.
    pub fn of_example(name: &str) -> Self {
        let installation = Self { folder: tempfile::tempdir().unwrap(), secrets: BTreeMap::new() };
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name).join(".");
        let mut copy = std::process::Command::new("cp");
        assert!(copy.arg("-r").arg(example).arg(installation.folder.path()).status().unwrap().success());
        installation
    }

    /// Writes a pipeline's file, again or for the first time.
    pub fn write(&self, pipeline: &Pipeline) {
        std::fs::write(self.path(&format!("pipelines/{}.toml", pipeline.name)), pipeline.text()).unwrap();
    }

    /// With another secret in the environment.
    pub fn with_secret(mut self, name: &'static str, value: &str) -> Self {
        self.secrets.insert(name, value.to_owned());
        self
    }

    /// What no output may hold.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        self.secrets.values().map(String::as_str).chain([credentials::VOXIMPLANT_PRIVATE_KEY])
    }

    /// A path in the folder.
    pub fn path(&self, inner: &str) -> PathBuf {
        self.folder.path().join(inner)
    }

    /// Starts `auditline run`.
    pub fn start(&self) -> Running {
        self.start_with(&["run"])
    }

    /// Starts `auditline` with a verb, on this configuration.
    pub fn start_with(&self, arguments: &[&str]) -> Running {
        let log = tempfile::NamedTempFile::new_in(self.folder.path()).unwrap();
        let child = self.command(arguments).stdout(Stdio::null()).stderr(log.reopen().unwrap()).spawn().unwrap();
        Running { child, log }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_auditline"));
        command
            .args(arguments)
            .arg("--config")
            .arg(self.folder.path())
            .envs(&self.secrets)
            .env_remove("AUDITLINE_LOG")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// Runs `auditline` with a verb on this configuration to its end, and returns what it printed.
    pub async fn ask(&self, arguments: &[&str]) -> Asked {
        let output = tokio::time::timeout(PATIENCE, self.command(arguments).output()).await.expect("it ends").unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Asked {
            code: output.status.code().expect("it was not killed"),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    /// Runs `auditline run --once` to its end.
    pub async fn run_once(&self) -> Ended {
        self.start_with(&["run", "--once"]).ended().await
    }

    /// Runs it once and expects everything to work.
    pub async fn read_all(&self) -> Ended {
        let ended = self.run_once().await;
        assert!(ended.status.success(), "{}: {}", ended.status, ended.stderr);
        ended
    }

    /// Reads everything, killed so often on the way: from before it connects to well within its deliveries.
    pub async fn read_all_despite(&self, kills: u64) -> Ended {
        for life in 0..kills {
            let running = self.start();
            sleep(Duration::from_millis(30 + 97 * life)).await;
            let ended = running.kill().await;
            assert_eq!(ended.status.code(), None, "it ended by itself: {}", ended.stderr);
        }
        self.read_all().await
    }

    /// The events in a pipeline's file, in its order. A line that is still being written is none yet.
    pub fn delivered(&self, pipeline: &str) -> Vec<Json> {
        events(&self.path(&format!("out/{pipeline}.ndjson")))
    }

    /// The vendor's ids of the events in a pipeline's file, in its order.
    pub fn ids(&self, pipeline: &str) -> Vec<String> {
        self.delivered(pipeline).iter().map(id).collect()
    }

    /// Everything the vendor has is in its pipeline's file, once, and nothing else is.
    pub fn expect_all_of(&self, simulator: &Simulator, vendor: Vendor) {
        expect_once(vendor.name(), self.ids(vendor.name()), &expected(simulator, vendor));
    }

    /// What became dead letters. No process may be running.
    pub async fn dead_letters(&self, pipeline: &str) -> Vec<DeadLetter> {
        let path = self.path("state/journal.sqlite");
        let give_up = Instant::now() + PATIENCE;
        let journal = loop {
            match SqliteJournal::open(&path, Options::default()) {
                // One that was looked into before lets go of it on a thread of its own.
                Err(JournalError::InUse { .. }) if Instant::now() < give_up => sleep(Duration::from_millis(10)).await,
                opened => break opened.unwrap(),
            }
        };
        journal.dead_letters(&Arc::from(pipeline), 1000).await.unwrap()
    }
}

/// The whole lines of a file of events.
pub fn events(path: &Path) -> Vec<Json> {
    let text = std::fs::read(path).unwrap_or_default();
    let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let lines = text[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let event = |line: &[u8]| {
        serde_json::from_slice(line).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(line)))
    };
    lines.map(event).collect()
}

/// The vendor's id of a delivered event.
pub fn id(event: &Json) -> String {
    event["metadata"]["uid"].as_str().unwrap_or_else(|| panic!("no id in {event}")).to_owned()
}

/// Every id the vendor has by now, with its time.
pub fn expected_times(simulator: &Simulator, vendor: Vendor) -> BTreeMap<String, DateTime<Utc>> {
    simulator.expected_ids(vendor, Utc::now()).map(|expected| (expected.id, expected.time)).collect()
}

/// Every id the vendor has by now.
pub fn expected(simulator: &Simulator, vendor: Vendor) -> BTreeSet<String> {
    expected_times(simulator, vendor).into_keys().collect()
}

/// What all vendors have, as their pipelines' names and the ids.
pub fn expected_of_all(simulator: &Simulator) -> BTreeSet<String> {
    let of = |vendor: Vendor| expected(simulator, vendor).into_iter().map(move |id| format!("{vendor} {id}"));
    Vendor::ALL.into_iter().flat_map(of).collect()
}

/// An event of OCSF by its vendor and id, as [`expected_of_all`] has it.
pub fn named(event: &Json) -> String {
    format!("{} {}", event["metadata"]["log_name"].as_str().unwrap_or_default(), id(event))
}

/// Each at least once, and nothing else: what is promised where a second copy cannot be told from the first.
pub fn expect_at_least_once(what: &str, arrived: Vec<String>, expected: &BTreeSet<String>) {
    let distinct: BTreeSet<String> = arrived.into_iter().collect();
    expect_once(what, distinct.into_iter().collect(), expected);
}

/// Each of `expected` once, and nothing else.
pub fn expect_once(what: &str, arrived: Vec<String>, expected: &BTreeSet<String>) {
    let counted = count(arrived);
    let missing: Vec<_> = expected.iter().filter(|id| !counted.contains_key(*id)).collect();
    let repeated: Vec<_> = counted.iter().filter(|(_, times)| **times > 1).collect();
    let foreign: Vec<_> = counted.keys().filter(|id| !expected.contains(*id)).collect();
    assert!(
        missing.is_empty() && repeated.is_empty() && foreign.is_empty(),
        "{what}: of {} records {} are missing, {} are there more than once, {} are nobody's: {:?} {:?} {:?}",
        expected.len(),
        missing.len(),
        repeated.len(),
        foreign.len(),
        &missing[..missing.len().min(5)],
        &repeated[..repeated.len().min(5)],
        &foreign[..foreign.len().min(5)],
    );
}

fn count(ids: Vec<String>) -> BTreeMap<String, usize> {
    let mut counted = BTreeMap::new();
    for id in ids {
        *counted.entry(id).or_default() += 1;
    }
    counted
}

/// A running `auditline`. Dropping it kills it.
pub struct Running {
    child: Child,
    log: tempfile::NamedTempFile,
}

/// What a verb answered.
#[derive(Debug)]
pub struct Asked {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// What a process left behind.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    pub stderr: String,
}

impl Running {
    /// What it has said so far.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.log.path()).unwrap()).into_owned()
    }

    /// Sends it a signal by its short name: `TERM`.
    pub async fn signal(&self, name: &str) {
        let pid = self.child.id().expect("it is running");
        let sent = Command::new("sh").arg("-c").arg(format!("kill -{name} {pid}")).status().await.unwrap();
        assert!(sent.success(), "no {name} for {pid}");
    }

    /// Kills it, wherever it is, and returns when it is gone.
    pub async fn kill(mut self) -> Ended {
        self.child.kill().await.unwrap();
        self.ended().await
    }

    /// Waits for its end.
    pub async fn ended(mut self) -> Ended {
        let status = match tokio::time::timeout(PATIENCE, self.child.wait()).await {
            Ok(status) => status.unwrap(),
            Err(_) => panic!("it does not end: {}", self.stderr()),
        };
        Ended { status, stderr: self.stderr() }
    }

    /// Waits until it has said something.
    pub async fn says(&mut self, text: &str) {
        self.until(&format!("says `{text}`"), |running| running.stderr().contains(text)).await;
    }

    /// Waits until something is so; `what` is for the panic if it never is.
    pub async fn until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let give_up = Instant::now() + PATIENCE;
        loop {
            let looked = Instant::now();
            if is_so(self) {
                return;
            }
            // To read all that was delivered takes long, and what is waited for has to get on in the meantime.
            let pause = (4 * looked.elapsed()).clamp(Duration::from_millis(20), Duration::from_secs(1));
            if let Some(status) = self.child.try_wait().unwrap() {
                assert!(is_so(self), "{status} before it {what}: {}", self.stderr());
                return;
            }
            assert!(Instant::now() < give_up, "it never {what}: {}", self.stderr());
            sleep(pause).await;
        }
    }
}
