//! What is known of a batch when one of its requests fails, so that its next delivery sends only the rest.

use std::ops::{Deref, DerefMut, Range};

use super::Search;
use crate::{Batch, DeliveryError, Rejected, progress};

/// The batches of a sink that came to an end too early. Lost with the process, and then a batch comes again whole.
#[derive(Default)]
pub(crate) struct Progress(progress::Progress<Known>);

#[derive(Clone)]
enum Known {
    /// As far as it came.
    Rest(Search),
    /// Its rest was refused whole, so all of it goes again.
    Doubt,
}

impl Progress {
    /// What is to be sent of a batch: the rest of it where it comes again, and all these stretches where it does not. They
    /// are the same each time a batch comes.
    pub fn search<'a>(&'a self, batch: &'a Batch, stretches: Vec<Range<usize>>) -> KeptSearch<'a> {
        let search = match self.0.of(batch) {
            Some(Known::Rest(search)) => search.resumed(),
            Some(Known::Doubt) => Search::settling(stretches),
            None => Search::new(stretches),
        };
        KeptSearch { progress: self, batch, search, is_over: false }
    }
}

/// A search whose findings are kept when it is dropped before its end, by an error or because nobody waits for it any more.
///
/// Not those of a delivery in which nothing was taken. There is nothing then that could arrive twice, and a service that
/// refuses everything is to be seen to do so.
pub(crate) struct KeptSearch<'a> {
    progress: &'a Progress,
    batch: &'a Batch,
    search: Search,
    is_over: bool,
}

impl KeptSearch<'_> {
    /// The rejected records, once everything else is at its destination. What was known of the batch is forgotten.
    pub fn end(mut self) -> Result<Vec<Rejected>, DeliveryError> {
        self.is_over = true;
        if let Some((count, reason)) = self.search.is_doubtful() {
            let message = format!(
                "all {count} records that were left of the batch were refused, and it goes again whole; if it keeps on, see \
                 what is said of them: {reason}"
            );
            self.progress.0.keep(self.batch, Known::Doubt);
            return Err(DeliveryError::Retryable { message, retry_after: None, source: None });
        }
        self.progress.0.forget(self.batch);
        Ok(std::mem::replace(&mut self.search, Search::new([])).rejected())
    }
}

impl Drop for KeptSearch<'_> {
    fn drop(&mut self) {
        if !self.is_over && self.search.has_taken() {
            let search = std::mem::replace(&mut self.search, Search::new([]));
            self.progress.0.keep(self.batch, Known::Rest(search));
        }
    }
}

impl Deref for KeptSearch<'_> {
    type Target = Search;

    fn deref(&self) -> &Search {
        &self.search
    }
}

impl DerefMut for KeptSearch<'_> {
    fn deref_mut(&mut self) -> &mut Search {
        &mut self.search
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::contract::numbered;

    fn left(progress: &Progress, batch: &Batch) -> Vec<Range<usize>> {
        let mut search = progress.search(batch, vec![0..2, 2..4, 4..6]);
        std::iter::from_fn(|| search.next_stretch()).collect()
    }

    #[test]
    fn what_is_known_of_a_batch_lasts_until_it_is_over_or_the_pipeline_goes_on() {
        let progress = Progress::default();
        let (one, next, other) = (numbered("p", 1, 6), numbered("p", 7, 6), numbered("other", 1, 6));
        let take_first = |batch| {
            let mut search = progress.search(batch, vec![0..2, 2..4, 4..6]);
            let first = search.next_stretch().unwrap();
            search.next_stretch().unwrap();
            search.taken(&first);
        };
        take_first(&one);
        assert_eq!(left(&progress, &one), [2..4, 4..6]);
        assert_eq!(left(&progress, &next), [0..2, 2..4, 4..6]);
        assert_eq!(left(&progress, &other), [0..2, 2..4, 4..6]);
        take_first(&other);
        take_first(&next);
        assert_eq!(left(&progress, &one), [0..2, 2..4, 4..6]);
        assert_eq!(left(&progress, &other), [2..4, 4..6]);
        assert!(progress.search(&next, Vec::new()).end().unwrap().is_empty());
        assert_eq!(left(&progress, &next), [0..2, 2..4, 4..6]);
    }

    #[test]
    fn what_was_promised_goes_again_in_its_place() {
        let (progress, batch) = (Progress::default(), numbered("p", 1, 6));
        let mut search = progress.search(&batch, vec![0..2, 2..4, 4..6]);
        let stretches: Vec<_> = (0..2).map_while(|_| search.next_stretch()).collect();
        for stretch in &stretches {
            search.promised(stretch.clone());
        }
        search.taken(&stretches[1]);
        drop(search);
        assert_eq!(left(&progress, &batch), [0..2, 4..6]);
    }

    /// What becomes of one of the requests under way, or of the delivery.
    #[derive(Clone, Copy, Debug)]
    enum Turn {
        Answer,
        Promise,
        Fail,
    }

    proptest! {
        #[test]
        fn each_record_is_taken_once_or_rejected_however_often_a_delivery_fails(
            takes in prop::collection::vec(prop::bool::weighted(0.7), 1..=20),
            size in 1_usize..6,
            concurrency in 1_usize..4,
            turns in prop::collection::vec((any::<usize>(), prop_oneof![
                4 => Just(Turn::Answer), 2 => Just(Turn::Promise), 1 => Just(Turn::Fail),
            ]), 0..60),
        ) {
            let (progress, batch) = (Progress::default(), numbered("p", 1, takes.len()));
            let stretches: Vec<_> = (0..takes.len()).step_by(size).map(|at| at..takes.len().min(at + size)).collect();
            let mut turns = turns.into_iter();
            let (mut taken, mut doubts) = (Vec::new(), 0);
            let rejected = loop {
                let mut search = progress.search(&batch, stretches.clone());
                let (mut under_way, mut promised) = (Vec::new(), Vec::new());
                let has_failed = loop {
                    while under_way.len() < concurrency && let Some(stretch) = search.next_stretch() {
                        under_way.push(stretch);
                    }
                    if under_way.is_empty() {
                        break false;
                    }
                    let (which, turn) = turns.next().unwrap_or((0, Turn::Answer));
                    let stretch = under_way.remove(which % under_way.len());
                    match turn {
                        Turn::Fail => break true,
                        _ if !takes[stretch.clone()].iter().all(|takes| *takes) => search.refused(stretch, "no"),
                        Turn::Answer => {
                            search.taken(&stretch);
                            taken.extend(stretch);
                        }
                        Turn::Promise => {
                            search.promised(stretch.clone());
                            promised.push(stretch);
                        }
                    }
                };
                if has_failed {
                    continue;
                }
                for stretch in promised {
                    search.taken(&stretch);
                    taken.extend(stretch);
                }
                match search.end() {
                    Ok(rejected) => break rejected,
                    Err(_) => doubts += 1,
                }
            };
            prop_assert!(rejected.iter().map(|rejected| rejected.at).eq((0..takes.len()).filter(|at| !takes[*at])));
            prop_assert!(doubts <= 1);
            for at in (0..takes.len()).filter(|at| takes[*at]) {
                let times = taken.iter().filter(|taken| **taken == at).count();
                prop_assert!((1..=1 + doubts).contains(&times), "{} was taken {} times", at, times);
            }
        }
    }
}
