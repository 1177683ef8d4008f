//! Headers an operator gives, and those that are not theirs to give.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::secret::Secret;
use crate::template::{Place, Template};
use crate::{Batch, BuildError, DeliveryError};

/// The name of a header that is an operator's to set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(pub HeaderName);

/// Those we set ourselves, or which would make another request of it.
const OURS: [(&str, &str); 8] = [
    ("content-encoding", "use the key `compression`"),
    ("content-length", "it is counted"),
    ("host", "it is the one of `url`"),
    ("transfer-encoding", "a body is sent with its length"),
    ("connection", "connections are kept"),
    ("te", "connections are kept"),
    ("upgrade", "connections are kept"),
    ("expect", "a body is sent at once"),
];

/// `headers = { … }` and `secret_headers = { … }` as they are sent.
#[derive(Debug)]
pub struct Headers {
    texts: BTreeMap<Name, Template>,
    secrets: HeaderMap,
}

impl Headers {
    pub fn new(texts: &BTreeMap<Name, Template>, secrets: &BTreeMap<Name, Secret>) -> Result<Self, BuildError> {
        for (name, value) in texts {
            let key = format!("headers.{name}");
            if matches!(name.0.as_str(), "authorization" | "proxy-authorization" | "cookie") {
                return Err(BuildError::new(
                    &key,
                    format!("`{name}` holds a credential, and `headers` are no secrets"),
                    "use the key `auth`, or `secret_headers`",
                ));
            }
            if value.varies() {
                return Err(BuildError::new(
                    &key,
                    "a request has many records, and they have different times",
                    "use `{vendor}` and `{pipeline}` here, and no other placeholder",
                ));
            }
            if HeaderValue::from_str(&value.to_string()).is_err() {
                return Err(BuildError::new(&key, "no header can hold this text", "write it in one line"));
            }
        }
        let mut map = HeaderMap::new();
        for (name, secret) in secrets {
            map.insert(name.0.clone(), secret_value(&format!("secret_headers.{name}"), secret.expose())?);
        }
        Ok(Self { texts: texts.clone(), secrets: map })
    }

    /// Sets all of them, in place of others of the same name.
    pub fn add(&self, headers: &mut HeaderMap, batch: &Batch) -> Result<(), DeliveryError> {
        for (name, template) in &self.texts {
            let Some(first) = batch.records.first() else { continue };
            let text = template.render(batch, first, Place::Text);
            let value = HeaderValue::from_str(&text).map_err(|error| {
                let hint = "name the pipeline without control characters, or leave `{pipeline}` out";
                DeliveryError::refused(format!("the header `{name}` cannot hold its text"), hint, error)
            })?;
            headers.insert(name.0.clone(), value);
        }
        self.add_secrets(headers);
        Ok(())
    }

    /// Sets those that say who we are.
    pub fn add_secrets(&self, headers: &mut HeaderMap) {
        for (name, value) in &self.secrets {
            headers.insert(name.clone(), value.clone());
        }
    }
}

/// A value that is not printed, or which key is at fault.
pub(super) fn secret_value(key: &str, text: &str) -> Result<HeaderValue, BuildError> {
    let mut value = HeaderValue::from_str(text).map_err(|_| {
        BuildError::new(key, "no header can hold this secret", "give it in one line, without control characters")
    })?;
    value.set_sensitive(true);
    Ok(value)
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.as_str().cmp(other.0.as_str())
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.as_str())
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let name: HeaderName =
            text.parse().map_err(|_| D::Error::custom(format!("expected the name of a header, found `{text}`")))?;
        match OURS.iter().find(|(ours, _)| *ours == name.as_str()) {
            Some((_, instead)) => Err(D::Error::custom(format!("`{text}` is set by auditline: {instead}"))),
            None => Ok(Self(name)),
        }
    }
}
