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

/// Has the allocator keep what is freed. Otherwise it gives a page's memory back to the kernel at its end, or not, as it
/// happens to lie, and whose turn comes then pays for it.
#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "the allocator is told by a call of C")]
pub fn keep_what_is_freed() {
    // SAFETY: no memory is passed, and no other thread runs yet.
    unsafe {
        libc::mallopt(libc::M_TRIM_THRESHOLD, i32::MAX);
        libc::mallopt(libc::M_MMAP_THRESHOLD, 32 * 1024 * 1024);
    }
}

/// Where there is another allocator, nothing is known of it.
#[cfg(not(target_env = "gnu"))]
pub fn keep_what_is_freed() {}
