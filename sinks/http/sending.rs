//! One request, and what became of its records.

use chrono::Utc;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};
use url::Url;

use super::pieces::Item;
use super::{Http, OnMalformed};
use crate::http_client::{Hints, Verdict};
use crate::{Batch, DeliveryError};

pub(super) const HINTS: Hints = Hints {
    credentials: "check `auth` and `secret_headers`, and that these credentials may write there",
    target: "check `url` and `method`",
};

/// What a request came to.
pub(super) enum Outcome {
    Taken,
    /// It is too large, or something in it is wrong, in these words.
    Refused(String),
}

impl Http {
    /// Sends these records.
    pub(super) async fn request(&self, batch: &Batch, url: &Url, items: &[Item]) -> Result<Outcome, DeliveryError> {
        let body = self.config.compression.pack(self.shape.body(items)).await?;
        if let Some(most) = self.config.max_compressed_bytes
            && body.len() as u64 > most.0
        {
            let size = body.len();
            return Ok(Outcome::Refused(format!("{size} bytes are more than the {most} of `max_compressed_bytes`")));
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
                Verdict::TooLarge => Ok(Outcome::Refused(answer.sentence())),
                Verdict::Malformed => match self.config.on_400 {
                    OnMalformed::Bisect => Ok(Outcome::Refused(answer.sentence())),
                    OnMalformed::Stop => Err(answer.refused(OnMalformed::HINT)),
                },
                Verdict::Failed(error) => Err(error),
            };
        }
    }
}
