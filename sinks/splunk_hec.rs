//! Events for Splunk's HTTP Event Collector.
//!
//! At least once, and the indexed field `auditline_id` lets a search tell. Without `ack`, a batch counts when Splunk says
//! that it took it, which is before it is on a disk; with `ack = true`, when an indexer has it for good.
//!
//! Protocol: "Format events for HTTP Event Collector", "HTTP Event Collector REST API endpoints", "About HTTP Event
//! Collector Indexer Acknowledgment" and "Troubleshoot HTTP Event Collector", below
//! <https://help.splunk.com/en/splunk-enterprise/get-data-in/collect-http-event-data>.

mod acknowledge;
mod answer;
mod event;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use serde::Deserialize;
use url::Url;

use self::acknowledge::{Acknowledgements, Channels};
use self::answer::Said;
use self::event::Events;
use crate::address::Endpoint;
use crate::http_client::{Answer, Client, Compression, LARGEST_ANSWER, Progress, Search, Settings, halves};
use crate::secret::Secret;
use crate::template::{KeyTemplate, Template};
use crate::tls::TlsConfig;
use crate::units::{ByteSize, HumanDuration};
use crate::{Batch, BatchLimits, BuildError, Delivery, DeliveryError, Sink};

/// Splunk asks for requests of less than a megabyte.
pub const BATCH: BatchLimits =
    BatchLimits { max_records: 2000, max_bytes: 1024 * 1024, max_wait: Duration::from_secs(1) };

/// `[sinks.NAME.splunk_hec]`
#[derive(Clone, Debug, Deserialize)]
pub struct Config {
    /// The collector without its path: `https://splunk.example.com:8088`.
    pub url: Endpoint,
    /// The token.
    pub token: Secret,
    /// The index. The token's own unless set.
    pub index: Option<Template>,
    /// The host of each event. Splunk's choice unless set.
    pub host: Option<Template>,
    /// The source of each event, `auditline:{pipeline}` unless set.
    #[serde(default = "by_pipeline")]
    pub source: Template,
    /// The source type of each event, `auditline:{vendor}` unless set.
    #[serde(default = "by_vendor")]
    pub sourcetype: Template,
    /// Indexed fields beside the event: `{ auditline_id = "{id}" }` unless set.
    #[serde(default = "its_id")]
    pub fields: BTreeMap<String, KeyTemplate>,
    /// Waits until an indexer has acknowledged each request.
    #[serde(default)]
    pub ack: bool,
    /// The longest wait for that, `"2m"` unless set.
    #[serde(default = "two_minutes")]
    pub ack_timeout: HumanDuration,
    /// Whom to trust, and who we are.
    pub tls: Option<TlsConfig>,
    /// Takes an `http://` URL of another machine.
    #[serde(default)]
    pub allow_http: bool,
    /// `"gzip"` unless set; or `"none"`.
    #[serde(default)]
    pub compression: Compression,
    /// The largest request, before it is compressed: `"1MiB"` unless set. A larger event goes alone.
    #[serde(default = "a_megabyte")]
    pub max_request_bytes: ByteSize,
    /// The longest a request may take, `"30s"` unless set.
    #[serde(default = "half_a_minute")]
    pub timeout: HumanDuration,
}

/// Sends a batch's events in order, one request after the other.
pub struct SplunkHec {
    config: Config,
    client: Client,
    token: HeaderValue,
    channels: Channels,
    /// What Splunk has said of a batch's events so far.
    progress: Progress,
}

impl Config {
    /// Checks the keys against each other, and the TLS files.
    pub fn build(&self) -> Result<SplunkHec, BuildError> {
        self.url.keep_private("url", self.allow_http)?;
        if self.url.url().path().contains("/services/collector") {
            return Err(BuildError::new(
                "url",
                format!("`{}` holds the collector's path", self.url),
                "give what stands before `/services/collector`",
            ));
        }
        if let Some(index) = self.index.as_ref().filter(|index| index.sample().starts_with('_')) {
            return Err(BuildError::new(
                "index",
                format!("`{index}` is one of Splunk's own indexes"),
                "choose one that does not begin with `_`, such as `audit_{vendor}`",
            ));
        }
        if let Some(index) = self.index.as_ref().filter(|index| !event::is_index(index)) {
            return Err(BuildError::new(
                "index",
                format!("`{index}` is no name of an index"),
                "choose lower case letters, digits, `-` and `_`, such as `audit_{vendor}`",
            ));
        }
        if self.compression == Compression::Zstd {
            let hint = "choose `\"gzip\"` or `\"none\"`";
            return Err(BuildError::new("compression", "Splunk does not take zstd", hint));
        }
        if self.max_request_bytes.0 < 1024 {
            let hint = "choose at least `1KiB`";
            return Err(BuildError::new("max_request_bytes", "`max_request_bytes` is too small", hint));
        }
        if let Some(name) = self.fields.keys().find(|name| name.is_empty() || name.starts_with('_')) {
            return Err(BuildError::new(
                &format!("fields.{name}"),
                format!("`{name}` is no name of an indexed field"),
                "choose one that does not begin with `_`, for those are Splunk's own",
            ));
        }
        let mut token = HeaderValue::try_from(format!("Splunk {}", self.token.expose())).map_err(|_| {
            BuildError::new("token", "`token` holds what no token can", "look for a line break or a blank too many")
        })?;
        token.set_sensitive(true);
        let client = Client::new(Settings {
            url: self.url.url(),
            tls: self.tls.as_ref(),
            timeout: self.timeout.0,
            largest_answer: LARGEST_ANSWER,
            secrets: vec![self.token.clone()],
        })?;
        Ok(SplunkHec { config: self.clone(), client, token, channels: Channels::new(), progress: Progress::default() })
    }
}

#[async_trait]
impl Sink for SplunkHec {
    async fn check(&self) -> Result<(), DeliveryError> {
        // It knows nothing of tokens, but of queues that are full.
        let health = self.client.send(self.client.request(Method::GET, self.at("/health"))?).await?;
        if let Some(error) = Said::of(&health).unwell(&health) {
            return Err(error);
        }
        // A request without events: a token that is good is told so, and nothing is written.
        let answer = self.post("", self.at("/event"), Bytes::new()).await?;
        Said::of(&answer).expect_no_data(&answer)?;
        if self.config.ack {
            let answer = self.post("", self.at("/ack"), Bytes::from_static(br#"{"acks":[0]}"#)).await?;
            answer::acknowledged(&answer)?;
        }
        Ok(())
    }

    async fn deliver(&self, batch: &Batch) -> Result<Delivery, DeliveryError> {
        let events = Events::new(&self.config, batch);
        let mut search = self.progress.search(batch, events.requests(self.config.max_request_bytes.0));
        let mut acknowledgements = Acknowledgements::default();
        let sent = self.send(batch, &events, &mut search, &mut acknowledgements).await;
        // What the collector has taken, it still has when it takes nothing more; and it would be there once more each time the
        // batch comes, which is every minute while a person is waited for.
        let acknowledged = match &sent {
            Ok(()) | Err(Stop::Told(_)) => acknowledgements.all(self, &batch.pipeline, &mut search).await,
            Err(Stop::Lost(_)) => Ok(()),
        };
        sent?;
        acknowledged?;
        Ok(Delivery { rejected: search.end()? })
    }
}

/// Why no more of a batch is sent.
enum Stop {
    /// The collector has said so, and its acknowledgements of what it took before are worth waiting for.
    Told(DeliveryError),
    /// There is no telling which request got which number, or whether the collector still runs that gave them.
    Lost(DeliveryError),
}

impl From<DeliveryError> for Stop {
    fn from(error: DeliveryError) -> Self {
        Self::Lost(error)
    }
}

impl From<Stop> for DeliveryError {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Told(error) | Stop::Lost(error) => error,
        }
    }
}

impl SplunkHec {
    /// Sends what is left of a batch.
    async fn send(
        &self,
        batch: &Batch,
        events: &Events<'_>,
        search: &mut Search,
        acknowledgements: &mut Acknowledgements,
    ) -> Result<(), Stop> {
        while let Some(range) = search.next_stretch() {
            let body = self.packed(events, range.clone()).await?;
            let answer = self.post(&batch.pipeline, self.at("/event"), body).await?;
            match Said::of(&answer) {
                Said::Taken { ack } if self.config.ack => {
                    acknowledgements.expect(ack, range.clone(), &answer)?;
                    search.promised(range);
                }
                Said::Taken { .. } => search.taken(&range),
                Said::TooLarge => {
                    let bytes = batch.records[range.start].json.len();
                    search.refused(range, format!("{bytes} bytes are more than Splunk takes in a request (413)"));
                }
                Said::Invalid { .. } if range.len() == 1 => search.refused(range, answer::reason(&answer)),
                Said::Invalid { at, ack } => {
                    let before = at.filter(|at| (1..range.len()).contains(at)).map(|at| range.start..range.start + at);
                    let is_indexed =
                        !self.config.ack || acknowledgements.expect_of_part(ack, before.clone(), &answer)?;
                    search.again(&range, around(range.clone(), at, is_indexed), is_indexed && before.is_some());
                    if let Some(before) = before.filter(|_| self.config.ack && is_indexed) {
                        search.promised(before);
                    }
                }
                Said::WrongIndex(error) => match events.by_index(range.clone()) {
                    parts if parts.len() > 1 => search.again(&range, parts, false),
                    _ => return Err(Stop::Told(error)),
                },
                Said::Busy(error) | Said::Failed(error @ DeliveryError::Refused { .. }) => {
                    return Err(Stop::Told(error));
                }
                Said::Failed(error) => return Err(Stop::Lost(error)),
            }
        }
        Ok(())
    }

    async fn packed(&self, events: &Events<'_>, range: Range<usize>) -> Result<Bytes, DeliveryError> {
        self.config.compression.pack(events.body(range)).await
    }

    /// An event request is packed, all else is short.
    async fn post(&self, pipeline: &str, url: Url, body: Bytes) -> Result<Answer, DeliveryError> {
        let is_packed = !body.is_empty() && !url.path().ends_with("/ack");
        let mut request = self.client.request(Method::POST, url)?;
        request = request.header(AUTHORIZATION, &self.token).header(CONTENT_TYPE, "application/json");
        // Asked for by tokens that acknowledge, and no harm to the others.
        request = request.header("X-Splunk-Request-Channel", self.channels.of(pipeline));
        if let Some(encoding) = self.config.compression.content_encoding().filter(|_| is_packed) {
            request = request.header(CONTENT_ENCODING, encoding);
        }
        self.client.send(request.body(body)).await
    }

    fn at(&self, path: &str) -> Url {
        self.config.url.below(&format!("/services/collector{path}"))
    }
}

impl fmt::Display for SplunkHec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "splunk_hec {}", self.config.url)?;
        match &self.config.index {
            Some(index) => write!(f, " index {index}"),
            None => Ok(()),
        }
    }
}

/// What is left of a request of which Splunk could not take the event at `at`, the first being 0. It has indexed those
/// before, unless that is not certain, and none of those behind.
///
/// That event goes alone, so that the next answer is about nothing else: Splunk Cloud says of a request that is too
/// large that its first event is invalid. For the same reason what is behind the first goes in halves.
fn around(range: Range<usize>, at: Option<usize>, is_indexed: bool) -> Vec<Range<usize>> {
    let Some(at) = at.map(|at| range.start + at).filter(|at| range.contains(at)) else {
        return halves(range);
    };
    let before = if is_indexed { at..at } else { range.start..at };
    let mut left = vec![before, at..at + 1];
    match at == range.start {
        true => left.extend(halves(at + 1..range.end)),
        false => left.push(at + 1..range.end),
    }
    left.retain(|range| !range.is_empty());
    left
}

fn by_pipeline() -> Template {
    "auditline:{pipeline}".parse().expect("a known placeholder")
}

fn by_vendor() -> Template {
    "auditline:{vendor}".parse().expect("a known placeholder")
}

fn its_id() -> BTreeMap<String, KeyTemplate> {
    [("auditline_id".to_owned(), "{id}".parse().expect("a known placeholder"))].into()
}

fn two_minutes() -> HumanDuration {
    HumanDuration(Duration::from_secs(120))
}

fn a_megabyte() -> ByteSize {
    ByteSize(1024 * 1024)
}

fn half_a_minute() -> HumanDuration {
    HumanDuration(Duration::from_secs(30))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_of_a_request_is_all_that_splunk_does_not_have() {
        assert_eq!(around(10..20, Some(4), true), [14..15, 15..20]);
        assert_eq!(around(10..20, Some(4), false), [10..14, 14..15, 15..20]);
        assert_eq!(around(10..20, Some(9), true), vec![19..20; 1]);
        assert_eq!(around(10..20, Some(0), true), [10..11, 11..15, 15..20]);
        assert_eq!(around(10..12, Some(0), true), [10..11, 11..12]);
        // Nothing is known: all of it goes again.
        assert_eq!(around(10..20, Some(10), true), [10..15, 15..20]);
        assert_eq!(around(10..20, None, true), [10..15, 15..20]);
    }

    #[test]
    fn every_step_is_smaller_than_the_one_before() {
        for length in 2..20 {
            for at in (0..=length).map(Some).chain([None]) {
                for is_indexed in [true, false] {
                    let left = around(0..length, at, is_indexed);
                    assert!(left.iter().all(|range| range.len() < length && !range.is_empty()), "{length} {at:?}");
                }
            }
        }
    }
}
