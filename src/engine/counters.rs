//! What happened so far, for the progress, the demo's table and, later, the metrics.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};

use crate::journal::{Lateness, Walk};
use crate::source::Cursor;

/// The counts of one pipeline since it started.
#[derive(Debug, Default)]
pub struct Counters {
    /// Records that are new.
    pub read: Count,
    /// New records that happened before the watermark of their time: the vendor published them late.
    lateness: Mutex<Lateness>,
    /// Those of them that only the sweep found.
    pub swept: Count,
    /// Records left out because they had been read before.
    pub repeated: Count,
    /// Records the operator does not want, by reason. Held for one line.
    dropped: Mutex<BTreeMap<Arc<str>, u64>>,
    /// Entries left out because our own reading made them.
    pub own_reads: Count,
    /// E-mail addresses redacted in new and repeated records.
    pub emails: Count,
    /// IP addresses redacted in new and repeated records.
    pub ips: Count,
    /// Everything redacted in new and repeated records, addresses among it.
    pub redacted: Count,
    /// Records that became dead letters.
    pub dead_letters: Count,
    /// Everything the vendor has before this was read and is in the journal. These locks are held for one line.
    watermark: Mutex<Option<DateTime<Utc>>>,
    /// How far each walk is.
    walks: Mutex<BTreeMap<Walk, Progress>>,
    /// Why reading does not get on.
    trouble: Mutex<Option<String>>,
    /// How many bytes of files were read, and how many there are.
    bytes: Mutex<Option<(u64, u64)>>,
    /// Its sinks.
    pub lanes: Vec<Arc<LaneCounters>>,
}

/// The counts of one of a pipeline's sinks.
#[derive(Debug)]
pub struct LaneCounters {
    /// The sink's name.
    pub sink: Arc<str>,
    /// Records the sink has.
    pub delivered: Count,
    /// Records the sink refused for good.
    pub rejected: Count,
    /// Batches that had to be tried again.
    pub retries: Count,
    /// Why the sink takes nothing. Held for one line.
    trouble: Mutex<Option<String>>,
}

impl LaneCounters {
    /// Counts for the sink of that name.
    #[must_use]
    pub fn new(sink: Arc<str>) -> Self {
        Self {
            sink,
            delivered: Count::default(),
            rejected: Count::default(),
            retries: Count::default(),
            trouble: Mutex::default(),
        }
    }

    /// Why the sink takes nothing, since when it does not.
    pub fn trouble(&self) -> Option<String> {
        locked(&self.trouble).clone()
    }

    pub(super) fn set_trouble(&self, trouble: Option<String>) {
        *locked(&self.trouble) = trouble;
    }
}

impl Counters {
    /// Counts for a pipeline with those sinks.
    #[must_use]
    pub fn new(sinks: impl IntoIterator<Item = Arc<str>>) -> Self {
        Self { lanes: sinks.into_iter().map(|sink| Arc::new(LaneCounters::new(sink))).collect(), ..Self::default() }
    }

    /// *Complete up to*: nothing that the vendor has before it is missing in the journal.
    pub fn watermark(&self) -> Option<DateTime<Utc>> {
        *locked(&self.watermark)
    }

    pub(super) fn set_watermark(&self, time: DateTime<Utc>) {
        *locked(&self.watermark) = Some(time);
    }

    /// New records that happened before the watermark of their time, by how far behind it they turned up.
    pub fn lateness(&self) -> Lateness {
        *locked(&self.lateness)
    }

    pub(super) fn add_late(&self, late: &Lateness) {
        locked(&self.lateness).add(late);
    }

    /// Records the operator does not want, by reason.
    pub fn dropped(&self) -> BTreeMap<Arc<str>, u64> {
        locked(&self.dropped).clone()
    }

    pub(super) fn add_dropped(&self, more: &BTreeMap<Arc<str>, u64>) {
        let mut dropped = locked(&self.dropped);
        for (reason, count) in more {
            *dropped.entry(Arc::clone(reason)).or_default() += count;
        }
    }

    /// The walks there are, and how far each is.
    pub fn walks(&self) -> BTreeMap<Walk, Progress> {
        locked(&self.walks).clone()
    }

    pub(super) fn note_walk(&self, walk: &Walk, progress: Progress) {
        locked(&self.walks).insert(walk.clone(), progress);
    }

    /// How many bytes of the pipeline's files were read, and how many there are; `None` where it reads no files.
    pub fn bytes(&self) -> Option<(u64, u64)> {
        *locked(&self.bytes)
    }

    pub(super) fn set_bytes(&self, read: u64, total: u64) {
        *locked(&self.bytes) = Some((read, total));
    }

    /// Why reading does not get on, since when it does not.
    pub fn trouble(&self) -> Option<String> {
        locked(&self.trouble).clone()
    }

    pub(super) fn set_trouble(&self, trouble: Option<String>) {
        *locked(&self.trouble) = trouble;
    }
}

/// What is behind these locks is whole at any moment, whoever panicked.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How far a walk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Where it began.
    pub begin: DateTime<Utc>,
    /// Everything before this was read.
    pub complete_up_to: DateTime<Utc>,
    /// Where it ends, if it does.
    pub end: Option<DateTime<Utc>>,
}

impl Progress {
    /// How far the walk of that cursor is.
    #[must_use]
    pub fn of(cursor: &Cursor) -> Self {
        let begin = cursor.begin.unwrap_or(cursor.complete_up_to);
        Self { begin, complete_up_to: cursor.complete_up_to, end: cursor.end }
    }
}

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds to it.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// What it is now.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
