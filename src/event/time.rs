//! The times vendors write, read as instants.

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};

use super::Value;

/// Reads an instant in any form the vendors we know use. What has no zone is UTC.
///
/// Texts: RFC 3339 (with `T` or a space), the same without a zone, and a plain date. Numbers, or texts of digits: seconds
/// since 1970, or milliseconds, microseconds or nanoseconds when they are too large to be seconds of this millennium.
#[must_use]
pub fn parse(value: Value) -> Option<DateTime<Utc>> {
    match value {
        Value::String(text) => from_text(text.trim()),
        Value::Number(digits) => from_epoch(digits),
        _ => None,
    }
}

/// Reads an instant from a text, in the forms [`parse`] knows.
#[must_use]
pub fn from_text(text: &str) -> Option<DateTime<Utc>> {
    plain(text).or_else(|| in_some_form(text))
}

/// `2026-09-14T08:22:31Z`, with a space or fractions or without the `Z`: nearly all that vendors write, read at once.
fn plain(text: &str) -> Option<DateTime<Utc>> {
    let bytes = text.as_bytes();
    let (head, tail) = bytes.split_first_chunk::<19>()?;
    let [_, _, _, _, b'-', _, _, b'-', _, _, b'T' | b' ', _, _, b':', _, _, b':', _, _] = head else { return None };
    let fraction = tail.strip_suffix(b"Z").unwrap_or(tail);
    let nanos = match fraction.split_first() {
        None => 0,
        Some((b'.', digits @ [_, ..])) if digits.len() <= 9 => number(digits)? * 10_u32.pow(9 - digits.len() as u32),
        Some(_) => return None,
    };
    let date = NaiveDate::from_ymd_opt(number(&head[..4])? as i32, number(&head[5..7])?, number(&head[8..10])?)?;
    let [hour, minute, second] = [&head[11..13], &head[14..16], &head[17..19]].map(number);
    Some(date.and_hms_nano_opt(hour?, minute?, second?, nanos)?.and_utc())
}

/// Up to nine digits.
fn number(digits: &[u8]) -> Option<u32> {
    let next = |sum, digit: &u8| digit.is_ascii_digit().then(|| sum * 10 + u32::from(digit - b'0'));
    digits.iter().try_fold(0, next)
}

/// Every form, one after the other.
fn in_some_form(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.to_utc());
    }
    for form in ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"] {
        if let Ok(time) = NaiveDateTime::parse_from_str(text, form) {
            return Some(time.and_utc());
        }
    }
    for form in ["%Y-%m-%dT%H:%M:%S%.f%z", "%Y-%m-%d %H:%M:%S%.f %z", "%Y-%m-%d %H:%M:%S%.f%#z"] {
        if let Ok(time) = DateTime::parse_from_str(text, form) {
            return Some(time.to_utc());
        }
    }
    if let Ok(date) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        return date.and_hms_opt(0, 0, 0).map(|time| time.and_utc());
    }
    from_epoch(text)
}

fn from_epoch(digits: &str) -> Option<DateTime<Utc>> {
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let whole: i64 = whole.parse().ok()?;
    match whole.unsigned_abs() {
        0..=99_999_999_999 => {
            let nanos: u32 = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
            DateTime::from_timestamp(whole, nanos)
        }
        100_000_000_000..=99_999_999_999_999 => DateTime::from_timestamp_millis(whole),
        100_000_000_000_000..=99_999_999_999_999_999 => DateTime::from_timestamp_micros(whole),
        _ => Some(DateTime::from_timestamp_nanos(whole)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_read_at_once_is_what_the_forms_say(
            text in r"[0-9]{4}-[01][0-9]-[0-3][0-9][T ][0-2][0-9]:[0-6][0-9]:[0-6][0-9](\.[0-9]{0,10})?[Zz]?"
        ) {
            if let Some(time) = plain(&text) {
                prop_assert_eq!(Some(time), in_some_form(&text));
            }
        }
    }

    #[test]
    fn what_vendors_write_most_is_read_at_once() {
        for text in ["2026-09-14T08:22:31Z", "2026-09-14T08:22:31.123Z", "2026-09-14 08:22:31", "2026-09-14T08:22:31.5"]
        {
            assert_eq!(plain(text), in_some_form(text), "{text}");
            assert!(plain(text).is_some(), "{text}");
        }
        for text in ["2026-09-14T08:22:31+02:00", "2026-02-30T08:22:31Z", "2026-09-14T08:22:60Z", "2026-09-14", ""] {
            assert_eq!(plain(text), None, "{text}");
        }
    }

    #[test]
    fn every_announced_form_is_the_same_instant() {
        let expected = "2026-09-14T08:22:31Z".parse::<DateTime<Utc>>().unwrap();
        for text in [
            "2026-09-14T08:22:31Z",
            "2026-09-14T08:22:31.000Z",
            "2026-09-14T10:22:31+02:00",
            "2026-09-14T10:22:31+0200",
            "2026-09-14 08:22:31",
            "2026-09-14 08:22:31Z",
            "2026-09-14 10:22:31 +0200",
            "2026-09-14T08:22:31",
            "1789374151",
            "1789374151.0",
            "1789374151000",
            "1789374151000000",
        ] {
            assert_eq!(from_text(text), Some(expected), "{text}");
        }
        assert_eq!(parse(Value::Number("1789374151.25")).unwrap().timestamp_millis(), 1_789_374_151_250);
        assert_eq!(from_text("2026-09-14").unwrap().to_rfc3339(), "2026-09-14T00:00:00+00:00");
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in ["", "soon", "2026-13-01", "14.09.2026", "-", "é"] {
            assert_eq!(from_text(text), None, "{text}");
        }
        assert_eq!(parse(Value::Null), None);
    }
}
