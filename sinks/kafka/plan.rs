//! Which records of a batch travel together, where a broker refuses some of them.

use std::ops::Range;

use rdkafka::error::RDKafkaErrorCode as Code;

use super::explain::Why;
use crate::Batch;

/// How a batch goes into a transaction: groups one after the other, each sent when the one before has been taken, so that
/// no two travel together.
pub(super) struct Plan {
    pub groups: Vec<Range<usize>>,
    /// What was refused alone, and stays out.
    pub rejected: Vec<(usize, Why)>,
}

impl Plan {
    pub fn whole(batch: &Batch) -> Self {
        Self { groups: std::iter::once(0..batch.records.len()).collect(), rejected: Vec::new() }
    }

    /// Takes out what was refused alone, and takes apart what was refused together: into halves, with the largest record,
    /// which most likely is to blame, on its own.
    pub fn refine(&mut self, batch: &Batch, doubtful: Vec<(usize, Why)>) -> Result<(), Code> {
        let (Some(first), Some(last)) =
            (doubtful.iter().map(|(at, _)| *at).min(), doubtful.iter().map(|(at, _)| *at).max())
        else {
            return Err(Code::Fail);
        };
        let mut cuts = vec![first, last + 1];
        if let [(at, why)] = doubtful[..] {
            self.rejected.push((at, why));
        } else {
            let suspect = doubtful.iter().map(|(at, _)| *at).max_by_key(|at| batch.records[*at].json.len());
            let suspect = suspect.unwrap_or(first);
            cuts.extend([suspect, suspect + 1, first + (last + 1 - first) / 2]);
        }
        for cut in cuts {
            self.cut(cut);
        }
        let rejected = &self.rejected;
        self.groups.retain(|group| group.len() > 1 || rejected.iter().all(|(at, _)| *at != group.start));
        Ok(())
    }

    fn cut(&mut self, at: usize) {
        if let Some(within) = self.groups.iter().position(|group| group.start < at && at < group.end) {
            let end = self.groups[within].end;
            self.groups[within].end = at;
            self.groups.insert(within + 1, at..end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::numbered;

    /// Refines until only what a topic with this limit takes is left, as its broker would have it.
    fn settled(sizes: &[usize], limit: usize) -> (Plan, usize) {
        let mut batch = numbered("p", 1, sizes.len());
        for (record, size) in batch.records.iter_mut().zip(sizes) {
            record.json = "x".repeat(*size).into();
        }
        let mut plan = Plan::whole(&batch);
        for rounds in 0..10_000 {
            let too_large = |group: &&Range<usize>| sizes[(*group).clone()].iter().sum::<usize>() > limit;
            let Some(group) = plan.groups.iter().find(too_large).cloned() else { return (plan, rounds) };
            plan.refine(&batch, group.map(|at| (at, Why::TooLarge)).collect()).unwrap();
        }
        panic!("it does not end: {:?}", plan.groups);
    }

    #[test]
    fn one_too_large_is_found_at_once() {
        let mut sizes = vec![10; 5000];
        sizes[1234] = 100_000;
        let (plan, rounds) = settled(&sizes, 90_000);
        assert_eq!(plan.rejected, [(1234, Why::TooLarge)]);
        assert!(rounds <= 2, "{rounds} rounds");
        let sent: Vec<usize> = plan.groups.iter().cloned().flatten().collect();
        assert_eq!(sent, (0..5000).filter(|at| *at != 1234).collect::<Vec<_>>());
    }

    #[test]
    fn many_too_large_together_are_all_sent() {
        let (plan, rounds) = settled(&[10; 5000], 1000);
        assert_eq!(plan.rejected, []);
        assert_eq!(plan.groups.iter().map(ExactSizeIterator::len).sum::<usize>(), 5000);
        assert!(rounds < 200, "{rounds} rounds");
    }

    #[test]
    fn where_nothing_passes_all_is_rejected() {
        let (plan, _) = settled(&[10; 7], 5);
        assert_eq!(plan.rejected.len(), 7);
        assert_eq!(plan.groups, []);
    }
}
