//! The syslog sink against rsyslog and syslog-ng, and against receivers that misbehave.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use auditline_sinks::contract::{self, Destination, Guarantees, chain, server};
use auditline_sinks::format::{Format, Options};
use auditline_sinks::{Batch, Delivery, DeliveryError, Sink, SinkConfig};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

fn sink(config: Value) -> Arc<dyn Sink> {
    let config: SinkConfig = serde_json::from_value(json!({ "syslog": config })).unwrap();
    config.build().unwrap()
}

/// A real receiver and the file it writes. The app name tells our messages from those of other tests.
struct Receiver {
    config: Value,
    output: String,
    read: fn(&str) -> Option<(String, String)>,
    big_batch: usize,
    max_size: usize,
}

#[async_trait]
impl Destination for Receiver {
    fn sink(&self) -> Arc<dyn Sink> {
        sink(self.config.clone())
    }

    async fn read_back(&self, expected: usize) -> Vec<String> {
        let give_up = Instant::now() + Duration::from_secs(30);
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
fn from_rsyslog(line: &str) -> Option<(String, String)> {
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
fn from_syslog_ng(line: &str) -> Option<(String, String)> {
    let line: Value = serde_json::from_str(line).ok()?;
    let text = |key: &str| Some(line.get(key)?.as_str()?.to_owned());
    Some((text("APP-NAME")?, text("MSG")?))
}

fn receiver(name: &str, transport: &str, address: &str, output: &str) -> Receiver {
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

#[tokio::test]
async fn rsyslog_keeps_the_contract_over_tcp() {
    let Some(address) = server("rsyslog_keeps_the_contract_over_tcp", "rsyslog", "AUDITLINE_TEST_RSYSLOG_TCP") else {
        return;
    };
    contract::all(async |name| receiver(name, "tcp", &address, "AUDITLINE_TEST_RSYSLOG_OUTPUT")).await;
}

#[tokio::test]
async fn rsyslog_keeps_the_contract_over_tls() {
    let Some(address) = server("rsyslog_keeps_the_contract_over_tls", "rsyslog", "AUDITLINE_TEST_RSYSLOG_TLS") else {
        return;
    };
    contract::all(async |name| receiver(name, "tls", &address, "AUDITLINE_TEST_RSYSLOG_OUTPUT")).await;
}

#[tokio::test]
async fn rsyslog_keeps_the_contract_over_relp() {
    let Some(address) = server("rsyslog_keeps_the_contract_over_relp", "rsyslog", "AUDITLINE_TEST_RSYSLOG_RELP") else {
        return;
    };
    contract::all(async |name| receiver(name, "relp", &address, "AUDITLINE_TEST_RSYSLOG_OUTPUT")).await;
}

#[tokio::test]
async fn rsyslog_keeps_the_contract_over_relp_with_tls() {
    let (test, variable) = ("rsyslog_keeps_the_contract_over_relp_with_tls", "AUDITLINE_TEST_RSYSLOG_RELP_TLS");
    let Some(address) = server(test, "rsyslog", variable) else {
        return;
    };
    contract::all(async |name| {
        let mut receiver = receiver(name, "relp+tls", &address, "AUDITLINE_TEST_RSYSLOG_OUTPUT");
        introduce(&mut receiver);
        receiver
    })
    .await;
}

#[tokio::test]
async fn rsyslog_keeps_the_contract_with_lines() {
    let Some(address) = server("rsyslog_keeps_the_contract_with_lines", "rsyslog", "AUDITLINE_TEST_RSYSLOG_TCP") else {
        return;
    };
    contract::all(async |name| {
        let mut receiver = receiver(name, "tcp", &address, "AUDITLINE_TEST_RSYSLOG_OUTPUT");
        receiver.config["framing"] = json!("newline");
        receiver
    })
    .await;
}

/// What rsyslog makes of messages of RFC 3164, by the name in their text.
async fn by_rsyslog(name: &str, expected: usize) -> Vec<Value> {
    let output = std::env::var("AUDITLINE_TEST_RSYSLOG_JSON").unwrap();
    let give_up = Instant::now() + Duration::from_secs(30);
    loop {
        let text = tokio::fs::read_to_string(&output).await.unwrap();
        let lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n') && line.contains(name));
        let found: Vec<Value> = lines.map(|line| serde_json::from_str(line).unwrap()).collect();
        if found.len() >= expected || Instant::now() > give_up {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn rsyslog_reads_every_part_of_an_old_header() {
    let test = "rsyslog_reads_every_part_of_an_old_header";
    for (transport, variable) in [("tcp", "AUDITLINE_TEST_RSYSLOG_TCP"), ("udp", "AUDITLINE_TEST_RSYSLOG_UDP")] {
        let Some(address) = server(test, "rsyslog", variable) else {
            return;
        };
        let name = contract::unique("old");
        for (format, text, tag) in [("json", format!(r#" {{"name":"{name}"}}"#), "corp"), ("cef", String::new(), "CEF")]
        {
            let sink = sink(json!({
                "address": address, "transport": transport, "rfc": "3164", "format": format,
                "hostname": "host.example", "app_name": "corp", "facility": "local3",
            }));
            let batch = contract::batch_of("p", 1, [format!(r#"{{"name":"{name}"}}"#)]);
            sink.deliver(&batch).await.unwrap();
            let expected = if tag == "CEF" { 2 } else { 1 };
            let found = by_rsyslog(&name, expected).await;
            let found = found.iter().find(|found| found["programname"] == tag).unwrap_or_else(|| panic!("{found:?}"));
            assert_eq!((&found["hostname"], &found["pri"]), (&json!("host.example"), &json!("157")), "{found}");
            let time = found["timereported"].as_str().unwrap();
            assert!(time[4..].starts_with("-03-14T09:26:54"), "{time}");
            if !text.is_empty() {
                assert_eq!(found["msg"], text);
            }
        }
    }
}

#[tokio::test]
async fn cef_and_leef_arrive_as_they_were_written() {
    let test = "cef_and_leef_arrive_as_they_were_written";
    let Some(address) = server(test, "syslog-ng", "AUDITLINE_TEST_SYSLOG_NG_TCP") else {
        return;
    };
    let text: String = ('\0'..='\u{ff}').collect();
    let event = json!({ "class_uid": 3001, "message": text, "actor": { "user": { "name": text } } }).to_string();
    for (format, start) in [(Format::Cef, "CEF:0|example|"), (Format::Leef, "LEEF:2.0|example|")] {
        let name = contract::unique("formats");
        let mut receiver = receiver(&name, "tcp", &address, "AUDITLINE_TEST_SYSLOG_NG_OUTPUT");
        receiver.config["format"] = json!(if format == Format::Cef { "cef" } else { "leef" });
        let batch = contract::batch_of("p", 1, [event.clone()]);
        receiver.sink().deliver(&batch).await.unwrap();
        let arrived = receiver.read_back(1).await;
        let options = Options { include_json: true, leef_delimiter: Default::default() };
        let written = format.write(&batch, &batch.records[0], options);
        assert_eq!(arrived, [String::from_utf8_lossy(&written)]);
        assert!(arrived[0].starts_with(start), "{arrived:?}");
    }
}

#[tokio::test]
async fn rsyslog_keeps_the_contract_over_udp() {
    let Some(address) = server("rsyslog_keeps_the_contract_over_udp", "rsyslog", "AUDITLINE_TEST_RSYSLOG_UDP") else {
        return;
    };
    contract::all(async |name| receiver(name, "udp", &address, "AUDITLINE_TEST_RSYSLOG_OUTPUT")).await;
}

#[tokio::test]
async fn syslog_ng_keeps_the_contract_over_tcp() {
    let Some(address) = server("syslog_ng_keeps_the_contract_over_tcp", "syslog-ng", "AUDITLINE_TEST_SYSLOG_NG_TCP")
    else {
        return;
    };
    contract::all(async |name| receiver(name, "tcp", &address, "AUDITLINE_TEST_SYSLOG_NG_OUTPUT")).await;
}

#[tokio::test]
async fn syslog_ng_keeps_the_contract_over_tls() {
    let Some(address) = server("syslog_ng_keeps_the_contract_over_tls", "syslog-ng", "AUDITLINE_TEST_SYSLOG_NG_TLS")
    else {
        return;
    };
    contract::all(async |name| receiver(name, "tls", &address, "AUDITLINE_TEST_SYSLOG_NG_OUTPUT")).await;
}

#[tokio::test]
async fn syslog_ng_reads_every_part_of_the_header() {
    let Some(address) = server("syslog_ng_reads_every_part_of_the_header", "syslog-ng", "AUDITLINE_TEST_SYSLOG_NG_TCP")
    else {
        return;
    };
    let name = contract::unique("parts");
    let mut receiver = receiver(&name, "tcp", &address, "AUDITLINE_TEST_SYSLOG_NG_OUTPUT");
    receiver.config["hostname"] = json!("host.example");
    receiver.config["facility"] = json!("local3");
    let mut batch = contract::batch_of("corp west", 1, [r#"{"n":1}"#]);
    batch.records[0].id = "evt \"1\" \\ [x]".to_owned();
    receiver.sink().deliver(&batch).await.unwrap();
    assert_eq!(receiver.read_back(1).await, [r#"{"n":1}"#]);
    let output = std::fs::read_to_string(&receiver.output).unwrap();
    let line = output.lines().find(|line| line.contains(&name)).unwrap();
    let line: Value = serde_json::from_str(line).unwrap();
    assert_eq!(line["PRI"], 19 * 8 + 5);
    assert_eq!(line["HOSTNAME"], "host.example");
    assert_eq!(line["MSGID"], "example");
    let time = chrono::DateTime::parse_from_rfc3339(line["TIMESTAMP"].as_str().unwrap()).unwrap();
    assert_eq!(time.timestamp_millis(), batch.records[0].time.timestamp_millis());
    assert_eq!(
        line["_SDATA"]["auditline@32473"],
        json!({ "id": "evt \"1\" \\ [x]", "pipeline": "corp west", "vendor": "example" })
    );
}

/// Gives the sink a certificate of its own.
fn introduce(receiver: &mut Receiver) {
    receiver.config["tls"]["cert"] = json!(std::env::var("AUDITLINE_TEST_TLS_CLIENT_CERT").unwrap());
    receiver.config["tls"]["key"] = json!(std::env::var("AUDITLINE_TEST_TLS_CLIENT_KEY").unwrap());
}

/// Without a certificate nothing may count as delivered, and with one everything arrives.
async fn a_receiver_that_asks_for_a_certificate(test: &str, what: &str, transport: &str, variable: &str, output: &str) {
    let Some(address) = server(test, what, variable) else {
        return;
    };
    let name = contract::unique("mutual");
    let mut receiver = receiver(&name, transport, &address, output);
    let batch = contract::numbered("mutual", 1, 3);
    let strangers = receiver.sink();
    for _ in 0..5 {
        let error = strangers.deliver(&batch).await.expect_err("a stranger's records are lost");
        assert!(format!("{error} {error:?}").contains("`tls.key`"), "{}", chain(&error));
        strangers.check().await.expect_err("a stranger is not welcome");
    }
    introduce(&mut receiver);
    receiver.sink().check().await.unwrap();
    assert_eq!(receiver.sink().deliver(&batch).await.unwrap(), Delivery::default());
    assert_eq!(receiver.read_back(3).await, contract::texts(&[batch]));
}

#[tokio::test]
async fn rsyslog_lets_only_friends_in() {
    let variables = ("AUDITLINE_TEST_RSYSLOG_MUTUAL_TLS", "AUDITLINE_TEST_RSYSLOG_OUTPUT");
    let test = "rsyslog_lets_only_friends_in";
    a_receiver_that_asks_for_a_certificate(test, "rsyslog", "tls", variables.0, variables.1).await;
}

#[tokio::test]
async fn rsyslog_lets_only_friends_in_by_relp() {
    let variables = ("AUDITLINE_TEST_RSYSLOG_RELP_TLS", "AUDITLINE_TEST_RSYSLOG_OUTPUT");
    let test = "rsyslog_lets_only_friends_in_by_relp";
    a_receiver_that_asks_for_a_certificate(test, "rsyslog", "relp+tls", variables.0, variables.1).await;
}

#[tokio::test]
async fn syslog_ng_lets_only_friends_in() {
    let variables = ("AUDITLINE_TEST_SYSLOG_NG_MUTUAL_TLS", "AUDITLINE_TEST_SYSLOG_NG_OUTPUT");
    let test = "syslog_ng_lets_only_friends_in";
    a_receiver_that_asks_for_a_certificate(test, "syslog-ng", "tls", variables.0, variables.1).await;
}

#[tokio::test]
async fn a_certificate_we_cannot_trust_needs_a_person() {
    let test = "a_certificate_we_cannot_trust_needs_a_person";
    for (transport, variable) in [("tls", "AUDITLINE_TEST_RSYSLOG_TLS"), ("relp", "AUDITLINE_TEST_RSYSLOG_RELP_TLS")] {
        let Some(address) = server(test, "rsyslog", variable) else {
            return;
        };
        let ca = std::env::var("AUDITLINE_TEST_TLS_CA").unwrap();
        let wrong = std::env::var("AUDITLINE_TEST_TLS_WRONG_CA").unwrap();
        for (tls, hint) in [
            (json!({ "ca": wrong }), "set `tls.ca` to the certificate of the authority that signed it"),
            (
                json!({ "ca": ca, "server_name": "other.example" }),
                "set `tls.server_name` to a name in the certificate, or connect by that name",
            ),
        ] {
            let sink = sink(json!({ "address": address, "transport": transport, "tls": tls }));
            expect_refused(sink.check().await, hint);
            expect_refused(sink.deliver(&contract::numbered("p", 1, 1)).await.map(drop), hint);
        }
    }
}

fn expect_refused(outcome: Result<(), DeliveryError>, expected: &str) {
    match outcome {
        Err(DeliveryError::Refused { hint, .. }) => assert_eq!(hint, expected),
        other => panic!("{other:?}"),
    }
}

fn expect_retryable(outcome: Result<(), DeliveryError>, expected: &str) {
    match outcome {
        Err(error @ DeliveryError::Retryable { .. }) => assert_eq!(error.to_string(), expected),
        other => panic!("{other:?}"),
    }
}

async fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

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
    expect_retryable(sink.deliver(&contract::numbered("p", 1, 1)).await.map(drop), &expected);
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
    for (greeting, answer, line) in [
        ("220 mail.example.com ESMTP\r\n", "", "220 mail.example.com ESMTP"),
        ("", "-ERR unknown command\r\n", "-ERR unknown command"),
        ("SSH-2.0-OpenSSH_9.2\r\n", "Invalid SSH identification string.\r\n", "SSH-2.0-OpenSSH_9.2"),
    ] {
        for tls in [None, Some(acceptor())] {
            // Half of the timeout is how long one that has spoken is listened to.
            let mut config = json!({ "transport": "tcp", "timeout": "2s" });
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
            for batch in [contract::numbered("p", 1, 3), contract::numbered("p", 1, 3), large_batch("p")] {
                expect(sink.deliver(&batch).await.map(drop));
            }
        }
    }
}

#[tokio::test]
async fn a_port_that_answers_in_tls_is_told() {
    let (listener, address) = listener().await;
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        acceptor().accept(stream).await.map(drop)
    });
    let sink = sink(json!({ "address": address, "transport": "tcp" }));
    let hint = "set `transport = \"tls\"`, or give the port of the receiver's input without TLS";
    expect_refused(sink.deliver(&contract::numbered("p", 1, 3)).await.map(drop), hint);
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

/// Reads octet-counted frames until the stream ends.
async fn frames(stream: &mut TcpStream) -> Vec<String> {
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

/// Our kernel takes it at once; a receiver with a narrow buffer has to read for it to arrive.
fn large_batch(pipeline: &str) -> Batch {
    let body = format!(r#"{{"text":"{}"}}"#, "x".repeat(1000));
    contract::batch_of(pipeline, 1, vec![body; 200])
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

// It got the same batch again for ever, and stored it each time.
#[tokio::test]
async fn a_receiver_that_needs_longer_than_the_timeout_for_a_batch_gets_it_once() {
    let (listener, address) = narrow_listener();
    let sink = sink(json!({ "address": address, "transport": "tcp", "timeout": "2s" }));
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
            tokio::time::sleep(Duration::from_millis(70)).await;
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

#[tokio::test]
async fn what_is_too_large_is_cut_only_where_that_is_wanted() {
    let (listener, address) = listener().await;
    let config = json!({ "address": address, "transport": "tcp", "max_size": "1KiB", "oversize": "truncate" });
    let large = format!(r#"{{"large":"{}"}}"#, "ü".repeat(1000));
    let mut batch = contract::batch_of("p", 1, [large.as_str(), "{}", "{}"]);
    batch.records[2].id = "i".repeat(2000);
    let cutting = sink(config.clone());
    let Delivery { rejected } = cutting.deliver(&batch).await.unwrap();
    assert_eq!(rejected.len(), 1, "{rejected:?}");
    assert_eq!(rejected[0].at, 2);
    assert!(rejected[0].reason.ends_with("bytes, more than the 1024 of `max_size`"), "{rejected:?}");
    drop(cutting);
    let (mut stream, _) = listener.accept().await.unwrap();
    let frames = frames(&mut stream).await;
    assert!((1023..=1024).contains(&frames[0].len()) && frames[0].ends_with("üü...[truncated]"), "{frames:?}");
    assert!(frames[1].ends_with("] {}"), "{frames:?}");

    let mut config = config;
    config["oversize"] = json!("reject");
    batch.records.pop();
    let Delivery { rejected } = sink(config).deliver(&batch).await.unwrap();
    assert_eq!(rejected.len(), 1);
    assert!(rejected[0].reason.ends_with("bytes are more than the 1024 of `max_size`"), "{rejected:?}");
}

// RFC 5426 has receivers take 2 KiB at least, and by that most events of some vendors were dead letters.
#[tokio::test]
async fn an_event_of_some_kilobytes_goes_over_udp() {
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap().to_string();
    let sink = sink(json!({ "address": address, "transport": "udp" }));
    let event = |bytes: usize| format!(r#"{{"text":"{}"}}"#, "x".repeat(bytes));
    let batch = contract::batch_of("p", 1, [event(7000), event(8192)]);
    let Delivery { rejected } = sink.deliver(&batch).await.unwrap();
    assert_eq!(rejected.len(), 1, "{rejected:?}");
    assert!(rejected[0].at == 1 && rejected[0].reason.ends_with("the 8192 of `max_size`"), "{rejected:?}");
    let mut datagram = vec![0; 65_536];
    let length = socket.recv(&mut datagram).await.unwrap();
    assert!(String::from_utf8_lossy(&datagram[..length]).ends_with(&event(7000)));
}

/// With the lines of a receiver that reads to the line feed, no record makes two of them.
#[tokio::test]
async fn a_record_is_one_line() {
    let (listener, address) = listener().await;
    for format in ["json", "cef", "leef"] {
        for rfc in ["5424", "3164"] {
            let sink = sink(json!({
                "address": address, "transport": "tcp", "framing": "newline", "rfc": rfc, "format": format,
            }));
            let event = "{\"class_uid\":1,\r\n\"message\":\"a\\nb\\r\\u0000\"\n,\"x\":1}\n";
            let mut batch = contract::batch_of("p\nq", 1, [event; 3]);
            batch.vendor = "v\n<13>1".into();
            batch.records[1].id = "evil\n<13>1 - - - - - - forged".to_owned();
            assert_eq!(sink.deliver(&batch).await.unwrap(), Delivery::default());
            drop(sink);
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).await.unwrap();
            let lines: Vec<&str> = text.split('\n').collect();
            assert_eq!(lines.len(), 4, "{format} {rfc}: {text}");
            assert!(lines[..3].iter().all(|line| line.starts_with("<109>")) && lines[3].is_empty(), "{text}");
        }
    }
}

#[test]
fn mistakes_are_told_before_anything_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let not_pem = folder.path().join("ca.pem");
    std::fs::write(&not_pem, "hello").unwrap();
    for (mut config, key) in [
        (json!({ "transport": "tcp", "tls": {} }), "tls"),
        (json!({ "transport": "udp", "max_size": "64KiB" }), "max_size"),
        (json!({ "transport": "udp", "framing": "newline" }), "framing"),
        (json!({ "transport": "relp", "framing": "octet_counting" }), "framing"),
        (json!({ "transport": "tcp", "rfc": "3164", "sd_id": "corp@32473" }), "sd_id"),
        (json!({ "transport": "tcp", "include_json": false }), "include_json"),
        (json!({ "transport": "tcp", "format": "cef", "leef_delimiter": "^" }), "leef_delimiter"),
        (json!({ "transport": "tcp", "rfc": "3164", "app_name": "corp:audit" }), "app_name"),
        (json!({ "transport": "tls", "tls": { "ca": "/none/ca.pem" } }), "tls.ca"),
        (json!({ "transport": "tls", "tls": { "ca": not_pem } }), "tls.ca"),
        (json!({ "transport": "tls", "tls": { "cert": "/none/cert.pem" } }), "tls.cert"),
        (json!({ "transport": "tls", "tls": { "key": "/none/key.pem" } }), "tls.key"),
    ] {
        config["address"] = json!("127.0.0.1:514");
        let config: SinkConfig = serde_json::from_value(json!({ "syslog": config })).unwrap();
        let error = config.build().err().expect("a mistake");
        assert_eq!(error.key, key, "{error}");
        assert!(!error.hint.is_empty());
    }
}
