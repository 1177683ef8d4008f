//! How a request says who we are.

mod jwt;
pub mod oauth2;

use std::sync::{Mutex, MutexGuard};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Duration, Utc};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use serde_json::Value as Json;

use crate::connector::model::{Auth, Oauth2};
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
    /// Held for a few lines without an await.
    held: Mutex<Held>,
    /// Taken by whoever asks for a token, so that nobody else does meanwhile.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Held {
    token: Option<Token>,
    /// How many tokens there have been.
    number: u64,
}

struct Token {
    text: String,
    renew_at: DateTime<Utc>,
    /// The version of the secrets it was made of.
    version: u64,
    /// The vendor refused it.
    refused: bool,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Token").field("renew_at", &self.renew_at).finish_non_exhaustive()
    }
}

impl Token {
    fn is_good(&self, version: u64, now: DateTime<Utc>) -> bool {
        !self.refused && self.version == version && now < self.renew_at
    }
}

/// What a request was sent with, so that its refusal is not held against what has come since.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// The version of the secrets.
    pub version: u64,
    /// Which token.
    token: u64,
}

impl Authenticator {
    /// Uses that way.
    #[must_use]
    pub fn new(way: Auth) -> Self {
        Self { way, held: Mutex::default(), asking: tokio::sync::Mutex::default() }
    }

    /// Gives up the token that the vendor refused, unless it has been replaced already. `false` when there are no tokens
    /// that could be renewed.
    pub fn renew(&self, refused: Used) -> bool {
        let mut held = self.held();
        let is_it = held.number == refused.token;
        if let Some(token) = held.token.as_mut().filter(|_| is_it) {
            token.refused = true;
        }
        matches!(self.way, Auth::Jwt(_) | Auth::Oauth2(_))
    }

    /// The headers that authenticate a request sent at `now`, by the vendor's clock, and what they were made of.
    ///
    /// A token that is given by the vendor is sent as it is, good or not: see [`lacks_token`](Self::lacks_token).
    ///
    /// # Errors
    /// When a parameter is not what the vendor's scheme takes.
    pub fn headers(
        &self,
        lookup: Lookup<'_>,
        version: u64,
        now: DateTime<Utc>,
    ) -> Result<(HeaderMap, Used), AuthError> {
        let mut headers = HeaderMap::new();
        let mut used = Used { version, token: 0 };
        let mut authorization = |text: &str| -> Result<(), AuthError> {
            headers.insert(AUTHORIZATION, secret(text)?);
            Ok(())
        };
        match &self.way {
            Auth::Bearer(token) => authorization(&format!("Bearer {}", fill(token, lookup)?))?,
            Auth::Headers(own) => {
                for (name, value) in own {
                    let name = HeaderName::try_from(name).map_err(|_| AuthError(format!("`{name}` is no header")))?;
                    headers.insert(name, secret(&fill(value, lookup)?)?);
                }
            }
            Auth::Basic { user, password } => authorization(&basic(&fill(user, lookup)?, &fill(password, lookup)?))?,
            Auth::Jwt(way) => {
                let mut held = self.held();
                if !held.has_good(version, now) {
                    let good_for = way.lifetime.0.saturating_sub(way.renew_before.0);
                    held.put(jwt::sign(way, lookup, now)?, version, now + delta(good_for));
                }
                used.token = held.number;
                authorization(&held.bearer()?)?;
            }
            Auth::Oauth2(_) => {
                let held = self.held();
                used.token = held.number;
                authorization(&held.bearer()?)?;
            }
        }
        Ok((headers, used))
    }

    /// What a token must be asked for with, if one is needed and none is good at `now`, by our own clock.
    #[must_use]
    pub fn lacks_token(&self, version: u64, now: DateTime<Utc>) -> Option<&Oauth2> {
        match &self.way {
            Auth::Oauth2(oauth2) if !self.held().has_good(version, now) => Some(oauth2),
            _ => None,
        }
    }

    /// Waits until nobody else asks for a token.
    pub async fn ask(&self) -> impl Drop {
        self.asking.lock().await
    }

    /// Keeps a token that was given for that version of the secrets.
    pub fn keep(&self, token: String, version: u64, renew_at: DateTime<Utc>) {
        self.held().put(token, version, renew_at);
    }

    /// The token in use, which no message may quote.
    #[must_use]
    pub fn token(&self) -> Option<String> {
        self.held().token.as_ref().map(|token| token.text.clone())
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().expect("no panic while the lock is held")
    }
}

impl Held {
    fn has_good(&self, version: u64, now: DateTime<Utc>) -> bool {
        self.token.as_ref().is_some_and(|token| token.is_good(version, now))
    }

    fn put(&mut self, text: String, version: u64, renew_at: DateTime<Utc>) {
        self.number += 1;
        self.token = Some(Token { text, renew_at, version, refused: false });
    }

    fn bearer(&self) -> Result<String, AuthError> {
        let token = self.token.as_ref().ok_or_else(|| AuthError("there is no token yet".to_owned()))?;
        Ok(format!("Bearer {}", token.text))
    }
}

/// The first way whose parameters are all there; `None` when no way is complete.
pub fn choose<'a>(ways: impl IntoIterator<Item = &'a Auth>, lookup: Lookup<'_>) -> Option<Auth> {
    ways.into_iter().find(|way| way.needed().iter().all(|template| template.fill_text(&lookup).is_some())).cloned()
}

/// The templates of a way, in which its parameters stand.
pub fn templates(way: &Auth) -> Vec<&Template> {
    way.needed()
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

fn delta(span: std::time::Duration) -> Duration {
    Duration::from_std(span).unwrap_or_default()
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
