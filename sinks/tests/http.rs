//! The HTTP sink against a real server, and against servers that misbehave.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use auditline_sinks::contract::{self, Destination, Guarantees, chain, numbered, server};
use auditline_sinks::{Batch, Delivery, DeliveryError, Sink, SinkConfig};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

mod siem;
use siem::Mock;

const HTTP: &str = "AUDITLINE_TEST_HTTP";
const TLS: &str = "AUDITLINE_TEST_HTTP_TLS";
const MUTUAL: &str = "AUDITLINE_TEST_HTTP_MUTUAL";
/// What the receiver takes for a token, a password and a key.
const TOKEN: &str = "opens-nothing-either";

fn sink(config: Value) -> Arc<dyn Sink> {
    let config: SinkConfig = serde_json::from_value(json!({ "http": config })).unwrap();
    config.build().unwrap()
}

/// `config` with the keys of `more`.
fn with(mut config: Value, more: Value) -> Value {
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    config
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is set together with the server's address"))
}

fn refusal<T: std::fmt::Debug>(outcome: Result<T, DeliveryError>) -> (String, String) {
    match outcome {
        Err(error) => {
            let message = chain(&error);
            assert!(!message.contains(TOKEN) && !message.contains("hunter2"), "{message}");
            let DeliveryError::Refused { hint, .. } = error else { panic!("{error:?}") };
            (message, hint)
        }
        other => panic!("{other:?}"),
    }
}

fn passing<T: std::fmt::Debug>(outcome: Result<T, DeliveryError>) -> (String, Option<Duration>) {
    match outcome {
        Err(error) => {
            let message = chain(&error);
            let DeliveryError::Retryable { retry_after, .. } = error else { panic!("{error:?}") };
            (message, retry_after)
        }
        other => panic!("{other:?}"),
    }
}

/// A path nobody else uses.
struct Intake {
    base: String,
    path: String,
    config: Value,
}

impl Intake {
    fn new(base: &str, name: &str, config: Value) -> Self {
        let path = format!("in/{name}");
        let config = with(config, json!({ "url": format!("{base}/{path}"), "max_record_bytes": "64KiB" }));
        Self { base: base.to_owned(), path, config }
    }

    /// Headers and body of every request, in the order of arrival.
    async fn requests(&self) -> Vec<(Value, String)> {
        requests(&self.base, &self.path).await
    }
}

async fn requests(base: &str, path: &str) -> Vec<(Value, String)> {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let text = client.get(format!("{base}/stored/{path}")).send().await.unwrap().text().await.unwrap();
    let request = |line: &str| {
        let mut request: Value = serde_json::from_str(line).unwrap();
        (request["headers"].take(), request["body"].as_str().unwrap().to_owned())
    };
    text.lines().map(request).collect()
}

#[async_trait]
impl Destination for Intake {
    fn sink(&self) -> Arc<dyn Sink> {
        sink(self.config.clone())
    }

    async fn read_back(&self, _expected: usize) -> Vec<String> {
        let is_array = self.config["format"] == "json_array";
        let texts = |body: &str| -> Vec<String> {
            if !is_array {
                return body.lines().map(str::to_owned).collect();
            }
            let items: Vec<Box<RawValue>> = serde_json::from_str(body).unwrap();
            items.iter().map(|item| item.get().to_owned()).collect()
        };
        self.requests().await.iter().flat_map(|(_, body)| texts(body)).collect()
    }

    fn guarantees(&self) -> Guarantees {
        Guarantees { max_record_bytes: Some(64 * 1024), late_copies: true, ..Guarantees::default() }
    }
}

#[tokio::test]
async fn keeps_the_contract() {
    let Some(base) = server("keeps_the_contract", "http", HTTP) else { return };
    contract::all(async |name| Intake::new(&base, name, json!({ "format": "ndjson" }))).await;
}

#[tokio::test]
async fn keeps_the_contract_with_small_arrays() {
    let Some(base) = server("keeps_the_contract_with_small_arrays", "http", HTTP) else { return };
    let config = json!({
        "format": "json_array", "compression": "none", "method": "PUT",
        "max_request_bytes": "80KiB", "max_request_records": 7,
    });
    contract::all(async |name| Intake::new(&base, name, config.clone())).await;
}

#[tokio::test]
async fn keeps_the_contract_with_a_request_for_each_record() {
    let Some(base) = server("keeps_the_contract_with_a_request_for_each_record", "http", HTTP) else { return };
    contract::all(async |name| Intake::new(&base, name, json!({ "format": "json" }))).await;
}

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

/// Answers every request with the same bytes, as soon as its head is there, and closes.
async fn answering(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = Vec::new();
                while !request.windows(4).any(|window| window == b"\r\n\r\n") {
                    let mut chunk = [0; 4096];
                    match stream.read(&mut chunk).await {
                        Ok(0) | Err(_) => return,
                        Ok(count) => request.extend_from_slice(&chunk[..count]),
                    }
                }
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.shutdown().await;
                let mut rest = Vec::new();
                let _ = stream.read_to_end(&mut rest).await;
            });
        }
    });
    format!("http://{address}")
}

async fn outcome(base: &str, more: Value) -> Result<Delivery, DeliveryError> {
    let config = with(json!({ "url": format!("{base}/in"), "format": "ndjson" }), more);
    sink(config).deliver(&numbered("fault", 1, 3)).await
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told() {
    let (_closed, free) = contract::closed_port();
    let (message, _) = passing(outcome(&format!("http://{free}"), json!({})).await);
    assert!(message.starts_with(&format!("nobody listens at `http://{free}`")), "{message}");
    let more = json!({ "allow_http": true });
    let (message, _) = passing(outcome("http://no-such-host.invalid:9", more).await);
    assert!(message.starts_with("the name in `http://no-such-host.invalid:9` cannot be resolved"), "{message}");
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let keep = tokio::spawn(async move {
        let mut streams = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            streams.push(stream);
        }
    });
    let (message, _) = passing(outcome(&base, json!({ "timeout": "1s" })).await);
    assert!(message.starts_with(&format!("`{base}` did not answer within 1s")), "{message}");
    keep.abort();
}

#[tokio::test]
async fn answers_that_are_none_are_told() {
    let (message, hint) = refusal(outcome(&answering("220 mail.example.com ESMTP\r\n").await, json!({})).await);
    assert!(message.contains("does not speak HTTP"), "{message}");
    assert!(hint.contains("port"), "{hint}");
    let (message, _) = passing(outcome(&answering("").await, json!({})).await);
    assert!(message.contains("broke before an answer was complete"), "{message}");
    let half = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{";
    let (message, _) = passing(outcome(&answering(half).await, json!({})).await);
    assert!(message.contains("broke before an answer was complete"), "{message}");
    // Without TLS at the other end, which answers what it takes for a broken request.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("https://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
            let _ = stream.read(&mut [0; 4096]).await;
        }
    });
    let tls = json!({ "tls": { "insecure": "any certificate is accepted" } });
    let (message, hint) = refusal(outcome(&base, tls).await);
    assert!(message.contains("does not speak TLS"), "{message}");
    assert!(hint.contains("`http://`"), "{hint}");
}

// Whether the greeting was heard before the request was written was up to chance, and so was what the log said each minute.
#[tokio::test]
async fn a_server_that_speaks_first_is_told_in_one_way() {
    for greeting in ["220 mail.example.com ESMTP\r\n", "SSH-2.0-OpenSSH_9.2\r\n", "\u{1}\u{0}binary"] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    stream.write_all(greeting.as_bytes()).await?;
                    stream.read_to_end(&mut Vec::new()).await
                });
            }
        });
        let config = json!({ "url": format!("{base}/in"), "format": "ndjson" });
        let (kept, told) = (sink(config.clone()), format!("what answers at `{base}` does not speak HTTP"));
        for _ in 0..10 {
            for sink in [&kept, &sink(config.clone())] {
                for outcome in [sink.deliver(&numbered("first", 1, 3)).await.map(drop), sink.check().await] {
                    let (message, hint) = refusal(outcome);
                    assert!(message.starts_with(&told), "{message}");
                    assert!(hint.contains("port"), "{hint}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_check_that_nobody_has_set_is_not_to_be_checked() {
    let large = "HTTP/1.1 413 Payload Too Large\r\nContent-Length: 0\r\n\r\n";
    let config = json!({ "url": format!("{}/in", answering(large).await), "format": "ndjson" });
    let (message, hint) = refusal(sink(config.clone()).check().await);
    assert!(message.contains("413") && hint.starts_with("check `url`"), "{message} {hint}");
    let (_, hint) = refusal(sink(with(config, json!({ "check": { "method": "GET" } }))).check().await);
    assert_eq!(hint, "check `check`");
}

#[tokio::test]
async fn statuses_say_what_to_do() {
    let throttled = "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 17\r\nContent-Length: 4\r\n\r\nslow";
    let (message, wait) = passing(outcome(&answering(throttled).await, json!({})).await);
    assert!(message.ends_with("answered 429 Too Many Requests: slow"), "{message}");
    assert_eq!(wait, Some(Duration::from_secs(17)));
    let down = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(passing(outcome(&answering(down).await, json!({})).await).1, None);
    let moved =
        "HTTP/1.1 308 Permanent Redirect\r\nLocation: https://other.example.com/in?t=1\r\nContent-Length: 0\r\n\r\n";
    let (message, _) = refusal(outcome(&answering(moved).await, json!({})).await);
    assert!(message.contains("sends us to `https://other.example.com/in` (308"), "{message}");
    let gone = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
    let (_, hint) = refusal(outcome(&answering(gone).await, json!({})).await);
    assert!(hint.contains("`url`"), "{hint}");
    let conflict = "HTTP/1.1 409 Conflict\r\nContent-Length: 0\r\n\r\n";
    refusal(outcome(&answering(conflict).await, json!({})).await);
    passing(outcome(&answering(conflict).await, json!({ "answers": { "retry": [409] } })).await);
    outcome(&answering(conflict).await, json!({ "answers": { "taken": [200, 409] } })).await.unwrap();
}

#[tokio::test]
async fn an_answer_that_comes_before_the_end_of_a_request_counts() {
    // Answers as soon as it has the head, and closes on the body that is still coming.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4096]).await;
            let answer = b"HTTP/1.1 413 Payload Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
            let _ = stream.write_all(answer).await;
        }
    });
    let config = json!({
        "url": format!("{base}/in"), "format": "ndjson", "compression": "none", "max_request_bytes": "64MiB",
    });
    let large = format!(r#"{{"x":"{}"}}"#, "x".repeat(20_000_000));
    let outcome = sink(config).deliver(&contract::batch_of("early", 1, [large])).await;
    assert_eq!(outcome.unwrap().rejected.len(), 1);
}

#[tokio::test]
async fn a_body_may_tell_of_a_failure_under_a_200() {
    let failed = "HTTP/1.1 200 OK\r\nContent-Length: 36\r\n\r\n{\"status\":\"error\",\"errors\":[\"full\"]}";
    let base = answering(failed).await;
    outcome(&base, json!({})).await.unwrap();
    for answers in [json!({ "failed_at": "/errors" }), json!({ "expect": { "/status": "ok" } })] {
        let (message, _) = passing(outcome(&base, json!({ "answers": answers })).await);
        assert!(message.contains("full") || message.contains("error"), "{message}");
    }
    let base = answering("HTTP/1.1 200 OK\r\nContent-Length: 29\r\n\r\n{\"status\":\"ok\",\"errors\":null}").await;
    for answers in [json!({ "failed_at": "/errors" }), json!({ "expect": { "/status": "ok" } })] {
        outcome(&base, json!({ "answers": answers })).await.unwrap();
    }
    // What is looked into and is not even JSON is no success; nothing at all tells of no failure.
    let base = answering("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nwelcome").await;
    passing(outcome(&base, json!({ "answers": { "expect": { "/status": "ok" } } })).await);
    passing(outcome(&base, json!({ "answers": { "failed_at": "/errors" } })).await);
    let base = answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    outcome(&base, json!({ "answers": { "failed_at": "/errors" } })).await.unwrap();
}

#[tokio::test]
async fn what_cannot_work_is_refused_when_it_is_built() {
    let build = |more: Value| {
        let config = with(json!({ "url": "https://siem.example.com/in", "format": "ndjson" }), more);
        let config: SinkConfig = serde_json::from_value(json!({ "http": config })).unwrap();
        config.build().err().map(|error| error.key)
    };
    assert_eq!(build(json!({})), None);
    for (more, key) in [
        (json!({ "url": "http://siem.example.com/in" }), "url"),
        (json!({ "secret_path": "s" }), "url"),
        (json!({ "url": "http://127.0.0.1/in", "tls": {} }), "tls"),
        (json!({ "headers": { "Authorization": "Bearer x" } }), "headers.authorization"),
        (json!({ "headers": { "X-Day": "{date}" } }), "headers.x-day"),
        (json!({ "secret_headers": { "X-Key": "a\nb" } }), "secret_headers.x-key"),
        (json!({ "auth": { "bearer": "a\nb" } }), "auth.bearer"),
        (json!({ "max_request_bytes": "10B" }), "max_request_bytes"),
        (json!({ "max_request_records": 0 }), "max_request_records"),
        (json!({ "concurrency": 0 }), "concurrency"),
        (json!({ "answers": { "failed_at": "errors" } }), "answers.failed_at"),
        (json!({ "answers": { "retry": [99] } }), "answers.retry"),
        (json!({ "tls": { "cert": "a.pem" } }), "tls.cert"),
    ] {
        assert_eq!(build(more.clone()).as_deref(), Some(key), "{more}");
    }
}

#[tokio::test]
async fn requests_may_run_side_by_side() {
    let Some(base) = server("requests_may_run_side_by_side", "http", HTTP) else { return };
    let name = contract::unique("side");
    let sink = sink(json!({
        "url": format!("{base}/in/{name}"), "format": "ndjson", "concurrency": 8, "max_request_records": 5,
    }));
    let batch: Batch = numbered("side", 1, 200);
    sink.deliver(&batch).await.unwrap();
    let arrived = requests(&base, &format!("in/{name}")).await;
    assert_eq!(arrived.len(), 40);
    let mut lines: Vec<&str> = arrived.iter().flat_map(|(_, body)| body.lines()).collect();
    let mut expected = contract::texts(&[batch]);
    lines.sort_unstable();
    expected.sort_unstable();
    assert!(lines.iter().eq(expected.iter()));
}
