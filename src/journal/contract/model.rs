//! A journal against the simplest thing that could be one: vectors in memory, driven by the same random calls.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use auditline_sinks::{BatchLimits, Record};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::{ANY, at, lane, letter, limits};
use crate::event::RecordKey;
use crate::journal::{Append, Appended, DeadLetter, Journal, JournalError, Lane, Waiting, Walk};

/// How far behind the present ids are kept, in hours.
const MEMORY: i64 = 12;

#[derive(Clone, Debug)]
enum Call {
    Append { pipeline: usize, page: Page },
    Seal { pipeline: usize, sink: usize, limits: BatchLimits },
    Advance { pipeline: usize, sink: usize, reject: bool },
    Open { pipeline: usize, sinks: Vec<usize> },
    Restart,
}

/// One page, as numbers that the model makes records, times and letters of.
#[derive(Clone, Debug)]
struct Page {
    hours: i64,
    back: i64,
    forget: bool,
    records: Vec<(u8, i64, usize)>,
    letters: Vec<u8>,
    sweep: bool,
}

fn call() -> impl Strategy<Value = Call> {
    let record = (0..40u8, -20..3i64, 0..300usize);
    let pages =
        (0..4i64, 0..MEMORY, any::<bool>(), prop::collection::vec(record, 0..12), letters(), any::<bool>()).prop_map(
            |(hours, back, forget, records, letters, sweep)| Page { hours, back, forget, records, letters, sweep },
        );
    prop_oneof![
        6 => (0..2usize, pages).prop_map(|(pipeline, page)| Call::Append { pipeline, page }),
        5 => (0..2usize, 0..3usize, 1..9usize, 1..900u64).prop_map(|(pipeline, sink, records, bytes)| {
            Call::Seal { pipeline, sink, limits: limits(records, bytes) }
        }),
        5 => (0..2usize, 0..3usize, any::<bool>())
            .prop_map(|(pipeline, sink, reject)| Call::Advance { pipeline, sink, reject }),
        1 => (0..2usize, prop::collection::vec(0..3usize, 0..3)).prop_map(|(pipeline, sinks)| Call::Open { pipeline, sinks }),
        1 => Just(Call::Restart),
    ]
}

fn letters() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(0..20u8, 0..2)
}

/// Runs random calls against a journal and the model, and compares all that can be seen.
pub(in crate::journal) fn follows_the_model<J: Journal>(cases: u32, open: impl AsyncFn(&str) -> J) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let turn = std::cell::Cell::new(0);
    let calls = prop::collection::vec(call(), 1..60);
    let outcome = runner.run(&calls, |calls| {
        turn.set(turn.get() + 1);
        let name = format!("model {}", turn.get());
        runtime.block_on(run(calls, async || open(&name).await));
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

async fn run<J: Journal>(calls: Vec<Call>, open: impl AsyncFn() -> J) {
    let mut journal = open().await;
    let mut model = ["app", "shop"].map(Pipeline::new);
    for call in calls {
        match call {
            Call::Restart => {
                drop(journal);
                journal = open().await;
                model.iter_mut().for_each(|pipeline| pipeline.open = false);
                continue;
            }
            Call::Append { pipeline, .. }
            | Call::Seal { pipeline, .. }
            | Call::Advance { pipeline, .. }
            | Call::Open { pipeline, .. } => model[pipeline].call(&journal, &call).await,
        }
        for pipeline in model.iter().filter(|pipeline| pipeline.open) {
            pipeline.compare(&journal).await;
        }
    }
    for pipeline in &mut model {
        pipeline.reopen(&journal).await;
        pipeline.compare(&journal).await;
        pipeline.drain(&journal).await;
    }
}

struct Pipeline {
    name: Arc<str>,
    /// Whether it was opened since the journal was.
    open: bool,
    /// The hour its source has reached.
    hour: i64,
    cursors: BTreeMap<Walk, Bytes>,
    /// All there ever were.
    records: Vec<Record>,
    /// How many of them all lanes have passed.
    passed: usize,
    lanes: BTreeMap<usize, Position>,
    seen: HashMap<String, DateTime<Utc>>,
    /// How often the id of that number was given up, because the journal may have forgotten it.
    renamed: HashMap<u8, u32>,
    letters: Vec<DeadLetter>,
}

#[derive(Clone, Copy)]
struct Position {
    at: usize,
    sealed: usize,
}

impl Pipeline {
    fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            open: false,
            hour: 0,
            cursors: BTreeMap::new(),
            records: Vec::new(),
            passed: 0,
            lanes: BTreeMap::new(),
            seen: HashMap::new(),
            renamed: HashMap::new(),
            letters: Vec::new(),
        }
    }

    fn lane(&self, sink: usize) -> Lane {
        lane(&self.name, &format!("sink{sink}"))
    }

    async fn call(&mut self, journal: &impl Journal, call: &Call) {
        if !self.open {
            self.reopen(journal).await;
        }
        match call {
            Call::Append { page, .. } => {
                self.hour += page.hours;
                self.append(journal, page).await;
            }
            Call::Seal { sink, limits, .. } => self.seal(journal, *sink, limits).await,
            Call::Advance { sink, reject, .. } => self.advance(journal, *sink, *reject).await,
            Call::Open { sinks, .. } => self.open(journal, sinks).await,
            Call::Restart => unreachable!("concerns no pipeline"),
        }
    }

    async fn reopen(&mut self, journal: &impl Journal) {
        let sinks: Vec<_> = self.lanes.keys().copied().collect();
        self.open(journal, &sinks).await;
    }

    async fn open(&mut self, journal: &impl Journal, sinks: &[usize]) {
        let names: Vec<_> = sinks.iter().map(|sink| self.lane(*sink).sink).collect();
        let forgotten = journal.open_pipeline(&self.name, &names).await.unwrap();

        let gone: Vec<_> = self.lanes.keys().copied().filter(|sink| !sinks.contains(sink)).collect();
        let left = |at: usize| (self.records.len() - at) as u64;
        assert_eq!(
            forgotten,
            gone.iter().map(|sink| (self.lane(*sink), left(self.lanes[sink].at))).collect::<Vec<_>>()
        );
        let fresh = Position { at: self.passed, sealed: self.passed };
        for sink in sinks {
            self.lanes.entry(*sink).or_insert(fresh);
        }
        self.lanes.retain(|sink, _| sinks.contains(sink));
        self.pass();
        self.open = true;
    }

    fn pass(&mut self) {
        self.passed = self.lanes.values().map(|lane| lane.at).min().unwrap_or(self.passed);
    }

    async fn append(&mut self, journal: &impl Journal, page: &Page) {
        let window = self.hour - page.back;
        let forget_before = page.forget.then(|| at(self.hour - MEMORY));
        if let Some(before) = forget_before {
            self.give_up(before);
        }
        let records: Vec<_> = page.records.iter().map(|record| self.record(*record)).collect();
        let letters: Vec<_> = page.letters.iter().map(|number| letter(&number.to_string(), "transform")).collect();
        let cursor = Bytes::from(format!("{} {}", self.hour, self.records.len()));
        let walk = if page.sweep { Walk::sweep() } else { Walk::live() };
        let page = Append {
            walk: walk.clone(),
            records: records.iter().map(|record| (RecordKey::of(&record.id), record.clone())).collect(),
            cursor: cursor.clone(),
            dead_letters: letters.clone(),
            forget_before,
            seen_at: at(window),
            late_before: at(window + 1),
        };
        let appended = journal.append(&self.name, page).await.unwrap();

        let mut expected = Appended::default();
        for record in records {
            let kept_by = record.time.max(at(window));
            if let Some(seen) = self.seen.get_mut(&record.id) {
                *seen = kept_by.max(*seen);
                expected.repeated += 1;
            } else {
                self.seen.insert(record.id.clone(), kept_by);
                if record.time < at(window + 1) {
                    expected.late.note(at(window + 1) - record.time);
                }
                self.records.push(record);
                expected.added += 1;
            }
        }
        expected.last = self.records.len() as u64;
        expected.dead_letters = self.keep(letters);
        assert_eq!(appended, expected);
        self.cursors.insert(walk, cursor);
    }

    /// What the journal may have forgotten from now on must not be asked for again: either answer would be right.
    fn give_up(&mut self, before: DateTime<Utc>) {
        for number in 0..=u8::MAX {
            if self.seen.get(&self.id(number)).is_some_and(|kept_by| *kept_by < before) {
                *self.renamed.entry(number).or_default() += 1;
            }
        }
    }

    fn id(&self, number: u8) -> String {
        format!("{number}.{}", self.renamed.get(&number).copied().unwrap_or_default())
    }

    fn record(&self, (number, age, padding): (u8, i64, usize)) -> Record {
        let json = format!(r#"{{"number":{number},"padding":"{}"}}"#, "x".repeat(padding));
        Record { id: self.id(number), time: at(self.hour + age), json: json.into() }
    }

    /// Returns which of them are new.
    fn keep(&mut self, letters: Vec<DeadLetter>) -> Vec<usize> {
        let mut new = Vec::new();
        for (index, letter) in letters.into_iter().enumerate() {
            if !self.letters.iter().any(|kept| (kept.key, &kept.stage) == (letter.key, &letter.stage)) {
                self.letters.push(letter);
                new.push(index);
            }
        }
        new
    }

    async fn seal(&mut self, journal: &impl Journal, sink: usize, limits: &BatchLimits) {
        let sealed = journal.seal(&self.lane(sink), &"vendor".into(), limits).await;
        let Some(position) = self.lanes.get_mut(&sink) else {
            assert!(matches!(sealed, Err(JournalError::Refused { .. })));
            return;
        };
        if position.sealed == position.at {
            position.sealed += fitting(&self.records[position.at..], limits);
        }
        let expected = &self.records[position.at..position.sealed];
        match sealed.unwrap() {
            Some(batch) => {
                assert_eq!((batch.first, &batch.records[..]), (position.at as u64 + 1, expected));
                assert_eq!((batch.journal, batch.pipeline), (journal.id(), self.name.clone()));
            }
            None => assert!(expected.is_empty()),
        }
    }

    async fn advance(&mut self, journal: &impl Journal, sink: usize, reject: bool) {
        let lane = self.lane(sink);
        let Some(position) = self.lanes.get(&sink).copied() else { return };
        let rejected = match self.records.get(position.at) {
            Some(record) if reject => vec![letter(&record.id, &lane.sink)],
            _ => vec![],
        };
        journal.advance(&lane, position.sealed as u64, rejected.clone()).await.unwrap();
        if position.sealed > position.at {
            self.keep(rejected);
            self.lanes.insert(sink, Position { at: position.sealed, ..position });
            self.pass();
        }
    }

    async fn compare(&self, journal: &impl Journal) {
        let walks = journal.walks(&self.name).await.unwrap();
        assert_eq!(walks, self.cursors.clone().into_iter().collect::<Vec<_>>());
        assert_eq!(journal.dead_letters(&self.name, usize::MAX).await.unwrap(), self.letters);
        for (sink, position) in &self.lanes {
            let left = &self.records[position.at..];
            let Waiting { records, bytes, since } = journal.waiting(&self.lane(*sink), &ANY).await.unwrap();
            assert_eq!(records, left.len() as u64);
            assert_eq!(bytes, left.iter().map(|record| record.json.len() as u64).sum::<u64>());
            assert_eq!(since.is_some(), !left.is_empty());
        }
    }

    async fn drain(&mut self, journal: &impl Journal) {
        for sink in self.lanes.keys().copied().collect::<Vec<_>>() {
            while self.lanes[&sink].at < self.records.len() {
                self.seal(journal, sink, &ANY).await;
                self.advance(journal, sink, true).await;
            }
        }
    }
}

/// How many records the next batch takes.
fn fitting(records: &[Record], limits: &BatchLimits) -> usize {
    let mut bytes = 0;
    let fit = records.iter().take(limits.max_records).take_while(|record| {
        bytes += record.json.len() as u64;
        bytes <= limits.max_bytes
    });
    fit.count().max(records.len().min(1))
}
