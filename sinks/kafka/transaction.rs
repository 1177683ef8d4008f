//! librdkafka's calls for transactions. They block, so each has a thread of its own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode as Code};
use rdkafka::producer::Producer;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::apart::{Connected, blocking};

/// How long one call blocks before it is made again: a refusal is known long before the broker is given up.
pub(super) const TURN: Duration = Duration::from_secs(1);
/// How long is tried to take a transaction back. If that fails, the next producer of this lane does it.
const TO_ABORT: Duration = Duration::from_secs(5);

/// A producer of transactions. Dropped with one that is open, it takes it back on a thread of its own.
pub(super) struct Transactional {
    producer: Connected,
    is_open: bool,
}

impl Transactional {
    /// Shuts out whoever had this `transactional.id` before, and ends what they left open.
    pub async fn init(producer: Connected, give_up: Instant) -> Result<Self, Code> {
        let this = Self { producer, is_open: false };
        this.in_turns(give_up, |producer, turn| producer.init_transactions(turn)).await?;
        Ok(this)
    }

    pub fn producer(&self) -> &Connected {
        &self.producer
    }

    pub async fn begin(&mut self, give_up: Instant) -> Result<(), Code> {
        self.in_turns(give_up, |producer, _| producer.begin_transaction()).await?;
        self.is_open = true;
        Ok(())
    }

    /// Puts the position into the transaction.
    pub async fn note(&self, note: Note, give_up: Instant) -> Result<(), Code> {
        let producer = self.producer.clone();
        let left = give_up.saturating_duration_since(Instant::now());
        // This one cannot be resumed, so it has all the time there is.
        let noted = blocking(move || {
            let mut offsets = TopicPartitionList::new();
            offsets.add_partition_offset(&note.topic, 0, Offset::Offset(note.offset))?;
            if let Some(mut first) = offsets.find_partition(&note.topic, 0) {
                first.set_metadata(note.metadata.as_str());
            }
            producer.send_offsets_to_transaction(&offsets, &note.group, left)
        });
        noted.await.map_err(|error| self.code(&error))
    }

    pub async fn commit(&mut self, give_up: Instant) -> Result<(), Code> {
        self.in_turns(give_up, |producer, turn| producer.commit_transaction(turn)).await?;
        self.is_open = false;
        Ok(())
    }

    pub async fn abort(&mut self) -> Result<(), Code> {
        let give_up = Instant::now() + TO_ABORT;
        self.in_turns(give_up, |producer, turn| producer.abort_transaction(turn)).await?;
        self.is_open = false;
        Ok(())
    }

    /// Why librdkafka itself has given up the transaction that is open, if it has. The messages only say that they were
    /// purged with it.
    pub async fn cause(&self) -> Option<Code> {
        // To begin another is refused in any case, and then with this as the reason.
        let producer = self.producer.clone();
        let refused = blocking(move || producer.begin_transaction()).await.err()?;
        Some(self.code(&refused)).filter(|code| *code != Code::State)
    }

    async fn in_turns(
        &self,
        give_up: Instant,
        call: impl Fn(&Connected, Duration) -> KafkaResult<()> + Copy + Send + 'static,
    ) -> Result<(), Code> {
        loop {
            let producer = self.producer.clone();
            let Err(error) = blocking(move || call(&producer, TURN)).await else { return Ok(()) };
            let may_go_on = may_go_on(&error) && Instant::now() < give_up;
            if !may_go_on || self.producer.client().context().is_refused() {
                return Err(self.code(&error));
            }
            // Where it is not the time that was up, a moment makes a difference.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The reason behind an error, which itself may only say that the producer is of no more use.
    fn code(&self, error: &KafkaError) -> Code {
        let fatal = self.producer.client().fatal_error().map(|(code, _)| code);
        fatal.or_else(|| error.rdkafka_error_code()).unwrap_or(Code::Fail)
    }
}

impl Drop for Transactional {
    fn drop(&mut self) {
        let (producer, is_open) = (self.producer.clone(), self.is_open);
        // To abort waits for brokers, and to let a producer go waits for its threads.
        let end = move || {
            let give_up = Instant::now() + TO_ABORT;
            while is_open && Instant::now() < give_up {
                match producer.abort_transaction(TURN) {
                    // Perhaps another call is still under way: the delivery was dropped in the middle of one.
                    Err(error) if may_go_on(&error) => std::thread::sleep(Duration::from_millis(20)),
                    _ => break,
                }
            }
            drop(producer);
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(end)),
            Err(_) => end(),
        }
    }
}

/// A position on its way into a transaction.
pub(super) struct Note {
    pub topic: String,
    pub offset: i64,
    pub metadata: String,
    pub group: Arc<ConsumerGroupMetadata>,
}

fn may_go_on(error: &KafkaError) -> bool {
    match error {
        KafkaError::Transaction(error) => error.is_retriable(),
        KafkaError::Flush(code) => *code == Code::OperationTimedOut,
        _ => false,
    }
}
