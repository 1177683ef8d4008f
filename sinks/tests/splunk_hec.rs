//! The Splunk sink against an event collector, imitated by Splunk's documentation, and against answers it rarely gives.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use auditline_sinks::contract::{self, Destination, Guarantees, server};
use auditline_sinks::{BuildError, Delivery, DeliveryError, Sink, SinkConfig};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;

mod siem;
use siem::moody::{self, Speech, trials};
use siem::{Act, Answer, Gate, Mock, Request, deliver, refused, retryable};

const HEC: &str = "AUDITLINE_TEST_HEC";

const PLAIN: &str = "11111111-1111-4111-8111-111111111111";
const ACKNOWLEDGING: &str = "22222222-2222-4222-8222-222222222222";
const NEVER_ACKNOWLEDGING: &str = "33333333-3333-4333-8333-333333333333";
const DISABLED: &str = "44444444-4444-4444-8444-444444444444";
const FENCED: &str = "55555555-5555-4555-8555-555555555555";
const SMALL: &str = "66666666-6666-4666-8666-666666666666";

fn build(config: Value) -> Result<Arc<dyn Sink>, BuildError> {
    let config: SinkConfig = serde_json::from_value(json!({ "splunk_hec": config })).unwrap();
    config.build()
}

fn sink(config: Value) -> Arc<dyn Sink> {
    build(config).unwrap_or_else(|error| panic!("{}: {}", error.key, error.message))
}

/// What the collector has of one source.
struct Source {
    name: String,
    config: Value,
}

#[derive(Deserialize)]
struct Event {
    envelope: Value,
    event: String,
}

impl Source {
    fn new(url: &str, token: &str, name: &str) -> Self {
        let config = json!({ "url": url, "token": token, "source": name, "ack": token == ACKNOWLEDGING });
        Self { name: name.to_owned(), config }
    }

    fn events(&self) -> Vec<Event> {
        let path = std::env::var("AUDITLINE_TEST_HEC_OUTPUT").expect("set together with the address");
        let lines = std::fs::read_to_string(path).unwrap();
        let mark = json!(self.name).to_string();
        let mine = lines.lines().filter(|line| line.contains(&mark));
        let events = mine.map(|line| serde_json::from_str::<Event>(line).unwrap());
        events.filter(|event| event.envelope["source"] == self.name.as_str()).collect()
    }

    fn texts(&self) -> Vec<String> {
        self.events().into_iter().map(|event| event.event).collect()
    }
}

#[async_trait]
impl Destination for Source {
    fn sink(&self) -> Arc<dyn Sink> {
        sink(self.config.clone())
    }

    // The collector writes before it answers.
    async fn read_back(&self, _expected: usize) -> Vec<String> {
        self.texts()
    }

    fn guarantees(&self) -> Guarantees {
        Guarantees { max_record_bytes: Some(5_000_000), late_copies: true, ..Guarantees::default() }
    }
}

#[tokio::test]
async fn keeps_the_contract() {
    let Some(url) = server("keeps_the_contract", "event collector", HEC) else { return };
    contract::all(async |name: &str| Source::new(&url, PLAIN, name)).await;
}

#[tokio::test]
async fn keeps_the_contract_with_acknowledgements() {
    let Some(url) = server("keeps_the_contract_with_acknowledgements", "event collector", HEC) else { return };
    contract::all(async |name: &str| Source::new(&url, ACKNOWLEDGING, name)).await;
}

#[tokio::test]
async fn keeps_the_contract_over_tls_uncompressed_and_in_small_requests() {
    let test = "keeps_the_contract_over_tls_uncompressed_and_in_small_requests";
    let Some(url) = server(test, "event collector", "AUDITLINE_TEST_HEC_TLS") else { return };
    let ca = std::env::var("AUDITLINE_TEST_TLS_CA").unwrap();
    contract::all(async |name: &str| {
        let mut source = Source::new(&url, SMALL, name);
        let more = json!({ "tls": { "ca": ca }, "compression": "none", "max_request_bytes": "10KiB" });
        source.config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        source
    })
    .await;
}

#[tokio::test]
async fn an_event_carries_its_time_its_id_and_where_it_is_from() {
    let Some(url) = server("an_event_carries_its_time_its_id_and_where_it_is_from", "event collector", HEC) else {
        return;
    };
    let mut source = Source::new(&url, FENCED, &contract::unique("envelope"));
    source.config["index"] = json!("audit");
    source.config["host"] = json!("{vendor}.example.com");
    source.config["fields"] = json!({ "auditline_id": "{id}", "day": "{date}" });
    deliver(&*source.sink(), &contract::numbered("corp", 1, 1)).await.unwrap();
    let events = source.events();
    let expected = json!({
        "time": 1_773_480_414.589,
        "host": "example.example.com",
        "index": "audit",
        "source": source.name,
        "sourcetype": "auditline:example",
        "fields": { "auditline_id": "corp-1", "day": "2026-03-14" },
    });
    assert_eq!(events[0].envelope, expected);
}

// Splunk indexes what stands before an invalid event, and nothing behind it.
#[tokio::test]
async fn invalid_events_are_rejected_and_the_others_are_there_once() {
    let test = "invalid_events_are_rejected_and_the_others_are_there_once";
    let Some(url) = server(test, "event collector", HEC) else { return };
    for token in [PLAIN, ACKNOWLEDGING] {
        for places in [vec![0], vec![9], vec![4], vec![0, 1, 2], vec![3, 4, 8], (0..10).collect()] {
            let source = Source::new(&url, token, &contract::unique("invalid"));
            let mut batch = contract::numbered("p", 1, 10);
            for at in &places {
                batch.records[*at].json = "{\"n\":}".into();
            }
            let Delivery { rejected } = deliver(&*source.sink(), &batch).await.unwrap();
            let found: Vec<usize> = rejected.iter().map(|rejected| rejected.at).collect();
            assert_eq!(found, places);
            assert!(rejected.iter().all(|it| it.reason == "Splunk: Invalid data format (code 6)"), "{rejected:?}");
            batch.records.retain(|record| record.json != "{\"n\":}");
            assert_eq!(source.texts(), contract::texts(&[batch]), "{places:?}");
        }
    }
}

#[tokio::test]
async fn a_request_that_is_too_large_goes_in_halves() {
    let Some(url) = server("a_request_that_is_too_large_goes_in_halves", "event collector", HEC) else { return };
    let source = Source::new(&url, SMALL, &contract::unique("halves"));
    let mut batch = contract::numbered("p", 1, 500);
    batch.records[77].json = format!(r#"{{"large":"{}"}}"#, "x".repeat(30_000)).into();
    let Delivery { rejected } = deliver(&*source.sink(), &batch).await.unwrap();
    assert_eq!(rejected.len(), 1);
    assert_eq!(rejected[0].at, 77);
    assert!(rejected[0].reason.contains("more than Splunk takes"), "{rejected:?}");
    batch.records.remove(77);
    assert_eq!(source.texts(), contract::texts(&[batch]));
}

#[tokio::test]
async fn what_splunk_does_not_allow_needs_a_person() {
    let Some(url) = server("what_splunk_does_not_allow_needs_a_person", "event collector", HEC) else { return };
    let batch = contract::numbered("p", 1, 2);
    for (token, more, said, expected) in [
        ("99999999-9999-4999-8999-999999999999", json!({}), "Invalid token", "check `token`"),
        (DISABLED, json!({}), "Token disabled", "enable the token"),
        (PLAIN, json!({ "ack": true }), "", "leave out `ack`"),
    ] {
        let mut source = Source::new(&url, token, &contract::unique("refused"));
        source.config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        for outcome in [source.sink().check().await, deliver(&*source.sink(), &batch).await.map(drop)] {
            let (message, hint) = refused(outcome);
            assert!(message.contains(said) && hint.contains(expected), "{message}: {hint}");
            assert!(!message.contains(token), "{message}");
        }
    }
    let mut source = Source::new(&url, FENCED, &contract::unique("refused"));
    source.config["index"] = json!("other");
    // Which indexes a token may write to, it does not tell.
    source.sink().check().await.unwrap();
    let (message, hint) = refused(deliver(&*source.sink(), &batch).await);
    assert!(message.contains("Incorrect index") && hint.contains("correct `index`"), "{message}: {hint}");
}

#[tokio::test]
async fn what_is_not_acknowledged_comes_again() {
    let Some(url) = server("what_is_not_acknowledged_comes_again", "event collector", HEC) else { return };
    let mut source = Source::new(&url, NEVER_ACKNOWLEDGING, &contract::unique("never"));
    source.config["ack"] = json!(true);
    source.config["ack_timeout"] = json!("300ms");
    source.sink().check().await.unwrap();
    let sink = source.sink();
    for _ in 0..2 {
        let (message, _) = retryable(deliver(&*sink, &contract::numbered("p", 1, 2)).await);
        assert!(message.ends_with("did not acknowledge all events within 300ms"), "{message}");
    }
    assert_eq!(source.texts().len(), 4);
}

#[tokio::test]
async fn a_collector_we_cannot_trust_needs_a_person() {
    let test = "a_collector_we_cannot_trust_needs_a_person";
    let Some(url) = server(test, "event collector", "AUDITLINE_TEST_HEC_TLS") else { return };
    let variable = |name: &str| std::env::var(name).unwrap();
    for (tls, expected) in [
        (json!({ "ca": variable("AUDITLINE_TEST_TLS_WRONG_CA") }), "`tls.ca`"),
        (json!({ "ca": variable("AUDITLINE_TEST_TLS_CA"), "server_name": "other.example.com" }), "`tls.server_name`"),
    ] {
        let sink = sink(json!({ "url": url, "token": PLAIN, "tls": tls }));
        for outcome in [sink.check().await, deliver(&*sink, &contract::numbered("p", 1, 1)).await.map(drop)] {
            let (message, hint) = refused(outcome);
            assert!(hint.contains(expected), "{message}: {hint}");
        }
    }
}

fn said(status: u16, code: u16) -> Answer {
    (status, "", format!(r#"{{"text":"so it is","code":{code}}}"#))
}

/// In each request, how many events.
fn sent(mock: &Mock) -> Vec<usize> {
    mock.requests().iter().map(|request| request.text().lines().count()).collect()
}

#[tokio::test]
async fn each_code_finds_its_fate() {
    for (status, code, is_retryable) in [
        (503, 9, true),
        (500, 8, true),
        (503, 18, true),
        (503, 23, true),
        (429, 26, true),
        (429, 27, true),
        (403, 4, false),
        (401, 2, false),
        (401, 3, false),
        (403, 1, false),
        (400, 5, false),
        (400, 7, false),
        (400, 10, false),
        (400, 14, false),
        (400, 15, false),
        (400, 28, false),
        (400, 99, false),
        (503, 99, true),
        // Nothing that stands before Splunk is Splunk.
        (200, 99, true),
    ] {
        let mock = Mock::answering(vec![said(status, code)]).await;
        let outcome = deliver(&*sink(json!({ "url": mock.url(), "token": "t" })), &contract::numbered("p", 1, 3)).await;
        assert!(outcome.is_err(), "{code}");
        assert_eq!(matches!(outcome, Err(DeliveryError::Retryable { .. })), is_retryable, "{code}: {outcome:?}");
    }
    for code in [0, 24, 25] {
        let mock = Mock::answering(vec![said(200, code)]).await;
        deliver(&*sink(json!({ "url": mock.url(), "token": "t" })), &contract::numbered("p", 1, 3)).await.unwrap();
    }
}

#[tokio::test]
async fn an_answer_that_is_none_counts_for_nothing() {
    for answer in ["", "{}", "ok", "<html><title>Welcome</title></html>", r#"{"text":"Success"}"#, r#"{"code":"0"}"#] {
        let mock = Mock::answering(vec![(200, "", answer.to_owned())]).await;
        let outcome = deliver(&*sink(json!({ "url": mock.url(), "token": "t" })), &contract::numbered("p", 1, 3)).await;
        let (message, _) = retryable(outcome);
        assert!(message.contains("answered 200 OK"), "{message}");
    }
    let mock = Mock::answering(vec![(404, "", "<title>Not Found</title>".to_owned())]).await;
    let (message, hint) = refused(sink(json!({ "url": mock.url(), "token": "t" })).check().await);
    assert!(message.contains("Not Found") && hint.contains("check `url`"), "{message}: {hint}");
}

#[tokio::test]
async fn what_was_taken_before_a_failure_is_not_sent_again() {
    let answers = vec![said(200, 0), (503, "Retry-After: 3\r\n", said(503, 9).2), said(200, 0)];
    let mock = Mock::answering(answers).await;
    let sink = sink(json!({ "url": mock.url(), "token": "t", "max_request_bytes": "1KiB" }));
    let batch = contract::numbered("p", 1, 9);
    let (_, retry_after) = retryable(deliver(&*sink, &batch).await);
    assert_eq!(retry_after, Some(Duration::from_secs(3)));
    let first = sent(&mock);
    assert_eq!(first.len(), 2);
    deliver(&*sink, &batch).await.unwrap();
    let all = sent(&mock);
    assert_eq!(all[2..].iter().sum::<usize>(), 9 - first[0], "{all:?}");
    // It is there, so the next time it is another delivery: whole.
    deliver(&*sink, &batch).await.unwrap();
    assert_eq!(sent(&mock)[all.len()..].iter().sum::<usize>(), 9);
}

/// The numbers of a request's events.
fn numbers(request: &Request) -> Vec<u64> {
    let text = request.text();
    let events = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    events.map(|event| event["event"]["n"].as_u64().unwrap()).collect()
}

/// A collector that acknowledges these, and does this about the requests with events.
async fn acknowledging(numbers: &'static [u64], events: Vec<Act>) -> Mock {
    let mut events = events.into_iter();
    Mock::minding(move |request| {
        if !request.path().ends_with("/ack") {
            return events.next().expect("a request more than the test expects");
        }
        let asked: Value = serde_json::from_slice(&request.body).unwrap();
        let asked = asked["acks"].as_array().unwrap().iter().map(|number| number.as_u64().unwrap());
        let acks = asked.map(|number| (number.to_string(), numbers.contains(&number)));
        let acks: std::collections::BTreeMap<String, bool> = acks.collect();
        Act::Say((200, "", json!({ "acks": acks }).to_string()))
    })
    .await
}

fn taken(ack: u64) -> Act {
    Act::Say((200, "", format!(r#"{{"text":"Success","code":0,"ackId":{ack}}}"#)))
}

/// With acknowledgements, in requests of some four events.
fn patient(mock: &Mock) -> Arc<dyn Sink> {
    sink(json!({
        "url": mock.url(), "token": "t", "ack": true, "ack_timeout": "500ms", "max_request_bytes": "1KiB",
    }))
}

/// The first event of each request, and what else was asked.
fn asked(mock: &Mock) -> Vec<String> {
    let asked = |request: &Request| match request.path().ends_with("/ack") {
        true => String::from_utf8(request.body.clone()).unwrap(),
        false => numbers(request)[0].to_string(),
    };
    // Acknowledgements are asked for as often as it takes.
    let mut all: Vec<String> = mock.requests().iter().map(asked).collect();
    all.dedup();
    all
}

// All of it was, for one that was not acknowledged.
#[tokio::test]
async fn what_was_acknowledged_is_not_sent_again_with_what_was_not() {
    let mock = acknowledging(&[0, 2, 3], vec![taken(0), taken(1), taken(2), taken(3)]).await;
    let (sink, batch) = (patient(&mock), contract::numbered("p", 1, 12));
    let (message, _) = retryable(deliver(&*sink, &batch).await);
    assert!(message.ends_with("did not acknowledge all events within 500ms"), "{message}");
    assert_eq!(deliver(&*sink, &batch).await.unwrap(), Delivery::default());
    let events = mock.requests().into_iter().filter(|request| request.path().ends_with("/event"));
    let sent: Vec<Vec<u64>> = events.map(|request| numbers(&request)).collect();
    assert_eq!(sent[..3].concat(), (1..=12).collect::<Vec<_>>());
    assert_eq!(sent[3..], sent[1..2]);
}

// It has what it took, and takes more when that is indexed.
#[tokio::test]
async fn what_a_busy_collector_took_is_not_sent_again_once_it_is_acknowledged() {
    for code in [9, 26, 27] {
        let busy = Act::Say(said(503, code));
        let mock = acknowledging(&[0, 1, 2], vec![taken(0), taken(1), busy, taken(2)]).await;
        let (sink, batch) = (patient(&mock), contract::numbered("p", 1, 12));
        let (message, _) = retryable(deliver(&*sink, &batch).await);
        assert!(message.contains("503"), "{message}");
        assert_eq!(deliver(&*sink, &batch).await.unwrap(), Delivery::default());
        let asked = asked(&mock);
        assert_eq!([&asked[3], &asked[5]], [r#"{"acks":[0,1]}"#, r#"{"acks":[2]}"#]);
        assert_eq!(asked.len(), 6);
        assert_eq!(asked[2], asked[4]);
    }
}

// A collector that has gone may have come back, and count from 0: its acknowledgement would be another request's.
#[tokio::test]
async fn what_was_not_acknowledged_before_an_answer_was_lost_is_sent_again() {
    for lost in [Act::Break, Act::Say((504, "", "a proxy's word".to_owned())), Act::Say(said(503, 23))] {
        let events = vec![taken(0), taken(1), lost, taken(0), taken(1), taken(2)];
        let mock = acknowledging(&[0, 1, 2], events).await;
        let (sink, batch) = (patient(&mock), contract::numbered("p", 1, 12));
        retryable(deliver(&*sink, &batch).await);
        assert_eq!(deliver(&*sink, &batch).await.unwrap(), Delivery::default());
        let asked = asked(&mock);
        assert_eq!(asked.len(), 7, "{asked:?}");
        assert_eq!((&asked[..3], &*asked[6]), (&asked[3..6], r#"{"acks":[0,1,2]}"#));
    }
}

#[tokio::test]
async fn what_stands_before_an_invalid_event_is_acknowledged_too() {
    let invalid = |at: usize, ack: u64| {
        Act::Say((400, "", format!(r#"{{"text":"Invalid","code":6,"invalid-event-number":{at},"ackId":{ack}}}"#)))
    };
    // Of the first four events two are indexed and not acknowledged; the third is invalid.
    let events = vec![invalid(2, 0), invalid(0, 1), taken(2), taken(3)];
    let mock = acknowledging(&[1, 2, 3], events).await;
    let (sink, batch) = (patient(&mock), contract::numbered("p", 1, 4));
    retryable(deliver(&*sink, &batch).await);
    let Delivery { rejected } = deliver(&*sink, &batch).await.unwrap();
    assert_eq!(rejected.iter().map(|rejected| rejected.at).collect::<Vec<_>>(), [2]);
    let events = mock.requests().into_iter().filter(|request| request.path().ends_with("/event"));
    let sent: Vec<Vec<u64>> = events.map(|request| numbers(&request)).collect();
    let expected: [&[u64]; 4] = [&[1, 2, 3, 4], &[3], &[4], &[1, 2]];
    assert_eq!(sent, expected);
}

// The one acknowledgement stood for the events of both, also for those that went with the collector before it.
#[tokio::test]
async fn a_number_that_was_given_twice_acknowledges_nothing() {
    let invalid = Act::Say((400, "", r#"{"text":"Invalid","code":6,"invalid-event-number":2,"ackId":0}"#.to_owned()));
    let mock = acknowledging(&[0, 1, 2], vec![taken(0), invalid, taken(0), taken(1), taken(2)]).await;
    let (sink, batch) = (patient(&mock), contract::numbered("p", 1, 12));
    let (message, _) = refused(deliver(&*sink, &batch).await);
    assert!(message.ends_with("gave two requests the same `ackId`, 0"), "{message}");
    assert_eq!(deliver(&*sink, &batch).await.unwrap(), Delivery::default());
    let asked = asked(&mock);
    assert_eq!((&asked[..2], &*asked[5]), (&asked[2..4], r#"{"acks":[0,1,2]}"#));
}

#[tokio::test]
async fn a_collector_that_is_busy_now_and_then_has_each_event_once() {
    let test = "a_collector_that_is_busy_now_and_then_has_each_event_once";
    let Some(url) = server(test, "event collector", HEC) else { return };
    let gate = Gate::busy_at(&url, &[1, 3, 4]).await;
    let mut source = Source::new(&gate.url(), PLAIN, &contract::unique("busy"));
    source.config["max_request_bytes"] = json!("1KiB");
    let (sink, batch) = (source.sink(), contract::numbered("busy", 1, 30));
    for _ in 0..3 {
        retryable(deliver(&*sink, &batch).await);
    }
    assert_eq!(deliver(&*sink, &batch).await.unwrap(), Delivery::default());
    assert_eq!(source.texts(), contract::texts(&[batch]));
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 32, ..Default::default() })]
    #[test]
    fn whatever_a_collector_does_each_event_is_taken_once_or_rejected(trial in trials()) {
        // It indexes what stands before an invalid one.
        let invalid = |at: usize| {
            ((400, "", format!(r#"{{"text":"Invalid","code":6,"invalid-event-number":{at}}}"#)), at)
        };
        let speech = Speech { numbers, busy: said(503, 9), taken: said(200, 0), refused: invalid };
        moody::holds(&trial, speech, |url| {
            sink(json!({ "url": url, "token": "t", "max_request_bytes": "1KiB" }))
        })?;
    }
}

// Each minute, what stood before it was there once more.
#[tokio::test]
async fn what_goes_to_another_index_is_not_sent_again_with_what_goes_to_a_wrong_one() {
    let taken = |ack: u64| (200, "", format!(r#"{{"text":"Success","code":0,"ackId":{ack}}}"#));
    let wrong = || (400, "", r#"{"text":"Incorrect index","code":7,"invalid-event-number":1}"#.to_owned());
    let acknowledged = |ack: u64| (200, "", format!(r#"{{"acks":{{"{ack}":true}}}}"#));
    let kinds = ["a", "a", "b", "b", "a"].map(|kind| format!(r#"{{"kind":"{kind}"}}"#));
    let batch = contract::batch_of("p", 1, kinds);
    for ack in [false, true] {
        let mut answers = vec![wrong(), taken(0), wrong()];
        answers.extend(ack.then(|| acknowledged(0)));
        answers.extend([wrong(), taken(1), taken(2)]);
        answers.extend(ack.then(|| (200, "", r#"{"acks":{"1":true,"2":true}}"#.to_owned())));
        let mock = Mock::answering(answers).await;
        let sink = sink(json!({ "url": mock.url(), "token": "opens", "index": "audit_{.kind}", "ack": ack }));
        for _ in 0..2 {
            let (message, hint) = refused(deliver(&*sink, &batch).await);
            assert!(message.contains("Incorrect index") && hint.contains("correct `index`"), "{message}: {hint}");
        }
        assert_eq!(deliver(&*sink, &batch).await.unwrap(), Delivery::default());
        let events = mock.requests().into_iter().filter(|request| request.path().ends_with("/event"));
        let events: Vec<usize> = events.map(|request| request.text().lines().count()).collect();
        assert_eq!(events, [5, 2, 2, 2, 2, 1]);
    }
}

// Restarted, it counts from 0 again: what it acknowledged to one pipeline was taken for what another had lost.
#[tokio::test]
async fn no_pipeline_is_acknowledged_on_the_channel_of_another() {
    let mock = Mock::answering(vec![said(200, 0)]).await;
    let sink = sink(json!({ "url": mock.url(), "token": "t" }));
    for pipeline in ["one", "other", "one"] {
        deliver(&*sink, &contract::numbered(pipeline, 1, 2)).await.unwrap();
    }
    let requests = mock.requests();
    let channel = |at: usize| requests[at].header("x-splunk-request-channel").unwrap();
    assert_eq!(channel(0), channel(2));
    assert_ne!(channel(0), channel(1));
}

#[tokio::test]
async fn a_collector_that_takes_no_event_is_not_asked_about_each() {
    let mock = Mock::answering(vec![(413, "", "too large".to_owned())]).await;
    let sink = sink(json!({ "url": mock.url(), "token": "t" }));
    let Delivery { rejected } = deliver(&*sink, &contract::numbered("p", 1, 2000)).await.unwrap();
    assert_eq!(rejected.len(), 2000);
    assert!(mock.requests().len() < 60, "{} requests", mock.requests().len());
}

// Splunk Cloud takes five megabytes and says of more that the first event is invalid.
#[tokio::test]
async fn a_request_that_is_too_large_for_splunk_cloud_costs_no_event() {
    let invalid = (400, "", r#"{"text":"Invalid data format","code":6,"invalid-event-number":0}"#.to_owned());
    let mock = Mock::answering(vec![invalid, said(200, 0)]).await;
    let sink = sink(json!({ "url": mock.url(), "token": "t" }));
    let delivery = deliver(&*sink, &contract::numbered("p", 1, 11)).await.unwrap();
    assert_eq!(delivery, Delivery::default());
    assert_eq!(sent(&mock), [11, 1, 5, 5]);
}

#[tokio::test]
async fn a_collector_that_is_not_there_may_come() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let sink = sink(json!({ "url": format!("http://{address}"), "token": "t", "timeout": "500ms" }));
    // It accepts, by its system, and never answers.
    let (message, _) = retryable(deliver(&*sink, &contract::numbered("p", 1, 2)).await);
    assert!(message.contains("did not answer within 500ms"), "{message}");
    drop(listener);
    let (message, _) = retryable(deliver(&*sink, &contract::numbered("p", 1, 2)).await);
    assert!(message.contains("nobody listens"), "{message}");
    assert!(matches!(sink.check().await, Err(DeliveryError::Retryable { .. })));
}

#[test]
fn a_configuration_that_cannot_work_is_refused() {
    for (config, key) in [
        (json!({ "url": "http://splunk.example.com:8088", "token": "t" }), "url"),
        (json!({ "url": "https://a:8088/services/collector/event", "token": "t" }), "url"),
        (json!({ "url": "https://a:8088", "token": "a\nb" }), "token"),
        (json!({ "url": "https://a:8088", "token": "t", "index": "Audit" }), "index"),
        (json!({ "url": "https://a:8088", "token": "t", "index": "_audit" }), "index"),
        (json!({ "url": "https://a:8088", "token": "t", "index": "_{vendor}" }), "index"),
        (json!({ "url": "https://a:8088", "token": "t", "compression": "zstd" }), "compression"),
        (json!({ "url": "https://a:8088", "token": "t", "max_request_bytes": "1B" }), "max_request_bytes"),
        (json!({ "url": "https://a:8088", "token": "t", "fields": { "_raw": "x" } }), "fields._raw"),
    ] {
        let error = build(config.clone()).map(|_| ()).unwrap_err();
        assert_eq!(error.key, key, "{config}: {}", error.message);
        assert!(!error.hint.is_empty());
    }
    let sink =
        sink(json!({ "url": "https://splunk.example.com:8088/", "token": "hunter2", "index": "audit_{vendor}" }));
    assert_eq!(sink.to_string(), "splunk_hec https://splunk.example.com:8088 index audit_{vendor}");
}
