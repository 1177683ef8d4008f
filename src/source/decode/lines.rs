//! NDJSON: a record a line. A line that is none is handed out as what it is, and the others are read.

use sha2::{Digest as _, Sha256};

use super::{Each, Found};
use crate::event::json::{self, JsonError};
use crate::event::{Arena, Value, mend};

/// A line that is longer is no record: it would be held several times over while it is worked on.
const LONGEST_LINE: usize = 4 << 20;
/// So much of a line that is too long is kept for a person to look at.
const KEPT: usize = 64 << 10;

/// Hands out the lines of a page that are not blank, and returns how many there are.
///
/// # Errors
/// When no line begins like a record, as with an error page, or the last one breaks off, as with a transfer that did: who
/// would call such an answer a page might skip one.
pub fn each(text: &str, each: &mut Each<'_>) -> Result<usize, JsonError> {
    let text = text.trim_start_matches('\u{feff}');
    let lines = || text.split('\n').map(str::trim).filter(|line| !line.is_empty());
    if lines().next().is_some() && !lines().any(|line| line.starts_with('{')) {
        return Err(JsonError::Syntax { at: 0, reason: "no line of it is a record".to_owned() });
    }
    let mut arena = Arena::new();
    let mut count = 0;
    for line in lines() {
        let ends_here = std::ptr::eq(line.as_bytes().as_ptr_range().end, text.as_bytes().as_ptr_range().end);
        one(line, ends_here, &arena, each)?;
        arena.reset();
        count += 1;
    }
    Ok(count)
}

fn one(line: &str, ends_here: bool, arena: &Arena, each: &mut Each<'_>) -> Result<(), JsonError> {
    if line.len() > LONGEST_LINE {
        let reason = format!("a line of {} bytes, more than the {LONGEST_LINE} that are read", line.len());
        each(Found::Unreadable { text: arena.alloc_str(&beginning(line)), reason: arena.alloc_str(&reason) }, arena);
        return Ok(());
    }
    let decoded = json::decode(line.as_bytes(), arena).or_else(|_| json::decode(&mend(line.as_bytes()), arena));
    match decoded {
        Ok(value) => each(Found::Value(value), arena),
        Err(JsonError::Syntax { at, .. }) if ends_here && at >= line.len() => {
            return Err(JsonError::Syntax { at, reason: "the last line breaks off".to_owned() });
        }
        Err(error) => {
            let text = arena.alloc_str(&json::to_string(&Value::String(line)));
            each(Found::Unreadable { text, reason: arena.alloc_str(&format!("a line that is {error}")) }, arena);
        }
    }
    Ok(())
}

/// What is kept of a line that is too long, with what tells it from another that begins the same way.
fn beginning(line: &str) -> String {
    let digest: String = Sha256::digest(line).iter().map(|byte| format!("{byte:02x}")).collect();
    let kept = &line[..line.floor_char_boundary(KEPT)];
    // It ends where a word does: half an address would not be known for one.
    let kept = &kept[..kept.rfind([' ', '"', ',']).unwrap_or(0)];
    serde_json::json!({ "begins": kept, "bytes": line.len(), "sha256": digest }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<String>, String> {
        let mut seen = Vec::new();
        let mut keep = |found: Found<'_>, _: &Arena| {
            seen.push(match found {
                Found::Value(value) => json::to_string(&value),
                Found::Unreadable { text, reason } => format!("{reason}: {text}"),
            });
        };
        each(text, &mut keep).map_err(|error| error.to_string()).map(|count| {
            assert_eq!(count, seen.len());
            seen
        })
    }

    #[test]
    fn a_broken_line_costs_no_other() {
        let page = "\u{feff}{\"id\":1}\r\n\n  \n{\"id\":2,\"a\":}\n[3]\n{\"id\":4,\"a\":\"\\ud800\"}\n";
        let expected = [
            r#"{"id":1}"#,
            r#"a line that is not JSON at byte 12: expected value: "{\"id\":2,\"a\":}""#,
            "[3]",
            "{\"id\":4,\"a\":\"\u{fffd}\"}",
        ];
        assert_eq!(read(page).unwrap(), expected);
        assert_eq!(read(" \n\n").unwrap(), [""; 0]);
    }

    #[test]
    fn a_line_that_is_too_long_is_known_by_its_beginning_and_its_digest() {
        let long = |last: char| format!("{{\"id\":\"{}{last}\"}}", "x".repeat(LONGEST_LINE));
        let lines = read(&format!("{}\n{}\n{{}}\n", long('a'), long('b'))).unwrap();
        assert_eq!(lines.len(), 3);
        assert!(lines[0].starts_with("a line of 4194314 bytes, more than the 4194304 that are read: {\"begins\":"));
        assert!(lines[0].len() < KEPT + 300 && lines[0] != lines[1] && lines[2] == "{}");
    }

    // Half an address at its end would not be known for one, and not be redacted.
    #[test]
    fn what_is_kept_of_a_line_that_is_too_long_ends_where_a_word_does() {
        let line =
            format!("{{\"id\":\"{} ada.lovelace@example.com {}", "x".repeat(KEPT - 30), "y".repeat(LONGEST_LINE));
        let kept: serde_json::Value = serde_json::from_str(&beginning(&line)).unwrap();
        let kept = kept["begins"].as_str().unwrap();
        assert!(kept.ends_with('x') && kept.len() > KEPT - 40, "{}", &kept[kept.len() - 40..]);
    }

    #[test]
    fn a_page_of_something_else_or_half_a_page_is_none() {
        assert_eq!(
            read("<!doctype html>\n<p>sorry</p>\n").unwrap_err(),
            "not JSON at byte 0: no line of it is a record"
        );
        assert_eq!(read("{\"id\":1}\n{\"id\":\"2").unwrap_err(), "not JSON at byte 8: the last line breaks off");
        // The same line whole, whatever it means, is somebody's mistake and no half page.
        assert_eq!(read("{\"id\":1}\n{\"id\":\"2\n").unwrap().len(), 2);
        assert_eq!(read("{\"id\":1}\n{\"id\":2}").unwrap().len(), 2);
    }
}
