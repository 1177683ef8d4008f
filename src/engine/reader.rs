//! Reads one pipeline's source into the journal.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::backoff::Backoff;
use super::counters::Counters;
use super::refine::{Refined, refine};
use crate::event::{Record, RecordKey};
use crate::journal::{Append, DeadLetter, Journal, JournalError, Sequence, Walk};
use crate::source::{Cursor, Page, Priority, Progress, Source, SourceError};
use crate::transform::{Tally, Transform};

/// A seen id is remembered this much longer than any read can reach back, for clocks and for vendors that correct times.
const REMEMBERED_LONGER: TimeDelta = TimeDelta::hours(25);
/// How long a reader waits before it asks a vendor again that needs a person.
const PATIENCE: Duration = Duration::from_secs(300);
/// How often a run that is to end tries a read before it calls the pipeline failed. The source tried several times each.
const ATTEMPTS_TO_END: u32 = 3;
/// How often a full journal is looked at again.
const FULL_PAUSE: Duration = Duration::from_millis(500);

/// Reads one pipeline's source into the journal.
pub struct Reader {
    pub pipeline: Arc<str>,
    pub source: Source,
    pub transforms: Vec<Box<dyn Transform>>,
    pub journal: Arc<dyn Journal>,
    pub counters: Arc<Counters>,
    /// How long to wait when everything was read; `None` ends the reader then.
    pub poll: Option<Duration>,
    /// Tells the writers how far the journal goes. They end when it is dropped.
    pub appended: watch::Sender<Sequence>,
    pub stop: CancellationToken,
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

type Item = (Refined, Tally);

impl Reader {
    /// Reads until it is stopped, or until everything was read.
    ///
    /// # Errors
    /// When the journal fails, or, in a run that is to end, when the vendor does.
    pub async fn run(self) -> Result<(), ReadError> {
        let mut cursor = match self.journal.cursor(&self.pipeline, &Walk::live()).await? {
            Some(bytes) => serde_json::from_slice(&bytes)?,
            None => self.source.start(),
        };
        self.counters.set_watermark(cursor.complete_up_to);
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(120));
        loop {
            if !self.has_room().await? {
                return Ok(());
            }
            let read = tokio::select! {
                () = self.stop.cancelled() => return Ok(()),
                read = self.read(&cursor) => read,
            };
            let wait = match read {
                Ok(page) => {
                    self.recovered(&mut backoff);
                    let progress = page.progress;
                    cursor = self.keep(&cursor, page).await?;
                    match (progress, self.poll) {
                        (Progress::More, _) => continue,
                        (Progress::Wait(wait), _) => wait,
                        (Progress::CaughtUp, Some(poll)) => poll,
                        (Progress::CaughtUp, None) => return Ok(()),
                    }
                }
                Err(error) => {
                    // What the vendor gave us for this walk may be what it chokes on.
                    cursor = cursor.durable();
                    self.failed(error, &mut backoff)?
                }
            };
            tokio::select! {
                () = self.stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    async fn read(&self, cursor: &Cursor) -> Result<Page<Item>, SourceError> {
        let transforms = &self.transforms;
        self.source.read(cursor, Priority::Live, &|raw, arena| refine(raw, transforms, arena)).await
    }

    /// Waits while the journal is full; `false` when the reader was stopped meanwhile.
    async fn has_room(&self) -> Result<bool, ReadError> {
        let mut told = false;
        while self.journal.fill().await?.is_full() {
            if !told {
                warn!(pipeline = %self.pipeline, "the journal is full: reading waits for the sinks");
                told = true;
            }
            if self.appended.is_closed() {
                return Err(ReadError::Full);
            }
            tokio::select! {
                () = self.stop.cancelled() => return Ok(false),
                () = tokio::time::sleep(FULL_PAUSE) => {}
            }
        }
        if told {
            info!(pipeline = %self.pipeline, "the journal has room again");
        }
        Ok(!self.stop.is_cancelled())
    }

    /// Makes a page durable, and returns the cursor after it.
    async fn keep(&self, before: &Cursor, page: Page<Item>) -> Result<Cursor, ReadError> {
        let next = page.next;
        let window_from =
            next.window.as_ref().or(before.window.as_ref()).map_or(before.complete_up_to, |window| window.from);
        let mut tally = Tally::default();
        let mut records: Vec<(RecordKey, Record)> = Vec::with_capacity(page.items.len());
        let mut dead_letters: Vec<DeadLetter> = Vec::new();
        for (refined, counted) in page.items {
            tally.emails += counted.emails;
            tally.ips += counted.ips;
            match refined {
                Refined::Record(key, record) => records.push((key, record)),
                Refined::Dead(letter) => dead_letters.push(letter),
            }
        }
        let dead = dead_letters.len() as u64;
        for letter in &dead_letters {
            warn!(pipeline = %self.pipeline, reason = letter.reason, "a record became a dead letter");
        }
        let reach = next.settled.min(next.complete_up_to).min(window_from);
        let appended = self
            .journal
            .append(
                &self.pipeline,
                Append {
                    records,
                    walk: Walk::live(),
                    cursor: Bytes::from(serde_json::to_vec(&next.durable())?),
                    dead_letters,
                    forget_before: Some(reach - REMEMBERED_LONGER),
                    seen_at: window_from,
                    late_before: before.complete_up_to,
                },
            )
            .await?;
        let counters = &self.counters;
        counters.read.add(appended.added);
        counters.repeated.add(appended.repeated);
        counters.late.add(appended.late);
        counters.own_reads.add(page.own_reads);
        counters.emails.add(tally.emails);
        counters.ips.add(tally.ips);
        counters.dead_letters.add(dead);
        self.note_watermark(next.complete_up_to);
        self.appended.send_replace(appended.last);
        Ok(next)
    }

    fn note_watermark(&self, complete_up_to: DateTime<Utc>) {
        self.counters.set_watermark(complete_up_to);
    }

    fn recovered(&self, backoff: &mut Backoff) {
        if backoff.attempts > 0 {
            info!(pipeline = %self.pipeline, attempts = backoff.attempts, "the vendor answers again");
            backoff.succeeded();
        }
    }

    /// How long to wait after a failed read, told once until it works again.
    fn failed(&self, error: SourceError, backoff: &mut Backoff) -> Result<Duration, ReadError> {
        let first = backoff.attempts == 0;
        let must_end = self.poll.is_none();
        match &error {
            SourceError::Retryable { message, after } => {
                let wait = backoff.failed(*after);
                if must_end && backoff.attempts >= ATTEMPTS_TO_END {
                    return Err(error.into());
                }
                if first {
                    warn!(pipeline = %self.pipeline, reason = message, wait_secs = wait.as_secs(), "cannot read");
                }
                Ok(wait)
            }
            SourceError::Configuration { message, hint } => {
                if must_end {
                    return Err(error.into());
                }
                backoff.attempts += 1;
                if first {
                    error!(pipeline = %self.pipeline, reason = message, hint, "cannot read until this is mended");
                }
                Ok(PATIENCE)
            }
        }
    }
}
