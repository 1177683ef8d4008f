//! A record as a message: what stands before its text, by RFC 5424 or, for old receivers, RFC 3164.

use std::fmt::Write as _;

use chrono::SecondsFormat;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::format::{self, Format, Options};
use crate::{Batch, Record};

/// "notice": normal, and of meaning. What happened, and how bad it is, is in the record.
const SEVERITY: u8 = 5;

/// What ends a message that was cut short.
const CUT: &[u8] = b"...[truncated]";

/// RFC 3164 section 5.3: "the TAG is a string of ABNF alphanumeric characters that MUST NOT exceed 32 characters".
const LONGEST_TAG: usize = 32;

/// Which syslog.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum Rfc {
    /// RFC 5424: a time with its year, its milliseconds and its zone, and structured data.
    #[default]
    #[serde(rename = "5424")]
    Rfc5424,
    /// RFC 3164, the BSD syslog of old receivers: a time without any of them, taken to be UTC by nobody but us.
    #[serde(rename = "3164")]
    Rfc3164,
}

/// Which part of the system speaks, by its name in RFC 5424 section 6.2.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facility(u8);

/// A HOSTNAME: up to 255 printable ASCII characters. This machine's unless set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hostname(String);

/// An APP-NAME: up to 48 printable ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppName(String);

/// The SD-ID of our structured data: `name@number`, the number being a private enterprise number of the IANA.
///
/// 32473 is the number that RFC 5612 sets aside for examples: auditline has none of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SdId(String);

/// The codes 0 to 23.
const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp",
    "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
];

/// What is the same in every message.
pub(super) struct Header {
    pub rfc: Rfc,
    pub priority: u8,
    pub hostname: String,
    pub app_name: String,
    pub sd_id: String,
    pub format: Format,
}

/// A message cannot be cut down to its limit; this is what it takes at least.
pub(super) struct TooLarge(pub usize);

impl Header {
    /// What stands before the text.
    ///
    /// No byte order mark before the text: RFC 5424 asks for one to call it UTF-8, but RFC 8259 forbids one before
    /// JSON, and receivers that hand the message on to a JSON parser trip over it. Without one it is MSG-ANY.
    pub fn before(&self, batch: &Batch, record: &Record) -> String {
        match self.rfc {
            Rfc::Rfc5424 => self.rfc_5424(batch, record),
            Rfc::Rfc3164 => self.rfc_3164(record),
        }
    }

    /// `<PRI>1 TIMESTAMP HOSTNAME APP-NAME PROCID MSGID [SD] `, with the event's own time.
    fn rfc_5424(&self, batch: &Batch, record: &Record) -> String {
        let mut text = format!(
            "<{}>1 {} {} {} - {} [{}",
            self.priority,
            record.time.to_rfc3339_opts(SecondsFormat::Millis, true),
            self.hostname,
            self.app_name,
            printable(&batch.vendor, 32),
            self.sd_id,
        );
        push_param(&mut text, "id", &record.id);
        push_param(&mut text, "pipeline", &batch.pipeline);
        push_param(&mut text, "vendor", &batch.vendor);
        let (class, code) = format::class_and_code(record);
        for (name, value) in [("class", class), ("code", code)] {
            if let Some(value) = value {
                push_param(&mut text, name, &value);
            }
        }
        text.push_str("] ");
        text
    }

    /// `<PRI>Mmm dd hh:mm:ss HOSTNAME TAG: `, the time being the event's own, in UTC. CEF and LEEF come without a tag:
    /// their first word takes its place, as their guides have it.
    fn rfc_3164(&self, record: &Record) -> String {
        let time = record.time.format("%b %e %H:%M:%S");
        let tag = match self.format {
            Format::Json => format!("{}: ", self.app_name),
            Format::Cef | Format::Leef => String::new(),
        };
        format!("<{}>{time} {} {tag}", self.priority, self.hostname)
    }

    /// The whole message.
    pub fn message(&self, batch: &Batch, record: &Record, options: Options) -> Message {
        let mut text = self.before(batch, record).into_bytes();
        let before = text.len();
        text.extend_from_slice(&self.format.write(batch, record, options));
        Message { text, before }
    }
}

/// A message and where its text begins.
pub(super) struct Message {
    pub text: Vec<u8>,
    before: usize,
}

impl Message {
    /// Shortens the message to `max` bytes, between two characters and with a mark at its end. What stands before the
    /// text is never cut: a receiver could not read what is left.
    pub fn cut(&mut self, max: usize) -> Result<(), TooLarge> {
        if self.text.len() <= max {
            return Ok(());
        }
        let Some(mut end) = max.checked_sub(CUT.len()).filter(|end| *end >= self.before) else {
            return Err(TooLarge(self.before + CUT.len()));
        };
        let continues = |byte: u8| byte & 0b1100_0000 == 0b1000_0000;
        while end > self.before && continues(self.text[end]) {
            end -= 1;
        }
        // Half of an escape would be one of the mark's first character.
        let escapes = self.text[self.before..end].iter().rev().take_while(|byte| **byte == b'\\').count();
        end -= escapes % 2;
        self.text.truncate(end);
        self.text.extend_from_slice(CUT);
        Ok(())
    }

    /// Takes out what a receiver that reads line by line would take for the end of the message.
    pub fn in_one_line(&mut self) {
        for byte in &mut self.text {
            if matches!(byte, b'\n' | b'\r' | 0) {
                *byte = b' ';
            }
        }
    }
}

/// Whether a receiver of RFC 3164 takes the whole of this name for the tag.
pub(super) fn is_tag(name: &AppName) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'/');
    name.0.len() <= LONGEST_TAG && name.0.bytes().all(fits)
}

impl Facility {
    /// `<PRI>` without its brackets.
    pub(super) fn priority(self) -> u8 {
        self.0 * 8 + SEVERITY
    }
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

impl Default for SdId {
    fn default() -> Self {
        Self("auditline@32473".to_owned())
    }
}

impl<'de> Deserialize<'de> for SdId {
    /// RFC 5424 section 6.3.2: a name with an `@` and an enterprise number.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let fits = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'=' | b']' | b'"' | b'@');
        let is_number = |text: &str| {
            !text.is_empty()
                && text.split('.').all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
        };
        match text.split_once('@') {
            Some((name, number))
                if text.len() <= 32 && !name.is_empty() && name.bytes().all(fits) && is_number(number) =>
            {
                Ok(Self(text))
            }
            _ => Err(D::Error::custom(format!(
                "expected a name and an enterprise number as in `auditline@32473`, 32 characters at most, found `{text}`"
            ))),
        }
    }
}

impl Hostname {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl AppName {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl SdId {
    pub(super) fn as_str(&self) -> &str {
        &self.0
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

    fn header(rfc: Rfc, format: Format) -> Header {
        Header {
            rfc,
            priority: Facility::default().priority(),
            hostname: "host.example".to_owned(),
            app_name: AppName::default().0,
            sd_id: SdId::default().0,
            format,
        }
    }

    fn options() -> Options {
        Options { include_json: true, leef_delimiter: Default::default() }
    }

    fn message_of(header: &Header, pipeline: &str, id: &str, json: &str) -> Message {
        let mut batch = contract::batch_of(pipeline, 1, [json]);
        batch.records[0].id = id.to_owned();
        header.message(&batch, &batch.records[0], options())
    }

    fn message(pipeline: &str, id: &str) -> String {
        let message = message_of(&header(Rfc::Rfc5424, Format::Json), pipeline, id, r#"{"n":1}"#);
        String::from_utf8(message.text).unwrap()
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
    fn class_and_code_are_structured_data_too() {
        let json = r#"{"class_uid":3001,"metadata":{"event_code":"user \"in\"]"}}"#;
        let message = message_of(&header(Rfc::Rfc5424, Format::Json), "p", "1", json);
        let text = String::from_utf8(message.text).unwrap();
        assert!(text.contains(r#" vendor="example" class="3001" code="user \"in\"\]"] {"#), "{text}");
    }

    #[test]
    fn a_message_is_as_rfc_3164_has_it() {
        let json = r#"{"n":1}"#;
        let text = |format| {
            let message = message_of(&header(Rfc::Rfc3164, format), "corp", "evt-1", json);
            String::from_utf8(message.text).unwrap()
        };
        assert_eq!(text(Format::Json), "<109>Mar 14 09:26:54 host.example auditline: {\"n\":1}");
        assert!(text(Format::Cef).starts_with("<109>Mar 14 09:26:54 host.example CEF:0|example|"));
        assert!(text(Format::Leef).starts_with("<109>Mar 14 09:26:54 host.example LEEF:2.0|example|"));
    }

    #[test]
    fn the_day_of_the_month_has_two_places() {
        let mut batch = contract::batch_of("p", 1, ["{}"]);
        batch.records[0].time = "2026-03-04T05:06:07Z".parse().unwrap();
        let before = header(Rfc::Rfc3164, Format::Json).before(&batch, &batch.records[0]);
        assert_eq!(before, "<109>Mar  4 05:06:07 host.example auditline: ");
    }

    #[test]
    fn cuts_between_characters_and_says_so() {
        let cut = |text: &str, before: usize, max: usize| {
            let mut message = Message { text: text.as_bytes().to_vec(), before };
            message.cut(max).map(|()| String::from_utf8(message.text).unwrap()).map_err(|TooLarge(least)| least)
        };
        let text = format!("h aüü{}", "x".repeat(20));
        assert_eq!(cut(&text, 2, 60), Ok(text.clone()));
        for (max, kept) in [(21, "h aüü"), (20, "h aü"), (19, "h aü"), (18, "h a"), (17, "h a"), (16, "h ")] {
            assert_eq!(cut(&text, 2, max), Ok(format!("{kept}...[truncated]")), "{max}");
        }
        assert_eq!(cut(&text, 2, 15), Err(16));
        let escapes = format!("h a\\\\\\{}", "x".repeat(20));
        assert_eq!(cut(&escapes, 2, 20), Ok(r"h a\\...[truncated]".to_owned()));
    }

    #[test]
    fn a_line_has_no_end_within() {
        let mut message = Message { text: b"a\nb\r\0c".to_vec(), before: 0 };
        message.in_one_line();
        assert_eq!(message.text, b"a b  c");
    }

    #[test]
    fn an_sd_id_is_a_name_and_a_number() {
        let sd_id = |text: &str| serde_json::from_value::<SdId>(json!(text)).map(|it| it.0);
        assert_eq!(sd_id("corp@32473.1.2").unwrap(), "corp@32473.1.2");
        for text in ["", "corp", "@1", "corp@", "corp@x", "a b@1", "a]@1", "a=@1", "a\"@1", "a@b@1", "ü@1"] {
            assert!(sd_id(text).is_err(), "{text}");
        }
        assert!(sd_id(&format!("{}@1", "x".repeat(31))).is_err());
    }

    #[test]
    fn a_tag_has_no_colon_and_no_bracket() {
        let name = |text: &str| AppName(text.to_owned());
        assert!(is_tag(&name("auditline")) && is_tag(&name("a-b_c.d/e")));
        assert!(!is_tag(&name("a:b")) && !is_tag(&name("a[1]")) && !is_tag(&name(&"x".repeat(33))));
    }

    #[test]
    fn facilities_go_by_name() {
        let facility = |name: &str| serde_json::from_value::<Facility>(json!(name)).map(|it| it.0);
        assert_eq!(facility("audit").unwrap(), 13);
        assert_eq!(facility("local7").unwrap(), 23);
        assert!(facility("local8").unwrap_err().to_string().contains("unknown facility `local8`"));
    }
}
