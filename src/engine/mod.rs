//! Runs pipelines: a reader fills the journal, a writer per sink empties it, and both wait and try again.
//!
//! ```text
//! Reader: source ─► refine ─► journal          one per pipeline
//!                               │  (a channel says: there is more)
//! Writer:           journal ─► batch ─► sink   one per pipeline and sink
//! ```
//!
//! A reader ends when it is stopped or, in a run that is to end, when everything was read. Its channel then closes, and its
//! writers end when they have delivered what there is.

mod backoff;
pub mod counters;
mod reader;
mod refine;
mod run;
mod writer;

pub use self::counters::{Counters, LaneCounters};
pub use self::refine::{Refined, refine};
pub use self::run::{Outcome, RunOptions, check_online, counters_of, run};
