//! What happens to an event between the vendor and the journal: normalize, enrich, redact, in the file's order.

pub mod enrich;
pub mod normalize;
pub mod ocsf;

use std::fmt;

use crate::event::{Arena, Event};

/// What the transforms of a pipeline did, for the counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// E-mail addresses redacted.
    pub emails: u64,
    /// IP addresses redacted.
    pub ips: u64,
}

/// Why an event cannot be handled: it becomes a dead letter with this reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Unfit {
    /// For a person; holds nothing of the event itself but names of fields.
    pub reason: String,
}

/// One step between the vendor and the journal. `Display` names it as the configuration does.
///
/// Pure and synchronous: no clock, no network, no memory of the events before. The same event gives the same result on
/// every machine and at every restart. An event it cannot handle is an error or passes as it is, and is never dropped.
pub trait Transform: fmt::Display + Send + Sync {
    /// The changed event. New nodes and texts live in `arena`; what did not change is shared with the old event.
    ///
    /// # Errors
    /// The event becomes a dead letter.
    fn apply<'a>(&self, event: Event<'a>, arena: &'a Arena, tally: &mut Tally) -> Result<Event<'a>, Unfit>;

    /// Changes a text that never became an event (an unreadable record, a vendor's error message) as this transform
    /// would change texts inside one. Only redaction does.
    fn text(&self, text: String) -> String {
        text
    }
}
