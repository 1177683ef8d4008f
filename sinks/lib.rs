//! The destinations auditline delivers to: one small trait, one file each.
//!
//! A sink gets a [`Batch`] of frozen [`Record`]s and says what became of them. It never waits and never tries again by
//! itself: the engine does, by the *kind* of failure it is told. To add a destination, write one file with `Config`, the
//! struct, its `impl Sink` and tests that begin with the contract; then add it to [`SinkConfig`].

pub mod address;
pub mod contract;
pub mod elasticsearch;
pub mod file;
pub mod format;
pub mod http;
pub mod http_client;
pub mod kafka;
pub mod memory;
pub mod ocsf;
pub mod otlp;
pub mod parquet;
mod progress;
pub mod records;
pub mod s3;
pub mod secret;
pub mod splunk_hec;
pub mod stdout;
pub mod syslog;
pub mod template;
pub mod tls;
pub mod units;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::Deserialize;

pub use self::records::Records;
use self::template::Place;
use self::units::HumanDuration;

/// Not even a server on this machine is sure to answer sooner.
const SHORTEST_TIMEOUT: Duration = Duration::from_millis(10);

/// What an error may carry as its cause.
pub type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;

/// One event as it leaves: transformed, encoded and never changed again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The vendor's id of the record, or a fingerprint where the vendor gives none. Stable over re-reads.
    pub id: String,
    /// When it happened, as the vendor tells.
    pub time: DateTime<Utc>,
    /// One JSON object without a line break.
    pub json: Bytes,
}

/// Records of one pipeline in its order: those of a stretch of it that go to this sink.
///
/// Its bounds are sealed in the journal before the first delivery: whenever a batch with the same
/// [`key`](Batch::key) comes again, after an error or after a crash, it holds exactly the same records.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Which journal numbered the records. A new one after the state folder was lost, so that its sequences are not
    /// taken for the old ones.
    pub journal: Arc<str>,
    /// The pipeline the records came through.
    pub pipeline: Arc<str>,
    /// The sink's name in the configuration. Of a pipeline and a sink, batches come one after the other.
    pub sink: Arc<str>,
    /// The connector that read them, `{vendor}` in templates.
    pub vendor: Arc<str>,
    /// The sequence of the first record.
    pub first: u64,
    /// The sequence of the last record. Between the two, sequences are missing that go to other sinks only.
    pub last: u64,
    /// At least one.
    pub records: Records,
    /// Why it ends where it does. It may differ when the batch comes again; only [`Closed::Before`] says something of
    /// where the batch has been.
    pub closed: Closed,
}

/// What closed a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// [`BatchLimits::max_records`].
    Records,
    /// [`BatchLimits::max_bytes`].
    Bytes,
    /// What the sink wanted: [`Sink::wanted_bytes`].
    ObjectSize,
    /// [`BatchLimits::max_wait`].
    Age,
    /// No more will come: the run is to end.
    End,
    /// It was sealed already, as a rule by a process before this one, which may have begun to deliver it. A batch that says
    /// otherwise has just been sealed, and nobody has seen it before this sink.
    Before,
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Records => "max_records",
            Self::Bytes => "max_bytes",
            Self::ObjectSize => "object_size",
            Self::Age => "max_wait",
            Self::End => "the end of the run",
            Self::Before => "an earlier process",
        })
    }
}

impl Batch {
    /// A name no other batch has, and the same each time this one is delivered. Sorts in the pipeline's order, and is
    /// fit for file names, object keys and transactional ids.
    ///
    /// Bounds do not say which records lie between them: another sink's batch of the same stretch may have others, and
    /// an older copy of the state folder that was put back gives out numbers a second time. So it ends in a digest of
    /// the records, which is computed once.
    #[must_use]
    pub fn key(&self) -> String {
        let Self { pipeline, journal, first, last, records, .. } = self;
        format!("{pipeline}-{journal}-{first:012}-{last:012}-{}", records.digest())
    }

    /// How much JSON the records hold, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.records.iter().map(|record| record.json.len()).sum()
    }
}

/// What became of a batch that a sink is done with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delivery {
    /// Records the destination will never take, in the batch's order; all others are durable there.
    pub rejected: Vec<Rejected>,
}

/// A record the destination refuses for good. The engine keeps it as a dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Its place in the batch, the first being 0.
    pub at: usize,
    /// Why, in the destination's words where it has any.
    pub reason: String,
}

/// Why a batch was not delivered. Nothing is known of its records: some may have arrived.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// The same batch may be taken later: a closed port, a timeout, a throttle, a full disk.
    #[error("{message}")]
    Retryable {
        /// What happened, without the cause.
        message: String,
        /// What the destination asked us to wait.
        retry_after: Option<Duration>,
        /// The cause, where there is one.
        source: Option<BoxError>,
    },
    /// No delivery will succeed until a person changes something: credentials, a topic, a bucket, a certificate.
    #[error("{message}")]
    Refused {
        /// What happened, without the cause.
        message: String,
        /// What the person can do.
        hint: String,
        /// The cause, where there is one.
        source: Option<BoxError>,
    },
}

impl DeliveryError {
    /// A failure that may pass.
    pub fn retryable(message: impl Into<String>, source: impl Into<BoxError>) -> Self {
        Self::Retryable { message: message.into(), retry_after: None, source: Some(source.into()) }
    }

    /// A failure that needs a person.
    pub fn refused(message: impl Into<String>, hint: impl Into<String>, source: impl Into<BoxError>) -> Self {
        Self::Refused { message: message.into(), hint: hint.into(), source: Some(source.into()) }
    }
}

/// A destination. `Display` names it in logs, without secrets: `kafka kafka-1:9093 topic audit.{vendor}`.
///
/// Several pipelines may deliver to one sink at the same time; batches of one pipeline come one after the other.
#[async_trait]
pub trait Sink: fmt::Display + Send + Sync {
    /// Confirms that the destination is there and takes our credentials, without writing a record.
    async fn check(&self) -> Result<(), DeliveryError>;

    /// Returns once every record of `batch` is either durable at the destination or listed as rejected.
    ///
    /// Called again with the same batch after an error or a crash, so a second delivery of a record must do no harm
    /// where the destination allows it. Dropping the returned future must do none either.
    async fn deliver(&self, batch: &Batch) -> Result<Delivery, DeliveryError>;

    /// How much JSON the next batch of a pipeline should have, where that follows from what the last ones became; `None`
    /// where the batch's own limits say it all. Asked before a batch is sealed, and never more than
    /// [`BatchLimits::max_bytes`], which is the memory a delivery takes.
    fn wanted_bytes(&self, _pipeline: &str) -> Option<u64> {
        None
    }
}

/// How much the engine gathers before it hands a batch to a sink. Whatever is reached first closes the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchLimits {
    /// Records in a batch, at least 1.
    pub max_records: usize,
    /// JSON bytes in a batch; a single larger record still makes a batch of its own.
    pub max_bytes: u64,
    /// How long the oldest record waits for company.
    pub max_wait: Duration,
}

/// `[sinks.NAME.KIND]`: the kind is the key, what stands below it is that sink's own configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SinkConfig {
    /// Lines of JSON in local files.
    File(file::Config),
    /// Lines of JSON on standard output.
    Stdout(stdout::Config),
    /// Messages in a Kafka topic.
    Kafka(kafka::Config),
    /// Objects in an S3 bucket.
    S3(s3::Config),
    /// Messages for a syslog receiver.
    Syslog(syslog::Config),
    /// Requests to whatever takes JSON over HTTP.
    Http(Box<http::Config>),
    /// Log records by the OpenTelemetry protocol.
    Otlp(Box<otlp::Config>),
    /// Events for Splunk's HTTP Event Collector.
    SplunkHec(splunk_hec::Config),
    /// Documents in Elasticsearch or OpenSearch.
    Elasticsearch(elasticsearch::Config),
}

impl SinkConfig {
    /// Takes the names of local files as below `folder`, where the configuration lies, unless they begin at the root.
    #[must_use]
    pub fn rooted_in(mut self, folder: &Path) -> Self {
        match &mut self {
            Self::File(config) => config.path = config.path.clone().rooted_in(folder),
            Self::Kafka(config) => config.root_in(folder),
            Self::Syslog(config) => config.tls.iter_mut().for_each(|tls| tls.root_in(folder)),
            Self::Http(config) => config.tls.iter_mut().for_each(|tls| tls.root_in(folder)),
            Self::Otlp(config) => config.tls.iter_mut().for_each(|tls| tls.root_in(folder)),
            Self::SplunkHec(config) => config.tls.iter_mut().for_each(|tls| tls.root_in(folder)),
            Self::Elasticsearch(config) => config.tls.iter_mut().for_each(|tls| tls.root_in(folder)),
            Self::S3(config) => config.tls.iter_mut().for_each(|tls| tls.root_in(folder)),
            Self::Stdout(_) => {}
        }
        self
    }

    /// The file a pipeline's records go to, where day and hour are the records' own; `None` where it is no file. Two
    /// writers in one file could neither find their place again after a crash.
    #[must_use]
    pub fn file_of(&self, pipeline: &str, vendor: &str) -> Option<PathBuf> {
        match self {
            Self::File(config) => Some(config.path.of_pipeline(pipeline, vendor, Place::Path).into()),
            Self::Stdout(_) | Self::Kafka(_) | Self::S3(_) | Self::Syslog(_) | Self::Http(_) | Self::Otlp(_) => None,
            Self::SplunkHec(_) | Self::Elasticsearch(_) => None,
        }
    }

    /// What the names of a pipeline's objects begin with, the server's and the bucket's included; `None` where there are
    /// none. Two writers of one pipeline would write over each other's: an object is named by its batch.
    #[must_use]
    pub fn objects_of(&self, pipeline: &str, vendor: &str) -> Option<String> {
        match self {
            Self::S3(config) => Some(config.objects_of(pipeline, vendor)),
            Self::File(_) | Self::Stdout(_) | Self::Kafka(_) | Self::Syslog(_) | Self::Http(_) | Self::Otlp(_) => None,
            Self::SplunkHec(_) | Self::Elasticsearch(_) => None,
        }
    }

    /// Makes the sink. Reads the files the configuration names, and touches no network: [`Sink::check`] does.
    pub fn build(&self) -> Result<Arc<dyn Sink>, BuildError> {
        if let Some((key, time)) = self.timeouts().into_iter().find(|(_, time)| time.0 < SHORTEST_TIMEOUT) {
            let hint = "leave it out, or choose how long an answer may take, such as `\"30s\"`";
            return Err(BuildError::new(key, format!("nothing answers within `{time}`"), hint));
        }
        Ok(match self {
            Self::File(config) => Arc::new(config.build()?),
            Self::Stdout(config) => Arc::new(config.build()),
            Self::Kafka(config) => Arc::new(config.build()?),
            Self::S3(config) => Arc::new(config.build()?),
            Self::Syslog(config) => Arc::new(config.build()?),
            Self::Http(config) => Arc::new(config.build()?),
            Self::Otlp(config) => Arc::new(config.build()?),
            Self::SplunkHec(config) => Arc::new(config.build()?),
            Self::Elasticsearch(config) => Arc::new(config.build()?),
        })
    }

    /// How long is waited for what, by the keys.
    fn timeouts(&self) -> Vec<(&'static str, HumanDuration)> {
        match self {
            Self::File(_) | Self::Stdout(_) => Vec::new(),
            Self::Kafka(config) => vec![("timeout", config.timeout)],
            Self::S3(config) => vec![("timeout", config.timeout)],
            Self::Syslog(config) => vec![("timeout", config.timeout)],
            Self::Http(config) => vec![("timeout", config.timeout)],
            Self::Otlp(config) => vec![("timeout", config.timeout)],
            Self::SplunkHec(config) => vec![("timeout", config.timeout), ("ack_timeout", config.ack_timeout)],
            Self::Elasticsearch(config) => vec![("timeout", config.timeout)],
        }
    }

    /// The batch that suits this kind of destination, where the operator says nothing.
    #[must_use]
    pub fn batch_defaults(&self) -> BatchLimits {
        match self {
            Self::File(_) => file::BATCH,
            Self::Stdout(_) => stdout::BATCH,
            Self::Kafka(_) => kafka::BATCH,
            Self::S3(config) => config.batch_defaults(),
            Self::Syslog(_) => syslog::BATCH,
            Self::Http(_) => http::BATCH,
            Self::Otlp(_) => otlp::BATCH,
            Self::SplunkHec(_) => splunk_hec::BATCH,
            Self::Elasticsearch(_) => elasticsearch::BATCH,
        }
    }
}

/// Why a sink cannot be made of its configuration.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct BuildError {
    /// The key at fault, below the sink's kind: `tls.ca`.
    pub key: String,
    /// What is wrong, without the cause.
    pub message: String,
    /// What the person can do.
    pub hint: String,
    /// The cause, where there is one.
    pub source: Option<BoxError>,
}

impl BuildError {
    /// An error without a cause.
    pub fn new(key: &str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { key: key.to_owned(), message: message.into(), hint: hint.into(), source: None }
    }
}

#[cfg(test)]
mod tests {
    use super::contract::{gapped, numbered};

    #[test]
    fn a_batch_of_other_records_between_the_same_bounds_has_another_name() {
        let (one, other) = (gapped("audit", &[1, 2, 9]).key(), gapped("audit", &[1, 8, 9]).key());
        assert_ne!(one, other);
        assert_ne!(one, gapped("audit", &[1, 9]).key());
        assert_eq!(one, gapped("audit", &[1, 2, 9]).key());
        let digits = one.strip_prefix("audit-j7k2-000000000001-000000000009-").unwrap();
        assert!(digits.len() == 16 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()), "{one}");
    }

    // Bounds alone were its name: an older state folder that was put back gave it to other records.
    #[test]
    fn a_batch_of_other_records_with_the_same_sequences_has_another_name() {
        let (one, mut other) = (numbered("audit", 1, 9), numbered("audit", 1, 9));
        assert_eq!(one.key(), other.key());
        other.records[4].json = r#"{"n":"another"}"#.into();
        assert_ne!(one.key(), other.key());
    }

    #[test]
    fn names_sort_in_the_order_of_the_pipeline() {
        let keys =
            [gapped("audit", &[1, 3]), numbered("audit", 4, 2), gapped("audit", &[6, 9]), numbered("audit", 10, 1)];
        let keys: Vec<String> = keys.iter().map(super::Batch::key).collect();
        assert!(keys.is_sorted(), "{keys:?}");
    }
}
