//! Waiting until indexers have what the collector took.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::HeaderValue;
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::time::{Instant, sleep};
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;

use super::{SplunkHec, answer};
use crate::DeliveryError;
use crate::http_client::{Answer, Search};

/// Between two questions, at first; it doubles.
const SHORTEST_WAIT: Duration = Duration::from_millis(100);
/// Each question costs the collector something. Splunk recommends seconds.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// The requests of a batch that are not acknowledged yet, each with the events that are promised by it: none, where it took
/// none.
#[derive(Default)]
pub(super) struct Acknowledgements {
    pending: BTreeMap<u64, Option<Range<usize>>>,
}

impl Acknowledgements {
    /// Expects the acknowledgement of a request that was taken.
    pub fn expect(&mut self, number: Option<u64>, events: Range<usize>, answer: &Answer) -> Result<(), DeliveryError> {
        self.insert(number.ok_or_else(|| answer::will_not_acknowledge(answer))?, Some(events), answer)
    }

    /// Expects that of the events before an invalid one; `false` where it will never come for want of a number, and they have
    /// to go again.
    pub fn expect_of_part(
        &mut self,
        number: Option<u64>,
        events: Option<Range<usize>>,
        answer: &Answer,
    ) -> Result<bool, DeliveryError> {
        number.map_or(Ok(false), |number| self.insert(number, events, answer).map(|()| true))
    }

    fn insert(&mut self, number: u64, events: Option<Range<usize>>, answer: &Answer) -> Result<(), DeliveryError> {
        match self.pending.insert(number, events) {
            None => Ok(()),
            Some(_) => Err(answer::told_twice(answer, number)),
        }
    }

    /// Returns once all are acknowledged, or fails when time is up. What is acknowledged until then, `search` has taken.
    pub async fn all(mut self, sink: &SplunkHec, pipeline: &str, search: &mut Search) -> Result<(), DeliveryError> {
        let deadline = Instant::now() + sink.config.ack_timeout.0;
        let mut wait = SHORTEST_WAIT;
        let mut failure = None;
        while !self.pending.is_empty() {
            if Instant::now() >= deadline {
                let waited = sink.config.ack_timeout;
                let message = format!("Splunk at `{}` did not acknowledge all events within {waited}", sink.config.url);
                let source = failure.map(Into::into);
                return Err(DeliveryError::Retryable { message, retry_after: None, source });
            }
            sleep(wait.min(deadline - Instant::now())).await;
            wait = (wait * 2).min(LONGEST_WAIT);
            match self.ask(sink, pipeline).await {
                // A number is told to be acknowledged once, and never again.
                Ok(numbers) => {
                    let events = numbers.iter().filter_map(|number| self.pending.remove(number)?);
                    events.for_each(|events| search.taken(&events));
                }
                Err(error @ DeliveryError::Refused { .. }) => return Err(error),
                // It says nothing of the events, and the next question may be answered.
                Err(error) => failure = Some(error),
            }
        }
        Ok(())
    }

    async fn ask(&self, sink: &SplunkHec, pipeline: &str) -> Result<Vec<u64>, DeliveryError> {
        let body = json!({ "acks": self.pending.keys().collect::<Vec<_>>() }).to_string();
        let answer = sink.post(pipeline, sink.at("/ack"), Bytes::from(body)).await?;
        answer::acknowledged(&answer)
    }
}

/// The channels on which requests are acknowledged: nobody else uses them, and of our pipelines each has its own.
///
/// A collector that is restarted counts from 0 again. Within a batch that is noticed; but on a common channel, the
/// acknowledgement of one pipeline's request would stand for that of another, which died with the collector.
pub(super) struct Channels([u8; 16]);

impl Channels {
    pub fn new() -> Self {
        let mut seed = [0; 16];
        default_provider().secure_random.fill(&mut seed).expect("the system has random numbers");
        Self(seed)
    }

    /// A GUID, always the same for a pipeline.
    pub fn of(&self, pipeline: &str) -> HeaderValue {
        let digest = Sha256::new().chain_update(self.0).chain_update(pipeline).finalize();
        let mut digits: String = digest[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        // A random one, by RFC 9562.
        digits.replace_range(12..13, "4");
        digits.replace_range(16..17, "8");
        let guid = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-");
        HeaderValue::try_from(guid).expect("hexadecimal digits")
    }
}

#[cfg(test)]
mod tests {
    use super::Channels;

    #[test]
    fn channels_are_guids_and_no_two_the_same() {
        let channels = Channels::new();
        let channel = channels.of("corp");
        let lengths: Vec<usize> = channel.to_str().unwrap().split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12], "{channel:?}");
        assert_eq!(channel.as_bytes()[14], b'4', "{channel:?}");
        assert_eq!(channel, channels.of("corp"));
        assert_ne!(channel, channels.of("other"));
        assert_ne!(channel, Channels::new().of("corp"));
    }
}
