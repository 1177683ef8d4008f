//! One batch on its way through librdkafka: handed over record by record, answered in any order.

use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::producer::{BaseRecord, Producer as _};
use tokio::sync::mpsc;

use super::apart::Connected;
use super::context::{Context, Ticket};
use super::explain::Why;
use super::message::{Envelope, Messages};
use crate::{Batch, Rejected};

/// Taken down with another message, whose own answer says why.
fn is_purge(code: Code) -> bool {
    matches!(code, Code::PurgeQueue | Code::PurgeInflight)
}

/// A batch on its way.
pub(super) struct Sending<'a> {
    producer: Connected,
    messages: &'a Messages,
    batch: &'a Batch,
    /// How long is waited for room.
    timeout: Duration,
    tickets: mpsc::UnboundedSender<(usize, Option<Code>)>,
    answers: mpsc::UnboundedReceiver<(usize, Option<Code>)>,
    unanswered: usize,
    /// One bad answer is enough: librdkafka holds back what has not gone out by then.
    in_transaction: bool,
    purged: bool,
    /// Records that will never be taken, in no order.
    pub rejected: Vec<(usize, Why)>,
    /// Refused, and perhaps only because of a neighbour.
    pub doubtful: Vec<(usize, Why)>,
    /// The first failure: those behind it often only say that they were purged with it.
    pub failed: Option<Code>,
}

impl<'a> Sending<'a> {
    pub fn new(producer: Connected, messages: &'a Messages, batch: &'a Batch, timeout: Duration) -> Self {
        let (tickets, answers) = mpsc::unbounded_channel();
        Self {
            producer,
            messages,
            batch,
            timeout,
            tickets,
            answers,
            unanswered: 0,
            in_transaction: false,
            purged: false,
            rejected: Vec::new(),
            doubtful: Vec::new(),
            failed: None,
        }
    }

    pub fn in_transaction(self) -> Self {
        Self { in_transaction: true, ..self }
    }

    /// Why the batch has failed, if it has. A producer that may not begin at all takes its messages down without a reason.
    pub fn cause(&self) -> Option<Code> {
        let code = self.failed?;
        let fatal = self.producer.client().fatal_error().filter(|_| is_purge(code) || code == Code::Fatal);
        Some(fatal.map_or(code, |(fatal, _)| fatal))
    }

    /// What the producer that was used last has heard of no message.
    pub fn context(&self) -> &Context {
        self.producer.client().context()
    }

    /// Hands one record to librdkafka, waiting for room where there is none. Does nothing once the batch has failed.
    pub async fn send(&mut self, at: usize) {
        if self.failed.is_some() || (self.in_transaction && !self.is_well()) {
            return;
        }
        // Where there is room nothing is waited for, and a batch is long.
        if at.is_multiple_of(64) {
            tokio::task::yield_now().await;
        }
        let record = &self.batch.records[at];
        let Envelope { topic, key, headers } = self.messages.envelope(self.batch, record);
        // The message's own timestamp is the time of sending. With the event's, a topic's retention would delete a
        // backfilled log the hour it arrives.
        let mut message = BaseRecord::with_opaque_to(&topic, Ticket::new(at, &self.tickets))
            .key(&key)
            .payload(&record.json[..])
            .headers(headers);
        let give_up = Instant::now() + self.timeout;
        loop {
            match self.producer.send(message) {
                Ok(()) => {
                    self.unanswered += 1;
                    return;
                }
                Err((KafkaError::MessageProduction(Code::QueueFull), unsent)) => {
                    message = unsent;
                    if self.in_transaction && !self.is_well() {
                        return;
                    } else if self.unanswered > 0 {
                        self.hear().await;
                    } else if Instant::now() < give_up {
                        // Full of other pipelines' records: their tasks hear of room, not we.
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    } else {
                        self.failed = Some(Code::QueueFull);
                        return;
                    }
                }
                Err((error, _)) => {
                    return self.not_sent(at, error.rdkafka_error_code().unwrap_or(Code::Fail));
                }
            }
        }
    }

    /// librdkafka itself did not take the record: its neighbours have no part in that.
    fn not_sent(&mut self, at: usize, code: Code) {
        if Why::of(code).is_some() {
            self.rejected.push((at, Why::Producer));
        } else {
            self.failed.get_or_insert(code);
        }
    }

    /// Waits for all answers.
    pub async fn finish(&mut self) {
        while self.unanswered > 0 {
            self.hear().await;
        }
    }

    async fn hear(&mut self) {
        self.unanswered -= 1;
        // Cannot be closed: we hold a sender. librdkafka answers every message within `message.timeout.ms`.
        let Some((at, Some(code))) = self.answers.recv().await else {
            return;
        };
        match Why::of(code) {
            Some(why) => self.doubtful.push((at, why)),
            // Taken down with another, which may be heard of later.
            None if self.in_transaction && is_purge(code) => self.purged = true,
            None if self.failed.is_none_or(is_purge) => self.failed = Some(code),
            None => {}
        }
    }

    /// What a broker says of one message it says of all that travelled with it: one that is too large takes good ones
    /// along, and many small ones may be too large together. They are sent again by halves, through a producer that
    /// carries nothing else, so that in the end only what is refused alone is rejected.
    pub async fn settle_doubtful(&mut self, alone: &Connected) {
        self.producer = alone.clone();
        let mut groups = vec![self.take_doubtful()];
        while let Some(group) = groups.pop() {
            if group.is_empty() {
                continue;
            }
            let (now, later) = group.split_at(group.len().div_ceil(2));
            if !later.is_empty() {
                groups.push(later.to_vec());
            }
            for at in now {
                self.send(*at).await;
            }
            self.finish().await;
            if group.len() == 1 {
                self.reject_doubtful();
            } else {
                groups.push(self.take_doubtful());
            }
        }
    }

    fn take_doubtful(&mut self) -> Vec<usize> {
        let mut doubtful: Vec<usize> = self.doubtful.drain(..).map(|(at, _)| at).collect();
        doubtful.sort_unstable();
        doubtful
    }

    fn reject_doubtful(&mut self) {
        self.rejected.append(&mut self.doubtful);
    }

    /// Waits for answers until one is bad: in a transaction that is enough, and the others may be held back for it.
    pub async fn finish_well(&mut self) -> bool {
        while self.is_well() && self.unanswered > 0 {
            self.hear().await;
        }
        self.is_well()
    }

    pub fn is_well(&self) -> bool {
        self.failed.is_none() && self.doubtful.is_empty() && !self.purged
    }
}

/// The records as the engine takes them, in the batch's order.
pub(super) fn rejected(batch: &Batch, mut rejected: Vec<(usize, Why)>) -> Vec<Rejected> {
    rejected.sort_unstable_by_key(|(at, _)| *at);
    let reason = |at: usize, why: Why| why.reason(batch.records[at].json.len());
    rejected.into_iter().map(|(at, why)| Rejected { at, reason: reason(at, why) }).collect()
}
