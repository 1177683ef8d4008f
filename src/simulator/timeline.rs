//! When each record happened and when it can first be seen: arithmetic on its index, nothing stored.

use std::ops::Range;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::content::{Dice, mix};
use super::world::{Bounds, CountsFrom, World};

/// Microseconds since the Unix epoch.
pub(crate) type Micros = i64;

pub(crate) const SECOND: Micros = 1_000_000;
pub(crate) const MILLISECOND: Micros = 1_000;

/// The records of one vendor on the time axis. Times never fall as indexes rise.
#[derive(Debug)]
pub(crate) struct Timeline {
    salt: u64,
    records: u64,
    from: Micros,
    until: Micros,
    /// The vendor's clock ticks this often; times are cut down to it.
    tick: Micros,
    live_step: Option<u64>,
    started: Micros,
    late_share: u64,
    late_delay: Range<u64>,
    late_from: Micros,
    late_counts_from: CountsFrom,
    bounds: Bounds,
}

/// Which end of a range is read first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    Ascending,
    Descending,
}

/// Records picked from a range, and what of the range lies behind them.
#[derive(Debug)]
pub(crate) struct Picked {
    pub indexes: Vec<u64>,
    pub rest: Range<u64>,
}

pub(crate) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX / 4)
}

impl Timeline {
    pub fn new(world: &World, salt: u64, tick: Micros, started: Micros) -> Self {
        let until = world.until.map_or(started, |time| time.timestamp_micros());
        let late = &world.late;
        let delay_min = micros(late.delay_min).max(0) as u64;
        Self {
            salt,
            records: world.records,
            from: until.saturating_sub(micros(world.span)),
            until,
            tick,
            live_step: (world.live_per_second > 0.0).then(|| ((1e6 / world.live_per_second) as u64).max(1)),
            started,
            late_share: (late.fraction.clamp(0.0, 1.0) * f64::from(u32::MAX)) as u64,
            late_delay: delay_min..(micros(late.delay_max) as u64).max(delay_min) + 1,
            late_from: until.saturating_sub(micros(late.within)),
            late_counts_from: late.counts_from,
            bounds: world.bounds,
        }
    }

    /// The event time of record `index`, as coarse as the vendor tells it.
    pub fn time(&self, index: u64) -> Micros {
        let raw = self.exact(index);
        raw - raw.rem_euclid(self.tick)
    }

    /// The same for people and tests.
    pub fn date(&self, index: u64) -> DateTime<Utc> {
        date(self.time(index))
    }

    fn exact(&self, index: u64) -> Micros {
        if index >= self.records {
            let step = self.live_step.unwrap_or(1);
            return self.until + ((index - self.records) * step + mix(self.salt ^ 0x11fe, index) % step) as i64;
        }
        // A third of the groups of four is a burst whose records share their time to the microsecond.
        let group = index / 4;
        let (slot, key) =
            if mix(self.salt ^ 0xb065, group).is_multiple_of(3) { (group * 4, group) } else { (index, index) };
        let begin = self.slot(slot);
        let width = (self.slot(slot + 1) - begin).max(1) as u64;
        begin + (mix(self.salt ^ 0x717e, key) % width) as i64
    }

    fn slot(&self, index: u64) -> Micros {
        let span = i128::from(self.until - self.from);
        self.from + (i128::from(index) * span / i128::from(self.records.max(1))) as i64
    }

    /// The number of records whose time has come.
    pub fn end(&self, now: Micros) -> u64 {
        let live = match self.live_step {
            Some(step) if now >= self.until => (now - self.until) as u64 / step + 1,
            _ => 0,
        };
        partition(0, self.records + live, |index| self.exact(index) <= now)
    }

    /// The first record at or after `time`, among the first `end`.
    pub fn lower_bound(&self, time: Micros, end: u64) -> u64 {
        partition(0, end, |index| self.time(index) < time)
    }

    /// The records between two bounds, either of which may be missing, by the world's rule for bounds.
    pub fn window(&self, after: Option<Micros>, before: Option<Micros>, now: Micros) -> Range<u64> {
        let (open_low, open_high) = match self.bounds {
            Bounds::Exclusive => (true, true),
            Bounds::HalfOpen => (false, true),
            Bounds::Inclusive => (false, false),
        };
        let after = after.map(|time| if open_low { time.saturating_add(1) } else { time });
        let before = before.map(|time| if open_high { time } else { time.saturating_add(1) });
        self.window_half_open(after, before, now)
    }

    /// The records with `from <= time < to`.
    pub fn window_half_open(&self, from: Option<Micros>, to: Option<Micros>, now: Micros) -> Range<u64> {
        let end = self.end(now);
        let high = to.map_or(end, |time| self.lower_bound(time, end));
        let low = from.map_or(0, |time| self.lower_bound(time, end));
        low.min(high)..high
    }

    fn lateness(&self, index: u64) -> Option<u64> {
        if self.late_share == 0 || self.exact(index) < self.late_from {
            return None;
        }
        let mut dice = Dice::new(self.salt ^ 0x1a7e, index);
        let is_late = dice.below(u64::from(u32::MAX)) < self.late_share;
        let width = self.late_delay.end - self.late_delay.start;
        let drawn = match self.late_counts_from {
            CountsFrom::Start => width,
            CountsFrom::Event => dice.below(width) + 1,
        };
        is_late.then(|| self.late_delay.start + dice.below(drawn))
    }

    /// When record `index` is shown first.
    pub fn published(&self, index: u64) -> Micros {
        let exact = self.exact(index);
        match (self.lateness(index), self.late_counts_from) {
            (None, _) => exact,
            (Some(delay), CountsFrom::Start) => exact.max(self.started) + delay as i64,
            (Some(delay), CountsFrom::Event) => exact + delay as i64,
        }
    }

    /// Whether an answer given at `now` shows record `index`.
    pub fn visible(&self, index: u64, now: Micros) -> bool {
        self.published(index) <= now
    }

    /// Every record before this index is visible.
    fn settled(&self, now: Micros) -> u64 {
        let end = self.end(now);
        if self.late_share == 0 {
            return end;
        }
        let longest = self.late_delay.end as i64;
        let safe = match self.late_counts_from {
            CountsFrom::Event => self.late_from.max(now - longest),
            CountsFrom::Start if now - self.started > longest => now - longest,
            CountsFrom::Start => self.late_from,
        };
        partition(0, end, |index| self.exact(index) < safe)
    }

    pub fn count_visible(&self, range: Range<u64>, now: Micros) -> u64 {
        let settled = self.settled(now).clamp(range.start, range.end);
        (settled - range.start) + (settled..range.end).filter(|&index| self.visible(index, now)).count() as u64
    }

    /// Takes up to `take` visible records that satisfy `filter`, after passing over `skip` of them.
    ///
    /// Without a filter the skipped ones cost nothing, however many they are.
    pub fn pick(
        &self,
        range: Range<u64>,
        order: Order,
        (skip, take): (u64, usize),
        filter: Option<&dyn Fn(u64) -> bool>,
        now: Micros,
    ) -> Picked {
        let settled = self.settled(now);
        let Range { mut start, mut end } = range;
        let mut skip = skip;
        let mut indexes = Vec::with_capacity(take.min(1024));
        while start < end && indexes.len() < take {
            let free = match order {
                Order::Ascending => settled.clamp(start, end) - start,
                Order::Descending if end <= settled => end - start,
                Order::Descending => 0,
            };
            let jump = if filter.is_none() { skip.min(free) } else { 0 };
            if jump > 0 {
                skip -= jump;
                match order {
                    Order::Ascending => start += jump,
                    Order::Descending => end -= jump,
                }
                continue;
            }
            let index = match order {
                Order::Ascending => start,
                Order::Descending => end - 1,
            };
            match order {
                Order::Ascending => start += 1,
                Order::Descending => end -= 1,
            }
            if !self.visible(index, now) || filter.is_some_and(|filter| !filter(index)) {
                continue;
            }
            if skip > 0 {
                skip -= 1;
            } else {
                indexes.push(index);
            }
        }
        Picked { indexes, rest: start..end }
    }
}

/// The first index in `low..high` for which `holds` is false; it must be true before and false after.
fn partition(mut low: u64, mut high: u64, holds: impl Fn(u64) -> bool) -> u64 {
    while low < high {
        let middle = low + (high - low) / 2;
        if holds(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

pub(crate) fn date(time: Micros) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(time).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::world::Late;

    fn timeline(world: &World, started: Micros) -> Timeline {
        Timeline::new(world, 7, SECOND, started)
    }

    const START: Micros = 1_790_000_000 * SECOND;

    #[test]
    fn times_rise_share_seconds_and_stay_inside_the_span() {
        let world =
            World { records: 5_000, span: Duration::from_secs(3_000_000), live_per_second: 2.5, ..World::default() };
        let line = timeline(&world, START);
        let times: Vec<_> = (0..6_000).map(|index| line.time(index)).collect();
        assert!(times.is_sorted());
        assert!(times.windows(2).filter(|pair| pair[0] == pair[1]).count() > 500);
        assert!(times[0] >= START - 3_000_000 * SECOND && times[4_999] < START && times[5_000] >= START);
    }

    #[test]
    fn a_million_records_are_found_by_time() {
        let line = timeline(&World { records: 1_000_000, ..World::default() }, START);
        assert_eq!(line.end(START), 1_000_000);
        for index in [0, 1, 77_777, 500_000, 999_999] {
            let first = line.lower_bound(line.time(index), 1_000_000);
            assert!(first <= index && line.time(first) == line.time(index));
            assert!(first == 0 || line.time(first - 1) < line.time(index));
        }
    }

    #[test]
    fn live_records_appear_as_the_clock_passes_them() {
        let line = timeline(&World { records: 10, live_per_second: 10.0, ..World::default() }, START);
        assert_eq!(line.end(START - 1), 10);
        let seen = line.end(START + 60 * SECOND);
        assert!((609..=611).contains(&seen), "{seen}");
    }

    #[test]
    fn bounds_follow_the_rule() {
        let range = |bounds| {
            let line = timeline(&World { bounds, ..World::default() }, START);
            let (low, high) = (line.time(1_000), line.time(2_000));
            let window = line.window(Some(low), Some(high), START);
            (line.time(window.start) == low, line.time(window.end - 1) == high)
        };
        assert_eq!(range(Bounds::Exclusive), (false, false));
        assert_eq!(range(Bounds::HalfOpen), (true, false));
        assert_eq!(range(Bounds::Inclusive), (true, true));
    }

    #[test]
    fn late_records_are_hidden_first_and_seen_at_last() {
        let late = Late { fraction: 0.3, within: Duration::from_secs(600), ..Late::default() };
        let world = World { records: 2_000, span: Duration::from_secs(2_000), late, ..World::default() };
        let line = timeline(&world, START);
        let hidden = 2_000 - line.count_visible(0..2_000, START);
        assert!((120..240).contains(&hidden), "{hidden}");
        assert!((0..1_300).all(|index| line.visible(index, START)));
        assert_eq!(line.count_visible(0..2_000, START + 2 * SECOND), 2_000);
    }

    #[test]
    fn lateness_by_the_event_reaches_into_the_past() {
        let (shortest, longest) = (Duration::from_secs(60), Duration::from_secs(6 * 3600));
        let world = World { records: 5_000, late: Late::by_event(0.02, shortest, longest), ..World::default() };
        let line = timeline(&world, START);
        let delay = |index: &u64| line.published(*index) - line.exact(*index);
        let delays: Vec<_> = (0..5_000).map(|index| delay(&index)).filter(|delay| *delay > 0).collect();
        assert!((70..130).contains(&delays.len()), "{}", delays.len());
        assert!(delays.iter().all(|delay| (60 * SECOND..=6 * 3600 * SECOND).contains(delay)));
        assert!(delays.iter().filter(|delay| **delay < 2 * 3600 * SECOND).count() > delays.len() / 2);
        for now in [START - 5 * 24 * 3600 * SECOND, START, START + 3600 * SECOND] {
            let end = line.end(now);
            let hidden: Vec<_> = (0..end).filter(|index| !line.visible(*index, now)).collect();
            assert_eq!(line.count_visible(0..end, now) + hidden.len() as u64, end);
            assert!(hidden.iter().all(|index| line.exact(*index) > now - 6 * 3600 * SECOND), "{hidden:?}");
        }
        assert_eq!(line.count_visible(0..5_000, START + 6 * 3600 * SECOND), 5_000);
    }

    #[test]
    fn picking_with_an_offset_equals_slicing_what_is_visible() {
        let late = Late { fraction: 0.5, within: Duration::from_secs(100), ..Late::default() };
        let world = World { records: 300, span: Duration::from_secs(300), late, ..World::default() };
        let line = timeline(&world, START);
        let now = START + 700_000;
        let mut visible: Vec<u64> = (20..300).filter(|&index| line.visible(index, now)).collect();
        for order in [Order::Ascending, Order::Descending] {
            for skip in [0, 1, 150, 199, 230, 400] {
                let slice: Vec<_> = visible.iter().copied().skip(skip).take(17).collect();
                assert_eq!(line.pick(20..300, order, (skip as u64, 17), None, now).indexes, slice);
                let all = |_| true;
                assert_eq!(line.pick(20..300, order, (skip as u64, 17), Some(&all), now).indexes, slice);
            }
            visible.reverse();
        }
    }

    #[test]
    fn picking_again_from_the_rest_misses_nothing() {
        let line = timeline(&World { records: 100, ..World::default() }, START);
        for order in [Order::Ascending, Order::Descending] {
            let (mut range, mut seen) = (0..100, Vec::new());
            while !range.is_empty() {
                let picked = line.pick(range, order, (0, 7), None, START);
                seen.extend(picked.indexes);
                range = picked.rest;
            }
            seen.sort_unstable();
            assert_eq!(seen, (0..100).collect::<Vec<_>>());
        }
    }
}
