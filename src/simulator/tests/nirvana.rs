//! Nirvana Labs: inclusive bounds, cursors, logged reads.

use std::time::Duration;

use super::*;
use crate::simulator::NirvanaQuirks;
use serde_json::json;

const PATH: &str = "/v1/audit_logs";

async fn read(simulator: &Simulator, params: &[(&str, &str)]) -> Reply {
    get(simulator, Vendor::Nirvana, PATH, credentials::NIRVANA_API_KEY, params).await
}

async fn walk(simulator: &Simulator, params: &[(&str, &str)]) -> Vec<Value> {
    let (mut items, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let mut params = params.to_vec();
        params.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
        let json = read(simulator, &params).await.json();
        assert_eq!(json["pagination"]["previous_cursor"].is_null(), cursor.is_none());
        items.extend(json["items"].as_array().expect("items").iter().cloned());
        match json["pagination"]["next_cursor"].as_str() {
            Some(next) => cursor = Some(next.to_string()),
            None => return items,
        }
    }
}

fn quiet(records: u64) -> World {
    World { nirvana: NirvanaQuirks { log_own_reads: false }, ..world(records) }
}

#[tokio::test]
async fn every_page_is_every_record() {
    let simulator = start(quiet(523)).await;
    let items = walk(&simulator, &[("limit", "100"), ("sort", "created_at:asc")]).await;
    let seen: BTreeSet<_> = items.iter().map(|item| item["id"].as_str().expect("an id").to_string()).collect();
    assert_eq!((seen, items.len()), (all_ids(&simulator, Vendor::Nirvana), 523));
    let newest_first = walk(&simulator, &[("limit", "100")]).await;
    assert!(newest_first.iter().rev().eq(items.iter()));
    assert_eq!(read(&simulator, &[]).await.json()["pagination"]["total_count"], 523);
    let one = &items[77];
    let path = format!("{PATH}/{}", one["id"].as_str().expect("an id"));
    assert_eq!(&get(&simulator, Vendor::Nirvana, &path, credentials::NIRVANA_API_KEY, &[]).await.json(), one);
}

#[tokio::test]
async fn its_own_reads_are_logged() {
    let simulator = start(world(30)).await;
    for _ in 0..3 {
        read(&simulator, &[("limit", "10")]).await;
    }
    let params = [("actor_id", credentials::NIRVANA_API_KEY_ID), ("path", "/V1/audit_logs"), ("limit", "10")];
    let json = read(&simulator, &params).await.json();
    assert_eq!((json["items"].as_array().map(Vec::len), &json["pagination"]["total_count"]), (Some(3), &json!(3)));
    assert_eq!(json["items"][0]["path"], PATH);
    let items = walk(&simulator, &[("limit", "10"), ("sort", "created_at:asc")]).await;
    assert_eq!(items.len(), 34, "30 records and the four reads so far");
    let times: Vec<_> = items.iter().map(|item| item["created_at"].as_str().expect("a time")).collect();
    assert!(times.is_sorted());
    assert_eq!(simulator.own_reads(), 8);
    assert_eq!(simulator.expected_ids(Vendor::Nirvana, Utc::now()).count(), 30);
}

#[tokio::test]
async fn bounds_are_inclusive_in_whole_seconds() {
    let simulator = start(World { span: Duration::from_secs(200), ..quiet(2_000) }).await;
    let all: Vec<_> = simulator.expected_ids(Vendor::Nirvana, Utc::now()).collect();
    let (min, max) = (instant("2026-02-28T23:58:10Z"), instant("2026-02-28T23:58:20Z"));
    let inside: Vec<_> =
        all.iter().filter(|item| item.time >= min && item.time <= max).map(|item| item.id.clone()).collect();
    let params = [
        ("created_at_min", "2026-02-28T23:58:10.9Z"),
        ("created_at_max", "2026-02-28T23:58:20.9Z"),
        ("sort", "created_at:asc"),
        ("limit", "100"),
    ];
    let reply = read(&simulator, &params).await;
    assert_eq!(ids(&reply, "items", "id"), inside[..100.min(inside.len())]);
    assert_eq!(reply.json()["pagination"]["total_count"], inside.len());
}

#[tokio::test]
async fn filters_limit_what_is_read() {
    let simulator = start(quiet(1_000)).await;
    let all = walk(&simulator, &[("limit", "100")]).await;
    for (name, value, test) in [
        ("method", "DELETE", (|item| item["method"] == "DELETE") as fn(&Value) -> bool),
        ("status_code_min", "400", |item| item["status_code"].as_u64() >= Some(400)),
        ("actor_type", "api_key", |item| item["actor"]["type"] == "api_key"),
        ("target_type", "vpc", |item| item["target"]["type"] == "vpc"),
        ("action", "vm.deleted", |item| {
            item["path"].as_str().is_some_and(|path| path.contains("/vms/")) && item["method"] == "DELETE"
        }),
    ] {
        let found = walk(&simulator, &[(name, value), ("limit", "100")]).await;
        let expected =
            all.iter().filter(|item| test(item) && (name != "target_type" || !item["target"].is_null())).count();
        // Old entries do not show their target, and have one.
        assert!(
            found.len() >= expected && found.len() <= expected + 20 && expected > 0,
            "{name}: {} {expected}",
            found.len()
        );
    }
}

#[tokio::test]
async fn bad_requests_and_credentials_are_refused() {
    let simulator = start(quiet(100)).await;
    let cursor =
        read(&simulator, &[]).await.json()["pagination"]["next_cursor"].as_str().expect("a cursor").to_string();
    for (name, value) in [
        ("limit", "9"),
        ("limit", "101"),
        ("sort", "status_code:asc"),
        ("created_at_min", "2026-03-01"),
        ("actor_type", "robot"),
        ("cursor", "made-up"),
    ] {
        assert_eq!(read(&simulator, &[(name, value)]).await.status, 422, "{name}={value}");
    }
    assert_eq!(read(&simulator, &[("cursor", &cursor), ("method", "GET")]).await.status, 422);
    for (key, status) in [("wrong", 401), (credentials::NIRVANA_API_KEY_WITHOUT_PERMISSION, 403)] {
        assert_eq!(get(&simulator, Vendor::Nirvana, PATH, key, &[]).await.status, status);
    }
    assert_eq!(read(&simulator, &[]).await.json()["items"].as_array().map(Vec::len), Some(10));
}
