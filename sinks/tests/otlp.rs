//! The OTLP sink against the OpenTelemetry Collector's receiver, and against receivers that reject and fail.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use auditline_sinks::contract::{self, Destination, Guarantees, chain, numbered, server};
use auditline_sinks::{Delivery, DeliveryError, Sink, SinkConfig};
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value;
use prost::Message;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

mod siem;
use siem::moody::{self, Speech, trials};
use siem::{Answer, Gate, Mock};

const OTLP: &str = "AUDITLINE_TEST_OTLP";

fn sink(config: Value) -> Arc<dyn Sink> {
    let config: SinkConfig = serde_json::from_value(json!({ "otlp": config })).unwrap();
    config.build().unwrap()
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is set together with the server's address"))
}

/// The Collector's receiver. An attribute of the resource tells our records from those of other tests.
struct Receiver {
    config: Value,
    name: String,
}

impl Receiver {
    fn new(endpoint: &str, name: &str, more: Value) -> Self {
        let mut config = json!({
            "endpoint": endpoint, "resource": { "test": name }, "max_record_bytes": "64KiB",
        });
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        Self { config, name: name.to_owned() }
    }

    /// The log records the receiver wrote, as OTLP/JSON.
    async fn log_records(&self) -> Vec<Value> {
        let output = tokio::fs::read_to_string(variable("AUDITLINE_TEST_OTLP_OUTPUT")).await.unwrap();
        let whole = output.rfind('\n').map_or("", |end| &output[..end]);
        let ours = whole.lines().filter(|line| line.contains(&self.name));
        let logs = ours.map(|line| serde_json::from_str::<Value>(line).unwrap());
        let records = |logs: Value| logs["resourceLogs"][0]["scopeLogs"][0]["logRecords"].as_array().unwrap().clone();
        logs.flat_map(records).collect()
    }
}

#[async_trait]
impl Destination for Receiver {
    fn sink(&self) -> Arc<dyn Sink> {
        sink(self.config.clone())
    }

    async fn read_back(&self, _expected: usize) -> Vec<String> {
        let text = |record: &Value| record["body"]["stringValue"].as_str().unwrap_or_default().to_owned();
        self.log_records().await.iter().map(text).collect()
    }

    fn guarantees(&self) -> Guarantees {
        Guarantees { max_record_bytes: Some(64 * 1024), late_copies: true, ..Guarantees::default() }
    }
}

#[tokio::test]
async fn keeps_the_contract() {
    let Some(endpoint) = server("keeps_the_contract", "otlp", OTLP) else { return };
    contract::all(async |name| Receiver::new(&endpoint, name, json!({ "body": "json" }))).await;
}

#[tokio::test]
async fn keeps_the_contract_with_zstd_and_small_requests() {
    let Some(endpoint) = server("keeps_the_contract_with_zstd_and_small_requests", "otlp", OTLP) else { return };
    let config = json!({ "body": "json", "compression": "zstd", "max_request_bytes": "80KiB" });
    contract::all(async |name| Receiver::new(&endpoint, name, config.clone())).await;
}

#[tokio::test]
async fn the_collector_reads_what_we_mean() {
    let Some(endpoint) = server("the_collector_reads_what_we_mean", "otlp", OTLP) else { return };
    let receiver = Receiver::new(&endpoint, &contract::unique("meaning"), json!({ "compression": "none" }));
    let event =
        r#"{"severity_id":3,"severity":"Medium","type_name":"Account Change: Create","b":[1,null,2.5],"a":{"x":"y"}}"#;
    let batch = contract::batch_of("meaning", 1, [event]);
    receiver.sink().deliver(&batch).await.unwrap();
    let [record] = <[Value; 1]>::try_from(receiver.log_records().await).unwrap();
    assert_eq!(record["timeUnixNano"], "1773480414589000000");
    assert_eq!((&record["severityNumber"], &record["severityText"]), (&json!(13), &json!("Medium")));
    assert_eq!(record["eventName"], "Account Change: Create");
    assert_eq!(record["attributes"], json!([{ "key": "log.record.uid", "value": { "stringValue": "meaning-1" } }]));
    let body = &record["body"]["kvlistValue"]["values"];
    let keys: Vec<&str> = body.as_array().unwrap().iter().map(|entry| entry["key"].as_str().unwrap()).collect();
    assert_eq!(keys, ["severity_id", "severity", "type_name", "b", "a"]);
    assert_eq!(body[3]["value"]["arrayValue"]["values"], json!([{ "intValue": "1" }, {}, { "doubleValue": 2.5 }]));
}

#[tokio::test]
async fn the_collector_is_checked_and_refuses() {
    let Some(endpoint) = server("the_collector_is_checked_and_refuses", "otlp", OTLP) else { return };
    sink(json!({ "endpoint": endpoint })).check().await.unwrap();
    let elsewhere = sink(json!({ "endpoint": endpoint, "path": "/v1/lags" }));
    for outcome in [elsewhere.check().await, elsewhere.deliver(&numbered("x", 1, 1)).await.map(drop)] {
        let Err(DeliveryError::Refused { message, hint, .. }) = outcome else { panic!("{outcome:?}") };
        assert!(message.contains("404"), "{message}");
        assert!(hint.contains("`/v1/logs`"), "{hint}");
    }
    // More than this receiver is told to take in one request, and two of three halves of it are not.
    let large = |n| format!(r#"{{"n":{n},"x":"{}"}}"#, "x".repeat(2_000_000));
    let receiver = Receiver::new(
        &endpoint,
        &contract::unique("large"),
        json!({ "body": "json", "max_request_bytes": "20MiB", "max_record_bytes": "20MiB" }),
    );
    let batch = contract::batch_of("large", 1, (0..5).map(large));
    assert_eq!(receiver.sink().deliver(&batch).await.unwrap(), Delivery::default());
    assert!(receiver.read_back(5).await == contract::texts(&[batch]));
}

#[tokio::test]
async fn tls_is_verified() {
    let Some(endpoint) = server("tls_is_verified", "otlp", "AUDITLINE_TEST_OTLP_TLS") else { return };
    let tls = |ca: &str| sink(json!({ "endpoint": endpoint, "tls": { "ca": variable(ca) } }));
    tls("AUDITLINE_TEST_TLS_CA").check().await.unwrap();
    let Err(DeliveryError::Refused { message, .. }) = tls("AUDITLINE_TEST_TLS_WRONG_CA").check().await else {
        panic!("an authority that signed nothing is trusted");
    };
    assert!(message.contains("an authority we do not trust"), "{message}");
}

/// A receiver that rejects records with `bad` in them, and keeps the others. It answers as the protocol says.
struct Rejecting {
    endpoint: String,
    /// The bodies of the records it took, in the order of arrival.
    taken: Arc<Mutex<Vec<String>>>,
    /// How many log records each request held.
    requests: Arc<Mutex<Vec<usize>>>,
}

impl Rejecting {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let (taken, requests) = (Arc::<Mutex<Vec<String>>>::default(), Arc::<Mutex<Vec<usize>>>::default());
        let (to, counts) = (Arc::clone(&taken), Arc::clone(&requests));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                while let Some(body) = request(&mut stream).await {
                    let answer = judge(&body, &to, &counts).encode_to_vec();
                    let head = format!(
                        "HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: {}\r\n\r\n",
                        answer.len()
                    );
                    stream.write_all(&[head.as_bytes(), &answer].concat()).await.unwrap();
                }
            }
        });
        Self { endpoint, taken, requests }
    }
}

fn judge(body: &[u8], taken: &Mutex<Vec<String>>, counts: &Mutex<Vec<usize>>) -> ExportLogsServiceResponse {
    let request = ExportLogsServiceRequest::decode(body).unwrap();
    let records: Vec<String> = request
        .resource_logs
        .into_iter()
        .flat_map(|logs| logs.scope_logs)
        .flat_map(|logs| logs.log_records)
        .map(|record| format!("{:?}", record.body.unwrap()))
        .collect();
    counts.lock().unwrap().push(records.len());
    let (bad, good): (Vec<String>, Vec<String>) = records.into_iter().partition(|body| body.contains("bad"));
    taken.lock().unwrap().extend(good);
    let partial = ExportLogsPartialSuccess {
        rejected_log_records: bad.len().try_into().unwrap(),
        error_message: if bad.is_empty() { String::new() } else { "too bad".to_owned() },
    };
    ExportLogsServiceResponse { partial_success: Some(partial) }
}

/// The body of a request, which tells its length; `None` when the client is done.
async fn request(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut request = Vec::new();
    loop {
        if let Some(end) = request.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&request[..end]).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
            let body = request.split_off(end + 4);
            if body.len() >= length.parse().unwrap() {
                return Some(body);
            }
            request.extend(body);
        }
        let mut chunk = [0; 65536];
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => return None,
            Ok(count) => request.extend_from_slice(&chunk[..count]),
        }
    }
}

#[tokio::test]
async fn the_rejected_are_found_and_the_others_are_there() {
    for bad in [vec![], vec![0], vec![5], vec![15], vec![3, 4], vec![0, 8, 15], (0..8).collect(), (0..16).collect()] {
        let receiver = Rejecting::start().await;
        let mut batch = numbered("partial", 1, 16);
        for at in &bad {
            batch.records[*at].json = format!(r#"{{"bad":{at}}}"#).into();
        }
        let sink = sink(json!({ "endpoint": receiver.endpoint, "body": "json", "compression": "none" }));
        let Delivery { rejected } = sink.deliver(&batch).await.unwrap();
        assert_eq!(rejected.iter().map(|rejected| rejected.at).collect::<Vec<_>>(), bad);
        assert!(rejected.iter().all(|rejected| rejected.reason.ends_with("rejected the record: too bad")));
        let taken = receiver.taken.lock().unwrap().join("\n");
        for (at, text) in contract::texts(&[batch]).iter().enumerate() {
            assert_eq!(taken.contains(&text.escape_debug().to_string()), !bad.contains(&at), "{text} {taken}");
        }
        // Where all of it was rejected, nothing is sent a second time.
        let requests = receiver.requests.lock().unwrap().clone();
        match bad.len() {
            0 | 16 => assert_eq!(requests, [16]),
            8 => assert_eq!(requests, [16, 8, 8]),
            1 => assert!(requests.len() <= 2 * 4 + 1, "{requests:?}"),
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_receiver_that_refuses_everything_is_not_asked_about_each_record() {
    for (status, config) in [(400, json!({ "on_400": "bisect" })), (413, json!({}))] {
        let mock = Mock::answering(vec![(status, "", "no such thing".to_owned())]).await;
        let mut config = config;
        config["endpoint"] = json!(mock.url());
        let Delivery { rejected } = sink(config).deliver(&numbered("p", 1, 1000)).await.unwrap();
        assert_eq!(rejected.len(), 1000);
        assert!(mock.requests().len() < 60, "{} requests", mock.requests().len());
        assert!(rejected.iter().all(|rejected| rejected.reason.contains("no such thing")));
    }
}

fn taken() -> Answer {
    (200, "Content-Type: application/x-protobuf\r\n", String::new())
}

fn busy() -> Answer {
    (503, "", "busy".to_owned())
}

fn rejecting(count: i64) -> Answer {
    let partial = ExportLogsPartialSuccess { rejected_log_records: count, error_message: "too bad".to_owned() };
    let answer = ExportLogsServiceResponse { partial_success: Some(partial) }.encode_to_vec();
    (200, "Content-Type: application/x-protobuf\r\n", String::from_utf8(answer).unwrap())
}

/// The numbers of a request's records.
fn numbers(request: &siem::Request) -> Vec<u64> {
    let request = ExportLogsServiceRequest::decode(&*request.body).unwrap();
    let scopes = request.resource_logs.into_iter().flat_map(|logs| logs.scope_logs);
    let bodies = scopes.flat_map(|logs| logs.log_records).map(|record| record.body.unwrap().value.unwrap());
    let number = |body| match body {
        any_value::Value::StringValue(text) => serde_json::from_str::<Value>(&text).unwrap()["n"].as_u64().unwrap(),
        other => panic!("{other:?}"),
    };
    bodies.map(number).collect()
}

/// In small requests that can be read.
fn plain(endpoint: &str) -> Arc<dyn Sink> {
    sink(json!({
        "endpoint": endpoint, "body": "json", "compression": "none", "max_request_bytes": "1KiB", "on_400": "bisect",
    }))
}

fn retryable(outcome: Result<Delivery, DeliveryError>) {
    assert!(matches!(outcome, Err(DeliveryError::Retryable { .. })), "{outcome:?}");
}

// Each attempt sent the batch from its beginning.
#[tokio::test]
async fn requests_before_a_failed_one_are_not_sent_again() {
    let sent = |mock: &Mock| mock.requests().iter().map(numbers).collect::<Vec<_>>();
    let batch = numbered("p", 1, 30);
    let mock = Mock::answering(vec![taken()]).await;
    plain(&mock.url()).deliver(&batch).await.unwrap();
    let mut expected = sent(&mock);
    assert!(expected.len() > 3, "{expected:?}");
    let mock = Mock::answering(vec![taken(), taken(), busy(), busy(), taken()]).await;
    let sink = plain(&mock.url());
    retryable(sink.deliver(&batch).await);
    retryable(sink.deliver(&batch).await);
    assert_eq!(sink.deliver(&batch).await.unwrap(), Delivery::default());
    let third = expected[2].clone();
    expected.splice(2..2, [third.clone(), third]);
    assert_eq!(sent(&mock), expected);
}

#[tokio::test]
async fn what_was_rejected_before_a_failure_is_told_once() {
    let answers = vec![rejecting(1), rejecting(1), rejecting(1), taken(), busy(), taken()];
    let mock = Mock::answering(answers).await;
    let (sink, batch) = (plain(&mock.url()), numbered("p", 1, 4));
    retryable(sink.deliver(&batch).await);
    let Delivery { rejected } = sink.deliver(&batch).await.unwrap();
    assert_eq!(rejected.iter().map(|rejected| rejected.at).collect::<Vec<_>>(), [0]);
    let sent: Vec<Vec<u64>> = mock.requests().iter().map(numbers).collect();
    let expected: [&[u64]; 6] = [&[1, 2, 3, 4], &[1, 2], &[1], &[2], &[3, 4], &[3, 4]];
    assert_eq!(sent, expected);
}

#[tokio::test]
async fn a_collector_that_is_busy_now_and_then_has_each_record_once() {
    let test = "a_collector_that_is_busy_now_and_then_has_each_record_once";
    let Some(endpoint) = server(test, "otlp", OTLP) else { return };
    let gate = Gate::busy_at(&endpoint, &[1, 3, 4]).await;
    let config = json!({ "body": "json", "max_request_bytes": "1KiB" });
    let receiver = Receiver::new(&gate.url(), &contract::unique("busy"), config);
    let (sink, batch) = (receiver.sink(), numbered("busy", 1, 30));
    for _ in 0..3 {
        retryable(sink.deliver(&batch).await);
    }
    assert_eq!(sink.deliver(&batch).await.unwrap(), Delivery::default());
    assert_eq!(receiver.read_back(30).await, contract::texts(&[batch]));
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 32, ..Default::default() })]
    #[test]
    fn whatever_a_receiver_does_each_record_is_taken_once_or_rejected(trial in trials()) {
        let refused = |_| ((400, "", "no such thing".to_owned()), 0);
        moody::holds(&trial, Speech { numbers, busy: busy(), taken: taken(), refused }, plain)?;
    }
}

async fn answering(answer: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            if request(&mut stream).await.is_some() {
                let _ = stream.write_all(&answer).await;
            }
        }
    });
    format!("http://{address}")
}

fn response(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\n{headers}Connection: close\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

async fn outcome(answer: Vec<u8>) -> Result<Delivery, DeliveryError> {
    let endpoint = answering(answer).await;
    sink(json!({ "endpoint": endpoint })).deliver(&numbered("fault", 1, 1)).await
}

#[tokio::test]
async fn statuses_mean_what_the_protocol_says() {
    for status in [
        "408 Request Timeout",
        "425 Too Early",
        "429 Too Many Requests",
        "502 Bad Gateway",
        "503 Service Unavailable",
        "504 Gateway Timeout",
        "507 Insufficient Storage",
    ] {
        let outcome = outcome(response(status, "Retry-After: 3\r\n", b"")).await;
        let Err(DeliveryError::Retryable { retry_after, .. }) = outcome else { panic!("{status}: {outcome:?}") };
        assert_eq!(retry_after, Some(Duration::from_secs(3)));
    }
    for (status, to_do) in [
        ("400 Bad Request", "`on_400 = \"bisect\"`"),
        ("401 Unauthorized", "check `auth` and `secret_headers`, and that these credentials may write logs"),
        ("403 Forbidden", "check `auth` and `secret_headers`, and that these credentials may write logs"),
        ("404 Not Found", "check `endpoint` and `path`"),
        ("500 Internal Server Error", "see the receiver's own log"),
        ("501 Not Implemented", "check `endpoint` and `path`"),
        ("505 HTTP Version Not Supported", "check `endpoint` and `path`"),
    ] {
        let endpoint = answering(response(status, "", b"so it is")).await;
        let outcome = sink(json!({ "endpoint": endpoint })).deliver(&numbered("fault", 1, 1)).await;
        let Err(DeliveryError::Refused { message, hint, .. }) = outcome else { panic!("{status}: {outcome:?}") };
        assert_eq!(message, format!("`{endpoint}` answered {status}: so it is"));
        assert!(hint.contains(to_do), "{status}: {hint}");
    }
    // google.rpc.Status: code 3, message "no such field".
    let status = b"\x08\x03\x12\x0dno such field";
    let told = outcome(response("400 Bad Request", "Content-Type: application/x-protobuf\r\n", status)).await;
    assert!(chain(&told.unwrap_err()).ends_with("answered 400 Bad Request: no such field"));
}

#[tokio::test]
async fn a_200_of_something_else_is_no_success() {
    for (headers, body) in [
        ("Content-Type: text/html\r\n", b"<html><title>Sign in</title></html>".as_slice()),
        ("", b"welcome".as_slice()),
        ("Content-Type: application/x-protobuf\r\n", b"\xff\xff\xff".as_slice()),
        ("Content-Type: application/json\r\n", b"[]".as_slice()),
        ("Content-Type: text/html\r\n", b"".as_slice()),
        ("Content-Type: application/json\r\n", b"{\"code\":16,\"message\":\"unauthenticated\"}".as_slice()),
    ] {
        let outcome = outcome(response("200 OK", headers, body)).await;
        let Err(DeliveryError::Refused { hint, .. }) = outcome else { panic!("{headers}: {outcome:?}") };
        assert!(hint.contains("no OTLP receiver"), "{hint}");
    }
    for (headers, body) in [
        ("", b"".as_slice()),
        ("Content-Type: application/json; charset=utf-8\r\n", b"{\"partialSuccess\":{}}".as_slice()),
    ] {
        assert_eq!(outcome(response("200 OK", headers, body)).await.unwrap(), Delivery::default());
    }
    assert_eq!(outcome(response("204 No Content", "", b"")).await.unwrap(), Delivery::default());
    for json in [
        br#"{"partialSuccess":{"rejectedLogRecords":"1","errorMessage":"too old"}}"#.as_slice(),
        br#"{"partial_success":{"rejected_log_records":1,"error_message":"too old"}}"#.as_slice(),
    ] {
        let delivery = outcome(response("200 OK", "Content-Type: application/json\r\n", json)).await.unwrap();
        assert!(delivery.rejected[0].reason.ends_with("too old"), "{delivery:?}");
    }
}

// Grafana Loki refuses a request without records, and so every check of it failed.
#[tokio::test]
async fn a_receiver_that_wants_records_is_one() {
    let status = b"\x08\x03\x12\x07no logs";
    let missing = b"error at least one valid stream is required for ingestion\n".as_slice();
    for (status, headers, body, is_one) in [
        ("422 Unprocessable Entity", "", missing, true),
        ("400 Bad Request", "Content-Type: text/plain\r\n", missing, true),
        ("400 Bad Request", "Content-Type: application/x-protobuf\r\n", status.as_slice(), true),
        ("400 Bad Request", "Content-Type: text/html\r\n", b"<title>Bad Request</title>", false),
        ("401 Unauthorized", "Content-Type: application/x-protobuf\r\n", status.as_slice(), false),
    ] {
        let endpoint = answering(response(status, headers, body)).await;
        let checked = sink(json!({ "endpoint": endpoint })).check().await;
        assert_eq!(checked.is_ok(), is_one, "{status} {headers}: {checked:?}");
    }
}

#[tokio::test]
async fn a_receiver_that_is_not_there_or_says_nothing_is_told() {
    let (_closed, free) = contract::closed_port();
    let endpoint = format!("http://{free}");
    let closed = sink(json!({ "endpoint": endpoint }));
    for outcome in [closed.check().await, closed.deliver(&numbered("gone", 1, 3)).await.map(drop)] {
        let Err(error @ DeliveryError::Retryable { .. }) = outcome else { panic!("{outcome:?}") };
        assert_eq!(error.to_string(), format!("nobody listens at `{endpoint}`: check that it runs, and its port"));
    }
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let silent_one = sink(json!({ "endpoint": endpoint, "timeout": "1s" }));
    for outcome in [silent_one.check().await, silent_one.deliver(&numbered("gone", 1, 3)).await.map(drop)] {
        let Err(error @ DeliveryError::Retryable { .. }) = outcome else { panic!("{outcome:?}") };
        let told = format!("`{endpoint}` did not answer within 1s: see its log, or raise `timeout`");
        assert_eq!(error.to_string(), told);
    }
    drop(silent);
}

#[test]
fn what_cannot_work_is_refused_when_it_is_built() {
    for (config, key) in [
        (json!({ "endpoint": "http://otel.example.com:4318" }), "endpoint"),
        (json!({ "endpoint": "https://otel.example.com/v1/logs" }), "endpoint"),
        (json!({ "endpoint": "https://otel.example.com", "path": "v1/logs" }), "path"),
        (json!({ "endpoint": "https://otel.example.com", "max_request_bytes": "1B" }), "max_request_bytes"),
        (json!({ "endpoint": "http://127.0.0.1:4318", "tls": {} }), "tls"),
    ] {
        let parsed: SinkConfig = serde_json::from_value(json!({ "otlp": config })).unwrap();
        assert_eq!(parsed.build().err().unwrap().key, key, "{config}");
    }
}
