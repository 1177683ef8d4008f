//! Messages in a Kafka topic, through librdkafka.
//!
//! At least once: the producer is idempotent, so its own retries repeat nothing, but a batch that comes again after a
//! crash is new to the broker. The header `auditline-id` lets a reader tell. One key keeps a pipeline's records in one
//! partition, in order.

mod context;
mod explain;
mod options;

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use chrono::SecondsFormat;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use serde::Deserialize;
use tokio::sync::mpsc;

use self::context::{Context, Ticket};
use self::explain::{Fate, explain, fate};
pub use self::options::{Compression, Mechanism, Options, Sasl};
use crate::address::Address;
use crate::template::{KeyTemplate, Place, Template};
use crate::tls::TlsConfig;
use crate::units::HumanDuration;
use crate::{Batch, BatchLimits, BuildError, Delivery, DeliveryError, Record, Rejected, Sink};

/// librdkafka makes its own batches of these; ours bound what comes again after an error.
pub const BATCH: BatchLimits =
    BatchLimits { max_records: 5000, max_bytes: 4 * 1024 * 1024, max_wait: Duration::from_secs(1) };

/// How much librdkafka may hold, over all pipelines. Its own default is a gigabyte.
const BUFFER_KIB: u32 = 16 * 1024;
const CHECK_TIMEOUT: Duration = Duration::from_secs(10);

/// `[sinks.NAME.kafka]`
#[derive(Clone, Debug, Deserialize)]
pub struct Config {
    /// Where to begin; the brokers then tell of each other.
    pub brokers: Vec<Address>,
    /// `audit.{vendor}`. Characters a topic cannot have become `_`.
    pub topic: Template,
    /// Records with the same key stay in order. `{pipeline}` unless set; `{id}` is possible too.
    #[serde(default = "by_pipeline")]
    pub key: KeyTemplate,
    /// How messages are compressed, `"zstd"` unless set.
    #[serde(default)]
    pub compression: Compression,
    /// How long a record may take from us to the broker's acknowledgement, `"30s"` unless set.
    #[serde(default = "half_a_minute")]
    pub timeout: HumanDuration,
    /// TLS towards the brokers. Each is known by the name it is connected to.
    pub tls: Option<TlsConfig>,
    /// A user's name and password.
    pub sasl: Option<Sasl>,
    /// What the brokers' logs and quotas call us, `auditline` unless set.
    #[serde(default = "auditline")]
    pub client_id: String,
    /// Anything else librdkafka takes, by its own names: `{ "linger.ms" = "50" }`.
    #[serde(default)]
    pub options: Options,
}

/// Sends a batch's records in order and waits for all their acknowledgements.
pub struct Kafka {
    config: Config,
    client: ClientConfig,
    // Connects as soon as it is made, so it is made at first use. Held for a few lines, never across an await.
    connected: Mutex<Option<Connected>>,
}

type Connected = Arc<ThreadedProducer<Context>>;

impl Config {
    /// Checks what librdkafka would refuse, and the files.
    pub fn build(&self) -> Result<Kafka, BuildError> {
        if self.brokers.is_empty() {
            return Err(BuildError::new("brokers", "no broker to connect to", "give at least one `\"host:port\"`"));
        }
        if self.timeout.0 < Duration::from_secs(1) || self.timeout.0 > Duration::from_secs(900) {
            return Err(BuildError::new("timeout", "`timeout` is out of bounds", "choose between `1s` and `15m`"));
        }
        let client = self.client()?;
        client.create_native_config().map_err(|error| options::refused(&error))?;
        Ok(Kafka { config: self.clone(), client, connected: Mutex::new(None) })
    }

    fn client(&self) -> Result<ClientConfig, BuildError> {
        let brokers: Vec<String> = self.brokers.iter().map(Address::to_string).collect();
        let mut client = ClientConfig::new();
        client.set_log_level(RDKafkaLogLevel::Warning);
        client.set("queue.buffering.max.kbytes", BUFFER_KIB.to_string());
        for (name, value) in self.options.iter() {
            client.set(name, value);
        }
        client
            .set("bootstrap.servers", brokers.join(","))
            .set("client.id", &self.client_id)
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("compression.type", self.compression.name())
            .set("message.timeout.ms", self.timeout.0.as_millis().to_string());
        if let Some(tls) = &self.tls {
            options::set_tls(&mut client, tls)?;
        }
        if let Some(sasl) = &self.sasl {
            options::set_sasl(&mut client, sasl);
        }
        client.set(
            "security.protocol",
            match (&self.tls, &self.sasl) {
                (None, None) => "plaintext",
                (Some(_), None) => "ssl",
                (None, Some(_)) => "sasl_plaintext",
                (Some(_), Some(_)) => "sasl_ssl",
            },
        );
        Ok(client)
    }
}

#[async_trait]
impl Sink for Kafka {
    async fn check(&self) -> Result<(), DeliveryError> {
        let producer = self.connected()?;
        let context = Arc::clone(producer.client().context());
        let topic = self.config.topic.literal().map(str::to_owned);
        let question = tokio::task::spawn_blocking(move || {
            let metadata = producer.client().fetch_metadata(topic.as_deref(), CHECK_TIMEOUT)?;
            let topic = metadata.topics().first().filter(|_| topic.is_some());
            Ok(topic.and_then(|topic| topic.error()).map(Code::from))
        });
        // A refusal is known long before the question times out.
        let answer = tokio::select! {
            answer = question => answer.unwrap_or(Err(KafkaError::Canceled)),
            () = context.refusal() => Ok(Some(Code::OperationTimedOut)),
        };
        match answer {
            Ok(None) => Ok(()),
            Ok(Some(code)) => Err(self.explain(code, &context)),
            Err(error) => Err(self.explain(error.rdkafka_error_code().unwrap_or(Code::Fail), &context)),
        }
    }

    async fn deliver(&self, batch: &Batch) -> Result<Delivery, DeliveryError> {
        let producer = self.connected()?;
        let mut sending = Sending::new(&producer, &self.config, batch);
        for at in 0..batch.records.len() {
            sending.send(at).await;
        }
        sending.finish().await;
        sending.settle_doubtful().await;
        let context = producer.client().context();
        match sending.failed {
            Some(code) => Err(self.explain(code, context)),
            None => {
                context.forget_errors();
                sending.rejected.sort_by_key(|rejected| rejected.sequence);
                Ok(Delivery { rejected: sending.rejected })
            }
        }
    }
}

impl Kafka {
    /// The producer: a new one after a fatal error, from which the old one never recovers.
    fn connected(&self) -> Result<Connected, DeliveryError> {
        let mut connected = self.connected.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(producer) = connected.as_ref().filter(|it| it.client().fatal_error().is_none()) {
            return Ok(Arc::clone(producer));
        }
        let producer = self.client.create_with_context(Context::new(self.to_string()));
        let producer = Arc::new(producer.map_err(|error| {
            DeliveryError::refused(
                "librdkafka cannot start",
                "check `tls`, `sasl` and `options`, and that the files they name can be read",
                error,
            )
        })?);
        *connected = Some(Arc::clone(&producer));
        Ok(producer)
    }

    fn explain(&self, code: Code, context: &Context) -> DeliveryError {
        let brokers: Vec<String> = self.config.brokers.iter().map(Address::to_string).collect();
        explain(code, context.last_error(), &brokers.join(","), &self.config.topic)
    }
}

impl fmt::Display for Kafka {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("kafka ")?;
        for (at, broker) in self.config.brokers.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(f, "{comma}{broker}")?;
        }
        write!(f, " topic {}", self.config.topic)
    }
}

/// A batch on its way.
struct Sending<'a> {
    producer: &'a Connected,
    config: &'a Config,
    batch: &'a Batch,
    tickets: mpsc::UnboundedSender<(usize, Option<Code>)>,
    answers: mpsc::UnboundedReceiver<(usize, Option<Code>)>,
    unanswered: usize,
    rejected: Vec<Rejected>,
    /// Refused, and perhaps only because of a neighbour.
    doubtful: Vec<(usize, Code)>,
    /// The first failure: those behind it often only say that they were purged with it.
    failed: Option<Code>,
}

impl<'a> Sending<'a> {
    fn new(producer: &'a Connected, config: &'a Config, batch: &'a Batch) -> Self {
        let (tickets, answers) = mpsc::unbounded_channel();
        Self {
            producer,
            config,
            batch,
            tickets,
            answers,
            unanswered: 0,
            rejected: Vec::new(),
            doubtful: Vec::new(),
            failed: None,
        }
    }

    /// Hands one record to librdkafka, waiting for room where there is none. Does nothing once the batch has failed.
    async fn send(&mut self, at: usize) {
        if self.failed.is_some() {
            return;
        }
        let record = &self.batch.records[at];
        let topic = self.config.topic.render(self.batch, record, Place::Topic);
        let key = self.config.key.0.render(self.batch, record, Place::Text);
        // The message's own timestamp is the time of sending. With the event's, a topic's retention would delete a
        // backfilled log the hour it arrives.
        let mut message = BaseRecord::with_opaque_to(&topic, Ticket::new(at, &self.tickets))
            .key(&key)
            .payload(&record.json[..])
            .headers(headers(self.batch, record));
        let give_up = Instant::now() + self.config.timeout.0;
        loop {
            match self.producer.send(message) {
                Ok(()) => {
                    self.unanswered += 1;
                    return;
                }
                Err((KafkaError::MessageProduction(Code::QueueFull), unsent)) => {
                    message = unsent;
                    if self.unanswered > 0 {
                        self.hear().await;
                    } else if Instant::now() < give_up {
                        // Full of other pipelines' records: their tasks hear of room, not we.
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    } else {
                        self.failed = Some(Code::QueueFull);
                        return;
                    }
                }
                Err((error, _)) => {
                    return self.not_sent(at, error.rdkafka_error_code().unwrap_or(Code::Fail));
                }
            }
        }
    }

    /// librdkafka itself did not take the record: its neighbours have no part in that.
    fn not_sent(&mut self, at: usize, code: Code) {
        if fate(code) == Fate::Rejected {
            let bytes = self.batch.records[at].json.len();
            self.reject(at, format!("{bytes} bytes are more than the producer's `message.max.bytes`"));
        } else {
            self.failed.get_or_insert(code);
        }
    }

    /// Waits for all answers.
    async fn finish(&mut self) {
        while self.unanswered > 0 {
            self.hear().await;
        }
    }

    async fn hear(&mut self) {
        self.unanswered -= 1;
        // Cannot be closed: we hold a sender. librdkafka answers every message within `message.timeout.ms`.
        let Some((at, Some(code))) = self.answers.recv().await else {
            return;
        };
        if fate(code) == Fate::Rejected {
            self.doubtful.push((at, code));
        } else {
            self.failed.get_or_insert(code);
        }
    }

    /// What a broker says of one message it says of all that travelled with it: one that is too large takes good ones
    /// along, and many small ones may be too large together. They are sent again by halves, so that in the end only
    /// what is refused alone is rejected.
    async fn settle_doubtful(&mut self) {
        let mut groups = vec![self.take_doubtful()];
        while let Some(group) = groups.pop() {
            let (now, later) = group.split_at(group.len().div_ceil(2));
            if !later.is_empty() {
                groups.push(later.to_vec());
            }
            for at in now {
                self.send(*at).await;
            }
            self.finish().await;
            if group.len() == 1 {
                self.reject_doubtful();
            } else {
                groups.push(self.take_doubtful());
            }
        }
    }

    fn take_doubtful(&mut self) -> Vec<usize> {
        let mut doubtful: Vec<usize> = self.doubtful.drain(..).map(|(at, _)| at).collect();
        doubtful.sort_unstable();
        doubtful
    }

    fn reject_doubtful(&mut self) {
        for (at, code) in std::mem::take(&mut self.doubtful) {
            self.reject(at, code.to_string());
        }
    }

    fn reject(&mut self, at: usize, reason: String) {
        let sequence = self.batch.first + at as u64;
        self.rejected.push(Rejected { sequence, reason });
    }
}

fn headers(batch: &Batch, record: &Record) -> OwnedHeaders {
    let time = record.time.to_rfc3339_opts(SecondsFormat::Millis, true);
    [
        ("auditline-id", record.id.as_str()),
        ("auditline-vendor", &batch.vendor),
        ("auditline-pipeline", &batch.pipeline),
        ("auditline-time", &time),
        ("content-type", "application/json"),
    ]
    .into_iter()
    .fold(OwnedHeaders::new_with_capacity(5), |headers, (key, value)| {
        headers.insert(Header { key, value: Some(value) })
    })
}

fn by_pipeline() -> KeyTemplate {
    KeyTemplate::from_str("{pipeline}").expect("a known placeholder")
}

fn half_a_minute() -> HumanDuration {
    HumanDuration(Duration::from_secs(30))
}

fn auditline() -> String {
    "auditline".to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn config(mut keys: Value) -> Result<Config, serde_json::Error> {
        let defaults = json!({ "brokers": ["kafka-1:9092", "[2001:db8::7]:9092"], "topic": "audit.{vendor}" });
        for (key, value) in defaults.as_object().unwrap() {
            keys.as_object_mut().unwrap().entry(key).or_insert_with(|| value.clone());
        }
        serde_json::from_value(keys)
    }

    #[test]
    fn is_safe_and_bounded_unless_told_otherwise() {
        let sink = config(json!({})).unwrap().build().unwrap();
        let client = sink.client.config_map();
        for (name, value) in [
            ("bootstrap.servers", "kafka-1:9092,[2001:db8::7]:9092"),
            ("enable.idempotence", "true"),
            ("acks", "all"),
            ("security.protocol", "plaintext"),
            ("message.timeout.ms", "30000"),
            ("queue.buffering.max.kbytes", "16384"),
            ("compression.type", "zstd"),
        ] {
            assert_eq!(client.get(name), Some(&value), "{name}");
        }
        assert_eq!(sink.to_string(), "kafka kafka-1:9092,[2001:db8::7]:9092 topic audit.{vendor}");
    }

    #[test]
    fn takes_librdkafkas_own_options_but_not_ours() {
        let sink = config(json!({ "options": { "linger.ms": "50" } })).unwrap().build().unwrap();
        assert_eq!(sink.client.get("linger.ms"), Some("50"));
        let error = config(json!({ "options": { "acks": "1" } })).unwrap_err();
        assert!(error.to_string().contains("`acks` is set by auditline"), "{error}");
        let error = config(json!({ "options": { "security.protocol": "ssl" } })).unwrap_err();
        assert!(error.to_string().contains("use the key `tls`"), "{error}");
        let error = config(json!({ "options": { "lingr.ms": "5" } })).unwrap().build().err().unwrap();
        assert_eq!(error.key, "options");
        assert!(crate::contract::chain(&error).contains("lingr.ms"), "{error:?}");
    }

    #[test]
    fn the_password_is_not_printed() {
        let sasl = json!({ "mechanism": "scram-sha-256", "username": "u", "password": "opens-nothing" });
        let config = config(json!({ "sasl": sasl, "tls": {} })).unwrap();
        assert!(!format!("{config:?}").contains("opens-nothing"));
        let sink = config.build().unwrap();
        assert_eq!(sink.client.get("security.protocol"), Some("sasl_ssl"));
        assert_eq!(sink.client.get("sasl.mechanism"), Some("SCRAM-SHA-256"));
        assert!(!format!("{:?}", sink.client).contains("opens-nothing"));
    }

    #[test]
    fn a_server_name_is_not_possible_here() {
        let error = config(json!({ "tls": { "server_name": "kafka" } })).unwrap().build().err().unwrap();
        assert_eq!(error.key, "tls.server_name");
    }
}
