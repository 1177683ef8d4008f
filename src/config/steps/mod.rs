//! The `[[transform]]` tables of a pipeline, as far as they can be made without its source: one file for each kind.

mod redact;

use std::sync::Arc;

use serde::Deserialize;

use crate::connector::Connector;
use crate::document::{Context, Node, Spanned};
use crate::transform::Transform;
use crate::transform::enrich::Enrich;
use crate::transform::normalize::{Form, Normalize};

/// `[[transform]]`, as the file says it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Written {
    /// Into which form the vendor's record is brought. Without it, OCSF.
    Normalize(Form),
    /// Labels and fields to add.
    Enrich(Enrich),
    /// What becomes of addresses.
    Redact(Box<redact::Written>),
}

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
    let written: Vec<Option<Spanned<Written>>> = nodes.iter().map(|node| node.decode(context)).collect();
    let is_normalize = |step: &&Spanned<Written>| matches!(step.value, Written::Normalize(_));
    let normalizes: Vec<_> = written.iter().flatten().filter(is_normalize).collect();
    for again in normalizes.iter().skip(1) {
        context.problems.error_at(&again.place, "an event can be normalized only once");
    }
    let form = normalizes.is_empty().then(|| Some(Step::Normalize(Form::default())));
    let steps = written.into_iter().map(|step| {
        let step = step?;
        Some(match &step.value {
            Written::Normalize(form) => Step::Normalize(*form),
            Written::Enrich(enrich) => Step::Ready(Box::new(enrich.clone())),
            Written::Redact(redact) => Step::Ready(Box::new(redact.build(&step.place, context)?)),
        })
    });
    // All of them are made before the first that failed counts.
    let steps: Vec<Option<Step>> = form.into_iter().chain(steps).collect();
    steps.into_iter().collect()
}
