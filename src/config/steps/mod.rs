//! The `[[transform]]` tables of a pipeline, as far as they can be made without its source: one file for each kind.

mod dedupe;
mod enrich;
mod filter;
mod hidden;
mod library;
mod normalize;
mod redact;
mod remap;
mod review;
mod route;
mod sample;
mod shape;

use std::sync::Arc;

use serde::Deserialize;

pub use self::library::Library;
use self::review::Review;
use crate::connector::Connector;
use crate::document::{Context, Node, Problem, Severity, Spanned};
use crate::transform::Transform;
use crate::transform::normalize::Normalize;
use crate::transform::redact::Hits;

/// `[[transform]]`, as the file says it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Written {
    /// Into which form the vendor's record is brought. Without it, OCSF.
    Normalize(Node),
    /// What to add.
    Enrich(enrich::Written),
    /// What becomes of addresses.
    Redact(Box<redact::Written>),
    /// What goes on, or what is dropped.
    Filter(filter::Written),
    /// Which sinks an event goes to.
    Route(route::Written),
    /// A share of what comes in masses.
    Sample(sample::Written),
    /// Of events that say the same within a while, one.
    Dedupe(dedupe::Written),
    /// A program in VRL.
    Remap(remap::Written),
}

/// A transform that is ready but for what its connector says.
pub enum Step {
    Normalize(normalize::Choice),
    Ready(Box<dyn Transform>),
}

impl Step {
    pub fn build(self, connector: &Connector) -> Box<dyn Transform> {
        match self {
            Self::Normalize(normalize::Choice { form, raw_data }) => {
                let normalize = Normalize::new(form, Arc::clone(&connector.map), connector.identity.clone());
                Box::new(normalize.raw_data(raw_data))
            }
            Self::Ready(transform) => transform,
        }
    }
}

/// The steps of a pipeline, beginning with `normalize` where none says so. `None` when one of them is wrong. `sinks` are the
/// names it goes to, `None` if they cannot be told.
pub fn steps(
    written: Option<&Node>,
    sinks: Option<&[&Spanned<String>]>,
    library: &Library,
    context: &Context<'_>,
) -> Option<Vec<Step>> {
    let nodes: Vec<Node> = match written {
        Some(node) => node.decode(context)?,
        None => Vec::new(),
    };
    let mut misread = Vec::new();
    let decode = |node: &Node| {
        let before = context.problems.count(Severity::Error);
        let written: Option<Spanned<Written>> =
            if shape::is_mistaken(node, context) { None } else { node.decode(context) };
        misread.push(context.problems.count(Severity::Error) > before);
        written
    };
    let written: Vec<Option<Spanned<Written>>> = nodes.iter().map(decode).collect();
    let is_normalize = |step: &&Spanned<Written>| matches!(step.value, Written::Normalize(_));
    let normalizes: Vec<_> = written.iter().flatten().filter(is_normalize).collect();
    for again in normalizes.iter().skip(1) {
        context.problems.error_at(&again.place, "an event can be normalized only once");
    }
    let is_route = |step: &&Spanned<Written>| matches!(step.value, Written::Route(_));
    for again in written.iter().flatten().filter(is_route).skip(1) {
        let problem = Problem::error("an event can be routed only once").at(&again.place);
        context.problems.push(problem.hint("put all rules into one step"));
    }
    warn_of_steps_behind_dedupe(written.iter().flatten(), context);
    let choice = match normalizes.first().map(|step| &step.value) {
        Some(Written::Normalize(node)) => normalize::Choice::read(node, context),
        _ => Some(normalize::Choice::default()),
    };
    let form = choice.unwrap_or_default().form;
    let normalize = normalizes.is_empty().then(|| Some(Step::Normalize(normalize::Choice::default())));
    let mut review = Review::new(normalizes.is_empty().then_some(form), context);
    written.iter().flatten().for_each(|step| review.pass(step, form));
    let mut samples = 0;
    let make = |step: &Option<Spanned<Written>>| {
        let step = step.as_ref()?;
        Some(match &step.value {
            Written::Normalize(_) => Step::Normalize(choice?),
            // It asks what the others hide.
            Written::Enrich(_) => return None,
            Written::Redact(redact) => Step::Ready(Box::new(redact.build(&step.place, context)?)),
            Written::Filter(filter) => Step::Ready(Box::new(filter.build(&step.place, context)?)),
            Written::Route(route) => Step::Ready(Box::new(route.build(&step.place, sinks, context)?)),
            Written::Sample(sample) => {
                samples += 1;
                Step::Ready(Box::new(sample.build(samples, context)?))
            }
            Written::Dedupe(dedupe) => Step::Ready(Box::new(dedupe.build(context)?)),
            Written::Remap(remap) => Step::Ready(remap.build(&step.place, context)?),
        })
    };
    let mut steps: Vec<Option<Step>> = written.iter().map(make).collect();
    for (at, (step, misread)) in written.iter().zip(misread).enumerate() {
        let Some(Spanned { value: Written::Enrich(enrich), place }) = step else { continue };
        // What has a key that nobody knows was to add something, and that is told.
        let place = (!misread).then_some(place);
        let hides = |text: &str| hides(&steps[..at], text) && !hides(&steps[at..], text);
        let built = enrich.build(form, place, library, &hides, context);
        steps[at] = built.map(|enrich| Step::Ready(Box::new(enrich)));
    }
    // All of them are made before the first that failed counts.
    normalize.into_iter().chain(steps).collect()
}

/// Whether one of these steps redacts something in a text.
fn hides(steps: &[Option<Step>], text: &str) -> bool {
    let redacts = steps.iter().flatten().filter_map(|step| match step {
        Step::Ready(transform) => transform.as_redact(),
        Step::Normalize(_) => None,
    });
    redacts.into_iter().any(|redact| redact.line(text, &mut Hits::default()).is_some())
}

/// What is a repetition is decided when a page is kept, which is behind all steps wherever `dedupe` stands.
fn warn_of_steps_behind_dedupe<'w>(written: impl Iterator<Item = &'w Spanned<Written>>, context: &Context<'_>) {
    let behind = written.skip_while(|step| !matches!(step.value, Written::Dedupe(_)));
    for step in behind {
        let kind = match step.value {
            Written::Filter(_) => "filter",
            Written::Sample(_) => "sample",
            _ => continue,
        };
        let message = format!("this `{kind}` stands behind `dedupe`, and comes before it: repetitions are told last");
        context.problems.push(Problem::warning(message).at(&step.place).hint(format!("put `{kind}` before `dedupe`")));
    }
}
