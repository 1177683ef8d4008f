//! Reports through the source itself: never ordered twice for one window, whatever is lost on the way.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use auditline_sinks::secret::Secret;
use chrono::TimeDelta;

use super::*;
use crate::connector::Connector;
use crate::connector::model::Rate;
use crate::event::{Arena, Clock};
use crate::simulator::{Packing, VoximplantQuirks};
use crate::source::budget::Budgets;
use crate::source::{Cursor, Mode, Page, Priority, Progress, Raw, Rules, Setting, Settings, Source, SourceError};

/// Reports that are done at the first look.
fn quick() -> VoximplantQuirks {
    VoximplantQuirks { report_polls: 0, report_delay: Duration::ZERO, ..VoximplantQuirks::default() }
}

async fn simulate(voximplant: VoximplantQuirks) -> Simulator {
    start(World { voximplant, ..world(300) }).await
}

fn source(simulator: &Simulator) -> Source {
    let account = Secret::literal(credentials::voximplant_service_account()).expect("a secret");
    let rate = Rate { requests: 100_000, per: Duration::from_secs(1) };
    let settings = Settings {
        connector: Connector::embedded("voximplant").expect("it is embedded"),
        base_url: simulator.base_url(Vendor::Voximplant).parse().expect("a URL"),
        parameters: BTreeMap::from([("credentials".to_string(), Setting::Secret(account.into()))]),
        filters: Vec::new(),
        start: instant("2026-02-21T00:00:00Z"),
        rules: Rules {
            size: TimeDelta::days(3),
            grow_to: TimeDelta::zero(),
            lag: TimeDelta::minutes(5),
            overlap: TimeDelta::minutes(30),
        },
        mode: Mode::Named("report".to_string()),
        rate,
        reserve: 0.0,
        clock: Clock::system(),
        credential_expires: None,
    };
    let share = Budgets::default().share(&settings, &Arc::from("test"));
    Source::new(settings, share, "auditline/test").expect("a source")
}

/// The walk over everything there is, in three windows.
fn all() -> Cursor {
    Cursor::between(instant("2026-02-21T00:00:00Z"), instant("2026-03-02T00:00:00Z"))
}

async fn step(source: &Source, cursor: &Cursor) -> Result<Page<String>, SourceError> {
    let refine = |raw: Raw<'_>, _: &Arena| match raw {
        Raw::Event(event) => event.id.to_string(),
        Raw::Unreadable { reason, .. } => panic!("{reason}"),
    };
    source.read(cursor, Priority::Live, &refine).await
}

/// Reads everything. At a step for which `crashes` says so, what it led to is lost: it is done again from where it began.
async fn read(simulator: &Simulator, mut crashes: impl FnMut(usize) -> bool) -> (BTreeSet<String>, Vec<String>) {
    let mut source = self::source(simulator);
    let (mut cursor, mut ids, mut errors) = (all(), BTreeSet::new(), Vec::new());
    for number in 0..200 {
        match step(&source, &cursor).await {
            Err(error) => errors.push(error.to_string()),
            Ok(_) if crashes(number) => source = self::source(simulator),
            Ok(page) => {
                ids.extend(page.items);
                cursor = page.next.durable();
                if page.progress == Progress::CaughtUp {
                    return (ids, errors);
                }
            }
        }
    }
    panic!("no end: {cursor:?} {errors:?}");
}

/// Everything was read, and each window ordered once.
fn expect_once(simulator: &Simulator, ids: &BTreeSet<String>) {
    assert_eq!(*ids, all_ids(simulator, Vendor::Voximplant));
    let orders = simulator.reports();
    let distinct: BTreeSet<_> = orders.iter().collect();
    assert_eq!((orders.len(), distinct.len()), (3, 3), "{orders:?}");
}

#[tokio::test]
async fn a_crash_at_any_step_orders_nothing_twice() {
    // Without one, then after each of the first steps, then after every other step.
    let simulator = simulate(quick()).await;
    let (ids, errors) = read(&simulator, |_| false).await;
    expect_once(&simulator, &ids);
    assert!(errors.is_empty(), "{errors:?}");
    for at in 0..10 {
        let simulator = simulate(quick()).await;
        let (ids, _) = read(&simulator, |number| number == at).await;
        expect_once(&simulator, &ids);
    }
    let simulator = simulate(quick()).await;
    let (ids, _) = read(&simulator, |number| number % 2 == 0).await;
    expect_once(&simulator, &ids);
}

#[tokio::test]
async fn a_lost_answer_orders_nothing_twice() {
    // The vendor would take the same order again at once.
    let quirks = VoximplantQuirks { lost_orders: 3, repeat_within: Duration::ZERO, ..quick() };
    let simulator = simulate(quirks).await;
    let (ids, errors) = read(&simulator, |_| false).await;
    expect_once(&simulator, &ids);
    assert_eq!(errors.len(), 3, "{errors:?}");
    assert!(errors.iter().all(|error| error.starts_with("Voximplant broke off its answer")), "{errors:?}");
}

#[tokio::test]
async fn an_order_that_is_refused_as_a_repetition_is_looked_for() {
    for repeat_code in [515, 484] {
        // After a crash the report is not listed yet, so it is ordered again, and refused.
        let simulator = simulate(VoximplantQuirks { repeat_code, listed_after: 1, ..quick() }).await;
        let (ids, errors) = read(&simulator, |number| number == 1).await;
        expect_once(&simulator, &ids);
        assert!(errors.is_empty(), "{errors:?}");
        assert_eq!(simulator.stats(Vendor::Voximplant).invalid, 1, "the second order");
    }
}

#[tokio::test]
async fn half_a_file_is_never_kept() {
    for packing in [Packing::Plain, Packing::GzipBody, Packing::ContentEncoding] {
        let simulator = simulate(VoximplantQuirks { half_files: 2, packing, ..quick() }).await;
        let (ids, errors) = read(&simulator, |_| false).await;
        expect_once(&simulator, &ids);
        assert!(errors.is_empty(), "{errors:?}");
        // Looked, ordered, asked and downloaded for each window, and twice asked and downloaded again.
        assert_eq!(simulator.stats(Vendor::Voximplant).requests, 3 * 4 + 2 * 2);
    }
}

#[tokio::test]
async fn a_check_orders_nothing() {
    let simulator = simulate(quick()).await;
    source(&simulator).check().await.expect("it answers");
    assert_eq!(simulator.reports(), [""; 0]);
}
