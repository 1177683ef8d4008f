//! A record as an RFC 5424 message.

use std::fmt::Write as _;

use chrono::SecondsFormat;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::{Batch, Record};

/// "notice": normal, and of meaning. What happened, and how bad it is, is in the record.
const SEVERITY: u8 = 5;

/// Which part of the system speaks, by its name in RFC 5424 section 6.2.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facility(u8);

/// A HOSTNAME: up to 255 printable ASCII characters. This machine's unless set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hostname(String);

/// An APP-NAME: up to 48 printable ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppName(String);

/// The codes 0 to 23.
const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp",
    "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
];

/// What is the same in every message.
pub(super) struct Header {
    priority: u8,
    hostname: String,
    app_name: String,
}

impl Header {
    pub fn new(facility: Facility, hostname: &Hostname, app_name: &AppName) -> Self {
        Self { priority: facility.0 * 8 + SEVERITY, hostname: hostname.0.clone(), app_name: app_name.0.clone() }
    }

    /// `<PRI>1 TIMESTAMP HOSTNAME APP-NAME PROCID MSGID [SD] MSG`, with the event's own time.
    ///
    /// No byte order mark before the message: RFC 5424 asks for one to call it UTF-8, but RFC 8259 forbids one before
    /// JSON, and receivers that hand the message on to a JSON parser trip over it. Without one it is MSG-ANY.
    ///
    /// 32473 is the enterprise number that RFC 5612 sets aside for examples: auditline has none of its own.
    pub fn message(&self, batch: &Batch, record: &Record) -> Vec<u8> {
        let mut text = format!(
            "<{}>1 {} {} {} - {} [auditline@32473",
            self.priority,
            record.time.to_rfc3339_opts(SecondsFormat::Millis, true),
            self.hostname,
            self.app_name,
            printable(&batch.vendor, 32),
        );
        push_param(&mut text, "id", &record.id);
        push_param(&mut text, "pipeline", &batch.pipeline);
        push_param(&mut text, "vendor", &batch.vendor);
        text.push_str("] ");
        let mut message = text.into_bytes();
        message.extend_from_slice(&record.json);
        message
    }
}

/// Shortens a message to `max` bytes, between two characters.
pub(super) fn truncate(message: &mut Vec<u8>, max: usize) {
    if message.len() <= max {
        return;
    }
    let continues = |byte: u8| byte & 0b1100_0000 == 0b1000_0000;
    let mut end = max;
    while end > 0 && continues(message[end]) {
        end -= 1;
    }
    message.truncate(end);
}

/// RFC 5424 section 6.3.3: `"`, `\` and `]` are escaped. Control characters are allowed there, but a receiver that
/// splits at line ends would split here.
fn push_param(text: &mut String, name: &str, value: &str) {
    let _ = write!(text, " {name}=\"");
    for char in value.chars() {
        match char {
            '"' | '\\' | ']' => text.extend(['\\', char]),
            control if control.is_control() => text.push('_'),
            other => text.push(other),
        }
    }
    text.push('"');
}

/// A header field: printable ASCII without blanks, `-` where nothing is left.
fn printable(value: &str, max: usize) -> String {
    if value.is_empty() {
        return "-".to_owned();
    }
    let fit = |char: char| if char.is_ascii_graphic() { char } else { '_' };
    value.chars().take(max).map(fit).collect()
}

fn checked<'de, D: Deserializer<'de>>(deserializer: D, max: usize) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() || text.len() > max || !text.chars().all(|char| char.is_ascii_graphic()) {
        return Err(D::Error::custom(format!(
            "expected 1 to {max} printable ASCII characters without blanks, found `{text}`"
        )));
    }
    Ok(text)
}

impl Default for Facility {
    /// "log audit", 13.
    fn default() -> Self {
        Self(13)
    }
}

impl Default for Hostname {
    fn default() -> Self {
        let name =
            std::fs::read_to_string("/proc/sys/kernel/hostname").or_else(|_| std::fs::read_to_string("/etc/hostname"));
        Self(printable(name.unwrap_or_default().trim(), 255))
    }
}

impl Default for AppName {
    fn default() -> Self {
        Self("auditline".to_owned())
    }
}

impl<'de> Deserialize<'de> for Facility {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let code = (0..).zip(FACILITIES).find(|(_, known)| *known == name);
        code.map(|(code, _)| Self(code)).ok_or_else(|| {
            D::Error::custom(format!("unknown facility `{name}`: expected one of {}", FACILITIES.join(", ")))
        })
    }
}

impl<'de> Deserialize<'de> for Hostname {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        checked(deserializer, 255).map(Self)
    }
}

impl<'de> Deserialize<'de> for AppName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        checked(deserializer, 48).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::contract;

    fn message(pipeline: &str, id: &str) -> String {
        let header = Header::new(Facility::default(), &Hostname("host.example".into()), &AppName::default());
        let mut batch = contract::batch_of(pipeline, 1, [r#"{"n":1}"#]);
        batch.records[0].id = id.to_owned();
        String::from_utf8(header.message(&batch, &batch.records[0])).unwrap()
    }

    #[test]
    fn a_message_is_as_rfc_5424_has_it() {
        assert_eq!(
            message("corp", "evt-1"),
            "<109>1 2026-03-14T09:26:54.589Z host.example auditline - example \
             [auditline@32473 id=\"evt-1\" pipeline=\"corp\" vendor=\"example\"] {\"n\":1}"
        );
    }

    #[test]
    fn values_cannot_leave_their_quotes() {
        assert_eq!(
            message("a b", "x\"] [y z=\"\\\n\u{85}ü"),
            "<109>1 2026-03-14T09:26:54.589Z host.example auditline - example \
             [auditline@32473 id=\"x\\\"\\] [y z=\\\"\\\\__ü\" pipeline=\"a b\" vendor=\"example\"] {\"n\":1}"
        );
    }

    #[test]
    fn header_fields_are_printable_ascii() {
        assert_eq!(printable("", 32), "-");
        assert_eq!(printable("a b\u{fc}", 32), "a_b_");
        assert_eq!(printable(&"x".repeat(40), 32).len(), 32);
    }

    #[test]
    fn cuts_between_characters() {
        for (max, cut) in [(7, "aüü"), (5, "aüü"), (4, "aü"), (3, "aü"), (2, "a"), (1, "a"), (0, "")] {
            let mut message = "aüü".as_bytes().to_vec();
            truncate(&mut message, max);
            assert_eq!(message, cut.as_bytes(), "{max}");
        }
    }

    #[test]
    fn facilities_go_by_name() {
        let facility = |name: &str| serde_json::from_value::<Facility>(json!(name)).map(|it| it.0);
        assert_eq!(facility("audit").unwrap(), 13);
        assert_eq!(facility("local7").unwrap(), 23);
        assert!(facility("local8").unwrap_err().to_string().contains("unknown facility `local8`"));
    }
}
