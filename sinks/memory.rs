//! A destination that keeps what it gets, and fails when it is told to: what the engine's tests deliver to.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use crate::{Batch, Delivery, DeliveryError, Record, Rejected, Sink};

/// Keeps batches by their key, so each record once, as the best of the real ones do. Clones share what is kept.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    // Held for a few lines, never across an await.
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    kept: BTreeMap<String, Batch>,
    deliveries: usize,
    script: VecDeque<Step>,
    unwanted: HashSet<String>,
    max_record_bytes: Option<usize>,
    check: Option<Step>,
}

/// What a delivery meets. One step is used up by one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The batch is taken.
    Take,
    /// [`DeliveryError::Retryable`], and nothing is kept.
    Fail(String),
    /// The same, after the batch was kept: the answer was lost on its way.
    KeepAndFail(String),
    /// [`DeliveryError::Refused`], and nothing is kept.
    Refuse(String),
    /// Never returns, as a server that accepts and says nothing.
    Hang,
}

impl Memory {
    /// An empty one that takes everything.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds what the next deliveries meet. When the script is used up, batches are taken.
    pub fn script(&self, steps: impl IntoIterator<Item = Step>) {
        self.state().script.extend(steps);
    }

    /// What every [`check`](Sink::check) meets from now on.
    pub fn on_check(&self, step: Step) {
        self.state().check = Some(step);
    }

    /// Rejects records with this id.
    pub fn reject(&self, id: impl Into<String>) {
        self.state().unwanted.insert(id.into());
    }

    /// Rejects records with more JSON than this.
    pub fn reject_above(&self, bytes: usize) {
        self.state().max_record_bytes = Some(bytes);
    }

    /// How often `deliver` was called.
    #[must_use]
    pub fn deliveries(&self) -> usize {
        self.state().deliveries
    }

    /// Everything kept: pipelines by name, each in its order.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        let state = self.state();
        state.kept.values().flat_map(|batch| batch.records.clone()).collect()
    }

    /// The batches kept, without the records that were rejected, by key.
    #[must_use]
    pub fn batches(&self) -> Vec<Batch> {
        self.state().kept.values().cloned().collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn keep(&mut self, batch: &Batch) -> Delivery {
        let mut delivery = Delivery::default();
        let mut kept = batch.clone();
        kept.records.clear();
        for (at, record) in batch.records.iter().enumerate() {
            match self.objection(record) {
                Some(reason) => delivery.rejected.push(Rejected { at, reason }),
                None => kept.records.push(record.clone()),
            }
        }
        self.kept.insert(batch.key(), kept);
        delivery
    }

    fn objection(&self, record: &Record) -> Option<String> {
        if self.unwanted.contains(&record.id) {
            return Some(format!("`{}` is not wanted here", record.id));
        }
        let limit = self.max_record_bytes?;
        let bytes = record.json.len();
        (bytes > limit).then(|| format!("{bytes} bytes is more than the {limit} this destination takes"))
    }
}

#[async_trait]
impl Sink for Memory {
    async fn check(&self) -> Result<(), DeliveryError> {
        let step = self.state().check.clone();
        match step {
            None | Some(Step::Take) => Ok(()),
            Some(Step::Hang) => std::future::pending().await,
            Some(Step::Refuse(message)) => Err(refused(message)),
            Some(Step::Fail(message) | Step::KeepAndFail(message)) => Err(retryable(message)),
        }
    }

    async fn deliver(&self, batch: &Batch) -> Result<Delivery, DeliveryError> {
        let step = {
            let mut state = self.state();
            state.deliveries += 1;
            state.script.pop_front().unwrap_or(Step::Take)
        };
        match step {
            Step::Take => Ok(self.state().keep(batch)),
            Step::Fail(message) => Err(retryable(message)),
            Step::KeepAndFail(message) => {
                self.state().keep(batch);
                Err(retryable(message))
            }
            Step::Refuse(message) => Err(refused(message)),
            Step::Hang => std::future::pending().await,
        }
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("memory")
    }
}

fn retryable(message: String) -> DeliveryError {
    DeliveryError::Retryable { message, retry_after: None, source: None }
}

fn refused(message: String) -> DeliveryError {
    DeliveryError::Refused { message, hint: "change the test's script".to_owned(), source: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{self, Destination, Guarantees};

    const LIMIT: usize = 64 * 1024;

    #[async_trait]
    impl Destination for Memory {
        fn sink(&self) -> Arc<dyn Sink> {
            Arc::new(self.clone())
        }

        async fn read_back(&self, _expected: usize) -> Vec<String> {
            let text = |record: Record| String::from_utf8(record.json.to_vec()).unwrap();
            self.records().into_iter().map(text).collect()
        }

        fn guarantees(&self) -> Guarantees {
            Guarantees { exactly_once: true, max_record_bytes: Some(LIMIT), ..Guarantees::default() }
        }
    }

    #[tokio::test]
    async fn keeps_the_contract() {
        contract::all(async |_| {
            let memory = Memory::new();
            memory.reject_above(LIMIT);
            memory
        })
        .await;
    }

    #[tokio::test]
    async fn follows_its_script_and_then_takes() {
        let memory = Memory::new();
        let batch = contract::batch_of("p", 1, [r#"{"n":1}"#, r#"{"n":2}"#]);
        memory.script([
            Step::Fail("throttled".into()),
            Step::KeepAndFail("the answer was lost".into()),
            Step::Refuse("no such topic".into()),
        ]);
        let mut seen = Vec::new();
        for _ in 0..3 {
            let error = memory.deliver(&batch).await.unwrap_err();
            seen.push((error.to_string(), memory.records().len()));
        }
        assert_eq!(
            seen,
            [("throttled".to_owned(), 0), ("the answer was lost".to_owned(), 2), ("no such topic".to_owned(), 2),]
        );
        memory.deliver(&batch).await.unwrap();
        assert_eq!((memory.records().len(), memory.deliveries()), (2, 4));
    }

    #[tokio::test]
    async fn rejects_what_it_is_told_to() {
        let memory = Memory::new();
        memory.reject("p-2");
        let batch = contract::batch_of("p", 1, ["{}", "{}", "{}"]);
        let delivery = memory.deliver(&batch).await.unwrap();
        let places: Vec<usize> = delivery.rejected.iter().map(|rejected| rejected.at).collect();
        assert_eq!((places, memory.records().len()), (vec![1], 2));
    }
}
