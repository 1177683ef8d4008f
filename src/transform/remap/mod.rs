//! `remap`: a program in VRL (<https://vrl.dev>), run over every event.
//!
//! ```text
//! event ─► VRL's values ─► the program ─► what it left ─► event
//!   └────────── what the program did not touch keeps its digits and its order ──────┘
//! ```
//!
//! Only functions that give the same result everywhere and at any time are there: no clock, no chance, no network.

mod functions;
mod program;
mod values;

use std::fmt;
use std::sync::Arc;

use vrl::value::Value as Vrl;

pub use self::program::{Mistake, Program};
use self::values::Numbers;
use super::enrich::{Enrich, Fixed};
use super::{Exit, Notes, Transform};
use crate::event::{Arena, Event, Value};

/// How an event is marked that the program failed on.
const MARK: [&str; 2] = ["auditline.error", "remap"];

/// What becomes of an event that the program fails on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnError {
    /// It goes on as it was, marked.
    #[default]
    Mark,
    /// It becomes a dead letter.
    DeadLetter,
}

/// Runs a program over every event.
///
/// What the program leaves in `.` is the event; `%id` and `%time` are the record's and cannot be changed. `abort` drops the
/// event. The program fails on an event when a function of it does, when `.` is no object or an empty one, and when a
/// number or a text cannot be carried over exactly.
pub struct Remap {
    program: Program,
    on_error: OnError,
    /// For OCSF, which has a place for names and values, and for all else.
    marks: [Enrich; 2],
}

/// Why there is no event after the program.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Stop {
    /// The program says so, with these words if they stand in it.
    Aborted(Option<Arc<str>>),
    /// For a person; holds nothing of the event.
    Failed(String),
}

impl Remap {
    /// Runs `program`.
    #[must_use]
    pub fn new(program: Program, on_error: OnError) -> Self {
        let [name, value] = MARK.map(str::to_owned);
        let word = Fixed { labels: vec![format!("{name}:{value}")], ..Fixed::default() };
        let field = Fixed { fields: [(name, value)].into(), ..Fixed::default() };
        Self { program, on_error, marks: [field, word].map(|mark| Enrich::default().and(mark)) }
    }

    fn run<'a>(&self, event: &Event<'a>, arena: &'a Arena) -> Result<Value<'a>, Stop> {
        let unheld = |reason: &str| Stop::Failed(reason.to_owned());
        let mut numbers = Numbers::default();
        let before = numbers.vrl(event.body).map_err(unheld)?;
        let after = self.program.run(before, event.id, event.time)?;
        match &after {
            Vrl::Object(members) if members.is_empty() => Err(unheld("the program leaves nothing of the event")),
            Vrl::Object(_) => numbers.restore(event.body, after, arena).map_err(unheld),
            _ => Err(unheld("the program leaves something else than an object")),
        }
    }
}

impl Transform for Remap {
    fn apply<'a>(&self, event: Event<'a>, arena: &'a Arena, notes: &mut Notes) -> Result<Event<'a>, Exit> {
        match self.run(&event, arena) {
            Ok(body) => Ok(Event { body, ..event }),
            Err(Stop::Aborted(reason)) => Err(Exit::Dropped { reason: reason.unwrap_or_else(|| Arc::from("remap")) }),
            Err(Stop::Failed(reason)) => match self.on_error {
                OnError::Mark => {
                    let is_ocsf = event.body.get("class_uid").is_some();
                    self.marks[usize::from(!is_ocsf)].apply(event, arena, notes)
                }
                OnError::DeadLetter => Err(Exit::Dead { reason }),
            },
        }
    }
}

impl fmt::Display for Remap {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("remap")
    }
}

#[cfg(test)]
mod tests;
