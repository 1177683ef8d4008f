//! A batch as events: each record within its envelope, one behind the other.

use std::ops::Range;

use bytes::Bytes;
use chrono::{DateTime, Utc};

use super::Config;
use crate::template::{Place, Template};
use crate::{Batch, Record};

/// Whether the names a template makes may be those of indexes: lower case letters, digits, `-` and `_`, the last two not
/// at the beginning.
pub(super) fn is_index(template: &Template) -> bool {
    let name = template.sample();
    let takes = |char: char| char.is_ascii_lowercase() || char.is_ascii_digit() || "-_".contains(char);
    !name.is_empty() && !name.starts_with(['-', '_']) && name.chars().all(takes)
}

/// A batch's events.
pub(super) struct Events<'a> {
    config: &'a Config,
    batch: &'a Batch,
    /// Members of the envelope that are the same around each of them, each with a comma behind it; and those that are not.
    common: Vec<u8>,
    varying: Vec<(&'static str, &'a Template)>,
}

impl<'a> Events<'a> {
    pub fn new(config: &'a Config, batch: &'a Batch) -> Self {
        let Config { index, host, source, sourcetype, .. } = config;
        let members = [("host", host.as_ref()), ("source", Some(source)), ("sourcetype", Some(sourcetype))];
        let members = members.into_iter().chain([("index", index.as_ref())]);
        let mut common = Vec::new();
        let mut varying = Vec::new();
        for (name, template) in members.filter_map(|(name, template)| Some((name, template?))) {
            match batch.records.first() {
                Some(first) if !template.varies() => put(&mut common, name, &rendered(name, template, batch, first)),
                _ => varying.push((name, template)),
            }
        }
        Self { config, batch, common, varying }
    }

    /// The records that travel together, so that no request has more bytes than this unless a single event has.
    pub fn requests(&self, max_bytes: u64) -> Vec<Range<usize>> {
        let around = self.common.len() as u64 + 64;
        let mut requests = Vec::new();
        let (mut start, mut bytes) = (0, 0);
        for (at, record) in self.batch.records.iter().enumerate() {
            let size = record.json.len() as u64 + record.id.len() as u64 + around;
            if at > start && bytes + size > max_bytes {
                requests.push(start..at);
                (start, bytes) = (at, 0);
            }
            bytes += size;
        }
        if start < self.batch.records.len() {
            requests.push(start..self.batch.records.len());
        }
        requests
    }

    /// A request in parts, each of events that follow one another into the same index.
    pub fn by_index(&self, range: Range<usize>) -> Vec<Range<usize>> {
        let Some((name, template)) = self.varying.iter().find(|(name, _)| *name == "index") else {
            return vec![range];
        };
        let index = |at: usize| rendered(name, template, self.batch, &self.batch.records[at]);
        let mut parts: Vec<Range<usize>> = Vec::new();
        let mut last = None;
        for at in range {
            let index = Some(index(at));
            match parts.last_mut() {
                Some(part) if index == last => part.end = at + 1,
                _ => parts.push(at..at + 1),
            }
            last = index;
        }
        parts
    }

    /// A request's body.
    pub fn body(&self, range: Range<usize>) -> Bytes {
        let size: usize = self.batch.records[range.clone()].iter().map(|record| record.json.len() + 256).sum();
        let mut body = Vec::with_capacity(size);
        for record in &self.batch.records[range] {
            body.extend_from_slice(format!(r#"{{"time":{},"#, seconds(record.time)).as_bytes());
            body.extend_from_slice(&self.common);
            for (name, template) in &self.varying {
                put(&mut body, name, &rendered(name, template, self.batch, record));
            }
            self.put_fields(&mut body, record);
            body.extend_from_slice(b"\"event\":");
            body.extend_from_slice(&record.json);
            body.extend_from_slice(b"}\n");
        }
        Bytes::from(body)
    }

    fn put_fields(&self, body: &mut Vec<u8>, record: &Record) {
        let start = body.len();
        body.extend_from_slice(b"\"fields\":{");
        let empty = body.len();
        for (name, template) in &self.config.fields {
            let value = template.0.render(self.batch, record, Place::Text);
            // Splunk has no indexed field without a value.
            if !value.is_empty() {
                put(body, name, &value);
            }
        }
        if body.len() == empty {
            return body.truncate(start);
        }
        body.pop();
        body.extend_from_slice(b"},");
    }
}

/// A member and the comma behind it.
fn put(json: &mut Vec<u8>, name: &str, value: &str) {
    for (text, end) in [(name, b':'), (value, b',')] {
        serde_json::to_writer(&mut *json, text).expect("a text can be written to memory");
        json.push(end);
    }
}

fn rendered(name: &str, template: &Template, batch: &Batch, record: &Record) -> String {
    match name {
        "index" => {
            let name = template.render(batch, record, Place::Topic).to_ascii_lowercase().replace('.', "_");
            // A value of the event must not lead to Splunk's own indexes.
            if name.starts_with(['_', '-']) { format!("x{name}") } else { name }
        }
        _ => template.render(batch, record, Place::Text),
    }
}

/// Seconds since 1970 with as many decimals as there are to tell, three at least: `1773480413.589`.
fn seconds(time: DateTime<Utc>) -> String {
    let nanos = i128::from(time.timestamp()) * 1_000_000_000 + i128::from(time.timestamp_subsec_nanos());
    let sign = if nanos < 0 { "-" } else { "" };
    let (whole, part) = (nanos.unsigned_abs() / 1_000_000_000, nanos.unsigned_abs() % 1_000_000_000);
    match part % 1_000_000 {
        0 => format!("{sign}{whole}.{:03}", part / 1_000_000),
        _ => format!("{sign}{whole}.{part:09}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    use crate::contract::batch_of;

    fn config(more: Value) -> Config {
        let mut config = serde_json::json!({ "url": "https://splunk.example.com:8088", "token": "t" });
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(config).unwrap()
    }

    fn body(config: &Config, batch: &Batch) -> String {
        String::from_utf8(Events::new(config, batch).body(0..batch.records.len()).to_vec()).unwrap()
    }

    #[test]
    fn an_envelope_says_when_where_from_and_which() {
        let batch = batch_of("corp", 1, [r#"{"n":1e400}"#, "{}"]);
        assert_eq!(
            body(&config(serde_json::json!({})), &batch),
            "{\"time\":1773480414.589,\"source\":\"auditline:corp\",\"sourcetype\":\"auditline:example\",\
             \"fields\":{\"auditline_id\":\"corp-1\"},\"event\":{\"n\":1e400}}\n\
             {\"time\":1773480415.589,\"source\":\"auditline:corp\",\"sourcetype\":\"auditline:example\",\
             \"fields\":{\"auditline_id\":\"corp-2\"},\"event\":{}}\n"
        );
        let all = config(serde_json::json!({
            "index": "audit_{vendor}", "host": "{vendor}-{date}", "source": "s", "sourcetype": "_json", "fields": {},
        }));
        assert!(body(&all, &batch).starts_with(
            "{\"time\":1773480414.589,\"source\":\"s\",\"sourcetype\":\"_json\",\"index\":\"audit_example\",\
             \"host\":\"example-2026-03-14\",\"event\":{\"n\":1e400}}\n"
        ));
    }

    #[test]
    fn names_that_no_index_may_have_are_refused() {
        let is_index = |text: &str| is_index(&text.parse().unwrap());
        assert!(["main", "audit_{vendor}", "{vendor}-{date}", "{.kind}"].into_iter().all(is_index));
        assert!(!["Audit", "a.b", "a b", "-a", "_audit", "_{vendor}", "", "a/b"].into_iter().any(is_index));
    }

    #[test]
    fn times_keep_their_digits() {
        let time = |text: &str| seconds(text.parse().unwrap());
        assert_eq!(time("2026-03-14T09:26:53.589Z"), "1773480413.589");
        assert_eq!(time("2026-03-14T09:26:53Z"), "1773480413.000");
        assert_eq!(time("2026-03-14T09:26:53.000000001Z"), "1773480413.000000001");
        assert_eq!(time("1969-12-31T23:59:58.5Z"), "-1.500");
    }

    #[test]
    fn requests_are_cut_by_size() {
        let mut batch = batch_of("p", 1, ["{}"; 10]);
        batch.records[4].json = Bytes::from("x".repeat(5000));
        let config = config(serde_json::json!({}));
        let events = Events::new(&config, &batch);
        assert_eq!(events.requests(600), [0..4, 4..5, 5..9, 9..10]);
    }
}
