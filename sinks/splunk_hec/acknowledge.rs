//! Waiting until indexers have what the collector took.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use tokio::time::{Instant, sleep};
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;

use super::{SplunkHec, answer};
use crate::DeliveryError;
use crate::http_client::Answer;

/// Between two questions, at first; it doubles.
const SHORTEST_WAIT: Duration = Duration::from_millis(100);
/// Each question costs the collector something. Splunk recommends seconds.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// The requests of a batch that are not acknowledged yet.
#[derive(Default)]
pub(super) struct Acknowledgements {
    pending: BTreeSet<u64>,
}

impl Acknowledgements {
    /// Expects the acknowledgement of a request that was taken.
    pub fn expect(&mut self, number: Option<u64>, answer: &Answer) -> Result<(), DeliveryError> {
        let number = number.ok_or_else(|| answer::will_not_acknowledge(answer))?;
        if self.pending.insert(number) { Ok(()) } else { Err(answer::told_twice(answer, number)) }
    }

    /// Expects that of the events before an invalid one. Without a number it will never come, and they have to go again.
    pub fn expect_of_part(&mut self, number: Option<u64>) -> bool {
        number.is_some_and(|number| self.pending.insert(number))
    }

    /// Returns once all are acknowledged, or fails when time is up.
    pub async fn all(mut self, sink: &SplunkHec) -> Result<(), DeliveryError> {
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
            match self.ask(sink).await {
                // A number is told to be acknowledged once, and never again.
                Ok(numbers) => self.pending.retain(|number| !numbers.contains(number)),
                Err(error @ DeliveryError::Refused { .. }) => return Err(error),
                // It says nothing of the events, and the next question may be answered.
                Err(error) => failure = Some(error),
            }
        }
        Ok(())
    }

    async fn ask(&self, sink: &SplunkHec) -> Result<Vec<u64>, DeliveryError> {
        let body = json!({ "acks": self.pending }).to_string();
        let answer = sink.post(sink.at("/ack"), Bytes::from(body)).await?;
        answer::acknowledged(&answer)
    }
}

/// A random GUID, which nobody else uses.
pub(super) fn new_channel() -> String {
    let mut bytes = [0; 16];
    default_provider().secure_random.fill(&mut bytes).expect("the system has random numbers");
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let digits = u128::from_be_bytes(bytes);
    let digits = format!("{digits:032x}");
    format!("{}-{}-{}-{}-{}", &digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..])
}

#[cfg(test)]
mod tests {
    use super::new_channel;

    #[test]
    fn channels_are_guids_and_no_two_the_same() {
        let channel = new_channel();
        let lengths: Vec<usize> = channel.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12], "{channel}");
        assert_eq!(channel.as_bytes()[14], b'4', "{channel}");
        assert_ne!(channel, new_channel());
    }
}
