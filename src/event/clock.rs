//! What time it is: the machine's clock, or one that a test or a simulation moves.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, Utc};

/// A clock. Copies of one show the same time.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    /// Microseconds since 1970; the machine's clock where there is none.
    moved_by_hand: Option<Arc<AtomicI64>>,
}

impl Clock {
    /// The machine's clock.
    #[must_use]
    pub fn system() -> Self {
        Self::default()
    }

    /// A clock that stands at `time` until it is set again.
    #[must_use]
    pub fn standing_at(time: DateTime<Utc>) -> Self {
        Self { moved_by_hand: Some(Arc::new(AtomicI64::new(time.timestamp_micros()))) }
    }

    /// What time it is.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        match &self.moved_by_hand {
            Some(micros) => DateTime::from_timestamp_micros(micros.load(Ordering::SeqCst)).unwrap_or_default(),
            None => Utc::now(),
        }
    }

    /// Sets a clock that was made [`standing_at`](Self::standing_at) some time; the machine's does not move.
    pub fn set(&self, time: DateTime<Utc>) {
        if let Some(micros) = &self.moved_by_hand {
            micros.store(time.timestamp_micros(), Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_of_a_standing_clock_show_the_same_time() {
        let (one, other) = ("2026-09-14T08:22:31Z".parse().unwrap(), "2026-09-14T09:00:00.5Z".parse().unwrap());
        let clock = Clock::standing_at(one);
        let copy = clock.clone();
        assert_eq!(copy.now(), one);
        clock.set(other);
        assert_eq!(copy.now(), other);
    }

    #[test]
    fn the_machines_clock_cannot_be_set() {
        let clock = Clock::system();
        clock.set(DateTime::UNIX_EPOCH);
        assert!(clock.now() > DateTime::UNIX_EPOCH);
    }
}
