//! Messages in a Kafka topic, through librdkafka.
//!
//! At least once: the producer is idempotent, so its own retries repeat nothing, but a batch that comes again after a
//! crash is new to the broker. The header `auditline-id` lets a reader tell. One key keeps a pipeline's records in one
//! partition, in order.

mod check;
mod context;
mod explain;
mod options;
mod sending;

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::producer::{Producer, ThreadedProducer};
use serde::Deserialize;

use self::context::Context;
use self::explain::explain;
pub use self::options::{Compression, Mechanism, Options, Sasl};
use self::sending::Sending;
use crate::address::Address;
use crate::template::{KeyTemplate, Template};
use crate::tls::TlsConfig;
use crate::units::HumanDuration;
use crate::{Batch, BatchLimits, BuildError, Delivery, DeliveryError, Sink};

/// librdkafka makes its own batches of these; ours bound what comes again after an error.
pub const BATCH: BatchLimits =
    BatchLimits { max_records: 5000, max_bytes: 4 * 1024 * 1024, max_wait: Duration::from_secs(1) };

/// How much librdkafka may hold, over all pipelines. Its own default is a gigabyte.
const BUFFER_KIB: u32 = 16 * 1024;
/// How much travels to the broker as one. A topic that takes less gets it in halves, and no longer in order, so this is
/// well below the megabyte that brokers take unless told otherwise.
const BATCH_BYTES: u32 = 512 * 1024;

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
        client.set("batch.size", BATCH_BYTES.to_string());
        // Until then a topic nobody knows may still be on its way; past the message's own timeout we would not be told.
        let unknown = self.timeout.0 / 2;
        client.set("topic.metadata.propagation.max.ms", unknown.as_millis().to_string());
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
        self.ask().await
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
                sending.rejected.sort_by_key(|rejected| rejected.at);
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
        let producer = self.connect(&self.client)?;
        *connected = Some(Arc::clone(&producer));
        Ok(producer)
    }

    fn connect(&self, client: &ClientConfig) -> Result<Connected, DeliveryError> {
        let producer = client.create_with_context(Context::new(self.to_string()));
        producer.map(Arc::new).map_err(|error| {
            DeliveryError::refused(
                "librdkafka cannot start",
                "check `tls`, `sasl` and `options`, and that the files they name can be read",
                error,
            )
        })
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
        assert_eq!(error.key, "options.lingr.ms");
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
