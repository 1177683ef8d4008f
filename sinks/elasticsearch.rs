//! Documents in Elasticsearch (7.17 and later) or OpenSearch, by bulk requests.
//!
//! Each record once: it is created under an id made of its pipeline and its own id, and what is there already is left
//! alone and counts as delivered. That holds within an index. A data stream gets a new index at every rollover, and
//! looks for an id in the newest only: a batch that comes again across a rollover is there twice.
//!
//! Protocol: <https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-bulk>,
//! <https://docs.opensearch.org/latest/api-reference/document-apis/bulk/>.

mod answer;
mod check;
mod credentials;
mod document;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, RequestBuilder};
use serde::Deserialize;
use url::Url;

use self::answer::Fates;
use self::document::Documents;
use crate::address::Endpoint;
use crate::http_client::{Answer, Client, Compression, Hints, Search, Settings, Verdict, halves};
use crate::secret::Secret;
use crate::template::{Place, Template};
use crate::tls::TlsConfig;
use crate::units::{ByteSize, HumanDuration};
use crate::{Batch, BatchLimits, BuildError, Delivery, DeliveryError, Sink};

/// A bulk request of a few megabytes costs the server least for each record.
pub const BATCH: BatchLimits =
    BatchLimits { max_records: 5000, max_bytes: 4 * 1024 * 1024, max_wait: Duration::from_secs(1) };

/// An answer tells of each record, in a line for those that were refused.
const LARGEST_ANSWER: usize = 8 * 1024 * 1024;

/// `[sinks.NAME.elasticsearch]`
#[derive(Clone, Debug, Deserialize)]
pub struct Config {
    /// A node, or what stands before all of them: `https://search.example.com:9200`.
    pub url: Endpoint,
    /// The index, `audit-{vendor}` unless this or `data_stream` is set. What a name cannot have becomes `_` or lower case.
    pub index: Option<Template>,
    /// The data stream in its place: `logs-auditline.{vendor}-default`. Needs an index template that makes one.
    pub data_stream: Option<Template>,
    /// An API key: the `encoded` form, or `id:key`.
    pub api_key: Option<Secret>,
    /// The name of a user, with `password`.
    pub username: Option<String>,
    /// Of `username`.
    pub password: Option<Secret>,
    /// A token for `Authorization: Bearer`.
    pub bearer_token: Option<Secret>,
    /// The ingest pipeline that the records go through.
    pub ingest_pipeline: Option<String>,
    /// Whom to trust, and who we are.
    pub tls: Option<TlsConfig>,
    /// Takes an `http://` URL of another machine.
    #[serde(default)]
    pub allow_http: bool,
    /// `"gzip"` unless set; or `"none"`.
    #[serde(default)]
    pub compression: Compression,
    /// The largest request, before it is compressed: `"8MiB"` unless set. A larger record goes alone.
    #[serde(default = "eight_megabytes")]
    pub max_request_bytes: ByteSize,
    /// The longest a request may take, `"1m"` unless set.
    #[serde(default = "a_minute")]
    pub timeout: HumanDuration,
}

/// Sends a batch in as few bulk requests as it fits into.
pub struct Elasticsearch {
    config: Config,
    client: Client,
    target: Target,
    authorization: Option<HeaderValue>,
    /// Where an answer is for any index.
    bulk: Url,
}

/// Where records go.
#[derive(Clone, Debug)]
struct Target {
    name: Template,
    is_stream: bool,
}

const HINTS: Hints = Hints {
    credentials: "check `api_key`, `username` and `password` or `bearer_token`, and that they may create documents there: \
                  the privileges `create_doc` and `auto_configure`, in OpenSearch `indices:data/write/bulk` and \
                  `indices:admin/create`",
    target: "check `url`: it is what stands before `/_bulk`",
};

impl Config {
    /// Checks the keys against each other, and the TLS files.
    pub fn build(&self) -> Result<Elasticsearch, BuildError> {
        self.url.keep_private("url", self.allow_http)?;
        let target = self.target()?;
        if self.compression == Compression::Zstd {
            return Err(BuildError::new(
                "compression",
                "neither Elasticsearch nor OpenSearch takes zstd",
                "choose `\"gzip\"` or `\"none\"`",
            ));
        }
        if self.max_request_bytes.0 < 1024 {
            return Err(BuildError::new(
                "max_request_bytes",
                "`max_request_bytes` is too small",
                "choose at least `1KiB`",
            ));
        }
        let credentials = credentials::of(self)?;
        let client = Client::new(Settings {
            url: self.url.url(),
            tls: self.tls.as_ref(),
            timeout: self.timeout.0,
            largest_answer: LARGEST_ANSWER,
            secrets: credentials.secrets,
        })?;
        let authorization = credentials.header;
        let bulk = self.bulk(&target);
        Ok(Elasticsearch { config: self.clone(), client, target, authorization, bulk })
    }

    fn target(&self) -> Result<Target, BuildError> {
        let (key, target) = match (&self.index, &self.data_stream) {
            (Some(_), Some(_)) => {
                return Err(BuildError::new("index", "`index` beside `data_stream`", "leave out one of them"));
            }
            (None, Some(name)) => ("data_stream", Target { name: name.clone(), is_stream: true }),
            (Some(name), None) => ("index", Target { name: name.clone(), is_stream: false }),
            (None, None) => {
                let name = "audit-{vendor}".parse().expect("a known placeholder");
                ("index", Target { name, is_stream: false })
            }
        };
        match document::fault(&target.name) {
            Some(fault) => Err(BuildError::new(
                key,
                format!("`{}` is no name of an index: {fault}", target.name),
                "choose lower case letters, digits, `-`, `_` and `.`, such as `audit-{vendor}`",
            )),
            None => Ok(target),
        }
    }

    /// As little of the answer as tells the fate of each record.
    fn bulk(&self, target: &Target) -> Url {
        // The name in the path where it is the same for all: some clusters let clients name indices nowhere else.
        let mut url = match target.name.literal() {
            Some(name) => self.url.below(&format!("/{name}/_bulk")),
            None => self.url.below("/_bulk"),
        };
        let mut query = url.query_pairs_mut();
        let index = if target.is_stream { ",items.*._index" } else { "" };
        query.append_pair("filter_path", &format!("errors,items.*.status,items.*.error,items.*.failure_store{index}"));
        if let Some(pipeline) = &self.ingest_pipeline {
            query.append_pair("pipeline", pipeline);
        }
        drop(query);
        url
    }
}

#[async_trait]
impl Sink for Elasticsearch {
    async fn check(&self) -> Result<(), DeliveryError> {
        check::check(self).await
    }

    async fn deliver(&self, batch: &Batch) -> Result<Delivery, DeliveryError> {
        let documents = Documents::new(&self.target, batch);
        let mut search = Search::new(documents.requests(self.config.max_request_bytes.0));
        while let Some(range) = search.next_stretch() {
            let answer = self.send(documents.body(range.clone())).await?;
            match answer.judge(&HINTS) {
                Verdict::Taken if answer.is_whole => {
                    let fates = Fates::of(&answer, range.len())?;
                    search.told(&range, fates.sorted(&documents, range.start)?);
                }
                // Too long an answer for us to know what was taken: that of a part is shorter.
                Verdict::Taken if range.len() > 1 => search.again(&range, halves(range.clone()), false),
                Verdict::Taken => return Err(answer.retryable()),
                Verdict::TooLarge => {
                    let bytes = batch.records[range.start].json.len();
                    search.refused(range, format!("{bytes} bytes are more than the server takes in a request (413)"));
                }
                Verdict::Malformed => {
                    return Err(
                        answer.refused("see what the server says; the whole request is refused, not a record of it")
                    );
                }
                Verdict::Failed(error) => return Err(error),
            }
        }
        Ok(Delivery { rejected: search.rejected() })
    }
}

impl Elasticsearch {
    async fn send(&self, body: Bytes) -> Result<Answer, DeliveryError> {
        let packed = self.config.compression.pack(body).await?;
        let mut request = self.request(Method::POST, self.bulk.clone())?.header(CONTENT_TYPE, "application/x-ndjson");
        if let Some(encoding) = self.config.compression.content_encoding() {
            request = request.header(CONTENT_ENCODING, encoding);
        }
        self.client.send(request.body(packed)).await
    }

    fn request(&self, method: Method, url: Url) -> Result<RequestBuilder, DeliveryError> {
        let request = self.client.request(method, url)?;
        Ok(match &self.authorization {
            Some(authorization) => request.header(AUTHORIZATION, authorization),
            None => request,
        })
    }
}

impl fmt::Display for Elasticsearch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "elasticsearch {} {}", self.config.url, self.target)
    }
}

impl Target {
    /// The name for one record.
    fn of(&self, batch: &Batch, record: &crate::Record) -> String {
        // What Kafka takes, an index takes in lower case.
        let name = self.name.render(batch, record, Place::Topic).to_ascii_lowercase();
        // A value of the event must not lead to the server's own indexes, nor to a name that none can have.
        if name.starts_with(['.', '_', '-']) { format!("x{name}") } else { name }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", if self.is_stream { "data stream" } else { "index" }, self.name)
    }
}

fn eight_megabytes() -> ByteSize {
    ByteSize(8 * 1024 * 1024)
}

fn a_minute() -> HumanDuration {
    HumanDuration(Duration::from_secs(60))
}
