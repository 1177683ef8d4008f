//! `[source.file]` on the real binary: an archive is replayed once, and a log that grows is followed.

mod common;

use std::io::Write;

use auditline::simulator::{Vendor, World};
use common::{Installation, events, simulate};
use serde_json::{Value as Json, json};

const MAIN: &str = "[sinks.siem.file]\npath = \"FOLDER/out/{pipeline}.ndjson\"\n";

fn install(source: &str) -> Installation {
    let installation = Installation::new(MAIN, &[]);
    let pipeline = format!("[source.file]\n{source}\n[to.siem]\nbatch = {{ max_wait = \"50ms\" }}\n");
    std::fs::write(installation.path("pipelines/archive.toml"), pipeline).unwrap();
    std::fs::create_dir(installation.path("logs")).unwrap();
    installation
}

fn record(id: u32) -> String {
    let record = json!({
        "id": format!("{id:032}"),
        "action": { "time": "2026-09-14T08:22:31Z", "type": "create", "result": "success" },
        "actor": { "email": "anna.ops@example.com", "type": "user" },
    });
    format!("{record}\n")
}

fn append(installation: &Installation, name: &str, lines: &str) {
    let path = installation.path(&format!("logs/{name}"));
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all(lines.as_bytes()).unwrap();
}

fn ids(installation: &Installation) -> Vec<u32> {
    let id = |event: &Json| event["metadata"]["uid"].as_str().unwrap().parse().unwrap();
    events(&installation.path("out/archive.ndjson")).iter().map(id).collect()
}

#[tokio::test]
async fn the_example_reads_its_archive_once() {
    let installation = Installation::of_example("replay");
    let first = installation.read_all().await.stderr;
    let delivered: usize = std::fs::read_dir(installation.path("events/cloudflare-archive"))
        .unwrap()
        .map(|file| events(&file.unwrap().path()).len())
        .sum();
    assert!(first.contains(&format!("read {delivered}, delivered {delivered} to siem")) && delivered > 2, "{first}");
    let second = installation.read_all().await.stderr;
    assert!(second.contains("read 0, delivered 0 to siem"), "{second}");
}

#[tokio::test]
async fn a_log_is_followed_through_rotation_and_restarts() {
    let installation = install("path = \"../logs/audit.log*\"\nconnector = \"cloudflare\"\npoll = \"100ms\"");
    append(&installation, "audit.log", &(record(1) + &record(2)));
    let mut running = installation.start();
    running.until("reads what is there", |_| ids(&installation) == [1, 2]).await;
    append(&installation, "audit.log", &record(3));
    running.until("reads what is added", |_| ids(&installation).len() == 3).await;
    append(&installation, "audit.log", &record(4));
    std::fs::rename(installation.path("logs/audit.log"), installation.path("logs/audit.log.1")).unwrap();
    append(&installation, "audit.log", &record(5));
    running.until("follows the rotation", |_| ids(&installation).len() == 5).await;
    running.kill().await;

    append(&installation, "audit.log", &(record(6) + "no record\n"));
    installation.read_all().await;
    let mut arrived = ids(&installation);
    arrived.sort_unstable();
    assert_eq!(arrived, [1, 2, 3, 4, 5, 6]);
    let letters = installation.dead_letters("archive").await;
    assert_eq!(letters.len(), 1);
    assert!(letters[0].reason.contains("audit.log"), "{}", letters[0].reason);
}

#[tokio::test]
async fn beside_a_vendor_only_the_vendor_is_explained() {
    let simulator = simulate(World { records: 50, ..common::world(50) }).await;
    let installation = install("path = \"../logs/*\"\nconnector = \"cloudflare\"\nfollow = false");
    append(&installation, "a.ndjson", &record(1));
    installation.write(&common::Pipeline::of(&simulator, Vendor::Telnyx));
    installation.read_all().await;
    assert_eq!(ids(&installation), [1]);
    let explained = installation.ask(&["explain", "--up-to=-1m"]).await;
    assert_eq!(explained.code, 0, "{}", explained.stdout);
    assert!(explained.stdout.starts_with("telnyx: ") && !explained.stdout.contains("archive"), "{}", explained.stdout);
    let named = installation.ask(&["explain", "archive"]).await;
    assert!(named.code == 2 && named.stderr.starts_with("error: `archive` reads files"), "{}", named.stderr);
}
