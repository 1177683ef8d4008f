//! What a server's answer means.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use chrono::Utc;
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, LOCATION};

use super::retry_after::retry_after;
use crate::DeliveryError;

/// The most of an answer that an error repeats, in characters.
const EXCERPT: usize = 300;

/// An answer, whatever its status. Not printed as it is, for it knows our secrets.
pub struct Answer {
    /// The server, as errors name it: `https://siem.example.com:8443`.
    pub origin: String,
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, unpacked, up to the client's bound.
    pub body: Bytes,
    /// Whether that is all of it.
    pub is_whole: bool,
    pub(super) secrets: Arc<[String]>,
}

/// Secrets in every spelling in which a server may repeat them, the longest first: what begins like another must go first.
pub(crate) fn spellings<'a>(secrets: impl Iterator<Item = &'a str>) -> Arc<[String]> {
    let mut all: Vec<String> = Vec::new();
    for secret in secrets.filter(|secret| !secret.is_empty()) {
        let json = serde_json::to_string(secret).unwrap_or_default();
        let json = json.trim_matches('"');
        let in_form: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
        let mut url = url::Url::parse("http://localhost").expect("it is one");
        url.set_path(secret);
        all.extend([secret.to_owned(), json.to_owned(), json.replace('/', "\\/")]);
        all.extend([in_form.replace('+', "%20"), in_form, url.path()[1..].to_owned(), BASE64_STANDARD.encode(secret)]);
    }
    all.retain(|spelling| !spelling.is_empty());
    all.sort_unstable_by(|one, other| other.len().cmp(&one.len()).then_with(|| one.cmp(other)));
    all.dedup();
    all.into()
}

/// What an answer means by its status alone.
#[derive(Debug)]
pub enum Verdict {
    /// 2xx. What the body says may still be another thing.
    Taken,
    /// 413: fewer records may be taken.
    TooLarge,
    /// 400 or 422: something is wrong with the request, maybe with a single record of it.
    Malformed,
    /// Everything else.
    Failed(DeliveryError),
}

/// What a person can do, where it depends on the sink.
#[derive(Clone, Copy, Debug)]
pub struct Hints {
    /// About 401 and 403.
    pub credentials: &'static str,
    /// About 404, 405 and 410.
    pub target: &'static str,
}

impl Answer {
    /// What the status means.
    #[must_use]
    pub fn judge(&self, hints: &Hints) -> Verdict {
        let refused = |hint: &str| Verdict::Failed(self.refused(hint));
        match self.status.as_u16() {
            206 | 207 => {
                refused("some of it may not have been taken: a service that means all of it has to be known to do so")
            }
            200..=299 => Verdict::Taken,
            400 | 422 => Verdict::Malformed,
            401 | 403 => refused(hints.credentials),
            404 | 405 | 410 => refused(hints.target),
            407 => Verdict::Failed(self.kept_out()),
            413 => Verdict::TooLarge,
            408 | 425 | 429 => Verdict::Failed(self.retryable()),
            415 => refused("the server may not take compressed requests: try `compression = \"none\"`"),
            300..=399 => Verdict::Failed(self.redirect()),
            501 | 505 => refused(hints.target),
            500..=599 => Verdict::Failed(self.retryable()),
            _ => refused("check `url`, and what the server says"),
        }
    }

    /// The answer in one sentence: `` `https://siem.example.com` answered 400 Bad Request: no such index ``.
    #[must_use]
    pub fn sentence(&self) -> String {
        let Self { origin, status, .. } = self;
        // With the reason phrase of the standard: the server's own is not kept.
        let said = self.excerpt();
        let colon = if said.is_empty() { "" } else { ": " };
        format!("`{origin}` answered {status}{colon}{said}")
    }

    /// The answer as a failure that may pass, with the wait it asks for.
    #[must_use]
    pub fn retryable(&self) -> DeliveryError {
        DeliveryError::Retryable { message: self.sentence(), retry_after: self.retry_after(), source: None }
    }

    /// The answer as a failure that needs a person.
    #[must_use]
    pub fn refused(&self, hint: impl Into<String>) -> DeliveryError {
        DeliveryError::Refused { message: self.sentence(), hint: hint.into(), source: None }
    }

    /// What the server asks us to wait.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        retry_after(&self.headers, Utc::now())
    }

    /// Keeps out of every error what our request held beside the secrets the client knows of: a token got meanwhile.
    pub fn keep_secret(&mut self, secret: Option<&str>) {
        if let Some(secret) = secret {
            let mut all = [&*self.secrets, &*spellings(std::iter::once(secret))].concat();
            all.sort_by_key(|spelling| std::cmp::Reverse(spelling.len()));
            self.secrets = all.into();
        }
    }

    /// The body as JSON, if it is that and all of it was read.
    #[must_use]
    pub fn json(&self) -> Option<serde_json::Value> {
        self.is_whole.then(|| serde_json::from_slice(&self.body).ok()).flatten()
    }

    /// The beginning of the body in one line, without our secrets.
    #[must_use]
    pub fn excerpt(&self) -> String {
        // All of it, for a secret may lie where it is cut.
        let text = String::from_utf8_lossy(&self.body);
        // A page for people says what it is about in its title.
        let title = text.split_once("<title>").and_then(|(_, rest)| rest.split_once("</title>"));
        self.fit_to_print(title.map_or(&*text, |(title, _)| title))
    }

    /// Text from a server in one line of bounded length, without our secrets: some repeat them when they refuse them.
    #[must_use]
    pub fn fit_to_print(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &*self.secrets {
            text = text.replace(secret, "***");
        }
        let visible = text.split(|char: char| char.is_whitespace() || char.is_control());
        let line = visible.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
        match line.char_indices().nth(EXCERPT) {
            Some((end, _)) => format!("{}…", &line[..end]),
            None => line,
        }
    }

    /// Not the server has said so, but what stands before it.
    fn kept_out(&self) -> DeliveryError {
        let (origin, said) = (&self.origin, self.excerpt());
        let colon = if said.is_empty() { "" } else { ": " };
        DeliveryError::Refused {
            message: format!(
                "the HTTP proxy of the environment does not let us through to `{origin}` (407){colon}{said}"
            ),
            hint: super::proxy::HINT.to_owned(),
            source: None,
        }
    }

    fn redirect(&self) -> DeliveryError {
        let location = self.headers.get(LOCATION).and_then(|value| value.to_str().ok());
        // Its query may hold what only the server should see again.
        let location = location.and_then(|text| text.split(['?', '#']).next()).unwrap_or("another address");
        DeliveryError::Refused {
            message: format!("`{}` sends us to `{}` ({})", self.origin, self.fit_to_print(location), self.status),
            hint: "no credential is taken to another address: set `url` to it if it is the right one".to_owned(),
            source: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HINTS: Hints = Hints { credentials: "check the token", target: "check the path" };

    fn answer(status: u16, body: &str) -> Answer {
        Answer {
            origin: "https://siem.example.com".to_owned(),
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: Bytes::copy_from_slice(body.as_bytes()),
            is_whole: true,
            secrets: ["hunter2".to_owned()].into(),
        }
    }

    fn failure(status: u16) -> DeliveryError {
        match answer(status, "").judge(&HINTS) {
            Verdict::Failed(error) => error,
            other => panic!("{status}: {other:?}"),
        }
    }

    #[test]
    fn statuses_are_sorted() {
        for status in [408, 425, 429, 500, 502, 503, 504, 529] {
            assert!(matches!(failure(status), DeliveryError::Retryable { .. }), "{status}");
        }
        for status in [206, 207, 301, 307, 308, 401, 403, 404, 405, 407, 409, 410, 411, 415, 418, 431, 501, 505] {
            assert!(matches!(failure(status), DeliveryError::Refused { .. }), "{status}");
        }
        for status in [200, 201, 202, 204] {
            assert!(matches!(answer(status, "").judge(&HINTS), Verdict::Taken), "{status}");
        }
        assert!(matches!(answer(413, "").judge(&HINTS), Verdict::TooLarge));
        assert!(matches!(answer(400, "").judge(&HINTS), Verdict::Malformed));
        assert!(matches!(answer(422, "").judge(&HINTS), Verdict::Malformed));
    }

    #[test]
    fn a_secret_is_known_in_every_spelling() {
        let mut answer = answer(403, r#"a/b+c= a\/b+c= a%2Fb%2Bc%3D a/b+c%3D YS9iK2M9 a/b+c=d"#);
        answer.secrets = spellings(["a/b+c=", "a/b+c=d", ""].into_iter());
        assert_eq!(answer.excerpt(), "*** *** *** a/b+c%3D *** ***");
        answer.keep_secret(Some("b+c%3D"));
        assert!(answer.excerpt().ends_with("a/*** *** ***"), "{}", answer.excerpt());
    }

    #[test]
    fn an_excerpt_is_short_flat_and_without_our_secrets() {
        let said = answer(403, "{\n\t\"error\": \"no such\u{1b}[1m token hunter2\"\r\n}").sentence();
        assert_eq!(said, "`https://siem.example.com` answered 403 Forbidden: { \"error\": \"no such [1m token ***\" }");
        assert_eq!(answer(500, "").sentence(), "`https://siem.example.com` answered 500 Internal Server Error");
        let page = answer(502, "<html><head><title>502 Bad Gateway</title></head><body>…</body></html>");
        assert_eq!(page.excerpt(), "502 Bad Gateway");
        let long = answer(500, &"ünï ".repeat(100_000)).excerpt();
        assert!(long.chars().count() == EXCERPT + 1 && long.ends_with('…'), "{long}");
    }

    #[test]
    fn a_redirect_tells_where_to_and_no_query() {
        let mut answer = answer(307, "");
        answer.headers.insert(LOCATION, "https://other.example.com/in?token=abc".parse().unwrap());
        let Verdict::Failed(DeliveryError::Refused { message, .. }) = answer.judge(&HINTS) else { panic!() };
        assert_eq!(
            message,
            "`https://siem.example.com` sends us to `https://other.example.com/in` (307 Temporary Redirect)"
        );
    }
}
