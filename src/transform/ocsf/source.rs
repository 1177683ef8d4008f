//! The vendor's record: the values the map asks for, and what is left of it when they are taken.
//!
//! All paths of a map are one tree, so a record is walked twice and no more, however many paths there are. Where a map
//! asks for each item of a list, the items have a tree of their own, and what was taken of them is known by its address.

use std::collections::HashSet;

use bumpalo::collections::Vec as ArenaVec;

use super::run::address;
use crate::event::{Arena, Member, Path, Value};

/// Every path a map asks for. Each has a slot, counted from zero.
#[derive(Debug, Default)]
pub struct Source {
    root: Branch,
    /// The path of each slot.
    paths: Vec<Vec<String>>,
}

#[derive(Debug, Default)]
struct Branch {
    slot: Option<usize>,
    /// Whether something is made of each item.
    each: bool,
    children: Vec<(Part, Branch)>,
}

/// What is not left any more.
#[derive(Debug, Default)]
pub struct Taken<'t> {
    /// For each slot, whether what stands there is not.
    pub slots: &'t [bool],
    /// Where the values live that are not left of items.
    pub held: HashSet<usize>,
    /// Whether a key on the way was doubled, as [`Source::read`] has said.
    pub doubled: bool,
}

/// One part of a path: the key of a member, and the place in a list if it is a number.
#[derive(Debug)]
struct Part {
    key: String,
    place: Option<usize>,
}

impl Source {
    /// The slot of `path`, the same one every time.
    pub fn slot(&mut self, path: &Path) -> usize {
        self.slot_of(path.parts(), false)
    }

    /// The slot of a list at `path` of which every item is looked at.
    pub fn each(&mut self, path: &Path) -> usize {
        self.slot_of(path.parts(), true)
    }

    /// The slot of the record itself.
    pub fn whole(&mut self) -> usize {
        self.slot_of(&[], false)
    }

    fn slot_of(&mut self, parts: &[String], each: bool) -> usize {
        let branch = parts.iter().fold(&mut self.root, |branch, key| branch.grow(key));
        branch.each |= each;
        let paths = &mut self.paths;
        *branch.slot.get_or_insert_with(|| {
            paths.push(parts.to_vec());
            paths.len() - 1
        })
    }

    /// How many slots there are.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.paths.len()
    }

    /// The path of each slot.
    #[must_use]
    pub fn paths(&self) -> Vec<String> {
        self.paths.iter().map(|parts| parts.iter().fold(String::new(), |path, part| joined(&path, part))).collect()
    }

    /// The parts of a slot's path.
    #[must_use]
    pub fn parts(&self, slot: usize) -> &[String] {
        &self.paths[slot]
    }

    /// Whether one of two slots is within the other, or they are the same.
    #[must_use]
    pub fn overlap(&self, one: usize, other: usize) -> bool {
        self.paths[one].iter().zip(&self.paths[other]).all(|(one, other)| one == other)
    }

    /// Puts what stands at each path into its slot, and leaves the other slots as they are.
    ///
    /// Says whether a key on the way was doubled, as [`rest`](Self::rest) wants to know.
    pub fn read<'s, 'a>(&self, record: &'s Value<'a>, slots: &mut [&'s Value<'a>]) -> bool {
        self.root.read(record, slots)
    }

    /// What is left of `record` without the values that were taken.
    ///
    /// `null`, empty values and objects of which nothing is left go, too.
    pub fn rest<'a>(&self, record: &Value<'a>, taken: &Taken, arena: &'a Arena) -> Option<Value<'a>> {
        self.root.rest(record, false, taken, arena)
    }
}

impl Branch {
    fn grow(&mut self, key: &str) -> &mut Branch {
        let known = self.children.iter().position(|(part, _)| part.key == key);
        let at = known.unwrap_or_else(|| {
            self.children.push((Part { key: key.to_owned(), place: key.parse().ok() }, Branch::default()));
            self.children.len() - 1
        });
        &mut self.children[at].1
    }

    fn of_key(&self, key: &str) -> Option<&Branch> {
        let (_, branch) = self.children.iter().find(|(part, _)| part.key == key)?;
        Some(branch)
    }

    fn of_item(&self, at: usize) -> Option<&Branch> {
        let (_, branch) = self.children.iter().find(|(part, _)| part.place == Some(at))?;
        Some(branch)
    }

    fn read<'s, 'a>(&self, value: &'s Value<'a>, slots: &mut [&'s Value<'a>]) -> bool {
        let mut doubled = false;
        if let Some(slot) = self.slot {
            slots[slot] = value;
        }
        match value {
            _ if self.children.is_empty() => {}
            Value::Object(members) => {
                for (at, member) in members.iter().enumerate() {
                    let Some(branch) = self.of_key(member.key) else { continue };
                    if is_last(members, at) {
                        doubled |= branch.read(&member.value, slots);
                    } else {
                        doubled = true;
                    }
                }
            }
            Value::Array(items) => {
                for (part, branch) in &self.children {
                    if let Some(item) = part.place.and_then(|place| items.get(place)) {
                        doubled |= branch.read(item, slots);
                    }
                }
            }
            _ => {}
        }
        doubled
    }

    fn rest<'a>(&self, value: &Value<'a>, within: bool, taken: &Taken, arena: &'a Arena) -> Option<Value<'a>> {
        if value.is_empty() || self.slot.is_some_and(|slot| taken.slots[slot]) {
            return None;
        }
        let each = within || self.each;
        if each && (taken.held.contains(&address(value)) || self.children.is_empty()) {
            return loose(value, taken, arena);
        }
        match value {
            _ if self.children.is_empty() => Some(*value),
            Value::Object(members) => {
                let mut rest = ArenaVec::with_capacity_in(members.len(), arena);
                for (at, member) in members.iter().enumerate() {
                    let left = match self.of_key(member.key) {
                        Some(branch) if !taken.doubled || is_last(members, at) => {
                            branch.rest(&member.value, each, taken, arena)
                        }
                        _ if each => loose(&member.value, taken, arena),
                        _ => Some(member.value).filter(|value| !value.is_empty()),
                    };
                    rest.extend(left.map(|value| Member::new(member.key, value)));
                }
                (!rest.is_empty()).then(|| Value::Object(rest.into_bump_slice()))
            }
            Value::Array(items) => {
                let mut rest = ArenaVec::with_capacity_in(items.len(), arena);
                for (at, item) in items.iter().enumerate() {
                    rest.extend(match self.of_item(at) {
                        Some(branch) => branch.rest(item, each, taken, arena),
                        None if each => loose(item, taken, arena),
                        None => Some(*item),
                    });
                }
                (!rest.is_empty()).then(|| Value::Array(rest.into_bump_slice()))
            }
            scalar => Some(*scalar),
        }
    }
}

/// What is left of a value, no part of which has a slot.
fn loose<'a>(value: &Value<'a>, taken: &Taken, arena: &'a Arena) -> Option<Value<'a>> {
    if taken.held.is_empty() {
        return (!value.is_empty()).then_some(*value);
    }
    if value.is_empty() || taken.held.contains(&address(value)) {
        return None;
    }
    match value {
        Value::Object(members) => {
            let mut rest = ArenaVec::with_capacity_in(members.len(), arena);
            for member in *members {
                rest.extend(loose(&member.value, taken, arena).map(|value| Member::new(member.key, value)));
            }
            (!rest.is_empty()).then(|| Value::Object(rest.into_bump_slice()))
        }
        Value::Array(items) => {
            let mut rest = ArenaVec::with_capacity_in(items.len(), arena);
            rest.extend(items.iter().filter_map(|item| loose(item, taken, arena)));
            (!rest.is_empty()).then(|| Value::Array(rest.into_bump_slice()))
        }
        scalar => Some(*scalar),
    }
}

/// `path` with one part more, as [`Path`] writes it.
#[must_use]
pub fn joined(path: &str, part: &str) -> String {
    let dot = if path.is_empty() { "" } else { "." };
    if part.contains('.') { format!("{path}{dot}\"{part}\"") } else { format!("{path}{dot}{part}") }
}

/// Of doubled keys the last one counts.
fn is_last(members: &[Member], at: usize) -> bool {
    let key = members[at].key;
    members[at + 1..].iter().all(|later| later.key != key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::json;

    const RECORD: &str = r#"{"a":{"b":1,"c":null,"d":{"e":"x"}},"l":[{"k":1,"m":2},7],"z":"","y":[0]}"#;

    fn source(paths: &[&str]) -> Source {
        let mut source = Source::default();
        for (slot, path) in paths.iter().enumerate() {
            assert_eq!(source.slot(&path.parse().unwrap()), slot);
        }
        source
    }

    fn rest(record: &str, paths: &[&str], taken: &[bool]) -> Option<String> {
        let arena = Arena::new();
        let record = json::decode(record.as_bytes(), &arena).unwrap();
        let taken = Taken { slots: taken, ..Taken::default() };
        source(paths).rest(&record, &taken, &arena).map(|rest| json::to_string(&rest))
    }

    #[test]
    fn slots_hold_what_a_path_finds() {
        let paths = ["a.b", "a", "l.0.m", "l.1", "l.x", "a.b.c", "nothing", "a.d.e"];
        let arena = Arena::new();
        let record = json::decode(RECORD.as_bytes(), &arena).unwrap();
        let mut slots = [&Value::Null; 8];
        assert!(!source(&paths).read(&record, &mut slots));
        for (path, value) in paths.iter().zip(slots) {
            assert_eq!(*value, path.parse::<Path>().unwrap().find(record).unwrap_or(Value::Null), "{path}");
        }
    }

    #[test]
    fn a_path_has_one_slot() {
        let mut source = source(&["a.b", "a"]);
        assert_eq!(source.slot(&"a.b".parse().unwrap()), 0);
        assert_eq!(source.slots(), 2);
    }

    #[test]
    fn what_is_taken_is_left_out_and_the_rest_stays() {
        let left = |taken| rest(RECORD, &["a.b", "a.d.e", "l.0.m"], taken).unwrap();
        assert_eq!(left(&[false; 3]), r#"{"a":{"b":1,"d":{"e":"x"}},"l":[{"k":1,"m":2},7],"y":[0]}"#);
        assert_eq!(left(&[true, true, true]), r#"{"l":[{"k":1},7],"y":[0]}"#);
        assert_eq!(rest(r#"{"a":{"b":1}}"#, &["a.b"], &[true]), None);
        assert_eq!(rest(r#"{"a":{"b":1}}"#, &["a", "a.b"], &[true, false]), None);
    }

    #[test]
    fn of_doubled_keys_the_last_is_read_and_the_others_stay() {
        let arena = Arena::new();
        let record = json::decode(br#"{"a":{"x":1},"a":{"y":2}}"#, &arena).unwrap();
        let source = source(&["a.x", "a.y"]);
        let mut slots = [&Value::Null; 2];
        assert!(source.read(&record, &mut slots));
        assert_eq!(slots, [&Value::Null, &Value::Number("2")]);
        let taken = Taken { slots: &[true, true], doubled: true, ..Taken::default() };
        let rest = source.rest(&record, &taken, &arena).unwrap();
        assert_eq!(json::to_string(&rest), r#"{"a":{"x":1}}"#);
    }

    #[test]
    fn of_items_goes_what_is_held() {
        let arena = Arena::new();
        let text = br#"{"l":[{"k":"a","v":1},{"k":"b","v":[null,2]},3],"m":[4]}"#;
        let record = json::decode(text, &arena).unwrap();
        let mut source = Source::default();
        assert_eq!((source.each(&"l".parse().unwrap()), source.slots()), (0, 1));
        let items = record.get("l").unwrap().as_array().unwrap();
        let members = |at: usize| items[at].as_object().unwrap();
        let held = [&members(0)[0].value, &members(1)[1].value, &items[2]];
        let held = held.map(address).into_iter().collect();
        let taken = Taken { slots: &[false], held, doubled: false };
        assert_eq!(
            json::to_string(&source.rest(&record, &taken, &arena).unwrap()),
            r#"{"l":[{"v":1},{"k":"b"}],"m":[4]}"#
        );
        let nothing = Taken { slots: &[false], ..Taken::default() };
        assert_eq!(json::to_string(&source.rest(&record, &nothing, &arena).unwrap()).as_bytes(), text);
    }

    #[test]
    fn slots_overlap_where_one_is_within_the_other() {
        let source = source(&["a", "a.b", "a.c", "ab"]);
        assert!(source.overlap(0, 1) && source.overlap(1, 0) && source.overlap(2, 2));
        assert!(!source.overlap(1, 2) && !source.overlap(0, 3));
    }

    #[test]
    fn a_record_that_is_no_object_stays_whole() {
        assert_eq!(rest("[1,[2]]", &["a.b"], &[true]).unwrap(), "[1,[2]]");
        assert_eq!(rest("\"x\"", &["a"], &[true]).unwrap(), "\"x\"");
    }
}
