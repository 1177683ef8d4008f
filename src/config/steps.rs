//! The `[[transform]]` tables of a pipeline, as far as they can be made without its source.

use std::sync::Arc;

use super::raw;
use crate::connector::Connector;
use crate::document::{Context, Node, Place, Problem, Spanned};
use crate::transform::Transform;
use crate::transform::normalize::{Form, Normalize};
use crate::transform::redact::{EmailAction, IpAction, Policy, PolicyError, PseudonymKey, Redact, Redactor};

/// The epoch of the one key there is.
const FIRST_EPOCH: u16 = 1;

/// A transform that is ready but for what its connector says.
pub enum Step {
    Normalize(Form),
    Ready(Box<dyn Transform>),
}

impl Step {
    pub fn build(self, connector: &Connector) -> Box<dyn Transform> {
        match self {
            Self::Normalize(form) => {
                Box::new(Normalize::new(form, Arc::clone(&connector.map), connector.identity.clone()))
            }
            Self::Ready(transform) => transform,
        }
    }
}

/// The steps of a pipeline, beginning with `normalize` where none says so. `None` when one of them is wrong.
pub fn steps(written: Option<&Node>, context: &Context<'_>) -> Option<Vec<Step>> {
    let nodes: Vec<Node> = match written {
        Some(node) => node.decode(context)?,
        None => Vec::new(),
    };
    let raw: Vec<Option<Spanned<raw::Transform>>> = nodes.iter().map(|node| node.decode(context)).collect();
    let is_normalize = |step: &&Spanned<raw::Transform>| matches!(step.value, raw::Transform::Normalize(_));
    let normalizes: Vec<_> = raw.iter().flatten().filter(is_normalize).collect();
    for again in normalizes.iter().skip(1) {
        context.problems.error_at(&again.place, "an event can be normalized only once");
    }
    let form = normalizes.is_empty().then(|| Some(Step::Normalize(Form::default())));
    let steps = raw.into_iter().map(|step| {
        let step = step?;
        Some(match &step.value {
            raw::Transform::Normalize(form) => Step::Normalize(*form),
            raw::Transform::Enrich(enrich) => Step::Ready(Box::new(enrich.clone())),
            raw::Transform::Redact(redact) => Step::Ready(Box::new(redactor(redact, &step.place, context)?)),
        })
    });
    // All of them are made before the first that failed counts.
    let steps: Vec<Option<Step>> = form.into_iter().chain(steps).collect();
    steps.into_iter().collect()
}

fn redactor(redact: &raw::Redact, step: &Place, context: &Context<'_>) -> Option<Redact> {
    if redact.emails.is_none() && redact.ips.is_none() {
        let problem = Problem::error("this step redacts nothing").at(step);
        context.problems.push(problem.hint("say what becomes of `emails`, of `ips`, or of both"));
        return None;
    }
    let (emails, ips) = (redact.emails.as_ref().map(|emails| emails.value), redact.ips.as_ref().map(|ips| ips.value));
    if let Some(key) = &redact.key
        && emails != Some(EmailAction::Pseudonym)
        && ips != Some(IpAction::Pseudonym)
    {
        let problem = Problem::warning("nothing here is made a pseudonym, so this key is not used").at(&key.place);
        context.problems.push(problem.hint("leave it out, or choose \"pseudonym\""));
    }
    let key = redact.key.as_ref().map(|key| PseudonymKey::new(FIRST_EPOCH, key.expose().as_bytes())).transpose();
    match key.map(|key| Policy { emails, ips, key }).and_then(Redactor::new) {
        Ok(redactor) => Some(Redact::new(redactor)),
        Err(error) => {
            let place = match &error {
                PolicyError::MissingKey { option: "ips" } => redact.ips.as_ref().map(|ips| &ips.place),
                PolicyError::MissingKey { .. } => redact.emails.as_ref().map(|emails| &emails.place),
                PolicyError::ShortKey { .. } => redact.key.as_ref().map(|key| &key.place),
            };
            let problem = Problem::error(error.to_string()).at(place.unwrap_or(step));
            context.problems.push(problem.hint(error.hint()));
            None
        }
    }
}
