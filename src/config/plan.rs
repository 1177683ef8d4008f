//! What the files mean: everything a run needs, and nothing that could still be wrong.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use auditline_sinks::{BatchLimits, Sink};
use chrono::TimeDelta;

use super::raw::AllRejected;
use crate::connector::{Catalogue, Connector};
use crate::source::Settings;
use crate::source::file::FileSettings;
use crate::transform::Transform;

/// A whole run.
#[derive(Debug)]
pub struct Plan {
    /// Where the journal is kept.
    pub state_dir: PathBuf,
    /// Bytes at which reading stops.
    pub journal_limit: u64,
    /// How long sinks may take to finish after SIGTERM.
    pub grace: Duration,
    /// Where the pipelines' connectors were looked up.
    pub catalogue: Arc<Catalogue>,
    /// The pipelines that read a vendor's API, by name.
    pub pipelines: Vec<PipelinePlan>,
    /// The pipelines that read files, by name.
    pub files: Vec<PipelinePlan<FileSettings>>,
}

/// What a pipeline reads.
#[derive(Debug)]
pub enum SourcePlan {
    /// A vendor's API.
    Api(Settings),
    /// Files of its records.
    Files(FileSettings),
}

impl SourcePlan {
    /// Whose records it reads.
    #[must_use]
    pub fn connector(&self) -> &Arc<Connector> {
        match self {
            Self::Api(settings) => &settings.connector,
            Self::Files(settings) => &settings.connector,
        }
    }
}

/// One pipeline.
pub struct PipelinePlan<S = Settings> {
    /// Its name.
    pub name: Arc<str>,
    /// What it reads.
    pub source: S,
    /// How long it waits when it has read everything.
    pub poll: Duration,
    /// How it looks for what was published later than the overlap reaches.
    pub sweep: Sweep,
    /// What happens to each event, in this order.
    pub transforms: Vec<Box<dyn Transform>>,
    /// Where it goes.
    pub lanes: Vec<LanePlan>,
}

impl PipelinePlan<SourcePlan> {
    /// The pipelines that read an API, and those that read files.
    pub(super) fn apart(plans: Vec<Self>) -> (Vec<PipelinePlan>, Vec<PipelinePlan<FileSettings>>) {
        let (mut apis, mut files) = (Vec::new(), Vec::new());
        for Self { name, source, poll, sweep, transforms, lanes } in plans {
            match source {
                SourcePlan::Api(source) => apis.push(PipelinePlan { name, source, poll, sweep, transforms, lanes }),
                SourcePlan::Files(source) => files.push(PipelinePlan { name, source, poll, sweep, transforms, lanes }),
            }
        }
        (apis, files)
    }
}

impl<S> fmt::Debug for PipelinePlan<S> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("PipelinePlan").field("name", &self.name).field("lanes", &self.lanes).finish_non_exhaustive()
    }
}

/// When the sweep behind the live walk re-reads, and how far back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sweep {
    /// How much time lies between two sweeps.
    pub every: TimeDelta,
    /// How far a sweep reaches back. Nothing: there are none.
    pub back: TimeDelta,
}

impl Default for Sweep {
    fn default() -> Self {
        Self { every: TimeDelta::hours(1), back: TimeDelta::hours(24) }
    }
}

/// One of a pipeline's destinations.
#[derive(Clone)]
pub struct LanePlan {
    /// The sink's name.
    pub name: Arc<str>,
    /// The sink, shared with other pipelines.
    pub sink: Arc<dyn Sink>,
    /// How much is gathered before it is delivered.
    pub limits: BatchLimits,
    /// What it means when the sink takes no record at all.
    pub all_rejected: AllRejected,
}

impl fmt::Debug for LanePlan {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} ({})", self.name, self.sink)
    }
}
