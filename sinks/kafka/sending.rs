//! One batch on its way through librdkafka: handed over record by record, answered in any order.

use std::time::{Duration, Instant};

use chrono::SecondsFormat;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::BaseRecord;
use tokio::sync::mpsc;

use super::context::Ticket;
use super::explain::{Fate, fate};
use super::{Config, Connected};
use crate::template::Place;
use crate::{Batch, Record, Rejected};

/// A batch on its way.
pub(super) struct Sending<'a> {
    producer: &'a Connected,
    config: &'a Config,
    batch: &'a Batch,
    tickets: mpsc::UnboundedSender<(usize, Option<Code>)>,
    answers: mpsc::UnboundedReceiver<(usize, Option<Code>)>,
    unanswered: usize,
    /// Records that no broker will take, in no order.
    pub rejected: Vec<Rejected>,
    /// Refused, and perhaps only because of a neighbour.
    doubtful: Vec<(usize, Code)>,
    /// The first failure: those behind it often only say that they were purged with it.
    pub failed: Option<Code>,
}

impl<'a> Sending<'a> {
    pub fn new(producer: &'a Connected, config: &'a Config, batch: &'a Batch) -> Self {
        let (tickets, answers) = mpsc::unbounded_channel();
        Self {
            producer,
            config,
            batch,
            tickets,
            answers,
            unanswered: 0,
            rejected: Vec::new(),
            doubtful: Vec::new(),
            failed: None,
        }
    }

    /// Hands one record to librdkafka, waiting for room where there is none. Does nothing once the batch has failed.
    pub async fn send(&mut self, at: usize) {
        if self.failed.is_some() {
            return;
        }
        let record = &self.batch.records[at];
        let topic = self.config.topic.render(self.batch, record, Place::Topic);
        let key = self.config.key.0.render(self.batch, record, Place::Text);
        // The message's own timestamp is the time of sending. With the event's, a topic's retention would delete a
        // backfilled log the hour it arrives.
        let mut message = BaseRecord::with_opaque_to(&topic, Ticket::new(at, &self.tickets))
            .key(&key)
            .payload(&record.json[..])
            .headers(headers(self.batch, record));
        let give_up = Instant::now() + self.config.timeout.0;
        loop {
            match self.producer.send(message) {
                Ok(()) => {
                    self.unanswered += 1;
                    return;
                }
                Err((KafkaError::MessageProduction(Code::QueueFull), unsent)) => {
                    message = unsent;
                    if self.unanswered > 0 {
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
        if fate(code) == Fate::Rejected {
            let bytes = self.batch.records[at].json.len();
            self.reject(at, format!("{bytes} bytes are more than the producer's `message.max.bytes`"));
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
        if fate(code) == Fate::Rejected {
            self.doubtful.push((at, code));
        } else {
            self.failed.get_or_insert(code);
        }
    }

    /// What a broker says of one message it says of all that travelled with it: one that is too large takes good ones
    /// along, and many small ones may be too large together. They are sent again by halves, so that in the end only
    /// what is refused alone is rejected.
    pub async fn settle_doubtful(&mut self) {
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
        for (at, code) in std::mem::take(&mut self.doubtful) {
            self.reject(at, code.to_string());
        }
    }

    fn reject(&mut self, at: usize, reason: String) {
        self.rejected.push(Rejected { at, reason });
    }
}

fn headers(batch: &Batch, record: &Record) -> OwnedHeaders {
    let time = record.time.to_rfc3339_opts(SecondsFormat::Millis, true);
    [
        ("auditline-id", record.id.as_str()),
        ("auditline-vendor", &batch.vendor),
        ("auditline-pipeline", &batch.pipeline),
        ("auditline-time", &time),
        ("content-type", "application/json"),
    ]
    .into_iter()
    .fold(OwnedHeaders::new_with_capacity(5), |headers, (key, value)| {
        headers.insert(Header { key, value: Some(value) })
    })
}
