//! Writes what an example was found to become into its file, and leaves the rest of the file as it is.

use std::ops::Range;

use serde_json::Value as Json;

use super::subject::Subject;
use crate::connector::model::Example;
use crate::document::{Context, Place, Problems};
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
    let mut changes: Vec<(Range<usize>, String)> = Vec::new();
    for (example, outcome) in found {
        let line = match outcome {
            Outcome::Records { events, .. } => format!("events = {}", array(events)),
            Outcome::Error(sentence) => format!("error = {}", quoted(sentence)),
        };
        let before = example.events.as_ref().map(|events| &events.place);
        let before = before.or(example.error.as_ref().map(|error| &error.place));
        let change = match before {
            Some(place) => whole_key(text, place).map(|span| (span, line)),
            None => example.answer.place.span().map(|span| (span.end..span.end, format!("\n{line}"))),
        };
        changes.push(change.ok_or_else(|| example.name.value.clone())?);
    }
    changes.sort_by_key(|(span, _)| span.start);
    let mut text = text.to_owned();
    for (span, line) in changes.into_iter().rev() {
        text.replace_range(span, &line);
    }
    Ok(text)
}

/// From the beginning of a key to the end of its value, where the key begins its line.
fn whole_key(text: &str, value: &Place) -> Option<Range<usize>> {
    let value = value.span()?;
    let line = text[..value.start].rfind('\n').map_or(0, |at| at + 1);
    let key = text[line..value.start].trim();
    let key = key.strip_suffix('=')?.trim_end();
    ["events", "error"].contains(&key).then_some(line..value.end)
}

fn array(events: &[Json]) -> String {
    if events.is_empty() {
        return "[]".to_owned();
    }
    let lines: String = events.iter().map(|event| format!("  {},\n", literal(&event.to_string()))).collect();
    format!("[\n{lines}]")
}

/// JSON between three quotes, where TOML takes everything as it is.
fn literal(json: &str) -> String {
    // Only texts in the JSON can hold these, and there they may be written like this.
    let json = json.replace('\u{7f}', "\\u007f");
    let json = if json.contains("'''") { json.replace('\'', "\\u0027") } else { json };
    format!("'''{json}'''")
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

#[cfg(test)]
mod tests;
