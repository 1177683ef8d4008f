//! What the simulator counted, for tests that must prove how often a vendor was asked.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

/// What one vendor was asked, and how it answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Requests that arrived, refused ones included.
    pub requests: u64,
    /// Records in answers that were sent whole. A record sent twice counts twice.
    pub records: u64,
    /// Requests refused for their credential.
    pub refused: u64,
    /// Requests refused for their parameters or path.
    pub invalid: u64,
    /// 429s that were injected, not earned.
    pub throttled: u64,
    /// 429s earned by exceeding the quota.
    pub earned: u64,
    /// Injected failures: 500, 502, cut bodies.
    pub faults: u64,
    /// From the first request's arrival to the last one's, by the runtime's time.
    pub elapsed: Duration,
}

/// The running counts of one vendor.
#[derive(Debug, Default)]
pub(crate) struct Counters(Mutex<(Stats, Option<Instant>)>);

impl Counters {
    /// Counts an arriving request and returns its number, from 1.
    pub fn arrive(&self) -> u64 {
        let mut guard = self.0.lock().expect("no code panics while counting");
        let (stats, first) = &mut *guard;
        stats.requests += 1;
        stats.elapsed = first.get_or_insert_with(Instant::now).elapsed();
        stats.requests
    }

    pub fn count(&self, change: impl FnOnce(&mut Stats)) {
        change(&mut self.0.lock().expect("no code panics while counting").0);
    }

    pub fn read(&self) -> Stats {
        self.0.lock().expect("no code panics while counting").0
    }
}
