//! What is to be added to one event: gathered first, then put where the event's form has a place for it.
//!
//! | what | OCSF | ECS | the envelope |
//! |---|---|---|---|
//! | a label | `metadata.labels` | `tags` | `labels` |
//! | a field | `metadata.tags` | `labels` | `fields` |
//! | a finding | its own place, else `enrichments` | its own place, else `labels` | `enrichments` |

use bumpalo::collections::Vec as ArenaVec;

use crate::event::{Arena, Member, Value};

/// The form an event has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Ocsf,
    Ecs,
    /// The vendor's record under an envelope, or a record that is not normalized yet.
    Envelope,
}

impl Form {
    fn of(body: &Value<'_>) -> Self {
        let has = |key| body.get(key).is_some();
        if has("class_uid") && has("metadata") {
            Self::Ocsf
        } else if body.get("ecs").is_some_and(|ecs| ecs.get("version").is_some()) {
            Self::Ecs
        } else {
            Self::Envelope
        }
    }
}

/// An event that is being added to.
pub struct Draft<'a> {
    pub form: Form,
    pub arena: &'a Arena,
    body: Value<'a>,
    labels: ArenaVec<'a, Value<'a>>,
    fields: ArenaVec<'a, Member<'a>>,
    enrichments: ArenaVec<'a, Value<'a>>,
    threats: ArenaVec<'a, Value<'a>>,
}

/// What was found out about one value of the event.
pub struct Finding<'s, 'a> {
    /// Where the value stands.
    pub name: &'s str,
    pub value: &'a str,
    /// What was found out: `geoip`.
    pub kind: &'static str,
    /// Who says so.
    pub provider: &'s str,
    pub data: &'a [Member<'a>],
}

impl<'a> Draft<'a> {
    pub fn new(body: Value<'a>, arena: &'a Arena) -> Self {
        let none = || ArenaVec::new_in(arena);
        let form = Form::of(&body);
        let (labels, fields) = (none(), ArenaVec::new_in(arena));
        Self { form, arena, body, labels, fields, enrichments: none(), threats: none() }
    }

    /// Adds a word, once.
    pub fn label(&mut self, label: &str) {
        if !self.labels.iter().any(|known| known.as_str() == Some(label)) {
            self.labels.push(Value::String(self.arena.alloc_str(label)));
        }
    }

    /// Adds a name and its value. The last value of a name counts. ECS wants flat labels: a dot becomes `_` there.
    pub fn field(&mut self, name: &str, value: &str) {
        let value = Value::String(self.arena.alloc_str(value));
        let flat = (self.form == Form::Ecs && name.contains('.')).then(|| name.replace('.', "_"));
        let name = flat.as_deref().unwrap_or(name);
        match self.fields.iter_mut().find(|field| field.key == name) {
            Some(field) => field.value = value,
            None => self.fields.push(Member::new(self.arena.alloc_str(name), value)),
        }
    }

    /// Adds what was found out, where the form has no other place for it.
    pub fn enrichment(&mut self, finding: &Finding<'_, 'a>) {
        if finding.data.is_empty() {
            return;
        }
        if self.form == Form::Ecs {
            return self.flat(finding);
        }
        let text = |text: &str| Value::String(self.arena.alloc_str(text));
        self.enrichments.push(Value::Object(self.arena.alloc([
            Member::new("name", text(finding.name)),
            Member::new("value", Value::String(finding.value)),
            Member::new("type", Value::String(finding.kind)),
            Member::new("provider", text(finding.provider)),
            Member::new("data", Value::Object(finding.data)),
        ])));
    }

    /// ECS has no list of enrichments: its `labels` are texts under plain names.
    fn flat(&mut self, finding: &Finding<'_, 'a>) {
        for member in finding.data {
            if let Value::String(text) | Value::Number(text) = member.value {
                let name = bumpalo::format!(in self.arena, "{}_{}", finding.kind, member.key);
                self.field(&name, text);
            }
        }
    }

    /// Adds an entry to the `threat.enrichments` of ECS.
    pub fn threat(&mut self, threat: &'a [Member<'a>]) {
        self.threats.push(Value::Object(threat));
    }

    /// Adds members to `object.member`, which is made if it is not there. `false`, and nothing is added, when `object` is
    /// not there or is no object, or when something else stands in the place.
    pub fn put(&mut self, object: &str, member: &'static str, members: &'a [Member<'a>]) -> bool {
        let Some(holder @ Value::Object(_)) = self.body.get(object) else { return false };
        if holder.get(member).is_some() {
            return false;
        }
        self.extend(object, with_members(holder, [(member, Some(Value::Object(members)))], self.arena));
        true
    }

    /// Adds members to the object that the event has under `key`, but for those it has already. What stands there and is no
    /// object stays as it is.
    pub fn merge(&mut self, key: &'static str, members: &[Member<'a>]) {
        let known = match self.body.get(key) {
            Some(Value::Object(known)) => known,
            Some(_) => return,
            None => &[],
        };
        let is_new = |member: &&Member<'a>| !known.iter().any(|known| known.key == member.key);
        let own: ArenaVec<'_, _> = ArenaVec::from_iter_in(members.iter().filter(is_new).copied(), self.arena);
        self.extend(key, Value::Object(joined(known, own.into_iter(), self.arena)));
    }

    fn extend(&mut self, key: &str, value: Value<'a>) {
        let Value::Object(members) = self.body else { return };
        let mut all = ArenaVec::with_capacity_in(members.len() + 1, self.arena);
        all.extend_from_slice(members);
        match all.iter_mut().rev().find(|member| member.key == key) {
            Some(member) => member.value = value,
            None => all.push(Member::new(self.arena.alloc_str(key), value)),
        }
        self.body = Value::Object(all.into_bump_slice());
    }

    /// The event with all of it.
    pub fn finish(self) -> Value<'a> {
        let Self { form, arena, body, labels, fields, enrichments, threats } = self;
        let list = |known: Option<Value<'a>>, own: ArenaVec<'a, Value<'a>>| {
            let own = own.into_bump_slice();
            (!own.is_empty()).then(|| Value::Array(joined(items(&known), own.iter().copied(), arena)))
        };
        match form {
            Form::Ocsf => {
                let metadata = body.get("metadata").unwrap_or(Value::Null);
                let tags = tags(&fields, arena);
                let (labels, tags) = (list(metadata.get("labels"), labels), list(metadata.get("tags"), tags));
                let changed = (labels.is_some() || tags.is_some())
                    .then(|| with_members(metadata, [("labels", labels), ("tags", tags)], arena));
                let enrichments = list(body.get("enrichments"), enrichments);
                with_members(body, [("metadata", changed), ("enrichments", enrichments)], arena)
            }
            Form::Ecs => {
                let threat = body.get("threat").unwrap_or(Value::Object(&[]));
                let threats = list(threat.get("enrichments"), threats);
                let threat = threats.map(|threats| with_members(threat, [("enrichments", Some(threats))], arena));
                let (tags, fields) = (list(body.get("tags"), labels), named(body.get("labels"), fields, arena));
                with_members(body, [("tags", tags), ("labels", fields), ("threat", threat)], arena)
            }
            Form::Envelope => {
                let (labels, enrichments) =
                    (list(body.get("labels"), labels), list(body.get("enrichments"), enrichments));
                let fields = named(body.get("fields"), fields, arena);
                with_members(body, [("labels", labels), ("fields", fields), ("enrichments", enrichments)], arena)
            }
        }
    }
}

/// The members of an object that is being made; what is not known makes none.
pub struct Members<'a>(ArenaVec<'a, Member<'a>>);

impl<'a> Members<'a> {
    pub fn new(arena: &'a Arena) -> Self {
        Self(ArenaVec::new_in(arena))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn finish(self) -> &'a [Member<'a>] {
        self.0.into_bump_slice()
    }

    fn arena(&self) -> &'a Arena {
        self.0.bump()
    }

    pub fn text(&mut self, key: &'static str, text: Option<&str>) {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            self.0.push(Member::new(key, Value::String(self.arena().alloc_str(text))));
        }
    }

    pub fn integer(&mut self, key: &'static str, number: Option<u32>) {
        if let Some(number) = number {
            self.0.push(Member::new(key, Value::integer(i64::from(number), self.arena())));
        }
    }

    pub fn number(&mut self, key: &'static str, number: Option<f64>) {
        if let Some(number) = number.filter(|number| number.is_finite()) {
            let digits = bumpalo::format!(in self.arena(), "{}", number);
            self.0.push(Member::new(key, Value::Number(digits.into_bump_str())));
        }
    }

    pub fn object(&mut self, key: &'static str, members: Self) {
        if !members.0.is_empty() {
            self.0.push(Member::new(key, Value::Object(members.0.into_bump_slice())));
        }
    }
}

/// Fields as OCSF has them.
fn tags<'a>(fields: &[Member<'a>], arena: &'a Arena) -> ArenaVec<'a, Value<'a>> {
    let tag = |field: &Member<'a>| {
        let name = Member::new("name", Value::String(field.key));
        Value::Object(arena.alloc([name, Member::new("value", field.value)]))
    };
    ArenaVec::from_iter_in(fields.iter().map(tag), arena)
}

/// Fields by name, after those that are there already. What is there and is no object stays as it is.
fn named<'a>(known: Option<Value<'a>>, fields: ArenaVec<'a, Member<'a>>, arena: &'a Arena) -> Option<Value<'a>> {
    let known = match known {
        Some(Value::Object(known)) => known,
        Some(_) => return None,
        None => &[],
    };
    if fields.is_empty() {
        return None;
    }
    let mut all = ArenaVec::with_capacity_in(known.len() + fields.len(), arena);
    all.extend(known.iter().filter(|member| !fields.iter().any(|field| field.key == member.key)));
    all.extend(fields);
    Some(Value::Object(all.into_bump_slice()))
}

/// What a list has already; something else that stands in its place is its first item.
fn items<'v, 'a>(known: &'v Option<Value<'a>>) -> &'v [Value<'a>] {
    match known {
        Some(Value::Array(items)) => items,
        Some(Value::Null) | None => &[],
        Some(other) => std::slice::from_ref(other),
    }
}

fn joined<'a, T: Copy>(known: &[T], own: impl ExactSizeIterator<Item = T>, arena: &'a Arena) -> &'a [T] {
    let mut all = ArenaVec::with_capacity_in(known.len() + own.len(), arena);
    all.extend_from_slice(known);
    all.extend(own);
    all.into_bump_slice()
}

/// `object` with these members, each in the place of one of the same key or at the end. What is no object stays so.
fn with_members<'a, const N: usize>(
    object: Value<'a>,
    members: [(&'static str, Option<Value<'a>>); N],
    arena: &'a Arena,
) -> Value<'a> {
    let Value::Object(known) = object else { return object };
    if members.iter().all(|(_, value)| value.is_none()) {
        return object;
    }
    let mut all = ArenaVec::with_capacity_in(known.len() + N, arena);
    all.extend_from_slice(known);
    for (key, value) in members {
        let Some(value) = value else { continue };
        match all.iter_mut().rev().find(|member| member.key == key) {
            Some(member) => member.value = value,
            None => all.push(Member::new(key, value)),
        }
    }
    Value::Object(all.into_bump_slice())
}
