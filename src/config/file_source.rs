//! `[source.file]`: which files are read, and whose records they hold.

use std::io;
use std::path::Path;
use std::time::Duration;

use super::plan::{SourcePlan, Sweep};
use super::raw;
use super::source::{self, ResolvedSource};
use crate::connector::Catalogue;
use crate::document::{Context, Node, Problem, Spanned};
use crate::event::Clock;
use crate::source::file::{FilePattern, FileSettings};

/// How long the source waits for more when nobody says.
const POLL: Duration = Duration::from_secs(5);

/// Resolves `[source.file]`. `None` when something in it is wrong.
pub fn resolve(node: &Node, catalogue: &Catalogue, context: &Context<'_>) -> Option<ResolvedSource> {
    let raw: raw::FileSource = node.decode(context)?;
    // All of them are looked at before the first that is wrong counts.
    let connector = source::connector(&raw.connector, &[], catalogue, context);
    let follow = raw.follow.unwrap_or(true);
    let pattern = pattern(&raw.path, node.file().folder(), follow, context);
    let poll = raw.poll.as_ref().map_or(POLL, |poll| poll.value.0);
    if let Some(poll) = raw.poll.filter(|poll| poll.value.0 < source::SHORTEST_POLL) {
        context.problems.error_at(&poll.place, source::POLLS_TOO_OFTEN);
        return None;
    }
    let settings = FileSettings { connector: connector?, pattern: pattern?, follow, clock: Clock::system() };
    Some(ResolvedSource { settings: SourcePlan::Files(settings), poll, sweep: Sweep::default() })
}

fn pattern(path: &Spanned<String>, folder: &Path, follow: bool, context: &Context<'_>) -> Option<FilePattern> {
    let fail = |message: String, hint: String| {
        context.problems.push(Problem::error(message).at(&path.place).hint(hint));
        None
    };
    let pattern = match FilePattern::new(folder, path) {
        Ok(pattern) => pattern,
        Err(error) => {
            let hint = "`*` and `?` stand for characters of a name, `**` for folders, `[[]` for a bracket";
            return fail(error.to_string(), hint.to_owned());
        }
    };
    if pattern.path().is_some_and(Path::is_dir) {
        let inner = path.trim_end_matches('/');
        return fail(format!("`{path}` is a folder"), format!("name the files in it: `{inner}/*`, or `{inner}/**/*`"));
    }
    match pattern.has_files() {
        Ok(true) => Some(pattern),
        Ok(false) if follow => {
            let problem = Problem::warning(format!("no file matches `{path}`")).at(&path.place);
            context.problems.push(problem.hint(format!("{}; files are read as they come", where_looked(&pattern))));
            Some(pattern)
        }
        Ok(false) => fail(format!("no file matches `{path}`"), where_looked(&pattern)),
        Err((path, error)) => {
            let hint = match error.kind() {
                io::ErrorKind::PermissionDenied => "let the user that auditline runs as read it",
                _ => "every file that matches is read: change `path`, or what lies there",
            };
            fail(format!("cannot read `{}`: {error}", path.display()), hint.to_owned())
        }
    }
}

fn where_looked(pattern: &FilePattern) -> String {
    match pattern.folder() {
        Some(folder) if !folder.is_dir() => format!("there is no folder `{}`", folder.display()),
        _ => format!("looked for `{pattern}`"),
    }
}
