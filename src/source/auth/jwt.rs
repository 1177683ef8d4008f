//! Tokens that we sign ourselves (RFC 7519).

use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::Map;

use super::{AuthError, Lookup, fill};
use crate::connector::model::{Jwt, JwtAlgorithm};

/// A token that is good from `now` on, by the clock of whoever reads it.
pub fn sign(jwt: &Jwt, lookup: Lookup<'_>, now: DateTime<Utc>) -> Result<String, AuthError> {
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
