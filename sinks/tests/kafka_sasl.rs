//! Who we are to a Kafka broker: by a password in the clear, by a token, by a certificate.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use auditline_sinks::contract::{self, chain, server};
use auditline_sinks::{DeliveryError, Sink, SinkConfig};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

fn sink(broker: &str, keys: Value) -> Arc<dyn Sink> {
    let topic = contract::unique("sasl");
    let mut config = json!({ "brokers": [broker], "topic": topic, "timeout": "10s", "transactional_id_prefix": topic });
    for (key, value) in keys.as_object().unwrap() {
        config[key] = value.clone();
    }
    let config: SinkConfig = serde_json::from_value(json!({ "kafka": config })).unwrap();
    config.build().unwrap()
}

async fn delivers(sink: &dyn Sink) {
    // Which also makes the topic.
    let delivered = sink.deliver(&contract::numbered("p", 1, 5)).await;
    delivered.unwrap_or_else(|error| panic!("{}", chain(&error)));
    sink.check().await.unwrap_or_else(|error| panic!("{}", chain(&error)));
}

/// Expects that a person is told this, whether asked or delivering.
async fn is_refused(sink: &dyn Sink, expected: &str) {
    let delivered = sink.deliver(&contract::numbered("p", 1, 2)).await.map(drop);
    for outcome in [sink.check().await, delivered] {
        match outcome {
            Err(DeliveryError::Refused { hint, message, .. }) => {
                assert!(hint.contains(expected), "{message}: {hint}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_password_in_the_clear() {
    let Some(broker) = server("a_password_in_the_clear", "kafka", "AUDITLINE_TEST_KAFKA_SASL") else { return };
    let sasl = |password| json!({ "sasl": { "mechanism": "plain", "username": "auditline", "password": password } });
    delivers(&*sink(&broker, sasl("opens-nothing"))).await;
    is_refused(&*sink(&broker, sasl("wrong")), "`sasl.password`").await;
}

#[tokio::test]
async fn a_certificate_of_ours() {
    let Some(broker) = server("a_certificate_of_ours", "kafka", "AUDITLINE_TEST_KAFKA_MUTUAL_TLS") else { return };
    let file = |name: &str| std::env::var(name).unwrap();
    let ca = file("AUDITLINE_TEST_TLS_CA");
    let (cert, key) = (file("AUDITLINE_TEST_TLS_CLIENT_CERT"), file("AUDITLINE_TEST_TLS_CLIENT_KEY"));
    for delivery in ["at_least_once", "exactly_once"] {
        let tls = json!({ "ca": ca, "cert": cert, "key": key });
        delivers(&*sink(&broker, json!({ "tls": tls, "delivery": delivery }))).await;
    }
    // What the broker says of a certificate that is not there is little, but it is no success.
    let error = sink(&broker, json!({ "tls": { "ca": ca } })).check().await.unwrap_err();
    assert!(chain(&error).to_lowercase().contains("ssl"), "{}", chain(&error));
}

/// Hands out tokens that Kafka's validator for tests takes, to whoever knows the secret. Counts them.
async fn token_server(status: &'static str, lifetime: u64) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/token", listener.local_addr().unwrap());
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut request = Vec::new();
            let mut chunk = [0; 4096];
            while !String::from_utf8_lossy(&request).contains("grant_type=client_credentials&scope=kafka+write") {
                match client.read(&mut chunk).await {
                    Ok(read) if read > 0 => request.extend_from_slice(&chunk[..read]),
                    _ => break,
                }
            }
            counted.fetch_add(1, Ordering::SeqCst);
            let who = format!("authorization: Basic {}", BASE64_STANDARD.encode("auditline:opens-nothing"));
            let (status, body) = if String::from_utf8_lossy(&request).contains(&who) {
                (status, json!({ "access_token": jwt(lifetime), "token_type": "Bearer", "expires_in": lifetime }))
            } else {
                ("401 Unauthorized", json!({ "error": "invalid_client", "error_description": "opens-nothing" }))
            };
            let body = body.to_string();
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
                 connection: close\r\n\r\n{body}"
            );
            let _ = client.write_all(answer.as_bytes()).await;
        }
    });
    (url, count)
}

/// Without a signature, as OAUTHBEARER's validator for tests wants it (RFC 7515, appendix A.5).
fn jwt(lifetime: u64) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let part = |part: Value| BASE64_URL_SAFE_NO_PAD.encode(part.to_string());
    let claims = json!({ "sub": "auditline", "iat": now, "exp": now + lifetime });
    format!("{}.{}.", part(json!({ "alg": "none" })), part(claims))
}

fn by_token(url: &str, secret: &str) -> Value {
    let sasl = json!({
        "mechanism": "oauthbearer", "token_url": url, "client_id": "auditline", "client_secret": secret,
        "scope": "kafka write",
    });
    json!({ "sasl": sasl })
}

#[tokio::test]
async fn a_token() {
    let Some(broker) = server("a_token", "kafka", "AUDITLINE_TEST_KAFKA_SASL") else { return };
    let (url, count) = token_server("200 OK", 3600).await;
    for delivery in ["at_least_once", "exactly_once"] {
        let mut keys = by_token(&url, "opens-nothing");
        keys["delivery"] = json!(delivery);
        delivers(&*sink(&broker, keys)).await;
    }
    // However many connections a sink has, they share their token.
    assert_eq!(count.load(Ordering::SeqCst), 2);
    is_refused(&*sink(&broker, by_token(&url, "wrong")), "`sasl.client_secret`").await;
}

#[tokio::test]
async fn a_token_is_renewed_before_it_ends() {
    let Some(broker) = server("a_token_is_renewed_before_it_ends", "kafka", "AUDITLINE_TEST_KAFKA_SASL") else {
        return;
    };
    // Long enough for a busy machine to show it within that.
    let (url, count) = token_server("200 OK", 8).await;
    let sink = sink(&broker, by_token(&url, "opens-nothing"));
    let ends = Instant::now() + Duration::from_secs(10);
    for first in (1..).step_by(5) {
        let delivered = sink.deliver(&contract::numbered("p", first, 5)).await;
        delivered.unwrap_or_else(|error| panic!("{}", chain(&error)));
        if Instant::now() > ends {
            break;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!(count.load(Ordering::SeqCst) > 1);
}

#[tokio::test]
async fn no_token_is_told_as_what_it_is() {
    let Some(broker) = server("no_token_is_told_as_what_it_is", "kafka", "AUDITLINE_TEST_KAFKA_SASL") else { return };
    let (busy, _) = token_server("503 Service Unavailable", 60).await;
    let error = sink(&broker, by_token(&busy, "opens-nothing")).deliver(&contract::numbered("p", 1, 2)).await;
    let error = error.unwrap_err();
    assert!(matches!(error, DeliveryError::Retryable { .. }), "{}", chain(&error));
    assert_eq!(chain(&error), "no token from `127.0.0.1`: 503 Service Unavailable");
    let (moved, _) = token_server("404 Not Found", 60).await;
    is_refused(&*sink(&broker, by_token(&moved, "opens-nothing")), "`sasl.token_url`").await;
    let (_kept, address) = contract::closed_port();
    let closed = format!("http://{address}/token");
    let error = sink(&broker, by_token(&closed, "opens-nothing")).deliver(&contract::numbered("p", 1, 2)).await;
    let error = error.unwrap_err();
    assert!(matches!(error, DeliveryError::Retryable { .. }), "{}", chain(&error));
    assert!(chain(&error).starts_with("no token from `127.0.0.1`: "), "{}", chain(&error));
}
