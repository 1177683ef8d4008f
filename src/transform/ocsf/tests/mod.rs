//! Maps as a whole: what they say, what loading refuses, what becomes of records.

mod each;
mod language;
mod misfits;
mod mistakes;
mod observables;

use super::{Identity, Map, validate};
use crate::document::{Document, Problems};
use crate::event::{Arena, Event, json};

/// A map that says as little as a map can.
pub const TINY: &str = r#"
[ocsf]
product = "Example"
class = "entity_management"
activity = "Update"
severity = "Informational"
[ocsf.map]
entity.uid = { from = "zone", otherwise = "unknown" }
"#;

/// What a map is told of a connector.
pub fn identity(vendor: &str, connector: &str, id: &[&str], time: &[&str]) -> Identity {
    let paths = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
    Identity { vendor: vendor.to_owned(), connector: connector.to_owned(), id: paths(id), time: paths(time) }
}

fn try_load(text: &str, identity: &Identity) -> Result<Map, String> {
    let problems = Problems::new();
    let document = Document::parse("map.toml", text, &problems).unwrap_or_else(|| panic!("{problems}"));
    let map = Map::load(document.root().get("ocsf").unwrap(), identity, &problems);
    assert_eq!(map.is_none(), problems.has_errors(), "{problems}");
    map.ok_or_else(|| problems.to_string())
}

/// The map in `text`, which has no mistakes.
pub fn load(text: &str, identity: &Identity) -> Map {
    try_load(text, identity).unwrap_or_else(|problems| panic!("{problems}"))
}

/// The event of a record, which is checked to be valid.
fn apply(map: &Map, id: &str, time: &str, record: &str) -> serde_json::Value {
    let arena = Arena::new();
    let body = json::decode(record.as_bytes(), &arena).unwrap();
    let event = Event { id, time: time.parse().unwrap(), body };
    let text = json::to_string(&map.apply(&event, &arena).unwrap());
    let event = serde_json::from_str(&text).unwrap();
    assert_eq!(validate::problems(&event), [""; 0], "{event:#}");
    event
}

/// The event that `map`, added to a small map, makes of `record`.
fn event(map: &str, record: serde_json::Value) -> serde_json::Value {
    let head = "[ocsf]\nproduct = \"Example\"\nclass = \"entity_management\"\nseverity = \"Low\"\n";
    let title = if map.contains("[ocsf.map]") { "" } else { "activity = \"Read\"\n[ocsf.map]\n" };
    let mut text = format!("{head}{title}{map}");
    if !map.contains("entity.uid") {
        text = text.replace("[ocsf.map]", "[ocsf.map]\nentity.uid = { value = \"e\" }");
    }
    let map = load(&text, &identity("Example", "example", &["id"], &["at"]));
    apply(&map, "r-1", "2026-09-14T08:22:31Z", &record.to_string())
}
