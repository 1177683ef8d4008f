//! Where a source resumes, and which window it reads next.
//!
//! Everything here is pure: a cursor and an instant give the next window. The cursor is written to the journal in the same
//! transaction as the records that were read up to it.

use chrono::{DateTime, Duration, DurationRound, Utc};
use serde::{Deserialize, Serialize};

pub use super::window::{Pages, Parents, Place, Window};

/// Where a source resumes. Reading the same one twice is harmless.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// The watermark: the vendor has nothing before this that we could have read and did not.
    pub complete_up_to: DateTime<Utc>,
    /// What happened before this was read when it was older than lag and overlap: nothing late is expected there.
    pub settled: DateTime<Utc>,
    /// The window that is being read, if one was begun and not finished.
    pub window: Option<Window>,
    /// How wide windows are in seconds, where that is not their usual size: less since the vendor or our memory could not
    /// take more, or more since the log is quiet.
    pub width: Option<u32>,
    /// Where this walk began. What happened before was never asked for.
    #[serde(default)]
    pub begin: Option<DateTime<Utc>>,
    /// Where this walk ends; one without an end follows the log as it grows.
    #[serde(default)]
    pub end: Option<DateTime<Utc>>,
    /// Whose log this is a place in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<Identity>,
    /// Where the next window goes on, when the last one ended before now and in what is not settled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rest: Option<Rest>,
}

/// Whose log a cursor is a place in, and what was asked for. Digests: the same text means the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The connector and the account.
    pub account: String,
    /// The address, the filters and the way to read.
    pub asked: String,
}

/// What is left to be read up to now, after a window that was too narrow for all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rest {
    /// Where that window ended.
    pub from: DateTime<Utc>,
    /// When the first of the windows was asked for that lead from what is settled to here.
    pub since: DateTime<Utc>,
}

/// Which spans may be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// How wide a window is.
    pub size: Duration,
    /// How wide it may become while the log is quiet; no growth where this is not more than `size`.
    pub grow_to: Duration,
    /// Never read closer to now than this.
    pub lag: Duration,
    /// Re-read this much behind the watermark.
    pub overlap: Duration,
}

/// The narrowest window there is: the coarsest clock among the vendors.
const NARROWEST: Duration = Duration::seconds(1);
/// How many jobs that came to nothing are remembered.
const MOST_REFUSED: usize = 8;

impl Rules {
    fn widest(&self) -> Duration {
        self.size.max(self.grow_to)
    }
}

impl Cursor {
    /// The cursor of a source that has read nothing and begins at `start`.
    #[must_use]
    pub fn at(start: DateTime<Utc>) -> Self {
        let start = whole_second(start);
        Self {
            complete_up_to: start,
            settled: start,
            window: None,
            width: None,
            begin: Some(start),
            end: None,
            of: None,
            rest: None,
        }
    }

    /// The cursor of a walk from `since` to before `until`.
    #[must_use]
    pub fn between(since: DateTime<Utc>, until: DateTime<Utc>) -> Self {
        Self { end: Some(whole_second(until)), ..Self::at(since) }
    }

    /// This cursor for a source of that identity, which begins at `start`, and what a person is to be told of the change.
    #[must_use]
    pub fn adopted_by(&self, identity: &Identity, start: DateTime<Utc>) -> (Self, Option<&'static str>) {
        let next = Self { of: Some(identity.clone()), ..self.clone() };
        match &self.of {
            Some(of) if of.account != identity.account => {
                let anew = match (self.begin, self.end) {
                    (Some(begin), Some(end)) => Self::between(begin, end),
                    _ => Self::at(start),
                };
                let told = "this is another account than before: its log is read from the beginning";
                (Self { of: next.of, ..anew }, Some(told))
            }
            Some(of) if of.asked != identity.asked && next.window.is_some() => {
                // The same number of pages or records is another place among other records.
                let told = "what is asked for has changed: the window under way is read from its beginning";
                (Self { window: None, rest: None, ..next }, Some(told))
            }
            _ => (next, None),
        }
    }

    /// Whether the walk is at its end: everything before it was read.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.end.is_some_and(|end| self.complete_up_to >= end)
    }

    /// The next window, with the instant it begins and ends at; `None` when everything before `now - lag` was read.
    ///
    /// It begins where events may still have come late: at the watermark, or before it at what is not settled yet; or where
    /// the last window ended, if that did not reach as far as there was to read. It ends one window further, or at
    /// `now - lag`.
    #[must_use]
    pub fn next_span(&self, rules: &Rules, now: DateTime<Utc>) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
        let horizon = self.horizon(rules, now);
        let done = self.rest.map_or(self.complete_up_to, |rest| rest.from);
        if horizon <= done {
            return None;
        }
        let width = self.width.map_or(rules.size, |seconds| Duration::seconds(seconds.into()).min(rules.widest()));
        let from = self.rest.map_or(self.settled.min(self.complete_up_to), |rest| rest.from);
        Some((from, horizon.min(done + width.max(NARROWEST))))
    }

    /// The cursor in that window, which is read in the way of that name and first asked for `now`.
    #[must_use]
    pub fn open(&self, (from, until): (DateTime<Utc>, DateTime<Utc>), read: &str, now: DateTime<Utc>) -> Self {
        let window = Window {
            from,
            until,
            asked_at: now,
            read: read.to_owned(),
            place: Place::Start,
            read_up_to: None,
            resets: 0,
            since: self.rest.map(|rest| rest.since),
            pages: Pages::default(),
            parents: None,
        };
        Self { window: Some(window), rest: None, ..self.clone() }
    }

    /// The cursor after the last page of its window.
    #[must_use]
    pub fn finish(&self, rules: &Rules) -> Self {
        let Some(window) = &self.window else { return self.clone() };
        let since = window.since.map_or(window.asked_at, |since| since.min(window.asked_at));
        // A window that was cut short says nothing of what lies after it, however long ago that happened.
        let settled = whole_second(since - rules.lag - rules.overlap).min(window.until).max(self.settled);
        // A window asked for with a clock ahead of the vendor's reached into the vendor's future.
        let complete = window.until.min(whole_second(window.asked_at - rules.lag)).max(self.complete_up_to);
        // To begin with what is not settled again would read the same for ever, where there is too much of it for a window.
        let goes_on = settled < window.until && window.until < self.horizon(rules, window.asked_at);
        Self {
            complete_up_to: complete,
            settled,
            window: None,
            width: self.next_width(window, rules),
            rest: goes_on.then_some(Rest { from: window.until, since }),
            ..self.clone()
        }
    }

    /// The cursor with its window cut in half, to be read from its first page; `None` when it cannot be any narrower.
    #[must_use]
    pub fn halve(&self) -> Option<Self> {
        let mut next = self.clone();
        let window = next.window.as_mut()?;
        let half = whole_second(window.from + (window.until - window.from) / 2);
        if half <= window.from {
            return None;
        }
        window.until = half;
        window.pages.busy = true;
        window.begin();
        next.width = u32::try_from((half - window.from).num_seconds()).ok();
        Some(next)
    }

    /// The cursor at the first page of what is not read of its window, or of half the window where that is not known, since
    /// the vendor lets us no further into it; `None` when it cannot be any narrower.
    #[must_use]
    pub fn narrow(&self) -> Option<Self> {
        let before = self.window.as_ref()?;
        let mut next = self.clone();
        let window = next.window.as_mut()?;
        window.pages.busy = true;
        window.begin_at_the_rest();
        if window.from > before.from { Some(next) } else { self.halve() }
    }

    /// The cursor at the first page of its window again, or of what is not read of it; `None` when that was tried `most`
    /// times without getting any further.
    #[must_use]
    pub fn begin_again(&self, most: u32) -> Option<Self> {
        let before = self.window.as_ref()?;
        let mut next = self.clone();
        let window = next.window.as_mut()?;
        window.begin_at_the_rest();
        if window.from > before.from {
            // A vendor whose cursors are short-lived is read in as many walks as that takes.
            window.resets = 0;
        } else if window.resets < most {
            window.resets += 1;
        } else {
            return None;
        }
        Some(next)
    }

    /// The cursor about to order its job anew, since the one it waited for came to nothing. `None` when that was tried `most`
    /// times: from then on only every `patience`, so that a person is told and the vendor is not flooded.
    #[must_use]
    pub fn order_again(&self, now: DateTime<Utc>, most: u32, patience: Duration) -> Option<Self> {
        let mut next = self.clone();
        let window = next.window.as_mut()?;
        let Place::Job { id, ordered_at, attempts, refused, .. } = &window.place else { return None };
        if window.resets >= most && now - *ordered_at < patience {
            return None;
        }
        let mut refused = refused[refused.len().saturating_sub(MOST_REFUSED - 1)..].to_vec();
        refused.push(id.clone());
        window.place = Place::Ordering { ordered_at: now, attempts: attempts.saturating_add(1), refused };
        window.resets = window.resets.saturating_add(1);
        Some(next)
    }

    /// What of this cursor is worth keeping over a restart. A vendor's token is not: what is known of its life is that it
    /// ends. Where the records came in order so far, the window then begins at the last of them.
    #[must_use]
    pub fn durable(&self) -> Self {
        let mut cursor = self.clone();
        if let Some(window) = &mut cursor.window
            && let Place::Token { .. } = window.place
        {
            window.begin_at_the_rest();
        }
        cursor
    }

    /// The newest instant that may be read now.
    fn horizon(&self, rules: &Rules, now: DateTime<Utc>) -> DateTime<Utc> {
        let horizon = whole_second(now - rules.lag);
        self.end.map_or(horizon, |end| horizon.min(end))
    }

    /// The width after `window`: towards the usual size from below, beyond it while windows of full width are quiet.
    fn next_width(&self, window: &Window, rules: &Rules) -> Option<u32> {
        let (size, widest) = (rules.size.num_seconds(), rules.widest().num_seconds());
        let width = self.width.map_or(size, i64::from).min(widest);
        let next = if width < size {
            width.saturating_mul(2).min(size)
        } else if window.pages.busy {
            size
        } else if (window.until - self.complete_up_to).num_seconds() >= width {
            width.saturating_mul(2).min(widest)
        } else {
            // A window that had to be narrower says nothing of a wider one.
            width
        };
        (next != size).then(|| u32::try_from(next).unwrap_or(u32::MAX))
    }
}

/// The second an instant lies in: no vendor's bounds are finer, and some are no finer.
pub(super) fn whole_second(time: DateTime<Utc>) -> DateTime<Utc> {
    time.duration_trunc(Duration::seconds(1)).unwrap_or(time)
}
