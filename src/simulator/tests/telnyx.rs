//! Telnyx: pages by number.

use super::*;

const PATH: &str = "/audit_events";

async fn read(simulator: &Simulator, params: &[(&str, &str)]) -> Reply {
    get(simulator, Vendor::Telnyx, PATH, credentials::TELNYX_API_KEY, params).await
}

#[tokio::test]
async fn every_page_in_either_order_is_every_record() {
    let simulator = start(world(1_103)).await;
    for (sort, newest_first) in [("asc", false), ("desc", true)] {
        let (mut seen, mut times) = (BTreeSet::new(), Vec::new());
        for page in 1.. {
            let number = page.to_string();
            let reply = read(&simulator, &[("page[number]", &number), ("page[size]", "250"), ("sort", sort)]).await;
            let json = reply.json();
            let items = json["data"].as_array().expect("data");
            times.extend(items.iter().map(|item| item["created_at"].as_str().expect("a time").to_string()));
            add(&mut seen, ids(&reply, "data", "id"));
            assert_eq!(json["meta"]["total_results"], 1_103);
            if page >= json["meta"]["total_pages"].as_u64().expect("a number") {
                break;
            }
        }
        assert_eq!(seen, all_ids(&simulator, Vendor::Telnyx));
        if newest_first {
            times.reverse();
        }
        assert!(times.is_sorted());
    }
    assert_eq!(simulator.stats(Vendor::Telnyx).records, 2_206);
}

#[tokio::test]
async fn defaults_and_limits_are_the_documented_ones() {
    let simulator = start(world(100)).await;
    let reply = read(&simulator, &[]).await;
    assert_eq!(ids(&reply, "data", "id").len(), 20);
    let newest = simulator.expected_ids(Vendor::Telnyx, Utc::now()).last().expect("a record");
    assert_eq!(ids(&reply, "data", "id")[0], newest.id);
    assert_eq!(reply.header("x-ratelimit-remaining"), "999999");
    for (name, value) in [("page[size]", "251"), ("page[size]", "0"), ("page[number]", "0"), ("sort", "up")] {
        let reply = read(&simulator, &[(name, value)]).await;
        assert_eq!(reply.status, 400, "{name}={value}");
        assert_eq!(reply.json()["errors"][0]["code"], "10015");
        assert_eq!(reply.json()["errors"][0]["source"]["parameter"], name);
    }
    assert_eq!(read(&simulator, &[("filter[created_after]", "yesterday")]).await.status, 400);
    assert!(ids(&read(&simulator, &[("page[number]", "99")]).await, "data", "id").is_empty());
}

#[tokio::test]
async fn windows_leave_their_bounds_out() {
    let simulator = start(world(500)).await;
    let all: Vec<_> = simulator.expected_ids(Vendor::Telnyx, Utc::now()).collect();
    let (low, high) = (all[100].time, all[200].time);
    let inside: Vec<_> =
        all.iter().filter(|item| item.time > low && item.time < high).map(|item| item.id.clone()).collect();
    let (low, high) = (low.to_rfc3339(), high.to_rfc3339());
    let params = [
        ("filter[created_after]", low.as_str()),
        ("filter[created_before]", &high),
        ("sort", "asc"),
        ("page[size]", "250"),
    ];
    assert_eq!(ids(&read(&simulator, &params).await, "data", "id"), inside);
}

#[tokio::test]
async fn a_wrong_key_is_refused() {
    let simulator = start(world(10)).await;
    let reply = get(&simulator, Vendor::Telnyx, PATH, "KEYwrong", &[]).await;
    assert_eq!((reply.status, reply.json()["errors"][0]["code"].as_str()), (401, Some("10009")));
    let reply = send(client().get(format!("{}{PATH}", simulator.base_url(Vendor::Telnyx)))).await;
    assert_eq!(reply.status, 401);
    let reply = get(&simulator, Vendor::Telnyx, "/audit", credentials::TELNYX_API_KEY, &[]).await;
    assert_eq!((reply.status, reply.json()["errors"][0]["code"].as_str()), (404, Some("10005")));
    let stats = simulator.stats(Vendor::Telnyx);
    assert_eq!((stats.requests, stats.refused, stats.invalid, stats.records), (3, 2, 1, 0));
}
