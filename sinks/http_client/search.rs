//! Finding the records of a batch that a service refuses.
//!
//! A request that is refused goes again in halves, until single records are left. Where the service takes nothing at all,
//! that would be two requests for each record, and the engine, which then waits for a person, delivers the same batch every
//! minute. So the search ends early: once as many records as a person would try have been refused and none was taken, a few
//! from all over the rest are shown too, for a batch may only begin badly. One of them that is taken ends the doubt.
//!
//! A search that a failure ends early goes on with the batch's next delivery, and what it has found is not sent again. What
//! was taken before says nothing of the service as it is now, so the doubt begins anew: where the rest, two records or more,
//! is refused whole, all of the batch goes again, once, and what is refused is seen beside what is taken.

use std::collections::VecDeque;
use std::ops::Range;

use crate::Rejected;

/// So many records refused, and none taken: that is how a mapping, a token or a limit looks that is set wrong.
const MANY: usize = 10;

/// As many more are tried, from all over the rest.
const SAMPLES: usize = 10;

/// The stretches of a batch that are still to be sent, and the records that were refused. What was taken is in neither.
///
/// Each stretch that [`next_stretch`](Self::next_stretch) hands out goes to one of the other functions, by what became of it;
/// one that failed goes to none, and stays to be sent. Places are those in whatever list the stretches are of.
#[derive(Clone, Debug)]
pub struct Search {
    /// The next one first.
    left: VecDeque<Range<usize>>,
    rejected: Vec<Rejected>,
    /// In this delivery.
    has_taken: bool,
    /// Stretches of which nothing is known yet.
    under_way: Vec<Range<usize>>,
    /// Those that were taken, and may yet be lost.
    promised: Vec<Range<usize>>,
    /// So many records rejected are enough.
    enough: usize,
    has_sampled: bool,
    /// How many had been rejected when this delivery began, if it is to send a batch's rest.
    before: Option<usize>,
    /// The batch goes whole a second time, for its rest was refused. There is no third.
    is_settling: bool,
}

impl Search {
    /// Of these stretches, to be sent in this order.
    pub fn new(stretches: impl IntoIterator<Item = Range<usize>>) -> Self {
        Self {
            left: stretches.into_iter().collect(),
            rejected: Vec::new(),
            has_taken: false,
            under_way: Vec::new(),
            promised: Vec::new(),
            enough: MANY,
            has_sampled: false,
            before: None,
            is_settling: false,
        }
    }

    /// The same after [`is_doubtful`](Self::is_doubtful): what it finds counts.
    pub(super) fn settling(stretches: impl IntoIterator<Item = Range<usize>>) -> Self {
        Self { is_settling: true, ..Self::new(stretches) }
    }

    /// What is left for the delivery after one that failed: what was under way or only promised goes again, in its place.
    #[must_use]
    pub(super) fn resumed(mut self) -> Self {
        self.left.extend(self.under_way.drain(..).chain(self.promised.drain(..)));
        self.left.make_contiguous().sort_by_key(|stretch| stretch.start);
        self.has_taken &= self.is_settling;
        self.enough = self.rejected.len() + MANY;
        self.has_sampled = false;
        self.before = Some(self.rejected.len());
        self
    }

    /// What is to be sent next. `None`: nothing, until more is known of what is under way; and if nothing is, the search is
    /// over.
    pub fn next_stretch(&mut self) -> Option<Range<usize>> {
        if !self.has_taken && self.rejected.len() >= self.enough {
            match (self.under_way.is_empty(), self.has_sampled) {
                (true, false) => self.sample(),
                (true, true) => self.give_up(),
                (false, _) => return None,
            }
        }
        let stretch = self.left.pop_front()?;
        self.under_way.push(stretch.clone());
        Some(stretch)
    }

    /// All of it was taken, for good.
    pub fn taken(&mut self, stretch: &Range<usize>) {
        self.known(stretch);
        self.promised.retain(|promised| promised != stretch);
        self.has_taken = true;
    }

    /// All of it was taken, and goes again with the next delivery unless [`taken`](Self::taken) comes before.
    pub fn promised(&mut self, stretch: Range<usize>) {
        self.known(&stretch);
        self.promised.push(stretch);
        self.has_taken = true;
    }

    /// Nothing of it was taken, for this reason: a single record is rejected, more are sent again in halves.
    pub fn refused(&mut self, stretch: Range<usize>, reason: impl Into<String>) {
        match stretch.len() {
            0 | 1 => self.told(&stretch, vec![Rejected { at: stretch.start, reason: reason.into() }]),
            _ => self.again(&stretch, halves(stretch.clone()), false),
        }
    }

    /// The service told of each record of it: these are rejected, and the others were taken.
    pub fn told(&mut self, stretch: &Range<usize>, rejected: Vec<Rejected>) {
        self.known(stretch);
        self.has_taken |= rejected.len() < stretch.len();
        self.rejected.extend(rejected);
    }

    /// These parts of it are to be sent, again or at last; whether something was taken.
    pub fn again(&mut self, stretch: &Range<usize>, parts: Vec<Range<usize>>, has_taken: bool) {
        self.known(stretch);
        self.has_taken |= has_taken;
        for part in parts.into_iter().rev() {
            self.left.push_front(part);
        }
    }

    /// Whether something was taken in this delivery, so that what it has found is more than that the service takes nothing.
    pub(super) fn has_taken(&self) -> bool {
        self.has_taken
    }

    /// How many of a batch's rest were refused and why, where that is all of it: it may be the service's trouble of today.
    pub(super) fn is_doubtful(&self) -> Option<(usize, &str)> {
        let refused = self.rejected.get(self.before?..)?;
        let first = refused.first().filter(|_| !self.has_taken && refused.len() > 1)?;
        Some((refused.len(), &first.reason))
    }

    /// The rejected records, in their order.
    #[must_use]
    pub fn rejected(mut self) -> Vec<Rejected> {
        self.rejected.sort_by_key(|rejected| rejected.at);
        self.rejected
    }

    fn known(&mut self, stretch: &Range<usize>) {
        self.under_way.retain(|under_way| under_way != stretch);
    }

    /// Puts single records from all over what is left before the rest. The last one is among them.
    fn sample(&mut self) {
        // With several under way at once, they may stand in any order.
        self.left.make_contiguous().sort_by_key(|stretch| stretch.start);
        let all: usize = self.left.iter().map(Range::len).sum();
        let mut nth: Vec<usize> = (1..=SAMPLES).filter_map(|part| (all * part / SAMPLES).checked_sub(1)).collect();
        nth.dedup();
        let mut samples = Vec::with_capacity(nth.len());
        let mut rest = VecDeque::new();
        let mut passed = 0;
        for stretch in self.left.drain(..) {
            let mut start = stretch.start;
            for place in nth.iter().filter(|nth| (passed..passed + stretch.len()).contains(nth)) {
                let at = stretch.start + place - passed;
                samples.push(at..at + 1);
                rest.push_back(start..at);
                start = at + 1;
            }
            rest.push_back(start..stretch.end);
            passed += stretch.len();
        }
        self.has_sampled = true;
        self.enough = self.rejected.len() + samples.len();
        self.left = samples.into_iter().chain(rest).filter(|stretch| !stretch.is_empty()).collect();
    }

    fn give_up(&mut self) {
        let tried = self.rejected.len();
        let said = self.rejected.last().map_or_else(String::new, |last| last.reason.clone());
        let reason = format!("not tried, for each of {tried} others was refused: {said}");
        let untried = self.left.drain(..).flatten().map(|at| Rejected { at, reason: reason.clone() });
        self.rejected.extend(untried);
    }
}

/// A stretch in two.
pub fn halves(stretch: Range<usize>) -> Vec<Range<usize>> {
    let middle = stretch.start + stretch.len() / 2;
    vec![stretch.start..middle, middle..stretch.end]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Sends everything to a service that takes a request if it takes each of its records. Returns what was taken, in the
    /// order it was, the rejected, and the number of requests.
    fn run(stretches: Vec<Range<usize>>, takes: impl Fn(usize) -> bool) -> (Vec<usize>, Vec<Rejected>, usize) {
        let mut search = Search::new(stretches);
        let mut taken = Vec::new();
        let mut requests = 0;
        while let Some(stretch) = search.next_stretch() {
            requests += 1;
            match stretch.clone().all(&takes) {
                true => {
                    search.taken(&stretch);
                    taken.extend(stretch);
                }
                false => search.refused(stretch, "no"),
            }
        }
        (taken, search.rejected(), requests)
    }

    #[test]
    fn a_service_that_takes_nothing_is_asked_some_forty_times() {
        for length in [1, 9, 10, 11, 12, 19, 20, 21, 30, 1000, 5000] {
            let (taken, rejected, requests) = run(vec![0..length; 1], |_| false);
            assert!(taken.is_empty() && requests <= 45, "{length}: {requests}");
            let places: Vec<usize> = rejected.iter().map(|rejected| rejected.at).collect();
            assert_eq!(places, (0..length).collect::<Vec<_>>());
            let tried = rejected.iter().filter(|rejected| rejected.reason == "no").count();
            assert_eq!(tried, length.min(MANY + SAMPLES));
            assert_eq!(rejected.last().unwrap().reason, "no");
        }
        let singles = (0..1000).map(|at| at..at + 1).collect();
        assert_eq!(run(singles, |_| false).2, MANY + SAMPLES);
    }

    #[test]
    fn a_batch_that_begins_badly_loses_nothing() {
        for bad in [9, 10, 11, 500, 900] {
            let (taken, rejected, _) = run(vec![0..500, 500..1000], |at| at >= bad);
            assert_eq!((taken.len(), rejected.len()), (1000 - bad, bad));
        }
    }

    #[test]
    fn nothing_is_given_up_while_something_is_under_way() {
        let mut search = Search::new((0..40).map(|at| at..at + 1));
        let under_way: Vec<_> = (0..12).map_while(|_| search.next_stretch()).collect();
        for stretch in &under_way[..11] {
            search.refused(stretch.clone(), "no");
        }
        assert_eq!(search.next_stretch(), None);
        search.taken(&under_way[11]);
        assert_eq!(search.next_stretch(), Some(12..13));
    }

    proptest! {
        #[test]
        fn each_record_is_taken_once_or_rejected_and_nothing_good_is_where_one_is_taken_early(
            takes in prop::collection::vec(any::<bool>(), 1..200),
            cut in 0_usize..200,
        ) {
            let cut = cut.min(takes.len());
            let stretches = [0..cut, cut..takes.len()].into_iter().filter(|stretch| !stretch.is_empty()).collect();
            let (taken, rejected, _) = run(stretches, |at| takes[at]);
            let mut all: Vec<usize> = taken.iter().copied().chain(rejected.iter().map(|rejected| rejected.at)).collect();
            all.sort_unstable();
            prop_assert_eq!(all, (0..takes.len()).collect::<Vec<_>>());
            prop_assert!(taken.iter().all(|at| takes[*at]));
            if !taken.is_empty() {
                prop_assert!(rejected.iter().all(|rejected| !takes[rejected.at]));
            }
            if takes[..MANY.min(takes.len())].contains(&true) {
                prop_assert!(taken.is_sorted());
            }
        }
    }
}
