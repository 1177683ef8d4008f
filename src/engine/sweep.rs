//! When the sweep behind the live walk is due, and what it re-reads.
//!
//! Everything here is pure. The last sweep's cursor stays in the journal, so that a restart neither forgets a sweep that
//! is due nor begins one that is not.

use chrono::{DateTime, TimeDelta, Utc};

use super::counters::Progress;
use crate::config::Sweep;
use crate::source::Cursor;

/// What is to be done about sweeping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Due {
    /// Nothing for now.
    Nothing,
    /// The live walk has caught up for the first time: sweeps are counted from here.
    CountFrom(Cursor),
    /// A sweep was interrupted.
    Resume,
    /// A new one.
    Begin(Cursor),
}

/// What is due, given where the live walk is and where the last sweep was.
#[must_use]
pub fn due(plan: Sweep, live: &Cursor, last: Option<&Cursor>, now: DateTime<Utc>) -> Due {
    if plan.back <= TimeDelta::zero() {
        return Due::Nothing;
    }
    // While a backlog is read, everything is read for the first time.
    let catching_up = now - live.settled.min(live.complete_up_to) > plan.every + plan.back;
    let settled = live.settled.min(live.complete_up_to);
    match last {
        Some(last) if !last.has_ended() => Due::Resume,
        _ if catching_up => Due::Nothing,
        None => Due::CountFrom(Cursor::between(settled, settled)),
        Some(last) => {
            let end = last.end.unwrap_or(last.complete_up_to);
            if settled < end + plan.every {
                return Due::Nothing;
            }
            // After a pause, what was published meanwhile of the time before it.
            let from = end - plan.back;
            let from = live.begin.map_or(from, |begin| from.max(begin));
            Due::Begin(Cursor::between(from, settled))
        }
    }
}

/// The oldest instant of which a record may be handed out again, by the live walk, whose own reach that is, or by a
/// sweep.
#[must_use]
pub fn reach(plan: Sweep, last: Option<Progress>, live: DateTime<Utc>) -> DateTime<Utc> {
    if plan.back <= TimeDelta::zero() {
        return live;
    }
    let next = last.and_then(|last| last.end).map_or(live, |end| end.min(live)) - plan.back;
    let ongoing = last.filter(|last| last.end.is_some_and(|end| last.complete_up_to < end));
    ongoing.map_or(next, |ongoing| next.min(ongoing.begin))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(minutes: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000 + minutes * 60, 0).unwrap()
    }

    fn live(begin: i64, settled: i64) -> Cursor {
        Cursor { settled: at(settled), complete_up_to: at(settled + 30), ..Cursor::at(at(begin)) }
    }

    fn ended(end: i64) -> Cursor {
        Cursor::between(at(end), at(end))
    }

    const DAY: i64 = 24 * 60;

    #[test]
    fn sweeps_are_counted_from_the_first_time_everything_is_read() {
        let plan = Sweep::default();
        assert_eq!(due(plan, &live(0, 100), None, at(8 * DAY)), Due::Nothing);
        assert_eq!(due(plan, &live(0, 8 * DAY), None, at(8 * DAY + 40)), Due::CountFrom(ended(8 * DAY)));
        let last = ended(8 * DAY);
        assert_eq!(due(plan, &live(0, 8 * DAY + 59), Some(&last), at(8 * DAY + 95)), Due::Nothing);
        let begin = Due::Begin(Cursor::between(at(7 * DAY), at(8 * DAY + 60)));
        assert_eq!(due(plan, &live(0, 8 * DAY + 60), Some(&last), at(8 * DAY + 95)), begin);
    }

    #[test]
    fn a_sweep_never_reaches_before_the_start_and_an_interrupted_one_goes_on() {
        let plan = Sweep::default();
        let begin = Due::Begin(Cursor::between(at(0), at(100)));
        assert_eq!(due(plan, &live(0, 100), Some(&ended(30)), at(140)), begin);
        let half = Cursor { complete_up_to: at(50), ..Cursor::between(at(0), at(100)) };
        assert_eq!(due(plan, &live(0, 9 * DAY), Some(&half), at(99 * DAY)), Due::Resume);
    }

    #[test]
    fn without_a_reach_there_is_no_sweep() {
        let plan = Sweep { back: TimeDelta::zero(), ..Sweep::default() };
        assert_eq!(due(plan, &live(0, 100), Some(&ended(0)), at(140)), Due::Nothing);
        assert_eq!(reach(plan, None, at(5)), at(5));
    }

    proptest! {
        /// Whatever the pauses, a sweep asks for nothing whose ids the live walk may have had forgotten before.
        #[test]
        fn nothing_is_forgotten_that_a_sweep_hands_out(steps in proptest::collection::vec((1i64..4000, any::<bool>()), 1..60)) {
            let plan = Sweep::default();
            let mut settled = 0;
            let mut last: Option<Cursor> = None;
            let mut forgotten = at(-100 * DAY);
            for (step, swept) in steps {
                settled += step;
                let live = live(-100 * DAY, settled);
                forgotten = forgotten.max(reach(plan, last.as_ref().map(Progress::of), live.settled));
                match due(plan, &live, last.as_ref(), live.settled) {
                    Due::Nothing => {}
                    Due::CountFrom(cursor) => last = Some(cursor),
                    Due::Begin(cursor) => {
                        prop_assert!(cursor.begin.unwrap() >= forgotten);
                        last = Some(cursor);
                    }
                    Due::Resume => {}
                }
                if swept && let Some(last) = &mut last {
                    last.complete_up_to = last.end.unwrap();
                }
            }
        }
    }
}
