//! Follows the journal for one sink of one pipeline, and delivers.

use std::sync::Arc;
use std::time::Duration;

use auditline_sinks::{Batch, Delivery, DeliveryError};
use bytes::Bytes;
use chrono::Utc;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::backoff::Backoff;
use super::counters::LaneCounters;
use crate::chain;
use crate::config::LanePlan;
use crate::event::RecordKey;
use crate::journal::{DeadLetter, Journal, JournalError, Lane, Sequence};

/// How long a writer waits before it tries a sink again that needs a person.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often a run that is to end tries a batch before it calls the sink failed.
const ATTEMPTS_TO_END: u32 = 8;

/// Follows the journal for one sink of one pipeline.
pub struct Writer {
    pub lane: Lane,
    pub plan: LanePlan,
    pub vendor: Arc<str>,
    pub journal: Arc<dyn Journal>,
    pub counters: Arc<LaneCounters>,
    /// Moves when the pipeline's reader appends, and closes when it ends.
    pub appended: watch::Receiver<Sequence>,
    /// The run is to end when everything is delivered, so a sink that fails must fail it.
    pub must_end: bool,
    /// The grace period is over: what is under way is dropped, which does no harm.
    pub abort: CancellationToken,
}

/// Why a writer ended before its time.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The sink did not take a batch.
    #[error("{sink} does not take records: {}", chain(.source))]
    Sink {
        /// The sink, as it names itself.
        sink: String,
        /// What it says.
        source: DeliveryError,
    },
    /// The journal could not be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

impl Writer {
    /// Delivers until the reader has ended and everything is delivered, or the grace period is over.
    ///
    /// # Errors
    /// When the journal fails, or, in a run that is to end, when the sink does.
    pub async fn run(mut self) -> Result<(), WriteError> {
        let abort = self.abort.clone();
        tokio::select! {
            () = abort.cancelled() => Ok(()),
            done = self.follow() => done,
        }
    }

    async fn follow(&mut self) -> Result<(), WriteError> {
        while self.wait_for_batch().await? {
            let Some(batch) = self.journal.seal(&self.lane, &self.vendor, &self.plan.limits).await? else { continue };
            let delivery = self.deliver(&batch).await?;
            self.settle(&batch, delivery).await?;
        }
        Ok(())
    }

    /// Waits until a batch is full or old enough; `false` when no more will come.
    async fn wait_for_batch(&mut self) -> Result<bool, WriteError> {
        loop {
            self.appended.borrow_and_update();
            let reader_ended = self.appended.has_changed().is_err();
            let limits = &self.plan.limits;
            let waiting = self.journal.waiting(&self.lane, limits).await?;
            if waiting.records == 0 {
                if reader_ended {
                    return Ok(false);
                }
                // An error says that the reader ended: look once more, then end.
                let _ = self.appended.changed().await;
                continue;
            }
            let full = waiting.records >= limits.max_records as u64 || waiting.bytes >= limits.max_bytes;
            let waited = waiting.since.map_or(Duration::MAX, |since| (Utc::now() - since).to_std().unwrap_or_default());
            let Some(remaining) = limits.max_wait.checked_sub(waited).filter(|left| !left.is_zero()) else {
                return Ok(true);
            };
            if full || reader_ended {
                return Ok(true);
            }
            tokio::select! {
                () = tokio::time::sleep(remaining) => return Ok(true),
                _ = self.appended.changed() => {}
            }
        }
    }

    /// Delivers a batch, however long it takes.
    async fn deliver(&self, batch: &Batch) -> Result<Delivery, WriteError> {
        let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(60));
        loop {
            let error = match self.plan.sink.deliver(batch).await {
                Ok(delivery) => {
                    if backoff.attempts > 0 {
                        info!(sink = %self.plan.sink, attempts = backoff.attempts, "the sink takes records again");
                    }
                    return Ok(delivery);
                }
                Err(error) => error,
            };
            self.counters.retries.add(1);
            let first = backoff.attempts == 0;
            let reason = chain(&error);
            let wait = match &error {
                DeliveryError::Retryable { retry_after, .. } => {
                    let wait = backoff.failed(*retry_after);
                    if first {
                        warn!(pipeline = %self.lane.pipeline, sink = %self.plan.sink, reason, "the sink is not taking records: trying on");
                    }
                    (!self.must_end || backoff.attempts < ATTEMPTS_TO_END).then_some(wait)
                }
                DeliveryError::Refused { hint, .. } => {
                    backoff.failed(None);
                    if first && !self.must_end {
                        error!(pipeline = %self.lane.pipeline, sink = %self.plan.sink, reason, hint, "the sink takes no records until this is mended");
                    }
                    (!self.must_end).then_some(PATIENCE)
                }
            };
            let Some(wait) = wait else {
                return Err(WriteError::Sink { sink: self.plan.sink.to_string(), source: error });
            };
            tokio::time::sleep(wait).await;
        }
    }

    /// Moves the position past a delivered batch, and keeps what the sink refused.
    async fn settle(&self, batch: &Batch, delivery: Delivery) -> Result<(), WriteError> {
        let rejected = delivery.rejected.len() as u64;
        let letters = delivery.rejected.into_iter().filter_map(|refused| {
            let record = batch.records.get(usize::try_from(refused.sequence.checked_sub(batch.first)?).ok()?)?;
            warn!(pipeline = %self.lane.pipeline, sink = %self.plan.sink, reason = refused.reason, "a record became a dead letter");
            Some(DeadLetter {
                key: RecordKey::of(&record.id),
                stage: self.lane.sink.to_string(),
                reason: refused.reason,
                body: Bytes::clone(&record.json),
            })
        });
        self.journal.advance(&self.lane, batch.last(), letters.collect()).await?;
        self.counters.delivered.add(batch.records.len() as u64 - rejected);
        self.counters.rejected.add(rejected);
        Ok(())
    }
}
