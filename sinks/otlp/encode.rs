//! Records as protobuf: each encoded once, however often its request is cut anew.
//!
//! A request is one `ExportLogsServiceRequest` of one `ResourceLogs` of one `ScopeLogs`. Protobuf takes the same message
//! field in pieces and joins them, so log records need not be encoded inside of what is around them: their bytes are put
//! behind it.

use std::collections::BTreeMap;

use bytes::{BufMut, Bytes, BytesMut};
use chrono::{DateTime, Utc};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint};

use super::severity::Severity;
use super::{Body, value};
use crate::{Batch, Record};

/// Makes log records of records.
pub(super) struct Encoder {
    pub body: Body,
    pub resource: BTreeMap<String, String>,
}

/// A log record, encoded, and its place in the batch.
pub(super) struct Item {
    pub at: usize,
    log_record: Vec<u8>,
}

/// What every request of a batch says besides its log records.
pub(super) struct Around {
    resource: Vec<u8>,
    scope: Vec<u8>,
}

/// The numbers of the fields we put together ourselves, as `logs.proto` and `logs_service.proto` have them.
const RESOURCE_LOGS: u32 = 1;
const RESOURCE: u32 = 1;
const SCOPE_LOGS: u32 = 2;
const LOG_RECORDS: u32 = 2;

/// Keys and lengths around everything, at the most.
const FRAMES: usize = 32;

impl Encoder {
    pub fn around(&self, batch: &Batch) -> Around {
        let ours = [
            ("service.name", "auditline"),
            ("service.version", env!("CARGO_PKG_VERSION")),
            ("auditline.vendor", &*batch.vendor),
            ("auditline.pipeline", &*batch.pipeline),
        ];
        // An operator's word is the last: `service.name` may be another.
        let ours = ours.into_iter().filter(|(key, _)| !self.resource.contains_key(*key));
        let theirs = self.resource.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let resource = Resource { attributes: ours.chain(theirs).map(attribute).collect(), ..Resource::default() };
        let scope = ScopeLogs {
            scope: Some(InstrumentationScope {
                name: "auditline".to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                ..InstrumentationScope::default()
            }),
            ..ScopeLogs::default()
        };
        Around { resource: resource.encode_to_vec(), scope: scope.encode_to_vec() }
    }

    pub fn item(&self, at: usize, record: &Record, observed: DateTime<Utc>) -> Item {
        let event = value::read(&record.json);
        let severity = event.as_ref().map(Severity::of).unwrap_or_default();
        let event_name = event.as_ref().and_then(name).unwrap_or_default().to_owned();
        let text = || Value::StringValue(String::from_utf8_lossy(&record.json).into_owned());
        let body = match (self.body, event) {
            // What has no counterpart in the protocol, such as a number of 400 digits, stays whole as text.
            (Body::Json, _) | (Body::Map, None) => AnyValue { value: Some(text()) },
            (Body::Map, Some(event)) => event,
        };
        let log_record = LogRecord {
            time_unix_nano: nanos(record.time),
            observed_time_unix_nano: nanos(observed),
            severity_number: severity.number as i32,
            severity_text: severity.text,
            body: Some(body),
            attributes: vec![attribute(("log.record.uid", record.id.as_str()))],
            event_name,
            ..LogRecord::default()
        };
        Item { at, log_record: log_record.encode_to_vec() }
    }
}

impl Item {
    /// The bytes of a request that are this record's.
    pub fn size(&self) -> usize {
        let length = self.log_record.len();
        1 + encoded_len_varint(length as u64) + length
    }
}

impl Around {
    /// The bytes of a request that are no record's, or a few less.
    pub fn len(&self) -> usize {
        FRAMES + self.resource.len() + self.scope.len()
    }

    /// A whole request.
    pub fn request(&self, items: &[Item]) -> Bytes {
        let records: usize = items.iter().map(Item::size).sum();
        let scope_logs = self.scope.len() + records;
        let resource_logs = field_size(self.resource.len()) + field_size(scope_logs);
        let mut request = BytesMut::with_capacity(field_size(resource_logs));
        begin(RESOURCE_LOGS, resource_logs, &mut request);
        begin(RESOURCE, self.resource.len(), &mut request);
        request.put_slice(&self.resource);
        begin(SCOPE_LOGS, scope_logs, &mut request);
        request.put_slice(&self.scope);
        for item in items {
            begin(LOG_RECORDS, item.log_record.len(), &mut request);
            request.put_slice(&item.log_record);
        }
        request.freeze()
    }
}

fn begin(field: u32, length: usize, to: &mut BytesMut) {
    encode_key(field, WireType::LengthDelimited, to);
    encode_varint(length as u64, to);
}

/// A message field with its key, which is one byte, and its length.
fn field_size(length: usize) -> usize {
    1 + encoded_len_varint(length as u64) + length
}

fn attribute((key, value): (&str, &str)) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(Value::StringValue(value.to_owned())) }),
        ..KeyValue::default()
    }
}

/// What kind of event it is: OCSF's `type_name`, ECS' `event.action`.
fn name(event: &AnyValue) -> Option<&str> {
    value::text(event, &["type_name"]).or_else(|| value::text(event, &["event", "action"]))
}

/// Nanoseconds since 1970; 0, which says "unknown", for a time before that or beyond 2554.
fn nanos(time: DateTime<Utc>) -> u64 {
    let nanos = i128::from(time.timestamp()) * 1_000_000_000 + i128::from(time.timestamp_subsec_nanos());
    u64::try_from(nanos).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
    use opentelemetry_proto::tonic::logs::v1::SeverityNumber;

    use super::*;
    use crate::contract::batch_of;

    #[test]
    fn what_is_put_together_is_what_the_protocol_reads() {
        let event = r#"{"severity_id":4,"severity":"High","type_name":"Account Change: Create","n":[1,2.5,null,true]}"#;
        let mut batch = batch_of("audit", 7, [event, "{}"]);
        batch.records[1].time = DateTime::from_timestamp(-86_400, 0).unwrap();
        let resource = BTreeMap::from([("service.name".to_owned(), "ours".to_owned())]);
        let encoder = Encoder { body: Body::Map, resource };
        let observed = DateTime::from_timestamp(1_800_000_000, 5).unwrap();
        let around = encoder.around(&batch);
        let items: Vec<Item> =
            batch.records.iter().enumerate().map(|(at, record)| encoder.item(at, record, observed)).collect();
        let bytes = around.request(&items);
        assert!(bytes.len() <= around.len() + items.iter().map(Item::size).sum::<usize>());
        let request = ExportLogsServiceRequest::decode(bytes).unwrap();
        let [logs] = request.resource_logs.as_slice() else { panic!("{request:?}") };
        let attributes: Vec<(&str, String)> = logs
            .resource
            .as_ref()
            .unwrap()
            .attributes
            .iter()
            .map(|attribute| {
                let Some(Value::StringValue(text)) = &attribute.value.as_ref().unwrap().value else { panic!() };
                (attribute.key.as_str(), text.clone())
            })
            .collect();
        assert_eq!(
            attributes[1..],
            [
                ("auditline.vendor", "example".to_owned()),
                ("auditline.pipeline", "audit".to_owned()),
                ("service.name", "ours".to_owned()),
            ]
        );
        let [scope] = logs.scope_logs.as_slice() else { panic!("{logs:?}") };
        assert_eq!(scope.scope.as_ref().unwrap().name, "auditline");
        let [first, second] = scope.log_records.as_slice() else { panic!("{scope:?}") };
        assert_eq!(first.time_unix_nano, 1_773_480_420_589_000_000);
        assert_eq!(first.observed_time_unix_nano, 1_800_000_000_000_000_005);
        assert_eq!(first.severity_number(), SeverityNumber::Error);
        assert_eq!((first.severity_text.as_str(), first.event_name.as_str()), ("High", "Account Change: Create"));
        assert_eq!(first.attributes, [attribute(("log.record.uid", "audit-7"))]);
        assert_eq!(first.body, value::read(event.as_bytes()));
        assert_eq!((second.time_unix_nano, second.severity_number()), (0, SeverityNumber::Unspecified));
    }

    #[test]
    fn what_the_protocol_cannot_say_stays_text() {
        for json in [r#"{"n":1e400}"#, r#"{"lone":"\ud83e"}"#] {
            let batch = batch_of("audit", 1, [json]);
            let encoder = Encoder { body: Body::Map, resource: BTreeMap::new() };
            let item = encoder.item(0, &batch.records[0], Utc::now());
            let log_record = LogRecord::decode(&*item.log_record).unwrap();
            assert_eq!(log_record.body.unwrap().value, Some(Value::StringValue(json.to_owned())));
        }
    }
}
