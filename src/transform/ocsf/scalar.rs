//! The single values OCSF knows, and what of a vendor's fits into them.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::event::{Arena, Value, time};
use crate::transform::condition::word;

/// A type of the OCSF dictionary, as far as values of it differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scalar {
    /// Any text: `string_t`, `url_t`, `hostname_t`, `username_t` and the like have no form of their own.
    Text,
    /// `boolean_t`
    Boolean,
    /// `integer_t` and `long_t`
    Integer,
    /// `port_t`
    Port,
    /// `float_t`
    Float,
    /// `timestamp_t`: milliseconds since 1970.
    Timestamp,
    /// `json_t`: anything.
    Json,
    /// `email_t`
    Email,
    /// `ip_t`
    Ip,
    /// `mac_t`
    Mac,
    /// `subnet_t`
    Subnet,
    /// `uuid_t`
    Uuid,
    /// `datetime_t`: RFC 3339.
    Datetime,
    /// `bytestring_t`: Base64.
    Bytes,
}

/// A vendor's value in the form OCSF wants.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fit<'a> {
    /// The value.
    pub value: Value<'a>,
    /// Whether all the vendor wrote is still in it, digit by digit and letter by letter.
    pub whole: bool,
}

impl Scalar {
    /// The type of that name in the dictionary.
    #[must_use]
    pub fn of_type(name: &str) -> Option<Self> {
        Some(match name {
            "boolean_t" => Self::Boolean,
            "integer_t" | "long_t" => Self::Integer,
            "port_t" => Self::Port,
            "float_t" => Self::Float,
            "timestamp_t" => Self::Timestamp,
            "json_t" => Self::Json,
            "email_t" => Self::Email,
            "ip_t" => Self::Ip,
            "mac_t" => Self::Mac,
            "subnet_t" => Self::Subnet,
            "uuid_t" => Self::Uuid,
            "datetime_t" => Self::Datetime,
            "bytestring_t" => Self::Bytes,
            "string_t" | "file_hash_t" | "file_name_t" | "file_path_t" | "hostname_t" | "process_name_t"
            | "resource_uid_t" | "url_t" | "username_t" => Self::Text,
            _ => return None,
        })
    }

    /// What it is, for messages.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::Boolean => "true or false",
            Self::Integer => "a whole number",
            Self::Port => "a port",
            Self::Float => "a number",
            Self::Timestamp => "a time",
            Self::Json => "any JSON",
            Self::Email => "an e-mail address",
            Self::Ip => "an IP address",
            Self::Mac => "a MAC address",
            Self::Subnet => "a subnet",
            Self::Uuid => "a UUID",
            Self::Datetime => "a time in RFC 3339",
            Self::Bytes => "Base64",
        }
    }

    /// `value` in the form of this type, if it can be brought into it. `null` and empty values never can.
    #[must_use]
    pub fn fit<'a>(self, value: Value<'a>, arena: &'a Arena) -> Option<Fit<'a>> {
        if value.is_empty() {
            return None;
        }
        let value = match self {
            Self::Json => value,
            Self::Boolean => boolean(value)?,
            Self::Integer => integer(value)?,
            Self::Port => integer(value).filter(|value| value.as_i64().is_some_and(|n| u16::try_from(n).is_ok()))?,
            Self::Float => match value {
                // Most readers take it for a double, and some refuse the whole event where it is none.
                Value::Number(digits) => digits.parse::<f64>().is_ok_and(f64::is_finite).then_some(value)?,
                _ => integer(value)?,
            },
            Self::Timestamp => return timestamp(value, arena),
            _ => Value::String(word(value).filter(|text| self.takes(text))?),
        };
        Some(Fit { value, whole: true })
    }

    /// Whether `text` has the form of this type, which is one of the types that are texts.
    #[must_use]
    pub fn takes(self, text: &str) -> bool {
        match self {
            Self::Email => is_email(text),
            Self::Ip => is_ip(text),
            Self::Mac => is_mac(text),
            Self::Subnet => text.len() <= 42,
            Self::Uuid => is_uuid(text),
            Self::Datetime => {
                text.as_bytes().get(10).is_some_and(|byte| *byte != b' ')
                    && chrono::DateTime::parse_from_rfc3339(text).is_ok()
            }
            Self::Bytes => is_base64(text),
            _ => true,
        }
    }
}

fn boolean(value: Value) -> Option<Value> {
    let text = match value {
        Value::Bool(_) => return Some(value),
        Value::String(text) => text,
        _ => return None,
    };
    let flag = [("true", true), ("false", false)].into_iter().find(|(name, _)| text.eq_ignore_ascii_case(name))?.1;
    Some(Value::Bool(flag))
}

/// Digits that would change when they are read and written again are no number: `007`, `+1`, `1.0`.
fn integer(value: Value) -> Option<Value> {
    let (Value::Number(digits) | Value::String(digits)) = value else { return None };
    let plain = digits.strip_prefix('-').unwrap_or(digits);
    let is_plain = plain == "0" || plain.bytes().next().is_some_and(|byte| (b'1'..=b'9').contains(&byte));
    (is_plain && digits.parse::<i64>().is_ok()).then_some(Value::Number(digits))
}

fn timestamp<'a>(value: Value<'a>, arena: &'a Arena) -> Option<Fit<'a>> {
    let written = word(value)?;
    let Value::Number(millis) = Value::integer(time::parse(value)?.timestamp_millis(), arena) else { return None };
    Some(Fit { value: Value::Number(millis), whole: millis == written })
}

/// The dictionary's `^[a-zA-Z0-9!#$%&'*+-/=?^_`{|}~.]+@[a-zA-Z0-9-]+\.[a-zA-Z0-9-.]+$`
fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else { return false };
    let Some((first, rest)) = domain.split_once('.') else { return false };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    !local.is_empty()
        && local.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+,-./=?^_`{|}~".contains(&byte))
        && !first.is_empty()
        && first.bytes().all(plain)
        && !rest.is_empty()
        && rest.bytes().all(|byte| plain(byte) || byte == b'.')
}

/// At most 40 characters, as the dictionary says; an IPv6 address may name its zone.
fn is_ip(text: &str) -> bool {
    if text.len() > 40 {
        return false;
    }
    let (address, zone) = text.split_once('%').unwrap_or((text, "-"));
    let zoned = address.len() < text.len();
    (!zoned && address.parse::<Ipv4Addr>().is_ok()) || (!zone.is_empty() && address.parse::<Ipv6Addr>().is_ok())
}

fn is_mac(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() == 17
        && bytes.iter().enumerate().all(|(at, byte)| match at % 3 {
            2 => matches!(byte, b':' | b'-'),
            _ => byte.is_ascii_hexdigit(),
        })
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

fn is_base64(text: &str) -> bool {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};
    STANDARD.decode(text).is_ok() || URL_SAFE.decode(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fit(scalar: Scalar, value: Value) -> Option<(String, bool)> {
        let arena = Arena::new();
        let value = crate::event::json::decode(crate::event::json::to_string(&value).as_bytes(), &arena).unwrap();
        scalar.fit(value, &arena).map(|fit| (crate::event::json::to_string(&fit.value), fit.whole))
    }

    fn whole(text: &str) -> Option<(String, bool)> {
        Some((text.to_owned(), true))
    }

    #[test]
    fn values_are_brought_into_the_form_of_their_type() {
        assert_eq!(fit(Scalar::Text, Value::Number("1.10")), whole("\"1.10\""));
        assert_eq!(fit(Scalar::Text, Value::Bool(false)), whole("\"false\""));
        assert_eq!(fit(Scalar::Text, Value::Array(&[Value::Null])), None);
        assert_eq!(fit(Scalar::Integer, Value::String("-404")), whole("-404"));
        assert_eq!(fit(Scalar::Port, Value::Number("65535")), whole("65535"));
        assert_eq!(fit(Scalar::Boolean, Value::String("TRUE")), whole("true"));
        assert_eq!(fit(Scalar::Float, Value::Number("1e3")), whole("1e3"));
        assert_eq!(fit(Scalar::Json, Value::Array(&[Value::Null])), whole("[null]"));
        let time = fit(Scalar::Timestamp, Value::String("2026-09-14T08:22:31Z"));
        assert_eq!(time, Some(("1789374151000".to_owned(), false)));
        assert_eq!(fit(Scalar::Timestamp, Value::Number("1789374151000")), whole("1789374151000"));
    }

    #[test]
    fn what_does_not_fit_is_left_alone() {
        for digits in ["007", "+1", "1.0", "", "-", "0x1", "9223372036854775808", "1e3"] {
            assert_eq!(fit(Scalar::Integer, Value::String(digits)), None, "{digits}");
        }
        assert_eq!(fit(Scalar::Port, Value::Number("65536")), None);
        assert_eq!(fit(Scalar::Boolean, Value::Number("1")), None);
        assert_eq!(fit(Scalar::Float, Value::Number("1E400")), None);
        assert_eq!(fit(Scalar::Timestamp, Value::String("yesterday")), None);
        for scalar in [Scalar::Json, Scalar::Text] {
            assert_eq!(fit(scalar, Value::Null), None);
            assert_eq!(fit(scalar, Value::String("")), None);
        }
    }

    #[test]
    fn texts_with_a_form_are_recognised() {
        let cases = [
            (Scalar::Email, "anna+ops@mail.example.com", "anna@localhost"),
            (Scalar::Email, "a@b.c", "anna ops@example.com"),
            (Scalar::Email, "o'hara@x-y.example", "a@b@c.example"),
            (Scalar::Ip, "203.0.113.24", "203.0.113.256"),
            (Scalar::Ip, "2001:db8::1", "2001:db8::g"),
            (Scalar::Ip, "fe80::1%eth0", "fe80::1%"),
            (Scalar::Ip, "::ffff:192.0.2.1", "192.0.2.1%eth0"),
            (Scalar::Mac, "00:00:5e:00:53:af", "00:00:5e:00:53"),
            (Scalar::Uuid, "0d6f2a9e-8b1c-4c0e-9b62-6f1a2b3c4d5e", "0d6f2a9e8b1c4c0e9b626f1a2b3c4d5e"),
            (Scalar::Datetime, "2026-09-14T08:22:31.5+02:00", "2026-09-14 08:22:31Z"),
            (Scalar::Bytes, "YXVkaXQ=", "YXVkaXQ"),
            (Scalar::Subnet, "2001:db8::/32", &"1".repeat(43)),
        ];
        for (scalar, good, bad) in cases {
            assert!(scalar.takes(good), "{good}");
            assert!(!scalar.takes(bad), "{bad}");
        }
    }
}
