//! Who asks next: the most urgent first; among equals the pipelines in turn; within one, whoever came first.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use tokio::sync::Notify;

/// Who goes first when there is not enough for everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Priority {
    /// What happens now.
    Live,
    /// What may have been published very late.
    Sweep,
    /// What a person asked for, and can wait for.
    Backfill,
}

/// One place in the queue.
#[derive(Clone, Debug)]
pub(super) struct Waiter {
    pub priority: Priority,
    pub pipeline: Arc<str>,
    /// Told when it may be this one's turn.
    pub wake: Arc<Notify>,
    arrival: u64,
}

/// Everybody who waits.
///
/// The lower priorities get what the higher ones leave over, and nothing else: as long as a live read waits, no
/// backfill is served. A live read that has caught up waits for its next poll and not here.
#[derive(Debug, Default)]
pub(super) struct Queue {
    lanes: BTreeMap<Priority, Lane>,
    arrivals: u64,
    turns: u64,
}

#[derive(Debug, Default)]
struct Lane {
    waiting: BTreeMap<Arc<str>, VecDeque<Waiter>>,
    /// The turn at which a pipeline was last served. Who was served longest ago goes first, so that a pipeline that
    /// asks one by one gets as many turns as one that always has a hundred waiting.
    served: HashMap<Arc<str>, u64>,
}

impl Queue {
    pub fn join(&mut self, priority: Priority, pipeline: &Arc<str>) -> Waiter {
        self.arrivals += 1;
        let waiter =
            Waiter { priority, pipeline: Arc::clone(pipeline), wake: Arc::new(Notify::new()), arrival: self.arrivals };
        let lane = self.lanes.entry(priority).or_default();
        lane.waiting.entry(Arc::clone(pipeline)).or_default().push_back(waiter.clone());
        waiter
    }

    /// Whose turn it is.
    pub fn next(&self) -> Option<&Waiter> {
        self.lanes.values().find_map(Lane::next)
    }

    pub fn is_next(&self, waiter: &Waiter) -> bool {
        self.next().is_some_and(|next| next.arrival == waiter.arrival)
    }

    /// Takes a waiter out; one that is out already stays so.
    pub fn leave(&mut self, waiter: &Waiter) {
        let Some(lane) = self.lanes.get_mut(&waiter.priority) else { return };
        let Some(line) = lane.waiting.get_mut(&waiter.pipeline) else { return };
        if let Ok(at) = line.binary_search_by_key(&waiter.arrival, |waiting| waiting.arrival) {
            line.remove(at);
        }
        if line.is_empty() {
            lane.waiting.remove(&waiter.pipeline);
        }
    }

    /// Takes a waiter out because it was its turn.
    pub fn serve(&mut self, waiter: &Waiter) {
        self.leave(waiter);
        self.turns += 1;
        let lane = self.lanes.entry(waiter.priority).or_default();
        lane.served.insert(Arc::clone(&waiter.pipeline), self.turns);
    }

    /// How many wait with that priority.
    pub fn waiting(&self, priority: Priority) -> usize {
        self.lanes.get(&priority).map_or(0, |lane| lane.waiting.values().map(VecDeque::len).sum())
    }
}

impl Lane {
    fn next(&self) -> Option<&Waiter> {
        let firsts = self.waiting.values().filter_map(VecDeque::front);
        firsts.min_by_key(|waiter| (self.served.get(&waiter.pipeline).copied().unwrap_or(0), waiter.arrival))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Serves everybody, and says who was: priority's first letter, pipeline, place of arrival.
    fn drain(queue: &mut Queue) -> String {
        let mut order = Vec::new();
        while let Some(next) = queue.next().cloned() {
            queue.serve(&next);
            let letter = &format!("{:?}", next.priority)[..1];
            order.push(format!("{letter}{}{}", next.pipeline, next.arrival));
        }
        order.join(" ")
    }

    fn joined(queue: &mut Queue, who: &[(Priority, &str)]) -> Vec<Waiter> {
        who.iter().map(|(priority, pipeline)| queue.join(*priority, &(*pipeline).into())).collect()
    }

    use Priority::{Backfill, Live, Sweep};

    #[test]
    fn the_urgent_go_first_whenever_they_came() {
        let mut queue = Queue::default();
        joined(&mut queue, &[(Backfill, "a"), (Sweep, "a"), (Backfill, "b"), (Live, "b"), (Sweep, "b"), (Live, "a")]);
        assert_eq!(drain(&mut queue), "Lb4 La6 Sa2 Sb5 Ba1 Bb3");
    }

    #[test]
    fn pipelines_take_turns_and_within_one_the_first_to_come_is_first() {
        let mut queue = Queue::default();
        joined(&mut queue, &[(Live, "a"), (Live, "a"), (Live, "a"), (Live, "b"), (Live, "c"), (Live, "b")]);
        assert_eq!(drain(&mut queue), "La1 Lb4 Lc5 La2 Lb6 La3");
    }

    #[test]
    fn who_comes_back_after_its_turn_is_behind_who_waited() {
        let mut queue = Queue::default();
        joined(&mut queue, &[(Live, "a"), (Live, "a"), (Live, "b")]);
        let first = queue.next().cloned().unwrap();
        queue.serve(&first);
        let second = queue.next().cloned().unwrap();
        queue.serve(&second);
        joined(&mut queue, &[(Live, "b")]);
        assert_eq!(drain(&mut queue), "La2 Lb4");
    }

    #[test]
    fn who_leaves_is_gone_and_leaves_once() {
        let mut queue = Queue::default();
        let waiters = joined(&mut queue, &[(Live, "a"), (Live, "a"), (Sweep, "b")]);
        queue.leave(&waiters[0]);
        queue.leave(&waiters[0]);
        assert_eq!((queue.waiting(Live), queue.waiting(Sweep), queue.waiting(Backfill)), (1, 1, 0));
        assert!(queue.is_next(&waiters[1]) && !queue.is_next(&waiters[0]));
        assert_eq!(drain(&mut queue), "La2 Sb3");
    }
}
