//! How fast requests follow each other: evenly, by governor's limiter.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio::time::Instant;

/// How much longer we take a window of the vendor's to be. The way there and our timers differ from request to request,
/// and one request too many costs more than this hundredth: with Cloudflare five minutes.
const CAUTION: f64 = 1.01;
/// The limiter counts in parts of a request, so that one which was late by some parts can be made up for by the next.
const PARTS: u32 = 100;

/// The distance between requests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Stride {
    /// From one request to the next.
    pub interval: Duration,
    /// How many parts of it a request may be early to make up for a late one.
    slack: u32,
}

impl Stride {
    /// Spreads the share of `requests` per `window` that is ours evenly over it. In any `window` at any time there are
    /// never more requests than that. A burst would save a backlog nothing, and can hit a shorter window that the
    /// vendor does not tell of.
    pub fn over(requests: f64, window: Duration, share: f64) -> Self {
        let seconds = window.as_secs_f64() * CAUTION / (requests * share);
        let interval = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX).clamp(SHORTEST, LONGEST);
        // Half of the caution is left for the way there.
        let slack = window.as_secs_f64() * (CAUTION - 1.0) / 2.0 / interval.as_secs_f64();
        Self { interval, slack: (slack.min(0.5) * f64::from(PARTS)) as u32 }
    }

    /// As many times slower.
    pub fn slower(self, times: f64) -> Self {
        let interval = Duration::try_from_secs_f64(self.interval.as_secs_f64() * times).unwrap_or(LONGEST);
        Self { interval: interval.min(LONGEST), ..self }
    }

    fn quota(self) -> Quota {
        let part = Quota::with_period(self.interval / PARTS).expect("the shortest interval has parts");
        part.allow_burst(self.burst())
    }

    fn burst(self) -> NonZeroU32 {
        whole().saturating_add(self.slack)
    }
}

/// The limiter counts in nanoseconds.
const SHORTEST: Duration = Duration::from_micros(1);
/// No quota is so small that a year could not be asked for once in it.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

fn whole() -> NonZeroU32 {
    NonZeroU32::new(PARTS).expect("a request has parts")
}

/// Lets requests pass at a stride that can be changed.
pub(super) struct Pace {
    stride: Stride,
    limiter: RateLimiter<NotKeyed, InMemoryState, GivenClock, NoOpMiddleware<Duration>>,
    clock: GivenClock,
    started: Instant,
    last: Option<Instant>,
}

impl Pace {
    pub fn new(stride: Stride) -> Self {
        let clock = GivenClock::default();
        let limiter = RateLimiter::direct_with_clock(stride.quota(), clock.clone());
        Self { stride, limiter, clock, started: Instant::now(), last: None }
    }

    pub fn stride(&self) -> Stride {
        self.stride
    }

    /// When the last request passed.
    pub fn last(&self) -> Option<Instant> {
        self.last
    }

    pub fn change(&mut self, stride: Stride) {
        if stride == self.stride {
            return;
        }
        let Some(last) = self.last else {
            *self = Self::new(stride);
            return;
        };
        self.stride = stride;
        self.clock.set(last - self.started);
        self.limiter = RateLimiter::direct_with_clock(stride.quota(), self.clock.clone());
        // All that a new limiter holds went with the last request. Slack that came with every change would let as many
        // requests be early, and that is more than the caution covers.
        self.limiter.check_n(stride.burst()).expect("the burst holds itself").expect("a new limiter is full");
    }

    /// Passes a request, or says when to try again.
    pub fn pass(&mut self, now: Instant) -> Result<(), Instant> {
        self.clock.set(now - self.started);
        let checked = self.limiter.check_n(whole()).expect("the burst holds a request");
        checked.map_err(|not_until| now + not_until.wait_time_from(self.clock.now()))?;
        self.last = Some(now);
        Ok(())
    }
}

/// The limiter's clock, which shows the time that we give it: since the start, in nanoseconds.
#[derive(Clone, Debug, Default)]
struct GivenClock(Arc<AtomicU64>);

impl GivenClock {
    fn set(&self, now: Duration) {
        self.0.store(u64::try_from(now.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

impl Clock for GivenClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn in_paused_time<T>(what: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.expect("a runtime without sockets").block_on(what)
    }

    /// Returns when a request has passed that comes as soon as it may, late by so many milliseconds.
    async fn pass(pace: &mut Pace, late: u64) -> Instant {
        while let Err(at) = pace.pass(Instant::now()) {
            tokio::time::sleep_until(at).await;
            tokio::time::sleep(Duration::from_millis(late)).await;
        }
        Instant::now()
    }

    /// When requests pass, each late by what `late` says.
    async fn passed(stride: Stride, late: &[u64]) -> Vec<Instant> {
        let mut pace = Pace::new(stride);
        let mut passed = Vec::new();
        for late in late {
            passed.push(pass(&mut pace, *late).await);
        }
        passed
    }

    #[test]
    fn timers_that_fire_late_cost_nothing_in_the_long_run() {
        let stride = Stride::over(100.0, Duration::from_secs(1), 1.0);
        let passed = in_paused_time(passed(stride, &[1; 1000]));
        let took = (passed[999] - passed[0]).as_secs_f64();
        assert!((9.9..=1.02 * 10.0).contains(&took), "{took}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_slower_stride_holds_from_the_last_request_on() {
        let mut pace = Pace::new(Stride::over(10.0, Duration::from_secs(1), 1.0));
        let start = Instant::now();
        assert_eq!(pace.pass(start), Ok(()));
        pace.change(Stride::over(1.0, Duration::from_secs(1), 1.0));
        assert_eq!(pace.pass(start), Err(start + Duration::from_millis(1010)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stride_that_changes_after_every_request_lets_none_be_early() {
        let slower = |percent: u32| Stride::over(9.0, Duration::from_secs(7), 1.0).slower(f64::from(percent) / 100.0);
        let mut pace = Pace::new(slower(110));
        let mut passed = Vec::new();
        for percent in (100..110).rev() {
            for _ in 0..2 {
                passed.push(pass(&mut pace, 0).await);
            }
            pace.change(slower(percent));
        }
        let gaps = passed.windows(2).skip(1).map(|pair| pair[1] - pair[0]);
        let early: Vec<Duration> = gaps.filter(|gap| *gap < slower(100).interval).collect();
        assert!(early.is_empty(), "{early:?}");
    }

    #[test]
    fn numbers_without_measure_are_survived() {
        for (requests, window) in [(f64::from(u32::MAX), 1), (1.0, u64::MAX), (u64::MAX as f64, 1)] {
            let stride = Stride::over(requests, Duration::from_secs(window), 0.01);
            assert_eq!(in_paused_time(passed(stride, &[0])).len(), 1);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn no_window_holds_more_than_the_quota(
            requests in 1..60u32,
            millis in 200..20_000u64,
            late in prop::collection::vec(prop_oneof![8 => 0..3u64, 1 => 0..900u64], 150),
            slower in prop::collection::vec(prop::option::weighted(0.3, 100..400u32), 150),
        ) {
            let window = Duration::from_millis(millis);
            let stride = Stride::over(f64::from(requests), window, 1.0);
            let passed = in_paused_time(async {
                let mut pace = Pace::new(stride);
                let mut passed = Vec::new();
                for (late, slower) in late.into_iter().zip(slower) {
                    passed.push(pass(&mut pace, late).await);
                    if let Some(percent) = slower {
                        pace.change(stride.slower(f64::from(percent) / 100.0));
                    }
                }
                passed
            });
            for (at, first) in passed.iter().enumerate() {
                let within = passed[at..].iter().filter(|time| **time - *first <= window).count();
                prop_assert!(within as u32 <= requests, "{within} of {requests} in {window:?}");
            }
        }
    }
}
