//! One request, and what the receiver says of it.

use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsPartialSuccess, ExportLogsServiceResponse};
use prost::Message;
use reqwest::Method;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};
use serde_json::Value;

use super::Otlp;
use crate::http_client::{Answer, Hints, Verdict};
use crate::{Batch, DeliveryError};

const HINTS: Hints = Hints {
    credentials: "check `auth` and `secret_headers`, and that these credentials may write logs",
    target: "check `endpoint` and `path`, and that the receiver takes logs: `/v1/logs` is where OTLP has them",
};

const NOT_OTLP: &str = "what answers there is no OTLP receiver: check `endpoint` and `path`";

const PROTOBUF: &str = "application/x-protobuf";

/// What a request came to.
pub(super) enum Outcome {
    /// So many were rejected, with these words.
    Taken(usize, String),
    TooLarge(String),
    Malformed(Answer),
}

/// `google.rpc.Status`, by which a receiver says why it takes nothing.
#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

impl Otlp {
    /// Sends no records at all, which every receiver takes from whoever may write there, but for those that say that
    /// records are missing.
    pub(super) async fn ask(&self) -> Result<(), DeliveryError> {
        match self.request(None, bytes::Bytes::new()).await? {
            Outcome::Taken(..) => Ok(()),
            Outcome::TooLarge(reason) => {
                Err(DeliveryError::Refused { message: reason, hint: NOT_OTLP.to_owned(), source: None })
            }
            Outcome::Malformed(answer) if misses_records(&answer) => {
                tracing::debug!(said = answer.excerpt(), "the receiver wants records, and so knows what they are");
                Ok(())
            }
            Outcome::Malformed(answer) => Err(answer.refused(NOT_OTLP)),
        }
    }

    pub(super) async fn request(&self, batch: Option<&Batch>, body: bytes::Bytes) -> Result<Outcome, DeliveryError> {
        let body = self.config.compression.pack(body).await?;
        let mut is_renewed = false;
        loop {
            let mut headers = HeaderMap::new();
            match batch {
                Some(batch) => self.headers.add(&mut headers, batch)?,
                None => self.headers.add_secrets(&mut headers),
            }
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROTOBUF));
            if let Some(encoding) = self.config.compression.content_encoding() {
                headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
            }
            let used = self.authenticator.add(&mut headers).await?;
            let request = self.client.request(Method::POST, self.url.clone())?;
            let mut answer = self.client.send(request.headers(headers).body(body.clone())).await?;
            answer.keep_secret(used.token());
            if answer.status.as_u16() == 401 && !is_renewed && self.authenticator.renew(&used).await {
                is_renewed = true;
                continue;
            }
            return judge(answer);
        }
    }
}

fn judge(mut answer: Answer) -> Result<Outcome, DeliveryError> {
    // Loki's endpoint has nothing to say, and says so.
    if answer.status == reqwest::StatusCode::NO_CONTENT {
        return Ok(Outcome::Taken(0, String::new()));
    }
    if answer.status == reqwest::StatusCode::OK {
        let told = partial(&answer).ok_or_else(|| answer.refused(NOT_OTLP))?;
        let count = usize::try_from(told.rejected_log_records).unwrap_or_default();
        if count == 0 && !told.error_message.is_empty() {
            tracing::warn!(said = answer.fit_to_print(&told.error_message), "the OTLP receiver took all, and warns");
        }
        let reason = format!("`{}` rejected the record: {}", answer.origin, answer.fit_to_print(&told.error_message));
        return Ok(Outcome::Taken(count, reason));
    }
    if is(&answer, PROTOBUF)
        && let Ok(status) = Status::decode(answer.body.clone())
    {
        answer.body = status.message.into();
    }
    match answer.judge(&HINTS) {
        Verdict::Taken => Err(answer.refused(NOT_OTLP)),
        Verdict::TooLarge => Ok(Outcome::TooLarge(answer.sentence())),
        // The Collector has no 413: Go's own words come with a 400.
        Verdict::Malformed if answer.excerpt().contains("request body too large") => {
            Ok(Outcome::TooLarge(answer.sentence()))
        }
        Verdict::Malformed => Ok(Outcome::Malformed(answer)),
        // By the protocol it will not pass by itself.
        Verdict::Failed(_) if answer.status.as_u16() == 500 => {
            Err(answer.refused("see the receiver's own log: by OTLP a 500 is no trouble that passes"))
        }
        Verdict::Failed(error) => Err(error),
    }
}

/// Whether a receiver has read a request without records, and is content with everything else: Grafana Loki's 422, and a
/// 400 in the protocol's own form. A plain 400 may be anybody's.
fn misses_records(answer: &Answer) -> bool {
    answer.status == reqwest::StatusCode::UNPROCESSABLE_ENTITY
        || is(answer, PROTOBUF)
        || answer.excerpt().contains("at least one valid stream is required")
}

/// What a 200 says of rejected records. `None` if it is not what a receiver says.
fn partial(answer: &Answer) -> Option<ExportLogsPartialSuccess> {
    if is(answer, "application/json") {
        return partial_json(&answer.json()?);
    }
    let is_ours = is(answer, PROTOBUF) || !answer.headers.contains_key(CONTENT_TYPE);
    match (is_ours && answer.is_whole, answer.body.is_empty()) {
        (false, _) => None,
        (true, true) => Some(ExportLogsPartialSuccess::default()),
        (true, false) => {
            let response = ExportLogsServiceResponse::decode(answer.body.clone()).ok()?;
            Some(response.partial_success.unwrap_or_default())
        }
    }
}

/// The same in JSON, whose readers take two spellings of each name. Anything else in it is another's answer.
fn partial_json(body: &Value) -> Option<ExportLogsPartialSuccess> {
    let mut members = body.as_object()?.iter();
    let told = match (members.next(), members.next()) {
        (None, _) => return Some(ExportLogsPartialSuccess::default()),
        (Some((name, told)), None) if matches!(name.as_str(), "partialSuccess" | "partial_success") => told,
        _ => return None,
    };
    let get = |names: [&str; 2]| names.iter().find_map(|name| told.get(name));
    // A 64-bit integer is a text in JSON; some write it as a number.
    let rejected_log_records = match get(["rejectedLogRecords", "rejected_log_records"]) {
        Some(count) => count.as_i64().or_else(|| count.as_str()?.parse().ok())?,
        None => 0,
    };
    let error_message = get(["errorMessage", "error_message"]).and_then(Value::as_str).unwrap_or_default().to_owned();
    Some(ExportLogsPartialSuccess { rejected_log_records, error_message })
}

fn is(answer: &Answer, media_type: &str) -> bool {
    let told = answer.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    told.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(media_type)
}
