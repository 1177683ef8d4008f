//! `[[example]]`: an answer as it was recorded, and what becomes of it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::document::Spanned;

/// `[[example]]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Example {
    /// What it shows, in a few words.
    pub name: Spanned<String>,
    /// One answer as it was recorded, with people invented: a page, or the file of a job.
    pub answer: Spanned<String>,
    /// The OCSF events it becomes, each a JSON object, in the order of the answer.
    #[serde(default)]
    pub events: Option<Spanned<Vec<Spanned<String>>>>,
    /// Instead of events: the sentence that a person sees.
    #[serde(default)]
    pub error: Option<Spanned<String>>,
    /// By which `[read.NAME]` it is read. Without it, by the first that has no job.
    #[serde(default)]
    pub read: Option<Spanned<String>>,
    /// The HTTP status. Without it, 200.
    #[serde(default)]
    pub status: Option<Spanned<u16>>,
    /// Headers of the answer.
    #[serde(default)]
    pub headers: BTreeMap<Spanned<String>, Spanned<String>>,
}
