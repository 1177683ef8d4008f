//! What one source was told: the operator's words, already checked.

use std::collections::BTreeMap;
use std::sync::Arc;

use auditline_sinks::secret::Hidden;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value as Json;
use sha2::{Digest, Sha256};
use url::Url;

use super::cursor::{Identity, Rules};
use super::secrets::Rotating;
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
    /// When the credential ends, by the operator's word.
    pub credential_expires: Option<DateTime<Utc>>,
}

/// A parameter's value.
#[derive(Clone, Debug)]
pub enum Setting {
    /// Anybody may see it.
    Plain(String),
    /// Nobody may. It may change under way.
    Secret(Rotating),
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
            let object: Json = serde_json::from_str(secret.now().expose()).ok()?;
            return object.get(member).cloned();
        }
        Some(Json::String(match self.parameters.get(name)? {
            Setting::Plain(text) => text.clone(),
            Setting::Secret(secret) => secret.now().expose().to_owned(),
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

    /// Whose log is read, and what of it.
    #[must_use]
    pub fn identity(&self) -> Identity {
        let plain = self.parameters.iter().filter_map(|(name, setting)| match setting {
            Setting::Plain(text) => Some((name, text)),
            Setting::Secret(_) => None,
        });
        let account = plain.flat_map(|(name, text)| [name.as_str(), text.as_str()]);
        let filters =
            self.filters.iter().map(|filter| format!("{} {}", filter.name, Json::Array(filter.values.clone())));
        let mode = match &self.mode {
            Mode::Auto => "",
            Mode::Named(name) => name.as_str(),
        };
        let asked: Vec<String> = [self.base_url.to_string(), mode.to_owned()].into_iter().chain(filters).collect();
        Identity {
            account: digest([&*self.connector.name].into_iter().chain(account)),
            asked: digest(asked.iter().map(String::as_str)),
        }
    }

    /// What shares a budget with this source: the same connector, host and credentials. A secret that changes under way
    /// is still the same credential: the vendor's count of our requests does not begin again with it.
    #[must_use]
    pub fn upstream(&self) -> String {
        let mut digest = Sha256::new();
        for (name, setting) in &self.parameters {
            if let Setting::Secret(secret) = setting {
                digest.update(name.as_bytes());
                digest.update([0]);
                digest.update(secret.first().expose().as_bytes());
                digest.update([0]);
            }
        }
        let credential: String = digest.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        format!("{} {} {credential}", self.connector.name, self.base_url)
    }

    /// The secrets among the parameters.
    pub fn secrets(&self) -> impl Iterator<Item = &Rotating> {
        self.parameters.values().filter_map(|setting| match setting {
            Setting::Secret(secret) => Some(secret),
            Setting::Plain(_) => None,
        })
    }

    /// How often a secret has changed: what was made of them before is then of no use.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.secrets().map(Rotating::changes).sum()
    }

    /// `text` with `***` where it quotes a secret, as some vendors do who refuse one.
    #[must_use]
    pub fn without_secrets(&self, text: &str) -> String {
        let mut hidden: Vec<String> = Vec::new();
        for secret in self.secrets().flat_map(|secret| [secret.first().clone(), secret.now()]) {
            match serde_json::from_str(secret.expose()) {
                Ok(Json::Object(members)) => {
                    hidden.extend(members.values().filter_map(Json::as_str).map(ToOwned::to_owned));
                }
                _ => hidden.push(secret.expose().to_owned()),
            }
        }
        hide(text, hidden)
    }
}

/// `text` with `***` for each of these, in whatever spelling a vendor quotes it.
pub fn hide(text: &str, hidden: impl IntoIterator<Item = String>) -> String {
    let hidden: Vec<String> = hidden.into_iter().collect();
    Hidden::of(hidden.iter().map(String::as_str), SHORTEST_HIDDEN).hide(text)
}

/// What is shorter stands in many a text, and says nothing about it.
const SHORTEST_HIDDEN: usize = 8;

/// A short name for a list of texts that tells it from other lists.
fn digest<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    let mut digest = Sha256::new();
    for text in texts {
        digest.update(text.as_bytes());
        digest.update([0]);
    }
    digest.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use auditline_sinks::secret::Secret;
    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;

    use super::*;

    fn settings(connector: &str, secrets: &[(&str, &str)]) -> Settings {
        let connector = Connector::embedded(connector).unwrap();
        let secret = |value: &str| Setting::Secret(Secret::literal(value).unwrap().into());
        Settings {
            base_url: Url::parse("https://vendor.example").unwrap(),
            parameters: secrets.iter().map(|(name, value)| ((*name).to_owned(), secret(value))).collect(),
            filters: Vec::new(),
            start: DateTime::UNIX_EPOCH,
            rules: Rules {
                size: TimeDelta::days(1),
                grow_to: TimeDelta::zero(),
                lag: TimeDelta::zero(),
                overlap: TimeDelta::zero(),
            },
            mode: Mode::Auto,
            rate: connector.definition.limits.rate,
            reserve: 0.0,
            clock: Clock::system(),
            credential_expires: None,
            connector,
        }
    }

    #[test]
    fn what_a_vendor_says_of_a_credential_does_not_show_it() {
        let telnyx =
            settings("telnyx", &[("api_key", "KEY0123abcd"), ("other", "KEY0123abcdefgh"), ("short", "answer")]);
        for (said, shown) in [
            ("HTTP 401: no key KEY0123abcd found", "HTTP 401: no key *** found"),
            ("HTTP 400: Authorization: Bearer KEY0123abcdefgh", "HTTP 400: Authorization: Bearer ***"),
            ("HTTP 400: KEY0123abcd and KEY0123abcd", "HTTP 400: *** and ***"),
            ("HTTP 400: <pre>KEY0123ab…", "HTTP 400: <pre>***…"),
            ("HTTP 400: <pre>KEY…", "HTTP 400: <pre>KEY…"),
            ("HTTP 502: no answer", "HTTP 502: no answer"),
            ("HTTP 401: key0123ABCD", "HTTP 401: ***"),
            ("HTTP 401: Y0123abcdef is part of it", "HTTP 401: *** is part of it"),
        ] {
            assert_eq!(telnyx.without_secrets(said), shown);
        }
    }

    #[test]
    fn nor_the_members_of_a_json_one_nor_what_basic_authentication_makes_of_it() {
        let json =
            r#"{ "account_id": 1, "key_id": "k-123456789", "private_key": "-----BEGIN KEY-----\nMIIEabcdef\n" }"#;
        let voximplant = settings("voximplant", &[("credentials", json)]);
        assert_eq!(voximplant.without_secrets("no k-123456789: -----BEGIN KEY----- MIIEabcdef"), "no ***: *** ***");
        let ashby = settings("ashby", &[("api_key", "0123456789abcdef")]);
        let basic = BASE64_STANDARD.encode("0123456789abcdef:");
        assert_eq!(ashby.without_secrets(&format!("Basic {basic}")), "Basic ***jo=");
    }

    // A vendor answered 401 with the key as its router had it, and the error showed it.
    #[test]
    fn a_key_that_a_vendor_quotes_percent_encoded_is_hidden() {
        let ashby = settings("ashby", &[("api_key", "ab/cd+ef==0123")]);
        for said in
            ["ab%2Fcd%2Bef%3D%3D0123", "ab%2fcd%2bef%3d%3d0123", r"ab\/cd\u002Bef==0123", "ab&#x2F;cd&#43;ef==0123"]
        {
            assert_eq!(ashby.without_secrets(&format!("Invalid API key: {said}")), "Invalid API key: ***");
        }
    }
}
