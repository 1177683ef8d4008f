//! Voximplant: signed tokens, offsets, reports.

use std::io::Read;

use flate2::read::GzDecoder;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::json;

use super::*;
use crate::simulator::{Packing, VoximplantQuirks};

const ALL: [(&str, &str); 2] = [("from_date", "2026-01-01 00:00:00"), ("to_date", "2026-03-02 00:00:00")];

fn token(kid: &str, claims: &Value) -> String {
    let header = Header { kid: Some(kid.to_string()), ..Header::new(Algorithm::RS256) };
    let key = EncodingKey::from_rsa_pem(credentials::VOXIMPLANT_PRIVATE_KEY.as_bytes()).expect("a key");
    jsonwebtoken::encode(&header, claims, &key).expect("a token")
}

fn good_token() -> String {
    let now = Utc::now().timestamp();
    token(
        credentials::VOXIMPLANT_KEY_ID,
        &json!({ "iss": credentials::VOXIMPLANT_ACCOUNT_ID, "iat": now - 10, "exp": now + 300 }),
    )
}

fn request(simulator: &Simulator, method: &str, token: &str, params: &[(&str, &str)]) -> reqwest::RequestBuilder {
    let slash = if method.is_empty() { "" } else { "/" };
    let url = format!("{}{slash}{method}", simulator.base_url(Vendor::Voximplant));
    let form = "application/x-www-form-urlencoded";
    let request = client().post(url).header("content-type", form).body(encoded(params));
    request.header("authorization", format!("Bearer {token}"))
}

async fn call(simulator: &Simulator, method: &str, params: &[(&str, &str)]) -> Reply {
    send(request(simulator, method, &good_token(), params)).await
}

fn code(reply: &Reply) -> Option<i64> {
    reply.json()["error"]["code"].as_i64()
}

#[tokio::test]
async fn every_page_is_every_record() {
    let simulator = start(world(2_345)).await;
    let mut seen = BTreeSet::new();
    loop {
        let offset = seen.len().to_string();
        let params = [&ALL[..], &[("count", "1000"), ("offset", &offset), ("with_total_count", "true")]].concat();
        let reply = call(&simulator, "GetAuditLog", &params).await;
        assert_eq!(reply.json()["total_count"], 2_345);
        let page = ids(&reply, "result", "audit_log_id");
        let last = page.len() < 1_000;
        add(&mut seen, page);
        if last {
            break;
        }
    }
    assert_eq!(seen, all_ids(&simulator, Vendor::Voximplant));
    let reply = call(&simulator, "GetAuditLog", &ALL).await;
    assert!(reply.json()["total_count"].is_null());
    assert_eq!(ids(&reply, "result", "audit_log_id").len(), 100);
}

#[tokio::test]
async fn lists_are_joined_with_semicolons() {
    let simulator = start(world(1_000)).await;
    let params =
        [&ALL[..], &[("filtered_cmd", "AddUser;DelUser"), ("count", "1000"), ("with_total_count", "true")]].concat();
    let json = call(&simulator, "GetAuditLog", &params).await.json();
    let rows = json["result"].as_array().expect("result");
    assert!(!rows.is_empty() && rows.iter().all(|row| row["cmd_name"] == "AddUser" || row["cmd_name"] == "DelUser"));
    assert_eq!(json["total_count"], rows.len());
    let id = rows[3]["audit_log_id"].to_string();
    let params = [&ALL[..], &[("audit_log_id", id.as_str())]].concat();
    assert_eq!(ids(&call(&simulator, "GetAuditLog", &params).await, "result", "audit_log_id"), [id]);
}

#[tokio::test]
async fn errors_come_under_200() {
    let voximplant =
        VoximplantQuirks { max_range: Some(std::time::Duration::from_secs(90 * 86_400)), ..Default::default() };
    let simulator = start(World { voximplant, ..world(10) }).await;
    for (more, expected) in [
        (("count", "1001"), 496),
        (("offset", "10000"), 496),
        (("desc_order", "maybe"), 496),
        (("to_date", "2026-03-01T00:00:00Z"), 496),
        (("to_date", "2025-12-31 00:00:00"), 497),
        (("to_date", "2026-12-31 00:00:00"), 569),
    ] {
        let reply = call(&simulator, "GetAuditLog", &[more, ALL[0], ALL[1]]).await;
        assert_eq!((reply.status, code(&reply)), (200, Some(expected)), "{more:?}");
    }
    assert_eq!(code(&call(&simulator, "GetAuditLog", &ALL[..1]).await), Some(101));
    assert_eq!(code(&call(&simulator, "DropEverything", &ALL).await), Some(102));
    let as_field = call(&simulator, "", &[("cmd", "GetAuditLog"), ALL[0], ALL[1]]).await;
    assert_eq!(ids(&as_field, "result", "audit_log_id").len(), 10);
}

#[tokio::test]
async fn tokens_are_verified() {
    let simulator = start(world(10)).await;
    let (now, account, key) =
        (Utc::now().timestamp(), credentials::VOXIMPLANT_ACCOUNT_ID, credentials::VOXIMPLANT_KEY_ID);
    let claims = |iss: Value, iat: i64, exp: i64| json!({ "iss": iss, "iat": iat, "exp": exp });
    let mut forged = good_token();
    let inside = forged.len() - 20..forged.len() - 19;
    let other = if &forged[inside.clone()] == "A" { "B" } else { "A" };
    forged.replace_range(inside, other);
    for (token, expected) in [
        (good_token(), None),
        (token(key, &claims(json!(account.to_string()), now, now + 30)), None),
        (token("other", &claims(json!(account), now, now + 30)), Some(433)),
        (token(key, &claims(json!(1), now, now + 30)), Some(115)),
        (token(key, &claims(json!(account), now, now + 3601)), Some(454)),
        (token(key, &claims(json!(account), now + 60, now + 90)), Some(455)),
        (token(key, &claims(json!(account), now - 90, now - 60)), Some(456)),
        (token(key, &json!({ "iss": account })), Some(447)),
        ("not.a.token".to_string(), Some(447)),
        (forged, Some(100)),
    ] {
        let reply = send(request(&simulator, "GetAuditLog", &token, &ALL)).await;
        assert_eq!((reply.status, code(&reply)), (200, expected), "{token}");
    }
    assert_eq!(simulator.stats(Vendor::Voximplant).refused, 8);
}

#[tokio::test]
async fn a_clock_that_is_off_says_so_in_its_date() {
    let voximplant = VoximplantQuirks { clock_skew_secs: -3_600, ..Default::default() };
    let simulator = start(World { voximplant, ..world(10) }).await;
    let reply = call(&simulator, "GetAuditLog", &ALL).await;
    assert_eq!(code(&reply), Some(455));
    let date = DateTime::parse_from_rfc2822(reply.header("date")).expect("a date").timestamp();
    let claims = json!({ "iss": credentials::VOXIMPLANT_ACCOUNT_ID, "iat": date - 10, "exp": date + 300 });
    let reply = send(request(&simulator, "GetAuditLog", &token(credentials::VOXIMPLANT_KEY_ID, &claims), &ALL)).await;
    assert_eq!(code(&reply), None);
}

/// Orders a report and looks until it is ready; how often it was not.
async fn report(simulator: &Simulator, params: &[(&str, &str)]) -> (String, usize) {
    let id = call(simulator, "GetAuditLogAsync", params).await.json()["history_report_id"].to_string();
    let one = [("history_report_id", id.as_str())];
    assert_eq!(code(&call(simulator, "DownloadHistoryReport", &one).await), Some(356));
    for looks in 0.. {
        let json = call(simulator, "GetHistoryReports", &one).await.json();
        assert_eq!((&json["count"], &json["result"][0]["filters"]["from_date"]), (&json!(1), &json!(ALL[0].1)));
        if !json["result"][0]["completed"].is_null() {
            return (id, looks);
        }
    }
    unreachable!("looks are counted without end")
}

async fn download(simulator: &Simulator, id: &str) -> Vec<u8> {
    let request = request(simulator, "DownloadHistoryReport", &good_token(), &[("history_report_id", id)]);
    request.send().await.expect("an answer").bytes().await.expect("a body").to_vec()
}

fn rows(bytes: &[u8], separator: u8) -> Vec<csv::StringRecord> {
    let mut reader = csv::ReaderBuilder::new().delimiter(separator).from_reader(bytes);
    assert_eq!(&reader.headers().expect("a header")[4], "requested");
    reader.records().collect::<Result<_, _>>().expect("CSV")
}

#[tokio::test]
async fn a_report_holds_what_the_pages_hold() {
    let quick = VoximplantQuirks { report_delay: std::time::Duration::ZERO, ..Default::default() };
    let simulator = start(World { voximplant: quick, ..world(1_700) }).await;
    let (id, looks) = report(&simulator, &ALL).await;
    assert_eq!(looks, 2);
    let packed = download(&simulator, &id).await;
    let mut plain = Vec::new();
    GzDecoder::new(packed.as_slice()).read_to_end(&mut plain).expect("gzip");
    let rows = rows(&plain, b',');
    let seen: BTreeSet<_> = rows.iter().map(|row| row[0].to_string()).collect();
    assert_eq!((seen, rows.len()), (all_ids(&simulator, Vendor::Voximplant), 1_700));

    let described = call(&simulator, "GetHistoryReports", &[("history_report_id", id.as_str())]).await.json();
    let described = &described["result"][0];
    assert_eq!((&described["file_size"], &described["download_size"]), (&json!(plain.len()), &json!(packed.len())));
    assert_eq!(described["download_count"], 1);

    let page = call(&simulator, "GetAuditLog", &[ALL[0], ALL[1], ("count", "1000")]).await.json();
    for (row, item) in rows.iter().zip(page["result"].as_array().expect("result")) {
        let text = |value: &Value| {
            value
                .as_str()
                .map(str::to_string)
                .unwrap_or_else(|| if value.is_null() { String::new() } else { value.to_string() })
        };
        let columns = ["audit_log_id", "account_id", "subuser_id", "subuser_name", "requested", "ip", "cmd_name"];
        for (number, name) in columns.iter().enumerate() {
            assert_eq!(row[number], text(&item[name]), "{name}");
        }
        let args = if row[7].is_empty() { Value::Null } else { serde_json::from_str(&row[7]).expect("JSON in a cell") };
        assert_eq!(args, item["cmd_args"]);
    }
}

#[tokio::test]
async fn the_same_order_is_refused_and_other_packings_are_kept() {
    let voximplant = VoximplantQuirks {
        packing: Packing::Plain,
        separator: ';',
        report_polls: 0,
        report_delay: Default::default(),
        ..Default::default()
    };
    let simulator = start(World { voximplant, ..world(40) }).await;
    let (id, looks) = report(&simulator, &ALL).await;
    assert_eq!(looks, 0);
    assert_eq!(code(&call(&simulator, "GetAuditLogAsync", &ALL).await), Some(515));
    let found = call(&simulator, "GetHistoryReports", &[("history_type", "audit;calls"), ("is_completed", "true")])
        .await
        .json();
    assert_eq!(found["result"][0]["history_report_id"].to_string(), id);
    let bytes = download(&simulator, &id).await;
    assert_eq!(rows(bytes.strip_prefix(b"\xef\xbb\xbf").expect("a byte order mark"), b';').len(), 40);
    let reply = call(&simulator, "DownloadHistoryReport", &[("history_report_id", "1")]).await;
    assert_eq!(code(&reply), Some(557));
}

#[tokio::test]
async fn a_failed_report_is_ordered_again() {
    let voximplant = VoximplantQuirks {
        fail_first_report: true,
        report_delay: Default::default(),
        packing: Packing::ContentEncoding,
        ..Default::default()
    };
    let simulator = start(World { voximplant, ..world(40) }).await;
    let order = call(&simulator, "GetAuditLogAsync", &ALL).await.json();
    let id = order["history_report_id"].to_string();
    let reply = call(&simulator, "DownloadHistoryReport", &[("history_report_id", &id)]).await;
    assert_eq!(code(&reply), Some(357));
    let (id, _) = report(&simulator, &ALL).await;
    // The client unpacks it, because the header says how.
    assert_eq!(rows(&download(&simulator, &id).await, b',').len(), 40);
}
