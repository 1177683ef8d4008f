//! One record on its way through a shape: what was taken of it, what did not fit, what there is to search for.

use std::collections::HashSet;
use std::sync::LazyLock;

use bumpalo::collections::Vec as ArenaVec;

use super::schema::{Word, schema};
use super::source::Source;
use crate::event::{Arena, Event, Member, Value};

/// The name of the tag that lists what did not fit.
const MISFIT: &str = "auditline.misfit";

/// An attribute as the event names it.
#[derive(Clone, Debug, Default)]
pub struct Spot {
    /// Its path: `actor.user.name`, `resources[].uid`.
    pub path: String,
    /// As which of the observables OCSF counts it.
    pub observable: Option<&'static Word>,
}

/// The members of an observable, in the schema's own letters.
static KEYS: LazyLock<[&str; 4]> = LazyLock::new(|| {
    let observable = schema().object("observable").expect("OCSF has observables");
    ["name", "type_id", "type", "value"].map(|key| observable.get(key).expect("an observable has it").name)
});

/// Something a SIEM searches for.
struct Observed<'a, 's> {
    path: &'s str,
    kind: &'static Word,
    /// What it is. An object has none.
    value: Option<&'a str>,
}

/// A value of the record that its attribute does not take.
struct Misfit<'s> {
    path: &'s str,
    /// Where the record has it; `None` once it is certain that the event has it nowhere else.
    slot: Option<usize>,
}

/// One record on its way through a shape.
pub struct Run<'a, 's> {
    /// The event as it came.
    pub event: &'s Event<'a>,
    /// What the record, or the item that is looked at, has at the paths of the map.
    pub slots: &'s [&'s Value<'a>],
    /// The slots whose values are in the event as they were.
    pub taken: ArenaVec<'s, usize>,
    /// The same of items: where these values live.
    pub held: ArenaVec<'s, usize>,
    /// How many values came from the record.
    pub found: usize,
    /// Where the event lives.
    pub arena: &'a Arena,
    observed: ArenaVec<'s, Observed<'a, 's>>,
    misfits: ArenaVec<'s, Misfit<'s>>,
}

/// How far a run had come.
#[derive(Clone, Copy)]
pub struct Mark {
    taken: usize,
    held: usize,
    found: usize,
    observed: usize,
}

/// What tells a value from all others that are alive.
#[must_use]
pub fn address(value: &Value) -> usize {
    std::ptr::from_ref(value).addr()
}

impl<'a, 's> Run<'a, 's> {
    /// Nothing is found yet.
    pub fn new(event: &'s Event<'a>, slots: &'s [&'s Value<'a>], arena: &'a Arena) -> Self {
        Self {
            event,
            slots,
            taken: ArenaVec::with_capacity_in(slots.len(), arena),
            held: ArenaVec::new_in(arena),
            found: 0,
            arena,
            observed: ArenaVec::new_in(arena),
            misfits: ArenaVec::new_in(arena),
        }
    }

    /// What stands in a slot.
    #[must_use]
    pub fn at(&self, slot: usize) -> Value<'a> {
        *self.slots[slot]
    }

    /// Counts what was found in a slot, and keeps it out of `unmapped` if the event has it whole.
    pub fn take(&mut self, slot: usize, whole: bool) {
        self.found += 1;
        if whole {
            self.taken.push(slot);
        }
    }

    /// Notes that what stands in a slot does not fit there.
    pub fn misfit(&mut self, spot: &'s Spot, slot: usize) {
        self.misfits.push(Misfit { path: &spot.path, slot: Some(slot) });
    }

    /// Notes `value` if it is an observable there. Of a list every item is one.
    pub fn observe(&mut self, spot: &'s Spot, value: Value<'a>) {
        let Some(kind) = spot.observable else { return };
        let path = spot.path.as_str();
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.observe(spot, *item)),
            Value::Null | Value::Object(_) => self.observed.push(Observed { path, kind, value: None }),
            single => self.observed.push(Observed { path, kind, value: crate::transform::condition::word(single) }),
        }
    }

    /// How far it has come.
    #[must_use]
    pub fn mark(&self) -> Mark {
        let (taken, held, observed) = (self.taken.len(), self.held.len(), self.observed.len());
        Mark { taken, held, found: self.found, observed }
    }

    /// Forgets what came after `mark`, but for what did not fit: that may be why.
    pub fn back_to(&mut self, mark: Mark) {
        self.taken.truncate(mark.taken);
        self.held.truncate(mark.held);
        self.observed.truncate(mark.observed);
        self.found = mark.found;
    }

    /// Does something with an item in place of the record. What was taken of it is held from then on.
    pub fn within<T>(&mut self, slots: &'s [&'s Value<'a>], act: impl FnOnce(&mut Self) -> T) -> T {
        let slots = std::mem::replace(&mut self.slots, slots);
        let taken = std::mem::replace(&mut self.taken, ArenaVec::new_in(self.arena));
        let before = self.misfits.len();
        let done = act(self);
        let of_item = std::mem::replace(&mut self.taken, taken);
        self.settle(before, |slot| of_item.contains(&slot));
        let item = std::mem::replace(&mut self.slots, slots);
        self.held.extend(of_item.iter().map(|slot| address(item[*slot])));
        done
    }

    /// Drops the misfits from there on that the event has elsewhere, as `is_there` says, and those that are known.
    fn settle(&mut self, from: usize, is_there: impl Fn(usize) -> bool) {
        let mut kept = from;
        for at in from..self.misfits.len() {
            let Misfit { path, slot } = self.misfits[at];
            let is_known = || self.misfits[..kept].iter().any(|known| known.slot.is_none() && known.path == path);
            if !slot.is_some_and(&is_there) && !is_known() {
                self.misfits[kept] = Misfit { path, slot: None };
                kept += 1;
            }
        }
        self.misfits.truncate(kept);
    }

    /// Forgets which items did not fit since there were `known` misfits: they were looked at for a rule that does not apply.
    pub fn drop_rule(&mut self, known: usize) {
        let mut at = 0;
        self.misfits.retain(|misfit| {
            at += 1;
            at <= known || misfit.slot.is_some()
        });
    }

    /// How many misfits there are until now.
    #[must_use]
    pub fn known_misfits(&self) -> usize {
        self.misfits.len()
    }

    /// Whether the event may have what stands in that slot: whole, in parts, or in something larger.
    fn has(&self, slot: usize, source: &Source) -> bool {
        self.taken.iter().any(|taken| source.overlap(*taken, slot))
    }

    /// The tag that lists the attributes which did not take what the record has for them.
    pub fn misfits(&mut self, source: &Source) -> Option<Value<'a>> {
        if self.misfits.is_empty() {
            return None;
        }
        let misfits = std::mem::replace(&mut self.misfits, ArenaVec::new_in(self.arena));
        let homeless = misfits.into_iter().filter(|misfit| !misfit.slot.is_some_and(|slot| self.has(slot, source)));
        let mut paths: ArenaVec<'_, &str> = ArenaVec::new_in(self.arena);
        for misfit in homeless {
            if !paths.contains(&misfit.path) {
                paths.push(misfit.path);
            }
        }
        let arena = self.arena;
        let values = paths.iter().map(|path| Value::String(arena.alloc_str(path)));
        let values: &[Value] = arena.alloc_slice_fill_iter(values);
        let tag =
            || arena.alloc([Member::new("name", Value::String(MISFIT)), Member::new("values", Value::Array(values))]);
        (!values.is_empty()).then(|| Value::Object(tag()))
    }

    /// The event's `observables`, each once.
    pub fn observables(&self) -> Option<Value<'a>> {
        let arena = self.arena;
        let mut seen = HashSet::new();
        let mut all = ArenaVec::with_capacity_in(self.observed.len(), arena);
        for Observed { path, kind, value } in &self.observed {
            // Only in a list may one come again.
            if path.contains("[]") && !seen.insert((path, kind.key, value)) {
                continue;
            }
            let name = Member::new(KEYS[0], Value::String(arena.alloc_str(path)));
            let type_id = Member::new(KEYS[1], Value::Number(kind.key));
            let caption = Member::new(KEYS[2], Value::String(kind.caption));
            let members: &[Member] = match value {
                Some(value) => arena.alloc([name, type_id, caption, Member::new(KEYS[3], Value::String(value))]),
                None => arena.alloc([name, type_id, caption]),
            };
            all.push(Value::Object(members));
        }
        (!all.is_empty()).then(|| Value::Array(all.into_bump_slice()))
    }
}
