//! What an `[[example]]` must be: one that can be run, and told from the others.

use std::collections::BTreeSet;

use reqwest::StatusCode;
use reqwest::header::{HeaderName, HeaderValue};
use serde_json::{Map, Value as Json};

use super::Checker;
use crate::connector::model::Example;
use crate::document::{Spanned, did_you_mean};

impl Checker<'_> {
    pub(super) fn examples(&self) {
        let mut names = BTreeSet::new();
        for example in &self.definition.example {
            if !names.insert(&example.name.value) {
                let message = format!("two examples are called `{}`", example.name);
                self.error(&example.name.place, message, "a name says what an example shows that the others do not");
            }
            self.example(example);
        }
    }

    fn example(&self, example: &Example) {
        if let Some(read) = example.read.as_ref().filter(|read| !self.definition.read.contains_key(read.as_str())) {
            let names: Vec<&str> = self.definition.read.keys().map(|name| name.value.as_str()).collect();
            let hint = match did_you_mean(read, names.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("there are: {}", names.join(", ")),
            };
            self.error(&read.place, format!("there is no `[read.{read}]`"), &hint);
        }
        if let (Some(_), Some(error)) = (&example.events, &example.error) {
            let hint = "an answer becomes events, or an error: leave one out";
            self.error(&error.place, "`error` beside `events`".to_owned(), hint);
        }
        for event in example.events.iter().flat_map(|events| &events.value) {
            self.event(event);
        }
        self.head(example);
    }

    fn event(&self, event: &Spanned<String>) {
        let message = match serde_json::from_str::<Map<String, Json>>(event) {
            Ok(_) => return,
            Err(error) => format!("this is not a JSON object: {error}"),
        };
        self.error(&event.place, message, "`auditline test --bless FILE` writes the events that it finds");
    }

    fn head(&self, example: &Example) {
        if let Some(status) = example.status.as_ref().filter(|status| StatusCode::from_u16(status.value).is_err()) {
            self.error(&status.place, format!("`{status}` is not an HTTP status"), "for example 403");
        }
        for (name, value) in &example.headers {
            if HeaderName::try_from(name.as_str()).is_err() {
                self.error(&name.place, format!("`{name}` is not the name of a header"), "for example \"retry-after\"");
            }
            if HeaderValue::try_from(value.as_str()).is_err() {
                let message = format!("`{name}` has a value that no header can have");
                self.error(&value.place, message, "a header is one line");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::connector::{Connector, source};
    use crate::document::{Context, Problems};

    /// What is said of the Telnyx connector with these examples: the message, what it points at, and the hint.
    fn said(examples: &str) -> Vec<[String; 3]> {
        let text = source("telnyx").unwrap();
        let (definition, _) = text.split_once("[[example]]").unwrap_or((text, ""));
        let text = format!("{definition}{examples}");
        let problems = Problems::new();
        Connector::parse("telnyx", "telnyx.toml", &text, &Context::new(&problems));
        let told = problems.sorted();
        let told = told.iter().map(|problem| {
            let span = problem.place().and_then(|place| place.span()).cloned().unwrap_or_default();
            [problem.message(), text[span].to_owned(), problem.advice().unwrap_or_default()]
        });
        told.collect()
    }

    #[test]
    fn an_example_that_can_be_run_is_accepted() {
        let examples = r#"
[[example]]
name = "nothing"
answer = '{"data":[]}'
events = []
[[example]]
name = "not now"
read = "pages"
status = 429
headers = { retry-after = "3" }
answer = ''
error = "Telnyx answered HTTP 429"
"#;
        assert_eq!(said(examples), [[""; 3]; 0]);
    }

    #[test]
    fn every_mistake_is_told_at_its_place() {
        let examples = r#"
[[example]]
name = "twice"
read = "page"
status = 1000
headers = { "a b" = "c" }
answer = '{"data":[]}'
events = ['{"a":']
[[example]]
name = "twice"
answer = ''
events = []
error = "x"
"#;
        let expected = [
            ["there is no `[read.page]`", "\"page\"", "did you mean `pages`?"],
            ["`1000` is not an HTTP status", "1000", "for example 403"],
            ["`a b` is not the name of a header", "\"a b\"", "for example \"retry-after\""],
            [
                "this is not a JSON object: EOF while parsing a value at line 1 column 5",
                "'{\"a\":'",
                "`auditline test --bless FILE` writes the events that it finds",
            ],
            [
                "two examples are called `twice`",
                "\"twice\"",
                "a name says what an example shows that the others do not",
            ],
            ["`error` beside `events`", "\"x\"", "an answer becomes events, or an error: leave one out"],
        ];
        assert_eq!(said(examples), expected);
    }
}
