//! How far a batch has got that failed on its way, so that its next delivery repeats no more than it must.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::Batch;

/// What is known of the batches that came to an end too early: of a pipeline, no more than one. Lost with the process, and
/// then the batch comes again whole.
pub(crate) struct Progress<T> {
    // For a look, and never held over an await.
    batches: Mutex<HashMap<Arc<str>, (String, T)>>,
}

impl<T: Clone> Progress<T> {
    /// What was kept of this batch.
    pub fn of(&self, batch: &Batch) -> Option<T> {
        let batches = self.batches.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = batches.get(&batch.pipeline).filter(|(key, _)| *key == batch.key());
        kept.map(|(_, known)| known.clone())
    }

    /// Keeps what is known by now, in place of what was.
    pub fn keep(&self, batch: &Batch, known: T) {
        let mut batches = self.batches.lock().unwrap_or_else(PoisonError::into_inner);
        batches.insert(Arc::clone(&batch.pipeline), (batch.key(), known));
    }

    /// Adds to what is known of this batch: nothing, where it was another's.
    pub fn add(&self, batch: &Batch, add: impl FnOnce(&mut T))
    where
        T: Default,
    {
        let key = batch.key();
        let mut batches = self.batches.lock().unwrap_or_else(PoisonError::into_inner);
        let (of, known) = batches.entry(Arc::clone(&batch.pipeline)).or_default();
        if *of != key {
            (*of, *known) = (key, T::default());
        }
        add(known);
    }

    /// The batch is over, or begins anew.
    pub fn forget(&self, batch: &Batch) {
        self.batches.lock().unwrap_or_else(PoisonError::into_inner).remove(&batch.pipeline);
    }
}

impl<T> Default for Progress<T> {
    fn default() -> Self {
        Self { batches: Mutex::default() }
    }
}
