//! A server that takes, refuses, is busy, breaks off or keeps us waiting, as it comes, and what must hold nevertheless.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};

use auditline_sinks::contract::numbered;
use auditline_sinks::{DeliveryError, Sink};
use proptest::prelude::*;
use tokio::sync::mpsc;

use super::{Act, Answer, Mock, Request};

/// What it does about a request. After the last turn it looks at each.
#[derive(Clone, Copy, Debug)]
pub enum Turn {
    /// Looks at the records.
    Judge,
    /// Answers that it has no time.
    Busy,
    /// Closes without a word.
    Break,
    /// Says nothing until nobody waits for it any more.
    Hang,
}

/// Up to twenty records, as many as are always tried one by one, with some that are refused.
#[derive(Clone, Debug)]
pub struct Trial {
    pub refused: Vec<bool>,
    pub turns: Vec<Turn>,
}

pub fn trials() -> impl Strategy<Value = Trial> {
    let turn = prop_oneof![
        5 => Just(Turn::Judge),
        1 => Just(Turn::Busy),
        1 => Just(Turn::Break),
        1 => Just(Turn::Hang),
    ];
    let refused = prop::collection::vec(prop::bool::weighted(0.25), 1..=20);
    (refused, prop::collection::vec(turn, 0..24)).prop_map(|(refused, turns)| Trial { refused, turns })
}

/// How a kind of server speaks.
pub struct Speech {
    /// The numbers of a request's records.
    pub numbers: fn(&Request) -> Vec<u64>,
    pub busy: Answer,
    pub taken: Answer,
    /// The answer to a request of which the record at this place is the first that is refused, and how many it took.
    pub refused: fn(usize) -> (Answer, usize),
}

/// Delivers a batch until that is done. Every record must be rejected or be taken, in order and once as far as the server
/// has said so: but for a batch whose rest was refused whole, of which all goes again, once.
pub fn holds(trial: &Trial, speech: Speech, sink: impl Fn(&str) -> Arc<dyn Sink>) -> Result<(), TestCaseError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let bad: BTreeSet<u64> = (1..).zip(&trial.refused).filter(|(_, refused)| **refused).map(|(n, _)| n).collect();
    let (rejected, taken, doubts) = runtime.block_on(deliver(trial, &bad, speech, sink));
    prop_assert_eq!(rejected, bad.iter().copied().collect::<Vec<_>>());
    prop_assert!(doubts <= 1, "{} doubts", doubts);
    for n in (1..=trial.refused.len() as u64).filter(|n| !bad.contains(n)) {
        let times = taken.iter().filter(|taken| **taken == n).count();
        prop_assert!((1..=1 + doubts).contains(&times), "{} was taken {} times: {:?}", n, times, taken);
    }
    // With ten that are refused one by one, others are tried before their turn.
    prop_assert!(taken.is_sorted() || doubts > 0 || bad.len() >= 10, "{:?}", taken);
    Ok(())
}

async fn deliver(
    trial: &Trial,
    bad: &BTreeSet<u64>,
    speech: Speech,
    sink: impl Fn(&str) -> Arc<dyn Sink>,
) -> (Vec<u64>, Vec<u64>, usize) {
    let taken = Arc::<Mutex<Vec<u64>>>::default();
    let (hangs, mut hanging) = mpsc::unbounded_channel();
    let (mut turns, to, refuses) = (VecDeque::from(trial.turns.clone()), Arc::clone(&taken), bad.clone());
    let mock = Mock::minding(move |request| match turns.pop_front().unwrap_or(Turn::Judge) {
        Turn::Judge => {
            let numbers = (speech.numbers)(request);
            let (answer, count) = match numbers.iter().position(|n| refuses.contains(n)) {
                Some(at) => (speech.refused)(at),
                None => (speech.taken.clone(), numbers.len()),
            };
            to.lock().unwrap().extend(&numbers[..count]);
            Act::Say(answer)
        }
        Turn::Busy => Act::Say(speech.busy.clone()),
        Turn::Break => Act::Break,
        Turn::Hang => {
            hangs.send(()).unwrap();
            Act::Hang
        }
    })
    .await;
    let (sink, batch) = (sink(&mock.url()), numbered("p", 1, trial.refused.len()));
    let mut doubts = 0;
    let delivery = loop {
        tokio::select! {
            outcome = sink.deliver(&batch) => match outcome {
                Ok(delivery) => break delivery,
                Err(DeliveryError::Retryable { message, .. }) => doubts += usize::from(message.contains("it goes again whole")),
                Err(error) => panic!("{error:?}"),
            },
            _ = hanging.recv() => {}
        }
    };
    let rejected = delivery.rejected.iter().map(|rejected| rejected.at as u64 + 1).collect();
    let taken = taken.lock().unwrap().clone();
    (rejected, taken, doubts)
}
