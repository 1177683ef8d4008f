//! What every journal promises, as functions that run against any of them.
//!
//! `open` opens the journal of a name: the same name finds what the last one of that name wrote, over a drop too. It is
//! never asked for a name that is still open.

mod choice;
mod model;

use std::sync::Arc;

use auditline_sinks::{Batch, BatchLimits, Closed, Record};
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};

use super::{Append, Appended, DeadLetter, Dropped, Journal, JournalError, Lane, New, Walk};
use crate::event::RecordKey;

pub(super) use model::follows_the_model;

/// All laws that are examples. [`follows_the_model`] is the one about everything else.
pub(super) async fn all<J: Journal>(open: impl AsyncFn(&str) -> J) {
    a_journal_keeps_its_name(&open("name").await, &open("other name").await);
    a_journal_is_found_again(&open).await;
    an_empty_pipeline_has_nothing(open("empty").await).await;
    what_waits_says_up_to_when_a_lane_is_complete(open("oldest").await).await;
    dead_letters_are_counted_with_their_pipeline(open("letters").await).await;
    the_first_of_two_with_one_key_counts(open("first counts").await).await;
    a_page_without_records_moves_the_cursor(open("no records").await).await;
    each_walk_has_a_cursor_and_all_share_what_was_seen(open("walks").await).await;
    a_single_large_record_makes_a_batch(open("large").await).await;
    a_batch_says_what_closed_it(open("closed").await).await;
    what_would_skip_records_is_refused(open("refused").await).await;
    a_sink_that_takes_the_place_of_another_is_given_the_rest(open("replaced").await).await;
    choice::all(&open).await;
    an_id_in_use_is_not_forgotten(open("remembered").await).await;
    calls_from_many_tasks_make_one_run(open("many tasks").await).await;
    a_lane_asked_twice_at_once_seals_one_batch(open("twice").await).await;
    a_dropped_append_is_done_or_not_begun(open("dropped").await).await;
}

pub(super) fn at(hour: i64) -> DateTime<Utc> {
    "2024-03-01T00:00:00Z".parse::<DateTime<Utc>>().unwrap() + TimeDelta::hours(hour)
}

pub(super) fn record(id: impl ToString) -> New {
    let id = id.to_string();
    New::of(RecordKey::of(&id), Record { time: at(0), json: format!(r#"{{"id":"{id}"}}"#).into(), id })
}

pub(super) fn dropped(id: &str, reason: &str) -> Dropped {
    Dropped { key: RecordKey::of(id), time: at(0), reason: reason.into() }
}

pub(super) fn page(ids: impl IntoIterator<Item = impl ToString>, cursor: &str) -> Append {
    let records = ids.into_iter().map(record).collect();
    Append { records, cursor: Bytes::copy_from_slice(cursor.as_bytes()), seen_at: at(0), ..Append::default() }
}

pub(super) fn letter(id: &str, stage: &str) -> DeadLetter {
    let body = Bytes::copy_from_slice(id.as_bytes());
    DeadLetter { key: RecordKey::of(id), stage: stage.to_owned(), reason: format!("{stage} refused it"), body }
}

pub(super) fn lane(pipeline: &Arc<str>, sink: &str) -> Lane {
    Lane { pipeline: pipeline.clone(), sink: sink.into() }
}

pub(super) fn limits(max_records: usize, max_bytes: u64) -> BatchLimits {
    BatchLimits { max_records, max_bytes, max_wait: std::time::Duration::from_secs(1) }
}

pub(super) fn ids(batch: &Batch) -> Vec<&str> {
    batch.records.iter().map(|record| record.id.as_str()).collect()
}

pub(super) const ANY: BatchLimits =
    BatchLimits { max_records: usize::MAX, max_bytes: u64::MAX, max_wait: std::time::Duration::ZERO };

/// The next batch of a lane, which has to be there.
pub(super) async fn next(journal: &impl Journal, lane: &Lane, limits: &BatchLimits) -> Batch {
    journal.seal(lane, &"vendor".into(), limits).await.unwrap().expect("a batch")
}

/// A pipeline with one lane.
async fn opened(journal: &impl Journal) -> (Arc<str>, Lane) {
    let pipeline: Arc<str> = "app".into();
    journal.open_pipeline(&pipeline, &["siem".into()]).await.unwrap();
    (pipeline.clone(), lane(&pipeline, "siem"))
}

fn a_journal_keeps_its_name(one: &impl Journal, other: &impl Journal) {
    assert_ne!(one.id(), other.id());
    assert!(one.id().bytes().all(|byte| byte.is_ascii_alphanumeric()), "fit for file names: {}", one.id());
}

async fn a_journal_is_found_again<J: Journal>(open: &impl AsyncFn(&str) -> J) {
    let journal = open("again").await;
    let id = journal.id();
    let (app, siem) = opened(&journal).await;
    journal.append(&app, page(1..=5, "five")).await.unwrap();
    let before = next(&journal, &siem, &limits(2, u64::MAX)).await;
    drop(journal);

    let journal = open("again").await;
    assert_eq!(journal.id(), id);
    assert_eq!(journal.cursor(&app, &Walk::live()).await.unwrap().unwrap(), "five");
    assert!(journal.open_pipeline(&app, &["siem".into()]).await.unwrap().is_empty());
    let after = next(&journal, &siem, &ANY).await;
    assert_eq!((after.key(), after.records), (before.key(), before.records));
}

async fn an_empty_pipeline_has_nothing(journal: impl Journal) {
    let (app, siem) = opened(&journal).await;
    for pipeline in [&app, &"never opened".into()] {
        assert_eq!(journal.cursor(pipeline, &Walk::live()).await.unwrap(), None);
        assert!(journal.dead_letters(pipeline, 10).await.unwrap().is_empty());
    }
    assert!(journal.seal(&siem, &"vendor".into(), &ANY).await.unwrap().is_none());
    assert_eq!(journal.waiting(&siem, &ANY).await.unwrap(), super::Waiting::default());
    journal.advance(&siem, 0, vec![]).await.unwrap();
}

async fn what_waits_says_up_to_when_a_lane_is_complete(journal: impl Journal) {
    let (app, siem) = opened(&journal).await;
    let mut late = page(["new", "late", "newer"], "");
    for (new, hour) in late.records.iter_mut().zip([5, 3, 6]) {
        new.record.time = at(hour);
    }
    late.dead_letters = vec![letter("bad", "transform")];
    journal.append(&app, late).await.unwrap();
    let mut oldest = vec![journal.oldest_waiting(&siem).await.unwrap()];
    while let Some(batch) = journal.seal(&siem, &"vendor".into(), &limits(1, u64::MAX)).await.unwrap() {
        journal.advance(&siem, batch.last, vec![]).await.unwrap();
        oldest.push(journal.oldest_waiting(&siem).await.unwrap());
    }
    assert_eq!(oldest, [Some(at(3)), Some(at(3)), Some(at(6)), None]);
    assert_eq!(
        journal.totals(&app).await.unwrap(),
        super::Totals { records: 3, dead_letters: 1, ..super::Totals::default() }
    );
    assert_eq!(journal.totals(&"never opened".into()).await.unwrap(), super::Totals::default());
}

// They were counted where a pipeline's number and a letter's happened to be the same.
async fn dead_letters_are_counted_with_their_pipeline(journal: impl Journal) {
    let (first, _) = opened(&journal).await;
    let second: Arc<str> = "second".into();
    journal.open_pipeline(&second, &["siem".into()]).await.unwrap();
    let mut bad = page(["good"], "");
    bad.dead_letters = (0..5).map(|n| letter(&format!("bad-{n}"), "transform")).collect();
    journal.append(&second, bad).await.unwrap();
    let count = async |pipeline: &Arc<str>| journal.totals(pipeline).await.unwrap().dead_letters;
    assert_eq!((count(&first).await, count(&second).await), (0, 5));
}

async fn the_first_of_two_with_one_key_counts(journal: impl Journal) {
    let (app, siem) = opened(&journal).await;
    let mut twice = page(["a", "b", "a"], "");
    twice.records[2].record.json = r#"{"later":true}"#.into();
    let first = twice.records[0].record.clone();
    assert_eq!(
        journal.append(&app, twice).await.unwrap(),
        Appended { added: 2, repeated: 1, last: 2, ..Appended::default() }
    );
    let batch = next(&journal, &siem, &ANY).await;
    assert_eq!((ids(&batch), &batch.records[0]), (vec!["a", "b"], &first));
    assert_eq!((&*batch.vendor, batch.journal.clone()), ("vendor", journal.id()));
}

async fn a_page_without_records_moves_the_cursor(journal: impl Journal) {
    let (app, _) = opened(&journal).await;
    for cursor in ["one", "two", "two", ""] {
        assert_eq!(journal.append(&app, page([0; 0], cursor)).await.unwrap(), Appended::default());
        assert_eq!(journal.cursor(&app, &Walk::live()).await.unwrap().unwrap(), cursor);
    }
}

async fn each_walk_has_a_cursor_and_all_share_what_was_seen(journal: impl Journal) {
    let (app, _) = opened(&journal).await;
    let by = |walk: Walk, ids: &[&str], cursor: &str| Append { walk, ..page(ids, cursor) };
    journal.append(&app, by(Walk::live(), &["a", "b"], "live")).await.unwrap();
    let swept = journal.append(&app, by(Walk::sweep(), &["b", "c"], "sweep")).await.unwrap();
    assert_eq!(swept, Appended { added: 1, repeated: 1, last: 3, ..Appended::default() });
    let walks = [(Walk::live(), Bytes::from("live")), (Walk::sweep(), Bytes::from("sweep"))];
    assert_eq!(journal.walks(&app).await.unwrap(), walks);

    journal.end_walk(&app, &Walk::sweep()).await.unwrap();
    journal.end_walk(&"never opened".into(), &Walk::live()).await.unwrap();
    assert_eq!(journal.walks(&app).await.unwrap(), walks[..1]);
    let again = journal.append(&app, by(Walk::sweep(), &["c"], "")).await.unwrap();
    assert_eq!((again.added, again.repeated), (0, 1));
}

async fn a_single_large_record_makes_a_batch(journal: impl Journal) {
    let (app, siem) = opened(&journal).await;
    let mut large = page(["small", "large"], "");
    large.records[1].record.json = vec![b'1'; 3_000_000].into();
    journal.append(&app, large).await.unwrap();
    for expected in ["small", "large"] {
        let batch = next(&journal, &siem, &limits(0, 1000)).await;
        assert_eq!(ids(&batch), [expected]);
        journal.advance(&siem, batch.last, vec![]).await.unwrap();
    }
}

async fn a_batch_says_what_closed_it(journal: impl Journal) {
    let (app, siem) = opened(&journal).await;
    // Ten bytes each.
    journal.append(&app, page(1..=9, "")).await.unwrap();
    let cases = [(limits(2, 1000), Closed::Records), (limits(7, 25), Closed::Bytes), (limits(7, 30), Closed::Bytes)];
    for (limits, closed) in cases.into_iter().chain([(ANY, Closed::Age)]) {
        let batch = next(&journal, &siem, &limits).await;
        assert_eq!(batch.closed, closed, "{}", batch.key());
        assert_eq!(next(&journal, &siem, &limits).await.closed, Closed::Before);
        journal.advance(&siem, batch.last, vec![]).await.unwrap();
    }
}

async fn what_would_skip_records_is_refused(journal: impl Journal) {
    let (app, siem) = opened(&journal).await;
    journal.append(&app, page(1..=9, "")).await.unwrap();
    let batch = next(&journal, &siem, &limits(4, u64::MAX)).await;
    for to in [3, 5, 9, 10] {
        let refused = journal.advance(&siem, to, vec![letter("x", "siem")]).await;
        assert!(matches!(refused, Err(JournalError::Refused { .. })), "{to}");
    }
    let stranger = lane(&app, "stranger");
    assert!(matches!(journal.waiting(&stranger, &ANY).await, Err(JournalError::Refused { .. })));
    assert!(matches!(journal.seal(&stranger, &"vendor".into(), &ANY).await, Err(JournalError::Refused { .. })));

    assert!(journal.dead_letters(&app, 10).await.unwrap().is_empty());
    assert_eq!(next(&journal, &siem, &ANY).await.key(), batch.key());
    journal.advance(&siem, 4, vec![]).await.unwrap();
    assert_eq!(next(&journal, &siem, &ANY).await.first, 5);
}

async fn a_sink_that_takes_the_place_of_another_is_given_the_rest(journal: impl Journal) {
    let app: Arc<str> = "app".into();
    journal.append(&app, page(1..=3, "")).await.unwrap();
    journal.open_pipeline(&app, &["fast".into(), "slow".into(), "slow".into()]).await.unwrap();
    for (sink, records) in [("fast", 3), ("slow", 1)] {
        let lane = lane(&app, sink);
        let batch = next(&journal, &lane, &limits(records, u64::MAX)).await;
        journal.advance(&lane, batch.last, vec![]).await.unwrap();
    }
    let forgotten = journal.open_pipeline(&app, &["fast".into(), "new".into()]).await.unwrap();
    assert_eq!(forgotten, [(lane(&app, "slow"), 2)]);
    assert_eq!(ids(&next(&journal, &lane(&app, "new"), &ANY).await), ["2", "3"]);

    assert_eq!(journal.open_pipeline(&app, &[]).await.unwrap().len(), 2);
    journal.append(&app, page(4..=5, "")).await.unwrap();
    journal.open_pipeline(&app, &["newest".into()]).await.unwrap();
    assert_eq!(ids(&next(&journal, &lane(&app, "newest"), &ANY).await), ["2", "3", "4", "5"]);
}

async fn an_id_in_use_is_not_forgotten(journal: impl Journal) {
    let (app, _) = opened(&journal).await;
    for hour in 0..300 {
        let again = Append { seen_at: at(hour), forget_before: Some(at(hour - 1)), ..page(["a"], "") };
        let added = journal.append(&app, again).await.unwrap().added;
        assert_eq!(added, u64::from(hour == 0), "at hour {hour}");
    }
}

async fn calls_from_many_tasks_make_one_run(journal: impl Journal) {
    let (app, siem) = opened(&journal).await;
    let pages = (0..20).map(|n| journal.append(&app, page(n * 10..n * 10 + 15, "")));
    let appended = futures::future::try_join_all(pages).await.unwrap();
    assert_eq!(appended.iter().map(|page| page.added).sum::<u64>(), 205);
    let batch = next(&journal, &siem, &ANY).await;
    assert_eq!((batch.first, batch.last), (1, 205));
    let unique: std::collections::HashSet<_> = ids(&batch).into_iter().collect();
    assert_eq!(unique.len(), 205);
}

async fn a_lane_asked_twice_at_once_seals_one_batch(journal: impl Journal) {
    let (app, siem) = opened(&journal).await;
    journal.append(&app, page(0..50, "")).await.unwrap();
    while journal.waiting(&siem, &ANY).await.unwrap().records > 0 {
        let (two, nine) = (limits(2, u64::MAX), limits(9, u64::MAX));
        let (one, other) = futures::join!(next(&journal, &siem, &two), next(&journal, &siem, &nine));
        assert_eq!(one.key(), other.key());
        let _both =
            futures::try_join!(journal.advance(&siem, one.last, vec![]), journal.advance(&siem, other.last, vec![]))
                .unwrap();
    }
}

async fn a_dropped_append_is_done_or_not_begun(journal: impl Journal) {
    let (app, siem) = opened(&journal).await;
    for n in 0..20 {
        let ids = n * 10..n * 10 + 10;
        let mut dropped = journal.append(&app, page(ids.clone(), ""));
        for _ in 0..n % 4 {
            let _ = futures::poll!(&mut dropped);
            tokio::task::yield_now().await;
        }
        drop(dropped);
        let appended = journal.append(&app, page(ids, "")).await.unwrap();
        assert!([0, 10].contains(&appended.added));
        assert_eq!(appended.last, (n + 1) * 10);
    }
    assert_eq!(next(&journal, &siem, &ANY).await.records.len(), 200);
}
