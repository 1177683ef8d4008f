//! Records that stand where the connector looks for them.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Map, Value as Json};

use crate::connector::model::{Decode, Order, WindowRules};
use crate::event::Path;

/// One entry of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Entry {
    /// When it happened.
    pub time: DateTime<Utc>,
    /// Which one it is.
    pub number: u64,
    /// What stands in its place is no record.
    pub broken: bool,
}

/// The member in which every record says which one it is, whatever its id.
pub const MARK: &str = "conformance";

/// Into the vendor's order. Among those of one instant it is the one they were numbered in.
pub fn sort(entries: &mut [Entry], order: Order) {
    entries.sort();
    if order == Order::NewestFirst {
        entries.reverse();
    }
}

/// The finest difference in time that a bound of this connector's windows can show, but no more than a second.
#[must_use]
pub fn tick(window: &WindowRules) -> TimeDelta {
    let written = |time: DateTime<Utc>| time.format(&window.time_format.value).to_string();
    let milli = TimeDelta::milliseconds(1);
    if written(DateTime::UNIX_EPOCH) == written(DateTime::UNIX_EPOCH + milli) { TimeDelta::seconds(1) } else { milli }
}

/// The id that a record has, where records have one.
#[must_use]
pub fn id_of(entry: &Entry, decode: &Decode) -> Option<String> {
    // As long as each other, so that their order is the same as numbers and as texts.
    decode.id.first().map(|_| (7_000_000 + entry.number).to_string())
}

/// The record of an entry.
pub fn json(entry: &Entry, decode: &Decode) -> Json {
    if entry.broken {
        return Json::String(format!("{} is no record", entry.number));
    }
    let mut record = Json::Object(Map::new());
    if let (Some(path), Some(id)) = (decode.id.first(), id_of(entry, decode)) {
        let is_number = decode.numbers.iter().any(|name| path.parts() == [name.clone()]);
        put(&mut record, path, id.parse::<u64>().ok().filter(|_| is_number).map_or(Json::String(id), Json::from));
    }
    if let Some(path) = decode.time.first() {
        put(&mut record, path, entry.time.to_rfc3339_opts(SecondsFormat::AutoSi, true).into());
    }
    record[MARK] = entry.number.to_string().into();
    record
}

/// The records of a file: CSV with a header line.
pub fn csv(entries: &[Entry], decode: &Decode) -> Vec<u8> {
    let cell = |value: &Json| match value {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    };
    // An empty file has a header line, too.
    let columns: Vec<String> = match json(&Entry { time: DateTime::UNIX_EPOCH, number: 0, broken: false }, decode) {
        Json::Object(members) => members.keys().cloned().collect(),
        _ => Vec::new(),
    };
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(&columns).expect("memory takes everything");
    for entry in entries {
        let record = json(entry, decode);
        writer.write_record(columns.iter().map(|column| cell(&record[column]))).expect("memory takes everything");
    }
    writer.into_inner().expect("memory takes everything")
}

/// Puts a value where `path` leads, making what lies on the way: lists where a part is a number.
pub fn put(root: &mut Json, path: &Path, value: Json) {
    let mut place = root;
    for part in path.parts() {
        place = match part.parse::<usize>() {
            Ok(index) => {
                if !place.is_array() {
                    *place = Json::Array(Vec::new());
                }
                let items = place.as_array_mut().expect("it was just made one");
                if items.len() <= index {
                    items.resize(index + 1, Json::Null);
                }
                &mut items[index]
            }
            Err(_) => {
                if !place.is_object() {
                    *place = Json::Object(Map::new());
                }
                &mut place[part.as_str()]
            }
        };
    }
    *place = value;
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_put_is_found_where_the_path_leads() {
        let mut root = json!({});
        for (path, value) in [("a.b", json!(1)), ("a.list.1.c", json!("x")), ("\"d.e\"", json!(true))] {
            put(&mut root, &path.parse().unwrap(), value);
        }
        assert_eq!(root, json!({"a": {"b": 1, "list": [null, {"c": "x"}]}, "d.e": true}));
    }
}
