//! How a certificate is left unverified: in words, so that nobody does it by the way.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// What has to be written out for certificates not to be verified.
pub const PHRASE: &str = "any certificate is accepted";

/// Says that no certificate is verified. There is one way to write it, [`PHRASE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Insecure(());

impl<'de> Deserialize<'de> for Insecure {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // `true` is what people try first, and it is to be answered with the words and what they mean.
        match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::String(text) if text == PHRASE => Ok(Self(())),
            _ => Err(D::Error::custom(format!(
                "whoever answers could read the logs and the credentials: trust the server's authority with `ca`, or \
                 spell out `insecure = \"{PHRASE}\"`"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn is_spelt_out_or_refused() {
        assert!(serde_json::from_value::<Insecure>(json!(PHRASE)).is_ok());
        for value in [json!(true), json!(false), json!("true"), json!("yes"), json!({})] {
            let error = serde_json::from_value::<Insecure>(value).unwrap_err();
            assert!(error.to_string().contains(PHRASE), "{error}");
        }
    }
}
