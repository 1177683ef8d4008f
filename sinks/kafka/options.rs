//! The part of a Kafka configuration that is handed on to librdkafka.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use rdkafka::config::ClientConfig;
use rdkafka::error::KafkaError;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use url::Url;

use super::token::Tokens;
use crate::BuildError;
use crate::address::is_loopback;
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

/// Who we are: `sasl = { mechanism = "scram-sha-512", username = "…", password = { env = "…" } }`, or
/// `sasl = { mechanism = "oauthbearer", token_url = "https://…", client_id = "…", client_secret = { env = "…" } }`.
#[derive(Clone, Debug, Deserialize)]
pub struct Sasl {
    /// How it is proven.
    pub mechanism: Mechanism,
    /// The user. Not for `oauthbearer`, like the password.
    pub username: Option<String>,
    /// The user's password.
    pub password: Option<Secret>,
    /// Where tokens are handed out for OAuth 2's client credentials. Only for `oauthbearer`, like all that follows.
    pub token_url: Option<Url>,
    /// Who we are there.
    pub client_id: Option<String>,
    /// What proves it.
    pub client_secret: Option<Secret>,
    /// What the token is to be good for, if the server wants to be told.
    pub scope: Option<String>,
    /// The certificate authorities to trust at `token_url`, in place of the system's.
    pub ca: Option<PathBuf>,
}

impl Sasl {
    /// Whether a secret itself travels to the broker.
    pub(super) fn sends_secret(&self) -> bool {
        matches!(self.mechanism, Mechanism::Plain | Mechanism::OauthBearer)
    }
}

/// How it is proven who we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Mechanism {
    /// By sending the password: only sensible with `tls`.
    #[serde(rename = "plain")]
    Plain,
    /// By the password, without sending it.
    #[serde(rename = "scram-sha-256")]
    ScramSha256,
    /// By the password, without sending it.
    #[serde(rename = "scram-sha-512")]
    ScramSha512,
    /// By a token from a server that both sides trust. It is sent: only sensible with `tls`.
    #[serde(rename = "oauthbearer")]
    OauthBearer,
}

/// librdkafka's options by its own names, except those that have a key of ours, carry a promise or are secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options(BTreeMap<String, String>);

/// What we set ourselves, and what to use instead.
const OURS: [(&str, &str); 34] = [
    ("queuing.strategy", PROMISE),
    ("enable.sasl.oauthbearer.unsecure.jwt", "use the key `sasl`"),
    ("acks", PROMISE),
    ("request.required.acks", PROMISE),
    ("enable.idempotence", PROMISE),
    ("enable.gapless.guarantee", PROMISE),
    ("transactional.id", "use the keys `delivery` and `transactional_id_prefix`"),
    ("transaction.timeout.ms", "use the key `timeout`"),
    ("isolation.level", PROMISE),
    ("group.id", "use the key `transactional_id_prefix`"),
    ("dr_msg_cb", PROMISE),
    ("dr_cb", PROMISE),
    ("delivery.report.only.error", PROMISE),
    ("bootstrap.servers", "use the key `brokers`"),
    ("metadata.broker.list", "use the key `brokers`"),
    ("client.id", "use the key `client_id`"),
    ("compression.type", "use the key `compression`"),
    ("compression.codec", "use the key `compression`"),
    ("message.timeout.ms", "use the key `timeout`"),
    ("delivery.timeout.ms", "use the key `timeout`"),
    ("security.protocol", "use the key `tls`, or `sasl`, or both"),
    ("ssl.ca.location", TLS),
    ("ssl.ca.pem", TLS),
    ("ssl.certificate.location", TLS),
    ("ssl.certificate.pem", TLS),
    ("ssl.key.location", TLS),
    ("ssl.key.pem", TLS),
    ("ssl.keystore.location", "use the keys `tls.cert` and `tls.key`, with files in PEM"),
    ("ssl_ca", TLS),
    ("ssl_certificate", TLS),
    ("ssl_key", TLS),
    ("enable.ssl.certificate.verification", PROMISE),
    ("ssl.endpoint.identification.algorithm", PROMISE),
    ("log_level", "use the environment variable for auditline's own log"),
];

/// What nobody sets here, and why.
const NEVER: [(&str, &str); 6] = [
    ("plugin.library.paths", "it would load code into auditline"),
    ("ssl.engine.location", "it would load code into auditline"),
    ("test.mock.num.brokers", "records would go to an imitation of a broker, and be lost"),
    ("test.mock.broker.rtt", "it is for tests of librdkafka"),
    (
        "ssl.key.password",
        "it would stand in the clear here; give `tls.key` a file with a key that has no password, and that only \
         auditline can read",
    ),
    ("ssl.keystore.password", "it would stand in the clear here; use `tls.cert` and `tls.key`, with files in PEM"),
];

/// Why an option cannot be set here, by its name.
fn refusal(name: &str) -> Option<String> {
    let of = |table: &[(&str, &'static str)]| table.iter().find(|(ours, _)| *ours == name).map(|(_, why)| *why);
    if let Some(instead) = of(&OURS).or_else(|| name.starts_with("sasl.").then_some("use the key `sasl`")) {
        return Some(format!("`{name}` is set by auditline: {instead}"));
    }
    // Whatever else librdkafka may come to take.
    let is_secret = || ["password", "passphrase", "secret"].iter().any(|word| name.contains(word));
    let why = of(&NEVER).or_else(|| is_secret().then_some("a secret would stand in the clear here"))?;
    Some(format!("`{name}` cannot be set: {why}"))
}

const TLS: &str = "use the key `tls`";
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

/// The most requests under way to a broker with which none is put before another.
const MOST_IN_FLIGHT: i64 = 5;

/// An option's name, which numbers it may be, and what to do about others.
type Bound = (&'static str, fn(i64) -> bool, &'static str);

/// Options that librdkafka takes one by one, and refuses when a producer is made. By all their names.
const BOUNDS: [Bound; 6] = {
    const FEW: &str = "choose 1 to 5: with more, records could change places";
    const SOME: &str = "leave it out: what is not sent again is lost";
    const ONE: &str = "leave it out, or set it to 1";
    [
        ("max.in.flight", |value| value <= MOST_IN_FLIGHT, FEW),
        ("max.in.flight.requests.per.connection", |value| value <= MOST_IN_FLIGHT, FEW),
        ("retries", |value| value >= 1, SOME),
        ("message.send.max.retries", |value| value >= 1, SOME),
        ("queue.buffering.backpressure.threshold", |value| value <= 1, ONE),
        ("reconnect.backoff.ms", |value| value <= 2000, "choose at most 2000, or raise `reconnect.backoff.max.ms`"),
    ]
};

impl Options {
    /// What would be refused only when the producer is made: what an idempotent one cannot be, and times that do not fit.
    pub(super) fn check(&self, timeout_millis: i64) -> Result<(), BuildError> {
        let wrong = |name: &str, value: &str, hint: &str| {
            let message = format!("with `{name} = {value}` librdkafka cannot keep what auditline promises");
            Err(BuildError::new(&format!("options.{name}"), message, hint))
        };
        for (name, value) in self.iter() {
            // What is no number, librdkafka itself refuses.
            let Ok(number) = value.trim().parse::<f64>() else { continue };
            let bound = BOUNDS.iter().find(|(known, ..)| *known == name);
            let is_raised = name == "reconnect.backoff.ms" && self.0.contains_key("reconnect.backoff.max.ms");
            if let Some((_, fits, hint)) = bound
                && !is_raised
                && !fits(number as i64)
            {
                return wrong(name, value, hint);
            }
            if ["linger.ms", "queue.buffering.max.ms"].contains(&name) && number >= timeout_millis as f64 {
                return wrong(name, value, "choose less than `timeout`");
            }
        }
        Ok(())
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

/// Sets what the mechanism needs. What comes back hands out tokens, where that is how it is proven who we are.
pub(super) fn set_sasl(client: &mut ClientConfig, sasl: &Sasl) -> Result<Option<Arc<Tokens>>, BuildError> {
    let mechanism = match sasl.mechanism {
        Mechanism::Plain => "PLAIN",
        Mechanism::ScramSha256 => "SCRAM-SHA-256",
        Mechanism::ScramSha512 => "SCRAM-SHA-512",
        Mechanism::OauthBearer => "OAUTHBEARER",
    };
    client.set("sasl.mechanism", mechanism);
    let by_password = [("username", sasl.username.is_some()), ("password", sasl.password.is_some())];
    let by_token = [
        ("token_url", sasl.token_url.is_some()),
        ("client_id", sasl.client_id.is_some()),
        ("client_secret", sasl.client_secret.is_some()),
        ("scope", sasl.scope.is_some()),
        ("ca", sasl.ca.is_some()),
    ];
    if sasl.mechanism == Mechanism::OauthBearer {
        leave_out(&by_password, mechanism)?;
        let url = needed(sasl.token_url.clone(), "token_url", mechanism)?;
        check_token_url(&url)?;
        let client_id = needed(sasl.client_id.clone(), "client_id", mechanism)?;
        let client_secret = needed(sasl.client_secret.clone(), "client_secret", mechanism)?;
        let tokens = Tokens::new(url, client_id, client_secret, sasl.scope.clone(), sasl.ca.clone());
        tokens.check_ca()?;
        return Ok(Some(Arc::new(tokens)));
    }
    leave_out(&by_token, mechanism)?;
    client
        .set("sasl.username", needed(sasl.username.as_deref(), "username", mechanism)?)
        .set("sasl.password", needed(sasl.password.as_ref(), "password", mechanism)?.expose());
    Ok(None)
}

fn needed<T>(value: Option<T>, key: &str, mechanism: &str) -> Result<T, BuildError> {
    let message = || format!("{mechanism} needs `{key}`");
    value.ok_or_else(|| BuildError::new("sasl", message(), format!("add `{key}` to `sasl`")))
}

fn leave_out(keys: &[(&str, bool)], mechanism: &str) -> Result<(), BuildError> {
    let Some((key, _)) = keys.iter().find(|(_, is_set)| *is_set) else { return Ok(()) };
    let message = format!("{mechanism} knows no `{key}`");
    Err(BuildError::new(&format!("sasl.{key}"), message, "leave it out, or set another `mechanism`"))
}

fn check_token_url(url: &Url) -> Result<(), BuildError> {
    let wrong = |message: &str, hint: &str| Err(BuildError::new("sasl.token_url", message, hint));
    let Some(host) = url.host_str() else {
        return wrong("expected a URL with a host", "write `https://HOST/…`");
    };
    if !url.username().is_empty() || url.password().is_some() {
        return wrong("a URL must not hold a password", "use `client_id` and `client_secret`");
    }
    match url.scheme() {
        "https" => Ok(()),
        "http" if is_loopback(host) => Ok(()),
        _ => wrong("the secret and the token would travel in the clear", "use `https://`"),
    }
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
        match refusal(&name) {
            Some(refusal) => Err(D::Error::custom(refusal)),
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
