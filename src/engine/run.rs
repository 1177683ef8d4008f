//! A whole run: opens the journal, starts the tasks, stops them in the direction the data flows.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::counters::Counters;
use super::reader::Reader;
use super::writer::Writer;
use crate::chain;
use crate::config::{PipelinePlan, Plan};
use crate::journal::{Journal, JournalError, Lane};
use crate::source::budget::Budgets;
use crate::source::{Source, SourceError};

/// How a run differs from the plain one.
#[derive(Debug)]
pub struct RunOptions {
    /// End when everything up to now was read and delivered.
    pub once: bool,
    /// Ends the run: reading at once, writing within the grace period.
    pub stop: CancellationToken,
}

/// What a run came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The pipelines that failed, with the reason and, where there is one, what to do.
    pub failed: Vec<(String, String, Option<String>)>,
    /// The grace period was over before everything was delivered. The journal has the rest.
    pub cut_short: bool,
}

/// Starts a run. The counters can be looked at while it goes on.
///
/// # Errors
/// When the journal cannot be used.
pub async fn run(
    plan: Plan,
    journal: Arc<dyn Journal>,
    options: RunOptions,
    counters: &[Arc<Counters>],
) -> Result<Outcome, JournalError> {
    let budgets = Budgets::default();
    let abort = CancellationToken::new();
    let mut outcome = Outcome::default();
    let mut tasks = Tasks::new();
    let grace = plan.grace;
    for (pipeline, counters) in plan.pipelines.into_iter().zip(counters) {
        let name = pipeline.name.to_string();
        match start(pipeline, &journal, &budgets, &options, &abort, counters, &mut tasks).await {
            Ok(()) => {}
            Err(StartError::Journal(error)) => return Err(error),
            Err(StartError::Source(error)) => outcome.failed.push(failure(name, error)),
        }
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
            Some(Ok((_, Ok(())))) => {}
            Some(Ok((name, Err((reason, hint))))) => {
                error!(pipeline = name, reason, hint, "the pipeline failed");
                outcome.failed.push((name, reason, hint));
            }
            Some(Err(panic)) => {
                error!(%panic, "a task broke down");
                outcome.failed.push(("auditline".to_owned(), panic.to_string(), None));
                options.stop.cancel();
            }
        }
    }
    // A run that was stopped and had time is not cut short, even if the timer fired with the last task.
    Ok(outcome)
}

/// Counters for a plan's pipelines, in its order.
#[must_use]
pub fn counters_of(plan: &Plan) -> Vec<Arc<Counters>> {
    let sinks = |pipeline: &PipelinePlan| pipeline.lanes.iter().map(|lane| Arc::clone(&lane.name)).collect::<Vec<_>>();
    plan.pipelines.iter().map(|pipeline| Arc::new(Counters::new(sinks(pipeline)))).collect()
}

/// Ends when the grace period after a stop is over, having told the writers.
async fn grace_limit(stop: CancellationToken, abort: CancellationToken, grace: Duration) {
    stop.cancelled().await;
    info!(grace_secs = grace.as_secs(), "stopping: reading has ended, sinks finish what is in the journal");
    tokio::time::sleep(grace).await;
    abort.cancel();
}

/// Readers and writers, each with its pipeline's name and, when it failed, the reason and what to do.
type Tasks = JoinSet<(String, Result<(), (String, Option<String>)>)>;

enum StartError {
    Journal(JournalError),
    Source(SourceError),
}

async fn start(
    plan: PipelinePlan,
    journal: &Arc<dyn Journal>,
    budgets: &Budgets,
    options: &RunOptions,
    abort: &CancellationToken,
    counters: &Arc<Counters>,
    tasks: &mut Tasks,
) -> Result<(), StartError> {
    let vendor = Arc::clone(&plan.source.connector.name);
    let source = source(&plan, budgets, &journal.id()).map_err(StartError::Source)?;
    let sinks: Vec<Arc<str>> = plan.lanes.iter().map(|lane| Arc::clone(&lane.name)).collect();
    for (lane, missed) in journal.open_pipeline(&plan.name, &sinks).await.map_err(StartError::Journal)? {
        warn!(pipeline = %lane.pipeline, sink = %lane.sink, missed, "the sink is no longer configured: it does not get what it had not been given");
    }
    let (appended, follow) = watch::channel(0);
    for (lane, counters) in plan.lanes.into_iter().zip(&counters.lanes) {
        let writer = Writer {
            lane: Lane { pipeline: Arc::clone(&plan.name), sink: Arc::clone(&lane.name) },
            plan: lane,
            vendor: Arc::clone(&vendor),
            journal: Arc::clone(journal),
            counters: Arc::clone(counters),
            appended: follow.clone(),
            must_end: options.once,
            abort: abort.clone(),
        };
        let name = plan.name.to_string();
        tasks.spawn(async move { (name, writer.run().await.map_err(|error| written(&error))) });
    }
    drop(follow);
    let reader = Reader {
        pipeline: Arc::clone(&plan.name),
        source,
        transforms: plan.transforms,
        journal: Arc::clone(journal),
        counters: Arc::clone(counters),
        poll: (!options.once).then_some(plan.poll),
        appended,
        stop: options.stop.clone(),
    };
    let name = plan.name.to_string();
    tasks.spawn(async move { (name, reader.run().await.map_err(|error| was_read(&error))) });
    Ok(())
}

fn source(plan: &PipelinePlan, budgets: &Budgets, journal: &str) -> Result<Source, SourceError> {
    let settings = plan.source.clone();
    let limits = &settings.connector.definition.limits;
    let budget = budgets.of(&settings.upstream(), settings.rate, limits.in_flight, settings.reserve);
    // Its own name for every installation, so that what it reads is not taken for somebody else's reading.
    let user_agent = format!("auditline/{} ({journal})", env!("CARGO_PKG_VERSION"));
    Source::new(settings, budget, &user_agent)
}

fn was_read(error: &super::reader::ReadError) -> (String, Option<String>) {
    let hint = match error {
        super::reader::ReadError::Source(SourceError::Configuration { hint, .. }) => Some(hint.clone()),
        _ => None,
    };
    (chain(error), hint)
}

fn written(error: &super::writer::WriteError) -> (String, Option<String>) {
    let hint = match error {
        super::writer::WriteError::Sink { source: auditline_sinks::DeliveryError::Refused { hint, .. }, .. } => {
            Some(hint.clone())
        }
        _ => None,
    };
    (chain(error), hint)
}

fn failure(name: String, error: SourceError) -> (String, String, Option<String>) {
    match error {
        SourceError::Configuration { message, hint } => (name, message, Some(hint)),
        SourceError::Retryable { message, .. } => (name, message, None),
    }
}

/// Asks every vendor for a moment of its log and every sink for a sign of life; says what does not work, by pipeline.
pub async fn check_online(plan: &Plan) -> Vec<(String, String, Option<String>)> {
    let budgets = Budgets::default();
    let mut failed = Vec::new();
    let mut checked = Vec::new();
    for pipeline in &plan.pipelines {
        let name = pipeline.name.to_string();
        let answered = match source(pipeline, &budgets, "check") {
            Ok(source) => source.check().await,
            Err(error) => Err(error),
        };
        if let Err(error) = answered {
            failed.push(failure(name, error));
        }
        for lane in &pipeline.lanes {
            if checked.contains(&lane.name) {
                continue;
            }
            checked.push(Arc::clone(&lane.name));
            if let Err(error) = lane.sink.check().await {
                let hint = match &error {
                    auditline_sinks::DeliveryError::Refused { hint, .. } => Some(hint.clone()),
                    auditline_sinks::DeliveryError::Retryable { .. } => None,
                };
                failed.push((format!("sink {}", lane.name), chain(&error), hint));
            }
        }
    }
    failed
}
