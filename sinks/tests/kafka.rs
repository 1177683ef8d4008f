//! The Kafka sink against a real broker, and for faults against librdkafka's imitation of one.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use auditline_sinks::contract::{self, Destination, Guarantees, chain, server};
use auditline_sinks::{Batch, Delivery, DeliveryError, Sink, SinkConfig};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message, OwnedMessage};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// Above what travels as one, below what librdkafka itself takes: it is the broker that refuses.
const LIMIT: usize = 800_000;

fn sink(config: Value) -> Arc<dyn Sink> {
    let config: SinkConfig = serde_json::from_value(json!({ "kafka": config })).unwrap();
    config.build().unwrap()
}

/// A topic of three partitions and a message limit of its own.
struct Topic {
    config: Value,
    /// How the test itself connects.
    client: ClientConfig,
}

impl Topic {
    async fn create(config: Value, client: ClientConfig) -> Self {
        Self::with_limit(config, client, LIMIT).await
    }

    async fn with_limit(config: Value, client: ClientConfig, limit: usize) -> Self {
        let name = config["topic"].as_str().unwrap();
        let admin: AdminClient<DefaultClientContext> = client.create().unwrap();
        let limit = limit.to_string();
        let topic = NewTopic::new(name, 3, TopicReplication::Fixed(1)).set("max.message.bytes", &limit);
        let created = admin.create_topics(&[topic], &AdminOptions::new()).await.unwrap();
        created.into_iter().for_each(|topic| drop(topic.unwrap()));
        Self { config, client }
    }

    /// Everything in the topic, partition by partition.
    async fn messages(&self) -> Vec<OwnedMessage> {
        let client = self.client.clone();
        let topic = self.config["topic"].as_str().unwrap().to_owned();
        tokio::task::spawn_blocking(move || read_all(&client, &topic)).await.unwrap()
    }
}

fn read_all(client: &ClientConfig, topic: &str) -> Vec<OwnedMessage> {
    let mut client = client.clone();
    client.set("group.id", "auditline-tests").set("enable.auto.commit", "false");
    let consumer: BaseConsumer = client.create().unwrap();
    let wait = Duration::from_secs(20);
    let metadata = consumer.fetch_metadata(Some(topic), wait).unwrap();
    let mut messages = Vec::new();
    for partition in metadata.topics()[0].partitions() {
        let (low, high) = consumer.fetch_watermarks(topic, partition.id(), wait).unwrap();
        let mut from = TopicPartitionList::new();
        from.add_partition_offset(topic, partition.id(), Offset::Offset(low)).unwrap();
        consumer.assign(&from).unwrap();
        let mut next = low;
        while next < high {
            let message = consumer.poll(wait).expect("the broker answers").unwrap();
            next = message.offset() + 1;
            messages.push(message.detach());
        }
    }
    messages
}

#[async_trait]
impl Destination for Topic {
    fn sink(&self) -> Arc<dyn Sink> {
        sink(self.config.clone())
    }

    async fn read_back(&self, _expected: usize) -> Vec<String> {
        let messages = self.messages().await;
        let text = |message: &OwnedMessage| String::from_utf8(message.payload().unwrap().to_vec()).unwrap();
        messages.iter().map(text).collect()
    }

    fn guarantees(&self) -> Guarantees {
        Guarantees { max_record_bytes: Some(LIMIT), ..Guarantees::default() }
    }
}

fn plain(broker: &str) -> ClientConfig {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", broker);
    client
}

/// Uncompressed, so that the broker's limit is met by what we think is large.
fn config(broker: &str, topic: &str) -> Value {
    json!({ "brokers": [broker], "topic": topic, "compression": "none" })
}

#[tokio::test]
async fn keeps_the_contract() {
    let Some(broker) = server("keeps_the_contract", "kafka", "AUDITLINE_TEST_KAFKA") else {
        return;
    };
    contract::all(async |name| Topic::create(config(&broker, name), plain(&broker)).await).await;
}

fn secure(broker: &str, topic: &str) -> (Value, ClientConfig) {
    let ca = std::env::var("AUDITLINE_TEST_KAFKA_CA").unwrap();
    let mut config = config(broker, topic);
    config["tls"] = json!({ "ca": ca });
    config["sasl"] = json!({ "mechanism": "scram-sha-256", "username": "auditline", "password": "opens-nothing" });
    let mut client = plain(broker);
    client
        .set("security.protocol", "sasl_ssl")
        .set("ssl.ca.location", ca)
        .set("sasl.mechanism", "SCRAM-SHA-256")
        .set("sasl.username", "auditline")
        .set("sasl.password", "opens-nothing");
    (config, client)
}

#[tokio::test]
async fn keeps_the_contract_with_sasl_and_tls() {
    let Some(broker) = server("keeps_the_contract_with_sasl_and_tls", "kafka", "AUDITLINE_TEST_KAFKA_SASL_TLS") else {
        return;
    };
    contract::all(async |name| {
        let (config, client) = secure(&broker, name);
        Topic::create(config, client).await
    })
    .await;
}

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
async fn what_librdkafka_itself_finds_too_large_is_rejected() {
    let Some(broker) = server("what_librdkafka_itself_finds_too_large_is_rejected", "kafka", "AUDITLINE_TEST_KAFKA")
    else {
        return;
    };
    let mut config = config(&broker, &contract::unique("local-limit"));
    config["options"] = json!({ "message.max.bytes": "2000" });
    let topic = Topic::create(config, plain(&broker)).await;
    let large = format!(r#"{{"large":"{}"}}"#, "x".repeat(3000));
    let batch = contract::batch_of("p", 7, ["{}", large.as_str(), r#"{"n":3}"#]);
    let Delivery { rejected } = topic.sink().deliver(&batch).await.unwrap();
    assert_eq!(rejected.len(), 1);
    assert_eq!(rejected[0].at, 1);
    assert!(rejected[0].reason.contains("`message.max.bytes`"), "{rejected:?}");
    assert_eq!(topic.read_back(2).await, ["{}", r#"{"n":3}"#]);
}

// The broker refuses what travels together for what one record is, or for what all of them are.
#[tokio::test]
async fn a_topic_that_takes_little_gets_each_record_once() {
    let Some(broker) = server("a_topic_that_takes_little_gets_each_record_once", "kafka", "AUDITLINE_TEST_KAFKA")
    else {
        return;
    };
    let config = config(&broker, &contract::unique("little"));
    let topic = Topic::with_limit(config, plain(&broker), 20_000).await;
    let mut batch = contract::numbered("p", 1, 2000);
    let large = |n| format!(r#"{{"n":{n},"large":"{}"}}"#, "x".repeat(30_000)).into();
    for at in [0, 700, 701, 1999] {
        batch.records[at].json = large(at);
    }
    let Delivery { rejected } = topic.sink().deliver(&batch).await.unwrap();
    let places: Vec<usize> = rejected.iter().map(|rejected| rejected.at).collect();
    assert_eq!(places, [0, 700, 701, 1999]);
    batch.records.retain(|record| record.json.len() < 20_000);
    let mut arrived = topic.read_back(1996).await;
    let mut expected = contract::texts(&[batch]);
    arrived.sort_unstable();
    expected.sort_unstable();
    assert!(arrived == expected, "{} of 1996 arrived", arrived.len());
}

fn expect_refused(outcome: Result<(), DeliveryError>, expected: &str) {
    match outcome {
        Err(DeliveryError::Refused { hint, message, .. }) => {
            assert!(hint.contains(expected), "{message}: {hint}")
        }
        other => panic!("{other:?}"),
    }
}

fn expect_retryable(outcome: Result<(), DeliveryError>, expected: &str) {
    match outcome {
        Err(error @ DeliveryError::Retryable { .. }) => {
            assert_eq!(error.to_string(), expected, "{}", chain(&error))
        }
        other => panic!("{other:?}"),
    }
}

async fn deliver(sink: &dyn Sink, batch: &Batch) -> Result<(), DeliveryError> {
    sink.deliver(batch).await.map(drop)
}

#[tokio::test]
async fn wrong_credentials_need_a_person() {
    let Some(broker) = server("wrong_credentials_need_a_person", "kafka", "AUDITLINE_TEST_KAFKA_SASL_TLS") else {
        return;
    };
    let (mut config, _) = secure(&broker, "any");
    config["sasl"]["password"] = json!("wrong");
    config["timeout"] = json!("4s");
    let sink = sink(config);
    expect_refused(sink.check().await, "`sasl.password`");
    // The second time librdkafka has nothing new to say.
    expect_refused(sink.check().await, "`sasl.password`");
    expect_refused(deliver(&*sink, &contract::numbered("p", 1, 2)).await, "`sasl.password`");
}

#[tokio::test]
async fn a_broker_we_cannot_trust_needs_a_person() {
    let Some(broker) = server("a_broker_we_cannot_trust_needs_a_person", "kafka", "AUDITLINE_TEST_KAFKA_SASL_TLS")
    else {
        return;
    };
    let (mut config, _) = secure(&broker, "any");
    config["tls"]["ca"] = json!(std::env::var("AUDITLINE_TEST_TLS_WRONG_CA").unwrap());
    config["timeout"] = json!("4s");
    let sink = sink(config);
    expect_refused(sink.check().await, "`tls.ca`");
    expect_refused(deliver(&*sink, &contract::numbered("p", 1, 2)).await, "`tls.ca`");
}

#[tokio::test]
async fn a_topic_with_an_impossible_name_needs_a_person() {
    let Some(broker) = server("a_topic_with_an_impossible_name_needs_a_person", "kafka", "AUDITLINE_TEST_KAFKA") else {
        return;
    };
    let mut config = config(&broker, &"x".repeat(250));
    config["timeout"] = json!("4s");
    let sink = sink(config);
    expect_refused(sink.check().await, "`topic`");
    expect_refused(deliver(&*sink, &contract::numbered("p", 1, 2)).await, "`topic`");
}

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

/// The imitation knows no topics but those it is told of, and fails as it is told to.
fn imitation() -> (MockCluster<'static, DefaultProducerContext>, Arc<dyn Sink>) {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("audit", 1, 1).unwrap();
    let mut config = config(&cluster.bootstrap_servers(), "audit");
    config["timeout"] = json!("5s");
    config["options"] = json!({ "retry.backoff.ms": "10" });
    (cluster, sink(config))
}

#[tokio::test]
async fn a_passing_fault_is_not_even_seen() {
    let (cluster, sink) = imitation();
    let fault = RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS;
    cluster.request_errors(RDKafkaApiKey::Produce, &[fault; 3]);
    deliver(&*sink, &contract::numbered("p", 1, 20)).await.unwrap();
}

#[tokio::test]
async fn a_missing_right_needs_a_person() {
    let (cluster, sink) = imitation();
    let fault = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    cluster.request_errors(RDKafkaApiKey::Produce, &[fault; 100]);
    expect_refused(deliver(&*sink, &contract::numbered("p", 1, 20)).await, "grant this user Write");
}

#[tokio::test]
async fn an_unknown_topic_needs_a_person() {
    let (cluster, sink) = imitation();
    cluster.topic_error("audit", RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART).unwrap();
    expect_refused(sink.check().await, "create the topic");
    expect_refused(deliver(&*sink, &contract::numbered("p", 1, 2)).await, "create the topic");
}

async fn topics(client: ClientConfig) -> Vec<String> {
    let listed = tokio::task::spawn_blocking(move || {
        let consumer: BaseConsumer = client.create().unwrap();
        let metadata = consumer.fetch_metadata(None, Duration::from_secs(20)).unwrap();
        metadata.topics().iter().map(|topic| topic.name().to_owned()).collect()
    });
    listed.await.unwrap()
}

#[tokio::test]
async fn to_check_a_missing_topic_does_not_make_it() {
    let (cluster, _) = imitation();
    let absent = sink(config(&cluster.bootstrap_servers(), "absent"));
    expect_refused(absent.check().await, "create the topic");
    assert_eq!(topics(plain(&cluster.bootstrap_servers())).await, ["audit"]);
}

#[tokio::test]
async fn a_topic_that_the_brokers_will_make_is_not_missed() {
    let Some(broker) = server("a_topic_that_the_brokers_will_make_is_not_missed", "kafka", "AUDITLINE_TEST_KAFKA")
    else {
        return;
    };
    let name = contract::unique("made");
    let sink = sink(config(&broker, &name));
    sink.check().await.unwrap();
    assert!(!topics(plain(&broker)).await.contains(&name));
    deliver(&*sink, &contract::numbered("p", 1, 2)).await.unwrap();
    assert!(topics(plain(&broker)).await.contains(&name));
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
