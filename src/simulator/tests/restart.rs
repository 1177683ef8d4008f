//! Restarts in the middle of a window: the cursor that the journal keeps is all that is left, and it has to be enough.

use std::time::Duration;

use chrono::TimeDelta;

use super::week::{Scenario, settings};
use super::*;
use crate::event::Clock;
use crate::source::budget::Budgets;
use crate::source::{Cursor, Priority, Progress, Raw, Source};

const USER_AGENT: &str = "auditline/restart";

fn source(simulator: &Simulator, scenario: &Scenario, clock: &Clock) -> Source {
    let settings = settings::of(simulator, scenario, clock.clone());
    let share = Budgets::default().share(&settings, &"restart".into());
    Source::new(settings, share, USER_AGENT).expect("a source")
}

/// Reads one page; its ids, and what of the cursor a restart finds.
async fn read(source: &Source, cursor: &Cursor) -> (Vec<String>, Cursor, Progress) {
    let id = |raw: Raw<'_>| match raw {
        Raw::Event(event) => event.id.to_owned(),
        Raw::Unreadable { reason, .. } => panic!("{reason}"),
    };
    let page = source.read(cursor, Priority::Live, &|raw, _| id(raw)).await.expect("a page");
    (page.items, page.next.durable(), page.progress)
}

// Pages by number survive a restart, so a number has to mean the same after it: the vendor took only smaller pages before,
// or the connector names another size now.
#[tokio::test(start_paused = true)]
async fn larger_pages_after_a_restart_skip_nothing() {
    let clock = Clock::standing_at(instant("2026-03-01T00:00:00Z"));
    let world = World { clock: clock.clone(), span: Duration::from_secs(12 * 3600), ..world(230) };
    let simulator = start(world).await;
    let small = Scenario::of(Vendor::Telnyx, 20);
    let large = Scenario::of(Vendor::Telnyx, 50);
    let before = source(&simulator, &small, &clock);
    let mut cursor = Cursor::at(clock.now() - TimeDelta::hours(13));
    let mut seen = BTreeSet::new();
    for _ in 0..3 {
        let (ids, next, _) = read(&before, &cursor).await;
        seen.extend(ids);
        cursor = next;
    }
    assert_eq!(seen.len(), 60);
    let after = source(&simulator, &large, &clock);
    loop {
        let (ids, next, progress) = read(&after, &cursor).await;
        seen.extend(ids);
        cursor = next;
        if progress == Progress::CaughtUp {
            break;
        }
    }
    let due = simulator.expected_ids(Vendor::Telnyx, cursor.complete_up_to);
    assert_eq!(due.filter(|record| !seen.contains(&record.id)).count(), 0);
}

// More entries of our own reading than a page holds, and the vendor's token is gone with each restart.
#[tokio::test(start_paused = true)]
async fn pages_of_nothing_but_our_own_reading_are_passed() {
    let clock = Clock::standing_at(instant("2026-03-01T00:00:00Z"));
    let world = World { clock: clock.clone(), span: Duration::from_secs(3600), ..world(10) };
    let simulator = start(world).await;
    let scenario = Scenario::of(Vendor::Nirvana, 10);
    for _ in 0..35 {
        let source = source(&simulator, &scenario, &clock);
        source.check().await.expect("an answer");
        clock.set(clock.now() + TimeDelta::minutes(1));
    }
    assert_eq!(simulator.own_reads(), 35);
    clock.set(clock.now() + TimeDelta::hours(1));
    let mut cursor = Cursor::at(instant("2026-03-01T00:00:00Z"));
    for _ in 0..8 {
        let (ids, next, progress) = read(&source(&simulator, &scenario, &clock), &cursor).await;
        assert!(ids.len() <= 10);
        cursor = next;
        if progress == Progress::CaughtUp {
            return;
        }
    }
    panic!("it gets nowhere: {cursor:?}");
}
