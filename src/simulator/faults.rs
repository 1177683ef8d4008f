//! The gate before every vendor: quota, throttle, broken answers, rate-limit headers, and the counting of it all.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use chrono::TimeDelta;
use futures::{StreamExt, stream};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::content::mix;
use super::http::{Handed, Verdict};
use super::timeline::{Micros, date};
use super::world::{Fault, Flaky, Quota, RetryAfter, Throttle};
use super::{Shared, Vendor, VendorState, ashby, cloudflare, nirvana, telnyx, voximplant};

/// What the caller still has, as the rate-limit headers tell it.
#[derive(Debug, Clone, Copy)]
struct Allowance {
    limit: u64,
    period: Duration,
    remaining: u64,
    reset: Duration,
    exceeded: bool,
}

/// Advertised when the world sets no quota.
const UNLIMITED: Allowance = Allowance {
    limit: 1_000_000,
    period: Duration::from_secs(1),
    remaining: 999_999,
    reset: Duration::from_secs(1),
    exceeded: false,
};

#[derive(Debug)]
struct Period {
    ends: Instant,
    used: u64,
}

/// The requests of each credential in its current period.
#[derive(Debug, Default)]
pub(crate) struct QuotaBook(Mutex<HashMap<Vec<u8>, Period>>);

impl QuotaBook {
    /// Notes a request of `credential` and says what is left. `blocks`: going over costs a whole period more.
    fn take(&self, credential: Vec<u8>, quota: Quota, blocks: bool) -> Allowance {
        let now = Instant::now();
        let mut book = self.0.lock().expect("no code panics while counting");
        let fresh = || Period { ends: now + quota.period, used: 0 };
        let period = book.entry(credential).or_insert_with(fresh);
        if period.ends <= now {
            *period = fresh();
        }
        let exceeded = period.used >= quota.requests;
        if exceeded && blocks && period.used == quota.requests {
            period.ends = now + quota.period;
        }
        period.used += 1;
        Allowance {
            limit: quota.requests,
            period: quota.period,
            remaining: quota.requests.saturating_sub(period.used),
            reset: period.ends - now,
            exceeded,
        }
    }
}

/// Whom a vendor counts a request against.
fn credential(vendor: Vendor, headers: &HeaderMap) -> Vec<u8> {
    match vendor {
        // Cloudflare counts dashboard, key and token together; a Voximplant token is new every few minutes.
        Vendor::Cloudflare | Vendor::Voximplant => Vec::new(),
        _ => headers.get(header::AUTHORIZATION).map(|value| value.as_bytes().to_vec()).unwrap_or_default(),
    }
}

/// Every request of a vendor passes here before its handler sees it.
pub(crate) async fn gate(
    State((shared, vendor)): State<(Arc<Shared>, Vendor)>,
    request: Request,
    next: Next,
) -> Response {
    let state = shared.of(vendor);
    let number = state.counters.arrive();
    shared.pass(state.salt, number);
    if !shared.world.latency.is_zero() {
        tokio::time::sleep(shared.world.latency).await;
    }
    let allowance = match shared.world.quota {
        Some(quota) => state.quota.take(credential(vendor, request.headers()), quota, vendor == Vendor::Cloudflare),
        None => UNLIMITED,
    };
    let mut response = if allowance.exceeded {
        state.counters.count(|stats| stats.earned += 1);
        too_many(vendor, number, RetryAfter::Seconds(ceil_secs(allowance.reset)), shared.now(), true)
    } else if throttles(&shared.world.throttle, state.salt, number) {
        state.counters.count(|stats| stats.throttled += 1);
        too_many(vendor, number, shared.world.throttle.retry_after, shared.now(), false)
    } else if let Some(fault) = fault(&shared.world.flaky, number) {
        state.counters.count(|stats| stats.faults += 1);
        broken(vendor, fault, request, next).await
    } else {
        let response = next.run(request).await;
        note(state, &response);
        response
    };
    add_rate_headers(vendor, allowance, response.headers_mut());
    if let Ok(date) = HeaderValue::from_str(&http_date(shared.now(), 0)) {
        // A vendor whose clock differs has said so already.
        response.headers_mut().entry(header::DATE).or_insert(date);
    }
    state.lost.pass(number).await;
    response
}

/// Which answer of a vendor gets lost.
#[derive(Debug, Default)]
pub(crate) struct Lost {
    /// The request's number; 0 for none.
    number: AtomicU64,
    noticed: Notify,
}

impl Lost {
    pub fn set(&self, number: u64) {
        self.number.store(number, Ordering::SeqCst);
    }

    pub async fn noticed(&self) {
        self.noticed.notified().await;
    }

    /// Never returns for the one that gets lost: the caller's end of the connection is what ends it.
    async fn pass(&self, number: u64) {
        if self.number.compare_exchange(number, 0, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
            self.noticed.notify_one();
            std::future::pending::<()>().await;
        }
    }
}

fn note(state: &VendorState, response: &Response) {
    let handed = response.extensions().get::<Handed>().map_or(0, |handed| handed.0);
    let verdict = response.extensions().get::<Verdict>();
    state.counters.count(|stats| {
        stats.records += handed;
        stats.refused += u64::from(verdict == Some(&Verdict::Refused));
        stats.invalid += u64::from(verdict == Some(&Verdict::Invalid));
    });
}

fn throttles(throttle: &Throttle, salt: u64, number: u64) -> bool {
    let drawn = mix(salt ^ 0x7407, number) >> 11;
    let by_chance = (drawn as f64) < throttle.probability * (1u64 << 53) as f64;
    by_chance || throttle.every > 0 && number.is_multiple_of(throttle.every)
}

fn fault(flaky: &Flaky, number: u64) -> Option<Fault> {
    // Half a turn away from the throttle, so that both are met when both have the same period.
    let shifted = number + flaky.every / 2;
    if flaky.every == 0 || flaky.faults.is_empty() || !shifted.is_multiple_of(flaky.every) {
        return None;
    }
    Some(flaky.faults[(shifted / flaky.every - 1) as usize % flaky.faults.len()])
}

fn ceil_secs(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

fn too_many(vendor: Vendor, number: u64, retry_after: RetryAfter, now: Micros, earned: bool) -> Response {
    let mut response = match vendor {
        Vendor::Telnyx => telnyx::error(
            429,
            "10011",
            "Too many requests",
            "You have exceeded the maximum number of allowed requests.",
            None,
        ),
        Vendor::Cloudflare => {
            cloudflare::error(429, None, "Rate limited. Please wait and consider throttling your request speed")
        }
        // Seen in the field in two forms; an exceeded quota is always the plain one.
        Vendor::Voximplant if !earned && number.is_multiple_of(2) => {
            let seconds = match retry_after {
                RetryAfter::Seconds(seconds) | RetryAfter::Date(seconds) => seconds,
                RetryAfter::Fraction(seconds) => seconds.ceil() as u64,
                RetryAfter::Absent => 1,
            };
            return voximplant::error(416, &format!("Please repeat the request after {seconds} seconds."));
        }
        Vendor::Voximplant => {
            let mut response = voximplant::error(340, "The rate limit has been exceeded.");
            *response.status_mut() = axum::http::StatusCode::TOO_MANY_REQUESTS;
            response
        }
        Vendor::Ashby => ashby::failure(429, "rate_limit_exceeded", "Too many requests."),
        Vendor::Nirvana => nirvana::error(429, "too many requests"),
    };
    if let Some(value) = retry_after_value(retry_after, now) {
        response.headers_mut().insert(header::RETRY_AFTER, value);
    }
    response
}

fn retry_after_value(retry_after: RetryAfter, now: Micros) -> Option<HeaderValue> {
    let text = match retry_after {
        RetryAfter::Seconds(seconds) => seconds.to_string(),
        RetryAfter::Fraction(seconds) => format!("{seconds:.3}"),
        RetryAfter::Date(seconds) => http_date(now, seconds as i64),
        RetryAfter::Absent => return None,
    };
    HeaderValue::from_str(&text).ok()
}

/// `ahead` seconds after `now`, as HTTP writes dates.
pub(crate) fn http_date(now: Micros, ahead: i64) -> String {
    let time = date(now) + TimeDelta::try_seconds(ahead).unwrap_or_default();
    time.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

async fn broken(vendor: Vendor, fault: Fault, request: Request, next: Next) -> Response {
    match fault {
        Fault::ServerError => match vendor {
            Vendor::Telnyx => telnyx::error(500, "10007", "Unexpected error", "An unexpected error occurred.", None),
            Vendor::Cloudflare => cloudflare::error(500, None, "Internal server error"),
            Vendor::Voximplant => {
                let mut response = voximplant::error(2, "Internal error.");
                *response.status_mut() = axum::http::StatusCode::INTERNAL_SERVER_ERROR;
                response
            }
            Vendor::Ashby => ashby::failure(500, "internal_error", "Something went wrong."),
            Vendor::Nirvana => nirvana::error(500, "internal server error"),
        },
        Fault::HtmlBadGateway => Response::builder()
            .status(502)
            .header(header::CONTENT_TYPE, "text/html; charset=UTF-8")
            .body(Body::from("<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body><h1>502</h1>cloudy today</body></html>\n"))
            .expect("status and header are constants of ours"),
        Fault::CutBody => cut(next.run(request).await).await,
    }
}

/// Sends half of the body's first chunk under the whole body's length, then breaks the connection.
pub(crate) async fn cut(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    if let Some(length) = body.size_hint().exact() {
        parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    let first: Bytes = body.into_data_stream().next().await.and_then(Result::ok).unwrap_or_default();
    let half = first.slice(..first.len() / 2);
    let cut = async {
        // The wait lets the server flush what it has; otherwise the answer's head would be lost, too.
        tokio::task::yield_now().await;
        Err(std::io::Error::other("cut on purpose"))
    };
    let broken = stream::iter([Ok(half)]).chain(stream::once(cut));
    Response::from_parts(parts, Body::from_stream(broken))
}

fn add_rate_headers(vendor: Vendor, allowance: Allowance, headers: &mut HeaderMap) {
    let Allowance { limit, period, remaining, reset, .. } = allowance;
    let reset = ceil_secs(reset);
    let mut put = |name: &'static str, text: String| {
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    match vendor {
        Vendor::Telnyx => {
            put("x-ratelimit-limit", limit.to_string());
            put("x-ratelimit-remaining", remaining.to_string());
            put("x-ratelimit-reset", reset.to_string());
        }
        Vendor::Cloudflare => {
            put("ratelimit", format!("\"default\";r={remaining};t={reset}"));
            put("ratelimit-policy", format!("\"default\";q={limit};w={}", ceil_secs(period)));
        }
        // These three document no such headers.
        Vendor::Voximplant | Vendor::Ashby | Vendor::Nirvana => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_counts_and_tells_what_is_left() {
        let book = QuotaBook::default();
        let quota = Quota { requests: 2, period: Duration::from_secs(3600) };
        let take = |who: &str| book.take(who.into(), quota, false);
        assert_eq!((take("a").remaining, take("a").remaining), (1, 0));
        assert!(take("a").exceeded && !take("b").exceeded);
    }

    #[test]
    fn throttle_and_fault_of_one_period_take_turns() {
        let throttle = Throttle { every: 4, ..Throttle::default() };
        let flaky = Flaky { every: 4, ..Flaky::default() };
        let met: Vec<_> = (1..=12).filter(|&number| throttles(&throttle, 0, number)).collect();
        assert_eq!(met, [4, 8, 12]);
        let met: Vec<_> = (1..=12).filter_map(|number| Some((number, fault(&flaky, number)?))).collect();
        assert_eq!(met, [(2, Fault::ServerError), (6, Fault::HtmlBadGateway), (10, Fault::CutBody)]);
    }

    #[test]
    fn probability_is_kept_roughly_and_repeatably() {
        let throttle = Throttle { probability: 0.25, ..Throttle::default() };
        let drawn: Vec<_> = (1..=4_000).filter(|&number| throttles(&throttle, 9, number)).collect();
        assert!((850..1_150).contains(&drawn.len()), "{}", drawn.len());
        assert_eq!(drawn, (1..=4_000).filter(|&number| throttles(&throttle, 9, number)).collect::<Vec<_>>());
    }
}
