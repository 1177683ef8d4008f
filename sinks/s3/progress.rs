//! What is stored already of a batch that has not arrived whole.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::plan::Part;
use crate::{Batch, progress};

/// The objects of batches on their way. Lost with the process, and then a batch finds its objects there, or overwrites them with
/// the same bytes.
#[derive(Default)]
pub(super) struct Progress {
    /// Names and sizes.
    stored: progress::Progress<HashMap<String, u64>>,
    /// Objects that are there and not as they were sent. Held for a line, never across an await.
    spoilt: Mutex<HashSet<String>>,
}

impl Progress {
    /// Those of a batch's parts that are not stored yet.
    pub(super) fn left(&self, batch: &Batch, mut parts: Vec<Part>) -> Vec<Part> {
        if let Some(stored) = self.stored.of(batch) {
            parts.retain(|part| !stored.contains_key(&part.key));
        }
        parts
    }

    /// An object of this size is stored.
    pub(super) fn keep(&self, batch: &Batch, object: String, bytes: u64) {
        self.spoilt().remove(&object);
        self.stored.add(batch, |stored| {
            stored.insert(object, bytes);
        });
    }

    /// The size of the largest that is stored of a batch.
    pub(super) fn largest(&self, batch: &Batch) -> u64 {
        self.stored.of(batch).and_then(|stored| stored.into_values().max()).unwrap_or_default()
    }

    /// The batch has arrived.
    pub(super) fn forget(&self, batch: &Batch) {
        self.stored.forget(batch);
    }

    /// An object is not what was sent, and must not be taken for it: its metadata is that of the right one.
    pub(super) fn spoil(&self, object: &str) {
        self.spoilt().insert(object.to_owned());
    }

    pub(super) fn is_spoilt(&self, object: &str) -> bool {
        self.spoilt().contains(object)
    }

    fn spoilt(&self) -> MutexGuard<'_, HashSet<String>> {
        self.spoilt.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Compression;
    use super::super::pack::Rows;
    use super::*;
    use crate::contract::numbered;

    fn parts(names: &[&str]) -> Vec<Part> {
        let part = |name: &&str| Part { key: (*name).to_owned(), rows: Rows::Lines(Vec::new(), Compression::None) };
        names.iter().map(part).collect()
    }

    #[test]
    fn what_is_stored_is_known_until_the_pipeline_goes_on() {
        let progress = Progress::default();
        let left = |batch: &Batch| -> Vec<String> {
            progress.left(batch, parts(&["a", "b", "c"])).into_iter().map(|part| part.key).collect()
        };
        let (one, next, other) = (numbered("p", 1, 3), numbered("p", 4, 3), numbered("other", 1, 3));
        progress.keep(&one, "b".to_owned(), 7);
        progress.keep(&other, "a".to_owned(), 9);
        assert_eq!((left(&one), progress.largest(&one)), (vec!["a".to_owned(), "c".to_owned()], 7));
        assert_eq!(left(&other), ["b", "c"]);
        assert_eq!(left(&next), ["a", "b", "c"]);
        progress.keep(&next, "a".to_owned(), 1);
        assert_eq!(left(&one), ["a", "b", "c"]);
        progress.forget(&next);
        assert_eq!((left(&next), progress.largest(&next)), (left(&one), 0));
    }
}
