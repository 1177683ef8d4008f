//! What a map makes of the records it is shown, and what of OCSF it fills: for people who write maps.

use std::collections::{BTreeMap, BTreeSet};

use super::map::{Map, Rule, RuleName};
use super::run::Run;
use super::schema::{Class, Fields, Kind, schema};
use super::shape::{Constant, Leaf, Node, Shape};
use super::source::joined;
use crate::event::{Arena, Event, Path, Value};
use crate::transform::condition::word;

/// One rule of a map, the last one being what fits every record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleFacts {
    /// The class of its events.
    pub class: &'static str,
    /// What tells it from the others.
    pub name: RuleName,
}

/// What a map fills of a class, by all the rules that have it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClassFacts {
    /// Of the class's own attributes, those that are filled, and how many there are.
    pub required: (usize, usize),
    /// The same of those that OCSF advises to have.
    pub recommended: (usize, usize),
    /// The same of all others.
    pub optional: (usize, usize),
    /// What OCSF advises to have and no rule gives, in the class and the objects that are filled.
    pub lacking: Vec<String>,
}

/// What became of one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// The place of the rule that took it.
    pub rule: usize,
    /// Where each of its values went: attributes of OCSF, and `unmapped` if it is not whole in one of them.
    pub fields: BTreeMap<String, BTreeSet<String>>,
}

/// What no map has to name: every event has what there is of it.
const OURS: [&str; 3] = ["observables", "observables.name", UNMAPPED];
/// The attribute that takes what a map does not name.
const UNMAPPED: &str = "unmapped";

impl Map {
    /// The rules, in the order they are tried.
    #[must_use]
    pub fn rules(&self) -> Vec<RuleFacts> {
        let facts = |rule: &Rule| RuleFacts { class: class_of(rule).name, name: rule.name.clone() };
        self.rules.iter().map(facts).collect()
    }

    /// What is filled of each class, by its name.
    #[must_use]
    pub fn classes(&self) -> BTreeMap<&'static str, ClassFacts> {
        let mut filled: BTreeMap<&'static str, (&'static Class, Vec<&'static str>, BTreeSet<String>)> = BTreeMap::new();
        for rule in &self.rules {
            let class = class_of(rule);
            let (_, profiles, paths) =
                filled.entry(class.name).or_insert_with(|| (class, Vec::new(), OURS.map(str::to_owned).into()));
            *profiles = profiles_of(&rule.event);
            attributes(&rule.event, "", paths);
        }
        filled.into_iter().map(|(name, (class, profiles, paths))| (name, facts(class, &profiles, &paths))).collect()
    }

    /// What becomes of a record. `None` where [`apply`](Self::apply) gives none.
    #[must_use]
    pub fn trace<'a>(&self, event: &Event<'a>, arena: &'a Arena) -> Option<Trace> {
        let slots = arena.alloc_slice_fill_copy(self.source.slots(), &Value::Null);
        self.source.read(&event.body, slots);
        let mut run = Run::new(event, slots, arena);
        let mut rules = self.rules.iter().enumerate().filter(|(_, rule)| rule.holds(slots));
        let (rule, members) = rules.find_map(|(at, rule)| Some((at, rule.event.fill(&mut run, 0)?)))?;
        let paths = self.source.paths();
        let mut landed: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
        origins(&self.rules[rule].event, Value::Object(members.into_bump_slice()), "", &run, &mut landed);
        let unmapped = self.apply(event, arena)?.get(UNMAPPED).unwrap_or(Value::Null);
        let mut fields = BTreeMap::new();
        values(event.body, "", &paths, &mut |path, slot| {
            let mut places = slot.and_then(|slot| landed.get(&slot).cloned()).unwrap_or_default();
            if places.is_empty() || path.parse::<Path>().is_ok_and(|path| path.find(unmapped).is_some()) {
                places.insert(UNMAPPED.to_owned());
            }
            fields.insert(path, places);
        });
        Some(Trace { rule, fields })
    }
}

fn class_of(rule: &Rule) -> &'static Class {
    let uid = rule.event.members.iter().find(|(name, _)| name == "class_uid");
    let class = uid.and_then(|(_, node)| match node {
        Node::Leaf(Leaf { otherwise: Some(Constant::Number(uid)), .. }) => {
            schema().classes.iter().find(|class| class.uid == uid)
        }
        _ => None,
    });
    class.expect("every event says its class")
}

fn profiles_of(event: &Shape) -> Vec<&'static str> {
    let metadata = event.members.iter().find(|(name, _)| name == "metadata");
    let Some((_, Node::Object(metadata))) = metadata else { return Vec::new() };
    let profiles = metadata.members.iter().find(|(name, _)| name == "profiles");
    let Some((_, Node::Leaf(Leaf { otherwise: Some(Constant::List(names)), .. }))) = profiles else {
        return Vec::new();
    };
    let is_used = |profile: &&&str| names.iter().any(|name| matches!(name, Constant::Text(name) if name == **profile));
    schema().profiles.iter().filter(is_used).copied().collect()
}

/// The attributes that a shape may fill, dotted, those of objects in lists without their place.
fn attributes(shape: &Shape, path: &str, out: &mut BTreeSet<String>) {
    for (name, node) in &shape.members {
        let below = joined(path, name);
        out.insert(below.clone());
        match node {
            Node::Object(shape) => attributes(shape, &below, out),
            Node::List(nodes) => {
                for node in nodes {
                    if let Node::Object(shape) = node {
                        attributes(shape, &below, out);
                    }
                }
            }
            Node::Each(each) => {
                if let Node::Object(shape) = &*each.node {
                    attributes(shape, &below, out);
                }
            }
            Node::Choice(choice) => {
                out.extend(choice.sibling.map(|sibling| joined(path, sibling)));
                if !choice.types.is_empty() {
                    out.extend(["type_uid", "type_name"].map(|name| joined(path, name)));
                }
            }
            _ => {}
        }
    }
}

fn facts(class: &'static Class, profiles: &[&str], paths: &BTreeSet<String>) -> ClassFacts {
    let mut facts = ClassFacts::default();
    for attribute in class.fields.attributes.iter().filter(|attribute| attribute.exists_with(profiles)) {
        let (filled, all) = match (attribute.required, attribute.recommended) {
            (true, _) => &mut facts.required,
            (false, true) => &mut facts.recommended,
            (false, false) => &mut facts.optional,
        };
        *filled += usize::from(paths.contains(attribute.name));
        *all += 1;
    }
    lacking(&class.fields, "", profiles, paths, &mut facts.lacking);
    facts
}

fn lacking(fields: &Fields, path: &str, profiles: &[&str], paths: &BTreeSet<String>, out: &mut Vec<String>) {
    for attribute in fields.attributes.iter().filter(|attribute| attribute.exists_with(profiles)) {
        let below = joined(path, attribute.name);
        match (paths.contains(&below), attribute.kind) {
            (true, Kind::Object(name)) => {
                if let Some(fields) = schema().object(name) {
                    lacking(fields, &below, profiles, paths, out);
                }
            }
            (false, _) if attribute.recommended => out.push(below),
            _ => {}
        }
    }
}

/// Which value of the record each attribute that is there was made of.
fn origins(
    shape: &Shape,
    object: Value<'_>,
    path: &str,
    run: &Run<'_, '_>,
    out: &mut BTreeMap<usize, BTreeSet<String>>,
) {
    for (name, node) in &shape.members {
        let below = joined(path, name);
        let Some(value) = object.get(name) else { continue };
        match node {
            Node::Object(shape) => origins(shape, value, &below, run, out),
            Node::List(nodes) => {
                for node in nodes {
                    match node {
                        // An item that lacks what it needs is not there, and the others move up.
                        Node::Object(shape) => {
                            let items = value.as_array().unwrap_or_default();
                            items.iter().for_each(|item| origins(shape, *item, &below, run, out));
                        }
                        single => note(single, &below, run, out),
                    }
                }
            }
            single => note(single, &below, run, out),
        }
    }
}

fn note(node: &Node, path: &str, run: &Run<'_, '_>, out: &mut BTreeMap<usize, BTreeSet<String>>) {
    let value = |slot: &usize| run.at(*slot);
    let slot = match node {
        Node::Leaf(leaf) => leaf.slots.iter().find(|slot| leaf.fit(value(slot), run.arena).is_some()),
        Node::Choice(choice) => {
            choice.slots.iter().find(|slot| word(value(slot)).is_some_and(|word| choice.knows(word)))
        }
        Node::Id(slots) => slots.iter().find(|slot| word(value(slot)) == Some(run.event.id)),
        Node::OriginalTime(slots) => slots.iter().find(|slot| word(value(slot)).is_some()),
        Node::Each(each) => Some(&each.slot),
        Node::Object(_) | Node::List(_) | Node::Time => None,
    };
    if let Some(slot) = slot {
        out.entry(*slot).or_default().insert(path.to_owned());
    }
}

/// The values of a record that say something, with their paths: as deep as the map looks, and objects to their leaves.
fn values(value: Value<'_>, path: &str, paths: &[String], each: &mut dyn FnMut(String, Option<usize>)) {
    if value.is_empty() {
        return;
    }
    let slot = paths.iter().position(|known| known == path);
    let begins = |known: &String| known.strip_prefix(path).is_some_and(|rest| rest.starts_with('.'));
    match value {
        Value::Object(members) if slot.is_none() => {
            members.iter().for_each(|member| values(member.value, &joined(path, member.key), paths, each));
        }
        Value::Array(items) if slot.is_none() && paths.iter().any(begins) => {
            let items = items.iter().enumerate();
            items.for_each(|(at, item)| values(*item, &joined(path, &at.to_string()), paths, each));
        }
        _ => each(path.to_owned(), slot),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{identity, load};
    use super::*;
    use crate::event::json;

    const MAP: &str = r#"
[ocsf]
product = "Example"
class = "entity_management"
activity = { from = "verb", values = { add = "Create" } }
severity = "Informational"
[ocsf.map]
entity.uid = { from = "zone", otherwise = "unknown" }
comment = ["text", "note"]
[[ocsf.when]]
match = { kind = "login", "who.id" = { exists = true } }
class = "authentication"
activity = "Logon"
[ocsf.when.map]
user.uid = "who.id"
service.name = { value = "Example" }
"#;

    fn trace(record: &str) -> (usize, Vec<String>) {
        let map = load(MAP, &identity("Example", "example", &["id"], &["at"]));
        let arena = Arena::new();
        let body = json::decode(record.as_bytes(), &arena).unwrap();
        let event = Event { id: "r-1", time: chrono::DateTime::UNIX_EPOCH, body };
        let Trace { rule, fields } = map.trace(&event, &arena).unwrap();
        let line = |(field, places): (String, BTreeSet<String>)| {
            format!("{field}: {}", places.into_iter().collect::<Vec<_>>().join(" "))
        };
        (rule, fields.into_iter().map(line).collect())
    }

    #[test]
    fn every_value_is_told_where_it_went() {
        let record = r#"{"id":"r-1","at":"2026-09-14","verb":"add","zone":"z","note":"n","x":{"y":[1],"z":null}}"#;
        let expected = [
            "at: metadata.original_time",
            "id: metadata.uid",
            "note: comment",
            "verb: activity_id unmapped",
            "x.y: unmapped",
            "zone: entity.uid",
        ];
        assert_eq!(trace(record), (1, expected.map(str::to_owned).to_vec()));
        let login = trace(r#"{"kind":"login","who":{"id":"u","name":"n"},"text":"t"}"#);
        assert_eq!(
            login,
            (
                0,
                ["kind: unmapped", "text: unmapped", "who.id: user.uid", "who.name: unmapped"]
                    .map(str::to_owned)
                    .to_vec()
            )
        );
    }

    #[test]
    fn what_is_filled_and_what_is_lacking() {
        let map = load(MAP, &identity("Example", "example", &[], &[]));
        let rules = map.rules();
        let login = RuleName { line: Some(10), asks: "kind login; who.id exists true".to_owned() };
        assert_eq!(rules[0], RuleFacts { class: "authentication", name: login });
        assert_eq!(rules[1], RuleFacts { class: "entity_management", name: RuleName::default() });
        let classes = map.classes();
        let facts = &classes["entity_management"];
        assert_eq!(facts.required.0, facts.required.1);
        assert!(
            facts.lacking.contains(&"actor".to_owned()) && facts.lacking.contains(&"entity.name".to_owned()),
            "{facts:?}"
        );
        assert!(!facts.lacking.contains(&"comment".to_owned()), "{facts:?}");
    }
}
