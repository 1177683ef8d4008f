//! A few values out of a record's JSON: found in one pass that builds nothing else, and borrowed where they can be.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Where a value stands in an event: `actor.user.uid`, `resources.0.name`, `"a key.with dots".id`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Path(Vec<String>);

/// Which values are looked for, in all of the templates that are filled with one record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    paths: Vec<Path>,
    /// The same as a tree: each part of an event is held against few names, whatever is looked for in others.
    tree: Node,
}

/// What is looked for from some place in an event on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Node {
    /// The value itself is wanted: which of the paths ends here.
    at: Option<usize>,
    within: Vec<(String, Node)>,
}

impl Node {
    fn child(&self, part: &str) -> Option<&Self> {
        self.within.iter().find(|(name, _)| name == part).map(|(_, node)| node)
    }

    fn find<'a>(&self, mut parts: impl Iterator<Item = &'a str>) -> Option<usize> {
        parts.try_fold(self, Self::child)?.at
    }

    fn insert(&mut self, parts: &[String], at: usize) {
        let Some((first, rest)) = parts.split_first() else {
            self.at = Some(at);
            return;
        };
        let place = self.within.iter().position(|(name, _)| name == first).unwrap_or_else(|| {
            self.within.push((first.clone(), Self::default()));
            self.within.len() - 1
        });
        self.within[place].1.insert(rest, at);
    }
}

/// What a record has of the [`Wanted`].
#[derive(Debug)]
pub struct Event<'a> {
    wanted: &'a Wanted,
    found: Vec<Option<Cow<'a, str>>>,
}

/// Where an OCSF event says who acted, the best name first: an id stays while people and machines are renamed.
const OCSF: [&[&str]; 5] = [
    &["actor", "user", "uid"],
    &["actor", "user", "email_addr"],
    &["actor", "user", "name"],
    &["actor", "app_uid"],
    &["actor", "app_name"],
];
/// Who it was that logged in or out; in any other event of OCSF this is whom it was done to.
const OCSF_USER: [&[&str]; 3] = [&["user", "uid"], &["user", "email_addr"], &["user", "name"]];
const AUTHENTICATION: &str = "3002";
const ECS: [&[&str]; 3] = [&["user", "id"], &["user", "email"], &["user", "name"]];
const CLASS: &[&str] = &["class_uid"];
const OCSF_VERSION: &[&str] = &["metadata", "version"];
const ECS_VERSION: &[&str] = &["ecs", "version"];

impl Wanted {
    /// Looks for this value too.
    pub fn add(&mut self, path: &Path) {
        if !self.paths.contains(path) {
            self.tree.insert(&path.0, self.paths.len());
            self.paths.push(path.clone());
        }
    }

    /// Looks for what [`Event::actor`] needs.
    pub fn add_actor(&mut self) {
        self.add_all(&OCSF);
        self.add_all(&OCSF_USER);
        self.add_all(&ECS);
        self.add_schema();
    }

    /// Looks for what [`Event::schema`] and [`Event::class`] need.
    pub fn add_schema(&mut self) {
        self.add_all(&[CLASS, OCSF_VERSION, ECS_VERSION]);
    }

    fn add_all(&mut self, paths: &[&[&str]]) {
        for path in paths {
            self.add(&Path(path.iter().map(|&part| part.to_owned()).collect()));
        }
    }

    /// Looks for all that the other does.
    pub fn join(&mut self, other: &Self) {
        other.paths.iter().for_each(|path| self.add(path));
    }

    /// Reads a record, unless nothing is wanted. What is behind a mistake in the JSON is not found.
    #[must_use]
    pub fn read<'a>(&'a self, json: &'a [u8]) -> Event<'a> {
        let mut found = Vec::new();
        if !self.paths.is_empty() {
            found.resize(self.paths.len(), None);
            let walk = Walk { node: &self.tree, found: &mut found };
            let _ = walk.deserialize(&mut serde_json::Deserializer::from_slice(json));
        }
        Event { wanted: self, found }
    }
}

impl Event<'_> {
    /// The text, number or boolean at `path`; `None` for anything else and where nothing was looked for.
    #[must_use]
    pub fn get(&self, path: &Path) -> Option<&str> {
        let at = self.wanted.tree.find(path.0.iter().map(String::as_str))?;
        self.found.get(at)?.as_deref()
    }

    /// Who acted, where the event says so in OCSF's or ECS's words. A name that redaction has masked is nobody's.
    #[must_use]
    pub fn actor(&self) -> Option<&str> {
        if self.at(ECS_VERSION).is_some() {
            return self.named(&ECS);
        }
        let user = self.at(CLASS).filter(|class| *class == AUTHENTICATION).and_then(|_| self.named(&OCSF_USER));
        self.named(&OCSF).or(user)
    }

    /// Which schema the event says it follows, and its version: `ocsf` and `1.8.0`.
    #[must_use]
    pub fn schema(&self) -> Option<(&'static str, &str)> {
        match (self.at(ECS_VERSION), self.class(), self.at(OCSF_VERSION)) {
            (Some(version), _, _) => Some(("ecs", version)),
            (None, Some(_), Some(version)) => Some(("ocsf", version)),
            _ => None,
        }
    }

    /// The number of its class, if it is an event of OCSF.
    #[must_use]
    pub fn class(&self) -> Option<&str> {
        self.at(CLASS).filter(|class| class.bytes().all(|digit| digit.is_ascii_digit()))
    }

    fn named(&self, paths: &[&[&str]]) -> Option<&str> {
        paths.iter().filter_map(|path| self.at(path)).find(|name| !name.is_empty() && !is_masked(name))
    }

    fn at(&self, path: &[&str]) -> Option<&str> {
        let at = self.wanted.tree.find(path.iter().copied())?;
        self.found.get(at)?.as_deref()
    }
}

/// What the transform `redact` puts in the place of every e-mail address alike.
fn is_masked(name: &str) -> bool {
    name.starts_with("masked@")
}

impl FromStr for Path {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = Vec::new();
        let mut rest = text;
        loop {
            let (part, after) = match rest.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"').ok_or("a quote is not closed")?,
                None => rest.split_at(rest.find('.').unwrap_or(rest.len())),
            };
            if part.is_empty() {
                return Err("a part of it is empty");
            }
            parts.push(part.to_owned());
            if after.is_empty() {
                return Ok(Self(parts));
            }
            rest = after.strip_prefix('.').ok_or("after a quoted part comes a dot")?;
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, part) in self.0.iter().enumerate() {
            let dot = if at == 0 { "" } else { "." };
            if part.contains('.') { write!(f, "{dot}\"{part}\"")? } else { write!(f, "{dot}{part}")? }
        }
        Ok(())
    }
}

/// One step into the JSON, with what is looked for from here on.
struct Walk<'w, 'f, 'j> {
    node: &'w Node,
    found: &'f mut Vec<Option<Cow<'j, str>>>,
}

impl<'w, 'j> Walk<'w, '_, 'j> {
    fn step(&mut self, node: &'w Node) -> Walk<'w, '_, 'j> {
        Walk { node, found: self.found }
    }

    fn store(self, value: Cow<'j, str>) {
        if let Some(at) = self.node.at {
            self.found[at] = Some(value);
        }
    }
}

impl<'j> DeserializeSeed<'j> for Walk<'_, '_, 'j> {
    type Value = ();

    fn deserialize<D: Deserializer<'j>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'j> Visitor<'j> for Walk<'_, '_, 'j> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'j>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(Key(key)) = map.next_key()? {
            match self.node.child(&key) {
                Some(node) => map.next_value_seed(self.step(node))?,
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'j>>(mut self, mut items: A) -> Result<(), A::Error> {
        for at in 0usize.. {
            let more = match self.node.child(&at.to_string()) {
                Some(node) => items.next_element_seed(self.step(node))?.is_some(),
                None => items.next_element::<IgnoredAny>()?.is_some(),
            };
            if !more {
                break;
            }
        }
        Ok(())
    }

    fn visit_borrowed_str<E>(self, text: &'j str) -> Result<(), E> {
        self.store(Cow::Borrowed(text));
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.store(Cow::Owned(text.to_owned()));
        Ok(())
    }

    fn visit_bool<E>(self, yes: bool) -> Result<(), E> {
        self.store(Cow::Borrowed(if yes { "true" } else { "false" }));
        Ok(())
    }

    fn visit_i64<E>(self, number: i64) -> Result<(), E> {
        self.store(Cow::Owned(number.to_string()));
        Ok(())
    }

    fn visit_u64<E>(self, number: u64) -> Result<(), E> {
        self.store(Cow::Owned(number.to_string()));
        Ok(())
    }

    fn visit_f64<E>(self, number: f64) -> Result<(), E> {
        self.store(Cow::Owned(number.to_string()));
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn actor(json: &str) -> Option<String> {
        let mut wanted = Wanted::default();
        wanted.add_actor();
        wanted.read(json.as_bytes()).actor().map(str::to_owned)
    }

    fn value(path: &str, json: &str) -> Option<String> {
        let path: Path = path.parse().unwrap();
        let mut wanted = Wanted::default();
        wanted.add(&path);
        wanted.add(&"a.z".parse().unwrap());
        wanted.read(json.as_bytes()).get(&path).map(str::to_owned)
    }

    #[test]
    fn whoever_acted_is_known_by_what_changes_least() {
        for (json, expected) in [
            (r#"{"actor":{"user":{"uid":"u1","name":"Ann","email_addr":"ann@example.com"}}}"#, Some("u1")),
            (r#"{"actor":{"user":{"uid":17,"name":"Ann"}}}"#, Some("17")),
            (r#"{"actor":{"user":{"uid":"","email_addr":"p-7@pseudonym.invalid"}}}"#, Some("p-7@pseudonym.invalid")),
            (r#"{"actor":{"user":{"email_addr":"masked@masked.invalid","name":"Ann"}}}"#, Some("Ann")),
            (r#"{"actor":{"user":{"uid":null},"app_name":"deployer"}}"#, Some("deployer")),
            (r#"{"class_uid":3001,"user":{"uid":"target"}}"#, None),
            (r#"{"class_uid":3002,"user":{"uid":"who-logs-in"}}"#, Some("who-logs-in")),
            (r#"{"class_uid":3002,"actor":{"user":{"uid":"a"}},"user":{"uid":"b"}}"#, Some("a")),
            (r#"{"ecs":{"version":"9.4.0"},"user":{"id":"c81e","name":"n"}}"#, Some("c81e")),
            (r#"{"user":{"id":"c81e"}}"#, None),
            (r#"{"actor":"ann"}"#, None),
            ("{}", None),
            ("not JSON", None),
        ] {
            assert_eq!(actor(json).as_deref(), expected, "{json}");
        }
    }

    #[test]
    fn finds_what_is_plain_and_nothing_else() {
        let json = r#"{"a":{"b":["x",{"c":true}],"d.e":-1.5,"n":null,"o":{}, "z":1},"t":"a\"bü","big":1e400}"#;
        for (path, expected) in [
            ("a.b.0", Some("x")),
            ("a.b.1.c", Some("true")),
            ("a.b.2", None),
            ("a.\"d.e\"", Some("-1.5")),
            ("a.n", None),
            ("a.o", None),
            ("a", None),
            ("t", Some("a\"bü")),
            ("big", None),
        ] {
            assert_eq!(value(path, json).as_deref(), expected, "{path}");
        }
        assert_eq!(value("a", r#"{"a":"text"}"#).as_deref(), Some("text"));
    }

    /// What stands there by a parser that builds it all.
    fn by_hand(path: &Path, json: &serde_json::Value) -> Option<String> {
        use serde_json::Value;
        let found = path.0.iter().try_fold(json, |value, part| match value {
            Value::Object(map) => map.get(part),
            Value::Array(items) => items.get(part.parse::<usize>().ok()?),
            _ => None,
        })?;
        match found {
            Value::String(text) => Some(text.clone()),
            Value::Number(_) | Value::Bool(_) => Some(found.to_string()),
            _ => None,
        }
    }

    fn any_json() -> impl proptest::strategy::Strategy<Value = serde_json::Value> {
        use proptest::prelude::*;
        use serde_json::{Value, json};
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(|it| json!(it)),
            any::<i64>().prop_map(|it| json!(it)),
            "[a-c\"\\\\ü\n]{0,4}".prop_map(|it| json!(it)),
        ];
        leaf.prop_recursive(4, 40, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
                prop::collection::btree_map("[a-c]", inner, 0..4).prop_map(|map| map.into_iter().collect()),
            ]
        })
    }

    proptest::proptest! {
        #[test]
        fn finds_what_a_whole_parse_would(json in any_json(), paths in proptest::collection::vec("[a-c0-2](\\.[a-c0-2]){0,3}", 1..6)) {
            let paths: Vec<Path> = paths.iter().map(|path| path.parse().unwrap()).collect();
            let mut wanted = Wanted::default();
            paths.iter().for_each(|path| wanted.add(path));
            let text = json.to_string();
            let event = wanted.read(text.as_bytes());
            for path in &paths {
                proptest::prop_assert_eq!(event.get(path).map(str::to_owned), by_hand(path, &json), "{}", path);
            }
        }
    }

    #[test]
    fn a_schema_is_told_only_where_the_event_tells_it() {
        let schema = |json: &str| {
            let mut wanted = Wanted::default();
            wanted.add_schema();
            let event = wanted.read(json.as_bytes());
            event.schema().map(|(name, version)| format!("{name} {version} {:?}", event.class()))
        };
        let ocsf = r#"{"class_uid":3004,"metadata":{"version":"1.8.0"}}"#;
        assert_eq!(schema(ocsf).as_deref(), Some("ocsf 1.8.0 Some(\"3004\")"));
        assert_eq!(schema(r#"{"ecs":{"version":"9.4.0"}}"#).as_deref(), Some("ecs 9.4.0 None"));
        assert_eq!(schema(r#"{"metadata":{"version":"1.8.0"}}"#), None);
        assert_eq!(schema(r#"{"class_uid":"x","metadata":{"version":"1.8.0"}}"#), None);
    }

    #[test]
    fn a_path_that_is_none_says_why() {
        for text in ["", "a..b", ".a", "a.", "\"a", "\"a\"b"] {
            assert!(text.parse::<Path>().is_err(), "{text}");
        }
    }
}
