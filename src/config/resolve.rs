//! From what the files say to what they mean.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use auditline_sinks::{BatchLimits, Sink, SinkConfig};

use super::files::{Files, PipelineFile};
use super::plan::{LanePlan, PipelinePlan, Plan};
use super::raw;
use super::source;
use crate::chain;
use crate::document::{Context, Node, Place, Problem, Spanned, did_you_mean};
use crate::transform::Transform;
use crate::transform::normalize::{Form, Normalize};
use crate::transform::redact::{Policy, PseudonymKey, Redact, Redactor};

/// The journal's size when nobody says.
const JOURNAL_LIMIT: u64 = 10 << 30;
/// The grace period when nobody says: Kubernetes kills after 30 seconds.
const GRACE: Duration = Duration::from_secs(25);

/// The epoch of the one key there is.
const FIRST_EPOCH: u16 = 1;

/// A sink that can be delivered to, and what it gathers by default.
struct Destination {
    config: SinkConfig,
    sink: Arc<dyn Sink>,
    defaults: BatchLimits,
}

/// Resolves the operator's files. `None` when anything is wrong: what, is then among the problems.
pub fn resolve(files: &Files, context: &Context<'_>) -> Option<Plan> {
    let main: Option<raw::Main> = files.main.decode(context);
    let names: Vec<&Spanned<String>> = main.iter().flat_map(|main| main.sinks.keys()).collect();
    let known: Vec<&str> = names.iter().map(|name| name.value.as_str()).collect();
    let sinks = main.as_ref().map(|main| destinations(&main.sinks, context)).unwrap_or_default();

    let mut pipelines = Vec::new();
    let mut taken = BTreeMap::new();
    for file in &files.pipelines {
        if let Some(first) = taken.insert(file.name.clone(), file.document.file().name().to_owned()) {
            let message = format!("two pipelines are called `{}`", file.name);
            let hint = format!("the other is `{first}`; a pipeline's name is its file's stem, so rename one of them");
            context.problems.push(Problem::error(message).at(&file.document.root().head()).hint(hint));
        }
        // Without a sound main file every sink would seem unknown.
        let known = main.is_some().then_some(known.as_slice());
        pipelines.extend(pipeline(file, known, &sinks, context));
    }
    if files.pipelines.is_empty() && !context.problems.has_errors() {
        let hint = "add `pipelines = [\"pipelines/*.toml\"]`, and a file for each pipeline";
        context.problems.push(Problem::error("there is no pipeline").at(&files.main.root().head()).hint(hint));
    }
    refuse_mixed_files(&pipelines, &files.pipelines, &sinks, context);
    warn_of_idle_sinks(&names, &files.pipelines, context);
    let main = main?;
    (!context.problems.has_errors()).then(|| Plan {
        state_dir: state_dir(&main, files),
        journal_limit: main.journal.max_size.map_or(JOURNAL_LIMIT, |size| size.0),
        grace: main.grace.map_or(GRACE, |grace| grace.0),
        pipelines,
    })
}

/// Relative to the main file, like everything in it.
fn state_dir(main: &raw::Main, files: &Files) -> PathBuf {
    let folder = Path::new(files.main.file().name()).parent().unwrap_or(Path::new(""));
    folder.join(main.state_dir.as_deref().unwrap_or("state"))
}

fn destinations(sinks: &BTreeMap<Spanned<String>, Node>, context: &Context<'_>) -> BTreeMap<String, Destination> {
    let mut built = BTreeMap::new();
    for (name, node) in sinks {
        let Some(config) = raw::sink(node, context) else { continue };
        match config.build() {
            Ok(sink) => {
                let defaults = config.batch_defaults();
                built.insert(name.value.clone(), Destination { config, sink, defaults });
            }
            Err(error) => {
                let place = at_fault(node, &error.key);
                let message = chain(&error);
                context.problems.push(Problem::error(message).at(&place).hint(error.hint));
            }
        }
    }
    built
}

/// Where the key `a.b` of a sink stands, or as much of it as there is.
fn at_fault(sink: &Node, key: &str) -> Place {
    let mut node = sink.as_table().and_then(|mut table| table.next()).map_or(sink, |(_, kind)| kind);
    let mut place = node.head();
    for part in key.split('.') {
        let Some(next) = node.get(part) else { break };
        node = next;
        place = node.place();
    }
    place
}

fn pipeline(
    file: &PipelineFile,
    known: Option<&[&str]>,
    sinks: &BTreeMap<String, Destination>,
    context: &Context<'_>,
) -> Option<PipelinePlan> {
    let raw: raw::Pipeline = file.document.decode(context)?;
    let source = source::resolve(&raw.source, context);
    let lanes = lanes(&raw.to, known, sinks, context);
    let source = source?;
    let transforms = transforms(&raw.transform, &source.settings, context)?;
    Some(PipelinePlan {
        name: file.name.as_str().into(),
        source: source.settings,
        poll: source.poll,
        transforms,
        lanes,
    })
}

fn lanes(
    to: &Spanned<BTreeMap<Spanned<String>, raw::To>>,
    known: Option<&[&str]>,
    sinks: &BTreeMap<String, Destination>,
    context: &Context<'_>,
) -> Vec<LanePlan> {
    if to.value.is_empty() {
        let problem = Problem::error("this pipeline goes nowhere").at(&to.place);
        context.problems.push(problem.hint("name a sink of the main file: `[to.NAME]`"));
    }
    let mut lanes = Vec::new();
    for (name, settings) in &to.value {
        if let Some(known) = known.filter(|known| !known.contains(&name.value.as_str())) {
            let hint = match did_you_mean(name, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None if known.is_empty() => format!("the main file has no sinks: add `[sinks.{name}.file]`, for one"),
                None => format!("the main file has: {}", known.join(", ")),
            };
            context.problems.push(Problem::error(format!("there is no sink `{name}`")).at(&name.place).hint(hint));
        }
        let Some(destination) = sinks.get(&name.value) else { continue };
        let defaults = destination.defaults;
        let max_records = match &settings.batch.max_records {
            Some(most) if most.value == 0 => {
                context.problems.error_at(&most.place, "a batch holds at least 1 record");
                1
            }
            Some(most) => most.value as usize,
            None => defaults.max_records,
        };
        let limits = BatchLimits {
            max_records,
            max_bytes: settings.batch.max_bytes.map_or(defaults.max_bytes, |size| size.0),
            max_wait: settings.batch.max_wait.map_or(defaults.max_wait, |wait| wait.0),
        };
        lanes.push(LanePlan { name: name.value.as_str().into(), sink: Arc::clone(&destination.sink), limits });
    }
    lanes
}

fn transforms(
    raw: &[Spanned<raw::Transform>],
    source: &crate::source::Settings,
    context: &Context<'_>,
) -> Option<Vec<Box<dyn Transform>>> {
    let connector = &source.connector;
    let normalize = |form: Form| Normalize::new(form, Arc::clone(&connector.map), connector.identity.clone());
    let mut steps: Vec<Box<dyn Transform>> = Vec::new();
    let normalizes = raw.iter().filter(|step| matches!(step.value, raw::Transform::Normalize(_)));
    for again in normalizes.clone().skip(1) {
        context.problems.error_at(&again.place, "an event can be normalized only once");
    }
    if normalizes.count() == 0 {
        steps.push(Box::new(normalize(Form::default())));
    }
    for step in raw {
        match &step.value {
            raw::Transform::Normalize(form) => steps.push(Box::new(normalize(*form))),
            raw::Transform::Enrich(enrich) => steps.push(Box::new(enrich.clone())),
            raw::Transform::Redact(redact) => steps.push(Box::new(redactor(redact, step, context)?)),
        }
    }
    Some(steps)
}

fn redactor(redact: &raw::Redact, step: &Spanned<raw::Transform>, context: &Context<'_>) -> Option<Redact> {
    let key = redact.key.as_ref().map(|key| PseudonymKey::new(FIRST_EPOCH, key.expose().as_bytes())).transpose();
    let policy = key.map(|key| Policy { emails: redact.emails, ips: redact.ips, key });
    match policy.and_then(Redactor::new) {
        Ok(redactor) => Some(Redact::new(redactor)),
        Err(error) => {
            context.problems.push(Problem::error(error.to_string()).at(&step.place));
            None
        }
    }
}

/// A file in which two pipelines write has no place that either could find again after a crash.
fn refuse_mixed_files(
    plans: &[PipelinePlan],
    files: &[PipelineFile],
    sinks: &BTreeMap<String, Destination>,
    context: &Context<'_>,
) {
    for (index, plan) in plans.iter().enumerate() {
        for lane in &plan.lanes {
            let Some(destination) = sinks.get(&*lane.name) else { continue };
            let mixes = |other: &&PipelinePlan| {
                let same_vendor = other.source.connector.name == plan.source.connector.name;
                other.lanes.iter().any(|theirs| theirs.name == lane.name)
                    && destination.config.mixes_pipelines(same_vendor)
            };
            let Some(other) = plans[..index].iter().find(mixes) else { continue };
            let file = files.iter().find(|file| *file.name == *plan.name);
            let to = file.and_then(|file| file.document.root().get("to")?.get(&lane.name).map(Node::head));
            let message = format!(
                "`{}` and `{}` would write to the same file of the sink `{}`",
                other.name, plan.name, lane.name
            );
            let problem = Problem::error(message).hint("put `{pipeline}` into the sink's path");
            context.problems.push(match to {
                Some(place) => problem.at(&place),
                None => problem,
            });
        }
    }
}

/// A sink that no pipeline names is not a mistake, but hardly meant.
fn warn_of_idle_sinks(names: &[&Spanned<String>], pipelines: &[PipelineFile], context: &Context<'_>) {
    let targets = |file: &PipelineFile| -> Vec<String> {
        let table = file.document.root().get("to").and_then(Node::as_table);
        table.map(|table| table.map(|(name, _)| name.value.clone()).collect()).unwrap_or_default()
    };
    let used: BTreeSet<String> = pipelines.iter().flat_map(targets).collect();
    for name in names.iter().filter(|name| !used.contains(&name.value)) {
        let message = format!("no pipeline goes to the sink `{name}`");
        context
            .problems
            .push(Problem::warning(message).at(&name.place).hint(format!("add `[to.{name}]` to a pipeline")));
    }
}
