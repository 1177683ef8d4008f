//! What a budget looks like from outside: for a person who wonders why nothing is read, and for metrics.

use std::fmt;
use std::time::Duration;

use auditline_sinks::units::HumanDuration;

use crate::connector::model::Rate;

/// A budget at one moment. Looking at it changes nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct BudgetState {
    /// What the connector publishes or the operator has set.
    pub rate: Rate,
    /// The share of every quota that is left to others.
    pub reserve: f64,
    /// At present one request is sent in so much time: by `rate`, or by a smaller quota that the vendor tells of, and
    /// more slowly for a while after a 429.
    pub interval: Duration,
    /// What the vendor's answers tell of its own counts.
    pub learnt: Vec<LearntCount>,
    /// For so long nobody may ask: the vendor has counted us out, or nothing is left of one of its counts, or so little
    /// that it is spread over the time until the reset. Nothing if somebody may.
    pub paused_for: Duration,
    /// Requests that wait for their turn.
    pub waiting: Waiting,
    /// Requests under way.
    pub in_flight: usize,
    /// Requests sent so far, each attempt counted.
    pub sent: u64,
    /// How many of them the vendor answered with 429.
    pub throttled: u64,
}

/// Requests that wait, by priority.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// For what happens now.
    pub live: usize,
    /// For what may have been published very late.
    pub sweep: usize,
    /// For what a person asked for.
    pub backfill: usize,
}

/// One of the vendor's own counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LearntCount {
    /// The vendor's name for it, or the header it is told in.
    pub name: String,
    /// Requests in a whole window, where the vendor tells.
    pub limit: Option<u64>,
    /// How long a window is, where the vendor tells.
    pub window: Option<Duration>,
    /// What is left for us until the reset, the reserve and what is under way taken off.
    pub left: Option<u64>,
    /// Until the count starts again, where the vendor tells.
    pub resets_in: Option<Duration>,
    /// Somebody else is using the quota, too.
    pub others: bool,
}

impl BudgetState {
    /// Whether requests are further apart than our own terms ask for.
    fn is_slowed(&self) -> bool {
        let own = self.rate.per.as_secs_f64() / f64::from(self.rate.requests) / (1.0 - self.reserve).max(0.01);
        self.interval.as_secs_f64() > 1.05 * own
    }
}

/// One line for a person.
impl fmt::Display for BudgetState {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} requests in {}", self.rate.requests, HumanDuration(self.rate.per))?;
        match (self.reserve * 100.0).round() as u32 {
            0 => {}
            percent => write!(out, ", {percent}% of it left to others")?,
        }
        match self.paused_for.as_secs_f64().ceil() as u64 {
            0 => out.write_str("; not paused")?,
            seconds => write!(out, "; paused for {}", HumanDuration(Duration::from_secs(seconds)))?,
        }
        if self.is_slowed() {
            let millis = Duration::from_millis(self.interval.as_millis() as u64);
            write!(out, "; slowed to one request in {}", HumanDuration(millis))?;
        }
        for count in &self.learnt {
            write!(out, "; {count}")?;
        }
        let Waiting { live, sweep, backfill } = self.waiting;
        if live + sweep + backfill > 0 {
            write!(out, "; waiting: {live} live, {sweep} sweep, {backfill} backfill")?;
        }
        if self.throttled > 0 {
            write!(out, "; refused {} of {}", self.throttled, self.sent)?;
        }
        Ok(())
    }
}

/// Part of that line.
impl fmt::Display for LearntCount {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "the vendor's `{}`", self.name)?;
        if let Some(limit) = self.limit {
            write!(out, " allows {limit}")?;
        }
        if let Some(window) = self.window {
            write!(out, " in {}", HumanDuration(window))?;
        }
        if let Some(left) = self.left {
            write!(out, ", has {left} left for us")?;
        }
        if let Some(reset) = self.resets_in {
            write!(out, ", resets in {}", HumanDuration(Duration::from_secs(reset.as_secs())))?;
        }
        if self.others {
            out.write_str(", is used by others too")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_reads_what_matters_now() {
        let quiet = BudgetState {
            rate: Rate { requests: 1200, per: Duration::from_secs(300) },
            reserve: 0.0,
            interval: Duration::from_micros(252_500),
            learnt: Vec::new(),
            paused_for: Duration::ZERO,
            waiting: Waiting::default(),
            in_flight: 0,
            sent: 40,
            throttled: 0,
        };
        assert_eq!(quiet.to_string(), "1200 requests in 5m; not paused");
        let count = LearntCount {
            name: "default".to_owned(),
            limit: Some(120),
            window: Some(Duration::from_secs(60)),
            left: Some(70),
            resets_in: Some(Duration::from_millis(44_500)),
            others: true,
        };
        let busy = BudgetState {
            reserve: 0.25,
            interval: Duration::from_micros(673_333),
            learnt: vec![count],
            paused_for: Duration::from_millis(90_500),
            waiting: Waiting { live: 1, sweep: 0, backfill: 3 },
            throttled: 2,
            ..quiet
        };
        let expected = "1200 requests in 5m, 25% of it left to others; paused for 1m31s; \
            slowed to one request in 673ms; the vendor's `default` allows 120 in 1m, has 70 left for us, \
            resets in 44s, is used by others too; waiting: 1 live, 0 sweep, 3 backfill; refused 2 of 40";
        assert_eq!(busy.to_string(), expected);
    }
}
