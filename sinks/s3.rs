//! Objects in an S3 bucket, or in anything that speaks its protocol: each record once.
//!
//! A batch becomes an object for each prefix its records have and, as Parquet, for each class. Its bounds are sealed before
//! it is first sent, and its objects are named for them and for what it holds. So a batch that comes again finds itself there,
//! by the digest of its records in the object's metadata, or overwrites itself with the same bytes.

mod explain;
mod pack;
mod plan;
mod progress;
mod ratio;
mod sign;
mod transport;
mod upload;

use std::error::Error;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{Credentials, Region, RequestChecksumCalculation};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::types::ServerSideEncryption;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use serde::Deserialize;
use tokio::sync::{Mutex, Semaphore};
use url::Url;

use self::explain::{Asked, explain};
use self::plan::Part;
use self::progress::Progress;
use self::ratio::Ratios;
use self::sign::Token;
use self::transport::Transport;
use self::upload::Upload;
use crate::address::Endpoint;
use crate::ocsf::Class;
use crate::secret::{Hidden, Secret};
use crate::template::{Place, Template};
use crate::tls::TlsConfig;
use crate::units::{ByteSize, HumanDuration};
use crate::{Batch, BatchLimits, BuildError, Delivery, DeliveryError, Sink, http_client, parquet};

/// Objects are paid for by the piece and read as wholes, so they are few and large: five minutes is what CloudTrail takes,
/// and the pace Security Lake asks for. The JSON of a batch is the memory a delivery takes.
pub const BATCH: BatchLimits =
    BatchLimits { max_records: 100_000, max_bytes: 16 * 1024 * 1024, max_wait: Duration::from_secs(300) };

/// The same where objects are tables: packing takes as much again as the batch does.
const BATCH_OF_TABLES: BatchLimits = BatchLimits { max_bytes: 8 * 1024 * 1024, ..BATCH };

/// Objects of one batch that are on their way at the same time.
const AT_ONCE: usize = 4;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// `[sinks.NAME.s3]`
#[derive(Clone, Debug, Deserialize)]
pub struct Config {
    /// The bucket. It must exist.
    pub bucket: String,
    /// What the object's name begins with: `audit/{vendor}/{date}/`. A batch of two days makes two objects.
    #[serde(default = "no_prefix")]
    pub prefix: Template,
    /// The bucket's region. Unless set, the AWS environment tells it, and with `endpoint` it is `us-east-1`.
    pub region: Option<String>,
    /// Another server than AWS: `https://minio.example.com:9000`.
    pub endpoint: Option<Endpoint>,
    /// Puts the bucket into the path and not into the host's name, as most servers other than AWS want it. Always so where
    /// `endpoint` has a path.
    #[serde(default)]
    pub path_style: bool,
    /// Lets `endpoint` be `http://` to another machine: whoever is between reads the logs.
    #[serde(default)]
    pub allow_http: bool,
    /// What an object holds: `"ndjson"` unless set, or `"parquet"`.
    #[serde(default)]
    pub format: Format,
    /// How lines of JSON are compressed, `"gzip"` unless set. Parquet is compressed inside, with zstd.
    pub compression: Option<Compression>,
    /// About how large an object is to be, compressed. Unless set, a batch's own limits alone count; those count too.
    pub object_size: Option<ByteSize>,
    /// Never replaces an object: one that is there is looked at, and other content is an error. `true` unless set; where the
    /// server does not know the condition, or the key may not look, objects are overwritten, by the same content.
    #[serde(default = "yes")]
    pub if_absent: bool,
    /// With `secret_access_key`. Unless set: the AWS environment, files, web identity, or the machine's own role.
    pub access_key_id: Option<Secret>,
    /// The secret of `access_key_id`.
    pub secret_access_key: Option<Secret>,
    /// For temporary keys.
    pub session_token: Option<Secret>,
    /// `STANDARD_IA`, `GLACIER_IR`, …; the bucket's default unless set.
    pub storage_class: Option<String>,
    /// `"AES256"`, `"aws:kms"` or `"aws:kms:dsse"`; the bucket's default unless set.
    pub sse: Option<Encryption>,
    /// The key's id or ARN, with `sse = "aws:kms"`.
    pub sse_kms_key_id: Option<String>,
    /// Whom to trust, and who we are.
    pub tls: Option<TlsConfig>,
    /// The longest one request may take, `"2m"` unless set.
    #[serde(default = "two_minutes")]
    pub timeout: HumanDuration,
}

/// What an object holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// A line of JSON for each record.
    #[default]
    Ndjson,
    /// A table of one OCSF class.
    Parquet,
}

/// How lines of JSON are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// `.ndjson`
    None,
    /// `.ndjson.gz`
    #[default]
    Gzip,
    /// `.ndjson.zst`
    Zstd,
}

/// How the server encrypts objects at rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Encryption {
    /// With a key S3 keeps.
    #[serde(rename = "AES256")]
    Aes256,
    /// With a key of the key management service.
    #[serde(rename = "aws:kms")]
    Kms,
    /// With two layers of it.
    #[serde(rename = "aws:kms:dsse")]
    KmsDsse,
}

/// Uploads each batch as one object per prefix, and per class where the objects are tables.
pub struct S3 {
    config: Arc<Config>,
    /// Where it is not AWS that is asked, or where `tls` says how.
    transport: Option<Transport>,
    // Made at first use: the default chain asks the environment, and may ask the network. Held while that is going on.
    client: Mutex<Option<Client>>,
    ratios: Ratios,
    progress: Progress,
    /// Whose turn it is to make a table.
    tables: Arc<Semaphore>,
    /// What goes out with requests, wherever it comes from, and must not come back in an error.
    token: Token,
    /// The server was asked for the absence of an object, and does not know how.
    knows_no_absence: AtomicBool,
}

impl Config {
    /// What the names of a pipeline's objects begin with.
    pub(crate) fn objects_of(&self, pipeline: &str, vendor: &str) -> String {
        let server = self.endpoint.as_ref().map_or("", |endpoint| endpoint.url().as_str());
        let prefix = self.prefix.of_pipeline(pipeline, vendor, Place::Path);
        format!("{server} {} {prefix} {}", self.bucket, self.suffix(None))
    }

    /// The batch that suits these objects, where the operator says nothing.
    pub(crate) fn batch_defaults(&self) -> BatchLimits {
        match self.format {
            Format::Ndjson => BATCH,
            Format::Parquet => BATCH_OF_TABLES,
        }
    }

    fn compression(&self) -> Compression {
        self.compression.unwrap_or_default()
    }

    /// What an object's name ends in.
    fn suffix(&self, class: Option<&Class>) -> String {
        match self.format {
            Format::Ndjson => self.compression().suffix().to_owned(),
            Format::Parquet => format!("-{}.parquet", parquet::table_name(class)),
        }
    }

    fn content_type(&self) -> &'static str {
        match self.format {
            Format::Ndjson => self.compression().content_type(),
            Format::Parquet => "application/vnd.apache.parquet",
        }
    }

    /// Checks what cannot be seen in one key alone.
    pub fn build(&self) -> Result<S3, BuildError> {
        if self.bucket.is_empty() || self.bucket.contains('/') {
            return Err(BuildError::new(
                "bucket",
                format!("`{}` is not the name of a bucket", self.bucket),
                "give the bucket's bare name; folders go into `prefix`",
            ));
        }
        if self.access_key_id.is_some() != self.secret_access_key.is_some() {
            let (key, other) = match self.access_key_id {
                Some(_) => ("access_key_id", "secret_access_key"),
                None => ("secret_access_key", "access_key_id"),
            };
            return Err(BuildError::new(
                key,
                format!("`{key}` without `{other}`"),
                "give both, or neither to use the AWS environment",
            ));
        }
        if self.session_token.is_some() && self.access_key_id.is_none() {
            return Err(BuildError::new(
                "session_token",
                "`session_token` without the keys it belongs to",
                "give `access_key_id` and `secret_access_key` too",
            ));
        }
        if self.sse_kms_key_id.is_some() && !matches!(self.sse, Some(Encryption::Kms | Encryption::KmsDsse)) {
            return Err(BuildError::new("sse_kms_key_id", "a KMS key that is not used", "add `sse = \"aws:kms\"`"));
        }
        if self.format == Format::Parquet && self.compression.is_some() {
            return Err(BuildError::new(
                "compression",
                "Parquet is compressed inside, with zstd",
                "leave out `compression`, which is for lines of JSON",
            ));
        }
        if self.object_size.is_some_and(|size| size.0 == 0) {
            return Err(BuildError::new("object_size", "an object of no size", "say `64MiB`, for one"));
        }
        if let Some(endpoint) = &self.endpoint {
            endpoint.keep_private("endpoint", self.allow_http)?;
        }
        Ok(S3 {
            config: Arc::new(self.clone()),
            transport: self.transport()?,
            client: Mutex::default(),
            ratios: Ratios::default(),
            progress: Progress::default(),
            tables: Arc::new(Semaphore::new(1)),
            token: Token::default(),
            knows_no_absence: AtomicBool::new(false),
        })
    }

    /// AWS itself is asked with the SDK's own client, unless `tls` wants it otherwise.
    fn transport(&self) -> Result<Option<Transport>, BuildError> {
        let url = match (&self.endpoint, &self.tls) {
            (Some(endpoint), _) => endpoint.url().clone(),
            (None, Some(_)) => Url::parse("https://s3.amazonaws.com").expect("it is one"),
            (None, None) => return Ok(None),
        };
        let client = http_client::Client::new(http_client::Settings {
            url: &url,
            tls: self.tls.as_ref(),
            timeout: self.timeout.0,
            largest_answer: http_client::LARGEST_ANSWER,
            secrets: self.secrets().cloned().collect(),
        });
        client.map(|client| Some(Transport::new(client)))
    }

    fn secrets(&self) -> impl Iterator<Item = &Secret> {
        [&self.secret_access_key, &self.session_token].into_iter().flatten()
    }

    /// The server's address, to which the SDK adds the name of the bucket as it stands: a folder needs its slash.
    fn server(&self) -> Option<Url> {
        self.endpoint.as_ref().map(|endpoint| endpoint.below("/"))
    }

    /// A server in a folder has its buckets there: none of them has a host of its own.
    fn is_path_style(&self) -> bool {
        self.path_style || self.server().is_some_and(|server| server.path() != "/")
    }

    async fn client(&self, transport: Option<&Transport>, token: &Token) -> Client {
        // The transport has the same bound, and more to say when it is reached.
        let margin = if transport.is_some() { CONNECT_TIMEOUT } else { Duration::ZERO };
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .operation_timeout(self.timeout.0 + margin)
            .build();
        let mut loader = aws_config::defaults(aws_config::BehaviorVersion::latest());
        if let Some(region) = &self.region {
            loader = loader.region(Region::new(region.clone()));
        } else if self.endpoint.is_some() && std::env::var_os("AWS_REGION").is_none() {
            loader = loader.region(Region::from_static("us-east-1"));
        }
        if let (Some(id), Some(secret)) = (&self.access_key_id, &self.secret_access_key) {
            let token = self.session_token.as_ref().map(|token| token.expose().to_owned());
            loader = loader.credentials_provider(Credentials::new(
                id.expose(),
                secret.expose(),
                token,
                None,
                "auditline configuration",
            ));
        }
        let mut config = aws_sdk_s3::config::Builder::from(&loader.load().await)
            .force_path_style(self.is_path_style())
            .interceptor(token.clone())
            // The engine retries, and counts.
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts)
            .request_checksum_calculation(RequestChecksumCalculation::WhenSupported);
        if let Some(server) = self.server() {
            config = config.endpoint_url(server);
        }
        if let Some(transport) = transport {
            config = config.http_client(transport.shared());
        }
        Client::from_conf(config.build())
    }
}

#[async_trait]
impl Sink for S3 {
    async fn check(&self) -> Result<(), DeliveryError> {
        // A list and not HeadBucket, whose answer has no body that tells a wrong key from a missing right.
        let request = self.client().await?.list_objects_v2();
        let request = request.bucket(&self.config.bucket).max_keys(1);
        match request.send().await {
            Ok(_) => Ok(()),
            Err(error) => match explain(error, Asked::List, &self.config.bucket) {
                Ok(()) => Ok(()),
                Err(error) => Err(self.doubted(self.without_secrets(error)).await),
            },
        }
    }

    async fn deliver(&self, batch: &Batch) -> Result<Delivery, DeliveryError> {
        let client = self.client().await?;
        let (config, whole) = (self.config.clone(), batch.clone());
        // Every record may have to be read for it.
        let parts = match tokio::task::spawn_blocking(move || plan::parts(&config, &whole)).await {
            Ok(parts) => parts,
            Err(error) => return Err(DeliveryError::retryable("the batch could not be made into objects", error)),
        };
        match self.send_all(&client, batch, parts).await {
            Ok(largest) => {
                self.progress.forget(batch);
                self.ratios.learn(&batch.pipeline, batch.bytes() as u64, largest);
                Ok(Delivery::default())
            }
            Err(error) => Err(self.doubted(error).await),
        }
    }

    fn wanted_bytes(&self, pipeline: &str) -> Option<u64> {
        Some(self.ratios.json_for(pipeline, self.config.object_size?.0))
    }
}

impl S3 {
    /// Kept once the region is known: whoever tells it may not have answered yet.
    async fn client(&self) -> Result<Client, DeliveryError> {
        let mut known = self.client.lock().await;
        if let Some(client) = &*known {
            return Ok(client.clone());
        }
        let client = self.config.client(self.transport.as_ref(), &self.token).await;
        if client.config().region().is_none() {
            return Err(explain::no_region("the AWS environment does not tell it"));
        }
        Ok(known.insert(client).clone())
    }

    /// What became of an upload, or of a question about an object.
    fn explained<E>(&self, error: SdkError<E, HttpResponse>) -> DeliveryError
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        let error = explain(error, Asked::Put, &self.config.bucket);
        self.without_secrets(error.expect_err("only a list may be denied without harm"))
    }

    /// A server that refuses a token may repeat it.
    fn without_secrets(&self, error: DeliveryError) -> DeliveryError {
        let token = self.token.last();
        let secrets = self.config.secrets().map(Secret::expose).chain(token.as_deref());
        explain::without_secrets(error, &Hidden::of(secrets, 1))
    }

    /// What a person is asked to mend may be a file of the AWS environment, which a client reads once.
    async fn doubted(&self, error: DeliveryError) -> DeliveryError {
        if matches!(error, DeliveryError::Refused { .. }) {
            *self.client.lock().await = None;
        }
        error
    }

    /// Sends what is not there yet, and returns the size of the batch's largest object. One that fails keeps no other from
    /// arriving, and those that have arrived are not sent again with the batch.
    async fn send_all(&self, client: &Client, batch: &Batch, parts: Vec<Part>) -> Result<u64, DeliveryError> {
        let mut left = self.progress.left(batch, parts).into_iter();
        let mut under_way = FuturesUnordered::new();
        for part in left.by_ref().take(AT_ONCE) {
            under_way.push(self.send(client, batch, part));
        }
        let mut failed = None;
        let mut failed_in_a_row = 0;
        while let Some(outcome) = under_way.next().await {
            match outcome {
                Ok(()) => failed_in_a_row = 0,
                Err(error) => {
                    failed_in_a_row += 1;
                    failed = Some(match failed {
                        // A person need not wait until what may pass has passed.
                        Some(first) if !matches!(error, DeliveryError::Refused { .. }) => first,
                        Some(first @ DeliveryError::Refused { .. }) => first,
                        _ => error,
                    });
                }
            }
            // A server that takes nothing is not asked for thousands of objects more.
            if failed_in_a_row < AT_ONCE
                && let Some(part) = left.next()
            {
                under_way.push(self.send(client, batch, part));
            }
        }
        match failed {
            Some(error) => Err(error),
            None => Ok(self.progress.largest(batch)),
        }
    }

    async fn send(&self, client: &Client, batch: &Batch, part: Part) -> Result<(), DeliveryError> {
        let Part { key, rows } = part;
        let (json_bytes, records) = (rows.bytes(), rows.len());
        let bytes = Upload { sink: self, client, key: key.clone() }.send(rows).await?;
        tracing::debug!(key, records, json_bytes, bytes, closed_by = %batch.closed, "an object is stored");
        self.progress.keep(batch, key, bytes);
        Ok(())
    }

    fn asks_for_absence(&self, key: &str) -> bool {
        let is_known = !self.knows_no_absence.load(Ordering::Relaxed);
        self.config.if_absent && is_known && !self.progress.is_spoilt(key)
    }

    fn do_not_ask_for_absence(&self) {
        tracing::debug!(sink = %self, "the server knows no `If-None-Match`: a batch that comes again overwrites itself");
        self.knows_no_absence.store(true, Ordering::Relaxed);
    }
}

impl fmt::Display for S3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3 {}/{}", self.config.bucket, self.config.prefix)?;
        match &self.config.endpoint {
            Some(endpoint) => write!(f, " at {endpoint}"),
            None => Ok(()),
        }
    }
}

impl Compression {
    fn suffix(self) -> &'static str {
        match self {
            Self::None => ".ndjson",
            Self::Gzip => ".ndjson.gz",
            Self::Zstd => ".ndjson.zst",
        }
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::None => "application/x-ndjson",
            Self::Gzip => "application/gzip",
            Self::Zstd => "application/zstd",
        }
    }
}

impl From<Encryption> for ServerSideEncryption {
    fn from(encryption: Encryption) -> Self {
        match encryption {
            Encryption::Aes256 => Self::Aes256,
            Encryption::Kms => Self::AwsKms,
            Encryption::KmsDsse => Self::AwsKmsDsse,
        }
    }
}

fn no_prefix() -> Template {
    Template::from_str("").expect("nothing is a template")
}

fn yes() -> bool {
    true
}

fn two_minutes() -> HumanDuration {
    HumanDuration(Duration::from_secs(120))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn build(mut keys: Value) -> Result<S3, BuildError> {
        keys["bucket"] = json!("audit");
        serde_json::from_value::<Config>(keys).unwrap().build()
    }

    #[test]
    fn half_of_a_pair_is_an_error() {
        for (keys, key) in [
            (json!({ "access_key_id": "AKIA" }), "access_key_id"),
            (json!({ "secret_access_key": "s" }), "secret_access_key"),
            (json!({ "session_token": "t" }), "session_token"),
            (json!({ "sse_kms_key_id": "k" }), "sse_kms_key_id"),
            (json!({ "format": "parquet", "compression": "gzip" }), "compression"),
            (json!({ "object_size": "0B" }), "object_size"),
        ] {
            assert_eq!(build(keys).err().unwrap().key, key);
        }
        assert!(build(json!({ "sse": "aws:kms", "sse_kms_key_id": "k" })).is_ok());
    }

    #[test]
    fn tables_are_made_of_smaller_batches() {
        let max_bytes = |format: &str| {
            let config: Config = serde_json::from_value(json!({ "bucket": "audit", "format": format })).unwrap();
            config.batch_defaults().max_bytes
        };
        assert_eq!((max_bytes("ndjson"), max_bytes("parquet")), (16 << 20, 8 << 20));
    }
}
