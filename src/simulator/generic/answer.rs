//! Answers: pages, and errors that the connector's rules know.

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use serde_json::{Map, Value as Json};

use super::Terms;
use super::paging::Slice;
use super::records::{Entry, Shape, around, put};
use crate::connector::model::{ErrorRule, Errors, Format, Then};
use crate::event::Path;

/// A page of these entries: records where the connector looks for them, and what leads on.
pub fn page(terms: &Terms, shape: &Shape, entries: &[Entry], slice: &Slice) -> Response {
    let definition = &terms.connector.definition;
    let is_listed = terms.way_to_read().detail.is_some();
    let write = |entry: &Entry| if is_listed { shape.summary(entry) } else { shape.record(entry) };
    let mut response = match definition.decode.format {
        Format::Ndjson => respond(200, "application/x-ndjson", shape.lines(entries, write)),
        Format::Json => {
            let list = entries.iter().map(write).collect();
            let records = definition.decode.records.as_ref().map(|path| &path.value);
            sound(terms, around(records, list, &slice.beside))
        }
    };
    add_link(&mut response, slice);
    response
}

/// A page of the list of those whose logs there are.
pub fn parents(terms: &Terms, (records, id): (Option<&Path>, &Path), names: &[String], slice: &Slice) -> Response {
    let parent = |name: &String| {
        let mut parent = Json::Object(Map::new());
        put(&mut parent, id, name.as_str().into());
        parent
    };
    let mut response = sound(terms, around(records, names.iter().map(parent).collect(), &slice.beside));
    add_link(&mut response, slice);
    response
}

fn add_link(response: &mut Response, slice: &Slice) {
    if let Some(link) = slice.link.as_ref().and_then(|link| HeaderValue::from_str(link).ok()) {
        response
            .headers_mut()
            .append(header::LINK, HeaderValue::from_static("<https://api.example.com/>; rel=\"help\""));
        response.headers_mut().append(header::LINK, link);
    }
}

/// JSON with these members.
pub fn members(terms: &Terms, members: &[(&Path, Json)]) -> Response {
    let mut root = Json::Object(Map::new());
    for (path, value) in members {
        put(&mut root, path, value.clone());
    }
    sound(terms, root)
}

/// JSON that is no error.
pub fn sound(terms: &Terms, mut root: Json) -> Response {
    if let Some(failed) = &terms.connector.definition.errors.failed
        && failed.is == Some(Json::Bool(false))
        && root.is_object()
    {
        put(&mut root, &failed.path, true.into());
    }
    with_json(200, &root)
}

/// A file.
pub fn file(content: Vec<u8>) -> Response {
    respond(200, "application/octet-stream", content)
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

/// JSON as it is.
pub fn with_json(status: u16, body: &Json) -> Response {
    respond(status, "application/json", body.to_string())
}

fn respond(status: u16, kind: &'static str, body: impl Into<Body>) -> Response {
    let response = Response::builder().status(status).header(header::CONTENT_TYPE, kind).body(body.into());
    response.expect("status and header are sound")
}
