//! A journal against the simplest thing that could be one: vectors in memory, driven by the same random calls.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use auditline_sinks::{BatchLimits, Record};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::{ANY, at, dropped, lane, letter, limits};
use crate::event::RecordKey;
use crate::journal::{Append, Appended, DEDUPE, DeadLetter, Dropped, Journal, JournalError, Lane, New, Waiting, Walk};

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
    records: Vec<Written>,
    /// Ids that are dropped, and how old they are.
    dropped: Vec<(u8, i64)>,
    letters: Vec<u8>,
    sweep: bool,
}

/// One record of a page.
#[derive(Clone, Copy, Debug)]
struct Written {
    number: u8,
    age: i64,
    padding: usize,
    /// The sinks it goes to, as bits.
    to: u8,
    twin: Option<u8>,
}

fn call() -> impl Strategy<Value = Call> {
    let record = (0..40u8, -20..3i64, 0..300usize, 0..8u8, prop::option::weighted(0.3, 0..6u8))
        .prop_map(|(number, age, padding, to, twin)| Written { number, age, padding, to, twin });
    let records = (prop::collection::vec(record, 0..12), prop::collection::vec((0..40u8, -20..3i64), 0..3));
    let pages = (0..4i64, 0..MEMORY, any::<bool>(), records, letters(), any::<bool>()).prop_map(
        |(hours, back, forget, (records, dropped), letters, sweep)| Page {
            hours,
            back,
            forget,
            records,
            dropped,
            letters,
            sweep,
        },
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
    /// All there ever were, with the sinks they go to.
    records: Vec<(Record, Option<Vec<usize>>)>,
    /// How many of them all lanes have passed.
    passed: usize,
    lanes: BTreeMap<usize, Position>,
    seen: HashMap<String, DateTime<Utc>>,
    /// What was dropped, by id.
    marks: HashMap<String, DateTime<Utc>>,
    twins: HashMap<String, DateTime<Utc>>,
    dropped: BTreeMap<Arc<str>, u64>,
    /// How often the id of that number was given up, because the journal may have forgotten it.
    renamed: HashMap<u8, u32>,
    renamed_twins: HashMap<u8, u32>,
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
            marks: HashMap::new(),
            twins: HashMap::new(),
            dropped: BTreeMap::new(),
            renamed: HashMap::new(),
            renamed_twins: HashMap::new(),
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
        let left = |sink: usize| self.own(sink, self.lanes[&sink].at).count() as u64;
        assert_eq!(forgotten, gone.iter().map(|sink| (self.lane(*sink), left(*sink))).collect::<Vec<_>>());
        let fresh = Position { at: self.passed, sealed: self.passed };
        for sink in sinks {
            self.lanes.entry(*sink).or_insert(fresh);
        }
        self.lanes.retain(|sink, _| sinks.contains(sink));
        self.pass();
        self.open = true;
    }

    /// The places of the records from `from` on that go to a sink.
    fn own(&self, sink: usize, from: usize) -> impl Iterator<Item = usize> {
        let is_own = move |(_, to): &(Record, Option<Vec<usize>>)| to.as_ref().is_none_or(|to| to.contains(&sink));
        (from..self.records.len()).filter(move |place| is_own(&self.records[*place]))
    }

    fn pass(&mut self) {
        for (sink, mut position) in self.lanes.clone() {
            let next = self.own(sink, position.at).next().unwrap_or(self.records.len());
            assert!(position.sealed == position.at || next == position.at, "a batch begins with the lane's own");
            position.sealed = position.sealed.max(next);
            self.lanes.insert(sink, Position { at: next, ..position });
        }
        self.passed = self.lanes.values().map(|lane| lane.at).min().unwrap_or(self.passed);
    }

    async fn append(&mut self, journal: &impl Journal, page: &Page) {
        let window = self.hour - page.back;
        let forget_before = page.forget.then(|| at(self.hour - MEMORY));
        if let Some(before) = forget_before {
            self.give_up(before);
        }
        let records: Vec<_> = page.records.iter().map(|written| self.record(*written)).collect();
        let mut drops: Vec<(String, Dropped)> = Vec::new();
        for (number, age) in &page.dropped {
            let id = self.id(*number);
            let dropped =
                Dropped { time: at(self.hour + age), ..dropped(&id, ["noise", "sample"][*number as usize % 2]) };
            drops.push((id, dropped));
        }
        let letters: Vec<_> = page.letters.iter().map(|number| letter(&number.to_string(), "transform")).collect();
        let cursor = Bytes::from(format!("{} {}", self.hour, self.records.len()));
        let walk = if page.sweep { Walk::sweep() } else { Walk::live() };
        let page = Append {
            walk: walk.clone(),
            records: records
                .iter()
                .map(|(record, to, twin)| self.arrival(record, to.as_ref(), twin.as_ref()))
                .collect(),
            dropped: drops.iter().map(|(_, dropped)| dropped.clone()).collect(),
            cursor: cursor.clone(),
            dead_letters: letters.clone(),
            forget_before,
            seen_at: at(window),
            late_before: at(window + 1),
        };
        let appended = journal.append(&self.name, page).await.unwrap();

        let mut expected = Appended::default();
        let repetitions = self.repetitions(&records, window);
        let unwanted = drops.len();
        let again = records.iter().filter(|(record, ..)| repetitions.contains(&record.id));
        drops.extend(
            again.map(|(record, ..)| (record.id.clone(), Dropped { time: record.time, ..dropped(&record.id, DEDUPE) })),
        );
        let fresh = |(place, (id, dropped)): (usize, (String, Dropped))| {
            let kept_by = dropped.time.max(at(window));
            if let Some(seen) = self.seen.get_mut(&id) {
                *seen = kept_by.max(*seen);
                return None;
            }
            remember(&mut self.marks, id, kept_by).then_some((place, dropped.reason))
        };
        for (place, reason) in drops.into_iter().enumerate().filter_map(fresh).collect::<Vec<_>>() {
            *expected.dropped.entry(reason.clone()).or_default() += 1;
            *self.dropped.entry(reason).or_default() += 1;
            // Of repetitions, those that were known are repeated.
            expected.repeated = expected.repeated.wrapping_sub(u64::from(place >= unwanted));
        }
        for (record, to, _) in records {
            let kept_by = record.time.max(at(window));
            if repetitions.contains(&record.id) {
                expected.repeated = expected.repeated.wrapping_add(1);
            } else if let Some(seen) = self.seen.get_mut(&record.id) {
                *seen = kept_by.max(*seen);
                expected.repeated = expected.repeated.wrapping_add(1);
            } else {
                self.seen.insert(record.id.clone(), kept_by);
                if record.time < at(window + 1) {
                    expected.late.note(at(window + 1) - record.time);
                }
                self.records.push((record, to));
                expected.added += 1;
            }
        }
        self.pass();
        expected.last = self.records.len() as u64;
        expected.dead_letters = self.keep(letters);
        assert_eq!(appended, expected);
        self.cursors.insert(walk, cursor);
    }

    /// The ids of new records whose twins were added before.
    fn repetitions(&mut self, records: &[Arrival], window: i64) -> HashSet<String> {
        let (mut met, mut repetitions) = (HashSet::new(), HashSet::new());
        for (record, _, twin) in records {
            let Some(twin) = twin.as_ref().filter(|_| met.insert(&record.id) && !self.seen.contains_key(&record.id))
            else {
                met.insert(&record.id);
                continue;
            };
            // It is kept for as long as the record it was first met in.
            if self.twins.contains_key(twin) {
                repetitions.insert(record.id.clone());
            } else {
                self.twins.insert(twin.clone(), record.time.max(at(window)));
            }
        }
        repetitions
    }

    /// What the journal may have forgotten from now on must not be asked for again: either answer would be right.
    fn give_up(&mut self, before: DateTime<Utc>) {
        let is_old = |kept_by: Option<&DateTime<Utc>>| kept_by.is_some_and(|kept_by| *kept_by < before);
        for number in 0..=u8::MAX {
            let id = self.id(number);
            if is_old(self.seen.get(&id)) || is_old(self.marks.get(&id)) {
                *self.renamed.entry(number).or_default() += 1;
            }
            if is_old(self.twins.get(&self.twin(number))) {
                *self.renamed_twins.entry(number).or_default() += 1;
            }
        }
    }

    fn twin(&self, number: u8) -> String {
        format!("{number}.{}", self.renamed_twins.get(&number).copied().unwrap_or_default())
    }

    fn id(&self, number: u8) -> String {
        format!("{number}.{}", self.renamed.get(&number).copied().unwrap_or_default())
    }

    fn record(&self, Written { number, age, padding, to, twin }: Written) -> Arrival {
        let json = format!(r#"{{"number":{number},"padding":"{}"}}"#, "x".repeat(padding));
        let record = Record { id: self.id(number), time: at(self.hour + age), json: json.into() };
        let is_there = |sink: &usize| self.lanes.is_empty() || self.lanes.contains_key(sink);
        let to: Vec<_> = (0..3).filter(|sink| to & (1 << sink) != 0).filter(is_there).collect();
        (record, Some(to).filter(|to| !to.is_empty()), twin.map(|number| self.twin(number)))
    }

    fn arrival(&self, record: &Record, to: Option<&Vec<usize>>, twin: Option<&String>) -> New {
        New {
            to: to.map(|to| to.iter().map(|sink| self.lane(*sink).sink).collect()),
            twin: twin.map(|twin| RecordKey::of(twin)),
            ..New::of(RecordKey::of(&record.id), record.clone())
        }
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
        let Some(mut position) = self.lanes.get(&sink).copied() else {
            assert!(matches!(sealed, Err(JournalError::Refused { .. })));
            return;
        };
        let own: Vec<usize> = self.own(sink, position.at).collect();
        if position.sealed == position.at {
            let count = fitting(own.iter().map(|place| &self.records[*place].0), limits);
            position.sealed = count.checked_sub(1).map_or(position.at, |last| own[last] + 1);
            self.lanes.insert(sink, position);
        }
        let expected = own.iter().filter(|place| **place < position.sealed).map(|place| self.records[*place].0.clone());
        let expected: Vec<Record> = expected.collect();
        match sealed.unwrap() {
            Some(batch) => {
                assert_eq!((batch.first, batch.last), (position.at as u64 + 1, position.sealed as u64));
                assert_eq!(batch.records, expected);
                assert_eq!((batch.journal, batch.pipeline), (journal.id(), self.name.clone()));
            }
            None => assert!(expected.is_empty()),
        }
    }

    async fn advance(&mut self, journal: &impl Journal, sink: usize, reject: bool) {
        let lane = self.lane(sink);
        let Some(position) = self.lanes.get(&sink).copied() else { return };
        let rejected = match self.records.get(position.at) {
            Some((record, _)) if reject => vec![letter(&record.id, &lane.sink)],
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
        assert_eq!(journal.totals(&self.name).await.unwrap().dropped, self.dropped);
        for (sink, position) in &self.lanes {
            let left: Vec<&Record> = self.own(*sink, position.at).map(|place| &self.records[place].0).collect();
            let oldest = left.iter().map(|record| record.time).min();
            assert_eq!(journal.oldest_waiting(&self.lane(*sink)).await.unwrap(), oldest);
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

/// A record as it arrives, with the sinks and the twin it has.
type Arrival = (Record, Option<Vec<usize>>, Option<String>);

/// Notes a name with what it is kept by, the latest; says whether it is new.
fn remember(known: &mut HashMap<String, DateTime<Utc>>, name: String, kept_by: DateTime<Utc>) -> bool {
    let mut new = false;
    let kept = known.entry(name).or_insert_with(|| {
        new = true;
        kept_by
    });
    *kept = kept_by.max(*kept);
    new
}

/// How many records the next batch takes.
fn fitting<'r>(records: impl ExactSizeIterator<Item = &'r Record>, limits: &BatchLimits) -> usize {
    let (mut bytes, least) = (0, records.len().min(1));
    let fit = records.take(limits.max_records).take_while(|record| {
        bytes += record.json.len() as u64;
        bytes <= limits.max_bytes
    });
    fit.count().max(least)
}
