//! A whole run: opens the pipelines, starts the tasks, stops them in the direction the data flows.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::counters::Counters;
use super::files::FileReader;
use super::outcome::{Failure, Outcome};
use super::pipeline::Pipeline;
use super::walks::{Backfill, Walks};
use super::writer::Writer;
use crate::config::{LanePlan, PipelinePlan, Plan, Sweep};
use crate::journal::{Journal, JournalError, Lane};
use crate::source::budget::Budgets;
use crate::source::file::{FileSettings, FileSource};
use crate::source::{Settings, Source, SourceError};
use crate::transform::Transform;

/// How a run differs from the plain one.
#[derive(Debug)]
pub struct RunOptions {
    /// End when everything up to now was read and delivered.
    pub once: bool,
    /// Ends the run: reading at once, writing within the grace period.
    pub stop: CancellationToken,
    /// Read nothing but this backfill of this pipeline, deliver it, and end.
    pub only: Option<(Arc<str>, Backfill)>,
}

/// What can be asked and told of one pipeline while it runs.
#[derive(Clone, Debug)]
pub struct Handle {
    /// The pipeline's name.
    pub name: Arc<str>,
    /// What happened so far.
    pub counters: Arc<Counters>,
    /// Where it reads; `None` when that could not be set up.
    pub source: Option<Arc<Source>>,
    backfills: mpsc::UnboundedSender<Backfill>,
}

impl Handle {
    /// Asks for a backfill beside the live walk. `false` when the pipeline has ended.
    #[must_use]
    pub fn backfill(&self, backfill: Backfill) -> bool {
        self.backfills.send(backfill).is_ok()
    }
}

/// A run that is ready to go.
pub struct Run {
    pipelines: Vec<Ready>,
    handles: Vec<Handle>,
    journal: Arc<dyn Journal>,
    options: RunOptions,
    grace: Duration,
    outcome: Outcome,
}

/// A pipeline that is ready to go.
struct Ready {
    name: Arc<str>,
    vendor: Arc<str>,
    transforms: Vec<Box<dyn Transform>>,
    lanes: Vec<LanePlan>,
    counters: Arc<Counters>,
    reads: Reads,
}

/// What it reads.
enum Reads {
    Api { source: Arc<Source>, sweep: Sweep, poll: Duration, requests: mpsc::UnboundedReceiver<Backfill> },
    Files { source: FileSource, poll: Duration },
}

impl Run {
    /// Sets up everything of a plan, and starts nothing yet.
    #[must_use]
    pub fn new(plan: Plan, journal: Arc<dyn Journal>, options: RunOptions) -> Self {
        let budgets = Budgets::default();
        let grace = plan.grace;
        let mut run =
            Self { pipelines: Vec::new(), handles: Vec::new(), journal, options, grace, outcome: Outcome::default() };
        let only = run.options.only.as_ref().map(|(name, _)| Arc::clone(name));
        for plan in plan.pipelines.into_iter().filter(|plan| only.as_ref().is_none_or(|only| *only == plan.name)) {
            run.add(plan, &budgets);
        }
        if only.is_none() {
            plan.files.into_iter().for_each(|plan| run.add_files(plan));
        }
        run
    }

    fn add(&mut self, plan: PipelinePlan, budgets: &Budgets) {
        let source = match source(&plan, budgets, &self.journal.id()) {
            Ok(source) => Some(Arc::new(source)),
            Err(error) => {
                error!(pipeline = %plan.name, reason = %error, "the pipeline cannot be set up: the others go on without it");
                self.outcome.failed.push(Failure::of_source(&plan.name, &error));
                None
            }
        };
        let (counters, requests) = self.add_handle(&plan, source.clone());
        let PipelinePlan { name, source: Settings { connector, .. }, poll, sweep, transforms, lanes } = plan;
        self.pipelines.extend(source.map(|source| Ready {
            name,
            vendor: Arc::clone(&connector.name),
            transforms,
            lanes,
            counters,
            reads: Reads::Api { source, sweep, poll, requests },
        }));
    }

    fn add_files(&mut self, plan: PipelinePlan<FileSettings>) {
        let (counters, _) = self.add_handle(&plan, None);
        let PipelinePlan { name, source: settings, poll, transforms, lanes, .. } = plan;
        let vendor = Arc::clone(&settings.connector.name);
        let reads = Reads::Files { source: FileSource::new(settings), poll };
        self.pipelines.push(Ready { name, vendor, transforms, lanes, counters, reads });
    }

    fn add_handle<S>(
        &mut self,
        plan: &PipelinePlan<S>,
        source: Option<Arc<Source>>,
    ) -> (Arc<Counters>, mpsc::UnboundedReceiver<Backfill>) {
        let counters = Arc::new(Counters::new(plan.lanes.iter().map(|lane| Arc::clone(&lane.name))));
        let (backfills, requests) = mpsc::unbounded_channel();
        self.handles.push(Handle { name: Arc::clone(&plan.name), counters: Arc::clone(&counters), source, backfills });
        (counters, requests)
    }

    /// The pipelines, in the plan's order.
    #[must_use]
    pub fn handles(&self) -> Vec<Handle> {
        self.handles.clone()
    }

    /// The journal it reads into.
    #[must_use]
    pub fn journal(&self) -> Arc<dyn Journal> {
        Arc::clone(&self.journal)
    }

    /// Runs to the end.
    ///
    /// # Errors
    /// When the journal cannot be used.
    pub async fn go(self) -> Result<Outcome, JournalError> {
        let Self { pipelines, handles, journal, options, grace, mut outcome } = self;
        // Whoever kept a handle may still ask.
        drop(handles);
        let abort = CancellationToken::new();
        let lost_writer = CancellationToken::new();
        let watching = super::watch::start(pipelines.iter().flat_map(|ready| &ready.transforms));
        let mut tasks = Tasks::new();
        for ready in pipelines {
            start(ready, &journal, &options, (&abort, &lost_writer), &mut tasks).await?;
        }
        let limit = grace_limit(options.stop.clone(), abort.clone(), grace);
        tokio::pin!(limit);
        loop {
            let joined = tokio::select! {
                joined = tasks.join_next() => joined,
                () = &mut limit, if !outcome.cut_short => {
                    outcome.cut_short = true;
                    continue;
                }
            };
            match joined {
                None => break,
                Some(Ok(Ok(()))) => {}
                Some(Ok(Err(failure))) => {
                    error!(
                        pipeline = failure.what,
                        reason = failure.reason,
                        hint = failure.hint,
                        "the pipeline failed"
                    );
                    outcome.failed.push(failure);
                    // What goes on without one of its parts looks well and is not: whoever runs us starts us again.
                    if !options.once {
                        options.stop.cancel();
                    }
                }
                Some(Err(panic)) => {
                    error!(%panic, "a task broke down");
                    outcome.failed.push(Failure::new("auditline", panic.to_string(), None));
                    options.stop.cancel();
                }
            }
        }
        drop(watching);
        // A run that was stopped and had time is not cut short, even if the timer fired with the last task.
        Ok(outcome)
    }
}

/// Ends when the grace period after a stop is over, having told the writers.
async fn grace_limit(stop: CancellationToken, abort: CancellationToken, grace: Duration) {
    stop.cancelled().await;
    info!(grace_secs = grace.as_secs(), "stopping: reading has ended, sinks finish what is in the journal");
    tokio::time::sleep(grace).await;
    abort.cancel();
}

/// Readers and writers; what they end with is for a person.
type Tasks = JoinSet<Result<(), Failure>>;

async fn start(
    ready: Ready,
    journal: &Arc<dyn Journal>,
    options: &RunOptions,
    (abort, lost_writer): (&CancellationToken, &CancellationToken),
    tasks: &mut Tasks,
) -> Result<(), JournalError> {
    let Ready { name, vendor, transforms, lanes, counters, reads } = ready;
    let sinks: Vec<Arc<str>> = lanes.iter().map(|lane| Arc::clone(&lane.name)).collect();
    for (lane, missed) in journal.open_pipeline(&name, &sinks).await? {
        warn!(pipeline = %lane.pipeline, sink = %lane.sink, missed, "the sink is no longer configured: it does not get what it had not been given");
    }
    let must_end = options.once || options.only.is_some();
    let (appended, follow) = watch::channel(0);
    for (lane, counters) in lanes.into_iter().zip(&counters.lanes) {
        let LanePlan { name: sink, .. } = &lane;
        let writer = Writer {
            lane: Lane { pipeline: Arc::clone(&name), sink: Arc::clone(sink) },
            plan: lane,
            vendor: Arc::clone(&vendor),
            journal: Arc::clone(journal),
            counters: Arc::clone(counters),
            appended: follow.clone(),
            must_end,
            abort: abort.clone(),
        };
        let (name, lost) = (Arc::clone(&name), lost_writer.clone());
        tasks.spawn(async move {
            let done = writer.run().await.map_err(|error| Failure::of_writer(&name, &error));
            if done.is_err() {
                lost.cancel();
            }
            done
        });
    }
    drop(follow);
    let pipeline = Pipeline {
        name: Arc::clone(&name),
        transforms,
        journal: Arc::clone(journal),
        counters,
        appended,
        stop: options.stop.clone(),
        lost_writer: lost_writer.clone(),
        must_end,
    };
    let pipeline = Arc::new(pipeline);
    match reads {
        Reads::Api { source, sweep, poll, requests } => {
            let only = options.only.as_ref().map(|(_, backfill)| *backfill);
            let walks = Walks { pipeline, source, sweep, poll, requests, only };
            tasks.spawn(async move { walks.run().await.map_err(|error| Failure::of_reader(&name, &error)) });
        }
        Reads::Files { source, poll } => {
            let reader = FileReader { pipeline, source, poll };
            tasks.spawn(async move { reader.run().await.map_err(|error| Failure::of_reader(&name, &error)) });
        }
    }
    Ok(())
}

pub(super) fn source(plan: &PipelinePlan, budgets: &Budgets, journal: &str) -> Result<Source, SourceError> {
    let settings = plan.source.clone();
    let budget = budgets.share(&settings, &plan.name);
    // Its own name for every installation, so that what it reads is not taken for somebody else's reading.
    let user_agent = format!("auditline/{} ({journal})", env!("CARGO_PKG_VERSION"));
    Source::new(settings, budget, &user_agent)
}
