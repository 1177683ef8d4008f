//! What a vendor's headers say of its quotas and of when to ask again, in all the forms they take.
//!
//! What makes no sense is left out, as if it had not been sent: a limit below one, a wait of more than a day, a number
//! that is none. What is left may still be wrong, so nobody should stand still for long because of it.

mod field;
#[cfg(test)]
mod tests;

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::HeaderMap;

use self::field::{instant, items, lines, number};

/// What an answer says of one of the vendor's quotas.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// The vendor's name for it, or the header it came in.
    pub name: String,
    /// Requests in a whole window.
    pub limit: Option<u64>,
    /// How long a window is.
    pub window: Option<Duration>,
    /// Requests left until the reset.
    pub remaining: Option<u64>,
    /// Until the count starts again.
    pub reset: Option<Duration>,
}

/// A vendor that asks for more than a day has sent something else than a wait.
const LONGEST: f64 = 24.0 * 3600.0;
/// A window longer than a month is none.
const LONGEST_WINDOW: f64 = 31.0 * LONGEST;
/// Nobody has more quotas than this; what follows is not read.
const MOST: usize = 16;
/// What the headers of a quota begin with: everybody's habit, Okta's, and the standard's drafts up to the sixth.
const PREFIXES: [&str; 3] = ["x-ratelimit", "x-rate-limit", "ratelimit"];

/// How long to wait before asking again: `Retry-After-Ms`, `Retry-After` (RFC 9110 10.2.3: seconds or a date; fractions
/// are sent too), else the reset of the vendor's count when nothing of it is left. Of several the longest.
#[must_use]
pub fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let there = their_time(headers).unwrap_or(now);
    let millis = longest(lines(headers, "retry-after-ms").filter_map(number).map(|millis| millis / 1000.0));
    let asked = millis.or_else(|| {
        let waits = lines(headers, "retry-after").flat_map(|line| match instant(line) {
            Some(date) => vec![seconds_until(date, there)],
            None => line.split(',').filter_map(number).collect(),
        });
        longest(waits)
    });
    asked.or_else(|| {
        told(headers, now).iter().filter(|told| told.remaining == Some(0)).filter_map(|told| told.reset).max()
    })
}

/// When the vendor's count starts again, for an answer that refuses for the quota's sake and so needs not say that
/// nothing is left.
#[must_use]
pub fn reset(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    told(headers, now).iter().filter(|told| told.remaining.is_none()).filter_map(|told| told.reset).max()
}

/// Every quota that the headers tell of: `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers, as
/// it is since its eighth version and as it was before) and `x-ratelimit-*`, with their resets as seconds from now, as
/// seconds or milliseconds since 1970, or as a date.
#[must_use]
pub fn told(headers: &HeaderMap, now: DateTime<Utc>) -> Vec<Told> {
    // A reset and the time beside it are from the same clock, which need not be ours.
    let now = their_time(headers).unwrap_or(now);
    let (mut policies, foreign) = policies(headers);
    let mut counts = structured(headers, now);
    counts.retain(|count| !foreign.contains(&count.name));
    for prefix in PREFIXES {
        let (plain, limits) = plain(headers, prefix, now);
        counts.extend(plain);
        policies.extend(limits);
    }
    let mut told = paired(counts, policies);
    told.retain(|told| {
        told.limit != Some(0) && (told.limit.is_some() || told.remaining.is_some() || told.reset.is_some())
    });
    told.truncate(MOST);
    told
}

/// `RateLimit-Policy: "burst";q=100;w=60`, or `100;w=60` as it once was. Quotas of something else than requests are
/// only named.
fn policies(headers: &HeaderMap) -> (Vec<Told>, Vec<String>) {
    let mut foreign = Vec::new();
    let mut policies = Vec::new();
    for item in items(headers, "ratelimit-policy") {
        if item.text("qu").is_some_and(|unit| !unit.starts_with("request")) {
            foreign.push(item.name.to_owned());
            continue;
        }
        let limit = item.number("q").or_else(|| number(item.name));
        policies.push(Told { limit: limit.map(whole), window: window(item.number("w")), ..Told::of(item.name) });
    }
    (policies, foreign)
}

/// `RateLimit: "default";r=50;t=30`, or `limit=100, remaining=50, reset=30` as it once was.
fn structured(headers: &HeaderMap, now: DateTime<Utc>) -> Vec<Told> {
    let items = items(headers, "ratelimit");
    let member = |key: &str| items.iter().find_map(|item| item.name.strip_prefix(key)?.trim().strip_prefix('='));
    if ["limit", "remaining", "reset"].into_iter().any(|key| member(key).is_some()) {
        return vec![Told {
            limit: member("limit").and_then(number).map(whole),
            remaining: member("remaining").and_then(number).map(whole),
            reset: member("reset").and_then(|text| until(text, now)),
            ..Told::of("ratelimit")
        }];
    }
    let count = |item: &field::Item| Told {
        remaining: item.number("r").map(whole),
        reset: item.text("t").and_then(|text| until(text, now)),
        ..Told::of(item.name)
    };
    items.iter().map(count).collect()
}

/// The counts of `PREFIX-limit`, `PREFIX-remaining` and `PREFIX-reset`, each perhaps a list; and the limits that tell
/// their window (`100, 100;w=60`).
fn plain(headers: &HeaderMap, prefix: &str, now: DateTime<Utc>) -> (Vec<Told>, Vec<Told>) {
    let mut limits = Vec::new();
    let mut policies = Vec::new();
    for item in items(headers, &format!("{prefix}-limit")) {
        let Some(limit) = number(item.name).map(whole) else { continue };
        match window(item.number("w")) {
            None => limits.push(limit),
            window => policies.push(Told { limit: Some(limit), window, ..Told::of(prefix) }),
        }
    }
    let remaining = items(headers, &format!("{prefix}-remaining"));
    let remaining: Vec<u64> = remaining.iter().filter_map(|item| number(item.name)).map(whole).collect();
    let mut resets = resets(headers, &format!("{prefix}-reset"), now);
    if resets.is_empty() {
        resets = self::resets(headers, &format!("{prefix}-reset-after"), now);
    }
    let known = [limits.len(), remaining.len(), resets.len()];
    // Lists that do not match cannot be told apart: their first members are what is in force.
    let same = known.iter().filter(|len| **len > 0).all(|len| *len == known[0].max(known[1]).max(known[2]));
    let counts = if same { known.into_iter().max().unwrap_or_default() } else { 1 };
    let count = |at: usize| Told {
        limit: limits.get(at).copied(),
        remaining: remaining.get(at).copied(),
        reset: resets.get(at).copied(),
        ..Told::of(prefix)
    };
    ((0..counts).map(count).collect(), policies)
}

/// The resets of a field, over all its lines. A date has a comma of its own.
fn resets(headers: &HeaderMap, name: &str, now: DateTime<Utc>) -> Vec<Duration> {
    let waits = lines(headers, name).flat_map(|line| match instant(line) {
        Some(_) => vec![until(line, now)],
        None => line.split([',', ';']).map(|text| until(text, now)).collect(),
    });
    waits.flatten().collect()
}

/// Puts what is left of a quota to what it is: by its name, by its limit, or because there is but one of each and the
/// numbers go together. What finds nothing stands alone.
fn paired(counts: Vec<Told>, mut policies: Vec<Told>) -> Vec<Told> {
    let single = counts.len() == 1 && policies.len() == 1;
    let mut told = Vec::new();
    for mut count in counts {
        let goes_with = |policy: &Told| {
            let named = policy.name == count.name && count.limit.is_none();
            named || (policy.limit.is_some() && policy.limit == count.limit) || (single && fits(&count, policy))
        };
        if let Some(at) = policies.iter().position(goes_with) {
            let policy = policies.remove(at);
            count.limit = count.limit.or(policy.limit);
            count.window = policy.window;
        }
        told.push(count);
    }
    told.extend(policies);
    told
}

fn fits(count: &Told, policy: &Told) -> bool {
    let (Some(limit), Some(window)) = (policy.limit, policy.window) else { return false };
    count.limit.is_none()
        && count.remaining.is_some_and(|left| left <= limit)
        && count.reset.is_some_and(|reset| reset <= window)
}

impl Told {
    fn of(name: &str) -> Self {
        Self { name: name.chars().take(64).collect(), ..Self::default() }
    }
}

/// A reset is so many seconds away, or an instant in seconds or milliseconds since 1970, or one in words.
fn until(text: &str, now: DateTime<Utc>) -> Option<Duration> {
    let text = text.trim();
    let since_1970 = now.timestamp_millis() as f64 / 1000.0;
    let seconds = match number(text) {
        Some(millis) if millis > 1e11 => millis / 1000.0 - since_1970,
        Some(seconds) if seconds > 1e9 => seconds - since_1970,
        Some(seconds) => seconds,
        None => seconds_until(instant(text)?, now),
    };
    wait(seconds)
}

fn seconds_until(date: DateTime<Utc>, now: DateTime<Utc>) -> f64 {
    (date - now).num_milliseconds() as f64 / 1000.0
}

/// The vendor's clock. Its `Date` has no fractions, so that what is counted from it is rather too long than too short.
fn their_time(headers: &HeaderMap) -> Option<DateTime<Utc>> {
    lines(headers, "date").find_map(instant)
}

fn longest(waits: impl Iterator<Item = f64>) -> Option<Duration> {
    waits.filter_map(wait).max()
}

/// What lies in the past is over.
fn wait(seconds: f64) -> Option<Duration> {
    (seconds <= LONGEST).then(|| Duration::from_secs_f64(seconds.max(0.0)))
}

fn window(seconds: Option<f64>) -> Option<Duration> {
    seconds.filter(|seconds| *seconds > 0.0 && *seconds <= LONGEST_WINDOW).map(Duration::from_secs_f64)
}

/// A count of requests: less than none is none.
fn whole(number: f64) -> u64 {
    number as u64
}
