//! The journal against SIGKILL: a child of this test writes pages and delivers them until it is killed, again and again.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use auditline::event::RecordKey;
use auditline::journal::{Append, DeadLetter, Journal, Lane, New, Sequence, Walk};
use auditline::journal::{Options, SqliteJournal};
use auditline_sinks::{BatchLimits, Record};
use chrono::{DateTime, TimeDelta, Utc};

/// Set for the child: the folder it works in.
const FOLDER: &str = "AUDITLINE_TEST_CRASH_FOLDER";
const ROUNDS: usize = 30;

#[test]
fn a_killed_process_leaves_cursor_and_records_in_step() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    if let Some(folder) = std::env::var_os(FOLDER) {
        return runtime.block_on(write_for_ever(Path::new(&folder)));
    }
    let folder = tempfile::tempdir().unwrap();
    let mut archived = Vec::new();
    let mut pages = 0;
    for _ in 0..ROUNDS {
        let acknowledged = run_and_kill(folder.path()).max(pages);
        pages = runtime.block_on(check(folder.path(), &mut archived));
        assert!((acknowledged..=acknowledged + 1).contains(&pages), "{pages} pages, {acknowledged} acknowledged");
    }
    assert!(pages > ROUNDS as u64, "the child got somewhere: {pages}");
}

fn open(folder: &Path) -> SqliteJournal {
    SqliteJournal::open(&folder.join("journal.db"), Options::default()).unwrap()
}

fn app() -> Arc<str> {
    "app".into()
}

fn lane(sink: &str) -> Lane {
    Lane { pipeline: app(), sink: sink.into() }
}

fn limits(max_records: usize) -> BatchLimits {
    BatchLimits { max_records, max_bytes: u64::MAX, max_wait: Duration::ZERO }
}

/// The ids that page brings, some of which the page before it brought too.
fn ids(page: u64) -> impl Iterator<Item = String> {
    let kept = if page > 1 { 3 } else { 0 };
    let repeated = (0..kept).map(move |n| format!("{}.{n}", page - 1));
    repeated.chain((0..3 + page * 7 % 40).map(move |n| format!("{page}.{n}")))
}

fn page(number: u64) -> Append {
    let time = DateTime::<Utc>::UNIX_EPOCH + TimeDelta::minutes(number as i64 * 20);
    let record = |id: String| {
        let size = if id.ends_with(".5") { 20_000 } else { 300 + id.len() * 200 };
        New::of(RecordKey::of(&id), Record { id, time, json: vec![b'1'; size].into() })
    };
    Append {
        records: ids(number).map(record).collect(),
        dropped: Vec::new(),
        walk: Walk::live(),
        cursor: number.to_string().into(),
        dead_letters: vec![dead_letter(number)],
        forget_before: Some(time - TimeDelta::hours(2)),
        seen_at: time,
        late_before: time,
    }
}

fn dead_letter(page: u64) -> DeadLetter {
    let id = format!("bad {page}");
    DeadLetter { key: RecordKey::of(&id), stage: "transform".into(), reason: id, body: "{}".into() }
}

async fn cursor(journal: &SqliteJournal) -> u64 {
    let cursor = journal.cursor(&app(), &Walk::live()).await.unwrap();
    cursor.map_or(0, |cursor| std::str::from_utf8(&cursor).unwrap().parse().unwrap())
}

/// The child: says `page N` once a page is durable, and writes into `delivered` what the sink `live` was given.
async fn write_for_ever(folder: &Path) {
    let journal = open(folder);
    journal.open_pipeline(&app(), &["live".into(), "archive".into()]).await.unwrap();
    let mut delivered = std::fs::OpenOptions::new().append(true).create(true).open(folder.join("delivered")).unwrap();
    for number in cursor(&journal).await + 1.. {
        journal.append(&app(), page(number)).await.unwrap();
        println!("page {number}");
        let batch = journal.seal(&lane("live"), &"vendor".into(), &limits(19)).await.unwrap().unwrap();
        delivered.write_all(format!("{} {}\n", batch.first, batch.last).as_bytes()).unwrap();
        journal.advance(&lane("live"), batch.last, vec![]).await.unwrap();
    }
}

/// Returns the last page that the child called durable.
fn run_and_kill(folder: &Path) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["a_killed_process_leaves_cursor_and_records_in_step", "--exact", "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let random = RandomState::new().build_hasher().finish();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let number = |line: String| line.split_once("page ").map(|(_, number)| number.parse().unwrap());
    let mut last = lines.by_ref().filter_map(number).nth(random as usize % 12).unwrap_or(0);
    assert!(last > 0, "the child ended by itself");

    // Any moment will do, so that over the rounds it is every moment.
    let moment = Instant::now() + Duration::from_micros((random >> 32) % 6000);
    while Instant::now() < moment {
        std::hint::spin_loop();
    }
    child.kill().unwrap();
    last = lines.filter_map(number).last().unwrap_or(last);
    child.wait().unwrap();
    last
}

/// Compares all there is with what the cursor says must be there; returns the cursor.
async fn check(folder: &Path, archived: &mut Vec<String>) -> u64 {
    let journal = open(folder);
    journal.open_pipeline(&app(), &["live".into(), "archive".into()]).await.unwrap();
    let archive = lane("archive");
    while let Some(batch) = journal.seal(&archive, &"vendor".into(), &limits(50)).await.unwrap() {
        assert_eq!(batch.first, archived.len() as Sequence + 1);
        archived.extend(batch.records.iter().map(|record| record.id.clone()));
        journal.advance(&archive, batch.last, vec![]).await.unwrap();
    }
    let pages = cursor(&journal).await;
    let expected: Vec<_> = (1..=pages).flat_map(|page| ids(page).skip(if page > 1 { 3 } else { 0 })).collect();
    assert_eq!(*archived, expected);
    let letters: Vec<_> = (1..=pages).map(dead_letter).collect();
    assert_eq!(journal.dead_letters(&app(), usize::MAX).await.unwrap(), letters);
    check_delivered(&std::fs::read_to_string(folder.join("delivered")).unwrap(), archived.len() as Sequence);
    pages
}

/// A batch comes again with the bounds it had, or the next one follows it.
fn check_delivered(delivered: &str, last: Sequence) {
    let bounds: Vec<(Sequence, Sequence)> = delivered
        .lines()
        .map(|line| line.split_once(' ').unwrap())
        .map(|(first, last)| (first.parse().unwrap(), last.parse().unwrap()))
        .collect();
    // One that is killed with its first page in the journal has delivered nothing yet.
    assert!(bounds.first().is_none_or(|bound| bound.0 == 1), "{bounds:?}");
    for pair in bounds.windows(2) {
        assert!(pair[1] == pair[0] || pair[1].0 == pair[0].1 + 1, "{pair:?}");
    }
    assert!(bounds.iter().all(|bound| bound.1 <= last));
}
