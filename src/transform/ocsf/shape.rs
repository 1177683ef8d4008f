//! The event as the map says it: a tree of what goes where, walked once per record.

#![expect(clippy::ptr_arg, reason = "whether a name is static decides whether the event may borrow it")]

use std::borrow::Cow;

use bumpalo::collections::Vec as ArenaVec;

use super::each::Each;
use super::run::{Run, Spot};
use super::scalar::{Fit, Scalar};
use super::schema::Word;
use crate::event::{Arena, Member, Value};
use crate::transform::condition::{Words, word};

/// What stands at one place of the event.
#[derive(Debug)]
pub enum Node {
    /// An object.
    Object(Shape),
    /// A list of what its nodes give. Absent if none gives anything.
    List(Vec<Node>),
    /// A value of the record, or a constant.
    Leaf(Leaf),
    /// A word of the record as OCSF counts it: the number and, beside it, the caption.
    Choice(Choice),
    /// What becomes of each item of a list.
    Each(Each),
    /// The event's id. The slots are where the record has it.
    Id(Vec<usize>),
    /// The event's time, in milliseconds since 1970.
    Time,
    /// The time as the vendor wrote it, in the first of these slots that has one.
    OriginalTime(Vec<usize>),
}

/// An object of the event.
#[derive(Debug, Default)]
pub struct Shape {
    /// Where it stands.
    pub spot: Spot,
    /// Key and value, in the order of the event. At most 128.
    pub members: Vec<(Cow<'static, str>, Node)>,
    /// Of each of these sets of members at least one must be there, or the object is not.
    pub needs: Vec<u128>,
    /// Of each of these sets exactly one must be there.
    pub just_one: Vec<u128>,
    /// Whether it is there although nothing in it comes from the record.
    pub eager: bool,
    /// How many members it has at most, counting the captions of choices.
    pub width: usize,
}

/// A single value, or a list of them.
#[derive(Debug)]
pub struct Leaf {
    /// Where it stands.
    pub spot: Spot,
    /// Where the record may have it. The first that fits counts.
    pub slots: Vec<usize>,
    /// What the vendor's words mean.
    pub values: Words<Constant>,
    /// What stands there if the record has nothing that fits.
    pub otherwise: Option<Constant>,
    /// The type.
    pub scalar: Scalar,
    /// Whether it is a list of that type.
    pub list: bool,
    /// Whether only objects fit, as in the object of OCSF that takes anything.
    pub objects_only: bool,
    /// Whether an empty text, list or object is a value like any other: what has been emptied. `null` never is.
    pub keeps_empty: bool,
}

/// A value that stands in the map itself.
#[derive(Clone, Debug, PartialEq)]
pub enum Constant {
    /// A text.
    Text(Cow<'static, str>),
    /// A number's digits.
    Number(Cow<'static, str>),
    /// `true` or `false`.
    Bool(bool),
    /// A list.
    List(Vec<Constant>),
}

/// An enum attribute.
#[derive(Debug)]
pub struct Choice {
    /// Where it stands.
    pub spot: Spot,
    /// Where the record may have the word.
    pub slots: Vec<usize>,
    /// What the vendor's words mean, as places in `known`.
    pub values: Words<usize>,
    /// The place of what it is if the record has no word.
    pub otherwise: Option<usize>,
    /// The place of *Other*, if this enum has it.
    pub other: Option<usize>,
    /// OCSF's own words.
    pub known: &'static [Word],
    /// Whether the value is a text and not a number.
    pub textual: bool,
    /// The key of the caption.
    pub sibling: Option<&'static str>,
    /// `type_uid` and `type_name` for each of `known`, if this is the activity.
    pub types: &'static [Word],
}

impl Shape {
    /// The object's members, if the record has what it needs. Otherwise nothing was taken.
    pub fn fill<'a, 's>(&'s self, run: &mut Run<'a, 's>, extra: usize) -> Option<ArenaVec<'a, Member<'a>>> {
        let (before, found) = (run.mark(), run.found);
        let mut members = ArenaVec::with_capacity_in(self.width + extra, run.arena);
        let mut present = 0_u128;
        for (at, (key, node)) in self.members.iter().enumerate() {
            if node.write(key, run, &mut members) {
                present |= 1 << at;
            }
        }
        let is_whole = self.needs.iter().all(|need| present & need != 0)
            && self.just_one.iter().all(|set| (present & set).count_ones() == 1)
            && (self.eager || run.found > found);
        if !is_whole {
            run.back_to(before);
        }
        is_whole.then_some(members)
    }
}

impl Shape {
    /// The sets of members of which a record may lack every one, or have too many.
    pub fn uncertain(&self) -> impl Iterator<Item = u128> {
        let certain = self.members.iter().enumerate().filter(|(_, (_, node))| node.is_certain());
        let certain = certain.fold(0_u128, |set, (at, _)| set | 1 << at);
        let needs = self.needs.iter().copied().filter(move |need| need & certain == 0);
        needs.chain(self.just_one.iter().copied().filter(move |set| set & certain == 0 || set.count_ones() > 1))
    }
}

impl Node {
    /// Adds its member, or its members, and says whether there is one.
    fn write<'a, 's>(
        &'s self,
        key: &Cow<'static, str>,
        run: &mut Run<'a, 's>,
        out: &mut ArenaVec<'a, Member<'a>>,
    ) -> bool {
        let value = match self {
            Self::Choice(choice) => return choice.write(key, run, out),
            single => single.value(run),
        };
        let Some(value) = value else { return false };
        out.push(Member::new(lasting(key, run.arena), value));
        true
    }

    /// Whether it is there whatever the record holds.
    #[must_use]
    pub fn is_certain(&self) -> bool {
        match self {
            Self::Object(shape) => shape.eager && shape.uncertain().next().is_none(),
            Self::List(nodes) => nodes.iter().any(Self::is_certain),
            Self::Leaf(leaf) => leaf.otherwise.is_some(),
            Self::Choice(choice) => choice.otherwise.is_some(),
            Self::Id(_) | Self::Time => true,
            Self::Each(_) | Self::OriginalTime(_) => false,
        }
    }

    /// What stands there, if anything does.
    pub fn value<'a, 's>(&'s self, run: &mut Run<'a, 's>) -> Option<Value<'a>> {
        match self {
            Self::Object(shape) => {
                let object = Value::Object(shape.fill(run, 0)?.into_bump_slice());
                run.observe(&shape.spot, object);
                Some(object)
            }
            Self::List(nodes) => {
                let mut items = ArenaVec::with_capacity_in(nodes.len(), run.arena);
                for node in nodes {
                    items.extend(node.value(run));
                }
                (!items.is_empty()).then(|| Value::Array(items.into_bump_slice()))
            }
            Self::Leaf(leaf) => leaf.value(run),
            Self::Each(each) => each.value(run),
            Self::Choice(_) => None,
            Self::Id(slots) => {
                let id = run.event.id;
                if let Some(slot) = slots.iter().find(|slot| word(run.at(**slot)) == Some(id)) {
                    run.taken.push(*slot);
                }
                Some(Value::String(id))
            }
            Self::Time => Some(Value::integer(run.event.time.timestamp_millis(), run.arena)),
            Self::OriginalTime(slots) => {
                let (slot, written) = slots.iter().find_map(|slot| Some((*slot, word(run.at(*slot))?)))?;
                run.taken.push(slot);
                Some(Value::String(written))
            }
        }
    }
}

impl Leaf {
    fn value<'a, 's>(&'s self, run: &mut Run<'a, 's>) -> Option<Value<'a>> {
        let mut misfit = None;
        for slot in &self.slots {
            let value = run.at(*slot);
            if let Some(fit) = self.fit(value, run.arena) {
                run.take(*slot, fit.whole);
                if self.list && !fit.whole && self.lacks(value, run.arena) {
                    run.misfit(&self.spot, *slot);
                }
                run.observe(&self.spot, fit.value);
                return Some(fit.value);
            }
            if misfit.is_none() && self.is_misfit(value) {
                misfit = Some(*slot);
            }
        }
        if let Some(slot) = misfit {
            run.misfit(&self.spot, slot);
        }
        let value = self.otherwise.as_ref()?.value(run.arena);
        run.observe(&self.spot, value);
        Some(value)
    }

    /// What is empty fits nowhere and is none. A map that says what words mean is not about those it does not list.
    fn is_misfit(&self, value: Value) -> bool {
        !value.is_empty() && (self.values.is_empty() || word(value).is_none())
    }

    /// Whether an item of a list, some of which fit, does not.
    fn lacks<'a>(&self, value: Value<'a>, arena: &'a Arena) -> bool {
        let items = value.as_array().unwrap_or_default();
        items.iter().any(|item| self.is_misfit(*item) && self.fit_one(*item, arena).is_none())
    }

    /// What fits of `value`; of a list, those items that do.
    pub fn fit<'a>(&self, value: Value<'a>, arena: &'a Arena) -> Option<Fit<'a>> {
        if self.objects_only && value.as_object().is_none() {
            return None;
        }
        match value {
            Value::Array(items) if self.list => {
                let mut fitting = ArenaVec::with_capacity_in(items.len(), arena);
                let mut whole = true;
                for item in items.iter().filter(|item| !item.is_empty()) {
                    let fit = self.fit_one(*item, arena);
                    whole &= fit.is_some_and(|fit| fit.whole);
                    fitting.extend(fit.map(|fit| fit.value));
                }
                let value = Value::Array(fitting.into_bump_slice());
                (!value.is_empty()).then_some(Fit { value, whole })
            }
            _ if self.list => {
                let fit = self.fit_one(value, arena)?;
                Some(Fit { value: Value::Array(std::slice::from_ref(arena.alloc(fit.value))), ..fit })
            }
            _ => self.fit_one(value, arena),
        }
    }

    fn fit_one<'a>(&self, value: Value<'a>, arena: &'a Arena) -> Option<Fit<'a>> {
        let known = word(value).and_then(|word| Some((word, self.values.get(word)?)));
        match known {
            Some((word, constant)) => {
                let whole = matches!(constant, Constant::Text(text) if text.eq_ignore_ascii_case(word));
                Some(Fit { value: constant.value(arena), whole })
            }
            None if self.keeps_empty && value.is_empty() => {
                (value != Value::Null).then_some(Fit { value, whole: true })
            }
            None => self.scalar.fit(value, arena),
        }
    }
}

impl Constant {
    fn value<'a>(&self, arena: &'a Arena) -> Value<'a> {
        match self {
            Self::Text(text) => Value::String(lasting(text, arena)),
            Self::Number(digits) => Value::Number(lasting(digits, arena)),
            Self::Bool(flag) => Value::Bool(*flag),
            Self::List(items) => Value::Array(arena.alloc_slice_fill_iter(items.iter().map(|item| item.value(arena)))),
        }
    }
}

impl Choice {
    fn write<'a, 's>(
        &'s self,
        key: &Cow<'static, str>,
        run: &mut Run<'a, 's>,
        out: &mut ArenaVec<'a, Member<'a>>,
    ) -> bool {
        let Some((at, caption)) = self.choose(run) else { return false };
        let Word { key: number, .. } = self.known[at];
        let value = if self.textual { Value::String(number) } else { Value::Number(number) };
        out.push(Member::new(lasting(key, run.arena), value));
        if let Some(sibling) = self.sibling {
            out.push(Member::new(sibling, Value::String(caption)));
        }
        if let Some(kind) = self.types.get(at) {
            out.push(Member::new("type_uid", Value::Number(kind.key)));
            out.push(Member::new("type_name", Value::String(kind.caption)));
        }
        true
    }

    /// The place in `known`, and the caption: for *Other* the vendor's own word.
    fn choose<'a, 's>(&'s self, run: &mut Run<'a, 's>) -> Option<(usize, &'a str)> {
        let mut misfit = None;
        for slot in &self.slots {
            let value = run.at(*slot);
            let word = word(value);
            let meant = word.and_then(|word| self.values.get(word).copied().or_else(|| self.by_caption(word)));
            match (word, meant.or(self.other)) {
                (Some(word), Some(at)) if Some(at) == self.other => {
                    // Without a caption beside it, the vendor's word would be lost.
                    run.take(*slot, self.sibling.is_some());
                    return Some((at, word));
                }
                (Some(word), Some(at)) => {
                    run.take(*slot, self.says(at, word));
                    return Some((at, self.known[at].caption));
                }
                _ if misfit.is_none() && !value.is_empty() => misfit = Some(*slot),
                _ => {}
            }
        }
        if let Some(slot) = misfit {
            run.misfit(&self.spot, slot);
        }
        self.otherwise.map(|at| (at, self.known[at].caption))
    }

    /// Whether a word of the record becomes one of the enum.
    pub fn knows(&self, word: &str) -> bool {
        self.other.is_some() || self.values.get(word).is_some() || self.by_caption(word).is_some()
    }

    fn by_caption(&self, word: &str) -> Option<usize> {
        self.known.iter().position(|known| {
            let name = if self.textual { known.key } else { known.caption };
            name.eq_ignore_ascii_case(word)
        })
    }

    /// Whether the event still says `word` if it says what is at that place.
    fn says(&self, at: usize, word: &str) -> bool {
        let Word { key, caption } = self.known[at];
        (self.textual && key.eq_ignore_ascii_case(word))
            || (self.sibling.is_some() && caption.eq_ignore_ascii_case(word))
    }
}

/// The names of OCSF live for ever; only what the map itself says is copied.
fn lasting<'a>(text: &Cow<'static, str>, arena: &'a Arena) -> &'a str {
    match text {
        Cow::Borrowed(name) => name,
        Cow::Owned(name) => arena.alloc_str(name),
    }
}
