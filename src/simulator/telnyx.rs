//! Telnyx: `GET /audit_events`, pages by number, deep-object parameter names.

use std::fmt::Write;
use std::sync::Arc;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use axum::routing::get;
use serde_json::json;

use super::content::{put, telnyx};
use super::http::{self, Answer, Params, Refusal, Verdict, refuse, settle, write_all};
use super::timeline::{Micros, Order};
use super::{Shared, Vendor, credentials};

pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new().route("/audit_events", get(list)).fallback(not_found)
}

/// The vendor's error form; `parameter` is the one at fault.
pub(crate) fn error(status: u16, code: &str, title: &str, detail: &str, parameter: Option<&str>) -> Response {
    let mut error = json!({
        "code": code,
        "title": title,
        "detail": detail,
        "meta": { "url": format!("https://developers.telnyx.com/docs/overview/errors/{code}") },
    });
    if let Some(parameter) = parameter {
        error["source"] = json!({ "parameter": parameter });
    }
    http::json(status, json!({ "errors": [error] }).to_string())
}

fn invalid(parameter: &str, detail: &str) -> Refusal {
    refuse(Verdict::Invalid, error(400, "10015", "Bad Request", detail, Some(parameter)))
}

async fn not_found(uri: Uri) -> Response {
    let detail = format!("No resource is found at /v2{}.", uri.path());
    refuse(Verdict::Invalid, error(404, "10005", "Resource not found", &detail, None)).into_response()
}

async fn list(State(shared): State<Arc<Shared>>, headers: HeaderMap, RawQuery(query): RawQuery) -> Response {
    let params = Params::parse(query.unwrap_or_default().as_bytes());
    settle(answer(&shared, &headers, &params))
}

fn number(params: &Params, name: &str, default: u64, most: u64) -> Result<u64, Refusal> {
    match params.get(name).map(str::parse) {
        None => Ok(default),
        Some(Ok(number)) if (1..=most).contains(&number) => Ok(number),
        Some(_) => Err(invalid(name, &format!("{name} must be an integer from 1 to {most}."))),
    }
}

fn time(params: &Params, name: &str) -> Result<Option<Micros>, Refusal> {
    let Some(text) = params.get(name) else { return Ok(None) };
    let time = http::rfc3339(text).ok_or_else(|| invalid(name, &format!("{name} must be an ISO 8601 date-time.")))?;
    Ok(Some(time))
}

fn answer(shared: &Shared, headers: &HeaderMap, params: &Params) -> Answer {
    if http::bearer(headers) != Some(credentials::TELNYX_API_KEY) {
        let detail = "The API key looks malformed, is revoked, or does not exist.";
        return Err(refuse(Verdict::Refused, error(401, "10009", "Authentication failed", detail, None)));
    }
    let size = number(params, "page[size]", 20, 250)?;
    let page = number(params, "page[number]", 1, u64::MAX)?;
    let after = time(params, "filter[created_after]")?;
    let before = time(params, "filter[created_before]")?;
    let order = match params.get("sort") {
        Some("asc") => Order::Ascending,
        Some("desc") | None => Order::Descending,
        Some(_) => return Err(invalid("sort", "sort must be asc or desc.")),
    };

    let state = shared.of(Vendor::Telnyx);
    let (line, now) = (&state.line, shared.now());
    let window = line.window(after, before, now);
    let total = line.count_visible(window.clone(), now);
    let skip = (page - 1).saturating_mul(size);
    let picked = line.pick(window, order, (skip, size as usize), None, now);
    let mut body = String::with_capacity(600 * picked.indexes.len() + 100);
    body.push_str(r#"{"data":["#);
    write_all(&picked, line, &mut body, |index, time, out| telnyx::write(state.salt, index, time, out));
    put!(
        body,
        r#"],"meta":{{"page_number":{page},"page_size":{size},"total_pages":{},"total_results":{total}}}}}"#,
        total.div_ceil(size)
    );
    Ok(http::page(body, picked.indexes.len()))
}
