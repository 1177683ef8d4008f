//! Records that stand where the connector looks for them.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Map, Value as Json};

use crate::connector::Template;
use crate::connector::model::{Decode, Definition, Order, Paginate, Read, WindowRules};
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

/// By what the vendor's requests know an entry.
pub fn name_of(entry: &Entry) -> String {
    // As long as each other, so that their order is the same as numbers and as texts.
    (7_000_000 + entry.number).to_string()
}

/// The id that a record has, where records have one.
#[must_use]
pub fn id_of(entry: &Entry, decode: &Decode) -> Option<String> {
    decode.id.first().map(|_| name_of(entry))
}

/// Where what stands in a record.
#[derive(Clone, Debug)]
pub struct Shape {
    decode: Decode,
    /// Where a request looks for what it names the record by.
    names: Vec<Path>,
    /// Where a request looks for its time.
    times: Vec<Path>,
}

/// What a variable of a listed record begins with.
pub const LISTED: &str = "record.";

impl Shape {
    pub fn of(definition: &Definition, read: &Read) -> Self {
        let decode = definition.decode.clone();
        let mut names: Vec<Path> = decode.id.first().cloned().into_iter().collect();
        let mut times: Vec<Path> = decode.time.first().cloned().into_iter().collect();
        if let Some(Paginate::Keyset { id, time }) = &read.paginate {
            names.push(id.clone());
            times.extend(time.clone());
        }
        if let Some(detail) = &read.detail {
            let listed = detail.request.templates().into_iter().flat_map(|(template, _)| listed_paths(template));
            let is_time = |path: &Path| times.contains(path);
            names.extend(listed.filter(|path| !is_time(path)).collect::<Vec<_>>());
        }
        Self { decode, names, times }
    }

    /// The record of an entry.
    pub fn record(&self, entry: &Entry) -> Json {
        if entry.broken {
            return Json::String(format!("{} is no record", entry.number));
        }
        let mut record = self.summary(entry);
        record[MARK] = entry.number.to_string().into();
        record
    }

    /// What stands in a list from which each record is fetched by itself.
    pub fn summary(&self, entry: &Entry) -> Json {
        if entry.broken {
            return self.record(entry);
        }
        let mut record = Json::Object(Map::new());
        for path in &self.times {
            put(&mut record, path, entry.time.to_rfc3339_opts(SecondsFormat::AutoSi, true).into());
        }
        for path in &self.names {
            let is_number = self.decode.numbers.iter().any(|name| path.parts() == [name.clone()]);
            let name = name_of(entry);
            put(
                &mut record,
                path,
                name.parse::<u64>().ok().filter(|_| is_number).map_or(Json::String(name), Json::from),
            );
        }
        record
    }

    /// The records of a file: CSV with a header line.
    pub fn csv(&self, entries: &[Entry]) -> Vec<u8> {
        let cell = |value: &Json| match value {
            Json::String(text) => text.clone(),
            other => other.to_string(),
        };
        // An empty file has a header line, too.
        let columns: Vec<String> = match self.record(&Entry { time: DateTime::UNIX_EPOCH, number: 0, broken: false }) {
            Json::Object(members) => members.keys().cloned().collect(),
            _ => Vec::new(),
        };
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(&columns).expect("memory takes everything");
        for entry in entries {
            let mut record = self.record(&Entry { broken: false, ..*entry });
            if let Some(path) = self.times.first().filter(|_| entry.broken) {
                // Every line of a file is a record: what can be wrong with one is its time.
                put(&mut record, path, format!("some day, {}", entry.number).into());
            }
            writer.write_record(columns.iter().map(|column| cell(&record[column]))).expect("memory takes everything");
        }
        writer.into_inner().expect("memory takes everything")
    }

    /// The records of a page, one a line.
    pub fn lines(&self, entries: &[Entry], write: impl Fn(&Entry) -> Json) -> String {
        let line = |entry: &Entry| match entry.broken {
            true => format!("{{\"broken\": number {}}}\n", entry.number),
            false => format!("{}\n", write(entry)),
        };
        entries.iter().map(line).collect()
    }
}

/// The paths that a template takes of a listed record.
fn listed_paths(template: &Template) -> Vec<Path> {
    let found = std::cell::RefCell::new(Vec::new());
    template.fill_text(&|name| {
        found.borrow_mut().extend(name.strip_prefix(LISTED).and_then(|path| path.parse().ok()));
        Some(Json::Null)
    });
    found.into_inner()
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

/// A list, where a path leads or as the answer itself, and what else stands beside it.
pub fn around(path: Option<&Path>, list: Vec<Json>, beside: &[(Path, Json)]) -> Json {
    let Some(path) = path else { return Json::Array(list) };
    let mut root = Json::Object(Map::new());
    put(&mut root, path, Json::Array(list));
    for (path, value) in beside {
        put(&mut root, path, value.clone());
    }
    root
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
