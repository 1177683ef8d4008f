//! The sink, the receivers it is tried against, and what is expected of a failure.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use auditline_sinks::contract::{self, Destination, Guarantees};
use auditline_sinks::{Batch, DeliveryError, Sink, SinkConfig};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};

/// Longer than a receiver needs on a busy machine: what is not there by then never comes.
pub const PATIENCE: Duration = Duration::from_secs(120);

pub fn sink(config: Value) -> Arc<dyn Sink> {
    let config: SinkConfig = serde_json::from_value(json!({ "syslog": config })).unwrap();
    config.build().unwrap()
}

/// A real receiver and the file it writes. The app name tells our messages from those of other tests.
pub struct Receiver {
    pub config: Value,
    pub output: String,
    pub read: fn(&str) -> Option<(String, String)>,
    pub big_batch: usize,
    pub max_size: usize,
}

#[async_trait]
impl Destination for Receiver {
    fn sink(&self) -> Arc<dyn Sink> {
        sink(self.config.clone())
    }

    async fn read_back(&self, expected: usize) -> Vec<String> {
        let give_up = Instant::now() + PATIENCE;
        loop {
            let output = tokio::fs::read(&self.output).await.unwrap();
            // The last line may be half written.
            let whole = output.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            let output = String::from_utf8_lossy(&output[..whole]);
            let messages = output.lines().filter_map(self.read);
            let ours = messages.filter(|(app, _)| *app == self.config["app_name"]);
            let messages: Vec<String> = ours.map(|(_, message)| message).collect();
            let different: std::collections::HashSet<&String> = messages.iter().collect();
            if different.len() >= expected || Instant::now() > give_up {
                return messages;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn guarantees(&self) -> Guarantees {
        Guarantees { max_record_bytes: Some(self.max_size), big_batch: self.big_batch, ..Guarantees::default() }
    }
}

/// App name and message of a line of rsyslog's `%rawmsg%`.
pub fn from_rsyslog(line: &str) -> Option<(String, String)> {
    let app = line.split(' ').nth(3)?.to_owned();
    let data = line.find("[auditline@32473")?;
    let mut quoted = false;
    let mut escaped = false;
    for (at, char) in line[data..].char_indices() {
        match char {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ']' if !quoted => {
                let message = &line[data + at + 2..];
                // It escapes what it takes for a control character; DEL is allowed in JSON.
                return Some((app, message.replace("#177", "\u{7f}")));
            }
            _ => {}
        }
    }
    None
}

/// App name and message of a line of syslog-ng's JSON.
pub fn from_syslog_ng(line: &str) -> Option<(String, String)> {
    let line: Value = serde_json::from_str(line).ok()?;
    let text = |key: &str| Some(line.get(key)?.as_str()?.to_owned());
    Some((text("APP-NAME")?, text("MSG")?))
}

pub fn receiver(name: &str, transport: &str, address: &str, output: &str) -> Receiver {
    let udp = transport == "udp";
    let mut config = json!({ "address": address, "transport": transport.trim_end_matches("+tls"), "app_name": name });
    if transport.ends_with("tls") {
        config["tls"] = json!({ "ca": std::env::var("AUDITLINE_TEST_TLS_CA").unwrap() });
    }
    Receiver {
        config,
        output: std::env::var(output).unwrap(),
        read: if output.contains("RSYSLOG") { from_rsyslog } else { from_syslog_ng },
        big_batch: if udp { 50 } else { 5000 },
        max_size: if udp { 8 * 1024 } else { 64 * 1024 },
    }
}

pub fn expect_refused(outcome: Result<(), DeliveryError>, expected: &str) {
    match outcome {
        Err(DeliveryError::Refused { hint, .. }) => assert_eq!(hint, expected),
        other => panic!("{other:?}"),
    }
}

pub fn expect_retryable(outcome: Result<(), DeliveryError>, expected: &str) {
    match outcome {
        Err(error @ DeliveryError::Retryable { .. }) => assert_eq!(error.to_string(), expected),
        other => panic!("{other:?}"),
    }
}

pub async fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

/// Gives the sink a certificate of its own.
pub fn introduce(receiver: &mut Receiver) {
    receiver.config["tls"]["cert"] = json!(std::env::var("AUDITLINE_TEST_TLS_CLIENT_CERT").unwrap());
    receiver.config["tls"]["key"] = json!(std::env::var("AUDITLINE_TEST_TLS_CLIENT_KEY").unwrap());
}

/// Reads octet-counted frames until the stream ends.
pub async fn frames(stream: &mut TcpStream) -> Vec<String> {
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let mut frames = Vec::new();
    let mut rest = text.as_str();
    while let Some((length, after)) = rest.split_once(' ') {
        let (frame, next) = after.split_at(length.parse().unwrap());
        frames.push(frame.to_owned());
        rest = next;
    }
    frames
}

/// Our kernel takes it at once; a receiver with a narrow buffer has to read for it to arrive.
pub fn large_batch(pipeline: &str) -> Batch {
    let body = format!(r#"{{"text":"{}"}}"#, "x".repeat(1000));
    contract::batch_of(pipeline, 1, vec![body; 200])
}
