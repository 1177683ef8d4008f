//! From an answer's body to records: where they stand, what they are called, when they happened.

mod lines;

use std::borrow::Cow;

use chrono::{DateTime, Datelike as _, Utc};

use super::download;
use crate::connector::model::{Decode, Format, OwnReads};
use crate::event::{Arena, Event, Member, Path, Value, fingerprint, json, time};

/// A record as the vendor gave it.
#[derive(Clone, Copy, Debug)]
pub enum Raw<'a> {
    /// One that has what an event needs.
    Event(Event<'a>),
    /// One that is none.
    Unreadable {
        /// What stands in its place, as JSON.
        text: &'a str,
        /// Why it is no event.
        reason: &'a str,
    },
}

/// What stands where a record is expected.
#[derive(Clone, Copy, Debug)]
pub enum Found<'a> {
    /// A JSON value.
    Value(Value<'a>),
    /// Something else: see [`Raw::Unreadable`].
    Unreadable {
        /// What stands there, as JSON.
        text: &'a str,
        /// Why it is no record.
        reason: &'a str,
    },
}

/// Takes what is found, which is gone when it returns.
pub type Each<'e> = dyn for<'i> FnMut(Found<'i>, &'i Arena) + 'e;

/// Decodes a page and hands out its records, each gone when the next one comes. Text that is not UTF-8 is read with the
/// replacement character where it is broken.
///
/// # Errors
/// When the body is not what the connector says: what was handed out until then is not to be kept. It may be readable
/// after [`mend`](crate::event::mend).
pub fn page<'a>(
    body: &[u8],
    decode: &Decode,
    arena: &'a Arena,
    each: &mut Each<'_>,
) -> Result<json::Around<'a>, json::JsonError> {
    // Asked first whether it is UTF-8, for that is answered much faster.
    let text = std::str::from_utf8(body).map_or_else(|_| String::from_utf8_lossy(body), Cow::Borrowed);
    match decode.format {
        Format::Json => {
            let mut each = |value: Value<'_>, arena: &Arena| each(Found::Value(value), arena);
            json::decode_around(text.as_bytes(), decode.records.as_deref(), arena, Some(&mut each))
        }
        Format::Ndjson => lines::each(&text, each).map(|items| json::Around { rest: Value::Null, items: Some(items) }),
    }
}

/// What an answer that is no page looks like, for a person: `HTML` where a login page or a proxy answered.
#[must_use]
pub fn seems_to_be(body: &[u8]) -> &'static str {
    let start = String::from_utf8_lossy(&body[..body.len().min(512)])
        .trim_start_matches('\u{feff}')
        .trim_start()
        .to_ascii_lowercase();
    match start.as_str() {
        "" => "nothing",
        html if html.starts_with("<!doctype html") || html.starts_with("<html") => "a web page (HTML)",
        xml if xml.starts_with('<') => "XML",
        json if json.starts_with(['{', '[']) => "broken JSON",
        _ => "something that is not JSON",
    }
}

/// What is said of an answer that is no page because of `error`. Goes on from the vendor's name.
#[must_use]
pub fn no_page(body: &[u8], error: &json::JsonError) -> String {
    format!("answered with {}: {error}", seems_to_be(body))
}

/// What is said of an answer that has no list of records. Goes on from the vendor's name.
#[must_use]
pub fn no_list(decode: &Decode) -> String {
    match &decode.records {
        Some(path) => format!("answered without the list `{path}`"),
        None => "answered with something that is no list".to_owned(),
    }
}

/// Why a file is no list of records.
#[derive(Debug, thiserror::Error)]
pub enum CsvError {
    /// Its lines do not fit together.
    #[error(transparent)]
    Broken(#[from] csv::Error),
    /// It is about something else.
    #[error("its first line names neither {0}")]
    Foreign(String),
}

/// Reads a CSV file with a header line into records. The separator is the one the header line uses. A file without any
/// line has no records.
///
/// # Errors
/// Says which line is broken, or that the header line names neither id nor time: an error page has lines too.
pub fn csv<'a>(text: &[u8], decode: &Decode, arena: &'a Arena) -> Result<Vec<Value<'a>>, CsvError> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let mut reader = csv::ReaderBuilder::new().delimiter(separator(text)).from_reader(text);
    let columns: Vec<&'a str> = reader.headers()?.iter().map(|name| &*arena.alloc_str(name.trim())).collect();
    let expected = || decode.id.iter().chain(&decode.time).filter_map(|path| path.parts().first());
    if !columns.is_empty() && expected().count() > 0 && !expected().any(|name| columns.contains(&name.as_str())) {
        let names: Vec<String> = expected().map(|name| format!("`{name}`")).collect();
        return Err(CsvError::Foreign(names.join(" nor ")));
    }
    let mut records = Vec::new();
    for row in reader.byte_records() {
        let row = row?;
        let mut members = Vec::with_capacity(columns.len());
        for (column, cell) in columns.iter().copied().zip(row.iter()) {
            // An empty cell is what JSON leaves out.
            if !cell.is_empty() {
                let text = arena.alloc_str(&String::from_utf8_lossy(cell));
                let is_number = decode.numbers.iter().any(|name| name == column) && text.parse::<i64>().is_ok();
                members.push(Member::new(column, if is_number { Value::Number(text) } else { Value::String(text) }));
            }
        }
        records.push(Value::Object(arena.alloc_slice_copy(&members)));
    }
    Ok(records)
}

/// Reads a CSV file as [`csv`] does, unless something says that it is only a part of one.
///
/// # Errors
/// What says so, or that it is no CSV. The sentence goes on from "a file".
pub fn whole_csv<'a>(
    text: &[u8],
    announced: Option<u64>,
    decode: &Decode,
    arena: &'a Arena,
) -> Result<Vec<Value<'a>>, String> {
    match download::flaw(text, separator(text), announced) {
        Some(flaw) => Err(flaw),
        None => csv(text, decode, arena).map_err(|error| format!("that is no CSV: {error}")),
    }
}

/// The separator of a CSV file: the one its header line uses.
pub fn separator(text: &[u8]) -> u8 {
    let header = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let count = |separator: u8| header.iter().filter(|byte| **byte == separator).count();
    if count(b';') > count(b',') { b';' } else { b',' }
}

/// Makes an event of a record. `otherwise` is its time when it has none; one whose time is in no known form is no event,
/// because every guess would put it in the wrong place.
pub fn record<'a>(record: Value<'a>, decode: &Decode, otherwise: DateTime<Utc>, arena: &'a Arena) -> Raw<'a> {
    let unreadable = |reason: String| Raw::Unreadable {
        text: arena.alloc_str(&json::to_string(&record)),
        reason: arena.alloc_str(&reason),
    };
    let Value::Object(_) = record else {
        return unreadable(format!("expected an object, found {}", record.kind()));
    };
    let body = unpack_texts(record, &decode.json_texts, arena);
    let id = match first(&decode.id, record) {
        Some(Value::String(text) | Value::Number(text)) if !text.is_empty() => text,
        _ => arena.alloc_str(&fingerprint(record, &decode.fingerprint_without)),
    };
    let times = || decode.time.iter().filter_map(|path| Some((path, path.find(record)?)));
    let time = match time_of(record, decode) {
        Some(time) => time,
        None => match times().find(|(_, value)| !value.is_empty()) {
            None => otherwise,
            Some((path, value)) => {
                return unreadable(format!("`{path}` holds no time in a known form: {}", quoted(value)));
            }
        },
    };
    Raw::Event(Event { id, time, body })
}

/// When a record says that it happened.
pub fn time_of(record: Value, decode: &Decode) -> Option<DateTime<Utc>> {
    let values = decode.time.iter().filter_map(|path| path.find(record));
    values.filter_map(time::parse).find(is_plausible)
}

/// A longer value is not quoted.
const LONGEST_QUOTE: usize = 60;

/// The value, whole or not at all: a part of an address would not be told as one, and not be redacted.
fn quoted(value: Value) -> String {
    let text = json::to_string(&value);
    match text.chars().count() {
        ..=LONGEST_QUOTE => text,
        length => format!("{} of {length} characters", value.kind()),
    }
}

/// Whether something was logged then. Digits that mean something else than seconds since 1970 lead elsewhere.
fn is_plausible(time: &DateTime<Utc>) -> bool {
    (1990..2200).contains(&time.year())
}

/// Whether our own reading made this entry.
pub fn is_own_read(record: Value, own: &OwnReads, user_agent: &str) -> bool {
    let text = |path: &Path| path.find(record).and_then(|value| value.as_str());
    text(&own.user_agent) == Some(user_agent) && text(&own.path).is_some_and(|path| path.starts_with(&own.is))
}

fn first<'a>(paths: &[Path], record: Value<'a>) -> Option<Value<'a>> {
    paths.iter().filter_map(|path| path.find(record)).find(|value| !value.is_empty())
}

fn unpack_texts<'a>(record: Value<'a>, names: &[String], arena: &'a Arena) -> Value<'a> {
    let Value::Object(members) = record else { return record };
    let is_packed = |member: &Member<'a>| {
        names.iter().any(|name| name == member.key)
            && member.value.as_str().is_some_and(|text| text.starts_with(['{', '[']))
    };
    if !members.iter().any(is_packed) {
        return record;
    }
    Value::Object(arena.alloc_slice_fill_iter(members.iter().map(|member| match member.value {
        Value::String(text) if is_packed(member) => {
            Member::new(member.key, json::decode(text.as_bytes(), arena).unwrap_or(member.value))
        }
        _ => *member,
    })))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connector::Connector;

    fn read(connector: &str, text: &str) -> (String, String, String) {
        let connector = Connector::embedded(connector).unwrap();
        let arena = Arena::new();
        let value = json::decode(text.as_bytes(), &arena).unwrap();
        match record(value, &connector.definition.decode, DateTime::UNIX_EPOCH, &arena) {
            Raw::Event(event) => (event.id.to_owned(), event.time.to_rfc3339(), json::to_string(&event.body)),
            Raw::Unreadable { text, reason } => (text.to_owned(), reason.to_owned(), String::new()),
        }
    }

    #[test]
    fn ids_may_be_numbers_and_texts_may_hold_json() {
        let (id, time, body) = read(
            "voximplant",
            r#"{"audit_log_id":918273,"requested":"2026-09-14 08:22:31","cmd_args":"{\"a\":[1]}","ip":"{x"}"#,
        );
        assert_eq!((id.as_str(), time.as_str()), ("918273", "2026-09-14T08:22:31+00:00"));
        assert_eq!(body, r#"{"audit_log_id":918273,"requested":"2026-09-14 08:22:31","cmd_args":{"a":[1]},"ip":"{x"}"#);
    }

    #[test]
    fn ashby_without_id_or_time_is_known_by_its_content_without_the_request() {
        let with = read("ashby", r#"{"category":"x","request":{"id":"r","ipAddress":"192.0.2.1"}}"#);
        let without = read("ashby", r#"{"category":"x","request":{"id":null,"ipAddress":null}}"#);
        assert_eq!(with.0, without.0);
        assert_eq!(with.1, "1970-01-01T00:00:00+00:00");
        assert_eq!(
            read("ashby", r#"{"id":"7","occurredAt":"2026-09-14T08:22:31.410Z"}"#).1,
            "2026-09-14T08:22:31.410+00:00"
        );
    }

    #[test]
    fn broken_text_and_bottomless_nesting_do_not_stop_a_page() {
        let rules = &Connector::embedded("telnyx").unwrap().definition.decode;
        let read = |body: &[u8]| {
            let arena = Arena::new();
            let mut records = Vec::new();
            let mut each = |found: Found<'_>, _: &Arena| {
                let Found::Value(record) = found else { panic!("{found:?}") };
                records.push(json::to_string(&record));
            };
            page(body, rules, &arena, &mut each).map(|_| ()).map(|()| records)
        };
        let deep = format!(r#"{{"data":[{{"id":"1","x":{}{}}}]}}"#, "[".repeat(500), "]".repeat(500));
        assert!(matches!(read(deep.as_bytes()), Err(json::JsonError::TooDeep { .. })));
        assert_eq!(read(&json::flatten(deep.as_bytes())).unwrap().len(), 1);
        assert_eq!(read(b"{\"data\":[{\"id\":\"\xff\"}]}").unwrap(), ["{\"id\":\"\u{fffd}\"}"]);
    }

    #[test]
    fn what_is_no_object_is_unreadable() {
        assert_eq!(
            read("telnyx", "[1]"),
            ("[1]".to_owned(), "expected an object, found a list".to_owned(), String::new())
        );
    }

    #[test]
    fn csv_is_read_with_either_separator_a_mark_and_quoted_line_breaks() {
        let connector = Connector::embedded("voximplant").unwrap();
        let arena = Arena::new();
        for separator in [",", ";"] {
            let lines = "\u{feff}audit_log_id,requested,subuser_id,cmd_args,extra\r\n1,2026-09-14 08:22:31,,\"{\"\"a\"\":1}\",\"x\ny\"\r\n";
            let text = lines.replace(',', separator);
            let records = csv(text.as_bytes(), &connector.definition.decode, &arena).unwrap();
            let expected =
                r#"[{"audit_log_id":1,"requested":"2026-09-14 08:22:31","cmd_args":"{\"a\":1}","extra":"x\ny"}]"#;
            assert_eq!(json::to_string(&Value::Array(arena.alloc_slice_copy(&records))), expected);
        }
        let rules = &connector.definition.decode;
        assert!(csv(b"audit_log_id,b\n1\n", rules, &arena).is_err());
        assert!(csv(b"", rules, &arena).unwrap().is_empty());
        // The lines of an error page fit together, too.
        let foreign = csv(b"<!doctype html>\n<p>sorry</p>\n", rules, &arena).unwrap_err();
        assert_eq!(foreign.to_string(), "its first line names neither `audit_log_id` nor `requested`");
    }

    #[test]
    fn only_our_own_reads_of_the_log_are_told_apart() {
        let connector = Connector::embedded("nirvana").unwrap();
        let own = connector.definition.decode.own_reads.clone().unwrap();
        let arena = Arena::new();
        let is_own = |text: &str| is_own_read(json::decode(text.as_bytes(), &arena).unwrap(), &own, "auditline/1 (x)");
        assert!(is_own(r#"{"path":"/v1/audit_logs?limit=100","user_agent":"auditline/1 (x)"}"#));
        assert!(!is_own(r#"{"path":"/v1/audit_logs","user_agent":"curl/8"}"#));
        assert!(!is_own(r#"{"path":"/v1/api_keys","user_agent":"auditline/1 (x)"}"#));
    }
}
