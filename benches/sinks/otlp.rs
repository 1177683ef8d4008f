//! Log records for the OpenTelemetry Collector's receiver. The plainest program has them as messages of the protocol, and
//! encodes them with prost.

use auditline_sinks::{Batch, Record};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Kind;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;
use serde_json::Value;

use super::race::Pair;
use super::web::{Posts, Request};

pub fn pair() -> Option<Pair> {
    let server = super::server("otlp", "OTLP receiver", "AUDITLINE_TEST_OTLP")?;
    let config = super::config(&format!("[otlp]\nendpoint = \"{server}\""));
    let request = move |logs: &ExportLogsServiceRequest| Request {
        url: format!("{server}/v1/logs"),
        content_type: "application/x-protobuf",
        authorization: None,
        body: logs.encode_to_vec(),
    };
    // No word of rejected records: no partial success, or an empty one.
    let is_taken = |answer: &[u8]| matches!(answer, [] | [0x0a, 0]);
    Some(Pair::new("otlp", config, Posts::new(logs, request, is_taken)))
}

fn logs(batch: &Batch) -> ExportLogsServiceRequest {
    let attributes = [("service.name", "auditline"), ("auditline.vendor", &batch.vendor)];
    let resource = Resource {
        attributes: attributes.map(|(key, value)| pair_of(key, Kind::StringValue(value.to_owned()))).to_vec(),
        ..Resource::default()
    };
    let scope_logs = ScopeLogs { log_records: batch.records.iter().map(log_record).collect(), ..ScopeLogs::default() };
    let logs = ResourceLogs { resource: Some(resource), scope_logs: vec![scope_logs], ..ResourceLogs::default() };
    ExportLogsServiceRequest { resource_logs: vec![logs] }
}

fn log_record(record: &Record) -> LogRecord {
    let event: Value = serde_json::from_slice(&record.json).expect("an event");
    let nanos = record.time.timestamp_nanos_opt().expect("a time of today").unsigned_abs();
    LogRecord {
        time_unix_nano: nanos,
        observed_time_unix_nano: nanos,
        severity_number: 9,
        severity_text: event["severity"].as_str().unwrap_or_default().to_owned(),
        event_name: event["type_name"].as_str().unwrap_or_default().to_owned(),
        attributes: vec![pair_of("log.record.uid", Kind::StringValue(record.id.clone()))],
        body: Some(any(event)),
        ..LogRecord::default()
    }
}

fn any(value: Value) -> AnyValue {
    let value = match value {
        Value::Null => None,
        Value::Bool(yes) => Some(Kind::BoolValue(yes)),
        Value::Number(number) => Some(match number.as_i64() {
            Some(whole) => Kind::IntValue(whole),
            None => Kind::DoubleValue(number.as_f64().expect("a number of 64 bits")),
        }),
        Value::String(text) => Some(Kind::StringValue(text)),
        Value::Array(items) => Some(Kind::ArrayValue(ArrayValue { values: items.into_iter().map(any).collect() })),
        Value::Object(members) => {
            let member = |(key, value)| KeyValue { key, value: Some(any(value)), ..KeyValue::default() };
            Some(Kind::KvlistValue(KeyValueList { values: members.into_iter().map(member).collect() }))
        }
    };
    AnyValue { value }
}

fn pair_of(key: &str, value: Kind) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}
