//! Messages for Apache Kafka. The plainest program hands them to librdkafka one by one and flushes after each batch. It
//! is told what the sink reads in the event: key, schema and class.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use auditline_sinks::template::{KeyTemplate, Place};
use auditline_sinks::{Batch, Record};
use chrono::SecondsFormat;
use rdkafka::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};
use serde_json::Value;

use super::race::{Pair, Plain};

const PATIENCE: Duration = Duration::from_secs(30);

struct Messages {
    producer: ThreadedProducer<Answers>,
    failed: Arc<AtomicUsize>,
    batches: Vec<Vec<Message>>,
}

struct Message {
    topic: String,
    key: String,
    record: Record,
    vendor: Arc<str>,
    schema: String,
    class: String,
}

/// Counts what was not taken.
struct Answers(Arc<AtomicUsize>);

impl ClientContext for Answers {}

impl ProducerContext for Answers {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if result.is_err() {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

pub fn pair() -> Option<Pair> {
    let brokers = super::server("kafka", "Kafka", "AUDITLINE_TEST_KAFKA")?;
    let config = super::config(&format!("[kafka]\nbrokers = [\"{brokers}\"]\ntopic = \"bench.{{vendor}}\""));
    let failed = Arc::default();
    let mut client = ClientConfig::new();
    // What the sink sets that counts here.
    client
        .set("bootstrap.servers", brokers)
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("compression.type", "zstd")
        .set("queue.buffering.max.kbytes", "16384")
        .set("batch.size", "524288");
    let producer = client.create_with_context(Answers(Arc::clone(&failed))).expect("a producer");
    let plain = Messages { producer, failed, batches: Vec::new() };
    Some(Pair::new("kafka", config, Box::new(plain)))
}

impl Plain for Messages {
    fn prepare(&mut self, batches: &[Batch]) {
        let messages = |batch: &Batch| batch.records.iter().map(|record| Message::new(batch, record)).collect();
        self.batches = batches.iter().map(messages).collect();
    }

    fn push(&mut self) {
        for batch in &self.batches {
            for it in batch {
                let mut message =
                    BaseRecord::to(&it.topic).key(&it.key).payload(&it.record.json[..]).headers(it.headers());
                while let Err((error, unsent)) = self.producer.send(message) {
                    let is_full = matches!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull));
                    assert!(is_full, "{error}");
                    std::thread::sleep(Duration::from_millis(1));
                    message = unsent;
                }
            }
            self.producer.flush(PATIENCE).expect("the broker answers in time");
        }
        assert_eq!(self.failed.load(Ordering::Relaxed), 0, "messages were not taken");
    }
}

impl Message {
    fn new(batch: &Batch, record: &Record) -> Self {
        let event: Value = serde_json::from_slice(&record.json).expect("an event");
        let key: KeyTemplate = "{actor}".parse().expect("a known placeholder");
        Self {
            topic: format!("bench.{}", batch.vendor),
            key: key.0.render(batch, record, Place::Text),
            record: record.clone(),
            vendor: batch.vendor.clone(),
            schema: format!("ocsf {}", event["metadata"]["version"].as_str().expect("a version")),
            class: event["class_uid"].to_string(),
        }
    }

    /// Those that the sink gives it.
    fn headers(&self) -> OwnedHeaders {
        let time = self.record.time.to_rfc3339_opts(SecondsFormat::Millis, true);
        let headers = [
            ("auditline-id", self.record.id.as_str()),
            ("auditline-vendor", &self.vendor),
            ("auditline-pipeline", &self.vendor),
            ("auditline-time", &time),
            ("auditline-schema", &self.schema),
            ("auditline-class", &self.class),
            ("content-type", "application/json"),
        ];
        let put = |all: OwnedHeaders, (key, value)| all.insert(Header { key, value: Some(value) });
        headers.into_iter().fold(OwnedHeaders::new_with_capacity(7), put)
    }
}
