//! Instants as people give them on the command line. All are UTC.

use std::str::FromStr;

use auditline_sinks::units::HumanDuration;
use chrono::{DateTime, NaiveTime, TimeDelta, Utc};

use crate::event::time;

/// An instant: `09:00` (today), `2026-11-25`, `2026-11-25 09:00`, `2026-11-25T09:00:00Z`, or `-7d` (so long ago).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment(pub DateTime<Utc>);

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse(text, Utc::now()).map(Self).ok_or_else(|| {
            "expected an instant in UTC: `09:00`, `2026-11-25`, `2026-11-25 09:00`, `2026-11-25T09:00:00Z` or `-7d`"
                .to_owned()
        })
    }
}

fn parse(text: &str, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    if let Some(span) = text.strip_prefix('-') {
        let span = TimeDelta::from_std(HumanDuration::from_str(span).ok()?.0).ok()?;
        return now.checked_sub_signed(span);
    }
    let of_day = ["%H:%M", "%H:%M:%S"].iter().find_map(|form| NaiveTime::parse_from_str(text, form).ok());
    if let Some(of_day) = of_day {
        return Some(now.date_naive().and_time(of_day).and_utc());
    }
    // A minute is enough for people, while no vendor writes times like that.
    time::from_text(text).or_else(|| time::from_text(&format!("{text}:00")))
}

/// An instant as it is shown.
pub fn shown(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_read_as_people_write_them() {
        let now = "2026-11-25T10:30:00Z".parse().unwrap();
        let cases = [
            ("09:00", "2026-11-25T09:00:00Z"),
            ("09:00:30", "2026-11-25T09:00:30Z"),
            ("2026-11-24", "2026-11-24T00:00:00Z"),
            ("2026-11-24 09:00", "2026-11-24T09:00:00Z"),
            ("2026-11-24T09:00", "2026-11-24T09:00:00Z"),
            ("2026-11-24T09:00:00+01:00", "2026-11-24T08:00:00Z"),
            ("-36h", "2026-11-23T22:30:00Z"),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text, now), Some(expected.parse().unwrap()), "{text}");
        }
        for text in ["", "-", "nine", "25:00", "-7", "tomorrow"] {
            assert_eq!(parse(text, now), None, "{text}");
        }
    }
}
