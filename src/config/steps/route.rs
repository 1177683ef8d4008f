//! `route = { … }`: which sinks an event goes to.

use std::sync::Arc;

use serde::Deserialize;

use crate::document::{Context, Node, Place, Problem, Spanned, did_you_mean};
use crate::transform::condition::Matcher;
use crate::transform::route::{Route, Sinks};

/// As the file says it. Each field is the documentation of the key of that name.
#[derive(Debug, Deserialize)]
pub struct Written {
    /// The rules in the order they are tried. The first that fits counts.
    #[serde(default)]
    rules: Option<Spanned<Vec<Rule>>>,
    /// Where an event goes that no rule fits. Without it, to all sinks of the pipeline.
    #[serde(default)]
    otherwise: Option<Targets>,
}

/// `{ match = …, to = […] }`
#[derive(Debug, Deserialize)]
pub struct Rule {
    /// What an event must be like.
    #[serde(rename = "match")]
    matches: Node,
    /// Where it goes then.
    to: Targets,
}

/// Names of sinks.
type Targets = Spanned<Vec<Spanned<String>>>;

impl Written {
    /// What it asks of events.
    pub fn conditions(&self) -> impl Iterator<Item = &Node> {
        self.rules.iter().flat_map(|rules| rules.value.iter().map(|rule| &rule.matches))
    }

    /// `known` are the pipeline's sinks, `None` if they cannot be told.
    pub fn build(&self, step: &Place, known: Option<&[&Spanned<String>]>, context: &Context<'_>) -> Option<Route> {
        let written = self.rules.as_ref().map(|rules| rules.value.as_slice()).unwrap_or_default();
        if written.is_empty() {
            let place = self.rules.as_ref().map_or(step, |rules| &rules.place);
            let problem = Problem::error("there is no rule here").at(place);
            context.problems.push(problem.hint("add `rules = [{ match = { … }, to = [\"NAME\"] }]`"));
            return None;
        }
        let rule = |rule: &Rule| {
            let (matcher, to) = (Matcher::read(&rule.matches, context.problems), sinks(&rule.to, known, context));
            Some((matcher?, to?))
        };
        // All of them are looked at before the first that failed counts.
        let rules: Vec<_> = written.iter().map(rule).collect();
        let otherwise = self.otherwise.as_ref().map(|to| sinks(to, known, context));
        let rules: Vec<_> = rules.into_iter().collect::<Option<_>>()?;
        let otherwise = match otherwise {
            Some(sinks) => Some(sinks?),
            None => None,
        };
        warn_of_unreachable(&rules, otherwise.as_ref(), known.unwrap_or_default(), context);
        Some(Route::new(rules, otherwise))
    }
}

fn sinks(written: &Targets, known: Option<&[&Spanned<String>]>, context: &Context<'_>) -> Option<Sinks> {
    if written.value.is_empty() {
        let problem = Problem::error("what comes here goes nowhere").at(&written.place);
        context.problems.push(problem.hint("name a sink; what nobody wants is dropped, and counted, by `filter`"));
        return None;
    }
    let mut sinks: Vec<Arc<str>> = Vec::new();
    let mut well = true;
    for name in &written.value {
        let is_known = known.is_none_or(|known| known.iter().any(|sink| sink.value == name.value));
        if !is_known {
            let names: Vec<&str> = known.into_iter().flatten().map(|sink| sink.value.as_str()).collect();
            let hint = match did_you_mean(name, names.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("this pipeline goes to: {}; add `[to.{}]`", names.join(", "), name.value),
            };
            let message = format!("this pipeline does not go to `{}`", name.value);
            context.problems.push(Problem::error(message).at(&name.place).hint(hint));
            well = false;
        }
        if !sinks.iter().any(|sink| **sink == *name.value) {
            sinks.push(name.value.as_str().into());
        }
    }
    well.then(|| sinks.into())
}

/// A sink that no event can reach is hardly meant.
fn warn_of_unreachable(
    rules: &[(Matcher, Sinks)],
    otherwise: Option<&Sinks>,
    known: &[&Spanned<String>],
    context: &Context<'_>,
) {
    // Without it, what fits no rule goes to all of them.
    let Some(otherwise) = otherwise else { return };
    let mut reached = rules.iter().map(|(_, to)| to).chain([otherwise]).flat_map(|to| to.iter());
    let reached: Vec<&Arc<str>> = reached.by_ref().collect();
    for name in known.iter().filter(|name| !reached.iter().any(|sink| ***sink == *name.value)) {
        let problem = Problem::warning(format!("no event reaches `{}`", name.value)).at(&name.place);
        context.problems.push(problem.hint("name it in a rule of `route`, or in `otherwise`"));
    }
}
