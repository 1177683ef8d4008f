//! The verbs that ask and tell: `plan`, `preview`, `explain`, `backfill`, `state`, on the real binary.

mod common;

use std::time::Duration;

use auditline::simulator::{NirvanaQuirks, Simulator, Vendor, World};
use chrono::{DateTime, DurationRound, SecondsFormat, TimeDelta, Utc};
use common::{FILES, Installation, Pipeline, expect_once, expected, expected_times, pipelines, simulate, world};
use serde_json::Value as Json;

fn written(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// The number before ` calls,` or ` call,` in what `plan` prints.
fn planned_calls(text: &str) -> u64 {
    let line = text
        .lines()
        .find(|line| line.contains(" calls, ") || line.contains(" call, "))
        .unwrap_or_else(|| panic!("no calls in {text}"));
    line.split(' ').next().unwrap().replace(',', "").parse().unwrap()
}

/// The number before ` windows` in what `plan` prints.
fn planned_windows(text: &str) -> u64 {
    let (before, _) = text.split_once(" windows").unwrap_or_else(|| panic!("no windows in {text}"));
    before.rsplit(' ').next().unwrap().replace(',', "").parse().unwrap()
}

#[tokio::test]
async fn the_plan_is_what_the_vendor_counts() {
    let simulator = simulate(world(1_500)).await;
    let window = |pipeline: Pipeline| pipeline.set("window", "\"6h\"").set("overlap", "\"1s\"");
    let installation =
        Installation::new(FILES, &pipelines(&simulator, &Vendor::ALL).into_iter().map(window).collect::<Vec<_>>());
    let mut plans = Vec::new();
    for vendor in Vendor::ALL {
        let plan = installation.ask(&["plan", vendor.name()]).await;
        assert_eq!((plan.code, plan.stderr.as_str()), (0, ""), "{vendor}");
        plans.push((vendor, plan.stdout));
        assert_eq!(simulator.stats(vendor).requests, 0, "{vendor} was asked");
    }
    installation.read_all().await;
    for (vendor, plan) in plans {
        installation.expect_all_of(&simulator, vendor);
        let (windows, planned) = (planned_windows(&plan), planned_calls(&plan));
        let counted = simulator.stats(vendor).requests;
        assert!(planned.abs_diff(counted) <= windows, "{vendor}: planned {planned}, counted {counted}\n{plan}");
    }
    let nothing = installation.ask(&["plan", "telnyx"]).await;
    assert!(
        nothing.stdout.contains("nothing to ask for yet") || planned_calls(&nothing.stdout) <= 1,
        "{}",
        nothing.stdout
    );
}

#[tokio::test]
async fn a_preview_shows_events_and_stores_nothing() {
    let simulator = simulate(world(600)).await;
    let redact = "[[transform]]\nredact = { emails = \"mask\", ips = \"mask\" }\n";
    let installation = Installation::new(FILES, &[Pipeline::of(&simulator, Vendor::Ashby).with(redact)]);
    let preview = installation.ask(&["preview", "ashby", "--since=-40h", "--limit", "3"]).await;
    assert_eq!(preview.code, 0, "{}", preview.stderr);
    let events: Vec<Json> = preview.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events.len(), 3);
    assert!(events.iter().all(|event| event["metadata"]["log_name"] == "ashby"));
    assert!(!preview.stdout.contains("@example.com"), "{}", preview.stdout);
    assert!(!installation.path("state").exists() && !installation.path("out").exists());

    let unknown = installation.ask(&["preview", "asby"]).await;
    assert_eq!((unknown.code, unknown.stdout.as_str()), (2, ""));
    assert_eq!(unknown.stderr, "error: there is no pipeline `asby`\n\nhint: did you mean `ashby`?\n");
}

#[tokio::test]
async fn explain_says_whether_everything_is_there() {
    let simulator = simulate(world(600)).await;
    let installation = Installation::new(FILES, &[Pipeline::of(&simulator, Vendor::Telnyx)]);
    let before = installation.ask(&["explain", "--up-to=-1h"]).await;
    assert_eq!((before.code, before.stdout.as_str()), (1, "nothing was read yet\n"));

    installation.read_all().await;
    let yes = installation.ask(&["explain", "telnyx", "--up-to=-1m"]).await;
    assert_eq!(yes.code, 0, "{}", yes.stdout);
    assert!(yes.stdout.contains(", all of it in siem; begun at "), "{}", yes.stdout);
    assert!(yes.stdout.contains("\nyes: everything is there that the vendors had published of the time before "));
    let no = installation.ask(&["explain", "telnyx", "--up-to", "2100-01-01"]).await;
    assert_eq!(no.code, 1);
    assert!(
        no.stdout.ends_with("no: not everything is there that happened before 2100-01-01 00:00:00 UTC\n"),
        "{}",
        no.stdout
    );
}

#[tokio::test]
async fn explain_asks_the_running_process_and_names_what_is_stuck() {
    let simulator = simulate(world(300)).await;
    let blocked = Pipeline::of(&simulator, Vendor::Telnyx)
        .named("blocked")
        .set("credential_expires", "\"2100-01-31\"")
        .to("wall", "batch = { max_wait = \"50ms\" }");
    // A folder stands where the file should be.
    let main = format!("{FILES}\n[sinks.wall.file]\npath = \"FOLDER/wall.ndjson\"\n");
    let installation = Installation::new(&main, &[blocked]);
    std::fs::create_dir(installation.path("wall.ndjson")).unwrap();
    let mut running = installation.start();
    running.until("delivers to the other sink", |_| installation.ids("blocked").len() == 300).await;
    running.says("until this is mended").await;
    let explained = installation.ask(&["explain"]).await;
    assert_eq!(explained.code, 0, "{}", explained.stderr);
    for expected in [
        "caught up: looks again within 1s",
        "to siem         everything is delivered",
        "300 records wait since",
        "budget",
        "credential      ends at 2100-01-31 00:00:00 UTC (in ",
    ] {
        assert!(explained.stdout.contains(expected), "no `{expected}` in {}", explained.stdout);
    }
    let asked = installation.ask(&["explain", "blocked", "--up-to=-1m"]).await;
    assert_eq!(asked.code, 1, "{}", asked.stdout);
    let waiting = installation.ask(&["state", "show"]).await;
    assert!(waiting.stdout.lines().any(|line| line.contains("wall") && line.contains("300")), "{}", waiting.stdout);
    running.signal("TERM").await;
    running.ended().await;
}

/// A vendor with four days of records, of which the pipeline reads the last two.
async fn half_read() -> (Simulator, Installation, DateTime<Utc>) {
    let world = World { span: Duration::from_secs(96 * 3600), ..world(1_600) };
    let simulator = simulate(world).await;
    // Some hours before its ids are forgotten, however long it takes until that is asked for.
    let begin = (Utc::now() - TimeDelta::hours(48)).duration_trunc(TimeDelta::seconds(1)).unwrap();
    let installation = Installation::new(FILES, &[newer_half(&simulator, begin)]);
    (simulator, installation, begin)
}

fn newer_half(simulator: &Simulator, begin: DateTime<Utc>) -> Pipeline {
    Pipeline::of(simulator, Vendor::Cloudflare).set("start", &format!("\"{}\"", written(begin)))
}

fn older_half(until: DateTime<Utc>) -> [String; 5] {
    let since = until - TimeDelta::hours(50);
    let span = ["--since".to_owned(), written(since), "--until".to_owned(), written(until)];
    let [since, from, until, to] = span;
    ["cloudflare".to_owned(), since, from, until, to]
}

async fn backfill(installation: &Installation, arguments: &[String], more: &[&str]) -> common::Asked {
    let arguments = arguments.iter().map(String::as_str);
    let all: Vec<&str> = ["backfill"].into_iter().chain(arguments).chain(more.iter().copied()).collect();
    installation.ask(&all).await
}

#[tokio::test]
async fn a_backfill_without_a_running_process_reads_what_was_not_and_only_once() {
    let (simulator, installation, begin) = half_read().await;
    installation.read_all().await;
    let recent = installation.ids("cloudflare").len();
    assert!((700..900).contains(&recent), "{recent}");
    let span = older_half(begin);
    let done = backfill(&installation, &span, &[]).await;
    assert_eq!(done.code, 0, "{}", done.stderr);
    installation.expect_all_of(&simulator, Vendor::Cloudflare);

    let again = backfill(&installation, &span, &[]).await;
    assert_eq!(again.code, 1);
    assert!(
        again
            .stderr
            .contains("error: this span was read by an earlier backfill\n\nhint: `--again` reads it all the same"),
        "{}",
        again.stderr
    );
    // It was read just now, so it is still known.
    let forced = backfill(&installation, &span, &["--again"]).await;
    assert_eq!(forced.code, 0, "{}", forced.stderr);
    installation.expect_all_of(&simulator, Vendor::Cloudflare);
}

#[tokio::test]
async fn a_backfill_beside_a_running_process_is_read_by_it_and_survives_a_kill() {
    let (simulator, installation, begin) = half_read().await;
    let slowly = newer_half(&simulator, begin).set("window", "\"2h\"").set("rate", "\"10/1s\"");
    installation.write(&slowly);
    let mut running = installation.start();
    let wanted = expected(&simulator, Vendor::Cloudflare);
    let recent = expected_times(&simulator, Vendor::Cloudflare).into_values().filter(|time| *time >= begin).count();
    running.until("reads the newer half", |_| installation.ids("cloudflare").len() >= recent).await;
    let span = older_half(begin);
    let (asked, _) = tokio::join!(backfill(&installation, &span, &[]), async {
        running.until("began the backfill", |_| installation.ids("cloudflare").len() > recent + 50).await;
        running.signal("KILL").await;
    });
    assert_eq!(asked.code, 1, "the one who asked is told that nobody answers any more: {}", asked.stderr);
    let mut running = installation.start();
    running.until("goes on with the backfill", |_| installation.ids("cloudflare").len() >= wanted.len()).await;
    // Once more, by the same process: it does read, and what it finds is known.
    let before = simulator.stats(Vendor::Cloudflare).requests;
    let again = backfill(&installation, &span, &["--again"]).await;
    assert_eq!(again.code, 0, "{}", again.stderr);
    assert!(simulator.stats(Vendor::Cloudflare).requests >= before + 25, "the span was not read again");
    running.signal("TERM").await;
    running.ended().await;
    expect_once("cloudflare", installation.ids("cloudflare"), &wanted);
}

#[tokio::test]
async fn a_backfill_that_would_deliver_twice_is_refused() {
    let (_simulator, installation, _) = half_read().await;
    installation.read_all().await;
    let span = [
        "cloudflare".to_owned(),
        "--since".to_owned(),
        written(Utc::now() - TimeDelta::hours(99)),
        "--until".to_owned(),
        written(Utc::now() - TimeDelta::hours(1)),
    ];
    // All of it is still known: the sweep may yet reach there.
    let known = backfill(&installation, &span, &[]).await;
    assert_eq!(known.code, 0, "{}", known.stderr);
    let backwards = ["cloudflare", "--since=-1h", "--until=-2h"].map(str::to_owned);
    let refused = backfill(&installation, &backwards, &[]).await;
    assert_eq!((refused.code, refused.stderr.as_str()), (1, "error: `--since` has to lie before `--until`\n"));
    let future = ["cloudflare", "--since=-1h", "--until", "2100-01-01"].map(str::to_owned);
    assert!(backfill(&installation, &future, &[]).await.stderr.starts_with("error: `--until` is too close to now"));
}

#[tokio::test]
async fn the_state_is_shown_reset_and_taken_elsewhere() {
    // Each of the two installations would find that the other has read.
    let nirvana = NirvanaQuirks { log_own_reads: false };
    let simulator = simulate(World { nirvana, ..world(300) }).await;
    let pipeline = Pipeline::of(&simulator, Vendor::Nirvana);
    let installation = Installation::new(FILES, std::slice::from_ref(&pipeline));
    let missing = installation.ask(&["state", "export"]).await;
    assert!(missing.code == 1 && missing.stderr.contains("there is no journal in"), "{}", missing.stderr);
    installation.read_all().await;
    let shown = installation.ask(&["state", "show", "nirvana"]).await;
    assert!(shown.stdout.lines().any(|line| line.starts_with("nirvana") && line.contains("live")), "{}", shown.stdout);

    // Nothing is read again elsewhere but the overlap.
    let exported = installation.ask(&["state", "export"]).await;
    let other = Installation::new(FILES, std::slice::from_ref(&pipeline));
    std::fs::write(other.path("exported.json"), &exported.stdout).unwrap();
    let file = other.path("exported.json").display().to_string();
    let imported = other.ask(&["state", "import", &file]).await;
    assert_eq!((imported.code, imported.stderr.as_str()), (0, "nirvana: taken over\n"));
    other.read_all().await;
    assert!(other.ids("nirvana").len() < 30, "{}", other.ids("nirvana").len());
    let twice = other.ask(&["state", "import", &file]).await;
    assert!(twice.stderr.starts_with("nirvana: left as it is"), "{}", twice.stderr);

    // What is still known is not delivered again after a reset.
    let reset = installation.ask(&["state", "reset", "nirvana", "--to=-2d"]).await;
    assert_eq!(reset.code, 0, "{}", reset.stderr);
    installation.read_all().await;
    installation.expect_all_of(&simulator, Vendor::Nirvana);
}
