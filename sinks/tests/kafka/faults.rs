//! What passes by itself: brokers that are away, silent or busy.

use std::time::{Duration, Instant};

use auditline_sinks::DeliveryError;
use auditline_sinks::contract::{self, Destination as _, chain, server};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::topic::{Topic, config, deliver, expect_retryable, imitation, once, plain, sink};

#[tokio::test]
async fn a_closed_port_may_open() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let mut config = config(&address, "any");
    config["timeout"] = json!("1s");
    let sink = sink(config);
    let expected = format!("Kafka at `{address}` does not answer");
    expect_retryable(deliver(&*sink, &contract::numbered("p", 1, 2)).await, &expected);
}

#[tokio::test]
async fn a_broker_that_never_answers_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut config = config(&address, "any");
    config["timeout"] = json!("1s");
    let sink = sink(config);
    let expected = format!("Kafka at `{address}` does not answer");
    expect_retryable(deliver(&*sink, &contract::numbered("p", 1, 2)).await, &expected);
    drop(listener);
}

/// Both ways of delivery, for what must be told alike.
fn both(broker: &str) -> [Value; 2] {
    [config(broker, "any"), once(broker, "any")].map(|mut config| {
        config["timeout"] = json!("1s");
        config
    })
}

#[tokio::test]
async fn in_transactions_too_a_silent_broker_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let [_, config] = both(&address);
    let began = Instant::now();
    let expected = format!("Kafka at `{address}` does not answer");
    expect_retryable(deliver(&*sink(config), &contract::numbered("p", 1, 2)).await, &expected);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    drop(listener);
}

#[tokio::test]
async fn a_server_that_is_no_broker_is_given_up() {
    use tokio::io::AsyncWriteExt as _;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let _ = client.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n\xff\xff\xff\xffgarbage").await;
        }
    });
    for config in both(&address) {
        let expected = format!("Kafka at `{address}` does not answer");
        expect_retryable(deliver(&*sink(config), &contract::numbered("p", 1, 2)).await, &expected);
    }
    server.abort();
}

#[tokio::test]
async fn a_passing_fault_is_not_even_seen() {
    let (cluster, sink) = imitation();
    let fault = RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS;
    cluster.request_errors(RDKafkaApiKey::Produce, &[fault; 3]);
    deliver(&*sink, &contract::numbered("p", 1, 20)).await.unwrap();
}

#[tokio::test]
async fn after_a_broker_was_down_the_same_sink_delivers() {
    let (cluster, sink) = imitation();
    let batch = contract::numbered("p", 1, 20);
    cluster.broker_down(1).unwrap();
    let error = deliver(&*sink, &batch).await.unwrap_err();
    assert!(matches!(error, DeliveryError::Retryable { .. }), "{}", chain(&error));
    cluster.broker_up(1).unwrap();
    deliver(&*sink, &batch).await.unwrap();
}

#[tokio::test]
async fn a_full_buffer_is_waited_for() {
    let Some(broker) = server("a_full_buffer_is_waited_for", "kafka", "AUDITLINE_TEST_KAFKA") else {
        return;
    };
    let mut config = config(&broker, &contract::unique("buffer"));
    config["options"] = json!({ "queue.buffering.max.kbytes": "16", "queue.buffering.max.messages": "50" });
    let topic = Topic::create(config, plain(&broker)).await;
    let sink = topic.sink();
    let batches = ["a", "b", "c"].map(|pipeline| contract::numbered(pipeline, 1, 400));
    let outcomes = futures::future::join_all(batches.iter().map(|batch| deliver(&*sink, batch))).await;
    outcomes.into_iter().for_each(Result::unwrap);
    let mut arrived = topic.read_back(1200).await;
    let mut expected = contract::texts(&batches);
    arrived.sort_unstable();
    expected.sort_unstable();
    assert!(arrived == expected, "{} of 1200 arrived", arrived.len());
}

// Whoever deletes a topic under our feet loses what is in it; what comes next must not be lost, nor wait for ever.
#[tokio::test]
async fn a_topic_that_is_deleted_and_made_again_is_delivered_to() {
    let test = "a_topic_that_is_deleted_and_made_again_is_delivered_to";
    let Some(broker) = server(test, "kafka", "AUDITLINE_TEST_KAFKA") else { return };
    for make in [config, once] {
        let topic = Topic::create(make(&broker, &contract::unique("deleted")), plain(&broker)).await;
        let sink = topic.sink();
        for first in [1, 6, 11] {
            sink.deliver(&contract::numbered("p", first, 5)).await.unwrap();
        }
        topic.delete().await;
        let topic = Topic::create(topic.config, topic.client).await;
        let batches = [contract::numbered("p", 16, 5), contract::numbered("p", 21, 5)];
        for batch in &batches {
            let mut attempts = 0;
            while let Err(error) = sink.deliver(batch).await {
                attempts += 1;
                assert!(attempts < 10, "{}", chain(&error));
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
        let mut arrived = topic.read_back(10).await;
        arrived.dedup();
        assert_eq!(arrived, contract::texts(&batches));
    }
}
