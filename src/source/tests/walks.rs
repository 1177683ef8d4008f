//! Walks through every kind of log a vendor can have, with records that show up late, restarts at any request, and clocks
//! that differ: nothing is missed, and the watermark never lies.

use chrono::Duration;
use proptest::prelude::*;

use super::model::{Event, Micros, Reader, Record, SECOND, Vendor};
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

/// Records with times that come in clumps, some of them late by minutes.
fn any_records() -> impl Strategy<Value = Vec<Record>> {
    let late = prop_oneof![4 => 0..30 * SECOND, 1 => 0..900 * SECOND, 1 => Just(0)];
    let one = (0..SPAN, late, 1u64..4);
    proptest::collection::vec(one, 0..60).prop_map(|clumps| {
        let all =
            clumps.into_iter().flat_map(|(time, late, times)| (0..times).map(move |n| (time, late / (n as i64 + 1))));
        all.enumerate()
            .map(|(id, (time, late))| Record { id: id as u64 * 7 % 1009, time, visible_at: time + late })
            .collect()
    })
}

prop_compose! {
    fn any_vendor()(
        records in any_records(),
        bounds in proptest::sample::select(vec![Bounds::Inclusive, Bounds::Exclusive, Bounds::HalfOpen]),
        tick in proptest::sample::select(vec![SECOND, 1_000, 1]),
        order in proptest::sample::select(vec![Order::Ascending, Order::NewestFirst]),
        paginate in any_paginate(),
        page_size in 3usize..15,
        cursor_on_last_page in any::<bool>(),
        lifetime in proptest::option::weighted(0.3, 20 * SECOND..600 * SECOND),
        longest in proptest::option::weighted(0.3, 100 * SECOND..2000 * SECOND),
        skew in proptest::sample::select(vec![0, 30, 3600, -30, -3600]),
    ) -> Vendor {
        let skew = skew * SECOND;
        Vendor { records, bounds, tick, order, paginate, page_size, cursor_on_last_page, lifetime, longest, skew }
    }
}

prop_compose! {
    fn any_rules()(size in 60i64..2000, grow in 0i64..4000, lag in 0i64..120, overlap in 0i64..600) -> Rules {
        let seconds = Duration::seconds;
        Rules { size: seconds(size), grow_to: seconds(grow), lag: seconds(lag), overlap: seconds(overlap) }
    }
}

fn event(decision: u8) -> Event {
    match decision % 8 {
        0 => Event::RestartAfter,
        1 => Event::RestartBefore,
        _ => Event::Nothing,
    }
}

/// Reads until every record is older than anybody waits for, polling now and then.
fn follow(reader: &mut Reader<'_>, decisions: &[u8]) {
    let mut decisions = decisions.iter().copied().cycle();
    let mut next = || decisions.next().unwrap_or(7);
    // By the vendor's clock, and on until what happened last is settled.
    while reader.now < SPAN + (3600 + 2000) * SECOND {
        let decision = next();
        let event = event(decision);
        let latency = Micros::from(decision % 5) * SECOND * 7 / 10;
        let had_something = reader.read(latency, event);
        match event {
            _ if !had_something => reader.now += (20 + Micros::from(decision)) * SECOND,
            Event::Nothing => {}
            _ => reader.now += SECOND,
        }
    }
    while reader.read(0, Event::Nothing) {}
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn every_record_that_is_visible_in_time_is_read(
        vendor in any_vendor(), rules in any_rules(), slack in 0u64..3, known in any::<bool>(),
        decisions in proptest::collection::vec(any::<u8>(), 1..40),
    ) {
        // A time that is asked behind is written as fine as the vendor's clock is.
        let format = if matches!(vendor.paginate, Paginate::Keyset { .. }) { MICROS } else { SECONDS };
        let bounds = if known { vendor.bounds } else { Bounds::Unknown };
        let mut reader = Reader::new(&vendor, rules, &window_rules(format, bounds, slack));
        follow(&mut reader, &decisions);
        reader.check_complete();
    }
}
