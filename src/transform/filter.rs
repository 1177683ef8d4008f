//! `filter`: which events go on, and which are dropped and counted.

use std::fmt;
use std::sync::Arc;

use super::condition::Matcher;
use super::{Exit, Notes, Transform};
use crate::event::{Arena, Event};

/// Drops what the operator does not want.
#[derive(Debug)]
pub struct Filter {
    matcher: Matcher,
    /// Whether what fits goes on, or what does not.
    keeps: bool,
    reason: Arc<str>,
}

impl Filter {
    /// Lets pass what fits, and drops the rest under this reason.
    #[must_use]
    pub fn keep(matcher: Matcher, reason: &str) -> Self {
        Self { matcher, keeps: true, reason: reason.into() }
    }

    /// Drops what fits under this reason, and lets pass the rest.
    #[must_use]
    pub fn drop(matcher: Matcher, reason: &str) -> Self {
        Self { matcher, keeps: false, reason: reason.into() }
    }
}

impl Transform for Filter {
    fn apply<'a>(&self, event: Event<'a>, _: &'a Arena, _: &mut Notes) -> Result<Event<'a>, Exit> {
        match self.matcher.holds(event.body) == self.keeps {
            true => Ok(event),
            false => Err(Exit::Dropped { reason: Arc::clone(&self.reason) }),
        }
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("filter")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transform::condition::tests::{event, matcher};

    #[test]
    fn what_fits_is_kept_or_dropped() {
        let arena = Arena::new();
        let fits =
            |filter: &Filter, body| filter.apply(event("1", body, &arena), &arena, &mut Notes::default()).is_ok();
        let keep = Filter::keep(matcher(r#"{ a = "x" }"#).unwrap(), "filter");
        assert!(fits(&keep, r#"{"a":"X"}"#) && !fits(&keep, r#"{"a":"y"}"#) && !fits(&keep, "{}"));
        let drop = Filter::drop(matcher(r#"{ a = "x" }"#).unwrap(), "health checks");
        assert!(!fits(&drop, r#"{"a":"X"}"#) && fits(&drop, r#"{"a":"y"}"#) && fits(&drop, "{}"));
        let exit = drop.apply(event("1", r#"{"a":"x"}"#, &arena), &arena, &mut Notes::default()).unwrap_err();
        assert_eq!(exit, Exit::Dropped { reason: "health checks".into() });
    }
}
