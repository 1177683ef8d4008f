//! From what the files say to what they mean.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use auditline_sinks::{BatchLimits, Sink, SinkConfig};
use serde::de::DeserializeOwned;

use super::example;
use super::files::{Files, PipelineFile};
use super::plan::{LanePlan, PipelinePlan, Plan, SourcePlan};
use super::raw;
use super::renewed::Secrets;
use super::source;
use super::steps::{Library, steps};
use crate::chain;
use crate::connector::Catalogue;
use crate::document::{Context, Node, Place, Problem, Spanned, did_you_mean};

/// The journal's size when nobody says.
const JOURNAL_LIMIT: u64 = 10 << 30;
/// Less than this is taken up by a page or two, and by the ids that were seen.
const SMALLEST_JOURNAL: u64 = 1 << 20;
/// The grace period when nobody says: Kubernetes kills after 30 seconds.
const GRACE: Duration = Duration::from_secs(25);

/// What is missing where a pipeline has no destination.
const WHERE_TO: &str = "add `[to.NAME]`, NAME being a sink of the main file";

/// A sink that can be delivered to, and what it gathers by default.
struct Destination {
    config: SinkConfig,
    sink: Arc<dyn Sink>,
    defaults: BatchLimits,
}

/// Resolves the operator's files. `None` when anything is wrong: what, is then among the problems.
pub fn resolve(files: &Files, context: &Context<'_>) -> Option<Plan> {
    let main: Option<raw::Main> = files.main.decode(context);
    let written = raw::sinks(&files.main, context);
    let names: Vec<&Spanned<String>> = written.iter().flat_map(BTreeMap::keys).collect();
    let known: Vec<&str> = names.iter().map(|name| name.value.as_str()).collect();
    for name in names.iter().filter(|name| name.value.contains(char::is_control)) {
        let problem = Problem::error("the name of a sink is one line of plain text").at(&name.place);
        context.problems.push(problem.hint("letters, digits, `-` and `_` are enough"));
    }
    let sinks = written.as_ref().map(|sinks| destinations(sinks, context)).unwrap_or_default();

    let library = Library::default();
    let mut pipelines = Vec::new();
    let mut taken = BTreeMap::new();
    for file in &files.pipelines {
        if let Some(first) = taken.insert(file.name.clone(), file.document.file().name().to_owned()) {
            let message = format!("two pipelines are called `{}`", file.name);
            let hint = format!("the other is `{first}`; a pipeline's name is its file's stem, so rename one of them");
            context.problems.push(Problem::error(message).at(&file.document.root().head()).hint(hint));
        }
        // Where the sinks cannot be read at all, each of them would seem unknown.
        let known = written.is_some().then_some(known.as_slice());
        pipelines.extend(pipeline(file, known, &sinks, &files.catalogue, &library, context));
    }
    if files.pipelines.is_empty() && !context.problems.has_errors() {
        let hint = "add `pipelines = [\"pipelines/*.toml\"]`, and a file for each pipeline";
        context.problems.push(Problem::error("there is no pipeline").at(&files.main.root().head()).hint(hint));
    }
    refuse_mixed_files(&pipelines, &files.pipelines, &sinks, context);
    refuse_mixed_objects(&pipelines, &files.pipelines, &sinks, context);
    if let Some(main) = &main {
        refuse_own_files(&pipelines, files, &state_dir(main, files), &sinks, context);
    }
    // What a pipeline goes to is not known for sure before it is sound.
    if !context.problems.has_errors() {
        warn_of_idle_sinks(&names, &files.pipelines, context);
    }
    let main = main?;
    let journal_limit = journal_limit(&main, context);
    let (pipelines, files_read) = PipelinePlan::apart(pipelines);
    (!context.problems.has_errors()).then(|| Plan {
        state_dir: state_dir(&main, files),
        journal_limit,
        grace: main.grace.map_or(GRACE, |grace| grace.0),
        catalogue: Arc::clone(&files.catalogue),
        pipelines,
        files: files_read,
    })
}

fn journal_limit(main: &raw::Main, context: &Context<'_>) -> u64 {
    let Some(size) = &main.journal.max_size else { return JOURNAL_LIMIT };
    if size.value.0 < SMALLEST_JOURNAL {
        let problem = Problem::error("a journal this small would never have room").at(&size.place);
        context.problems.push(problem.hint("choose at least `1MiB`"));
    }
    size.value.0
}

/// Relative to the main file, like everything in it.
fn state_dir(main: &raw::Main, files: &Files) -> PathBuf {
    let folder = Path::new(files.main.file().name()).parent().unwrap_or(Path::new(""));
    folder.join(main.state_dir.as_deref().unwrap_or("state"))
}

fn destinations(sinks: &BTreeMap<Spanned<String>, Node>, context: &Context<'_>) -> BTreeMap<String, Destination> {
    let mut built = BTreeMap::new();
    for (name, node) in sinks {
        let secrets = Secrets::of(node);
        let Some(config) = raw::sink(node, context) else { continue };
        match config.build() {
            Ok(sink) => {
                let defaults = config.batch_defaults();
                let sink = secrets.renew(sink);
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
    let mut rest = key;
    while !rest.is_empty() {
        // librdkafka's options have dots in their names.
        let (part, after) = match node.get(rest) {
            Some(_) => (rest, ""),
            None => rest.split_once('.').unwrap_or((rest, "")),
        };
        let Some(next) = node.get(part) else { break };
        node = next;
        place = node.place();
        rest = after;
    }
    place
}

fn pipeline(
    file: &PipelineFile,
    known: Option<&[&str]>,
    sinks: &BTreeMap<String, Destination>,
    catalogue: &Catalogue,
    library: &Library,
    context: &Context<'_>,
) -> Option<PipelinePlan<SourcePlan>> {
    let raw: raw::Pipeline = file.document.decode(context)?;
    // Each part is looked at whatever the others are, so that everything wrong is told at once.
    let source = section(file, "source", raw.source.as_ref(), &source::which_connector(catalogue), context);
    let source = source.and_then(|source| source::resolve(&source, catalogue, context));
    let to: Option<raw::Targets> = section(file, "to", raw.to.as_ref(), WHERE_TO, context);
    let names: Option<Vec<_>> = to.as_ref().map(|to| to.value.keys().collect());
    let steps = steps(raw.transform.as_ref(), names.as_deref(), library, context);
    let lanes = to.as_ref().map(|to| lanes(to, known, sinks, context));
    let examples = example::read(raw.example.as_ref(), names.as_deref(), context);
    let (source, lanes, steps, _) = (source?, lanes?, steps?, examples?);
    Some(PipelinePlan {
        name: file.name.as_str().into(),
        poll: source.poll,
        sweep: source.sweep,
        transforms: steps.into_iter().map(|step| step.build(source.settings.connector())).collect(),
        source: source.settings,
        lanes,
    })
}

/// A part that no pipeline can do without.
fn section<T: DeserializeOwned>(
    file: &PipelineFile,
    key: &str,
    node: Option<&Node>,
    hint: &str,
    context: &Context<'_>,
) -> Option<T> {
    if node.is_none() {
        let problem = Problem::error(format!("missing key `{key}`")).at(&file.document.root().head());
        context.problems.push(problem.hint(hint));
    }
    node?.decode(context)
}

fn lanes(
    to: &raw::Targets,
    known: Option<&[&str]>,
    sinks: &BTreeMap<String, Destination>,
    context: &Context<'_>,
) -> Vec<LanePlan> {
    if to.value.is_empty() {
        let problem = Problem::error("this pipeline goes nowhere").at(&to.place);
        context.problems.push(problem.hint(WHERE_TO));
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
        let settings = settings.decode::<raw::To>(context);
        let (Some(destination), Some(settings)) = (sinks.get(&name.value), settings) else { continue };
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
        lanes.push(LanePlan {
            name: name.value.as_str().into(),
            sink: Arc::clone(&destination.sink),
            limits,
            all_rejected: settings.all_rejected,
        });
    }
    lanes
}

/// A file that is written to twice has no place that either writer could find again after a crash.
fn refuse_mixed_files(
    plans: &[PipelinePlan<SourcePlan>],
    files: &[PipelineFile],
    sinks: &BTreeMap<String, Destination>,
    context: &Context<'_>,
) {
    let mut taken: BTreeMap<PathBuf, (&str, &str)> = BTreeMap::new();
    for plan in plans {
        for lane in &plan.lanes {
            let config = sinks.get(&*lane.name).map(|destination| &destination.config);
            let path = config.and_then(|config| config.file_of(&plan.name, &plan.source.connector().name));
            let Some(path) = path else { continue };
            // One file may be named from two folders.
            let path = std::path::absolute(&path).unwrap_or(path);
            let first = *taken.entry(path).or_insert((&plan.name, &lane.name));
            let Some((message, hint)) = mixed(first, (&plan.name, &lane.name)) else { continue };
            context.problems.push(at_lane(Problem::error(message).hint(hint), &plan.name, &lane.name, files));
        }
    }
}

/// What auditline itself reads or keeps there would be written into.
fn refuse_own_files(
    plans: &[PipelinePlan<SourcePlan>],
    files: &Files,
    state_dir: &Path,
    sinks: &BTreeMap<String, Destination>,
    context: &Context<'_>,
) {
    let whole = |path: &Path| plain(&std::path::absolute(path).unwrap_or(path.to_owned()));
    let state_dir = whole(state_dir);
    let pipelines = files.pipelines.iter().map(|file| &file.document);
    let read: Vec<PathBuf> =
        pipelines.chain([&files.main]).map(|document| whole(Path::new(document.file().name()))).collect();
    for plan in plans {
        for lane in &plan.lanes {
            let config = sinks.get(&*lane.name).map(|destination| &destination.config);
            let path = config.and_then(|config| config.file_of(&plan.name, &plan.source.connector().name));
            let Some(path) = path.map(|path| whole(&path)) else { continue };
            let (message, hint) = match path {
                path if path.starts_with(&state_dir) => (
                    format!("the sink `{}` would write into `state_dir`, where auditline keeps its journal", lane.name),
                    "give the sink a `path` outside of it",
                ),
                path if read.contains(&path) => (
                    format!("the sink `{}` would write into a file of the configuration", lane.name),
                    "give the sink a `path` of its own",
                ),
                _ => continue,
            };
            context.problems.push(at_lane(
                Problem::error(message).hint(hint),
                &plan.name,
                &lane.name,
                &files.pipelines,
            ));
        }
    }
}

/// An absolute path without steps back.
fn plain(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut plain, step| {
        match step {
            Component::ParentDir => drop(plain.pop()),
            step => plain.push(step),
        }
        plain
    })
}

/// Two sinks of one pipeline whose objects have the same names: those of one would replace those of the other.
fn refuse_mixed_objects(
    plans: &[PipelinePlan<SourcePlan>],
    files: &[PipelineFile],
    sinks: &BTreeMap<String, Destination>,
    context: &Context<'_>,
) {
    for plan in plans {
        let mut taken: BTreeMap<String, &str> = BTreeMap::new();
        for lane in &plan.lanes {
            let config = sinks.get(&*lane.name).map(|destination| &destination.config);
            let objects = config.and_then(|config| config.objects_of(&plan.name, &plan.source.connector().name));
            let Some(first) = objects.and_then(|objects| taken.insert(objects, &lane.name)) else { continue };
            let message = format!("`{first}` and `{}` would replace each other's objects", lane.name);
            let problem = Problem::error(message).hint("give each sink a `prefix` of its own");
            context.problems.push(at_lane(problem, &plan.name, &lane.name, files));
        }
    }
}

/// A problem of a pipeline's `[to.NAME]`.
fn at_lane(problem: Problem, pipeline: &str, sink: &str, files: &[PipelineFile]) -> Problem {
    let file = files.iter().find(|file| *file.name == *pipeline);
    let to = file.and_then(|file| file.document.root().get("to")?.get(sink).map(Node::head));
    match to {
        Some(place) => problem.at(&place),
        None => problem,
    }
}

/// What to say of two pairs of pipeline and sink that share a file; nothing when they are the same pair.
fn mixed(first: (&str, &str), second: (&str, &str)) -> Option<(String, &'static str)> {
    let ((pipeline, sink), (other_pipeline, other_sink)) = (first, second);
    let own_paths = "give each sink a `path` of its own";
    Some(match (pipeline == other_pipeline, sink == other_sink) {
        (true, true) => return None,
        (false, true) => {
            let message =
                format!("`{pipeline}` and `{other_pipeline}` would write to the same file of the sink `{sink}`");
            (message, "put `{pipeline}` into the sink's path")
        }
        (true, false) => {
            (format!("`{pipeline}` would write to the same file by the sinks `{sink}` and `{other_sink}`"), own_paths)
        }
        (false, false) => {
            let message = format!(
                "`{pipeline}` by the sink `{sink}` and `{other_pipeline}` by `{other_sink}` would write to the same file"
            );
            (message, own_paths)
        }
    })
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
