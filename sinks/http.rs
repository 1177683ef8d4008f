//! Requests to whatever takes JSON over HTTP: the intake of a log service, a webhook, a collector of one's own.
//!
//! At least once. A request counts when its answer says so; where the answer is lost, it comes again, and after a crash the
//! whole batch does. Each request can carry a key by which the receiver knows it again, and each record its id.

mod answers;
mod auth;
mod check;
mod headers;
mod pieces;
mod record;
mod sending;
mod sign;
mod target;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use serde::Deserialize;

pub use self::answers::Answers;
pub(crate) use self::auth::Authenticator;
pub use self::auth::{Auth, Basic, ClientAuth, Header, OAuth2};
pub use self::check::Check;
use self::check::Checker;
pub(crate) use self::headers::Headers;
pub use self::headers::Name;
use self::pieces::{Item, Limits, Shape};
pub use self::record::RecordTemplate;
use self::sending::Outcome;
pub use self::sign::{Algorithm, Encoding, KeyEncoding, Sign, Signed};
pub use self::target::Target;
use crate::address::keep_private;
use crate::http_client::{Client, Compression, LARGEST_ANSWER, Progress, Settings};
use crate::secret::Secret;
use crate::template::Template;
use crate::tls::TlsConfig;
use crate::units::{ByteSize, HumanDuration};
use crate::{Batch, BatchLimits, BuildError, Delivery, DeliveryError, Rejected, Sink};

/// About what most services take in one request, and soon enough for somebody who watches.
pub const BATCH: BatchLimits =
    BatchLimits { max_records: 1000, max_bytes: 1024 * 1024, max_wait: Duration::from_secs(1) };

/// More requests at once than this are no help to any server.
const MOST_AT_ONCE: usize = 64;

/// `[sinks.NAME.http]`
#[derive(Clone, Debug, Deserialize)]
pub struct Config {
    /// Where requests go: `https://siem.example.com/audit/{vendor}`.
    pub url: Target,
    /// A secret that ends the URL's path, as webhooks and some collectors want it.
    pub secret_path: Option<Secret>,
    /// `"POST"` unless set, or `"PUT"`.
    #[serde(default)]
    pub method: Method,
    /// `"ndjson"`, `"json_array"`, or `"json"`: a request for each record.
    pub format: Format,
    /// Texts around the records of a request.
    #[serde(default)]
    pub wrap: Wrap,
    /// What is made of each record; the event itself unless set.
    pub record: Option<RecordTemplate>,
    /// Headers that may be read by anybody.
    #[serde(default)]
    pub headers: BTreeMap<Name, Template>,
    /// Headers that may not.
    #[serde(default)]
    pub secret_headers: BTreeMap<Name, Secret>,
    /// How we say who we are.
    pub auth: Option<Auth>,
    /// A signature of each request.
    pub sign: Option<Sign>,
    /// The header by which a request is known when it comes again.
    pub idempotency_header: Option<Name>,
    /// `"gzip"` unless set.
    #[serde(default)]
    pub compression: Compression,
    /// The largest request before it is compressed, `"1MiB"` unless set.
    #[serde(default = "one_mebibyte")]
    pub max_request_bytes: ByteSize,
    /// The largest request after it is compressed.
    pub max_compressed_bytes: Option<ByteSize>,
    /// The most records in a request.
    pub max_request_records: Option<u32>,
    /// The largest record, as it is sent. A larger one becomes a dead letter.
    pub max_record_bytes: Option<ByteSize>,
    /// How many requests of one batch are under way at once, 1 unless set. With more, their order is not kept.
    #[serde(default = "one")]
    pub concurrency: usize,
    /// What a 400 or 422 means, `"stop"` unless set.
    #[serde(default)]
    pub on_400: OnMalformed,
    /// What answers mean, where it is not what HTTP says.
    #[serde(default)]
    pub answers: Answers,
    /// How destination and credentials are confirmed.
    pub check: Option<Check>,
    /// With `https://`.
    pub tls: Option<TlsConfig>,
    /// Lets `url` be `http://` to another machine: whoever is between reads the logs.
    #[serde(default)]
    pub allow_http: bool,
    /// The longest one request may take, `"30s"` unless set.
    #[serde(default = "half_a_minute")]
    pub timeout: HumanDuration,
}

/// How a request is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum Method {
    /// POST
    #[default]
    #[serde(rename = "POST")]
    Post,
    /// PUT
    #[serde(rename = "PUT")]
    Put,
}

/// What a request's body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// A line for each record.
    Ndjson,
    /// One array of records.
    JsonArray,
    /// One record, and so a request for each.
    Json,
}

/// `wrap = { before = '{"events":', after = '}' }`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Wrap {
    /// Text before the records.
    pub before: String,
    /// Text after them.
    pub after: String,
}

/// What an answer means that calls the request itself wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnMalformed {
    /// Nothing more is sent until a person has looked. Nothing is lost.
    #[default]
    Stop,
    /// The request is halved until the records are found that the service refuses; they become dead letters.
    Bisect,
}

/// Sends each batch as one request or several.
pub struct Http {
    config: Config,
    client: Client,
    authenticator: Authenticator,
    headers: Headers,
    checker: Checker,
    shape: Shape,
    limits: Limits,
    /// What the service has answered of a batch so far.
    progress: Progress,
}

impl Config {
    /// Checks the keys against each other, and the files of `tls`.
    pub fn build(&self) -> Result<Http, BuildError> {
        let url = self.url.sample();
        keep_private(url, &self.url.to_string(), "url", self.allow_http)?;
        self.validate_limits()?;
        self.answers.validate()?;
        if let Some(sign) = &self.sign {
            sign.validate(self.idempotency_header.is_some())?;
        }
        if self.secret_path.is_some() && !url.path().ends_with(['/', '=', ':']) {
            return Err(BuildError::new(
                "url",
                "the secret of `secret_path` would run into the last part of the path",
                "end the path of `url` with a slash",
            ));
        }
        let client = Client::new(Settings {
            url,
            tls: self.tls.as_ref(),
            timeout: self.timeout.0,
            largest_answer: LARGEST_ANSWER,
            secrets: self.secrets(),
        })?;
        Ok(Http {
            client,
            authenticator: Auth::build(self.auth.as_ref(), self.allow_http)?,
            headers: Headers::new(&self.headers, &self.secret_headers)?,
            checker: Checker::new(self)?,
            shape: Shape { format: self.format, wrap: self.wrap.clone() },
            limits: Limits {
                bytes: usize::try_from(self.max_request_bytes.0).unwrap_or(usize::MAX),
                records: match self.format {
                    Format::Json => 1,
                    _ => self.max_request_records.map_or(usize::MAX, |records| records as usize),
                },
            },
            progress: Progress::default(),
            config: self.clone(),
        })
    }

    fn validate_limits(&self) -> Result<(), BuildError> {
        let least = |key: &str, size: Option<ByteSize>| match size {
            Some(size) if size.0 < 1024 => {
                Err(BuildError::new(key, format!("`{key}` is out of bounds"), "choose at least `1KiB`"))
            }
            _ => Ok(()),
        };
        least("max_request_bytes", Some(self.max_request_bytes))?;
        least("max_compressed_bytes", self.max_compressed_bytes)?;
        least("max_record_bytes", self.max_record_bytes)?;
        if self.max_request_records == Some(0) {
            return Err(BuildError::new("max_request_records", "a request of no records", "choose at least 1"));
        }
        if !(1..=MOST_AT_ONCE).contains(&self.concurrency) {
            return Err(BuildError::new(
                "concurrency",
                "`concurrency` is out of bounds",
                format!("choose 1 to {MOST_AT_ONCE}"),
            ));
        }
        Ok(())
    }

    /// What must not be printed when a server repeats it.
    fn secrets(&self) -> Vec<Secret> {
        let mut secrets = self.auth.as_ref().map(Auth::secrets).unwrap_or_default();
        secrets.extend(self.secret_path.clone());
        secrets.extend(self.secret_headers.values().cloned());
        secrets.extend(self.sign.as_ref().map(|sign| sign.secret.clone()));
        secrets
    }
}

#[async_trait]
impl Sink for Http {
    async fn check(&self) -> Result<(), DeliveryError> {
        self.checker.check(self).await
    }

    async fn deliver(&self, batch: &Batch) -> Result<Delivery, DeliveryError> {
        let mut rejected = Vec::new();
        let mut items = Vec::new();
        // Of each URL, the place of its first record among the items.
        let mut urls = Vec::new();
        let mut stretches = Vec::new();
        for (url, group) in self.items_by_url(batch, &mut rejected)? {
            let first = items.len();
            urls.push((first, url));
            stretches
                .extend(self.shape.cut(&group, self.limits).into_iter().map(|it| first + it.start..first + it.end));
            items.extend(group);
        }
        let url = |at: usize| urls.iter().rfind(|(first, _)| *first <= at).map(|(_, url)| url).expect("each has one");
        let mut search = self.progress.search(batch, stretches);
        let mut under_way = FuturesUnordered::new();
        let mut failed = None;
        loop {
            while failed.is_none()
                && under_way.len() < self.config.concurrency
                && let Some(stretch) = search.next_stretch()
            {
                let sending = self.request(batch, url(stretch.start), &items[stretch.clone()]);
                under_way.push(async { (stretch, sending.await) });
            }
            let Some((stretch, outcome)) = under_way.next().await else { break };
            match outcome {
                Ok(Outcome::Taken) => search.taken(&stretch),
                Ok(Outcome::Refused(reason)) => search.refused(stretch, reason),
                // What is under way beside it gets its answer, for without one it would have to be sent again.
                Err(error) => failed = Some(graver(failed, error)),
            }
        }
        drop(under_way);
        if let Some(error) = failed {
            return Err(error);
        }
        rejected.extend(search.end()?.into_iter().map(|it| Rejected { at: items[it.at].at, ..it }));
        rejected.sort_by_key(|rejected| rejected.at);
        Ok(Delivery { rejected })
    }
}

impl Http {
    /// The batch's records as they are sent: URLs in the order they first occur, records in the batch's order.
    fn items_by_url(
        &self,
        batch: &Batch,
        rejected: &mut Vec<Rejected>,
    ) -> Result<Vec<(url::Url, Vec<Item>)>, DeliveryError> {
        let mut groups: Vec<(url::Url, Vec<Item>)> = Vec::new();
        for (at, record) in batch.records.iter().enumerate() {
            let json = match &self.config.record {
                Some(template) => template.render(batch, record),
                None => record.json.clone(),
            };
            if let Some(reason) = self.oversized(&json) {
                rejected.push(Rejected { at, reason });
                continue;
            }
            let item = Item { at, json };
            if !self.config.url.varies()
                && let Some((_, items)) = groups.last_mut()
            {
                items.push(item);
                continue;
            }
            let url = self.config.url.of(batch, record, self.config.secret_path.as_ref())?;
            match groups.iter_mut().find(|(known, _)| *known == url) {
                Some((_, items)) => items.push(item),
                None => groups.push((url, vec![item])),
            }
        }
        Ok(groups)
    }

    fn oversized(&self, json: &bytes::Bytes) -> Option<String> {
        let size = json.len();
        match self.config.max_record_bytes {
            Some(most) if size as u64 > most.0 => {
                Some(format!("{size} bytes are more than the {most} of `max_record_bytes`"))
            }
            _ if self.shape.is_oversized(json, self.limits) => {
                let most = self.config.max_request_bytes;
                Some(format!("{size} bytes are more than the {most} of `max_request_bytes`"))
            }
            _ => None,
        }
    }
}

impl fmt::Display for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http {}", self.config.url)
    }
}

impl Format {
    fn content_type(self) -> &'static str {
        match self {
            Self::Ndjson => "application/x-ndjson",
            Self::JsonArray | Self::Json => "application/json",
        }
    }
}

impl OnMalformed {
    /// What a person can do about the first of the two.
    pub(crate) const HINT: &str = "see what the service says about the request; to have the records it refuses found and \
                                   kept as dead letters, set `on_400 = \"bisect\"`";
}

impl From<Method> for reqwest::Method {
    fn from(method: Method) -> Self {
        match method {
            Method::Post => Self::POST,
            Method::Put => Self::PUT,
        }
    }
}

/// A person need not wait until what may pass has passed.
fn graver(first: Option<DeliveryError>, next: DeliveryError) -> DeliveryError {
    match (first, next) {
        (Some(first @ DeliveryError::Refused { .. }), _) => first,
        (Some(first), DeliveryError::Retryable { .. }) => first,
        (_, next) => next,
    }
}

fn one() -> usize {
    1
}

fn one_mebibyte() -> ByteSize {
    ByteSize(1024 * 1024)
}

fn half_a_minute() -> HumanDuration {
    HumanDuration(Duration::from_secs(30))
}
