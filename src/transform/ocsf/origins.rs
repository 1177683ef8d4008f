//! Where a record has what an attribute is made of: for whoever has to find the value that the attribute did not take.

use std::collections::BTreeSet;

use super::each::Made;
use super::map::Map;
use super::scalar::Scalar;
use super::shape::{Choice, Leaf, Node, Shape};
use super::source::Source;

/// Any item of a list, and any member of an object, in a path.
pub const ANY: &str = "*";

/// An attribute of the event, and one of the places in the record that it is made of. Both are paths, in which [`ANY`] is
/// each item of a list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    /// The attribute: `actor`, `user`, `name`.
    pub attribute: Vec<String>,
    /// Where the record may have it, the record itself being the empty path.
    pub record: Vec<String>,
    /// Whether the attribute takes objects and lists with all that is in them.
    pub takes_anything: bool,
}

impl Map {
    /// Of every attribute that some rule fills, all the places in the record that it may be made of, each once.
    #[must_use]
    pub fn origins(&self) -> BTreeSet<Origin> {
        let mut all = BTreeSet::new();
        for rule in &self.rules {
            of_shape(&rule.event, At { attribute: &[], record: &[], source: &self.source }, &mut all);
        }
        all
    }
}

/// Where the walk through a shape is.
#[derive(Clone, Copy)]
struct At<'a> {
    attribute: &'a [String],
    /// Where the record, or the item that is looked at, stands.
    record: &'a [String],
    source: &'a Source,
}

impl At<'_> {
    fn add(self, slots: &[usize], takes_anything: bool, all: &mut BTreeSet<Origin>) {
        for slot in slots {
            let record = [self.record, self.source.parts(*slot)].concat();
            all.insert(Origin { attribute: self.attribute.to_vec(), record, takes_anything });
        }
    }
}

fn of_shape(shape: &Shape, at: At<'_>, all: &mut BTreeSet<Origin>) {
    for (name, node) in &shape.members {
        below(at, name, |at| of_node(node, at, all));
        if let Node::Choice(Choice { sibling: Some(caption), slots, .. }) = node {
            below(at, caption, |at| at.add(slots, false, all));
        }
    }
}

fn of_node(node: &Node, at: At<'_>, all: &mut BTreeSet<Origin>) {
    match node {
        Node::Object(shape) => of_shape(shape, at, all),
        Node::List(nodes) => below(at, ANY, |at| nodes.iter().for_each(|node| of_node(node, at, all))),
        Node::Leaf(Leaf { slots, scalar, .. }) => at.add(slots, *scalar == Scalar::Json, all),
        Node::Choice(Choice { slots, .. }) | Node::Id(slots) | Node::OriginalTime(slots) => at.add(slots, false, all),
        Node::Time => {}
        Node::Each(each) => {
            let record = [at.record, at.source.parts(each.slot), &[ANY.to_owned()]].concat();
            let at = At { record: &record, source: &each.source, ..at };
            match each.made {
                Made::First => of_node(&each.node, at, all),
                _ => below(at, ANY, |at| of_node(&each.node, at, all)),
            }
        }
    }
}

fn below(at: At<'_>, name: &str, act: impl FnOnce(At<'_>)) {
    let attribute = [at.attribute, &[name.to_owned()]].concat();
    act(At { attribute: &attribute, ..at });
}
