//! What an answer that is no page means, by the connector's rules.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::StatusCode;
use reqwest::header::HeaderMap;

use super::advice;
use crate::connector::model::{Errors, Failed, Then};
use crate::event::{Path, Value, json};

/// An answer as it came: status, headers, body.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, unpacked.
    pub body: Vec<u8>,
}

/// What an answer asks for, other than to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What to do.
    pub then: Then,
    /// The HTTP status.
    pub status: StatusCode,
    /// What the vendor said: status, code and text, not yet redacted.
    pub said: String,
    /// What a person can do.
    pub hint: String,
    /// How long the vendor asks us to wait.
    pub wait: Option<Duration>,
    /// The vendor counts us out: everybody who shares the budget has to wait.
    pub throttled: bool,
}

impl Verdict {
    /// Whether the vendor may be content with another credential.
    #[must_use]
    pub fn is_about_the_credential(&self) -> bool {
        let is_final = matches!(self.then, Then::Configuration | Then::Stop);
        self.then == Then::RefreshCredential || (is_final && matches!(self.status.as_u16(), 401 | 403))
    }
}

/// What the vendor said is cut after this many characters.
const LONGEST_SAYING: usize = 300;

/// Sorts an answer. `None` when it is no error: read it.
///
/// `body` is the decoded body where it is JSON. A failure under HTTP 200 is one too.
#[must_use]
pub fn judge(
    answer: &Answer,
    body: Option<Value>,
    errors: &Errors,
    with_cursor: bool,
    now: DateTime<Utc>,
) -> Option<Verdict> {
    let failed = body.is_some_and(|body| errors.failed.as_ref().is_some_and(|failed| is_failure(failed, body)));
    if answer.status.is_success() && !failed {
        return None;
    }
    let code = body.and_then(|body| first(&errors.code, body));
    let rule = errors.rule.iter().find(|rule| {
        (rule.status.is_empty() || rule.status.contains(&answer.status.as_u16()))
            && (rule.code.is_empty() || code.is_some_and(|code| rule.code.iter().any(|known| same(known, code))))
            && rule.cursor.is_none_or(|cursor| cursor == with_cursor)
    });
    // Some vendors, GitHub among them, count us out with 403 and say until when.
    let forbidden_for_now =
        answer.status == StatusCode::FORBIDDEN && advice::retry_after(&answer.headers, now).is_some();
    let by_rule = rule.is_some_and(|rule| rule.throttled);
    let throttled = answer.status == StatusCode::TOO_MANY_REQUESTS || forbidden_for_now || by_rule;
    let then = match rule {
        Some(rule) if rule.then == Then::Stop => Then::Stop,
        // Whatever else a rule says, a vendor that counts us out wants us to come later.
        _ if throttled => Then::Retry,
        Some(rule) => rule.then,
        None if is_passing(answer.status) => Then::Retry,
        None => Then::Configuration,
    };
    let hint = rule.map(|rule| rule.hint.clone()).filter(|hint| !hint.is_empty());
    let message = body.and_then(|body| first(&errors.message, body));
    let wait = advice::retry_after(&answer.headers, now)
        .or_else(|| message.and_then(wait_in_words))
        .or_else(|| throttled.then(|| advice::reset(&answer.headers, now))?);
    Some(Verdict {
        then,
        status: answer.status,
        said: saying(answer, code, message),
        hint: hint.unwrap_or_else(|| "the vendor's documentation says what this answer means".to_owned()),
        wait,
        throttled,
    })
}

/// The sentence that a person sees of what a vendor said, once that is fit to be printed.
#[must_use]
pub fn sentence(vendor: &str, printable: &str) -> String {
    format!("{vendor} answered {printable}")
}

fn is_failure(failed: &Failed, body: Value) -> bool {
    let found = failed.path.find(body);
    let matches = |expected: &serde_json::Value| found.is_some_and(|found| same(expected, found));
    failed.is.as_ref().is_some_and(matches) || (failed.exists && found.is_some_and(|found| !found.is_empty()))
}

/// Whether the same request may not meet this status again.
pub(super) fn is_passing(status: StatusCode) -> bool {
    status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429) || status.is_success()
}

fn first<'a>(paths: &[Path], body: Value<'a>) -> Option<Value<'a>> {
    let scalar = |value: &Value| matches!(value, Value::String(_) | Value::Number(_));
    paths.iter().filter_map(|path| path.find(body)).find(scalar)
}

/// Codes are compared as they are read: `10009` and `"10009"` are the same.
fn same(expected: &serde_json::Value, found: Value) -> bool {
    match (expected, found) {
        (serde_json::Value::Bool(expected), Value::Bool(found)) => *expected == found,
        (serde_json::Value::Number(expected), Value::Number(found) | Value::String(found)) => {
            expected.to_string() == found
        }
        (serde_json::Value::String(expected), Value::Number(found) | Value::String(found)) => expected == found,
        _ => false,
    }
}

/// A wait that only the text tells, as in Voximplant's 416: `repeat after 30 seconds`.
fn wait_in_words(message: Value) -> Option<Duration> {
    let text = message.as_str()?.to_ascii_lowercase();
    let (_, after) = text.split_once("after ")?;
    let seconds: u64 = after.split_whitespace().next()?.parse().ok()?;
    after.contains("sec").then(|| Duration::from_secs(seconds.min(3600)))
}

/// What an answer says, in one bounded line: its status, code and text, or the beginning of what else it holds.
pub(super) fn saying(answer: &Answer, code: Option<Value>, message: Option<Value>) -> String {
    let mut said = format!("HTTP {}", answer.status.as_u16());
    for part in [code, message].into_iter().flatten() {
        let text = match part {
            Value::String(text) | Value::Number(text) => text.to_owned(),
            other => json::to_string(&other),
        };
        if !said.contains(&text) {
            said.push_str(": ");
            said.push_str(&text);
        }
    }
    if code.is_none() && message.is_none() {
        let text = String::from_utf8_lossy(&answer.body);
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if !text.is_empty() {
            said.push_str(": ");
            said.push_str(&text);
        }
    }
    shortened(&said)
}

/// Cut between words: half of an address or of a credential would not be told as one, and not be hidden.
fn shortened(text: &str) -> String {
    let Some((at, _)) = text.char_indices().nth(LONGEST_SAYING) else { return text.to_owned() };
    let ends_word = |char: char| char.is_whitespace() || "\"<>,;".contains(char);
    let kept = text[..at].rfind(ends_word).map_or("", |last| text[..last].trim_end());
    format!("{kept}…")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connector::Connector;
    use crate::event::Arena;

    fn verdict(connector: &str, status: u16, body: &str, with_cursor: bool) -> Option<(Then, String)> {
        let connector = Connector::embedded(connector).unwrap();
        let arena = Arena::new();
        let value = json::decode(body.as_bytes(), &arena).ok();
        let answer =
            Answer { status: StatusCode::from_u16(status).unwrap(), headers: HeaderMap::new(), body: body.into() };
        judge(&answer, value, &connector.definition.errors, with_cursor, Utc::now())
            .map(|verdict| (verdict.then, verdict.said))
    }

    #[test]
    fn every_vendor_is_understood() {
        let cases = [
            (
                "telnyx",
                401,
                r#"{"errors":[{"code":"10009","title":"Authentication failed"}]}"#,
                false,
                Some(Then::Configuration),
            ),
            ("telnyx", 429, r#"{"errors":[{"code":"10011"}]}"#, false, Some(Then::Retry)),
            ("telnyx", 502, "<html>bad gateway</html>", false, Some(Then::Retry)),
            (
                "cloudflare",
                200,
                r#"{"success":false,"errors":[{"message":"x"}],"result":null}"#,
                false,
                Some(Then::Retry),
            ),
            ("cloudflare", 200, r#"{"success":true,"errors":[{"message":"placeholder"}],"result":[]}"#, false, None),
            (
                "cloudflare",
                400,
                r#"{"success":false,"errors":[{"code":7001,"message":"bad cursor"}]}"#,
                true,
                Some(Then::ResetCursor),
            ),
            (
                "cloudflare",
                400,
                r#"{"success":false,"errors":[{"code":7001,"message":"bad since"}]}"#,
                false,
                Some(Then::Configuration),
            ),
            ("voximplant", 200, r#"{"error":{"code":356,"msg":"in progress"}}"#, false, Some(Then::Wait)),
            (
                "voximplant",
                200,
                r#"{"error":{"code":569,"msg":"range longer than 7 days"}}"#,
                false,
                Some(Then::SplitWindow),
            ),
            (
                "voximplant",
                200,
                r#"{"error":{"code":456,"msg":"token expired"}}"#,
                false,
                Some(Then::RefreshCredential),
            ),
            ("voximplant", 200, r#"{"result":[],"count":0}"#, false, None),
            ("ashby", 200, r#"{"success":false,"errors":["cursor_invalid"]}"#, true, Some(Then::ResetCursor)),
            (
                "ashby",
                200,
                r#"{"success":false,"errors":["invalid_input"],"errorInfo":{"code":"invalid_input"}}"#,
                false,
                Some(Then::Configuration),
            ),
            ("nirvana", 403, r#"{"message":"forbidden"}"#, false, Some(Then::Configuration)),
            ("nirvana", 503, "", false, Some(Then::Retry)),
        ];
        for (connector, status, body, with_cursor, expected) in cases {
            assert_eq!(
                verdict(connector, status, body, with_cursor).map(|(then, _)| then),
                expected,
                "{connector} {status} {body}"
            );
        }
    }

    #[test]
    fn a_vendor_that_counts_us_out_is_understood_in_each_form() {
        let throttled = |connector: &str, status: u16, headers: &[(&'static str, &str)], body: &str| {
            let connector = Connector::embedded(connector).unwrap();
            let arena = Arena::new();
            let value = json::decode(body.as_bytes(), &arena).ok();
            let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
            let answer = Answer { status: StatusCode::from_u16(status).unwrap(), headers, body: body.into() };
            let verdict = judge(&answer, value, &connector.definition.errors, false, Utc::now()).unwrap();
            (verdict.throttled, verdict.then)
        };
        let yes = (true, Then::Retry);
        assert_eq!(throttled("telnyx", 429, &[], "{}"), yes);
        assert_eq!(throttled("nirvana", 403, &[("retry-after", "60")], "{}"), yes);
        let none_left = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "60")];
        assert_eq!(throttled("nirvana", 403, &none_left, "{}"), yes);
        assert_eq!(throttled("nirvana", 403, &[], "{}"), (false, Then::Configuration));
        assert_eq!(throttled("voximplant", 200, &[], r#"{"error":{"code":340,"msg":"rate limit"}}"#), yes);
        assert_eq!(throttled("ashby", 200, &[], r#"{"success":false,"errors":["rate_limited"]}"#), yes);
        assert_eq!(throttled("voximplant", 200, &[], r#"{"error":{"code":2,"msg":"internal"}}"#), (false, Then::Retry));
    }

    #[test]
    fn what_was_said_is_one_bounded_line() {
        // The cut would go through the address: `an` would be told to nobody as a part of one.
        let page = format!("<html>\n  {}anna@example.com {}</html>", "xxxx ".repeat(56), "x".repeat(9000));
        let (_, said) = verdict("telnyx", 502, &page, false).unwrap();
        assert!(said.starts_with("HTTP 502: <html> xxxx ") && said.ends_with("xxxx…"), "{said}");
        assert!(said.chars().count() <= LONGEST_SAYING, "{said}");
        let (_, said) =
            verdict("telnyx", 401, r#"{"errors":[{"code":"10009","detail":"No key found"}]}"#, false).unwrap();
        assert_eq!(said, "HTTP 401: 10009: No key found");
    }

    #[test]
    fn a_wait_is_also_read_from_the_text() {
        assert_eq!(wait_in_words(Value::String("Repeat after 30 seconds")), Some(Duration::from_secs(30)));
        assert_eq!(wait_in_words(Value::String("after lunch")), None);
    }
}
