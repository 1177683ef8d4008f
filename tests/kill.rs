//! The central promise: killed at any moment, as often as one likes, the binary loses no record and repeats none.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use auditline::simulator::{Flaky, Late, RetryAfter, Simulator, Throttle, Vendor, VoximplantQuirks, World};
use chrono::{DateTime, TimeDelta, Utc};
use common::{Installation, Pipeline, expect_once, expected, id};
use tokio::time::sleep;

const KILLS: usize = 100;
/// How late a record may be published. The overlap is three times that.
const LATEST: Duration = Duration::from_secs(4);
const OVERLAP: Duration = Duration::from_secs(12);

/// A file for each pipeline, twice, in batches of another size, and the second time rotated and compressed.
const SINKS: &str = "
[sinks.each.file]
path = \"FOLDER/out/{pipeline}.ndjson\"
[sinks.all.file]
path = \"FOLDER/all/{pipeline}.ndjson\"
rotate = { size = \"32KiB\", age = \"1s\", compression = \"zstd\" }
";

/// Chooses the seed of the kills and of the world, to run a failed test again.
const SEED: &str = "AUDITLINE_TEST_SEED";

fn seed() -> u64 {
    match std::env::var(SEED) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{SEED} is no number")),
        Err(_) => Utc::now().timestamp_micros().cast_unsigned(),
    }
}

/// Some history and then a stream that does not end, so that the reading lasts as long as the killing; late, throttled,
/// broken, with cursors that expire.
fn world(seed: u64) -> World {
    World {
        seed,
        records: 4_000,
        span: Duration::from_secs(6 * 3600),
        live_per_second: 12.0,
        late: Late {
            fraction: 0.2,
            delay_min: Duration::from_millis(300),
            delay_max: LATEST,
            within: Duration::from_secs(3),
            ..Late::default()
        },
        throttle: Throttle { every: 17, retry_after: RetryAfter::Fraction(0.2), ..Throttle::default() },
        flaky: Flaky { every: 23, ..Flaky::default() },
        latency: Duration::from_millis(20),
        cursor_lifetime: Some(Duration::from_secs(2)),
        voximplant: VoximplantQuirks {
            report_delay: Duration::from_millis(50),
            repeat_within: Duration::from_millis(100),
            ..VoximplantQuirks::default()
        },
        ..World::default()
    }
}

/// Every vendor, one of them in two ways. The windows are such that each has several pages of history.
fn pipelines(simulator: &Simulator) -> Vec<(Vendor, Pipeline)> {
    let windows = [
        (Vendor::Telnyx, "telnyx", "1h"),
        (Vendor::Cloudflare, "cloudflare", "3h"),
        (Vendor::Voximplant, "voximplant", "2h"),
        (Vendor::Voximplant, "reports", "30m"),
        (Vendor::Ashby, "ashby", "30m"),
        (Vendor::Nirvana, "nirvana", "1h"),
    ];
    let pipeline = |(vendor, name, window): (Vendor, &str, &str)| {
        let start = (Utc::now() - TimeDelta::hours(7)).to_rfc3339();
        let pipeline = Pipeline::of(simulator, vendor)
            .named(name)
            .set("start", &format!("\"{start}\""))
            .set("window", &format!("\"{window}\""))
            .set("lag", "\"0s\"")
            .set("overlap", &format!("\"{}s\"", OVERLAP.as_secs()))
            .set("poll", "\"100ms\"")
            .with(&format!("[[transform]]\nenrich = {{ labels = [\"{name}\"] }}\n"))
            .not_to("siem")
            .to("each", "batch = { max_records = 40, max_wait = \"1ms\" }")
            .to("all", "batch = { max_records = 150, max_wait = \"30ms\" }");
        (vendor, if name == "reports" { pipeline.set("mode", "\"report\"") } else { pipeline })
    };
    windows.into_iter().map(pipeline).collect()
}

/// splitmix64: all that is asked of it is to be the same for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    /// The life until the next kill: a third of them end while it starts, the others somewhere at work.
    fn life(&mut self) -> Duration {
        let (shortest, longest) = if self.below(3) == 0 { (0, 60) } else { (40, 700) };
        Duration::from_micros(1000 * shortest + self.below(1000 * (longest - shortest)))
    }
}

#[tokio::test]
async fn no_record_is_lost_or_repeated_however_often_it_is_killed() {
    let seed = seed();
    println!("{SEED}={seed}");
    let simulator = common::simulate(world(seed)).await;
    let pipelines = pipelines(&simulator);
    let files: Vec<Pipeline> = pipelines.iter().map(|(_, pipeline)| pipeline.clone()).collect();
    let installation = Installation::new(SINKS, &files);

    let mut random = Random(seed);
    for _ in 0..KILLS {
        let running = installation.start();
        sleep(random.life()).await;
        let ended = running.kill().await;
        assert_eq!(ended.status.code(), None, "it ended by itself: {}", ended.stderr);
    }

    // What has happened by now must arrive, however late it is published.
    let wanted: BTreeMap<Vendor, BTreeSet<String>> =
        Vendor::ALL.into_iter().map(|vendor| (vendor, expected(&simulator, vendor))).collect();
    let mut running = installation.start();
    for (vendor, pipeline) in &pipelines {
        let is_there = |installation: &Installation| {
            let arrived: BTreeSet<String> = installation.ids(&pipeline.name).into_iter().collect();
            wanted[vendor].is_subset(&arrived)
        };
        running.until(&format!("delivers all of {}", pipeline.name), |_| is_there(&installation)).await;
    }
    running.signal("TERM").await;
    let ended = running.ended().await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);

    let mut total = 0;
    for (vendor, pipeline) in &pipelines {
        let times = common::expected_times(&simulator, *vendor);
        let arrived = installation.ids(&pipeline.name);
        // What happened since then may have arrived or not; nothing else, and nothing twice.
        let since = arrived.iter().filter(|id| times.contains_key(*id));
        let possible = wanted[vendor].iter().chain(since).cloned().collect();
        expect_once(&pipeline.name, arrived.clone(), &possible);
        expect_order(&pipeline.name, &arrived, &times);
        let second = rotated(&installation.path("all"), &format!("{}.ndjson", pipeline.name));
        let second = second.iter().map(id).collect::<Vec<_>>();
        assert!(second == arrived, "{}: the two files differ: {} and {}", pipeline.name, second.len(), arrived.len());
        total += second.len();
    }
    println!("{total} records, twice");
}

/// The events of a rotated file, the oldest first.
fn rotated(folder: &Path, name: &str) -> Vec<serde_json::Value> {
    let mut files: BTreeMap<u64, PathBuf> = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let suffix = path.file_name().unwrap().to_str().unwrap().strip_prefix(name).map(str::to_owned);
        // A kill may leave a copy unfinished, or beside its original, until more is written.
        if let Some(suffix) = suffix.filter(|suffix| !suffix.ends_with(".tmp") && !suffix.ends_with(".unpacked")) {
            let number = suffix.get(1..7).map_or(u64::MAX, |number| number.parse().unwrap());
            files.insert(number, path);
        }
    }
    assert!(files.len() > 2, "{name} was not rotated");
    let read = |path: &PathBuf| {
        if path.extension().is_some_and(|extension| extension == "zst") {
            let unpacked = path.with_extension("unpacked");
            std::fs::write(&unpacked, zstd::decode_all(std::fs::File::open(path).unwrap()).unwrap()).unwrap();
            return common::events(&unpacked);
        }
        common::events(path)
    };
    files.values().flat_map(read).collect()
}

/// Records come in their time's order but for the late ones, and those are not later than they can be.
fn expect_order(what: &str, ids: &[String], times: &BTreeMap<String, DateTime<Utc>>) {
    let mut newest = DateTime::<Utc>::MIN_UTC;
    for id in ids {
        let time = times[id];
        newest = newest.max(time);
        assert!(newest - time < TimeDelta::from_std(OVERLAP).unwrap(), "{what}: {id} of {time} came after {newest}");
    }
}
