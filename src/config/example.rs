//! `[[example]]` in a pipeline's file: a vendor's records, and what its transforms make of them.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value as Json};

use super::files::{Files, PipelineFile};
use super::raw;
use super::source;
use super::steps::{Library, steps};
use crate::connector::{Catalogue, Connector};
use crate::document::{Context, Document, Node, Problem, Spanned};
use crate::transform::Transform;

/// As the file says it. Each field is the documentation of the key of that name.
#[derive(Debug, Deserialize)]
pub struct Example {
    /// What it shows, in a few words.
    pub name: Spanned<String>,
    /// One or more of the vendor's records, as JSON, one after the other.
    pub record: Spanned<String>,
    /// What goes on, each a JSON object, in the order of the records.
    #[serde(default)]
    pub events: Option<Spanned<Vec<Spanned<String>>>>,
    /// Why the other records are left out, in the words of the step that does it.
    #[serde(default)]
    pub dropped: Option<Spanned<String>>,
    /// The sinks that what goes on goes to, in any order.
    #[serde(default)]
    pub to: Option<Spanned<Vec<Spanned<String>>>>,
    /// Why the other records become dead letters.
    #[serde(default)]
    pub dead_letter: Option<Spanned<String>>,
}

impl Example {
    /// The records, each as it is written.
    ///
    /// # Errors
    /// Says where the text stops being JSON.
    pub fn records(&self) -> Result<Vec<&str>, serde_json::Error> {
        let records = serde_json::Deserializer::from_str(&self.record).into_iter::<&RawValue>();
        records.map(|record| record.map(RawValue::get)).collect()
    }
}

/// What is needed to run a pipeline's examples: no vendor, no sink, and none of its secrets.
pub struct PipelineTest {
    /// The pipeline's name.
    pub name: String,
    /// Its file.
    pub path: PathBuf,
    /// The text of that, which places in the examples are of.
    pub text: String,
    /// Whose records it reads.
    pub connector: Arc<Connector>,
    /// What happens to each event, in this order.
    pub transforms: Vec<Box<dyn Transform>>,
    /// The sinks of the pipeline.
    pub sinks: Vec<String>,
    /// The examples, in the order of the file.
    pub examples: Vec<Spanned<Example>>,
}

impl fmt::Debug for PipelineTest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("PipelineTest").field("path", &self.path).finish_non_exhaustive()
    }
}

impl PipelineTest {
    /// Those of all pipelines that the main file names. What is wrong is among the problems.
    ///
    /// Secrets are not looked up but stood in for, so that an example is the same on every machine.
    pub fn all(files: &Files, context: &Context<'_>) -> Vec<Self> {
        files.pipelines.iter().filter_map(|file| Self::of(file, &files.catalogue, context)).collect()
    }

    /// That of the pipeline in `text`, which is or shall become that of the file at `path`.
    pub fn of_text(path: &Path, text: &str, catalogue: &Catalogue, context: &Context<'_>) -> Option<Self> {
        let name = path.file_stem()?.to_string_lossy().into_owned();
        let document = Document::parse(&path.display().to_string(), text, context.problems)?;
        Self::of(&PipelineFile { name, document }, catalogue, context)
    }

    fn of(file: &PipelineFile, catalogue: &Catalogue, context: &Context<'_>) -> Option<Self> {
        let context = &context.with_stand_ins(&stand_in);
        let raw: raw::Pipeline = file.document.decode(context)?;
        // All of them are looked at before the first that is wrong counts.
        let source: Option<raw::Source> = raw.source.as_ref().and_then(|source| source.decode(context));
        let connector = source.and_then(|source| source::whose(&source, catalogue, context));
        let to: Option<raw::Targets> = raw.to.as_ref().and_then(|to| to.decode(context));
        let sinks: Option<Vec<_>> = to.as_ref().map(|to| to.value.keys().collect());
        let steps = steps(raw.transform.as_ref(), sinks.as_deref(), &Library::default(), context);
        let examples = read(raw.example.as_ref(), sinks.as_deref(), context);
        let (connector, steps) = (connector?, steps?);
        Some(Self {
            name: file.name.clone(),
            path: PathBuf::from(file.document.file().name()),
            text: file.document.file().text().to_owned(),
            transforms: steps.into_iter().map(|step| step.build(&connector)).collect(),
            connector,
            sinks: sinks.unwrap_or_default().into_iter().map(|sink| sink.value.clone()).collect(),
            examples: examples?,
        })
    }
}

/// What stands in for the secret of that name: no secret itself, long enough for a key, and another for another name.
fn stand_in(name: &str) -> String {
    format!("not-a-secret-but-the-stand-in-of-tests-for-{name}")
}

/// The examples of a pipeline, each of which can be run and told from the others. `None` when one is wrong. `sinks` are the
/// names it goes to, `None` if they cannot be told.
pub fn read(
    written: Option<&Node>,
    sinks: Option<&[&Spanned<String>]>,
    context: &Context<'_>,
) -> Option<Vec<Spanned<Example>>> {
    let Some(node) = written else { return Some(Vec::new()) };
    let examples: Vec<Spanned<Example>> = node.decode(context)?;
    let mut names = BTreeSet::new();
    let mut sound = true;
    let mut fail = |problem: Problem, hint: &str| {
        context.problems.push(problem.hint(hint));
        sound = false;
    };
    for example in &examples {
        let Example { name, record, events, to, .. } = &example.value;
        if !names.insert(name.value.as_str()) {
            let problem = Problem::error(format!("two examples are called `{name}`")).at(&name.place);
            fail(problem, "a name says what an example shows that the others do not");
        }
        let hint = "JSON as the vendor writes it, one record after the other";
        match example.records() {
            Ok(records) if records.is_empty() => fail(Problem::error("there is no record").at(&record.place), hint),
            Ok(_) => {}
            Err(error) => fail(Problem::error(format!("this is not JSON: {error}")).at(&record.place), hint),
        }
        for event in events.iter().flat_map(|events| &events.value) {
            if let Err(error) = serde_json::from_str::<Map<String, Json>>(event) {
                let problem = Problem::error(format!("this is not a JSON object: {error}")).at(&event.place);
                fail(problem, "`auditline test --bless` writes the events that it finds");
            }
        }
        for name in to.iter().flat_map(|to| &to.value) {
            if sinks.is_some_and(|sinks| sinks.iter().all(|sink| sink.value != name.value)) {
                let problem = Problem::error(format!("this pipeline does not go to `{name}`")).at(&name.place);
                fail(problem, "an example names sinks of the pipeline, each of which has a `[to.NAME]`");
            }
        }
        if let Some(to) = to.as_ref().filter(|_| events.as_ref().is_some_and(|events| events.value.is_empty())) {
            let problem = Problem::error("nothing goes on in this example, and so nowhere").at(&to.place);
            fail(problem, "leave `to` out, or give the `events` that go there");
        }
    }
    sound.then_some(examples)
}
