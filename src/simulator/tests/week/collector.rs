//! What stands for the engine's reader: the live walk and the sweep behind it, from one life to the next.
//!
//! Of a life nothing is left but the journal. It ends at a request, wherever that hurts most.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use auditline_sinks::BatchLimits;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use tempfile::TempDir;
use tokio::time::Instant;

use crate::engine::{Refined, refine};
use crate::journal::{Append, Journal, Lane, Options, SqliteJournal, Walk};
use crate::simulator::content::Dice;
use crate::simulator::{Simulator, Vendor};
use crate::source::budget::Budgets;
use crate::source::{Cursor, Page, Priority, Progress, Settings, Source, SourceError};

/// How far behind the live walk the sweep begins.
const SWEPT: TimeDelta = TimeDelta::hours(24);
/// How often it does.
const SWEEP_EVERY: TimeDelta = TimeDelta::hours(1);
/// A seen id outlives every read that can reach it by this.
const REMEMBERED_LONGER: TimeDelta = TimeDelta::hours(25);
/// A walk that takes more lives gets nowhere.
const MOST_LIVES: u32 = 3_000;
/// The journal is opened anew every so many lives.
const LIVES_OF_A_JOURNAL: u64 = 40;

/// How often the collector dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restarts {
    /// At every request, or at the first page where one takes several.
    EveryRequest,
    /// Every few requests, so that walks of several pages are met in the middle.
    EveryFew,
}

/// Where a life ends.
#[derive(Clone, Copy, Debug)]
enum End {
    /// When the vendor has carried its request of that number out, whose answer never comes.
    Unanswered(u64),
    /// With a page in hand that is not kept, so many requests old.
    Unkept(u64),
    /// When a page was kept, so many requests old.
    Kept(u64),
}

impl Restarts {
    fn end(self, life: u64) -> End {
        let mut dice = Dice::new(0xdead, life);
        match self {
            Self::EveryRequest => match life % 5 {
                0 | 3 => End::Kept(1),
                1 => End::Unanswered(1),
                2 => End::Unkept(1),
                _ => End::Unanswered(2),
            },
            Self::EveryFew => {
                let requests = 2 + dice.below(12);
                match dice.below(3) {
                    0 => End::Unanswered(requests),
                    1 => End::Unkept(requests),
                    _ => End::Kept(requests),
                }
            }
        }
    }
}

/// What happened, for a person.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub lives: u64,
    pub sweeps: u64,
    /// Records that only a sweep brought.
    pub swept: u64,
    pub repeated: u64,
    pub dead: u64,
    /// When the walks of more than one request began and ended.
    pub paging: Vec<(DateTime<Utc>, DateTime<Utc>)>,
}

/// A folder for the journal: in memory where there is such a thing, since no power is cut here and a disk takes its time
/// for each of thousands of pages.
fn folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder")
}

/// Reads one vendor over and over, by the vendor's clock.
pub struct Collector {
    pub(super) simulator: Simulator,
    pub(super) vendor: Vendor,
    pub(super) settings: Settings,
    pub(super) restarts: Restarts,
    folder: TempDir,
    journal: Option<SqliteJournal>,
    lane: Lane,
    swept_at: Option<DateTime<Utc>>,
    pub(super) tally: Tally,
    /// What a sink was given, each with how often.
    pub(super) delivered: BTreeMap<String, u32>,
}

impl Collector {
    pub fn new(simulator: Simulator, vendor: Vendor, settings: Settings, restarts: Restarts) -> Self {
        Self {
            simulator,
            vendor,
            settings,
            restarts,
            folder: folder(),
            journal: None,
            lane: Lane { pipeline: vendor.name().into(), sink: "siem".into() },
            swept_at: None,
            tally: Tally::default(),
            delivered: BTreeMap::new(),
        }
    }

    /// Reads until there is no more, and each hour what was published very late.
    pub async fn follow(&mut self) {
        self.walk(&Walk::live()).await;
        if self.swept_at.is_none_or(|at| self.now() - at >= SWEEP_EVERY) {
            self.swept_at = Some(self.now());
            self.walk(&Walk::sweep()).await;
            self.tally.sweeps += 1;
        }
    }

    fn now(&self) -> DateTime<Utc> {
        self.settings.clock.now()
    }

    fn pass(&self, time: Duration) {
        self.settings.clock.set(self.now() + time);
    }

    async fn journal(&mut self) -> &SqliteJournal {
        if self.tally.lives.is_multiple_of(LIVES_OF_A_JOURNAL) {
            self.journal = None;
        }
        if self.journal.is_none() {
            let journal = SqliteJournal::open(&self.folder.path().join("journal"), Options::default());
            let journal = journal.expect("a journal");
            journal
                .open_pipeline(&self.lane.pipeline, std::slice::from_ref(&self.lane.sink))
                .await
                .expect("an open pipeline");
            self.journal = Some(journal);
        }
        self.journal.as_ref().expect("a journal that was just opened")
    }

    /// Goes to the walk's end, in as many lives as that takes.
    async fn walk(&mut self, walk: &Walk) {
        let (begun, requests) = (self.now(), self.requests());
        for _ in 0..MOST_LIVES {
            // Each life looks for what has happened until it began, and some take longer than the log takes to go on.
            if self.live(walk).await || self.has_reached(walk, begun).await {
                if self.requests() > requests + 1 {
                    self.tally.paging.push((begun, self.now()));
                }
                return;
            }
        }
        let cursor = self.cursor(walk).await;
        panic!("the walk `{walk}` gets nowhere: {cursor:?} {:?}", self.simulator.stats(self.vendor));
    }

    /// Whether everything was read that there was to read then.
    async fn has_reached(&mut self, walk: &Walk, then: DateTime<Utc>) -> bool {
        let horizon = then - self.settings.rules.lag - TimeDelta::seconds(1);
        self.cursor(walk).await.is_some_and(|cursor| cursor.complete_up_to >= horizon && cursor.window.is_none())
    }

    /// One life; returns whether the walk has come to its end.
    async fn live(&mut self, walk: &Walk) -> bool {
        let source = self.source();
        let end = self.restarts.end(self.tally.lives);
        self.tally.lives += 1;
        let mut cursor = self.begin(walk).await;
        let before = self.requests();
        self.simulator.lose_answer(self.vendor, if let End::Unanswered(number) = end { before + number } else { 0 });
        loop {
            let begun = Instant::now();
            let read = tokio::select! {
                biased;
                read = source.read(&cursor, Priority::Live, &|raw, arena| refine(raw, &[], arena).0) => read,
                () = self.simulator.answer_lost(self.vendor) => return false,
            };
            self.pass(begun.elapsed());
            let requests = self.requests() - before;
            let page = match read {
                Ok(page) => page,
                Err(SourceError::Retryable { after, .. }) => {
                    cursor = cursor.durable();
                    self.pass(after.unwrap_or(Duration::from_secs(1)));
                    continue;
                }
                Err(error) => panic!("{error}: {cursor:?}"),
            };
            if matches!(end, End::Unkept(number) if requests >= number) {
                return false;
            }
            let progress = page.progress;
            cursor = self.keep(walk, &cursor, page).await;
            match progress {
                Progress::CaughtUp => return true,
                Progress::Wait(wait) => self.pass(wait),
                Progress::More => {}
            }
            if matches!(end, End::Kept(number) if requests >= number) {
                return false;
            }
        }
    }

    fn source(&self) -> Source {
        let share = Budgets::default().share(&self.settings, &self.lane.pipeline);
        Source::new(self.settings.clone(), share, "auditline/week").expect("a source")
    }

    fn requests(&self) -> u64 {
        self.simulator.stats(self.vendor).requests
    }

    pub(super) async fn cursor(&mut self, walk: &Walk) -> Option<Cursor> {
        let pipeline = self.lane.pipeline.clone();
        let bytes = self.journal().await.cursor(&pipeline, walk).await.expect("the journal answers")?;
        Some(serde_json::from_slice(&bytes).expect("a cursor"))
    }

    /// Where the walk goes on. A sweep that has come to its end gives way to the next one.
    async fn begin(&mut self, walk: &Walk) -> Cursor {
        let known = self.cursor(walk).await;
        if *walk == Walk::live() {
            return known.unwrap_or_else(|| Cursor::at(self.settings.start));
        }
        match known {
            Some(cursor) if !cursor.has_ended() => cursor,
            _ => {
                let pipeline = self.lane.pipeline.clone();
                self.journal().await.end_walk(&pipeline, walk).await.expect("the journal answers");
                let live = self.cursor(&Walk::live()).await.expect("a live walk");
                let until = live.settled.min(live.complete_up_to);
                Cursor::between(until - SWEPT, until)
            }
        }
    }

    /// Makes a page durable, as the engine does.
    async fn keep(&mut self, walk: &Walk, before: &Cursor, page: Page<Refined>) -> Cursor {
        let next = page.next;
        let window = next.window.as_ref().or(before.window.as_ref());
        let window_from = window.map_or(before.complete_up_to, |window| window.from);
        let reach = next.settled.min(next.complete_up_to).min(window_from) - SWEPT;
        let mut append = Append {
            walk: walk.clone(),
            cursor: Bytes::from(serde_json::to_vec(&next.durable()).expect("a cursor is JSON")),
            forget_before: (*walk == Walk::live()).then_some(reach - REMEMBERED_LONGER),
            seen_at: window_from,
            late_before: before.complete_up_to,
            ..Append::default()
        };
        for item in page.items {
            match item {
                Refined::Record(new) => append.records.push(new),
                Refined::Dead(letter) => append.dead_letters.push(letter),
                Refined::Dropped(dropped) => panic!("nothing here drops records: {}", dropped.reason),
            }
        }
        self.tally.dead += append.dead_letters.len() as u64;
        let pipeline = self.lane.pipeline.clone();
        let appended = self.journal().await.append(&pipeline, append).await.expect("the journal takes a page");
        self.tally.repeated += appended.repeated;
        if *walk == Walk::sweep() {
            self.tally.swept += appended.added;
        }
        next
    }

    /// Takes what a sink would be given.
    pub(super) async fn deliver(&mut self) {
        let limits = BatchLimits { max_records: 1_000, max_bytes: 64 << 20, max_wait: Duration::ZERO };
        let (lane, vendor): (Lane, Arc<str>) = (self.lane.clone(), self.vendor.name().into());
        let mut ids = Vec::new();
        let journal = self.journal().await;
        while let Some(batch) = journal.seal(&lane, &vendor, &limits).await.expect("the journal answers") {
            let last = batch.last;
            ids.extend(batch.records.into_iter().map(|record| record.id));
            journal.advance(&lane, last, Vec::new()).await.expect("the journal moves on");
        }
        for id in ids {
            *self.delivered.entry(id).or_default() += 1;
        }
    }
}
