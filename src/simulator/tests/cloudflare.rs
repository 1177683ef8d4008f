//! Cloudflare: cursors.

use super::*;
use crate::simulator::CloudflareQuirks;

const ALL: [(&str, &str); 2] = [("since", "2026-01-01"), ("before", "2026-03-02T00:00:00.000Z")];

fn path(account: &str) -> String {
    format!("/accounts/{account}/logs/audit")
}

async fn read(simulator: &Simulator, params: &[(&str, &str)]) -> Reply {
    let path = path(credentials::CLOUDFLARE_ACCOUNT_ID);
    get(simulator, Vendor::Cloudflare, &path, credentials::CLOUDFLARE_API_TOKEN, params).await
}

/// All pages, and how many there were.
async fn walk(simulator: &Simulator, more: &[(&str, &str)]) -> (Vec<Value>, usize) {
    let (mut records, mut cursor) = (Vec::new(), String::new());
    for page in 1.. {
        let mut params = [&ALL, more].concat();
        if page > 1 {
            params.push(("cursor", &cursor));
        }
        let json = read(simulator, &params).await.json();
        assert_eq!(json["success"], true, "{json}");
        let result = json["result"].as_array().expect("result");
        assert_eq!(json["result_info"]["count"], result.len().to_string());
        records.extend(result.iter().cloned());
        let info = &json["result_info"];
        match info["cursor"].as_str().or(info["cursors"]["after"].as_str()) {
            Some(next) => cursor = next.to_string(),
            None => return (records, page),
        }
    }
    unreachable!("pages are counted without end")
}

fn unique(records: &[Value]) -> BTreeSet<String> {
    let ids: BTreeSet<_> = records.iter().map(|record| record["id"].as_str().expect("an id").to_string()).collect();
    assert_eq!(ids.len(), records.len());
    ids
}

#[tokio::test]
async fn every_page_is_every_record() {
    let simulator = start(world(3_000)).await;
    let (records, pages) = walk(&simulator, &[("limit", "1000"), ("direction", "asc")]).await;
    assert_eq!(pages, 4, "the last full page still has a cursor, and leads to an empty one");
    assert_eq!(unique(&records), all_ids(&simulator, Vendor::Cloudflare));
    let (newest_first, _) = walk(&simulator, &[("limit", "1000")]).await;
    assert!(newest_first.iter().rev().map(|record| &record["id"]).eq(records.iter().map(|record| &record["id"])));
}

#[tokio::test]
async fn the_cursor_may_stand_elsewhere_and_end_with_the_last_page() {
    let cloudflare =
        CloudflareQuirks { cursor_on_last_page: false, cursor_under_cursors: true, placeholder_error: true };
    let simulator = start(World { cloudflare, ..world(250) }).await;
    let (records, pages) = walk(&simulator, &[]).await;
    assert_eq!((records.len(), pages), (250, 3));
}

#[tokio::test]
async fn records_look_like_audit_records() {
    let simulator = start(world(2_000)).await;
    let (records, _) = walk(&simulator, &[("limit", "1000")]).await;
    let text = serde_json::to_string(&records).expect("JSON");
    let size = text.len() / records.len();
    assert!((1_100..1_400).contains(&size), "{size} bytes each");
    for part in
        ["%40", "Chrome/120.0.0.0", "2001:db8:", "::ffff:", "\\\"seen_from\\\"", "Ångström", "\"login\"", "\"api\""]
    {
        assert!(text.contains(part), "no {part}");
    }
    assert!(records.iter().any(|record| record["resource"]["scope"].is_object()));
    assert!(records.iter().any(|record| record["action"]["result"] == ""));
    assert!(records.iter().any(|record| record["actor"]["email"].is_null()));
    assert!(records.iter().any(|record| record["raw"].is_null()));
}

#[tokio::test]
async fn filters_include_and_exclude() {
    let simulator = start(world(2_000)).await;
    let (all, _) = walk(&simulator, &[("limit", "1000")]).await;
    let count = |test: &dyn Fn(&Value) -> bool| all.iter().filter(|record| test(record)).count();
    for (filter, expected) in [
        (
            vec![("action_type", "create"), ("action_type", "login")],
            count(&|r| r["action"]["type"] == "create" || r["action"]["type"] == "login"),
        ),
        (
            vec![("raw_method.not", "POST")],
            2_000
                - count(&|r| {
                    matches!(r["resource"]["product"].as_str(), Some("cache" | "access" | "sso"))
                        || r["action"]["description"] == "Create DNS record"
                        || r["action"]["description"] == "Add Member"
                }),
        ),
        (
            vec![("product_category", "DNS"), ("actor_context", "dash")],
            count(&|r| r["resource"]["product"] == "dns_records" && r["actor"]["context"] == "dash"),
        ),
        (vec![("actor_email", "anna@harbour.example")], count(&|r| r["actor"]["email"] == "anna@harbour.example")),
    ] {
        let (found, _) = walk(&simulator, &filter).await;
        assert_eq!(unique(&found).len(), expected, "{filter:?}");
    }
    assert_eq!(read(&simulator, &[&ALL[..], &[("product_category", "toys")]].concat()).await.status, 400);
}

#[tokio::test]
async fn what_is_mandatory_is_demanded_on_every_call() {
    let simulator = start(world(300)).await;
    let first = read(&simulator, &ALL).await;
    assert_eq!(ids(&first, "result", "id").len(), 100);
    let cursor = first.json()["result_info"]["cursor"].as_str().expect("a cursor").to_string();
    for params in [
        vec![("cursor", cursor.as_str())],
        vec![ALL[0], ("cursor", &cursor)],
        vec![ALL[0], ("before", "2026-02-28"), ("cursor", &cursor)],
        vec![ALL[0], ALL[1], ("direction", "asc"), ("cursor", &cursor)],
        vec![ALL[0], ALL[1], ("cursor", "made-up")],
        vec![ALL[0], ALL[1], ("limit", "1001")],
        vec![ALL[0], ALL[1], ("limit", "0")],
        vec![ALL[0], ("before", "soon")],
        vec![("since", "2026-03-02"), ("before", "2026-03-01")],
    ] {
        let reply = read(&simulator, &params).await;
        assert_eq!((reply.status, &reply.json()["success"]), (400, &Value::Bool(false)), "{params:?}");
    }
}

#[tokio::test]
async fn credentials_are_checked() {
    let simulator = start(world(10)).await;
    let account = credentials::CLOUDFLARE_ACCOUNT_ID;
    let url = |account: &str| format!("{}{}?{}", simulator.base_url(Vendor::Cloudflare), path(account), encoded(&ALL));
    let right = ("authorization", format!("Bearer {}", credentials::CLOUDFLARE_API_TOKEN));
    let mail = ("x-auth-email", credentials::CLOUDFLARE_EMAIL.to_string());
    let key = ("x-auth-key", credentials::CLOUDFLARE_API_KEY.to_string());
    for (account, headers, status, code) in [
        (account, vec![right.clone()], 200, None),
        (account, vec![mail.clone(), key.clone()], 200, None),
        (account, vec![], 401, Some(9106)),
        (account, vec![mail.clone()], 401, Some(9106)),
        (account, vec![("authorization", "Bearer wrong".to_string())], 401, Some(10_000)),
        (account, vec![("authorization", "Basic wrong".to_string())], 400, Some(6003)),
        (account, vec![mail.clone(), ("x-auth-key", "short".to_string())], 400, Some(6003)),
        (account, vec![mail, ("x-auth-key", "f".repeat(37))], 401, Some(10_000)),
        ("0123456789abcdef0123456789abcdef", vec![right.clone()], 403, Some(9109)),
        ("mine", vec![right], 404, Some(7003)),
    ] {
        let request =
            headers.iter().fold(client().get(url(account)), |request, (name, value)| request.header(*name, value));
        let reply = send(request).await;
        assert_eq!((reply.status, reply.json()["errors"][0]["code"].as_i64()), (status, code), "{account} {headers:?}");
    }
}
