//! Cloudflare: `GET /accounts/{id}/logs/audit`, both bounds on every call, cursors, repeatable filters.

use std::fmt::Write;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, Uri, header};
use axum::response::Response;
use axum::routing::get;
use serde_json::{Value, json};

use super::content::{cloudflare, put};
use super::http::{self, Answer, Cursor, Params, Refusal, Verdict, refuse, settle, write_all};
use super::timeline::{Order, Timeline};
use super::{Shared, Vendor, credentials};

const FILTERS: [&str; 22] = [
    "id",
    "audit_log_id",
    "account_name",
    "action_result",
    "action_type",
    "actor_context",
    "actor_email",
    "actor_id",
    "actor_ip_address",
    "actor_token_id",
    "actor_token_name",
    "actor_type",
    "raw_cf_ray_id",
    "raw_method",
    "raw_status_code",
    "raw_uri",
    "resource_id",
    "resource_product",
    "resource_type",
    "resource_scope",
    "zone_id",
    "zone_name",
];

pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/accounts/{account}/logs/audit", get(list))
        .route("/accounts/{account}/logs/audit/product_categories", get(product_categories))
        .fallback(not_found)
}

/// The vendor's error form. The reference sample has an error without a code, so parameter faults come without.
pub(crate) fn error(status: u16, code: Option<u32>, message: &str) -> Response {
    let mut error = json!({ "message": message });
    if let Some(code) = code {
        error["code"] = json!(code);
    }
    errors(status, vec![error])
}

fn errors(status: u16, errors: Vec<Value>) -> Response {
    http::json(status, json!({ "success": false, "errors": errors, "messages": [], "result": null }).to_string())
}

fn invalid(message: &str) -> Refusal {
    refuse(Verdict::Invalid, error(400, None, message))
}

async fn not_found(uri: Uri) -> Response {
    no_route(&format!("/client/v4{}", uri.path())).into_response()
}

fn no_route(path: &str) -> Refusal {
    let message = format!("Could not route to {path}, perhaps your object identifier is invalid?");
    let both =
        vec![json!({ "code": 7003, "message": message }), json!({ "code": 7000, "message": "No route for that URI" })];
    refuse(Verdict::Invalid, errors(404, both))
}

async fn list(
    State(shared): State<Arc<Shared>>,
    Path(account): Path<String>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let params = Params::parse(query.unwrap_or_default().as_bytes());
    settle(authorize(&account, &headers).and_then(|()| answer(&shared, &params)))
}

async fn product_categories(Path(account): Path<String>, headers: HeaderMap) -> Response {
    settle(authorize(&account, &headers).map(|()| {
        let item = |name: &str| json!({ "value": name, "label": name });
        let result: Vec<_> = cloudflare::CATEGORIES
            .iter()
            .map(|(name, products)| {
                let products: Vec<_> = products.iter().map(|product| item(product)).collect();
                json!({ "value": name, "label": name, "products": products })
            })
            .collect();
        http::json(200, json!({ "success": true, "errors": [], "messages": [], "result": result }).to_string())
    }))
}

fn authorize(account: &str, headers: &HeaderMap) -> Result<(), Refusal> {
    let refused = |status, code, message: &str| refuse(Verdict::Refused, error(status, Some(code), message));
    let malformed = |code: u32, message: &str| {
        let chain = json!([{ "code": code, "message": message }]);
        let error = json!({ "code": 6003, "message": "Invalid request headers", "error_chain": chain });
        refuse(Verdict::Refused, errors(400, vec![error]))
    };
    if account.len() != 32 || !account.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(no_route(&format!("/client/v4/accounts/{account}/logs/audit")));
    }
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if headers.contains_key(header::AUTHORIZATION) {
        let token = http::bearer(headers).filter(|token| !token.is_empty() && !token.contains(' '));
        let token = token.ok_or_else(|| malformed(6111, "Invalid format for Authorization header"))?;
        if token != credentials::CLOUDFLARE_API_TOKEN {
            return Err(refused(401, 10_000, "Authentication error"));
        }
    } else {
        let (Some(email), Some(key)) = (text("x-auth-email"), text("x-auth-key")) else {
            return Err(refused(401, 9106, "Missing X-Auth-Key, X-Auth-Email or Authorization headers"));
        };
        if key.len() != 37 || !key.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(malformed(6103, "Invalid format for X-Auth-Key header"));
        }
        if (email, key) != (credentials::CLOUDFLARE_EMAIL, credentials::CLOUDFLARE_API_KEY) {
            return Err(refused(401, 10_000, "Authentication error"));
        }
    }
    if account != credentials::CLOUDFLARE_ACCOUNT_ID {
        return Err(refused(403, 9109, "Unauthorized to access requested resource"));
    }
    Ok(())
}

/// The filters of one request: names with the values to include and to exclude.
struct Filters<'a>(Vec<(&'static str, Vec<&'a str>, Vec<String>)>);

impl<'a> Filters<'a> {
    fn parse(params: &'a Params) -> Result<Self, Refusal> {
        let mut products = Vec::new();
        for category in params.all("product_category") {
            let known = cloudflare::CATEGORIES.iter().find(|(name, _)| name.eq_ignore_ascii_case(category));
            let (_, members) = known.ok_or_else(|| invalid(&format!("unknown product_category: {category}")))?;
            products.extend_from_slice(members);
        }
        let mut filters = Vec::new();
        for name in FILTERS {
            let mut include: Vec<_> = params.all(name).collect();
            if name == "resource_product" {
                include.append(&mut products);
            }
            let exclude: Vec<_> = params.all(&format!("{name}.not")).map(str::to_string).collect();
            if !include.is_empty() || !exclude.is_empty() {
                filters.push((name, include, exclude));
            }
        }
        Ok(Self(filters))
    }

    fn accept(&self, facts: &cloudflare::Facts) -> bool {
        self.0.iter().all(|(name, include, exclude)| {
            let value = facts.field(name);
            let is = |wanted: &str| value.as_deref() == Some(wanted);
            (include.is_empty() || include.iter().any(|wanted| is(wanted))) && !exclude.iter().any(|wanted| is(wanted))
        })
    }
}

fn answer(shared: &Shared, params: &Params) -> Answer {
    let bound = |name| {
        let text = params.get(name).ok_or_else(|| invalid(&format!("{name} is required")))?;
        http::date_or_instant(text).ok_or_else(|| invalid(&format!("{name} is not a date or an RFC 3339 time")))
    };
    let (since, before) = (bound("since")?, bound("before")?);
    if before <= since {
        return Err(invalid("before must be later than since"));
    }
    let limit = match params.get("limit").map(str::parse) {
        None => 100,
        Some(Ok(limit)) if (1..=1000).contains(&limit) => limit,
        Some(_) => return Err(invalid("limit must be between 1 and 1000")),
    };
    let order = match params.get("direction") {
        None | Some("desc") => Order::Descending,
        Some("asc") => Order::Ascending,
        Some(_) => return Err(invalid("direction must be asc or desc")),
    };
    let filters = Filters::parse(params)?;

    let state = shared.of(Vendor::Cloudflare);
    let (line, now): (&Timeline, _) = (&state.line, shared.now());
    let bound_to = params.fingerprint(&["cursor", "limit"]);
    let range = match params.get("cursor").filter(|token| !token.is_empty()) {
        None => line.window(Some(since), Some(before), now),
        Some(token) => {
            let cursor = Cursor::decode(token).filter(|cursor| cursor.bound_to == bound_to);
            let cursor = cursor.filter(|cursor| !shared.expired(cursor.issued, now));
            match cursor.as_ref().map(|cursor| cursor.numbers.as_slice()) {
                Some(&[low, high]) => low..high,
                _ => return Err(invalid("invalid cursor")),
            }
        }
    };
    let accept = |index| filters.accept(&cloudflare::facts(state.salt, index));
    let filter: Option<&dyn Fn(u64) -> bool> = if filters.0.is_empty() { None } else { Some(&accept) };
    let picked = line.pick(range, order, (0, limit), filter, now);
    let count = picked.indexes.len();

    let mut body = String::with_capacity(1_400 * count + 300);
    body.push_str(r#"{"success":true,"errors":["#);
    if shared.world.cloudflare.placeholder_error {
        body.push_str(r#"{"message":"message"}"#);
    }
    body.push_str(r#"],"messages":[],"result":["#);
    write_all(&picked, line, &mut body, |index, time, out| cloudflare::facts(state.salt, index).write(time, out));
    put!(body, r#"],"result_info":{{"count":"{count}""#);
    let has_more = || !line.pick(picked.rest.clone(), order, (0, 1), filter, now).indexes.is_empty();
    if count > 0 && (shared.world.cloudflare.cursor_on_last_page || has_more()) {
        let numbers = vec![picked.rest.start, picked.rest.end];
        let token = Cursor { bound_to, issued: now, numbers }.encode();
        match shared.world.cloudflare.cursor_under_cursors {
            false => put!(body, r#","cursor":"{token}""#),
            true => put!(body, r#","cursors":{{"after":"{token}"}}"#),
        }
    }
    body.push_str("}}");
    Ok(http::page(body, count))
}
