//! What a running auditline answers when it is asked.
//!
//! For now that is the control socket, over which `explain` and `backfill` speak to the process that has the journal.

pub mod control;
mod status;

pub use self::status::{About, LaneStatus, PipelineStatus, WalkStatus, in_words, standing};
