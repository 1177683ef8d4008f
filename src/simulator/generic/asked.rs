//! Which of a connector's requests one is, and what it asks for.

use std::collections::BTreeMap;

use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use serde_json::Value as Json;
use url::Url;

use super::pattern::{Pattern, Variables, marked, take_json};
use super::{NotCovered, Terms};
use crate::connector::model::{Job, Method, Read, Request};
use crate::connector::{Connector, Template};
use crate::document::Spanned;
use crate::event::time;

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A page of the log.
    Page,
    /// A job is ordered.
    Order,
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
}

/// The span that is asked for, as far as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub from: Option<DateTime<Utc>>,
    pub until: Option<DateTime<Utc>>,
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

    /// The window that is asked for, as far as it is.
    ///
    /// # Errors
    /// When a bound is not of the connector's `time_format`.
    pub fn window(&self, format: &str) -> Result<Window, String> {
        let bound = |name: &str| match self.variables.get(name) {
            Some(text) => {
                let fail = || format!("`{{{name}}}` is `{text}`, which is no instant as `{format}`");
                instant(text, format).map(Some).ok_or_else(fail)
            }
            None => Ok(None),
        };
        Ok(Window { from: bound("from")?, until: bound("until")? })
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
    method: String,
    path: Vec<String>,
    query: Vec<(String, String)>,
    form: Vec<(String, String)>,
    json: Option<Json>,
    headers: HeaderMap,
    key: String,
}

impl Incoming {
    pub fn new(head: &Parts, body: &[u8]) -> Self {
        let pairs = |encoded: &[u8]| url::form_urlencoded::parse(encoded).into_owned().collect();
        let kind = head.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let is_form = kind.starts_with("application/x-www-form-urlencoded");
        Self {
            method: head.method.to_string(),
            path: head.uri.path().split('/').map(decoded).collect(),
            query: pairs(head.uri.query().unwrap_or_default().as_bytes()),
            form: if is_form { pairs(body) } else { Vec::new() },
            json: if kind.starts_with("application/json") { serde_json::from_slice(body).ok() } else { None },
            headers: head.headers.clone(),
            key: format!("{} {} {}", head.method, head.uri, String::from_utf8_lossy(body)),
        }
    }

    /// The same for requests that ask for the same.
    pub fn key(&self) -> String {
        self.key.clone()
    }

    fn line(&self) -> String {
        format!("{} {}", self.method, self.path.join("/"))
    }
}

/// A segment of a path without its percent signs.
fn decoded(segment: &str) -> String {
    let encoded = format!("x={}", segment.replace('+', "%2B").replace('&', "%26"));
    let mut pairs = url::form_urlencoded::parse(encoded.as_bytes());
    pairs.next().map(|(_, value)| value.into_owned()).unwrap_or_default()
}

/// What one of the connector's requests looks like.
#[derive(Clone, Debug)]
pub struct Recognized {
    what: What,
    method: &'static str,
    path: Vec<Pattern>,
    query: BTreeMap<String, Pattern>,
    form: BTreeMap<String, Pattern>,
    json: Option<Json>,
    headers: BTreeMap<String, Pattern>,
}

/// The path of the connector's base URL, without a slash at its end.
pub fn base_path(connector: &Connector) -> String {
    let url = Url::parse(&connector.definition.connector.base_url).expect("checked when the connector was read");
    url.path().trim_end_matches('/').to_owned()
}

/// Every request of the way to read.
///
/// # Errors
/// When the way to read has something that is not covered yet. Whoever adds a key to `[read.NAME]` is led here by the
/// compiler: what this vendor cannot answer is named, and not passed over in silence.
pub fn recognized(terms: &Terms) -> Result<Vec<Recognized>, NotCovered> {
    let Read { request, job, order: _, page_sizes: _, paginate: _, beyond: _ } = terms.way_to_read();
    let Some(job) = job else { return Ok(vec![Recognized::of(terms, request, What::Page)]) };
    let Job { poll, download, id: _, ready: _, every: _, give_up: _ } = job;
    Ok(vec![
        Recognized::of(terms, request, What::Order),
        Recognized::of(terms, poll, What::Poll),
        Recognized::of(terms, download, What::Download),
    ])
}

/// Which request that is.
///
/// # Errors
/// When it is none of them; says why it is not the one that it is nearest to.
pub fn recognize(known: &[Recognized], incoming: &Incoming) -> Result<Asked, String> {
    let mut nearest = format!("`{}` is none of the connector's requests", incoming.line());
    for request in known {
        match request.take(incoming) {
            Ok(Some(variables)) => return Ok(Asked { what: request.what, variables }),
            Ok(None) => {}
            Err(reason) => nearest = format!("`{}`: {reason}", incoming.line()),
        }
    }
    Err(nearest)
}

impl Recognized {
    fn of(terms: &Terms, request: &Request, what: What) -> Self {
        let Request { method, path, headers, query, form, json } = request;
        let parameter = |name: &str| terms.parameter(name);
        let marks = marked(&parameter);
        let pattern = |template: &Template| Pattern::of(&template.fill_text(&marks).unwrap_or_default());
        let patterns = |templates: &BTreeMap<String, Spanned<Template>>| {
            templates.iter().map(|(name, template)| (name.clone(), pattern(template))).collect()
        };
        let path = format!("{}{}", base_path(&terms.connector), path.fill_text(&marks).unwrap_or_default());
        let members = json.iter().filter_map(|(name, template)| Some((name.clone(), template.fill(&marks)?)));
        Self {
            what,
            method: match method {
                Method::Get => "GET",
                Method::Post => "POST",
            },
            path: path.split('/').map(Pattern::of).collect(),
            query: patterns(query),
            form: patterns(form),
            json: (!json.is_empty()).then(|| Json::Object(members.collect())),
            headers: patterns(headers),
        }
    }

    /// What its variables stand for in `incoming`; `None` when that is for something else altogether.
    ///
    /// # Errors
    /// When it is at the same path, and yet not this request.
    fn take(&self, incoming: &Incoming) -> Result<Option<Variables>, String> {
        let mut variables = Variables::new();
        let is_here = self.method == incoming.method
            && self.path.len() == incoming.path.len()
            && self.path.iter().zip(&incoming.path).all(|(pattern, segment)| pattern.take(segment, &mut variables));
        if !is_here {
            return Ok(None);
        }
        take_pairs("query", &self.query, &incoming.query, &mut variables)?;
        take_pairs("form", &self.form, &incoming.form, &mut variables)?;
        match (&self.json, &incoming.json) {
            (None, None) => {}
            (Some(pattern), Some(json)) if take_json(pattern, json, &mut variables) => {}
            (_, Some(json)) => return Err(format!("its body is not as the connector says: {json}")),
            (Some(_), None) => return Err("it has no JSON body".to_owned()),
        }
        for (name, pattern) in &self.headers {
            let value = incoming.headers.get(name).and_then(|value| value.to_str().ok());
            match value {
                Some(value) if pattern.take(value, &mut variables) => {}
                None if pattern.may_be_left_out() => {}
                _ => return Err(format!("its header `{name}` is not as the connector says")),
            }
        }
        Ok(Some(variables))
    }
}

fn take_pairs(
    place: &str,
    patterns: &BTreeMap<String, Pattern>,
    pairs: &[(String, String)],
    variables: &mut Variables,
) -> Result<(), String> {
    for (name, value) in pairs {
        let pattern = patterns.get(name).ok_or_else(|| format!("`{name}` is not in the connector's {place}"))?;
        if !pattern.take(value, variables) {
            return Err(format!("`{name}` of its {place} is `{value}`, which is not as the connector says"));
        }
    }
    let is_there = |name: &String| pairs.iter().any(|(known, _)| known == name);
    match patterns.iter().find(|(name, pattern)| !pattern.may_be_left_out() && !is_there(name)) {
        Some((name, _)) => Err(format!("`{name}` is missing in its {place}")),
        None => Ok(()),
    }
}
