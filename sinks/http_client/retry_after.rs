//! How long a server asks us to wait: `Retry-After` in seconds or as a date (RFC 9110, section 10.2.3).

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

/// The longest that is waited for a server's sake: one that asks for more has mistaken a time for a span.
const LONGEST: Duration = Duration::from_secs(3600);

/// What the server asks us to wait, if it does, an hour at the most. A date is understood by the server's own clock where it tells that.
pub(crate) fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    // Whole seconds by the standard; some send fractions.
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok().map(|wait| wait.min(LONGEST));
    }
    let theirs = headers.get(DATE).and_then(|date| instant(date.to_str().ok()?));
    let wait = instant(text)? - theirs.unwrap_or(now);
    Some(wait.to_std().unwrap_or_default().min(LONGEST))
}

fn instant(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc2822(text).ok().map(|time| time.to_utc())
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn reads_seconds_and_dates() {
        let now = instant("Sat, 14 Mar 2026 09:26:53 GMT").unwrap();
        let wait = |pairs: &[(HeaderName, &'static str)]| {
            let pairs = pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
            retry_after(&pairs.collect(), now)
        };
        let after = |value| wait(&[(RETRY_AFTER, value)]);
        assert_eq!(after("120"), Some(Duration::from_secs(120)));
        assert_eq!(after("0.5"), Some(Duration::from_millis(500)));
        assert_eq!(after("Sat, 14 Mar 2026 09:27:53 GMT"), Some(Duration::from_secs(60)));
        assert_eq!(after("Sat, 14 Mar 2026 09:00:00 GMT"), Some(Duration::ZERO));
        let ahead = [(RETRY_AFTER, "Sat, 14 Mar 2026 10:27:00 GMT"), (DATE, "Sat, 14 Mar 2026 10:26:50 GMT")];
        assert_eq!(wait(&ahead), Some(Duration::from_secs(10)));
        assert_eq!(after("1773480413"), Some(LONGEST));
        for nonsense in ["-5", "soon", "", "NaN", "1e400"] {
            assert_eq!(after(nonsense), None, "{nonsense}");
        }
        assert_eq!(wait(&[]), None);
    }
}
