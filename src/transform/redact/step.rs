//! Redaction as a step of a pipeline: every text of an event, wherever it stands, keys too.

use std::fmt;
use std::sync::LazyLock;

use super::{EmailAction, Hits, IpAction, Policy, Redactor};
use crate::event::{Arena, Event, Member, Value};
use crate::transform::{Exit, Notes, Transform};

/// Redacts every text of an event.
#[derive(Debug)]
pub struct Redact {
    redactor: Redactor,
}

impl Redact {
    /// Redacts as `redactor` does.
    #[must_use]
    pub fn new(redactor: Redactor) -> Self {
        Self { redactor }
    }

    /// The redacted value, `None` when there is nothing in it to redact: nothing is copied then.
    fn value<'a>(&self, value: Value<'a>, arena: &'a Arena, hits: &mut Hits) -> Option<Value<'a>> {
        match value {
            Value::String(text) => Some(Value::String(self.share(text, arena, hits)?)),
            Value::Array(items) => {
                let changed = changed(items, |item| self.value(*item, arena, hits), arena)?;
                Some(Value::Array(changed))
            }
            Value::Object(members) => {
                let change = |member: &Member<'a>| {
                    let key = self.share(member.key, arena, hits);
                    let value = self.value(member.value, arena, hits);
                    if key.is_none() && value.is_none() {
                        return None;
                    }
                    Some(Member::new(key.unwrap_or(member.key), value.unwrap_or(member.value)))
                };
                Some(Value::Object(changed(members, change, arena)?))
            }
            // A number holds no address: `1.2` is no IP, and there is no number with two dots.
            Value::Null | Value::Bool(_) | Value::Number(_) => None,
        }
    }

    fn share<'a>(&self, text: &str, arena: &'a Arena, hits: &mut Hits) -> Option<&'a str> {
        self.redactor.text(text, hits).map(|text| &*arena.alloc_str(&text))
    }
}

/// A copy of `items` with what changed, `None` when nothing did.
fn changed<'a, T: Copy>(items: &'a [T], mut change: impl FnMut(&T) -> Option<T>, arena: &'a Arena) -> Option<&'a [T]> {
    let (first, replaced) = items.iter().enumerate().find_map(|(index, item)| Some((index, change(item)?)))?;
    let copy = arena.alloc_slice_copy(items);
    copy[first] = replaced;
    for item in &mut copy[first + 1..] {
        if let Some(replaced) = change(item) {
            *item = replaced;
        }
    }
    Some(copy)
}

impl fmt::Display for Redact {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("redact")
    }
}

impl Transform for Redact {
    fn apply<'a>(&self, event: Event<'a>, arena: &'a Arena, notes: &mut Notes) -> Result<Event<'a>, Exit> {
        let body = self.value(event.body, arena, &mut notes.hits).unwrap_or(event.body);
        Ok(Event { body, ..event })
    }

    fn text(&self, text: String) -> String {
        self.redactor.text(&text, &mut Hits::default()).unwrap_or(text)
    }
}

/// A text for people, with all addresses masked: what a vendor said, before it reaches a log.
#[must_use]
pub fn masked(text: &str) -> String {
    static MASK: LazyLock<Redactor> = LazyLock::new(|| {
        let policy = Policy { emails: Some(EmailAction::Mask), ips: Some(IpAction::Mask), key: None };
        Redactor::new(policy).expect("masking needs no key")
    });
    MASK.text(text, &mut Hits::default()).unwrap_or_else(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::json;

    #[test]
    fn texts_and_keys_at_any_depth_are_redacted_and_the_rest_is_shared() {
        let policy = Policy { emails: Some(EmailAction::Mask), ips: None, key: None };
        let redact = Redact::new(Redactor::new(policy).unwrap());
        let arena = Arena::new();
        let text = br#"{"a":[1,{"anna@example.com":{"b":"by anna@example.com"}}],"c":{"d":"x"}}"#;
        let event = Event { id: "1", time: chrono::DateTime::UNIX_EPOCH, body: json::decode(text, &arena).unwrap() };
        let mut notes = Notes::default();
        let done = redact.apply(event, &arena, &mut notes).unwrap();
        assert!(!json::to_string(&done.body).contains("anna"));
        assert_eq!(notes.hits.emails, 2);
        assert!(std::ptr::eq(
            event.body.get("c").unwrap().as_object().unwrap(),
            done.body.get("c").unwrap().as_object().unwrap()
        ));
    }
}
