//! `enrich` on the real binary: what is added, and what becomes of it when the files it is read from change.

mod common;

use std::io::Write;

use common::{Installation, events};
use serde_json::{Value as Json, json};

const MAIN: &str = "[sinks.siem.file]\npath = \"FOLDER/out/{pipeline}.ndjson\"\n";

const PIPELINE: &str = r#"
[source.file]
path = "../logs/*"
connector = "cloudflare"
poll = "100ms"

[[transform]]
[transform.enrich]
lookup = [{ file = "../tables/people.csv", by = "email", from = "actor.user.email_addr", take = ["team"] }]
threat_intel = [{ file = "../tables/bad.txt", name = "feed" }]

[to.siem]
batch = { max_wait = "50ms" }
"#;

fn append(installation: &Installation, id: u32) {
    let record = json!({
        "id": format!("{id:032}"),
        "action": { "time": "2026-09-14T08:22:31Z", "type": "create", "result": "success" },
        "actor": { "id": "u-1", "email": "anna.ops@example.com", "type": "user", "ip_address": "192.0.2.7" },
    });
    let path = installation.path("logs/audit.log");
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
    writeln!(file, "{record}").unwrap();
}

/// Puts another file into the place of this one, in one step.
fn replace(installation: &Installation, name: &str, text: &str) {
    let new = installation.path("tables/new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, installation.path(&format!("tables/{name}"))).unwrap();
}

fn team(event: &Json) -> &str {
    event["enrichments"][0]["data"]["team"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn files_that_change_are_read_again_and_what_they_held_last_goes_on_without_them() {
    const CHANGED: &str = "the file has changed, and is used from now on";
    const LOST: &str = "cannot read the file again: what it held last goes on";
    let installation = Installation::new(MAIN, &[]);
    std::fs::write(installation.path("pipelines/archive.toml"), PIPELINE).unwrap();
    std::fs::create_dir(installation.path("logs")).unwrap();
    std::fs::create_dir(installation.path("tables")).unwrap();
    let delivered = || events(&installation.path("out/archive.ndjson"));
    replace(&installation, "people.csv", "email,team\nanna.ops@example.com,blue\n");
    replace(&installation, "bad.txt", "# none yet\n203.0.113.0/24\n");

    let mut running = installation.start();
    append(&installation, 1);
    running.until("delivers the first", |_| delivered().len() == 1).await;
    replace(&installation, "people.csv", "email,team\nanna.ops@example.com,red\n");
    running.says(CHANGED).await;
    append(&installation, 2);
    running.until("delivers the second", |_| delivered().len() == 2).await;

    replace(&installation, "people.csv", "email,team\nanna.ops@example.com,half, of a row\n");
    running.says(LOST).await;
    assert!(running.stderr().contains("line 2: the table has 2 columns, and this line 3"), "{}", running.stderr());
    std::fs::remove_file(installation.path("tables/people.csv")).unwrap();
    append(&installation, 3);
    running.until("delivers the third", |_| delivered().len() == 3).await;

    replace(&installation, "people.csv", "email,team\nanna.ops@example.com,green\n");
    replace(&installation, "bad.txt", "192.0.2.0/24\n");
    running.until("reads both again", |running| running.stderr().matches(CHANGED).count() == 3).await;
    append(&installation, 4);
    running.until("delivers the fourth", |_| delivered().len() == 4).await;
    running.signal("TERM").await;
    let ended = running.ended().await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert_eq!(ended.stderr.matches(LOST).count(), 1, "{}", ended.stderr);
    assert!(!ended.stderr.contains("anna.ops"), "{}", ended.stderr);

    let delivered = delivered();
    assert_eq!(delivered.iter().map(team).collect::<Vec<_>>(), ["blue", "red", "red", "green"]);
    let labels: Vec<&Json> = delivered.iter().map(|event| &event["metadata"]["labels"]).collect();
    assert_eq!(labels, [&Json::Null, &Json::Null, &Json::Null, &json!(["threat_intel:feed"])]);
}

#[tokio::test]
async fn the_example_adds_what_its_readme_says_and_redacts_it() {
    let installation = Installation::of_example("enrich");
    installation.read_all().await;
    let events = events(&installation.path("events/cloudflare-archive.ndjson"));
    assert_eq!(events.len(), 3);
    for event in &events {
        // Nothing that was added is left out of the redaction.
        for address in ["anna.ops", "bo.dev", "mallory", "198.51.100.7", "203.0.113.24", "2001:db8::17"] {
            assert!(!event.to_string().contains(address), "{event:#}");
        }
    }
    let data = |event: &Json, provider: &str| {
        let entries = event["enrichments"].as_array().unwrap().iter();
        entries.filter(|entry| entry["provider"] == provider).map(|entry| entry["data"].clone()).collect::<Vec<_>>()
    };
    let [anna, bo, mallory] = events.as_slice() else { panic!("three events") };
    assert_eq!(data(anna, "people.csv"), [json!({ "team": "Platform", "cost_center": "CC-1200" })]);
    assert_eq!(data(anna, "networks.csv"), [json!({ "office": "Lausanne office" })]);
    assert_eq!(data(anna, "woothee")[0]["name"], "Firefox");
    assert_eq!(anna["src_endpoint"]["location"]["city"], "Lausanne");
    assert_eq!(anna["src_endpoint"]["autonomous_system"]["number"], 64501);
    assert_eq!(anna["metadata"]["labels"], json!(["prod"]));
    assert_eq!(data(bo, "people.csv")[0]["team"], "Search, Ranking");
    assert_eq!(data(bo, "woothee"), [json!({ "name": "terraform", "version": "1.9.2" })]);
    assert_eq!(data(bo, "example-feed")[0]["indicator_type"], "ipv4-addr");
    assert_eq!(data(mallory, "example-feed")[0]["indicator"], "evil.example");
    for event in [bo, mallory] {
        assert_eq!(event["metadata"]["labels"], json!(["prod", "threat_intel:example-feed"]));
    }
}
