//! What the five handlers share: parameters, cursors, and answers that tell the gate what they were.

use std::fmt::Write;

use axum::body::Body;
use axum::http::{HeaderMap, header};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chrono::{DateTime, NaiveDate};

use super::content::mix;
use super::timeline::{Micros, Picked, Timeline};

/// How many records an answer holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Handed(pub u64);

/// Why an answer is an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The credential is missing, wrong, or not enough.
    Refused,
    /// The request breaks the vendor's rules.
    Invalid,
}

pub(crate) fn json(status: u16, body: String) -> Response {
    Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body))
        .expect("status and header are constants of ours")
}

pub(crate) fn page(body: String, records: usize) -> Response {
    let mut response = json(200, body);
    response.extensions_mut().insert(Handed(records as u64));
    response
}

/// An error answer, marked with what it is. Boxed, since most results hold none.
#[derive(Debug)]
pub(crate) struct Refusal(Box<Response>);

impl Refusal {
    pub fn into_response(self) -> Response {
        *self.0
    }
}

pub(crate) fn refuse(verdict: Verdict, mut response: Response) -> Refusal {
    response.extensions_mut().insert(verdict);
    Refusal(Box::new(response))
}

/// What a handler returns before the two arms are made one.
pub(crate) type Answer = Result<Response, Refusal>;

pub(crate) fn settle(answer: Answer) -> Response {
    answer.unwrap_or_else(Refusal::into_response)
}

/// Query or form parameters, decoded, in order.
#[derive(Debug, Default)]
pub(crate) struct Params(pub Vec<(String, String)>);

impl Params {
    pub fn parse(encoded: &[u8]) -> Self {
        Self(url::form_urlencoded::parse(encoded).into_owned().collect())
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A number that says the same for the same parameters, those in `except` left out.
    pub fn fingerprint(&self, except: &[&str]) -> u64 {
        let kept = self.0.iter().filter(|(key, _)| !except.contains(&key.as_str()));
        kept.fold(0, |hash, (key, value)| fingerprint(fingerprint(hash, key), value))
    }
}

pub(crate) fn fingerprint(seed: u64, text: &str) -> u64 {
    text.bytes().fold(mix(seed, text.len() as u64), |hash, byte| mix(hash, u64::from(byte)))
}

pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}

/// The user name and password of HTTP Basic.
pub(crate) fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let encoded = headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Basic ")?;
    let pair = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    pair.split_once(':').map(|(user, password)| (user.to_string(), password.to_string()))
}

pub(crate) fn rfc3339(text: &str) -> Option<Micros> {
    DateTime::parse_from_rfc3339(text).ok().map(|time| time.timestamp_micros())
}

/// `YYYY-MM-DD` as midnight UTC, or RFC 3339.
pub(crate) fn date_or_instant(text: &str) -> Option<Micros> {
    let midnight = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().and_then(|day| day.and_hms_opt(0, 0, 0));
    midnight.map(|time| time.and_utc().timestamp_micros()).or_else(|| rfc3339(text))
}

/// An opaque paging token: numbers, bound to a request's parameters and to the moment it was issued.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub bound_to: u64,
    pub issued: Micros,
    pub numbers: Vec<u64>,
}

impl Cursor {
    pub fn encode(&self) -> String {
        let mut text = format!("{:x}.{:x}", self.bound_to, self.issued);
        for number in &self.numbers {
            write!(text, ".{number:x}").expect("a String takes everything");
        }
        let seal = fingerprint(0, &text);
        write!(text, ".{seal:x}").expect("a String takes everything");
        URL_SAFE_NO_PAD.encode(text)
    }

    /// `None` for anything that [`encode`](Self::encode) did not make.
    pub fn decode(token: &str) -> Option<Self> {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
        let (body, seal) = text.rsplit_once('.')?;
        if u64::from_str_radix(seal, 16).ok()? != fingerprint(0, body) {
            return None;
        }
        let mut parts = body.split('.').map(|part| u64::from_str_radix(part, 16).ok());
        Some(Self {
            bound_to: parts.next()??,
            issued: parts.next()?? as Micros,
            numbers: parts.collect::<Option<_>>()?,
        })
    }
}

/// Appends the picked records, separated by commas.
pub(crate) fn write_all(
    picked: &Picked,
    line: &Timeline,
    out: &mut String,
    mut write: impl FnMut(u64, Micros, &mut String),
) {
    for (number, &index) in picked.indexes.iter().enumerate() {
        if number > 0 {
            out.push(',');
        }
        write(index, line.time(index), out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_come_back_whole_or_not_at_all() {
        let cursor = Cursor { bound_to: u64::MAX, issued: 1_790_000_000_000_000, numbers: vec![0, 17, u64::MAX] };
        let token = cursor.encode();
        assert_eq!(Cursor::decode(&token), Some(cursor));
        assert_eq!(Cursor::decode(&token[1..]), None);
        assert_eq!(Cursor::decode("made-up"), None);
    }

    #[test]
    fn fingerprints_leave_out_what_may_change() {
        let one = Params::parse(b"since=a&cursor=1");
        let two = Params::parse(b"cursor=2&since=a");
        assert_eq!(one.fingerprint(&["cursor"]), two.fingerprint(&["cursor"]));
        assert_ne!(one.fingerprint(&[]), two.fingerprint(&[]));
    }
}
