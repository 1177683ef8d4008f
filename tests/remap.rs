//! `remap` on the real binary: a program in a file of its own, over a file of records, to the file that is delivered.

mod common;

use common::{Installation, events};
use serde_json::{Value as Json, json};

const PROGRAM: &str = r#"
# Robots that ask whether we are still there.
if .http_request.user_agent == "probe/1" { abort "probes" }
.comment = "at " + format_timestamp!(%time, "%H:%M") + " by " + downcase!(.actor.user.email_addr)
.unmapped.serial = .unmapped.number
del(.unmapped.secret)
"#;

fn install(on_error: &str) -> Installation {
    let main = "[sinks.siem.file]\npath = \"FOLDER/out/{pipeline}.ndjson\"\n";
    let installation = Installation::new(main, &[]);
    let pipeline = format!(
        "[source.file]\npath = \"../logs/*\"\nconnector = \"cloudflare\"\nfollow = false\n\n\
         [[transform]]\nremap = {{ file = \"../programs/tidy.vrl\", on_error = \"{on_error}\" }}\n\n\
         [[transform]]\nredact = {{ emails = \"mask\" }}\n\n\
         [to.siem]\nbatch = {{ max_wait = \"50ms\" }}\n"
    );
    std::fs::write(installation.path("pipelines/archive.toml"), pipeline).unwrap();
    for folder in ["logs", "programs"] {
        std::fs::create_dir(installation.path(folder)).unwrap();
    }
    std::fs::write(installation.path("programs/tidy.vrl"), PROGRAM).unwrap();
    let lines: String = records().iter().map(|record| format!("{record}\n")).collect();
    std::fs::write(installation.path("logs/audit.ndjson"), lines).unwrap();
    installation
}

/// One the program works on, one that it drops, and one that has no name to write small.
fn records() -> [String; 3] {
    let record = |id: u32, actor: Json, agent: &str| {
        let number = "12345678901234567890";
        format!(
            r#"{{"id":"{id:032}","action":{{"time":"2026-09-14T08:22:31Z","type":"create","result":"success"}},"actor":{actor},"raw":{{"user_agent":"{agent}"}},"number":{number},"secret":"s3cr3t"}}"#
        )
    };
    let anna = json!({ "id": "a-1", "email": "Anna.Ops@example.com", "type": "user" });
    [
        record(1, anna.clone(), "curl/8"),
        record(2, anna, "probe/1"),
        record(3, json!({ "id": "a-3", "type": "system" }), "curl/8"),
    ]
}

fn by_id(installation: &Installation, id: &str) -> Option<Json> {
    events(&installation.path("out/archive.ndjson")).into_iter().find(|event| common::id(event).ends_with(id))
}

#[tokio::test]
async fn a_program_changes_drops_and_marks() {
    let installation = install("mark");
    installation.read_all().await;
    let first = by_id(&installation, "01").unwrap();
    assert_eq!(first["comment"], "at 08:22 by masked@masked.invalid");
    assert_eq!(first["unmapped"].get("secret"), None);
    let text = std::fs::read_to_string(installation.path("out/archive.ndjson")).unwrap();
    assert!(text.contains(r#""serial":12345678901234567890"#), "{text}");
    assert_eq!(by_id(&installation, "02"), None);
    let marked = by_id(&installation, "03").unwrap();
    assert_eq!(marked["metadata"]["tags"], json!([{ "name": "auditline.error", "value": "remap" }]));
    assert_eq!(marked["unmapped"]["secret"], "s3cr3t");
}

#[tokio::test]
async fn what_it_fails_on_can_be_kept_aside() {
    let installation = install("dead_letter");
    installation.read_all().await;
    assert!(by_id(&installation, "01").is_some() && by_id(&installation, "03").is_none());
    let letters = installation.dead_letters("archive").await;
    let reasons: Vec<&str> = letters.iter().map(|letter| letter.reason.as_str()).collect();
    assert_eq!(reasons, ["remap: the program failed in `downcase` at line 4, column 65"]);
}
