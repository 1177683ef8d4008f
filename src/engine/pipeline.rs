//! What all walks through one pipeline's log share: where pages go, and what is counted.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::counters::Counters;
use super::refine::Refined;
use crate::event::{Record, RecordKey};
use crate::journal::{Append, Appended, DeadLetter, Journal, JournalError, Sequence, Walk};
use crate::source::SourceError;
use crate::transform::{Tally, Transform};

/// How often a full journal is looked at again.
const FULL_PAUSE: Duration = Duration::from_millis(500);

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
pub type Item = (Refined, Tally);

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
                warn!(pipeline = %self.name, "the journal is full: reading waits for the sinks");
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

    /// Waits; `false` when the pipeline was stopped meanwhile.
    pub async fn pause(&self, wait: Duration) -> bool {
        tokio::select! {
            () = self.stop.cancelled() => false,
            () = tokio::time::sleep(wait) => true,
        }
    }

    /// Makes a page durable, and counts it.
    pub async fn keep(&self, items: Vec<Item>, place: Place) -> Result<Appended, ReadError> {
        let counters = &self.counters;
        let mut tally = Tally::default();
        let mut records: Vec<(RecordKey, Record)> = Vec::with_capacity(items.len());
        let mut dead_letters: Vec<DeadLetter> = Vec::new();
        for (refined, counted) in items {
            tally.emails += counted.emails;
            tally.ips += counted.ips;
            match refined {
                Refined::Record(key, record) => records.push((key, record)),
                Refined::Dead(letter) => dead_letters.push(letter),
            }
        }
        let reasons: Vec<String> = dead_letters.iter().map(|letter| letter.reason.clone()).collect();
        let is_sweep = place.walk == Walk::sweep();
        let Place { walk, cursor, forget_before, seen_at, late_before } = place;
        let append = Append { records, walk, cursor, dead_letters, forget_before, seen_at, late_before };
        let appended = self.journal.append(&self.name, append).await?;
        counters.read.add(appended.added);
        counters.repeated.add(appended.repeated);
        counters.add_late(&appended.late);
        counters.swept.add(if is_sweep { appended.added } else { 0 });
        counters.emails.add(tally.emails);
        counters.ips.add(tally.ips);
        counters.dead_letters.add(appended.dead_letters.len() as u64);
        for index in &appended.dead_letters {
            warn!(pipeline = %self.name, reason = reasons[*index], "a record became a dead letter");
        }
        // Walks append side by side: the one that reports last is not always the one that appended last.
        self.appended.send_if_modified(|last| std::mem::replace(last, appended.last.max(*last)) < appended.last);
        Ok(appended)
    }
}
