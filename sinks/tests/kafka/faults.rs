//! What passes by itself: brokers that are away, silent or busy.

use std::time::{Duration, Instant};

use auditline_sinks::contract::{self, Destination as _, chain, server};
use auditline_sinks::{Batch, DeliveryError};
use rdkafka::mocking::{MockCluster, MockCoordinator};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::topic::{PATIENCE, Topic, config, deliver, expect_retryable, imitation, once, plain, sink};

#[tokio::test]
async fn a_closed_port_may_open() {
    let (_closed, address) = contract::closed_port();
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
    // librdkafka by itself would wait for minutes.
    assert!(began.elapsed() < Duration::from_secs(45), "{:?}", began.elapsed());
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

// A broker that is about to lead a new partition refuses the first request, leads it by the second, and takes that: the
// first was called delivered by librdkafka, and nobody had it.
#[tokio::test]
async fn what_was_refused_before_the_next_was_taken_is_not_called_delivered() {
    let (cluster, _) = imitation();
    let broker = cluster.bootstrap_servers();
    let mut config = config(&broker, "audit");
    // Each record is a request, and the next one does not wait for the answer to it.
    config["options"] = json!({ "batch.num.messages": 1, "retry.backoff.ms": "10" });
    cluster.broker_round_trip_time(1, Duration::from_millis(200)).unwrap();
    let sink = sink(config);
    let batches = [contract::numbered("p", 1, 5), contract::numbered("p", 6, 5)];
    for batch in &batches {
        cluster.request_errors(RDKafkaApiKey::Produce, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION]);
        while let Err(error) = deliver(&*sink, batch).await {
            assert!(matches!(error, DeliveryError::Retryable { .. }), "{}", chain(&error));
        }
    }
    let topic = Topic { config: super::topic::config(&broker, "audit"), client: plain(&broker) };
    let there = topic.read_back(10).await;
    let last = |text: &String| there.iter().rposition(|there| there == text);
    let places: Vec<Option<usize>> = contract::texts(&batches).iter().map(last).collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{there:?}");
}

// As when brokers are replaced one by one. The imitation keeps no position, but makes us look for everything again.
#[tokio::test]
async fn a_leader_and_a_coordinator_that_move_are_followed() {
    let cluster = MockCluster::new(3).unwrap();
    cluster.create_topic("audit", 1, 3).unwrap();
    let brokers = cluster.bootstrap_servers();
    let broker = brokers.split(',').next().unwrap();
    for make in [config, once] {
        let mut config = make(broker, "audit");
        config["options"] = json!({ "retry.backoff.ms": "10" });
        let sink = sink(config);
        for (at, first) in (0..8).zip((1..).step_by(50)) {
            let batch = contract::numbered("p", first, 50);
            let mut delivery = sink.deliver(&batch);
            // Half of the time before it has begun, half while it is under way.
            if at % 2 == 1 {
                assert!(futures::poll!(&mut delivery).is_pending());
            }
            cluster.partition_leader("audit", 0, Some(at % 3 + 1)).unwrap();
            cluster.coordinator(MockCoordinator::Transaction("audit/p/siem".to_owned()), (at + 1) % 3 + 1).unwrap();
            delivery.await.unwrap_or_else(|error| panic!("{}", chain(&error)));
        }
    }
    let topic = Topic { config: config(broker, "audit"), client: plain(broker) };
    let expected: Vec<Batch> = (0..2).map(|_| contract::numbered("p", 1, 400)).collect();
    assert!(topic.read_back(400).await == contract::texts(&expected));
}

// What a coordinator says while it is moved or busy.
#[tokio::test]
async fn a_coordinator_that_is_not_ready_is_waited_for() {
    use RDKafkaRespErr::*;
    let (cluster, _) = imitation();
    let broker = cluster.bootstrap_servers();
    let mut config = once(&broker, "audit");
    config["options"] = json!({ "retry.backoff.ms": "10" });
    let sink = sink(config);
    let faults = [
        RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS,
        RD_KAFKA_RESP_ERR_NOT_COORDINATOR,
        RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE,
    ];
    let requests = [
        RDKafkaApiKey::InitProducerId,
        RDKafkaApiKey::OffsetFetch,
        RDKafkaApiKey::AddPartitionsToTxn,
        RDKafkaApiKey::AddOffsetsToTxn,
        RDKafkaApiKey::TxnOffsetCommit,
        RDKafkaApiKey::EndTxn,
    ];
    let batches: Vec<Batch> = (1..).step_by(5).take(6).map(|first| contract::numbered("p", first, 5)).collect();
    for (request, batch) in requests.into_iter().zip(&batches) {
        cluster.request_errors(request, &faults);
        deliver(&*sink, batch).await.unwrap_or_else(|error| panic!("{request:?}: {}", chain(&error)));
    }
    let topic = Topic { config: super::topic::config(&broker, "audit"), client: plain(&broker) };
    assert_eq!(topic.read_back(30).await, contract::texts(&batches));
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
            let give_up = Instant::now() + PATIENCE;
            while let Err(error) = sink.deliver(batch).await {
                assert!(Instant::now() < give_up, "{}", chain(&error));
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
        let mut arrived = topic.read_back(10).await;
        arrived.dedup();
        assert_eq!(arrived, contract::texts(&batches));
    }
}
