//! What this process used of its processors, on all of its threads and in the kernel, and what the clock says meanwhile.
//! What other programs do, and the servers are such, does not count.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// What some work took.
#[derive(Clone, Copy)]
pub struct Took {
    pub cpu: Duration,
    pub wall: Duration,
}

impl Took {
    /// Does the work.
    pub fn by(work: impl FnOnce()) -> Self {
        let (began, before) = (Instant::now(), processor_time());
        work();
        Self { cpu: processor_time() - before, wall: began.elapsed() }
    }
}

fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).expect("less than a second"))
}
