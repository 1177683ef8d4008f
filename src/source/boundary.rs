//! A window's edges: the one place that decides what lies in a window, and what is asked for so that all of it comes.
//!
//! A window is half-open: its first instant belongs to it and the first one after it does not, so that windows side by
//! side hold every instant once. Vendors draw the line elsewhere, and most take instants of whole seconds while their
//! records are finer. What is asked for is therefore never less than the window, and may be a little more: what comes
//! twice is told by its id.

use chrono::{DateTime, DurationRound, TimeDelta, Utc};

use crate::connector::model::{Bounds, WindowRules};

/// From an instant to before another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first instant in it.
    pub from: DateTime<Utc>,
    /// The first instant after it.
    pub until: DateTime<Utc>,
}

impl Span {
    /// Whether what happened then belongs to it.
    #[must_use]
    pub fn holds(&self, time: DateTime<Utc>) -> bool {
        self.from <= time && time < self.until
    }
}

/// How a vendor's bounds are met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Boundary {
    /// Asked for before the window's first instant.
    before: TimeDelta,
    /// Asked for after the window's last instant.
    after: TimeDelta,
    /// The finest difference that the vendor's way to write an instant can express.
    tick: TimeDelta,
}

impl Boundary {
    /// Of a connector's windows.
    #[must_use]
    pub fn of(rules: &WindowRules) -> Self {
        let slack = TimeDelta::from_std(rules.slack.0).unwrap_or_default();
        let tick = finest(&rules.time_format);
        let before = match rules.bounds {
            Bounds::Inclusive | Bounds::HalfOpen => slack,
            // What happened at the very instant asked for would be left out.
            Bounds::Exclusive | Bounds::Unknown => slack.max(tick),
        };
        Self { before, after: slack, tick }
    }

    /// The bounds to ask for, in instants that can be written. Everything in `window` lies within them, whichever way the
    /// vendor's rule for bounds takes them.
    #[must_use]
    pub fn asked(&self, window: Span) -> Span {
        let from = window.from.checked_sub_signed(self.before).unwrap_or(window.from);
        let until = window.until.checked_add_signed(self.after).unwrap_or(window.until);
        let whole = self.cut(until);
        // An instant is written without what the format cannot say: the later bound must not shrink by that.
        let until = if whole < until { whole.checked_add_signed(self.tick).unwrap_or(until) } else { until };
        Span { from: self.cut(from), until }
    }

    fn cut(&self, time: DateTime<Utc>) -> DateTime<Utc> {
        time.duration_trunc(self.tick).unwrap_or(time)
    }
}

/// The finest difference that shows when an instant is written like that.
fn finest(format: &str) -> TimeDelta {
    let written = |time: DateTime<Utc>| time.format(format).to_string();
    let steps = [
        TimeDelta::nanoseconds(1),
        TimeDelta::microseconds(1),
        TimeDelta::milliseconds(1),
        TimeDelta::seconds(1),
        TimeDelta::minutes(1),
        TimeDelta::hours(1),
    ];
    let at = DateTime::UNIX_EPOCH;
    steps.into_iter().find(|step| written(at + *step) != written(at)).unwrap_or(TimeDelta::days(1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::connector::Connector;

    fn rules(time_format: &str, bounds: Bounds, slack: u64) -> WindowRules {
        let mut rules = Connector::embedded("telnyx").unwrap().definition.window.clone();
        rules.time_format.value = time_format.to_owned();
        rules.bounds = bounds;
        rules.slack.0 = std::time::Duration::from_millis(slack);
        rules
    }

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    const SECONDS: &str = "%Y-%m-%dT%H:%M:%SZ";

    #[test]
    fn the_finest_difference_is_what_the_format_shows() {
        let cases = [
            (SECONDS, TimeDelta::seconds(1)),
            ("%Y-%m-%d %H:%M:%S", TimeDelta::seconds(1)),
            ("%s", TimeDelta::seconds(1)),
            ("%s%3f", TimeDelta::milliseconds(1)),
            ("%Y-%m-%dT%H:%M:%S%.3fZ", TimeDelta::milliseconds(1)),
            ("%Y-%m-%dT%H:%M:%S%.6fZ", TimeDelta::microseconds(1)),
            ("%+", TimeDelta::nanoseconds(1)),
            ("%Y-%m-%dT%H:%MZ", TimeDelta::minutes(1)),
            ("%Y-%m-%d", TimeDelta::days(1)),
        ];
        for (format, expected) in cases {
            assert_eq!(finest(format), expected, "{format}");
        }
    }

    #[test]
    fn what_is_asked_for_goes_around_the_window() {
        let window = Span { from: at("2026-09-14T08:00:00Z"), until: at("2026-09-14T09:00:00Z") };
        let cases = [
            (SECONDS, Bounds::Inclusive, 0, "2026-09-14T08:00:00Z", "2026-09-14T09:00:00Z"),
            (SECONDS, Bounds::HalfOpen, 0, "2026-09-14T08:00:00Z", "2026-09-14T09:00:00Z"),
            (SECONDS, Bounds::Exclusive, 0, "2026-09-14T07:59:59Z", "2026-09-14T09:00:00Z"),
            (SECONDS, Bounds::Unknown, 0, "2026-09-14T07:59:59Z", "2026-09-14T09:00:00Z"),
            (SECONDS, Bounds::Unknown, 1000, "2026-09-14T07:59:59Z", "2026-09-14T09:00:01Z"),
            (SECONDS, Bounds::Unknown, 300, "2026-09-14T07:59:59Z", "2026-09-14T09:00:01Z"),
            ("%Y-%m-%dT%H:%M:%S%.3fZ", Bounds::Exclusive, 0, "2026-09-14T07:59:59.999Z", "2026-09-14T09:00:00Z"),
            ("%Y-%m-%d", Bounds::HalfOpen, 0, "2026-09-14T00:00:00Z", "2026-09-15T00:00:00Z"),
        ];
        for (format, bounds, slack, from, until) in cases {
            let asked = Boundary::of(&rules(format, bounds, slack)).asked(window);
            assert_eq!(asked, Span { from: at(from), until: at(until) }, "{format} {bounds:?} {slack}");
        }
    }

    #[test]
    fn a_window_holds_its_first_instant_and_not_the_one_after_it() {
        let window = Span { from: at("2026-09-14T08:00:00Z"), until: at("2026-09-14T09:00:00Z") };
        assert!(window.holds(window.from) && !window.holds(window.until));
        assert!(window.holds(at("2026-09-14T08:59:59.999999Z")) && !window.holds(at("2026-09-14T07:59:59.999999Z")));
    }

    proptest! {
        /// Whatever the vendor takes its bounds for, however coarsely it writes instants and keeps its records' times:
        /// what belongs to the window is handed out.
        #[test]
        fn everything_in_a_window_is_asked_for(
            from in 0i64..100_000_000_000, width in 1i64..10_000_000_000, within in 0.0..1.0f64, slack in 0u64..3000,
            format in proptest::sample::select(vec![SECONDS, "%Y-%m-%dT%H:%M:%S%.3fZ", "%Y-%m-%dT%H:%M:%S%.6fZ", "%Y-%m-%dT%H:%MZ", "%Y-%m-%d"]),
            known in any::<bool>(), theirs in proptest::sample::select(vec![Bounds::Inclusive, Bounds::Exclusive, Bounds::HalfOpen]),
            clock in proptest::sample::select(vec![1i64, 1_000, 1_000_000]),
        ) {
            let instant = |micros: i64| DateTime::from_timestamp_micros(1_700_000_000_000_000 + micros).unwrap();
            let window = Span { from: instant(from), until: instant(from + width) };
            let happened = from + (width as f64 * within) as i64;
            // The vendor's clock is coarser than ours: it says of everything within a tick that it happened at its start.
            let time = instant((happened - happened.rem_euclid(clock)).max(from + (-from).rem_euclid(clock)));
            if !window.holds(time) {
                return Ok(());
            }
            let bounds = if known { theirs } else { Bounds::Unknown };
            let asked = Boundary::of(&rules(format, bounds, slack)).asked(window);
            let written = |time: DateTime<Utc>| time.duration_trunc(finest(format)).unwrap();
            let (low, high) = (written(asked.from), written(asked.until));
            let handed_out = match theirs {
                Bounds::Inclusive => low <= time && time <= high,
                Bounds::HalfOpen => low <= time && time < high,
                _ => low < time && time < high,
            };
            prop_assert!(handed_out, "{time} of {window:?} by {asked:?}");
        }

        /// Windows side by side hold every instant once.
        #[test]
        fn windows_side_by_side_hold_every_instant_once(
            cuts in proptest::collection::btree_set(0i64..1000, 2..8), moment in 0i64..1000,
        ) {
            let instant = |micros: i64| DateTime::from_timestamp_micros(micros).unwrap();
            let cuts: Vec<i64> = cuts.into_iter().collect();
            let spans: Vec<Span> = cuts.windows(2).map(|cut| Span { from: instant(cut[0]), until: instant(cut[1]) }).collect();
            let held = spans.iter().filter(|span| span.holds(instant(moment))).count();
            let within = cuts[0] <= moment && moment < *cuts.last().unwrap();
            prop_assert_eq!(held, usize::from(within));
        }
    }
}
