//! `each`: what becomes of every item of a vendor's list, or of every member of an object.

use std::collections::HashSet;

use bumpalo::collections::Vec as ArenaVec;

use super::run::{Run, Spot};
use super::shape::Node;
use super::source::Source;
use crate::event::{Member, Value};
use crate::transform::condition::{Condition, word};

/// What becomes of every item of a vendor's list, or of every member of an object.
#[derive(Debug)]
pub struct Each {
    /// Where it stands.
    pub spot: Spot,
    /// Where the record has the list.
    pub slot: usize,
    /// What an item is asked for.
    pub source: Source,
    /// Of these sets of conditions an item must meet one, if there are any.
    pub conditions: Vec<Vec<(usize, Condition)>>,
    /// What an item gives.
    pub node: Box<Node>,
    /// What is made of that.
    pub made: Made,
}

/// What is made of what the items give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    /// A list.
    List,
    /// The first alone.
    First,
    /// An object, whose keys stand in that slot of each item.
    Keyed(usize),
    /// An object of the same keys if the vendor has one, and otherwise a list.
    Alike,
}

impl Each {
    /// What all items together give, if they give anything.
    pub fn value<'a, 's>(&'s self, run: &mut Run<'a, 's>) -> Option<Value<'a>> {
        let whole: &'s Value<'a> = run.slots[self.slot];
        let mut given = Given { members: ArenaVec::new_in(run.arena), keys: HashSet::new() };
        match whole {
            Value::Object(members) => {
                members.iter().for_each(|member| self.put(&member.value, Some(member.key), run, &mut given));
            }
            Value::Array(items) => items.iter().for_each(|item| self.put(item, None, run, &mut given)),
            // What some vendors write instead of a list of one.
            single => self.put(single, None, run, &mut given),
        }
        let members = given.members.into_bump_slice();
        let is_object = match self.made {
            Made::First => return members.first().map(|member| member.value),
            Made::Keyed(_) => true,
            Made::Alike => whole.as_object().is_some(),
            Made::List => false,
        };
        let values = || run.arena.alloc_slice_fill_iter(members.iter().map(|member| member.value));
        match is_object {
            _ if members.is_empty() => None,
            true => Some(Value::Object(members)),
            false => Some(Value::Array(values())),
        }
    }

    /// Puts what an item gives to what the others gave.
    fn put<'a, 's>(&'s self, item: &'s Value<'a>, key: Option<&'a str>, run: &mut Run<'a, 's>, given: &mut Given<'a>) {
        if item.is_empty() || (self.made == Made::First && !given.members.is_empty()) {
            return;
        }
        let slots = run.arena.alloc_slice_fill_copy(self.source.slots(), &Value::Null);
        self.source.read(item, slots);
        let all = |set: &Vec<(usize, Condition)>| set.iter().all(|(slot, condition)| condition.holds(*slots[*slot]));
        if !self.conditions.is_empty() && !self.conditions.iter().any(all) {
            return;
        }
        if matches!(*self.node, Node::Object(_)) && item.as_object().is_none() && item.as_array().is_none() {
            run.misfit(&self.spot, self.slot);
        }
        let before = run.mark();
        let found = run.within(slots, |run| {
            let value = self.node.value(run)?;
            let Made::Keyed(slot) = self.made else { return Some((key.unwrap_or_default(), value)) };
            let key = word(run.at(slot))?;
            run.taken.push(slot);
            // A second of the same key would push the first out.
            given.keys.insert(key).then_some((key, value))
        });
        match found {
            Some((key, value)) => given.members.push(Member::new(key, value)),
            None => run.back_to(before),
        }
    }
}

/// What the items before have given.
struct Given<'a> {
    members: ArenaVec<'a, Member<'a>>,
    keys: HashSet<&'a str>,
}
