//! What a vendor's headers say of when to ask again, in all the forms they take.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::HeaderMap;

/// The vendor's own count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advice {
    /// Requests left until the reset.
    pub remaining: u64,
    /// Until the count starts again.
    pub reset: Duration,
    /// Requests in a whole period, where it says so.
    pub limit: Option<u64>,
}

/// A vendor that asks for more than a day has sent something else than a wait.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// How long to wait before asking again: `Retry-After-Ms`, `Retry-After` (RFC 9110 10.2.3: seconds or a date; fractions
/// are sent too), else the reset of the vendor's count when nothing of it is left.
#[must_use]
pub fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    if let Some(millis) = number(headers, "retry-after-ms") {
        return bounded(millis / 1000.0);
    }
    if let Some(text) = text(headers, "retry-after") {
        return match text.parse::<f64>() {
            Ok(seconds) => bounded(seconds),
            Err(_) => {
                let date = DateTime::parse_from_rfc2822(text).ok()?.to_utc();
                Some((date - now).to_std().unwrap_or_default().min(LONGEST))
            }
        };
    }
    remaining_at(headers, now).filter(|advice| advice.remaining == 0).map(|advice| advice.reset)
}

/// The vendor's count: `RateLimit` (draft-ietf-httpapi-ratelimit-headers, as Cloudflare sends it), or `x-ratelimit-*`
/// with its reset in seconds from now or since 1970.
#[must_use]
pub fn remaining(headers: &HeaderMap) -> Option<Advice> {
    remaining_at(headers, Utc::now())
}

fn remaining_at(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Advice> {
    if let Some(text) = text(headers, "ratelimit") {
        let limit = self::text(headers, "ratelimit-policy").and_then(|policy| item(policy, "q"));
        return Some(Advice { remaining: item(text, "r")?, reset: bounded(item(text, "t")? as f64)?, limit });
    }
    let remaining = number(headers, "x-ratelimit-remaining").or_else(|| number(headers, "ratelimit-remaining"))?;
    let reset = number(headers, "x-ratelimit-reset").or_else(|| number(headers, "ratelimit-reset"))?;
    let limit = number(headers, "x-ratelimit-limit").or_else(|| number(headers, "ratelimit-limit"));
    Some(Advice {
        remaining: remaining.max(0.0) as u64,
        reset: until_reset(reset, now)?,
        limit: limit.map(|limit| limit as u64),
    })
}

/// A reset is either so many seconds away, or an instant in seconds or milliseconds since 1970.
fn until_reset(reset: f64, now: DateTime<Utc>) -> Option<Duration> {
    let now = now.timestamp_millis() as f64 / 1000.0;
    match reset {
        millis if millis > 1e11 => bounded(millis / 1000.0 - now),
        seconds if seconds > 1e9 => bounded(seconds - now),
        seconds => bounded(seconds),
    }
}

fn bounded(seconds: f64) -> Option<Duration> {
    if seconds.is_nan() {
        return None;
    }
    Some(Duration::from_secs_f64(seconds.clamp(0.0, LONGEST.as_secs_f64())))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

fn number(headers: &HeaderMap, name: &str) -> Option<f64> {
    // Some send a list of policies; the first is the one in force.
    text(headers, name)?.split([',', ';']).next()?.trim().parse().ok()
}

/// The number of `;key=` in an item of a structured field (RFC 9651), the smallest where there are several items.
fn item(text: &str, key: &str) -> Option<u64> {
    let parameters = text.split([',', ';']).filter_map(|part| part.trim().split_once('='));
    parameters.filter(|(name, _)| *name == key).filter_map(|(_, value)| value.parse().ok()).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn every_form_of_a_wait_is_understood() {
        let now: DateTime<Utc> = "2026-09-14T08:22:31Z".parse().unwrap();
        let epoch = now.timestamp();
        type Case<'a> = (&'a [(&'static str, &'a str)], Option<f64>);
        let cases: &[Case<'_>] = &[
            (&[("retry-after", "30")], Some(30.0)),
            (&[("retry-after", "0")], Some(0.0)),
            (&[("retry-after", "1.5")], Some(1.5)),
            (&[("retry-after", "-3")], Some(0.0)),
            (&[("retry-after", "1e300")], Some(86400.0)),
            (&[("retry-after", "NaN")], None),
            (&[("retry-after", "Mon, 14 Sep 2026 08:23:01 GMT")], Some(30.0)),
            (&[("retry-after", "Mon, 14 Sep 2026 08:00:00 GMT")], Some(0.0)),
            (&[("retry-after", "soon")], None),
            (&[("retry-after-ms", "250"), ("retry-after", "9")], Some(0.25)),
            (&[("ratelimit", "\"default\";r=0;t=30")], Some(30.0)),
            (&[("ratelimit", "\"default\";r=5;t=30")], None),
            (&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "12")], Some(12.0)),
            (&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", &(epoch + 7).to_string())], Some(7.0)),
            (&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", &((epoch + 7) * 1000).to_string())], Some(7.0)),
            (&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "-1")], Some(0.0)),
            (&[], None),
        ];
        for (pairs, expected) in cases {
            let wait = retry_after(&headers(pairs), now).map(|wait| wait.as_secs_f64());
            assert_eq!(wait, *expected, "{pairs:?}");
        }
    }

    #[test]
    fn a_count_knows_its_period() {
        let found =
            remaining(&headers(&[("ratelimit", "\"burst\";r=50;t=30"), ("ratelimit-policy", "\"burst\";q=100;w=60")]));
        assert_eq!(found, Some(Advice { remaining: 50, reset: Duration::from_secs(30), limit: Some(100) }));
    }
}
