//! `route`: which of its pipeline's sinks an event goes to.

use std::fmt;
use std::sync::Arc;

use super::condition::Matcher;
use super::{Exit, Notes, Transform};
use crate::event::{Arena, Event};

/// Names of sinks, shared by all the records that go to them.
pub type Sinks = Arc<[Arc<str>]>;

/// Chooses the sinks of each event. The first rule that fits counts.
#[derive(Debug)]
pub struct Route {
    rules: Vec<(Matcher, Sinks)>,
    otherwise: Option<Sinks>,
}

impl Route {
    /// By these rules. What fits none of them goes to `otherwise`, or without it to all sinks.
    #[must_use]
    pub fn new(rules: Vec<(Matcher, Sinks)>, otherwise: Option<Sinks>) -> Self {
        Self { rules, otherwise }
    }
}

impl Transform for Route {
    fn apply<'a>(&self, event: Event<'a>, _: &'a Arena, notes: &mut Notes) -> Result<Event<'a>, Exit> {
        let rule = self.rules.iter().find(|(matcher, _)| matcher.holds(event.body));
        notes.to = rule.map(|(_, to)| to).or(self.otherwise.as_ref()).cloned();
        Ok(event)
    }
}

impl fmt::Display for Route {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("route")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transform::condition::tests::{event, matcher};

    fn sinks(names: &[&str]) -> Sinks {
        names.iter().map(|name| Arc::from(*name)).collect()
    }

    fn to(route: &Route, body: &str) -> Option<Sinks> {
        let arena = Arena::new();
        let mut notes = Notes::default();
        route.apply(event("1", body, &arena), &arena, &mut notes).unwrap();
        notes.to
    }

    #[test]
    fn the_first_rule_that_fits_counts() {
        let rules = || {
            vec![
                (matcher(r#"{ a = "x" }"#).unwrap(), sinks(&["one"])),
                (matcher(r#"{ b = { exists = true } }"#).unwrap(), sinks(&["two", "three"])),
            ]
        };
        let route = Route::new(rules(), Some(sinks(&["rest"])));
        assert_eq!(to(&route, r#"{"a":"x","b":1}"#), Some(sinks(&["one"])));
        assert_eq!(to(&route, r#"{"a":"y","b":1}"#), Some(sinks(&["two", "three"])));
        assert_eq!(to(&route, "{}"), Some(sinks(&["rest"])));
        assert_eq!(to(&Route::new(rules(), None), "{}"), None);
    }
}
