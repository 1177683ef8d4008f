//! `dedupe = { … }`: of events that say the same within a while, one.

use std::time::Duration;

use auditline_sinks::units::HumanDuration;
use chrono::TimeDelta;
use serde::Deserialize;

use crate::document::{Context, Node, Problem, Spanned};
use crate::event::Path;
use crate::transform::condition::Matcher;
use crate::transform::dedupe::Dedupe;

/// What a read may hand out again is remembered for at least a day; so are the twins of it.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// As the file says it. Each field is the documentation of the key of that name.
#[derive(Debug, Deserialize)]
pub struct Written {
    /// Where the values stand that twins have in common.
    by: Spanned<Vec<Spanned<Path>>>,
    /// How long a span of time is in which they are looked for.
    within: Spanned<HumanDuration>,
    /// Which events may be twins. Without it, all of them.
    #[serde(default, rename = "match")]
    matches: Option<Node>,
}

impl Written {
    /// What it asks of events.
    pub fn conditions(&self) -> impl Iterator<Item = &Node> {
        self.matches.iter()
    }

    /// Where the values stand that twins have in common.
    pub fn by(&self) -> &[Spanned<Path>] {
        &self.by.value
    }

    pub fn build(&self, context: &Context<'_>) -> Option<Dedupe> {
        if self.by.value.is_empty() {
            let problem = Problem::error("by nothing, every event would be the same").at(&self.by.place);
            context
                .problems
                .push(problem.hint("name what they have in common: `[\"actor.user.uid\", \"api.operation\"]`"));
            return None;
        }
        let within = self.within.value.0;
        if within < Duration::from_secs(1) || within > LONGEST {
            let problem = Problem::error("repetitions are looked for within `1s` to `1d`").at(&self.within.place);
            context.problems.push(problem);
            return None;
        }
        let matcher = match &self.matches {
            Some(node) => Some(Matcher::read(node, context.problems)?),
            None => None,
        };
        let span = TimeDelta::from_std(within).unwrap_or(TimeDelta::days(1));
        Some(Dedupe::new(self.by.value.iter().map(|path| path.value.clone()).collect(), span, matcher))
    }
}
