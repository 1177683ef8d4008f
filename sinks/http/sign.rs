//! A signature of what is sent, by which the receiver knows that it comes from us: an HMAC in a header.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::header::{HeaderMap, HeaderValue};
use serde::Deserialize;
use sha2::{Sha256, Sha512};

use super::headers::Name;
use crate::BuildError;
use crate::secret::Secret;

/// `sign = { header = "X-Signature", secret = { env = "…" } }`
#[derive(Clone, Debug, Deserialize)]
pub struct Sign {
    /// The header that holds the signature.
    pub header: Name,
    /// The key both sides know.
    pub secret: Secret,
    /// How the key is written, `"text"` unless set.
    #[serde(default)]
    pub secret_encoding: KeyEncoding,
    /// `"sha256"` unless set.
    #[serde(default)]
    pub algorithm: Algorithm,
    /// What is signed, `"body"` unless set: the bytes as they are sent, compressed if they are.
    #[serde(default)]
    pub of: Signed,
    /// The header that holds the time, in seconds since 1970. Needed where the time is signed.
    pub timestamp_header: Option<Name>,
    /// How the signature is written, `"hex"` unless set.
    #[serde(default)]
    pub encoding: Encoding,
    /// What stands before it: `sha256=`.
    #[serde(default)]
    pub prefix: String,
}

/// The hash within the HMAC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    /// SHA-256
    #[default]
    Sha256,
    /// SHA-512
    Sha512,
}

/// What is signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum Signed {
    /// The body.
    #[default]
    #[serde(rename = "body")]
    Body,
    /// The time, a dot, the body: an old request cannot be sent again by somebody else.
    #[serde(rename = "timestamp.body")]
    TimestampBody,
    /// The request's id, which `idempotency_header` sends, and then the same.
    #[serde(rename = "id.timestamp.body")]
    IdTimestampBody,
}

/// How the signature is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// Hexadecimal digits in lower case.
    #[default]
    Hex,
    /// Base64 with padding.
    Base64,
}

/// How the key is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyEncoding {
    /// The text is the key.
    #[default]
    Text,
    /// The key is what the Base64 stands for, after a `whsec_` if there is one.
    Base64,
}

impl Sign {
    pub(super) fn validate(&self, has_id: bool) -> Result<(), BuildError> {
        if self.of != Signed::Body && self.timestamp_header.is_none() {
            return Err(BuildError::new(
                "sign.of",
                "a time is signed and not sent, so that nobody can verify it",
                "add `timestamp_header`",
            ));
        }
        if self.of == Signed::IdTimestampBody && !has_id {
            return Err(BuildError::new(
                "sign.of",
                "an id is signed and not sent, so that nobody can verify it",
                "add `idempotency_header` beside `sign`",
            ));
        }
        if HeaderValue::from_str(&self.prefix).is_err() {
            return Err(BuildError::new("sign.prefix", "no header can hold this prefix", "use plain ASCII"));
        }
        self.key().map(drop).ok_or_else(|| {
            BuildError::new("sign.secret", "the secret is not Base64", "leave out `secret_encoding = \"base64\"`")
        })
    }

    fn key(&self) -> Option<Vec<u8>> {
        let secret = self.secret.expose();
        match self.secret_encoding {
            KeyEncoding::Text => Some(secret.as_bytes().to_vec()),
            KeyEncoding::Base64 => BASE64_STANDARD.decode(secret.strip_prefix("whsec_").unwrap_or(secret)).ok(),
        }
    }

    /// Adds the signature of `body`, and the time where that belongs to it.
    pub(super) fn add(&self, headers: &mut HeaderMap, id: &str, body: &[u8], now: i64) {
        let now = now.to_string();
        if let Some(name) = &self.timestamp_header {
            headers.insert(name.0.clone(), HeaderValue::from_str(&now).expect("digits"));
        }
        let signed: &[&[u8]] = match self.of {
            Signed::Body => &[body],
            Signed::TimestampBody => &[now.as_bytes(), b".", body],
            Signed::IdTimestampBody => &[id.as_bytes(), b".", now.as_bytes(), b".", body],
        };
        let key = self.key().unwrap_or_default();
        let mac = match self.algorithm {
            Algorithm::Sha256 => mac::<Hmac<Sha256>>(&key, signed),
            Algorithm::Sha512 => mac::<Hmac<Sha512>>(&key, signed),
        };
        let text = match self.encoding {
            Encoding::Hex => mac.iter().map(|byte| format!("{byte:02x}")).collect(),
            Encoding::Base64 => BASE64_STANDARD.encode(mac),
        };
        // The prefix was looked at when the sink was built, and the rest is ASCII.
        if let Ok(value) = HeaderValue::from_str(&(self.prefix.clone() + &text)) {
            headers.insert(self.header.0.clone(), value);
        }
    }
}

fn mac<M: Mac + KeyInit>(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut mac = <M as KeyInit>::new_from_slice(key).expect("an HMAC takes a key of any length");
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn signed(keys: Value, id: &str, body: &[u8], now: i64) -> HeaderMap {
        let sign: Sign = serde_json::from_value(keys).unwrap();
        sign.validate(true).unwrap();
        let mut headers = HeaderMap::new();
        sign.add(&mut headers, id, body, now);
        headers
    }

    #[test]
    fn signs_as_github_does() {
        // The example of GitHub's "Validating webhook deliveries".
        let keys =
            json!({ "header": "X-Hub-Signature-256", "secret": "It's a Secret to Everybody", "prefix": "sha256=" });
        let headers = signed(keys, "", b"Hello, World!", 0);
        assert_eq!(
            headers["x-hub-signature-256"],
            "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
        );
    }

    #[test]
    fn signs_as_standard_webhooks_does() {
        // The example of the specification "Standard Webhooks" 1.0.0.
        let keys = json!({
            "header": "webhook-signature", "prefix": "v1,", "of": "id.timestamp.body", "encoding": "base64",
            "timestamp_header": "webhook-timestamp", "secret_encoding": "base64",
            "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        });
        let body = br#"{"test": 2432232314}"#;
        let headers = signed(keys, "msg_p5jXN8AQM9LWM0D4loKWxJek", body, 1_614_265_330);
        assert_eq!(headers["webhook-timestamp"], "1614265330");
        assert_eq!(headers["webhook-signature"], "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn what_nobody_could_verify_is_refused() {
        for (of, has_id) in [("timestamp.body", true), ("id.timestamp.body", false)] {
            let keys = json!({ "header": "x", "secret": "s", "of": of });
            let sign: Sign = serde_json::from_value(keys).unwrap();
            assert_eq!(sign.validate(has_id).unwrap_err().key, "sign.of");
        }
        let keys = json!({ "header": "x", "secret": "not base64!", "secret_encoding": "base64" });
        let sign: Sign = serde_json::from_value(keys).unwrap();
        assert_eq!(sign.validate(true).unwrap_err().key, "sign.secret");
    }
}
