//! How long to wait before trying again.

use std::time::Duration;

/// Waits that double from one to a longest, with a part that differs from task to task.
#[derive(Debug)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
    /// Attempts that failed since the last success.
    pub attempts: u32,
}

impl Backoff {
    /// Waits from `first` to `longest`.
    #[must_use]
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, next: first, attempts: 0 }
    }

    /// The wait after one more failure; never shorter than what the other side asked for.
    pub fn failed(&mut self, asked: Option<Duration>) -> Duration {
        self.attempts += 1;
        let wait = jittered(self.next).max(asked.unwrap_or_default());
        self.next = (self.next * 2).min(self.longest);
        wait
    }

    /// Begins anew after a success.
    pub fn succeeded(&mut self) {
        self.next = self.first;
        self.attempts = 0;
    }
}

/// Three quarters to all of a wait: tasks that failed together do not come back together.
fn jittered(wait: Duration) -> Duration {
    let nanos = chrono::Utc::now().timestamp_subsec_micros() % 1000;
    wait.mul_f64(0.75 + f64::from(nanos) / 4000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_begin_anew() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(4));
        let waits: Vec<u64> = (0..4).map(|_| backoff.failed(None).as_secs_f64().ceil() as u64).collect();
        assert_eq!(waits, [1, 2, 4, 4]);
        assert!(backoff.failed(Some(Duration::from_secs(60))) >= Duration::from_secs(60));
        backoff.succeeded();
        assert!(backoff.failed(None) <= Duration::from_secs(1));
    }
}
