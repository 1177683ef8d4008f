//! Tokens that the vendor gives for the client's own credentials (RFC 6749 4.4): what is asked, and what the answer means.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::Method;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use serde_json::{Map, Value as Json};
use url::Url;
use url::form_urlencoded::{Serializer, byte_serialize};

use super::{AuthError, Lookup, basic, fill, secret};
use crate::connector::as_text;
use crate::connector::model::{Oauth2, SendClient};
use crate::event::{Arena, Value, json};
use crate::source::advice;
use crate::source::request::Prepared;
use crate::source::verdict::{Answer, is_passing, saying};
use crate::source::wire::is_loopback;

/// How long a token is taken to last when the vendor does not say.
const UNSAID: Duration = Duration::from_secs(300);
/// A token that is said to last longer is renewed after this all the same.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// A token and how long it may be used before it is renewed.
#[derive(Clone, PartialEq, Eq)]
pub struct Granted {
    /// The token.
    pub token: String,
    /// From when it was asked for.
    pub good_for: Duration,
}

/// Why there is no token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// What the vendor said, not yet redacted.
    pub said: String,
    /// What a person can do; `None` when the vendor may give one later.
    pub hint: Option<String>,
    /// How long the vendor asks us to wait.
    pub wait: Option<Duration>,
    /// The vendor counts us out.
    pub throttled: bool,
}

/// The request for a token. `base` is where the API is.
///
/// # Errors
/// When the token's address would take the secret over an open line, or a value is missing.
pub fn request(oauth2: &Oauth2, base: &Url, lookup: Lookup<'_>) -> Result<Prepared, AuthError> {
    let url = address(oauth2, base, lookup)?;
    let (id, password) = (fill(&oauth2.client_id, lookup)?, fill(&oauth2.client_secret, lookup)?);
    let mut members = Map::new();
    members.insert("grant_type".to_owned(), "client_credentials".into());
    let scope = oauth2.scope.iter().map(|scope| ("scope", scope));
    let own = oauth2.parameters.iter().map(|(name, template)| (name.as_str(), template));
    for (name, template) in scope.chain(own) {
        members.extend(template.fill(&lookup).map(|value| (name.to_owned(), value)));
    }
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    match oauth2.send {
        SendClient::Basic => {
            // Both are form-encoded first, which is for colons and what is not ASCII (RFC 6749 2.3.1).
            let coded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
            headers.insert(AUTHORIZATION, secret(&basic(&coded(&id), &coded(&password)))?);
        }
        SendClient::Form | SendClient::Json => {
            members.insert("client_id".to_owned(), id.into());
            members.insert("client_secret".to_owned(), password.into());
        }
    }
    let (form, body) = match oauth2.send {
        SendClient::Json => ("application/json", Json::Object(members).to_string()),
        SendClient::Basic | SendClient::Form => {
            let pairs = members.iter().map(|(name, value)| (name, as_text(value)));
            ("application/x-www-form-urlencoded", Serializer::new(String::new()).extend_pairs(pairs).finish())
        }
    };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(form));
    Ok(Prepared { method: Method::POST, url, headers, body: body.into_bytes(), with_cursor: false, once: false })
}

/// Where tokens are given. Who reads from this machine, which is a test or a proxy, is given tokens there as well: no
/// test asks the vendor himself.
fn address(oauth2: &Oauth2, base: &Url, lookup: Lookup<'_>) -> Result<Url, AuthError> {
    let fail = |text: &str| AuthError(format!("`{text}` is no address for a token"));
    let text = oauth2.token_url.fill_address(&lookup).ok_or_else(|| fail(&oauth2.token_url.to_string()))?;
    let named = match text.starts_with('/') {
        true => None,
        false => Some(Url::parse(&text).map_err(|_| fail(&text))?),
    };
    match named {
        Some(url) if is_loopback(&url) || (url.scheme() == "https" && !is_loopback(base)) => Ok(url),
        Some(url) if is_loopback(base) => Ok(at_origin(base, url.path())),
        Some(_) => Err(fail(&text)),
        None => Ok(at_origin(base, &text)),
    }
}

fn at_origin(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    url.set_path(path);
    url.set_query(None);
    url.set_fragment(None);
    url
}

/// What an answer to such a request comes to.
///
/// # Errors
/// When it holds no token: why, and whether a person has to do something.
pub fn granted(answer: &Answer, oauth2: &Oauth2, now: DateTime<Utc>) -> Result<Granted, Refused> {
    let arena = Arena::new();
    let body = json::decode(String::from_utf8_lossy(&answer.body).as_bytes(), &arena).ok();
    let text = |name: &str| body.and_then(|body| body.get(name)).and_then(|value| value.as_str());
    let token = text("access_token").filter(|token| !token.is_empty());
    // Some vendors refuse under HTTP 200.
    let (Some(token), None, true) = (token, text("error"), answer.status.is_success()) else {
        return Err(refused(answer, body, oauth2, now));
    };
    if let Some(kind) = text("token_type").filter(|kind| !kind.to_ascii_lowercase().starts_with("bearer")) {
        let said = format!("with a token of the type `{kind}`");
        let hint = "only bearer tokens (RFC 6750) are spoken here: have the client given such".to_owned();
        return Err(Refused { said, hint: Some(hint), wait: None, throttled: false });
    }
    let lasts = body.and_then(|body| body.get("expires_in")).and_then(seconds).unwrap_or(UNSAID);
    // A token that never lasts that long is used for half its life rather than never.
    let good_for = lasts.checked_sub(oauth2.renew_before.0).filter(|rest| !rest.is_zero()).unwrap_or(lasts / 2);
    Ok(Granted { token: token.to_owned(), good_for })
}

/// A span in seconds, which some vendors write as a text.
fn seconds(value: Value) -> Option<Duration> {
    let (Value::Number(digits) | Value::String(digits)) = value else { return None };
    let seconds: f64 = digits.trim().parse().ok()?;
    (seconds > 0.0).then(|| Duration::from_secs_f64(seconds.min(LONGEST.as_secs_f64())))
}

fn refused(answer: &Answer, body: Option<Value>, oauth2: &Oauth2, now: DateTime<Utc>) -> Refused {
    let scalar = |name: &str| body.and_then(|body| body.get(name)).filter(|value| value.as_str().is_some());
    let (error, description) = (scalar("error"), scalar("error_description").or_else(|| scalar("message")));
    let code = error.and_then(|error| error.as_str()).unwrap_or_default();
    let is_for_now = match code {
        "temporarily_unavailable" | "server_error" | "slow_down" => true,
        // An answer without a token and without an error is a page of somebody's who stands in between.
        "" => is_passing(answer.status),
        _ => is_passing(answer.status) && !answer.status.is_success(),
    };
    let said = match (code, answer.status.is_success()) {
        // Whatever else stands there may be a token under another name.
        ("", true) => format!("HTTP {} without a token", answer.status.as_u16()),
        _ => saying(answer, error, description),
    };
    Refused {
        said,
        hint: (!is_for_now).then(|| hint(code, answer, oauth2)),
        wait: advice::retry_after(&answer.headers, now),
        throttled: answer.status.as_u16() == 429,
    }
}

/// What a person can do (RFC 6749 5.2).
fn hint(code: &str, answer: &Answer, oauth2: &Oauth2) -> String {
    let names = [&oauth2.client_id, &oauth2.client_secret].into_iter().flat_map(|template| template.variables());
    let names = names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" and ");
    match (code, answer.status.as_u16()) {
        ("unauthorized_client" | "unsupported_grant_type", _) => {
            "the vendor does not let this client ask by itself: allow it the grant `client_credentials`".to_owned()
        }
        ("invalid_scope", _) => "give the client the scopes that the connector's notes name".to_owned(),
        ("", 404 | 405) => "check `base_url`: there are no tokens at this address".to_owned(),
        _ => format!("check {names}: the vendor does not take them, or they have expired"),
    }
}

#[cfg(test)]
mod tests;
