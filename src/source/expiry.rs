//! When the credential ends, by the vendor's word or the operator's, and who is told in time.

use std::sync::Mutex;

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::header::{HeaderMap, HeaderName};

use crate::event::time;

/// Fewer than so many days left are told, once each.
const WARNINGS: [i64; 2] = [14, 2];

/// What is known of the end of a credential.
#[derive(Debug)]
pub struct Forecast {
    /// Whose credential it is.
    vendor: String,
    /// Where the vendor tells it, if it does.
    header: Option<HeaderName>,
    /// The operator's word, which counts while the vendor says nothing.
    noted: Option<DateTime<Utc>>,
    /// Held for a few lines without an await.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The vendor's word.
    told: Option<DateTime<Utc>>,
    /// Of which version of the secrets.
    version: u64,
    /// How many of the warnings were given.
    warned: usize,
    /// A word of the vendor's was not understood, and a person was told.
    puzzled: bool,
}

impl Forecast {
    /// A forecast for a credential of `vendor`.
    #[must_use]
    pub fn new(vendor: &str, header: Option<&str>, noted: Option<DateTime<Utc>>) -> Self {
        let header = header.and_then(|name| HeaderName::try_from(name).ok());
        Self { vendor: vendor.to_owned(), header, noted, state: Mutex::default() }
    }

    /// When the credential ends, as far as anybody told.
    #[must_use]
    pub fn expires(&self) -> Option<DateTime<Utc>> {
        self.state.lock().expect("no panic while the lock is held").told.or(self.noted)
    }

    /// Takes the vendor's word from an answer to a request with that version of the secrets, and warns when the end is
    /// near. Returns how many days were warned of.
    pub fn note(&self, headers: &HeaderMap, version: u64, now: DateTime<Utc>) -> Option<i64> {
        let mut state = self.state.lock().expect("no panic while the lock is held");
        if version > state.version {
            // Another credential, which may have no end.
            *state = State { version, ..State::default() };
        } else if version < state.version {
            return None;
        }
        let word = self.header.as_ref().and_then(|name| headers.get(name)).and_then(|value| value.to_str().ok());
        match word.map(|word| (word, instant(word))) {
            Some((_, Some(told))) => state.told = Some(told),
            Some((word, None)) if !state.puzzled => {
                state.puzzled = true;
                let vendor = &self.vendor;
                tracing::warn!(
                    vendor,
                    word,
                    "cannot tell when the credential expires: the vendor's date is in no known form"
                );
            }
            _ => {}
        }
        let expires = state.told.or(self.noted)?;
        let near = WARNINGS.iter().filter(|days| expires - now < TimeDelta::days(**days)).count();
        let news = near > state.warned;
        // A date that was put off is told of again when it comes near.
        state.warned = near;
        news.then(|| {
            let days_left = (expires - now).num_days();
            let (vendor, expires) = (&self.vendor, expires.to_rfc3339());
            tracing::warn!(vendor, expires, days_left, "the credential expires soon: renew it with the vendor");
            WARNINGS[near - 1]
        })
    }
}

/// A date as vendors write it into a header.
fn instant(word: &str) -> Option<DateTime<Utc>> {
    let word = word.trim();
    let without_zone = word.strip_suffix("UTC").or_else(|| word.strip_suffix("GMT")).map(str::trim_end);
    let is_day_first = || DateTime::parse_from_rfc2822(word).ok().map(|time| time.to_utc());
    let found = is_day_first().or_else(|| time::from_text(without_zone.unwrap_or(word)))?;
    // A small number is a span or a count, and no date.
    (found.timestamp() >= 1_000_000_000).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn headers(word: &str) -> HeaderMap {
        [(HeaderName::from_static("x-expires"), word.parse().unwrap())].into_iter().collect()
    }

    #[test]
    fn every_form_that_occurs_is_the_same_instant() {
        let expected = Some(at("2026-12-01T00:00:00Z"));
        for word in [
            "2026-12-01T00:00:00Z",
            "2026-12-01T01:00:00+01:00",
            "2026-12-01 00:00:00 UTC",
            "2026-11-30 17:00:00 -0700",
            "Tue, 01 Dec 2026 00:00:00 GMT",
            "1796083200",
            "1796083200000",
            " 2026-12-01 ",
        ] {
            assert_eq!(instant(word), expected, "{word}");
        }
        for word in ["", "never", "86400", "-1", "UTC"] {
            assert_eq!(instant(word), None, "{word}");
        }
    }

    #[test]
    fn each_threshold_is_told_once() {
        let forecast = Forecast::new("Acme", Some("x-expires"), None);
        let mut told = Vec::new();
        for now in [
            "2026-11-01T00:00:00Z",
            "2026-11-17T00:00:01Z",
            "2026-11-20T00:00:00Z",
            "2026-11-29T00:00:01Z",
            "2026-12-02T00:00:00Z",
        ] {
            told.push(forecast.note(&headers("2026-12-01T00:00:00Z"), 0, at(now)));
        }
        assert_eq!(told, [None, Some(14), None, Some(2), None]);
        assert_eq!(forecast.expires(), Some(at("2026-12-01T00:00:00Z")));
    }

    #[test]
    fn another_credential_has_an_end_of_its_own() {
        let forecast = Forecast::new("Acme", Some("x-expires"), None);
        let now = at("2026-11-30T12:00:00Z");
        assert_eq!(forecast.note(&headers("2026-12-01T00:00:00Z"), 0, now), Some(2));
        assert_eq!(forecast.note(&HeaderMap::new(), 0, now), None);
        assert_eq!(forecast.expires(), Some(at("2026-12-01T00:00:00Z")));
        assert_eq!(forecast.note(&HeaderMap::new(), 1, now), None);
        assert_eq!(forecast.expires(), None);
        assert_eq!(forecast.note(&headers("2026-12-10T00:00:00Z"), 1, now), Some(14));
    }

    #[test]
    fn the_operators_word_counts_until_the_vendor_says_something() {
        let forecast = Forecast::new("Acme", Some("x-expires"), Some(at("2027-01-31T00:00:00Z")));
        let now = at("2026-11-30T12:00:00Z");
        assert_eq!(forecast.note(&headers("soon"), 0, now), None);
        assert_eq!(forecast.expires(), Some(at("2027-01-31T00:00:00Z")));
        assert_eq!(forecast.note(&headers("2026-12-10T00:00:00Z"), 0, now), Some(14));
        assert_eq!(forecast.expires(), Some(at("2026-12-10T00:00:00Z")));
    }
}
