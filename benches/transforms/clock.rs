//! What the measuring thread used of a processor. What other programs do meanwhile does not count.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

/// Time since the last look, in microseconds.
pub struct Lap(f64);

impl Lap {
    /// Begins now.
    pub fn start() -> Self {
        Self(now())
    }

    /// The microseconds since the start or the last call.
    pub fn next(&mut self) -> f64 {
        let now = now();
        now - std::mem::replace(&mut self.0, now)
    }
}

fn now() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3
}

/// Keeps this thread on the last of the cores it may use, so that caches stay warm. Where that is not allowed, it roams.
pub fn stay_on_one_core() {
    let Ok(allowed) = sched_getaffinity(None) else { return };
    if let Some(last) = (0..CpuSet::MAX_CPU).rev().find(|core| allowed.is_set(*core)) {
        let mut one = CpuSet::new();
        one.set(last);
        // Measuring goes on without it, only less evenly.
        let _ = sched_setaffinity(None, &one);
    }
}
