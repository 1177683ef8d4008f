//! `normalize = "ocsf"`, or `normalize = { form = "ocsf", raw_data = true }`: the form that events are given.

use serde::Deserialize;

use crate::document::{Context, Node, Problem, Spanned};
use crate::transform::normalize::Form;

/// As the file says it in a table. Each field is the documentation of the key of that name.
#[derive(Debug, Deserialize)]
struct Table {
    /// The form. Without it, OCSF.
    #[serde(default)]
    form: Form,
    /// Whether the vendor's record goes along, whole.
    #[serde(default)]
    raw_data: Option<Spanned<bool>>,
}

/// What `normalize` was given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// The form of the events.
    pub form: Form,
    /// Whether the vendor's record goes along in `raw_data`.
    pub raw_data: bool,
}

impl Choice {
    /// Reads a form's name, or a table of it and more.
    pub fn read(node: &Node, context: &Context<'_>) -> Option<Self> {
        if node.as_table().is_none() {
            return Some(Self { form: node.decode(context)?, raw_data: false });
        }
        let Table { form, raw_data } = node.decode(context)?;
        if let Some(raw_data) = raw_data.as_ref().filter(|_| form == Form::None) {
            let problem = Problem::error("the form `none` has no `raw_data`").at(&raw_data.place);
            context.problems.push(problem.hint("leave it out: the vendor's record is there anyway, under `record`"));
            return None;
        }
        Some(Self { form, raw_data: raw_data.is_some_and(|raw_data| raw_data.value) })
    }
}
