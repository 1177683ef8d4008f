//! A program: from its text to what runs, with the mistakes in between.

use std::ops::Range;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use vrl::compiler::runtime::{Runtime, Terminate};
use vrl::compiler::state::ExternalEnv;
use vrl::compiler::{CompileConfig, ExpressionError, TargetValue, TimeZone, compile_with_external};
use vrl::diagnostic::{Diagnostic, DiagnosticList, Note};
use vrl::path::OwnedTargetPath;
use vrl::value::kind::Collection;
use vrl::value::{Kind, Secrets, Value};

use super::{Stop, functions};

/// The code that VRL gives to a call of a function that is not there.
const UNDEFINED_FUNCTION: usize = 105;

/// A program that was compiled, and its text.
#[derive(Debug)]
pub struct Program {
    compiled: vrl::compiler::Program,
    source: String,
    /// The machine's own would make another event of the same record elsewhere.
    zone: TimeZone,
}

/// What is wrong with the text of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Whether it cannot be run because of it.
    pub is_error: bool,
    /// For a person.
    pub message: String,
    /// The bytes of the text that are meant.
    pub span: Range<usize>,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Program {
    /// The program that is written in `source`, and what is doubtful in it.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn compile(source: &str) -> Result<(Self, Vec<Mistake>), Vec<Mistake>> {
        let mut config = CompileConfig::default();
        config.set_read_only_path(OwnedTargetPath::metadata_root(), true);
        let metadata = [("id".into(), Kind::bytes()), ("time".into(), Kind::timestamp())];
        let metadata = Kind::object(Collection::from(std::collections::BTreeMap::from(metadata)));
        let environment = ExternalEnv::new_with_kind(Kind::object(Collection::any()), metadata);
        let mistakes = |list: DiagnosticList| list.iter().map(|told| mistake(told, source)).collect();
        match compile_with_external(source, &functions::allowed(), &environment, config) {
            Ok(done) => {
                let zone = TimeZone::parse("UTC").expect("a time zone that there is");
                Ok((Self { compiled: done.program, source: source.to_owned(), zone }, mistakes(done.warnings)))
            }
            Err(list) => Err(mistakes(list)),
        }
    }

    /// What the program leaves of an event.
    pub(super) fn run(&self, body: Value, id: &str, time: DateTime<Utc>) -> Result<Value, Stop> {
        let metadata = [("id".into(), Value::from(id)), ("time".into(), Value::from(time))];
        let metadata = Value::Object(metadata.into());
        let mut target = TargetValue { value: body, metadata, secrets: Secrets::default() };
        match Runtime::default().resolve(&mut target, &self.compiled, &self.zone) {
            Ok(_) => Ok(target.value),
            Err(Terminate::Abort(ExpressionError::Abort { span, .. })) => {
                Err(Stop::Aborted(self.words_after(span.end()).map(Arc::from)))
            }
            Err(stop) => Err(Stop::Failed(self.failure(&stop.get_expression_error()))),
        }
    }

    /// The words of `abort "words"`, if nothing of the event is in them.
    fn words_after(&self, abort: usize) -> Option<&str> {
        let (words, after) = self.source.get(abort..)?.trim_start().strip_prefix('"')?.split_once('"')?;
        let after = after.trim_start_matches([' ', '\t']);
        let ends = after.is_empty() || after.starts_with(['\n', '\r', ';', '}', '#']);
        (ends && !words.contains(['\\', '{', '\n'])).then_some(words)
    }

    /// Where it failed and in which function. What VRL says of it would quote the event.
    fn failure(&self, error: &ExpressionError) -> String {
        let span = match error {
            ExpressionError::Error { labels, .. } => labels.first().map(|label| label.span),
            _ => None,
        };
        let Some(at) = span.map(|span| span.start()).filter(|at| self.source.is_char_boundary(*at)) else {
            return "the program failed".to_owned();
        };
        let (before, after) = self.source.split_at(at);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |text| text.chars().count()) + 1;
        let name: String = after.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
        let what = if name.is_empty() { String::new() } else { format!(" in `{name}`") };
        format!("the program failed{what} at line {line}, column {column}")
    }
}

fn mistake(told: &Diagnostic, source: &str) -> Mistake {
    let primary = told.labels().iter().find(|label| label.primary).or(told.labels().first());
    let span = primary.map_or(0..0, |label| label.span.range());
    let is_error = told.is_problem();
    if told.code == UNDEFINED_FUNCTION
        && let Some(name) = source.get(span.clone())
        && let Some(reason) = functions::why_not(name)
    {
        let message = format!("`{name}` cannot be used here: {reason}");
        return Mistake { is_error, message, span, hint: None };
    }
    let detail =
        primary.map(|label| label.message.as_str()).filter(|text| !is_advice(text) && !told.message().contains(text));
    let message = detail.map_or(told.message().to_owned(), |detail| format!("{}: {detail}", told.message()));
    Mistake { is_error, message, span, hint: hint(told) }
}

fn is_advice(label: &str) -> bool {
    label.starts_with(HELP)
}

/// How VRL begins some of its advice.
const HELP: &str = "help: ";

/// VRL's own advice, else where its documentation tells of the mistake.
fn hint(told: &Diagnostic) -> Option<String> {
    let first = told.labels().iter().position(|label| label.primary && !is_advice(&label.message));
    let labels = told.labels().iter().enumerate().filter(|(index, _)| Some(*index) != first);
    let labels = labels.map(|(_, label)| label.message.as_str());
    let notes = told.notes().iter().filter_map(|note| match note {
        Note::Hint(text) | Note::Basic(text) => Some(text.as_str()),
        Note::CoerceValue => Some("turn the value into the type that is needed, as `string!(.x)` does"),
        _ => None,
    });
    // Of a mistake in the syntax VRL lists all that could stand there.
    let is_of_use = |text: &&str| !text.is_empty() && !text.starts_with("expected one of");
    let mut advice = String::new();
    for text in labels.chain(notes).map(|text| text.trim().trim_start_matches(HELP)).filter(is_of_use) {
        let joint = if advice.is_empty() || advice.ends_with(':') { " " } else { "; " };
        advice = format!("{advice}{joint}{text}");
    }
    match advice.trim() {
        "" => (told.code >= 100).then(|| format!("see https://errors.vrl.dev/{}", told.code)),
        advice => Some(advice.to_owned()),
    }
}
