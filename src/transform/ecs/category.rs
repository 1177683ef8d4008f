//! `event.category` and `event.type`: what ECS files an event under, by its OCSF class and activity.

use super::how::{GROUP, Kind, USER};

/// At the most two words, as all that an event is filed under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Words([Option<&'static str>; 2]);

impl Words {
    /// The words.
    pub fn to_vec(self) -> Vec<&'static str> {
        self.0.into_iter().flatten().collect()
    }
}

/// What was done to the thing that an event is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Deed {
    Creation,
    Deletion,
    Access,
    Change,
    Unknown,
}

/// `event.category`. A call of an API that changes something is filed beside the same change in an event of another
/// class, so that whoever looks for changes finds both.
pub fn categories(kind: &Kind) -> &'static [&'static str] {
    match (kind.class, deed(kind)) {
        (3002, _) => &["authentication"],
        (3003, _) => &["session"],
        (3001 | 3005 | 3006, _) => &["iam"],
        (3004, _) if matches!(kind.entity, USER | GROUP) => &["iam"],
        (3004, _) => &["configuration"],
        (6001, _) => &["web"],
        (_, Deed::Creation | Deed::Deletion | Deed::Change) => &["api", "configuration"],
        _ => &["api"],
    }
}

/// `event.type`: words that ECS expects beside that category.
pub fn types(kind: &Kind) -> Words {
    let done = |about: Option<&'static str>, access: &'static str| {
        let word = match deed(kind) {
            Deed::Creation => "creation",
            Deed::Deletion => "deletion",
            Deed::Change => "change",
            Deed::Access => access,
            Deed::Unknown => "info",
        };
        Words([about.or(Some(word)), about.map(|_| word)])
    };
    match (kind.class, kind.entity) {
        (3002, _) => Words([Some(sign_in(kind.activity)), None]),
        (3003, _) => Words([Some("info"), None]),
        (3001 | 3005, _) | (3004, USER) => done(Some("user"), "info"),
        (3006, _) | (3004, GROUP) => done(Some("group"), "info"),
        (6001, _) => Words([Some(if deed(kind) == Deed::Unknown { "info" } else { "access" }), None]),
        _ => done(None, "access"),
    }
}

fn sign_in(activity: i64) -> &'static str {
    match activity {
        1 => "start",
        2 => "end",
        _ => "info",
    }
}

/// What the numbers of activities mean differs from class to class.
fn deed(kind: &Kind) -> Deed {
    match (kind.class, kind.activity) {
        (_, 0 | 99) => Deed::Unknown,
        (3001, 1) | (3006, 6) => Deed::Creation,
        (3001, 6) | (3006, 5) => Deed::Deletion,
        (3001 | 3003 | 3005 | 3006, _) => Deed::Change,
        (_, 1) => Deed::Creation,
        (_, 2) => Deed::Access,
        (_, 4) => Deed::Deletion,
        (6001, 5) => Deed::Access,
        _ => Deed::Change,
    }
}
