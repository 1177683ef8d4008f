//! Versions that enriching takes out of a user agent's text: `Chrome/120.0.0.0` is a product, and `120.0.0.0` alone would
//! be an address.

use bumpalo::collections::Vec as ArenaVec;

use super::{Hits, Redactor};
use crate::event::{Arena, Value};

/// The versions in what enriching says of user agents that only look like addresses: known by where they live, so that an
/// equal text elsewhere is not taken for one.
///
/// That is so where the agent's text, redacted, still shows the version. So they say nothing that the text does not.
/// Where the text is gone, it is so of those that end in `.0.0`, which is a network at most and nobody's machine.
pub(super) fn told<'a>(body: Value<'a>, redactor: &Redactor, arena: &'a Arena) -> ArenaVec<'a, &'a str> {
    let mut told = ArenaVec::new_in(arena);
    if redactor.ips.is_none() {
        return told;
    }
    let entries = body.get("enrichments").and_then(|entries| entries.as_array()).unwrap_or_default();
    for entry in entries.iter().filter(|entry| text(**entry, "type") == Some("user_agent")) {
        of_agent(entry.get("data"), text(*entry, "value"), redactor, &mut told);
    }
    if let Some(agent) = body.get("user_agent") {
        of_agent(Some(agent), text(agent, "original"), redactor, &mut told);
    }
    told
}

fn text<'a>(value: Value<'a>, key: &str) -> Option<&'a str> {
    value.get(key).and_then(|value| value.as_str())
}

fn of_agent<'a>(agent: Option<Value<'a>>, of: Option<&str>, redactor: &Redactor, told: &mut ArenaVec<'a, &'a str>) {
    let Some(agent) = agent else { return };
    let versions = [Some(agent), agent.get("os")].map(|of| of.and_then(|of| text(of, "version")));
    for version in versions.into_iter().flatten() {
        let is_suspect = redactor.text(version, &mut Hits::default()).is_some();
        if is_suspect && is_told(version, of.unwrap_or_default(), redactor) {
            told.push(version);
        }
    }
}

fn is_told(version: &str, text: &str, redactor: &Redactor) -> bool {
    // Some systems write `10_15_7`.
    let otherwise = version.replace('.', "_");
    let shows = |text: &str| shows(text, version) || shows(text, &otherwise);
    if !shows(text) {
        return version.ends_with(".0.0") && version.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    }
    redactor.text(text, &mut Hits::default()).is_none_or(|redacted| shows(&redacted))
}

/// Whether a version stands in a text, as one.
fn shows(text: &str, version: &str) -> bool {
    text.match_indices(version).any(|(start, _)| {
        let begins = matches!(text[..start].chars().next_back(), None | Some('/' | ' '));
        let behind = text[start + version.len()..].chars().next();
        begins && !behind.is_some_and(|char| char.is_alphanumeric() || matches!(char, '.' | ':' | '_' | '%'))
    })
}
