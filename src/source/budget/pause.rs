//! The silence after a vendor has counted us out, which holds for everybody who shares the budget.

use std::time::Duration;

use tokio::time::Instant;

/// The first pause after a refusal that says nothing of how long; it doubles.
const FIRST: Duration = Duration::from_millis(500);
/// The longest pause that nobody asked for.
const LONGEST: Duration = Duration::from_secs(30);

/// How much slower we ask after each refusal. A vendor that refuses what its numbers allow, or that publishes none, is
/// not to be refusing us for ever.
const SLOWER: f64 = 1.5;
/// How much of that an answer takes back.
const FASTER: f64 = 0.98;
/// The slowest that refusals make us.
const SLOWEST: f64 = 4.0;

/// Whether and until when nobody asks, and how warily after it.
#[derive(Debug)]
pub(super) struct Pause {
    until: Option<Instant>,
    /// Requests up to this one were under way when the last pause began.
    under_way_then: u64,
    /// Pauses since the last answer that was no refusal.
    strikes: u32,
    /// 429s so far.
    refusals: u64,
    /// How many times slower than the quota allows we ask at present.
    slowness: f64,
}

impl Default for Pause {
    fn default() -> Self {
        Self { until: None, under_way_then: 0, strikes: 0, refusals: 0, slowness: 1.0 }
    }
}

impl Pause {
    /// Nobody asks before this.
    pub fn until(&self, now: Instant) -> Option<Instant> {
        self.until.filter(|until| *until > now)
    }

    /// Whether the vendor has not yet shown that it takes requests again. One at a time is enough to find out.
    pub fn is_on_trial(&self) -> bool {
        self.strikes > 0
    }

    pub fn refusals(&self) -> u64 {
        self.refusals
    }

    /// How many times slower than the quota allows to ask at present, at least 1.
    pub fn slowness(&self) -> f64 {
        self.slowness
    }

    /// Nobody asks until then. A longer pause that is already under way stays.
    pub fn hold(&mut self, until: Instant) {
        self.until = Some(self.until.map_or(until, |before| before.max(until)));
    }

    /// The vendor refused `request`, asking to wait so long, or saying nothing; then nobody asks for at least `block`.
    /// `newest` is the last request that was sent.
    pub fn refused(&mut self, request: u64, asked: Option<Duration>, block: Duration, newest: u64, now: Instant) {
        self.refusals += 1;
        if request <= self.under_way_then {
            // It was sent before the pause that holds now, and so tells nothing new but what it asks for.
            if let Some(asked) = asked {
                self.hold(now + asked);
            }
            return;
        }
        self.strikes += 1;
        self.slowness = (self.slowness * SLOWER).min(SLOWEST);
        self.under_way_then = newest;
        let wait = match asked {
            // A vendor that asks for too little, and refuses again, is not believed.
            Some(asked) => asked.max(growing(self.strikes - 1)),
            None => block.max(growing(self.strikes)),
        };
        self.hold(now + wait);
    }

    /// The vendor answered `request`, and did not refuse it.
    pub fn answered(&mut self, request: u64) {
        if request > self.under_way_then {
            self.strikes = 0;
            self.slowness = (self.slowness * FASTER).max(1.0);
        }
    }
}

fn growing(strikes: u32) -> Duration {
    match strikes {
        0 => Duration::ZERO,
        strikes => FIRST.saturating_mul(1 << (strikes - 1).min(16)).min(LONGEST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The seconds of silence after a refusal of `request`, the newest one being `newest`.
    fn refused(pause: &mut Pause, request: u64, asked: Option<u64>, block: u64, newest: u64) -> f64 {
        let now = Instant::now();
        pause.until = None;
        pause.refused(request, asked.map(Duration::from_secs), Duration::from_secs(block), newest, now);
        pause.until(now).map_or(0.0, |until| (until - now).as_secs_f64())
    }

    #[test]
    fn a_refusal_without_a_word_is_waited_for_ever_longer() {
        let mut pause = Pause::default();
        let waits: Vec<f64> = (1..=8).map(|request| refused(&mut pause, request, None, 0, request)).collect();
        assert_eq!(waits, [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]);
        pause.answered(9);
        assert_eq!(refused(&mut pause, 10, None, 0, 10), 0.5);
    }

    #[test]
    fn a_block_is_the_least_where_the_vendor_says_nothing() {
        assert_eq!(refused(&mut Pause::default(), 1, None, 300, 1), 300.0);
        assert_eq!(refused(&mut Pause::default(), 1, Some(12), 300, 1), 12.0);
    }

    #[test]
    fn a_vendor_that_asks_for_nothing_is_not_asked_again_and_again() {
        let mut pause = Pause::default();
        let waits: Vec<f64> = (1..=4).map(|request| refused(&mut pause, request, Some(0), 0, request)).collect();
        assert_eq!(waits, [0.0, 0.5, 1.0, 2.0]);
    }

    #[test]
    fn what_was_under_way_pauses_once() {
        let mut pause = Pause::default();
        assert_eq!(refused(&mut pause, 3, None, 300, 4), 300.0);
        assert_eq!(refused(&mut pause, 4, None, 300, 4), 0.0);
        // An older answer, that does not end it either.
        pause.answered(2);
        assert!(pause.is_on_trial());
        assert_eq!((pause.strikes, pause.refusals()), (1, 2));
        pause.answered(5);
        assert!(!pause.is_on_trial());
    }

    #[test]
    fn a_refusal_slows_for_some_time_and_many_do_not_slow_without_end() {
        let mut pause = Pause::default();
        refused(&mut pause, 1, None, 0, 1);
        assert_eq!(pause.slowness(), 1.5);
        let answers = (2..).take_while(|request| {
            pause.answered(*request);
            pause.slowness() > 1.0
        });
        assert_eq!(answers.count(), 20);
        for request in 100..200 {
            refused(&mut pause, request, None, 0, request);
        }
        assert_eq!(pause.slowness(), 4.0);
    }
}
