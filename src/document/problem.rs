//! What is wrong, where, and what to do about it.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::file::{File, Place};
use super::render;

/// Whether a problem stops us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Nothing can be run before it is put right.
    Error,
    /// It works, and should be changed.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// One mistake. `Display` shows it whole, with the line it stands in, and no secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Problem {
    severity: Severity,
    message: String,
    place: Option<Place>,
    hint: Option<String>,
}

impl Problem {
    /// A mistake that stops us. The message is lower case, with names in backticks and no full stop.
    pub fn error(message: impl Into<String>) -> Self {
        Self::new(Severity::Error, message.into())
    }

    /// A mistake that does not.
    pub fn warning(message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, message.into())
    }

    fn new(severity: Severity, message: String) -> Self {
        Self { severity, message, place: None, hint: None }
    }

    /// Where it stands.
    #[must_use]
    pub fn at(mut self, place: &Place) -> Self {
        self.place = Some(place.clone());
        self
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Whether it stops us.
    #[must_use]
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// What is wrong, with `***` for a secret of the line it is about.
    #[must_use]
    pub fn message(&self) -> String {
        render::without_secrets(&self.message, self.place.as_ref())
    }

    /// Where it stands.
    #[must_use]
    pub fn place(&self) -> Option<&Place> {
        self.place.as_ref()
    }

    /// What to do about it, with `***` for a secret as in the message.
    #[must_use]
    pub fn advice(&self) -> Option<String> {
        let hint = self.hint.as_ref()?;
        Some(render::without_secrets(hint, self.place.as_ref()))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        render::problem(self, f)
    }
}

impl fmt::Debug for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        render::problem(self, f)
    }
}

/// Everything found wrong so far. `Display` shows all of it: files in the order they were loaded, each from its top,
/// with a blank line between two problems and a line break at the end.
#[derive(Debug, Default)]
pub struct Problems(Mutex<Found>);

#[derive(Debug, Default)]
struct Found {
    files: Vec<Arc<File>>,
    problems: Vec<Problem>,
}

impl Problems {
    /// Nothing wrong yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a problem, unless it is there already.
    pub fn push(&self, problem: Problem) {
        if let Some(place) = &problem.place {
            self.register(place.file());
        }
        let mut found = self.found();
        if !found.problems.contains(&problem) {
            found.problems.push(problem);
        }
    }

    /// Adds an error at `place`.
    pub fn error_at(&self, place: &Place, message: impl Into<String>) {
        self.push(Problem::error(message).at(place));
    }

    /// Adds a warning at `place`.
    pub fn warning_at(&self, place: &Place, message: impl Into<String>) {
        self.push(Problem::warning(message).at(place));
    }

    /// Whether anything stops us.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.count(Severity::Error) > 0
    }

    /// Whether there is nothing to show, not even a warning.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.found().problems.is_empty()
    }

    /// How many there are of one severity.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        let found = self.found();
        let same = found.problems.iter().filter(|p| p.severity == severity);
        same.count()
    }

    /// A last line such as `2 errors, 1 warning`. Empty when there are no problems.
    #[must_use]
    pub fn summary(&self) -> String {
        let counts = [Severity::Error, Severity::Warning].map(|s| (self.count(s), s));
        let some = counts.iter().filter(|(count, _)| *count > 0);
        let words = some.map(|(count, severity)| {
            let plural = if *count == 1 { "" } else { "s" };
            format!("{count} {severity}{plural}")
        });
        words.collect::<Vec<_>>().join(", ")
    }

    /// All of them in the order they are shown in; those without a place come last.
    #[must_use]
    pub fn sorted(&self) -> Vec<Problem> {
        let found = self.found();
        let mut problems = found.problems.clone();
        problems.sort_by_key(|problem| match &problem.place {
            None => (usize::MAX, 0),
            Some(place) => {
                let order = found.files.iter().position(|file| Arc::ptr_eq(file, place.file()));
                (order.unwrap_or(usize::MAX), place.span().map_or(0, |span| span.start))
            }
        });
        problems
    }

    pub(super) fn register(&self, file: &Arc<File>) {
        let mut found = self.found();
        if !found.files.iter().any(|known| Arc::ptr_eq(known, file)) {
            found.files.push(file.clone());
        }
    }

    pub(super) fn has_errors_in(&self, file: &Arc<File>) -> bool {
        let found = self.found();
        let is_error_here = |problem: &Problem| {
            let place = problem.place.as_ref();
            problem.severity == Severity::Error && place.is_some_and(|p| Arc::ptr_eq(p.file(), file))
        };
        found.problems.iter().any(is_error_here)
    }

    /// Held for a few lines, never across an await.
    fn found(&self) -> MutexGuard<'_, Found> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.sorted().iter().enumerate() {
            let blank = if index == 0 { "" } else { "\n" };
            write!(f, "{blank}{problem}")?;
        }
        Ok(())
    }
}
