//! `auditline run` from end to end: everything the vendors have arrives once, whatever they do.

mod common;

use std::time::Duration;

use auditline::event::Clock;
use auditline::simulator::{
    AshbyQuirks, CloudflareQuirks, Flaky, Late, Quota, RetryAfter, Throttle, Vendor, VoximplantQuirks, World,
};
use chrono::{TimeDelta, Utc};
use common::{FILES, Installation, Pipeline, expect_once, expected, pipelines, simulate, world};
use serde_json::Value as Json;

/// Reads the vendors once, and finds all they have.
async fn expect_whole(world: World, vendors: &[Vendor], change: impl Fn(Pipeline) -> Pipeline) {
    let simulator = simulate(world).await;
    let pipelines: Vec<Pipeline> = pipelines(&simulator, vendors).into_iter().map(change).collect();
    let installation = Installation::new(FILES, &pipelines);
    installation.read_all().await;
    for vendor in vendors {
        installation.expect_all_of(&simulator, *vendor);
    }
}

async fn expect_whole_and_nothing_new(vendors: &[Vendor]) {
    let simulator = simulate(world(1_200)).await;
    let installation = Installation::new(FILES, &pipelines(&simulator, vendors));
    let first = installation.read_all().await;
    for vendor in vendors {
        installation.expect_all_of(&simulator, *vendor);
        assert!(first.stderr.contains(&format!("{vendor}: read 1,200, delivered 1,200 to siem")), "{}", first.stderr);
    }
    let second = installation.read_all().await;
    for vendor in vendors {
        installation.expect_all_of(&simulator, *vendor);
        assert!(second.stderr.contains(&format!("{vendor}: read 0, delivered 0 to siem")), "{}", second.stderr);
    }
}

#[tokio::test]
async fn telnyx_alone_is_read_whole_and_once() {
    expect_whole_and_nothing_new(&[Vendor::Telnyx]).await;
}

#[tokio::test]
async fn cloudflare_alone_is_read_whole_and_once() {
    expect_whole_and_nothing_new(&[Vendor::Cloudflare]).await;
}

#[tokio::test]
async fn voximplant_alone_is_read_whole_and_once() {
    expect_whole_and_nothing_new(&[Vendor::Voximplant]).await;
}

#[tokio::test]
async fn ashby_alone_is_read_whole_and_once() {
    expect_whole_and_nothing_new(&[Vendor::Ashby]).await;
}

#[tokio::test]
async fn nirvana_alone_is_read_whole_and_once() {
    expect_whole_and_nothing_new(&[Vendor::Nirvana]).await;
}

#[tokio::test]
async fn all_vendors_together_are_read_whole_and_once() {
    expect_whole_and_nothing_new(&Vendor::ALL).await;
}

#[tokio::test]
async fn what_is_published_late_is_picked_up_by_a_later_run() {
    let late = Late {
        fraction: 0.3,
        delay_min: Duration::from_secs(60),
        delay_max: Duration::from_secs(61),
        within: Duration::from_secs(1800),
        ..Late::default()
    };
    // The vendors' clock stands still, so that nothing late is published before we have looked, however long that
    // takes. It is ahead of ours by less than a token lives.
    let clock = Clock::standing_at(Utc::now() + TimeDelta::seconds(200));
    let world = World { late, span: Duration::from_secs(3600), clock: clock.clone(), ..world(400) };
    let simulator = simulate(world).await;
    let installation = Installation::new(FILES, &pipelines(&simulator, &Vendor::ALL));
    installation.read_all().await;
    let first: Vec<usize> = Vendor::ALL.map(|vendor| installation.ids(vendor.name()).len()).into();
    assert!(first.iter().all(|arrived| (200..400).contains(arrived)), "{first:?}");
    clock.set(clock.now() + late.delay_max);
    // Time is read in whole seconds: a run in the second of the last one has nothing new to ask for.
    tokio::time::sleep(Duration::from_secs(1)).await;
    installation.read_all().await;
    for vendor in Vendor::ALL {
        installation.expect_all_of(&simulator, vendor);
    }
}

#[tokio::test]
async fn a_throttle_is_waited_for_in_whatever_form_it_comes() {
    let forms = [
        RetryAfter::Seconds(0),
        RetryAfter::Seconds(1),
        RetryAfter::Fraction(0.25),
        RetryAfter::Date(1),
        RetryAfter::Absent,
    ];
    for retry_after in forms {
        let throttle = Throttle { every: 3, retry_after, ..Throttle::default() };
        let change = |pipeline: Pipeline| pipeline.set("window", "\"1d\"");
        // Cloudflare is known to block for five minutes when it says nothing, and so long it is left alone.
        let blocks = |vendor: &Vendor| *vendor == Vendor::Cloudflare && matches!(retry_after, RetryAfter::Absent);
        let vendors: Vec<Vendor> = Vendor::ALL.into_iter().filter(|vendor| !blocks(vendor)).collect();
        expect_whole(World { throttle, ..world(500) }, &vendors, change).await;
    }
}

#[tokio::test]
async fn broken_answers_lose_nothing() {
    let flaky = Flaky { every: 3, ..Flaky::default() };
    expect_whole(World { flaky, ..world(600) }, &Vendor::ALL, |pipeline| pipeline.set("window", "\"6h\"")).await;
}

#[tokio::test]
async fn cursors_that_expire_on_the_way_lose_nothing() {
    // After each throttle the cursor is dead, and Ashby's walk through the whole window never reaches its end.
    let world = World {
        cursor_lifetime: Some(Duration::from_millis(500)),
        throttle: Throttle { every: 5, ..Throttle::default() },
        ..world(900)
    };
    let vendors = [Vendor::Cloudflare, Vendor::Ashby, Vendor::Nirvana];
    let simulator = simulate(world).await;
    let pipelines: Vec<Pipeline> =
        pipelines(&simulator, &vendors).into_iter().map(|pipeline| pipeline.set("window", "\"2d\"")).collect();
    let installation = Installation::new(FILES, &pipelines);
    installation.read_all().await;
    for vendor in vendors {
        installation.expect_all_of(&simulator, vendor);
    }
    // The vendors did refuse cursors.
    let stats = simulator.stats(Vendor::Ashby);
    assert!(stats.invalid > 3, "{stats:?}");
}

#[tokio::test]
async fn every_bound_may_be_in_or_out() {
    use auditline::simulator::Bounds;
    for bounds in [Bounds::Exclusive, Bounds::HalfOpen, Bounds::Inclusive] {
        expect_whole(World { bounds, ..world(700) }, &Vendor::ALL, |pipeline| pipeline.set("window", "\"3h\"")).await;
    }
}

#[tokio::test]
async fn voximplant_is_read_by_reports() {
    let quirks = VoximplantQuirks { report_polls: 1, report_delay: Duration::ZERO, ..VoximplantQuirks::default() };
    for mode in ["\"report\"", "\"auto\""] {
        let change = |pipeline: Pipeline| pipeline.set("mode", mode).set("window", "\"4d\"");
        expect_whole(World { voximplant: quirks, ..world(1_500) }, &[Vendor::Voximplant], change).await;
    }
}

#[tokio::test]
async fn a_window_that_voximplant_finds_too_long_is_split() {
    let quirks = VoximplantQuirks { max_range: Some(Duration::from_secs(5 * 3600)), ..VoximplantQuirks::default() };
    let change = |pipeline: Pipeline| pipeline.set("window", "\"2d\"");
    expect_whole(World { voximplant: quirks, ..world(1_500) }, &[Vendor::Voximplant], change).await;
}

#[tokio::test]
async fn cloudflares_cursor_may_stand_where_its_sdk_looks() {
    for cursor_on_last_page in [true, false] {
        let quirks = CloudflareQuirks { cursor_on_last_page, cursor_under_cursors: true, placeholder_error: true };
        let change = |pipeline: Pipeline| pipeline.set("window", "\"7d\"");
        expect_whole(World { cloudflare: quirks, ..world(2_500) }, &[Vendor::Cloudflare], change).await;
    }
}

#[tokio::test]
async fn ashbys_empty_pages_do_not_end_a_walk() {
    for empty_pages in [true, false] {
        let change = |pipeline: Pipeline| pipeline.set("window", "\"7d\"");
        expect_whole(World { ashby: AshbyQuirks { empty_pages }, ..world(1_500) }, &[Vendor::Ashby], change).await;
    }
}

#[tokio::test]
async fn no_throttle_is_earned_at_the_published_rate() {
    // Cloudflare's 1200 requests in five minutes, in small. What a busy machine takes for the way there is not small, so the
    // vendor lets a few more pass.
    let quota = Quota { requests: 12 + 3, period: Duration::from_secs(3) };
    let simulator = simulate(World { quota: Some(quota), ..world(500) }).await;
    let published = auditline::connector::Connector::embedded("cloudflare").unwrap().definition.limits.rate;
    assert_eq!(published.per.as_secs_f64() / f64::from(published.requests), 3.0 / 12.0);
    let pipeline = Pipeline::of(&simulator, Vendor::Cloudflare)
        .set("rate", &format!("\"{}/{}s\"", published.requests, published.per.as_secs()))
        .set("window", "\"90m\"");
    let installation = Installation::new(FILES, &[pipeline]);
    installation.read_all().await;
    installation.expect_all_of(&simulator, Vendor::Cloudflare);
    let stats = simulator.stats(Vendor::Cloudflare);
    assert_eq!((stats.earned, stats.throttled), (0, 0), "{stats:?}");
    assert!(stats.requests > 3 * 12, "{stats:?}");
}

#[tokio::test]
async fn filters_reach_the_vendor() {
    let simulator = simulate(world(1_000)).await;
    let vendors = [Vendor::Nirvana, Vendor::Cloudflare];
    let unfiltered = Installation::new(FILES, &pipelines(&simulator, &vendors));
    unfiltered.read_all().await;
    let filtered = [
        Pipeline::of(&simulator, Vendor::Nirvana).set("filters", "{ method = \"DELETE\" }"),
        Pipeline::of(&simulator, Vendor::Cloudflare)
            .set("filters", "{ actor_type = { not = [\"system\", \"user\"] } }"),
    ];
    let filtered = Installation::new(FILES, &filtered);
    filtered.read_all().await;

    let is_meant: [fn(&Json) -> bool; 2] = [
        |event| event["http_request"]["http_method"] == "DELETE",
        |event| !["System", "User"].contains(&event["actor"]["user"]["type"].as_str().unwrap_or_default()),
    ];
    for (vendor, is_meant) in vendors.iter().zip(is_meant) {
        let events = unfiltered.delivered(vendor.name());
        let meant = events.iter().filter(|event| is_meant(event)).map(common::id).collect();
        expect_once(vendor.name(), filtered.ids(vendor.name()), &meant);
        assert!((1..events.len()).contains(&meant.len()), "{vendor}: {} of {}", meant.len(), events.len());
    }
}

#[tokio::test]
async fn a_refused_credential_is_told_and_holds_nobody_else_up() {
    const WRONG: &str = "wrong-1f0c9d7e-and-still-nobody-elses-business";
    let cases = [
        (Vendor::Telnyx, "TELNYX_API_KEY", "Telnyx", "HTTP 401"),
        (Vendor::Cloudflare, "CLOUDFLARE_API_TOKEN", "Cloudflare", "HTTP 401"),
        (Vendor::Ashby, "ASHBY_API_KEY", "Ashby", "HTTP 403"),
        (Vendor::Nirvana, "NIRVANA_API_KEY", "Nirvana Labs", "HTTP 401"),
    ];
    for (wrong, variable, name, said) in cases {
        let simulator = simulate(world(200)).await;
        let installation = Installation::new(FILES, &pipelines(&simulator, &Vendor::ALL)).with_secret(variable, WRONG);
        let ended = installation.run_once().await;
        assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
        let told = ended.stderr.split_once(&format!("\nerror: {wrong}: ")).map(|(_, told)| told);
        let (sentence, rest) =
            told.and_then(|told| told.split_once('\n')).unwrap_or_else(|| panic!("{}", ended.stderr));
        assert!(sentence.contains(name) && sentence.contains(said), "{sentence}");
        assert!(rest.starts_with("\nhint: "), "{rest}");
        for secret in installation.secrets() {
            assert!(!ended.stderr.contains(secret), "{}", ended.stderr);
        }
        for vendor in Vendor::ALL.into_iter().filter(|vendor| *vendor != wrong) {
            installation.expect_all_of(&simulator, vendor);
        }
        assert_eq!(installation.ids(wrong.name()), [""; 0]);
    }
}

#[tokio::test]
async fn two_processes_never_share_a_journal() {
    let simulator = simulate(world(100)).await;
    let installation = Installation::new(FILES, &pipelines(&simulator, &[Vendor::Telnyx]));
    let mut first = installation.start();
    first.says("started").await;
    let second = installation.run_once().await;
    assert_eq!(second.status.code(), Some(1), "{}", second.stderr);
    let expected = format!(
        "error: the journal `{}` is in use by another auditline\n",
        installation.path("state/journal.sqlite").display()
    );
    assert!(second.stderr.ends_with(&expected), "{}", second.stderr);
    first.signal("TERM").await;
    assert_eq!(first.ended().await.status.code(), Some(0));
    installation.read_all().await;
    installation.expect_all_of(&simulator, Vendor::Telnyx);
}

#[tokio::test]
async fn a_signal_ends_it_in_good_order_and_the_rest_is_kept() {
    for signal in ["TERM", "INT"] {
        // Slow enough to be in the middle of it when the signal comes.
        let simulator = simulate(World { latency: Duration::from_millis(50), ..world(3_000) }).await;
        let slow = |pipeline: Pipeline| pipeline.set("rate", "\"10/1s\"").set("window", "\"1h\"");
        let pipelines: Vec<Pipeline> = pipelines(&simulator, &Vendor::ALL).into_iter().map(slow).collect();
        let installation = Installation::new(FILES, &pipelines);
        let mut running = installation.start();
        running
            .until("delivers", |_| Vendor::ALL.iter().all(|vendor| !installation.ids(vendor.name()).is_empty()))
            .await;
        running.signal(signal).await;
        let ended = running.ended().await;
        assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
        assert!(!ended.stderr.contains("the grace period was over"), "{}", ended.stderr);
        let arrived: usize = Vendor::ALL.iter().map(|vendor| installation.ids(vendor.name()).len()).sum();
        assert!(arrived < 5 * 3_000, "nothing was left to stop");

        pipelines.into_iter().for_each(|pipeline| installation.write(&pipeline.set("rate", "\"1000/1s\"")));
        installation.read_all().await;
        for vendor in Vendor::ALL {
            expect_once(vendor.name(), installation.ids(vendor.name()), &expected(&simulator, vendor));
        }
    }
}
