//! What the service's answers mean, where it is not what HTTP says they mean.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::BuildError;
use crate::http_client::{Answer, Hints, Verdict};

/// `answers = { … }`: exceptions from the meaning of statuses, and what a body has to say.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Answers {
    /// The statuses that mean that all records were taken; every 2xx unless set.
    pub taken: Option<Vec<u16>>,
    /// Further statuses that may pass.
    pub retry: Vec<u16>,
    /// Further statuses that say, like 400, that the records are at fault: `on_400` holds for them too.
    pub malformed: Vec<u16>,
    /// JSON pointers into the answer's body, and what must stand there: `{ "/status" = "ok" }`.
    pub expect: BTreeMap<String, Value>,
    /// A JSON pointer to what tells of a failure: there must be nothing, `false`, `0`, or something empty.
    pub failed_at: Option<String>,
}

impl Answers {
    pub(super) fn validate(&self) -> Result<(), BuildError> {
        for pointer in self
            .expect
            .keys()
            .map(|key| ("answers.expect", key))
            .chain(self.failed_at.iter().map(|pointer| ("answers.failed_at", pointer)))
        {
            if !pointer.1.starts_with('/') && !pointer.1.is_empty() {
                return Err(BuildError::new(
                    pointer.0,
                    format!("`{}` is not a JSON pointer", pointer.1),
                    "begin with a slash: `/result/status` is the `status` within `result`",
                ));
            }
        }
        let statuses = self.taken.iter().flatten().map(|status| ("answers.taken", status));
        let statuses = statuses.chain(self.retry.iter().map(|status| ("answers.retry", status)));
        let mut statuses = statuses.chain(self.malformed.iter().map(|status| ("answers.malformed", status)));
        match statuses.find(|(_, status)| !(200..=599).contains(*status)) {
            Some((key, status)) => Err(BuildError::new(
                key,
                format!("`{status}` is not the status of an answer"),
                "give numbers from 200 to 599",
            )),
            None => Ok(()),
        }
    }

    pub(super) fn judge(&self, answer: &Answer, hints: &Hints) -> Verdict {
        let status = answer.status.as_u16();
        if self.retry.contains(&status) {
            return Verdict::Failed(answer.retryable());
        }
        if self.malformed.contains(&status) {
            return Verdict::Malformed;
        }
        match &self.taken {
            Some(taken) if taken.contains(&status) => self.judge_body(answer),
            Some(_) if answer.status.is_success() => Verdict::Failed(
                answer.refused("by `answers.taken` this is not how the service says that it has taken the records"),
            ),
            _ => match answer.judge(hints) {
                Verdict::Taken => self.judge_body(answer),
                other => other,
            },
        }
    }

    /// Nothing is known of single records, so a failure that the body tells is one of all of them, and may pass.
    fn judge_body(&self, answer: &Answer) -> Verdict {
        if self.expect.is_empty() && self.failed_at.is_none() {
            // A guest network's sign-in, or a proxy's error: no service of ours speaks in pages unless it is said to.
            return match self.taken.is_none() && is_page(&answer.body) {
                true => Verdict::Failed(answer.refused(
                    "something between here and the service has answered with a web page; if it is the service itself, list \
                     its status in `answers.taken`",
                )),
                false => Verdict::Taken,
            };
        }
        let body = match answer.json() {
            Some(body) => body,
            None if answer.body.is_empty() => Value::Null,
            // A page, or more than is read of an answer: it says something, and nobody knows what.
            None => return Verdict::Failed(answer.retryable()),
        };
        let is_expected = |(pointer, value): (&String, &Value)| body.pointer(pointer) == Some(value);
        let failed = self.failed_at.as_ref().and_then(|pointer| body.pointer(pointer)).is_some_and(says_something);
        match !failed && self.expect.iter().all(is_expected) {
            true => Verdict::Taken,
            false => Verdict::Failed(answer.retryable()),
        }
    }
}

/// By its beginning: many receivers call a plain `ok` HTML.
fn is_page(body: &[u8]) -> bool {
    let start = body.trim_ascii_start();
    ["<!doctype html", "<html"]
        .iter()
        .any(|tag| start.get(..tag.len()).is_some_and(|start| start.eq_ignore_ascii_case(tag.as_bytes())))
}

fn says_something(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(yes) => *yes,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(entries) => !entries.is_empty(),
    }
}
