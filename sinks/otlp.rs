//! Log records by the OpenTelemetry protocol, OTLP over HTTP with protobuf bodies.
//!
//! At least once. By <https://opentelemetry.io/docs/specs/otlp/#otlphttp> (1.8.0, read 2026-11-26): a 200 may tell that
//! some records were rejected, how many and not which; 429, 502, 503 and 504 may pass; every other failure needs a
//! person.

mod encode;
mod sending;
mod severity;
mod value;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use chrono::Utc;
use serde::Deserialize;
use url::Url;

use self::encode::{Around, Encoder, Item};
use self::sending::Outcome;
use crate::address::Endpoint;
use crate::http::{Auth, Authenticator, Headers, Name, OnMalformed};
use crate::http_client::{Client, Compression, KeptSearch, LARGEST_ANSWER, Progress, Settings, halves};
use crate::secret::Secret;
use crate::template::Template;
use crate::tls::TlsConfig;
use crate::units::{ByteSize, HumanDuration};
use crate::{Batch, BatchLimits, BuildError, Delivery, DeliveryError, Rejected, Sink};

/// Well below what the OpenTelemetry Collector takes in one request (20 MiB unless it is told otherwise).
pub const BATCH: BatchLimits =
    BatchLimits { max_records: 1000, max_bytes: 2 * 1024 * 1024, max_wait: Duration::from_secs(1) };

/// `[sinks.NAME.otlp]`
#[derive(Clone, Debug, Deserialize)]
pub struct Config {
    /// The receiver's base URL: `https://otel.example.com:4318`.
    pub endpoint: Endpoint,
    /// The path below `endpoint`, `"/v1/logs"` unless set.
    #[serde(default = "usual_path")]
    pub path: String,
    /// What a log record's body is, `"map"` unless set.
    #[serde(default)]
    pub body: Body,
    /// Further attributes of the resource: `{ "deployment.environment.name" = "prod" }`.
    #[serde(default)]
    pub resource: BTreeMap<String, String>,
    /// Headers that may be read by anybody.
    #[serde(default)]
    pub headers: BTreeMap<Name, Template>,
    /// Headers that may not.
    #[serde(default)]
    pub secret_headers: BTreeMap<Name, Secret>,
    /// How we say who we are.
    pub auth: Option<Auth>,
    /// `"gzip"` unless set, or `"zstd"`, which the Collector takes and the protocol does not ask of every receiver.
    #[serde(default)]
    pub compression: Compression,
    /// The largest request before it is compressed, `"4MiB"` unless set.
    #[serde(default = "four_mebibytes")]
    pub max_request_bytes: ByteSize,
    /// The largest log record. A larger one becomes a dead letter.
    pub max_record_bytes: Option<ByteSize>,
    /// What a 400 means, `"stop"` unless set.
    #[serde(default)]
    pub on_400: OnMalformed,
    /// With `https://`.
    pub tls: Option<TlsConfig>,
    /// Lets `endpoint` be `http://` to another machine: whoever is between reads the logs.
    #[serde(default)]
    pub allow_http: bool,
    /// The longest one request may take, `"30s"` unless set.
    #[serde(default = "half_a_minute")]
    pub timeout: HumanDuration,
}

/// What a log record's body is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Body {
    /// The event as a structure, which receivers can look into.
    #[default]
    Map,
    /// The event's JSON as text, byte by byte.
    Json,
}

/// Sends each batch as one request or several.
pub struct Otlp {
    config: Config,
    url: Url,
    client: Client,
    authenticator: Authenticator,
    headers: Headers,
    encoder: Encoder,
    /// What the receiver has answered of a batch so far.
    progress: Progress,
}

impl Config {
    /// Checks the keys against each other, and the files of `tls`.
    pub fn build(&self) -> Result<Otlp, BuildError> {
        self.endpoint.keep_private("endpoint", self.allow_http)?;
        if !self.path.starts_with('/') || self.path.contains(['?', '#']) {
            return Err(BuildError::new("path", "`path` is not a path", "begin with a slash: `/v1/logs`"));
        }
        if self.endpoint.url().path().ends_with("/v1/logs") && self.path == usual_path() {
            return Err(BuildError::new(
                "endpoint",
                "`endpoint` ends in `/v1/logs`, to which `path` would be added again",
                "give the base URL alone",
            ));
        }
        for (key, size) in
            [("max_request_bytes", Some(self.max_request_bytes)), ("max_record_bytes", self.max_record_bytes)]
        {
            if size.is_some_and(|size| size.0 < 1024) {
                return Err(BuildError::new(key, format!("`{key}` is out of bounds"), "choose at least `1KiB`"));
            }
        }
        let mut secrets = self.auth.as_ref().map(Auth::secrets).unwrap_or_default();
        secrets.extend(self.secret_headers.values().cloned());
        let client = Client::new(Settings {
            url: self.endpoint.url(),
            tls: self.tls.as_ref(),
            timeout: self.timeout.0,
            largest_answer: LARGEST_ANSWER,
            secrets,
        })
        .map_err(|error| match error.key.as_str() {
            "url" => BuildError { key: "endpoint".to_owned(), ..error },
            _ => error,
        })?;
        Ok(Otlp {
            url: self.endpoint.below(&self.path),
            client,
            authenticator: Auth::build(self.auth.as_ref(), self.allow_http)?,
            headers: Headers::new(&self.headers, &self.secret_headers)?,
            encoder: Encoder { body: self.body, resource: self.resource.clone() },
            progress: Progress::default(),
            config: self.clone(),
        })
    }
}

#[async_trait]
impl Sink for Otlp {
    async fn check(&self) -> Result<(), DeliveryError> {
        self.ask().await
    }

    async fn deliver(&self, batch: &Batch) -> Result<Delivery, DeliveryError> {
        let around = self.encoder.around(batch);
        let observed = Utc::now();
        let most = usize::try_from(self.config.max_request_bytes.0).unwrap_or(usize::MAX);
        let mut rejected = Vec::new();
        let mut items: Vec<Item> = Vec::new();
        let mut stretches: Vec<Range<usize>> = Vec::new();
        let mut size = usize::MAX;
        for (at, record) in batch.records.iter().enumerate() {
            let item = self.encoder.item(at, record, observed);
            if let Some(reason) = self.oversized(item.size(), around.len(), most) {
                rejected.push(Rejected { at, reason });
                continue;
            }
            if size.saturating_add(item.size()) > most {
                stretches.push(items.len()..items.len());
                size = around.len();
            }
            size += item.size();
            items.push(item);
            stretches.last_mut().expect("just begun").end = items.len();
        }
        let refused = self.search(batch, &around, &items, self.progress.search(batch, stretches)).await?;
        rejected.extend(refused.into_iter().map(|it| Rejected { at: items[it.at].at, ..it }));
        rejected.sort_by_key(|rejected| rejected.at);
        Ok(Delivery { rejected })
    }
}

impl Otlp {
    /// Sends everything and returns what the receiver will never take.
    ///
    /// A receiver says how many it has rejected. Which ones, is found by sending halves again: those of them that it had
    /// taken, it gets twice. That one half has all of the rejected is no proof that the other was taken: a receiver may
    /// reject for want of a quota. So what is not listed here was in a request of which nothing was rejected.
    async fn search(
        &self,
        batch: &Batch,
        around: &Around,
        items: &[Item],
        mut search: KeptSearch<'_>,
    ) -> Result<Vec<Rejected>, DeliveryError> {
        while let Some(stretch) = search.next_stretch() {
            match self.request(Some(batch), around.request(&items[stretch.clone()])).await? {
                Outcome::Taken(0, _) => search.taken(&stretch),
                Outcome::Taken(count, reason) if count >= stretch.len() => {
                    let all = stretch.clone().map(|at| Rejected { at, reason: reason.clone() });
                    search.told(&stretch, all.collect());
                }
                Outcome::Taken(..) => search.again(&stretch, halves(stretch.clone()), true),
                Outcome::TooLarge(reason) => search.refused(stretch, reason),
                Outcome::Malformed(answer) => match self.config.on_400 {
                    OnMalformed::Bisect => search.refused(stretch, answer.sentence()),
                    OnMalformed::Stop => return Err(answer.refused(OnMalformed::HINT)),
                },
            }
        }
        search.end()
    }

    fn oversized(&self, size: usize, around: usize, most: usize) -> Option<String> {
        match self.config.max_record_bytes {
            Some(most) if size as u64 > most.0 => {
                Some(format!("{size} bytes are more than the {most} of `max_record_bytes`"))
            }
            _ if size + around > most => {
                let most = self.config.max_request_bytes;
                Some(format!("{size} bytes are more than the {most} of `max_request_bytes`"))
            }
            _ => None,
        }
    }
}

impl fmt::Display for Otlp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "otlp {}", self.url)
    }
}

fn usual_path() -> String {
    "/v1/logs".to_owned()
}

fn four_mebibytes() -> ByteSize {
    ByteSize(4 * 1024 * 1024)
}

fn half_a_minute() -> HumanDuration {
    HumanDuration(Duration::from_secs(30))
}
