//! Voximplant: the management API's one endpoint, its signed tokens, and `GetAuditLog` by offset. Errors come under
//! HTTP 200.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::LazyLock;

use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::response::Response;
use axum::routing::any;
use bytes::Bytes;
use chrono::NaiveDateTime;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use serde_json::{Value, json};

use super::content::{put, voximplant};
use super::faults::http_date;
use super::http::{self, Answer, Params, Refusal, Verdict, settle, write_all};
use super::timeline::{Micros, Order, SECOND};
use super::{Shared, Vendor, credentials, voximplant_report};

pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new().route("/", any(by_field)).route("/{method}", any(by_path))
}

/// The vendor's error envelope, under HTTP 200.
pub(crate) fn error(code: u16, message: &str) -> Response {
    http::json(200, json!({ "error": { "code": code, "msg": message } }).to_string())
}

pub(crate) fn refuse(verdict: Verdict, code: u16, message: &str) -> Refusal {
    http::refuse(verdict, error(code, message))
}

fn invalid(parameter: &str) -> Refusal {
    refuse(Verdict::Invalid, 496, &format!("The '{parameter}' parameter is invalid."))
}

async fn by_path(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    verb: Method,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Response {
    let params = collect(query.as_deref(), &headers, &body);
    respond(&shared, &name, &verb, &headers, &params).await
}

/// Some SDKs post to the bare endpoint and name the method in `cmd`.
async fn by_field(
    State(shared): State<Arc<Shared>>,
    verb: Method,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Response {
    let params = collect(query.as_deref(), &headers, &body);
    let name = params.get("cmd").unwrap_or_default().to_string();
    respond(&shared, &name, &verb, &headers, &params).await
}

/// Parameters may stand in the query, in a form, or in both.
fn collect(query: Option<&str>, headers: &HeaderMap, body: &[u8]) -> Params {
    let mut params = Params::parse(query.unwrap_or_default().as_bytes());
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if kind.starts_with("application/x-www-form-urlencoded") {
        params.0.extend(Params::parse(body).0);
    }
    params
}

async fn respond(shared: &Arc<Shared>, name: &str, verb: &Method, headers: &HeaderMap, params: &Params) -> Response {
    let skew = shared.world.voximplant.clock_skew_secs;
    let answer = match authorize(headers, shared.now() / SECOND + skew) {
        Ok(()) => call(shared, name, verb, params).await,
        Err(refused) => Err(refused),
    };
    let mut response = settle(answer);
    if let (true, Ok(date)) = (skew != 0, HeaderValue::from_str(&http_date(shared.now(), skew))) {
        response.headers_mut().insert(header::DATE, date);
    }
    response
}

async fn call(shared: &Arc<Shared>, name: &str, verb: &Method, params: &Params) -> Answer {
    match (name, verb) {
        ("DownloadHistoryReport", &Method::GET | &Method::POST) => voximplant_report::download(shared, params),
        (_, verb) if verb != Method::POST => Err(refuse(Verdict::Invalid, 102, "The HTTP method is not allowed.")),
        ("GetAuditLog", _) => get_audit_log(shared, params),
        ("GetAuditLogAsync", _) => voximplant_report::order(shared, params).await,
        ("GetHistoryReports", _) => voximplant_report::list(shared, params),
        _ => Err(refuse(Verdict::Invalid, 102, "The method is unknown.")),
    }
}

#[derive(Debug, Deserialize)]
struct Claims {
    iss: Value,
    iat: i64,
    exp: i64,
}

static PUBLIC_KEY: LazyLock<DecodingKey> = LazyLock::new(|| {
    DecodingKey::from_rsa_pem(credentials::VOXIMPLANT_PUBLIC_KEY.as_bytes()).expect("the key is checked in")
});

/// Checks the token as of `clock`, in Unix seconds.
fn authorize(headers: &HeaderMap, clock: i64) -> Result<(), Refusal> {
    let refused = |code, message| Err(refuse(Verdict::Refused, code, message));
    let Some(token) = http::bearer(headers) else {
        return refused(100, "Authorization failed.");
    };
    let Ok(head) = jsonwebtoken::decode_header(token) else {
        return refused(447, "The token format is invalid.");
    };
    if head.alg != Algorithm::RS256 {
        return refused(447, "The token must be signed with RS256.");
    }
    if head.kid.as_deref() != Some(credentials::VOXIMPLANT_KEY_ID) {
        return refused(433, "The key id is invalid.");
    }
    let mut validation = Validation::new(Algorithm::RS256);
    // Times and issuer have error codes of their own, below.
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_aud = false;
    let claims = match jsonwebtoken::decode::<Claims>(token, &PUBLIC_KEY, &validation) {
        Ok(data) => data.claims,
        Err(error) if *error.kind() == jsonwebtoken::errors::ErrorKind::InvalidSignature => {
            return refused(100, "Authorization failed.");
        }
        Err(_) => return refused(447, "The token format is invalid."),
    };
    let account = credentials::VOXIMPLANT_ACCOUNT_ID;
    if claims.iss != json!(account) && claims.iss != json!(account.to_string()) {
        return refused(115, "The account id is invalid.");
    }
    match claims {
        Claims { iat, exp, .. } if exp > iat + 3600 => refused(454, "The token lifetime is too long."),
        Claims { iat, .. } if iat > clock => refused(455, "The token was issued in the future."),
        Claims { exp, .. } if exp <= clock => refused(456, "The token has expired."),
        _ => Ok(()),
    }
}

/// `YYYY-MM-DD HH:mm:ss`, UTC.
pub(crate) fn instant(params: &Params, name: &str) -> Result<Option<Micros>, Refusal> {
    let Some(text) = params.get(name) else { return Ok(None) };
    let time = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S").map_err(|_| invalid(name))?;
    Ok(Some(time.and_utc().timestamp_micros()))
}

pub(crate) fn flag(params: &Params, name: &str, default: bool) -> Result<bool, Refusal> {
    match params.get(name) {
        None => Ok(default),
        Some("true" | "True") => Ok(true),
        Some("false" | "False") => Ok(false),
        Some(_) => Err(invalid(name)),
    }
}

pub(crate) fn number(params: &Params, name: &str, default: u64, most: u64) -> Result<u64, Refusal> {
    match params.get(name).map(str::parse) {
        None => Ok(default),
        Some(Ok(number)) if number <= most => Ok(number),
        Some(_) => Err(invalid(name)),
    }
}

/// The items of a `;` list; nothing for a missing list and for the word that means all.
pub(crate) fn items<'a>(params: &'a Params, name: &str) -> Vec<&'a str> {
    match params.get(name) {
        None | Some("all" | "any" | "") => Vec::new(),
        Some(list) => list.split(';').collect(),
    }
}

/// Which rows are asked for, by page or by report.
#[derive(Debug, Clone)]
pub(crate) struct Selection {
    pub from: Micros,
    pub to: Micros,
    pub order: Order,
    ids: Vec<u64>,
    ips: Vec<String>,
    commands: Vec<String>,
    subuser: Option<String>,
    related: Option<String>,
}

impl Selection {
    pub fn parse(shared: &Shared, params: &Params) -> Result<Self, Refusal> {
        let required = |name| {
            instant(params, name)?
                .ok_or_else(|| refuse(Verdict::Invalid, 101, &format!("The '{name}' parameter is missing.")))
        };
        let (from, to) = (required("from_date")?, required("to_date")?);
        if to < from {
            return Err(refuse(Verdict::Invalid, 497, "The 'from_date', 'to_date' range is invalid."));
        }
        if let Some(longest) = shared.world.voximplant.max_range
            && (to - from) as u128 > longest.as_micros()
        {
            let days = longest.as_secs().div_ceil(24 * 3600);
            return Err(refuse(Verdict::Invalid, 569, &format!("The date range is longer than {days} days.")));
        }
        let ids = items(params, "audit_log_id").into_iter().map(|id| id.parse().map_err(|_| invalid("audit_log_id")));
        let texts = |name| items(params, name).into_iter().map(str::to_string).collect();
        let desc = flag(params, "desc_order", false)?;
        Ok(Self {
            from,
            to,
            order: if desc { Order::Descending } else { Order::Ascending },
            ids: ids.collect::<Result<_, _>>()?,
            ips: texts("filtered_ip"),
            commands: texts("filtered_cmd"),
            subuser: params.get("filtered_admin_user_id").map(str::to_string),
            related: params.get("advanced_filters").map(str::to_string),
        })
    }

    pub fn is_filtered(&self) -> bool {
        let lists = [self.ips.is_empty(), self.commands.is_empty(), self.ids.is_empty()];
        lists.contains(&false) || self.subuser.is_some() || self.related.is_some()
    }

    pub fn accepts(&self, salt: u64, index: u64) -> bool {
        let facts = voximplant::facts(salt, index);
        let is = |number: u64, text: &str| text.parse() == Ok(number);
        let related = |wanted: &String| is(facts.subject, wanted) || facts.phone.as_ref() == Some(wanted);
        (self.ids.is_empty() || self.ids.contains(&voximplant::id(index)))
            && (self.ips.is_empty() || self.ips.contains(&facts.ip.to_string()))
            && (self.commands.is_empty() || self.commands.iter().any(|name| name == facts.cmd))
            && self.subuser.as_ref().is_none_or(|wanted| facts.subuser_id().is_some_and(|id| is(id, wanted)))
            && self.related.as_ref().is_none_or(related)
    }
}

fn get_audit_log(shared: &Shared, params: &Params) -> Answer {
    let selection = Selection::parse(shared, params)?;
    let count = number(params, "count", 100, 1_000)?;
    let offset = number(params, "offset", 0, 9_999)?;
    let with_total = flag(params, "with_total_count", false)?;

    let state = shared.of(Vendor::Voximplant);
    let (line, now) = (&state.line, shared.now());
    let window = line.window(Some(selection.from), Some(selection.to), now);
    let accepts = |index| selection.accepts(state.salt, index);
    let filter: Option<&dyn Fn(u64) -> bool> = if selection.is_filtered() { Some(&accepts) } else { None };
    let picked = line.pick(window.clone(), selection.order, (offset, count as usize), filter, now);
    let mut body = String::with_capacity(500 * picked.indexes.len() + 100);
    body.push_str(r#"{"result":["#);
    let as_text = shared.world.voximplant.args_as_text;
    write_all(&picked, line, &mut body, |index, time, out| {
        voximplant::facts(state.salt, index).write(time, as_text, out)
    });
    put!(body, r#"],"count":{},"#, picked.indexes.len());
    if with_total {
        let total = match filter {
            None => line.count_visible(window, now),
            Some(accepts) => window.filter(|&index| line.visible(index, now) && accepts(index)).count() as u64,
        };
        put!(body, r#""total_count":{total},"#);
    }
    body.push_str(r#""timezone":"Etc/UTC"}"#);
    Ok(http::page(body, picked.indexes.len()))
}
