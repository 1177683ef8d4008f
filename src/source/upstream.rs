//! One vendor host with one credential: sends requests within the budget and sorts the answers.

use std::sync::OnceLock;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::StatusCode;
use reqwest::header::HeaderMap;

use super::SourceError;
use super::auth::{AuthError, Authenticator, Used, choose, oauth2};
use super::budget::{BudgetState, Permit, Priority, Share};
use super::expiry::Forecast;
use super::request::Prepared;
use super::secrets::Rotating;
use super::settings::{Settings, hide};
use super::troubles::Troubles;
use super::verdict::{Answer, Verdict, judge, sentence};
use super::wire::{Broken, Wire};
use crate::connector::model::{Format, Then};
use crate::event::{Arena, json, mend};
use crate::transform::redact;

/// How often one request is tried before the engine is told, which waits longer.
const ATTEMPTS: u32 = 6;
/// The first wait between two attempts; it doubles.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// The longest wait between two attempts that the vendor did not ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// A vendor host with one credential.
#[derive(Debug)]
pub struct Upstream {
    settings: Settings,
    wire: Wire,
    authenticator: Authenticator,
    budget: Share,
    forecast: Forecast,
    troubles: Troubles,
    /// What our own entries in the vendor's log are told by.
    user_agent: String,
    /// Why the vendor is not to be asked any more.
    stopped: OnceLock<SourceError>,
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
    pub fn new(settings: Settings, budget: Share, user_agent: &str) -> Result<Self, SourceError> {
        let definition = &settings.connector.definition;
        let vendor = &definition.connector.vendor;
        let configuration = |message: String, hint: &str| SourceError::Configuration { message, hint: hint.to_owned() };
        let ways = definition.auth.iter().map(|way| &way.value);
        let way = choose(ways, &|name| settings.parameter(name)).ok_or_else(|| {
            let hint = "`auditline connectors NAME` lists the ways to authenticate";
            configuration(format!("no way to authenticate to {vendor} is complete"), hint)
        })?;
        let wire = Wire::new(&settings, user_agent).map_err(|error| {
            configuration(format!("no client for {vendor}: {error}"), "check the machine's TLS certificates")
        })?;
        let header = definition.credential.expires_header.as_ref().map(|header| header.value.as_str());
        Ok(Self {
            forecast: Forecast::new(vendor, header, settings.credential_expires),
            troubles: Troubles::new(vendor),
            wire,
            authenticator: Authenticator::new(way),
            budget,
            user_agent: user_agent.to_owned(),
            stopped: OnceLock::new(),
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

    /// What the upstream may be asked, and how that goes.
    pub fn budget(&self) -> BudgetState {
        self.budget.budget().state()
    }

    /// When the credential ends, as far as the vendor or the operator told.
    pub fn credential_expires(&self) -> Option<DateTime<Utc>> {
        self.forecast.expires()
    }

    /// The earlier of our clock and the vendor's: to read up to an instant that the vendor has not reached would leave
    /// out what happens until then.
    pub fn now(&self) -> DateTime<Utc> {
        self.settings.clock.now() + self.wire.fresh_skew().min(TimeDelta::zero())
    }

    /// Sends a request as often as it takes, and returns an answer that is no error.
    ///
    /// A credential that the vendor refuses is renewed once, or read again from its file, before a person is told.
    ///
    /// # Errors
    /// What the walk has to decide, or what no further attempt is likely to mend.
    pub async fn call(&self, request: &Prepared, priority: Priority) -> Result<Answer, Refusal> {
        if let Some(error) = self.stopped.get() {
            return Err(Refusal::Failed(error.clone()));
        }
        let mut wait = FIRST_WAIT;
        let mut renewed = false;
        let mut attempt = 1;
        loop {
            let (kind, message, after, paused) = match self.attempt(request, priority).await {
                Ok((answer, used, permit)) => match self.sort(&answer, request.with_cursor) {
                    None => {
                        if attempt == 1 {
                            self.troubles.answered();
                        }
                        return Ok(answer);
                    }
                    Some(verdict) if !renewed && verdict.is_about_the_credential() && self.renew(&verdict, used) => {
                        renewed = true;
                        continue;
                    }
                    Some(verdict) if verdict.then == Then::Retry => {
                        match verdict.wait {
                            asked if verdict.throttled => permit.throttled(asked),
                            Some(wait) => self.budget.pause(wait),
                            None => {}
                        }
                        let paused = verdict.throttled || verdict.wait.is_some();
                        (verdict.status.to_string(), self.sentence(&verdict), verdict.wait, paused)
                    }
                    Some(verdict) => return Err(self.refusal(verdict)),
                },
                Err(Broken::TooLarge) => return Err(Refusal::TooLarge),
                Err(Broken::Fatal(error)) => return Err(Refusal::Failed(error)),
                Err(Broken::Passing { message, after }) => (message.clone(), message, after, false),
            };
            // One refusal that the next attempt mends is no news.
            if attempt > 1 {
                self.troubles.failed(&kind, &message);
            }
            if attempt == ATTEMPTS || request.once {
                return Err(Refusal::Failed(SourceError::Retryable { message, after }));
            }
            attempt += 1;
            // A pause of the budget is waited for in its queue, where the most urgent is first when it ends.
            if !paused {
                tokio::time::sleep(after.unwrap_or(jittered(wait))).await;
            }
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    /// The error of a verdict that nothing can be done about.
    pub fn refused(&self, verdict: &Verdict) -> SourceError {
        let message = self.sentence(verdict);
        match verdict.then {
            Then::Configuration | Then::RefreshCredential | Then::Stop => {
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
        sentence(self.vendor(), &self.fit_to_print(&verdict.said))
    }

    /// What a vendor said, without whom it names and without our credential, which some quote when they refuse it.
    fn fit_to_print(&self, said: &str) -> String {
        redact::masked(&hide(&self.settings.without_secrets(said), self.authenticator.token()))
    }

    fn refusal(&self, verdict: Verdict) -> Refusal {
        if verdict.then == Then::Stop {
            let error = self.refused(&verdict);
            return Refusal::Failed(self.stopped.get_or_init(|| error).clone());
        }
        Refusal::Asked(verdict)
    }

    fn sort(&self, answer: &Answer, with_cursor: bool) -> Option<Verdict> {
        let definition = &self.settings.connector.definition;
        let errors = &definition.errors;
        // A page is decoded by whoever reads it; only what may be an error is looked into here, and not its records.
        let looked_at = !answer.status.is_success() || errors.failed.is_some();
        let arena = Arena::new();
        let records = definition.decode.records.as_deref();
        let text = if looked_at { String::from_utf8_lossy(&answer.body) } else { "".into() };
        let look = |text: &[u8]| json::decode_around(text, records, &arena, None).ok();
        // What would be mended to be read as a page is mended to be seen as an error, too.
        let is_json = definition.decode.format == Format::Json && text.starts_with(['{', '[']);
        let mended = || is_json.then(|| look(&mend(text.as_bytes()))).flatten();
        let body = look(text.as_bytes()).or_else(mended).map(|page| page.rest);
        judge(answer, body, errors, with_cursor, self.settings.clock.now())
    }

    /// The answer, with the credential it was asked with; and the permit, which is to be kept until it is sorted.
    async fn attempt(&self, request: &Prepared, priority: Priority) -> Result<(Answer, Used, Permit), Broken> {
        self.settings.secrets().for_each(Rotating::look);
        let permit = self.admitted(priority).await?;
        let vendor_time = self.wire.vendor_time();
        let version = self.settings.changes();
        let credentials = self.authenticator.headers(&|name| self.settings.parameter(name), version, vendor_time);
        let (credentials, used) = credentials.map_err(|error| self.no_credential(&error))?;
        let response = self.wire.send(request, credentials).await?;
        self.wire.note_clock(response.headers());
        permit.answered(response.status(), response.headers(), self.settings.clock.now());
        self.forecast.note(response.headers(), used.version, self.settings.clock.now());
        Ok((self.wire.receive(response).await?, used, permit))
    }

    /// A permit to send a request, with a token at hand where one is needed.
    async fn admitted(&self, priority: Priority) -> Result<Permit, Broken> {
        self.fetch_token().await?;
        let permit = self.budget.acquire(priority).await;
        if self.authenticator.lacks_token(self.settings.changes(), self.settings.clock.now()).is_none() {
            return Ok(permit);
        }
        // The wait has outlasted the token. If this one's does too, let the vendor judge: we must get on.
        drop(permit);
        self.fetch_token().await?;
        Ok(self.budget.acquire(priority).await)
    }

    /// Sees to it that there is a good token, where the vendor gives them. Who finds another asking waits for its token.
    async fn fetch_token(&self) -> Result<(), Broken> {
        let now = || self.settings.clock.now();
        if self.authenticator.lacks_token(self.settings.changes(), now()).is_none() {
            return Ok(());
        }
        let _asking = self.authenticator.ask().await;
        let mut version = self.settings.changes();
        let mut read_again = false;
        while let Some(way) = self.authenticator.lacks_token(version, now()) {
            let lookup = |name: &str| self.settings.parameter(name);
            let request =
                oauth2::request(way, &self.settings.base_url, &lookup).map_err(|error| self.no_credential(&error))?;
            // Whoever waits for the token may be live, whoever asks for it.
            let permit = self.budget.acquire(Priority::Live).await;
            let asked_at = now();
            let response = self.wire.send(&request, HeaderMap::new()).await?;
            let answer = self.wire.receive(response).await?;
            drop(permit);
            match oauth2::granted(&answer, way, now()) {
                Ok(granted) => {
                    let good_for = TimeDelta::from_std(granted.good_for).unwrap_or_default();
                    self.authenticator.keep(granted.token, version, asked_at + good_for);
                    return Ok(());
                }
                Err(refused) => {
                    self.settings.secrets().for_each(Rotating::read_again);
                    if read_again || refused.hint.is_none() || self.settings.changes() == version {
                        return Err(self.no_token(refused));
                    }
                    read_again = true;
                    version = self.settings.changes();
                }
            }
        }
        Ok(())
    }

    /// Whether there is another credential than the one that was refused: a new token, or what its file holds now.
    fn renew(&self, verdict: &Verdict, refused: Used) -> bool {
        self.settings.secrets().for_each(Rotating::read_again);
        // Another token of the same credential may do no more than this one.
        let is_forbidden = verdict.then != Then::RefreshCredential && verdict.status == StatusCode::FORBIDDEN;
        self.settings.changes() != refused.version || (!is_forbidden && self.authenticator.renew(refused))
    }

    fn no_credential(&self, error: &AuthError) -> Broken {
        Broken::Fatal(SourceError::Configuration {
            message: format!("no request to {} can be made: {error}", self.vendor()),
            hint: "check the credential in the pipeline".to_owned(),
        })
    }

    fn no_token(&self, refused: oauth2::Refused) -> Broken {
        let message = format!("{} gives no token: it answered {}", self.vendor(), self.fit_to_print(&refused.said));
        if refused.throttled {
            self.budget.pause(refused.wait.unwrap_or(FIRST_WAIT));
        }
        match refused.hint {
            Some(hint) => Broken::Fatal(SourceError::Configuration { message, hint }),
            None => Broken::Passing { message, after: refused.wait },
        }
    }
}

impl Refusal {
    /// Whether the vendor calls the request itself wrong (400).
    pub fn is_bad_request(&self) -> bool {
        matches!(self, Refusal::Asked(verdict) if verdict.status.as_u16() == 400)
    }

    /// Whether the vendor says that what was asked for is not there, or no longer (404, 410).
    pub fn is_gone(&self) -> bool {
        matches!(self, Refusal::Asked(verdict) if matches!(verdict.status.as_u16(), 404 | 410))
    }
}

/// Between half and all of it, so that many sources do not come back together.
fn jittered(wait: Duration) -> Duration {
    let nanos = Utc::now().timestamp_subsec_nanos();
    wait.mul_f64(0.5 + 0.5 * f64::from(nanos % 1_000_000) / 1_000_000.0)
}
