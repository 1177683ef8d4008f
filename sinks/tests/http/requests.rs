//! What requests hold, how they say who we are, and how a destination is checked.

use auditline_sinks::contract::{self, numbered, server};
use auditline_sinks::{Delivery, DeliveryError};
use serde_json::{Value, json};

use crate::place::{HTTP, MUTUAL, TLS, TOKEN, refusal, requests, sink, variable, with};

#[tokio::test]
async fn every_way_of_saying_who_we_are() {
    let Some(base) = server("every_way_of_saying_who_we_are", "http", HTTP) else { return };
    let name = contract::unique("auth");
    let oauth2 = |secret: &str| {
        json!({ "auth": { "oauth2": {
            "token_url": format!("{base}/token"), "client_id": "audit", "client_secret": secret, "scope": "logs",
        } } })
    };
    for (path, right, wrong, status) in [
        ("bearer", json!({ "auth": { "bearer": TOKEN } }), json!({ "auth": { "bearer": "hunter2" } }), "401"),
        (
            "basic",
            json!({ "auth": { "basic": { "username": "audit", "password": TOKEN } } }),
            json!({ "auth": { "basic": { "username": "audit", "password": "hunter2" } } }),
            "401",
        ),
        (
            "key",
            json!({ "auth": { "header": { "name": "X-Api-Key", "value": TOKEN } } }),
            json!({ "secret_headers": { "X-Api-Key": "hunter2" } }),
            "403",
        ),
        ("key", json!({ "secret_headers": { "X-Api-Key": TOKEN } }), json!({}), "403"),
        (
            "signed",
            json!({ "compression": "none", "sign": {
                "header": "X-Signature", "secret": TOKEN, "of": "timestamp.body", "timestamp_header": "X-Timestamp",
                "prefix": "v1=",
            } }),
            json!({ "compression": "none", "sign": {
                "header": "X-Signature", "secret": "hunter2", "of": "timestamp.body",
                "timestamp_header": "X-Timestamp", "prefix": "v1=",
            } }),
            "403",
        ),
    ] {
        let config = json!({ "url": format!("{base}/{path}/{name}"), "format": "ndjson" });
        let batch = numbered("auth", 1, 2);
        let delivery = sink(with(config.clone(), right)).deliver(&batch).await.unwrap();
        assert_eq!(delivery, Delivery::default());
        let (message, hint) = refusal(sink(with(config, wrong)).deliver(&batch).await);
        assert!(message.starts_with(&format!("`{base}` answered {status}")), "{message}");
        assert!(hint.contains("`auth`"), "{hint}");
    }
    // Each new token is the end of the one before, so that one of two sinks holds a token that has expired.
    let config = json!({ "url": format!("{base}/granted/{name}"), "format": "ndjson" });
    let sinks = [(); 2].map(|()| sink(with(config.clone(), oauth2(TOKEN))));
    for first in [1, 3] {
        for sink in &sinks {
            sink.deliver(&numbered("auth", first, 2)).await.unwrap();
        }
    }
    assert_eq!(requests(&base, &format!("granted/{name}")).await.len(), 4);
    let (message, hint) = refusal(sink(with(config, oauth2("hunter2"))).deliver(&numbered("auth", 1, 1)).await);
    assert_eq!(message, format!("`{base}` answered 400 Bad Request: {{\"error\": \"invalid_client\"}}"));
    assert!(hint.contains("client_secret"), "{hint}");
}

#[tokio::test]
async fn tls_is_verified() {
    let (Some(base), Some(mutual)) = (server("tls_is_verified", "http", TLS), std::env::var(MUTUAL).ok()) else {
        return;
    };
    let ca = variable("AUDITLINE_TEST_TLS_CA");
    let to = |base: &str, tls: Value| json!({ "url": format!("{base}/in/tls"), "format": "ndjson", "tls": tls });
    let by_ip = base.replace("localhost", "127.0.0.1");
    let own = json!({
        "ca": ca, "cert": variable("AUDITLINE_TEST_TLS_CLIENT_CERT"), "key": variable("AUDITLINE_TEST_TLS_CLIENT_KEY"),
    });
    let anybody = json!({ "insecure": "any certificate is accepted" });
    for (base, tls) in [
        (&base, json!({ "ca": ca })),
        (&by_ip, json!({ "ca": ca, "server_name": "localhost" })),
        (&base, anybody),
        (&mutual, own),
    ] {
        let sink = sink(to(base, tls));
        sink.check().await.unwrap();
        sink.deliver(&numbered("tls", 1, 2)).await.unwrap();
    }
    for (base, tls, expected) in [
        (&base, json!({ "ca": variable("AUDITLINE_TEST_TLS_WRONG_CA") }), "an authority we do not trust"),
        (&base, json!({ "ca": ca, "server_name": "siem.example.com" }), "certificate is for another name"),
    ] {
        let sink = sink(to(base, tls));
        for outcome in [sink.check().await, sink.deliver(&numbered("tls", 1, 2)).await.map(drop)] {
            let (message, hint) = refusal(outcome);
            assert!(message.contains(expected), "{message}");
            assert!(hint.contains("`tls."), "{hint}");
        }
    }
    // Some servers say that they want a certificate, and others only close.
    let error = sink(to(&mutual, json!({ "ca": ca }))).check().await.unwrap_err();
    let told = match &error {
        DeliveryError::Refused { hint, .. } => hint.clone(),
        DeliveryError::Retryable { message, .. } => message.clone(),
    };
    assert!(told.contains("`tls.cert` and `tls.key`"), "{error:?}");
    let plain = base.replace("https", "http");
    let plain = json!({ "url": format!("{plain}/in/tls"), "format": "ndjson" });
    sink(plain).deliver(&numbered("tls", 1, 2)).await.unwrap_err();
}

#[tokio::test]
async fn requests_say_what_the_configuration_says() {
    let Some(base) = server("requests_say_what_the_configuration_says", "http", HTTP) else { return };
    let name = contract::unique("form");
    let config = json!({
        "url": format!("{base}/in/{name}/{{vendor}}/{{date}}?from={{pipeline}}"),
        "format": "json_array", "max_request_records": 2,
        "wrap": { "before": "{\"events\":", "after": "}" },
        "record": { "id": "{id}", "event": "{event}", "source": "audit:{vendor}" },
        "headers": { "X-Sumo-Category": "audit/{vendor}", "Content-Type": "application/json; charset=utf-8" },
        "idempotency_header": "Idempotency-Key",
    });
    let sink = sink(config);
    let mut batch = contract::batch_of("a&b", 1, [r#"{"n":1}"#, r#"{"n":2}"#, r#"{"n":3}"#, r#"{"n":4}"#]);
    batch.records[2].time += chrono::Duration::days(1);
    sink.deliver(&batch).await.unwrap();
    sink.deliver(&batch).await.unwrap();
    let first = requests(&base, &format!("in/{name}/example/2026-03-14?from=a%26b")).await;
    let second = requests(&base, &format!("in/{name}/example/2026-03-15?from=a%26b")).await;
    let keys: Vec<&str> = first.iter().map(|(headers, _)| headers["idempotency-key"].as_str().unwrap()).collect();
    assert_eq!((keys.len(), second.len()), (4, 2));
    assert_eq!(keys[..2], keys[2..]);
    assert_ne!(keys[0], keys[1]);
    let (headers, body) = &first[0];
    assert_eq!(headers["x-sumo-category"], "audit/example");
    assert_eq!(headers["content-type"], "application/json; charset=utf-8");
    let body: Value = serde_json::from_str(body).unwrap();
    let record = |n: u64| json!({ "id": format!("a&b-{n}"), "event": { "n": n }, "source": "audit:example" });
    assert_eq!(body, json!({ "events": [record(1), record(2)] }));
}

#[tokio::test]
async fn check_confirms_and_writes_nothing() {
    let Some(base) = server("check_confirms_and_writes_nothing", "http", HTTP) else { return };
    let name = contract::unique("check");
    let config = json!({ "url": format!("{base}/in/{name}"), "format": "ndjson" });
    sink(config.clone()).check().await.unwrap();
    let asked = |check: Value| with(config.clone(), json!({ "check": check }));
    sink(asked(json!({ "method": "GET", "url": format!("{base}/stored/x") }))).check().await.unwrap();
    let (message, _) = refusal(sink(asked(json!({ "method": "GET" }))).check().await);
    assert!(message.contains("405"), "{message}");
    sink(asked(json!({ "method": "GET", "accept": [405] }))).check().await.unwrap();
    let wrong = with(
        config,
        json!({ "auth": { "oauth2": {
        "token_url": format!("{base}/token"), "client_id": "audit", "client_secret": "hunter2",
    } } }),
    );
    assert!(refusal(sink(wrong).check().await).0.contains("invalid_client"));
    assert!(requests(&base, &format!("in/{name}")).await.is_empty());
}
