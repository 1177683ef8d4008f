//! No address leaves the process unredacted: marked ones are planted in every field of every vendor's records, and then
//! looked for in everything that was written anywhere.
//!
//! Each marked address is one of its kind, in one of the forms that addresses are written in. They are looked for in
//! clear, percent-encoded and in Base64, in the journal, the delivered files, the dead letters and all that was printed,
//! with the log at its most talkative.

mod common;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Output, Stdio};

use auditline::connector::Connector;
use auditline::event::{Arena, json};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::{FILES, Installation};
use serde_json::{Map, Value as Json};
use tokio::process::Command;

/// What every marked e-mail address has in it, and nothing else.
const EMAIL: &str = "zqcanary";
/// `198.18.0.0/15`, in which every marked IPv4 address is (RFC 2544).
const V4: [&str; 2] = ["198.18.", "198.19."];
/// What every marked IPv6 address begins with.
const V6: &str = "2001:db8:ca9a";

const VENDORS: [&str; 8] = ["ashby", "auth0", "cloudflare", "github", "nirvana", "okta", "telnyx", "voximplant"];

const REDACTIONS: [(&str, &str); 3] = [
    ("masked", "emails = \"mask\", ips = \"mask\""),
    ("hidden", "emails = \"pseudonym\", ips = \"encrypt\", key = \"0123456789abcdef0123456789abcdef\""),
    ("sealed", "emails = \"encrypt\", ips = \"pseudonym\", key = \"0123456789abcdef0123456789abcdef\""),
];

/// Makes addresses of which there is only one each.
#[derive(Default)]
struct Marks {
    made: usize,
}

impl Marks {
    fn next(&mut self) -> String {
        let n = self.made;
        self.made += 1;
        let (high, low) = (n / 250 % 250, n % 250 + 1);
        let (v4, v6) = (format!("198.{}.{high}.{low}", 18 + n % 2), format!("{V6}::{n:x}"));
        match n % 17 {
            0 => format!("{EMAIL}{n}@example.com"),
            1 => format!("<{EMAIL}{n}+tag@mail.example.com>"),
            2 => format!("https://x.example/?u={EMAIL}{n}%40example.com&v=1"),
            3 => format!("{{\"to\":\"{EMAIL}{n}@example.com\"}}"),
            4 => format!("{{\\\"to\\\":\\\"{EMAIL}{n}\\u0040example.com\\\"}}"),
            5 => format!("mailto:{}{n}@bücher.example", EMAIL.to_uppercase()),
            6 => format!("\"{EMAIL} {n}\"@example.com"),
            7 => v4,
            8 => format!("{v4}:443"),
            9 => format!("http://{v4}/x"),
            10 => format!("{}.{}.{}.198.in-addr.arpa", low, high, 18 + n % 2),
            11 => format!("::ffff:{v4}"),
            12 => v6,
            13 => format!("[{v6}]:443"),
            14 => v6.to_uppercase(),
            15 => format!("2001:0db8:ca9a:0000:0000:0000:0000:{n:04x}"),
            _ => v6.replace(':', "%3A"),
        }
    }
}

/// The record with a mark in every text and as a key of every object. What `spares` names is left as it is.
fn planted(value: &Json, marks: &mut Marks, spares: &dyn Fn(&str) -> bool) -> Json {
    match value {
        Json::String(text) => Json::String(format!("{} {text}", marks.next())),
        Json::Array(items) => items.iter().map(|item| planted(item, marks, spares)).collect(),
        Json::Object(members) => {
            let mut all = Map::new();
            for (key, value) in members {
                let value = if spares(key) { value.clone() } else { planted(value, marks, spares) };
                all.insert(key.clone(), value);
            }
            all.insert(marks.next(), Json::String(marks.next()));
            Json::Object(all)
        }
        other => other.clone(),
    }
}

/// The records in a vendor's examples, of those that are a page.
fn example_records(vendor: &str) -> Vec<Json> {
    let connector = Connector::embedded(vendor).expect("an embedded connector");
    let mut all = Vec::new();
    for example in &connector.definition.example {
        let arena = Arena::new();
        let Ok(answer) = json::decode(example.answer.as_bytes(), &arena) else { continue };
        let records = match &connector.definition.decode.records {
            Some(path) => path.find(answer),
            None => Some(answer),
        };
        for record in records.and_then(|records| records.as_array()).unwrap_or_default() {
            all.push(serde_json::from_str(&json::to_string(record)).expect("it was JSON"));
        }
    }
    assert!(!all.is_empty(), "{vendor} has no example that is a page");
    all
}

/// The example records of a vendor, as lines of a file: planted in so that they can be read, planted in wholly, and with
/// what is no record at all.
fn archive(vendor: &str, marks: &mut Marks) -> String {
    let is_time = |key: &str| {
        ["time", "created", "date", "published", "stamp", "_at", "when"].iter().any(|word| key.contains(word))
    };
    let mut lines = Vec::new();
    for record in example_records(vendor) {
        lines.push(planted(&record, marks, &is_time).to_string());
        lines.push(planted(&record, marks, &|_| false).to_string());
    }
    lines.push(format!("half a record by {}", marks.next()));
    lines.push(format!("{{\"a\":\"{EMAIL}-half@example.com\""));
    lines.push(format!("[\"{EMAIL}-list@example.com\"]"));
    lines.join("\n") + "\n"
}

/// Where in `bytes` one of the marks is to be seen, in clear or as other programs would write it.
fn seen(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes).to_lowercase();
    let decoded = percent_decoded(&text);
    let mut marks: Vec<String> = vec![EMAIL.to_owned(), V6.to_owned(), "2001:0db8:ca9a".to_owned()];
    marks.extend(V4.map(str::to_owned));
    for mark in &marks {
        for text in [&text, &decoded] {
            if let Some(at) = text.find(mark.as_str()) {
                // A number like 1198.18 is none.
                let before = text[..at].chars().next_back();
                if before.is_some_and(|char| char.is_ascii_hexdigit()) && mark != EMAIL {
                    continue;
                }
                let from =
                    text.char_indices().map(|(at, _)| at).take_while(|start| *start + 60 < at).last().unwrap_or(0);
                return Some(text[from..].chars().take(160).collect());
            }
        }
    }
    // Whatever stood before it, in three of four letters of Base64 the same.
    let bytes = String::from_utf8_lossy(bytes);
    [EMAIL, "198.18.", "198.19.", V6].into_iter().find_map(|mark| {
        let forms = (0..3).map(|shift| {
            let encoded = STANDARD.encode(format!("{}{mark}", "x".repeat(shift)));
            encoded.trim_end_matches('=')[(shift * 8).div_ceil(6)..encoded.len() - 4].to_owned()
        });
        forms.into_iter().find(|form| bytes.contains(form.as_str())).map(|form| format!("{mark} as {form}"))
    })
}

fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes.get(at + 1..at + 3).and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match (bytes[at], hex) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 3;
            }
            (byte, _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// All that was written below a folder, but for what it was given.
fn written(folder: &Path, found: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.ends_with("archive") || path.ends_with("pipelines") {
            continue;
        }
        if path.is_dir() {
            written(&path, found);
        } else if let Ok(bytes) = std::fs::read(&path) {
            found.push((path.display().to_string(), bytes));
        }
    }
}

async fn auditline(installation: &Installation, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_auditline"));
    command
        .args(arguments)
        .arg("--config")
        .arg(installation.path(""))
        .env("AUDITLINE_LOG", "trace")
        .stdin(Stdio::null());
    command.output().await.unwrap()
}

/// Reads every vendor's archive with `redact`, and returns all that was written, the number of events among it.
async fn everything_written(redact: Option<&str>) -> (Vec<(String, Vec<u8>)>, usize) {
    let installation = Installation::new(FILES, &[]);
    std::fs::create_dir(installation.path("archive")).unwrap();
    let mut marks = Marks::default();
    for vendor in VENDORS {
        std::fs::write(installation.path(&format!("archive/{vendor}.ndjson")), archive(vendor, &mut marks)).unwrap();
        for form in ["ocsf", "none"] {
            let redact = redact.map(|redact| format!("[[transform]]\nredact = {{ {redact} }}\n")).unwrap_or_default();
            let pipeline = format!(
                "[source.file]\npath = \"../archive/{vendor}.ndjson\"\nconnector = \"{vendor}\"\nfollow = false\n\n\
                 [[transform]]\nnormalize = \"{form}\"\n\n{redact}\n[to.siem]\nbatch = {{ max_wait = \"50ms\" }}\n"
            );
            std::fs::write(installation.path(&format!("pipelines/{vendor}-{form}.toml")), pipeline).unwrap();
        }
    }
    let mut found = Vec::new();
    for arguments in [&["check"][..], &["run", "--once"], &["explain"], &["state", "show"], &["state", "export"]] {
        let output = auditline(&installation, arguments).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {}", &said[said.len().saturating_sub(3000)..]);
        found.push((format!("{arguments:?}: stdout"), output.stdout));
        found.push((format!("{arguments:?}: stderr"), output.stderr));
    }
    written(&installation.path("."), &mut found);
    let mut events = 0;
    let mut dead = 0;
    for vendor in VENDORS {
        for form in ["ocsf", "none"] {
            let name = format!("{vendor}-{form}");
            events += installation.delivered(&name).len();
            let letters = installation.dead_letters(&name).await;
            dead += letters.len();
            for letter in letters {
                found.push((format!("{name}: dead letter"), letter.body.to_vec()));
                found.push((format!("{name}: reason of a dead letter"), letter.reason.into_bytes()));
            }
        }
    }
    assert!(events > 2 * VENDORS.len() && dead >= 4 * VENDORS.len(), "{events} events and {dead} dead letters");
    assert!(marks.made > 200, "only {} were planted", marks.made);
    (found, marks.made)
}

#[tokio::test]
async fn no_marked_address_is_written_anywhere() {
    for (name, redact) in REDACTIONS {
        let (found, _) = everything_written(Some(redact)).await;
        let places = ["journal.sqlite", ".ndjson", "dead letter", "\"run\", \"--once\"]: stderr"];
        for place in places {
            assert!(found.iter().any(|(name, bytes)| name.contains(place) && !bytes.is_empty()), "nothing in {place}");
        }
        for (place, bytes) in found {
            if let Some(mark) = seen(&bytes) {
                panic!("{name}: {place}: {mark}");
            }
        }
    }
}

// Without redaction the same search finds them in all these places: it can fail.
#[tokio::test]
async fn without_redaction_they_are_found() {
    let (found, _) = everything_written(None).await;
    for place in ["journal.sqlite", ".ndjson", "dead letter"] {
        let is_seen = found.iter().any(|(name, bytes)| name.contains(place) && seen(bytes).is_some());
        assert!(is_seen, "{place} shows nothing");
    }
    for (form, text) in [
        ("clear", "by zqcanary7@example.com".to_owned()),
        ("percent-encoded", "%7Aqcanary7%40example.com".to_owned()),
        ("Base64", STANDARD.encode("by zqcanary7@example.com")),
        ("Base64", STANDARD.encode("198.18.7.7 ab")),
    ] {
        assert!(seen(text.as_bytes()).is_some(), "{form}");
    }
    assert_eq!(seen(b"e1-jrv6evancv3mod5zcaibmzr25q@pseudonym.invalid 3fff:add:1:2fd8:a011:3d14:8898:8065"), None);
}

/// What every text has in it that is marked to be hidden by its field.
const HIDDEN: &str = "zqhidden";

/// Fields that are hidden, in OCSF and in ECS.
const FIELDS: [(&str, &[&str]); 2] = [
    (
        "ocsf",
        &[
            "actor.user.name",
            "actor.user.full_name",
            "actor.user.email_addr",
            "user.name",
            "user.full_name",
            "user.email_addr",
            "src_endpoint.ip",
            "http_request.user_agent",
        ],
    ),
    (
        "ecs",
        &[
            "user.name",
            "user.full_name",
            "user.email",
            "user.target.name",
            "user.target.email",
            "source.ip",
            "user_agent.original",
        ],
    ),
];

/// The ways a value comes in: as the vendor writes it, in forms that no attribute takes, and under a key that is doubled.
const WAYS: [&str; 4] = ["plain", "object", "list", "doubled"];

/// The record with a mark for every name, e-mail address, IP address and user agent, as text and one of its kind each.
fn marked(value: &Json, key: &str, made: &mut usize) -> Json {
    match value {
        Json::String(text) => {
            let is_name = ["name", "agent", "login"].iter().any(|part| key.to_lowercase().contains(part));
            let is_ip = text.parse::<std::net::IpAddr>().is_ok();
            *made += 1;
            let n = *made;
            match () {
                () if is_ip => Json::String(format!("198.18.{}.{}", n / 250, n % 250 + 1)),
                () if text.contains('@') => Json::String(format!("{HIDDEN}{n:05}@example.com")),
                () if is_name => Json::String(format!("{HIDDEN}{n:05} {text}")),
                () => value.clone(),
            }
        }
        Json::Array(items) => items.iter().map(|item| marked(item, key, made)).collect(),
        Json::Object(members) => members.iter().map(|(key, value)| (key.clone(), marked(value, key, made))).collect(),
        other => other.clone(),
    }
}

/// The mark in a text.
fn mark_of(text: &str) -> Option<&str> {
    let end = |from: &str| from.find(['@', ' ']).unwrap_or(from.len());
    (text.starts_with(HIDDEN) || text.starts_with("198.18.")).then(|| &text[..end(text)])
}

/// A marked record as JSON, its marks written in that way.
fn written_as(way: &str, value: &Json) -> String {
    match value {
        Json::String(text) if mark_of(text).is_some() => match way {
            "object" => format!("{{\"raw\":{value}}}"),
            "list" => format!("[[{value}]]"),
            _ => value.to_string(),
        },
        Json::Array(items) => {
            let items: Vec<String> = items.iter().map(|item| written_as(way, item)).collect();
            format!("[{}]", items.join(","))
        }
        Json::Object(members) => {
            let member = |(key, value): (&String, &Json)| {
                let name = Json::String(key.clone());
                let is_marked = value.as_str().is_some_and(|text| mark_of(text).is_some());
                let again = if way == "doubled" && is_marked { format!(",{name}:\"another\"") } else { String::new() };
                format!("{name}:{}{again}", written_as(way, value))
            };
            let members: Vec<String> = members.iter().map(member).collect();
            format!("{{{}}}", members.join(","))
        }
        other => other.to_string(),
    }
}

/// The vendors' example records, marked.
fn marked_records(vendor: &str, made: &mut usize) -> Vec<Json> {
    example_records(vendor).iter().map(|record| marked(record, "", made)).collect()
}

/// Reads marked records in these ways, enriched, and the fields hidden with that action; without one, nothing is hidden.
async fn read_marked(ways: &[&str], action: Option<&str>, marks: &str) -> (Installation, Vec<(String, Vec<u8>)>) {
    let installation = Installation::new(FILES, &[]);
    std::fs::create_dir(installation.path("archive")).unwrap();
    std::fs::write(installation.path("archive/table.csv"), format!("mark,again,team\n{marks}")).unwrap();
    std::fs::write(installation.path("archive/bad.txt"), format!("example.com\n198.18.0.7\n198.18.0.0/17\n{marks}"))
        .unwrap();
    let mut made = 0;
    for vendor in VENDORS {
        let records = marked_records(vendor, &mut made);
        for way in ways {
            let lines: Vec<String> = records.iter().map(|record| written_as(way, record)).collect();
            std::fs::write(installation.path(&format!("archive/{vendor}-{way}.ndjson")), lines.join("\n") + "\n")
                .unwrap();
            for (form, fields) in FIELDS {
                let names: Vec<String> = fields.iter().map(|path| format!("\"{path}\"")).collect();
                let hides = action.map(|action| {
                    let fields: Vec<String> = names.iter().map(|name| format!("{name} = \"{action}\"")).collect();
                    let key = "key = \"0123456789abcdef0123456789abcdef\"";
                    format!("[[transform]]\nredact = {{ fields = {{ {} }}, {key} }}\n", fields.join(", "))
                });
                let pipeline = format!(
                    "[source.file]\npath = \"../archive/{vendor}-{way}.ndjson\"\nconnector = \"{vendor}\"\nfollow = false\n\n\
                     [[transform]]\nnormalize = {{ form = \"{form}\", raw_data = true }}\n\n\
                     [[transform]]\n[transform.enrich]\nuser_agent = true\n\
                     lookup = [{{ file = \"../archive/table.csv\", by = \"mark\", from = [{}], take = [\"again\", \"team\"] }}]\n\
                     threat_intel = [{{ file = \"../archive/bad.txt\", name = \"feed\" }}]\n\n\
                     {}\n[to.siem]\nbatch = {{ max_wait = \"50ms\" }}\n",
                    names.join(", "),
                    hides.unwrap_or_default()
                );
                std::fs::write(installation.path(&format!("pipelines/{vendor}-{form}-{way}.toml")), pipeline).unwrap();
            }
        }
    }
    let mut found = Vec::new();
    let output = auditline(&installation, &["run", "--once"]).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}", &said[said.len().saturating_sub(3000)..]);
    found.push(("stdout".to_owned(), output.stdout));
    found.push(("stderr".to_owned(), output.stderr));
    written(&installation.path("."), &mut found);
    (installation, found)
}

/// What the fields of a form hold, of marks, in the events of a vendor.
fn held(installation: &Installation, vendor: &str, form: &str, fields: &[&str]) -> BTreeSet<String> {
    let events = installation.delivered(&format!("{vendor}-{form}-plain"));
    let at = |event: &Json, path: &str| event.pointer(&format!("/{}", path.replace('.', "/"))).cloned();
    let texts = events.iter().flat_map(|event| fields.iter().filter_map(move |path| at(event, path)));
    texts.filter_map(|text| mark_of(text.as_str()?).map(str::to_owned)).collect()
}

/// Whether a mark stands in a text, and not only a longer one that begins like it.
fn has_mark(text: &str, mark: &str) -> bool {
    text.match_indices(mark).any(|(at, _)| !text[at + mark.len()..].starts_with(|next: char| next.is_ascii_digit()))
}

// What `fields` hid stood in clear among what enriching had found out, and below `unmapped` where the vendor had changed a form.
#[tokio::test]
async fn what_a_field_hides_is_written_nowhere() {
    let (installation, found) = read_marked(&["plain"], None, "").await;
    let mut hidden: Vec<(String, BTreeSet<String>)> = Vec::new();
    for vendor in VENDORS {
        for (form, fields) in FIELDS {
            let marks = held(&installation, vendor, form, fields);
            for mark in &marks {
                let is_seen = |(_, bytes): &(String, Vec<u8>)| has_mark(&String::from_utf8_lossy(bytes), mark);
                assert!(found.iter().any(is_seen), "{mark}: the search finds nothing");
            }
            hidden.push((format!("{vendor}-{form}-"), marks));
        }
    }
    let all: BTreeSet<&String> = hidden.iter().flat_map(|(_, marks)| marks).collect();
    assert!(all.len() > 3 * VENDORS.len(), "only {} marks are hidden", all.len());
    let rows: String = all.iter().map(|mark| format!("{mark},{mark},blue\n")).collect();
    for action in ["remove", "pseudonym"] {
        let (installation, found) = read_marked(&WAYS, Some(action), &rows).await;
        for (pipeline, marks) in &hidden {
            for way in WAYS {
                let events = installation.delivered(&format!("{pipeline}{way}"));
                assert!(!events.is_empty() || way != "plain", "{pipeline}{way} delivered nothing");
                for event in events {
                    let text = event.to_string();
                    let mark = marks.iter().find(|mark| has_mark(&text, mark));
                    assert!(mark.is_none(), "{action}: {pipeline}{way}: {mark:?} is in {event:#}");
                }
            }
        }
        // What both forms hide is in no file at all.
        for (vendor, [ocsf, ecs]) in VENDORS.iter().zip(hidden.as_chunks::<2>().0) {
            for mark in ocsf.1.intersection(&ecs.1) {
                let place = found.iter().find(|(_, bytes)| has_mark(&String::from_utf8_lossy(bytes), mark));
                assert!(place.is_none(), "{action}: {mark} of {vendor} is in {}", place.expect("a place").0);
            }
        }
    }
}
