//! What a person was told of a trouble, so that it is told again only when it changes.

use std::time::Duration;

use super::backoff::Backoff;

/// A trouble that lasts: how often it was met, and what was told of it.
#[derive(Debug)]
pub struct Trouble {
    backoff: Backoff,
    told: Option<String>,
}

impl Trouble {
    /// No trouble yet. Once there is, attempts wait from `first` to `longest`.
    #[must_use]
    pub fn none(first: Duration, longest: Duration) -> Self {
        Self { backoff: Backoff::new(first, longest), told: None }
    }

    /// Attempts that failed since the last success.
    pub fn attempts(&self) -> u32 {
        self.backoff.attempts
    }

    /// The wait after one more failure; see [`Backoff::failed`].
    pub fn failed(&mut self, asked: Option<Duration>) -> Duration {
        self.backoff.failed(asked)
    }

    /// Whether a person is to be told of this: nothing was told yet, or something of another kind.
    pub fn is_news(&mut self, kind: &str) -> bool {
        let news = self.told.as_deref() != Some(kind);
        if news {
            self.told = Some(kind.to_owned());
        }
        news
    }

    /// Over. Returns how many attempts failed, if any did.
    pub fn over(&mut self) -> Option<u32> {
        let attempts = self.backoff.attempts;
        self.backoff.succeeded();
        self.told = None;
        (attempts > 0).then_some(attempts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_needs_a_person_is_told_after_what_did_not() {
        let mut trouble = Trouble::none(Duration::from_secs(1), Duration::from_secs(4));
        let told: Vec<bool> = ["passing", "passing", "the key expired", "the key expired", "passing"]
            .into_iter()
            .map(|kind| {
                trouble.failed(None);
                trouble.is_news(kind)
            })
            .collect();
        assert_eq!(told, [true, false, true, false, true]);
        assert_eq!(trouble.over(), Some(5));
        assert_eq!(trouble.over(), None);
        assert!(trouble.is_news("passing"));
    }
}
