//! From an OCSF event to an ECS event, by one table: `normalize = "ecs"`.
//!
//! What has a place in ECS stands there. All the rest of the OCSF event is under `auditline.ocsf`, as OCSF has it, and
//! what the connector's map did not name under `auditline.unmapped`, as the vendor has it: nothing is lost. The names below
//! `auditline` are as many as vendors think of, so an index should take it as one `flattened` field.

mod category;
pub mod fields;
mod how;
pub mod paths;
mod table;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub mod validate;

use std::sync::OnceLock;

use bumpalo::collections::Vec as ArenaVec;

use self::how::{How, Kind, point};
use self::table::{Row, TABLE};
use super::ocsf::{ANY, Source, Taken};
use crate::event::{Arena, Member, Value};

/// The version of ECS that events are of.
pub const VERSION: &str = "9.4.0";
/// Where everything stands that ECS has no place for.
pub const OWN: &str = "auditline";
/// What the map of a connector did not name, in OCSF and below [`OWN`].
pub const UNMAPPED: &str = "unmapped";

/// The ECS event that says the same as an OCSF event.
#[must_use]
pub fn from_ocsf<'a>(event: Value<'a>, arena: &'a Arena) -> Value<'a> {
    Plan::get().apply(event, arena)
}

/// The fields that an attribute of OCSF becomes, whatever the event; in its path, `*` is any item of a list. What gathers
/// several attributes is none of them.
pub fn fields_of(attribute: &[String]) -> impl Iterator<Item = &'static str> {
    let is_any = |part: &str| part == ANY || part.bytes().all(|byte| byte.is_ascii_digit());
    let is_it = move |path: &&str| {
        let count = path.split('.').count();
        count == attribute.len()
            && path.split('.').zip(attribute).all(|(part, own)| part == own || (is_any(part) && is_any(own)))
    };
    let rows = TABLE.iter().filter(|row| !row.how.is_gathering());
    rows.filter(move |row| row.from.iter().chain(row.also).any(&is_it)).map(|row| row.field)
}

/// The table, made ready to be walked.
struct Plan {
    source: Source,
    /// The slots of what says of which kind an event is.
    class: usize,
    activity: usize,
    status: usize,
    entity: usize,
    observables: usize,
    /// What the actor and the user are known by, in pairs: the first pair of which both are there tells whether they are one.
    persons: [(usize, usize); 3],
    rows: Vec<Line>,
    fields: Vec<(&'static str, Part)>,
}

/// A line of the table, with the slots of its paths.
struct Line {
    row: &'static Row,
    from: Vec<usize>,
    also: Vec<usize>,
}

/// What stands under one key of the ECS event.
enum Part {
    /// A field, by one of these lines.
    Field(Vec<usize>),
    /// An object of fields.
    Object(Vec<(&'static str, Part)>),
}

/// One event on its way.
struct Run<'a, 's> {
    kind: Kind,
    slots: &'s [&'s Value<'a>],
    taken: &'a mut [bool],
    arena: &'a Arena,
}

impl Plan {
    fn get() -> &'static Self {
        static PLAN: OnceLock<Plan> = OnceLock::new();
        PLAN.get_or_init(Self::new)
    }

    fn new() -> Self {
        let mut source = Source::default();
        let mut slot = |path: &str| source.slot(&path.parse().expect("a test reads the whole table"));
        let (class, activity) = (slot("class_uid"), slot("activity_id"));
        let (status, entity, observables) = (slot("status_id"), slot("entity.type_id"), slot("observables"));
        let persons = ["uid", "name", "email_addr"]
            .map(|known_by| (slot(&format!("actor.user.{known_by}")), slot(&format!("user.{known_by}"))));
        let mut rows = Vec::new();
        let mut fields = Vec::new();
        for row in TABLE {
            let from = row.from.iter().map(|path| slot(path)).collect();
            let also = row.also.iter().map(|path| slot(path)).collect();
            plant(&mut fields, row.field, rows.len());
            rows.push(Line { row, from, also });
        }
        Self { source, class, activity, status, entity, observables, persons, rows, fields }
    }

    fn apply<'a>(&self, event: Value<'a>, arena: &'a Arena) -> Value<'a> {
        let slots = arena.alloc_slice_fill_copy(self.source.slots(), &Value::Null);
        let doubled = self.source.read(&event, slots);
        let number = |slot: usize| slots[slot].as_i64();
        let kind = Kind {
            class: number(self.class).unwrap_or_default(),
            activity: number(self.activity).unwrap_or_default(),
            status: number(self.status),
            entity: number(self.entity).unwrap_or_default(),
            by_another: self.by_another(slots),
        };
        let taken = arena.alloc_slice_fill_copy(slots.len(), false);
        let mut run = Run { kind, slots, taken, arena };
        // Each of them repeats what stands elsewhere in the event.
        run.taken[self.observables] = true;
        let mut members = self.object(&self.fields, &mut run, 1);
        let taken = Taken { slots: run.taken, doubled, ..Taken::default() };
        let rest = self.source.rest(&event, &taken, arena);
        members.extend(rest.and_then(|rest| own(rest, arena)));
        Value::Object(members.into_bump_slice())
    }

    /// Whether the actor is not seen to be the user. An actor of whom nothing is known is nobody else.
    fn by_another(&self, slots: &[&Value<'_>]) -> bool {
        let text = |slot: usize| slots[slot].as_str().filter(|text| !text.is_empty());
        let both = |(actor, user): &(usize, usize)| Some((text(*actor)?, text(*user)?));
        match self.persons.iter().find_map(both) {
            Some((actor, user)) => actor != user,
            None => self.persons.iter().any(|(actor, _)| text(*actor).is_some()),
        }
    }

    fn object<'a>(
        &self,
        fields: &[(&'static str, Part)],
        run: &mut Run<'a, '_>,
        extra: usize,
    ) -> ArenaVec<'a, Member<'a>> {
        let mut members = ArenaVec::with_capacity_in(fields.len() + extra, run.arena);
        for (key, part) in fields {
            let value = match part {
                Part::Field(lines) => lines.iter().find_map(|line| self.rows[*line].value(run)),
                Part::Object(fields) => {
                    let members = self.object(fields, run, 0);
                    (!members.is_empty()).then(|| Value::Object(members.into_bump_slice()))
                }
            };
            members.extend(value.map(|value| Member::new(key, value)));
        }
        members
    }
}

/// Puts the line at `at` where its field belongs.
fn plant(fields: &mut Vec<(&'static str, Part)>, path: &'static str, at: usize) {
    let (key, below) = path.split_once('.').map_or((path, None), |(key, below)| (key, Some(below)));
    let known = fields.iter().position(|(name, _)| *name == key).unwrap_or_else(|| {
        let part = if below.is_some() { Part::Object(Vec::new()) } else { Part::Field(Vec::new()) };
        fields.push((key, part));
        fields.len() - 1
    });
    match (&mut fields[known].1, below) {
        (Part::Object(fields), Some(below)) => plant(fields, below, at),
        (Part::Field(lines), None) => lines.push(at),
        _ => unreachable!("no field of ECS that is a value has fields below it"),
    }
}

impl Line {
    fn value<'a>(&self, run: &mut Run<'a, '_>) -> Option<Value<'a>> {
        let Row { when, how, .. } = self.row;
        if !when.holds(&run.kind) {
            return None;
        }
        if let (How::Point, [latitude, longitude]) = (how, self.from.as_slice()) {
            let point = point(*run.slots[*latitude], *run.slots[*longitude], run.arena)?;
            self.from.iter().for_each(|slot| run.taken[*slot] = true);
            return Some(point);
        }
        let gathered = || how.of_all(self.from.iter().map(|slot| *run.slots[*slot]), run.arena);
        if let Some(value) = how.of_kind(&run.kind, run.arena).or_else(gathered) {
            return Some(value);
        }
        let (first, made) =
            self.from.iter().find_map(|slot| Some((*slot, how.of_value(*run.slots[*slot], run.arena)?)))?;
        if made.whole {
            let same = |slot: &&usize| run.slots[**slot] == run.slots[first];
            for slot in self.from.iter().chain(&self.also).filter(same) {
                run.taken[*slot] = true;
            }
        }
        Some(made.value)
    }
}

/// What is left of the OCSF event, under our own name.
fn own<'a>(rest: Value<'a>, arena: &'a Arena) -> Option<Member<'a>> {
    let members = rest.as_object()?;
    let is_unmapped = |member: &&Member<'a>| member.key == UNMAPPED;
    let unmapped = members.iter().find(is_unmapped).map(|member| Member::new(UNMAPPED, member.value));
    let mut ocsf = ArenaVec::with_capacity_in(members.len(), arena);
    ocsf.extend(members.iter().filter(|member| !is_unmapped(member)));
    let ocsf = (!ocsf.is_empty()).then(|| Member::new("ocsf", Value::Object(ocsf.into_bump_slice())));
    let mut both = ArenaVec::with_capacity_in(2, arena);
    both.extend(ocsf.into_iter().chain(unmapped));
    (!both.is_empty()).then(|| Member::new(OWN, Value::Object(both.into_bump_slice())))
}
