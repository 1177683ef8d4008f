//! Whether a request says who it is from, in the way that the connector names.

use axum::http::HeaderMap;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Map, Value as Json, json};
use url::Url;
use url::form_urlencoded::byte_serialize;

use super::super::credentials::VOXIMPLANT_PUBLIC_KEY;
use super::super::http::{basic, bearer};
use super::asked::Incoming;
use super::{Terms, answer, recognize};
use crate::connector::model::{Auth, Jwt, JwtAlgorithm, Oauth2, SendClient};
use crate::connector::{Template, as_text};

/// What a client is given for its own credentials.
const TOKEN: &str = "made-up-access-token";

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
        Auth::Oauth2(_) => same("the bearer token", bearer(headers), TOKEN),
    }
}

/// The answer to a request for a token (RFC 6749 4.4); `None` for any other request.
pub fn token(terms: &Terms, incoming: &Incoming) -> Option<Result<Response, String>> {
    let Auth::Oauth2(oauth2) = &terms.way else { return None };
    let address = oauth2.token_url.fill_address(&|name| terms.parameter(name))?;
    // Who is read from this machine gives its tokens there, too.
    let path = Url::parse(&address).map_or(address, |url| url.path().to_owned());
    let is_it = incoming.target == path && recognize::base_path(terms) != path;
    is_it.then(|| {
        client(terms, oauth2, incoming)?;
        let body = json!({ "access_token": TOKEN, "token_type": "Bearer", "expires_in": 3600 });
        Ok(answer::with_json(200, &body))
    })
}

fn client(terms: &Terms, oauth2: &Oauth2, incoming: &Incoming) -> Result<(), String> {
    let sent = |name: &str| match oauth2.send {
        SendClient::Json => incoming.json.as_ref().and_then(|json| json.get(name)).map(as_text),
        SendClient::Basic | SendClient::Form => {
            incoming.form.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
        }
    };
    let (id, secret) = (filled(terms, &oauth2.client_id)?, filled(terms, &oauth2.client_secret)?);
    match oauth2.send {
        SendClient::Basic => {
            // Both are form-encoded first (RFC 6749 2.3.1).
            let coded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
            let pair = STANDARD.encode(format!("{}:{}", coded(&id), coded(&secret)));
            let found = incoming.headers.get("authorization").and_then(|value| value.to_str().ok());
            same("the client", found, &format!("Basic {pair}"))?;
        }
        SendClient::Form | SendClient::Json => {
            same("the client's id", sent("client_id").as_deref(), &id)?;
            same("the client's secret", sent("client_secret").as_deref(), &secret)?;
        }
    }
    let own = oauth2.parameters.iter().map(|(name, template)| (name.as_str(), template));
    for (name, template) in own.chain(oauth2.scope.iter().map(|scope| ("scope", scope))) {
        if let Some(value) = template.fill(&|name| terms.parameter(name)) {
            same(&format!("`{name}`"), sent(name).as_deref(), &as_text(&value))?;
        }
    }
    match oauth2.parameters.contains_key("grant_type") {
        true => Ok(()),
        false => same("`grant_type`", sent("grant_type").as_deref(), "client_credentials"),
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
