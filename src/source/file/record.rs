//! From a line to a record of the connector.

use chrono::{DateTime, Utc};

use super::page::{Kind, Line};
use crate::connector::model::Decode;
use crate::event::json::{self, JsonError};
use crate::event::{Arena, Value, mend};
use crate::source::Refine;
use crate::source::decode::{self, Raw};

/// Refines a line as the record it is, or as one that cannot be read, and says when it happened where it tells.
///
/// A record without a time is given that of the file's last change.
pub fn hand_out<T>(
    line: &Line<'_>,
    rules: &Decode,
    arena: &Arena,
    refine: Refine<'_, T>,
) -> (Option<DateTime<Utc>>, T) {
    let place = format!("line {} of `{}`", line.number, line.path.display());
    let unreadable = |reason: &str, text: &str| (None, refine(Raw::Unreadable { text, reason }, arena));
    let text = String::from_utf8_lossy(line.text);
    let reason = match line.kind {
        Kind::Record => None,
        Kind::TooLong(bytes) => Some(format!("{place} is too long: {bytes} bytes, of which the first are kept")),
        Kind::CutOff => Some(format!("{place} is cut off")),
        Kind::Endless => Some(format!("{place} is too long, and has no end")),
        Kind::Damaged(reason) => Some(format!("{place} is where the file is damaged: {reason}")),
    };
    if let Some(reason) = reason {
        return unreadable(&reason, &or_place(&text, line));
    }
    let value = match parse(text.as_bytes(), arena) {
        Ok(value) => value,
        Err(error) => return unreadable(&format!("{place} is {error}"), &text),
    };
    match decode::record(value, rules, line.modified, arena) {
        Raw::Event(event) => {
            let time = Some(event.time).filter(|time| *time != line.modified);
            (time, refine(Raw::Event(event), arena))
        }
        Raw::Unreadable { text, reason } => unreadable(&format!("{place}: {reason}"), text),
    }
}

/// What stands in place of a text that there is none of, so that it is told from others of its kind.
fn or_place(text: &str, line: &Line<'_>) -> String {
    match text {
        "" => serde_json::json!({ "file": line.path.display().to_string(), "line": line.number }).to_string(),
        text => text.to_owned(),
    }
}

/// Whether a text is a whole record.
pub fn is_whole(text: &[u8]) -> bool {
    let text = text.trim_ascii();
    // Cheap enough to be asked of every half line.
    let is_closed = text.starts_with(b"{") && text.ends_with(b"}");
    is_closed && matches!(parse(String::from_utf8_lossy(text).as_bytes(), &Arena::new()), Ok(Value::Object(_)))
}

/// Reads what the vendor's own answer would be read with: a record that came through there comes through here too.
fn parse<'a>(text: &[u8], arena: &'a Arena) -> Result<Value<'a>, JsonError> {
    json::decode(text, arena).or_else(|_| json::decode(&mend(text), arena))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::connector::Connector;

    fn read(kind: &Kind, text: &[u8]) -> (Option<String>, String) {
        let connector = Connector::embedded("telnyx").unwrap();
        let modified = "2026-11-25T08:00:00Z".parse().unwrap();
        let line = Line { path: Path::new("a.json"), modified, number: 7, text, kind };
        let refine = |raw: Raw<'_>, _: &Arena| match raw {
            Raw::Event(event) => format!("{} {} {}", event.id, event.time.to_rfc3339(), json::to_string(&event.body)),
            Raw::Unreadable { text, reason } => format!("{text} ({reason})"),
        };
        let (time, item) = hand_out(&line, &connector.definition.decode, &Arena::new(), &refine);
        (time.map(|time| time.to_rfc3339()), item)
    }

    #[test]
    fn a_line_is_a_record_of_the_connector() {
        let (time, item) =
            read(&Kind::Record, b"{\"id\":\"e-1\",\"created_at\":\"2026-09-14T08:22:31Z\",\"x\":\"\xff\"}");
        assert_eq!(time.as_deref(), Some("2026-09-14T08:22:31+00:00"));
        assert!(item.starts_with("e-1 2026-09-14T08:22:31+00:00 {") && item.ends_with("\"\u{fffd}\"}"), "{item}");
        let (time, item) = read(&Kind::Record, b"{\"id\":\"e-1\"}");
        assert_eq!((time, item.as_str()), (None, "e-1 2026-11-25T08:00:00+00:00 {\"id\":\"e-1\"}"));
    }

    // What came from the vendor's API was a dead letter when its archive was read.
    #[test]
    fn a_line_is_mended_like_an_answer() {
        let lines = [
            (r#"{"id":"e-1","x":"\ud83d"}"#, r#"{"id":"e-1","x":"�"}"#),
            (r#"{"id":"e-1","\udc00k":1}"#, r#"{"id":"e-1","�k":1}"#),
            ("{\"id\":\"e-1\",\"x\":\"a\tb\"}", r#"{"id":"e-1","x":"a\tb"}"#),
            (r#"{"id":"e-1","x":NaN}"#, r#"{"id":"e-1","x":"NaN"}"#),
        ];
        for (line, expected) in lines {
            let expected = expected.replace("\\ufffd", "\u{fffd}");
            assert!(is_whole(line.as_bytes()), "{line}");
            let (_, item) = read(&Kind::Record, line.as_bytes());
            assert_eq!(item, format!("e-1 2026-11-25T08:00:00+00:00 {expected}"));
        }
    }

    #[test]
    fn what_is_no_record_says_where_it_stands() {
        let said = |kind, text: &str| read(&kind, text.as_bytes()).1;
        assert_eq!(
            said(Kind::Record, "{\"a\""),
            "{\"a\" (line 7 of `a.json` is not JSON at byte 4: EOF while parsing an object)"
        );
        assert_eq!(said(Kind::Record, "[1]"), "[1] (line 7 of `a.json`: expected an object, found a list)");
        assert_eq!(
            said(Kind::TooLong(5_000_000), "xx"),
            "xx (line 7 of `a.json` is too long: 5000000 bytes, of which the first are kept)"
        );
        assert_eq!(said(Kind::CutOff, "{"), "{ (line 7 of `a.json` is cut off)");
        assert_eq!(
            said(Kind::Damaged("bad checksum".to_owned()), ""),
            "{\"file\":\"a.json\",\"line\":7} (line 7 of `a.json` is where the file is damaged: bad checksum)"
        );
    }

    #[test]
    fn only_a_whole_object_is_a_whole_record() {
        let deep = format!("{{\"x\":{}{}}}", "[".repeat(500), "]".repeat(500));
        for whole in ["{}", "{\"a\":\"}\"} ", deep.as_str()] {
            assert!(is_whole(whole.as_bytes()), "{whole}");
        }
        for half in ["", "{", "{\"a\":{}", "12", "[]", "{}}", "\"{}\""] {
            assert!(!is_whole(half.as_bytes()), "{half}");
        }
    }
}
