//! Follows the journal for one sink of one pipeline, and delivers.

use std::sync::Arc;
use std::time::Duration;

use auditline_sinks::{Batch, BatchLimits, Closed, Delivery, DeliveryError, Rejected};
use bytes::Bytes;
use chrono::Utc;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::counters::LaneCounters;
use super::streak::Streak;
use super::told::Trouble;
use crate::chain;
use crate::config::{AllRejected, LanePlan};
use crate::event::RecordKey;
use crate::journal::{DeadLetter, Journal, JournalError, Lane, Sequence};

/// How long a writer waits before it tries a sink again that needs a person.
const PATIENCE: Duration = Duration::from_secs(60);
/// The first and the longest wait after what may pass.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(60);
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
        let mut trouble = Trouble::none(FIRST_WAIT, LONGEST_WAIT);
        let mut streak = Streak::default();
        loop {
            let batch = match self.next_batch().await {
                Ok(batch) => {
                    trouble.over();
                    batch
                }
                Err(error) => {
                    self.outlast(error, &mut trouble).await?;
                    continue;
                }
            };
            let Some(batch) = batch else { return Ok(()) };
            let delivery = self.deliver(&batch, &mut streak).await?;
            let letters = self.letters(&batch, &delivery);
            // Only the note of it is made again: what was delivered is not delivered again.
            while let Err(error) = self.journal.advance(&self.lane, batch.last, letters.clone()).await {
                self.outlast(error, &mut trouble).await?;
            }
            self.count(&batch, &delivery);
        }
    }

    /// The next batch, when it is full or old enough; `None` when no more will come.
    async fn next_batch(&mut self) -> Result<Option<Batch>, JournalError> {
        while self.wait_for_batch().await? {
            let limits = self.limits();
            if let Some(mut batch) = self.journal.seal(&self.lane, &self.vendor, &limits).await? {
                batch.closed = self.closed(batch.closed, &limits);
                return Ok(Some(batch));
            }
        }
        Ok(None)
    }

    /// What closes the next batch: what the operator allows, or less where the sink has learned that it is enough.
    fn limits(&self) -> BatchLimits {
        let limits = self.plan.limits;
        let wanted = self.plan.sink.wanted_bytes(&self.lane.pipeline);
        BatchLimits { max_bytes: wanted.map_or(limits.max_bytes, |bytes| bytes.min(limits.max_bytes)), ..limits }
    }

    /// What the journal cannot know of why a batch was closed.
    fn closed(&self, closed: Closed, limits: &BatchLimits) -> Closed {
        match closed {
            Closed::Bytes if limits.max_bytes < self.plan.limits.max_bytes => Closed::ObjectSize,
            Closed::Age if self.appended.has_changed().is_err() => Closed::End,
            closed => closed,
        }
    }

    /// Waits after an error of the journal that may pass: a disk that is full has room again some day.
    async fn outlast(&self, error: JournalError, trouble: &mut Trouble) -> Result<(), JournalError> {
        let JournalError::Storage(cause) = &error else { return Err(error) };
        let wait = trouble.failed(None);
        if self.must_end && trouble.attempts() >= ATTEMPTS_TO_END {
            return Err(error);
        }
        if trouble.is_news("storage") {
            error!(pipeline = %self.lane.pipeline, sink = %self.plan.sink, %cause, "the journal cannot be used: delivering waits until it can");
        }
        tokio::time::sleep(wait).await;
        Ok(())
    }

    /// Waits until a batch is full or old enough; `false` when no more will come.
    async fn wait_for_batch(&mut self) -> Result<bool, JournalError> {
        loop {
            self.appended.borrow_and_update();
            let reader_ended = self.appended.has_changed().is_err();
            let limits = self.limits();
            let waiting = self.journal.waiting(&self.lane, &limits).await?;
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
    async fn deliver(&self, batch: &Batch, streak: &mut Streak) -> Result<Delivery, WriteError> {
        let mut trouble = Trouble::none(FIRST_WAIT, LONGEST_WAIT);
        loop {
            let delivered = self.plan.sink.deliver(batch).await.and_then(|delivery| match self.plan.all_rejected {
                AllRejected::Wait => streak.judge(batch, delivery),
                AllRejected::DeadLetter => Ok(delivery),
            });
            let error = match delivered {
                Ok(delivery) => {
                    if let Some(attempts) = trouble.over() {
                        info!(sink = %self.plan.sink, attempts, "the sink takes records again");
                    }
                    self.counters.set_trouble(None);
                    return Ok(delivery);
                }
                Err(error) => error,
            };
            self.counters.retries.add(1);
            let Some(wait) = self.patience(&error, &mut trouble) else {
                return Err(WriteError::Sink { sink: self.plan.sink.to_string(), source: error });
            };
            self.counters.set_trouble(Some(chain(&error)));
            tokio::time::sleep(wait).await;
        }
    }

    /// How long to wait after a failed delivery; `None` when the run is to end and this was the last attempt. A person is
    /// told once, and again when another thing is wrong.
    fn patience(&self, error: &DeliveryError, trouble: &mut Trouble) -> Option<Duration> {
        let reason = chain(error);
        match error {
            DeliveryError::Retryable { retry_after, .. } => {
                let wait = trouble.failed(*retry_after);
                if trouble.is_news("retryable") {
                    warn!(pipeline = %self.lane.pipeline, sink = %self.plan.sink, reason, "the sink is not taking records: trying on");
                }
                (!self.must_end || trouble.attempts() < ATTEMPTS_TO_END).then_some(wait)
            }
            DeliveryError::Refused { hint, .. } => {
                trouble.failed(None);
                if !self.must_end && trouble.is_news(&reason) {
                    error!(pipeline = %self.lane.pipeline, sink = %self.plan.sink, reason, hint, "the sink takes no records until this is mended");
                }
                (!self.must_end).then_some(PATIENCE)
            }
        }
    }

    /// What the sink refused of a batch, to be kept with the reason.
    fn letters(&self, batch: &Batch, delivery: &Delivery) -> Vec<DeadLetter> {
        let letter = |refused: &Rejected| {
            let record = batch.records.get(refused.at)?;
            warn!(pipeline = %self.lane.pipeline, sink = %self.plan.sink, reason = refused.reason, "a record became a dead letter");
            Some(DeadLetter {
                key: RecordKey::of(&record.id),
                stage: self.lane.sink.to_string(),
                reason: refused.reason.clone(),
                body: Bytes::clone(&record.json),
            })
        };
        delivery.rejected.iter().filter_map(letter).collect()
    }

    fn count(&self, batch: &Batch, delivery: &Delivery) {
        let rejected = delivery.rejected.len() as u64;
        self.counters.delivered.add(batch.records.len() as u64 - rejected);
        self.counters.rejected.add(rejected);
    }
}
