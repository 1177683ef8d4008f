//! From what a map says to a shape, with every mistake reported at its place.

#![expect(clippy::ptr_arg, reason = "whether a name is static decides whether the event may borrow it")]

use std::borrow::Cow;

use super::items::{Items, is_each};
use super::language::{Expression, constant};
use super::map::LAYER;
use super::run::Spot;
use super::scalar::Scalar;
use super::schema::{Attribute, Class, Fields, Kind, Word, schema};
use super::shape::{Choice, Constant, Leaf, Node, Shape};
use super::source::Source;
use crate::document::{self, Place, Severity};
use crate::event::Path;
use crate::transform::condition::{Critic, Words, suggest};

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

/// An object that is still growing.
pub struct Draft {
    pub(super) fields: Option<&'static Fields>,
    /// Its name from the event downwards, empty for the event.
    path: String,
    /// Where it stands in the event.
    pub(super) spot: Spot,
    place: Place,
    inherited: bool,
    /// What somebody tried to say in it and could not.
    failed: Vec<String>,
    members: Vec<(Cow<'static, str>, Part)>,
}

pub(super) enum Part {
    Object(Draft),
    List(Vec<(usize, Part)>),
    Items(Box<Items>),
    Single { node: Node, inherited: bool },
}

impl Draft {
    /// An event of that class, of which nothing is said yet.
    pub fn event(class: &'static Class, place: &Place) -> Self {
        Self::new(Some(&class.fields), String::new(), Spot::default(), place, false)
    }

    pub(super) fn new(
        fields: Option<&'static Fields>,
        path: String,
        spot: Spot,
        place: &Place,
        inherited: bool,
    ) -> Self {
        Self { fields, path, spot, place: place.clone(), inherited, failed: Vec::new(), members: Vec::new() }
    }

    /// Puts a node that is ours to say.
    pub fn fix(&mut self, name: &'static str, node: Node) {
        self.members.push((Cow::Borrowed(name), Part::Single { node, inherited: false }));
    }

    /// The object `name` in it, which the class requires.
    pub fn required(&mut self, name: &'static str) -> &mut Draft {
        let attribute = self.fields.and_then(|fields| fields.get(name));
        let fields = attribute.and_then(object_of);
        let spot = attribute.map(|attribute| self.spot_of(attribute)).unwrap_or_default();
        let fresh = Self::new(fields, self.name_of(name), spot, &self.place, false);
        self.members.push((Cow::Borrowed(name), Part::Object(fresh)));
        match self.members.last_mut() {
            Some((_, Part::Object(draft))) => draft,
            _ => unreachable!("it was pushed just now"),
        }
    }

    pub(super) fn name_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// Where an attribute of it stands in the event.
    fn spot_of(&self, attribute: &'static Attribute) -> Spot {
        let above = if self.spot.path.is_empty() { String::new() } else { format!("{}.", self.spot.path) };
        let items = if attribute.list { "[]" } else { "" };
        Spot { path: format!("{above}{}{items}", attribute.name), observable: schema().observable(attribute) }
    }

    /// Makes room for what says the same in another way.
    fn drop_inherited_items(&mut self, name: &str) {
        self.members.retain(|(key, part)| key != name || !matches!(part, Part::Items(items) if items.inherited));
    }

    pub(super) fn part(&mut self, name: &Cow<'static, str>, fresh: impl FnOnce() -> Part) -> &mut Part {
        let known = self.members.iter().position(|(key, _)| key == name);
        let at = known.unwrap_or_else(|| {
            let part = fresh();
            self.members.push((name.clone(), part));
            self.members.len() - 1
        });
        &mut self.members[at].1
    }
}

impl Part {
    pub(super) fn is_inherited(&self) -> bool {
        match self {
            Self::Object(draft) => draft.inherited,
            Self::List(items) => items.iter().all(|(_, part)| part.is_inherited()),
            Self::Items(items) => items.inherited,
            Self::Single { inherited, .. } => *inherited,
        }
    }
}

pub(super) fn object_of(attribute: &Attribute) -> Option<&'static Fields> {
    match attribute.kind {
        Kind::Object(name) => schema().object(name),
        Kind::Scalar(_) => None,
    }
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

    fn single(
        &mut self,
        fields: &Fields,
        attribute: &'static Attribute,
        scalar: Scalar,
        spot: Spot,
        said: Said,
    ) -> Option<Node> {
        match schema().words(attribute) {
            None => self.leaf(scalar, attribute.list, spot, said),
            Some(known) if !attribute.list => self.choice(fields, attribute, known, scalar, spot, said),
            Some(_) => {
                self.critic.error(said.place, format!("`{}` is a list of enum numbers", attribute.name), None);
                None
            }
        }
    }

    fn leaf(&mut self, scalar: Scalar, list: bool, spot: Spot, said: Said) -> Option<Node> {
        let expression = Expression::read(said.node, said.bare_word, self.critic)?;
        self.leaf_of(expression, scalar, list, spot)
    }

    pub(super) fn leaf_of(&mut self, expression: Expression, scalar: Scalar, list: bool, spot: Spot) -> Option<Node> {
        let mut values = Vec::new();
        for (pattern, node) in expression.values {
            values.push((pattern, constant(&node, scalar, false, self.critic)?));
        }
        let fixed = expression.value.or(expression.otherwise);
        let otherwise = match fixed {
            Some(node) => Some(constant(&node, scalar, list, self.critic)?),
            None => None,
        };
        let slots = expression.from.iter().map(|path| self.source.slot(path)).collect();
        let values = Words::new(values);
        let (objects_only, keeps_empty) = (false, false);
        Some(Node::Leaf(Leaf { spot, slots, values, otherwise, scalar, list, objects_only, keeps_empty }))
    }

    fn choice(
        &mut self,
        fields: &Fields,
        attribute: &'static Attribute,
        known: &'static [Word],
        scalar: Scalar,
        spot: Spot,
        said: Said,
    ) -> Option<Node> {
        let expression = Expression::read(said.node, said.bare_word, self.critic)?;
        // An inherited word that the class of a rule lacks is left out; all others were reported.
        let meaning = |(pattern, node)| Some((pattern, self.known_word(attribute, known, &node)?));
        let values = expression.values.into_iter().filter_map(meaning).collect();
        let unknown = known.iter().position(|word| word.key == "0" && word.caption == "Unknown");
        let otherwise = match expression.value.or(expression.otherwise) {
            Some(node) => Some(self.known_word(attribute, known, &node)?),
            None => unknown,
        };
        let types = (attribute.name == "activity_id").then(|| fields.get("type_uid").and_then(|a| schema().words(a)));
        Some(Node::Choice(Choice {
            spot,
            slots: expression.from.iter().map(|path| self.source.slot(path)).collect(),
            values: Words::new(values),
            otherwise,
            other: known.iter().position(|word| word.key == "99"),
            known,
            textual: scalar == Scalar::Text,
            sibling: attribute.sibling,
            types: types.flatten().unwrap_or_default(),
        }))
    }

    /// The place of an enum's word that the map gives by caption or by number.
    fn known_word(&self, attribute: &Attribute, known: &[Word], node: &document::Node) -> Option<usize> {
        let number = node.as_integer().map(|number| number.to_string());
        let Some(text) = node.as_str().or(number.as_deref()) else {
            let message = format!("expected a word of `{}`, found {}", attribute.name, node.kind());
            self.critic.error(&node.place(), message, None);
            return None;
        };
        let at = known.iter().position(|word| word.caption.eq_ignore_ascii_case(text) || word.key == text);
        if at.is_none() {
            let captions: Vec<_> = known.iter().map(|word| word.caption).collect();
            let message = format!("`{}` of class `{}` has no `{text}`", attribute.name, self.class.name);
            self.critic.error(&node.place(), message, Some(suggest(text, &captions, "words")));
        }
        at
    }

    /// Closes a draft. `None` if an object of it can never be there; that was reported unless it is inherited.
    pub fn close(&self, mut draft: Draft, eager: bool) -> Option<Shape> {
        let mut shape = Shape { spot: std::mem::take(&mut draft.spot), eager, ..Shape::default() };
        for (name, part) in draft.members {
            let required = draft.fields.and_then(|f| f.get(&name)).is_some_and(|attribute| attribute.required);
            let inherited = part.is_inherited();
            match self.close_part(part, eager && required) {
                Some(node) => {
                    shape.width += 1 + captions(&node);
                    shape.members.push((name, node));
                }
                None if inherited => {}
                None => draft.failed.push(name.into_owned()),
            }
        }
        let critic = Critic { silent: draft.inherited, ..self.critic };
        if shape.members.len() > 128 {
            critic.error(&draft.place, format!("`{}` has more than 128 members", draft.path), None);
            return None;
        }
        let Some(fields) = draft.fields else { return Some(shape) };
        let owner =
            if draft.path.is_empty() { format!("class `{}`", self.class.name) } else { format!("`{}`", draft.path) };
        let set = |names: &[&str]| {
            let members = shape.members.iter().enumerate().filter(|(_, (key, _))| names.contains(&key.as_ref()));
            members.fold(0_u128, |set, (at, _)| set | 1 << at)
        };
        let is_needed = |attribute: &&Attribute| attribute.required && attribute.exists_with(self.profiles);
        // The type comes with the activity, so that it need not be said.
        let required = fields.attributes.iter().filter(is_needed).filter(|attribute| attribute.name != "type_uid");
        let required = required.map(|attribute| vec![attribute.name]);
        let needs: Vec<_> =
            required.chain(fields.at_least_one.iter().cloned()).map(|names| (set(&names), names)).collect();
        let just_one: Vec<_> = fields.just_one.iter().map(|names| (set(names), names.clone())).collect();
        // Whoever tried and failed has been told why. In a small object a misspelt name was probably the one it needs.
        let was_tried = |name: &&str| draft.failed.iter().any(|failed| failed == name);
        let is_excused = |names: &[&str]| match draft.path.is_empty() {
            true => names.iter().any(&was_tried),
            false => !draft.failed.is_empty(),
        };
        for (_, names) in needs.iter().chain(&just_one).filter(|(set, names)| *set == 0 && !is_excused(names)) {
            let of = if names.len() > 1 { "one of " } else { "" };
            critic.error(&draft.place, format!("{owner} needs {of}{}", said_names(names)), None);
        }
        let is_possible = needs.iter().chain(&just_one).all(|(set, _)| *set != 0);
        shape.needs = needs.into_iter().map(|(set, _)| set).collect();
        shape.just_one = just_one.into_iter().map(|(set, _)| set).collect();
        is_possible.then_some(shape)
    }

    fn close_part(&self, part: Part, eager: bool) -> Option<Node> {
        match part {
            Part::Single { node, .. } => Some(node),
            Part::Items(items) => self.close_items(*items),
            Part::Object(draft) => {
                // What consists of constants alone waits for nothing in the record.
                let eager = eager || !reads(&draft);
                self.close(draft, eager).map(Node::Object)
            }
            Part::List(mut items) => {
                items.sort_by_key(|(at, _)| *at);
                let nodes: Vec<_> = items.into_iter().filter_map(|(_, part)| self.close_part(part, eager)).collect();
                (!nodes.is_empty()).then_some(Node::List(nodes))
            }
        }
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

fn item<'i>(items: &'i mut Vec<(usize, Part)>, at: usize, draft: &dyn Fn() -> Draft) -> &'i mut Part {
    let known = items.iter().position(|(place, _)| *place == at);
    let index = known.unwrap_or_else(|| {
        items.push((at, Part::Object(draft())));
        items.len() - 1
    });
    &mut items[index].1
}

/// Whether anything in it comes from the record.
pub(super) fn reads(draft: &Draft) -> bool {
    fn part_reads(part: &Part) -> bool {
        match part {
            Part::Object(draft) => reads(draft),
            Part::List(items) => items.iter().any(|(_, part)| part_reads(part)),
            Part::Items(_) => true,
            Part::Single { node: Node::Leaf(leaf), .. } => !leaf.slots.is_empty(),
            Part::Single { node: Node::Choice(choice), .. } => !choice.slots.is_empty(),
            Part::Single { .. } => true,
        }
    }
    draft.members.iter().any(|(_, part)| part_reads(part))
}

/// How many members a node adds beside its own.
fn captions(node: &Node) -> usize {
    match node {
        Node::Choice(choice) => usize::from(choice.sibling.is_some()) + if choice.types.is_empty() { 0 } else { 2 },
        _ => 0,
    }
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

/// A constant text or number of OCSF's own.
pub fn fixed(constant: Constant) -> Node {
    let scalar = if matches!(constant, Constant::Number(_)) { Scalar::Integer } else { Scalar::Text };
    Node::Leaf(Leaf {
        spot: Spot::default(),
        slots: Vec::new(),
        values: Words::default(),
        otherwise: Some(constant),
        scalar,
        list: false,
        objects_only: false,
        keeps_empty: false,
    })
}
