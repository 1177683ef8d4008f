//! RELP against receivers that misbehave, and against an rsyslog that is killed in the middle of it. The contract is kept
//! in `syslog.rs`.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use auditline_sinks::contract::{self, chain, server};
use auditline_sinks::{Delivery, DeliveryError, Sink, SinkConfig};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

fn sink(address: &str, timeout: &str) -> Arc<dyn Sink> {
    let config = json!({ "syslog": { "address": address, "transport": "relp", "timeout": timeout } });
    let config: SinkConfig = serde_json::from_value(config).unwrap();
    config.build().unwrap()
}

async fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

/// The receiver's end of a session: what no real receiver can be made to do.
struct Receiver {
    stream: TcpStream,
    unread: Vec<u8>,
}

const WELCOME: &str = "200 OK\nrelp_version=0\nrelp_software=test\ncommands=syslog";

impl Receiver {
    async fn accept(listener: &TcpListener) -> Self {
        let (stream, _) = listener.accept().await.unwrap();
        Self { stream, unread: Vec::new() }
    }

    /// One that has agreed to a session.
    async fn welcoming(listener: &TcpListener) -> Self {
        let mut receiver = Self::accept(listener).await;
        let (number, command, data) = receiver.next().await.unwrap();
        assert_eq!((number, command.as_str()), (1, "open"));
        assert!(data.contains("relp_version=0\n") && data.contains("\ncommands=syslog"), "{data}");
        receiver.say(1, WELCOME).await;
        receiver
    }

    async fn say(&mut self, number: u32, text: &str) {
        self.write(&format!("{number} rsp {} {text}\n", text.len())).await;
    }

    async fn write(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    /// The next frame, unless the other end has closed.
    async fn next(&mut self) -> Option<(u32, String, String)> {
        loop {
            if let Some(frame) = self.take() {
                return Some(frame);
            }
            if self.stream.read_buf(&mut self.unread).await.unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    fn take(&mut self) -> Option<(u32, String, String)> {
        let text = String::from_utf8_lossy(&self.unread).into_owned();
        let mut words = text.splitn(3, ' ');
        let (number, command, rest) = (words.next()?, words.next()?, words.next()?);
        let digits = rest.find(|char: char| !char.is_ascii_digit())?;
        let length: usize = rest[..digits].parse().unwrap();
        let start = number.len() + command.len() + 2 + digits + usize::from(length > 0);
        let data = self.unread.get(start..start + length)?.to_vec();
        assert_eq!(*self.unread.get(start + length)?, b'\n');
        self.unread.drain(..=start + length);
        Some((number.parse().unwrap(), command.to_owned(), String::from_utf8(data).unwrap()))
    }
}

fn expect_retryable(outcome: Result<Delivery, DeliveryError>, expected: &str) {
    match outcome {
        Err(error @ DeliveryError::Retryable { .. }) => assert_eq!(chain(&error), expected),
        other => panic!("{other:?}"),
    }
}

fn expect_refused(outcome: Result<(), DeliveryError>, expected: &str) {
    match outcome {
        Err(error @ DeliveryError::Refused { .. }) => {
            assert_eq!(chain(&error), expected);
            let DeliveryError::Refused { hint, .. } = error else { unreachable!() };
            assert!(hint.contains("`imrelp`"), "{hint}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_check_opens_and_closes_and_sends_nothing() {
    let (listener, address) = listener().await;
    let sink = sink(&address, "10s");
    let receiving = async {
        let mut receiver = Receiver::welcoming(&listener).await;
        let (number, command, data) = receiver.next().await.unwrap();
        assert_eq!((number, command.as_str(), data.as_str()), (2, "close", ""));
        receiver.say(2, "200 OK").await;
        assert_eq!(receiver.next().await, None);
    };
    let (outcome, ()) = tokio::join!(sink.check(), receiving);
    outcome.unwrap();
}

// What becomes of a batch of which nothing was taken, the engine decides.
#[tokio::test]
async fn a_receiver_that_refuses_everything_is_told_of() {
    let (listener, address) = listener().await;
    let sink = sink(&address, "10s");
    let batch = contract::numbered("p", 1, 3);
    let receiving = async {
        let mut receiver = Receiver::welcoming(&listener).await;
        for _ in 0..3 {
            let (number, ..) = receiver.next().await.unwrap();
            receiver.say(number, "500 command disabled").await;
        }
    };
    let (outcome, ()) = tokio::join!(sink.deliver(&batch), receiving);
    let rejected = outcome.unwrap().rejected;
    assert_eq!(rejected.len(), 3);
    assert!(rejected.iter().all(|it| it.reason == "the receiver answered `500 command disabled`"), "{rejected:?}");
}

#[tokio::test]
async fn a_message_that_is_refused_is_rejected_and_the_others_are_taken() {
    let (listener, address) = listener().await;
    let sink = sink(&address, "10s");
    let batch = contract::numbered("p", 1, 5);
    let receiving = async {
        let mut receiver = Receiver::welcoming(&listener).await;
        let mut numbers = Vec::new();
        for _ in 0..5 {
            let (number, command, data) = receiver.next().await.unwrap();
            assert!(command == "syslog" && data.starts_with("<109>1 "), "{data}");
            numbers.push(number);
        }
        assert_eq!(numbers, [2, 3, 4, 5, 6]);
        // In any order, as the protocol allows.
        for (number, text) in [(4, "500 no room"), (2, "200 OK"), (6, "500 too\nlong"), (3, "200"), (5, "200 OK")] {
            receiver.say(number, text).await;
        }
        receiver
    };
    let (outcome, mut receiver) = tokio::join!(sink.deliver(&batch), receiving);
    let rejected = outcome.unwrap().rejected;
    let rejected: Vec<_> = rejected.iter().map(|rejected| (rejected.at, rejected.reason.as_str())).collect();
    assert_eq!(rejected, [(2, "the receiver answered `500 no room`"), (4, "the receiver answered `500 too`")]);
    // The session goes on, and so do its numbers.
    let batch = contract::numbered("p", 6, 1);
    let receiving = async {
        let (number, ..) = receiver.next().await.unwrap();
        assert_eq!(number, 7);
        receiver.say(7, "200 OK").await;
    };
    let (outcome, ()) = tokio::join!(sink.deliver(&batch), receiving);
    assert_eq!(outcome.unwrap(), Delivery::default());
}

#[tokio::test]
async fn no_more_than_a_window_is_on_its_way() {
    let (listener, address) = listener().await;
    let sink = sink(&address, "30s");
    let batch = contract::numbered("p", 1, 1000);
    let receiving = async {
        let mut receiver = Receiver::welcoming(&listener).await;
        let mut most = 0;
        let mut waiting = Vec::new();
        let mut answered = 0;
        while answered < 1000 {
            // Whoever waits for an answer sends no more.
            match tokio::time::timeout(Duration::from_millis(50), receiver.next()).await {
                Ok(frame) => waiting.push(frame.unwrap().0),
                Err(_) => {
                    most = most.max(waiting.len());
                    for number in waiting.drain(..) {
                        receiver.say(number, "200 OK").await;
                        answered += 1;
                    }
                }
            }
        }
        most
    };
    let (outcome, most) = tokio::join!(sink.deliver(&batch), receiving);
    assert_eq!((outcome.unwrap(), most), (Delivery::default(), 128));
}

#[tokio::test]
async fn a_receiver_that_is_silent_is_given_up() {
    let (listener, address) = listener().await;
    let expected = format!("`{address}` did not answer within 1s: check that it runs, and its port");
    let hasty = sink(&address, "1s");
    let batch = contract::numbered("p", 1, 3);
    // Not a word, and a word of welcome only.
    for welcomes in [false, true] {
        let receiving = async {
            let _held = if welcomes { Receiver::welcoming(&listener).await } else { Receiver::accept(&listener).await };
            std::future::pending::<()>().await
        };
        let outcome = tokio::select! {
            outcome = hasty.deliver(&batch) => outcome,
            () = receiving => unreachable!(),
        };
        expect_retryable(outcome, &expected);
    }
}

#[tokio::test]
async fn a_port_without_relp_needs_a_person() {
    let (listener, address) = listener().await;
    for (said, told) in [
        ("HTTP/1.1 400 Bad Request\r\n", r"it answered `HTTP/1.1 400 Bad Request\r\n`"),
        ("SSH-2.0-OpenSSH_9.2\r\n", r"it answered `SSH-2.0-OpenSSH_9.2\r\n`"),
        ("1 rsp 12 500 go away \n", "the receiver answered `500 go away `"),
        ("1 rsp 6 200 OK\n", "the receiver answered `200 OK, without `commands=syslog``"),
        ("2 rsp 6 200 OK\n", "it answered `2`, which was not asked"),
        ("1 rsp 9999999 200 OK", "it answered `1 rsp 9999999 200 OK`"),
    ] {
        let sink = sink(&address, "10s");
        let receiving = async {
            let mut receiver = Receiver::accept(&listener).await;
            receiver.write(said).await;
            receiver
        };
        let (outcome, _receiver) = tokio::join!(sink.check(), receiving);
        expect_refused(outcome, &format!("`{address}` does not take syslog over RELP: {told}"));
    }
}

#[tokio::test]
async fn what_was_not_answered_is_not_delivered() {
    let (listener, address) = listener().await;
    let batch = contract::numbered("p", 1, 3);
    for (said, told) in [
        (
            "2 rsp 6 200 OK\n",
            "the connection to `{}` broke: if it keeps on, see the receiver's log: the receiver closed the connection",
        ),
        (
            "2 rsp 6 200 OK\n3 rsp 6 200 OK\n4 rsp 6 20",
            "the connection to `{}` broke: if it keeps on, see the receiver's log: the receiver closed the connection",
        ),
        (
            "2 rsp 6 200 OK\n0 serverclose 0\n",
            "`{}` closed the session: if it keeps on, see the receiver's log: the receiver is closing the session",
        ),
        (
            "2 rsp 6 200 OK\n2 rsp 6 200 OK\n",
            "`{}` does not keep to RELP: check what stands between: it answered `2`, which was not asked",
        ),
        (
            "2 rsp 6 200 OK\n9 rsp 6 200 OK\n",
            "`{}` does not keep to RELP: check what stands between: it answered `9`, which was not asked",
        ),
        ("no\n", r"`{}` does not keep to RELP: check what stands between: it answered `no\n`"),
        (
            "2 syslog 2 hi\n",
            "`{}` does not keep to RELP: check what stands between: it sent the command `syslog`, and servers send none",
        ),
    ] {
        let sink = sink(&address, "10s");
        let receiving = async {
            let mut receiver = Receiver::welcoming(&listener).await;
            for _ in 0..3 {
                receiver.next().await.unwrap();
            }
            receiver.write(said).await;
            let _ = receiver.stream.shutdown().await;
            receiver
        };
        let (outcome, _receiver) = tokio::join!(sink.deliver(&batch), receiving);
        expect_retryable(outcome, &told.replace("{}", &address));
    }
}

// It got the same batch again for ever, and stored it each time.
#[tokio::test]
async fn a_receiver_that_needs_longer_than_the_timeout_for_a_batch_gets_it_once() {
    let (listener, address) = listener().await;
    // Long enough for a busy machine to be at it again within that.
    let sink = sink(&address, "5s");
    let batch = contract::numbered("p", 1, 60);
    let receiving = async {
        let mut receiver = Receiver::welcoming(&listener).await;
        for _ in 0..60 {
            let (number, ..) = receiver.next().await.unwrap();
            tokio::time::sleep(Duration::from_millis(100)).await;
            receiver.say(number, "200 OK").await;
        }
        receiver
    };
    let (outcome, _receiver) = tokio::join!(sink.deliver(&batch), receiving);
    assert_eq!(outcome.unwrap(), Delivery::default());
}

#[tokio::test]
async fn what_was_answered_before_a_failure_is_not_sent_again() {
    let (listener, address) = listener().await;
    let sink = sink(&address, "10s");
    let batch = contract::numbered("p", 1, 6);
    // The fourth has its answer, and what is before it has none: that goes again, in its order.
    for (said, told) in [
        ("2 rsp 6 200 OK\n3 rsp 6 500 no\n5 rsp 6 200 OK\n", vec![1, 2, 3, 4, 5, 6]),
        ("2 rsp 6 200 OK\n3 rsp 6 200 OK\n", vec![3, 4, 5, 6]),
        ("", vec![5, 6]),
    ] {
        let receiving = async {
            let mut receiver = Receiver::welcoming(&listener).await;
            let mut numbers = Vec::new();
            for _ in &told {
                let (_, _, data) = receiver.next().await.unwrap();
                let (_, json) = data.split_once("] ").unwrap();
                numbers.push(serde_json::from_str::<Value>(json).unwrap()["n"].as_u64().unwrap());
            }
            receiver.write(said).await;
            numbers
        };
        let (outcome, numbers) = tokio::join!(sink.deliver(&batch), receiving);
        assert_eq!(numbers, told);
        expect_retryable(
            outcome,
            &format!(
                "the connection to `{address}` broke: if it keeps on, see the receiver's log: the receiver closed the connection"
            ),
        );
    }
    let receiving = async {
        let mut receiver = Receiver::welcoming(&listener).await;
        receiver.next().await.unwrap();
        receiver.next().await.unwrap();
        receiver.write("2 rsp 6 500 no\n3 rsp 6 200 OK\n").await;
        receiver
    };
    let (outcome, mut receiver) = tokio::join!(sink.deliver(&batch), receiving);
    let rejected: Vec<usize> = outcome.unwrap().rejected.iter().map(|rejected| rejected.at).collect();
    assert_eq!(rejected, [1, 4]);
    // That is forgotten then: a batch that comes again for another reason comes whole.
    let receiving = async {
        for number in 4..10 {
            receiver.next().await.unwrap();
            receiver.say(number, "200 OK").await;
        }
    };
    let (outcome, ()) = tokio::join!(sink.deliver(&batch), receiving);
    assert_eq!(outcome.unwrap(), Delivery::default());
}

#[tokio::test]
async fn a_session_that_takes_nothing_more_makes_no_dead_letters_of_the_rest() {
    let (listener, address) = listener().await;
    let sink = sink(&address, "10s");
    let batch = contract::numbered("p", 1, 4);
    let receiving = async {
        let mut receiver = Receiver::welcoming(&listener).await;
        // All of it, for what is unread at a close may take our answer with it.
        for _ in 0..4 {
            receiver.next().await.unwrap();
        }
        receiver.say(2, "200 OK").await;
        drop(receiver);
        let mut receiver = Receiver::welcoming(&listener).await;
        for number in 2..5 {
            receiver.next().await.unwrap();
            receiver.say(number, "500 command disabled").await;
        }
        receiver
    };
    let delivering = async {
        let first = sink.deliver(&batch).await;
        (first, sink.deliver(&batch).await)
    };
    let ((first, second), receiver) = tokio::join!(delivering, receiving);
    first.unwrap_err();
    let expected = format!(
        "`{address}` refuses every message: see the receiver's log: the receiver answered `500 command disabled`"
    );
    expect_retryable(second, &expected);
    drop(receiver);
    // Then all of it goes again, so that what is refused is seen beside what is taken.
    let receiving = async {
        let mut receiver = Receiver::welcoming(&listener).await;
        for number in 2..6 {
            receiver.next().await.unwrap();
            receiver.say(number, if number == 2 { "200 OK" } else { "500 no" }).await;
        }
        receiver
    };
    let (outcome, _receiver) = tokio::join!(sink.deliver(&batch), receiving);
    assert_eq!(outcome.unwrap().rejected.len(), 3);
}

// A window holds 128 messages: what is behind it was not sent, whatever the receiver says of it.
#[tokio::test]
async fn an_answer_to_what_was_not_sent_yet_counts_for_nothing() {
    let (listener, address) = listener().await;
    let sink = sink(&address, "10s");
    let batch = contract::numbered("p", 1, 200);
    let receiving = async {
        let mut receiver = Receiver::welcoming(&listener).await;
        receiver.next().await.unwrap();
        receiver.say(152, "200 OK").await;
        receiver
    };
    let (outcome, _receiver) = tokio::join!(sink.deliver(&batch), receiving);
    expect_retryable(
        outcome,
        &format!(
            "`{address}` does not keep to RELP: check what stands between: it answered `152`, which was not asked"
        ),
    );
}

#[tokio::test]
async fn a_farewell_between_two_batches_costs_nothing() {
    let (listener, address) = listener().await;
    let sink = sink(&address, "10s");
    for farewell in ["0 serverclose 0\n", ""] {
        let batch = contract::numbered("p", 1, 1);
        let receiving = async {
            let mut receiver = Receiver::welcoming(&listener).await;
            receiver.next().await.unwrap();
            receiver.say(2, "200 OK").await;
            receiver
        };
        let (outcome, mut receiver) = tokio::join!(sink.deliver(&batch), receiving);
        assert_eq!(outcome.unwrap(), Delivery::default());
        receiver.write(farewell).await;
        let sinks_end = receiver.stream.peer_addr().unwrap();
        drop(receiver);
        has_heard_the_end(sinks_end).await;
    }
}

/// Waits until the system at this end of a connection knows that the other end has closed.
async fn has_heard_the_end(of: SocketAddr) {
    let port = format!(":{:04X}", of.port());
    // In that table: its own address, the other's, and the state, of which 08 is CLOSE_WAIT.
    let has_heard = |table: String| {
        let mut lines = table.lines().map(|line| line.split_whitespace().skip(1).collect::<Vec<_>>());
        lines.any(|line| matches!(line[..], [own, _, "08", ..] if own.ends_with(&port)))
    };
    while std::fs::read_to_string("/proc/net/tcp").is_ok_and(|table| !has_heard(table)) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // And until our runtime does.
    tokio::time::sleep(Duration::from_millis(50)).await;
}

/// An rsyslog of this test's own, which is killed like that.
struct Rsyslog(Child);

impl Rsyslog {
    async fn start(program: &str, folder: &Path, port: u16) -> Self {
        let child = Command::new(program).arg(folder).arg(port.to_string()).stderr(Stdio::null()).spawn().unwrap();
        let started = Self(child);
        let give_up = Instant::now() + Duration::from_secs(120);
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            assert!(Instant::now() < give_up, "{program} does not answer");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        started
    }
}

impl Drop for Rsyslog {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_receiver_that_is_killed_loses_nothing_it_has_answered() {
    let test = "a_receiver_that_is_killed_loses_nothing_it_has_answered";
    let Some(program) = server(test, "rsyslog", "AUDITLINE_TEST_RSYSLOG_OWN") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let port = contract::server_port();
    let address = format!("127.0.0.1:{port}");
    let sink = sink(&address, "60s");
    let mut kills = 0;
    let mut batches = Vec::new();
    let mut rsyslog = Rsyslog::start(&program, folder.path(), port).await;
    for n in 0..12u64 {
        let batch = contract::numbered("killed", n * 2000 + 1, 2000);
        // At another place of each batch, and at times after its end.
        let moment = tokio::time::sleep(Duration::from_millis(5 + n * 7));
        let mut delivering = sink.deliver(&batch);
        let delivered = tokio::select! {
            outcome = &mut delivering => outcome.is_ok(),
            () = moment => {
                drop(rsyslog);
                kills += 1;
                let delivered = (&mut delivering).await.is_ok();
                rsyslog = Rsyslog::start(&program, folder.path(), port).await;
                delivered
            }
        };
        drop(delivering);
        if !delivered {
            assert_eq!(sink.deliver(&batch).await.unwrap(), Delivery::default());
        }
        batches.push(batch);
    }
    assert!(kills > 0, "it was always faster");
    let text = std::fs::read_to_string(folder.path().join("messages.raw")).unwrap();
    let arrived = text.lines().filter_map(|line| line.split_once("] ").map(|(_, json)| json));
    let mut last: HashMap<&str, usize> = HashMap::new();
    for (at, json) in arrived.enumerate() {
        last.insert(json, at);
    }
    let expected = contract::texts(&batches);
    let places: Vec<Option<&usize>> = expected.iter().map(|text| last.get(text.as_str())).collect();
    assert!(places.iter().all(Option::is_some), "{} are lost", places.iter().filter(|place| place.is_none()).count());
    assert!(places.is_sorted(), "out of order");
    let whole: Value = serde_json::from_str(&expected[0]).unwrap();
    assert_eq!(whole["n"], 1);
}
