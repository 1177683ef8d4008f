//! Which requests we may send, and when: the vendor's published quota, corrected by what it answers.
//!
//! There is one budget per upstream, that is connector, host and credential, and every pipeline that uses the upstream
//! shares it: the vendor counts them together.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use reqwest::header::HeaderMap;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::advice::{self, Advice};
use crate::connector::model::Rate;

/// All budgets of this process, by upstream.
#[derive(Debug, Default)]
pub struct Budgets {
    known: Mutex<HashMap<String, Arc<Budget>>>,
}

impl Budgets {
    /// The budget of that upstream; made with these limits when it is asked for first.
    pub fn of(&self, upstream: &str, rate: Rate, in_flight: u32, reserve: f64) -> Arc<Budget> {
        let mut known = self.known.lock().expect("no panic while the lock is held");
        let make = || Arc::new(Budget::new(rate, in_flight, reserve));
        Arc::clone(known.entry(upstream.to_owned()).or_insert_with(make))
    }
}

/// What may be asked of one upstream.
pub struct Budget {
    limiter: RateLimiter<NotKeyed, InMemoryState, RuntimeClock, NoOpMiddleware<Duration>>,
    clock: RuntimeClock,
    /// Requests at the same time.
    room: Arc<Semaphore>,
    /// The share of a window's quota that is left to others, 0 to 1.
    reserve: f64,
    /// Nobody asks before this.
    paused_until: Mutex<Option<Instant>>,
}

impl std::fmt::Debug for Budget {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Budget").field("paused_until", &self.paused_until).finish_non_exhaustive()
    }
}

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

/// The right to have one request under way. Given back when it is dropped.
#[derive(Debug)]
pub struct Permit {
    _room: OwnedSemaphorePermit,
}

impl Budget {
    /// A budget of `rate`, of which the share `reserve` (0 to below 1) is left to others.
    #[must_use]
    pub fn new(rate: Rate, in_flight: u32, reserve: f64) -> Self {
        let clock = RuntimeClock { started: Instant::now() };
        let share = (1.0 - reserve).clamp(0.01, 1.0);
        let period = rate.per.div_f64(f64::from(rate.requests) * share);
        // Requests are spread evenly. A burst would save a backlog nothing, and can hit a shorter window that the vendor
        // does not tell of.
        let quota = Quota::with_period(period).expect("a rate is more than nothing").allow_burst(NonZeroU32::MIN);
        Self {
            limiter: RateLimiter::direct_with_clock(quota, clock.clone()),
            clock,
            room: Arc::new(Semaphore::new(in_flight.max(1) as usize)),
            reserve,
            paused_until: Mutex::new(None),
        }
    }

    /// Returns when the next request may be sent. To be called before every attempt: the vendor counts our retries too.
    ///
    /// # Panics
    /// Never: the semaphore is not closed.
    pub async fn acquire(&self, _priority: Priority) -> Permit {
        let room = Arc::clone(&self.room).acquire_owned().await.expect("the semaphore is never closed");
        loop {
            let pause = *self.paused_until.lock().expect("no panic while the lock is held");
            if let Some(until) = pause.filter(|until| *until > Instant::now()) {
                tokio::time::sleep_until(until).await;
                continue;
            }
            match self.limiter.check() {
                Ok(()) => return Permit { _room: room },
                Err(not_until) => tokio::time::sleep(not_until.wait_time_from(self.clock.now())).await,
            }
        }
    }

    /// Learns from the headers of any answer. When little of the vendor's own count is left, everybody waits for its reset.
    pub fn learn(&self, headers: &HeaderMap) {
        let Some(Advice { remaining, reset, limit }) = advice::remaining(headers) else { return };
        let kept_back = limit.map_or(0.0, |limit| limit as f64 * self.reserve);
        if remaining as f64 <= kept_back {
            self.pause(reset.min(LONGEST_LEARNT_PAUSE));
        }
    }

    /// Nobody asks for that long. A longer pause that is already under way stays.
    pub fn pause(&self, wait: Duration) {
        let until = Instant::now() + wait;
        let mut paused = self.paused_until.lock().expect("no panic while the lock is held");
        *paused = Some(paused.map_or(until, |before| before.max(until)));
    }

    /// How much longer nobody may ask, nothing if somebody may.
    #[must_use]
    pub fn paused_for(&self) -> Duration {
        let paused = *self.paused_until.lock().expect("no panic while the lock is held");
        paused.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()))
    }
}

/// A vendor that announces a reset further away than this is more likely to have sent a date we misread.
const LONGEST_LEARNT_PAUSE: Duration = Duration::from_secs(600);

/// tokio's clock for the limiter, so that a test can pause it.
#[derive(Clone, Debug)]
struct RuntimeClock {
    started: Instant,
}

impl Clock for RuntimeClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.started.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn per_second(requests: u32) -> Rate {
        Rate { requests, per: Duration::from_secs(1) }
    }

    #[tokio::test(start_paused = true)]
    async fn requests_are_spread_over_the_quota() {
        let budget = Budget::new(Rate { requests: 1200, per: Duration::from_secs(300) }, 1, 0.0);
        let start = Instant::now();
        for _ in 0..2000 {
            drop(budget.acquire(Priority::Live).await);
        }
        let ideal = 2000.0 * 0.25;
        assert!((1999.0 * 0.25..=1.02 * ideal).contains(&start.elapsed().as_secs_f64()), "{:?}", start.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_holds_for_everybody_and_a_shorter_one_does_not_end_it() {
        let budget = Budget::new(per_second(100), 4, 0.0);
        budget.pause(Duration::from_secs(30));
        budget.pause(Duration::from_secs(1));
        let start = Instant::now();
        tokio::join!(budget.acquire(Priority::Live), budget.acquire(Priority::Live));
        assert!(start.elapsed() >= Duration::from_secs(30));
    }

    #[tokio::test(start_paused = true)]
    async fn a_reserve_leaves_its_share_to_others() {
        let budget = Budget::new(per_second(10), 1, 0.5);
        let start = Instant::now();
        for _ in 0..11 {
            drop(budget.acquire(Priority::Live).await);
        }
        assert_eq!(start.elapsed().as_secs(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_count_that_runs_out_is_waited_for() {
        let budget = Budget::new(per_second(1000), 1, 0.1);
        let mut headers = HeaderMap::new();
        headers.insert("ratelimit", "\"default\";r=100;t=20".parse().unwrap());
        headers.insert("ratelimit-policy", "\"default\";q=1000;w=60".parse().unwrap());
        budget.learn(&headers);
        assert!(budget.paused_for() > Duration::from_secs(19));
    }
}
