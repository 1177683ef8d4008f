//! `enrich`: what the operator knows and the vendor does not, added to every event.

use std::collections::BTreeMap;
use std::fmt;

use bumpalo::collections::Vec as ArenaVec;
use serde::Deserialize;

use super::{Exit, Notes, Transform};
use crate::event::{Arena, Event, Member, Value};

/// Adds labels and fields to every event, after what it has of them already.
///
/// In OCSF they are `metadata.labels` and `metadata.tags`; under the envelope of `normalize = "none"` they are `labels`
/// and `fields`. Whether `redact` comes before or after makes no difference but that it redacts them, too.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Enrich {
    /// Words such as `prod`.
    pub labels: Vec<String>,
    /// Names and values such as `region = "eu"`.
    pub fields: BTreeMap<String, String>,
}

impl Enrich {
    fn ocsf<'a>(&self, metadata: Value<'a>, arena: &'a Arena) -> Value<'a> {
        let labels = self.labels(metadata.get("labels"), arena);
        let tags = self.tags(metadata.get("tags"), arena);
        with_members(metadata, [("labels", labels), ("tags", tags)], arena)
    }

    fn envelope<'a>(&self, body: Value<'a>, arena: &'a Arena) -> Value<'a> {
        let labels = self.labels(body.get("labels"), arena);
        let fields = self.fields(body.get("fields"), arena);
        with_members(body, [("labels", labels), ("fields", fields)], arena)
    }

    fn labels<'a>(&self, known: Option<Value<'a>>, arena: &'a Arena) -> Option<Value<'a>> {
        let known = known.and_then(|labels| labels.as_array()).unwrap_or_default();
        let own = self.labels.iter().map(|label| Value::String(arena.alloc_str(label)));
        (!self.labels.is_empty()).then(|| Value::Array(joined(known, own, arena)))
    }

    fn tags<'a>(&self, known: Option<Value<'a>>, arena: &'a Arena) -> Option<Value<'a>> {
        let known = known.and_then(|tags| tags.as_array()).unwrap_or_default();
        let tags = self.fields.iter().map(|(name, value)| {
            Value::Object(arena.alloc([
                Member::new("name", Value::String(arena.alloc_str(name))),
                Member::new("value", Value::String(arena.alloc_str(value))),
            ]))
        });
        (!self.fields.is_empty()).then(|| Value::Array(joined(known, tags, arena)))
    }

    fn fields<'a>(&self, known: Option<Value<'a>>, arena: &'a Arena) -> Option<Value<'a>> {
        let known = known.and_then(|fields| fields.as_object()).unwrap_or_default();
        let mut all = ArenaVec::with_capacity_in(known.len() + self.fields.len(), arena);
        all.extend(known.iter().filter(|member| !self.fields.contains_key(member.key)));
        for (name, value) in &self.fields {
            all.push(Member::new(arena.alloc_str(name), Value::String(arena.alloc_str(value))));
        }
        (!self.fields.is_empty()).then(|| Value::Object(all.into_bump_slice()))
    }
}

impl Transform for Enrich {
    fn apply<'a>(&self, event: Event<'a>, arena: &'a Arena, _: &mut Notes) -> Result<Event<'a>, Exit> {
        let is_ocsf = event.body.get("class_uid").is_some();
        let body = match event.body.get("metadata").filter(|_| is_ocsf) {
            Some(metadata) => {
                let metadata = self.ocsf(metadata, arena);
                with_members(event.body, [("metadata", Some(metadata))], arena)
            }
            None => self.envelope(event.body, arena),
        };
        Ok(Event { body, ..event })
    }
}

impl fmt::Display for Enrich {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("enrich")
    }
}

fn joined<'a, T: Copy>(known: &[T], own: impl ExactSizeIterator<Item = T>, arena: &'a Arena) -> &'a [T] {
    let mut all = ArenaVec::with_capacity_in(known.len() + own.len(), arena);
    all.extend_from_slice(known);
    all.extend(own);
    all.into_bump_slice()
}

/// `object` with these members, each in the place of one of the same key or at the end. What is no object stays so.
fn with_members<'a, const N: usize>(
    object: Value<'a>,
    members: [(&'static str, Option<Value<'a>>); N],
    arena: &'a Arena,
) -> Value<'a> {
    let Value::Object(known) = object else { return object };
    let mut all = ArenaVec::with_capacity_in(known.len() + N, arena);
    all.extend_from_slice(known);
    for (key, value) in members {
        let Some(value) = value else { continue };
        match all.iter_mut().rev().find(|member| member.key == key) {
            Some(member) => member.value = value,
            None => all.push(Member::new(key, value)),
        }
    }
    Value::Object(all.into_bump_slice())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::json;

    fn enrich() -> Enrich {
        serde_json::from_str(r#"{"labels":["prod","eu"],"fields":{"team":"blue","cost":"7"}}"#).unwrap()
    }

    fn apply(enrich: &Enrich, body: &str) -> String {
        let arena = Arena::new();
        let body = json::decode(body.as_bytes(), &arena).unwrap();
        let event = Event { id: "r-1", time: chrono::DateTime::UNIX_EPOCH, body };
        json::to_string(&enrich.apply(event, &arena, &mut Notes::default()).unwrap().body)
    }

    #[test]
    fn ocsf_has_them_in_its_metadata() {
        assert_eq!(
            apply(&enrich(), r#"{"class_uid":3004,"metadata":{"uid":"r-1","labels":["old"]},"time":0}"#),
            concat!(
                r#"{"class_uid":3004,"metadata":{"uid":"r-1","labels":["old","prod","eu"],"#,
                r#""tags":[{"name":"cost","value":"7"},{"name":"team","value":"blue"}]},"time":0}"#
            )
        );
    }

    #[test]
    fn an_envelope_has_them_at_the_top() {
        let once = apply(&enrich(), r#"{"id":"r-1","record":{"metadata":1}}"#);
        let fields = r#""fields":{"cost":"7","team":"blue"}"#;
        assert_eq!(once, format!(r#"{{"id":"r-1","record":{{"metadata":1}},"labels":["prod","eu"],{fields}}}"#));
        let more = Enrich { labels: Vec::new(), fields: [("team".to_owned(), "red".to_owned())].into() };
        let twice = apply(&more, &once);
        assert!(twice.ends_with(r#""labels":["prod","eu"],"fields":{"cost":"7","team":"red"}}"#), "{twice}");
    }

    #[test]
    fn an_ocsf_event_stays_valid() {
        use crate::transform::ocsf::{tests, validate};
        let map = tests::load(tests::TINY, &tests::identity("Example", "example", &[], &[]));
        let arena = Arena::new();
        let event = Event { id: "r-1", time: chrono::DateTime::UNIX_EPOCH, body: Value::Null };
        let enriched = apply(&enrich(), &json::to_string(&map.apply(&event, &arena).unwrap()));
        let enriched: serde_json::Value = serde_json::from_str(&enriched).unwrap();
        assert_eq!(validate::problems(&enriched), [""; 0]);
        assert_eq!(enriched["metadata"]["tags"][1]["name"], "team");
    }

    #[test]
    fn nothing_to_add_changes_nothing() {
        for body in [r#"{"class_uid":1,"metadata":{"labels":[]}}"#, r#"{"id":"r-1"}"#, "[1]"] {
            assert_eq!(apply(&Enrich::default(), body), body);
        }
    }
}
