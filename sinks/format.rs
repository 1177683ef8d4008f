//! Forms of an event that older SIEMs read in place of JSON: one line of text each, made of a record's JSON and nothing
//! else.
//!
//! Neither has a place for everything an OCSF or ECS event says, so the whole JSON travels along in one field,
//! `auditlineEvent`, unless that is turned off. What the fields are made of is told by the table in `facts.rs`.

pub mod cef;
mod facts;
pub mod leef;

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer as _, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::{Batch, Record};

/// How a record is written into a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// The record's JSON as it is.
    #[default]
    Json,
    /// ArcSight's Common Event Format, version 0.
    Cef,
    /// QRadar's Log Event Extended Format, version 2.0.
    Leef,
}

/// What a format may be told.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Whether CEF and LEEF carry the whole JSON as well.
    pub include_json: bool,
    /// What stands between two attributes of LEEF.
    pub leef_delimiter: leef::Delimiter,
}

impl Format {
    /// The text of one record, without a line break at its end.
    #[must_use]
    pub fn write<'a>(self, batch: &Batch, record: &'a Record, options: Options) -> Cow<'a, [u8]> {
        match self {
            Self::Json => Cow::Borrowed(&record.json),
            Self::Cef => Cow::Owned(cef::write(batch, record, options.include_json).into_bytes()),
            Self::Leef => {
                Cow::Owned(leef::write(batch, record, options.include_json, options.leef_delimiter).into_bytes())
            }
        }
    }
}

/// OCSF's class of an event and the vendor's word for it, where OCSF and ECS have them. Reads no more of the JSON than
/// that, and no further: it is asked of each message, and an event of ours has both near its beginning.
#[must_use]
pub fn class_and_code(record: &Record) -> (Option<String>, Option<String>) {
    let mut event = Event::default();
    // What ends the reading early is an error, too.
    let _ = serde_json::Deserializer::from_slice(&record.json).deserialize_map(&mut event);
    let class = event.class.or_else(|| ocsf(event.auditline)?.class);
    let code = event.code.or_else(|| within(event.event)?.code);
    let text =
        |json: Option<&RawValue>| facts::scalar(json?.get()).filter(|text| !text.is_empty()).map(Cow::into_owned);
    (text(class), text(code))
}

/// As much of an event as tells its class and its code.
#[derive(Default)]
struct Event<'a> {
    class: Option<&'a RawValue>,
    /// OCSF's.
    code: Option<&'a RawValue>,
    event: Option<&'a RawValue>,
    auditline: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Within<'a> {
    #[serde(borrow)]
    event_code: Option<&'a RawValue>,
    #[serde(borrow)]
    code: Option<&'a RawValue>,
    #[serde(borrow)]
    ocsf: Option<&'a RawValue>,
}

fn within(json: Option<&RawValue>) -> Option<Within<'_>> {
    serde_json::from_str(json?.get()).ok()
}

fn ocsf(auditline: Option<&RawValue>) -> Option<Event<'_>> {
    let mut event = Event::default();
    let _ = serde_json::Deserializer::from_str(within(auditline)?.ocsf?.get()).deserialize_map(&mut event);
    Some(event)
}

impl<'a> Visitor<'a> for &mut Event<'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Name(name)) = map.next_key()? {
            match &*name {
                "class_uid" => self.class = map.next_value()?,
                "metadata" => self.code = within(map.next_value()?).and_then(|it| it.event_code),
                "event" => self.event = map.next_value()?,
                "auditline" => self.auditline = map.next_value()?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
            if self.class.is_some() && self.code.is_some() {
                return Err(A::Error::custom("nothing more is wanted"));
            }
        }
        Ok(())
    }
}

#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// JSON without the line breaks and tabs that may stand between its tokens. Of control characters, JSON has only DEL and
/// those above it in its texts, and they can be escaped there.
fn in_one_line(record: &Record) -> String {
    let mut line = String::with_capacity(record.json.len());
    for char in String::from_utf8_lossy(&record.json).trim_ascii().chars() {
        match char {
            between if between < ' ' => line.push(' '),
            control if control.is_control() => line.push_str(&format!("\\u{:04x}", u32::from(control))),
            other => line.push(other),
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract;

    #[test]
    fn class_and_code_are_found_in_ocsf_and_ecs() {
        for (json, class, code) in [
            (r#"{"class_uid":3001,"metadata":{"event_code":"user\"x"}}"#, Some("3001"), Some("user\"x")),
            (r#"{"event":{"code":"a"},"auditline":{"ocsf":{"class_uid":3002}}}"#, Some("3002"), Some("a")),
            (r#"{"class_uid":null,"metadata":[],"event":{"code":""}}"#, None, None),
            ("[]", None, None),
            ("{", None, None),
        ] {
            let batch = contract::batch_of("p", 1, [json]);
            let found = class_and_code(&batch.records[0]);
            assert_eq!((found.0.as_deref(), found.1.as_deref()), (class, code), "{json}");
        }
    }
}
