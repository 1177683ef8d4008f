//! From an answer's body to records: where they stand, what they are called, when they happened.

use chrono::{DateTime, Utc};

use crate::connector::model::{Decode, OwnReads};
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

/// Decodes a page and hands out its records, each gone when the next one comes. Text that is not UTF-8 is read with the
/// replacement character where it is broken.
///
/// # Errors
/// When the body is not JSON, or nested too deep: what was handed out until then is not to be kept. A page that is too
/// deep can be read after [`json::flatten`].
pub fn page<'a>(
    body: &[u8],
    decode: &Decode,
    arena: &'a Arena,
    each: &mut json::Each<'_>,
) -> Result<json::Around<'a>, json::JsonError> {
    json::decode_around(String::from_utf8_lossy(body).as_bytes(), &decode.records, arena, Some(each))
}

/// Reads a CSV file with a header line into records. The separator is the one the header line uses.
///
/// # Errors
/// Says which line is broken.
pub fn csv<'a>(text: &[u8], decode: &Decode, arena: &'a Arena) -> Result<Vec<Value<'a>>, csv::Error> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let header = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let count = |separator: u8| header.iter().filter(|byte| **byte == separator).count();
    let delimiter = if count(b';') > count(b',') { b';' } else { b',' };
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_reader(text);
    let columns: Vec<&'a str> = reader.headers()?.iter().map(|name| &*arena.alloc_str(name.trim())).collect();
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

/// Makes an event of a record. `otherwise` is its time when it has none.
pub fn record<'a>(record: Value<'a>, decode: &Decode, otherwise: DateTime<Utc>, arena: &'a Arena) -> Raw<'a> {
    let Value::Object(_) = record else {
        let reason = arena.alloc_str(&format!("expected an object, found {}", record.kind()));
        return Raw::Unreadable { text: arena.alloc_str(&json::to_string(&record)), reason };
    };
    let body = unpack_texts(record, &decode.json_texts, arena);
    let id = match first(&decode.id, record) {
        Some(Value::String(text) | Value::Number(text)) if !text.is_empty() => text,
        _ => arena.alloc_str(&fingerprint(record, &decode.fingerprint_without)),
    };
    let time = time_of(record, decode).unwrap_or(otherwise);
    Raw::Event(Event { id, time, body })
}

/// When a record says that it happened.
pub fn time_of(record: Value, decode: &Decode) -> Option<DateTime<Utc>> {
    decode.time.iter().filter_map(|path| path.find(record)).find_map(time::parse)
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
            let mut each = |record: Value<'_>, _: &Arena| records.push(json::to_string(&record));
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
        assert!(csv(b"a,b\n1\n", &connector.definition.decode, &arena).is_err());
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
