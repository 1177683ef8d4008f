//! Walks through every kind of log a vendor can have, with records that show up late, restarts at any request, and clocks
//! that differ: nothing is missed, and the watermark never lies.

use chrono::Duration;
use proptest::prelude::*;

use super::model::{Event, Micros, Reader, Record, SECOND, Vendor, micros_of};
use crate::connector::Connector;
use crate::connector::model::{Bounds, Order, Paginate, WindowRules};
use crate::source::Rules;

/// Records fall within this time.
const SPAN: Micros = 3600 * SECOND;

fn window_rules(time_format: &str, bounds: Bounds, slack: u64) -> WindowRules {
    let mut rules = Connector::embedded("telnyx").unwrap().definition.window.clone();
    rules.time_format.value = time_format.to_owned();
    rules.bounds = bounds;
    rules.slack.0 = std::time::Duration::from_secs(slack);
    rules
}

fn path(text: &str) -> crate::event::Path {
    text.parse().unwrap()
}

const SECONDS: &str = "%Y-%m-%dT%H:%M:%SZ";
const MICROS: &str = "%Y-%m-%dT%H:%M:%S%.6fZ";

fn numbers() -> Paginate {
    Paginate::Page { first: 1, total: Some(path("total")), ceiling: None }
}

fn any_paginate() -> impl Strategy<Value = Paginate> {
    let numbers_without_total = Paginate::Page { first: 1, total: None, ceiling: None };
    let offset = |ceiling, total: bool| Paginate::Offset { ceiling, total: total.then(|| path("total")) };
    let cursor = Paginate::Cursor { next: vec![path("next")], more: None, empty_page_ends: true };
    let keyset = Paginate::Keyset { id: path("id"), time: Some(path("at")) };
    proptest::sample::select(vec![
        numbers(),
        numbers_without_total,
        Paginate::Page { first: 1, total: None, ceiling: Some(40) },
        offset(None, true),
        offset(None, false),
        offset(Some(100), true),
        offset(Some(100), false),
        cursor,
        keyset,
    ])
}

/// When a record happens and how late it shows up, as a share of how long anybody waits for it. Many at instants that are
/// the edges of windows too, in clumps, and as late as can be.
fn any_records() -> impl Strategy<Value = Vec<(Micros, f64)>> {
    let time = prop_oneof![1 => 0..SPAN, 2 => (0..SPAN / SECOND / 10).prop_map(|tens| tens * 10 * SECOND)];
    let late = prop_oneof![3 => Just(0.0), 1 => 0.0..1.1, 1 => 0.9..1.0, 1 => Just(1.0)];
    let clump = (time, proptest::collection::vec(late, 1..4));
    proptest::collection::vec(clump, 0..60).prop_map(|clumps| {
        clumps.into_iter().flat_map(|(time, late)| late.into_iter().map(move |late| (time, late))).collect()
    })
}

prop_compose! {
    fn any_rules()(size in 6i64..200, grow in 0i64..400, lag in 0i64..12, overlap in 0i64..60) -> Rules {
        let tens = |tens: i64| Duration::seconds(tens * 10);
        Rules { size: tens(size), grow_to: tens(grow), lag: tens(lag), overlap: tens(overlap) }
    }
}

prop_compose! {
    fn any_vendor()(
        rules in any_rules(),
        records in any_records(),
        bounds in proptest::sample::select(vec![Bounds::Inclusive, Bounds::Exclusive, Bounds::HalfOpen]),
        tick in proptest::sample::select(vec![SECOND, 1_000, 1]),
        order in proptest::sample::select(vec![Order::Ascending, Order::NewestFirst]),
        paginate in any_paginate(),
        page_size in 3usize..15,
        cursor_on_last_page in any::<bool>(),
        lifetime in proptest::option::weighted(0.3, 20 * SECOND..600 * SECOND),
        longest in proptest::option::weighted(0.5, 50 * SECOND..1000 * SECOND),
        skew in proptest::sample::select(vec![0, 0, 30, 3600, -30, -3600]),
    ) -> (Vendor, Rules) {
        let skew = skew * SECOND;
        let patience = micros_of(rules.lag + rules.overlap);
        let record = |(id, (time, late)): (usize, (Micros, f64))| {
            let visible_at = time + (patience as f64 * late) as Micros;
            // In no order, so that nothing relies upon ids that grow.
            Record { id: id as u64 * 7 % 1009, time, visible_at }
        };
        let records = records.into_iter().enumerate().map(record).collect();
        let vendor =
            Vendor { records, bounds, tick, order, paginate, page_size, cursor_on_last_page, lifetime, longest, skew };
        (vendor, rules)
    }
}

fn event(decision: u8) -> Event {
    match decision % 8 {
        0 => Event::RestartAfter,
        1 => Event::RestartBefore,
        _ => Event::Nothing,
    }
}

/// Reads until every record is older than anybody waits for, polling now and then. Some requests take minutes.
fn follow(reader: &mut Reader<'_>, decisions: &[u8]) {
    let mut decisions = decisions.iter().copied().cycle();
    // By the vendor's clock, and on until what happened last is settled.
    while reader.now < SPAN + (3600 + 2000) * SECOND {
        let decision = decisions.next().unwrap_or(7);
        let event = event(decision);
        let latency = [0, 0, 1, 7, 100, 600][usize::from(decision % 6)] * SECOND / 10;
        let had_something = reader.read(latency, event);
        match event {
            _ if !had_something => reader.now += (1 + Micros::from(decision) / 8) * 10 * SECOND,
            Event::Nothing => {}
            _ => reader.now += SECOND,
        }
    }
    // A vendor that answers at once is caught up with in a few rounds, however far behind we were.
    for _ in 0..4 {
        while reader.read(0, Event::Nothing) {}
        reader.now += 10 * SECOND;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn every_record_that_is_visible_in_time_is_read(
        (vendor, rules) in any_vendor(), slack in 0u64..3, known in any::<bool>(), begins_at in 0..SPAN,
        decisions in proptest::collection::vec(any::<u8>(), 1..40),
    ) {
        // A time that is asked behind is written as fine as the vendor's clock is.
        let format = if matches!(vendor.paginate, Paginate::Keyset { .. }) { MICROS } else { SECONDS };
        let bounds = if known { vendor.bounds } else { Bounds::Unknown };
        let mut reader = Reader::new(&vendor, rules, &window_rules(format, bounds, slack));
        // What happened until then is a backlog.
        reader.now = begins_at / SECOND * SECOND;
        follow(&mut reader, &decisions);
        reader.check_complete(SPAN);
    }
}
