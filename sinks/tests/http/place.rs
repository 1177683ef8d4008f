//! The sink, the server it is tried against, and what is expected of a failure.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use auditline_sinks::contract::{Destination, Guarantees, chain};
use auditline_sinks::{DeliveryError, Sink, SinkConfig};
use serde_json::value::RawValue;
use serde_json::{Value, json};

pub const HTTP: &str = "AUDITLINE_TEST_HTTP";
pub const TLS: &str = "AUDITLINE_TEST_HTTP_TLS";
pub const MUTUAL: &str = "AUDITLINE_TEST_HTTP_MUTUAL";
/// What the receiver takes for a token, a password and a key.
pub const TOKEN: &str = "opens-nothing-either";

pub fn sink(config: Value) -> Arc<dyn Sink> {
    let config: SinkConfig = serde_json::from_value(json!({ "http": config })).unwrap();
    config.build().unwrap()
}

/// `config` with the keys of `more`.
pub fn with(mut config: Value, more: Value) -> Value {
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    config
}

pub fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is set together with the server's address"))
}

pub fn refusal<T: std::fmt::Debug>(outcome: Result<T, DeliveryError>) -> (String, String) {
    match outcome {
        Err(error) => {
            let message = chain(&error);
            assert!(!message.contains(TOKEN) && !message.contains("hunter2"), "{message}");
            let DeliveryError::Refused { hint, .. } = error else { panic!("{error:?}") };
            (message, hint)
        }
        other => panic!("{other:?}"),
    }
}

pub fn passing<T: std::fmt::Debug>(outcome: Result<T, DeliveryError>) -> (String, Option<Duration>) {
    match outcome {
        Err(error) => {
            let message = chain(&error);
            let DeliveryError::Retryable { retry_after, .. } = error else { panic!("{error:?}") };
            (message, retry_after)
        }
        other => panic!("{other:?}"),
    }
}

/// A path nobody else uses.
pub struct Intake {
    base: String,
    path: String,
    config: Value,
}

impl Intake {
    pub fn new(base: &str, name: &str, config: Value) -> Self {
        let path = format!("in/{name}");
        let config = with(config, json!({ "url": format!("{base}/{path}"), "max_record_bytes": "64KiB" }));
        Self { base: base.to_owned(), path, config }
    }

    /// Headers and body of every request, in the order of arrival.
    async fn requests(&self) -> Vec<(Value, String)> {
        requests(&self.base, &self.path).await
    }
}

pub async fn requests(base: &str, path: &str) -> Vec<(Value, String)> {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let text = client.get(format!("{base}/stored/{path}")).send().await.unwrap().text().await.unwrap();
    let request = |line: &str| {
        let mut request: Value = serde_json::from_str(line).unwrap();
        (request["headers"].take(), request["body"].as_str().unwrap().to_owned())
    };
    text.lines().map(request).collect()
}

#[async_trait]
impl Destination for Intake {
    fn sink(&self) -> Arc<dyn Sink> {
        sink(self.config.clone())
    }

    async fn read_back(&self, _expected: usize) -> Vec<String> {
        let is_array = self.config["format"] == "json_array";
        let texts = |body: &str| -> Vec<String> {
            if !is_array {
                return body.lines().map(str::to_owned).collect();
            }
            let items: Vec<Box<RawValue>> = serde_json::from_str(body).unwrap();
            items.iter().map(|item| item.get().to_owned()).collect()
        };
        self.requests().await.iter().flat_map(|(_, body)| texts(body)).collect()
    }

    fn guarantees(&self) -> Guarantees {
        Guarantees { max_record_bytes: Some(64 * 1024), late_copies: true, ..Guarantees::default() }
    }
}
