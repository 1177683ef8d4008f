//! What a message looks like, and where it lies.

use std::collections::{BTreeMap, BTreeSet};

use auditline_sinks::contract::{self, Destination as _, server};
use rdkafka::message::{Headers, Message};
use serde_json::{Value, json};

use super::topic::{Topic, config, plain};

#[tokio::test]
async fn a_message_tells_where_it_comes_from() {
    let Some(broker) = server("a_message_tells_where_it_comes_from", "kafka", "AUDITLINE_TEST_KAFKA") else {
        return;
    };
    let mut config = config(&broker, &contract::unique("headers"));
    config["key"] = json!("{pipeline}/{id}");
    let mut topic = Topic::create(config, plain(&broker)).await;
    let mut batch = contract::batch_of("corp", 1, [r#"{"n":1}"#]);
    batch.records[0].id = "ünï/1".to_owned();
    for compression in ["none", "gzip", "snappy", "lz4", "zstd"] {
        topic.config["compression"] = json!(compression);
        topic.sink().deliver(&batch).await.unwrap();
    }
    let messages = topic.messages().await;
    assert_eq!(messages.len(), 5);
    for message in messages {
        let text = |value: &[u8]| String::from_utf8(value.to_vec()).unwrap();
        let headers = message.headers().unwrap().iter();
        let headers: Vec<(&str, String)> = headers.map(|header| (header.key, text(header.value.unwrap()))).collect();
        let expected = [
            ("auditline-id", "ünï/1"),
            ("auditline-vendor", "example"),
            ("auditline-pipeline", "corp"),
            ("auditline-time", "2026-03-14T09:26:54.589Z"),
            ("content-type", "application/json"),
        ];
        assert_eq!(headers, expected.map(|(key, value)| (key, value.to_owned())));
        assert_eq!(message.key(), Some("corp/ünï/1".as_bytes()));
        assert_eq!(message.payload(), Some(br#"{"n":1}"#.as_slice()));
    }
}

#[tokio::test]
async fn an_actors_events_lie_in_one_partition_in_order() {
    let Some(broker) = server("an_actors_events_lie_in_one_partition_in_order", "kafka", "AUDITLINE_TEST_KAFKA") else {
        return;
    };
    let mut config = config(&broker, &contract::unique("actors"));
    config["headers"] = json!({ "env": "prod", "who": "{actor}" });
    let topic = Topic::create(config, plain(&broker)).await;
    let event = |n: usize| {
        let who = n % 17;
        format!(
            r#"{{"n":{n},"class_uid":3004,"metadata":{{"version":"1.8.0"}},"actor":{{"user":{{"uid":"u{who}"}}}}}}"#
        )
    };
    topic.sink().deliver(&contract::batch_of("p", 1, (0..500).map(event))).await.unwrap();
    let mut lanes: BTreeMap<String, (i32, Vec<u64>)> = BTreeMap::new();
    for message in topic.messages().await {
        let key = String::from_utf8(message.key().unwrap().to_vec()).unwrap();
        let event: Value = serde_json::from_slice(message.payload().unwrap()).unwrap();
        let headers = message.headers().unwrap();
        let header = |name: &str| headers.iter().find(|header| header.key == name).and_then(|header| header.value);
        assert_eq!(header("auditline-schema"), Some(b"ocsf 1.8.0".as_slice()));
        assert_eq!(header("auditline-class"), Some(b"3004".as_slice()));
        assert_eq!(header("env"), Some(b"prod".as_slice()));
        assert_eq!(header("who"), Some(key.as_bytes()));
        let lane = lanes.entry(key).or_insert_with(|| (message.partition(), Vec::new()));
        assert_eq!(lane.0, message.partition());
        lane.1.push(event["n"].as_u64().unwrap());
    }
    assert_eq!(lanes.len(), 17);
    assert!(lanes.values().all(|(_, numbers)| numbers.is_sorted()), "{lanes:?}");
    let used: BTreeSet<i32> = lanes.values().map(|(partition, _)| *partition).collect();
    assert_eq!(used.len(), 3, "the actors share the partitions");
}
