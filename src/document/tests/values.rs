//! What decodes without a word.

use std::collections::BTreeMap;

use auditline_sinks::units::{ByteSize, HumanDuration};
use serde::Deserialize;

use super::super::{Context, Document, Node, Problems, Spanned};
use super::read;

#[derive(Debug, Deserialize, PartialEq)]
struct All {
    text: String,
    start: String,
    at: Spanned<String>,
    number: i64,
    port: u16,
    float: f64,
    whole: f64,
    yes: bool,
    none: Option<String>,
    #[serde(default)]
    list: Vec<(u8, String)>,
    wait: HumanDuration,
    size: ByteSize,
    kind: Kind,
    other: Kind,
    map: BTreeMap<Spanned<String>, u8>,
    any: serde_json::Value,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Word,
    Table { a: u8 },
}

const TEXT: &str = r#"text = "a\tb"
start = 2026-01-01T00:00:00Z
at = 2026-01-02
number = -16
port = 65_535
float = 1.5
whole = 2
yes = true
list = [[1, "a"], [2, "b"]]
wait = "1h30m"
size = "64MiB"
kind = "word"
other.table.a = 1
any = { a = [1, 2.5, "x"], b = 2026-01-01 }
[map]
z = 1
b = 2
"#;

#[test]
fn every_type_a_configuration_needs() {
    let (all, said) = read::<All>("a.toml", TEXT);
    assert_eq!(said, "");
    let all = all.unwrap();
    assert_eq!((all.text.as_str(), all.start.as_str()), ("a\tb", "2026-01-01T00:00:00Z"));
    assert_eq!((all.at.as_str(), all.number, all.port), ("2026-01-02", -16, 65_535));
    assert_eq!((all.float, all.whole, all.yes, all.none), (1.5, 2.0, true, None));
    assert_eq!(all.list, [(1, "a".to_owned()), (2, "b".to_owned())]);
    assert_eq!((all.wait.to_string(), all.size.to_string()), ("1h30m".to_owned(), "64MiB".to_owned()));
    assert_eq!((all.kind, all.other), (Kind::Word, Kind::Table { a: 1 }));
    assert_eq!(all.map.get("z"), Some(&1));
    let places: Vec<String> = all.map.keys().map(|key| key.place.to_string()).collect();
    assert_eq!(places, ["a.toml:17:1", "a.toml:16:1"]);
    assert_eq!(all.any, serde_json::json!({"a": [1, 2.5, "x"], "b": "2026-01-01"}));
}

#[test]
fn a_node_shows_what_was_written_in_its_order() {
    let problems = Problems::new();
    let text = "b = 1\na = [true, 1.5]\nd = 2026-01-01\n[c]\nx = \"y\"\n";
    let document = Document::parse("dir/a.toml", text, &problems).unwrap();
    let root = document.root();
    let keys: Vec<&str> = root.as_table().unwrap().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys, ["b", "a", "d", "c"]);
    let get = |key: &str| root.get(key).unwrap();
    assert_eq!((get("b").as_integer(), get("b").as_float()), (Some(1), Some(1.0)));
    let array = get("a").as_array().unwrap();
    assert_eq!((array[0].as_bool(), array[1].as_float()), (Some(true), Some(1.5)));
    assert_eq!(get("d").as_datetime().unwrap().to_string(), "2026-01-01");
    assert_eq!(get("c").get("x").unwrap().as_str(), Some("y"));
    assert_eq!(get("c").head().to_string(), "dir/a.toml:4:1");
    assert_eq!((get("c").kind(), get("a").kind()), ("a table", "an array"));
    assert_eq!(document.file().folder().to_str(), Some("dir"));
    let json = serde_json::json!({"b": 1, "a": [true, 1.5], "d": "2026-01-01", "c": {"x": "y"}});
    assert_eq!(root.to_json(), json);
}

#[test]
fn a_node_is_decoded_when_its_type_is_known() {
    let problems = Problems::new();
    let context = Context::new(&problems);
    let document = Document::parse("a.toml", "x = { y = [1, \"a\"] }\n", &problems).unwrap();
    let nodes: BTreeMap<String, Node> = document.decode(&context).unwrap();
    let x: BTreeMap<String, (u8, String)> = nodes["x"].decode(&context).unwrap();
    assert_eq!(x["y"], (1, "a".to_owned()));
    assert!(problems.is_empty());
    assert_eq!(nodes["x"].decode::<BTreeMap<String, u8>>(&context), None);
    assert!(
        problems
            .to_string()
            .starts_with("error: expected a whole number from 0 to 255, found an array\n --> a.toml:1:11\n")
    );
}

#[test]
fn a_file_is_read_from_disk_or_reported() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.toml");
    let problems = Problems::new();
    assert!(Document::read(&path, &problems).is_none());
    let said = problems.to_string();
    assert!(said.contains("cannot read") && said.contains("a.toml`: No such file"), "{said}");
    std::fs::write(&path, "a = 1\n").unwrap();
    let document = Document::read(&path, &problems).unwrap();
    assert_eq!(document.file().folder(), folder.path());
}

#[test]
fn places_are_read_from_documents_only() {
    assert!(serde_json::from_str::<Spanned<u8>>("1").is_err());
    assert!(serde_json::from_str::<Node>("1").is_err());
}
