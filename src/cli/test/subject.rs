//! What is tested: connectors and pipelines, and the files they stand in.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::{Files, PipelineTest, catalogue};
use crate::connector::{Catalogue, Connector};
use crate::document::{Context, Document, Problem, Problems};

/// All that is tested.
#[derive(Debug)]
pub struct Subjects {
    /// Connectors, each with the examples it carries.
    pub connectors: Vec<Subject>,
    /// Pipelines, each with the examples it carries.
    pub pipelines: Vec<PipelineTest>,
    /// Where the pipelines' connectors were looked up.
    pub catalogue: Arc<Catalogue>,
}

/// A connector to be tested.
#[derive(Debug)]
pub struct Subject {
    /// Its file. What comes with the binary has none.
    pub path: Option<PathBuf>,
    /// Its text, which places in the definition are of.
    pub text: String,
    /// What that says.
    pub connector: Arc<Connector>,
}

impl Subjects {
    /// Those in `files`; without any, the connectors that come with the binary, and all that the main file names. What is
    /// wrong is among the problems.
    pub fn read(files: &[PathBuf], main: Option<&Path>, context: &Context<'_>) -> Self {
        if !files.is_empty() {
            let own = main.and_then(|main| catalogue(main, context));
            let mut subjects =
                Self { connectors: Vec::new(), pipelines: Vec::new(), catalogue: Arc::new(own.unwrap_or_default()) };
            files.iter().for_each(|path| subjects.add(path, context));
            return subjects;
        }
        match main.and_then(|main| Files::read(main, context)) {
            Some(files) => {
                let pipelines = PipelineTest::all(&files, context);
                Self { connectors: Subject::all(&files.catalogue), pipelines, catalogue: files.catalogue }
            }
            None => {
                let catalogue = Arc::new(Catalogue::default());
                Self { connectors: Subject::all(&catalogue), pipelines: Vec::new(), catalogue }
            }
        }
    }

    fn add(&mut self, path: &Path, context: &Context<'_>) {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                context.problems.push(Problem::error(format!("cannot read `{}`: {error}", path.display())));
                return;
            }
        };
        if is_pipeline(&text) {
            self.pipelines.extend(PipelineTest::of_text(path, &text, &self.catalogue, context));
        } else {
            self.connectors.extend(Subject::of_text(path, text, context));
        }
    }
}

/// Whether a file is one of a pipeline: only those say what they read from.
fn is_pipeline(text: &str) -> bool {
    // What is no TOML is told when it is read for what it seems to be.
    Document::parse("", text, &Problems::new()).is_some_and(|document| document.root().get("source").is_some())
}

impl Subject {
    fn all(catalogue: &Catalogue) -> Vec<Self> {
        let subject = |name| {
            let connector = catalogue.get(name).ok()?;
            let path = catalogue.file(name).map(PathBuf::from);
            Some(Self { path, text: catalogue.source(name)?.to_owned(), connector })
        };
        catalogue.names().filter_map(subject).collect()
    }

    /// The connector in `text`, which is or shall become that of the file at `path`.
    pub fn of_text(path: &Path, text: String, context: &Context<'_>) -> Option<Self> {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let connector = Connector::parse(&name, &path.display().to_string(), &text, context)?;
        Some(Self { path: Some(path.to_owned()), text, connector: Arc::new(connector) })
    }
}
