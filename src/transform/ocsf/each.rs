//! `each`: what becomes of every item of a vendor's list, or of every member of an object.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use bumpalo::collections::Vec as ArenaVec;

use super::run::{Run, Spot, address};
use super::shape::{Leaf, Node};
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
    /// An object, whose keys stand in that slot of each item. Of items with one key the first counts, or the last.
    Keyed { slot: usize, last: bool },
    /// An object of the same keys if the vendor has one, and otherwise a list.
    Alike,
}

impl Each {
    /// What all items together give, if they give anything.
    pub fn value<'a, 's>(&'s self, run: &mut Run<'a, 's>) -> Option<Value<'a>> {
        let whole: &'s Value<'a> = run.slots[self.slot];
        let mut given = Given { members: ArenaVec::new_in(run.arena), keys: HashMap::new() };
        let backwards = matches!(self.made, Made::Keyed { last: true, .. });
        match whole {
            Value::Object(members) => {
                members.iter().for_each(|member| self.put(&member.value, Some(member.key), run, &mut given));
            }
            // The last of a key comes first then, and those before it stay what they are to all others: not taken.
            Value::Array(items) if backwards => {
                items.iter().rev().for_each(|item| self.put(item, None, run, &mut given));
                given.members.reverse();
            }
            Value::Array(items) => items.iter().for_each(|item| self.put(item, None, run, &mut given)),
            // What some vendors write instead of a list of one.
            single => self.put(single, None, run, &mut given),
        }
        run.held.extend(given.keys.into_values().filter(|key| !key.is_doubled).filter_map(|key| key.taken));
        let members = given.members.into_bump_slice();
        let is_object = match self.made {
            Made::First => return members.first().map(|member| member.value),
            Made::Keyed { .. } => true,
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
        // A member that was emptied is none that is gone.
        let is_nothing = match &*self.node {
            Node::Leaf(Leaf { keeps_empty: true, .. }) if key.is_some() => *item == Value::Null,
            _ => item.is_empty(),
        };
        if is_nothing || (self.made == Made::First && !given.members.is_empty()) {
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
            let Made::Keyed { slot, .. } = self.made else {
                return Some((key.unwrap_or_default(), self.node.value(run)?));
            };
            let name = word(run.at(slot))?;
            // One that gives nothing counts as well: what was not there before the first change was never there.
            let key = match given.keys.entry(name) {
                Entry::Vacant(place) => place.insert(Key::default()),
                Entry::Occupied(mut known) => {
                    known.get_mut().is_doubled = true;
                    return None;
                }
            };
            let value = self.node.value(run)?;
            key.taken = Some(address(run.slots[slot]));
            Some((name, value))
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
    keys: HashMap<&'a str, Key>,
}

/// What is known of the items with one key.
#[derive(Default)]
struct Key {
    /// Where the key lives, if its item gave something.
    taken: Option<usize>,
    /// Whether there are several. What is left of them keeps its key then, or nobody could tell whose it is.
    is_doubled: bool,
}
