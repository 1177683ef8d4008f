//! How we say who we are.

mod oauth2;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use reqwest::header::{AUTHORIZATION, HeaderMap};
use serde::Deserialize;

pub use self::oauth2::{ClientAuth, OAuth2};
use self::oauth2::{Token, Tokens};
use super::headers::{Name, secret_value};
use crate::secret::Secret;
use crate::{BuildError, DeliveryError};

/// `auth = { bearer = … }`: one way of saying who we are.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Auth {
    /// `Authorization: Bearer TOKEN`
    Bearer(Secret),
    /// `Authorization: Basic …`
    Basic(Basic),
    /// A header of the service's own.
    Header(Header),
    /// A token from the service's token endpoint, by client credentials (RFC 6749, section 4.4).
    #[serde(rename = "oauth2")]
    OAuth2(OAuth2),
}

/// `auth = { basic = { username = "…", password = { env = "…" } } }`
#[derive(Clone, Debug, Deserialize)]
pub struct Basic {
    /// The user.
    pub username: String,
    /// The password.
    pub password: Secret,
}

/// `auth = { header = { name = "X-Api-Key", value = { env = "…" } } }`
#[derive(Clone, Debug, Deserialize)]
pub struct Header {
    /// The header.
    pub name: Name,
    /// The secret.
    pub value: Secret,
    /// What stands before the secret: `"Splunk "`.
    #[serde(default)]
    pub prefix: String,
}

/// What a request says of us.
pub enum Authenticator {
    /// The same each time.
    Fixed(HeaderMap),
    Tokens(Box<Tokens>),
}

/// The token of a request, where it is one that can be had anew.
pub struct Used(Option<Token>);

impl Auth {
    pub(crate) fn build(auth: Option<&Self>, allow_http: bool) -> Result<Authenticator, BuildError> {
        let mut headers = HeaderMap::new();
        match auth {
            None => {}
            Some(Self::Bearer(token)) => {
                let value = secret_value("auth.bearer", &format!("Bearer {}", token.expose()))?;
                headers.insert(AUTHORIZATION, value);
            }
            Some(Self::Basic(basic)) => {
                if basic.username.contains(':') {
                    return Err(BuildError::new(
                        "auth.basic.username",
                        "a `:` ends the name of a user here",
                        "give another name",
                    ));
                }
                let value = secret_value("auth.basic", &format!("Basic {}", basic.encoded()))?;
                headers.insert(AUTHORIZATION, value);
            }
            Some(Self::Header(header)) => {
                let value = secret_value("auth.header", &format!("{}{}", header.prefix, header.value.expose()))?;
                headers.insert(header.name.0.clone(), value);
            }
            Some(Self::OAuth2(oauth2)) => {
                return Ok(Authenticator::Tokens(Box::new(Tokens::new(oauth2, allow_http)?)));
            }
        }
        Ok(Authenticator::Fixed(headers))
    }

    /// What must not be printed when a server repeats it.
    pub(crate) fn secrets(&self) -> Vec<Secret> {
        match self {
            Self::Bearer(secret) | Self::Header(Header { value: secret, .. }) => vec![secret.clone()],
            Self::Basic(basic) => {
                let encoded = Secret::literal(basic.encoded()).ok();
                encoded.into_iter().chain([basic.password.clone()]).collect()
            }
            Self::OAuth2(oauth2) => vec![oauth2.client_secret.clone()],
        }
    }
}

impl Basic {
    fn encoded(&self) -> String {
        BASE64_STANDARD.encode(format!("{}:{}", self.username, self.password.expose()))
    }
}

impl Authenticator {
    /// Sets what says who we are. Asks for a token where one is needed and none is at hand.
    pub async fn add(&self, headers: &mut HeaderMap) -> Result<Used, DeliveryError> {
        match self {
            Self::Fixed(fixed) => {
                headers.extend(fixed.clone());
                Ok(Used(None))
            }
            Self::Tokens(tokens) => {
                let token = tokens.current().await?;
                headers.insert(AUTHORIZATION, token.header());
                Ok(Used(Some(token)))
            }
        }
    }

    /// After a 401: whether another token may do better. The refused one is not used again.
    pub async fn renew(&self, used: &Used) -> bool {
        match (self, &used.0) {
            (Self::Tokens(tokens), Some(token)) => tokens.forget(token).await,
            _ => false,
        }
    }
}

impl Used {
    /// The token, which must not be printed.
    pub fn token(&self) -> Option<&str> {
        self.0.as_ref().map(Token::text)
    }
}
