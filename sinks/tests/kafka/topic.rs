//! A topic to deliver to and to read again, ways to configure the sink, and what to expect of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use auditline_sinks::contract::{Destination, Guarantees, chain};
use auditline_sinks::{Batch, DeliveryError, Sink, SinkConfig};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{Message, OwnedMessage};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde_json::{Value, json};

/// Above what travels as one, below what librdkafka itself takes: it is the broker that refuses.
pub const LIMIT: usize = 800_000;

/// Longer than a broker needs on a busy machine: what is not so by then never is.
pub const PATIENCE: Duration = Duration::from_secs(120);

pub fn sink(config: Value) -> Arc<dyn Sink> {
    let config: SinkConfig = serde_json::from_value(json!({ "kafka": config })).unwrap();
    config.build().unwrap()
}

/// A topic of three partitions and a message limit of its own.
pub struct Topic {
    pub config: Value,
    /// How the test itself connects.
    pub client: ClientConfig,
}

impl Topic {
    pub async fn create(config: Value, client: ClientConfig) -> Self {
        Self::with_limit(config, client, LIMIT).await
    }

    pub async fn with_limit(config: Value, client: ClientConfig, limit: usize) -> Self {
        let name = config["topic"].as_str().unwrap();
        let admin: AdminClient<DefaultClientContext> = client.create().unwrap();
        let limit = limit.to_string();
        let topic = NewTopic::new(name, 3, TopicReplication::Fixed(1)).set("max.message.bytes", &limit);
        let created = admin.create_topics(&[topic], &AdminOptions::new()).await.unwrap();
        created.into_iter().for_each(|topic| drop(topic.unwrap()));
        let topic = Self { config, client };
        topic.is_led().await;
        topic
    }

    /// Returns when its partitions can be written. A topic is made, and deleted, a moment before its broker knows of it:
    /// until then records are refused, or still go where one of the same name was deleted.
    async fn is_led(&self) {
        let (client, topic) = (self.client.clone(), self.config["topic"].as_str().unwrap().to_owned());
        let wait = move || {
            let consumer: BaseConsumer = client.create().unwrap();
            let give_up = Instant::now() + PATIENCE;
            for partition in 0..3 {
                loop {
                    match consumer.fetch_watermarks(&topic, partition, PATIENCE) {
                        Ok((0, 0)) => break,
                        other => assert!(Instant::now() < give_up, "partition {partition} is not made: {other:?}"),
                    }
                    std::thread::sleep(Duration::from_millis(20));
                }
            }
        };
        tokio::task::spawn_blocking(wait).await.unwrap();
    }

    pub async fn delete(&self) {
        let admin: AdminClient<DefaultClientContext> = self.client.create().unwrap();
        let name = self.config["topic"].as_str().unwrap();
        let deleted = admin.delete_topics(&[name], &AdminOptions::new()).await.unwrap();
        deleted.into_iter().for_each(|topic| drop(topic.unwrap()));
    }

    /// Gives the topic another message limit.
    pub async fn set_limit(&self, limit: usize) {
        let admin: AdminClient<DefaultClientContext> = self.client.create().unwrap();
        let limit = limit.to_string();
        let topic = ResourceSpecifier::Topic(self.config["topic"].as_str().unwrap());
        let change = AlterConfig::new(topic).set("max.message.bytes", &limit);
        let changed = admin.alter_configs([&change], &AdminOptions::new()).await.unwrap();
        changed.into_iter().for_each(|topic| drop(topic.unwrap()));
    }

    /// Everything in the topic, partition by partition.
    pub async fn messages(&self) -> Vec<OwnedMessage> {
        let client = self.client.clone();
        let topic = self.config["topic"].as_str().unwrap().to_owned();
        tokio::task::spawn_blocking(move || read_all(&client, &topic)).await.unwrap()
    }
}

/// What readers see who are not shown transactions before they are committed.
pub fn read_all(client: &ClientConfig, topic: &str) -> Vec<OwnedMessage> {
    let reader = |isolation: &str| -> BaseConsumer {
        let mut client = client.clone();
        client.set("group.id", "auditline-tests").set("enable.auto.commit", "false");
        client.set("enable.partition.eof", "true").set("isolation.level", isolation);
        client.create().unwrap()
    };
    let (consumer, all) = (reader("read_committed"), reader("read_uncommitted"));
    let metadata = consumer.fetch_metadata(Some(topic), PATIENCE).unwrap();
    let mut messages = Vec::new();
    for partition in metadata.topics()[0].partitions() {
        // A commit is answered before every partition knows of it.
        let (low, end) = all.fetch_watermarks(topic, partition.id(), PATIENCE).unwrap();
        let give_up = Instant::now() + PATIENCE;
        while consumer.fetch_watermarks(topic, partition.id(), PATIENCE).unwrap().1 < end {
            assert!(Instant::now() < give_up, "a transaction in partition {} was left open", partition.id());
            std::thread::sleep(Duration::from_millis(20));
        }
        let mut from = TopicPartitionList::new();
        from.add_partition_offset(topic, partition.id(), Offset::Offset(low)).unwrap();
        consumer.assign(&from).unwrap();
        loop {
            match consumer.poll(PATIENCE).expect("the broker answers") {
                Ok(message) => messages.push(message.detach()),
                Err(KafkaError::PartitionEOF(_)) => break,
                Err(error) => panic!("{error}"),
            }
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
        let exactly_once = self.config["delivery"] == "exactly_once";
        Guarantees { exactly_once, max_record_bytes: Some(LIMIT), ..Guarantees::default() }
    }
}

pub fn plain(broker: &str) -> ClientConfig {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", broker);
    client
}

/// Uncompressed, so that the broker's limit is met by what we think is large.
pub fn config(broker: &str, topic: &str) -> Value {
    json!({ "brokers": [broker], "topic": topic, "compression": "none" })
}

/// The same in transactions.
pub fn once(broker: &str, topic: &str) -> Value {
    let mut config = config(broker, topic);
    config["delivery"] = json!("exactly_once");
    config["transactional_id_prefix"] = json!(topic);
    config
}

pub fn secure(broker: &str, topic: &str) -> (Value, ClientConfig) {
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

pub async fn topics(client: ClientConfig) -> Vec<String> {
    let listed = tokio::task::spawn_blocking(move || {
        let consumer: BaseConsumer = client.create().unwrap();
        let metadata = consumer.fetch_metadata(None, PATIENCE).unwrap();
        metadata.topics().iter().map(|topic| topic.name().to_owned()).collect()
    });
    listed.await.unwrap()
}

pub async fn deliver(sink: &dyn Sink, batch: &Batch) -> Result<(), DeliveryError> {
    sink.deliver(batch).await.map(drop)
}

#[track_caller]
pub fn expect_refused(outcome: Result<(), DeliveryError>, expected: &str) {
    match outcome {
        Err(DeliveryError::Refused { hint, message, .. }) => {
            assert!(hint.contains(expected), "{message}: {hint}")
        }
        other => panic!("{other:?}"),
    }
}

#[track_caller]
pub fn expect_retryable(outcome: Result<(), DeliveryError>, expected: &str) {
    match outcome {
        Err(error @ DeliveryError::Retryable { .. }) => {
            assert_eq!(error.to_string(), expected, "{}", chain(&error))
        }
        other => panic!("{other:?}"),
    }
}

/// The imitation knows no topics but those it is told of, and fails as it is told to.
pub fn imitation() -> (MockCluster<'static, DefaultProducerContext>, Arc<dyn Sink>) {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("audit", 1, 1).unwrap();
    let mut config = config(&cluster.bootstrap_servers(), "audit");
    config["timeout"] = json!("10s");
    config["options"] = json!({ "retry.backoff.ms": "10" });
    (cluster, sink(config))
}
