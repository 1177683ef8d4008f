//! Tokens for SASL OAUTHBEARER: asked for with OAuth 2's client credentials grant (RFC 6749, section 4.4).

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use chrono::Utc;
use rdkafka::client::OAuthToken;
use reqwest::redirect::Policy;
use serde::Deserialize;
use url::Url;
use url::form_urlencoded::byte_serialize;

use crate::secret::Secret;
use crate::tls::TlsConfig;
use crate::{BoxError, BuildError, DeliveryError};

/// How long the token's server may take. librdkafka tries again after ten seconds.
const TIMEOUT: Duration = Duration::from_secs(10);
/// For a server that does not say how long its token is good: as long as is safe with any.
const LIFETIME_SECS: f64 = 300.0;
/// A token is short, and so are errors.
const LONGEST_ANSWER: usize = 256 * 1024;

/// Where tokens come from, and the last one: every connection of a sink shows the same.
pub(super) struct Tokens {
    pub url: Url,
    pub client_id: String,
    pub client_secret: Secret,
    pub scope: Option<String>,
    /// The certificate authorities to trust, in place of the system's.
    pub ca: Option<PathBuf>,
    // Held for a few lines, never across an await.
    last: Mutex<Option<Token>>,
}

#[derive(Clone)]
struct Token {
    text: String,
    fetched_ms: i64,
    ends_ms: i64,
}

/// Why there is no token. Says nothing that the token's server should keep secret.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}: {cause}")]
pub(super) struct TokenError {
    message: String,
    cause: String,
    /// What a person can do, where waiting does not help.
    hint: Option<&'static str>,
}

#[derive(Deserialize)]
struct Answer {
    access_token: String,
    #[serde(default)]
    token_type: Option<String>,
    /// Some servers write the number as a text.
    #[serde(default)]
    expires_in: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
}

const WHO: &str = "correct `sasl.client_id`, `sasl.client_secret` and `sasl.scope`";
const WHERE: &str = "correct `sasl.token_url`: it is not where tokens are handed out";

impl Tokens {
    pub fn new(url: Url, client_id: String, client_secret: Secret, scope: Option<String>, ca: Option<PathBuf>) -> Self {
        Self { url, client_id, client_secret, scope, ca, last: Mutex::new(None) }
    }

    /// A token that is good for a while. Blocks: librdkafka asks on a thread of its own.
    pub fn fetch(&self) -> Result<OAuthToken, TokenError> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // librdkafka asks for a new one when a fifth of its time is left.
        let is_young = |token: &Token| Utc::now().timestamp_millis() < (token.fetched_ms + token.ends_ms) / 2;
        let token = match last.filter(is_young) {
            Some(token) => token,
            None => self.fetch_new()?,
        };
        Ok(OAuthToken { token: token.text, principal_name: self.client_id.clone(), lifetime_ms: token.ends_ms })
    }

    /// Reads the certificate authorities once, so that a file that is missing is told before anything is sent.
    pub fn check_ca(&self) -> Result<(), BuildError> {
        let Some(ca) = &self.ca else { return Ok(()) };
        TlsConfig { ca: Some(ca.clone()), ..TlsConfig::default() }.client().map(drop).map_err(|mut error| {
            error.key = "sasl.ca".to_owned();
            error
        })
    }

    /// After a broker did not take it.
    pub fn forget(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn fetch_new(&self) -> Result<Token, TokenError> {
        let told = |error: BoxError| self.failed(crate::contract::chain(&*error), None);
        // On a thread without a runtime, whatever thread this is.
        let asked = std::thread::scope(|scope| {
            let ask = || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                runtime.map_err(BoxError::from)?.block_on(self.ask())
            };
            scope.spawn(ask).join()
        });
        let (status, body) =
            asked.unwrap_or_else(|_| Err("the thread that asked for it ended".into())).map_err(told)?;
        if !status.is_success() {
            return Err(self.refused(status, &body));
        }
        let wrong = |cause: &str| self.failed(cause.to_owned(), Some(WHERE));
        let answer: Answer = serde_json::from_slice(&body).map_err(|_| wrong("the answer holds no `access_token`"))?;
        let is_bearer = answer.token_type.as_deref().is_none_or(|kind| kind.eq_ignore_ascii_case("bearer"));
        if !is_bearer || answer.access_token.is_empty() || answer.access_token.contains('\0') {
            return Err(wrong("the token is not one for bearers"));
        }
        let fetched_ms = Utc::now().timestamp_millis();
        let token = Token { text: answer.access_token, fetched_ms, ends_ms: fetched_ms + lifetime(answer.expires_in) };
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(token.clone());
        Ok(token)
    }

    async fn ask(&self) -> Result<(reqwest::StatusCode, Vec<u8>), BoxError> {
        let mut client = reqwest::Client::builder().timeout(TIMEOUT).redirect(Policy::none());
        if let Some(ca) = &self.ca {
            client = client.tls_certs_only(reqwest::Certificate::from_pem_bundle(&tokio::fs::read(ca).await?)?);
        }
        let mut body = "grant_type=client_credentials".to_owned();
        if let Some(scope) = &self.scope {
            write!(body, "&scope={}", encoded(scope))?;
        }
        let who = format!("{}:{}", encoded(&self.client_id), encoded(self.client_secret.expose()));
        let request = client
            .build()?
            .post(self.url.clone())
            .header("authorization", format!("Basic {}", BASE64_STANDARD.encode(who)))
            .header("content-type", "application/x-www-form-urlencoded")
            .header("accept", "application/json")
            .body(body);
        let mut response = request.send().await.map_err(reqwest::Error::without_url)?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(reqwest::Error::without_url)? {
            body.extend_from_slice(&chunk);
            if body.len() > LONGEST_ANSWER {
                return Err("the answer does not end".into());
            }
        }
        Ok((response.status(), body))
    }

    fn refused(&self, status: reqwest::StatusCode, body: &[u8]) -> TokenError {
        let hint = match status.as_u16() {
            408 | 429 | 500.. => None,
            400 | 401 | 403 => Some(WHO),
            _ => Some(WHERE),
        };
        // Its code is made of a few plain characters; what servers write beside it may be anything.
        let code = serde_json::from_slice(body).ok().map(|refusal: Refusal| refusal.error);
        let code =
            code.filter(|code| code.len() < 60 && code.bytes().all(|byte| byte == b'_' || byte.is_ascii_lowercase()));
        let cause = code.map_or_else(|| status.to_string(), |code| format!("{status}, `{code}`"));
        self.failed(cause, hint)
    }

    fn failed(&self, cause: String, hint: Option<&'static str>) -> TokenError {
        let host = self.url.host_str().unwrap_or_default();
        TokenError { message: format!("no token from `{host}`"), cause, hint }
    }
}

impl TokenError {
    pub fn explain(&self) -> DeliveryError {
        match self.hint {
            Some(hint) => DeliveryError::refused(self.message.clone(), hint, self.cause.clone()),
            None => DeliveryError::retryable(self.message.clone(), self.cause.clone()),
        }
    }
}

fn encoded(text: &str) -> String {
    byte_serialize(text.as_bytes()).collect()
}

/// In milliseconds.
fn lifetime(expires_in: Option<serde_json::Value>) -> i64 {
    let seconds = match expires_in {
        Some(serde_json::Value::Number(number)) => number.as_f64(),
        Some(serde_json::Value::String(text)) => text.parse().ok(),
        _ => None,
    };
    // A year is for ever.
    (seconds.unwrap_or(LIFETIME_SECS).clamp(1.0, 31_536_000.0) * 1000.0) as i64
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tokens() -> Tokens {
        let secret = Secret::literal("opens-nothing").unwrap();
        Tokens::new("https://id.example.com/token?x=y".parse().unwrap(), "auditline".to_owned(), secret, None, None)
    }

    #[test]
    fn a_lifetime_is_bounded_and_need_not_be_told() {
        assert_eq!(lifetime(None), 300_000);
        assert_eq!(lifetime(Some(json!(3600))), 3_600_000);
        assert_eq!(lifetime(Some(json!("3599"))), 3_599_000);
        assert_eq!(lifetime(Some(json!(-5))), 1000);
        assert_eq!(lifetime(Some(json!(1e300))), 31_536_000_000);
    }

    #[test]
    fn a_refusal_is_told_without_what_else_the_server_says() {
        let error = tokens().refused(
            reqwest::StatusCode::UNAUTHORIZED,
            br#"{"error":"invalid_client","error_description":"opens-nothing"}"#,
        );
        assert_eq!(error.to_string(), "no token from `id.example.com`: 401 Unauthorized, `invalid_client`");
        assert!(matches!(error.explain(), DeliveryError::Refused { .. }));
        let error = tokens().refused(reqwest::StatusCode::BAD_REQUEST, br#"{"error":"<b>opens-nothing"}"#);
        assert_eq!(error.to_string(), "no token from `id.example.com`: 400 Bad Request");
        let error = tokens().refused(reqwest::StatusCode::BAD_GATEWAY, b"<html>");
        assert!(matches!(error.explain(), DeliveryError::Retryable { .. }));
    }

    #[test]
    fn a_token_is_shown_by_all_until_half_of_its_time_is_over() {
        let tokens = tokens();
        let now = Utc::now().timestamp_millis();
        let last = Token { text: "t".to_owned(), fetched_ms: now - 1000, ends_ms: now + 5000 };
        *tokens.last.lock().unwrap() = Some(last);
        assert_eq!(tokens.fetch().unwrap().token, "t");
        tokens.forget();
        assert!(tokens.last.lock().unwrap().is_none());
    }
}
