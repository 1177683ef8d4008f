//! What a field holds stands in an event more than once: OCSF lists it among the `observables`, ECS gathers it in
//! `related.*` and tells of one machine as `client`, `source` and `host`, and the vendor's record may be there as a text.
//! What hides the field has to hide those too.

use std::collections::HashMap;

use super::fields::{FieldTreatment, Here, Tree};
use super::policy::Treatment;
use super::{Detector, Tally, stand_in};
use crate::event::{Arena, Member, Value, json};

/// A shorter text says too little to be told again elsewhere.
const SHORTEST: usize = 3;

/// What is left of a record that cannot be read, where fields are to be hidden and nobody can tell where they are.
pub(super) const UNREADABLE: &str = "masked: this step hides fields, and this text has none that could be told apart";

/// Members of an event in which what other fields hold is told again.
const PLACES: [&str; 10] =
    ["observables", "related", "client", "source", "server", "destination", "host", "user", "message", "url"];

/// Where normalizing puts the vendor's record, as a text.
const RECORDS: [&[&str]; 2] = [&["raw_data"], &["event", "original"]];

/// The texts that fields hide in an event, and what hides them.
#[derive(Default)]
struct Hidden<'t>(HashMap<String, &'t Treatment>);

/// The event with the copies hidden of what is in its fields; `None` where there are none.
pub(super) fn hide<'a>(body: Value<'a>, tree: &Tree, arena: &'a Arena, tally: &mut impl Tally) -> Option<Value<'a>> {
    let mut hidden = Hidden::default();
    hidden.gather(body, &Here::at(tree), None);
    let members = body.as_object()?;
    let mut all: Option<&'a mut [Member<'a>]> = None;
    for (at, member) in members.iter().enumerate() {
        let here = Here::at(tree).below(member.key);
        let changed = match member.key {
            key if PLACES.contains(&key) => hidden.copies(member.value, &here, arena, tally),
            _ => None,
        };
        let record = RECORDS.iter().find(|path| path[0] == member.key);
        let changed = record.and_then(|path| mask_record(member.value, &path[1..], &here, arena, tally)).or(changed);
        if let Some(value) = changed {
            all.get_or_insert_with(|| arena.alloc_slice_copy(members))[at].value = value;
        }
    }
    all.map(|all| Value::Object(all))
}

impl<'t> Hidden<'t> {
    fn gather(&mut self, value: Value<'_>, here: &Here<'t>, by: Option<&'t Treatment>) {
        let by = match (by, here.action()) {
            (Some(by), _) => Some(by),
            (None, Some(FieldTreatment::Change(treatment))) => Some(treatment),
            (None, _) if here.is_nowhere() => return,
            (None, _) => None,
        };
        match value {
            Value::String(text) | Value::Number(text) => {
                if let Some(by) = by.filter(|_| text.chars().count() >= SHORTEST) {
                    self.0.entry(text.to_lowercase()).or_insert(by);
                }
            }
            Value::Array(items) => items.iter().enumerate().for_each(|(index, item)| {
                self.gather(*item, &here.below(itoa::Buffer::new().format(index)), by);
            }),
            Value::Object(members) => {
                members.iter().for_each(|member| self.gather(member.value, &here.below(member.key), by));
            }
            Value::Null | Value::Bool(_) => {}
        }
    }

    /// What has an action of its own is left to it.
    fn copies<'a>(
        &self,
        value: Value<'a>,
        here: &Here<'_>,
        arena: &'a Arena,
        tally: &mut impl Tally,
    ) -> Option<Value<'a>> {
        if here.action().is_some() {
            return None;
        }
        match value {
            Value::String(text) | Value::Number(text) => {
                let by = self.0.get(&text.to_lowercase())?;
                let by = if matches!(by, Treatment::Remove) { &Treatment::Mask } else { by };
                let stand_in = &*arena.alloc_str(&stand_in::whole(text, by)?);
                tally.hit(Detector::Field, text, stand_in);
                Some(Value::String(stand_in))
            }
            Value::Array(items) => {
                let mut all: Option<&'a mut [Value<'a>]> = None;
                for (at, item) in items.iter().enumerate() {
                    let here = here.below(itoa::Buffer::new().format(at));
                    if let Some(changed) = self.copies(*item, &here, arena, tally) {
                        all.get_or_insert_with(|| arena.alloc_slice_copy(items))[at] = changed;
                    }
                }
                all.map(|all| Value::Array(all))
            }
            Value::Object(members) => {
                let mut all: Option<&'a mut [Member<'a>]> = None;
                for (at, member) in members.iter().enumerate() {
                    if let Some(changed) = self.copies(member.value, &here.below(member.key), arena, tally) {
                        all.get_or_insert_with(|| arena.alloc_slice_copy(members))[at].value = changed;
                    }
                }
                all.map(|all| Value::Object(all))
            }
            Value::Null | Value::Bool(_) => None,
        }
    }
}

/// The record at the end of the path, masked, unless it has an action of its own.
fn mask_record<'a>(
    value: Value<'a>,
    path: &[&str],
    here: &Here<'_>,
    arena: &'a Arena,
    tally: &mut impl Tally,
) -> Option<Value<'a>> {
    if here.action().is_some() {
        return None;
    }
    match (value, path) {
        (Value::String(text), []) if !text.is_empty() => {
            let masked = &*arena.alloc_str(&masked_record(text));
            (masked != text).then(|| {
                tally.hit(Detector::Field, text, masked);
                Value::String(masked)
            })
        }
        (Value::Object(members), [name, rest @ ..]) => {
            let at = members.iter().position(|member| member.key == *name)?;
            let changed = mask_record(members[at].value, rest, &here.below(name), arena, tally)?;
            let all = arena.alloc_slice_copy(members);
            all[at].value = changed;
            Some(Value::Object(all))
        }
        _ => None,
    }
}

/// A vendor's record with all its texts and numbers masked: the paths of fields are those of events, so nothing tells
/// which of its values are those that must not be seen. Its form remains.
pub(super) fn masked_record(text: &str) -> String {
    let arena = Arena::new();
    match json::decode(text.as_bytes(), &arena) {
        Ok(body @ (Value::Array(_) | Value::Object(_))) => {
            json::to_string(&super::step::mask_all(body, &arena).unwrap_or(body))
        }
        _ => UNREADABLE.to_owned(),
    }
}

/// What is told of a record as the reason why it is none, without what is quoted from it: behind the last colon, or in
/// quotes.
pub(super) fn masked_reason(reason: &str) -> String {
    let arena = Arena::new();
    for (at, _) in reason.match_indices(": ") {
        let quoted = &reason[at + 2..];
        if let Ok(value) = json::decode(quoted.trim_end().as_bytes(), &arena) {
            let masked = super::step::mask_all(value, &arena).unwrap_or(value);
            return format!("{}{}", &reason[..at + 2], json::to_string(&masked));
        }
    }
    reason.to_owned()
}
