//! What a budget looks like from outside: for a person who wonders why nothing is read, and for metrics.

use std::time::Duration;

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
