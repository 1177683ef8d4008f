//! Messages in a Kafka topic, through librdkafka.
//!
//! At least once unless told otherwise: the producer is idempotent, so its own retries repeat nothing, but a batch that
//! comes again after a crash is new to the broker. The header `auditline-id` lets a reader tell. With
//! `delivery = "exactly_once"` a batch travels in a transaction, and the position with it.
//!
//! One key keeps its records in one partition, in order: by default all that one actor did.

mod apart;
mod check;
mod context;
mod explain;
mod message;
mod once;
mod options;
mod plan;
mod position;
mod sending;
mod token;
mod transaction;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::producer::Producer;
use serde::Deserialize;

use self::apart::{Apart, Connected};
use self::context::Context;
use self::explain::explain;
use self::message::Messages;
use self::once::Lanes;
pub use self::options::{Compression, Mechanism, Options, Sasl};
use self::sending::Sending;
use self::token::Tokens;
use crate::address::{Address, is_loopback};
use crate::template::{KeyTemplate, Template};
use crate::tls::TlsConfig;
use crate::units::HumanDuration;
use crate::{Batch, BatchLimits, BuildError, Delivery, DeliveryError, Sink};

/// librdkafka makes its own batches of these; ours bound what comes again after an error.
pub const BATCH: BatchLimits =
    BatchLimits { max_records: 5000, max_bytes: 4 * 1024 * 1024, max_wait: Duration::from_secs(1) };

/// How much librdkafka may hold, over all pipelines, and for each of them with `exactly_once`. Its own default is a gigabyte.
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
    /// Records with the same key stay in order. `{actor}` unless set; `{id}` is possible too.
    #[serde(default = "by_actor")]
    pub key: KeyTemplate,
    /// Further headers of every message, by their names: `{ env = "prod", class = "{.class_name}" }`.
    #[serde(default)]
    pub headers: BTreeMap<String, KeyTemplate>,
    /// How often a record may be there, `"at_least_once"` unless set.
    #[serde(default)]
    pub delivery: Guarantee,
    /// What the names begin with by which Kafka knows a pipeline's transactions and its position, `auditline` unless
    /// set. Each installation needs one of its own.
    #[serde(default = "auditline")]
    pub transactional_id_prefix: String,
    /// The topic beside which positions are kept, where `topic` is not one and the same for all records of a pipeline.
    pub positions_topic: Option<String>,
    /// How messages are compressed, `"zstd"` unless set.
    #[serde(default)]
    pub compression: Compression,
    /// How long a record may take from us to the broker's acknowledgement, `"30s"` unless set.
    #[serde(default = "half_a_minute")]
    pub timeout: HumanDuration,
    /// TLS towards the brokers. Each is known by the name it is connected to.
    pub tls: Option<TlsConfig>,
    /// A user's name and password, or where to get a token.
    pub sasl: Option<Box<Sasl>>,
    /// Lets `sasl` send a password or a token to another machine without `tls`: whoever is between reads it.
    #[serde(default)]
    pub allow_plaintext: bool,
    /// What the brokers' logs and quotas call us, `auditline` unless set.
    #[serde(default = "auditline")]
    pub client_id: String,
    /// Anything else librdkafka takes, by its own names: `{ "linger.ms" = "50" }`.
    #[serde(default)]
    pub options: Options,
}

/// How often a record may be there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Guarantee {
    /// Once, and again after a crash or an error.
    #[default]
    AtLeastOnce,
    /// Once for readers of what is committed (`isolation.level = "read_committed"`).
    ExactlyOnce,
}

/// Sends a batch's records in order and waits for all their acknowledgements.
pub struct Kafka {
    config: Config,
    client: ClientConfig,
    messages: Messages,
    tokens: Option<Arc<Tokens>>,
    // Connects as soon as it is made, so it is made at first use. Held while it is made, so that there is one.
    connected: tokio::sync::Mutex<Option<Connected>>,
    // A delivery takes it out while it uses it. Held for a line, never across an await.
    alone: Mutex<Option<Connected>>,
    lanes: Lanes,
}

impl Config {
    /// Checks what librdkafka would refuse, and the files.
    pub fn build(&self) -> Result<Kafka, BuildError> {
        if self.brokers.is_empty() {
            return Err(BuildError::new("brokers", "no broker to connect to", "give at least one `\"host:port\"`"));
        }
        if self.timeout.0 < Duration::from_secs(1) || self.timeout.0 > Duration::from_secs(900) {
            return Err(BuildError::new("timeout", "`timeout` is out of bounds", "choose between `1s` and `15m`"));
        }
        self.check_headers()?;
        self.check_positions()?;
        let (client, tokens) = self.client()?;
        client.create_native_config().map_err(|error| options::refused(&error))?;
        self.options.check(i64::try_from(self.timeout.0.as_millis()).unwrap_or(i64::MAX))?;
        Ok(Kafka {
            config: self.clone(),
            client,
            messages: Messages::new(self),
            tokens,
            connected: tokio::sync::Mutex::new(None),
            alone: Mutex::new(None),
            lanes: Lanes::default(),
        })
    }

    /// Takes the names of local files as below `folder`, unless they begin at the root.
    pub(crate) fn root_in(&mut self, folder: &Path) {
        self.tls.iter_mut().for_each(|tls| tls.root_in(folder));
        if let Some(ca) = self.sasl.as_mut().and_then(|sasl| sasl.ca.as_mut()) {
            *ca = folder.join(&ca);
        }
    }

    fn check_headers(&self) -> Result<(), BuildError> {
        let ours = |name: &&String| name.starts_with("auditline-") || *name == "content-type" || name.is_empty();
        let Some(name) = self.headers.keys().find(ours) else { return Ok(()) };
        let hint = "choose another name: those that begin with `auditline-` are auditline's own";
        Err(BuildError::new(&format!("headers.{name}"), format!("`{name}` cannot be a header of yours"), hint))
    }

    fn check_positions(&self) -> Result<(), BuildError> {
        if self.delivery == Guarantee::AtLeastOnce {
            return match self.positions_topic {
                None => Ok(()),
                Some(_) => Err(BuildError::new(
                    "positions_topic",
                    "only `delivery = \"exactly_once\"` keeps positions",
                    "leave it out, or set `delivery`",
                )),
            };
        }
        if self.transactional_id_prefix.is_empty() {
            let hint = "leave it out for `auditline`, or choose a name that no other installation has";
            return Err(BuildError::new("transactional_id_prefix", "`transactional_id_prefix` is empty", hint));
        }
        if self.topic.varies() && self.positions_topic.is_none() {
            return Err(BuildError::new(
                "topic",
                "with `exactly_once` a pipeline's position is kept beside one topic, and this is one per record",
                "set `positions_topic` to a topic that exists; it stays empty",
            ));
        }
        Ok(())
    }

    fn brokers(&self) -> String {
        self.brokers.iter().map(Address::to_string).collect::<Vec<_>>().join(",")
    }

    /// A pipeline is a file's stem and has no `/` in it, so no two lanes share a name.
    fn transactional_id(&self, pipeline: &str, sink: &str) -> String {
        format!("{}/{pipeline}/{sink}", self.transactional_id_prefix)
    }

    /// The consumer group that keeps a lane's position. A new journal has another, for it numbers anew.
    fn group(&self, batch: &Batch) -> String {
        format!("{}/{}/{}/{}", self.transactional_id_prefix, batch.journal, batch.pipeline, batch.sink)
    }

    /// Whether all brokers that are named are on this machine.
    fn stays_here(&self) -> bool {
        self.brokers.iter().all(|broker| is_loopback(&broker.host))
    }

    fn client(&self) -> Result<(ClientConfig, Option<Arc<Tokens>>), BuildError> {
        let mut client = ClientConfig::new();
        client.set_log_level(RDKafkaLogLevel::Warning);
        client.set("queue.buffering.max.kbytes", BUFFER_KIB.to_string());
        client.set("batch.size", BATCH_BYTES.to_string());
        // A broker that is back is noticed soon: librdkafka would wait up to ten seconds.
        client.set("reconnect.backoff.max.ms", "2000");
        // Until then a topic nobody knows may still be on its way; past the message's own timeout we would not be told.
        let unknown = self.timeout.0 / 2;
        client.set("topic.metadata.propagation.max.ms", unknown.as_millis().to_string());
        for (name, value) in self.options.iter() {
            client.set(name, value);
        }
        client
            .set("bootstrap.servers", self.brokers())
            .set("client.id", &self.client_id)
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("compression.type", self.compression.name())
            .set("message.timeout.ms", self.timeout.0.as_millis().to_string());
        if let Some(tls) = &self.tls {
            options::set_tls(&mut client, tls)?;
        }
        let tokens = match &self.sasl {
            Some(sasl) => options::set_sasl(&mut client, sasl)?,
            None => None,
        };
        if self.sasl.as_ref().is_some_and(|sasl| sasl.sends_secret())
            && self.tls.is_none()
            && !self.allow_plaintext
            && !self.stays_here()
        {
            return Err(BuildError::new(
                "sasl.mechanism",
                "the password or token would travel in the clear to another machine",
                "add `tls = {}`, or set `allow_plaintext = true` where the network itself is trusted",
            ));
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
        Ok((client, tokens))
    }
}

#[async_trait]
impl Sink for Kafka {
    async fn check(&self) -> Result<(), DeliveryError> {
        self.ask().await
    }

    async fn deliver(&self, batch: &Batch) -> Result<Delivery, DeliveryError> {
        if self.config.delivery == Guarantee::ExactlyOnce {
            return self.deliver_once(batch).await;
        }
        let producer = self.connected().await?;
        let mut sending = Sending::new(producer, &self.messages, batch, self.config.timeout.0);
        for at in 0..batch.records.len() {
            sending.send(at).await;
        }
        sending.finish().await;
        if sending.failed.is_none() && !sending.doubtful.is_empty() {
            self.settle(&mut sending).await?;
        }
        match sending.cause() {
            Some(code) => {
                let error = self.explain(code, sending.context());
                if matches!(error, DeliveryError::Refused { .. }) {
                    self.disconnect().await;
                }
                Err(error)
            }
            None => {
                sending.context().forget_errors();
                Ok(Delivery { rejected: sending::rejected(batch, sending.rejected) })
            }
        }
    }
}

impl Kafka {
    /// The producer: a new one after a fatal error, from which the old one never recovers.
    async fn connected(&self) -> Result<Connected, DeliveryError> {
        let mut connected = self.connected.lock().await;
        if let Some(producer) = connected.as_ref().filter(|it| it.client().fatal_error().is_none()) {
            return Ok(producer.clone());
        }
        let producer = self.connect(&self.client).await?;
        *connected = Some(producer.clone());
        Ok(producer)
    }

    /// librdkafka keeps for minutes what it was told of a topic. Who has mended what was refused need not wait for that.
    async fn disconnect(&self) {
        drop(self.connected.lock().await.take());
    }

    /// Settles what was refused together, with a producer that carries nothing else meanwhile: another pipeline's record
    /// in the same request would be refused in the place of one of these, or they in its place.
    async fn settle(&self, sending: &mut Sending<'_>) -> Result<(), DeliveryError> {
        let kept = self.alone().take().filter(|it| it.client().fatal_error().is_none());
        let producer = match kept {
            Some(producer) => producer,
            None => {
                let mut client = self.client.clone();
                // Each group is waited for, so nothing is to be gained by waiting for more.
                client.remove("queue.buffering.max.ms");
                client.set("linger.ms", "0");
                self.connect(&client).await?
            }
        };
        sending.settle_doubtful(&producer).await;
        // Only now that all is answered is it fit for another.
        *self.alone() = Some(producer);
        Ok(())
    }

    fn alone(&self) -> MutexGuard<'_, Option<Connected>> {
        self.alone.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn connect(&self, client: &ClientConfig) -> Result<Connected, DeliveryError> {
        let (client, context) = (client.clone(), self.context());
        let producer = Apart::make(move || client.create_with_context(context));
        producer.await.map_err(|error| self.cannot_start(error))
    }

    fn context(&self) -> Context {
        Context::new(self.to_string(), self.tokens.clone())
    }

    fn cannot_start(&self, error: KafkaError) -> DeliveryError {
        DeliveryError::refused(
            "librdkafka cannot start",
            "check `tls`, `sasl` and `options`, and that the files they name can be read",
            error,
        )
    }

    fn explain(&self, code: Code, context: &Context) -> DeliveryError {
        explain(code, context, &self.config)
    }
}

impl fmt::Display for Kafka {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "kafka {} topic {}", self.config.brokers(), self.config.topic)
    }
}

fn by_actor() -> KeyTemplate {
    KeyTemplate::from_str("{actor}").expect("a known placeholder")
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

    // A check without the network passed them, and the run could not begin.
    #[test]
    fn options_that_no_idempotent_producer_can_have_are_found_by_a_check() {
        for (name, value) in [
            ("max.in.flight", "50"),
            ("max.in.flight.requests.per.connection", "6"),
            ("retries", "0"),
            ("message.send.max.retries", "0"),
            ("queue.buffering.backpressure.threshold", "2"),
            ("linger.ms", "30000"),
            ("queue.buffering.max.ms", "60000"),
            ("reconnect.backoff.ms", "2001"),
        ] {
            let error = config(json!({ "options": { name: value } })).unwrap().build().err().unwrap();
            assert_eq!(error.key, format!("options.{name}"), "{error}");
        }
        for name in ["queuing.strategy", "enable.sasl.oauthbearer.unsecure.jwt"] {
            let error = config(json!({ "options": { name: "lifo" } })).unwrap_err();
            assert!(error.to_string().contains("is set by auditline"), "{error}");
        }
        let fine = json!({ "max.in.flight": 5, "retries": 3, "linger.ms": 50, "reconnect.backoff.ms": 100 });
        assert!(config(json!({ "options": fine })).unwrap().build().is_ok());
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
    fn an_option_that_is_a_secret_has_a_key_or_no_place() {
        for (name, expected) in [
            ("sasl.password", "is set by auditline: use the key `sasl`"),
            // An alias, as there are more.
            ("sasl.oauthbearer.client.credentials.client.secret", "is set by auditline: use the key `sasl`"),
            ("ssl.key.password", "give `tls.key` a file with a key that has no password"),
            ("ssl.keystore.password", "use `tls.cert` and `tls.key`"),
            ("ssl.key.pem", "is set by auditline: use the key `tls`"),
            ("some.new.secret", "cannot be set: a secret would stand in the clear here"),
            ("test.mock.num.brokers", "imitation"),
        ] {
            let error = config(json!({ "options": { name: "opens-nothing" } })).unwrap_err().to_string();
            assert!(error.contains(expected) && !error.contains("opens-nothing"), "{error}");
        }
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

    fn fault(keys: Value) -> String {
        let error = config(keys).unwrap().build().err().expect("it cannot be built");
        format!("{}: {}", error.key, error.message)
    }

    #[test]
    fn a_position_needs_one_topic_to_be_kept_beside() {
        let once = |topic: &str| json!({ "topic": topic, "delivery": "exactly_once" });
        assert!(fault(once("audit.{date}")).starts_with("topic: with `exactly_once`"));
        assert!(fault(once("audit.{.class_uid}")).starts_with("topic: with `exactly_once`"));
        config(once("audit.{vendor}.{pipeline}")).unwrap().build().unwrap();
        let mut kept = once("audit.{date}");
        kept["positions_topic"] = json!("audit-positions");
        config(kept).unwrap().build().unwrap();
        let useless = json!({ "positions_topic": "audit-positions" });
        assert!(fault(useless).starts_with("positions_topic: only `delivery"));
        let nameless = json!({ "delivery": "exactly_once", "transactional_id_prefix": "" });
        assert!(fault(nameless).starts_with("transactional_id_prefix: "));
    }

    #[test]
    fn lanes_have_names_of_their_own() {
        let config = config(json!({ "delivery": "exactly_once" })).unwrap();
        let batch = crate::contract::numbered("corp", 1, 1);
        assert_eq!(config.transactional_id("corp", "siem"), "auditline/corp/siem");
        assert_eq!(config.group(&batch), "auditline/j7k2/corp/siem");
    }

    #[test]
    fn a_header_of_ours_cannot_be_set() {
        assert!(fault(json!({ "headers": { "auditline-id": "x" } })).starts_with("headers.auditline-id: "));
        config(json!({ "headers": { "env": "prod-{vendor}-{id}" } })).unwrap().build().unwrap();
    }

    #[test]
    fn each_mechanism_takes_what_it_needs() {
        let sasl = |keys: Value| json!({ "sasl": keys, "tls": {} });
        let token = |url: &str| json!({ "mechanism": "oauthbearer", "token_url": url, "client_id": "a", "client_secret": "opens-nothing" });
        let sink = config(sasl(token("https://id.example.com/token"))).unwrap().build().unwrap();
        assert_eq!(sink.client.get("sasl.mechanism"), Some("OAUTHBEARER"));
        config(sasl(token("http://127.0.0.1:8080/token"))).unwrap().build().unwrap();
        for (keys, expected) in [
            (
                token("http://id.example.com/token"),
                "sasl.token_url: the secret and the token would travel in the clear",
            ),
            (token("https://u:p@id.example.com/"), "sasl.token_url: a URL must not hold a password"),
            (json!({ "mechanism": "oauthbearer" }), "sasl: OAUTHBEARER needs `token_url`"),
            (json!({ "mechanism": "oauthbearer", "username": "u" }), "sasl.username: OAUTHBEARER knows no `username`"),
            (json!({ "mechanism": "plain", "username": "u" }), "sasl: PLAIN needs `password`"),
            (json!({ "mechanism": "plain", "scope": "s" }), "sasl.scope: PLAIN knows no `scope`"),
        ] {
            assert_eq!(fault(sasl(keys)), expected);
        }
    }

    #[test]
    fn a_password_is_not_sent_in_the_clear_to_another_machine() {
        let sasl = json!({ "mechanism": "plain", "username": "u", "password": "opens-nothing" });
        let error = config(json!({ "sasl": sasl })).unwrap().build().err().unwrap();
        assert_eq!(error.key, "sasl.mechanism");
        assert!(config(json!({ "sasl": sasl, "allow_plaintext": true })).unwrap().build().is_ok());
        assert!(config(json!({ "sasl": sasl, "tls": {} })).unwrap().build().is_ok());
        assert!(config(json!({ "sasl": sasl, "brokers": ["localhost:9092"] })).unwrap().build().is_ok());
    }

    #[test]
    fn a_server_name_is_not_possible_here() {
        let error = config(json!({ "tls": { "server_name": "kafka" } })).unwrap().build().err().unwrap();
        assert_eq!(error.key, "tls.server_name");
    }
}
