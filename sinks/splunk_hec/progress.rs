//! How far a batch has got that failed on its way, so that its next delivery repeats no more than it must.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::{Batch, Rejected};

/// The batches that came to an end too early: of a pipeline, no more than one. Lost with the process, and then the batch
/// comes again whole.
#[derive(Default)]
pub(super) struct Progress {
    // For a look, and never held over an await.
    batches: Mutex<HashMap<Arc<str>, (String, Done)>>,
}

/// What Splunk has said of a batch's first records.
#[derive(Clone, Debug, Default)]
pub(super) struct Done {
    /// All before this one are taken or rejected.
    pub upto: usize,
    /// The rejected ones.
    pub rejected: Vec<Rejected>,
}

impl Progress {
    pub fn of(&self, batch: &Batch) -> Done {
        let batches = self.batches.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = batches.get(&batch.pipeline).filter(|(key, _)| *key == batch.key());
        kept.map(|(_, done)| done.clone()).unwrap_or_default()
    }

    pub fn keep(&self, batch: &Batch, done: &Done) {
        let mut batches = self.batches.lock().unwrap_or_else(PoisonError::into_inner);
        batches.insert(Arc::clone(&batch.pipeline), (batch.key(), done.clone()));
    }

    pub fn forget(&self, batch: &Batch) {
        self.batches.lock().unwrap_or_else(PoisonError::into_inner).remove(&batch.pipeline);
    }
}
