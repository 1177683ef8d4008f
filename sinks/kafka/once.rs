//! `delivery = "exactly_once"`: a batch and the position it brings its pipeline to become visible together or not at all.
//!
//! Each lane, that is pipeline and sink, has a producer of its own, for a producer has one transaction at a time and a
//! `transactional.id` is what shuts out a process that was taken for dead. Whatever goes wrong, the producer is given
//! up: the next one begins by ending what was left open, and by asking Kafka for the position.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerGroupMetadata};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode as Code};
use rdkafka::producer::Producer;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tracing::warn;

use super::Kafka;
use super::apart::{Apart, blocking};
use super::context::Context;
use super::explain::{Fate, Why, fate, is_fenced};
use super::plan::Plan;
use super::position::Position;
use super::sending::{Sending, rejected};
use super::transaction::{Note, TURN, Transactional};
use crate::template::Place;
use crate::{Batch, Delivery, DeliveryError};

/// The brokers' own limit, unless they are told otherwise.
const LONGEST_TRANSACTION: Duration = Duration::from_secs(900);

/// How often a batch is sent again of which messages were purged, before that is called an error.
const PURGES: u32 = 20;

/// What is known of each lane between two batches. A delivery takes the lane out and puts it back when all went well, so
/// that one that fails or is dropped half-way leaves nothing behind to be trusted but how far the lane was.
#[derive(Default)]
pub(super) struct Lanes(Mutex<HashMap<String, Known>>);

enum Known {
    Ready(Lane),
    /// We do not have the lane, and perhaps somebody else has. This is how far we have brought it.
    Left(Position),
}

/// A producer that nobody has shut out, as far as we know, and how far it has got.
struct Lane {
    producer: Transactional,
    group: Arc<ConsumerGroupMetadata>,
    position: Position,
}

/// What becomes of one transaction.
enum Outcome {
    Committed(Vec<(usize, Why)>),
    /// Some were refused, and perhaps only because of a neighbour.
    Doubtful(Vec<(usize, Why)>),
    /// None was refused, and some not even sent.
    Purged,
}

impl Lanes {
    /// Takes the lane out. How far it is stays.
    fn take(&self, name: &str) -> Option<Known> {
        let mut lanes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = lanes.remove(name)?;
        let (Known::Ready(Lane { position, .. }) | Known::Left(position)) = &known;
        lanes.insert(name.to_owned(), Known::Left(position.clone()));
        Some(known)
    }

    fn put(&self, name: &str, known: Known) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), known);
    }
}

/// How long a transaction may stay open: sending, noting the position and committing each have their time.
pub(super) fn transaction_timeout(timeout: Duration) -> Duration {
    (timeout * 4).min(LONGEST_TRANSACTION)
}

impl Kafka {
    pub(super) async fn deliver_once(&self, batch: &Batch) -> Result<Delivery, DeliveryError> {
        let name = format!("{}/{}/{}", batch.journal, batch.pipeline, batch.sink);
        let mut lane = match self.lanes.take(&name) {
            Some(Known::Ready(lane)) => lane,
            Some(Known::Left(ours)) => {
                if let Some(delivery) = self.delivered_meanwhile(&name, batch, &ours).await? {
                    return Ok(delivery);
                }
                let lane = self.open(batch).await?;
                // Until then, somebody may have gone on.
                self.expect_ours(batch, &ours, &lane.position)?;
                lane
            }
            None => self.open(batch).await?,
        };
        if let Some(places) = lane.position.rejected_of(batch) {
            self.lanes.put(&name, Known::Ready(lane));
            return Ok(Delivery { rejected: rejected(batch, places) });
        }
        if lane.position.is_unlisted(batch) {
            warn!(
                sink = %self, pipeline = %batch.pipeline, sequence = batch.last,
                "so many records of this batch were rejected that Kafka could not keep which: delivering it again"
            );
        } else if let Some(last) = lane.position.last.filter(|last| batch.last <= *last) {
            warn!(
                sink = %self, pipeline = %batch.pipeline, position = last, sequence = batch.last,
                "Kafka has other records of these sequences, as after a state folder was restored: delivering ours too"
            );
        }
        self.lanes.put(&name, Known::Left(lane.position.clone()));
        match self.send_once(&mut lane, batch).await {
            Ok(places) => {
                lane.producer.producer().client().context().forget_errors();
                lane.position = lane.position.after(batch, &places);
                self.lanes.put(&name, Known::Ready(lane));
                Ok(Delivery { rejected: rejected(batch, places) })
            }
            Err(code) if is_fenced(code) => self.shut_out(&name, batch, &lane.position, code).await,
            Err(code) => Err(self.explain(code, lane.producer.producer().client().context())),
        }
    }

    /// After somebody, perhaps only Kafka itself, has ended our transaction.
    async fn shut_out(
        &self,
        name: &str,
        batch: &Batch,
        ours: &Position,
        code: Code,
    ) -> Result<Delivery, DeliveryError> {
        match self.delivered_meanwhile(name, batch, ours).await? {
            Some(delivery) => {
                warn!(
                    sink = %self, pipeline = %batch.pipeline,
                    "Kafka has shut us out and has this batch all the same: if that comes again, another auditline runs \
                     with a copy of our state"
                );
                Ok(delivery)
            }
            None => Err(DeliveryError::retryable(
                "Kafka ended the transaction: it took too long, or another auditline with the same \
                 `transactional_id_prefix` has begun one",
                KafkaError::MessageProduction(code),
            )),
        }
    }

    /// Whether a batch is there although we do not know that we delivered it: our own commit may have had no answer, or
    /// somebody with a copy of our state delivered it. An error where somebody has delivered something else.
    async fn delivered_meanwhile(
        &self,
        name: &str,
        batch: &Batch,
        ours: &Position,
    ) -> Result<Option<Delivery>, DeliveryError> {
        let (now, _) = self.position_for(batch).await?;
        let Some(places) = now.rejected_of(batch) else {
            return self.expect_ours(batch, ours, &now).map(|()| None);
        };
        // With more behind it, it is somebody else's lane, and what we have next may be there under other bounds.
        if now.follows(ours, batch) {
            self.lanes.put(name, Known::Left(now));
        }
        Ok(Some(Delivery { rejected: rejected(batch, places) }))
    }

    /// To go on is safe where Kafka has what we have brought it to, and perhaps this batch, and nothing else: somebody with
    /// a copy of our state may have read the same events, and delivered them in other batches.
    fn expect_ours(&self, batch: &Batch, ours: &Position, now: &Position) -> Result<(), DeliveryError> {
        if now.follows(ours, batch) { Ok(()) } else { Err(self.taken(batch)) }
    }

    fn taken(&self, batch: &Batch) -> DeliveryError {
        DeliveryError::refused(
            format!("another auditline delivers pipeline `{}` to Kafka in our place", batch.pipeline),
            "stop one of the two, and start the other anew: they run with the same state, and a copy of it must not be run beside it",
            KafkaError::MessageProduction(Code::ProducerFenced),
        )
    }

    /// Shuts out whoever had the lane before, and asks how far it has got.
    async fn open(&self, batch: &Batch) -> Result<Lane, DeliveryError> {
        let give_up = Instant::now() + self.config.timeout.0;
        let name = self.config.transactional_id(&batch.pipeline, &batch.sink);
        let producer = self.connect(&self.transactional(&name)).await?;
        let context = Arc::clone(producer.client().context());
        let opened = Transactional::init(producer, give_up).await;
        let producer = opened.map_err(|code| self.explain(code, &context))?;
        let (position, group) = self.position_for(batch).await?;
        Ok(Lane { producer, group: Arc::new(group), position })
    }

    pub(super) fn transactional(&self, name: &str) -> ClientConfig {
        let mut client = self.client.clone();
        let timeout = transaction_timeout(self.config.timeout.0);
        client.set("transactional.id", name).set("transaction.timeout.ms", timeout.as_millis().to_string());
        client
    }

    async fn position_for(&self, batch: &Batch) -> Result<(Position, ConsumerGroupMetadata), DeliveryError> {
        self.position(self.config.group(batch), self.positions_topic(batch)).await
    }

    /// How far a lane has got by what was committed, and the group that keeps it.
    pub(super) async fn position(
        &self,
        group: String,
        topic: String,
    ) -> Result<(Position, ConsumerGroupMetadata), DeliveryError> {
        let mut client = self.client.clone();
        // Of a transaction that is not yet decided the outcome is waited for.
        client.set("group.id", group).set("enable.auto.commit", "false").set("isolation.level", "read_committed");
        let give_up = Instant::now() + self.config.timeout.0;
        let context = self.context();
        let consumer: KafkaResult<Apart<BaseConsumer<Context>>> =
            Apart::make(move || client.create_with_context(context)).await;
        let consumer = consumer.map_err(|error| self.cannot_start(error))?;
        let read = loop {
            let (asked, topic) = (consumer.clone(), topic.clone());
            let turn = blocking(move || {
                // Log lines, requests for a token and why no broker is asked for the group come out of its queue, one
                // after the other: without a moment's time only the first.
                match asked.poll(Duration::from_millis(20)) {
                    Some(Err(error)) if is_refused(&error) => Err(error),
                    _ => read_position(&asked, &topic),
                }
            });
            match turn.await {
                Ok(position) => break Ok(position),
                Err(error) => {
                    let code = error.rdkafka_error_code().unwrap_or(Code::Fail);
                    let context = consumer.client().context();
                    let error = self.explain(code, context);
                    let refused = context.is_refused() || matches!(error, DeliveryError::Refused { .. });
                    if refused || Instant::now() > give_up {
                        break Err(error);
                    }
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        };
        let (position, Some(group)) = (read?, consumer.group_metadata()) else {
            return Err(self.cannot_start(KafkaError::Canceled));
        };
        Ok((position, group))
    }

    /// The topic beside which the position is kept. It is there once a record is.
    fn positions_topic(&self, batch: &Batch) -> String {
        let own = self.config.positions_topic.clone();
        own.unwrap_or_else(|| self.config.topic.render(batch, &batch.records[0], Place::Topic))
    }

    /// Delivers what can be delivered, in one transaction that follows as many vain ones as it takes to find out what
    /// cannot.
    async fn send_once(&self, lane: &mut Lane, batch: &Batch) -> Result<Vec<(usize, Why)>, Code> {
        let mut plan = Plan::whole(batch);
        let mut purged = 0;
        loop {
            match self.attempt(lane, batch, &plan).await? {
                Outcome::Committed(places) => return Ok(places),
                // librdkafka ends an aborted transaction in the background, where it may strike the next one's messages.
                Outcome::Purged if purged < PURGES => {
                    purged += 1;
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Outcome::Purged => return Err(Code::PurgeQueue),
                Outcome::Doubtful(places) => plan.refine(batch, places)?,
            }
        }
    }

    async fn attempt(&self, lane: &mut Lane, batch: &Batch, plan: &Plan) -> Result<Outcome, Code> {
        let timeout = self.config.timeout.0;
        let sending_ends = tokio::time::Instant::now() + timeout * 2;
        lane.producer.begin(Instant::now() + timeout).await?;
        let producer = lane.producer.producer().clone();
        let mut sending = Sending::new(producer, &self.messages, batch, timeout).in_transaction();
        let sent = tokio::time::timeout_at(sending_ends, async {
            for group in &plan.groups {
                for at in group.clone() {
                    sending.send(at).await;
                }
                if !sending.finish_well().await {
                    break;
                }
            }
        });
        if sent.await.is_err() {
            return Err(Code::MessageTimedOut);
        }
        if !sending.is_well() {
            let cause = lane.producer.cause().await.filter(|code| fate(*code) == Fate::Refused);
            if let Err(code) = lane.producer.abort().await {
                // Which may tell more than the messages did: that we were shut out.
                return Err(sending.failed.or(cause).filter(|_| !is_fenced(code)).unwrap_or(code));
            }
            // What had not been answered is by now, as purged.
            sending.finish().await;
            return match sending.failed.or(cause) {
                Some(code) => Err(code),
                None if sending.doubtful.is_empty() => Ok(Outcome::Purged),
                None => Ok(Outcome::Doubtful(sending.doubtful)),
            };
        }
        let places = [&plan.rejected[..], &sending.rejected].concat();
        if places.len() == batch.records.len() {
            // Nothing to deliver, and so nothing that a second time would repeat: no position says that it was. The topic
            // need not even be there.
            lane.producer.abort().await?;
            return Ok(Outcome::Committed(places));
        }
        let note = Note {
            topic: self.positions_topic(batch),
            offset: batch.last.cast_signed(),
            metadata: lane.position.after(batch, &places).note(),
            group: Arc::clone(&lane.group),
        };
        lane.producer.note(note, Instant::now() + timeout).await?;
        lane.producer.commit(Instant::now() + timeout).await?;
        Ok(Outcome::Committed(places))
    }
}

fn is_refused(error: &KafkaError) -> bool {
    error.rdkafka_error_code().is_some_and(|code| fate(code) == Fate::Refused)
}

fn read_position(consumer: &BaseConsumer<Context>, topic: &str) -> Result<Position, KafkaError> {
    let mut asked = TopicPartitionList::new();
    asked.add_partition(topic, 0);
    let answer = consumer.committed_offsets(asked, TURN)?;
    let Some(kept) = answer.find_partition(topic, 0) else { return Ok(Position::default()) };
    match kept.error() {
        // Where the topic is not there yet, no position is either.
        Err(error) if error.rdkafka_error_code() != Some(Code::UnknownTopicOrPartition) => return Err(error),
        _ => {}
    }
    let Offset::Offset(offset) = kept.offset() else { return Ok(Position::default()) };
    Ok(Position::read(offset.cast_unsigned(), kept.metadata()).unwrap_or_else(|| {
        warn!(topic, offset, "the position kept in Kafka is not one of ours: taking nothing for delivered");
        Position::default()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_is_never_longer_than_brokers_allow() {
        assert_eq!(transaction_timeout(Duration::from_secs(30)), Duration::from_secs(120));
        assert_eq!(transaction_timeout(Duration::from_secs(900)), Duration::from_secs(900));
    }
}
