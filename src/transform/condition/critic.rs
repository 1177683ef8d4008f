//! Where mistakes of what was written go, and what to say of them.

use crate::document::{Node, Place, Problem, Problems, did_you_mean};

/// Where mistakes go, unless somebody else has reported them already.
#[derive(Clone, Copy)]
pub struct Critic<'p> {
    /// All there are.
    pub problems: &'p Problems,
    /// Whether to keep silent.
    pub silent: bool,
}

impl Critic<'_> {
    /// Reports a mistake.
    pub fn error(&self, place: &Place, message: impl Into<String>, hint: Option<String>) {
        if self.silent {
            return;
        }
        let problem = Problem::error(message).at(place);
        self.problems.push(match hint {
            Some(hint) => problem.hint(hint),
            None => problem,
        });
    }

    /// Tells of what is hardly meant.
    pub fn warn(&self, place: &Place, message: impl Into<String>, hint: String) {
        if !self.silent {
            self.problems.push(Problem::warning(message).at(place).hint(hint));
        }
    }

    /// Reports the keys of `table` that are not in `known`, and a table that is none. Says whether all is well.
    pub fn keys(&self, table: &Node, known: &[&str]) -> bool {
        let Some(entries) = table.as_table() else {
            self.error(&table.place(), format!("expected a table, found {}", table.kind()), None);
            return false;
        };
        let mut unknown = entries.filter(|(name, _)| !known.contains(&name.as_str())).peekable();
        let is_well = unknown.peek().is_none();
        for (name, _) in unknown {
            // What OCSF calls `activity_id` is said by `activity`.
            let hint = match name.strip_suffix("_id").filter(|stem| known.contains(stem)) {
                Some(stem) => format!("did you mean `{stem}`?"),
                None => suggest(name, known, "keys"),
            };
            self.error(&name.place, format!("unknown key `{}`", name.value), Some(hint));
        }
        is_well
    }
}

/// A hint that names what would have been right.
#[must_use]
pub fn suggest(word: &str, known: &[&str], noun: &str) -> String {
    match did_you_mean(word, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => {
            format!("known {noun}: {}", known.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "))
        }
    }
}
