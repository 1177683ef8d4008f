//! What OCSF says about its classes and objects, as far as a destination with columns has to know it.
//!
//! `schema-1.8.0.txt` is written by `generate.py` from the OCSF project's schema; its licence lies beside it. The maps of
//! the connectors are checked against the same text.

use std::collections::HashMap;
use std::sync::OnceLock;

use serde::Deserialize;
use serde_json::value::RawValue;

/// The facts, in the form that `generate.py` describes in their first lines.
pub static FACTS: &str = include_str!("ocsf/schema-1.8.0.txt");

/// The version of OCSF the facts are of.
pub const VERSION: &str = "1.8.0";

/// A class of events.
#[derive(Debug)]
pub struct Class {
    /// `class_uid`, as digits.
    pub uid: &'static str,
    /// The name in OCSF's own files: `api_activity`.
    pub name: &'static str,
    pub(crate) attributes: Vec<Attribute>,
}

/// One attribute of a class or an object.
#[derive(Debug)]
pub(crate) struct Attribute {
    pub name: &'static str,
    /// `string_t`, or an object's name in braces.
    pub kind: &'static str,
    pub list: bool,
    /// The attribute exists only where one of these is in use. Empty: everywhere.
    pub profiles: Vec<&'static str>,
    /// OCSF means to do away with it.
    pub deprecated: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Facts {
    pub classes: Vec<Class>,
    objects: HashMap<&'static str, Vec<Attribute>>,
}

/// The class of an event, if it is one of those the facts know. `None` for what is no OCSF event.
#[must_use]
pub fn class_of(json: &[u8]) -> Option<&'static Class> {
    #[derive(Deserialize)]
    struct Event<'a> {
        #[serde(borrow)]
        class_uid: Option<&'a RawValue>,
    }
    let uid = serde_json::from_slice::<Event<'_>>(json).ok()?.class_uid?;
    facts().classes.iter().find(|class| class.uid == uid.get())
}

/// Read once, when the first record asks.
pub(crate) fn facts() -> &'static Facts {
    static READ: OnceLock<Facts> = OnceLock::new();
    READ.get_or_init(Facts::read)
}

impl Facts {
    /// The members of the object of that name. Empty for the one that takes anything.
    pub fn object(&self, name: &str) -> &[Attribute] {
        self.objects.get(name).map_or(&[], Vec::as_slice)
    }

    fn read() -> Self {
        let mut facts = Self::default();
        let mut lines = FACTS.lines().filter(|line| !line.starts_with('#')).peekable();
        while let Some(line) = lines.next() {
            let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
            let body = std::iter::from_fn(|| lines.next_if(|line| line.starts_with("  ")));
            match kind {
                "class" => {
                    let mut head = rest.split('|');
                    let (uid, name) = (head.next().unwrap_or_default(), head.next().unwrap_or_default());
                    facts.classes.push(Class { uid, name, attributes: attributes(body) });
                }
                "object" => drop(facts.objects.insert(rest, attributes(body))),
                _ => body.for_each(drop),
            }
        }
        facts
    }
}

fn attributes(lines: impl Iterator<Item = &'static str>) -> Vec<Attribute> {
    // `at_least_one: …` and the like say something of the whole.
    let mut attributes: Vec<_> = lines.filter(|line| !line.contains(": ")).filter_map(Attribute::read).collect();
    attributes.sort_by_key(|attribute| attribute.name);
    attributes
}

impl Attribute {
    fn read(line: &'static str) -> Option<Self> {
        let mut parts = line.split_whitespace();
        let (name, kind) = (parts.next()?, parts.next()?);
        let (kind, list) = kind.strip_suffix("[]").map_or((kind, false), |kind| (kind, true));
        let mut attribute = Self { name, kind, list, profiles: Vec::new(), deprecated: false };
        for part in parts {
            match part.split_once('=').unwrap_or((part, "")) {
                ("deprecated", _) => attribute.deprecated = true,
                ("profiles", names) => attribute.profiles = names.split(',').collect(),
                _ => {}
            }
        }
        Some(attribute)
    }

    /// The name of the object it holds, if it is one.
    pub fn object(&self) -> Option<&'static str> {
        self.kind.strip_prefix('{')?.strip_suffix('}')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_facts_are_whole() {
        let facts = facts();
        assert!(FACTS.contains(&format!("\nversion {VERSION}\n")));
        assert_eq!((facts.classes.len(), facts.objects.len()), (8, 120));
        let of_classes = facts.classes.iter().map(|class| &class.attributes);
        for attribute in of_classes.chain(facts.objects.values()).flatten() {
            if let Some(object) = attribute.object() {
                assert!(facts.objects.contains_key(object), "{object}");
            }
        }
    }

    #[test]
    fn an_event_tells_its_class_at_the_top() {
        let name = |json: &str| class_of(json.as_bytes()).map(|class| class.name);
        assert_eq!(name(r#"{"time":1,"class_uid":6003}"#), Some("api_activity"));
        assert_eq!(name(r#"{"unmapped":{"class_uid":6003}}"#), None);
        assert_eq!(name(r#"{"class_uid":"6003"}"#), None);
        assert_eq!(name(r#"{"class_uid":4001}"#), None);
        assert_eq!(name(r#"["class_uid",6003]"#), None);
    }
}
