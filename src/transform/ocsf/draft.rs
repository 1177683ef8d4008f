//! The object that a map's entries are put into, until all of them are there.

#![expect(clippy::ptr_arg, reason = "whether a name is static decides whether the event may borrow it")]

use std::borrow::Cow;

use super::items::Items;
use super::run::Spot;
use super::schema::{Attribute, Class, Fields, Kind, schema};
use super::shape::Node;
use crate::document::Place;

/// An object that is still growing.
pub struct Draft {
    pub(super) fields: Option<&'static Fields>,
    /// Its name from the event downwards, empty for the event.
    pub(super) path: String,
    /// Where it stands in the event.
    pub(super) spot: Spot,
    pub(super) place: Place,
    /// Whether a rule may say something else instead.
    pub(super) inherited: bool,
    /// What somebody tried to say in it and could not.
    pub(super) failed: Vec<String>,
    pub(super) members: Vec<(Cow<'static, str>, Part)>,
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
    pub(super) fn spot_of(&self, attribute: &'static Attribute) -> Spot {
        let above = if self.spot.path.is_empty() { String::new() } else { format!("{}.", self.spot.path) };
        let items = if attribute.list { "[]" } else { "" };
        Spot { path: format!("{above}{}{items}", attribute.name), observable: schema().observable(attribute) }
    }

    /// Makes room for what says the same in another way.
    pub(super) fn drop_inherited_items(&mut self, name: &str) {
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

/// The object at a place of a list.
pub(super) fn item<'i>(items: &'i mut Vec<(usize, Part)>, at: usize, draft: &dyn Fn() -> Draft) -> &'i mut Part {
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
