//! What goes wrong at a vendor, when it is to.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use chrono::{DateTime, TimeDelta, Utc};

/// Which requests meet which fault.
#[derive(Clone, Copy, Debug, Default)]
pub struct Trouble {
    /// What they meet. Nothing, when there is none.
    pub fault: Option<Fault>,
    /// So many requests meet it, each when it is made for the first time.
    pub requests: usize,
}

/// An answer that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// 429.
    TooMany(Announced),
    /// 500, in the vendor's own form.
    ServerError,
    /// 502 with a web page, as a proxy in front of the vendor answers.
    BadGateway,
    /// 200 with a web page, as a proxy that wants a login answers.
    WebPage,
    /// Half of the answer, then the connection breaks.
    CutBody,
}

/// How a 429 says when to come again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Announced {
    /// `Retry-After` in seconds.
    Seconds,
    /// `Retry-After` in fractions of a second.
    Fraction,
    /// `Retry-After` as a date.
    Date,
    /// A count that is used up, and the instant at which it begins anew.
    Epoch,
    /// Not at all.
    Nothing,
}

/// How long cursors are good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cursors {
    /// For ever.
    #[default]
    Steady,
    /// As far as that many steps from a window's first page.
    LivingFor(u32),
    /// There is one, and it leads to where it was found.
    Repeating,
}

impl Announced {
    /// How long nobody may ask.
    pub fn wait(self) -> Duration {
        match self {
            Announced::Seconds | Announced::Date | Announced::Epoch => Duration::from_secs(1),
            Announced::Fraction => Duration::from_millis(50),
            Announced::Nothing => Duration::ZERO,
        }
    }

    /// What says so, `now` being the vendor's time.
    pub fn headers(self, now: DateTime<Utc>) -> HeaderMap {
        let then = now + TimeDelta::seconds(1);
        let pairs: &[(&'static str, String)] = &match self {
            Announced::Seconds => vec![("retry-after", "1".to_owned())],
            Announced::Fraction => vec![("retry-after", "0.05".to_owned())],
            Announced::Date => vec![("retry-after", then.format("%a, %d %b %Y %H:%M:%S GMT").to_string())],
            Announced::Epoch => {
                vec![("x-ratelimit-remaining", "0".to_owned()), ("x-ratelimit-reset", then.timestamp().to_string())]
            }
            Announced::Nothing => vec![],
        };
        let header = |(name, value): &(&'static str, String)| {
            Some((HeaderName::from_static(name), HeaderValue::from_str(value).ok()?))
        };
        pairs.iter().filter_map(header).collect()
    }
}

/// What has gone wrong so far.
#[derive(Debug, Default)]
pub struct Troubles {
    trouble: Trouble,
    /// Requests that met it, or need not any more.
    met: HashSet<String>,
    /// Nobody may ask before then, who was told to wait so long.
    not_before: Option<(Instant, Duration)>,
}

impl Troubles {
    pub fn new(trouble: Trouble) -> Self {
        Self { trouble, ..Self::default() }
    }

    /// Says when a request comes earlier than it was told to.
    pub fn arrive(&mut self) -> Option<String> {
        let (not_before, wait) = self.not_before.take()?;
        let early = not_before.checked_duration_since(Instant::now()).filter(|early| !early.is_zero())?;
        Some(format!("asked again {early:?} too early, having been told to wait {wait:?}"))
    }

    /// What a request of that kind meets.
    pub fn strike(&mut self, request: &str) -> Option<Fault> {
        let fault = self.trouble.fault?;
        if self.met.len() >= self.trouble.requests || !self.met.insert(request.to_owned()) {
            return None;
        }
        if let Fault::TooMany(announced) = fault {
            self.not_before = Some((Instant::now() + announced.wait(), announced.wait()));
        }
        Some(fault)
    }
}
