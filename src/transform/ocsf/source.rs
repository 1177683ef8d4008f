//! The vendor's record: the values the map asks for, and what is left of it when they are taken.
//!
//! All paths of a map are one tree, so a record is walked twice and no more, however many paths there are.

use bumpalo::collections::Vec as ArenaVec;

use crate::event::{Arena, Member, Path, Value};

/// Every path a map asks for. Each has a slot, counted from zero.
#[derive(Debug, Default)]
pub struct Source {
    root: Branch,
    slots: usize,
}

#[derive(Debug, Default)]
struct Branch {
    slot: Option<usize>,
    children: Vec<(Part, Branch)>,
}

/// What is not left any more.
struct Taken<'t> {
    slots: &'t [bool],
    doubled: bool,
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
        let branch = path.parts().iter().fold(&mut self.root, |branch, key| branch.grow(key));
        let slots = &mut self.slots;
        *branch.slot.get_or_insert_with(|| {
            *slots += 1;
            *slots - 1
        })
    }

    /// How many slots there are.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.slots
    }

    /// Puts what stands at each path into its slot, and leaves the other slots as they are.
    ///
    /// Says whether a key on the way was doubled, as [`rest`](Self::rest) wants to know.
    pub fn read<'a>(&self, record: Value<'a>, slots: &mut [Value<'a>]) -> bool {
        self.root.read(record, slots)
    }

    /// What is left of `record` without the values in the slots that were taken.
    ///
    /// `null`, empty values and objects of which nothing is left go, too.
    pub fn rest<'a>(&self, record: Value<'a>, taken: &[bool], doubled: bool, arena: &'a Arena) -> Option<Value<'a>> {
        self.root.rest(record, &Taken { slots: taken, doubled }, arena)
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

    fn read<'a>(&self, value: Value<'a>, slots: &mut [Value<'a>]) -> bool {
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
                        doubled |= branch.read(member.value, slots);
                    } else {
                        doubled = true;
                    }
                }
            }
            Value::Array(items) => {
                for (part, branch) in &self.children {
                    if let Some(item) = part.place.and_then(|place| items.get(place)) {
                        doubled |= branch.read(*item, slots);
                    }
                }
            }
            _ => {}
        }
        doubled
    }

    fn rest<'a>(&self, value: Value<'a>, taken: &Taken, arena: &'a Arena) -> Option<Value<'a>> {
        if value.is_empty() || self.slot.is_some_and(|slot| taken.slots[slot]) {
            return None;
        }
        match value {
            _ if self.children.is_empty() => Some(value),
            Value::Object(members) => {
                let mut rest = ArenaVec::with_capacity_in(members.len(), arena);
                for (at, member) in members.iter().enumerate() {
                    let left = match self.of_key(member.key) {
                        Some(branch) if !taken.doubled || is_last(members, at) => {
                            branch.rest(member.value, taken, arena)
                        }
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
                        Some(branch) => branch.rest(*item, taken, arena),
                        None => Some(*item),
                    });
                }
                (!rest.is_empty()).then(|| Value::Array(rest.into_bump_slice()))
            }
            scalar => Some(scalar),
        }
    }
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
        source(paths).rest(record, taken, false, &arena).map(|rest| json::to_string(&rest))
    }

    #[test]
    fn slots_hold_what_a_path_finds() {
        let paths = ["a.b", "a", "l.0.m", "l.1", "l.x", "a.b.c", "nothing", "a.d.e"];
        let arena = Arena::new();
        let record = json::decode(RECORD.as_bytes(), &arena).unwrap();
        let mut slots = [Value::Null; 8];
        assert!(!source(&paths).read(record, &mut slots));
        for (path, value) in paths.iter().zip(slots) {
            assert_eq!(value, path.parse::<Path>().unwrap().find(record).unwrap_or(Value::Null), "{path}");
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
        let mut slots = [Value::Null; 2];
        assert!(source.read(record, &mut slots));
        assert_eq!(slots, [Value::Null, Value::Number("2")]);
        let rest = source.rest(record, &[true, true], true, &arena).unwrap();
        assert_eq!(json::to_string(&rest), r#"{"a":{"x":1}}"#);
    }

    #[test]
    fn a_record_that_is_no_object_stays_whole() {
        assert_eq!(rest("[1,[2]]", &["a.b"], &[true]).unwrap(), "[1,[2]]");
        assert_eq!(rest("\"x\"", &["a"], &[true]).unwrap(), "\"x\"");
    }
}
