//! `delivery = "exactly_once"`: a batch and the position it brings its pipeline to.

use std::time::Duration;

use auditline_sinks::contract::{self, Destination as _, server};
use serde_json::json;

use super::topic::{Topic, once, plain};

// A state folder restored from a copy gives sequences to records that others have had.
#[tokio::test]
async fn other_records_of_the_same_sequences_are_not_taken_for_delivered() {
    let test = "other_records_of_the_same_sequences_are_not_taken_for_delivered";
    let Some(broker) = server(test, "kafka", "AUDITLINE_TEST_KAFKA") else { return };
    let topic = Topic::create(once(&broker, &contract::unique("restored")), plain(&broker)).await;
    let before = contract::numbered("p", 1, 9);
    topic.sink().deliver(&before).await.unwrap();
    let mut after = contract::numbered("p", 1, 4);
    after.records.iter_mut().for_each(|record| {
        record.id = format!("{}-of-another-life", record.id);
        record.json = format!(r#"{{"id":"{}"}}"#, record.id).into();
    });
    let sink = topic.sink();
    sink.deliver(&after).await.unwrap();
    sink.deliver(&after).await.unwrap();
    assert_eq!(topic.read_back(13).await, contract::texts(&[before, after]));
}

#[tokio::test]
async fn a_dropped_delivery_leaves_no_transaction_open() {
    let Some(broker) = server("a_dropped_delivery_leaves_no_transaction_open", "kafka", "AUDITLINE_TEST_KAFKA") else {
        return;
    };
    let mut config = once(&broker, &contract::unique("left"));
    // So long that only we can be who ends it.
    config["timeout"] = json!("200s");
    config["options"] = json!({ "linger.ms": "1" });
    let topic = Topic::create(config, plain(&broker)).await;
    let sink = topic.sink();
    sink.deliver(&contract::numbered("p", 1, 2)).await.unwrap();
    let batch = contract::numbered("p", 3, 5000);
    for millis in [3, 10, 30] {
        let _ = tokio::time::timeout(Duration::from_millis(millis), sink.deliver(&batch)).await;
    }
    // Waits for the end of what is open, and fails if that does not come.
    let arrived = topic.read_back(2).await;
    assert!(arrived.len() == 2 || arrived.len() == 5002, "a part of a batch can be seen: {}", arrived.len());
    sink.deliver(&batch).await.unwrap();
    assert_eq!(topic.read_back(5002).await.len(), 5002);
}

#[tokio::test]
async fn records_of_one_batch_may_go_to_several_topics_once() {
    let Some(broker) = server("records_of_one_batch_may_go_to_several_topics_once", "kafka", "AUDITLINE_TEST_KAFKA")
    else {
        return;
    };
    let mut topic = Topic::create(once(&broker, &contract::unique("several")), plain(&broker)).await;
    let name = topic.config["topic"].as_str().unwrap().to_owned();
    topic.config["positions_topic"] = json!(name);
    topic.config["topic"] = json!(format!("{name}.{{.to}}"));
    let batch = contract::batch_of("p", 1, [r#"{"to":"a","n":1}"#, r#"{"to":"b","n":2}"#, r#"{"to":"a","n":3}"#]);
    for _ in 0..2 {
        topic.sink().deliver(&batch).await.unwrap();
    }
    for (to, expected) in
        [("a", vec![r#"{"to":"a","n":1}"#, r#"{"to":"a","n":3}"#]), ("b", vec![r#"{"to":"b","n":2}"#])]
    {
        topic.config["topic"] = json!(format!("{name}.{to}"));
        assert_eq!(topic.read_back(expected.len()).await, expected);
    }
    topic.config["topic"] = json!(name);
    assert_eq!(topic.read_back(0).await, [""; 0]);
}
