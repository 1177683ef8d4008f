//! Puts what examples are found to become in place of what their file expects, and leaves the rest of the file as it is.

use std::ops::Range;

use serde_json::Value as Json;

use crate::document::Place;

/// What one example is found to become.
#[derive(Debug)]
pub struct Change<'e> {
    /// The example.
    pub name: &'e str,
    /// The values that say what was expected, of the keys that may.
    pub before: Vec<&'e Place>,
    /// What it is made of: where nothing was expected, the lines come behind that.
    pub record: &'e Place,
    /// The lines that say what is found.
    pub lines: String,
}

/// The text with all changes, or the name of an example that is in the way of that. `keys` are those that say what is
/// expected.
pub fn rewritten(text: &str, keys: &[&str], changes: Vec<Change<'_>>) -> Result<String, String> {
    let mut edits: Vec<(Range<usize>, String)> = Vec::new();
    for Change { name, before, record, lines } in changes {
        let spans: Option<Vec<_>> = before.iter().map(|place| whole_key(text, keys, place)).collect();
        let mut spans = spans.ok_or_else(|| name.to_owned())?;
        spans.sort_by_key(|span| span.start);
        match spans.split_first() {
            Some((first, others)) => {
                edits.push((first.clone(), lines));
                edits.extend(others.iter().map(|span| (with_its_end(text, span), String::new())));
            }
            None => {
                let end = record.span().ok_or_else(|| name.to_owned())?.end;
                edits.push((end..end, format!("\n{lines}")));
            }
        }
    }
    edits.sort_by_key(|(span, _)| span.start);
    let mut text = text.to_owned();
    for (span, lines) in edits.into_iter().rev() {
        text.replace_range(span, &lines);
    }
    Ok(text)
}

/// From the beginning of a key to the end of its value, where the key begins its line.
fn whole_key(text: &str, keys: &[&str], value: &Place) -> Option<Range<usize>> {
    let value = value.span()?;
    let line = text[..value.start].rfind('\n').map_or(0, |at| at + 1);
    let key = text[line..value.start].trim();
    let key = key.strip_suffix('=')?.trim_end();
    keys.contains(&key).then_some(line..value.end)
}

/// With the end of its line, where nothing else stands there.
fn with_its_end(text: &str, span: &Range<usize>) -> Range<usize> {
    let rest = &text[span.end..];
    let line = rest.find('\n').map_or(rest.len(), |at| at + 1);
    let end = if rest[..line].trim().is_empty() { span.end + line } else { span.end };
    span.start..end
}

/// `events = …`
pub fn events_line(events: &[Json]) -> String {
    if events.is_empty() {
        return "events = []".to_owned();
    }
    let lines: String = events.iter().map(|event| format!("  {},\n", literal(&event.to_string()))).collect();
    format!("events = [\n{lines}]")
}

/// `key = "text"`
pub fn text_line(key: &str, text: &str) -> String {
    format!("{key} = {}", toml::Value::String(text.to_owned()))
}

/// JSON between three quotes, where TOML takes everything as it is.
fn literal(json: &str) -> String {
    // Only texts in the JSON can hold these, and there they may be written like this.
    let json = json.replace('\u{7f}', "\\u007f");
    let json = if json.contains("'''") { json.replace('\'', "\\u0027") } else { json };
    format!("'''{json}'''")
}
