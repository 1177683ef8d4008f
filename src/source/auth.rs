//! How a request says who we are.

use std::sync::Mutex;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Duration, Utc};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value as Json};

use crate::connector::model::{Auth, Jwt, JwtAlgorithm};
use crate::connector::{Template, as_text};

/// Looks up a parameter, or a member of a JSON one.
pub type Lookup<'a> = &'a (dyn Fn(&str) -> Option<Json> + Sync);

/// Why no credential could be made. The text names no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct AuthError(String);

/// One way to authenticate, with what it remembers.
#[derive(Debug)]
pub struct Authenticator {
    way: Auth,
    /// A signed token while it is good. Held for a few lines without an await.
    token: Mutex<Option<Token>>,
}

#[derive(Debug)]
struct Token {
    text: String,
    renew_at: DateTime<Utc>,
}

impl Authenticator {
    /// Uses that way.
    #[must_use]
    pub fn new(way: Auth) -> Self {
        Self { way, token: Mutex::new(None) }
    }

    /// Forgets a token that the vendor refused. `false` when there is nothing that could be renewed.
    pub fn renew(&self) -> bool {
        self.token.lock().expect("no panic while the lock is held").take();
        matches!(self.way, Auth::Jwt(_))
    }

    /// The headers that authenticate a request sent at `now`, by the vendor's clock.
    ///
    /// # Errors
    /// When a parameter is not what the vendor's scheme takes.
    pub fn headers(&self, lookup: Lookup<'_>, now: DateTime<Utc>) -> Result<HeaderMap, AuthError> {
        let mut headers = HeaderMap::new();
        match &self.way {
            Auth::Bearer(token) => {
                headers.insert(AUTHORIZATION, secret(&format!("Bearer {}", fill(token, lookup)?))?);
            }
            Auth::Headers(own) => {
                for (name, value) in own {
                    let name = HeaderName::try_from(name).map_err(|_| AuthError(format!("`{name}` is no header")))?;
                    headers.insert(name, secret(&fill(value, lookup)?)?);
                }
            }
            Auth::Basic { user, password } => {
                let pair = format!("{}:{}", fill(user, lookup)?, fill(password, lookup)?);
                headers.insert(AUTHORIZATION, secret(&format!("Basic {}", STANDARD.encode(pair)))?);
            }
            Auth::Jwt(jwt) => {
                headers.insert(AUTHORIZATION, secret(&format!("Bearer {}", self.token(jwt, lookup, now)?))?);
            }
        }
        Ok(headers)
    }

    fn token(&self, jwt: &Jwt, lookup: Lookup<'_>, now: DateTime<Utc>) -> Result<String, AuthError> {
        let mut held = self.token.lock().expect("no panic while the lock is held");
        if let Some(token) = held.as_ref().filter(|token| now < token.renew_at) {
            return Ok(token.text.clone());
        }
        let text = sign(jwt, lookup, now)?;
        let good_for = jwt.lifetime.0.saturating_sub(jwt.renew_before.0);
        let renew_at = now + Duration::from_std(good_for).unwrap_or_default();
        *held = Some(Token { text: text.clone(), renew_at });
        Ok(text)
    }
}

/// The first way whose parameters are all there; `None` when no way is complete.
pub fn choose<'a>(ways: impl IntoIterator<Item = &'a Auth>, lookup: Lookup<'_>) -> Option<Auth> {
    ways.into_iter().find(|way| templates(way).iter().all(|template| template.fill_text(&lookup).is_some())).cloned()
}

/// The templates of a way, in which its parameters stand.
pub fn templates(way: &Auth) -> Vec<&Template> {
    match way {
        Auth::Bearer(token) => vec![token],
        Auth::Headers(headers) => headers.values().collect(),
        Auth::Basic { user, password } => vec![user, password],
        Auth::Jwt(jwt) => [&jwt.key, &jwt.key_id].into_iter().chain(jwt.claims.values()).collect(),
    }
}

fn sign(jwt: &Jwt, lookup: Lookup<'_>, now: DateTime<Utc>) -> Result<String, AuthError> {
    let issued = now.timestamp() - seconds(jwt.backdate.0);
    let mut claims = Map::new();
    for (name, value) in &jwt.claims {
        let value = value.fill(&lookup).ok_or_else(|| AuthError(format!("the token's `{name}` has no value")))?;
        claims.insert(name.clone(), value);
    }
    claims.insert("iat".to_owned(), issued.into());
    claims.insert("exp".to_owned(), (now.timestamp() + seconds(jwt.lifetime.0)).into());
    let JwtAlgorithm::RS256 = jwt.algorithm;
    let mut header = Header::new(Algorithm::RS256);
    header.kid = Some(fill(&jwt.key_id, lookup)?);
    let key = EncodingKey::from_rsa_pem(fill(&jwt.key, lookup)?.as_bytes())
        .map_err(|_| AuthError("the private key is not an RSA key in PEM form".to_owned()))?;
    jsonwebtoken::encode(&header, &claims, &key)
        .map_err(|error| AuthError(format!("a token could not be signed: {error}")))
}

fn seconds(span: std::time::Duration) -> i64 {
    i64::try_from(span.as_secs()).unwrap_or(i64::MAX)
}

fn fill(template: &Template, lookup: Lookup<'_>) -> Result<String, AuthError> {
    template.fill(&lookup).map(|value| as_text(&value)).ok_or_else(|| AuthError("a credential is missing".to_owned()))
}

fn secret(text: &str) -> Result<HeaderValue, AuthError> {
    let mut value = HeaderValue::from_str(text).map_err(|_| {
        AuthError("the credential holds a character that no header can: a line break, perhaps".to_owned())
    })?;
    value.set_sensitive(true);
    Ok(value)
}
