//! Reads every vendor over HTTP as its documentation says, and compares with what a complete reader must have.

mod ashby;
mod cloudflare;
mod faults;
mod forms;
mod nirvana;
mod reports;
mod restart;
mod telnyx;
mod voximplant;
mod week;

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{Simulator, Vendor, World, credentials};

/// A world that ends at a fixed time, so that a test can name its windows.
fn world(records: u64) -> World {
    World { records, until: Some(instant("2026-03-01T00:00:00Z")), ..World::default() }
}

fn instant(text: &str) -> DateTime<Utc> {
    text.parse().expect("a time")
}

async fn start(world: World) -> Simulator {
    Simulator::start(world).await.expect("a free port")
}

/// Everything in the world, as a set of ids.
fn all_ids(simulator: &Simulator, vendor: Vendor) -> BTreeSet<String> {
    simulator.expected_ids(vendor, Utc::now()).map(|expected| expected.id).collect()
}

/// What came back: status, headers, JSON.
struct Reply {
    status: u16,
    headers: reqwest::header::HeaderMap,
    text: String,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error} in {}", self.text))
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().expect("text")).unwrap_or_default()
    }
}

async fn send(request: reqwest::RequestBuilder) -> Reply {
    let response = request.send().await.expect("an answer");
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Reply { status, headers, text: response.text().await.expect("a body") }
}

/// One client per test, since each test has a thread and a runtime of its own. It keeps no connection.
fn client() -> reqwest::Client {
    thread_local! {
        static CLIENT: reqwest::Client =
            reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().expect("a client");
    }
    CLIENT.with(Clone::clone)
}

fn encoded(params: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(params).finish()
}

async fn get(simulator: &Simulator, vendor: Vendor, path: &str, token: &str, params: &[(&str, &str)]) -> Reply {
    let url = format!("{}{path}?{}", simulator.base_url(vendor), encoded(params));
    send(client().get(url).header("authorization", format!("Bearer {token}"))).await
}

fn basic(key: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{key}:")))
}

/// The ids under `list`, in the answer's order.
fn ids(reply: &Reply, list: &str, name: &str) -> Vec<String> {
    let json = reply.json();
    let items = json[list].as_array().unwrap_or_else(|| panic!("no {list} in {}", reply.text));
    let id = |item: &Value| match &item[name] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    items.iter().map(id).collect()
}

/// Adds `page` to `seen` and fails if something was there already.
fn add(seen: &mut BTreeSet<String>, page: Vec<String>) {
    for id in page {
        assert!(seen.insert(id.clone()), "{id} came twice");
    }
}
