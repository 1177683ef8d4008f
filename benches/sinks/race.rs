//! A sink and the plainest program in turns, each with a batch or some of each vendor.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use auditline_sinks::contract::chain;
use auditline_sinks::{Batch, BatchLimits, Delivery, Sink, SinkConfig};
use tokio::runtime::Runtime;

use super::clock::Took;
use super::events::Events;

/// How long a sink is measured for, unless it has had too few rounds by then.
const LONG_ENOUGH: Duration = Duration::from_secs(12);
const LEAST_ROUNDS: usize = 7;
/// An odd number, as the median likes it; and servers keep what they get.
const MOST_ROUNDS: usize = 31;
/// Between two turns: a kernel and a client library have something left to do when all is answered.
const REST: Duration = Duration::from_millis(20);

/// The plainest program that sends the same on the same client library.
pub trait Plain {
    /// Looks up what it is to be told of the events, and whatever else is not its work. Not measured.
    fn prepare(&mut self, batches: &[Batch]);

    /// Sends it, batch after batch, and returns when it is known that all of it was taken. Measured.
    fn push(&mut self);
}

/// A sink beside the plainest program.
pub struct Pair {
    pub name: &'static str,
    pub config: SinkConfig,
    /// The sink's own, unless its server needs others.
    pub limits: BatchLimits,
    /// Batches of each vendor in a turn.
    pub laps: usize,
    pub plain: Box<dyn Plain>,
}

/// What one of the two took for a turn, for each record.
#[derive(Clone, Copy)]
pub struct Each {
    /// Microseconds of a processor.
    pub cpu: f64,
    /// Records a second.
    pub rate: f64,
}

/// What a sink and the plainest program took in the same round.
#[derive(Clone, Copy)]
pub struct Round {
    pub own: Each,
    pub plain: Each,
}

impl Pair {
    /// With the sink's own batches, one of each vendor in a turn.
    pub fn new(name: &'static str, config: SinkConfig, plain: Box<dyn Plain>) -> Self {
        Self { name, limits: config.batch_defaults(), config, laps: 1, plain }
    }

    /// Lets both run in turns, and who begins is another in every round.
    pub fn run(mut self, events: &Events) -> Vec<Round> {
        let sink =
            self.config.build().unwrap_or_else(|error| panic!("{}: {}: {}", self.name, error.key, error.message));
        // As `auditline run` has it.
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let mut rounds = Vec::new();
        let mut began = Instant::now();
        for round in 0.. {
            let own_first = round % 2 == 0;
            let own = |turn| own(&runtime, &sink, events.batches(self.limits, self.laps, turn));
            let mut plain = |turn| plain(&mut *self.plain, &events.batches(self.limits, self.laps, turn));
            let (own, plain) = if own_first {
                let own = own(2 * round + 1);
                (own, plain(2 * round + 2))
            } else {
                let plain = plain(2 * round + 1);
                (own(2 * round + 2), plain)
            };
            // The first round connects, and fills caches and the allocator.
            if round == 0 {
                began = Instant::now();
                continue;
            }
            rounds.push(Round { own, plain });
            let is_enough = began.elapsed() > LONG_ENOUGH && rounds.len() >= LEAST_ROUNDS && rounds.len() % 2 == 1;
            if is_enough || rounds.len() == MOST_ROUNDS {
                break;
            }
        }
        rounds
    }
}

impl Each {
    fn of(batches: &[Batch], took: Took) -> Self {
        let records = batches.iter().map(|batch| batch.records.len()).sum::<usize>() as f64;
        Self { cpu: took.cpu.as_secs_f64() * 1e6 / records, rate: records / took.wall.as_secs_f64() }
    }
}

fn own(runtime: &Runtime, sink: &Arc<dyn Sink>, batches: Vec<Batch>) -> Each {
    thread::sleep(REST);
    let batches = Arc::new(batches);
    // A task, as the engine's writers are.
    let work = |sink: Arc<dyn Sink>, batches: Arc<Vec<Batch>>| async move {
        for batch in &*batches {
            match sink.deliver(batch).await {
                Ok(delivery) => assert_eq!(delivery, Delivery::default(), "{sink} rejects records"),
                Err(error) => panic!("{sink}: {}", chain(&error)),
            }
        }
    };
    let (sink, sent) = (Arc::clone(sink), Arc::clone(&batches));
    let took = Took::by(|| runtime.block_on(runtime.spawn(work(sink, sent))).expect("no panic"));
    Each::of(&batches, took)
}

fn plain(plain: &mut dyn Plain, batches: &[Batch]) -> Each {
    plain.prepare(batches);
    thread::sleep(REST);
    Each::of(batches, Took::by(|| plain.push()))
}
