//! Servers that are not there, say nothing, or are no syslog receivers.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use auditline_sinks::contract::{self, server};
use auditline_sinks::{Batch, DeliveryError, Sink};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::place::{PATIENCE, expect_refused, expect_retryable, large_batch, listener, sink};

#[tokio::test]
async fn a_closed_port_may_open() {
    let (_closed, address) = contract::closed_port();
    for transport in ["tcp", "tls", "relp"] {
        let sink = sink(json!({ "address": address, "transport": transport }));
        let expected = format!("nobody listens at `{address}`: check that it runs, and its port");
        expect_retryable(sink.check().await, &expected);
        expect_retryable(sink.deliver(&contract::numbered("p", 1, 1)).await.map(drop), &expected);
    }
    let sink = sink(json!({ "address": address, "transport": "udp" }));
    let expected = format!("nobody listens at `{address}`: check that it runs, and its port");
    let (_, outcome) = once_heard(&*sink, &contract::numbered("p", 1, 1)).await;
    expect_retryable(outcome, &expected);
}

/// What becomes of a batch once it is heard what the other end has to say of it, and how often it was called delivered
/// before. On a busy machine that may come too late for one.
async fn once_heard(sink: &dyn Sink, batch: &Batch) -> (usize, Result<(), DeliveryError>) {
    let give_up = Instant::now() + PATIENCE;
    let mut before = 0;
    loop {
        let outcome = sink.deliver(batch).await;
        if outcome.is_err() || Instant::now() > give_up {
            return (before, outcome.map(drop));
        }
        before += 1;
    }
}

#[tokio::test]
async fn a_receiver_that_never_answers_is_given_up() {
    let (listener, address) = listener().await;
    let sink = sink(json!({ "address": address, "transport": "tls", "timeout": "1s" }));
    let silence = async {
        let (_held, _) = listener.accept().await.unwrap();
        std::future::pending::<()>().await
    };
    let outcome = tokio::select! {
        outcome = sink.check() => outcome,
        () = silence => unreachable!(),
    };
    expect_retryable(outcome, &format!("`{address}` did not answer within 1s: check that it runs, and its port"));
}

#[tokio::test]
async fn tls_towards_a_port_without_it_needs_a_person() {
    for (transport, hint) in [
        ("tls", "give the server's TLS port, or use `transport = \"tcp\"`"),
        ("relp", "give the port of the receiver's RELP input with TLS, or take `tls` out"),
    ] {
        let (listener, address) = listener().await;
        let plain = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"220 this is not TLS\r\n").await.unwrap();
            let _ = stream.read_to_end(&mut Vec::new()).await;
        });
        let sink = sink(json!({ "address": address, "transport": transport, "tls": {} }));
        expect_refused(sink.check().await, hint);
        plain.await.unwrap();
    }
}

/// A server of another kind, which keeps every connection open: it says `greeting` at once, and `answer` when it has read
/// something.
async fn talking(greeting: &'static str, answer: &'static str, tls: Option<TlsAcceptor>) -> String {
    async fn talk(mut stream: impl AsyncRead + AsyncWrite + Unpin, greeting: &str, answer: &str) -> io::Result<()> {
        stream.write_all(greeting.as_bytes()).await?;
        stream.flush().await?;
        let mut some = [0; 4096];
        while stream.read(&mut some).await? > 0 {
            stream.write_all(answer.as_bytes()).await?;
            stream.flush().await?;
        }
        Ok(())
    }
    let (listener, address) = listener().await;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let tls = tls.clone();
            tokio::spawn(async move {
                match tls {
                    Some(tls) => talk(tls.accept(stream).await?, greeting, answer).await,
                    None => talk(stream, greeting, answer).await,
                }
            });
        }
    });
    address
}

fn acceptor() -> TlsAcceptor {
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![own.cert.der().clone()], key);
    TlsAcceptor::from(Arc::new(config.unwrap()))
}

// A mail server, an SSH server or Redis took whole batches, and nobody has them.
#[tokio::test]
async fn nothing_is_delivered_to_a_server_that_answers() {
    let (mut servers, mut heard_at_once) = (0, 0);
    for (greeting, answer, line) in [
        ("220 mail.example.com ESMTP\r\n", "", "220 mail.example.com ESMTP"),
        ("", "-ERR unknown command\r\n", "-ERR unknown command"),
        ("SSH-2.0-OpenSSH_9.2\r\n", "Invalid SSH identification string.\r\n", "SSH-2.0-OpenSSH_9.2"),
    ] {
        for tls in [None, Some(acceptor())] {
            // Half of the timeout is how long one that has spoken is listened to.
            let mut config = json!({ "transport": "tcp", "timeout": "10s" });
            if tls.is_some() {
                config["transport"] = json!("tls");
                config["tls"] = json!({ "insecure": "any certificate is accepted" });
            }
            config["address"] = json!(talking(greeting, answer, tls).await);
            let expected = format!(
                "`{}` answered `{line}`: what answers there is no syslog receiver",
                config["address"].as_str().unwrap()
            );
            let expect = |outcome: Result<(), DeliveryError>| match outcome {
                Err(DeliveryError::Refused { message, hint, .. }) => {
                    assert_eq!(message, expected);
                    assert_eq!(hint, "give the port of the receiver's syslog input");
                }
                other => panic!("{config} {line}: {other:?}"),
            };
            let sink = sink(config.clone());
            if !greeting.is_empty() {
                expect(sink.check().await);
            }
            let (before, outcome) = once_heard(&*sink, &contract::numbered("p", 1, 3)).await;
            expect(outcome);
            servers += 1;
            heard_at_once += usize::from(before == 0);
            for batch in [contract::numbered("p", 1, 3), large_batch("p")] {
                expect(sink.deliver(&batch).await.map(drop));
            }
        }
    }
    assert!(heard_at_once > servers / 2, "{heard_at_once} of {servers}");
}

#[tokio::test]
async fn a_port_that_answers_in_tls_is_told() {
    let (listener, address) = listener().await;
    let acceptor = acceptor();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        acceptor.accept(stream).await.map(drop)
    });
    let sink = sink(json!({ "address": address, "transport": "tcp" }));
    let hint = "set `transport = \"tls\"`, or give the port of the receiver's input without TLS";
    let (_, outcome) = once_heard(&*sink, &contract::numbered("p", 1, 3)).await;
    expect_refused(outcome, hint);
}

// Some look up our name before they greet, and some take their time to answer: each new connection took a batch.
#[tokio::test]
async fn a_server_that_speaks_late_takes_no_second_batch() {
    for reads_first in [false, true] {
        let (listener, address) = listener().await;
        let (spoken, mut words) = tokio::sync::mpsc::unbounded_channel();
        tokio::spawn(async move {
            let mut streams = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                if reads_first {
                    let _ = stream.read(&mut [0; 4096]).await.unwrap();
                }
                tokio::time::sleep(Duration::from_millis(300)).await;
                stream.write_all(b"500 what is that\r\n").await.unwrap();
                streams.push(stream);
                spoken.send(()).unwrap();
            }
        });
        let sink = sink(json!({ "address": address, "transport": "tcp" }));
        // Nobody can tell yet.
        let _ = sink.deliver(&contract::numbered("p", 1, 3)).await;
        words.recv().await.unwrap();
        for _ in 0..3 {
            let outcome = sink.deliver(&contract::numbered("p", 4, 3)).await;
            expect_refused(outcome.map(drop), "give the port of the receiver's syslog input");
        }
    }
}

#[tokio::test]
async fn without_tls_nothing_is_delivered_to_a_port_that_wants_it() {
    let test = "without_tls_nothing_is_delivered_to_a_port_that_wants_it";
    for (transport, variable) in [
        ("relp", "AUDITLINE_TEST_RSYSLOG_RELP_TLS"),
        ("relp", "AUDITLINE_TEST_RSYSLOG_TLS"),
        ("relp", "AUDITLINE_TEST_RSYSLOG_TCP"),
        ("tcp", "AUDITLINE_TEST_RSYSLOG_TLS"),
        ("tcp", "AUDITLINE_TEST_RSYSLOG_RELP"),
        ("tcp", "AUDITLINE_TEST_SYSLOG_NG_TLS"),
    ] {
        let Some(address) = server(test, "rsyslog", variable) else {
            return;
        };
        let sink = sink(json!({ "address": address, "transport": transport, "timeout": "2s" }));
        let outcome = sink.deliver(&contract::numbered("p", 1, 3)).await;
        assert!(outcome.is_err(), "{transport} to {variable}: {outcome:?}");
    }
}
