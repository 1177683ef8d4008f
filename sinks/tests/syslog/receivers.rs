//! What rsyslog and syslog-ng make of what they are sent.

use std::time::{Duration, Instant};

use auditline_sinks::contract::{self, Destination as _, server};
use auditline_sinks::format::{Format, Options};
use serde_json::{Value, json};

use crate::place::{PATIENCE, introduce, receiver, sink};

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
    let give_up = Instant::now() + PATIENCE;
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
