//! The examples of a pipeline: records go through all its transforms, and what becomes of them is compared.

use std::collections::{BTreeSet, HashSet};

use chrono::{DateTime, Utc};
use serde_json::Value as Json;

use super::bless::BlessError;
use super::difference::{Difference, differences};
use super::rewrite::{Change, events_line, rewritten, text_line};
use super::{Tally, say};
use crate::config::{Example, PipelineTest};
use crate::connector::Catalogue;
use crate::document::{Context, Place, Problems};
use crate::engine::{Refined, refine};
use crate::event::{Arena, json};
use crate::journal::{DEDUPE, New};
use crate::source::Raw;
use crate::source::decode::record as decode;

/// The time of a record that has none: in an example there is no window that ends.
const NO_TIME: DateTime<Utc> = DateTime::UNIX_EPOCH;
/// The keys that say what is expected.
const EXPECTATIONS: [&str; 4] = ["events", "to", "dropped", "dead_letter"];

/// What became of an example's records.
#[derive(Debug, Default, PartialEq)]
struct Outcome {
    events: Vec<Json>,
    /// The sinks the events go to, each choice of sinks once and in the order of the alphabet.
    to: BTreeSet<Vec<String>>,
    /// Why records were left out, each reason once.
    dropped: Vec<String>,
    /// Why records became dead letters, each reason once.
    dead_letters: Vec<String>,
}

/// Runs the examples of a pipeline and says what became of each. With `bless`, what is found is written into the file.
/// `false` when it could not be.
pub fn run(test: &PipelineTest, catalogue: &Catalogue, bless: bool, tally: &mut Tally) -> bool {
    let mut different = Vec::new();
    for example in &test.examples {
        let told = |what: &str| say(&format!("pipeline {}: {} ... {what}", test.name, example.name));
        let found = take(test, example);
        let wrong = wrong(example, &found);
        if wrong.is_empty() {
            tally.passed += 1;
            told("ok");
        } else if bless && found.can_be_said(example) {
            tally.written += 1;
            told("written");
            different.push((&example.value, found));
        } else {
            tally.failed += 1;
            told("FAILED");
            wrong.iter().for_each(|line| say(&format!("    {line}")));
        }
    }
    match if different.is_empty() { Ok(()) } else { write(test, catalogue, &different) } {
        Ok(()) => true,
        Err(error) => {
            eprintln!("error: {error}");
            false
        }
    }
}

fn take(test: &PipelineTest, example: &Example) -> Outcome {
    let mut outcome = Outcome::default();
    // What the journal remembers otherwise; in it are the records of before, too.
    let (mut keys, mut twins) = (HashSet::new(), HashSet::new());
    let add = |reasons: &mut Vec<String>, reason: String| {
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    };
    // What is no JSON was told when the pipeline was read.
    for text in example.records().unwrap_or_default() {
        let arena = Arena::new();
        let record = match json::decode(text.as_bytes(), &arena) {
            Ok(record) => decode(record, &test.connector.definition.decode, NO_TIME, &arena),
            Err(error) => Raw::Unreadable { text, reason: arena.alloc_str(&error.to_string()) },
        };
        match refine(record, &test.transforms, &arena).0 {
            // A vendor that hands out a record twice makes no second event of it.
            Refined::Record(New { key, .. }) if keys.contains(&key) => {}
            Refined::Record(New { twin: Some(twin), .. }) if !twins.insert(twin) => {
                add(&mut outcome.dropped, DEDUPE.to_owned());
            }
            Refined::Record(New { key, record, to, .. }) => {
                keys.insert(key);
                let mut to = to.map_or_else(|| test.sinks.clone(), |to| to.iter().map(ToString::to_string).collect());
                to.sort_unstable();
                outcome.to.insert(to);
                let event = serde_json::from_slice(&record.json);
                // A number that no JSON library of ours can hold is compared as it is written.
                let text = || Json::String(String::from_utf8_lossy(&record.json).into_owned());
                outcome.events.push(event.unwrap_or_else(|_| text()));
            }
            Refined::Dead(letter) => add(&mut outcome.dead_letters, letter.reason),
            Refined::Dropped(dropped) => add(&mut outcome.dropped, dropped.reason.to_string()),
        }
    }
    outcome
}

impl Outcome {
    /// Whether `example` has words for it: one reason of each kind, and one choice of sinks if it names them.
    fn can_be_said(&self, example: &Example) -> bool {
        let sinks = if example.to.is_some() { self.to.len() } else { 0 };
        self.dropped.len() <= 1 && self.dead_letters.len() <= 1 && sinks <= 1
    }

    /// As an example says it. The sinks are said where it said them before.
    fn lines(&self, example: &Example) -> String {
        let reasons = [("dropped", &self.dropped), ("dead_letter", &self.dead_letters)];
        let reasons =
            reasons.into_iter().flat_map(|(key, reasons)| reasons.iter().map(move |text| text_line(key, text)));
        let reasons: Vec<String> = reasons.collect();
        let events = (!self.events.is_empty() || reasons.is_empty()).then(|| events_line(&self.events));
        let sinks = self.to.first().filter(|_| example.to.is_some()).map(|to| format!("to = {to:?}"));
        events.into_iter().chain(sinks).chain(reasons).collect::<Vec<_>>().join("\n")
    }
}

/// What is not as the example says, a line each.
fn wrong(example: &Example, found: &Outcome) -> Vec<String> {
    let Example { events, to, dropped, dead_letter, .. } = example;
    let mut lines = Vec::new();
    if events.is_none() && dropped.is_none() && dead_letter.is_none() {
        lines.push("it does not say what becomes of its records: `--bless` writes what is found".to_owned());
    }
    let expected = events.iter().flat_map(|events| &events.value);
    let expected: Vec<Json> = expected.map(|event| serde_json::from_str(event).unwrap_or_default()).collect();
    let differ = differences("events", &Json::Array(expected), &Json::Array(found.events.clone()));
    lines.extend(differ.iter().map(Difference::to_string));
    if let Some(to) = to {
        let expected: BTreeSet<&String> = to.value.iter().map(|name| &name.value).collect();
        let expected: Vec<String> = expected.into_iter().cloned().collect();
        if found.to.is_empty() {
            lines.push(format!("to: expected {expected:?}, but nothing goes on"));
        }
        lines.extend(
            found.to.iter().filter(|to| **to != expected).map(|to| format!("to: expected {expected:?}, found {to:?}")),
        );
    }
    let reasons = [("dropped", dropped, &found.dropped), ("dead_letter", dead_letter, &found.dead_letters)];
    for (key, expected, found) in reasons {
        let expected = expected.as_ref().map(|expected| expected.value.as_str());
        let unexpected = found.iter().filter(|reason| Some(reason.as_str()) != expected);
        let mut found_here: Vec<Option<&String>> = unexpected.map(Some).collect();
        if found.is_empty() && expected.is_some() {
            found_here.push(None);
        }
        lines.extend(found_here.into_iter().map(|reason| {
            let text = |text: Option<&str>| text.map_or_else(|| "nothing".to_owned(), |text| format!("{text:?}"));
            format!("{key}: expected {}, found {}", text(expected), text(reason.map(String::as_str)))
        }));
    }
    lines
}

/// Writes into the pipeline's file what its examples were found to become. Wholly or not at all.
fn write(test: &PipelineTest, catalogue: &Catalogue, found: &[(&Example, Outcome)]) -> Result<(), BlessError> {
    let file = test.path.display().to_string();
    let form = |name: &str| BlessError::Form { file: file.clone(), name: name.to_owned() };
    let changes = found.iter().map(|(example, outcome)| Change {
        name: &example.name,
        before: expectations(example),
        record: &example.record.place,
        lines: outcome.lines(example),
    });
    let text = rewritten(&test.text, &EXPECTATIONS, changes.collect()).map_err(|name| form(&name))?;
    // What came of it must say what was found, or it is better left alone.
    let problems = Problems::new();
    let after = PipelineTest::of_text(&test.path, &text, catalogue, &Context::new(&problems));
    let says = |(example, outcome): &&(&Example, Outcome)| {
        let after = after.iter().flat_map(|test| &test.examples).find(|after| after.name == example.name);
        after.is_some_and(|after| wrong(after, outcome).is_empty())
    };
    if let Some((example, _)) = found.iter().find(|found| !says(found)) {
        return Err(form(&example.name));
    }
    std::fs::write(&test.path, text).map_err(|source| BlessError::Write { file: file.clone(), source })
}

fn expectations(example: &Example) -> Vec<&Place> {
    let events = example.events.as_ref().map(|events| &events.place);
    let to = example.to.as_ref().map(|to| &to.place);
    let reasons = [&example.dropped, &example.dead_letter].map(|reason| reason.as_ref().map(|reason| &reason.place));
    events.into_iter().chain(to).chain(reasons.into_iter().flatten()).collect()
}
