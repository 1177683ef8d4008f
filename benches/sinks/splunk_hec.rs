//! Events for the imitation of Splunk's collector.

use std::io::Write;

use auditline_sinks::Batch;

use super::race::Pair;
use super::web::{Posts, Request};

/// One that the collector knows, and that acknowledges nothing.
const TOKEN: &str = "11111111-1111-4111-8111-111111111111";
const AUTHORIZATION: &str = "Splunk 11111111-1111-4111-8111-111111111111";

pub fn pair() -> Option<Pair> {
    let server = super::server("splunk_hec", "event collector", "AUDITLINE_TEST_HEC")?;
    let config = super::config(&format!("[splunk_hec]\nurl = \"{server}\"\ntoken = \"{TOKEN}\""));
    let request = move |batch: &Batch| Request {
        url: format!("{server}/services/collector/event"),
        content_type: "application/json",
        authorization: Some(AUTHORIZATION),
        body: events(batch),
    };
    Some(Pair::new("splunk_hec", config, Posts::new(Batch::clone, request, |_| true)))
}

fn events(batch: &Batch) -> Vec<u8> {
    let mut body = Vec::new();
    for record in &batch.records {
        let (pipeline, vendor, id) = (&batch.pipeline, &batch.vendor, &record.id);
        let (seconds, millis) = (record.time.timestamp(), record.time.timestamp_subsec_millis());
        write!(
            body,
            r#"{{"time":{seconds}.{millis:03},"source":"auditline:{pipeline}","sourcetype":"auditline:{vendor}","fields":{{"auditline_id":"{id}"}},"event":"#
        )
        .expect("memory takes everything");
        body.extend_from_slice(&record.json);
        body.extend_from_slice(b"}\n");
    }
    body
}
