//! Whether an event is valid ECS: the judge of the tests, who knows the list of ECS and nothing of our table.

use std::net::IpAddr;

use serde_json::Value;

pub use super::fields::{Field, fields};

/// Everything that is wrong with `event`, each with its place. Empty for a valid event.
#[must_use]
pub fn problems(event: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for name in ["@timestamp", "ecs"] {
        if event.get(name).is_none() {
            found.push(format!("`{name}` is missing"));
        }
    }
    if event["ecs"]["version"] != super::VERSION {
        found.push(format!("ecs.version: {} is not ours", event["ecs"]["version"]));
    }
    object("", event, &mut found);
    let words = |name: &str| -> Vec<&str> {
        event["event"][name].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
    };
    let known = &fields()["event.category"].words;
    let expected: Vec<_> = known.iter().filter(|(word, _)| words("category").contains(word)).collect();
    for kind in words("type") {
        if !expected.iter().all(|(_, types)| types.contains(&kind)) {
            found.push(format!("event.type: {kind} is not expected in {:?}", words("category")));
        }
    }
    found
}

fn object(path: &str, value: &Value, found: &mut Vec<String>) {
    let Some(members) = value.as_object() else { return found.push(format!("{path}: no such field")) };
    for (key, value) in members {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        match fields().get(path.as_str()) {
            // The name that ECS leaves to us.
            _ if path == super::OWN => {}
            _ if key.contains('.') => found.push(format!("{path}: a dotted key")),
            Some(field) => judge(&path, value, field, found),
            None => object(&path, value, found),
        }
    }
}

fn judge(path: &str, value: &Value, field: &Field, found: &mut Vec<String>) {
    let items = match value.as_array() {
        Some(items) if field.list => items.as_slice(),
        _ if field.list => return found.push(format!("{path}: not a list")),
        _ => std::slice::from_ref(value),
    };
    for item in items {
        if !fits(field.kind, item) {
            found.push(format!("{path}: {item} is not of the type {}", field.kind));
        }
        if !field.words.is_empty() && !field.words.iter().any(|(word, _)| item == word) {
            found.push(format!("{path}: {item} is not an allowed value"));
        }
    }
}

fn fits(kind: &str, value: &Value) -> bool {
    let text = value.as_str();
    match kind {
        "keyword" | "wildcard" | "match_only_text" => text.is_some(),
        "long" => value.is_i64(),
        "float" | "scaled_float" => value.is_number(),
        "boolean" => value.is_boolean(),
        "date" => text.is_some_and(|text| chrono::DateTime::parse_from_rfc3339(text).is_ok()),
        "ip" => text.is_some_and(|text| text.parse::<IpAddr>().is_ok()),
        "geo_point" => {
            let within = |key: &str, most: f64| value[key].as_f64().is_some_and(|degrees| degrees.abs() <= most);
            value.as_object().is_some_and(|members| members.len() == 2) && within("lat", 90.0) && within("lon", 180.0)
        }
        // `labels`, whose values are keywords.
        "object" => {
            let flat = |(key, value): (&String, &Value)| !key.contains('.') && value.is_string();
            value.as_object().is_some_and(|members| members.iter().all(flat))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event() -> Value {
        json!({
            "@timestamp": "2026-09-14T08:22:31.000Z", "ecs": { "version": "9.4.0" }, "labels": { "a": "b" }, "tags": ["x"],
            "event": { "kind": "event", "category": ["iam"], "type": ["user", "change"], "severity": 1 },
            "source": { "ip": "2001:db8::1", "geo": { "location": { "lat": 1.5, "lon": -3 } } },
            "auditline": { "unmapped": { "any.thing": [null] } },
        })
    }

    #[test]
    fn a_valid_event_has_no_problems() {
        assert_eq!(problems(&event()), [""; 0]);
    }

    #[test]
    fn every_kind_of_mistake_is_found() {
        let cases = [
            ("/@timestamp", json!("soon"), "@timestamp: \"soon\" is not of the type date"),
            ("/ecs", json!({}), "ecs.version: null is not ours"),
            ("/labels", json!({ "a": 1 }), "labels: {\"a\":1} is not of the type object"),
            ("/tags", json!("x"), "tags: not a list"),
            ("/event/kind", json!("events"), "event.kind: \"events\" is not an allowed value"),
            ("/event/type", json!(["start"]), "event.type: start is not expected in [\"iam\"]"),
            ("/event/severity", json!("1"), "event.severity: \"1\" is not of the type long"),
            ("/source/ip", json!("fe80::1%eth0"), "source.ip: \"fe80::1%eth0\" is not of the type ip"),
            ("/source/geo/location", json!({ "lat": 91, "lon": 0 }), "source.geo.location: {\"lat\":91,"),
            ("/source/geo", json!({ "nowhere": 1 }), "source.geo.nowhere: no such field"),
            ("/source", json!({ "geo.name": "x" }), "source.geo.name: a dotted key"),
        ];
        for (at, value, expected) in cases {
            let mut event = event();
            *event.pointer_mut(at).unwrap() = value;
            let found = problems(&event);
            assert!(found.iter().any(|problem| problem.starts_with(expected)), "{at}: {found:?}");
        }
        assert!(problems(&json!({})).contains(&"`@timestamp` is missing".to_owned()));
    }
}
