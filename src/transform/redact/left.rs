//! What normalizing left of the record because a field did not take it: a value of another form, one under a doubled key,
//! one beside another that was taken. What hides the field hides those, too, where they stand.

use bumpalo::collections::Vec as ArenaVec;

use super::Tally;
use super::copies::Hidden;
use super::fields::{FieldTreatment, Here, Tree};
use super::walk::{Outcome, Walk};
use crate::event::{Member, Value};
use crate::transform::Left;
use crate::transform::ocsf::ANY;

/// What becomes of the places where values are left, by what becomes of their fields.
pub(super) fn tree(fields: &Tree, left: &[Left]) -> Tree {
    let mut places = Tree::default();
    for Left { field, place } in left {
        let mut here = Here::at(fields);
        for part in field {
            if matches!(here.action(), Some(FieldTreatment::Change(_))) {
                break;
            }
            here = if part == ANY { here.below_each() } else { here.below(part) };
        }
        here.plant(&mut places, place);
    }
    places
}

impl<'a, T: Tally> Walk<'_, 'a, T> {
    /// What becomes of a value that is left, `own` being what is said of its own path, which goes first, and `at` what is
    /// said of the fields that did not take it.
    ///
    /// Nobody knows what a vendor meant who changed the form: what should have been an object with something to hide in it
    /// and is a text is hidden, and each item of a list counts as what should have been in its place.
    pub(super) fn left<'t>(
        &mut self,
        value: Value<'a>,
        own: &Here<'_>,
        at: &Here<'t>,
        hidden: &mut Hidden<'t, 'a>,
    ) -> Outcome<'a> {
        if own.action().is_some() || at.is_nowhere() {
            return Outcome::Same;
        }
        let by = match (at.action(), value) {
            (Some(FieldTreatment::Keep), _) => return Outcome::Same,
            (Some(FieldTreatment::Change(by)), _) => Some(by),
            (None, Value::String(_) | Value::Number(_)) => at.first_below(),
            (None, _) => None,
        };
        if let Some(by) = by {
            hidden.gather_all(value, by);
            return self.treated(value, by);
        }
        match value {
            Value::Array(items) => {
                let mut all = ArenaVec::with_capacity_in(items.len(), self.arena);
                let mut is_changed = false;
                for (index, item) in items.iter().enumerate() {
                    let mut digits = itoa::Buffer::new();
                    let part = digits.format(index);
                    let below = at.below(part);
                    let below = if below.is_nowhere() { at } else { &below };
                    let outcome = self.left(*item, &own.below(part), below, hidden);
                    is_changed |= !matches!(outcome, Outcome::Same);
                    all.push(outcome.of(*item).unwrap_or(Value::Null));
                }
                if is_changed { Outcome::Changed(Value::Array(all.into_bump_slice())) } else { Outcome::Same }
            }
            Value::Object(members) => {
                let mut all = ArenaVec::with_capacity_in(members.len(), self.arena);
                let mut is_changed = false;
                for member in members {
                    let outcome = self.left(member.value, &own.below(member.key), &at.below(member.key), hidden);
                    is_changed |= !matches!(outcome, Outcome::Same);
                    all.extend(outcome.of(member.value).map(|value| Member::new(member.key, value)));
                }
                if is_changed { Outcome::Changed(Value::Object(all.into_bump_slice())) } else { Outcome::Same }
            }
            _ => Outcome::Same,
        }
    }
}
