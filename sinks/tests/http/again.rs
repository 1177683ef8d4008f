//! A batch of several requests that failed in its middle, and comes again.

use auditline_sinks::contract::{self, numbered, server};
use auditline_sinks::{Batch, Delivery, Sink};
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};

use crate::place::{HTTP, passing, refusal, requests, sink, with};
use crate::siem::moody::{self, Speech, Trial, trials};
use crate::siem::{Act, Answer, Gate, Mock, Request};

fn said(status: u16) -> Answer {
    (status, "", "so it is".to_owned())
}

fn acts(statuses: &[u16]) -> Vec<Act> {
    statuses.iter().map(|status| Act::Say(said(*status))).collect()
}

/// The numbers of a request's records.
fn numbers(request: &Request) -> Vec<u64> {
    let text = request.text();
    let values = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    values.map(|value| value["n"].as_u64().unwrap()).collect()
}

fn sent(mock: &Mock) -> Vec<Vec<u64>> {
    mock.requests().iter().map(numbers).collect()
}

/// In requests of two records.
fn in_pairs(mock: &Mock, more: Value) -> std::sync::Arc<dyn Sink> {
    let config = json!({ "url": format!("{}/in", mock.url()), "format": "ndjson", "max_request_records": 2 });
    sink(with(config, more))
}

/// In requests of one.
fn one_by_one(mock: &Mock) -> std::sync::Arc<dyn Sink> {
    sink(json!({ "url": format!("{}/in", mock.url()), "format": "json", "on_400": "bisect" }))
}

async fn rejected(sink: &dyn Sink, batch: &Batch) -> Vec<usize> {
    sink.deliver(batch).await.unwrap().rejected.iter().map(|rejected| rejected.at).collect()
}

// They were, by each attempt: five requests of which the third failed twice became nine.
#[tokio::test]
async fn requests_before_a_failed_one_are_not_sent_again() {
    let mut acting = acts(&[200, 200, 503]);
    acting.push(Act::Break);
    acting.extend(acts(&[200]));
    let mock = Mock::acting(acting).await;
    let sink = in_pairs(
        &mock,
        json!({ "idempotency_header": "Idempotency-Key", "sign": { "header": "X-Signature", "secret": "s" } }),
    );
    let batch = numbered("p", 1, 10);
    passing(sink.deliver(&batch).await);
    passing(sink.deliver(&batch).await);
    assert_eq!(sink.deliver(&batch).await.unwrap(), Delivery::default());
    assert_eq!(sent(&mock), [[1, 2], [3, 4], [5, 6], [5, 6], [5, 6], [7, 8], [9, 10]]);
    let requests = mock.requests();
    let keys: Vec<&str> = requests.iter().map(|request| request.header("idempotency-key").unwrap()).collect();
    assert_eq!(keys, [0, 2, 4, 4, 4, 6, 8].map(|at| format!("{}-{at}-2", batch.key())));
    for again in &requests[3..5] {
        assert_eq!((&again.head, &again.body), (&requests[2].head, &requests[2].body));
    }
    // It is there, so the next time it is another delivery: whole.
    sink.deliver(&batch).await.unwrap();
    assert_eq!(sent(&mock)[7..], [[1, 2], [3, 4], [5, 6], [7, 8], [9, 10]]);
}

// A batch that waits for a person comes every minute, and what stood before the trouble came with it.
#[tokio::test]
async fn requests_before_one_that_needs_a_person_are_not_sent_again() {
    let mock = Mock::acting(acts(&[200, 400, 401, 404, 200])).await;
    let (sink, batch) = (in_pairs(&mock, json!({})), numbered("p", 1, 6));
    for _ in 0..3 {
        refusal(sink.deliver(&batch).await);
    }
    assert_eq!(sink.deliver(&batch).await.unwrap(), Delivery::default());
    assert_eq!(sent(&mock), [[1, 2], [3, 4], [3, 4], [3, 4], [3, 4], [5, 6]]);
}

#[tokio::test]
async fn halves_come_again_as_they_were() {
    let mock = Mock::acting(acts(&[413, 200, 413, 200, 503, 200])).await;
    let config = json!({ "max_request_records": 8, "idempotency_header": "Idempotency-Key" });
    let (sink, batch) = (in_pairs(&mock, config), numbered("p", 1, 10));
    passing(sink.deliver(&batch).await);
    assert_eq!(sink.deliver(&batch).await.unwrap(), Delivery::default());
    let keys: Vec<String> =
        mock.requests().iter().map(|request| request.header("idempotency-key").unwrap().to_owned()).collect();
    let places = [(0, 8), (0, 4), (4, 4), (4, 2), (6, 2), (6, 2), (8, 2)];
    assert_eq!(keys, places.map(|(at, count)| format!("{}-{at}-{count}", batch.key())));
}

#[tokio::test]
async fn what_was_refused_before_a_failure_is_told_once() {
    let mock = Mock::acting(acts(&[400, 200, 400, 200, 503, 503, 200])).await;
    let sink = in_pairs(&mock, json!({ "on_400": "bisect", "max_record_bytes": "1KiB" }));
    let mut batch = numbered("p", 1, 8);
    batch.records[6].json = format!(r#"{{"n":7,"x":"{}"}}"#, "x".repeat(2000)).into();
    passing(sink.deliver(&batch).await);
    passing(sink.deliver(&batch).await);
    assert_eq!(rejected(&*sink, &batch).await, [1, 6]);
    let expected: [&[u64]; 8] = [&[1, 2], &[1], &[2], &[3, 4], &[5, 6], &[5, 6], &[5, 6], &[8]];
    assert_eq!(sent(&mock), expected);
}

// Nothing could arrive twice, and the engine is to see that a service refuses everything.
#[tokio::test]
async fn refusals_by_a_service_that_took_nothing_are_not_remembered() {
    let mock = Mock::acting(acts(&[400, 400, 503, 200])).await;
    let (sink, batch) = (one_by_one(&mock), numbered("p", 1, 4));
    passing(sink.deliver(&batch).await);
    assert_eq!(sink.deliver(&batch).await.unwrap(), Delivery::default());
    assert_eq!(sent(&mock).concat(), [1, 2, 3, 1, 2, 3, 4]);
}

#[tokio::test]
async fn a_rest_that_is_refused_whole_is_seen_beside_what_was_taken() {
    let mock = Mock::acting(acts(&[200, 503, 400, 400, 400, 200, 400, 503, 400])).await;
    let (sink, batch) = (one_by_one(&mock), numbered("p", 1, 4));
    passing(sink.deliver(&batch).await);
    let (message, _) = passing(sink.deliver(&batch).await);
    assert!(message.starts_with("all 3 records that were left of the batch were refused"), "{message}");
    assert!(message.ends_with("answered 400 Bad Request: so it is"), "{message}");
    // Once: a service that is busy each time would get its first records for ever.
    passing(sink.deliver(&batch).await);
    assert_eq!(rejected(&*sink, &batch).await, [1, 2, 3]);
    assert_eq!(sent(&mock).concat(), [1, 2, 2, 3, 4, 1, 2, 3, 3, 4]);
    // One record is not many.
    let mock = Mock::acting(acts(&[200, 503, 400])).await;
    let (sink, batch) = (one_by_one(&mock), numbered("p", 1, 2));
    passing(sink.deliver(&batch).await);
    assert_eq!(rejected(&*sink, &batch).await, [1]);
}

// What it had taken before the failure made each of the rest a dead letter.
#[tokio::test]
async fn a_service_that_refuses_everything_since_a_failure_makes_no_dead_letters_of_the_rest() {
    let statuses: Vec<u16> = [200; 20].into_iter().chain([503, 400]).collect();
    let mock = Mock::acting(acts(&statuses)).await;
    let (sink, batch) = (one_by_one(&mock), numbered("p", 1, 100));
    passing(sink.deliver(&batch).await);
    passing(sink.deliver(&batch).await);
    // Then all of it is refused, and what that means, the engine says.
    assert_eq!(rejected(&*sink, &batch).await.len(), 100);
    assert_eq!(mock.requests().len(), 21 + 20 + 20);
}

#[tokio::test]
async fn a_delivery_nobody_waits_for_any_more_is_remembered_as_far_as_it_came() {
    let (hangs, mut hanging) = mpsc::unbounded_channel();
    let mut count = 0;
    let mock = Mock::minding(move |_| {
        count += 1;
        if count != 3 {
            return Act::Say(said(200));
        }
        hangs.send(()).unwrap();
        Act::Hang
    })
    .await;
    let (sink, batch) = (in_pairs(&mock, json!({})), numbered("p", 1, 8));
    tokio::select! {
        outcome = sink.deliver(&batch) => panic!("{outcome:?}"),
        _ = hanging.recv() => {}
    }
    // Of another pipeline nothing is known, and what is known of this one stays.
    let other = numbered("other", 1, 2);
    sink.deliver(&other).await.unwrap();
    assert_eq!(sink.deliver(&batch).await.unwrap(), Delivery::default());
    assert_eq!(sent(&mock), [[1, 2], [3, 4], [5, 6], [1, 2], [5, 6], [7, 8]]);
}

// They were given up with the one that failed, and came again.
#[tokio::test]
async fn requests_beside_a_failed_one_get_their_answer() {
    let (tell, told) = watch::channel(false);
    let mut count = 0;
    let mock = Mock::minding(move |request| {
        count += 1;
        match (numbers(request)[0], count) {
            (1, ..=4) => Act::Say(said(503)),
            (_, ..=4) => Act::After(told.clone(), said(200)),
            _ => Act::Say(said(200)),
        }
    })
    .await;
    let (sink, batch) = (in_pairs(&mock, json!({ "concurrency": 4 })), numbered("p", 1, 12));
    let failing = sink.deliver(&batch);
    let telling = async {
        while mock.requests().len() < 4 {
            tokio::task::yield_now().await;
        }
        tell.send(true).unwrap();
    };
    let (outcome, ()) = tokio::join!(failing, telling);
    passing(outcome);
    assert_eq!(sink.deliver(&batch).await.unwrap(), Delivery::default());
    let mut sent = sent(&mock);
    sent.sort_unstable();
    assert_eq!(sent, [[1, 2], [1, 2], [3, 4], [5, 6], [7, 8], [9, 10], [11, 12]]);
}

#[tokio::test]
async fn a_real_server_has_each_record_once() {
    let Some(base) = server("a_real_server_has_each_record_once", "http", HTTP) else { return };
    let gate = Gate::busy_at(&base, &[2, 3, 5]).await;
    let name = contract::unique("again");
    let sink =
        sink(json!({ "url": format!("{}/in/{name}", gate.url()), "format": "ndjson", "max_request_records": 2 }));
    let batch = numbered("again", 1, 10);
    for _ in 0..3 {
        passing(sink.deliver(&batch).await);
    }
    sink.deliver(&batch).await.unwrap();
    let arrived = requests(&base, &format!("in/{name}")).await;
    let arrived: Vec<&str> = arrived.iter().flat_map(|(_, body)| body.lines()).collect();
    assert_eq!(arrived, contract::texts(&[batch]));
}

fn holds(trial: &Trial, most: usize) -> Result<(), TestCaseError> {
    let speech = Speech { numbers, busy: said(503), taken: said(200), refused: |_| (said(400), 0) };
    moody::holds(trial, speech, |url| {
        sink(json!({
            "url": format!("{url}/in"), "format": "ndjson", "on_400": "bisect", "max_request_records": most,
        }))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn whatever_a_server_does_each_record_is_taken_once_or_rejected(trial in trials(), most in 1_usize..8) {
        holds(&trial, most)?;
    }
}
