//! A TOML document, read so that every mistake in it is reported at once, each with file, line, caret and hint.
//!
//! ```text
//! text ─► Document ─► Node ─► decode::<T> ─► T, whose Spanned and Node fields still know their place
//!            │                     │                      │
//!            └───── Problems ◄─────┴──────────────────────┘ later checks
//! ```
//!
//! A type that is read from a document derives `Deserialize`, and `JsonSchema` where its files have a schema. It does without `deny_unknown_fields`
//! (unknown keys are always mistakes), `alias`, `flatten` and `untagged` (they hide the fields or the place of a
//! mistake). Kinds are keys: an externally tagged enum reads `[sinks.siem.kafka]` as well as `mode = "pages"`. A
//! `String` also takes a TOML date or time, so that `start = 2026-01-01T00:00:00Z` needs no quotes.
//!
//! A [`Secret`](auditline_sinks::secret::Secret) is looked up while it is decoded, and no problem prints one: not from
//! its own line, nor from any other on which a literal secret stands. What a mistake keeps from being decoded is judged
//! by the names before it, in the text alone; and of a string beside the one that is spoken of no more is shown than
//! words that can be no secret.

mod access;
mod decode;
mod file;
mod ghost;
mod literals;
mod mask;
mod names;
mod node;
mod problem;
mod reader;
mod render;
mod schema;
mod secret;
mod spanned;
mod suggest;
#[cfg(test)]
mod tests;
mod within;

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use toml::de::DeTable;

pub use self::file::{File, Place};
pub use self::node::Node;
pub use self::problem::{Problem, Problems, Severity};
pub use self::schema::schema_of;
pub use self::spanned::Spanned;
pub use self::suggest::did_you_mean;

/// What decoding needs beside the document: where problems go, and what the environment holds.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// Where everything that is wrong is reported.
    pub problems: &'a Problems,
    /// Looks up `{ env = "NAME" }`.
    pub environment: &'a (dyn Fn(&str) -> Option<String> + Sync),
    /// What stands in for a secret, by the name of its variable or file, where none is to be looked up.
    pub stand_ins: Option<&'a (dyn Fn(&str) -> String + Sync)>,
}

impl<'a> Context<'a> {
    /// Reports to `problems` and looks variables up in the environment of this process.
    #[must_use]
    pub fn new(problems: &'a Problems) -> Self {
        Self { problems, environment: &|name| std::env::var(name).ok(), stand_ins: None }
    }

    /// The same with another environment.
    #[must_use]
    pub fn with_environment(self, environment: &'a (dyn Fn(&str) -> Option<String> + Sync)) -> Self {
        Self { environment, ..self }
    }

    /// The same without looking up any secret: for tests, which are to come to the same on every machine.
    #[must_use]
    pub fn with_stand_ins(self, stand_ins: &'a (dyn Fn(&str) -> String + Sync)) -> Self {
        Self { stand_ins: Some(stand_ins), ..self }
    }
}

/// A file of TOML without syntax errors, not yet taken for anything.
#[derive(Clone, Debug)]
pub struct Document {
    root: Node,
}

impl Document {
    /// Parses `text`, which messages call `name`. `None` when it is not TOML: every syntax error is then in `problems`.
    ///
    /// Secret files are looked for beside `name`.
    pub fn parse(name: &str, text: &str, problems: &Problems) -> Option<Self> {
        let folder = Path::new(name).parent().unwrap_or(Path::new(""));
        Self::parse_in(folder, name, text, problems)
    }

    /// Like [`parse`](Self::parse), for a name that is not a path: secret files are looked for in `folder`.
    pub fn parse_in(folder: &Path, name: &str, text: &str, problems: &Problems) -> Option<Self> {
        let (tree, errors) = DeTable::parse_recoverable(text);
        let file = Arc::new(File::new(name, folder, text));
        problems.register(&file);
        let root = Node::root(&file, tree.into_inner(), problems);
        mask::hide_named_secrets(&root);
        mask::hide_by_text(&file, !errors.is_empty());
        for problem in syntax_errors(&file, &errors) {
            problems.push(problem);
        }
        // What could be saved of a broken file would answer with mistakes its author did not make.
        (errors.is_empty() && !problems.has_errors_in(&file)).then_some(Self { root })
    }

    /// Reads and parses the file at `path`. `None` when it cannot be read, or is not TOML.
    pub fn read(path: &Path, problems: &Problems) -> Option<Self> {
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&path.display().to_string(), &text, problems),
            Err(error) => {
                let message = format!("cannot read `{}`: {error}", path.display());
                problems.push(Problem::error(message));
                None
            }
        }
    }

    /// The file it was parsed from.
    #[must_use]
    pub fn file(&self) -> &Arc<File> {
        self.root.file()
    }

    /// The table the whole document is.
    #[must_use]
    pub fn root(&self) -> &Node {
        &self.root
    }

    /// Decodes the whole document; see [`Node::decode`].
    pub fn decode<T: DeserializeOwned>(&self, context: &Context<'_>) -> Option<T> {
        self.root.decode(context)
    }
}

/// All of them, but for an array that is not closed: the parser takes every line behind it for an element that is wrong.
fn syntax_errors(file: &Arc<File>, errors: &[toml::de::Error]) -> Vec<Problem> {
    let says = |error: &toml::de::Error, what: &str| error.message().starts_with(what);
    let mut told = Vec::new();
    let mut rest = errors;
    while let [first, after @ ..] = rest {
        rest = after;
        let end = after.iter().position(|error| says(error, "unclosed array"));
        let mut problem = syntax_error(file, first);
        if let (true, Some(end)) = (says(first, "missing comma between array elements"), end) {
            rest = &after[end + 1..];
            let span = first.span().unwrap_or_default();
            problem = Problem::error("an array that begins before this is never closed").at(&Place::new(file, span));
            problem = problem.hint("close it with `]`");
        }
        told.push(problem);
    }
    told
}

fn syntax_error(file: &Arc<File>, error: &toml::de::Error) -> Problem {
    let span = error.span().unwrap_or(file.text().len()..file.text().len());
    if error.message().starts_with("unexpected leading zero") {
        return leading_zero(file, span);
    }
    let message = match error.message() {
        "duplicate key" => match file.text().get(span.clone()) {
            Some(key) => format!("duplicate key `{}`", key.trim_matches(['"', '\''])),
            None => "duplicate key".to_owned(),
        },
        message => message.to_owned(),
    };
    Problem::error(message).at(&Place::new(file, span))
}

/// `mode = 0640`: who writes that means a file mode.
fn leading_zero(file: &Arc<File>, span: Range<usize>) -> Problem {
    let rest = file.text().get(span.start..).unwrap_or_default();
    let length = rest.find(|c: char| !(c.is_ascii_alphanumeric() || "+-_.".contains(c))).unwrap_or(rest.len());
    let number = &rest[..length];
    let problem = Problem::error("a number does not begin with `0`");
    let problem = problem.at(&Place::new(file, span.start..span.start + length.max(1)));
    problem.hint(format!("put it in quotes where the zero counts, as in a file mode: `\"{number}\"`"))
}
