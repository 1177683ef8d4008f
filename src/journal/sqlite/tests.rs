//! What only this journal promises: bounds on disk, one process, and an error that leaves nothing behind.

use std::path::Path;
use std::sync::Arc;

use tempfile::TempDir;

use super::*;
use crate::journal::contract::{self, ANY, at, ids, lane, letter, limits, next, page};

fn open(folder: &Path, limit_bytes: u64) -> SqliteJournal {
    SqliteJournal::open(&folder.join("journal.db"), Options { limit_bytes }).unwrap()
}

fn in_new_folder() -> (TempDir, SqliteJournal) {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path(), u64::MAX);
    (folder, journal)
}

fn large_page(ids: std::ops::Range<u32>, bytes: usize) -> Append {
    let mut page = page(ids, "large");
    page.records.iter_mut().for_each(|new| new.record.json = vec![b'x'; bytes].into());
    page
}

async fn opened(journal: &SqliteJournal, name: &str) -> (Arc<str>, Lane) {
    let pipeline: Arc<str> = name.into();
    journal.open_pipeline(&pipeline, &["siem".into()]).await.unwrap();
    (pipeline.clone(), lane(&pipeline, "siem"))
}

async fn deliver_all(journal: &SqliteJournal, lane: &Lane, limits: &BatchLimits) {
    while let Some(batch) = journal.seal(lane, &"vendor".into(), limits).await.unwrap() {
        journal.advance(lane, batch.last, vec![]).await.unwrap();
    }
    journal.sweeper.settle();
}

async fn count(journal: &SqliteJournal, table: &str) -> i64 {
    let query = format!("SELECT count(*) FROM {table}");
    with(&journal.questions, move |conn| Ok(conn.query_row(&query, [], |row| row.get(0))?)).await.unwrap()
}

async fn execute(journal: &SqliteJournal, sql: &'static str) {
    with(&journal.writer, move |conn| Ok(conn.execute_batch(sql)?)).await.unwrap();
}

#[tokio::test]
async fn keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    contract::all(async |name| open(&folder.path().join(name), u64::MAX)).await;
}

#[test]
fn follows_the_model() {
    let folder = tempfile::tempdir().unwrap();
    contract::follows_the_model(64, async |name| open(&folder.path().join(name), u64::MAX));
}

#[tokio::test]
async fn a_second_opener_is_told_so() {
    let (folder, journal) = in_new_folder();
    let path = folder.path().join("journal.db");
    let second = SqliteJournal::open(&path, Options::default());
    assert!(matches!(second, Err(JournalError::InUse { path: told }) if told == path));
    drop(journal);
    SqliteJournal::open(&path, Options::default()).unwrap();
}

#[tokio::test]
async fn a_full_journal_has_room_again_once_its_records_are_delivered() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path(), 4_000_000);
    let (app, siem) = opened(&journal, "app").await;
    let mut pages = 0;
    while !journal.fill().await.unwrap().is_full() {
        journal.append(&app, large_page(pages * 100..(pages + 1) * 100, 1500)).await.unwrap();
        pages += 1;
    }
    assert!((20..=27).contains(&pages), "{pages} pages of 150 kB in 4 MB");
    deliver_all(&journal, &siem, &limits(1000, u64::MAX)).await;
    let fill = journal.fill().await.unwrap();
    assert!(fill.bytes < 500_000, "{fill:?}");
    assert_eq!(count(&journal, "records").await, 0);
}

#[tokio::test]
async fn a_drained_backlog_gives_the_disk_back() {
    let (folder, journal) = in_new_folder();
    let (app, siem) = opened(&journal, "app").await;
    for page in 0..20 {
        journal.append(&app, large_page(page * 1000..(page + 1) * 1000, 1500)).await.unwrap();
    }
    let size = |suffix: &str| folder.path().join(format!("journal.db{suffix}")).metadata().unwrap().len();
    assert!(size("") > 25_000_000);
    deliver_all(&journal, &siem, &limits(7000, u64::MAX)).await;
    execute(&journal, "PRAGMA wal_checkpoint(PASSIVE)").await;
    assert!(size("") < 16_000_000, "{}", size(""));
    assert!(size("-wal") < 8_000_000, "{}", size("-wal"));
    drop(journal);
    assert!(!folder.path().join("journal.db-wal").exists());
}

#[tokio::test]
async fn the_slowest_lane_holds_its_pipeline_and_no_other() {
    let (_folder, journal) = in_new_folder();
    let (app, siem) = opened(&journal, "app").await;
    let shop: Arc<str> = "shop".into();
    journal.open_pipeline(&shop, &["siem".into(), "archive".into()]).await.unwrap();
    for pipeline in [&app, &shop] {
        journal.append(pipeline, page(0..5000, "")).await.unwrap();
    }
    for lane in [siem, lane(&shop, "siem")] {
        deliver_all(&journal, &lane, &limits(600, u64::MAX)).await;
    }
    assert_eq!(count(&journal, "records").await, 5000);
    assert_eq!(next(&journal, &lane(&shop, "archive"), &ANY).await.records.len(), 5000);
}

#[tokio::test]
async fn what_a_lane_does_not_get_does_not_hold_the_journal() {
    let (_folder, journal) = in_new_folder();
    let app: Arc<str> = "app".into();
    journal.open_pipeline(&app, &["busy".into(), "rare".into()]).await.unwrap();
    for numbers in [0..3000, 3000..5000] {
        let mut page = page(numbers, "");
        page.records.iter_mut().for_each(|new| new.to = Some(["busy".into()].into()));
        journal.append(&app, page).await.unwrap();
    }
    deliver_all(&journal, &lane(&app, "busy"), &limits(600, u64::MAX)).await;
    assert_eq!(count(&journal, "records").await, 0);
}

#[tokio::test]
async fn what_one_run_did_not_remove_the_next_one_does_if_it_has_the_pipeline() {
    let (folder, journal) = in_new_folder();
    for name in ["app", "shop"] {
        let (pipeline, lane) = opened(&journal, name).await;
        journal.append(&pipeline, page(0..100, "")).await.unwrap();
        let batch = next(&journal, &lane, &limits(60, u64::MAX)).await;
        // As `advance` does it, without the wake-up.
        let advance = move |conn: &mut Connection| batches::advance(conn, &lane, batch.last, &[], at(0));
        with(&journal.writer, advance).await.unwrap();
    }
    drop(journal);
    let journal = open(folder.path(), u64::MAX);
    opened(&journal, "app").await;
    journal.sweeper.settle();
    assert_eq!(count(&journal, "records").await, 40 + 100);
}

#[tokio::test]
async fn ids_that_no_read_can_reach_are_forgotten() {
    let (_folder, journal) = in_new_folder();
    let (app, _) = opened(&journal, "app").await;
    journal.append(&app, page(0..9000, "")).await.unwrap();
    let later = Append { seen_at: at(200), forget_before: Some(at(100)), ..page(["new"], "") };
    journal.append(&app, later).await.unwrap();
    journal.sweeper.settle();
    assert_eq!(count(&journal, "seen").await, 1);
    assert_eq!(journal.append(&app, page(0..10, "")).await.unwrap().added, 10);
}

#[tokio::test]
async fn a_record_from_the_future_is_forgotten_like_one_of_today() {
    let (_folder, journal) = in_new_folder();
    let (app, _) = opened(&journal, "app").await;
    let mut future = page(["future"], "");
    future.records[0].record.time = "9999-01-01T00:00:00Z".parse().unwrap();
    journal.append(&app, future).await.unwrap();
    let later = Append { forget_before: Some(Utc::now() + chrono::TimeDelta::hours(100)), ..page([0; 0], "") };
    journal.append(&app, later).await.unwrap();
    journal.sweeper.settle();
    assert_eq!(count(&journal, "seen").await, 0);
}

#[tokio::test]
async fn a_full_disk_fails_the_call_and_nothing_else() {
    let (_folder, journal) = in_new_folder();
    let (app, siem) = opened(&journal, "app").await;
    let first = Append { dead_letters: vec![letter("bad", "transform")], ..page(0..10, "first") };
    journal.append(&app, first).await.unwrap();
    execute(&journal, "PRAGMA max_page_count = 40").await;

    let page = || Append { dead_letters: vec![letter("worse", "transform")], ..large_page(5..2000, 1500) };
    assert!(matches!(journal.append(&app, page()).await, Err(JournalError::Storage(_))));
    assert_eq!(journal.cursor(&app, &Walk::live()).await.unwrap().unwrap(), "first");
    assert_eq!(journal.dead_letters(&app, 9).await.unwrap(), [letter("bad", "transform")]);
    assert_eq!(journal.waiting(&siem, &ANY).await.unwrap().records, 10);

    // Delivering still works, and so does a page that fits.
    deliver_all(&journal, &siem, &limits(3, u64::MAX)).await;
    journal.append(&app, contract::page(5..12, "second")).await.unwrap();
    assert_eq!(ids(&next(&journal, &siem, &ANY).await), ["10", "11"]);

    execute(&journal, "PRAGMA max_page_count = 1000000").await;
    assert_eq!(
        journal.append(&app, page()).await.unwrap(),
        Appended { added: 1988, repeated: 7, last: 2000, dead_letters: vec![0], ..Appended::default() }
    );
}

#[tokio::test]
async fn a_hole_in_the_file_stops_the_lane() {
    let (_folder, journal) = in_new_folder();
    let (app, siem) = opened(&journal, "app").await;
    journal.append(&app, page(0..10, "")).await.unwrap();
    execute(&journal, "DELETE FROM records WHERE id = '4'").await;
    let holed = journal.seal(&siem, &"vendor".into(), &ANY).await;
    assert!(matches!(holed, Err(JournalError::Storage(cause)) if cause.to_string().contains("record 5")));
}

#[tokio::test]
async fn every_commit_of_a_call_waits_for_the_disk() {
    let (_folder, journal) = in_new_folder();
    let (app, siem) = opened(&journal, "app").await;
    journal.append(&app, page(0..3000, "")).await.unwrap();
    deliver_all(&journal, &siem, &ANY).await;
    let level = |conn: &mut Connection| Ok(conn.pragma_query_value(None, "synchronous", |row| row.get::<_, i64>(0))?);
    assert_eq!(with(&journal.writer, level).await.unwrap(), 2, "the sweeper puts it back");
}

#[tokio::test]
async fn a_record_that_is_forgotten_is_not_its_own_repetition() {
    let (_folder, journal) = in_new_folder();
    let (app, _) = opened(&journal, "app").await;
    let by = |ids: &[&str], hour: i64| {
        let mut page = page(ids, "");
        page.records.iter_mut().for_each(|new| new.twin = Some(RecordKey::of("twin")));
        Append { seen_at: at(hour), ..page }
    };
    assert_eq!(journal.append(&app, by(&["first"], 0)).await.unwrap().added, 1);
    // Repetitions long afterwards, each of which is read twice.
    for (id, hour) in [("second", 40), ("third", 80)] {
        for _ in 0..2 {
            assert_eq!(journal.append(&app, by(&[id], hour)).await.unwrap().added, 0);
        }
    }
    let forget = Append { forget_before: Some(at(60)), ..page([0; 0], "") };
    journal.append(&app, forget).await.unwrap();
    journal.sweeper.settle();
    let again = journal.append(&app, by(&["first"], 80)).await.unwrap();
    assert_eq!((again.added, again.dropped), (1, Default::default()));
}
