//! Who we are to the server: an API key, a user, a token, or nobody (or who the client's certificate says).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::HeaderValue;

use super::Config;
use crate::BuildError;
use crate::secret::Secret;

/// The header, and all that must not be repeated from it.
pub(super) struct Credentials {
    pub header: Option<HeaderValue>,
    pub secrets: Vec<Secret>,
}

pub(super) fn of(config: &Config) -> Result<Credentials, BuildError> {
    let user = match (&config.username, &config.password) {
        (Some(name), Some(password)) => Some((name, password)),
        (None, None) => None,
        (Some(_), None) => {
            return Err(BuildError::new("username", "`username` without its `password`", "add `password`"));
        }
        (None, Some(_)) => {
            return Err(BuildError::new("password", "`password` without its `username`", "add `username`"));
        }
    };
    let mut found = Vec::new();
    if let Some(key) = &config.api_key {
        // What Kibana shows as `encoded` has no colon: base64 knows none.
        let encoded = match key.expose().contains(':') {
            true => STANDARD.encode(key.expose()),
            false => key.expose().to_owned(),
        };
        found.push(("api_key", "ApiKey", encoded, key));
    }
    if let Some((name, password)) = user {
        if name.contains(':') {
            return Err(BuildError::new("username", "a user's name holds no `:`", "the password goes to `password`"));
        }
        found.push(("username", "Basic", STANDARD.encode(format!("{name}:{}", password.expose())), password));
    }
    if let Some(token) = &config.bearer_token {
        found.push(("bearer_token", "Bearer", token.expose().to_owned(), token));
    }
    if let [_, (key, ..), ..] = found[..] {
        return Err(BuildError::new(
            key,
            "more than one way to say who we are",
            "choose `api_key`, `username` and `password`, or `bearer_token`",
        ));
    }
    let Some((key, scheme, value, secret)) = found.pop() else {
        return Ok(Credentials { header: None, secrets: Vec::new() });
    };
    let mut header = HeaderValue::try_from(format!("{scheme} {value}")).map_err(|_| {
        BuildError::new(key, format!("`{key}` holds what no header can"), "look for a line break or a blank too many")
    })?;
    header.set_sensitive(true);
    let secrets = [Some(secret.clone()), Secret::literal(value).ok()];
    Ok(Credentials { header: Some(header), secrets: secrets.into_iter().flatten().collect() })
}
