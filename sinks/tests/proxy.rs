//! Requests through the proxy of the environment. That is read when a sink is built, so each case is a process of its own.

use std::collections::HashMap;
use std::process::Command;
use std::sync::{Arc, Mutex};

use auditline_sinks::contract::{chain, numbered, server};
use auditline_sinks::{Delivery, DeliveryError, SinkConfig};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

/// Set for a process that only delivers: what its sink is made of.
const SINK: &str = "AUDITLINE_TEST_PROXIED_SINK";
/// What that prints, behind this.
const MARK: &str = "outcome: ";

const RIGHT: &str = "audit:o%70en%2Fsesame";
const WRONG: &str = "audit:hunter%32";
/// `audit:open/sesame`.
const ENCODED: &str = "YXVkaXQ6b3Blbi9zZXNhbWU=";

/// A proxy that asks for credentials, and says which ones it was given where they are not the right ones. It answers plain
/// requests itself, and leads tunnels to the server it is told.
async fn proxy(behind: Option<String>) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(pass(stream, behind.clone(), Arc::clone(&seen)));
        }
    });
    (address, asked)
}

async fn pass(mut stream: TcpStream, behind: Option<String>, seen: Arc<Mutex<Vec<String>>>) {
    let mut read = Vec::new();
    let end = loop {
        if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut read).await.unwrap_or(0) == 0 {
            return;
        }
    };
    let head = String::from_utf8(read[..end].to_vec()).unwrap();
    let headers: HashMap<String, &str> = head
        .lines()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value))
        .collect();
    seen.lock().unwrap().push(head.lines().next().unwrap().to_owned());
    let mut missing = headers.get("content-length").map_or(0, |length| length.parse().unwrap()) - (read.len() - end);
    while missing > 0 {
        missing -= stream.read(&mut vec![0; missing]).await.unwrap();
    }
    let given = headers.get("proxy-authorization").copied().unwrap_or_default();
    if given.strip_prefix("Basic ") != Some(ENCODED) {
        let page = format!("{given} is not welcome, nor is hunter2, which you wrote as hunter%32");
        let head = "HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=\"a\"\r\nConnection: close\r\n";
        let answer = format!("{head}Content-Length: {}\r\n\r\n{page}", page.len());
        return stream.write_all(answer.as_bytes()).await.unwrap();
    }
    if head.starts_with("CONNECT ") {
        let mut server = TcpStream::connect(behind.unwrap()).await.unwrap();
        stream.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").await.unwrap();
        let _ = copy_bidirectional(&mut stream, &mut server).await;
    } else {
        stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n").await.unwrap();
    }
}

/// Delivers in a process whose environment has this proxy.
async fn outcome(proxy: String, sink: serde_json::Value) -> String {
    let run = move || {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "plain_requests_go_through_the_proxy", "--nocapture"]).env(SINK, sink.to_string());
        for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
            command.env_remove(name).env_remove(name.to_uppercase());
        }
        let ran = command.env("HTTP_PROXY", &proxy).env("HTTPS_PROXY", &proxy).output().unwrap();
        let said = String::from_utf8(ran.stdout).unwrap();
        let outcome = said.lines().find_map(|line| line.split_once(MARK)).map(|(_, outcome)| outcome.to_owned());
        outcome.unwrap_or_else(|| panic!("{said}{}", String::from_utf8_lossy(&ran.stderr)))
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

/// What the process does that [`outcome`] has started.
async fn deliver_here(sink: &str) {
    let sink: SinkConfig = serde_json::from_str(sink).unwrap();
    let sink = sink.build().unwrap();
    match sink.deliver(&numbered("proxied", 1, 3)).await {
        Ok(delivery) => {
            assert_eq!(delivery, Delivery::default());
            println!("\n{MARK}delivered");
        }
        Err(error) => {
            let DeliveryError::Refused { hint, .. } = &error else { panic!("{error:?}") };
            println!("\n{MARK}{} ({hint})", chain(&error));
        }
    }
}

fn http() -> serde_json::Value {
    json!({ "http": { "url": "http://siem.example.com/in", "format": "ndjson", "allow_http": true } })
}

#[tokio::test]
async fn plain_requests_go_through_the_proxy() {
    if let Ok(sink) = std::env::var(SINK) {
        return deliver_here(&sink).await;
    }
    let (address, asked) = proxy(None).await;
    assert_eq!(outcome(format!("http://{RIGHT}@{address}"), http()).await, "delivered");
    assert_eq!(*asked.lock().unwrap(), ["POST http://siem.example.com/in HTTP/1.1"]);
}

#[tokio::test]
async fn a_proxy_that_refuses_us_is_named_and_its_password_is_not() {
    let (address, _asked) = proxy(None).await;
    let https = json!({ "http": { "url": "https://siem.example.com/in", "format": "ndjson" } });
    for (sink, said) in [
        (http(), "`http://siem.example.com` (407): Basic *** is not welcome, nor is ***, which you wrote as ***"),
        (https, "`https://siem.example.com` (407)"),
    ] {
        let outcome = outcome(format!("http://{WRONG}@{address}"), sink).await;
        let expected = format!("the HTTP proxy of the environment does not let us through to {said}");
        assert!(outcome.starts_with(&expected), "{outcome}");
        assert!(outcome.contains("`https_proxy=http://user:password@host:port`"), "{outcome}");
        assert!(!outcome.contains("hunter"), "{outcome}");
    }
}

#[tokio::test]
async fn encrypted_requests_go_through_a_tunnel() {
    let Some(base) = server("encrypted_requests_go_through_a_tunnel", "http", "AUDITLINE_TEST_HTTP_TLS") else {
        return;
    };
    let behind = base.strip_prefix("https://").unwrap().to_owned();
    let (address, asked) = proxy(Some(behind)).await;
    let ca = std::env::var("AUDITLINE_TEST_TLS_CA").unwrap();
    let sink = json!({ "http": {
        "url": "https://siem.example.com/in/proxied", "format": "ndjson",
        "tls": { "ca": ca, "server_name": "localhost" },
    } });
    assert_eq!(outcome(format!("http://{RIGHT}@{address}"), sink).await, "delivered");
    assert_eq!(*asked.lock().unwrap(), ["CONNECT siem.example.com:443 HTTP/1.1"]);
}
