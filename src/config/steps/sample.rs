//! `sample = { … }`: a share of what comes in masses.

use serde::Deserialize;

use crate::document::{Context, Node, Problem, Spanned};
use crate::transform::condition::Matcher;
use crate::transform::sample::Sample;

/// As the file says it. Each field is the documentation of the key of that name.
#[derive(Debug, Deserialize)]
pub struct Written {
    /// The share that goes on: `"10%"`.
    keep: Spanned<String>,
    /// Which events are thinned. Without it, all of them.
    #[serde(default, rename = "match")]
    matches: Option<Node>,
}

impl Written {
    /// What it asks of events.
    pub fn conditions(&self) -> impl Iterator<Item = &Node> {
        self.matches.iter()
    }

    pub fn build(&self, number: usize, context: &Context<'_>) -> Option<Sample> {
        let share = share(&self.keep.value);
        if share.is_none() {
            let message = format!("expected a share such as `10%` or `0.5%`, found `{}`", self.keep.value);
            let hint = "it lies between 0% and 100%; to drop all of it, use `filter`";
            context.problems.push(Problem::error(message).at(&self.keep.place).hint(hint));
        }
        let matcher = match &self.matches {
            Some(node) => Some(Matcher::read(node, context.problems)?),
            None => None,
        };
        Some(Sample::new(share?, matcher, number))
    }
}

/// The share that a text of per cents is, if it is one of some and not of all.
fn share(text: &str) -> Option<f64> {
    let number = text.strip_suffix('%')?;
    let is_plain = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let per_cent: f64 = number.parse().ok().filter(|_| is_plain)?;
    (per_cent > 0.0 && per_cent < 100.0).then_some(per_cent / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_per_cents() {
        assert_eq!(share("10%"), Some(0.1));
        assert_eq!(share("0.5%"), Some(0.005));
        for text in ["10", "0%", "100%", "1e1%", "-1%", "%", "10 %", "inf%", ".%"] {
            assert_eq!(share(text), None, "{text}");
        }
    }
}
