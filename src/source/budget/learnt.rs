//! What the vendor's answers tell of its own counts, and what follows from it.
//!
//! Three things: a quota smaller than ours slows us to it; a count that runs out is waited for; and when others use the
//! quota up, what is left is spread over the time until the reset. A number is only as good as the vendor that sends
//! it: none stops us for long by itself, and one that is no longer sent is forgotten.

use std::time::Duration;

use tokio::time::Instant;

use super::pace::Stride;
use crate::source::advice::Told;

/// The longest that a number stops us when the vendor does not tell its windows. Then one request finds out.
const LONGEST_STOP: Duration = Duration::from_secs(600);
/// The same when the reset lies within the window that the vendor tells of.
const LONGEST_STOP_IN_WINDOW: Duration = Duration::from_secs(3600);
/// A number without a window or a reset is kept for so long after it was told last.
const SHORTEST_MEMORY: Duration = Duration::from_secs(60);
/// Resets are mostly told in whole seconds, rounded up.
const ROUNDED: Duration = Duration::from_secs(1);
/// More counts than this are not kept; the ones told longest ago go.
const MOST: usize = 32;

/// The vendor's counts, as far as it tells.
#[derive(Debug, Default)]
pub(super) struct Learnt {
    counts: Vec<Count>,
}

/// An answer, seen from the budget.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heard {
    /// Which request it answers, counted as they were sent.
    pub request: u64,
    /// The last request that was sent.
    pub newest: u64,
    /// Requests that the answer may not have counted yet: those after it, and older ones that are still under way.
    pub uncounted: u64,
    /// It was no refusal.
    pub accepted: bool,
    pub now: Instant,
}

/// One of the vendor's counts.
#[derive(Debug)]
pub(super) struct Count {
    pub told: Told,
    heard: Heard,
    resets: Option<Instant>,
    /// Stands in for a window that the vendor does not tell: it is at least as long as the longest wait for its end.
    longest_reset: Duration,
    /// Stands in for a limit that the vendor does not tell.
    most_remaining: u64,
    /// Whether somebody else is using the quota.
    pub others: bool,
    /// How much of it they have lately used between two of our requests, on average.
    taken: f64,
    /// A request was answered although the count said that nothing was left.
    refuted: bool,
}

impl Learnt {
    /// Takes note of what an answer tells, and forgets what has not been told for a window.
    pub fn hear(&mut self, told: Vec<Told>, heard: Heard) {
        for told in told {
            match self.counts.iter_mut().find(|count| count.is_of(&told)) {
                Some(count) => count.update(told, heard),
                None => self.counts.push(Count::new(told, heard)),
            }
        }
        self.counts.retain(|count| heard.now < count.heard.now + count.memory());
        self.counts.sort_by_key(|count| std::cmp::Reverse(count.heard.now));
        self.counts.truncate(MOST);
    }

    /// The slowest of our own stride and those of the vendor's quotas, `share` of each being ours.
    pub fn slowest(&self, own: Stride, share: f64) -> Stride {
        let strides = self.counts.iter().filter_map(|count| count.stride(share));
        strides.fold(own, |slowest, stride| if stride.interval > slowest.interval { stride } else { slowest })
    }

    /// Nobody asks before this. `newest` is the last request that was sent, `last` when that was; the share `reserve`
    /// of every count is left to others.
    pub fn not_before(&self, newest: u64, last: Option<Instant>, reserve: f64, now: Instant) -> Option<Instant> {
        self.counts.iter().filter_map(|count| count.not_before(newest, last, reserve, now)).max()
    }

    pub fn counts(&self) -> &[Count] {
        &self.counts
    }
}

impl Count {
    fn new(told: Told, heard: Heard) -> Self {
        // What was used up before we came was used by others, or by us before a restart.
        let used = told.limit.zip(told.remaining).map(|(limit, remaining)| limit.saturating_sub(remaining));
        let mut count = Self {
            resets: None,
            longest_reset: Duration::ZERO,
            most_remaining: 0,
            others: used.is_some_and(|used| used > heard.newest),
            taken: 0.0,
            refuted: false,
            told: Told::default(),
            heard,
        };
        count.take(told, heard);
        count
    }

    /// Unnamed counts of different endpoints are told apart by their limits.
    fn is_of(&self, told: &Told) -> bool {
        self.told.name == told.name && self.told.limit == told.limit
    }

    fn update(&mut self, told: Told, heard: Heard) {
        if heard.request < self.heard.request {
            // An older answer that comes later has nothing new, except that the number is still sent.
            self.heard.now = heard.now;
            return;
        }
        if let (Some(before), Some(remaining)) = (self.told.remaining, told.remaining) {
            self.compare(before, remaining, heard);
            let should_refuse = before == 0 && heard.request > self.heard.newest && self.is_under_way(heard.now);
            self.refuted = remaining == 0 && (self.refuted || (should_refuse && heard.accepted));
        }
        self.take(told, heard);
    }

    /// Whether the count has fallen by more than our own requests.
    fn compare(&mut self, before: u64, remaining: u64, heard: Heard) {
        let expected = before.saturating_sub(heard.request - self.heard.request);
        let unsure = heard.uncounted + self.heard.uncounted;
        if remaining > expected.saturating_add(unsure) {
            // A new window, or room in a sliding one.
            (self.others, self.taken) = (false, 0.0);
            return;
        }
        let taken = expected.saturating_sub(remaining.saturating_add(unsure));
        self.others |= taken > 0;
        self.taken = 0.75 * self.taken + 0.25 * taken as f64;
    }

    fn take(&mut self, told: Told, heard: Heard) {
        self.resets = told.reset.map(|reset| heard.now + reset);
        self.longest_reset = self.longest_reset.max(told.reset.unwrap_or_default());
        self.most_remaining = self.most_remaining.max(told.remaining.unwrap_or_default());
        self.told = told;
        self.heard = heard;
    }

    fn is_under_way(&self, now: Instant) -> bool {
        self.resets.is_some_and(|resets| now < resets)
    }

    /// How long it is kept without being told again.
    fn memory(&self) -> Duration {
        let window = self.told.window.unwrap_or(self.longest_reset);
        window.clamp(SHORTEST_MEMORY, LONGEST_STOP_IN_WINDOW)
    }

    fn stride(&self, share: f64) -> Option<Stride> {
        let window = self.told.window.or(Some(self.longest_reset).filter(|reset| !reset.is_zero()))?;
        let stride = Stride::over(self.told.limit? as f64, window, share);
        // Hardly anybody lets a log be asked for so seldom: it is the quota of something else.
        (stride.interval <= LONGEST_STOP).then_some(stride)
    }

    /// What is left for us until the reset, now that `newest` was sent.
    pub fn left(&self, newest: u64, reserve: f64) -> Option<u64> {
        let limit = self.told.limit.unwrap_or(self.most_remaining) as f64;
        // Others may take as much again before our next request; but a burst of theirs is not the rule.
        let theirs = if self.others { (self.taken.ceil() + 1.0).min((limit / 20.0).max(1.0)) } else { 0.0 };
        let kept = (limit * reserve).ceil().max(theirs) as u64;
        let used = (newest - self.heard.newest) + self.heard.uncounted + kept;
        Some(self.told.remaining?.saturating_sub(used))
    }

    pub fn resets_in(&self, now: Instant) -> Option<Duration> {
        self.resets.map(|resets| resets.saturating_duration_since(now))
    }

    fn not_before(&self, newest: u64, last: Option<Instant>, reserve: f64, now: Instant) -> Option<Instant> {
        let resets = self.resets.filter(|resets| *resets > now && !self.refuted)?;
        let left = self.left(newest, reserve)?;
        if left == 0 {
            return Some(resets.min(self.heard.now + self.longest_stop()));
        }
        let last = last.filter(|_| self.others)?;
        let until_reset = resets.saturating_duration_since(last).saturating_sub(ROUNDED);
        // So many intervals as there are requests left, and one until the reset.
        let interval = until_reset.div_f64(left.saturating_add(1) as f64);
        Some(last + interval.min(LONGEST_STOP))
    }

    fn longest_stop(&self) -> Duration {
        let told = self.told.window.zip(self.told.reset).is_some_and(|(window, reset)| reset <= window);
        if told { LONGEST_STOP_IN_WINDOW } else { LONGEST_STOP }
    }
}
