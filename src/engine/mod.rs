//! Runs pipelines: readers fill the journal, a writer per sink empties it, and all of them wait and try again.
//!
//! ```text
//! Walker: source ─► refine ─► Pipeline ─► journal          one per walk: live, sweep, backfills
//!                                           │  (a channel says: there is more)
//! Writer:                               journal ─► batch ─► sink   one per pipeline and sink
//! ```
//!
//! A pipeline's reading ends when it is stopped or, in a run that is to end, when everything was read. Its channel then
//! closes, and its writers end when they have delivered what there is.

mod backoff;
mod check;
pub mod counters;
mod files;
mod outcome;
mod pipeline;
mod preview;
mod refine;
mod run;
mod streak;
mod sweep;
mod told;
mod walker;
mod walks;
mod watch;
mod writer;

pub use self::check::check_online;
pub use self::counters::{Counters, LaneCounters};
pub use self::outcome::{Failure, Outcome};
pub use self::preview::preview;
pub use self::refine::{Refined, refine};
pub use self::run::{Handle, Run, RunOptions};
pub use self::walks::Backfill;
