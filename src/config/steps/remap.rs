//! `remap = { … }`: a program in VRL, here or in a file of its own.

#[cfg(feature = "remap")]
mod build;

use serde::Deserialize;

use crate::document::Spanned;
#[cfg(not(feature = "remap"))]
use crate::{
    document::{Context, Place, Problem},
    transform::Transform,
};

/// As the file says it. Each field is the documentation of the key of that name. The keys are the same in every build.
#[derive(Debug, Deserialize)]
#[cfg_attr(not(feature = "remap"), expect(dead_code, reason = "only what is built in looks at them"))]
pub struct Written {
    /// The program.
    #[serde(default)]
    source: Option<Spanned<String>>,
    /// The file that holds the program.
    #[serde(default)]
    file: Option<Spanned<String>>,
    /// What becomes of an event that the program fails on. Without it, it goes on as it was, marked.
    #[serde(default)]
    on_error: OnError,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum OnError {
    #[default]
    Mark,
    DeadLetter,
}

#[cfg(not(feature = "remap"))]
impl Written {
    pub fn build(&self, step: &Place, context: &Context<'_>) -> Option<Box<dyn Transform>> {
        let problem = Problem::error("this auditline is built without `remap`").at(step);
        context.problems.push(problem.hint("build one that has it: `cargo build` without `--no-default-features`"));
        None
    }
}
