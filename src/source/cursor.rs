//! Where a source resumes, and which window it reads next.
//!
//! Everything here is pure: a cursor and an instant give the next window. The cursor is written to the journal in the same
//! transaction as the records that were read up to it.

use chrono::{DateTime, Duration, DurationRound, Utc};
use serde::{Deserialize, Serialize};

/// Where a source resumes. Reading the same one twice is harmless.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// The watermark: the vendor has nothing before this that we could have read and did not.
    pub complete_up_to: DateTime<Utc>,
    /// What happened before this was read when it was older than lag and overlap: nothing late is expected there.
    pub settled: DateTime<Utc>,
    /// The window that is being read, if one was begun and not finished.
    pub window: Option<Window>,
    /// The width windows are kept to since the vendor or our memory could not take a wider one.
    pub width: Option<u32>,
    /// Where this walk ends; one without an end follows the log as it grows.
    #[serde(default)]
    pub end: Option<DateTime<Utc>>,
}

/// A span of time being read: from the first instant to before the last one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// The first instant in it.
    pub from: DateTime<Utc>,
    /// The first instant after it.
    pub until: DateTime<Utc>,
    /// When its first page was asked for.
    pub asked_at: DateTime<Utc>,
    /// How it is read: the name of one of the connector's `[read.NAME]`.
    pub read: String,
    /// How far into it we are.
    pub place: Place,
    /// The vendor's order held so far, and everything up to this instant was read.
    #[serde(default)]
    pub read_up_to: Option<DateTime<Utc>>,
    /// How often the walk through it began again at the same place because the vendor refused its own cursor.
    #[serde(default)]
    pub resets: u32,
    /// Of how many records the pages are that the place counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_size: Option<usize>,
}

/// How far into a window a source is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// At its first page.
    Start,
    /// At the page of that number.
    Page(u64),
    /// That many records into it.
    Offset(u64),
    /// At the page the vendor's token leads to.
    Token {
        /// The vendor's opaque cursor.
        token: String,
        /// The tokens before it, as far as it takes to notice that the vendor goes round in circles.
        before: Vec<String>,
    },
    /// Waiting for the job of that id.
    Job {
        /// The vendor's id of the job.
        id: String,
        /// When it was ordered.
        ordered_at: DateTime<Utc>,
        /// How often it was ordered before.
        attempts: u32,
    },
}

/// Which spans may be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The widest window.
    pub size: Duration,
    /// Never read closer to now than this.
    pub lag: Duration,
    /// Re-read this much behind the watermark.
    pub overlap: Duration,
}

/// The narrowest window there is: the coarsest clock among the vendors.
const NARROWEST: Duration = Duration::seconds(1);

impl Cursor {
    /// The cursor of a source that has read nothing and begins at `start`.
    #[must_use]
    pub fn at(start: DateTime<Utc>) -> Self {
        let start = whole_second(start);
        Self { complete_up_to: start, settled: start, window: None, width: None, end: None }
    }

    /// The cursor of a walk from `since` to before `until`.
    #[must_use]
    pub fn between(since: DateTime<Utc>, until: DateTime<Utc>) -> Self {
        Self { end: Some(whole_second(until)), ..Self::at(since) }
    }

    /// Whether the walk is at its end: everything before it was read.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.end.is_some_and(|end| self.complete_up_to >= end)
    }

    /// The next window, with the instant it begins and ends at; `None` when everything before `now - lag` was read.
    ///
    /// It begins where events may still have come late: at the watermark, or before it at what is not settled yet. It ends
    /// one window further than the watermark, or at `now - lag`.
    #[must_use]
    pub fn next_span(&self, rules: &Rules, now: DateTime<Utc>) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
        let horizon = whole_second(now - rules.lag);
        let horizon = self.end.map_or(horizon, |end| horizon.min(end));
        if horizon <= self.complete_up_to {
            return None;
        }
        let width = self.width.map_or(rules.size, |seconds| Duration::seconds(seconds.into()).min(rules.size));
        let from = self.settled.min(self.complete_up_to);
        let until = horizon.min(self.complete_up_to + width.max(NARROWEST));
        Some((from, until))
    }

    /// The cursor after the last page of its window.
    #[must_use]
    pub fn finish(&self, rules: &Rules) -> Self {
        let Some(window) = &self.window else { return self.clone() };
        // A window that was cut short says nothing of what lies after it, however long ago that happened.
        let settled = whole_second(window.asked_at - rules.lag - rules.overlap).min(window.until).max(self.settled);
        let width = self
            .width
            .map(|width| width.saturating_mul(2))
            .filter(|width| i64::from(*width) < rules.size.num_seconds());
        // A window asked for with a clock ahead of the vendor's reached into the vendor's future.
        let complete = window.until.min(whole_second(window.asked_at - rules.lag));
        Self { complete_up_to: complete.max(self.complete_up_to), settled, window: None, width, end: self.end }
    }

    /// The cursor with its window cut in half, to be read from its first page; `None` when it cannot be any narrower.
    #[must_use]
    pub fn halve(&self) -> Option<Self> {
        let window = self.window.as_ref()?;
        let half = whole_second(window.from + (window.until - window.from) / 2);
        if half <= window.from {
            return None;
        }
        let width = u32::try_from((half - window.from).num_seconds()).ok();
        let window = Window { until: half, place: Place::Start, read_up_to: None, ..window.clone() };
        Some(Self { window: Some(window), width, ..self.clone() })
    }

    /// The cursor at the first page of its window again, or of what is not read of it; `None` when that was tried `most`
    /// times without getting any further.
    #[must_use]
    pub fn begin_again(&self, most: u32) -> Option<Self> {
        let before = self.window.as_ref()?;
        let mut next = self.durable();
        let window = next.window.as_mut()?;
        window.place = Place::Start;
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

    /// What of this cursor is worth keeping over a restart. A vendor's token is not: what is known of its life is that it
    /// ends. Where the records came in order so far, the window then begins at the last of them.
    #[must_use]
    pub fn durable(&self) -> Self {
        let mut cursor = self.clone();
        if let Some(window) = &mut cursor.window
            && let Place::Token { .. } = window.place
        {
            window.place = Place::Start;
            if let Some(read_up_to) = window.read_up_to.take() {
                window.from = whole_second(read_up_to).clamp(window.from, window.until);
            }
        }
        cursor
    }
}

impl Window {
    /// Says of how many records the next page is. A walk that counted other pages, before a restart or since the vendor took
    /// larger ones, goes on at the page that its next record is on.
    pub fn count_pages_of(&mut self, size: usize, first: u64) {
        if let (Place::Page(number), Some(before)) = (&mut self.place, self.page_size) {
            let passed = number.saturating_sub(first).saturating_mul(before as u64);
            *number = first + passed / size.max(1) as u64;
        }
        self.page_size = Some(size);
    }

    /// Notes up to where a page of records in the vendor's order read the window. Records out of order say that the order
    /// cannot be relied upon, and one that has no time, so that it counts as of the window's end, says nothing.
    pub fn note_order(&mut self, times: impl Iterator<Item = DateTime<Utc>>) {
        let begun = self.place != Place::Start;
        let mut newest = match (begun, self.read_up_to) {
            (true, None) => return,
            (_, newest) => newest,
        };
        let until = self.until;
        for time in times.filter(|time| *time < until) {
            if newest.is_some_and(|newest| time < newest) {
                // It stays so: the next page is not at the start.
                self.read_up_to = None;
                return;
            }
            newest = Some(time);
        }
        self.read_up_to = newest;
    }
}

/// The second an instant lies in: no vendor's bounds are finer, and some are no finer.
fn whole_second(time: DateTime<Utc>) -> DateTime<Utc> {
    time.duration_trunc(Duration::seconds(1)).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap()
    }

    const RULES: Rules =
        Rules { size: Duration::seconds(3600), lag: Duration::seconds(60), overlap: Duration::seconds(600) };

    fn open(cursor: &Cursor, rules: &Rules, now: DateTime<Utc>) -> Option<Cursor> {
        let (from, until) = cursor.next_span(rules, now)?;
        let read = "pages".to_owned();
        let (place, read_up_to, resets, page_size) = (Place::Start, None, 0, None);
        let window = Window { from, until, asked_at: now, read, place, read_up_to, resets, page_size };
        Some(Cursor { window: Some(window), ..cursor.clone() })
    }

    #[test]
    fn catching_up_goes_window_by_window_and_then_re_reads_the_overlap() {
        let mut cursor = Cursor::at(at(0));
        let mut spans = Vec::new();
        for now in [at(5000), at(5000), at(5100)] {
            let open = open(&cursor, &RULES, now).unwrap();
            let window = open.window.as_ref().unwrap();
            spans.push(((window.from - at(0)).num_seconds(), (window.until - at(0)).num_seconds()));
            cursor = open.finish(&RULES);
        }
        assert_eq!(spans, [(0, 3600), (3600, 4940), (4340, 5040)]);
        assert_eq!(cursor.next_span(&RULES, at(5100)), None);
    }

    #[test]
    fn a_window_that_is_too_full_is_halved_and_grows_again() {
        let cursor = open(&Cursor::at(at(0)), &RULES, at(100_000)).unwrap();
        let half = cursor.halve().unwrap();
        assert_eq!(half.window.as_ref().unwrap().until, at(1800));
        let next = half.finish(&RULES);
        assert_eq!(next.next_span(&RULES, at(100_000)), Some((at(1800), at(1800 + 3600))));
    }

    #[test]
    fn a_token_does_not_survive_a_restart_but_what_was_read_in_order_does() {
        let mut cursor = open(&Cursor::at(at(0)), &RULES, at(100_000)).unwrap();
        let window = cursor.window.as_mut().unwrap();
        window.place = Place::Token { token: "t".to_owned(), before: Vec::new() };
        window.read_up_to = Some(at(90));
        let durable = cursor.durable().window.unwrap();
        assert_eq!((durable.place, durable.from, durable.until), (Place::Start, at(90), at(3600)));
    }

    #[test]
    fn beginning_again_is_counted_only_where_it_gets_no_further() {
        let mut cursor = open(&Cursor::at(at(0)), &RULES, at(100_000)).unwrap();
        for seconds in [90, 180, 270, 360] {
            let window = cursor.window.as_mut().unwrap();
            window.place = Place::Token { token: "t".to_owned(), before: Vec::new() };
            window.read_up_to = Some(at(seconds));
            cursor = cursor.begin_again(1).unwrap();
            let window = cursor.window.as_ref().unwrap();
            assert_eq!((&window.place, window.from, window.resets), (&Place::Start, at(seconds), 0));
        }
        let again = cursor.begin_again(1).unwrap();
        assert_eq!(again.window.as_ref().unwrap().resets, 1);
        assert_eq!(again.begin_again(1), None);
    }

    #[test]
    fn a_record_without_a_time_does_not_say_that_the_window_was_read_to_its_end() {
        let mut window = open(&Cursor::at(at(0)), &RULES, at(100_000)).unwrap().window.unwrap();
        let until = window.until;
        window.note_order([at(5), until, at(7), until].into_iter());
        assert_eq!(window.read_up_to, Some(at(7)));
    }

    #[test]
    fn a_page_number_is_of_pages_of_one_size() {
        let mut window = open(&Cursor::at(at(0)), &RULES, at(100_000)).unwrap().window.unwrap();
        window.count_pages_of(100, 1);
        window.place = Place::Page(13);
        window.count_pages_of(100, 1);
        assert_eq!(window.place, Place::Page(13));
        // Its first record is the 1001st, and of the 1200 that were read some come again.
        window.count_pages_of(250, 1);
        assert_eq!((&window.place, window.page_size), (&Place::Page(5), Some(250)));
        window.count_pages_of(20, 1);
        assert_eq!(window.place, Place::Page(51));
    }

    proptest! {
        /// Whatever the pace, every instant before the watermark lies in a finished window, and every instant is in a
        /// window that was asked for when it was older than lag and overlap before it is settled.
        #[test]
        fn no_instant_is_skipped(
            size in 1i64..5000, lag in 0i64..500, overlap in 0i64..2000,
            steps in proptest::collection::vec((0i64..3000, any::<bool>()), 1..40),
        ) {
            let rules = Rules { size: Duration::seconds(size), lag: Duration::seconds(lag), overlap: Duration::seconds(overlap) };
            let mut cursor = Cursor::at(at(0));
            let mut now = at(100);
            let mut covered = at(0);
            let mut settled = at(0);
            for (step, halve) in steps {
                now += Duration::seconds(step);
                let Some(mut opened) = open(&cursor, &rules, now) else { continue };
                if halve && let Some(half) = opened.halve() {
                    opened = half;
                }
                let window = opened.window.clone().unwrap();
                prop_assert!(window.from < window.until);
                prop_assert!(window.from <= covered, "a gap before {}", window.from);
                prop_assert!(window.from <= settled, "late events between {} and {} would be missed", settled, window.from);
                prop_assert!(window.until <= now - rules.lag);
                covered = covered.max(window.until);
                cursor = opened.finish(&rules);
                prop_assert!(cursor.complete_up_to <= covered);
                // Settled is what this window read while it was old enough, and no more.
                let old_enough = (now - rules.lag - rules.overlap).min(window.until);
                settled = settled.max(old_enough);
                prop_assert!(cursor.settled.min(cursor.complete_up_to) <= settled.max(at(0)));
            }
        }
    }
}
