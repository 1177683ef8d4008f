//! What a service wants around each event: `record = { message = "{json}", source = "{vendor}" }`.

use std::fmt::Write as _;

use bytes::Bytes;
use chrono::SecondsFormat;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::template::{Piece, pieces};
use crate::{Batch, Record};

/// A JSON value with placeholders in its texts. Keys are as they stand.
///
/// `{id}`, `{time}` (RFC 3339), `{time_s}`, `{time_ms}`, `{vendor}`, `{pipeline}` and `{json}`, the event's JSON as text,
/// may stand within a text. `{event}` is the event as JSON and so a value of its own. A text that is `{time_s}` or
/// `{time_ms}` and nothing more becomes a number.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordTemplate(Node);

#[derive(Clone, Debug, PartialEq)]
enum Node {
    /// JSON as it is.
    Fixed(String),
    Text(Vec<Part>),
    /// Not in quotes.
    Bare(Field),
    Array(Vec<Node>),
    Object(Vec<(String, Node)>),
}

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Text(String),
    Field(Field),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Id,
    Time,
    TimeSeconds,
    TimeMillis,
    Vendor,
    Pipeline,
    Json,
    Event,
}

const KNOWN: &str =
    "`{id}`, `{time}`, `{time_s}`, `{time_ms}`, `{vendor}`, `{pipeline}`, `{json}` or, alone, `{event}`";

impl RecordTemplate {
    /// The template, or why it is none.
    pub fn new(value: &Value) -> Result<Self, String> {
        match value {
            Value::Object(_) => Node::new(value).map(Self),
            _ => Err("expected a table such as `{ message = \"{json}\" }`".to_owned()),
        }
    }

    /// The JSON of one record, without a line break.
    #[must_use]
    pub fn render(&self, batch: &Batch, record: &Record) -> Bytes {
        let mut json = String::with_capacity(record.json.len() + record.json.len() / 8 + 256);
        self.0.render(batch, record, &mut json);
        Bytes::from(json)
    }
}

impl Node {
    fn new(value: &Value) -> Result<Self, String> {
        Ok(match value {
            Value::String(text) => Self::of_text(text)?,
            Value::Array(items) => Self::Array(items.iter().map(Self::new).collect::<Result<_, _>>()?),
            Value::Object(entries) => {
                let entry = |(key, value): (&String, &Value)| -> Result<(String, Self), String> {
                    Ok((quoted(key), Self::new(value)?))
                };
                Self::Object(entries.iter().map(entry).collect::<Result<_, _>>()?)
            }
            fixed => Self::Fixed(fixed.to_string()),
        })
    }

    fn of_text(text: &str) -> Result<Self, String> {
        let parts = parts(text)?;
        match parts.as_slice() {
            [Part::Field(field @ (Field::Event | Field::TimeSeconds | Field::TimeMillis))] => {
                return Ok(Self::Bare(*field));
            }
            _ if parts.contains(&Part::Field(Field::Event)) => {
                return Err("`{event}` is JSON and so stands alone: within a text, write `{json}`".to_owned());
            }
            _ => {}
        }
        let fixed: Option<String> = parts
            .iter()
            .map(|part| match part {
                Part::Text(text) => Some(text.as_str()),
                Part::Field(_) => None,
            })
            .collect();
        Ok(fixed.map_or(Self::Text(parts), |text| Self::Fixed(quoted(&text))))
    }

    fn render(&self, batch: &Batch, record: &Record, to: &mut String) {
        match self {
            Self::Fixed(json) => to.push_str(json),
            Self::Bare(field) => field.write(batch, record, to),
            Self::Text(parts) => {
                let mut text = String::new();
                for part in parts {
                    match part {
                        Part::Text(literal) => text.push_str(literal),
                        Part::Field(field) => field.write(batch, record, &mut text),
                    }
                }
                to.push_str(&quoted(&text));
            }
            Self::Array(items) => {
                to.push('[');
                for (at, item) in items.iter().enumerate() {
                    if at > 0 {
                        to.push(',');
                    }
                    item.render(batch, record, to);
                }
                to.push(']');
            }
            Self::Object(entries) => {
                to.push('{');
                for (at, (key, value)) in entries.iter().enumerate() {
                    if at > 0 {
                        to.push(',');
                    }
                    to.push_str(key);
                    to.push(':');
                    value.render(batch, record, to);
                }
                to.push('}');
            }
        }
    }
}

impl Field {
    fn named(name: &str) -> Result<Self, String> {
        Ok(match name {
            "id" => Self::Id,
            "time" => Self::Time,
            "time_s" => Self::TimeSeconds,
            "time_ms" => Self::TimeMillis,
            "vendor" => Self::Vendor,
            "pipeline" => Self::Pipeline,
            "json" => Self::Json,
            "event" => Self::Event,
            _ => return Err(format!("unknown placeholder `{{{name}}}`: expected {KNOWN}")),
        })
    }

    fn write(self, batch: &Batch, record: &Record, to: &mut String) {
        match self {
            Self::Id => to.push_str(&record.id),
            Self::Time => to.push_str(&record.time.to_rfc3339_opts(SecondsFormat::Millis, true)),
            Self::TimeSeconds => push_number(to, record.time.timestamp()),
            Self::TimeMillis => push_number(to, record.time.timestamp_millis()),
            Self::Vendor => to.push_str(&batch.vendor),
            Self::Pipeline => to.push_str(&batch.pipeline),
            // A record is JSON, and so UTF-8.
            Self::Json | Self::Event => to.push_str(&String::from_utf8_lossy(&record.json)),
        }
    }
}

fn push_number(to: &mut String, number: i64) {
    let _ = write!(to, "{number}");
}

fn parts(text: &str) -> Result<Vec<Part>, String> {
    let part = |piece| match piece {
        Piece::Text(text) => Ok(Part::Text(text)),
        Piece::Name(name) => Field::named(name).map(Part::Field),
    };
    pieces(text).map_err(|error| error.to_string())?.into_iter().map(part).collect()
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

impl<'de> Deserialize<'de> for RecordTemplate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(&Value::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::contract::batch_of;

    fn rendered(template: Value) -> Value {
        let batch = batch_of("audit", 7, [r#"{"who":"a \"b\" c"}"#]);
        let template: RecordTemplate = serde_json::from_value(template).unwrap();
        serde_json::from_slice(&template.render(&batch, &batch.records[0])).unwrap()
    }

    #[test]
    fn fills_every_placeholder_and_keeps_the_rest() {
        let template = json!({
            "message": "{json}", "event": "{event}", "ddtags": "vendor:{vendor},pipeline:{pipeline}", "id": "{id}",
            "TimeGenerated": "{time}", "at": "{time_ms}", "seconds": "{time_s}", "text": "at {time_s}",
            "literal": "{{id}}", "n": 7, "yes": true, "list": ["{id}", {"deep": "{event}"}], "": "",
        });
        let event = json!({"who": "a \"b\" c"});
        let expected = json!({
            "message": r#"{"who":"a \"b\" c"}"#, "event": event, "ddtags": "vendor:example,pipeline:audit",
            "id": "audit-7", "TimeGenerated": "2026-03-14T09:27:00.589Z", "at": 1_773_480_420_589_u64,
            "seconds": 1_773_480_420, "text": "at 1773480420", "literal": "{id}", "n": 7, "yes": true,
            "list": ["audit-7", {"deep": event}], "": "",
        });
        assert_eq!(rendered(template), expected);
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (template, expected) in [
            (json!({ "a": "{tme}" }), "unknown placeholder `{tme}`: expected `{id}`"),
            (json!({ "a": "x {event}" }), "`{event}` is JSON and so stands alone"),
            (json!({ "a": ["{id"] }), "`{` is never closed"),
            (json!({ "a": "id}" }), "`}` closes nothing"),
            (json!("{event}"), "expected a table"),
        ] {
            let error = RecordTemplate::new(&template).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
