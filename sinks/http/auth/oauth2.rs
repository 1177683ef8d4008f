//! Tokens by client credentials (RFC 6749, section 4.4), each kept until shortly before it expires.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use reqwest::Method;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::form_urlencoded::{Serializer, byte_serialize};

use crate::address::Endpoint;
use crate::http_client::{Answer, Client, Hints, LARGEST_ANSWER, Settings, Verdict};
use crate::secret::Secret;
use crate::{BuildError, DeliveryError};

/// How long a token lasts where the answer does not say: the shortest that services are known to give.
const LIFETIME: Duration = Duration::from_secs(300);

/// A token is renewed this long before it expires, or at nine tenths of a shorter life.
const MARGIN: Duration = Duration::from_secs(120);

const TIMEOUT: Duration = Duration::from_secs(30);

/// `auth = { oauth2 = { token_url = "…", client_id = "…", client_secret = { env = "…" }, scope = "…" } }`
#[derive(Clone, Debug, Deserialize)]
pub struct OAuth2 {
    /// Where tokens are given out. It need not be the host of `url`.
    pub token_url: Endpoint,
    /// Our name there.
    pub client_id: String,
    /// What proves it.
    pub client_secret: Secret,
    /// What the token is to be good for.
    pub scope: Option<String>,
    /// Further fields of the request, as some services want them: `{ audience = "…" }`.
    #[serde(default)]
    pub fields: BTreeMap<String, String>,
    /// Where name and secret go, `"body"` unless set.
    #[serde(default)]
    pub client_auth: ClientAuth,
}

/// Where a client's name and secret stand in its request for a token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientAuth {
    /// In the form that is sent.
    #[default]
    Body,
    /// In the header `Authorization`, as `Basic`.
    Basic,
}

/// Asks for tokens and keeps the last one.
pub struct Tokens {
    config: OAuth2,
    client: Client,
    /// Held while a token is asked for: who comes meanwhile waits for the same one.
    kept: Mutex<Option<Kept>>,
}

struct Kept {
    token: Token,
    until: Instant,
}

/// A token, cheap to clone.
#[derive(Clone)]
pub struct Token(Arc<TokenText>);

struct TokenText {
    text: String,
    header: HeaderValue,
}

const HINTS: Hints = Hints {
    credentials: "check `auth.oauth2`: `client_id`, `client_secret` and `scope`",
    target: "check `auth.oauth2.token_url`",
};

impl Tokens {
    pub fn new(config: &OAuth2, allow_http: bool) -> Result<Self, BuildError> {
        config.token_url.keep_private("auth.oauth2.token_url", allow_http)?;
        let client = Client::new(Settings {
            url: config.token_url.url(),
            tls: None,
            timeout: TIMEOUT,
            largest_answer: LARGEST_ANSWER,
            secrets: config.secrets(),
        })?;
        Ok(Self { config: config.clone(), client, kept: Mutex::new(None) })
    }

    /// The token there is, or a new one.
    pub async fn current(&self) -> Result<Token, DeliveryError> {
        let mut kept = self.kept.lock().await;
        if let Some(kept) = kept.as_ref().filter(|kept| Instant::now() < kept.until) {
            return Ok(kept.token.clone());
        }
        let asked = Instant::now();
        let (token, lifetime) = self.ask().await?;
        *kept = Some(Kept { token: token.clone(), until: asked + lifetime - MARGIN.min(lifetime / 10) });
        Ok(token)
    }

    /// Drops `refused` if it is still the one that is kept. Always worth another try: there is or will be another.
    pub async fn forget(&self, refused: &Token) -> bool {
        let mut kept = self.kept.lock().await;
        if kept.as_ref().is_some_and(|kept| Arc::ptr_eq(&kept.token.0, &refused.0)) {
            *kept = None;
        }
        true
    }

    async fn ask(&self) -> Result<(Token, Duration), DeliveryError> {
        let OAuth2 { token_url, client_auth, .. } = &self.config;
        let mut request = self
            .client
            .request(Method::POST, token_url.url().clone())?
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(ACCEPT, "application/json")
            .body(self.config.form());
        if *client_auth == ClientAuth::Basic {
            let mut value = HeaderValue::from_str(&format!("Basic {}", BASE64_STANDARD.encode(self.config.pair())))
                .expect("Base64 fits a header");
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        let answer = self.client.send(request).await?;
        match answer.judge(&HINTS) {
            Verdict::Taken => granted(&answer),
            // A refusal is a 400 by the standard, with the reason in `error`.
            Verdict::Malformed => Err(answer.refused(HINTS.credentials)),
            Verdict::TooLarge => Err(answer.refused(HINTS.target)),
            Verdict::Failed(error) => Err(error),
        }
    }
}

impl OAuth2 {
    /// Name and secret as `Basic` has them, both form-encoded (RFC 6749, section 2.3.1).
    fn pair(&self) -> String {
        let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
        format!("{}:{}", encoded(&self.client_id), encoded(self.client_secret.expose()))
    }

    /// What must not be printed when a server repeats it.
    fn secrets(&self) -> Vec<Secret> {
        [Some(self.client_secret.clone()), Secret::literal(self.pair()).ok()].into_iter().flatten().collect()
    }

    /// The fields of a request for a token.
    fn form(&self) -> String {
        let mut form = Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        form.extend_pairs(self.scope.iter().map(|scope| ("scope", scope)));
        form.extend_pairs(&self.fields);
        if self.client_auth == ClientAuth::Body {
            form.append_pair("client_id", &self.client_id);
            form.append_pair("client_secret", self.client_secret.expose());
        }
        form.finish()
    }
}

fn granted(answer: &Answer) -> Result<(Token, Duration), DeliveryError> {
    #[derive(Deserialize)]
    struct Granted {
        access_token: String,
        token_type: Option<String>,
        // A number by the standard; some send a text.
        expires_in: Option<serde_json::Value>,
    }
    // The answer is not repeated: it may hold a token after all.
    let no_token = |what: &str| DeliveryError::Refused {
        message: format!("`{}` gave no token we can use: {what}", answer.origin),
        hint: HINTS.target.to_owned(),
        source: None,
    };
    let granted: Granted =
        serde_json::from_slice(&answer.body).map_err(|_| no_token("its answer has no `access_token`"))?;
    if granted.token_type.is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer")) {
        return Err(no_token("it is no bearer token"));
    }
    let mut header = HeaderValue::from_str(&format!("Bearer {}", granted.access_token))
        .map_err(|_| no_token("no header can hold it"))?;
    header.set_sensitive(true);
    let seconds = granted.expires_in.and_then(|value| value.as_u64().or_else(|| value.as_str()?.parse().ok()));
    // A year is as good as for ever, and keeps the clock within its bounds.
    let lifetime = seconds.map_or(LIFETIME, |seconds| Duration::from_secs(seconds.min(365 * 86_400)));
    Ok((Token(Arc::new(TokenText { text: granted.access_token, header })), lifetime))
}

impl Token {
    pub fn header(&self) -> HeaderValue {
        self.0.header.clone()
    }

    pub fn text(&self) -> &str {
        &self.0.text
    }
}
