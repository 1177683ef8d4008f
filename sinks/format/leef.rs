//! IBM QRadar's Log Event Extended Format, version 2.0, as IBM's guide to it has it.
//!
//! LEEF has no escaping. So what would end a field is replaced where it is met: `|` in the header by `_`, the delimiter
//! and line breaks in an attribute by a blank. In the JSON that travels along, the delimiter is written as JSON's
//! `\u005e`, so that nothing of it is lost.

use std::fmt::Write as _;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::facts::{Fact, Facts};
use super::in_one_line;
use crate::{Batch, Record};

/// What stands between two attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delimiter(char);

/// Those that JSON has inside its texts only.
const DELIMITERS: &str = "^~!#$%&*;?@|<>`";

/// IBM: "The EventID field cannot exceed 255 characters."
const LONGEST_EVENT_ID: usize = 255;

/// Attributes that take a fact as it is, in the order they are written. IBM's own keys first.
#[rustfmt::skip]
const ATTRIBUTES: &[(&str, Fact)] = &[
    ("cat", Fact::Category),
    ("accountName", Fact::TargetName),
    ("role", Fact::ActorKind),
    ("domain", Fact::ActorDomain),
    ("realm", Fact::Tenant),
    ("src", Fact::SourceIp),
    ("srcPort", Fact::SourcePort),
    ("dst", Fact::DestinationIp),
    ("dstPort", Fact::DestinationPort),
    ("url", Fact::Url),
    ("resource", Fact::ObjectName),
    ("groupID", Fact::Group),
    ("name", Fact::Name),
    ("action", Fact::Action),
    ("outcome", Fact::Outcome),
    ("reason", Fact::Reason),
    ("msg", Fact::Message),
    ("usrId", Fact::ActorId),
    ("usrApp", Fact::ActorApp),
    ("accountId", Fact::TargetId),
    ("srcHost", Fact::SourceHost),
    ("dstHost", Fact::DestinationHost),
    ("service", Fact::Service),
    ("method", Fact::Method),
    ("userAgent", Fact::UserAgent),
    ("referrer", Fact::Referrer),
    ("resourceId", Fact::ObjectId),
    ("resourceType", Fact::ObjectKind),
    ("privileges", Fact::Privileges),
    ("correlationId", Fact::Correlation),
    ("classUid", Fact::Class),
    ("typeUid", Fact::Type),
    ("log", Fact::Log),
];

/// One record as a line of LEEF. An event that cannot be looked into travels as JSON even without `include_json`.
#[must_use]
pub fn write(batch: &Batch, record: &Record, include_json: bool, delimiter: Delimiter) -> String {
    let facts = Facts::of(record);
    let head = facts.head(batch);
    let code: String = head.code.chars().take(LONGEST_EVENT_ID).collect();
    let mut text = String::from("LEEF:2.0");
    for field in [&*head.vendor, &head.product, &head.version, &code] {
        text.push('|');
        text.extend(field.chars().map(|char| if char == '|' { '_' } else { plain(char) }));
    }
    let _ = write!(text, "|{}|", delimiter.in_header());
    // The zone is written, for QRadar would take its own; and a form, for not every time is an epoch of 13 digits.
    let time = record.time.format("%Y-%m-%dT%H:%M:%S%.3f+0000");
    let mut line = Line { text, delimiter, is_first: true };
    line.push("devTime", &time.to_string());
    line.push("devTimeFormat", "yyyy-MM-dd'T'HH:mm:ss.SSSZ");
    if let Some(severity) = facts.severity() {
        line.push("sev", &severity.to_string());
    }
    // Who signs in is the target of some vendors' events, without an actor.
    let user = [Fact::ActorName, Fact::ActorId, Fact::TargetName, Fact::TargetId];
    if let Some(name) = user.into_iter().find_map(|fact| facts.get(fact)) {
        line.push("usrName", &name);
    }
    for (key, fact) in ATTRIBUTES {
        if let Some(value) = facts.get(*fact) {
            line.push(key, &value);
        }
    }
    if facts.is_sign_in()
        && let Some(address) = facts.get(Fact::SourceIp)
    {
        line.push("identSrc", &address);
        if let Some(host) = facts.get(Fact::SourceHost) {
            line.push("identHostName", &host);
        }
    }
    line.push("recordId", &record.id);
    line.push("pipeline", &batch.pipeline);
    if include_json || !facts.are_readable() {
        line.push_json("auditlineEvent", &in_one_line(record));
    }
    line.text
}

struct Line {
    text: String,
    delimiter: Delimiter,
    is_first: bool,
}

impl Line {
    fn push(&mut self, key: &str, value: &str) {
        if value.is_empty() {
            return;
        }
        self.push_key(key);
        let delimiter = self.delimiter.0;
        self.text.extend(value.chars().map(|char| if char == delimiter { ' ' } else { plain(char) }));
    }

    fn push_json(&mut self, key: &str, json: &str) {
        self.push_key(key);
        let delimiter = self.delimiter.0;
        for char in json.chars() {
            if char == delimiter {
                let _ = write!(self.text, "\\u{:04x}", u32::from(char));
            } else {
                self.text.push(char);
            }
        }
    }

    fn push_key(&mut self, key: &str) {
        if !self.is_first {
            self.text.push(self.delimiter.0);
        }
        self.is_first = false;
        self.text.push_str(key);
        self.text.push('=');
    }
}

fn plain(char: char) -> char {
    match char {
        '\t' | '\n' | '\r' => ' ',
        control if control.is_control() => '_',
        other => other,
    }
}

impl Delimiter {
    /// As IBM wants it: the character, or its number in hexadecimal digits.
    fn in_header(self) -> String {
        match self.0 {
            '\t' | '|' => format!("x{:02X}", u32::from(self.0)),
            other => other.to_string(),
        }
    }
}

impl Default for Delimiter {
    /// The tab, LEEF's own.
    fn default() -> Self {
        Self('\t')
    }
}

impl<'de> Deserialize<'de> for Delimiter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut chars = text.chars();
        match (chars.next(), chars.next()) {
            _ if text == "tab" => Ok(Self('\t')),
            (Some(char), None) if char == '\t' || DELIMITERS.contains(char) => Ok(Self(char)),
            _ => Err(D::Error::custom(format!("expected `tab` or one of `{DELIMITERS}`, found `{text}`"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::contract;

    fn written(json: &str, include_json: bool, delimiter: char) -> String {
        let batch = contract::batch_of("corp", 1, [json]);
        write(&batch, &batch.records[0], include_json, Delimiter(delimiter))
    }

    #[test]
    fn a_sign_in_is_where_a_rule_looks_for_it() {
        let json = r#"{"activity_name":"Logon","actor":{"user":{"name":"anna^x\ty"}},"class_name":"Authentication","class_uid":3002,"metadata":{"event_code":"user|in","product":{"name":"Okta","vendor_name":"Okta"}},"severity_id":1,"src_endpoint":{"ip":"192.0.2.7"},"status":"Success","type_uid":300201,"type_name":"Authentication: Logon"}"#;
        assert_eq!(
            written(json, false, '^'),
            "LEEF:2.0|Okta|Okta|-|user_in|^|devTime=2026-03-14T09:26:54.589+0000^devTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSZ\
             ^sev=1^usrName=anna x y^cat=Authentication^src=192.0.2.7^name=Authentication: Logon^action=Logon\
             ^outcome=Success^classUid=3002^typeUid=300201^identSrc=192.0.2.7^recordId=corp-1^pipeline=corp"
        );
    }

    #[test]
    fn the_json_keeps_its_delimiters() {
        let text = written(r#"{"a":"x^y\tz"}"#, true, '^');
        assert!(text.ends_with(r#"^auditlineEvent={"a":"x\u005ey\tz"}"#), "{text}");
        let text = written("{\"a\":\t\"x^y\"}", true, '\t');
        assert!(text.starts_with("LEEF:2.0|example|example|-|record|x09|devTime="), "{text}");
        assert!(text.ends_with("\tauditlineEvent={\"a\": \"x^y\"}"), "{text}");
    }

    #[test]
    fn delimiters_are_such_as_json_has_in_texts_only() {
        for (text, header) in [("tab", "x09"), ("^", "^"), ("|", "x7C")] {
            let delimiter: Delimiter = serde_json::from_value(json!(text)).unwrap();
            assert_eq!(delimiter.in_header(), header);
        }
        for text in ["", ",", "=", "\"", "\\", "a", "1", "^^", " ", "ü"] {
            assert!(serde_json::from_value::<Delimiter>(json!(text)).is_err(), "{text}");
        }
    }
}
