//! The journal: where a page that was read becomes durable before anything else happens to it.
//!
//! A page's records, the source's new cursor and the ids it has seen are written in one transaction. Each sink then
//! follows the records at its own position. Whatever happens between two lines of the engine, a restart finds the three
//! in step, so nothing is lost and nothing is read twice.

mod lateness;
mod sqlite;
mod walk;

#[cfg(test)]
mod contract;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use auditline_sinks::{Batch, BatchLimits, Record};
use bytes::Bytes;
use chrono::{DateTime, Utc};

pub use self::lateness::Lateness;
pub use self::sqlite::{Options, SqliteJournal};
pub use self::walk::Walk;
use crate::event::RecordKey;

/// A place in one pipeline's run of records. The first is 1, each next one is 1 more: no gaps.
pub type Sequence = u64;

/// What one page adds, wholly or not at all.
#[derive(Debug, Default)]
pub struct Append {
    /// The records in the order in which they are to be delivered. Of two with the same key the first counts. Their
    /// times are kept to the microsecond.
    pub records: Vec<New>,
    /// What the page had beside them and nobody wants: counted, each once.
    pub dropped: Vec<Dropped>,
    /// Which walk read the page.
    pub walk: Walk,
    /// Where that walk resumes once this page is durable. Opaque to the journal.
    pub cursor: Bytes,
    /// What could not be made a record, kept for a person to see. A second one of the same key is left out.
    pub dead_letters: Vec<DeadLetter>,
    /// Ids that no read handed out since this instant may be forgotten: no later read can reach that far back.
    pub forget_before: Option<DateTime<Utc>>,
    /// The instant the window of this page begins at. A seen id is kept by this or its record's own time, whichever is
    /// later, as of the newest time it was handed out. A record's time counts as now when it lies in the future.
    pub seen_at: DateTime<Utc>,
    /// New records that happened before this count as late.
    pub late_before: DateTime<Utc>,
}

/// A record as a page brings it.
#[derive(Clone, Debug)]
pub struct New {
    /// What it is known by.
    pub key: RecordKey,
    /// What is delivered.
    pub record: Record,
    /// The sinks it goes to, by name; `None` for all that the pipeline has.
    pub to: Option<Arc<[Arc<str>]>>,
    /// What it is a repetition by: of records with the same twin only the first is added, and the others are dropped.
    pub twin: Option<RecordKey>,
}

impl New {
    /// A record for all sinks that is no repetition.
    #[must_use]
    pub fn of(key: RecordKey, record: Record) -> Self {
        Self { key, record, to: None, twin: None }
    }

    /// Whether it goes to the sink of that name.
    #[must_use]
    pub fn goes_to(&self, sink: &str) -> bool {
        self.to.as_ref().is_none_or(|to| to.iter().any(|name| **name == *sink))
    }
}

/// What a page had and the operator does not want.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// What it is known by.
    pub key: RecordKey,
    /// When it happened.
    pub time: DateTime<Utc>,
    /// Why, in the operator's words: one of the few that the configuration has.
    pub reason: Arc<str>,
}

/// The reason under which records are counted that are left out as repetitions.
pub const DEDUPE: &str = "dedupe";

/// What became of an [`Append`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Appended {
    /// Records that are new.
    pub added: u64,
    /// New records that happened before [`Append::late_before`], by how long before.
    pub late: Lateness,
    /// Records left out because their id was seen before.
    pub repeated: u64,
    /// What was dropped and had not been before, by reason: what the page says, and repetitions.
    pub dropped: BTreeMap<Arc<str>, u64>,
    /// The sequence of the pipeline's last record, 0 while it has none.
    pub last: Sequence,
    /// Which of the page's dead letters are new, by their place in it.
    pub dead_letters: Vec<usize>,
}

/// A sink as one pipeline uses it: what has a position of its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lane {
    /// The pipeline's name.
    pub pipeline: Arc<str>,
    /// The sink's name in the configuration.
    pub sink: Arc<str>,
}

/// A record that a transform or a sink refuses for good, kept with the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// The key the record is known by.
    pub key: RecordKey,
    /// `transform`, or the name of the sink that refused it.
    pub stage: String,
    /// Why, for a person.
    pub reason: String,
    /// What it was, redacted like everything that reaches the disk.
    pub body: Bytes,
}

/// How full the journal is, and how far each lane has got.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fill {
    /// Bytes the journal holds on disk, without the room it can use again.
    pub bytes: u64,
    /// Bytes at which reading stops.
    pub limit: u64,
}

impl Fill {
    /// Whether reading has to wait for the sinks.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.bytes >= self.limit
    }
}

/// Why the journal did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Another process has this journal open: two of them would deliver everything twice.
    #[error("the journal `{}` is in use by another auditline", path.display())]
    InUse {
        /// The journal's file.
        path: PathBuf,
    },
    /// The file was written by a newer auditline, or is not a journal at all.
    #[error("the journal `{}` cannot be read: {reason}", path.display())]
    Unreadable {
        /// The journal's file.
        path: PathBuf,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// The caller asked for what would lose or skip records: a fault in the program. Nothing of the call happened.
    #[error("the journal was asked for what it cannot do: {reason}")]
    Refused {
        /// What was asked, and why not.
        reason: String,
    },
    /// The disk refused: full, read-only, broken. Nothing of the call happened.
    #[error("the journal cannot be read or written")]
    Storage(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// What the engine asks of a journal.
///
/// Every call that returned `Ok` survives a power cut; every call that did not, did not happen. Calls may come from many
/// tasks at once. Dropping a returned future leaves the call either done or not begun.
#[async_trait]
pub trait Journal: Send + Sync {
    /// The journal's own name, made when it was first created. Part of every [`Batch::key`].
    fn id(&self) -> Arc<str>;

    /// Says which sinks a pipeline has now. A new lane begins at the oldest record that some lane had not passed, so a
    /// sink that takes another's place is given what that one was not. A lane that is no longer named is forgotten, so
    /// that it does not hold records for ever; returns those by name, each with the number of records it had not been
    /// given.
    ///
    /// Of records that go to certain sinks only, a lane is given those that name it, and it alone: another sink in the
    /// place of theirs is not.
    ///
    /// A pipeline without lanes, or one that is not opened any more, keeps all its records.
    async fn open_pipeline(&self, pipeline: &Arc<str>, sinks: &[Arc<str>]) -> Result<Vec<(Lane, u64)>, JournalError>;

    /// The cursor of a walk's last append, `None` before the first.
    async fn cursor(&self, pipeline: &Arc<str>, walk: &Walk) -> Result<Option<Bytes>, JournalError>;

    /// Every walk of a pipeline with its cursor, by name.
    async fn walks(&self, pipeline: &Arc<str>) -> Result<Vec<(Walk, Bytes)>, JournalError>;

    /// Forgets a walk's cursor: the walk is over, or is to begin anew. What it read and what was seen stays.
    async fn end_walk(&self, pipeline: &Arc<str>, walk: &Walk) -> Result<(), JournalError>;

    /// Makes a page durable: its new records get the next sequences, records seen before are left out and counted, dead
    /// letters are kept, the walk's cursor moves, all in one transaction.
    ///
    /// A new record whose [`twin`](New::twin) was added before is left out and counted as dropped under [`DEDUPE`]. What
    /// is dropped, this way or by [`Append::dropped`], is counted once, however often it is read again, and not at all if
    /// it was added before. It stays unseen: a later page that has it as a record, or has it without a twin, adds it.
    ///
    /// A record that is to go to a sink which the pipeline was not opened with, or to none at all, is
    /// [`Refused`](JournalError::Refused) with its whole page. In a pipeline without lanes it waits for its sinks.
    async fn append(&self, pipeline: &Arc<str>, append: Append) -> Result<Appended, JournalError>;

    /// The next batch of a lane, `None` when it has all there is. It holds the lane's own records: those that go to its
    /// sink. Those that do not are passed without being looked at, make no batch smaller and are not waited for.
    ///
    /// Its bounds are written down before it is returned, and until [`advance`](Journal::advance) every call returns the
    /// same batch with the same records, over restarts too, whatever `limits` says by then. A lane that its pipeline was
    /// not opened with is [`Refused`](JournalError::Refused), here and in the next two calls.
    async fn seal(&self, lane: &Lane, vendor: &Arc<str>, limits: &BatchLimits) -> Result<Option<Batch>, JournalError>;

    /// What waits for a lane beyond its position: its own records, their bytes, and when the oldest was appended. Cheap
    /// enough to ask each time a page arrives; `records` and `bytes` may stop counting at the limits.
    async fn waiting(&self, lane: &Lane, limits: &BatchLimits) -> Result<Waiting, JournalError>;

    /// Moves a lane's position to `to`, the last sequence of its sealed batch, and beyond what follows and is not its own;
    /// keeps what the sink rejected. Records that every lane of the pipeline has passed are removed, in pieces small
    /// enough not to hold others up.
    ///
    /// A position only moves forward: a `to` at or behind it changes nothing. Any other `to` than the sealed batch's last
    /// is [`Refused`](JournalError::Refused).
    async fn advance(&self, lane: &Lane, to: Sequence, rejected: Vec<DeadLetter>) -> Result<(), JournalError>;

    /// The time of the oldest of a lane's own records beyond its position: what happened before it was delivered, as far
    /// as it was read. Looks at each waiting record, so it is for people who ask and not for every page.
    async fn oldest_waiting(&self, lane: &Lane) -> Result<Option<DateTime<Utc>>, JournalError>;

    /// What a pipeline has had so far.
    async fn totals(&self, pipeline: &Arc<str>) -> Result<Totals, JournalError>;

    /// How full the journal is.
    async fn fill(&self) -> Result<Fill, JournalError>;

    /// The dead letters of a pipeline, oldest first, `limit` at the most.
    async fn dead_letters(&self, pipeline: &Arc<str>, limit: usize) -> Result<Vec<DeadLetter>, JournalError>;
}

/// What a pipeline has had so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Records that were ever appended.
    pub records: u64,
    /// Dead letters that are kept.
    pub dead_letters: u64,
    /// What was dropped, by reason: each record once, as far as it is remembered.
    pub dropped: BTreeMap<Arc<str>, u64>,
}

/// What lies beyond a lane's position.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Records not yet delivered.
    pub records: u64,
    /// Their JSON bytes.
    pub bytes: u64,
    /// When the oldest of them was appended.
    pub since: Option<DateTime<Utc>>,
}
