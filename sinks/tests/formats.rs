//! CEF and LEEF as receivers read them: whatever a field holds, it stays in its field, and the whole event arrives.

use std::io::Write as _;
use std::process::{Command, Stdio};

use auditline_sinks::contract::{self, server};
use auditline_sinks::format::{Format, Options, leef::Delimiter};
use auditline_sinks::{Batch, Record};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::{Map, Value, json};

/// Where an OCSF event has something, and the field of CEF it becomes. What is in the header has a number.
#[rustfmt::skip]
const CEF: &[(&str, &str)] = &[
    ("metadata.product.vendor_name", "0"), ("metadata.product.name", "1"), ("metadata.product.version", "2"),
    ("metadata.event_code", "3"), ("type_name", "4"),
    ("class_name", "cat"), ("activity_name", "act"), ("status_detail", "reason"), ("status", "outcome"),
    ("message", "msg"), ("actor.user.uid", "suid"), ("actor.user.name", "suser"), ("actor.user.type", "spriv"),
    ("actor.user.domain", "sntdom"), ("actor.app_name", "sourceServiceName"), ("user.uid", "duid"),
    ("user.name", "duser"), ("src_endpoint.ip", "src"), ("src_endpoint.hostname", "shost"), ("dst_endpoint.ip", "dst"),
    ("dst_endpoint.hostname", "dhost"), ("service.name", "destinationServiceName"),
    ("http_request.url.url_string", "request"), ("http_request.http_method", "requestMethod"),
    ("http_request.user_agent", "requestClientApplication"), ("http_request.referrer", "requestContext"),
    ("metadata.tenant_uid", "deviceExternalId"), ("metadata.log_name", "deviceFacility"), ("entity.uid", "cs1"),
    ("entity.name", "cs2"), ("entity.type", "cs3"), ("privileges", "cs4"), ("metadata.correlation_uid", "cs5"),
];

/// The same for LEEF.
#[rustfmt::skip]
const LEEF: &[(&str, &str)] = &[
    ("metadata.product.vendor_name", "0"), ("metadata.product.name", "1"), ("metadata.product.version", "2"),
    ("metadata.event_code", "3"),
    ("type_name", "name"), ("class_name", "cat"), ("activity_name", "action"), ("status_detail", "reason"),
    ("status", "outcome"), ("message", "msg"), ("actor.user.uid", "usrId"), ("actor.user.name", "usrName"),
    ("actor.user.type", "role"), ("actor.user.domain", "domain"), ("actor.app_name", "usrApp"),
    ("user.uid", "accountId"), ("user.name", "accountName"), ("src_endpoint.ip", "src"),
    ("src_endpoint.hostname", "srcHost"), ("dst_endpoint.ip", "dst"), ("dst_endpoint.hostname", "dstHost"),
    ("service.name", "service"), ("http_request.url.url_string", "url"), ("http_request.http_method", "method"),
    ("http_request.user_agent", "userAgent"), ("http_request.referrer", "referrer"), ("metadata.tenant_uid", "realm"),
    ("metadata.log_name", "log"), ("entity.uid", "resourceId"), ("entity.name", "resource"),
    ("entity.type", "resourceType"), ("privileges", "privileges"), ("metadata.correlation_uid", "correlationId"),
];

fn put(event: &mut Value, path: &str, value: &str) {
    let mut at = event;
    for name in path.split('.') {
        at = at.as_object_mut().unwrap().entry(name).or_insert_with(|| Value::Object(Map::new()));
    }
    *at = json!(value);
}

/// An event with this text in each of the places.
fn event(texts: &[(&str, String)]) -> Value {
    let mut event = json!({ "class_uid": 3001, "type_uid": 300101, "severity_id": 4 });
    for (path, text) in texts {
        put(&mut event, path, text);
    }
    event
}

/// Texts for all the places: each character of one byte, and whatever proptest thinks of.
fn texts(places: &[(&'static str, &str)]) -> Vec<Vec<(&'static str, String)>> {
    let each = |text: &dyn Fn(usize) -> String| {
        places.iter().enumerate().map(|(at, (path, _))| (*path, text(at))).collect::<Vec<_>>()
    };
    let bytes = ('\0'..='\u{ff}').map(|char| each(&|at| format!("a{at}{char}b{char}{char}=c|^\\{char}")));
    let mut all: Vec<_> = bytes.collect();
    let mut runner = TestRunner::deterministic();
    let breaking = "[ \\\\=|^\t\r\n\"a-c:0-9\\]\\[]{0,24}";
    let strategy = prop_oneof![any::<String>(), breaking.prop_map(|text| text)];
    for _ in 0..200 {
        let drawn: Vec<String> = places.iter().map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect();
        all.push(each(&|at| drawn[at].clone()));
    }
    all
}

fn batch(events: &[Value]) -> Batch {
    contract::batch_of("corp west", 1, events.iter().map(Value::to_string))
}

/// What the parser found in the lines.
fn parsed(parser: &str, lines: &[Vec<u8>]) -> Vec<Value> {
    let mut process = Command::new(parser).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = process.stdin.take().unwrap();
    let text: Vec<u8> = lines.iter().flat_map(|line| [line.as_slice(), b"\n"].concat()).collect();
    let writing = std::thread::spawn(move || input.write_all(&text).unwrap());
    let output = process.wait_with_output().unwrap();
    writing.join().unwrap();
    let found: Vec<Value> =
        String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(found.len(), lines.len(), "a line was taken for two, or two for one");
    found
}

/// Writes each event, has it read by the parser, and compares field by field. `becomes` says what is left of a text in
/// the header or in a field.
fn stays_in_its_field(
    test: &str,
    format: Format,
    options: Options,
    places: &'static [(&'static str, &'static str)],
    becomes: impl Fn(&str, bool) -> String,
) {
    let Some(parser) = server(test, "reader of CEF and LEEF", "AUDITLINE_TEST_FORMATS_PARSER") else {
        return;
    };
    let texts = texts(places);
    let events: Vec<Value> = texts.iter().map(|texts| event(texts)).collect();
    let batch = batch(&events);
    let line = |record: &Record| format.write(&batch, record, options).into_owned();
    let lines: Vec<Vec<u8>> = batch.records.iter().map(line).collect();
    for line in &lines {
        assert!(!line.contains(&b'\n') && !line.contains(&b'\r') && !line.contains(&0), "{line:?}");
    }
    for ((found, texts), event) in parsed(&parser, &lines).into_iter().zip(&texts).zip(&events) {
        assert!(found.get("error").is_none(), "{found} of {event}");
        let mut fields = found["fields"].as_object().unwrap().clone();
        let whole = fields.remove("auditlineEvent").unwrap();
        assert_eq!(serde_json::from_str::<Value>(whole.as_str().unwrap()).unwrap(), *event);
        for ((_, text), (_, key)) in texts.iter().zip(places) {
            let (at, in_head) = (key.parse::<usize>(), key.parse::<usize>().is_ok());
            let expected = becomes(text, in_head);
            if text.trim().is_empty() {
                let other = fields.remove(*key);
                // These two have a second place to look at.
                assert!(other.is_none() || ["usrName", "name"].contains(key), "{key} of {event}");
            } else if let Ok(at) = at {
                assert_eq!(found["head"][at], expected, "{key} of {event}");
            } else {
                assert_eq!(fields.remove(*key), Some(json!(expected)), "{key} of {event}");
            }
        }
        // What is left are fields of ours, and none that a text has made.
        for key in fields.keys() {
            let labels =
                ["cs1Label", "cs2Label", "cs3Label", "cs4Label", "cs5Label", "cs6Label", "cn1Label", "cn2Label"];
            let ours = ["rt", "externalId", "cs6", "cn1", "cn2", "devTime", "devTimeFormat", "sev", "recordId"];
            let also = ["pipeline", "classUid", "typeUid"];
            assert!(labels.iter().chain(&ours).chain(&also).any(|known| known == key), "{key} of {event}");
        }
    }
}

fn control(char: char) -> char {
    match char {
        '\t' => ' ',
        '\n' | '\r' => char,
        control if control.is_control() => '_',
        other => other,
    }
}

#[test]
fn nothing_leaves_its_field_in_cef() {
    let options = Options { include_json: true, leef_delimiter: Delimiter::default() };
    stays_in_its_field("nothing_leaves_its_field_in_cef", Format::Cef, options, CEF, |text, in_head| {
        let text: String = text.chars().map(control).collect();
        match text.to_ascii_lowercase().as_str() {
            outcome @ ("success" | "failure") => outcome.to_owned(),
            _ if in_head => text.replace(['\n', '\r'], " "),
            _ => text,
        }
    });
}

fn nothing_leaves_its_field_in_leef(test: &str, name: &str, delimiter: char) {
    let options = Options { include_json: true, leef_delimiter: serde_json::from_value(json!(name)).unwrap() };
    stays_in_its_field(test, Format::Leef, options, LEEF, |text, in_head| {
        let text: String = text.chars().map(control).collect();
        let text = text.replace(['\n', '\r'], " ");
        if in_head { text.replace('|', "_") } else { text.replace(delimiter, " ") }
    });
}

#[test]
fn nothing_leaves_its_field_in_leef_with_tabs() {
    nothing_leaves_its_field_in_leef("nothing_leaves_its_field_in_leef_with_tabs", "tab", '\t');
}

#[test]
fn nothing_leaves_its_field_in_leef_with_carets() {
    nothing_leaves_its_field_in_leef("nothing_leaves_its_field_in_leef_with_carets", "^", '^');
}

#[test]
fn nothing_leaves_its_field_in_leef_with_pipes() {
    nothing_leaves_its_field_in_leef("nothing_leaves_its_field_in_leef_with_pipes", "|", '|');
}

/// Ids and names of pipelines are the operator's and the vendor's texts too.
#[test]
fn ids_and_pipelines_stay_in_their_fields() {
    let test = "ids_and_pipelines_stay_in_their_fields";
    let Some(parser) = server(test, "reader of CEF and LEEF", "AUDITLINE_TEST_FORMATS_PARSER") else {
        return;
    };
    for (format, id_key) in [(Format::Cef, "externalId"), (Format::Leef, "recordId")] {
        let options = Options { include_json: false, leef_delimiter: Delimiter::default() };
        let mut batch = contract::batch_of("p q=r|s\\", 1, vec!["{}"; 3]);
        let ids = ["a b=c|d\\", "e\nf=g", "a act=forged"];
        for (record, id) in batch.records.iter_mut().zip(ids) {
            record.id = id.to_owned();
        }
        let lines: Vec<Vec<u8>> =
            batch.records.iter().map(|record| format.write(&batch, record, options).into_owned()).collect();
        for (found, id) in parsed(&parser, &lines).into_iter().zip(ids) {
            let id = if format == Format::Leef { id.replace('\n', " ") } else { id.to_owned() };
            assert_eq!(found["fields"][id_key], id, "{found}");
            assert_eq!(found["fields"].get("act"), None);
            let pipeline = if format == Format::Leef { "pipeline" } else { "cs6" };
            assert_eq!(found["fields"][pipeline], "p q=r|s\\", "{found}");
        }
    }
}
