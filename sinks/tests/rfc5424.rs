//! RFC 5424 as syslog-ng reads it: whatever a field holds, it stays in its field, and the event arrives as it is.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use auditline_sinks::contract::{self, server};
use auditline_sinks::{Delivery, SinkConfig};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

/// What a vendor or an operator names, and the event has.
#[derive(Clone, Debug)]
struct Texts {
    id: String,
    pipeline: String,
    vendor: String,
    code: String,
    message: String,
}

/// Each character of one byte in every place, and whatever proptest thinks of.
fn texts() -> Vec<Texts> {
    let mut drawn: Vec<[String; 5]> = ('\0'..='\u{ff}')
        .map(|char| std::array::from_fn(|at| format!("a{at}{char}b{char}{char}]\"c\\{char}")))
        .collect();
    let breaking = "[ \\\\=\\]\\[\"<>\t\r\n\u{0}@a-c0-9]{1,24}";
    let strategy = prop_oneof![any::<String>(), breaking.prop_map(|text| text)];
    let mut runner = TestRunner::deterministic();
    let mut draw = || format!("x{}", strategy.new_tree(&mut runner).unwrap().current());
    drawn.extend((0..200).map(|_| std::array::from_fn(|_| draw())));
    let named = |[id, pipeline, vendor, code, message]: [String; 5]| Texts { id, pipeline, vendor, code, message };
    drawn.into_iter().map(named).collect()
}

/// What is left of it in structured data.
fn without_controls(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { '_' } else { char }).collect()
}

#[tokio::test]
async fn whatever_a_field_holds_stays_in_its_field() {
    let test = "whatever_a_field_holds_stays_in_its_field";
    let Some(address) = server(test, "syslog-ng", "AUDITLINE_TEST_SYSLOG_NG_TCP") else { return };
    let app = contract::unique("fields");
    let config = json!({ "syslog": { "address": address, "transport": "tcp", "app_name": app } });
    let sink = serde_json::from_value::<SinkConfig>(config).unwrap().build().unwrap();
    let texts = texts();
    let mut sent = Vec::new();
    for (n, texts) in texts.iter().enumerate() {
        let event = json!({
            "n": n, "class_uid": 3001, "message": texts.message, "metadata": { "event_code": texts.code },
        });
        let mut batch = contract::batch_of(&texts.pipeline, 1, [event.to_string()]);
        batch.vendor = texts.vendor.as_str().into();
        batch.records[0].id.clone_from(&texts.id);
        assert_eq!(sink.deliver(&batch).await.unwrap(), Delivery::default(), "{texts:?}");
        sent.push(event.to_string());
    }
    let lines = lines_of(&app, sent.len()).await;
    assert_eq!(lines.len(), sent.len(), "a message was taken for two, or two for one");
    for (n, (texts, sent)) in texts.iter().zip(&sent).enumerate() {
        let line = &lines[&n];
        assert_eq!(line["MSG"], sent.as_str(), "{texts:?}");
        let expected = json!({
            "id": without_controls(&texts.id),
            "pipeline": without_controls(&texts.pipeline),
            "vendor": without_controls(&texts.vendor),
            "class": "3001",
            "code": without_controls(&texts.code),
        });
        assert_eq!(line["_SDATA"], json!({ "auditline@32473": expected }), "{texts:?}");
        let id: String =
            texts.vendor.chars().take(32).map(|char| if char.is_ascii_graphic() { char } else { '_' }).collect();
        assert_eq!((&line["MSGID"], &line["PRI"]), (&json!(id), &json!(13 * 8 + 5)), "{texts:?}");
    }
}

/// What syslog-ng has of this app, by the events' numbers.
async fn lines_of(app: &str, expected: usize) -> BTreeMap<usize, Value> {
    let output = std::env::var("AUDITLINE_TEST_SYSLOG_NG_OUTPUT").unwrap();
    let give_up = Instant::now() + Duration::from_secs(120);
    loop {
        let text = tokio::fs::read(&output).await.unwrap();
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let text = String::from_utf8_lossy(&text[..whole]);
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let ours: Vec<Value> = lines.filter(|line| line["APP-NAME"] == app).collect();
        if ours.len() >= expected || Instant::now() > give_up {
            let count = ours.len();
            let number = |line: &Value| serde_json::from_str::<Value>(line["MSG"].as_str()?).ok()?["n"].as_u64();
            let lines: BTreeMap<usize, Value> =
                ours.into_iter().map(|line| (number(&line).expect("an event of ours") as usize, line)).collect();
            assert_eq!(lines.len(), count, "an event is there twice");
            return lines;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
