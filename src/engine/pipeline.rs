//! What all walks through one pipeline's log share: where pages go, and what is counted.

use std::sync::Arc;
use std::time::Duration;

use auditline_sinks::BatchLimits;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::counters::Counters;
use super::refine::Refined;
use super::told::Trouble;
use crate::journal::{Append, Appended, DeadLetter, Dropped, Journal, JournalError, Lane, New, Sequence, Walk};
use crate::source::SourceError;
use crate::transform::Transform;
use crate::transform::redact::{Detector, Hits};

/// How often a full journal is looked at again.
const FULL_PAUSE: Duration = Duration::from_millis(500);
/// The first and the longest wait after a read that may succeed later.
pub const FIRST_WAIT: Duration = Duration::from_secs(1);
pub const LONGEST_WAIT: Duration = Duration::from_secs(120);
/// How long a walk waits before it asks a vendor again that needs a person.
const PATIENCE: Duration = Duration::from_secs(300);
/// How often a run that is to end tries a read before it calls the pipeline failed. The source tried several times each.
const ATTEMPTS_TO_END: u32 = 3;

/// One pipeline as its readers see it.
pub struct Pipeline {
    pub name: Arc<str>,
    pub transforms: Vec<Box<dyn Transform>>,
    pub journal: Arc<dyn Journal>,
    pub counters: Arc<Counters>,
    /// Tells the writers how far the journal goes. They end when it is dropped, that is with the last reader.
    pub appended: watch::Sender<Sequence>,
    pub stop: CancellationToken,
    /// A writer of the run, perhaps another pipeline's, has given up: what it holds in the journal stays there.
    pub lost_writer: CancellationToken,
    /// The run is to end when everything was read, so what cannot be read must fail it.
    pub must_end: bool,
}

/// Why a reader ended before its time.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The vendor could not be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The journal could not be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The journal holds a cursor that this version cannot read.
    #[error("the journal's cursor cannot be read: {0}")]
    Cursor(#[from] serde_json::Error),
    /// The journal is full, and the writers that could empty it have given up.
    #[error("the journal is full of records that no sink takes")]
    Full,
}

/// What one record became, and what was redacted in it.
pub type Item = (Refined, Hits);

/// What is kept with a page's records, in the same transaction.
pub struct Place {
    pub walk: Walk,
    pub cursor: Bytes,
    /// See [`Append::forget_before`].
    pub forget_before: Option<DateTime<Utc>>,
    /// See [`Append::seen_at`].
    pub seen_at: DateTime<Utc>,
    /// See [`Append::late_before`].
    pub late_before: DateTime<Utc>,
}

impl Pipeline {
    /// Waits while the journal is full; `false` when the pipeline was stopped meanwhile.
    pub async fn has_room(&self) -> Result<bool, ReadError> {
        let mut told = false;
        while self.journal.fill().await?.is_full() {
            if !told {
                let held_by = self.holder().await;
                warn!(pipeline = %self.name, held_by, "the journal is full: reading waits for the sinks");
                told = true;
            }
            if self.lost_writer.is_cancelled() {
                return Err(ReadError::Full);
            }
            if !self.pause(FULL_PAUSE).await {
                return Ok(false);
            }
        }
        if told {
            info!(pipeline = %self.name, "the journal has room again");
        }
        Ok(!self.stop.is_cancelled())
    }

    /// The sink that waits for the pipeline's oldest record: nothing behind that leaves the journal before it does.
    async fn holder(&self) -> Option<String> {
        let all = BatchLimits { max_records: usize::MAX, max_bytes: u64::MAX, max_wait: Duration::ZERO };
        let mut oldest = None;
        for counters in &self.counters.lanes {
            let lane = Lane { pipeline: Arc::clone(&self.name), sink: Arc::clone(&counters.sink) };
            // Where it cannot be told, the warning goes without it.
            let since = self.journal.waiting(&lane, &all).await.ok().and_then(|waiting| waiting.since);
            oldest = since.map(|since| (since, lane.sink)).into_iter().chain(oldest).min();
        }
        oldest.map(|(_, sink)| sink.to_string())
    }

    /// Waits; `false` when the pipeline was stopped meanwhile.
    pub async fn pause(&self, wait: Duration) -> bool {
        tokio::select! {
            () = self.stop.cancelled() => false,
            () = tokio::time::sleep(wait) => true,
        }
    }

    /// Reading gets on again.
    pub fn recovered(&self, trouble: &mut Trouble) {
        if let Some(attempts) = trouble.over() {
            info!(pipeline = %self.name, attempts, "reading goes on");
            self.counters.set_trouble(None);
        }
    }

    /// How long to wait after a read that failed. A person is told once, and again when another thing is wrong.
    ///
    /// # Errors
    /// The error itself, when no waiting mends it or the run is to end.
    pub fn outlast(&self, error: ReadError, walk: &str, trouble: &mut Trouble) -> Result<Duration, ReadError> {
        let pipeline = &self.name;
        let (wait, reason) = match &error {
            ReadError::Source(SourceError::Retryable { message, after }) => {
                let wait = trouble.failed(*after);
                if trouble.is_news("retryable") {
                    warn!(%pipeline, walk, reason = message, wait_secs = wait.as_secs(), "cannot read");
                }
                (wait, message.clone())
            }
            ReadError::Source(SourceError::Configuration { message, hint }) if !self.must_end => {
                trouble.failed(None);
                if trouble.is_news(message) {
                    error!(%pipeline, walk, reason = message, hint, "cannot read until this is mended");
                }
                (PATIENCE, message.clone())
            }
            // A disk that is full has room again some day; the page is read again then.
            ReadError::Journal(JournalError::Storage(cause)) => {
                let wait = trouble.failed(None);
                if trouble.is_news("storage") {
                    error!(%pipeline, %cause, "the journal cannot be written: reading waits until it can");
                }
                (wait, format!("the journal cannot be written: {cause}"))
            }
            _ => return Err(error),
        };
        if self.must_end && trouble.attempts() >= ATTEMPTS_TO_END {
            return Err(error);
        }
        self.counters.set_trouble(Some(reason));
        Ok(wait)
    }

    /// Makes a page durable, and counts it.
    pub async fn keep(&self, items: Vec<Item>, place: Place) -> Result<Appended, ReadError> {
        let counters = &self.counters;
        let mut hits = Hits::default();
        let mut records: Vec<New> = Vec::with_capacity(items.len());
        let mut dropped: Vec<Dropped> = Vec::new();
        let mut dead_letters: Vec<DeadLetter> = Vec::new();
        for (refined, counted) in items {
            hits += counted;
            match refined {
                Refined::Record(new) => records.push(new),
                Refined::Dead(letter) => dead_letters.push(letter),
                Refined::Dropped(unwanted) => dropped.push(unwanted),
            }
        }
        let reasons: Vec<String> = dead_letters.iter().map(|letter| letter.reason.clone()).collect();
        let is_sweep = place.walk == Walk::sweep();
        let Place { walk, cursor, forget_before, seen_at, late_before } = place;
        let append = Append { records, dropped, walk, cursor, dead_letters, forget_before, seen_at, late_before };
        let appended = self.journal.append(&self.name, append).await?;
        counters.read.add(appended.added);
        counters.repeated.add(appended.repeated);
        counters.add_dropped(&appended.dropped);
        counters.add_late(&appended.late);
        counters.swept.add(if is_sweep { appended.added } else { 0 });
        counters.emails.add(hits[Detector::Email]);
        counters.ips.add(hits[Detector::Ip]);
        counters.redacted.add(hits.total());
        counters.dead_letters.add(appended.dead_letters.len() as u64);
        for index in &appended.dead_letters {
            warn!(pipeline = %self.name, reason = reasons[*index], "a record became a dead letter");
        }
        // Walks append side by side: the one that reports last is not always the one that appended last.
        self.appended.send_if_modified(|last| std::mem::replace(last, appended.last.max(*last)) < appended.last);
        Ok(appended)
    }
}
