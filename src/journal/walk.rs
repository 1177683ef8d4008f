//! Which reading of a pipeline's log a cursor belongs to.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};

/// One reading of a pipeline's log, with a cursor of its own: the live one, the sweep behind it, or a backfill. All walks
/// of a pipeline share what was seen, so that what one has delivered another does not deliver again.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Walk(Arc<str>);

const LIVE: &str = "live";
const SWEEP: &str = "sweep";
const BACKFILL: &str = "backfill ";

impl Walk {
    /// The walk that follows the log as it grows.
    #[must_use]
    pub fn live() -> Self {
        Self(LIVE.into())
    }

    /// The walk that re-reads what the live one has left behind, for records that were published very late.
    #[must_use]
    pub fn sweep() -> Self {
        Self(SWEEP.into())
    }

    /// The walk through a span that a person asked for. The same span is the same walk, which a restart resumes.
    #[must_use]
    pub fn backfill(since: DateTime<Utc>, until: DateTime<Utc>) -> Self {
        let written = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Secs, true);
        Self(format!("{BACKFILL}{}/{}", written(since), written(until)).into())
    }

    /// The walk of that name, as a journal keeps it.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self(name.into())
    }

    /// Its name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The span of a backfill; `None` for the other walks.
    #[must_use]
    pub fn span(&self) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
        let (since, until) = self.0.strip_prefix(BACKFILL)?.split_once('/')?;
        Some((since.parse().ok()?, until.parse().ok()?))
    }
}

impl Default for Walk {
    fn default() -> Self {
        Self::live()
    }
}

impl fmt::Display for Walk {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backfill_is_known_by_its_span() {
        let (since, until) = ("2026-09-01T00:00:00Z".parse().unwrap(), "2026-09-02T12:00:00Z".parse().unwrap());
        let walk = Walk::backfill(since, until);
        assert_eq!(walk.to_string(), "backfill 2026-09-01T00:00:00Z/2026-09-02T12:00:00Z");
        assert_eq!(Walk::named(walk.as_str()), walk);
        assert_eq!(walk.span(), Some((since, until)));
        assert_eq!(Walk::live().span(), None);
    }
}
