//! What a run came to, for a person.

use auditline_sinks::DeliveryError;

use super::pipeline::ReadError;
use super::writer::WriteError;
use crate::chain;
use crate::source::SourceError;

/// What a run came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// What failed.
    pub failed: Vec<Failure>,
    /// The grace period was over before everything was delivered. The journal has the rest.
    pub cut_short: bool,
}

/// Something that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The pipeline, or the sink.
    pub what: String,
    /// Why.
    pub reason: String,
    /// What to do, where that is known.
    pub hint: Option<String>,
}

impl Failure {
    /// A failure of `what`.
    #[must_use]
    pub fn new(what: &str, reason: String, hint: Option<String>) -> Self {
        Self { what: what.to_owned(), reason, hint }
    }

    /// A vendor that cannot be read.
    #[must_use]
    pub fn of_source(pipeline: &str, error: &SourceError) -> Self {
        let hint = match error {
            SourceError::Configuration { hint, .. } => Some(hint.clone()),
            SourceError::Retryable { .. } => None,
        };
        Self::new(pipeline, error.to_string(), hint)
    }

    /// A sink that does not take records.
    #[must_use]
    pub fn of_sink(what: &str, error: &DeliveryError) -> Self {
        Self::new(what, chain(error), hint_of(error))
    }

    pub(super) fn of_reader(pipeline: &str, error: &ReadError) -> Self {
        match error {
            ReadError::Source(error) => Self::of_source(pipeline, error),
            error => Self::new(pipeline, chain(error), None),
        }
    }

    pub(super) fn of_writer(pipeline: &str, error: &WriteError) -> Self {
        let hint = match error {
            WriteError::Sink { source, .. } => hint_of(source),
            WriteError::Journal(_) => None,
        };
        Self::new(pipeline, chain(error), hint)
    }
}

fn hint_of(error: &DeliveryError) -> Option<String> {
    match error {
        DeliveryError::Refused { hint, .. } => Some(hint.clone()),
        DeliveryError::Retryable { .. } => None,
    }
}
