//! What stands around a record in its message: topic, key and headers.

use chrono::SecondsFormat;
use rdkafka::message::{Header, OwnedHeaders};

use super::Config;
use crate::template::{Event, KeyTemplate, Place, Template, Wanted};
use crate::{Batch, Record};

/// How messages are made, with all that is looked for in an event.
pub(super) struct Messages {
    pub topic: Template,
    key: KeyTemplate,
    headers: Vec<(String, KeyTemplate)>,
    wanted: Wanted,
}

/// A record's message, without the record.
pub(super) struct Envelope {
    pub topic: String,
    pub key: String,
    pub headers: OwnedHeaders,
}

impl Messages {
    pub fn new(config: &Config) -> Self {
        let headers: Vec<_> = config.headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        let mut wanted = Wanted::default();
        wanted.add_schema();
        wanted.join(config.topic.wanted());
        wanted.join(config.key.0.wanted());
        headers.iter().for_each(|(_, value)| wanted.join(value.0.wanted()));
        Self { topic: config.topic.clone(), key: config.key.clone(), headers, wanted }
    }

    pub fn envelope(&self, batch: &Batch, record: &Record) -> Envelope {
        let event = self.wanted.read(&record.json);
        let mut key = self.key.0.render_with(batch, record, &event, Place::Text);
        // librdkafka strews messages with an empty key over all partitions.
        if key.is_empty() {
            key.push_str(&batch.pipeline);
        }
        Envelope {
            topic: self.topic.render_with(batch, record, &event, Place::Topic),
            key,
            headers: self.headers(batch, record, &event),
        }
    }

    fn headers(&self, batch: &Batch, record: &Record, event: &Event<'_>) -> OwnedHeaders {
        let time = record.time.to_rfc3339_opts(SecondsFormat::Millis, true);
        let mut headers = OwnedHeaders::new_with_capacity(7 + self.headers.len());
        for (key, value) in [
            ("auditline-id", record.id.as_str()),
            ("auditline-vendor", &batch.vendor),
            ("auditline-pipeline", &batch.pipeline),
            ("auditline-time", &time),
        ] {
            headers = headers.insert(Header { key, value: Some(value) });
        }
        if let Some((name, version)) = event.schema() {
            let schema = format!("{name} {version}");
            headers = headers.insert(Header { key: "auditline-schema", value: Some(&schema) });
        }
        if let (Some(("ocsf", _)), Some(class)) = (event.schema(), event.class()) {
            headers = headers.insert(Header { key: "auditline-class", value: Some(class) });
        }
        headers = headers.insert(Header { key: "content-type", value: Some("application/json") });
        for (key, value) in &self.headers {
            let value = value.0.render_with(batch, record, event, Place::Text);
            headers = headers.insert(Header { key, value: Some(&value) });
        }
        headers
    }
}
