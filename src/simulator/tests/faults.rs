//! The gate: quotas, throttles, broken answers, late and live records, stopping.

use std::time::Duration;

use super::*;
use crate::event::Clock;
use crate::simulator::{Fault, Flaky, Late, Quota, RetryAfter, Throttle};

async fn telnyx(simulator: &Simulator) -> Reply {
    get(simulator, Vendor::Telnyx, "/audit_events", credentials::TELNYX_API_KEY, &[]).await
}

#[tokio::test]
async fn an_exceeded_quota_is_earned_and_told_in_headers() {
    let quota = Some(Quota { requests: 3, period: Duration::from_secs(3_600) });
    let simulator = start(World { quota, ..world(10) }).await;
    for left in ["2", "1", "0"] {
        let reply = telnyx(&simulator).await;
        assert_eq!((reply.status, reply.header("x-ratelimit-remaining")), (200, left));
    }
    let reply = telnyx(&simulator).await;
    let wait: u64 = reply.header("retry-after").parse().expect("whole seconds");
    assert!(reply.status == 429 && (1..=3_600).contains(&wait), "{} {wait}", reply.status);
    assert_eq!(reply.json()["errors"][0]["code"], "10011");
    let stats = simulator.stats(Vendor::Telnyx);
    assert_eq!((stats.requests, stats.earned, stats.throttled), (4, 1, 0));

    let path = format!("/accounts/{}/logs/audit", credentials::CLOUDFLARE_ACCOUNT_ID);
    let params = [("since", "2026-01-01"), ("before", "2026-03-02")];
    let reply = get(&simulator, Vendor::Cloudflare, &path, credentials::CLOUDFLARE_API_TOKEN, &params).await;
    assert!(reply.header("ratelimit").starts_with("\"default\";r=2;t="));
    assert_eq!(reply.header("ratelimit-policy"), "\"default\";q=3;w=3600");
}

#[tokio::test]
async fn a_throttle_answers_in_each_vendors_form() {
    let throttle = Throttle { every: 1, probability: 0.0, retry_after: RetryAfter::Fraction(0.25) };
    let simulator = start(World { throttle, ..world(10) }).await;
    for vendor in Vendor::ALL {
        let reply = send(client().get(format!("{}/anything", simulator.base_url(vendor)))).await;
        assert_eq!((reply.status, reply.header("retry-after")), (429, "0.250"), "{vendor}");
        let json = reply.json();
        let told = match vendor {
            Vendor::Telnyx => &json["errors"][0]["detail"],
            Vendor::Cloudflare => &json["errors"][0]["message"],
            Vendor::Voximplant => &json["error"]["msg"],
            Vendor::Ashby => &json["errorInfo"]["message"],
            Vendor::Nirvana => &json["message"],
        };
        assert!(told.is_string(), "{json}");
        assert_eq!((simulator.stats(vendor).throttled, simulator.stats(vendor).earned), (1, 0));
    }
    // Voximplant's other form.
    let reply = send(client().get(format!("{}/anything", simulator.base_url(Vendor::Voximplant)))).await;
    assert_eq!((reply.status, reply.json()["error"]["code"].as_i64()), (200, Some(416)));
}

#[tokio::test]
async fn flaky_answers_take_turns() {
    let flaky = Flaky { every: 1, ..Flaky::default() };
    let simulator = start(World { flaky, ..world(10) }).await;
    let first = telnyx(&simulator).await;
    assert_eq!((first.status, first.json()["errors"][0]["code"].as_str()), (500, Some("10007")));
    let second = telnyx(&simulator).await;
    assert!(second.status == 502 && second.text.starts_with("<!DOCTYPE html>"));
    let url = format!("{}/audit_events", simulator.base_url(Vendor::Telnyx));
    let request = client().get(url).header("authorization", format!("Bearer {}", credentials::TELNYX_API_KEY));
    let third = request.send().await.expect("a head");
    assert_eq!(third.status(), 200);
    third.bytes().await.expect_err("the body must be cut");
    let stats = simulator.stats(Vendor::Telnyx);
    assert_eq!((stats.faults, stats.records), (3, 0));
}

#[tokio::test]
async fn a_cut_answer_has_had_its_effect() {
    let flaky = Flaky { every: 2, faults: vec![Fault::CutBody] };
    let simulator = start(World { flaky, ..world(10) }).await;
    let url = format!("{}/v1/audit_logs", simulator.base_url(Vendor::Nirvana));
    let request = client().get(url).header("authorization", format!("Bearer {}", credentials::NIRVANA_API_KEY));
    let answer = request.send().await.expect("a head");
    answer.bytes().await.expect_err("the body must be cut");
    assert_eq!(simulator.own_reads(), 1);
}

#[tokio::test]
async fn late_and_live_records_are_expected_and_come() {
    let late = Late {
        fraction: 0.5,
        delay_min: Duration::from_millis(1),
        delay_max: Duration::from_millis(50),
        within: Duration::from_secs(600),
        ..Late::default()
    };
    let world = World { records: 600, span: Duration::from_secs(600), late, live_per_second: 50.0, ..World::default() };
    let simulator = start(world).await;
    let read = async || {
        let (mut seen, mut page) = (BTreeSet::new(), 1);
        loop {
            let number = page.to_string();
            let params = [("sort", "asc"), ("page[size]", "250"), ("page[number]", &number)];
            let reply = get(&simulator, Vendor::Telnyx, "/audit_events", credentials::TELNYX_API_KEY, &params).await;
            let found = ids(&reply, "data", "id");
            if found.is_empty() {
                return seen;
            }
            seen.extend(found);
            page += 1;
        }
    };
    let historic: BTreeSet<_> =
        simulator.expected_ids(Vendor::Telnyx, Utc::now()).map(|item| item.id).take(600).collect();
    // That they come at all is what is tested; the limit only ends a hopeless wait.
    let all_came = async {
        loop {
            let seen = read().await;
            if historic.is_subset(&seen) && seen.len() > 600 {
                break;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(120), all_came).await.expect("late and live records come");
}

#[tokio::test]
async fn a_standing_clock_decides_what_there_is() {
    let clock = Clock::standing_at(instant("2026-03-01T00:00:00Z"));
    let simulator = start(World { clock: clock.clone(), live_per_second: 0.01, ..world(10) }).await;
    let total = async || telnyx(&simulator).await.json()["meta"]["total_results"].as_u64().expect("a number");
    assert!((10..=11).contains(&total().await));
    clock.set(instant("2026-03-01T10:00:00Z"));
    assert!((369..=371).contains(&total().await));
    assert_eq!(telnyx(&simulator).await.header("date"), "Sun, 01 Mar 2026 10:00:00 GMT");
    assert_eq!(all_ids(&simulator, Vendor::Telnyx).len() as u64, total().await);
}

#[tokio::test]
async fn requests_move_a_standing_clock_on() {
    let clock = Clock::standing_at(instant("2026-03-01T00:00:00Z"));
    let simulator = start(World { clock: clock.clone(), pace: Duration::from_secs(10), ..world(10) }).await;
    for _ in 0..20 {
        telnyx(&simulator).await;
    }
    let passed = (clock.now() - instant("2026-03-01T00:00:00Z")).num_seconds();
    assert!((20..=200).contains(&passed), "{passed}");
}

#[tokio::test]
async fn a_lost_answer_has_had_its_effect_and_never_comes() {
    let simulator = start(world(10)).await;
    simulator.lose_answer(Vendor::Nirvana, 2);
    let read = || get(&simulator, Vendor::Nirvana, "/v1/audit_logs", credentials::NIRVANA_API_KEY, &[]);
    assert_eq!(read().await.status, 200);
    tokio::select! {
        _ = read() => panic!("it came"),
        () = simulator.answer_lost(Vendor::Nirvana) => {}
    }
    assert_eq!(simulator.own_reads(), 2);
    assert_eq!(read().await.status, 200);
}

#[tokio::test]
async fn the_same_seed_makes_the_same_world_on_the_same_port() {
    let simulator = start(world(50)).await;
    let address = simulator.address();
    let before = telnyx(&simulator).await.text;
    simulator.stop().await;
    let again = Simulator::start_at(world(50), address).await.expect("the port is free again");
    assert_eq!(telnyx(&again).await.text, before);
    let other = start(World { seed: 2, ..world(50) }).await;
    assert!(all_ids(&other, Vendor::Ashby).is_disjoint(&all_ids(&again, Vendor::Ashby)));
}

#[tokio::test]
async fn a_million_records_are_a_matter_of_arithmetic() {
    let simulator = start(world(1_000_000)).await;
    let params = [("page[number]", "3999"), ("page[size]", "250"), ("sort", "asc")];
    let reply = get(&simulator, Vendor::Telnyx, "/audit_events", credentials::TELNYX_API_KEY, &params).await;
    let expected: Vec<_> =
        simulator.expected_ids(Vendor::Telnyx, Utc::now()).skip(3_998 * 250).take(250).map(|item| item.id).collect();
    assert_eq!(ids(&reply, "data", "id"), expected);
}
