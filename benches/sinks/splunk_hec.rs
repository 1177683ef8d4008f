//! Events for the imitation of Splunk's collector. The plainest program has each envelope ready.

use auditline_sinks::{Batch, Record};
use bytes::Bytes;
use serde_json::json;

use super::race::Pair;
use super::web::{Posts, Request, Texts, url};

/// One that the collector knows, and that acknowledges nothing.
const TOKEN: &str = "11111111-1111-4111-8111-111111111111";

pub fn pair() -> Option<Pair> {
    let server = super::server("splunk_hec", "event collector", "AUDITLINE_TEST_HEC")?;
    let config = super::config(&format!("[splunk_hec]\nurl = \"{server}\"\ntoken = \"{TOKEN}\""));
    let request = move |batch: &Batch| Request {
        url: url(&format!("{server}/services/collector/event")),
        content_type: "application/json",
        authorization: Some(format!("Splunk {TOKEN}")),
        body: batch.records.iter().flat_map(|record| event(batch, record)).collect::<Texts>(),
    };
    Some(Pair::new("splunk_hec", config, Posts::new(request, |_| true)))
}

/// What the sink puts around a record, and the record.
fn event(batch: &Batch, record: &Record) -> [Bytes; 3] {
    let Batch { pipeline, vendor, .. } = batch;
    let envelope = json!({
        "time": record.time.timestamp_millis() as f64 / 1000.0,
        "source": format!("auditline:{pipeline}"),
        "sourcetype": format!("auditline:{vendor}"),
        "fields": { "auditline_id": record.id },
    });
    let envelope = envelope.to_string();
    let open = envelope.strip_suffix('}').expect("an object");
    [format!("{open},\"event\":").into(), record.json.clone(), Bytes::from_static(b"}\n")]
}
