//! What is expected of any connector: that a source which goes by it reads everything, whatever goes wrong on the way.
//!
//! Each case reads a [`StandIn`](super::generic::StandIn) made of the connector's own definition, with the real
//! [`Source`](crate::source::Source), and compares what arrives with what was there.

mod bench;
mod cases;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;

use self::cases::{Case, cases};
use crate::connector::Connector;

/// What came of one case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// By which `[read.NAME]` was read.
    pub read: String,
    /// What was tried.
    pub case: String,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As expected.
    Passed,
    /// Not as expected, and why.
    Failed(String),
    /// It does not concern this connector, and why.
    Skipped(String),
    /// The suite does not know this part of the language yet.
    NotCovered(String),
}

/// So many cases at the same time: most of what they do is to wait.
const AT_ONCE: usize = 8;
/// What is not over by then has no end.
const PATIENCE: Duration = Duration::from_secs(120);

/// Puts a connector through every case, for each of its ways to read.
pub async fn run(connector: &Arc<Connector>) -> Vec<Line> {
    let reads: Vec<String> = connector.definition.read.keys().map(|name| name.value.clone()).collect();
    let all = reads.iter().flat_map(|read| cases(connector).into_iter().map(|case| (read.clone(), case)));
    let lines = futures::stream::iter(all).map(|(read, case)| one(connector, read, case));
    let mut lines: Vec<Line> = lines.buffered(AT_ONCE).collect().await;
    // What the suite does not know is not known in any case: once is enough.
    let mut told: Vec<(String, Outcome)> = Vec::new();
    lines.retain(|line| {
        let known = (line.read.clone(), line.outcome.clone());
        let again = matches!(line.outcome, Outcome::NotCovered(_)) && told.contains(&known);
        told.push(known);
        !again
    });
    lines
}

async fn one(connector: &Arc<Connector>, read: String, case: Case) -> Line {
    let name = case.name(connector);
    let tried = tokio::time::timeout(PATIENCE, cases::try_one(connector, &read, case)).await;
    let outcome = tried.unwrap_or_else(|_| Outcome::Failed("it does not come to an end".to_owned()));
    Line { read, case: name, outcome }
}
