//! What a field holds stands in an event more than once: OCSF lists it among the `observables`, ECS gathers it in
//! `related.*` and tells of one machine as `client`, `source` and `host`, enriching says about which value it found out
//! something, a vendor names one who did something to himself twice, and the vendor's record may be there as a text. What
//! hides the field has to hide all of those: a value that is the same as a hidden one is hidden, wherever it stands.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::net::IpAddr;

use super::fields::{FieldTreatment, Here};
use super::policy::Treatment;
use super::{Detector, Tally, stand_in};
use crate::event::{Arena, Member, Value, json};
use crate::transform::enrich::quotes;
use crate::transform::ocsf::is_fact;

/// A shorter text says too little to be told again elsewhere.
const SHORTEST: usize = 3;

/// The same of a number where OCSF and ECS have counts, codes, ports and the like.
const SHORTEST_NUMBER: usize = 6;

/// What is left of a record that cannot be read, where fields are to be hidden and nobody can tell where they are.
pub(super) const UNREADABLE: &str = "masked: this step hides fields, and this text has none that could be told apart";

/// Where OCSF and ECS events have what is of no type of theirs.
const UNTYPED: [&str; 6] = ["unmapped", "auditline", "enrichments", "observables", "labels", "related"];

/// Where normalizing puts the vendor's record, as a text.
const RECORDS: [&[&str]; 2] = [&["raw_data"], &["event", "original"]];

/// Members that normalizing gives the same content in all events of a pipeline, or the event's own time; of some only
/// those members of theirs. Whoever can choose what stands in a hidden field has no hold on them.
type Spared = &'static [(&'static str, &'static [&'static str])];

const OCSF: Spared = &[("metadata", &["version", "product", "log_name", "profiles"]), ("time", &[])];
const ECS: Spared = &[
    ("@timestamp", &[]),
    ("ecs", &[]),
    ("event", &["kind", "category", "type", "outcome", "module", "dataset", "provider"]),
    ("observer", &[]),
];
const ENVELOPE: Spared = &[("time", &[]), ("vendor", &[]), ("log", &[])];

/// The texts that fields hide in an event, and what hides them.
pub(super) struct Hidden<'t, 'a> {
    /// In small letters and without blanks around them; addresses as they are usually written, too.
    texts: HashMap<String, (&'a str, &'t Treatment)>,
    /// The lengths in bytes that they have, so that nearly every other text is told from them at a glance.
    lengths: u128,
    has_addresses: bool,
    /// What enriching quotes of them.
    quotes: OnceCell<Vec<(&'a str, &'t Treatment)>>,
}

impl<'t, 'a> Hidden<'t, 'a> {
    /// Those that fields of the event hide.
    pub(super) fn of(body: Value<'a>, fields: &Here<'t>) -> Self {
        let mut hidden = Self { texts: HashMap::new(), lengths: 0, has_addresses: false, quotes: OnceCell::new() };
        hidden.gather(body, fields);
        hidden
    }

    fn gather(&mut self, value: Value<'a>, here: &Here<'t>) {
        match (here.action(), value) {
            (Some(FieldTreatment::Change(by)), _) => self.gather_all(value, by),
            _ if here.is_nowhere() => {}
            (_, Value::Array(items)) => items.iter().enumerate().for_each(|(index, item)| {
                self.gather(*item, &here.below(itoa::Buffer::new().format(index)));
            }),
            (_, Value::Object(members)) => {
                members.iter().for_each(|member| self.gather(member.value, &here.below(member.key)));
            }
            _ => {}
        }
    }

    /// Adds all texts and numbers in a value that is hidden.
    pub(super) fn gather_all(&mut self, value: Value<'a>, by: &'t Treatment) {
        match value {
            Value::String(text) | Value::Number(text) => self.add(text, by),
            Value::Array(items) => items.iter().for_each(|item| self.gather_all(*item, by)),
            Value::Object(members) => members.iter().for_each(|member| self.gather_all(member.value, by)),
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn add(&mut self, text: &'a str, by: &'t Treatment) {
        let written = text.trim();
        if written.chars().count() < SHORTEST || is_fact(text) {
            return;
        }
        let address = address(written);
        self.has_addresses |= address.is_some();
        for known in address.into_iter().chain([written.to_lowercase()]) {
            self.lengths |= length(&known);
            self.texts.entry(known).or_insert((text, by));
        }
    }

    /// What hides that text. Of OCSF's own words none is a copy.
    pub(super) fn find(&self, text: &str) -> Option<&'t Treatment> {
        if text.len() < SHORTEST || is_fact(text) {
            return None;
        }
        let text = text.trim();
        let may_be = self.lengths & length(text) != 0 || !text.is_ascii();
        let known = may_be.then(|| self.texts.get(&text.to_lowercase())).flatten();
        let known = known.or_else(|| self.texts.get(&address(text).filter(|_| self.has_addresses)?));
        known.map(|(_, by)| *by)
    }

    /// What hides a text that quotes one it hides.
    fn find_quoted(&self, text: &str) -> Option<&'t Treatment> {
        let all = self.quotes.get_or_init(|| {
            let of_text = |(text, by): &(&'a str, &'t Treatment)| {
                quotes(text).map({
                    let by = *by;
                    move |quoted| (quoted, by)
                })
            };
            self.texts.values().flat_map(of_text).collect()
        });
        all.iter().find(|(quoted, _)| *quoted == text).map(|(_, by)| *by)
    }

    /// The event with the copies hidden of what is in its fields; `None` where there are none.
    pub(super) fn hide(
        &self,
        body: Value<'a>,
        here: &Here<'_>,
        arena: &'a Arena,
        tally: &mut impl Tally,
    ) -> Option<Value<'a>> {
        let members = body.as_object()?;
        let spared = spared(body);
        let mut copies = Copies { hidden: self, arena, tally };
        let mut all: Option<&'a mut [Member<'a>]> = None;
        for (at, member) in members.iter().enumerate() {
            let here = here.below(member.key);
            let spared_below = spared.and_then(|all| all.iter().find(|(key, _)| *key == member.key));
            let is_typed = spared.is_some_and(|all| all != ENVELOPE) && !UNTYPED.contains(&member.key);
            let place = Place {
                spared: spared_below.map_or(&[], |(_, below)| below),
                shortest_number: if is_typed { SHORTEST_NUMBER } else { SHORTEST },
                is_enrichment: member.key == "enrichments",
                is_of_agent: member.key == "user_agent",
            };
            let is_spared = spared_below.is_some_and(|(_, below)| below.is_empty());
            let changed = (!is_spared && !self.texts.is_empty()).then(|| copies.value(member.value, &here, place));
            let record = RECORDS.iter().find(|path| path[0] == member.key);
            let value = changed.flatten().unwrap_or(member.value);
            let masked = record.and_then(|path| mask_record(value, &path[1..], &here, arena, copies.tally));
            if let Some(value) = masked.or(changed.flatten()) {
                all.get_or_insert_with(|| arena.alloc_slice_copy(members))[at].value = value;
            }
        }
        all.map(|all| Value::Object(all))
    }
}

/// What is ours in an event of this form; `None` of what is in no form.
fn spared(body: Value<'_>) -> Option<Spared> {
    let has = |key| body.get(key).is_some();
    if has("class_uid") && has("metadata") {
        Some(OCSF)
    } else if body.get("ecs").is_some_and(|ecs| ecs.get("version").is_some()) {
        Some(ECS)
    } else {
        (has("record") && has("vendor") && has("log")).then_some(ENVELOPE)
    }
}

fn length(text: &str) -> u128 {
    1 << text.len().min(127)
}

/// The address as it is usually written, if the text is one.
fn address(text: &str) -> Option<String> {
    let begins = text.bytes().next().is_some_and(|byte| byte.is_ascii_hexdigit() || byte == b':');
    let address: IpAddr = if begins { text.parse().ok()? } else { return None };
    Some(address.to_canonical().to_string())
}

/// Goes through an event for copies.
struct Copies<'h, 't, 'a, T> {
    hidden: &'h Hidden<'t, 'a>,
    arena: &'a Arena,
    tally: &'h mut T,
}

/// What is known of a place in an event.
#[derive(Clone, Copy)]
struct Place {
    /// Members that are ours.
    spared: &'static [&'static str],
    shortest_number: usize,
    /// Whether it is an entry of `enrichments`, or their list.
    is_enrichment: bool,
    /// Whether all here is what a user agent's text says.
    is_of_agent: bool,
}

impl<'a, T: Tally> Copies<'_, '_, 'a, T> {
    /// What has an action of its own is left to it.
    fn value(&mut self, value: Value<'a>, here: &Here<'_>, place: Place) -> Option<Value<'a>> {
        if here.action().is_some() {
            return None;
        }
        match value {
            Value::String(text) => {
                let quoted = || place.is_of_agent.then(|| self.hidden.find_quoted(text)).flatten();
                let by = self.hidden.find(text).or_else(quoted)?;
                self.stand_in(text, by).map(Value::String)
            }
            Value::Number(digits) => {
                let by = self.hidden.find(digits).filter(|_| digits.len() >= place.shortest_number)?;
                match by {
                    Treatment::Mask | Treatment::Remove => {
                        self.tally.hit(Detector::Field, digits, "0");
                        Some(Value::Number("0"))
                    }
                    _ => self.stand_in(digits, by).map(Value::String),
                }
            }
            Value::Array(items) => {
                let place = Place { spared: &[], ..place };
                let mut all: Option<&'a mut [Value<'a>]> = None;
                for (at, item) in items.iter().enumerate() {
                    let here = here.below(itoa::Buffer::new().format(at));
                    if let Some(changed) = self.value(*item, &here, place) {
                        all.get_or_insert_with(|| self.arena.alloc_slice_copy(items))[at] = changed;
                    }
                }
                all.map(|all| Value::Array(all))
            }
            Value::Object(members) => {
                let is_agents =
                    place.is_enrichment && value.get("type").is_some_and(|kind| kind.as_str() == Some("user_agent"));
                let mut all: Option<&'a mut [Member<'a>]> = None;
                for (at, member) in members.iter().enumerate() {
                    if place.spared.contains(&member.key) {
                        continue;
                    }
                    let is_of_agent = place.is_of_agent || (is_agents && member.key == "data");
                    let place = Place { spared: &[], is_enrichment: false, is_of_agent, ..place };
                    if let Some(changed) = self.value(member.value, &here.below(member.key), place) {
                        all.get_or_insert_with(|| self.arena.alloc_slice_copy(members))[at].value = changed;
                    }
                }
                all.map(|all| Value::Object(all))
            }
            Value::Null | Value::Bool(_) => None,
        }
    }

    fn stand_in(&mut self, text: &str, by: &Treatment) -> Option<&'a str> {
        let by = if matches!(by, Treatment::Remove) { &Treatment::Mask } else { by };
        let stand_in = &*self.arena.alloc_str(&stand_in::whole(text, by)?);
        self.tally.hit(Detector::Field, text, stand_in);
        Some(stand_in)
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
            json::to_string(&super::walk::mask_all(body, &arena).unwrap_or(body))
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
            let masked = super::walk::mask_all(value, &arena).unwrap_or(value);
            return format!("{}{}", &reason[..at + 2], json::to_string(&masked));
        }
    }
    reason.to_owned()
}
