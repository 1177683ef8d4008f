//! Receivers that are slow, or go away.

use std::time::Duration;

use auditline_sinks::Delivery;
use auditline_sinks::contract::{self};
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpSocket};

use crate::place::{expect_retryable, frames, large_batch, listener, sink};

#[tokio::test]
async fn a_receiver_that_went_away_gets_the_batch_again() {
    let (listener, address) = listener().await;
    let sink = sink(json!({ "address": address, "transport": "tcp" }));
    sink.deliver(&contract::numbered("p", 1, 2)).await.unwrap();
    let (first, _) = listener.accept().await.unwrap();
    drop(first);
    // Either it is seen that the first connection has ended, or the batch is not called delivered.
    let second = contract::numbered("p", 3, 2);
    if sink.deliver(&second).await.is_err() {
        sink.deliver(&second).await.unwrap();
    }
    drop(sink);
    let (mut stream, _) = listener.accept().await.unwrap();
    let frames = frames(&mut stream).await;
    assert_eq!(frames.len(), 2);
    assert!(frames[0].ends_with(r#""n":3,"text":"a record like another"}"#), "{}", frames[0]);
}

/// A listener whose system takes no more than some kilobytes that nobody has read.
fn narrow_listener() -> (TcpListener, String) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(16).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

#[tokio::test]
async fn what_the_other_end_has_not_acknowledged_is_not_delivered() {
    let (listener, address) = narrow_listener();
    let hasty = sink(json!({ "address": address, "transport": "tcp", "timeout": "1s" }));
    let outcome = hasty.deliver(&large_batch("p")).await.map(drop);
    expect_retryable(outcome, &format!("`{address}` did not answer within 1s: check that it runs, and its port"));
    // Nobody has read a byte of that. What a receiver reads counts.
    drop(listener.accept().await.unwrap());
    let patient = sink(json!({ "address": address, "transport": "tcp" }));
    let delivering = async {
        let outcome = patient.deliver(&large_batch("p")).await.map(drop);
        drop(patient);
        outcome
    };
    let reading = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        frames(&mut stream).await.len()
    };
    let (outcome, frames) = tokio::join!(delivering, reading);
    outcome.unwrap();
    assert_eq!(frames, 200);
}

// What stood unread in the first connection came after the whole batch over the second.
#[tokio::test]
async fn what_a_dropped_delivery_left_is_read_before_the_batch_comes_again() {
    let (listener, address) = narrow_listener();
    let sink = sink(json!({ "address": address, "transport": "tcp" }));
    let batch = large_batch("p");
    let beginning = async {
        let (first, _) = listener.accept().await.unwrap();
        first.peek(&mut [0]).await.unwrap();
        first
    };
    let mut first = tokio::select! {
        outcome = sink.deliver(&batch) => panic!("nobody has read it: {outcome:?}"),
        first = beginning => first,
    };
    let delivering = async {
        let outcome = sink.deliver(&batch).await;
        drop(sink);
        outcome
    };
    let reading = async {
        let second = tokio::time::timeout(Duration::from_millis(300), listener.accept()).await;
        assert!(second.is_err(), "another connection while the first is unread");
        tokio::io::copy(&mut first, &mut tokio::io::sink()).await.unwrap();
        drop(first);
        let (mut stream, _) = listener.accept().await.unwrap();
        frames(&mut stream).await.len()
    };
    let (outcome, frames) = tokio::join!(delivering, reading);
    outcome.unwrap();
    assert_eq!(frames, 200);
}

// It got the same batch again for ever, and stored it each time.
#[tokio::test]
async fn a_receiver_that_needs_longer_than_the_timeout_for_a_batch_gets_it_once() {
    let (listener, address) = narrow_listener();
    // Long enough for a busy machine to be at it again within that.
    let sink = sink(json!({ "address": address, "transport": "tcp", "timeout": "5s" }));
    let batch = large_batch("p");
    let delivering = async {
        let outcome = sink.deliver(&batch).await;
        drop(sink);
        outcome
    };
    let reading = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut total = 0;
        let mut some = [0; 4096];
        loop {
            tokio::time::sleep(Duration::from_millis(120)).await;
            match stream.read(&mut some).await.unwrap() {
                0 => return total,
                length => total += length,
            }
        }
    };
    let (outcome, total) = tokio::join!(delivering, reading);
    assert_eq!(outcome.unwrap(), Delivery::default());
    assert!(total > 200 * 1000, "{total}");
}

// While one pipeline's batch waits for a receiver that reads nothing, the other's waits for the connection.
#[tokio::test]
async fn waiting_for_another_pipeline_takes_nothing_of_the_timeout() {
    let (listener, address) = narrow_listener();
    let sink = sink(json!({ "address": address, "transport": "tcp", "timeout": "1s" }));
    let batches = [large_batch("first"), contract::numbered("second", 1, 2)];
    let receiver = tokio::spawn(async move {
        let (_unread, _) = listener.accept().await.unwrap();
        let (mut stream, _) = listener.accept().await.unwrap();
        frames(&mut stream).await.len()
    });
    let (first, second) = tokio::join!(sink.deliver(&batches[0]), sink.deliver(&batches[1]));
    expect_retryable(
        first.map(drop),
        &format!("`{address}` did not answer within 1s: check that it runs, and its port"),
    );
    assert_eq!(second.unwrap(), Delivery::default());
    drop(sink);
    assert_eq!(receiver.await.unwrap(), 2);
}
