//! How a value of an OCSF event becomes one of an ECS event.

use std::net::IpAddr;

use bumpalo::collections::Vec as ArenaVec;
use chrono::{DateTime, SecondsFormat};

use super::VERSION;
use super::category::{categories, types};
use crate::event::{Arena, Member, Value};

/// What becomes of the values that a line of the table names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// A text, as it is.
    Text,
    /// A whole number, as it is.
    Long,
    /// A number, as it is.
    Float,
    /// An IP address, as it is. One with a zone is none to Elasticsearch.
    Ip,
    /// An IP address, as a list of one.
    Ips,
    /// A text or texts, as a list.
    List,
    /// Milliseconds since 1970, as RFC 3339.
    Time,
    /// Names and values, as an object of texts.
    Labels,
    /// A country, where it is a code of two letters.
    CountryCode,
    /// A country, where it is a name.
    CountryName,
    /// Latitude and longitude, as a point.
    Point,
    /// What of a path stands before its `?`.
    BeforeQuery,
    /// What of a path stands behind its `?`.
    Query,
    /// What was done, in the words of OCSF or the vendor, where it is known.
    Activity,
    /// The connector's name, as that of a dataset.
    Dataset,
    /// All IP addresses, each once.
    AllIps,
    /// All names of hosts, each once.
    AllHosts,
    /// All that users are known by, each once.
    AllUsers,
    /// `event.category`, by the class.
    Category,
    /// `event.type`, by class and activity.
    Type,
    /// `event.outcome`, by the status.
    Outcome,
    /// The version of ECS.
    Version,
    /// Always the same.
    Fixed(&'static str),
}

/// The events that a line of the table is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// All of them.
    Always,
    /// Those in which the actor is the user.
    ByActor,
    /// Those in which a user signs in or gets a session, and nobody else does it for him: the user acts.
    Own,
    /// Those in which a user becomes another.
    Switched,
    /// Those in which a user is acted upon.
    OnOthers,
    /// Those about an entity that is a user.
    OnUser,
    /// Those about an entity that is a group.
    OnGroup,
    /// Those of something that failed.
    Failed,
}

/// What an OCSF event is, as far as the table asks for it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Kind {
    /// `class_uid`
    pub class: i64,
    /// `activity_id`
    pub activity: i64,
    /// `status_id`, if it is there.
    pub status: Option<i64>,
    /// `entity.type_id`
    pub entity: i64,
    /// Whether `actor.user` is somebody else than `user`, as far as one can see.
    pub by_another: bool,
}

/// `authentication`
const AUTHENTICATION: i64 = 3002;
/// `authorize_session`
const AUTHORIZE_SESSION: i64 = 3003;
/// `entity_management`
const ENTITY_MANAGEMENT: i64 = 3004;
/// `activity_id` of an authentication by which a user becomes another.
const ACCOUNT_SWITCH: i64 = 7;
/// `entity.type_id` of a user.
pub const USER: i64 = 2;
/// `entity.type_id` of a group.
pub const GROUP: i64 = 3;

impl When {
    /// Whether an event of that kind is among them.
    pub fn holds(self, kind: &Kind) -> bool {
        let switched = kind.class == AUTHENTICATION && kind.activity == ACCOUNT_SWITCH;
        let own = matches!(kind.class, AUTHENTICATION | AUTHORIZE_SESSION) && !switched && !kind.by_another;
        match self {
            Self::Always => true,
            Self::ByActor => !own,
            Self::Own => own,
            Self::Switched => switched,
            Self::OnOthers => !own && !switched,
            Self::OnUser => kind.class == ENTITY_MANAGEMENT && kind.entity == USER,
            Self::OnGroup => kind.class == ENTITY_MANAGEMENT && kind.entity == GROUP,
            Self::Failed => kind.status == Some(2),
        }
    }
}

/// A value of the ECS event.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Made<'a> {
    /// The value.
    pub value: Value<'a>,
    /// Whether all that the OCSF event says there is in it.
    pub whole: bool,
}

impl How {
    /// What becomes of one value of the OCSF event. `None` if it does not fit.
    pub fn of_value<'a>(self, value: Value<'a>, arena: &'a Arena) -> Option<Made<'a>> {
        let whole = |value| Some(Made { value, whole: true });
        let part = |text: &'a str| (!text.is_empty()).then_some(Made { value: Value::String(text), whole: false });
        match (self, value) {
            (Self::Text, Value::String(_)) | (Self::Float, Value::Number(_)) => whole(value),
            (Self::CountryCode, Value::String(text)) if is_country_code(text) => whole(value),
            (Self::CountryName, Value::String(text)) if !is_country_code(text) => whole(value),
            (Self::Long, Value::Number(_)) => value.as_i64().and_then(|_| whole(value)),
            (Self::Ip, Value::String(text)) => is_ip(text).then_some(Made { value, whole: true }),
            (Self::Ips, Value::String(text)) if is_ip(text) => whole(list_of(value, arena)),
            (Self::List, Value::String(_)) => whole(list_of(value, arena)),
            (Self::List, Value::Array(items)) => {
                let all_texts = items.iter().all(|item| item.as_str().is_some());
                all_texts.then_some(Made { value, whole: true })
            }
            (Self::Time, Value::Number(_)) => {
                let time = DateTime::from_timestamp_millis(value.as_i64()?)?;
                whole(Value::String(arena.alloc_str(&time.to_rfc3339_opts(SecondsFormat::Millis, true))))
            }
            (Self::Labels, Value::Array(items)) => labels(items, arena),
            (Self::BeforeQuery, Value::String(path)) => match path.split_once('?') {
                Some((before, _)) => part(before),
                None => whole(value),
            },
            (Self::Query, Value::String(path)) => part(path.split_once('?')?.1),
            (Self::Activity, Value::String(name)) => part(name),
            (Self::Dataset, Value::String(name)) => part(arena.alloc_str(&format!("{name}.audit"))),
            _ => None,
        }
    }

    /// What it makes of an event of that kind, whatever its values. `None` if it is not made of that.
    pub fn of_kind<'a>(self, kind: &Kind, arena: &'a Arena) -> Option<Value<'a>> {
        let list = |words: &[&'static str]| {
            Value::Array(arena.alloc_slice_fill_iter(words.iter().map(|word| Value::String(word))))
        };
        Some(match self {
            Self::Category => list(categories(kind)),
            Self::Type => list(&types(kind).to_vec()),
            Self::Outcome => Value::String(match kind.status? {
                1 => "success",
                2 => "failure",
                _ => "unknown",
            }),
            Self::Version => Value::String(VERSION),
            Self::Fixed(text) => Value::String(text),
            _ => return None,
        })
    }

    /// The types of observables that belong among what it gathers: `None` if it gathers nothing.
    fn gathers(self) -> Option<&'static [i64]> {
        match self {
            Self::AllHosts => Some(&[1]),
            Self::AllIps => Some(&[2]),
            // The name, the address and the uid of a user.
            Self::AllUsers => Some(&[4, 5, 31]),
            _ => None,
        }
    }

    /// Whether it gathers what stands in other fields, too.
    pub fn is_gathering(self) -> bool {
        self.gathers().is_some()
    }

    /// What it gathers from values of the OCSF event, each once: of texts, lists of them, and observables.
    pub fn of_all<'a>(self, values: impl Iterator<Item = Value<'a>>, arena: &'a Arena) -> Option<Value<'a>> {
        let observed = self.gathers()?;
        let mut found: ArenaVec<'a, Value<'a>> = ArenaVec::new_in(arena);
        let mut add = |value: Value<'a>| {
            let Value::String(text) = value else { return };
            let fits = !text.is_empty() && (self != Self::AllIps || is_ip(text));
            if fits && found.len() < MOST_GATHERED && !found.contains(&value) {
                found.push(value);
            }
        };
        for value in values {
            match value {
                Value::Array(items) => {
                    for item in items {
                        let kind = item.get("type_id").and_then(|kind| kind.as_i64());
                        match kind {
                            Some(kind) if observed.contains(&kind) => item.get("value").into_iter().for_each(&mut add),
                            Some(_) => {}
                            None => add(*item),
                        }
                    }
                }
                single => add(single),
            }
        }
        (!found.is_empty()).then(|| Value::Array(found.into_bump_slice()))
    }
}

/// More are not looked through for doubles: the work stays linear in the event, whatever a vendor sends.
const MOST_GATHERED: usize = 64;

/// As ISO 3166-1 writes it: `NL`.
fn is_country_code(text: &str) -> bool {
    text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_alphabetic())
}

fn is_ip(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok()
}

fn list_of<'a>(value: Value<'a>, arena: &'a Arena) -> Value<'a> {
    Value::Array(std::slice::from_ref(arena.alloc(value)))
}

/// ECS wants flat labels, and Elasticsearch takes a dot for an object.
fn labels<'a>(items: &'a [Value<'a>], arena: &'a Arena) -> Option<Made<'a>> {
    let mut members: ArenaVec<'a, Member<'a>> = ArenaVec::with_capacity_in(items.len(), arena);
    let mut whole = true;
    for item in items {
        let (Some(Value::String(name)), Some(Value::String(_))) = (item.get("name"), item.get("value")) else {
            whole = false;
            continue;
        };
        let flat = if name.contains('.') { arena.alloc_str(&name.replace('.', "_")) } else { name };
        whole &= flat == name && item.as_object().is_some_and(|members| members.len() == 2);
        if members.iter().any(|member| member.key == flat) {
            whole = false;
            continue;
        }
        members.extend(item.get("value").map(|value| Member::new(flat, value)));
    }
    (!members.is_empty()).then(|| Made { value: Value::Object(members.into_bump_slice()), whole })
}

/// The point at that latitude and longitude, if there is one.
pub fn point<'a>(latitude: Value<'a>, longitude: Value<'a>, arena: &'a Arena) -> Option<Value<'a>> {
    let within = |value: Value<'a>, most: f64| match value {
        Value::Number(digits) => digits.parse::<f64>().is_ok_and(|degrees| degrees.abs() <= most),
        _ => false,
    };
    (within(latitude, 90.0) && within(longitude, 180.0))
        .then(|| Value::Object(arena.alloc([Member::new("lat", latitude), Member::new("lon", longitude)])))
}
