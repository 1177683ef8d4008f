//! Decoding in passes, so that one mistake does not hide the next.
//!
//! serde stops at the first error. We report it, note the value that caused it, and begin again without that value,
//! until a pass comes through or nothing is left. A required field that is missing, or was wrong, gets a made-up value
//! in later passes (see `ghost`), because serde would stop there before it names the next missing one. Whatever is
//! decoded with such help is thrown away.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::fmt;

use serde::de::{self, DeserializeOwned, Unexpected};

use super::Context;
use super::ghost;
use super::mask;
use super::node::{Entry, Node, NodeId, Value};
use super::problem::Problem;
use super::reader::Reader;
use super::suggest;

/// Each pass settles one mistake. A file with more of them than this has been told enough.
const MAX_PASSES: usize = 2000;

pub(super) fn decode<T: DeserializeOwned>(root: &Node, context: &Context<'_>) -> Option<T> {
    let session = Session { context, state: RefCell::default() };
    for _ in 0..MAX_PASSES {
        let result = T::deserialize(Reader::new(root, &session));
        match session.settle(root, result) {
            Ok(value) => return session.is_genuine().then_some(value),
            Err(_) if session.is_struck(root) => return None,
            Err(_) => {}
        }
    }
    None
}

/// Why a value could not be decoded. The place is added by whoever knows it.
#[derive(Debug)]
pub(super) enum Failure {
    /// Reported already; all that is left is to unwind.
    Told,
    Missing(&'static str),
    Wrong {
        message: String,
        hint: Option<String>,
    },
}

impl Failure {
    pub(super) fn wrong(message: impl Into<String>) -> Self {
        Self::Wrong { message: message.into(), hint: None }
    }

    pub(super) fn with_hint(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Wrong { message: message.into(), hint: Some(hint.into()) }
    }
}

/// What the passes so far have learnt.
pub(super) struct Session<'a> {
    pub(super) context: &'a Context<'a>,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    /// Values that are wrong, or hold something wrong that they need. Passed over.
    struck: HashSet<NodeId>,
    /// Values under unknown keys. Passed over too, but what holds them can do without.
    unknown: HashSet<NodeId>,
    /// Fields of tables that get made-up values, and how many kinds of those have been tried.
    ghosts: HashMap<(NodeId, &'static str), usize>,
    /// Keys that somebody probably meant when writing another one into the same table.
    meant: HashSet<(NodeId, &'static str)>,
}

impl Session<'_> {
    /// Passes a success on; reports a failure of `node` and sees to it that the next pass gets further.
    pub(super) fn settle<T>(&self, node: &Node, result: Result<T, Failure>) -> Result<T, Failure> {
        match result {
            Ok(value) => return Ok(value),
            Err(Failure::Told) => {}
            Err(Failure::Missing(field)) => self.missing(node, field),
            Err(Failure::Wrong { message, hint }) => {
                // A complaint about a value of which a part is missing by our own doing is none of the author's.
                if !self.is_tainted(node) {
                    let problem = Problem::error(message).at(&node.head());
                    self.context.problems.push(match hint {
                        Some(hint) => problem.hint(hint),
                        None => problem,
                    });
                }
                self.strike(node);
            }
        }
        Err(Failure::Told)
    }

    fn missing(&self, node: &Node, field: &'static str) {
        let mut state = self.state.borrow_mut();
        // It was supplied, and is still missed: whoever asks does not read tables as we hand them out.
        if state.ghosts.insert((node.id(), field), 0).is_some() {
            state.struck.insert(node.id());
            return;
        }
        if node.get(field).is_none() && !state.meant.contains(&(node.id(), field)) {
            let problem = Problem::error(format!("missing key `{field}`")).at(&node.head());
            let problem = problem.hint(format!("add `{field} = …`"));
            self.context.problems.push(problem);
        }
    }

    /// Reports, once, a key that does not belong into `table`.
    pub(super) fn unknown(&self, table: &Node, entry: &Entry, noun: &str, known: &[&'static str]) {
        let mut state = self.state.borrow_mut();
        if !state.unknown.insert(entry.value.id()) {
            return;
        }
        mask::cover(&entry.value);
        let name = entry.name.value.as_str();
        if let Some(near) = suggest::did_you_mean(name, known.iter().copied()) {
            let meant = known.iter().find(|known| **known == near);
            state.meant.extend(meant.map(|field| (table.id(), *field)));
        }
        let problem = Problem::error(format!("unknown {noun} `{name}`")).at(&entry.name.place);
        self.context.problems.push(problem.hint(suggest::known(name, noun, known)));
    }

    pub(super) fn strike(&self, node: &Node) {
        self.state.borrow_mut().struck.insert(node.id());
    }

    /// Whether later passes do without `node`.
    pub(super) fn is_struck(&self, node: &Node) -> bool {
        let state = self.state.borrow();
        state.struck.contains(&node.id()) || state.unknown.contains(&node.id())
    }

    pub(super) fn is_passed_over(&self, entry: &Entry) -> bool {
        self.is_struck(&entry.key) || self.is_struck(&entry.value)
    }

    /// Which made-up value `field` of `table` gets in this pass, if any.
    pub(super) fn ghost(&self, table: &Node, field: &'static str) -> Option<usize> {
        self.state.borrow().ghosts.get(&(table.id(), field)).copied()
    }

    /// The made-up value was not taken. Tries another in the next pass, as long as there are any.
    pub(super) fn ghost_refused(&self, table: &Node, field: &'static str) {
        let mut state = self.state.borrow_mut();
        let tried = state.ghosts.entry((table.id(), field)).or_default();
        *tried += 1;
        if *tried >= ghost::KINDS {
            state.struck.insert(table.id());
        }
    }

    fn is_tainted(&self, node: &Node) -> bool {
        if self.is_struck(node) || self.state.borrow().ghosts.keys().any(|(id, _)| *id == node.id()) {
            return true;
        }
        match node.value() {
            Value::Array(nodes) => nodes.iter().any(|node| self.is_tainted(node)),
            Value::Table(entries) => {
                entries.iter().any(|entry| self.is_struck(&entry.key) || self.is_tainted(&entry.value))
            }
            _ => false,
        }
    }

    /// Whether the value of this pass is what the author wrote, unknown keys aside.
    fn is_genuine(&self) -> bool {
        let state = self.state.borrow();
        state.struck.is_empty() && state.ghosts.is_empty()
    }
}

impl de::Error for Failure {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::wrong(message.to_string())
    }

    fn missing_field(field: &'static str) -> Self {
        Self::Missing(field)
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::wrong(format!("expected {expected}, found {}", kind(&found)))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        let found = match found {
            Unexpected::Str(text) => format!("`{text}`"),
            Unexpected::Unsigned(number) => format!("`{number}`"),
            Unexpected::Signed(number) => format!("`{number}`"),
            other => other.to_string(),
        };
        Self::wrong(format!("expected {expected}, found {found}"))
    }

    fn invalid_length(length: usize, expected: &dyn de::Expected) -> Self {
        Self::wrong(format!("expected {expected}, found {length} elements"))
    }

    fn unknown_variant(found: &str, known: &'static [&'static str]) -> Self {
        Self::with_hint(format!("unknown value `{found}`"), suggest::known(found, "value", known))
    }

    fn unknown_field(found: &str, known: &'static [&'static str]) -> Self {
        Self::with_hint(format!("unknown key `{found}`"), suggest::known(found, "key", known))
    }
}

fn kind(found: &Unexpected<'_>) -> String {
    match found {
        Unexpected::Bool(_) => "a boolean".to_owned(),
        Unexpected::Unsigned(_) | Unexpected::Signed(_) => "an integer".to_owned(),
        Unexpected::Float(_) => "a float".to_owned(),
        Unexpected::Str(_) => "a string".to_owned(),
        Unexpected::Seq => "an array".to_owned(),
        Unexpected::Map => "a table".to_owned(),
        other => other.to_string(),
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Told => f.write_str("reported already"),
            Self::Missing(field) => write!(f, "missing key `{field}`"),
            Self::Wrong { message, .. } => f.write_str(message),
        }
    }
}

impl std::error::Error for Failure {}
