//! What happened so far, for the progress, the demo's table and, later, the metrics.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use chrono::{DateTime, Utc};

/// The counts of one pipeline since it started.
#[derive(Debug, Default)]
pub struct Counters {
    /// Records that are new.
    pub read: Count,
    /// New records that happened before the watermark of their time: the vendor published them late.
    pub late: Count,
    /// Records left out because they had been read before.
    pub repeated: Count,
    /// Entries left out because our own reading made them.
    pub own_reads: Count,
    /// E-mail addresses redacted in new and repeated records.
    pub emails: Count,
    /// IP addresses redacted in new and repeated records.
    pub ips: Count,
    /// Records that became dead letters.
    pub dead_letters: Count,
    /// Everything the vendor has before this was read and is in the journal. Held for one line.
    watermark: Mutex<Option<DateTime<Utc>>>,
    /// Its sinks.
    pub lanes: Vec<Arc<LaneCounters>>,
}

/// The counts of one of a pipeline's sinks.
#[derive(Debug)]
pub struct LaneCounters {
    /// The sink's name.
    pub sink: Arc<str>,
    /// Records the sink has, or refused for good.
    pub delivered: Count,
    /// Records the sink refused for good.
    pub rejected: Count,
    /// Batches that had to be tried again.
    pub retries: Count,
}

impl LaneCounters {
    /// Counts for the sink of that name.
    #[must_use]
    pub fn new(sink: Arc<str>) -> Self {
        Self { sink, delivered: Count::default(), rejected: Count::default(), retries: Count::default() }
    }
}

impl Counters {
    /// Counts for a pipeline with those sinks.
    #[must_use]
    pub fn new(sinks: impl IntoIterator<Item = Arc<str>>) -> Self {
        Self { lanes: sinks.into_iter().map(|sink| Arc::new(LaneCounters::new(sink))).collect(), ..Self::default() }
    }

    /// *Complete up to*: nothing that the vendor has before it is missing in the journal.
    ///
    /// # Panics
    /// Never: nothing panics while the lock is held.
    pub fn watermark(&self) -> Option<DateTime<Utc>> {
        *self.watermark.lock().expect("no panic while the lock is held")
    }

    pub(super) fn set_watermark(&self, time: DateTime<Utc>) {
        *self.watermark.lock().expect("no panic while the lock is held") = Some(time);
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
