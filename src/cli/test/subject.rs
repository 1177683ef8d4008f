//! What is tested: a connector, and the file it stands in.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::catalogue;
use crate::connector::{Catalogue, Connector};
use crate::document::{Context, Problem};

/// The main file, whose connectors are tested where there is one.
const MAIN: &str = "auditline.toml";

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

impl Subject {
    /// Those in `files`; without any, those that come with the binary and those of the main file in this folder. What is
    /// wrong is among the problems.
    pub fn read(files: &[PathBuf], context: &Context<'_>) -> Vec<Self> {
        if files.is_empty() {
            let main = Path::new(MAIN);
            let own = main.is_file().then(|| catalogue(main, context)).flatten();
            return Self::all(&own.unwrap_or_default());
        }
        files.iter().filter_map(|path| Self::of_file(path, context)).collect()
    }

    fn all(catalogue: &Catalogue) -> Vec<Self> {
        let subject = |name| {
            let connector = catalogue.get(name).ok()?;
            let path = catalogue.file(name).map(PathBuf::from);
            Some(Self { path, text: catalogue.source(name)?.to_owned(), connector })
        };
        catalogue.names().filter_map(subject).collect()
    }

    fn of_file(path: &Path, context: &Context<'_>) -> Option<Self> {
        match std::fs::read_to_string(path) {
            Ok(text) => Self::of_text(path, text, context),
            Err(error) => {
                context.problems.push(Problem::error(format!("cannot read `{}`: {error}", path.display())));
                None
            }
        }
    }

    /// The connector in `text`, which is or shall become that of the file at `path`.
    pub fn of_text(path: &Path, text: String, context: &Context<'_>) -> Option<Self> {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let connector = Connector::parse(&name, &path.display().to_string(), &text, context)?;
        Some(Self { path: Some(path.to_owned()), text, connector: Arc::new(connector) })
    }
}
