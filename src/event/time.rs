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
    use super::*;

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
