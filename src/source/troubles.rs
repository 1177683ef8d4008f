//! What a vendor is in trouble with, told when it begins and when it is over, and not at every attempt.

use std::collections::BTreeSet;
use std::sync::Mutex;

/// So many clean answers in a row end a trouble: a vendor that fails every other time is still in it.
const CLEAN_ANSWERS: u32 = 10;

/// The troubles with one vendor.
#[derive(Debug)]
pub struct Troubles {
    vendor: String,
    /// Held for a few lines without an await.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The kinds that were told since everything was well.
    told: BTreeSet<String>,
    /// Clean answers in a row.
    clean: u32,
}

impl Troubles {
    /// No trouble with `vendor` yet.
    #[must_use]
    pub fn new(vendor: &str) -> Self {
        Self { vendor: vendor.to_owned(), state: Mutex::default() }
    }

    /// Notes that a request failed and is tried again, `kind` being the same for what is the same to a person. Returns
    /// whether it was told.
    pub fn failed(&self, kind: &str, message: &str) -> bool {
        let mut state = self.state.lock().expect("no panic while the lock is held");
        state.clean = 0;
        let is_news = state.told.insert(kind.to_owned());
        if is_news {
            tracing::info!(vendor = self.vendor, reason = message, "asking again until it works");
        }
        is_news
    }

    /// Notes an answer that needed no second attempt. Returns whether the end of a trouble was told.
    pub fn answered(&self) -> bool {
        let mut state = self.state.lock().expect("no panic while the lock is held");
        state.clean += 1;
        if state.told.is_empty() || state.clean < CLEAN_ANSWERS {
            return false;
        }
        state.told.clear();
        tracing::info!(vendor = self.vendor, "answers at the first attempt again");
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_told_once_until_it_was_over_for_a_while() {
        let troubles = Troubles::new("Acme");
        assert!(troubles.failed("HTTP 503", "Acme answered HTTP 503: ray 1"));
        assert!(!troubles.failed("HTTP 503", "Acme answered HTTP 503: ray 2"));
        assert!(troubles.failed("HTTP 429", "Acme answered HTTP 429"));
        for _ in 1..CLEAN_ANSWERS {
            assert!(!troubles.answered());
        }
        assert!(!troubles.failed("HTTP 503", "Acme answered HTTP 503: ray 3"));
        let ends: Vec<bool> = (0..=CLEAN_ANSWERS).map(|_| troubles.answered()).collect();
        assert_eq!(ends.iter().filter(|told| **told).count(), 1);
        assert!(troubles.failed("HTTP 503", "Acme answered HTTP 503: ray 4"));
    }
}
