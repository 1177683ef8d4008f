//! What a message may hold, and how large it may be.

use auditline_sinks::contract::{self};
use auditline_sinks::{Delivery, SinkConfig};
use serde_json::json;
use tokio::io::AsyncReadExt;

use crate::place::{frames, listener, sink};

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
