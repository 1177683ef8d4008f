//! The Splunk sink against VictoriaLogs, which takes what Splunk's collector does and was not written by us, and against
//! vmauth in front of it. What neither of them does (acknowledgements, codes for single events) is in `splunk_hec.rs`.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use auditline_sinks::contract::{self, Destination, Guarantees, server};
use auditline_sinks::{Delivery, DeliveryError, Sink, SinkConfig};
use chrono::DateTime;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use url::Url;

const PLAIN: &str = "AUDITLINE_TEST_VICTORIALOGS";
const TLS: &str = "AUDITLINE_TEST_VICTORIALOGS_TLS";

const TOKEN: &str = "opens-nothing";

fn sink(config: Value) -> Arc<dyn Sink> {
    let config: SinkConfig = serde_json::from_value(json!({ "splunk_hec": config })).unwrap();
    config.build().unwrap_or_else(|error| panic!("{}: {}", error.key, error.message))
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is set together with the server's address"))
}

/// What VictoriaLogs has of one source.
struct Source {
    config: Value,
    queries: String,
}

impl Source {
    fn new(url: &str, name: &str) -> Self {
        Self::asked_at(&variable("AUDITLINE_TEST_VICTORIALOGS_QUERY"), url, name)
    }

    /// Delivers to one address and reads from another.
    fn asked_at(queries: &str, url: &str, name: &str) -> Self {
        let config = json!({ "url": url, "token": TOKEN, "source": name });
        Self { config, queries: queries.to_owned() }
    }

    fn with(mut self, more: Value) -> Self {
        self.config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self
    }

    fn sink(&self) -> Arc<dyn Sink> {
        sink(self.config.clone())
    }

    /// What a person finds who asks for this source and what else `query` says.
    async fn find(&self, query: &str) -> Vec<Value> {
        self.get("internal/force_flush", "").await;
        let query = format!("source:={} {query}", self.config["source"]);
        let found = self.get("select/logsql/query", &query).await;
        found.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    async fn get(&self, path: &str, query: &str) -> String {
        let mut url = Url::parse(&format!("{}/{path}", self.queries)).unwrap();
        url.query_pairs_mut().append_pair("query", query);
        let answer = reqwest::Client::builder().no_proxy().build().unwrap().get(url).send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{path} {query}: {status} {text}");
        text
    }

    async fn texts(&self) -> Vec<String> {
        let found = self.find("| sort by (_time) | fields _msg").await;
        found.iter().map(|event| event["_msg"].as_str().unwrap().to_owned()).collect()
    }
}

#[async_trait]
impl Destination for Source {
    fn sink(&self) -> Arc<dyn Sink> {
        Source::sink(self)
    }

    // By the records' times, which is the order they were sent in: VictoriaLogs keeps none of arrival.
    async fn read_back(&self, _expected: usize) -> Vec<String> {
        self.texts().await
    }

    // It leaves out what is longer than two megabytes, and answers that it took it.
    fn guarantees(&self) -> Guarantees {
        Guarantees::default()
    }
}

#[tokio::test]
async fn keeps_the_contract() {
    let Some(url) = server("keeps_the_contract", "victorialogs", PLAIN) else { return };
    contract::all(async |name: &str| Source::new(&url, name)).await;
}

#[tokio::test]
async fn keeps_the_contract_over_tls_uncompressed_and_in_small_requests() {
    let test = "keeps_the_contract_over_tls_uncompressed_and_in_small_requests";
    let Some(url) = server(test, "victorialogs", TLS) else { return };
    let more = json!({
        "tls": { "ca": variable("AUDITLINE_TEST_TLS_CA") }, "compression": "none", "max_request_bytes": "10KiB",
    });
    contract::all(async |name: &str| Source::new(&url, name).with(more.clone())).await;
}

#[tokio::test]
async fn a_person_finds_an_event_by_its_time_its_id_and_where_it_is_from() {
    let test = "a_person_finds_an_event_by_its_time_its_id_and_where_it_is_from";
    let Some(url) = server(test, "victorialogs", PLAIN) else { return };
    let source = Source::new(&url, &contract::unique("found")).with(json!({
        "index": "audit_{vendor}", "host": "{vendor}.example.com", "fields": { "auditline_id": "{id}", "day": "{date}" },
    }));
    let mut batch = contract::numbered("corp", 1, 3);
    batch.records[1].time = "1966-12-31T23:59:58.5Z".parse().unwrap();
    batch.records[2].time = DateTime::from_timestamp(1_773_480_413, 123_456_789).unwrap();
    batch.records[2].id = "of \"no\"\nother = kind \u{1f98a}".to_owned();
    source.sink().deliver(&batch).await.unwrap();
    let found = source.find("| sort by (_time) | delete _stream, _stream_id").await;
    let expected =
        [(1, "1966-12-31T23:59:58.5Z"), (2, "2026-03-14T09:26:53.123456789Z"), (0, "2026-03-14T09:26:54.589Z")];
    let expected = expected.map(|(at, time)| {
        let record = &batch.records[at];
        json!({
            "_time": time,
            "_msg": String::from_utf8(record.json.to_vec()).unwrap(),
            "host": "example.example.com",
            "index": "audit_example",
            "source": source.config["source"],
            "sourcetype": "auditline:example",
            "fields.auditline_id": record.id,
            "fields.day": &time[..10],
        })
    });
    assert_eq!(found, expected);
    let by_all = "host:=\"example.example.com\" index:=audit_example sourcetype:=\"auditline:example\" \
                  fields.auditline_id:=corp-1 _time:2026-03-14T09:26:54Z | unpack_json | filter pipeline:=corp n:=1";
    assert_eq!(source.find(by_all).await.len(), 1);
}

#[tokio::test]
async fn the_id_tells_what_came_twice() {
    let Some(url) = server("the_id_tells_what_came_twice", "victorialogs", PLAIN) else { return };
    let source = Source::new(&url, &contract::unique("twice"));
    let batch = contract::numbered("p", 1, 50);
    for _ in 0..2 {
        source.sink().deliver(&batch).await.unwrap();
    }
    assert_eq!(source.find("").await.len(), 100);
    assert_eq!(source.find("| uniq by (source, fields.auditline_id)").await.len(), 50);
}

#[tokio::test]
async fn who_has_no_token_needs_a_person_and_who_leads_nowhere_time() {
    let test = "who_has_no_token_needs_a_person_and_who_leads_nowhere_time";
    let Some(url) = server(test, "victorialogs", PLAIN) else { return };
    let batch = contract::numbered("p", 1, 2);
    let source = Source::new(&url, &contract::unique("refused"));
    let stranger = sink(json!({ "url": url, "token": "opens-something" }));
    for outcome in [stranger.check().await, stranger.deliver(&batch).await.map(drop)] {
        let (message, hint) = refused(outcome);
        assert!(message.contains("answered 401 Unauthorized") && hint.contains("check `token`"), "{message}: {hint}");
        assert!(!message.contains("opens-something"), "{message}");
    }
    // What stands in front of the collector answers, for there is none behind it.
    let lost = source.with(json!({ "token": "leads-nowhere" }));
    for outcome in [lost.sink().check().await, lost.sink().deliver(&batch).await.map(drop)] {
        assert!(matches!(outcome, Err(DeliveryError::Retryable { .. })), "{outcome:?}");
    }
    assert_eq!(lost.texts().await, [""; 0]);
}

// VictoriaLogs takes a request without events as one that is done, where Splunk says that they are missing.
#[tokio::test]
async fn a_collector_without_acknowledgements_passes_the_check_unless_they_are_wanted() {
    let test = "a_collector_without_acknowledgements_passes_the_check_unless_they_are_wanted";
    let Some(url) = server(test, "victorialogs", PLAIN) else { return };
    let source = Source::new(&url, &contract::unique("ack"));
    source.sink().check().await.unwrap();
    let wanting = source.with(json!({ "ack": true })).sink();
    for outcome in [wanting.check().await, wanting.deliver(&contract::numbered("p", 1, 2)).await.map(drop)] {
        let (message, hint) = refused(outcome);
        assert!(hint.contains("leave out `ack`"), "{message}: {hint}");
    }
}

#[tokio::test]
async fn a_collector_we_cannot_trust_needs_a_person() {
    let Some(url) = server("a_collector_we_cannot_trust_needs_a_person", "victorialogs", TLS) else { return };
    for (tls, expected) in [
        (json!({ "ca": variable("AUDITLINE_TEST_TLS_WRONG_CA") }), "`tls.ca`"),
        (json!({ "ca": variable("AUDITLINE_TEST_TLS_CA"), "server_name": "other.example.com" }), "`tls.server_name`"),
    ] {
        let sink = sink(json!({ "url": url, "token": TOKEN, "tls": tls }));
        for outcome in [sink.check().await, sink.deliver(&contract::numbered("p", 1, 1)).await.map(drop)] {
            let (message, hint) = refused(outcome);
            assert!(hint.contains(expected), "{message}: {hint}");
        }
    }
}

/// A VictoriaLogs of the test's own.
struct Own(Child);

impl Own {
    async fn start(program: &str, folder: &Path, port: u16) -> Self {
        let port_text = port.to_string();
        let child = Command::new(program).arg(folder).arg(port_text).stderr(Stdio::null()).spawn().unwrap();
        let started = Self(child);
        let give_up = Instant::now() + Duration::from_secs(120);
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            assert!(Instant::now() < give_up, "{program} does not answer");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        started
    }

    /// Asks it to end, and waits until it has.
    async fn stop(mut self) {
        let asked = Command::new("kill").arg(self.0.id().to_string()).status().unwrap();
        assert!(asked.success());
        let ended = tokio::task::spawn_blocking(move || self.0.wait().unwrap()).await.unwrap();
        assert!(ended.success(), "{ended}");
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_collector_that_is_stopped_on_the_way_costs_no_record() {
    let test = "a_collector_that_is_stopped_on_the_way_costs_no_record";
    let Some(program) = server(test, "victorialogs", "AUDITLINE_TEST_VICTORIALOGS_OWN") else { return };
    let folder = tempfile::tempdir().unwrap();
    let port = contract::server_port();
    let url = format!("http://127.0.0.1:{port}");
    let source = Source::asked_at(&url, &url, "stopped").with(json!({ "max_request_bytes": "20KiB" }));
    let sink = source.sink();
    let mut own = Own::start(&program, folder.path(), port).await;
    let (mut batches, mut failures) = (Vec::new(), 0);
    for n in 0..8u64 {
        let batch = contract::numbered("stopped", n * 2000 + 1, 2000);
        // At another place of each batch.
        let moment = tokio::time::sleep(Duration::from_millis(3 + n * 7));
        let stop = async {
            moment.await;
            own.stop().await;
        };
        let (outcome, ()) = futures::join!(sink.deliver(&batch), stop);
        if let Err(error) = &outcome {
            assert!(matches!(error, DeliveryError::Retryable { .. }), "{error:?}");
            failures += 1;
            // While it is not there either.
            assert!(matches!(sink.deliver(&batch).await, Err(DeliveryError::Retryable { .. })));
        }
        own = Own::start(&program, folder.path(), port).await;
        if outcome.is_err() {
            assert_eq!(sink.deliver(&batch).await.unwrap(), Delivery::default());
        }
        batches.push(batch);
    }
    assert!(failures > 0, "it was always faster");
    let mut arrived = source.texts().await;
    // The answer to a request may be lost, and then it comes twice.
    arrived.dedup();
    assert!(arrived == contract::texts(&batches), "{} of {} arrived", arrived.len(), 8 * 2000);
}

fn refused<T: std::fmt::Debug>(outcome: Result<T, DeliveryError>) -> (String, String) {
    match outcome {
        Err(DeliveryError::Refused { message, hint, .. }) => (message, hint),
        other => panic!("{other:?}"),
    }
}
