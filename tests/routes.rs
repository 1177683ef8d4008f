//! Steps that choose, on the real binary: each record reaches the sinks it goes to and no other, once, and what is dropped
//! is counted, whatever happens to the process.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use auditline::simulator::{Simulator, Vendor, World};
use common::{Installation, Pipeline, events, expect_once, simulate, world};
use serde_json::Value as Json;

const SINKS: &str = "
[sinks.siem.file]
path = \"FOLDER/out/{pipeline}.ndjson\"
[sinks.archive.file]
path = \"FOLDER/archive/{pipeline}.ndjson\"
";

/// The first step sees the vendor's record, the others what is made of it.
const STEPS: &str = r#"
[[transform]]
filter = { drop = { change_type = "reveal", change_made_by = ["telnyx", "*_bot"] }, reason = "robots" }

[[transform]]
normalize = "none"

[[transform]]
sample = { keep = "25%", match = { "record.change_type" = "update" } }

[[transform]]
dedupe = { by = ["record.user_id", "record.change_type"], within = "6h", match = { "record.change_type" = "create" } }

[[transform]]
[transform.route]
otherwise = ["archive"]

[[transform.route.rules]]
match = { "record.change_type" = "delete" }
to = ["siem", "archive"]

[[transform.route.rules]]
match = { "record.change_type" = { not = "update" } }
to = ["siem"]
"#;

/// Telnyx twice: as it is, and with a choice made.
fn install(simulator: &Simulator) -> Installation {
    let of = |name: &str| Pipeline::of(simulator, Vendor::Telnyx).named(name).set("window", "\"3h\"");
    let plain = of("plain").with("[[transform]]\nnormalize = \"none\"\n");
    let chosen = of("chosen").with(STEPS).to("archive", "batch = { max_records = 7, max_wait = \"50ms\" }");
    Installation::new(SINKS, &[plain, chosen])
}

fn id(event: &Json) -> String {
    event["id"].as_str().unwrap().to_owned()
}

/// Holds what arrived against what the vendor has; returns what has to be counted as dropped.
fn expect_the_choice(installation: &Installation) -> BTreeMap<&'static str, usize> {
    let siem: Vec<String> = installation.delivered("chosen").iter().map(id).collect();
    let archive: Vec<String> = events(&installation.path("archive/chosen.ndjson")).iter().map(id).collect();
    let (mut for_siem, mut for_archive) = (BTreeSet::new(), BTreeSet::new());
    let mut creations: BTreeMap<(String, i64), Vec<String>> = BTreeMap::new();
    let mut dropped = BTreeMap::from([("robots", 0), ("sample", 0), ("dedupe", 0)]);
    let all = installation.delivered("plain");
    for event in &all {
        let (id, record) = (id(event), &event["record"]);
        let by = record["change_made_by"].as_str().unwrap();
        match record["change_type"].as_str().unwrap() {
            "delete" => {
                for_archive.insert(id.clone());
                for_siem.insert(id);
            }
            "reveal" if by == "telnyx" || by.ends_with("_bot") => *dropped.get_mut("robots").unwrap() += 1,
            "create" => {
                let time: chrono::DateTime<chrono::Utc> = event["time"].as_str().unwrap().parse().unwrap();
                let span = time.timestamp().div_euclid(6 * 3600);
                creations.entry((record["user_id"].to_string(), span)).or_default().push(id);
            }
            "update" if archive.contains(&id) => drop(for_archive.insert(id)),
            "update" => *dropped.get_mut("sample").unwrap() += 1,
            _ => drop(for_siem.insert(id)),
        }
    }
    for twins in creations.values() {
        let arrived: Vec<_> = twins.iter().filter(|id| siem.contains(id)).collect();
        assert_eq!(arrived.len(), 1, "of {twins:?}");
        for_siem.insert(arrived[0].clone());
        *dropped.get_mut("dedupe").unwrap() += twins.len() - 1;
    }
    let updates = all.iter().filter(|event| event["record"]["change_type"] == "update").count();
    let share = (updates - dropped["sample"]) * 100 / updates;
    assert!((15..35).contains(&share), "{share}% of {updates}");
    assert!(dropped.values().all(|count| *count > 20), "{dropped:?}");
    expect_once("siem", siem, &for_siem);
    expect_once("archive", archive, &for_archive);
    dropped
}

async fn expect_the_counts(installation: &Installation, dropped: &BTreeMap<&str, usize>) {
    let total: usize = dropped.values().sum();
    let mut counts: Vec<_> = dropped.iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let parts: Vec<String> = counts.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    let explained = installation.ask(&["explain", "chosen"]).await;
    let expected = format!("  dropped         {total}: {}\n", parts.join(", "));
    assert!(explained.stdout.contains(&expected), "no `{expected}` in {}", explained.stdout);
    // What is dropped is read.
    let whole = installation.ask(&["explain", "chosen", "--up-to=-1m"]).await;
    assert_eq!(whole.code, 0, "{}", whole.stdout);
}

#[tokio::test]
async fn each_record_reaches_its_sinks_and_what_is_dropped_is_counted() {
    let simulator = simulate(world(900)).await;
    let installation = install(&simulator);
    let first = installation.read_all().await;
    assert_eq!(installation.delivered("plain").len(), 900);
    let dropped = expect_the_choice(&installation);
    let kept = 900 - dropped.values().sum::<usize>();
    assert!(first.stderr.contains(&format!("chosen: read {kept}, delivered ")), "{}", first.stderr);
    expect_the_counts(&installation, &dropped).await;

    let second = installation.read_all().await;
    assert!(second.stderr.contains("chosen: read 0, delivered 0 to "), "{}", second.stderr);
    assert_eq!(expect_the_choice(&installation), dropped);
    expect_the_counts(&installation, &dropped).await;
}

#[tokio::test]
async fn a_choice_outlives_kills() {
    let simulator = simulate(World { latency: Duration::from_millis(30), ..world(900) }).await;
    let installation = install(&simulator);
    let arrived = || installation.delivered("chosen").len() + events(&installation.path("archive/chosen.ndjson")).len();
    for _ in 0..5 {
        let before = arrived();
        let mut running = installation.start();
        running
            .until("delivers more, or has all", |_| arrived() > before || installation.delivered("plain").len() == 900)
            .await;
        running.kill().await;
    }
    installation.read_all().await;
    let dropped = expect_the_choice(&installation);
    expect_the_counts(&installation, &dropped).await;
}

#[tokio::test]
async fn what_was_dropped_is_delivered_by_a_backfill_that_wants_it() {
    let simulator = simulate(world(300)).await;
    let telnyx = || Pipeline::of(&simulator, Vendor::Telnyx);
    // Without a `normalize` of its own, a step sees the OCSF event.
    let filter = "[[transform]]\nfilter = { keep = { activity_name = \"Delete\" } }\n";
    let installation = Installation::new(common::FILES, &[telnyx().with(filter)]);
    installation.read_all().await;
    let before = installation.ids("telnyx").len();
    assert!((10..200).contains(&before), "{before}");
    let counted = format!("  dropped         {0}: {0} filter\n", 300 - before);
    assert!(installation.ask(&["explain", "telnyx"]).await.stdout.contains(&counted));

    installation.write(&telnyx());
    let filled = installation.ask(&["backfill", "telnyx", "--since=-50h", "--until=-1m"]).await;
    assert_eq!(filled.code, 0, "{}", filled.stderr);
    installation.expect_all_of(&simulator, Vendor::Telnyx);
}

#[tokio::test]
async fn the_example_parts_its_archive_once() {
    let installation = Installation::of_example("routes");
    let run = async || {
        let ended = installation.read_all().await;
        let count = |sink| events(&installation.path(sink).join("cloudflare.ndjson")).len();
        (count("siem"), count("archived"), ended.stderr)
    };
    // Eight reads are thinned. The rest is one creation, one update, two deletions, a failure and a logout.
    let (siem, archived, first) = run().await;
    let reads = archived - 4;
    assert!(siem == 5 && (1..8).contains(&reads), "{siem} and {archived}: {first}");
    let sampled = 8 - reads;
    assert!(first.contains(&format!("cloudflare: read {}, delivered ", 6 + reads)), "{first}");
    let total = 4 + sampled;
    assert!(first.contains(&format!(", dropped {total} (")) && first.contains("2 probes"), "{first}");
    let (siem_again, archived_again, second) = run().await;
    assert_eq!((siem_again, archived_again), (siem, archived));
    assert!(second.contains("cloudflare: read 0, delivered ") && !second.contains("dropped"), "{second}");
}
