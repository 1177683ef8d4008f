//! Servers that are not there, say nothing, or say what no healthy one would.

use std::time::Duration;

use auditline_sinks::contract::{self, numbered};
use auditline_sinks::{Delivery, DeliveryError, SinkConfig};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::place::{passing, refusal, sink, with};

/// Answers every request with the same bytes, as soon as its head is there, and closes.
async fn answering(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = Vec::new();
                while !request.windows(4).any(|window| window == b"\r\n\r\n") {
                    let mut chunk = [0; 4096];
                    match stream.read(&mut chunk).await {
                        Ok(0) | Err(_) => return,
                        Ok(count) => request.extend_from_slice(&chunk[..count]),
                    }
                }
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.shutdown().await;
                let mut rest = Vec::new();
                let _ = stream.read_to_end(&mut rest).await;
            });
        }
    });
    format!("http://{address}")
}

async fn outcome(base: &str, more: Value) -> Result<Delivery, DeliveryError> {
    let config = with(json!({ "url": format!("{base}/in"), "format": "ndjson" }), more);
    sink(config).deliver(&numbered("fault", 1, 3)).await
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told() {
    let (_closed, free) = contract::closed_port();
    let (message, _) = passing(outcome(&format!("http://{free}"), json!({})).await);
    assert!(message.starts_with(&format!("nobody listens at `http://{free}`")), "{message}");
    let more = json!({ "allow_http": true });
    let (message, _) = passing(outcome("http://no-such-host.invalid:9", more).await);
    assert!(message.starts_with("the name in `http://no-such-host.invalid:9` cannot be resolved"), "{message}");
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let keep = tokio::spawn(async move {
        let mut streams = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            streams.push(stream);
        }
    });
    let (message, _) = passing(outcome(&base, json!({ "timeout": "1s" })).await);
    assert!(message.starts_with(&format!("`{base}` did not answer within 1s")), "{message}");
    keep.abort();
}

#[tokio::test]
async fn answers_that_are_none_are_told() {
    let (message, hint) = refusal(outcome(&answering("220 mail.example.com ESMTP\r\n").await, json!({})).await);
    assert!(message.contains("does not speak HTTP"), "{message}");
    assert!(hint.contains("port"), "{hint}");
    let (message, _) = passing(outcome(&answering("").await, json!({})).await);
    assert!(message.contains("broke before an answer was complete"), "{message}");
    let half = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{";
    let (message, _) = passing(outcome(&answering(half).await, json!({})).await);
    assert!(message.contains("broke before an answer was complete"), "{message}");
    // Without TLS at the other end, which answers what it takes for a broken request.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("https://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
            let _ = stream.read(&mut [0; 4096]).await;
        }
    });
    let tls = json!({ "tls": { "insecure": "any certificate is accepted" } });
    let (message, hint) = refusal(outcome(&base, tls).await);
    assert!(message.contains("does not speak TLS"), "{message}");
    assert!(hint.contains("`http://`"), "{hint}");
}

// Whether the greeting was heard before the request was written was up to chance, and so was what the log said each minute.
#[tokio::test]
async fn a_server_that_speaks_first_is_told_in_one_way() {
    for greeting in ["220 mail.example.com ESMTP\r\n", "SSH-2.0-OpenSSH_9.2\r\n", "\u{1}\u{0}binary"] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    stream.write_all(greeting.as_bytes()).await?;
                    stream.read_to_end(&mut Vec::new()).await
                });
            }
        });
        let config = json!({ "url": format!("{base}/in"), "format": "ndjson" });
        let (kept, told) = (sink(config.clone()), format!("what answers at `{base}` does not speak HTTP"));
        for _ in 0..10 {
            for sink in [&kept, &sink(config.clone())] {
                for outcome in [sink.deliver(&numbered("first", 1, 3)).await.map(drop), sink.check().await] {
                    let (message, hint) = refusal(outcome);
                    assert!(message.starts_with(&told), "{message}");
                    assert!(hint.contains("port"), "{hint}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_check_that_nobody_has_set_is_not_to_be_checked() {
    let large = "HTTP/1.1 413 Payload Too Large\r\nContent-Length: 0\r\n\r\n";
    let config = json!({ "url": format!("{}/in", answering(large).await), "format": "ndjson" });
    let (message, hint) = refusal(sink(config.clone()).check().await);
    assert!(message.contains("413") && hint.starts_with("check `url`"), "{message} {hint}");
    let (_, hint) = refusal(sink(with(config, json!({ "check": { "method": "GET" } }))).check().await);
    assert_eq!(hint, "check `check`");
}

#[tokio::test]
async fn statuses_say_what_to_do() {
    let throttled = "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 17\r\nContent-Length: 4\r\n\r\nslow";
    let (message, wait) = passing(outcome(&answering(throttled).await, json!({})).await);
    assert!(message.ends_with("answered 429 Too Many Requests: slow"), "{message}");
    assert_eq!(wait, Some(Duration::from_secs(17)));
    let down = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(passing(outcome(&answering(down).await, json!({})).await).1, None);
    let moved =
        "HTTP/1.1 308 Permanent Redirect\r\nLocation: https://other.example.com/in?t=1\r\nContent-Length: 0\r\n\r\n";
    let (message, _) = refusal(outcome(&answering(moved).await, json!({})).await);
    assert!(message.contains("sends us to `https://other.example.com/in` (308"), "{message}");
    let gone = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
    let (_, hint) = refusal(outcome(&answering(gone).await, json!({})).await);
    assert!(hint.contains("`url`"), "{hint}");
    let conflict = "HTTP/1.1 409 Conflict\r\nContent-Length: 0\r\n\r\n";
    refusal(outcome(&answering(conflict).await, json!({})).await);
    passing(outcome(&answering(conflict).await, json!({ "answers": { "retry": [409] } })).await);
    outcome(&answering(conflict).await, json!({ "answers": { "taken": [200, 409] } })).await.unwrap();
}

#[tokio::test]
async fn an_answer_that_comes_before_the_end_of_a_request_counts() {
    // Answers as soon as it has the head, and closes on the body that is still coming.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4096]).await;
            let answer = b"HTTP/1.1 413 Payload Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
            let _ = stream.write_all(answer).await;
        }
    });
    let config = json!({
        "url": format!("{base}/in"), "format": "ndjson", "compression": "none", "max_request_bytes": "64MiB",
    });
    let large = format!(r#"{{"x":"{}"}}"#, "x".repeat(20_000_000));
    let outcome = sink(config).deliver(&contract::batch_of("early", 1, [large])).await;
    assert_eq!(outcome.unwrap().rejected.len(), 1);
}

#[tokio::test]
async fn a_body_may_tell_of_a_failure_under_a_200() {
    let failed = "HTTP/1.1 200 OK\r\nContent-Length: 36\r\n\r\n{\"status\":\"error\",\"errors\":[\"full\"]}";
    let base = answering(failed).await;
    outcome(&base, json!({})).await.unwrap();
    for answers in [json!({ "failed_at": "/errors" }), json!({ "expect": { "/status": "ok" } })] {
        let (message, _) = passing(outcome(&base, json!({ "answers": answers })).await);
        assert!(message.contains("full") || message.contains("error"), "{message}");
    }
    let base = answering("HTTP/1.1 200 OK\r\nContent-Length: 29\r\n\r\n{\"status\":\"ok\",\"errors\":null}").await;
    for answers in [json!({ "failed_at": "/errors" }), json!({ "expect": { "/status": "ok" } })] {
        outcome(&base, json!({ "answers": answers })).await.unwrap();
    }
    // What is looked into and is not even JSON is no success; nothing at all tells of no failure.
    let base = answering("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nwelcome").await;
    passing(outcome(&base, json!({ "answers": { "expect": { "/status": "ok" } } })).await);
    passing(outcome(&base, json!({ "answers": { "failed_at": "/errors" } })).await);
    let base = answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    outcome(&base, json!({ "answers": { "failed_at": "/errors" } })).await.unwrap();
}

// A guest network's sign-in page was a delivery.
#[tokio::test]
async fn a_web_page_is_no_delivery() {
    let page = "HTTP/1.1 200 OK\r\nContent-Length: 47\r\n\r\n\n<!DOCTYPE html><title>Hotel WiFi</title><p>Hi!";
    let base = answering(page).await;
    let (message, hint) = refusal(outcome(&base, json!({})).await);
    assert!(message.contains("Hotel WiFi"), "{message}");
    assert!(hint.starts_with("something between here and the service has answered with a web page"), "{hint}");
    outcome(&base, json!({ "answers": { "taken": [200] } })).await.unwrap();
    let base = answering("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nok").await;
    outcome(&base, json!({})).await.unwrap();
}

#[tokio::test]
async fn what_cannot_work_is_refused_when_it_is_built() {
    let build = |more: Value| {
        let config = with(json!({ "url": "https://siem.example.com/in", "format": "ndjson" }), more);
        let config: SinkConfig = serde_json::from_value(json!({ "http": config })).unwrap();
        config.build().err().map(|error| error.key)
    };
    assert_eq!(build(json!({})), None);
    for (more, key) in [
        (json!({ "url": "http://siem.example.com/in" }), "url"),
        (json!({ "secret_path": "s" }), "url"),
        (json!({ "url": "http://127.0.0.1/in", "tls": {} }), "tls"),
        (json!({ "headers": { "Authorization": "Bearer x" } }), "headers.authorization"),
        (json!({ "headers": { "X-Day": "{date}" } }), "headers.x-day"),
        (json!({ "secret_headers": { "X-Key": "a\nb" } }), "secret_headers.x-key"),
        (json!({ "auth": { "bearer": "a\nb" } }), "auth.bearer"),
        (json!({ "max_request_bytes": "10B" }), "max_request_bytes"),
        (json!({ "max_request_records": 0 }), "max_request_records"),
        (json!({ "concurrency": 0 }), "concurrency"),
        (json!({ "answers": { "failed_at": "errors" } }), "answers.failed_at"),
        (json!({ "answers": { "retry": [99] } }), "answers.retry"),
        (json!({ "tls": { "cert": "a.pem" } }), "tls.cert"),
    ] {
        assert_eq!(build(more.clone()).as_deref(), Some(key), "{more}");
    }
}
