//! `[[auth]]`: how a request says who we are.

use std::collections::BTreeMap;
use std::time::Duration;

use auditline_sinks::units::HumanDuration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::connector::template::Template;
use crate::document::Spanned;

/// `[[auth]]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Auth {
    /// `Authorization: Bearer …`
    Bearer(Template),
    /// Headers of the vendor's own.
    Headers(BTreeMap<String, Template>),
    /// `Authorization: Basic …`
    Basic {
        /// The user name.
        user: Template,
        /// The password, often empty.
        password: Template,
    },
    /// `Authorization: Bearer …` with a token we sign ourselves (RFC 7519).
    Jwt(Jwt),
    /// `Authorization: Bearer …` with a token we are given for the client's own credentials (RFC 6749 4.4).
    Oauth2(Oauth2),
}

impl Auth {
    /// The templates without whose values this way cannot be used.
    #[must_use]
    pub fn needed(&self) -> Vec<&Template> {
        match self {
            Auth::Bearer(token) => vec![token],
            Auth::Headers(headers) => headers.values().collect(),
            Auth::Basic { user, password } => vec![user, password],
            Auth::Jwt(jwt) => [&jwt.key, &jwt.key_id].into_iter().chain(jwt.claims.values()).collect(),
            Auth::Oauth2(oauth2) => vec![&oauth2.client_id, &oauth2.client_secret, &oauth2.token_url],
        }
    }

    /// The templates that are left out when they have no value.
    #[must_use]
    pub fn optional(&self) -> Vec<&Template> {
        match self {
            Auth::Oauth2(oauth2) => oauth2.scope.iter().chain(oauth2.parameters.values()).collect(),
            _ => Vec::new(),
        }
    }
}

/// A JSON Web Token made from a key of the operator's.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Jwt {
    /// How it is signed.
    pub algorithm: JwtAlgorithm,
    /// The private key, PEM.
    pub key: Template,
    /// The header's `kid`.
    pub key_id: Template,
    /// Claims beside `iat` and `exp`.
    pub claims: BTreeMap<String, Template>,
    /// How long a token is good for.
    pub lifetime: HumanDuration,
    /// How far `iat` lies in the past, for clocks that differ.
    pub backdate: HumanDuration,
    /// A token with less than this left is replaced before it is used.
    pub renew_before: HumanDuration,
}

/// Signature algorithms (RFC 7518).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum JwtAlgorithm {
    /// RSA with SHA-256.
    RS256,
}

/// OAuth 2.0 client credentials (RFC 6749 4.4).
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Oauth2 {
    /// Where tokens are given: a path at the origin of the base URL, or an https address. The secret goes there and
    /// nowhere else. An operator whose `base_url` is on this machine gets tokens there too.
    pub token_url: Spanned<Template>,
    /// The client's name.
    pub client_id: Template,
    /// The client's secret.
    pub client_secret: Template,
    /// How both travel.
    #[serde(default)]
    pub send: SendClient,
    /// What else the token is asked with, such as `audience`. `grant_type` is `client_credentials` unless it stands here.
    #[serde(default)]
    pub parameters: BTreeMap<String, Template>,
    /// What the token shall be good for.
    #[serde(default)]
    pub scope: Option<Template>,
    /// A token with less than this left is replaced before it is used.
    #[serde(default = "a_minute")]
    pub renew_before: HumanDuration,
}

fn a_minute() -> HumanDuration {
    HumanDuration(Duration::from_secs(60))
}

/// How the client's credentials travel (RFC 6749 2.3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SendClient {
    /// As HTTP Basic, which every server has to understand.
    #[default]
    Basic,
    /// In the form.
    Form,
    /// In a JSON body, which no standard knows but some vendors.
    Json,
}
