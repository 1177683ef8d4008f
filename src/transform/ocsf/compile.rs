//! From what a map says to the draft of an event, with every mistake reported at its place.

#![expect(clippy::ptr_arg, reason = "whether a name is static decides whether the event may borrow it")]

use std::borrow::Cow;

use super::draft::{Draft, Part, item, object_of};
use super::items::is_each;
use super::map::LAYER;
use super::run::Spot;
use super::scalar::Scalar;
use super::schema::{Attribute, Class, Fields, Kind, schema};
use super::shape::{Leaf, Node};
use super::source::Source;
use crate::document::{self, Place, Severity};
use crate::event::Path;
use crate::transform::condition::{Critic, suggest};

/// What no map may say, because auditline does.
const OURS: [&str; 15] = [
    "category_name",
    "category_uid",
    "class_name",
    "class_uid",
    "metadata.log_name",
    "metadata.original_time",
    "metadata.product",
    "metadata.profiles",
    "metadata.uid",
    "metadata.version",
    "observables",
    "raw_data",
    "time",
    "type_name",
    "type_uid",
];

/// One entry of a map: what is said, where, and how a bare text is meant.
#[derive(Clone, Copy)]
pub struct Said<'n> {
    /// What is said.
    pub node: &'n document::Node,
    /// Where its key stands.
    pub place: &'n Place,
    /// Whether a bare text is the value itself and not a path to it.
    pub bare_word: bool,
}

/// Builds the shape of the events of one class.
pub struct Compiler<'c> {
    /// The class.
    pub class: &'static Class,
    /// The profiles in use.
    pub profiles: &'c [&'static str],
    /// The paths of the whole map.
    pub source: &'c mut Source,
    /// Where mistakes go. Silent while inherited entries are put, of which some may not belong to the class.
    pub critic: Critic<'c>,
}

impl Compiler<'_> {
    /// Puts every entry of a table, whose keys are attributes of `into` or dotted paths below it.
    pub fn put_table(&mut self, into: &mut Draft, table: &document::Node) {
        let Some(entries) = table.as_table() else {
            let message = format!("expected a table of attributes, found {}", table.kind());
            return self.critic.error(&table.place(), message, None);
        };
        for (name, node) in entries {
            match name.parse::<Path>() {
                Ok(path) => {
                    self.put(into, path.parts(), Said { node, place: &name.place, bare_word: false });
                }
                Err(error) => self.critic.error(&name.place, error.to_string(), None),
            }
        }
    }

    /// Puts one entry at a path below `into`.
    pub fn put(&mut self, into: &mut Draft, parts: &[String], said: Said) {
        let Some((name, below)) = parts.split_first() else { return };
        let before = self.critic.problems.count(Severity::Error);
        match into.fields {
            Some(fields) => self.put_attribute(into, fields, name, below, said),
            None => self.put_freely(into, name, below, said),
        }
        if self.critic.problems.count(Severity::Error) > before {
            into.failed.push(name.clone());
        }
    }

    fn put_attribute(&mut self, into: &mut Draft, fields: &'static Fields, name: &str, below: &[String], said: Said) {
        let Some(attribute) = self.attribute(into, fields, name, said) else { return };
        let path = into.name_of(attribute.name);
        let name = Cow::Borrowed(attribute.name);
        let spot = into.spot_of(attribute);
        if below.is_empty() && is_each(said.node) {
            return self.put_each(into, attribute, spot, said);
        }
        if !self.critic.silent {
            into.drop_inherited_items(attribute.name);
        }
        match (attribute.kind, object_of(attribute)) {
            (Kind::Object(_), Some(inner)) if !inner.attributes.is_empty() => {
                let inherited = self.critic.silent;
                let draft = || Draft::new(Some(inner), path.clone(), spot.clone(), said.place, inherited);
                if attribute.list {
                    let part = into.part(&name, || Part::List(Vec::new()));
                    self.put_items(part, &path, below, said, &draft);
                } else {
                    let part = into.part(&name, || Part::Object(draft()));
                    self.put_below(part, &path, below, said);
                }
            }
            (Kind::Object(_), _) => {
                self.put_json(into, &name, spot, below, said, true);
            }
            (Kind::Scalar(Scalar::Json), _) if !attribute.list => {
                self.put_json(into, &name, spot, below, said, false);
            }
            (Kind::Scalar(scalar), _) => {
                if let Some(inner) = below.first() {
                    let message = format!("`{path}` is {} and has no `{inner}` in it", scalar.describe());
                    return self.critic.error(said.place, message, None);
                }
                let Some(node) = self.single(fields, attribute, scalar, spot, said) else { return };
                self.set(into.part(&name, || Part::List(Vec::new())), &path, node, said);
            }
        }
    }

    /// The attribute meant by `name`, which may also be that of an enum's caption.
    fn attribute(&self, into: &Draft, fields: &'static Fields, name: &str, said: Said) -> Option<&'static Attribute> {
        let path = into.name_of(name);
        let owner =
            if into.path.is_empty() { format!("class `{}`", self.class.name) } else { format!("`{}`", into.path) };
        if OURS.contains(&path.as_str()) || path == "unmapped" {
            self.critic.error(said.place, format!("`{path}` is for auditline to fill in"), None);
            return None;
        }
        let Some(attribute) = fields.chooser_of(name).or_else(|| fields.get(name)) else {
            let known: Vec<_> = fields.attributes.iter().map(|attribute| attribute.name).collect();
            let others = if into.path.is_empty() { classes_with(name) } else { Vec::new() };
            let hint = match others.is_empty() {
                true => suggest(name, &known, "attributes"),
                false => format!("classes that have it: {}", said_names(&others)),
            };
            self.critic.error(said.place, format!("{owner} has no attribute `{name}`"), Some(hint));
            return None;
        };
        if !attribute.exists_with(self.profiles) {
            let profile = attribute.profiles[0];
            let message = format!("`{path}` belongs to the profile `{profile}`, which is not in use");
            self.critic.error(said.place, message, Some(format!("add `profiles = [\"{profile}\"]` to `[ocsf]`")));
            return None;
        }
        if attribute.deprecated && !self.critic.silent {
            self.critic.problems.warning_at(said.place, format!("OCSF means to do away with `{path}`"));
        }
        Some(attribute)
    }

    /// Puts an entry below an object that is part of another.
    fn put_below(&mut self, part: &mut Part, path: &str, below: &[String], said: Said) {
        let Part::Object(draft) = part else { return self.twice(path, said) };
        draft.inherited &= self.critic.silent;
        if !below.is_empty() {
            self.put(draft, below, said);
        } else if said.node.as_table().is_some() {
            self.put_table(draft, said.node);
        } else {
            draft.failed.push(String::new());
            let message = format!("`{path}` is an object: say what goes into it");
            let example = draft.fields.and_then(|fields| fields.attributes.first());
            let hint = example.map(|attribute| format!("`{path}.{}`, for example", attribute.name));
            self.critic.error(said.place, message, hint);
        }
    }

    /// Puts an entry into a list of objects: `resources.0.uid = …` or `resources = [{ uid = … }]`.
    fn put_items(&mut self, part: &mut Part, path: &str, below: &[String], said: Said, draft: &dyn Fn() -> Draft) {
        let Part::List(items) = part else { return self.twice(path, said) };
        if let Some(nodes) = said.node.as_array().filter(|nodes| below.is_empty() && nodes.iter().all(is_table)) {
            for (at, node) in nodes.iter().enumerate() {
                let part = item(items, at, draft);
                self.put_below(part, path, &[], Said { node, ..said });
            }
            return;
        }
        if let Some(entries) = said.node.as_table().filter(|_| below.is_empty()) {
            for (name, node) in entries {
                let parts = name.parse::<Path>().map(|path| path.parts().to_vec()).unwrap_or_default();
                let is_place = parts.first().is_some_and(|part| part.parse::<usize>().is_ok());
                let parts = if is_place { parts } else { Vec::new() };
                let place = &name.place;
                if parts.is_empty() {
                    self.not_a_place(path, &name.value, place);
                } else {
                    self.put_item(items, path, &parts, Said { node, place, ..said }, draft);
                }
            }
            return;
        }
        self.put_item(items, path, below, said, draft);
    }

    fn put_item(
        &mut self,
        items: &mut Vec<(usize, Part)>,
        path: &str,
        below: &[String],
        said: Said,
        draft: &dyn Fn() -> Draft,
    ) {
        match below.split_first().and_then(|(at, below)| Some((at.parse().ok()?, below))) {
            Some((at, below)) => self.put_below(item(items, at, draft), path, below, said),
            None => self.not_a_place(path, below.first().map_or("", String::as_str), said.place),
        }
    }

    fn not_a_place(&self, path: &str, inner: &str, place: &Place) {
        let name = if inner.is_empty() { "…" } else { inner };
        self.critic.error(place, format!("`{path}` is a list"), Some(format!("its first item is `{path}.0.{name}`")));
    }

    /// Puts an entry where any JSON may stand, or below it.
    fn put_json(
        &mut self,
        into: &mut Draft,
        name: &Cow<'static, str>,
        spot: Spot,
        below: &[String],
        said: Said,
        objects_only: bool,
    ) {
        let path = &into.name_of(name);
        if below.is_empty() {
            let Some(Node::Leaf(leaf)) = self.leaf(Scalar::Json, false, spot, said) else { return };
            if objects_only && leaf.otherwise.is_some() {
                let message = format!("`{path}` is an object and cannot be a constant");
                return self.critic.error(said.place, message, None);
            }
            let node = Node::Leaf(Leaf { objects_only, ..leaf });
            return self.set(into.part(name, || Part::List(Vec::new())), path, node, said);
        }
        let inherited = self.critic.silent;
        let part = into.part(name, || Part::Object(Draft::new(None, path.clone(), spot, said.place, inherited)));
        self.put_below(part, path, below, said);
    }

    fn put_freely(&mut self, into: &mut Draft, name: &str, below: &[String], said: Said) {
        // What is free is known by no schema, and no observable.
        let spot = Spot { path: format!("{}.{name}", into.spot.path), observable: None };
        let name = Cow::Owned(name.to_owned());
        match below.is_empty() && is_each(said.node) {
            true => self.put_each_freely(into, &name, spot, said),
            false => self.put_json(into, &name, spot, below, said, false),
        }
    }

    /// Puts a single value in a place that is new, which is an empty list, or was inherited.
    fn set(&self, part: &mut Part, path: &str, node: Node, said: Said) {
        let is_free = match part {
            Part::List(items) => items.is_empty(),
            Part::Items(items) => items.inherited,
            Part::Single { inherited, .. } => *inherited,
            Part::Object(_) => false,
        };
        if is_free {
            *part = Part::Single { node, inherited: self.critic.silent };
        } else {
            self.twice(path, said);
        }
    }

    pub(super) fn twice(&self, path: &str, said: Said) {
        let key = path.strip_suffix("_id").filter(|key| LAYER.contains(key));
        let hint = key.map(|key| format!("`{key}`, beside the map, says it already: leave one of them out"));
        self.critic.error(said.place, format!("`{path}` is said twice"), hint);
    }
}

/// The classes with an attribute of that name, or with an enum whose caption it is.
fn classes_with(name: &str) -> Vec<&'static str> {
    let has_it = |fields: &Fields| fields.get(name).or_else(|| fields.chooser_of(name)).is_some();
    schema().classes.iter().filter(|class| has_it(&class.fields)).map(|class| class.name).collect()
}

fn is_table(node: &document::Node) -> bool {
    node.as_table().is_some()
}

/// Attributes by the names under which a map says them.
pub fn said_names(names: &[&str]) -> String {
    let said = names.iter().map(|name| match *name {
        "activity_id" => "`activity`".to_owned(),
        "severity_id" => "`severity`".to_owned(),
        other => format!("`{other}`"),
    });
    said.collect::<Vec<_>>().join(", ")
}
