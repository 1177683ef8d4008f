//! One request after the other, until the service has taken or refused every record of a piece.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;

use chrono::Utc;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};
use url::Url;

use super::pieces::Item;
use super::{Http, OnMalformed};
use crate::http_client::{Answer, Hints, Verdict};
use crate::{Batch, DeliveryError, Rejected};

/// If the very first this many records are all refused, it is the configuration that is wrong and not each of them.
const MANY: usize = 10;

/// What fits into one request, as far as we know.
pub(super) struct Piece {
    pub url: Url,
    pub items: Vec<Item>,
}

pub(super) const HINTS: Hints = Hints {
    credentials: "check `auth` and `secret_headers`, and that these credentials may write there",
    target: "check `url` and `method`",
};

/// What a request came to.
enum Outcome {
    Taken,
    /// It is too large, in these words.
    TooLarge(String),
    /// Something in it is wrong, in these words.
    Malformed(Answer),
}

impl Http {
    /// Sends a piece, in halves where it must be, in order. Returns what the service will never take of it.
    pub(super) async fn send(&self, batch: &Batch, piece: Piece) -> Result<Vec<Rejected>, DeliveryError> {
        let mut rejected = Vec::new();
        let mut left = VecDeque::from([piece.items]);
        while let Some(items) = left.pop_front() {
            let reason = match self.request(batch, &piece.url, &items).await? {
                Outcome::Taken => {
                    self.has_taken.store(true, Ordering::Relaxed);
                    continue;
                }
                Outcome::TooLarge(reason) => reason,
                Outcome::Malformed(answer) => match self.config.on_400 {
                    OnMalformed::Bisect => answer.sentence(),
                    OnMalformed::Stop => return Err(answer.refused(
                        "see what the service says about the request; to have the records it refuses found and kept \
                         as dead letters, set `on_400 = \"bisect\"`",
                    )),
                },
            };
            match items.as_slice() {
                [item] => rejected.push(Rejected { at: item.at, reason }),
                items => {
                    let (first, second) = items.split_at(items.len() / 2);
                    left.push_front(second.to_vec());
                    left.push_front(first.to_vec());
                }
            }
        }
        Ok(rejected)
    }

    /// Where a service has refused everything since we started, that is no reason to give up the records. `sent` is how
    /// many of a batch it was shown.
    pub(super) fn doubt(&self, sent: usize, refused: &[Rejected]) -> Result<(), DeliveryError> {
        let Some(last) = refused.last() else { return Ok(()) };
        if refused.len() < sent || sent < MANY || self.has_taken.load(Ordering::Relaxed) {
            return Ok(());
        }
        Err(DeliveryError::Refused {
            message: format!("not one of {sent} records is taken: {}", last.reason),
            hint:
                "check `format`, `wrap`, `record` and the limits; dead letters are made of single records only after \
                   the service has taken some"
                    .to_owned(),
            source: None,
        })
    }

    async fn request(&self, batch: &Batch, url: &Url, items: &[Item]) -> Result<Outcome, DeliveryError> {
        let body = self.config.compression.pack(self.shape.body(items)).await?;
        if let Some(most) = self.config.max_compressed_bytes
            && body.len() as u64 > most.0
        {
            let size = body.len();
            return Ok(Outcome::TooLarge(format!("{size} bytes are more than the {most} of `max_compressed_bytes`")));
        }
        let mut is_renewed = false;
        loop {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.config.format.content_type()));
            self.headers.add(&mut headers, batch)?;
            if let Some(encoding) = self.config.compression.content_encoding() {
                headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
            }
            let id = format!("{}-{}-{}", batch.key(), items[0].at, items.len());
            if let Some(name) = &self.config.idempotency_header {
                let value = HeaderValue::from_str(&id).map_err(|error| {
                    let hint = "name the pipeline without control characters";
                    DeliveryError::refused(format!("the header `{name}` cannot hold its text"), hint, error)
                })?;
                headers.insert(name.0.clone(), value);
            }
            if let Some(sign) = &self.config.sign {
                sign.add(&mut headers, &id, &body, Utc::now().timestamp());
            }
            let used = self.authenticator.add(&mut headers).await?;
            let request = self.client.request(self.config.method.into(), url.clone())?;
            let mut answer = self.client.send(request.headers(headers).body(body.clone())).await?;
            answer.keep_secret(used.token());
            if answer.status.as_u16() == 401 && !is_renewed && self.authenticator.renew(&used).await {
                is_renewed = true;
                continue;
            }
            return match self.config.answers.judge(&answer, &HINTS) {
                Verdict::Taken => Ok(Outcome::Taken),
                Verdict::TooLarge => Ok(Outcome::TooLarge(answer.sentence())),
                Verdict::Malformed => Ok(Outcome::Malformed(answer)),
                Verdict::Failed(error) => Err(error),
            };
        }
    }
}
