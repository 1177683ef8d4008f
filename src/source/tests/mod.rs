//! What a source promises, held against vendors made for the purpose: a model without a network, and a server of each
//! test's own making.

mod bad_answers;
mod clocks;
mod credentials;
mod cursor;
mod fan_out;
mod jobs;
mod model;
mod oauth2;
mod paging;
mod server;
mod walks;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use auditline_sinks::secret::Secret;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use chrono::{DateTime, TimeDelta, Utc};
use tokio::net::TcpListener;
use url::Url;

use super::budget::{Budgets, Priority, Share};
use super::request::Prepared;
use super::upstream::{Refusal, Upstream};
use super::{Cursor, Mode, Page, Raw, Rules, Setting, Settings, Source, SourceError};
use crate::connector::Connector;
use crate::connector::model::Rate;
use crate::document::{Context, Problems};
use crate::event::{Arena, Clock, json};

/// What a vendor was asked.
#[derive(Clone, Debug)]
struct Asked {
    path: String,
    headers: HeaderMap,
    body: String,
}

impl Asked {
    /// The path, and what the request was authenticated with.
    fn line(&self) -> String {
        let authorization = self.headers.get("authorization").and_then(|value| value.to_str().ok());
        format!("{} {}", self.path, authorization.unwrap_or("-"))
    }
}

/// A vendor on this machine.
struct Vendor {
    address: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Vendor {
    /// One that answers by `answer`, which is given how often it was asked before.
    async fn start(answer: impl Fn(&Asked, usize) -> Response + Clone + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let kept = Arc::clone(&asked);
        let app = Router::new().fallback(async move |uri: Uri, headers: HeaderMap, body: Bytes| {
            let body = String::from_utf8(body.to_vec()).unwrap();
            let one = Asked { path: uri.path().to_owned(), headers, body };
            let before = {
                let mut kept = kept.lock().unwrap();
                kept.push(one.clone());
                kept.len() - 1
            };
            answer(&one, before)
        });
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { address, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().iter().map(Asked::line).collect()
    }
}

fn answer(status: u16, body: impl Into<Body>) -> Response {
    Response::builder().status(status).body(body.into()).unwrap()
}

/// An answer with a header more.
fn with(mut response: Response, name: &'static str, value: &str) -> Response {
    response.headers_mut().insert(name, value.parse().unwrap());
    response
}

/// A page without records.
fn nothing() -> Response {
    answer(200, r#"{"items":[]}"#)
}

/// Acme's connector: `auth`, then the rest of the file, which begins with the keys of `[decode]`.
fn connector(auth: &str, rest: &str) -> Arc<Connector> {
    let text = format!(
        r#"
        [connector]
        title = "Acme audit log"
        vendor = "Acme"
        base_url = "https://api.example.com"
        verified_on = "2026-11-25"
        sources = []

        [parameters]
        token = {{ secret = true, optional = true, about = "the token" }}
        client_id = {{ optional = true, about = "the client" }}
        client_secret = {{ secret = true, optional = true, about = "its secret" }}

        [[auth]]
        {auth}

        [window]
        size = "1d"
        lag = "0s"
        overlap = "0s"
        slack = "0s"
        time_format = "%Y-%m-%dT%H:%M:%SZ"

        [read.pages]
        order = "ascending"
        request = {{ method = "GET", path = "/events", query = {{ from = "{{from}}", until = "{{until}}" }} }}

        [limits]
        rate = "1000/1s"
        in_flight = 1

        [ocsf]
        product = "Acme"
        class = "entity_management"
        severity = "Informational"
        activity = {{ from = "action", values = {{ "*" = "Read" }} }}
        map = {{ entity = {{ uid = {{ from = "id", otherwise = "unknown" }} }} }}

        [decode]
        {rest}
        "#
    );
    let problems = Problems::new();
    let connector = Connector::parse("acme", "acme.toml", &text, &Context::new(&problems));
    Arc::new(connector.unwrap_or_else(|| panic!("{problems}")))
}

/// Records that stand in `items`.
const ITEMS: &str = r#"
    records = "items"
    id = ["id"]
    time = ["at"]
"#;

fn settings(connector: &Arc<Connector>, base_url: &str, parameters: &[(&str, Setting)]) -> Settings {
    let parameters = parameters.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    Settings {
        connector: Arc::clone(connector),
        base_url: Url::parse(base_url).unwrap(),
        parameters,
        filters: Vec::new(),
        start: Utc::now() - TimeDelta::hours(1),
        rules: Rules {
            size: TimeDelta::days(1),
            lag: TimeDelta::zero(),
            overlap: TimeDelta::zero(),
            grow_to: TimeDelta::zero(),
        },
        mode: Mode::Auto,
        rate: Rate { requests: 1000, per: Duration::from_secs(1) },
        reserve: 0.0,
        clock: Clock::system(),
        credential_expires: None,
    }
}

fn plain(text: &str) -> Setting {
    Setting::Plain(text.to_owned())
}

fn secret(text: &str) -> Setting {
    Setting::Secret(Secret::literal(text).unwrap().into())
}

fn secret_file(path: &Path) -> Setting {
    Setting::Secret(Secret::from_file(path).unwrap().into())
}

fn source(settings: Settings) -> Source {
    let share = share(&settings);
    Source::new(settings, share, "auditline/test").unwrap()
}

fn share(settings: &Settings) -> Share {
    Budgets::default().share(settings, &Arc::from("test"))
}

fn upstream(settings: Settings) -> Upstream {
    let share = share(&settings);
    Upstream::new(settings, share, "auditline/test").unwrap()
}

/// A request for a page.
fn events(upstream: &Upstream) -> Prepared {
    let settings = upstream.settings();
    let read = settings.connector.definition.read.get("pages").unwrap();
    let lookup = |name: &str| settings.parameter(name);
    super::request::prepare(&settings.base_url, &read.request, &settings.connector.definition.filters, &[], &lookup)
}

/// Asks for a page; what a person would be told when there is none.
async fn call(upstream: &Upstream) -> Result<String, String> {
    match upstream.call(&events(upstream), Priority::Live).await {
        Ok(answer) => Ok(String::from_utf8_lossy(&answer.body).into_owned()),
        Err(Refusal::Asked(verdict)) => Err(told(&upstream.refused(&verdict))),
        Err(Refusal::Failed(error)) => Err(told(&error)),
        Err(Refusal::TooLarge) => Err("too large".to_owned()),
    }
}

fn told(error: &SourceError) -> String {
    match error {
        SourceError::Configuration { message, hint } => format!("{message} | {hint}"),
        SourceError::Retryable { message, .. } => message.clone(),
    }
}

/// Reads the page at `cursor`: each record as its id, time and body, or as what is said of it.
async fn read(source: &Source, cursor: &Cursor) -> Result<Page<String>, SourceError> {
    let refine = |raw: Raw<'_>, _: &Arena| match raw {
        Raw::Event(event) => {
            format!("{} {} {}", event.id, event.time.to_rfc3339(), json::to_string(&event.body))
        }
        Raw::Unreadable { text, reason } => format!("{reason}: {text}"),
    };
    source.read(cursor, Priority::Live, &refine).await
}

fn instant(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}
