//! Writes what an example was found to become into its file, and leaves the rest of the file as it is.

use super::rewrite::{Change, events_line, rewritten, text_line};
use super::subject::Subject;
use crate::connector::model::Example;
use crate::document::{Context, Problems};
use crate::source::example::{Outcome, run};

/// Why a file was left as it was.
#[derive(Debug, thiserror::Error)]
pub enum BlessError {
    /// The example is not written in a way that can be changed in place.
    #[error("`{name}` in `{file}` cannot be changed in place: write it as an `[[example]]` with one key a line")]
    Form {
        /// The file.
        file: String,
        /// The example.
        name: String,
    },
    /// The file cannot be written.
    #[error("cannot write `{file}`: {source}")]
    Write {
        /// The file.
        file: String,
        /// Why.
        source: std::io::Error,
    },
}

/// Whether an example can say that this becomes of it: it has no words for dead letters.
pub fn can_say(found: &Outcome) -> bool {
    !matches!(found, Outcome::Records { dead_letters, .. } if !dead_letters.is_empty())
}

/// Writes into the subject's file what its examples were found to become. Wholly or not at all.
///
/// # Errors
/// When the file is not what it would have to be for that, or cannot be written.
pub fn write(subject: &Subject, found: &[(&Example, Outcome)]) -> Result<(), BlessError> {
    let path = subject.path.as_ref().expect("only what stands in a file is blessed");
    let file = path.display().to_string();
    let form = |name: &str| BlessError::Form { file: file.clone(), name: name.to_owned() };
    let text = blessed(&subject.text, found).map_err(|name| form(&name))?;
    // What came of it must say what was found, or it is better left alone.
    let problems = Problems::new();
    let after = Subject::of_text(path, text, &Context::new(&problems));
    let says = |subject: &Subject, example: &Example, outcome: &Outcome| {
        let after = subject.connector.definition.example.iter().find(|after| after.name == example.name);
        after.is_some_and(|after| expected(after) == *outcome && run(&subject.connector, after) == *outcome)
    };
    let wrong =
        found.iter().find(|(example, outcome)| !after.as_ref().is_some_and(|after| says(after, example, outcome)));
    match (after, wrong) {
        (Some(after), None) => {
            std::fs::write(path, after.text).map_err(|source| BlessError::Write { file: file.clone(), source })
        }
        (_, wrong) => Err(form(wrong.map_or("an example", |(example, _)| example.name.as_str()))),
    }
}

fn expected(example: &Example) -> Outcome {
    match (&example.events, &example.error) {
        (Some(events), _) => {
            let events = events.value.iter().map(|event| serde_json::from_str(event).unwrap_or_default());
            Outcome::Records { events: events.collect(), dead_letters: Vec::new() }
        }
        (None, error) => Outcome::Error(error.as_ref().map(|error| error.value.clone()).unwrap_or_default()),
    }
}

/// The text with what was found in place of what was expected; the name of an example that is in the way of that.
fn blessed(text: &str, found: &[(&Example, Outcome)]) -> Result<String, String> {
    let changes = found.iter().map(|(example, outcome)| {
        let events = example.events.as_ref().map(|events| &events.place);
        let before = events.or(example.error.as_ref().map(|error| &error.place));
        let lines = match outcome {
            Outcome::Records { events, .. } => events_line(events),
            Outcome::Error(sentence) => text_line("error", sentence),
        };
        Change { name: &example.name, before: before.into_iter().collect(), record: &example.answer.place, lines }
    });
    rewritten(text, &["events", "error"], changes.collect())
}

#[cfg(test)]
mod tests;
