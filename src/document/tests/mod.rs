//! What a person sees, compared whole.

mod laws;
mod mistakes;
mod rendering;
mod secrets;
mod values;

use serde::de::DeserializeOwned;

use super::{Context, Document, Problems};

/// Decodes `text` as `T`, with `TOKEN` as the only variable. Returns what is left and all that is said.
fn read<T: DeserializeOwned>(name: &str, text: &str) -> (Option<T>, String) {
    let problems = Problems::new();
    let environment = |name: &str| (name == "TOKEN").then(|| "from-env".to_owned());
    let context = Context::new(&problems).with_environment(&environment);
    let document = Document::parse(name, text, &problems);
    let value = document.and_then(|document| document.decode(&context));
    (value, problems.to_string())
}

/// What is said of `text` as a `T`.
fn said<T: DeserializeOwned>(text: &str) -> String {
    read::<T>("a.toml", text).1
}

/// Compares what is said, and shows both as text when they differ.
fn assert_said<T: DeserializeOwned>(text: &str, expected: &str) {
    let said = said::<T>(text);
    assert!(said == expected, "said:\n{said}\nexpected:\n{expected}");
}
