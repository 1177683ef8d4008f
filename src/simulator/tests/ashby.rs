//! Ashby: newest first, cursors in the body.

use std::time::Duration;

use super::*;
use crate::simulator::AshbyQuirks;
use serde_json::json;

async fn post(simulator: &Simulator, authorization: Option<String>, body: &Value) -> Reply {
    let url = format!("{}/auditLog.list", simulator.base_url(Vendor::Ashby));
    let request = client().post(url).header("content-type", "application/json").body(body.to_string());
    send(authorization.into_iter().fold(request, |request, value| request.header("authorization", value))).await
}

async fn read(simulator: &Simulator, body: &Value) -> Reply {
    post(simulator, Some(basic(credentials::ASHBY_API_KEY)), body).await
}

fn dates() -> Value {
    json!({ "startDate": "2026-01-01T00:00:00Z", "endDate": "2026-03-02T00:00:00Z" })
}

#[tokio::test]
async fn every_page_is_every_record_newest_first() {
    let simulator = start(world(730)).await;
    let (mut seen, mut times, mut empty, mut body) = (BTreeSet::new(), Vec::new(), 0, dates());
    loop {
        let reply = read(&simulator, &body).await;
        let json = reply.json();
        let results = json["results"].as_array().expect("results");
        assert!(results.len() <= 100);
        empty += usize::from(results.is_empty());
        times.extend(results.iter().map(|item| item["createdAt"].as_str().expect("a time").to_string()));
        add(&mut seen, ids(&reply, "results", "id"));
        if json["moreDataAvailable"] == false {
            assert!(json["nextCursor"].is_null());
            break;
        }
        body["cursor"] = json["nextCursor"].clone();
    }
    assert_eq!(seen, all_ids(&simulator, Vendor::Ashby));
    assert!(times.iter().rev().is_sorted() && empty > 0);
}

#[tokio::test]
async fn a_cursor_of_other_dates_finds_nothing_and_says_nothing() {
    let simulator = start(world(500)).await;
    let mut body = dates();
    let cursor = read(&simulator, &body).await.json()["nextCursor"].clone();
    body["cursor"] = cursor;
    assert_eq!(ids(&read(&simulator, &body).await, "results", "id").len(), 100);
    body["startDate"] = json!("2026-01-02T00:00:00Z");
    let json = read(&simulator, &body).await.json();
    assert_eq!(
        (&json["success"], &json["results"], &json["moreDataAvailable"]),
        (&json!(true), &json!([]), &json!(false))
    );
}

#[tokio::test]
async fn an_expired_or_made_up_cursor_is_invalid_under_200() {
    let world = World { cursor_lifetime: Some(Duration::ZERO), ..world(500) };
    let simulator = start(world).await;
    let mut body = dates();
    let issued = read(&simulator, &body).await.json()["nextCursor"].clone();
    for cursor in [issued, json!("made-up")] {
        body["cursor"] = cursor;
        let reply = read(&simulator, &body).await;
        let json = reply.json();
        assert_eq!((reply.status, &json["success"]), (200, &json!(false)));
        assert_eq!(
            (&json["errors"][0], &json["errorInfo"]["code"]),
            (&json!("cursor_invalid"), &json!("cursor_invalid"))
        );
    }
}

#[tokio::test]
async fn a_missing_date_means_a_day() {
    let world = World {
        records: 4_000,
        span: Duration::from_secs(4 * 24 * 3600),
        ashby: AshbyQuirks { empty_pages: false },
        ..World::default()
    };
    let simulator = start(world).await;
    let all: Vec<_> = simulator.expected_ids(Vendor::Ashby, Utc::now()).collect();
    let day = chrono::TimeDelta::days(1);
    let (third, quarter) = (all[1_000].time, all[3_000].time);
    let end = all[3_999].time;
    for (body, first, last) in [
        (json!({}), end - day, end),
        (json!({ "endDate": quarter }), quarter - day, quarter),
        (json!({ "startDate": third }), third, third + day),
    ] {
        let times: Vec<_> = read(&simulator, &body).await.json()["results"]
            .as_array()
            .expect("results")
            .iter()
            .map(|item| instant(item["createdAt"].as_str().expect("a time")))
            .collect();
        assert_eq!(times.len(), 100);
        assert!(times.iter().all(|time| *time > first && *time <= last), "{body}");
        assert!(last - times[0] < chrono::TimeDelta::minutes(10), "{body}");
    }
}

#[tokio::test]
async fn bad_input_is_refused_as_documented() {
    let simulator = start(world(10)).await;
    let with = |name: &str, value: Value| {
        let mut body = dates();
        body[name] = value;
        body
    };
    for (body, status) in [
        (with("limit", json!(101)), 200),
        (with("endDate", json!("2025-12-31T00:00:00Z")), 200),
        (with("startDate", json!("2024-08-01T00:00:00Z")), 200),
        (with("startDate", json!("last week")), 200),
        (with("categories", json!(["Nonsense"])), 400),
        (with("targetTypes", json!(["nonsense"])), 400),
        (with("actorIds", json!(vec!["a"; 101])), 400),
    ] {
        let reply = read(&simulator, &body).await;
        let json = reply.json();
        let code = json["errorInfo"]["code"].as_str().or(json["errors"][0]["code"].as_str());
        assert_eq!(
            (reply.status, json["success"].as_bool(), code),
            (status, Some(false), Some("invalid_input")),
            "{body}"
        );
    }
}

#[tokio::test]
async fn credentials_are_checked() {
    let simulator = start(world(10)).await;
    let no_permission = basic(credentials::ASHBY_API_KEY_WITHOUT_PERMISSION);
    for (authorization, status, code) in [
        (None, 401, "unauthorized"),
        (Some(format!("Bearer {}", credentials::ASHBY_API_KEY)), 401, "unauthorized"),
        (Some(basic("wrong")), 403, "forbidden"),
        (Some(no_permission), 403, "missing_endpoint_permission"),
    ] {
        let reply = post(&simulator, authorization, &dates()).await;
        assert_eq!((reply.status, reply.json()["errorInfo"]["code"].as_str()), (status, Some(code)));
    }
    assert_eq!(simulator.stats(Vendor::Ashby).refused, 4);
}

#[tokio::test]
async fn filters_combine_and_old_requests_are_emptied() {
    let simulator = start(world(1_000)).await;
    let mut body = dates();
    body["categories"] = json!(["OfferApproved"]);
    body["targetTypes"] = json!(["api_key"]);
    let json = read(&simulator, &body).await.json();
    let results = json["results"].as_array().expect("results");
    assert!(
        results.len() == 100
            && results.iter().all(|item| item["target"]["type"] == "offer" || item["target"]["type"] == "api_key")
    );
    // The fixed world lies more than 30 days back.
    assert!(results.iter().all(|item| item["request"] == json!({ "id": null, "ipAddress": null })));
    let actor = results.iter().find_map(|item| item["actor"]["id"].as_str()).expect("somebody");
    body["actorIds"] = json!([actor]);
    let fewer = read(&simulator, &body).await.json();
    assert!(
        fewer["results"].as_array().expect("results").iter().all(|item| item["actor"]["id"] == body["actorIds"][0])
    );
}
