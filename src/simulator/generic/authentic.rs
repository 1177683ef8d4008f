//! Whether a request says who it is from, in the way that the connector names.

use axum::http::HeaderMap;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Map, Value as Json};

use super::super::credentials::VOXIMPLANT_PUBLIC_KEY;
use super::super::http::{basic, bearer};
use super::{NotCovered, Terms};
use crate::connector::model::{Auth, Jwt, JwtAlgorithm};
use crate::connector::{Template, as_text};

/// Whether that way can be checked here. A new one is to be checked below, or to be named here.
///
/// # Errors
/// When it cannot.
pub fn is_covered(way: &Auth) -> Result<(), NotCovered> {
    match way {
        Auth::Bearer(_) | Auth::Headers(_) | Auth::Basic { .. } | Auth::Jwt(_) => Ok(()),
    }
}

/// Holds a request's headers against what the terms ask for.
///
/// # Errors
/// Says what is missing or wrong. Its credentials are made up, and may be named.
pub fn check(terms: &Terms, headers: &HeaderMap) -> Result<(), String> {
    match &terms.way {
        Auth::Bearer(token) => same("the bearer token", bearer(headers), &filled(terms, token)?),
        Auth::Headers(own) => own.iter().try_for_each(|(name, value)| {
            let found = headers.get(name).and_then(|value| value.to_str().ok());
            same(&format!("the header `{name}`"), found, &filled(terms, value)?)
        }),
        Auth::Basic { user, password } => {
            let (found_user, found_password) = basic(headers).ok_or("there is no HTTP Basic")?;
            same("the user", Some(&found_user), &filled(terms, user)?)?;
            same("the password", Some(&found_password), &filled(terms, password)?)
        }
        Auth::Jwt(jwt) => signed(terms, jwt, bearer(headers).ok_or("there is no bearer token")?),
    }
}

fn signed(terms: &Terms, jwt: &Jwt, token: &str) -> Result<(), String> {
    let JwtAlgorithm::RS256 = jwt.algorithm;
    let head = jsonwebtoken::decode_header(token).map_err(|error| format!("the token is none: {error}"))?;
    same("the token's `kid`", head.kid.as_deref(), &filled(terms, &jwt.key_id)?)?;
    let key = DecodingKey::from_rsa_pem(VOXIMPLANT_PUBLIC_KEY.as_bytes()).map_err(|error| error.to_string())?;
    let mut validation = Validation::new(Algorithm::RS256);
    // Held against the clock of the suite below, and not against that of this machine.
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    let decoded = jsonwebtoken::decode::<Map<String, Json>>(token, &key, &validation);
    let claims = decoded.map_err(|error| format!("the token is not signed by our key: {error}"))?.claims;
    for (name, value) in &jwt.claims {
        let found = claims.get(name).map(as_text);
        same(&format!("the token's `{name}`"), found.as_deref(), &filled(terms, value)?)?;
    }
    let now = terms.clock.now().timestamp();
    let number =
        |name: &str| claims.get(name).and_then(Json::as_i64).ok_or_else(|| format!("the token has no `{name}`"));
    let (issued, expires) = (number("iat")?, number("exp")?);
    if issued > now || expires <= now {
        return Err(format!("the token is good from {issued} to {expires}, and it is {now}"));
    }
    Ok(())
}

fn filled(terms: &Terms, template: &Template) -> Result<String, String> {
    let value = template.fill(&|name| terms.parameter(name));
    value.map(|value| as_text(&value)).ok_or_else(|| "the connector's template has no value".to_owned())
}

fn same(what: &str, found: Option<&str>, expected: &str) -> Result<(), String> {
    match found {
        Some(found) if found == expected => Ok(()),
        Some(found) => Err(format!("{what} is `{found}` instead of `{expected}`")),
        None => Err(format!("{what} is missing")),
    }
}
