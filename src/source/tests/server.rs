//! A vendor on loopback that answers as a test says, and a source that reads it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use auditline_sinks::secret::Secret;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, Uri};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Duration, Utc};
use url::Url;

use crate::connector::Connector;
use crate::connector::model::Rate;
use crate::document::{Context, Problems};
use crate::event::Clock;
use crate::source::budget::Budgets;
use crate::source::{Cursor, Mode, Page, Priority, Progress, Raw, Rules, Setting, Settings, Source, SourceError};

/// What time it is for both sides when a test begins.
pub const NOW: &str = "2026-09-14T12:00:00Z";

pub fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// A request as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub method: Method,
    /// Path and query, as they came over the wire.
    pub target: String,
    pub authorization: String,
    pub body: String,
}

impl Asked {
    /// The decoded value of a parameter in the query.
    pub fn query(&self, name: &str) -> Option<String> {
        let (_, query) = self.target.split_once('?')?;
        let mut pairs = url::form_urlencoded::parse(query.as_bytes());
        pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }

    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }
}

/// An answer: status, headers, body.
#[derive(Clone, Debug)]
pub struct Reply(pub u16, pub Vec<(&'static str, String)>, pub String);

impl Reply {
    pub fn ok(body: impl Into<String>) -> Self {
        Self(200, Vec::new(), body.into())
    }

    pub fn status(status: u16) -> Self {
        Self(status, Vec::new(), "{}".to_owned())
    }

    pub fn with(mut self, header: &'static str, value: impl Into<String>) -> Self {
        self.1.push((header, value.into()));
        self
    }
}

/// Records of the ids, a second apart, as an answer's list.
pub fn items<'a>(ids: impl IntoIterator<Item = &'a str>) -> String {
    let records: Vec<String> = ids.into_iter().map(|id| record(id, 0)).collect();
    format!("[{}]", records.join(","))
}

/// A record of half past eleven and so many seconds.
pub fn record(id: &str, second: i64) -> String {
    let time = at("2026-09-14T11:30:00Z") + Duration::seconds(second);
    format!(r#"{{"id":"{id}","at":"{}"}}"#, time.format("%Y-%m-%dT%H:%M:%SZ"))
}

type Answering = Box<dyn FnMut(&Asked) -> Reply + Send>;

struct Shared {
    asked: Vec<Asked>,
    answering: Answering,
    clock: Clock,
}

/// A vendor's server.
pub struct Vendor {
    pub address: SocketAddr,
    /// Its clock, and ours.
    pub clock: Clock,
    shared: Arc<Mutex<Shared>>,
}

impl Vendor {
    pub async fn answering(answering: impl FnMut(&Asked) -> Reply + Send + 'static) -> Self {
        let clock = Clock::standing_at(at(NOW));
        let shared = Shared { asked: Vec::new(), answering: Box::new(answering), clock: clock.clone() };
        let shared = Arc::new(Mutex::new(shared));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { address, clock, shared }
    }

    pub fn url(&self, below: &str) -> String {
        format!("http://{}{below}", self.address)
    }

    /// Every request so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.shared.lock().unwrap().asked.clone()
    }

    /// The targets of every request so far.
    pub fn targets(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.target).collect()
    }
}

async fn answer(
    State(shared): State<Arc<Mutex<Shared>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let authorization = headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
    let asked = Asked {
        method,
        target: uri.path_and_query().map_or_else(String::new, ToString::to_string),
        authorization: authorization.unwrap_or_default(),
        body: String::from_utf8(body.to_vec()).unwrap(),
    };
    let mut shared = shared.lock().unwrap();
    let Reply(status, headers, body) = (shared.answering)(&asked);
    shared.asked.push(asked);
    let mut response = (axum::http::StatusCode::from_u16(status).unwrap(), body).into_response();
    let date = shared.clock.now().format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    response.headers_mut().insert("date", date.parse().unwrap());
    for (name, value) in headers {
        response.headers_mut().insert(name, value.parse().unwrap());
    }
    response
}

/// A connector of which a test says how it reads.
fn connector(read: &str) -> Arc<Connector> {
    let text = format!(
        r#"
[connector]
title = "Example audit log"
vendor = "Example"
base_url = "https://api.example.com"
verified_on = "2026-11-25"
sources = []

[parameters.token]
secret = true
about = "a token"

[[auth]]
bearer = "{{token}}"

[window]
size = "1h"
lag = "5m"
overlap = "30m"
slack = "0s"
bounds = "half_open"
time_format = "%Y-%m-%dT%H:%M:%SZ"

{read}

[decode]
records = "items"
id = ["id"]
time = ["at"]

[errors]
code = ["error"]
failed = {{ path = "error", exists = true }}

[[errors.rule]]
code = [355, 357, 557]
then = "order_again"

[[errors.rule]]
code = [356, 484, 515]
then = "wait"

[[errors.rule]]
status = [400, 410]
cursor = true
then = "reset_cursor"

[[errors.rule]]
status = [422]
then = "split_window"

[limits]
rate = "10000/1s"
in_flight = 4

[ocsf]
product = "Example"
class = "entity_management"
severity = "Informational"

[ocsf.activity]
from = "kind"
values = {{ made = "Create" }}

[ocsf.map]
entity.uid = {{ from = "id", otherwise = "unknown" }}
"#
    );
    let problems = Problems::new();
    let connector = Connector::parse("example", "example.toml", &text, &Context::new(&problems));
    assert!(!problems.has_errors(), "{problems}");
    Arc::new(connector.unwrap())
}

/// A source that reads `vendor` from eleven o'clock on, up to a little before noon.
pub fn source(vendor: &Vendor, read: &str) -> Source {
    let rate = Rate { requests: 100_000, per: std::time::Duration::from_secs(1) };
    let hour = Duration::hours(1);
    let settings = Settings {
        connector: connector(read),
        base_url: Url::parse(&vendor.url("/v1")).unwrap(),
        parameters: [("token".to_owned(), Setting::Secret(Secret::literal("s3cret").unwrap().into()))].into(),
        filters: Vec::new(),
        start: at("2026-09-14T11:00:00Z"),
        rules: Rules { size: hour, grow_to: hour, lag: Duration::minutes(5), overlap: Duration::minutes(30) },
        mode: Mode::Auto,
        rate,
        reserve: 0.0,
        clock: vendor.clock.clone(),
        credential_expires: None,
    };
    let share = Budgets::default().share(&settings, &Arc::from("test"));
    Source::new(settings, share, "auditline/test").unwrap()
}

/// One step.
pub async fn step(source: &Source, cursor: &Cursor) -> Result<Page<String>, SourceError> {
    let refine = |raw: Raw<'_>, _: &crate::event::Arena| match raw {
        Raw::Event(event) => event.id.to_owned(),
        Raw::Unreadable { text, .. } => format!("unreadable {text}"),
    };
    source.read(cursor, Priority::Live, &refine).await
}

/// What a restart finds of a cursor.
pub fn restarted(cursor: &Cursor) -> Cursor {
    serde_json::from_str(&serde_json::to_string(&cursor.durable()).unwrap()).unwrap()
}

/// Reads to the end, from the start or after a restart at every step; returns what came and the cursor after it.
pub async fn read_all(source: &Source, with_restarts: bool) -> Result<(Vec<String>, Cursor), SourceError> {
    let mut cursor = source.start();
    let mut items = Vec::new();
    for _ in 0..1000 {
        let page = step(source, &cursor).await?;
        items.extend(page.items);
        cursor = if with_restarts { restarted(&page.next) } else { page.next };
        if page.progress == Progress::CaughtUp {
            return Ok((items, cursor));
        }
    }
    panic!("no end: {cursor:?}");
}
