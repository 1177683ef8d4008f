//! Mistakes of the configuration, and servers that are not there.

use auditline_sinks::DeliveryError;
use auditline_sinks::contract::{self, chain, server};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use crate::place::{S3, config, offline, sink};

fn expect_refused(outcome: Result<(), DeliveryError>, expected: &str) {
    match outcome {
        Err(DeliveryError::Refused { hint, message, .. }) => {
            assert!(hint.contains(expected), "{message}: {hint}")
        }
        other => panic!("{other:?}"),
    }
}

pub async fn expect_both_refused(config: Value, expected: &str) {
    let sink = sink(config);
    expect_refused(sink.check().await, expected);
    expect_refused(sink.deliver(&contract::numbered("p", 1, 2)).await.map(drop), expected);
}

#[tokio::test]
async fn a_mistake_in_the_configuration_needs_a_person() {
    let Some(endpoint) = server("a_mistake_in_the_configuration_needs_a_person", "s3", S3) else {
        return;
    };
    let mut missing = config(&endpoint, "mistakes/");
    missing["bucket"] = json!("no-such-bucket");
    expect_both_refused(missing, "create the bucket").await;

    let mut wrong = config(&endpoint, "mistakes/");
    wrong["secret_access_key"] = json!("opens-nothing");
    expect_both_refused(wrong, "`secret_access_key`").await;

    let mut unknown = config(&endpoint, "mistakes/");
    unknown["access_key_id"] = json!("nobody");
    expect_both_refused(unknown, "`access_key_id`").await;
}

async fn expect_both_retryable(config: Value, expected: &str) {
    let sink = sink(config);
    let delivered = sink.deliver(&contract::numbered("p", 1, 2)).await.map(drop);
    for outcome in [sink.check().await, delivered] {
        match outcome {
            Err(error @ DeliveryError::Retryable { .. }) => {
                assert!(error.to_string().contains(expected), "{}", chain(&error))
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_closed_port_may_open() {
    let (_closed, address) = contract::closed_port();
    let endpoint = format!("http://{address}");
    expect_both_retryable(offline(&endpoint), &format!("nobody listens at `{endpoint}`: check that it runs")).await;
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let mut hasty = offline(&endpoint);
    hasty["timeout"] = json!("1s");
    expect_both_retryable(hasty, &format!("`{endpoint}` did not answer within ")).await;
    drop(listener);
}

#[tokio::test]
async fn garbage_is_no_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let babbling = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.write_all(b"220 mail.example ESMTP\r\n").await;
        }
    });
    expect_both_refused(offline(&endpoint), "check the port").await;
    babbling.abort();
}
