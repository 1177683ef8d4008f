//! The way through an event: what becomes of each of its texts, by the detectors and by the actions of fields.

use std::sync::LazyLock;

use bumpalo::collections::Vec as ArenaVec;

use super::fields::{FieldTreatment, Here};
use super::id::Id;
use super::policy::Treatment;
use super::{Detector, EmailAction, Hits, IpAction, Policy, Redactor, Tally, stand_in};
use crate::event::{Arena, Member, Value};
use crate::transform::ocsf::is_fact;

/// So many texts of an event are remembered. Each is compared with all of them, and a list may have a hundred thousand.
pub(super) const MOST_KNOWN: usize = 16;

/// Goes through one event.
pub(super) struct Walk<'w, 'a, T> {
    redactor: &'w Redactor,
    pub arena: &'a Arena,
    pub tally: &'w mut T,
    /// That of a whole event.
    pub id: Option<Id<'a>>,
    /// What was looked at twice before: who did it and from where stands in an event several times.
    known: ArenaVec<'a, Known<'a>>,
    /// What looks like an address and is a version, known by where it lives.
    pub versions: ArenaVec<'a, &'a str>,
}

/// What becomes of a text.
struct Known<'a> {
    text: &'a str,
    becomes: Option<&'a str>,
    hits: Hits,
}

impl<'w, 'a, T: Tally> Walk<'w, 'a, T> {
    pub fn new(redactor: &'w Redactor, arena: &'a Arena, tally: &'w mut T) -> Self {
        Self { redactor, arena, tally, id: None, known: ArenaVec::new_in(arena), versions: ArenaVec::new_in(arena) }
    }

    /// Detectors look at the texts unless a field is kept.
    pub fn value(&mut self, value: Value<'a>, here: &Here<'_>, detects: bool) -> Option<Value<'a>> {
        match value {
            Value::String(text) | Value::Number(text) if !detects => {
                if let Some(id) = &mut self.id {
                    id.kept(text);
                }
                None
            }
            Value::String(text) => self.share(text).map(Value::String),
            Value::Number(digits) => {
                let text = self.redactor.number(digits, self.tally)?;
                Some(Value::String(self.as_id(digits).unwrap_or_else(|| self.arena.alloc_str(&text))))
            }
            Value::Null | Value::Bool(_) => None,
            Value::Array(items) if here.is_nowhere() => {
                let mut index = 0;
                let changed = changed(items, self.arena, |item| {
                    self.tally.enter(itoa::Buffer::new().format(index));
                    index += 1;
                    let item = self.value(*item, here, detects);
                    self.tally.leave();
                    item
                })?;
                Some(Value::Array(changed))
            }
            Value::Object(members) if here.is_nowhere() => {
                Some(Value::Object(changed(members, self.arena, |member| self.member(member, here, detects))?))
            }
            Value::Array(items) => self.items(items, here, detects),
            Value::Object(members) => self.members(members, here, detects),
        }
    }

    fn member(&mut self, member: &Member<'a>, here: &Here<'_>, detects: bool) -> Option<Member<'a>> {
        self.tally.enter(member.key);
        let key = detects.then(|| self.share(member.key)).flatten();
        let value = self.value(member.value, here, detects);
        self.tally.leave();
        if key.is_none() && value.is_none() {
            return None;
        }
        Some(Member::new(key.unwrap_or(member.key), value.unwrap_or(member.value)))
    }

    /// A list in which some items have a path of their own.
    fn items(&mut self, items: &[Value<'a>], here: &Here<'_>, detects: bool) -> Option<Value<'a>> {
        let mut all = ArenaVec::with_capacity_in(items.len(), self.arena);
        let mut is_changed = false;
        for (index, item) in items.iter().enumerate() {
            let mut digits = itoa::Buffer::new();
            let part = digits.format(index);
            self.tally.enter(part);
            let outcome = self.field(*item, &here.below(part), detects);
            self.tally.leave();
            is_changed |= !matches!(outcome, Outcome::Same) && !item.is_null();
            // The places of the others stay what they were, for paths and for people.
            all.push(outcome.of(*item).unwrap_or(Value::Null));
        }
        is_changed.then(|| Value::Array(all.into_bump_slice()))
    }

    /// An object in which some members have a path of their own.
    fn members(&mut self, members: &[Member<'a>], here: &Here<'_>, detects: bool) -> Option<Value<'a>> {
        let mut all = ArenaVec::with_capacity_in(members.len(), self.arena);
        let mut is_changed = false;
        for member in members {
            self.tally.enter(member.key);
            let key = detects.then(|| self.share(member.key)).flatten();
            let outcome = self.field(member.value, &here.below(member.key), detects);
            self.tally.leave();
            is_changed |= key.is_some() || !matches!(outcome, Outcome::Same);
            all.extend(outcome.of(member.value).map(|value| Member::new(key.unwrap_or(member.key), value)));
        }
        is_changed.then(|| Value::Object(all.into_bump_slice()))
    }

    fn field(&mut self, value: Value<'a>, here: &Here<'_>, detects: bool) -> Outcome<'a> {
        let changed = match here.action() {
            None => self.value(value, here, detects),
            Some(FieldTreatment::Keep) => self.value(value, here, false),
            Some(FieldTreatment::Change(treatment)) => return self.treated(value, treatment),
        };
        changed.map_or(Outcome::Same, Outcome::Changed)
    }

    /// What becomes of the value of a field that hides it.
    pub fn treated(&mut self, value: Value<'a>, treatment: &Treatment) -> Outcome<'a> {
        if !matches!(treatment, Treatment::Remove) {
            return self.whole(value, treatment).map_or(Outcome::Same, Outcome::Changed);
        }
        if !value.is_null() {
            self.tally.hit(Detector::Field, "", "");
        }
        if let Some(id) = &mut self.id {
            id.removed(value);
        }
        Outcome::Gone
    }

    /// Every text and number in the value is replaced; the keys in it are looked at by the detectors.
    fn whole(&mut self, value: Value<'a>, treatment: &Treatment) -> Option<Value<'a>> {
        match value {
            Value::String("") | Value::Null => None,
            Value::Bool(flag) => matches!(treatment, Treatment::Mask).then_some(Value::Bool(false)).filter(|_| flag),
            Value::Number(digits) if matches!(treatment, Treatment::Mask) => {
                self.note_id(digits, None);
                (digits != "0").then(|| self.tell(digits, "0")).map(Value::Number)
            }
            Value::String(text) | Value::Number(text) => {
                let stand_in = stand_in::whole(text, treatment)?;
                let stand_in = self.tell(text, self.arena.alloc_str(&stand_in));
                self.note_id(text, (!matches!(treatment, Treatment::Mask)).then_some(stand_in));
                Some(Value::String(stand_in))
            }
            Value::Array(items) => Some(Value::Array(changed(items, self.arena, |item| self.whole(*item, treatment))?)),
            Value::Object(members) => Some(Value::Object(changed(members, self.arena, |member| {
                let (key, value) = (self.share(member.key), self.whole(member.value, treatment));
                let is_changed = key.is_some() || value.is_some();
                is_changed.then(|| Member::new(key.unwrap_or(member.key), value.unwrap_or(member.value)))
            })?)),
        }
    }

    fn tell(&mut self, found: &str, stand_in: &'a str) -> &'a str {
        self.tally.hit(Detector::Field, found, stand_in);
        stand_in
    }

    fn note_id(&mut self, text: &str, stand_in: Option<&'a str>) {
        if let Some(id) = &mut self.id {
            id.hidden(text, stand_in);
        }
    }

    /// What stands for the text if it is the record's id and the detectors find something in it.
    fn as_id(&self, text: &str) -> Option<&'a str> {
        self.id.as_ref()?.detected_in(text)
    }

    fn share(&mut self, text: &'a str) -> Option<&'a str> {
        let becomes = self.detect(text)?;
        Some(self.as_id(text).unwrap_or(becomes))
    }

    fn detect(&mut self, text: &'a str) -> Option<&'a str> {
        if is_fact(text) {
            return None;
        }
        let traits = self.redactor.suspicion(text)?;
        if self.versions.iter().any(|version| std::ptr::eq(*version, text)) {
            let redactor = Redactor { ips: None, ..self.redactor.clone() };
            return redactor.text(text, self.tally).map(|text| &*self.arena.alloc_str(&text));
        }
        let Some(counted) = self.tally.counts() else {
            return self.redactor.settle(text, traits, self.tally).map(|text| &*self.arena.alloc_str(&text));
        };
        let known = self.known.iter().find(|known| known.text == text);
        if let Some(Known { becomes, hits, .. }) = known {
            *counted += *hits;
            return *becomes;
        }
        let mut hits = Hits::default();
        let becomes = self.redactor.settle(text, traits, &mut hits).map(|text| &*self.arena.alloc_str(&text));
        *counted += hits;
        if self.known.len() < MOST_KNOWN {
            self.known.push(Known { text, becomes, hits });
        }
        becomes
    }
}

/// What becomes of a field.
pub(super) enum Outcome<'a> {
    Same,
    Changed(Value<'a>),
    Gone,
}

impl<'a> Outcome<'a> {
    pub fn changed(self) -> Option<Value<'a>> {
        match self {
            Self::Changed(value) => Some(value),
            Self::Same | Self::Gone => None,
        }
    }

    pub fn of(self, before: Value<'a>) -> Option<Value<'a>> {
        match self {
            Self::Same => Some(before),
            Self::Changed(value) => Some(value),
            Self::Gone => None,
        }
    }
}

/// A copy of `items` with what changed, `None` when nothing did.
fn changed<'a, T: Copy>(items: &'a [T], arena: &'a Arena, mut change: impl FnMut(&T) -> Option<T>) -> Option<&'a [T]> {
    let (first, replaced) = items.iter().enumerate().find_map(|(index, item)| Some((index, change(item)?)))?;
    let copy = arena.alloc_slice_copy(items);
    copy[first] = replaced;
    for item in &mut copy[first + 1..] {
        if let Some(replaced) = change(item) {
            *item = replaced;
        }
    }
    Some(copy)
}

static MASK: LazyLock<Redactor> = LazyLock::new(|| {
    let policy = Policy { emails: Some(EmailAction::Mask), ips: Some(IpAction::Mask), ..Policy::default() };
    Redactor::new(policy).expect("masking needs no key")
});

/// The value with every text and number in it masked, `None` when there are none.
pub(super) fn mask_all<'a>(value: Value<'a>, arena: &'a Arena) -> Option<Value<'a>> {
    let mut hits = Hits::default();
    let mut walk = Walk::new(&MASK, arena, &mut hits);
    walk.whole(value, &Treatment::Mask)
}

/// A text for people, with all addresses masked: what a vendor said, before it reaches a log.
#[must_use]
pub fn masked(text: &str) -> String {
    MASK.text(text, &mut Hits::default()).unwrap_or_else(|| text.to_owned())
}
