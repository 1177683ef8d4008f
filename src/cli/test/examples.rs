//! The examples of a connector, one line each, and what differs.

use serde_json::Value as Json;

use super::difference::{Difference, differences};
use super::subject::Subject;
use super::{Tally, bless, say};
use crate::connector::model::Example;
use crate::source::example::{Outcome, run as take};

/// Runs the examples of a connector and says what became of each. With `bless`, what is found is written into the file.
/// `false` when it could not be.
pub fn run(subject: &Subject, bless: bool, tally: &mut Tally) -> bool {
    let name = &subject.connector.name;
    let examples = &subject.connector.definition.example;
    if examples.is_empty() {
        say(&format!("{name}: no examples"));
    }
    let mut different = Vec::new();
    for example in examples {
        let found = take(&subject.connector, example);
        let wrong = wrong(example, &found);
        if wrong.is_empty() {
            tally.passed += 1;
            say(&format!("{name}: {} ... ok", example.name));
        } else if bless && bless::can_say(&found) {
            tally.written += 1;
            say(&format!("{name}: {} ... written", example.name));
            different.push((&example.value, found));
        } else {
            tally.failed += 1;
            say(&format!("{name}: {} ... FAILED", example.name));
            wrong.iter().for_each(|line| say(&format!("    {line}")));
        }
    }
    if different.is_empty() {
        return true;
    }
    match bless::write(subject, &different) {
        Ok(()) => true,
        Err(error) => {
            eprintln!("error: {error}");
            false
        }
    }
}

/// What is not as the example says, a line each.
fn wrong(example: &Example, found: &Outcome) -> Vec<String> {
    let expected = example.events.as_ref().map(|events| events.value.as_slice());
    match (expected, &example.error, found) {
        (None, None, found) => {
            let hint = "it expects neither events nor an error: `--bless` writes what is found".to_owned();
            vec![hint, format!("found     {}", said(found))]
        }
        (None, Some(expected), Outcome::Error(found)) if expected.value == *found => Vec::new(),
        (None, Some(expected), found) => {
            vec![format!("expected  {}", expected.value), format!("found     {}", said(found))]
        }
        (Some(_), _, Outcome::Error(found)) => vec!["expected  events".to_owned(), format!("found     {found}")],
        (Some(expected), _, Outcome::Records { events, dead_letters }) => {
            let dead = dead_letters.iter().map(|reason| format!("a record becomes a dead letter: {reason}"));
            let expected: Vec<Json> =
                expected.iter().map(|event| serde_json::from_str(event).unwrap_or_default()).collect();
            let differ = differences("events", &Json::Array(expected), &Json::Array(events.clone()));
            dead.chain(differ.iter().map(Difference::to_string)).collect()
        }
    }
}

fn said(found: &Outcome) -> String {
    match found {
        Outcome::Error(sentence) => sentence.clone(),
        Outcome::Records { events, dead_letters } => {
            let some = |count: usize, one: &str| match count {
                0 => None,
                1 => Some(format!("1 {one}")),
                _ => Some(format!("{count} {one}s")),
            };
            let parts = [some(events.len(), "event"), some(dead_letters.len(), "dead letter")];
            let parts: Vec<String> = parts.into_iter().flatten().collect();
            if parts.is_empty() { "no events".to_owned() } else { parts.join(" and ") }
        }
    }
}
