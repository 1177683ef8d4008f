//! Objects in an S3 bucket, or in anything that speaks its protocol: one object per batch, each record once.
//!
//! A batch's bounds are sealed before it is first sent, and the object is named for them, so a batch that comes again
//! overwrites itself with the same bytes.

mod explain;

use std::fmt;
use std::io::{self, Write};
use std::str::FromStr;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{Credentials, Region, RequestChecksumCalculation};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, ServerSideEncryption, StorageClass};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use flate2::Crc;
use serde::Deserialize;
use tokio::sync::OnceCell;

use self::explain::{Asked, explain};
use crate::address::Endpoint;
use crate::secret::Secret;
use crate::template::{Place, Template};
use crate::units::HumanDuration;
use crate::{Batch, BatchLimits, BuildError, Delivery, DeliveryError, Sink};

/// Objects are paid for by the piece and read as wholes, so they are few and large; the buffer of one is the memory a
/// delivery takes.
pub const BATCH: BatchLimits =
    BatchLimits { max_records: 100_000, max_bytes: 16 * 1024 * 1024, max_wait: Duration::from_secs(60) };

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
    /// Puts the bucket into the path and not into the host's name, as most servers other than AWS want it.
    #[serde(default)]
    pub path_style: bool,
    /// Lets `endpoint` be `http://` to another machine: whoever is between reads the logs.
    #[serde(default)]
    pub allow_http: bool,
    /// How objects are compressed, `"gzip"` unless set.
    #[serde(default)]
    pub compression: Compression,
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
    /// The longest one upload may take, `"2m"` unless set.
    #[serde(default = "two_minutes")]
    pub timeout: HumanDuration,
}

/// How objects are compressed.
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

/// Uploads each batch as one object per prefix.
pub struct S3 {
    config: Config,
    // Made at first use: the default chain asks the environment, and may ask the network.
    client: OnceCell<Client>,
}

/// An object ready to be sent.
struct Object {
    key: String,
    body: Bytes,
    crc32: String,
}

impl Config {
    /// What the names of a pipeline's objects begin with.
    pub(crate) fn objects_of(&self, pipeline: &str, vendor: &str) -> String {
        let server = self.endpoint.as_ref().map_or("", |endpoint| endpoint.url().as_str());
        let prefix = self.prefix.of_pipeline(pipeline, vendor, Place::Path);
        format!("{server} {} {prefix} {}", self.bucket, self.compression.suffix())
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
        if let Some(endpoint) = &self.endpoint {
            endpoint.keep_private("endpoint", self.allow_http)?;
        }
        Ok(S3 { config: self.clone(), client: OnceCell::new() })
    }

    async fn client(&self) -> Client {
        let timeouts =
            TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).operation_timeout(self.timeout.0).build();
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
            .force_path_style(self.path_style)
            // The engine retries, and counts.
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts)
            .request_checksum_calculation(RequestChecksumCalculation::WhenSupported);
        if let Some(endpoint) = &self.endpoint {
            config = config.endpoint_url(endpoint.url().as_str());
        }
        Client::from_conf(config.build())
    }
}

#[async_trait]
impl Sink for S3 {
    async fn check(&self) -> Result<(), DeliveryError> {
        // A list and not HeadBucket, whose answer has no body that tells a wrong key from a missing right.
        let request = self.client().await.list_objects_v2();
        let request = request.bucket(&self.config.bucket).max_keys(1);
        match request.send().await {
            Ok(_) => Ok(()),
            Err(error) => explain(error, Asked::List, &self.config.bucket),
        }
    }

    async fn deliver(&self, batch: &Batch) -> Result<Delivery, DeliveryError> {
        for (prefix, records) in self.config.prefix.group(batch, Place::Path) {
            let lines: Vec<Bytes> = records.iter().map(|record| record.json.clone()).collect();
            let compression = self.config.compression;
            let key = format!("{prefix}{}{}", batch.key(), compression.suffix());
            let object = tokio::task::spawn_blocking(move || Object::pack(key, &lines, compression))
                .await
                .unwrap_or_else(|error| Err(io::Error::other(error)))
                .map_err(|error| DeliveryError::retryable("cannot compress the batch", error))?;
            self.put(object).await?;
        }
        Ok(Delivery::default())
    }
}

impl S3 {
    async fn client(&self) -> &Client {
        self.client.get_or_init(|| self.config.client()).await
    }

    async fn put(&self, object: Object) -> Result<(), DeliveryError> {
        let Object { key, body, crc32 } = object;
        let request = self
            .client()
            .await
            .put_object()
            .bucket(&self.config.bucket)
            .key(&key)
            // No Content-Encoding: readers would unpack what is named `.gz`, and then unpack it again.
            .content_type(self.config.compression.content_type())
            .checksum_algorithm(ChecksumAlgorithm::Crc32)
            .checksum_crc32(&crc32)
            .set_storage_class(self.config.storage_class.as_deref().map(StorageClass::from))
            .set_server_side_encryption(self.config.sse.map(ServerSideEncryption::from))
            .set_ssekms_key_id(self.config.sse_kms_key_id.clone())
            .body(ByteStream::from(body));
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) => return explain(error, Asked::Put, &self.config.bucket),
        };
        match answer.checksum_crc32() {
            Some(stored) if stored != crc32 => Err(DeliveryError::Retryable {
                message: format!("`{key}` was stored with CRC32 {stored} where {crc32} was sent"),
                retry_after: None,
                source: None,
            }),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for S3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3 {}/{}", self.config.bucket, self.config.prefix)
    }
}

impl Object {
    fn pack(key: String, lines: &[Bytes], compression: Compression) -> io::Result<Self> {
        let body = compression.pack(lines)?;
        let mut crc = Crc::new();
        crc.update(&body);
        Ok(Self { key, body: Bytes::from(body), crc32: BASE64_STANDARD.encode(crc.sum().to_be_bytes()) })
    }
}

impl Compression {
    /// The same bytes for the same lines, each time: a batch that comes again must not change its object.
    fn pack(self, lines: &[Bytes]) -> io::Result<Vec<u8>> {
        match self {
            Self::None => written(Vec::new(), lines),
            Self::Gzip => {
                let level = flate2::Compression::default();
                let packer = flate2::GzBuilder::new().mtime(0).write(Vec::new(), level);
                written(packer, lines)?.finish()
            }
            Self::Zstd => written(zstd::Encoder::new(Vec::new(), 0)?, lines)?.finish(),
        }
    }

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

fn written<W: Write>(mut to: W, lines: &[Bytes]) -> io::Result<W> {
    for line in lines {
        to.write_all(line)?;
        to.write_all(b"\n")?;
    }
    Ok(to)
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

fn two_minutes() -> HumanDuration {
    HumanDuration(Duration::from_secs(120))
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use serde_json::{Value, json};

    use super::*;

    fn build(mut keys: Value) -> Result<S3, BuildError> {
        keys["bucket"] = json!("audit");
        serde_json::from_value::<Config>(keys).unwrap().build()
    }

    #[test]
    fn packs_the_same_lines_into_the_same_bytes() {
        let lines: Vec<Bytes> = (0..1000).map(|n| Bytes::from(format!(r#"{{"n":{n}}}"#))).collect();
        let text: String = (0..1000).map(|n| format!("{{\"n\":{n}}}\n")).collect();
        for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
            let packed = compression.pack(&lines).unwrap();
            assert_eq!(packed, compression.pack(&lines).unwrap());
            let unpacked = match compression {
                Compression::None => packed,
                Compression::Gzip => {
                    let mut unpacked = Vec::new();
                    flate2::read::GzDecoder::new(&*packed).read_to_end(&mut unpacked).unwrap();
                    unpacked
                }
                Compression::Zstd => zstd::decode_all(&*packed).unwrap(),
            };
            assert_eq!(unpacked, text.as_bytes());
        }
    }

    #[test]
    fn the_checksum_is_the_one_s3_computes() {
        let object = Object::pack("k".into(), &[Bytes::from("123456789")], Compression::None).unwrap();
        // CRC-32 of "123456789\n", big-endian, in Base64.
        assert_eq!(object.crc32, BASE64_STANDARD.encode(0xe011_7757_u32.to_be_bytes()));
    }

    #[test]
    fn half_of_a_pair_is_an_error() {
        for (keys, key) in [
            (json!({ "access_key_id": "AKIA" }), "access_key_id"),
            (json!({ "secret_access_key": "s" }), "secret_access_key"),
            (json!({ "session_token": "t" }), "session_token"),
            (json!({ "sse_kms_key_id": "k" }), "sse_kms_key_id"),
        ] {
            assert_eq!(build(keys).err().unwrap().key, key);
        }
        assert!(build(json!({ "sse": "aws:kms", "sse_kms_key_id": "k" })).is_ok());
    }
}
