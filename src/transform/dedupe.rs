//! `dedupe`: of events that say the same within a while, one.

use std::fmt;

use chrono::TimeDelta;

use super::condition::Matcher;
use super::{Exit, Notes, Transform};
use crate::event::{Arena, Event, Path, RecordKey, Value, fingerprint, json};

/// Gives events that say the same the same twin, by which the journal takes only the first.
///
/// Time is cut into spans of equal length, and only events of one span are twins: so this is decided by the event alone,
/// and again in the same way when it is read again.
#[derive(Debug)]
pub struct Dedupe {
    by: Vec<Path>,
    span: TimeDelta,
    matcher: Option<Matcher>,
    /// What tells this step's twins from those of a step that asks for something else.
    salt: Vec<u8>,
}

impl Dedupe {
    /// Events that fit and have the same at all these paths, with times in the same span.
    #[must_use]
    pub fn new(by: Vec<Path>, span: TimeDelta, matcher: Option<Matcher>) -> Self {
        let names: Vec<String> = by.iter().map(Path::to_string).collect();
        let salt = format!("dedupe {} {}\n", span.num_milliseconds(), names.join("\n")).into_bytes();
        Self { by, span, matcher, salt }
    }

    fn twin(&self, event: &Event) -> Option<RecordKey> {
        let mut text = self.salt.clone();
        let mut says = false;
        for path in &self.by {
            let value = path.find(event.body).filter(|value| !value.is_empty());
            says |= value.is_some();
            match value {
                // The order of keys says nothing.
                Some(value @ (Value::Array(_) | Value::Object(_))) => text.extend(fingerprint(value, &[]).bytes()),
                Some(value) => json::encode(&value, &mut text),
                None => {}
            }
            text.push(b'\n');
        }
        let span = event.time.timestamp_millis().div_euclid(self.span.num_milliseconds().max(1));
        text.extend(span.to_string().bytes());
        says.then(|| RecordKey::of_bytes(&text))
    }
}

impl Transform for Dedupe {
    fn apply<'a>(&self, event: Event<'a>, _: &'a Arena, notes: &mut Notes) -> Result<Event<'a>, Exit> {
        let fits = self.matcher.as_ref().is_none_or(|matcher| matcher.holds(event.body));
        if fits && notes.twin.is_none() {
            notes.twin = self.twin(&event);
        }
        Ok(event)
    }
}

impl fmt::Display for Dedupe {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("dedupe")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transform::condition::tests::{event, matcher};

    fn dedupe(by: &[&str], minutes: i64) -> Dedupe {
        Dedupe::new(by.iter().map(|path| path.parse().unwrap()).collect(), TimeDelta::minutes(minutes), None)
    }

    fn twin(dedupe: &Dedupe, time: &str, body: &str) -> Option<RecordKey> {
        let arena = Arena::new();
        let mut notes = Notes::default();
        let event = Event { time: time.parse().unwrap(), ..event(body, body, &arena) };
        dedupe.apply(event, &arena, &mut notes).unwrap();
        notes.twin
    }

    const NOON: &str = "2026-09-14T12:00:00Z";

    #[test]
    fn the_same_values_within_a_span_are_twins() {
        let step = dedupe(&["a", "b.c"], 5);
        let first = twin(&step, NOON, r#"{"a":1,"b":{"c":"x"},"n":1}"#);
        assert!(first.is_some());
        assert_eq!(first, twin(&step, "2026-09-14T12:04:59.999Z", r#"{"b":{"c":"x"},"n":2,"a":1}"#));
        assert_ne!(first, twin(&step, "2026-09-14T12:05:00Z", r#"{"a":1,"b":{"c":"x"}}"#));
        assert_ne!(first, twin(&step, "2026-09-14T11:59:59Z", r#"{"a":1,"b":{"c":"x"}}"#));
        for other in [r#"{"a":"1","b":{"c":"x"}}"#, r#"{"a":1}"#, r#"{"a":1,"b":{"c":"X"}}"#, r#"{"b":{"c":"x"}}"#] {
            assert_ne!(first, twin(&step, NOON, other), "{other}");
        }
    }

    #[test]
    fn what_has_none_of_it_has_no_twin() {
        for body in ["{}", r#"{"a":null,"b":""}"#, r#"{"b":[]}"#, "7"] {
            assert_eq!(twin(&dedupe(&["a", "b"], 5), NOON, body), None, "{body}");
        }
    }

    #[test]
    fn values_do_not_run_into_each_other_and_keys_have_no_order() {
        let step = dedupe(&["a", "b"], 5);
        assert_ne!(twin(&step, NOON, r#"{"a":"x"}"#), twin(&step, NOON, r#"{"b":"x"}"#));
        assert_ne!(twin(&step, NOON, r#"{"a":"1\n2"}"#), twin(&step, NOON, r#"{"a":"1","b":"2"}"#));
        assert_eq!(twin(&step, NOON, r#"{"a":{"x":1,"y":[2]}}"#), twin(&step, NOON, r#"{"a":{"y":[2],"x":1}}"#));
        assert_ne!(twin(&step, NOON, r#"{"a":1,"b":1}"#), twin(&dedupe(&["b", "a"], 5), NOON, r#"{"a":1,"b":1}"#));
    }

    #[test]
    fn the_first_step_that_fits_says_the_twin() {
        let arena = Arena::new();
        let narrow = Dedupe { matcher: Some(matcher(r#"{ a = "x" }"#).unwrap()), ..dedupe(&["a"], 5) };
        let wide = dedupe(&["b"], 5);
        let both = |body| {
            let mut notes = Notes::default();
            let event = narrow.apply(event("1", body, &arena), &arena, &mut notes).unwrap();
            wide.apply(event, &arena, &mut notes).unwrap();
            notes.twin
        };
        let alone = |step: &Dedupe, body| step.twin(&event("1", body, &arena));
        assert_eq!(both(r#"{"a":"x","b":1}"#), alone(&narrow, r#"{"a":"x","b":1}"#));
        assert_eq!(both(r#"{"a":"y","b":1}"#), alone(&wide, r#"{"a":"y","b":1}"#));
    }
}
