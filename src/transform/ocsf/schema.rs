//! What OCSF says about its classes and objects: the facts a map is checked against while it is loaded.
//!
//! The text lies in the sinks' crate, for those that write columns read it, too.

use std::collections::HashMap;
use std::sync::OnceLock;

use auditline_sinks::ocsf::FACTS;

use super::scalar::Scalar;

/// Whether it is a piece of the facts themselves, as the names, captions and numbers are that events borrow from them.
/// So nobody wrote it but OCSF, and there is nothing to look for in it.
#[inline]
#[must_use]
pub fn is_fact(text: &str) -> bool {
    FACTS.as_bytes().as_ptr_range().contains(&text.as_ptr())
}

/// The part of OCSF an audit log needs: eight classes and every object they reach.
#[derive(Debug, Default)]
pub struct Schema {
    /// The version of OCSF, as `metadata.version` has it.
    pub version: &'static str,
    /// The names of all profiles.
    pub profiles: Vec<&'static str>,
    /// The classes, by uid.
    pub classes: Vec<Class>,
    objects: HashMap<&'static str, Fields>,
    enums: Vec<Vec<Word>>,
}

/// A class of events.
#[derive(Debug)]
pub struct Class {
    /// `class_uid`, as digits.
    pub uid: &'static str,
    /// The name maps use: `api_activity`.
    pub name: &'static str,
    /// `class_name`.
    pub caption: &'static str,
    /// `category_uid`, as digits.
    pub category_uid: &'static str,
    /// `category_name`.
    pub category_name: &'static str,
    /// What its events hold.
    pub fields: Fields,
}

/// What a class or an object may and must hold.
#[derive(Debug, Default)]
pub struct Fields {
    /// By name. Empty for the object that takes anything.
    pub attributes: Vec<Attribute>,
    /// Of each of these at least one must be there.
    pub at_least_one: Vec<Vec<&'static str>>,
    /// Of each of these exactly one must be there.
    pub just_one: Vec<Vec<&'static str>>,
    /// As which of the observables such an object counts, as digits.
    pub observable: Option<&'static str>,
}

/// One attribute of a class or an object.
#[derive(Debug)]
pub struct Attribute {
    /// Its name.
    pub name: &'static str,
    /// What it holds, or a list of that.
    pub kind: Kind,
    /// Whether it is a list.
    pub list: bool,
    /// Whether an event without it is invalid, where one of its profiles is in use.
    pub required: bool,
    /// Whether OCSF advises to have it.
    pub recommended: bool,
    /// The text attribute that carries the caption of this one's number.
    pub sibling: Option<&'static str>,
    /// It exists only where one of these is in use. Empty: everywhere.
    pub profiles: Vec<&'static str>,
    /// Whether OCSF means to do away with it.
    pub deprecated: bool,
    /// As which of the observables what it holds counts, as digits.
    pub observable: Option<&'static str>,
    words: Option<usize>,
}

/// What an attribute holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A single value.
    Scalar(Scalar),
    /// The object of that name.
    Object(&'static str),
}

/// One of the values an enum attribute may have.
#[derive(Debug, PartialEq, Eq)]
pub struct Word {
    /// The value, for almost all enums a number.
    pub key: &'static str,
    /// What it is called.
    pub caption: &'static str,
}

impl Schema {
    /// The class of that name.
    #[must_use]
    pub fn class(&self, name: &str) -> Option<&Class> {
        self.classes.iter().find(|class| class.name == name)
    }

    /// What the object of that name holds.
    #[must_use]
    pub fn object(&self, name: &str) -> Option<&Fields> {
        self.objects.get(name)
    }

    /// The values `attribute` may have, unless it may have any.
    #[must_use]
    pub fn words(&self, attribute: &Attribute) -> Option<&[Word]> {
        attribute.words.map(|number| self.enums[number].as_slice())
    }

    /// As which of the observables `attribute` counts: by itself, or because of the object it holds.
    #[must_use]
    pub fn observable(&self, attribute: &Attribute) -> Option<&Word> {
        let of_object = || match attribute.kind {
            Kind::Object(name) => self.object(name)?.observable,
            Kind::Scalar(_) => None,
        };
        let number = attribute.observable.or_else(of_object)?;
        let kinds = self.words(self.object("observable")?.get("type_id")?)?;
        kinds.iter().find(|kind| kind.key == number)
    }

    fn read(facts: &'static str) -> Option<Self> {
        let mut schema = Self::default();
        let mut lines = facts.lines().filter(|line| !line.starts_with('#')).peekable();
        while let Some(line) = lines.next() {
            let (kind, rest) = line.split_once(' ')?;
            let body = std::iter::from_fn(|| Some(lines.next_if(|line| line.starts_with("  "))?.trim_start()));
            match kind {
                "version" => schema.version = rest,
                "profiles" => schema.profiles = rest.split(' ').collect(),
                "enum" => schema.enums.push(body.map(Word::read).collect::<Option<_>>()?),
                "class" => schema.classes.push(Class::read(rest, body)?),
                "object" => drop(schema.objects.insert(rest, Fields::read(body)?)),
                _ => return None,
            }
        }
        Some(schema)
    }
}

impl Class {
    fn read(head: &'static str, body: impl Iterator<Item = &'static str>) -> Option<Self> {
        let head: Vec<_> = head.split('|').collect();
        let [uid, name, caption, category_uid, category_name] = head.try_into().ok()?;
        Some(Self { uid, name, caption, category_uid, category_name, fields: Fields::read(body)? })
    }
}

impl Fields {
    /// The attribute of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Attribute> {
        let at = self.attributes.binary_search_by_key(&name, |attribute| attribute.name).ok()?;
        Some(&self.attributes[at])
    }

    /// The enum attribute whose caption the attribute `name` carries: `status_id` for `status`.
    #[must_use]
    pub fn chooser_of(&self, name: &str) -> Option<&Attribute> {
        self.attributes.iter().find(|attribute| attribute.sibling == Some(name))
    }

    fn read(body: impl Iterator<Item = &'static str>) -> Option<Self> {
        let mut fields = Self::default();
        for line in body {
            let names = |list: &'static str| list.split(' ').collect();
            match line.split_once(": ") {
                Some(("at_least_one", list)) => fields.at_least_one.push(names(list)),
                Some(("just_one", list)) => fields.just_one.push(names(list)),
                Some(("observable", number)) => fields.observable = Some(number),
                Some(_) => return None,
                None => fields.attributes.push(Attribute::read(line)?),
            }
        }
        fields.attributes.sort_by_key(|attribute| attribute.name);
        Some(fields)
    }
}

impl Attribute {
    /// Whether it exists where these profiles are in use.
    #[must_use]
    pub fn exists_with(&self, profiles: &[&str]) -> bool {
        self.profiles.is_empty() || self.profiles.iter().any(|profile| profiles.contains(profile))
    }

    fn read(line: &'static str) -> Option<Self> {
        let mut parts = line.split(' ');
        let (name, kind) = (parts.next()?, parts.next()?);
        let (kind, list) = kind.strip_suffix("[]").map_or((kind, false), |kind| (kind, true));
        let kind = match kind.strip_prefix('{') {
            Some(object) => Kind::Object(object.strip_suffix('}')?),
            None => Kind::Scalar(Scalar::of_type(kind)?),
        };
        let mut attribute = Self {
            name,
            kind,
            list,
            required: false,
            recommended: false,
            sibling: None,
            profiles: Vec::new(),
            deprecated: false,
            observable: None,
            words: None,
        };
        for part in parts {
            match part.split_once('=').unwrap_or((part, "")) {
                ("!", _) => attribute.required = true,
                ("?", _) => attribute.recommended = true,
                ("deprecated", _) => attribute.deprecated = true,
                ("sibling", name) => attribute.sibling = Some(name),
                ("observable", number) => attribute.observable = Some(number),
                ("profiles", names) => attribute.profiles = names.split(',').collect(),
                ("enum", number) => attribute.words = Some(number.parse().ok()?),
                _ => return None,
            }
        }
        Some(attribute)
    }
}

impl Word {
    fn read(line: &'static str) -> Option<Self> {
        let (key, caption) = line.split_once('=')?;
        Some(Self { key, caption })
    }
}

/// The facts of the OCSF version we write. Read once, when the first map is loaded.
#[must_use]
pub fn schema() -> &'static Schema {
    static SCHEMA: OnceLock<Schema> = OnceLock::new();
    SCHEMA.get_or_init(|| Schema::read(FACTS).expect("a test reads the embedded facts"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fact_is_told_by_where_it_stands_and_not_by_what_it_says() {
        let class = schema().class("authentication").unwrap();
        for fact in [class.caption, class.uid, class.name, class.fields.attributes[0].name] {
            assert!(is_fact(fact), "{fact}");
            let copy = fact.to_owned();
            assert!(!is_fact(&copy), "{fact}");
        }
        assert!(!is_fact(""));
    }

    #[test]
    fn the_facts_are_whole() {
        let schema = schema();
        assert_eq!(schema.version, "1.8.0");
        assert_eq!((schema.classes.len(), schema.objects.len()), (8, 120));
        let objects = schema.objects.values();
        for fields in schema.classes.iter().map(|class| &class.fields).chain(objects) {
            for attribute in &fields.attributes {
                if let Kind::Object(name) = attribute.kind {
                    assert!(schema.object(name).is_some(), "{name}");
                }
                if let Some(sibling) = attribute.sibling {
                    assert!(fields.get(sibling).is_some(), "{sibling}");
                }
                assert!(attribute.profiles.iter().all(|profile| schema.profiles.contains(profile)));
                assert!(attribute.words.is_none_or(|number| !schema.enums[number].is_empty()));
                let counts = attribute.observable.is_some();
                assert!(!counts || schema.observable(attribute).is_some(), "{}", attribute.name);
            }
            for name in fields.at_least_one.iter().chain(&fields.just_one).flatten() {
                assert!(fields.get(name).is_some(), "{name}");
            }
        }
    }

    #[test]
    fn observables_are_known_by_attribute_by_type_and_by_object() {
        let kind = |object: &str, attribute: &str| {
            let word = schema().observable(schema().object(object).unwrap().get(attribute).unwrap());
            word.map(|Word { key, caption }| (*key, *caption))
        };
        assert_eq!(kind("http_request", "user_agent"), Some(("16", "HTTP User-Agent")));
        assert_eq!(kind("user", "uid"), Some(("31", "User Object: uid")));
        assert_eq!(kind("user", "name"), Some(("4", "User Name")));
        assert_eq!(kind("user", "email_addr"), Some(("5", "Email Address")));
        assert_eq!(kind("resource_details", "uid"), Some(("10", "Resource UID")));
        assert_eq!(kind("network_endpoint", "ip"), Some(("2", "IP Address")));
        assert_eq!(kind("http_request", "url"), Some(("23", "Uniform Resource Locator")));
        assert_eq!(kind("actor", "user"), Some(("21", "User")));
        assert_eq!(kind("api", "operation"), None);
    }

    #[test]
    fn a_class_knows_its_attributes() {
        let class = schema().class("api_activity").unwrap();
        assert_eq!((class.uid, class.category_uid, class.category_name), ("6003", "6", "Application Activity"));
        let resources = class.fields.get("resources").unwrap();
        assert_eq!(
            (resources.kind, resources.list, resources.required),
            (Kind::Object("resource_details"), true, false)
        );
        assert!(resources.recommended && !class.fields.get("api").unwrap().recommended);
        let status = class.fields.chooser_of("status").unwrap();
        assert_eq!(status.name, "status_id");
        assert_eq!(schema().words(status).unwrap()[2], Word { key: "2", caption: "Failure" });
        let types = schema().words(class.fields.get("type_uid").unwrap()).unwrap();
        assert_eq!(types[1], Word { key: "600301", caption: "API Activity: Create" });
        assert!(!class.fields.get("device").unwrap().exists_with(&["cloud"]));
        assert!(class.fields.get("device").unwrap().exists_with(&["host"]));
        assert!(schema().class("api_activities").is_none());
    }
}
