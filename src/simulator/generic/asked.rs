//! Which of a connector's requests one is, and what it asks for.

use axum::http::HeaderMap;
use axum::http::header;
use axum::http::request::Parts;
use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use serde_json::Value as Json;

use super::pattern::Variables;
use crate::connector::model::Bounds;
use crate::event::time;

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A page of the log.
    Page,
    /// A page of the list of those whose logs there are.
    Parents,
    /// One record of those that were listed.
    Detail,
    /// A job is ordered.
    Order,
    /// Which jobs there are.
    Find,
    /// How the job is.
    Poll,
    /// Its result.
    Download,
}

/// A request of the connector's that was told from the others.
#[derive(Clone, Debug)]
pub struct Asked {
    /// What it is for.
    pub what: What,
    /// What its variables stand for.
    pub variables: Variables,
    /// Where it was sent to: scheme, host and path.
    pub address: String,
    /// The cursor that stands in its address, where the vendor made that.
    pub token: Option<String>,
}

impl Asked {
    /// A variable that is a number.
    ///
    /// # Errors
    /// When it is none.
    pub fn number(&self, name: &str) -> Result<Option<u64>, String> {
        let Some(text) = self.variables.get(name) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| format!("`{{{name}}}` is `{text}`, which is no number"))
    }

    /// The window that is asked for.
    ///
    /// # Errors
    /// When a bound is not of the connector's `time_format`.
    pub fn window(&self, format: &str, bounds: Bounds) -> Result<Window, String> {
        let bound = |name: &str| match self.variables.get(name) {
            Some(text) => {
                let fail = || format!("`{{{name}}}` is `{text}`, which is no instant as `{format}`");
                instant(text, format).map(Some).ok_or_else(fail)
            }
            None => Ok(None),
        };
        Ok(Window { from: bound("from")?, until: bound("until")?, bounds })
    }
}

/// The span that is asked for, as far as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    from: Option<DateTime<Utc>>,
    until: Option<DateTime<Utc>>,
    bounds: Bounds,
}

impl Window {
    /// Whether what happened then is handed out. Where nobody knows what of the bounds themselves, it is.
    pub fn holds(&self, time: DateTime<Utc>) -> bool {
        let behind = |from| from < time || (from == time && self.bounds != Bounds::Exclusive);
        let before =
            |until| time < until || (time == until && matches!(self.bounds, Bounds::Inclusive | Bounds::Unknown));
        self.from.is_none_or(behind) && self.until.is_none_or(before)
    }
}

/// Reads what was written in strftime's letters.
fn instant(text: &str, format: &str) -> Option<DateTime<Utc>> {
    let with_zone = || DateTime::parse_from_str(text, format).ok().map(|time| time.to_utc());
    let without = || NaiveDateTime::parse_from_str(text, format).ok().map(|time| time.and_utc());
    let day = || NaiveDate::parse_from_str(text, format).ok()?.and_hms_opt(0, 0, 0).map(|time| time.and_utc());
    with_zone().or_else(without).or_else(day).or_else(|| time::from_text(text))
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Incoming {
    /// The verb.
    pub method: String,
    /// The segments of its path.
    pub path: Vec<String>,
    /// Its query.
    pub query: Vec<(String, String)>,
    /// Its form.
    pub form: Vec<(String, String)>,
    /// Its JSON body.
    pub json: Option<Json>,
    /// Its headers.
    pub headers: HeaderMap,
    /// Path and query as they were sent.
    pub target: String,
    /// Scheme, host and path.
    pub address: String,
    /// The same for requests that ask for the same.
    pub key: String,
}

impl Incoming {
    pub fn new(head: &Parts, body: &[u8]) -> Self {
        let pairs = |encoded: &[u8]| url::form_urlencoded::parse(encoded).into_owned().collect();
        let text = |name| head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let kind = text(header::CONTENT_TYPE);
        let is_form = kind.starts_with("application/x-www-form-urlencoded");
        Self {
            method: head.method.to_string(),
            path: head.uri.path().split('/').map(decoded).collect(),
            query: pairs(head.uri.query().unwrap_or_default().as_bytes()),
            form: if is_form { pairs(body) } else { Vec::new() },
            json: if kind.starts_with("application/json") { serde_json::from_slice(body).ok() } else { None },
            headers: head.headers.clone(),
            target: head.uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
            address: format!("http://{}{}", text(header::HOST), head.uri.path()),
            key: format!("{} {} {}", head.method, head.uri, String::from_utf8_lossy(body)),
        }
    }

    /// The request for a person.
    pub fn line(&self) -> String {
        format!("{} {}", self.method, self.path.join("/"))
    }
}

/// A segment of a path without its percent signs.
fn decoded(segment: &str) -> String {
    let encoded = format!("x={}", segment.replace('+', "%2B").replace('&', "%26"));
    let mut pairs = url::form_urlencoded::parse(encoded.as_bytes());
    pairs.next().map(|(_, value)| value.into_owned()).unwrap_or_default()
}
