//! What happens to an event between the vendor and the journal: normalize, enrich, redact, filter and the rest, in the
//! file's order.

pub mod condition;
pub mod dedupe;
pub mod ecs;
pub mod enrich;
pub mod filter;
pub mod normalize;
pub mod ocsf;
pub mod redact;
#[cfg(feature = "remap")]
pub mod remap;
pub mod route;
pub mod sample;
pub mod sight;

use std::fmt;
use std::sync::Arc;

use crate::event::{Arena, Event, RecordKey};

/// What the transforms say of one event, beside what they make of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// What was redacted in it.
    pub hits: redact::Hits,
    /// The sinks it goes to, by name; `None` for all the pipeline has.
    pub to: Option<Arc<[Arc<str>]>>,
    /// What it is a repetition by: of the events with the same twin, the first that is read goes on.
    pub twin: Option<RecordKey>,
    /// Where the event may have what its fields did not take of the record. Normalizing says so.
    pub left: Option<Arc<[Left]>>,
}

/// A field of an event, and where in the same event the record's values for it may stand that it did not take: of another
/// form, under a doubled key, beside one that was taken, or in something larger. Both are paths, in which `*` is any item of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// The field.
    pub field: Vec<String>,
    /// Where its values may be left.
    pub place: Vec<String>,
}

/// Why an event goes no further.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Exit {
    /// It cannot be handled, and becomes a dead letter.
    #[error("{reason}")]
    Dead {
        /// For a person; holds nothing of the event itself but names of fields.
        reason: String,
    },
    /// It is not wanted, and is counted under the reason.
    #[error("{reason}")]
    Dropped {
        /// The operator's words; one of the few the configuration has.
        reason: Arc<str>,
    },
}

/// One step between the vendor and the journal. `Display` names it as the configuration does.
///
/// Pure and synchronous: no clock, no network, no memory of the events before. The same event gives the same result on
/// every machine and at every restart, as long as the [files beside it](Self::watched) are the same. An event it cannot handle becomes a dead letter or passes as it is, and one that the
/// operator does not want is counted: none is dropped in silence.
pub trait Transform: fmt::Display + Send + Sync {
    /// The changed event. New nodes and texts live in `arena`; what did not change is shared with the old event.
    ///
    /// # Errors
    /// Why the event goes no further.
    fn apply<'a>(&self, event: Event<'a>, arena: &'a Arena, notes: &mut Notes) -> Result<Event<'a>, Exit>;

    /// Changes a text that never became an event (an unreadable record, a vendor's error message) as this transform
    /// would change texts inside one. Only redaction does.
    fn text(&self, text: String) -> String {
        text
    }

    /// Changes the vendor's record, as JSON or whatever else it is, before it is kept as a dead letter. Nothing may be left
    /// in it that this transform would have taken out of the event.
    fn dead_body(&self, text: String) -> String {
        self.text(text)
    }

    /// Changes what is said of why a record became a dead letter: it may quote the record.
    fn dead_reason(&self, text: String) -> String {
        self.text(text)
    }

    /// The redaction, if this is one: it knows keys, and can say what it finds.
    fn as_redact(&self) -> Option<&redact::Redact> {
        None
    }

    /// The files that it reads beside the events. One event sees one version of each.
    fn watched(&self) -> Vec<Arc<dyn Watched>> {
        Vec::new()
    }
}

/// A file that transforms read beside the events, and that may change while they run.
pub trait Watched: Send + Sync {
    /// Reads the file again if it has changed; events see the new version from then on. A file that cannot be read leaves
    /// the last good version in use, and is told once.
    ///
    /// Blocks for as long as the reading takes. Called every few seconds, and never twice at the same time.
    fn look(&self);
}
