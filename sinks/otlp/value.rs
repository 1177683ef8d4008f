//! JSON as the protocol's `AnyValue`, its keys in their order.
//!
//! By OpenTelemetry's "Mapping Arbitrary Data to OTLP AnyValue": integers beyond 64 bits become text, and nothing is an
//! empty value.

use std::fmt;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// What `json` says, or `None` where `AnyValue` cannot say it: a number beyond a double, half of a surrogate pair.
pub(super) fn read(json: &[u8]) -> Option<AnyValue> {
    serde_json::from_slice::<Any>(json).ok().map(|Any(value)| value)
}

/// The text at the end of `path`.
pub(super) fn text<'a>(value: &'a AnyValue, path: &[&str]) -> Option<&'a str> {
    match &at(value, path)?.value {
        Some(Value::StringValue(text)) if !text.is_empty() => Some(text),
        _ => None,
    }
}

/// The whole number at the end of `path`.
pub(super) fn integer(value: &AnyValue, path: &[&str]) -> Option<i64> {
    match at(value, path)?.value {
        Some(Value::IntValue(number)) => Some(number),
        _ => None,
    }
}

fn at<'a>(value: &'a AnyValue, path: &[&str]) -> Option<&'a AnyValue> {
    let Some((first, rest)) = path.split_first() else { return Some(value) };
    let Some(Value::KvlistValue(list)) = &value.value else { return None };
    let entry = list.values.iter().find(|entry| entry.key == *first)?;
    at(entry.value.as_ref()?, rest)
}

struct Any(AnyValue);

impl<'de> Deserialize<'de> for Any {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyVisitor)
    }
}

struct AnyVisitor;

fn any<E>(value: Value) -> Result<Any, E> {
    Ok(Any(AnyValue { value: Some(value) }))
}

impl<'de> Visitor<'de> for AnyVisitor {
    type Value = Any;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, yes: bool) -> Result<Any, E> {
        any(Value::BoolValue(yes))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Any, E> {
        any(Value::IntValue(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Any, E> {
        any(match i64::try_from(number) {
            Ok(number) => Value::IntValue(number),
            Err(_) => Value::StringValue(number.to_string()),
        })
    }

    fn visit_f64<E>(self, number: f64) -> Result<Any, E> {
        any(Value::DoubleValue(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Any, E> {
        any(Value::StringValue(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Any, E> {
        any(Value::StringValue(text))
    }

    fn visit_unit<E>(self) -> Result<Any, E> {
        Ok(Any(AnyValue::default()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Any, A::Error> {
        let mut values = Vec::new();
        while let Some(Any(value)) = items.next_element()? {
            values.push(value);
        }
        any(Value::ArrayValue(ArrayValue { values }))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Any, A::Error> {
        let mut values = Vec::new();
        while let Some((key, Any(value))) = map.next_entry::<String, Any>()? {
            values.push(KeyValue { key, value: Some(value), ..KeyValue::default() });
        }
        any(Value::KvlistValue(KeyValueList { values }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_value_has_its_counterpart() {
        let value = read(br#"{"z":1,"a":{"b":[null,true,-1.5,18446744073709551615,""]}}"#).unwrap();
        assert_eq!(integer(&value, &["z"]), Some(1));
        let Some(Value::ArrayValue(array)) = &at(&value, &["a", "b"]).unwrap().value else { panic!() };
        let values: Vec<Option<Value>> = array.values.iter().map(|value| value.value.clone()).collect();
        assert_eq!(
            values,
            [
                None,
                Some(Value::BoolValue(true)),
                Some(Value::DoubleValue(-1.5)),
                Some(Value::StringValue("18446744073709551615".to_owned())),
                Some(Value::StringValue(String::new())),
            ]
        );
        assert_eq!(text(&value, &["a", "b"]), None);
    }
}
