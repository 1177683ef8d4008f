//! `filter = { … }`: what goes on, or what is dropped.

use serde::Deserialize;

use crate::document::{Context, Node, Place, Problem, Spanned};
use crate::journal::DEDUPE;
use crate::transform::condition::Matcher;
use crate::transform::filter::Filter;
use crate::transform::sample::SAMPLE;

/// The reason where the operator gives none.
const REASON: &str = "filter";

/// The words of steps that give their own.
const RESERVED: [&str; 2] = [DEDUPE, SAMPLE];

/// As the file says it. Each field is the documentation of the key of that name.
#[derive(Debug, Deserialize)]
pub struct Written {
    /// What an event must be like to go on.
    #[serde(default)]
    keep: Option<Node>,
    /// What an event is like that is dropped.
    #[serde(default)]
    drop: Option<Node>,
    /// Under which word the dropped are counted.
    #[serde(default)]
    reason: Option<Spanned<String>>,
}

impl Written {
    /// What it asks of events.
    pub fn conditions(&self) -> impl Iterator<Item = &Node> {
        self.keep.iter().chain(&self.drop)
    }

    pub fn build(&self, step: &Place, context: &Context<'_>) -> Option<Filter> {
        let reason = self.reason.as_ref().map_or(REASON, |reason| reason.value.as_str());
        if let Some(reason) = self.reason.as_ref().filter(|reason| reason.value.trim().is_empty()) {
            context.problems.error_at(&reason.place, "this reason says nothing");
            return None;
        }
        if let Some(reason) = self.reason.as_ref().filter(|reason| RESERVED.contains(&reason.value.as_str())) {
            let message = format!("`{}` counts what another step drops", reason.value);
            let problem = Problem::error(message).at(&reason.place);
            context.problems.push(problem.hint("choose a reason that says what this filter is for"));
            return None;
        }
        if let Some(reason) = self.reason.as_ref().filter(|reason| reason.value.contains(char::is_control)) {
            let problem = Problem::error("a reason is one line of plain text").at(&reason.place);
            context.problems.push(problem.hint("a few words are enough: `health checks`"));
            return None;
        }
        match (&self.keep, &self.drop) {
            (Some(keep), None) => Some(Filter::keep(Matcher::read(keep, context.problems)?, reason)),
            (None, Some(drop)) => Some(Filter::drop(Matcher::read(drop, context.problems)?, reason)),
            (None, None) => {
                let problem = Problem::error("this step filters nothing").at(step);
                context.problems.push(problem.hint("say what to `keep`, or what to `drop`"));
                None
            }
            (Some(_), Some(drop)) => {
                let problem = Problem::error("this step says both what to keep and what to drop").at(&drop.head());
                context.problems.push(problem.hint("leave one of them, or make it two steps"));
                None
            }
        }
    }
}
