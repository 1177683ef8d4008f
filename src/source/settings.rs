//! What one source was told: the operator's words, already checked.

use std::collections::BTreeMap;
use std::sync::Arc;

use auditline_sinks::secret::Secret;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value as Json;
use sha2::{Digest, Sha256};
use url::Url;

use super::cursor::Rules;
use crate::connector::Connector;
use crate::connector::model::{Rate, Read};
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

    /// The way to read a window that began so long ago, with its name.
    #[must_use]
    pub fn choose(&self, age: TimeDelta) -> (&str, &Read) {
        if let Mode::Named(name) = &self.mode {
            return self.way(name);
        }
        let beyond = |read: &Read| read.beyond.is_some_and(|beyond| age.to_std().is_ok_and(|age| age > beyond.0));
        let far = self.connector.definition.read.iter().find(|(_, read)| beyond(read));
        far.map_or_else(|| self.pages(), |(name, read)| (&name.value, read))
    }

    /// The way of that name, or the plain one: a cursor may name a way that the connector no longer has.
    #[must_use]
    pub fn way(&self, name: &str) -> (&str, &Read) {
        let known = self.connector.definition.read.get_key_value(name);
        known.map_or_else(|| self.pages(), |(name, read)| (&name.value, read))
    }

    /// The way that needs no job.
    ///
    /// # Panics
    /// Never: a connector without any way to read is not sound.
    #[must_use]
    pub fn pages(&self) -> (&str, &Read) {
        let reads = &self.connector.definition.read;
        let (name, read) = reads
            .iter()
            .find(|(_, read)| read.job.is_none())
            .or_else(|| reads.first_key_value())
            .expect("a connector has at least one way to read");
        (&name.value, read)
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
