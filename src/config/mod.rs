//! What the operator's files say, and what they mean.
//!
//! `raw` holds the files as written, with their places; `resolve` turns them into a [`Plan`]: URLs, secrets, sinks, ready to
//! run. Everything wrong is reported at once, and a plan exists only when nothing is.

mod example;
mod file_source;
mod files;
mod plan;
mod raw;
mod renewed;
mod resolve;
mod source;
mod steps;

pub use self::example::{Example, PipelineTest};
pub use self::files::{Files, PipelineFile, catalogue};
pub use self::plan::{LanePlan, PipelinePlan, Plan, SourcePlan, Sweep};
pub use self::raw::AllRejected;
pub use self::resolve::resolve;
