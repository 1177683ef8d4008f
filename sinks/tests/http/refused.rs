//! Records and requests that the service will not take.

use auditline_sinks::Delivery;
use auditline_sinks::contract::{self, numbered, server};
use serde_json::json;

use crate::place::{HTTP, refusal, requests, sink, with};
use crate::siem::Mock;

#[tokio::test]
async fn what_is_too_large_is_halved_until_one_is_left() {
    let Some(base) = server("what_is_too_large_is_halved_until_one_is_left", "http", HTTP) else { return };
    // Uncompressed, the server answers while we are still sending.
    for compression in ["gzip", "none"] {
        halves(&base, compression).await;
    }
}

async fn halves(base: &str, compression: &str) {
    let name = contract::unique("halves");
    // The server takes a million bytes.
    let body = |n: usize, size: usize| format!(r#"{{"n":{n},"x":"{}"}}"#, "x".repeat(size));
    let sizes = [10, 400_000, 400_000, 400_000, 1_200_000, 10, 300_000];
    let batch = contract::batch_of("halves", 1, sizes.iter().enumerate().map(|(n, size)| body(n, *size)));
    let sink = sink(json!({
        "url": format!("{base}/in/{name}"), "format": "ndjson", "max_request_bytes": "8MiB", "compression": compression,
    }));
    let Delivery { rejected } = sink.deliver(&batch).await.unwrap();
    let [rejected] = rejected.as_slice() else { panic!("{rejected:?}") };
    assert_eq!(rejected.at, 4);
    assert!(rejected.reason.contains("413"), "{}", rejected.reason);
    let arrived = requests(base, &format!("in/{name}")).await;
    let arrived: String = arrived.into_iter().map(|(_, body)| body).collect();
    let mut expected = contract::texts(&[batch]);
    expected.remove(4);
    assert!(arrived.lines().eq(expected.iter().map(String::as_str)), "not what was sent, or not in order");
}

#[tokio::test]
async fn a_record_the_service_refuses_stops_or_is_found() {
    let Some(base) = server("a_record_the_service_refuses_stops_or_is_found", "http", HTTP) else { return };
    let name = contract::unique("picky");
    let mut batch = numbered("picky", 1, 20);
    batch.records[13].json = r#"{"refuse":1}"#.into();
    let config = json!({ "url": format!("{base}/picky/{name}"), "format": "json_array" });
    let (message, hint) = refusal(sink(config.clone()).deliver(&batch).await);
    assert!(message.contains("400 Bad Request") && message.contains("not to my taste"), "{message}");
    assert!(hint.contains("on_400 = \"bisect\""), "{hint}");
    let sink = sink(with(config, json!({ "on_400": "bisect" })));
    let Delivery { rejected } = sink.deliver(&batch).await.unwrap();
    let places: Vec<usize> = rejected.iter().map(|rejected| rejected.at).collect();
    assert_eq!(places, [13]);
    // Whether a batch of which nothing is taken is given up, the engine decides.
    let all = contract::batch_of("picky", 21, [r#"{"refuse":1}"#; 12]);
    assert_eq!(sink.deliver(&all).await.unwrap().rejected.len(), 12);
}

#[tokio::test]
async fn a_service_that_refuses_everything_is_not_asked_about_each_record() {
    for (status, format, concurrency) in
        [(400, "ndjson", 1), (413, "json_array", 4), (422, "json", 1), (400, "json", 16)]
    {
        let mock = Mock::answering(vec![(status, "", "not to my taste".to_owned())]).await;
        let sink = sink(json!({
            "url": format!("{}/in", mock.url()), "format": format, "on_400": "bisect", "concurrency": concurrency,
        }));
        let Delivery { rejected } = sink.deliver(&numbered("p", 1, 1000)).await.unwrap();
        assert_eq!(rejected.len(), 1000);
        assert!(mock.requests().len() < 100, "{} requests", mock.requests().len());
        assert!(rejected.iter().all(|rejected| rejected.reason.contains("not to my taste")));
        let untried = rejected.iter().filter(|rejected| rejected.reason.starts_with("not tried, for each of "));
        assert!(untried.count() > 900);
        assert!(rejected[999].reason.starts_with("`http://"), "{}", rejected[999].reason);
    }
}

#[tokio::test]
async fn a_batch_that_begins_with_what_the_service_refuses_is_delivered_once() {
    let test = "a_batch_that_begins_with_what_the_service_refuses_is_delivered_once";
    let Some(base) = server(test, "http", HTTP) else { return };
    for (format, concurrency) in [("ndjson", 1), ("ndjson", 8), ("json", 1)] {
        let name = contract::unique("poisoned");
        let mut batch = numbered("poisoned", 1, 300);
        for record in &mut batch.records[..40] {
            record.json = r#"{"refuse":1}"#.into();
        }
        let sink = sink(json!({
            "url": format!("{base}/picky/{name}"), "format": format, "on_400": "bisect", "concurrency": concurrency,
            "max_request_records": 100,
        }));
        let Delivery { rejected } = sink.deliver(&batch).await.unwrap();
        assert!(rejected.iter().map(|rejected| rejected.at).eq(0..40), "{rejected:?}");
        let arrived = requests(&base, &format!("picky/{name}")).await;
        let mut arrived: Vec<String> =
            arrived.iter().flat_map(|(_, body)| body.lines().map(str::to_owned).collect::<Vec<_>>()).collect();
        batch.records.drain(..40);
        let mut expected = contract::texts(&[batch]);
        arrived.sort_unstable();
        expected.sort_unstable();
        assert_eq!(arrived, expected);
    }
}
