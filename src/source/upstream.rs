//! One vendor host with one credential: sends requests within the budget and sorts the answers.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use flate2::read::GzDecoder;
use reqwest::header::{CONTENT_ENCODING, DATE};
use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use serde_json::Value as Json;

use super::SourceError;
use super::auth::{Authenticator, choose};
use super::budget::{Budget, Priority};
use super::request::Prepared;
use super::settings::Settings;
use super::verdict::{Answer, Verdict, judge, sentence};
use crate::connector::model::Then;
use crate::event::{Arena, json};

/// How often one request is tried before the engine is told, which waits longer.
const ATTEMPTS: u32 = 6;
/// The first wait between two attempts; it doubles.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// The longest wait between two attempts that the vendor did not ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// An answer that holds more than this is not read: memory is bounded, and a smaller page or window is asked for.
const LARGEST_ANSWER: usize = 32 << 20;

/// A vendor host with one credential.
#[derive(Debug)]
pub struct Upstream {
    settings: Settings,
    client: Client,
    authenticator: Authenticator,
    budget: Arc<Budget>,
    /// The vendor's clock minus ours in seconds, by the last `Date` it sent.
    skew: AtomicI64,
    /// What our own entries in the vendor's log are told by.
    user_agent: String,
    /// The last thing the vendor complained of, so that a person sees it once. Held for one line.
    last_complaint: Mutex<String>,
}

/// Why a request brought no page, beyond what another attempt can mend.
#[derive(Debug)]
pub enum Refusal {
    /// What the connector's rule asks for.
    Asked(Verdict),
    /// The answer was larger than we hold.
    TooLarge,
    /// Nothing that the walk could do about it.
    Failed(SourceError),
}

impl Upstream {
    /// An upstream within that budget. `user_agent` goes with every request.
    ///
    /// # Errors
    /// When no way to authenticate is complete, or TLS cannot be set up.
    pub fn new(settings: Settings, budget: Arc<Budget>, user_agent: &str) -> Result<Self, SourceError> {
        let vendor = &settings.connector.definition.connector.vendor;
        let configuration = |message: String, hint: &str| SourceError::Configuration { message, hint: hint.to_owned() };
        let ways = settings.connector.definition.auth.iter().map(|way| &way.value);
        let way = choose(ways, &|name| settings.parameter(name)).ok_or_else(|| {
            let hint = "`auditline connectors NAME` lists the ways to authenticate";
            configuration(format!("no way to authenticate to {vendor} is complete"), hint)
        })?;
        let client = client(&settings, user_agent).map_err(|error| {
            configuration(format!("no client for {vendor}: {error}"), "check the machine's TLS certificates")
        })?;
        Ok(Self {
            client,
            authenticator: Authenticator::new(way),
            budget,
            skew: AtomicI64::new(0),
            user_agent: user_agent.to_owned(),
            last_complaint: Mutex::default(),
            settings,
        })
    }

    /// What this upstream was told.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Our user agent.
    pub fn user_agent(&self) -> &str {
        &self.user_agent
    }

    /// The earlier of our clock and the vendor's: to read up to an instant that the vendor has not reached would leave
    /// out what happens until then.
    pub fn now(&self) -> DateTime<Utc> {
        self.settings.clock.now() + TimeDelta::seconds(self.skew.load(Ordering::Relaxed).min(0))
    }

    /// Sends a request as often as it takes, and returns an answer that is no error.
    ///
    /// # Errors
    /// What the walk has to decide, or what no further attempt is likely to mend.
    pub async fn call(&self, request: &Prepared, priority: Priority) -> Result<Answer, Refusal> {
        let mut wait = FIRST_WAIT;
        let mut renewed = false;
        let mut attempt = 1;
        loop {
            let permit = self.budget.acquire(priority).await;
            let outcome = self.attempt(request).await;
            drop(permit);
            let (message, after) = match outcome {
                Ok(answer) => match self.sort(&answer, request.with_cursor) {
                    None => {
                        self.last_complaint.lock().expect("no panic while the lock is held").clear();
                        return Ok(answer);
                    }
                    Some(verdict) if verdict.then == Then::RefreshCredential && !renewed => {
                        renewed = true;
                        if self.authenticator.renew() {
                            continue;
                        }
                        return Err(Refusal::Asked(verdict));
                    }
                    Some(verdict) if verdict.then == Then::Retry => {
                        if verdict.throttled {
                            self.budget.pause(verdict.wait.unwrap_or(wait));
                        }
                        (self.sentence(&verdict), verdict.wait)
                    }
                    Some(verdict) => return Err(Refusal::Asked(verdict)),
                },
                Err(Broken::TooLarge) => return Err(Refusal::TooLarge),
                Err(Broken::Fatal(error)) => return Err(Refusal::Failed(error)),
                Err(Broken::Passing(message)) => (message, None),
            };
            // One refusal that the next attempt mends is no news.
            if attempt > 1 {
                self.complain(&message);
            }
            if attempt == ATTEMPTS {
                return Err(Refusal::Failed(SourceError::Retryable { message, after }));
            }
            attempt += 1;
            let patience = after.unwrap_or(jittered(wait));
            tokio::time::sleep(patience).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    /// The error of a verdict that nothing can be done about.
    pub fn refused(&self, verdict: &Verdict) -> SourceError {
        let message = self.sentence(verdict);
        match verdict.then {
            Then::Configuration | Then::RefreshCredential => {
                SourceError::Configuration { message, hint: verdict.hint.clone() }
            }
            _ => SourceError::Retryable { message, after: verdict.wait },
        }
    }

    /// An error of our own making that another try may mend.
    pub fn trouble(&self, what: &str) -> SourceError {
        SourceError::Retryable { message: format!("{} {what}", self.vendor()), after: None }
    }

    fn vendor(&self) -> &str {
        &self.settings.connector.definition.connector.vendor
    }

    fn sentence(&self, verdict: &Verdict) -> String {
        sentence(self.vendor(), &verdict.said)
    }

    fn complain(&self, message: &str) {
        let mut last = self.last_complaint.lock().expect("no panic while the lock is held");
        if *last != message {
            message.clone_into(&mut last);
            tracing::info!(vendor = self.vendor(), reason = message, "asking again");
        }
    }

    fn sort(&self, answer: &Answer, with_cursor: bool) -> Option<Verdict> {
        let definition = &self.settings.connector.definition;
        let errors = &definition.errors;
        // A page is decoded by whoever reads it; only what may be an error is looked into here, and not its records.
        let looked_at = !answer.status.is_success() || errors.failed.is_some();
        let arena = Arena::new();
        let look = || json::decode_around(&answer.body, &definition.decode.records, &arena, None).ok();
        let body = looked_at.then(look).flatten().map(|page| page.rest);
        judge(answer, body, errors, with_cursor, self.settings.clock.now())
    }

    async fn attempt(&self, request: &Prepared) -> Result<Answer, Broken> {
        let lookup = |name: &str| -> Option<Json> { self.settings.parameter(name) };
        let vendor_time = self.settings.clock.now() + TimeDelta::seconds(self.skew.load(Ordering::Relaxed));
        let credentials = self.authenticator.headers(&lookup, vendor_time).map_err(|error| {
            Broken::Fatal(SourceError::Configuration {
                message: format!("no request to {} can be made: {error}", self.vendor()),
                hint: "check the credential in the pipeline".to_owned(),
            })
        })?;
        let response = self
            .client
            .request(request.method.clone(), request.url.clone())
            .headers(request.headers.clone())
            .headers(credentials)
            .body(request.body.clone())
            .send()
            .await
            .map_err(|error| self.broken(&error))?;
        self.note_clock(&response);
        self.budget.learn(response.headers());
        self.receive(response).await
    }

    async fn receive(&self, mut response: Response) -> Result<Answer, Broken> {
        let status = response.status();
        if status.is_redirection() {
            return Err(Broken::Fatal(SourceError::Configuration {
                message: format!("{} sends us to another address, and a credential is not taken there", self.vendor()),
                hint: "check `base_url`".to_owned(),
            }));
        }
        let headers = response.headers().clone();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.broken(&error))? {
            if body.len() + chunk.len() > LARGEST_ANSWER {
                return Err(Broken::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        // A file may be gzip by its content while no header says so.
        if body.starts_with(&[0x1f, 0x8b]) && !headers.contains_key(CONTENT_ENCODING) {
            body = gunzip(&body)
                .ok_or_else(|| Broken::Passing(format!("{} sent a broken gzip file", self.vendor())))??;
        }
        Ok(Answer { status, headers, body })
    }

    fn note_clock(&self, response: &Response) {
        let date = response.headers().get(DATE).and_then(|date| date.to_str().ok());
        let Some(theirs) = date.and_then(|date| DateTime::parse_from_rfc2822(date).ok()) else { return };
        let skew = (theirs.to_utc() - self.settings.clock.now()).num_seconds();
        // Dates are whole seconds and answers take a moment: a few seconds are no skew.
        self.skew.store(if skew.abs() <= 5 { 0 } else { skew }, Ordering::Relaxed);
    }

    fn broken(&self, error: &reqwest::Error) -> Broken {
        if error.is_redirect() {
            return Broken::Fatal(SourceError::Configuration {
                message: format!("{} sends us to another host, and a credential is not taken there", self.vendor()),
                hint: "check `base_url`".to_owned(),
            });
        }
        let what = match error {
            error if error.is_timeout() => "does not answer in time",
            error if error.is_connect() => "cannot be reached",
            _ => "broke off its answer",
        };
        Broken::Passing(format!("{} {what}{}", self.vendor(), innermost(error)))
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

impl Refusal {
    /// Whether the vendor calls the request itself wrong (400).
    pub fn is_bad_request(&self) -> bool {
        matches!(self, Refusal::Asked(verdict) if verdict.said.starts_with("HTTP 400"))
    }
}

#[derive(Debug)]
enum Broken {
    Passing(String),
    Fatal(SourceError),
    TooLarge,
}

fn client(settings: &Settings, user_agent: &str) -> Result<Client, reqwest::Error> {
    let host = settings.base_url.host_str().map(str::to_owned);
    let scheme = settings.base_url.scheme().to_owned();
    let port = settings.base_url.port_or_known_default();
    // A token is bound to its host: a redirect to another one is an error, not a request.
    let same_host = Policy::custom(move |attempt| {
        let url = attempt.url();
        let same =
            url.host_str().map(str::to_owned) == host && url.scheme() == scheme && url.port_or_known_default() == port;
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
    if is_loopback(&settings.base_url) {
        builder = builder.no_proxy();
    }
    builder.build()
}

/// Whether an address stays on this machine.
pub fn is_loopback(url: &url::Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn gunzip(packed: &[u8]) -> Option<Result<Vec<u8>, Broken>> {
    use std::io::Read;
    let mut body = Vec::new();
    let limit = LARGEST_ANSWER as u64 + 1;
    GzDecoder::new(packed).take(limit).read_to_end(&mut body).ok()?;
    Some(if body.len() as u64 == limit { Err(Broken::TooLarge) } else { Ok(body) })
}

/// Between half and all of it, so that many sources do not come back together.
fn jittered(wait: Duration) -> Duration {
    let nanos = Utc::now().timestamp_subsec_nanos();
    wait.mul_f64(0.5 + 0.5 * f64::from(nanos % 1_000_000) / 1_000_000.0)
}
