//! Answers: pages, and errors that the connector's rules know.

use axum::body::Body;
use axum::http::header;
use axum::response::Response;
use serde_json::{Map, Value as Json};

use super::records::{Entry, json, put};
use super::{Terms, records};
use crate::connector::model::{ErrorRule, Errors, Then};
use crate::event::Path;

/// A page: the records where the connector looks for them, and what leads on.
pub fn page(terms: &Terms, entries: &[Entry], extras: &[(Path, Json)]) -> Response {
    let definition = &terms.connector.definition;
    let decode = &definition.decode;
    let mut root = Json::Object(Map::new());
    put(&mut root, &decode.records, entries.iter().map(|entry| json(entry, decode)).collect());
    for (path, value) in extras {
        put(&mut root, path, value.clone());
    }
    if let Some(failed) = &definition.errors.failed
        && failed.is == Some(Json::Bool(false))
    {
        put(&mut root, &failed.path, true.into());
    }
    with_json(200, &root)
}

/// JSON without records.
pub fn members(members: &[(&Path, Json)]) -> Response {
    let mut root = Json::Object(Map::new());
    for (path, value) in members {
        put(&mut root, path, value.clone());
    }
    with_json(200, &root)
}

/// A file.
pub fn file(entries: &[Entry], terms: &Terms, pack: impl Fn(Vec<u8>) -> Vec<u8>) -> Response {
    let text = records::csv(entries, &terms.connector.definition.decode);
    respond(200, "application/octet-stream", pack(text))
}

/// An error of that status, in the form that the connector reads.
pub fn refused(terms: &Terms, status: u16, message: &str) -> Response {
    with_json(status, &error(&terms.connector.definition.errors, None, message))
}

/// What the vendor says of a cursor that it does not know any more: what the connector's own rule waits for.
pub fn expired(terms: &Terms) -> Response {
    let errors = &terms.connector.definition.errors;
    let rule = reset_rule(errors);
    let under_200 = errors.failed.is_some();
    let status = rule.and_then(|rule| rule.status.first().copied()).unwrap_or(if under_200 { 200 } else { 400 });
    with_json(status, &error(errors, rule, "the cursor has expired"))
}

/// The rule by which a source begins again when its cursor is refused.
pub fn reset_rule(errors: &Errors) -> Option<&ErrorRule> {
    errors.rule.iter().map(|rule| &rule.value).find(|rule| rule.then == Then::ResetCursor && rule.cursor != Some(false))
}

/// What a proxy before the vendor says, or a page that asks for a login.
pub fn web_page(status: u16) -> Response {
    respond(
        status,
        "text/html; charset=UTF-8",
        "<!DOCTYPE html><html><body><h1>not what you asked for</h1></body></html>\n",
    )
}

fn error(errors: &Errors, rule: Option<&ErrorRule>, message: &str) -> Json {
    let mut root = Json::Object(Map::new());
    if let (Some(path), Some(code)) = (errors.code.first(), rule.and_then(|rule| rule.code.first())) {
        put(&mut root, path, code.clone());
    }
    if let Some(path) = errors.message.first() {
        put(&mut root, path, message.into());
    }
    if let Some(failed) = &errors.failed {
        match &failed.is {
            Some(value) => put(&mut root, &failed.path, value.clone()),
            // Something stands there when code or message stand below it.
            None if errors.code.is_empty() && errors.message.is_empty() => put(&mut root, &failed.path, message.into()),
            None => {}
        }
    }
    root
}

fn with_json(status: u16, body: &Json) -> Response {
    respond(status, "application/json", body.to_string())
}

fn respond(status: u16, kind: &'static str, body: impl Into<Body>) -> Response {
    let response = Response::builder().status(status).header(header::CONTENT_TYPE, kind).body(body.into());
    response.expect("status and header are sound")
}
