//! A batch as documents: where each goes, under which id, and the bodies of bulk requests.

use std::ops::Range;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::IgnoredAny;
use sha2::{Digest, Sha256};

use super::Target;
use crate::template::Template;
use crate::{Batch, Record};

/// The longest `_id` there may be, in bytes.
const LONGEST_ID: usize = 512;
/// The longest name of an index, in bytes.
const LONGEST_NAME: usize = 255;

/// What is wrong with the names a template makes, if anything.
pub(super) fn fault(template: &Template) -> Option<String> {
    let name = template.sample();
    let takes = |char: char| char.is_ascii_lowercase() || char.is_ascii_digit() || "-_.".contains(char);
    if let Some(char) = name.chars().find(|char| !takes(*char)) {
        return Some(format!("it holds `{char}`"));
    }
    if name.starts_with(['-', '_', '.']) || name.is_empty() {
        return Some("it begins with no letter or digit".to_owned());
    }
    (name.len() > LONGEST_NAME).then(|| format!("it is longer than {LONGEST_NAME} bytes"))
}

/// A batch's documents.
pub(super) struct Documents<'a> {
    target: &'a Target,
    batch: &'a Batch,
}

impl<'a> Documents<'a> {
    pub fn new(target: &'a Target, batch: &'a Batch) -> Self {
        Self { target, batch }
    }

    pub fn target(&self) -> &Target {
        self.target
    }

    /// The index or the data stream of a record.
    pub fn name(&self, at: usize) -> String {
        self.target.of(self.batch, &self.batch.records[at])
    }

    /// The records that travel together, so that no request has more bytes than this unless a single record has.
    pub fn requests(&self, max_bytes: u64) -> Vec<Range<usize>> {
        let mut requests = Vec::new();
        let (mut start, mut bytes) = (0, 0);
        for (at, record) in self.batch.records.iter().enumerate() {
            // An action has an id of up to 512 bytes, escaped, and a name; its exact length is not worth making it.
            let size = record.json.len() as u64 + record.id.len().min(LONGEST_ID) as u64 + 128;
            if at > start && bytes + size > max_bytes {
                requests.push(start..at);
                (start, bytes) = (at, 0);
            }
            bytes += size;
        }
        requests.push(start..self.batch.records.len());
        requests
    }

    /// A bulk request's body.
    pub fn body(&self, range: Range<usize>) -> Bytes {
        let names_each = self.target.name.literal().is_none();
        let common = (names_each && !self.target.name.varies()).then(|| self.name(range.start));
        let size: usize = self.batch.records[range.clone()].iter().map(|record| record.json.len() + 256).sum();
        let mut body = Vec::with_capacity(size);
        for at in range {
            let record = &self.batch.records[at];
            body.extend_from_slice(b"{\"create\":{\"_id\":");
            put(&mut body, &id(&self.batch.pipeline, &record.id));
            if names_each {
                body.extend_from_slice(b",\"_index\":");
                match &common {
                    Some(name) => put(&mut body, name),
                    None => put(&mut body, &self.name(at)),
                }
            }
            body.extend_from_slice(b"}}\n");
            match self.target.is_stream {
                true => put_stamped(&mut body, record),
                false => body.extend_from_slice(&record.json),
            }
            body.push(b'\n');
        }
        Bytes::from(body)
    }
}

fn put(json: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(json, text).expect("a text can be written to memory");
}

/// The id of a record's document. Two pipelines may read records of the same id, and both are to be there; what reads the
/// same pipeline twice, on another machine or after its state was lost, makes no second document.
///
/// A pipeline is named by a file and holds no slash, so where it ends is never in doubt.
fn id(pipeline: &str, record: &str) -> String {
    let id = format!("{pipeline}/{record}");
    if id.len() <= LONGEST_ID {
        return id;
    }
    Sha256::digest(id.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The record with the `@timestamp` that a data stream asks of each document: its own, or one with its time.
fn put_stamped(body: &mut Vec<u8>, record: &Record) {
    let rest = match record.json.strip_prefix(b"{") {
        Some(rest) if !has_timestamp(&record.json) => rest,
        _ => return body.extend_from_slice(&record.json),
    };
    let time = record.time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true);
    let comma = if rest.trim_ascii_start().starts_with(b"}") { "" } else { "," };
    body.extend_from_slice(format!(r#"{{"@timestamp":"{time}"{comma}"#).as_bytes());
    body.extend_from_slice(rest);
}

fn has_timestamp(json: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Stamped {
        #[serde(rename = "@timestamp")]
        _timestamp: IgnoredAny,
    }
    // Most events hold the word nowhere, and need no reading.
    std::str::from_utf8(json).is_ok_and(|text| text.contains(r#""@timestamp""#))
        && serde_json::from_slice::<Stamped>(json).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::batch_of;

    fn target(name: &str, is_stream: bool) -> Target {
        Target { name: name.parse().unwrap(), is_stream }
    }

    fn body(target: &Target, batch: &Batch) -> String {
        String::from_utf8(Documents::new(target, batch).body(0..batch.records.len()).to_vec()).unwrap()
    }

    #[test]
    fn an_action_stands_before_each_record() {
        let batch = batch_of("corp", 1, [r#"{"n":1}"#, "{}"]);
        assert_eq!(
            body(&target("audit-{vendor}-{date}", false), &batch),
            "{\"create\":{\"_id\":\"corp/corp-1\",\"_index\":\"audit-example-2026-03-14\"}}\n{\"n\":1}\n\
             {\"create\":{\"_id\":\"corp/corp-2\",\"_index\":\"audit-example-2026-03-14\"}}\n{}\n"
        );
        assert!(body(&target("audit", false), &batch).starts_with("{\"create\":{\"_id\":\"corp/corp-1\"}}\n"));
    }

    #[test]
    fn a_data_stream_gets_a_timestamp_where_there_is_none() {
        let own = r#"{"@timestamp":"2020-01-01T00:00:00Z","n":1}"#;
        let deep = r#"{"a":{"@timestamp":1},"b":"\"@timestamp\""}"#;
        let batch = batch_of("corp", 1, ["{}", r#"{"n":1}"#, own, deep]);
        let text = body(&target("logs-audit-default", true), &batch);
        let lines: Vec<&str> = text.lines().skip(1).step_by(2).collect();
        assert_eq!(
            lines,
            [
                r#"{"@timestamp":"2026-03-14T09:26:54.589Z"}"#.to_owned(),
                r#"{"@timestamp":"2026-03-14T09:26:55.589Z","n":1}"#.to_owned(),
                own.to_owned(),
                format!(r#"{{"@timestamp":"2026-03-14T09:26:57.589Z",{}"#, &deep[1..]),
            ]
        );
    }

    #[test]
    fn ids_are_short_and_no_two_are_the_same() {
        assert_eq!(id("corp", ""), "corp/");
        assert_eq!(id("corp", &"x".repeat(507)).len(), 512);
        let long = id("corp", &"x".repeat(508));
        assert_eq!(long.len(), 64);
        assert_ne!(long, id("corp", &"x".repeat(509)));
        assert_ne!(id("corp-a", "b"), id("corp", "a-b"));
        assert_eq!(id("corp", &"ü".repeat(300)).len(), 64);
    }

    #[test]
    fn requests_are_cut_by_size_and_lose_nothing() {
        let mut batch = batch_of("p", 1, ["{}"; 10]);
        batch.records[4].json = Bytes::from("x".repeat(5000));
        let target = target("audit", false);
        let requests = |max| Documents::new(&target, &batch).requests(max);
        assert_eq!(requests(1024), [0..4, 4..5, 5..10]);
        assert_eq!(requests(1_000_000), vec![0..10; 1]);
        let ones: Vec<Range<usize>> = (0..10).map(|at| at..at + 1).collect();
        assert_eq!(requests(1), ones);
    }

    #[test]
    fn names_that_no_index_may_have_are_refused() {
        let fault = |text: &str| fault(&text.parse().unwrap());
        for name in ["audit-{vendor}", "{vendor}", "logs-auditline.{vendor}-default", "a-{date}-{hour}", "{pipeline}"] {
            assert_eq!(fault(name), None, "{name}");
        }
        for name in ["Audit", "-a", "_a", ".a", "a b", "a/b", "a*", "", "a{{b", "a:b", &"x".repeat(256)] {
            assert!(fault(name).is_some(), "{name}");
        }
    }
}
