//! Ashby: `POST /auditLog.list` with a JSON body, newest first, cursors that other dates empty without a word.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::Response;
use axum::routing::post;
use bytes::Bytes;
use chrono::Months;
use serde::Deserialize;
use serde_json::json;

use super::content::ashby::{self, VOCABULARY};
use super::http::{self, Answer, Cursor, Refusal, Verdict, fingerprint, refuse, settle, write_all};
use super::timeline::{Micros, Order, SECOND, date};
use super::{Shared, Vendor, credentials};

const DAY: Micros = 24 * 3600 * SECOND;

pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new().route("/auditLog.list", post(list)).fallback(not_found)
}

/// The vendor's failure envelope.
pub(crate) fn failure(status: u16, code: &str, message: &str) -> Response {
    let info = json!({ "code": code, "message": message, "requestId": "01SIMULATEDREQUEST" });
    http::json(status, json!({ "success": false, "errors": [code], "errorInfo": info }).to_string())
}

/// Most request errors come under HTTP 200.
fn invalid(message: &str) -> Refusal {
    refuse(Verdict::Invalid, failure(200, "invalid_input", message))
}

/// Errors of vocabulary and list length come under HTTP 400, and here with an object and without `errorInfo`.
fn invalid_list(parameter: &str, message: &str) -> Refusal {
    let error = json!({ "code": "invalid_input", "message": message, "parameter": parameter });
    refuse(
        Verdict::Invalid,
        http::json(400, json!({ "success": false, "errors": [error], "errorInfo": null }).to_string()),
    )
}

async fn not_found() -> Response {
    refuse(Verdict::Invalid, failure(404, "not_found", "There is no such endpoint.")).into_response()
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Body {
    cursor: Option<String>,
    limit: Option<u64>,
    start_date: Option<String>,
    end_date: Option<String>,
    actor_ids: Vec<String>,
    target_ids: Vec<String>,
    target_types: Vec<String>,
    categories: Vec<String>,
}

async fn list(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    settle(authorize(&headers).and_then(|()| answer(&shared, &headers, &body)))
}

fn authorize(headers: &HeaderMap) -> Result<(), Refusal> {
    let Some((key, password)) = http::basic(headers).filter(|(key, _)| !key.is_empty()) else {
        return Err(refuse(Verdict::Refused, failure(401, "unauthorized", "No API key was sent.")));
    };
    let refused = |code, message| Err(refuse(Verdict::Refused, failure(403, code, message)));
    match (key.as_str(), password.as_str()) {
        (credentials::ASHBY_API_KEY, "") => Ok(()),
        (credentials::ASHBY_API_KEY_WITHOUT_PERMISSION, "") => {
            refused("missing_endpoint_permission", "The API key lacks the auditLogsRead permission.")
        }
        _ => refused("forbidden", "The API key is wrong or deactivated."),
    }
}

impl Body {
    fn parse(headers: &HeaderMap, bytes: &[u8]) -> Result<Self, Refusal> {
        let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if !kind.starts_with("application/json") {
            return Err(refuse(
                Verdict::Invalid,
                failure(400, "invalid_input", "Content-Type must be application/json."),
            ));
        }
        let body: Body = serde_json::from_slice(bytes).map_err(|error| invalid(&error.to_string()))?;
        for (name, list) in [
            ("actorIds", &body.actor_ids),
            ("targetIds", &body.target_ids),
            ("targetTypes", &body.target_types),
            ("categories", &body.categories),
        ] {
            if list.len() > 100 {
                return Err(invalid_list(name, "at most 100 values are allowed"));
            }
        }
        let unknown_type = |name: &&String| !VOCABULARY.iter().any(|(_, kind)| kind == name);
        if let Some(name) = body.target_types.iter().find(unknown_type) {
            return Err(invalid_list("targetTypes", &format!("unknown target type {name}")));
        }
        let unknown_category = |name: &&String| !VOCABULARY.iter().any(|(category, _)| category == name);
        if let Some(name) = body.categories.iter().find(unknown_category) {
            return Err(invalid_list("categories", &format!("unknown category {name}")));
        }
        Ok(body)
    }

    /// The window, with the vendor's defaults for a date that is missing.
    fn window(&self, now: Micros) -> Result<(Micros, Micros), Refusal> {
        let time = |name, text: &Option<String>| match text.as_deref().map(http::rfc3339) {
            Some(None) => Err(invalid(&format!("{name} is not an ISO 8601 date in UTC"))),
            Some(time) => Ok(time),
            None => Ok(None),
        };
        let (start, end) = match (time("startDate", &self.start_date)?, time("endDate", &self.end_date)?) {
            (None, None) => (now - DAY, now),
            (None, Some(end)) => (end - DAY, end),
            (Some(start), None) => (start, start + DAY),
            (Some(start), Some(end)) => (start, end),
        };
        if end < start {
            return Err(invalid("endDate is before startDate"));
        }
        if date(start).checked_add_months(Months::new(18)).is_some_and(|limit| limit < date(end)) {
            return Err(invalid("the dates are more than 18 months apart"));
        }
        Ok((start, end))
    }

    fn fingerprint(&self, (start, end): (Micros, Micros)) -> u64 {
        let lists = [&self.actor_ids, &self.target_ids, &self.target_types, &self.categories];
        fingerprint(0, &format!("{start} {end} {lists:?}"))
    }

    fn has_filters(&self) -> bool {
        ![&self.actor_ids, &self.target_ids, &self.target_types, &self.categories].iter().all(|list| list.is_empty())
    }

    /// Actors AND targets AND (types OR categories).
    fn accepts(&self, facts: &ashby::Facts) -> bool {
        let has = |list: &[String], value: &str| list.iter().any(|item| item == value);
        let actor = facts.actor_id.as_deref().unwrap_or_default();
        let kinds_open = self.target_types.is_empty() && self.categories.is_empty();
        (self.actor_ids.is_empty() || has(&self.actor_ids, actor))
            && (self.target_ids.is_empty() || has(&self.target_ids, &facts.target_id))
            && (kinds_open || has(&self.target_types, facts.target_type) || has(&self.categories, facts.category))
    }
}

fn answer(shared: &Shared, headers: &HeaderMap, bytes: &[u8]) -> Answer {
    let body = Body::parse(headers, bytes)?;
    let limit = match body.limit.unwrap_or(100) {
        limit @ 1..=100 => limit as usize,
        _ => return Err(invalid("limit must be from 1 to 100")),
    };
    let now = shared.now();
    let dates = body.window(now)?;
    let bound_to = body.fingerprint(dates);
    let state = shared.of(Vendor::Ashby);
    let line = &state.line;
    let (range, number) = match &body.cursor {
        None => (line.window(Some(dates.0), Some(dates.1), now), 0),
        Some(token) => {
            let cursor = Cursor::decode(token).filter(|cursor| !shared.expired(cursor.issued, now));
            let cursor = cursor.ok_or_else(|| {
                refuse(Verdict::Invalid, failure(200, "cursor_invalid", "The cursor is invalid or has expired."))
            })?;
            match cursor.numbers.as_slice() {
                &[low, high, number] if cursor.bound_to == bound_to => (low..high, number),
                // Other dates or filters: nothing is found, and nothing is said.
                _ => (0..0, 1),
            }
        }
    };
    let accepts = |index| body.accepts(&ashby::facts(state.salt, index));
    let filter: Option<&dyn Fn(u64) -> bool> = if body.has_filters() { Some(&accepts) } else { None };
    let is_gap = shared.world.ashby.empty_pages && number % 5 == 3 && !range.is_empty();
    let picked = line.pick(range, Order::Descending, (0, if is_gap { 0 } else { limit }), filter, now);
    let more = !line.pick(picked.rest.clone(), Order::Descending, (0, 1), filter, now).indexes.is_empty();

    let mut out = String::with_capacity(700 * picked.indexes.len() + 200);
    out.push_str(r#"{"success":true,"results":["#);
    write_all(&picked, line, &mut out, |index, time, out| ashby::facts(state.salt, index).write(time, now, out));
    out.push_str(if more { r#"],"moreDataAvailable":true,"nextCursor":""# } else { r#"],"moreDataAvailable":false}"# });
    if more {
        let numbers = vec![picked.rest.start, picked.rest.end, number + 1];
        out.push_str(&Cursor { bound_to, issued: now, numbers }.encode());
        out.push_str("\"}");
    }
    Ok(http::page(out, picked.indexes.len()))
}
