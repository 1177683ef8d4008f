//! Requests on the wire: one client for one vendor, which takes no credential to another host and holds no more of an
//! answer than fits.

use std::io::Read as _;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use flate2::read::GzDecoder;
use reqwest::header::{CONTENT_ENCODING, DATE, HeaderMap};
use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use url::Url;

use super::SourceError;
use super::request::Prepared;
use super::settings::Settings;
use super::verdict::Answer;
use crate::event::Clock;

/// An answer that holds more than this is not read: memory is bounded, and a smaller page or window is asked for.
const LARGEST_ANSWER: usize = 16 << 20;
/// Of an answer that is an error so much is read: what it says stands at its beginning.
const LARGEST_ERROR: usize = 1 << 20;

/// So long a vendor's `Date` is taken for what its clock says compared with ours.
const SKEW_HOLDS: TimeDelta = TimeDelta::minutes(5);

/// What some put before a text in UTF-8, and JSON does not know.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// One vendor's client.
#[derive(Debug)]
pub struct Wire {
    vendor: String,
    client: Client,
    clock: Clock,
    /// The vendor's clock minus ours in seconds, by the last `Date` it sent.
    skew: AtomicI64,
    /// When it sent that by our clock, in seconds since 1970.
    noted_at: AtomicI64,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Broken {
    /// Another try may bring one.
    Passing {
        /// What happened, in one sentence that names the vendor.
        message: String,
        /// How long the vendor asks us to wait.
        after: Option<Duration>,
    },
    /// A person has to do something.
    Fatal(SourceError),
    /// It is larger than we hold.
    TooLarge,
}

impl Wire {
    /// A client that names itself `user_agent`.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(settings: &Settings, user_agent: &str) -> Result<Self, reqwest::Error> {
        Ok(Self {
            vendor: settings.connector.definition.connector.vendor.clone(),
            client: client(&settings.base_url, user_agent)?,
            clock: settings.clock.clone(),
            skew: AtomicI64::new(0),
            noted_at: AtomicI64::new(i64::MIN),
        })
    }

    /// What time it is by the vendor's clock.
    pub fn vendor_time(&self) -> DateTime<Utc> {
        self.clock.now() + self.skew()
    }

    /// The vendor's clock minus ours.
    pub fn skew(&self) -> TimeDelta {
        TimeDelta::seconds(self.skew.load(Ordering::Relaxed))
    }

    /// The same while that is fresh, and nothing once it is not: who asks for nothing because of it would never hear that
    /// the vendor's clock, or ours, was set right.
    pub fn fresh_skew(&self) -> TimeDelta {
        let age = self.clock.now().timestamp().saturating_sub(self.noted_at.load(Ordering::Relaxed));
        if (0..=SKEW_HOLDS.num_seconds()).contains(&age) { self.skew() } else { TimeDelta::zero() }
    }

    /// Sends a request once, with these headers beside its own. Whoever gets the response takes it with
    /// [`receive`](Self::receive).
    ///
    /// # Errors
    /// When no answer came.
    pub async fn send(&self, request: &Prepared, credentials: HeaderMap) -> Result<Response, Broken> {
        let sent = self
            .client
            .request(request.method.clone(), request.url.clone())
            .headers(request.headers.clone())
            .headers(credentials)
            .body(request.body.clone());
        sent.send().await.map_err(|error| self.broken(&error))
    }

    /// The error of something that another try may mend.
    pub fn passing(&self, what: &str) -> Broken {
        Broken::Passing { message: format!("{} {what}", self.vendor), after: None }
    }

    /// Takes what comes back, as far as there is room for it.
    ///
    /// # Errors
    /// When the answer breaks off, or cannot be used whatever it says.
    pub async fn receive(&self, mut response: Response) -> Result<Answer, Broken> {
        let status = response.status();
        if status.is_redirection() {
            return Err(self.sent_away());
        }
        let headers = response.headers().clone();
        // Of what is too large to be read nothing need be waited for.
        if status.is_success() && response.content_length().is_some_and(|length| length > LARGEST_ANSWER as u64) {
            return Err(Broken::TooLarge);
        }
        let most = if status.is_success() { LARGEST_ANSWER } else { LARGEST_ERROR };
        let mut body = Vec::new();
        // Unpacked while it comes, so that what was packed to burst does not.
        while let Some(chunk) = response.chunk().await.map_err(|error| self.broken(&error))? {
            let room = most - body.len();
            body.extend_from_slice(&chunk[..chunk.len().min(room)]);
            match (chunk.len() > room, status.is_success()) {
                (false, _) => {}
                (true, true) => return Err(Broken::TooLarge),
                (true, false) => break,
            }
        }
        // A file may be gzip by its content while no header says so.
        if body.starts_with(&[0x1f, 0x8b]) && !headers.contains_key(CONTENT_ENCODING) {
            body = gunzip(&body).ok_or_else(|| self.passing("sent a broken gzip file"))??;
        }
        if body.starts_with(BYTE_ORDER_MARK) {
            body.drain(..BYTE_ORDER_MARK.len());
        }
        Ok(Answer { status, headers, body })
    }

    /// Takes the vendor's clock from the headers of an answer.
    pub fn note_clock(&self, headers: &HeaderMap) {
        let date = headers.get(DATE).and_then(|date| date.to_str().ok());
        let Some(theirs) = date.and_then(|date| DateTime::parse_from_rfc2822(date).ok()) else { return };
        let now = self.clock.now();
        let skew = (theirs.to_utc() - now).num_seconds();
        // Dates are whole seconds and answers take a moment: a few seconds are no skew.
        self.skew.store(if skew.abs() <= 5 { 0 } else { skew }, Ordering::Relaxed);
        self.noted_at.store(now.timestamp(), Ordering::Relaxed);
    }

    fn broken(&self, error: &reqwest::Error) -> Broken {
        if error.is_redirect() {
            return self.sent_away();
        }
        let what = match error {
            error if error.is_timeout() => "does not answer in time",
            error if error.is_connect() => "cannot be reached",
            _ => "broke off its answer",
        };
        self.passing(&format!("{what}{}", innermost(error)))
    }

    fn sent_away(&self) -> Broken {
        Broken::Fatal(SourceError::Configuration {
            message: format!("{} sends us to another address, and a credential is not taken there", self.vendor),
            hint: "check `base_url`".to_owned(),
        })
    }
}

/// The innermost cause, which is what tells a refused connection from a name that does not resolve. Holds no address but
/// the host's.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: Option<&dyn std::error::Error> = std::error::Error::source(error);
    let mut last = None;
    while let Some(error) = cause {
        last = Some(error.to_string());
        cause = error.source();
    }
    last.map(|text| format!(": {text}")).unwrap_or_default()
}

fn client(base: &Url, user_agent: &str) -> Result<Client, reqwest::Error> {
    // A token is bound to its host: a redirect to another one is an error, not a request.
    let same_host = Policy::custom(|attempt| {
        let same = attempt.previous().first().is_some_and(|first| first.origin() == attempt.url().origin());
        match attempt.previous().len() {
            0..=5 if same => attempt.follow(),
            _ => attempt.error("another host"),
        }
    });
    let mut builder = Client::builder()
        .user_agent(user_agent)
        .redirect(same_host)
        .connect_timeout(Duration::from_secs(10))
        .read_timeout(Duration::from_secs(60))
        .pool_max_idle_per_host(1);
    if is_loopback(base) {
        builder = builder.no_proxy();
    }
    if base.scheme() == "http" {
        // It meets no TLS, and to read all of the machine's certificates takes longer than a page.
        builder = builder.tls_certs_only([]);
    }
    builder.build()
}

/// Whether an address stays on this machine.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn gunzip(packed: &[u8]) -> Option<Result<Vec<u8>, Broken>> {
    let mut body = Vec::new();
    let limit = LARGEST_ANSWER as u64 + 1;
    GzDecoder::new(packed).take(limit).read_to_end(&mut body).ok()?;
    Some(if body.len() as u64 == limit { Err(Broken::TooLarge) } else { Ok(body) })
}
