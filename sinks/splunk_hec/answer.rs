//! What the collector says: `{"text":"Success","code":0}`, its codes, and what each means for a batch.

use std::collections::HashMap;

use serde::Deserialize;

use crate::DeliveryError;
use crate::http_client::{Answer, Hints, Verdict};

const HINTS: Hints = Hints {
    credentials: "check `token`: the collector does not know it, or it is disabled",
    target: "check `url`: it is the collector's address without its path, as a rule with port 8088",
};

/// An answer's body.
#[derive(Debug, Default, Deserialize)]
struct Body {
    text: Option<String>,
    code: Option<u16>,
    #[serde(rename = "invalid-event-number")]
    invalid: Option<usize>,
    #[serde(rename = "ackId")]
    ack: Option<u64>,
}

/// What an answer means for the events of its request.
#[derive(Debug)]
pub(super) enum Said {
    /// All are taken, and will be acknowledged under this number.
    Taken { ack: Option<u64> },
    /// There are too many of them.
    TooLarge,
    /// One cannot be taken, the first being 0. Those before it are taken, and may be acknowledged.
    Invalid { at: Option<usize>, ack: Option<u64> },
    /// An index of theirs is not there, or not for this token. Which event it is, the answer does not say: the number it
    /// gives is 1 for a request of one event, where that of an invalid one is 0.
    WrongIndex(DeliveryError),
    /// None is taken now: its queues are full.
    Busy(DeliveryError),
    /// None is taken, or nobody knows.
    Failed(DeliveryError),
}

impl Said {
    pub fn of(answer: &Answer) -> Self {
        let Some(Body { code: Some(code), invalid, ack, .. }) = body(answer) else {
            return match answer.judge(&HINTS) {
                Verdict::TooLarge => Self::TooLarge,
                Verdict::Failed(error) => Self::Failed(error),
                Verdict::Malformed => Self::Failed(answer.refused(HINTS.target)),
                // Whatever said so is not the collector: the events may be nowhere.
                Verdict::Taken => Self::Failed(answer.retryable()),
            };
        };
        let refused = |hint: &str| Self::Failed(answer.refused(hint));
        match code {
            // 24 and 25: its queues are nearly full.
            0 | 24 | 25 if answer.status.is_success() => Self::Taken { ack },
            1 | 22 => refused("enable the token in Splunk, or set `token` to another one"),
            2..=4 | 21 => refused("check `token`: Splunk does not know it"),
            6 | 12 | 13 => Self::Invalid { at: invalid, ack },
            7 => {
                let hint = "let the token write to that index, create the index, or correct `index`";
                Self::WrongIndex(answer.refused(hint))
            }
            10 | 11 => refused("what stands between us and Splunk must let the header `X-Splunk-Request-Channel` pass"),
            28 => refused("a load balancer in front of several indexers must keep our requests on one of them"),
            // All events have the same, and all of them text, so none would ever be taken; and of this request none was, as
            // its first one has them too.
            15 => refused("correct `fields`, or send none: `fields = {}`"),
            14 => refused(NO_ACKNOWLEDGEMENTS),
            9 | 18 | 26 | 27 => Self::Busy(answer.retryable()),
            8 | 19 | 20 | 23 => Self::Failed(answer.retryable()),
            _ => match answer.judge(&HINTS) {
                Verdict::TooLarge => Self::TooLarge,
                Verdict::Failed(error) => Self::Failed(error),
                Verdict::Malformed => refused("see what Splunk says"),
                Verdict::Taken => Self::Failed(answer.retryable()),
            },
        }
    }

    /// The error of an answer to `/health`, if it is one that says so.
    pub fn unwell(self, answer: &Answer) -> Option<DeliveryError> {
        match self {
            // It asks for a token, or is not there: what comes next will tell.
            Self::Failed(_) if answer.status.is_client_error() => None,
            // 17: it is well.
            Self::Failed(_) if answer.status.is_success() => None,
            Self::Busy(error) | Self::Failed(error) => Some(error),
            _ => None,
        }
    }

    /// The answer to a request without events: a good token is told that they are missing. Not every collector minds.
    pub fn expect_no_data(self, answer: &Answer) -> Result<(), DeliveryError> {
        match (body(answer).and_then(|body| body.code), self) {
            (Some(5), _) | (_, Self::Taken { .. }) => Ok(()),
            (_, Self::Busy(error) | Self::Failed(error) | Self::WrongIndex(error)) => Err(error),
            _ => Err(answer.refused(HINTS.target)),
        }
    }
}

const NO_ACKNOWLEDGEMENTS: &str = "enable indexer acknowledgement for the token, or leave out `ack`";

/// Why an event was not taken, in Splunk's words.
pub(super) fn reason(answer: &Answer) -> String {
    let body = body(answer).unwrap_or_default();
    let text = body.text.as_deref().unwrap_or_default();
    answer.fit_to_print(&format!("Splunk: {text} (code {})", body.code.unwrap_or_default()))
}

/// Each collector counts for itself: one acknowledgement would stand for the requests of two.
pub(super) fn told_twice(answer: &Answer, number: u64) -> DeliveryError {
    DeliveryError::Refused {
        message: format!("`{}` gave two requests the same `ackId`, {number}", answer.origin),
        hint:
            "have the load balancer send all requests of our address to the same collector; if that was restarted, it \
               passes by itself"
                .to_owned(),
        source: None,
    }
}

/// A request was taken that will never be acknowledged.
pub(super) fn will_not_acknowledge(answer: &Answer) -> DeliveryError {
    DeliveryError::Refused {
        message: format!("`{}` took events without an `ackId`", answer.origin),
        hint: NO_ACKNOWLEDGEMENTS.to_owned(),
        source: None,
    }
}

/// The numbers that an answer to `/ack` says are on a disk.
pub(super) fn acknowledged(answer: &Answer) -> Result<Vec<u64>, DeliveryError> {
    #[derive(Deserialize)]
    struct Told {
        acks: HashMap<String, bool>,
    }
    let told: Option<Told> = serde_json::from_slice(&answer.body).ok().filter(|_| answer.status.is_success());
    match told {
        Some(told) => {
            let indexed = told.acks.iter().filter(|(_, is_indexed)| **is_indexed);
            Ok(indexed.filter_map(|(number, _)| number.parse().ok()).collect())
        }
        // A collector that has no such path: its events went through.
        None if matches!(answer.status.as_u16(), 400 | 404) && body(answer).is_none() => {
            Err(answer.refused(NO_ACKNOWLEDGEMENTS))
        }
        None => match Said::of(answer) {
            Said::Busy(error) | Said::Failed(error) | Said::WrongIndex(error) => Err(error),
            _ => Err(answer.retryable()),
        },
    }
}

fn body(answer: &Answer) -> Option<Body> {
    serde_json::from_slice(&answer.body).ok().filter(|_| answer.is_whole)
}
