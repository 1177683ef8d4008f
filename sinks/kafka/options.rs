//! The part of a Kafka configuration that is handed on to librdkafka.

use std::collections::BTreeMap;
use std::fmt;

use rdkafka::config::ClientConfig;
use rdkafka::error::KafkaError;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::BuildError;
use crate::secret::Secret;
use crate::tls::TlsConfig;

/// How messages are compressed on their way and in the topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// As they are.
    None,
    /// gzip
    Gzip,
    /// Snappy
    Snappy,
    /// LZ4
    Lz4,
    /// Zstandard
    #[default]
    Zstd,
}

/// `sasl = { mechanism = "scram-sha-512", username = "…", password = { env = "…" } }`
#[derive(Clone, Debug, Deserialize)]
pub struct Sasl {
    /// How the password is proven.
    pub mechanism: Mechanism,
    /// The user.
    pub username: String,
    /// The password.
    pub password: Secret,
}

/// How a password is proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Mechanism {
    /// By sending it: only sensible with `tls`.
    #[serde(rename = "plain")]
    Plain,
    /// Without sending it.
    #[serde(rename = "scram-sha-256")]
    ScramSha256,
    /// Without sending it.
    #[serde(rename = "scram-sha-512")]
    ScramSha512,
}

/// librdkafka's options by its own names, except those that have a key of ours or carry a promise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options(BTreeMap<String, String>);

/// What we set ourselves, and what to use instead.
const OURS: [(&str, &str); 30] = [
    ("acks", PROMISE),
    ("request.required.acks", PROMISE),
    ("enable.idempotence", PROMISE),
    ("enable.gapless.guarantee", PROMISE),
    ("transactional.id", PROMISE),
    ("dr_msg_cb", PROMISE),
    ("dr_cb", PROMISE),
    ("delivery.report.only.error", PROMISE),
    ("plugin.library.paths", "it would load code into auditline"),
    ("bootstrap.servers", "use the key `brokers`"),
    ("metadata.broker.list", "use the key `brokers`"),
    ("client.id", "use the key `client_id`"),
    ("compression.type", "use the key `compression`"),
    ("compression.codec", "use the key `compression`"),
    ("message.timeout.ms", "use the key `timeout`"),
    ("delivery.timeout.ms", "use the key `timeout`"),
    ("security.protocol", "use the key `tls`, or `sasl`, or both"),
    ("ssl.ca.location", "use the key `tls`"),
    ("ssl.ca.pem", "use the key `tls`"),
    ("ssl.certificate.location", "use the key `tls`"),
    ("ssl.certificate.pem", "use the key `tls`"),
    ("ssl.key.location", "use the key `tls`"),
    ("ssl.key.pem", "use the key `tls`"),
    ("enable.ssl.certificate.verification", PROMISE),
    ("ssl.endpoint.identification.algorithm", PROMISE),
    ("sasl.mechanism", "use the key `sasl`"),
    ("sasl.mechanisms", "use the key `sasl`"),
    ("sasl.username", "use the key `sasl`"),
    ("sasl.password", "use the key `sasl`"),
    ("log_level", "use the environment variable for auditline's own log"),
];

const PROMISE: &str = "what auditline promises depends on it";

impl Compression {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

impl Options {
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// What librdkafka says of an option, without its value, which may be a secret.
pub(super) fn refused(error: &KafkaError) -> BuildError {
    let hint = "librdkafka's CONFIGURATION.md lists its options";
    match error {
        KafkaError::ClientConfig(_, _, name, _) => {
            BuildError::new(&format!("options.{name}"), format!("librdkafka does not take the option `{name}`"), hint)
        }
        _ => BuildError::new("options", "librdkafka does not take these options", hint),
    }
}

/// Reads the files once, so that one that is missing is told before anything is sent.
pub(super) fn set_tls(client: &mut ClientConfig, tls: &TlsConfig) -> Result<(), BuildError> {
    if tls.server_name.is_some() {
        return Err(BuildError::new(
            "tls.server_name",
            "there is no one name for several brokers",
            "leave it out: each broker is known by the name it is connected to",
        ));
    }
    tls.client()?;
    client.set("ssl.endpoint.identification.algorithm", if tls.insecure.is_some() { "none" } else { "https" });
    client.set("enable.ssl.certificate.verification", if tls.insecure.is_some() { "false" } else { "true" });
    if let Some(ca) = &tls.ca {
        client.set("ssl.ca.location", ca.to_string_lossy());
    }
    if let Some((cert, key)) = tls.identity()? {
        client.set("ssl.certificate.location", cert.to_string_lossy());
        client.set("ssl.key.location", key.to_string_lossy());
    }
    Ok(())
}

pub(super) fn set_sasl(client: &mut ClientConfig, sasl: &Sasl) {
    let mechanism = match sasl.mechanism {
        Mechanism::Plain => "PLAIN",
        Mechanism::ScramSha256 => "SCRAM-SHA-256",
        Mechanism::ScramSha512 => "SCRAM-SHA-512",
    };
    client
        .set("sasl.mechanism", mechanism)
        .set("sasl.username", &sasl.username)
        .set("sasl.password", sasl.password.expose());
}

impl<'de> Deserialize<'de> for Options {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(OptionsVisitor)
    }
}

/// A name of an option that is not ours. Its own type, so that an error points at the name.
#[derive(Debug)]
struct Name(String);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        match OURS.iter().find(|(ours, _)| *ours == name) {
            Some((_, instead)) => Err(D::Error::custom(format!("`{name}` is set by auditline: {instead}"))),
            None => Ok(Self(name)),
        }
    }
}

/// An option's value: librdkafka takes text, and people write numbers.
struct Text(String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor)
    }
}

struct TextVisitor;

impl Visitor<'_> for TextVisitor {
    type Value = Text;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a number or a boolean")
    }

    fn visit_str<E>(self, text: &str) -> Result<Text, E> {
        Ok(Text(text.to_owned()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Text, E> {
        Ok(Text(number.to_string()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Text, E> {
        Ok(Text(number.to_string()))
    }

    fn visit_bool<E>(self, yes: bool) -> Result<Text, E> {
        Ok(Text(yes.to_string()))
    }
}

struct OptionsVisitor;

impl<'de> Visitor<'de> for OptionsVisitor {
    type Value = Options;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table of librdkafka's options, such as `{ \"linger.ms\" = 50 }`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Options, A::Error> {
        let mut options = BTreeMap::new();
        while let Some((Name(name), Text(value))) = map.next_entry()? {
            options.insert(name, value);
        }
        Ok(Options(options))
    }
}
