//! What one source was told: the operator's words, already checked.

use std::collections::BTreeMap;
use std::sync::Arc;

use auditline_sinks::secret::Secret;
use chrono::{DateTime, Utc};
use serde_json::Value as Json;
use sha2::{Digest, Sha256};
use url::Url;

use super::cursor::Rules;
use crate::connector::Connector;
use crate::connector::model::Rate;
use crate::event::Clock;

/// Everything a source needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How the vendor's API works.
    pub connector: Arc<Connector>,
    /// Where it is. Credentials go to this host and no other.
    pub base_url: Url,
    /// The connector's parameters.
    pub parameters: BTreeMap<String, Setting>,
    /// The vendor's own filters.
    pub filters: Vec<Filter>,
    /// Where reading begins when there is no cursor yet.
    pub start: DateTime<Utc>,
    /// Which windows are asked for.
    pub rules: Rules,
    /// Which of the connector's ways to read is used.
    pub mode: Mode,
    /// What the upstream may be asked.
    pub rate: Rate,
    /// The share of the quota left to others, 0 to below 1.
    pub reserve: f64,
    /// What time it is.
    pub clock: Clock,
}

/// A parameter's value.
#[derive(Clone, Debug)]
pub enum Setting {
    /// Anybody may see it.
    Plain(String),
    /// Nobody may.
    Secret(Secret),
}

/// A filter of the vendor's, by its name on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// The parameter's name in the request.
    pub name: String,
    /// What it lets through, or keeps out.
    pub values: Vec<Json>,
}

/// Which way to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// By the window's age, where the connector says so.
    Auto,
    /// That one.
    Named(String),
}

impl Settings {
    /// The value of a parameter, or of a member of a JSON one (`credentials.key_id`).
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<Json> {
        if let Some((name, member)) = name.split_once('.') {
            let Setting::Secret(secret) = self.parameters.get(name)? else { return None };
            let object: Json = serde_json::from_str(secret.expose()).ok()?;
            return object.get(member).cloned();
        }
        Some(Json::String(match self.parameters.get(name)? {
            Setting::Plain(text) => text.clone(),
            Setting::Secret(secret) => secret.expose().to_owned(),
        }))
    }

    /// What shares a budget with this source: the same connector, host and credentials.
    #[must_use]
    pub fn upstream(&self) -> String {
        let mut digest = Sha256::new();
        for (name, setting) in &self.parameters {
            if let Setting::Secret(secret) = setting {
                digest.update(name.as_bytes());
                digest.update([0]);
                digest.update(secret.expose().as_bytes());
                digest.update([0]);
            }
        }
        let credential: String = digest.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        format!("{} {} {credential}", self.connector.name, self.base_url)
    }
}
