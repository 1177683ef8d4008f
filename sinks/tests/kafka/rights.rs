//! A user whom the cluster grants little: each right that is missing is named, and with those in the docs all goes well.

use std::sync::Arc;
use std::time::{Duration, Instant};

use auditline_sinks::contract::{self, Destination as _, chain, server};
use auditline_sinks::{Batch, DeliveryError, Sink};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::topic::{PATIENCE, Topic, config, deliver, expect_refused, once, plain, sink};

/// What a right is for, by Kafka's own numbers.
#[derive(Clone, Copy)]
enum Of {
    Topic = 2,
    Group = 3,
    TransactionalId = 5,
}

/// What may be done, by Kafka's own numbers.
#[derive(Clone, Copy)]
enum May {
    Read = 3,
    Write = 4,
    Describe = 8,
}

/// Gives `limited` a right to all that begins with `prefix`: CreateAcls in version 1, for which our client has no call.
async fn grant(broker: &str, of: Of, prefix: &str, may: May) {
    let text = |text: &str| [&(text.len() as i16).to_be_bytes()[..], text.as_bytes()].concat();
    let head = [&30i16.to_be_bytes()[..], &1i16.to_be_bytes(), &7i32.to_be_bytes(), &text("tests")].concat();
    let prefixed = 4u8;
    let allowed = 3u8;
    let names = [text(prefix), vec![prefixed], text("User:limited"), text("*")].concat();
    let body = [&1i32.to_be_bytes()[..], &[of as u8], &names, &[may as u8, allowed]].concat();
    let request = [&((head.len() + body.len()) as i32).to_be_bytes()[..], &head, &body].concat();
    let mut connection = TcpStream::connect(broker).await.unwrap();
    connection.write_all(&request).await.unwrap();
    let size = connection.read_i32().await.unwrap();
    let mut answer = vec![0; size as usize];
    connection.read_exact(&mut answer).await.unwrap();
    // Correlation, throttle time, number of results, and the first one's error.
    assert_eq!(answer[8..14], [0, 0, 0, 1, 0, 0], "{answer:?}");
}

/// A topic with a name of its own, and the sink that delivers there as `limited`.
async fn limited(test: &str, delivery: &str) -> Option<(String, Topic, Arc<dyn Sink>)> {
    let broker = server(test, "kafka", "AUDITLINE_TEST_KAFKA")?;
    let limited = server(test, "kafka", "AUDITLINE_TEST_KAFKA_SASL")?;
    let name = contract::unique("rights");
    let make = if delivery == "exactly_once" { once } else { config };
    let topic = Topic::create(make(&broker, &name), plain(&broker)).await;
    let mut config = topic.config.clone();
    config["brokers"] = json!([limited]);
    config["timeout"] = json!("10s");
    config["sasl"] = json!({ "mechanism": "plain", "username": "limited", "password": "opens-nothing" });
    Some((broker, topic, sink(config)))
}

const ON_TOPIC: &str = "grant this user Write and Describe on the topic";

#[tokio::test]
async fn a_missing_right_to_the_topic_is_named() {
    let test = "a_missing_right_to_the_topic_is_named";
    let Some((broker, topic, sink)) = limited(test, "at_least_once").await else { return };
    let name = topic.config["topic"].as_str().unwrap();
    let batch = contract::numbered("p", 1, 20);
    expect_refused(sink.check().await, ON_TOPIC);
    expect_refused(deliver(&*sink, &batch).await, ON_TOPIC);
    grant(&broker, Of::Topic, name, May::Describe).await;
    expect_refused(deliver(&*sink, &batch).await, ON_TOPIC);
    grant(&broker, Of::Topic, name, May::Write).await;
    eventually(&*sink, &batch).await;
    sink.check().await.unwrap();
    assert_eq!(topic.read_back(20).await, contract::texts(&[batch]));
}

#[tokio::test]
async fn each_right_that_transactions_need_is_named() {
    let test = "each_right_that_transactions_need_is_named";
    let Some((broker, topic, sink)) = limited(test, "exactly_once").await else { return };
    let name = topic.config["topic"].as_str().unwrap();
    let batch = contract::numbered("p", 1, 20);
    grant(&broker, Of::Topic, name, May::Describe).await;
    let missing = async |expected| {
        // A broker hears of a right a moment after it was granted.
        let give_up = Instant::now() + PATIENCE;
        loop {
            match deliver(&*sink, &batch).await {
                Err(DeliveryError::Refused { hint, .. }) if hint.contains(expected) => return,
                outcome if Instant::now() > give_up => return expect_refused(outcome, expected),
                outcome => eprintln!("{outcome:?}"),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    missing("on the transactional ids").await;
    expect_refused(sink.check().await, "on the transactional ids");
    grant(&broker, Of::TransactionalId, name, May::Describe).await;
    missing("on the transactional ids").await;
    grant(&broker, Of::TransactionalId, name, May::Write).await;
    missing("Read on the consumer groups").await;
    expect_refused(sink.check().await, "Read on the consumer groups");
    grant(&broker, Of::Group, name, May::Read).await;
    missing(ON_TOPIC).await;
    grant(&broker, Of::Topic, name, May::Write).await;
    missing("Read on the topic that keeps the position").await;
    grant(&broker, Of::Topic, name, May::Read).await;
    eventually(&*sink, &batch).await;
    sink.check().await.unwrap();
    assert_eq!(topic.read_back(20).await, contract::texts(&[batch]));
}

/// A broker hears of a right a moment after it was granted.
async fn eventually(sink: &dyn Sink, batch: &Batch) {
    let give_up = Instant::now() + PATIENCE;
    while let Err(error) = deliver(sink, batch).await {
        assert!(Instant::now() < give_up, "{}", chain(&error));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
