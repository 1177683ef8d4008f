//! From `{ each = … }` to what becomes of every item, with every mistake reported at its place.

#![expect(clippy::ptr_arg, reason = "whether a name is static decides whether the event may borrow it")]

use std::borrow::Cow;

use super::compile::{Compiler, Said};
use super::draft::{Draft, Part, object_of, reads};
use super::each::{Each, Made};
use super::language::{Expression, path};
use super::run::Spot;
use super::scalar::Scalar;
use super::schema::{Attribute, Kind, schema};
use super::shape::Node;
use super::source::Source;
use crate::document;
use crate::transform::condition::Condition;

/// An [`Each`] that is still growing.
pub struct Items {
    spot: Spot,
    slot: usize,
    source: Source,
    conditions: Vec<Vec<(usize, Condition)>>,
    gives: Gives,
    made: Made,
    /// Whether a rule may say something else instead.
    pub inherited: bool,
}

/// What an item gives.
enum Gives {
    Object(Box<Draft>),
    Single(Node),
}

impl Compiler<'_> {
    /// Puts an attribute that is made of the items of a list.
    pub fn put_each(&mut self, into: &mut Draft, attribute: &'static Attribute, spot: Spot, said: Said) {
        let name = Cow::Borrowed(attribute.name);
        let made = if attribute.list { Made::List } else { Made::First };
        match (attribute.kind, object_of(attribute).filter(|fields| !fields.attributes.is_empty())) {
            (Kind::Object(_), Some(fields)) => {
                let of_item = spot.clone();
                let draft = Draft::new(Some(fields), into.name_of(&name), of_item, said.place, self.critic.silent);
                self.put_objects(into, &name, draft, spot, made, said);
            }
            (Kind::Object(_), None) if said.node.get("by").is_none() => {
                let hint = "say with `by` where an item has the name of what it gives".to_owned();
                self.critic.error(said.place, format!("`{}` is an object", into.name_of(&name)), Some(hint));
            }
            (Kind::Scalar(Scalar::Json), _) | (Kind::Object(_), _) if !attribute.list => {
                self.put_each_freely(into, &name, spot, said);
            }
            (Kind::Scalar(_), _) if schema().words(attribute).is_some() => {
                let message = format!("`{}` is one word and not made of a list", into.name_of(&name));
                self.critic.error(said.place, message, None);
            }
            (Kind::Scalar(scalar), _) => self.put_singles(into, &name, scalar, made, spot, said),
            (Kind::Object(_), _) => self.put_singles(into, &name, Scalar::Json, made, spot, said),
        }
    }

    /// Puts what is made of the items of a list where any JSON may stand.
    pub fn put_each_freely(&mut self, into: &mut Draft, name: &Cow<'static, str>, spot: Spot, said: Said) {
        self.put_singles(into, name, Scalar::Json, Made::Alike, spot, said);
    }

    fn put_objects(
        &mut self,
        into: &mut Draft,
        name: &Cow<'static, str>,
        mut draft: Draft,
        spot: Spot,
        made: Made,
        said: Said,
    ) {
        if !self.critic.keys(said.node, &["each", "match", "map"]) {
            return;
        }
        let Some(map) = said.node.get("map") else {
            let hint = "say `map = { … }`: attributes, and where an item has them".to_owned();
            return self.critic.error(&said.node.head(), "missing key `map`", Some(hint));
        };
        let mut source = Source::default();
        self.of_items(&mut source).put_table(&mut draft, map);
        self.put_made(into, name, source, Gives::Object(Box::new(draft)), made, spot, said);
    }

    fn put_singles(
        &mut self,
        into: &mut Draft,
        name: &Cow<'static, str>,
        scalar: Scalar,
        made: Made,
        spot: Spot,
        said: Said,
    ) {
        let is_free = made == Made::Alike;
        let of_free: &[&str] = if is_free { &["by", "last"] } else { &[] };
        if !self.critic.keys(said.node, &[&["each", "match", "from", "values"], of_free].concat()) {
            return;
        }
        let Some(expression) = Expression::of_item(said.node, self.critic) else { return };
        let mut source = Source::default();
        let of_item = spot.clone();
        let Some(Node::Leaf(mut leaf)) = self.of_items(&mut source).leaf_of(expression, scalar, false, of_item) else {
            return;
        };
        if leaf.slots.is_empty() {
            leaf.slots.push(source.whole());
        }
        leaf.keeps_empty = is_free;
        let Some(last) = self.last(said.node) else { return };
        let made = match said.node.get("by").map(|by| path(by, self.critic)) {
            Some(Some(key)) => Made::Keyed { slot: source.slot(&key), last },
            Some(None) => return,
            None => made,
        };
        self.put_made(into, name, source, Gives::Single(Node::Leaf(leaf)), made, spot, said);
    }

    /// Whether of items with one key the last counts. `None` if that is not said well.
    fn last(&self, node: &document::Node) -> Option<bool> {
        let Some(last) = node.get("last") else { return Some(false) };
        if node.get("by").is_none() {
            let hint = "say with `by` where an item has the name of what it gives".to_owned();
            self.critic.error(
                &last.place(),
                "`last` is about items with the same name, and here they have none",
                Some(hint),
            );
            return None;
        }
        if last.as_bool().is_none() {
            self.critic.error(&last.place(), format!("expected `true` or `false`, found {}", last.kind()), None);
        }
        last.as_bool()
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of what it makes")]
    fn put_made(
        &mut self,
        into: &mut Draft,
        name: &Cow<'static, str>,
        mut source: Source,
        gives: Gives,
        made: Made,
        spot: Spot,
        said: Said,
    ) {
        let Some(list) = said.node.get("each").and_then(|each| path(each, self.critic)) else { return };
        let wanted = said.node.get("match").map(|node| node.as_array().unwrap_or(std::slice::from_ref(node)));
        let mut conditions = Vec::new();
        for table in wanted.unwrap_or_default() {
            let set = Condition::read_all(table, self.critic).into_iter();
            conditions.push(set.map(|condition| (source.slot(&condition.path), condition)).collect());
        }
        let slot = self.source.each(&list);
        let inherited = self.critic.silent;
        let path = into.name_of(name);
        let part = into.part(name, || Part::List(Vec::new()));
        if !part.is_inherited() {
            return self.twice(&path, said);
        }
        *part = Part::Items(Box::new(Items { spot, slot, source, conditions, gives, made, inherited }));
    }

    /// What compiles the map of an item, whose paths begin at the item.
    fn of_items<'s>(&'s self, source: &'s mut Source) -> Compiler<'s> {
        Compiler { class: self.class, profiles: self.profiles, source, critic: self.critic }
    }

    /// `None` if no item can ever give anything; that was reported unless it is inherited.
    pub fn close_items(&self, items: Items) -> Option<Node> {
        let Items { spot, slot, source, conditions, gives, made, .. } = items;
        let node = match gives {
            Gives::Single(node) => node,
            Gives::Object(draft) => {
                let eager = !reads(&draft);
                Node::Object(self.close(*draft, eager)?)
            }
        };
        Some(Node::Each(Each { spot, slot, source, conditions, node: Box::new(node), made }))
    }
}

/// Whether a map says it item by item.
#[must_use]
pub fn is_each(node: &document::Node) -> bool {
    node.as_table().is_some() && node.get("each").is_some()
}
