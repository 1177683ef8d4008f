//! Every event the demo delivers is OCSF, in the eyes of a validator that has not seen our code.

use std::fs::File;
use std::process::{Command, Stdio};

use auditline_sinks::contract::server;

const VENDORS: [&str; 5] = ["ashby", "cloudflare", "nirvana", "telnyx", "voximplant"];

#[test]
fn all_of_the_demos_events_are_valid_ocsf() {
    let variable = "AUDITLINE_TEST_OCSF_VALIDATOR";
    let Some(validator) = server("all_of_the_demos_events_are_valid_ocsf", "OCSF validator", variable) else { return };
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
        let path = out.join(format!("{vendor}.ndjson"));
        let events = std::fs::read_to_string(&path).unwrap().lines().count();
        assert!(events >= 300, "{vendor}: {events} events");
        let judged = Command::new(&validator).stdin(Stdio::from(File::open(&path).unwrap())).output().unwrap();
        let mistakes = String::from_utf8_lossy(&judged.stdout);
        let first: Vec<&str> = mistakes.lines().take(10).collect();
        assert!(
            judged.status.success(),
            "{vendor}: {} mistakes, the first are:\n{}\n{}",
            mistakes.lines().count(),
            first.join("\n"),
            String::from_utf8_lossy(&judged.stderr),
        );
    }
}
