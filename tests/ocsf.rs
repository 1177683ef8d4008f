//! Every event the demo delivers, and every one that a connector's examples become, is OCSF in the eyes of a validator that
//! has not seen our code.

use std::io::{Seek, Write};
use std::process::{Command, Stdio};

use auditline_sinks::contract::server;
use serde::Deserialize;

const VARIABLE: &str = "AUDITLINE_TEST_OCSF_VALIDATOR";
const VENDORS: [&str; 5] = ["ashby", "cloudflare", "nirvana", "telnyx", "voximplant"];

/// What of a connector's file matters here.
#[derive(Deserialize)]
struct Examples {
    example: Vec<Example>,
}

#[derive(Deserialize)]
struct Example {
    name: String,
    #[serde(default)]
    events: Vec<String>,
}

#[test]
fn all_of_the_demos_events_are_valid_ocsf() {
    let Some(validator) = server("all_of_the_demos_events_are_valid_ocsf", "OCSF validator", VARIABLE) else { return };
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("demo");
    let demo = Command::new(env!("CARGO_BIN_EXE_auditline"))
        .args(["demo", "--once", "--records", "300", "--out"])
        .arg(&out)
        .env_remove("AUDITLINE_LOG")
        .output()
        .unwrap();
    assert!(demo.status.success(), "{}", String::from_utf8_lossy(&demo.stderr));
    for vendor in VENDORS {
        let events = std::fs::read_to_string(out.join(format!("{vendor}.ndjson"))).unwrap();
        let count = events.lines().count();
        assert!(count >= 300, "{vendor}: {count} events");
        assert_valid(&validator, vendor, &events);
    }
}

#[test]
fn all_events_of_the_connectors_examples_are_valid_ocsf() {
    let name = "all_events_of_the_connectors_examples_are_valid_ocsf";
    let Some(validator) = server(name, "OCSF validator", VARIABLE) else { return };
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("connectors");
    let mut connectors = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let examples: Examples = toml::from_str(&text).unwrap();
        let events: Vec<&String> = examples.example.iter().flat_map(|example| &example.events).collect();
        let names: Vec<&str> = examples.example.iter().map(|example| example.name.as_str()).collect();
        assert!(!events.is_empty(), "{}: none of {names:?} becomes an event", path.display());
        let lines: String = events.iter().map(|event| one_line(event)).collect();
        assert_valid(&validator, &path.display().to_string(), &lines);
        connectors += 1;
    }
    assert!(connectors >= 8, "{connectors} connectors");
}

fn one_line(event: &str) -> String {
    let event: serde_json::Value = serde_json::from_str(event).unwrap();
    format!("{event}\n")
}

fn assert_valid(validator: &str, what: &str, events: &str) {
    // From a file: the judge speaks while it reads.
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(events.as_bytes()).unwrap();
    file.rewind().unwrap();
    let judged = Command::new(validator).stdin(Stdio::from(file)).output().unwrap();
    let mistakes = String::from_utf8_lossy(&judged.stdout);
    let first: Vec<&str> = mistakes.lines().take(10).collect();
    assert!(
        judged.status.success(),
        "{what}: {} mistakes, the first are:\n{}\n{}",
        mistakes.lines().count(),
        first.join("\n"),
        String::from_utf8_lossy(&judged.stderr),
    );
}
