//! A vendor in miniature that counts requests and refuses those beyond its quota. No sockets, tokio's paused time.

use std::sync::Mutex;

use tokio::time::sleep;

use super::*;

/// How a vendor counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Windows {
    /// One after the other, the first beginning so long before the test.
    Fixed(Duration),
    /// The last one, at any time.
    Sliding,
}

/// What a vendor tells of its count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tells {
    Nothing,
    /// `RateLimit` and `RateLimit-Policy`.
    Standard,
    /// `x-ratelimit-*`, without the window.
    Plain,
}

pub struct Vendor {
    pub quota: u64,
    pub window: Duration,
    pub windows: Windows,
    pub tells: Tells,
    /// After a refusal everything is refused for so long.
    pub block: Duration,
    started: Instant,
    log: Mutex<Log>,
}

#[derive(Default)]
struct Log {
    /// When each request arrived that was not refused, whoever sent it.
    arrived: Vec<Instant>,
    refused: Vec<Instant>,
    blocked_until: Option<Instant>,
}

/// What came of a request.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
}

impl Vendor {
    pub fn new(quota: u64, window: Duration, windows: Windows) -> Self {
        let block = Duration::ZERO;
        Self { quota, window, windows, tells: Tells::Nothing, block, started: Instant::now(), log: Mutex::default() }
    }

    pub fn telling(self, tells: Tells) -> Self {
        Self { tells, ..self }
    }

    pub fn blocking(self, block: Duration) -> Self {
        Self { block, ..self }
    }

    /// A request on its way there, and the answer on its way back.
    pub async fn ask(&self, there: Duration, back: Duration) -> Answer {
        sleep(there).await;
        let answer = self.count();
        sleep(back).await;
        answer
    }

    /// A request that arrives now.
    pub fn count(&self) -> Answer {
        let now = Instant::now();
        let mut log = self.log.lock().unwrap();
        let (used, reset) = self.used(&log, now);
        let is_blocked = log.blocked_until.is_some_and(|until| now < until);
        if is_blocked || used >= self.quota {
            if !is_blocked && !self.block.is_zero() {
                log.blocked_until = Some(now + self.block);
            }
            log.refused.push(now);
            return Answer { status: StatusCode::TOO_MANY_REQUESTS, headers: self.headers(0, reset) };
        }
        log.arrived.push(now);
        Answer { status: StatusCode::OK, headers: self.headers(self.quota - used - 1, reset) }
    }

    /// Requests in the window so far, and how long until it is over, or until the oldest one is out of it.
    fn used(&self, log: &Log, now: Instant) -> (u64, Duration) {
        let (begin, reset) = match self.windows {
            Windows::Fixed(offset) => {
                let into = (now - self.started + offset).as_nanos() % self.window.as_nanos();
                let into = Duration::from_nanos(into as u64);
                (now.checked_sub(into).unwrap_or(self.started), self.window - into)
            }
            Windows::Sliding => {
                // One that arrived exactly a window ago still counts.
                let begin = now.checked_sub(self.window).unwrap_or(self.started);
                let oldest = log.arrived.iter().find(|at| **at >= begin);
                (begin, oldest.map_or(self.window, |at| *at + self.window - now))
            }
        };
        (log.arrived.iter().rev().take_while(|at| **at >= begin).count() as u64, reset)
    }

    fn headers(&self, left: u64, reset: Duration) -> HeaderMap {
        let reset = reset.as_secs_f64().ceil();
        let (quota, window) = (self.quota, self.window.as_secs());
        match self.tells {
            Tells::Nothing => HeaderMap::new(),
            Tells::Standard => standard(quota, window, left, reset as u64),
            Tells::Plain => headers(&[
                ("x-ratelimit-limit", &quota.to_string()),
                ("x-ratelimit-remaining", &left.to_string()),
                ("x-ratelimit-reset", &reset.to_string()),
            ]),
        }
    }

    /// When each request arrived that was answered.
    pub fn arrived(&self) -> Vec<Instant> {
        self.log.lock().unwrap().arrived.clone()
    }

    /// When each request arrived that was refused.
    pub fn refused(&self) -> Vec<Instant> {
        self.log.lock().unwrap().refused.clone()
    }
}

pub fn standard(quota: u64, window: u64, left: u64, reset: u64) -> HeaderMap {
    headers(&[
        ("ratelimit", &format!("\"default\";r={left};t={reset}")),
        ("ratelimit-policy", &format!("\"default\";q={quota};w={window}")),
    ])
}

pub fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
}
