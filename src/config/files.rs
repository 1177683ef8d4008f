//! Finding and reading the operator's files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::connector::Catalogue;
use crate::document::{Context, Document, Problem, Problems};

use super::raw;

/// The name of the main file in a folder.
const MAIN: &str = "auditline.toml";

/// The operator's files, parsed.
#[derive(Debug)]
pub struct Files {
    /// The main file.
    pub main: Document,
    /// The connectors there are, the operator's own among them.
    pub catalogue: Arc<Catalogue>,
    /// The pipelines' files, in the order of their names.
    pub pipelines: Vec<PipelineFile>,
}

/// A pipeline's file. Its stem is the pipeline's name.
#[derive(Debug)]
pub struct PipelineFile {
    /// The pipeline's name.
    pub name: String,
    /// What the file says.
    pub document: Document,
}

impl Files {
    /// Reads the main file at `path`, or in the folder `path`, and the connectors and pipelines it names. `None` when one of
    /// the main file and the pipelines cannot be read.
    pub fn read(path: &Path, context: &Context<'_>) -> Option<Self> {
        let path = main_path(path);
        let main = main_file(&path, context.problems)?;
        let catalogue = Arc::new(own_connectors(&path, &main, context));
        let pipelines = named(&path, &main, "pipelines", context.problems);
        let pipelines = pipelines.iter().filter_map(|path| PipelineFile::read(path, context.problems)).collect();
        Some(Self { main, catalogue, pipelines })
    }
}

/// Only the connectors: those that come with the binary, and those that the main file at `path`, or in the folder `path`,
/// names. `None` when it cannot be read.
pub fn catalogue(path: &Path, context: &Context<'_>) -> Option<Catalogue> {
    let path = main_path(path);
    Some(own_connectors(&path, &main_file(&path, context.problems)?, context))
}

fn main_path(path: &Path) -> PathBuf {
    if path.is_dir() { path.join(MAIN) } else { path.to_owned() }
}

fn main_file(path: &Path, problems: &Problems) -> Option<Document> {
    match std::fs::read_to_string(path) {
        Ok(text) => Document::parse(&path.display().to_string(), &text, problems),
        Err(error) => {
            problems.push(unreadable(path, &error));
            None
        }
    }
}

fn own_connectors(path: &Path, main: &Document, context: &Context<'_>) -> Catalogue {
    Catalogue::read(&named(path, main, "connectors", context.problems), context)
}

/// The files that the main file at `path` names under `key`, each once, in the order of their names.
fn named(path: &Path, main: &Document, key: &str, problems: &Problems) -> Vec<PathBuf> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut files: Vec<PathBuf> = Vec::new();
    for glob in raw::globs(main, key) {
        let mut found = expand(folder, &glob.value);
        if found.is_empty() {
            let message = format!("no file matches `{glob}`");
            problems.push(Problem::error(message).at(&glob.place).hint(why_nothing(folder, &glob.value)));
        }
        found.sort();
        found.retain(|path| !files.contains(path));
        files.extend(found);
    }
    files.sort_by_key(|path| path.file_stem().map(ToOwned::to_owned));
    files
}

impl PipelineFile {
    fn read(path: &Path, problems: &Problems) -> Option<Self> {
        let name = path.file_stem()?.to_string_lossy().into_owned();
        Some(Self { name, document: Document::read(path, problems)? })
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Problem {
    let problem = Problem::error(format!("cannot read `{}`: {error}", path.display()));
    match error.kind() {
        std::io::ErrorKind::NotFound => {
            problem.hint("`--config PATH` names another file, or a folder that holds `auditline.toml`")
        }
        _ => problem,
    }
}

/// The files a pattern stands for: `*` in its last part stands for any run of characters.
fn expand(folder: &Path, pattern: &str) -> Vec<PathBuf> {
    let pattern = folder.join(pattern);
    let Some(last) = pattern.file_name().and_then(|name| name.to_str()) else { return Vec::new() };
    if !last.contains('*') {
        return if pattern.is_file() { vec![pattern] } else { Vec::new() };
    }
    let Ok(entries) = std::fs::read_dir(pattern.parent().unwrap_or(Path::new("."))) else { return Vec::new() };
    let names = entries.filter_map(Result::ok).map(|entry| entry.file_name());
    let matching = names.filter(|name| name.to_str().is_some_and(|name| !name.starts_with('.') && matches(last, name)));
    matching.map(|name| pattern.with_file_name(name)).filter(|path| path.is_file()).collect()
}

/// Where was looked, or why nothing can be found there.
fn why_nothing(folder: &Path, pattern: &str) -> String {
    let searched = folder.join(pattern);
    let searched = searched.parent().unwrap_or(Path::new(""));
    match searched.to_str() {
        Some(path) if path.contains('*') => "`*` stands for characters of a file's name, not of a folder's".to_owned(),
        Some(path) if !path.is_empty() && !searched.is_dir() => format!("there is no folder `{path}`"),
        Some("") => "patterns begin at the folder of this file".to_owned(),
        _ => format!("looked in the folder `{}`", searched.display()),
    }
}

fn matches(pattern: &str, name: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(name) = name.strip_prefix(head) else { return false };
    let ends = name.char_indices().map(|(at, _)| at).chain([name.len()]);
    ends.into_iter().any(|at| matches(rest, &name[at..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_run() {
        for (pattern, name) in [("*.toml", "a.toml"), ("a*b*", "ab"), ("*", "x"), ("é*", "éa")] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("*.toml", "a.toml~"), ("a*b", "ac"), ("a", "ab")] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }
}
