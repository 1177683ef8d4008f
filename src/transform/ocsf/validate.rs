//! Whether an event is valid OCSF: the judge of the tests, who knows nothing of maps.

use serde_json::{Map as Object, Value};

use super::scalar::Scalar;
use super::schema::{Attribute, Fields, Kind, schema};

/// Everything that is wrong with `event`, each with its place. Empty for a valid event.
#[must_use]
pub fn problems(event: &Value) -> Vec<String> {
    let uid = event["class_uid"].to_string();
    let Some(class) = schema().classes.iter().find(|class| class.uid == uid) else {
        return vec![format!("class_uid: no class {uid}")];
    };
    let profiles = event["metadata"]["profiles"].as_array().cloned().unwrap_or_default();
    let profiles: Vec<_> = profiles.iter().map(|profile| profile.as_str().unwrap_or_default().to_owned()).collect();
    let mut judge = Judge { profiles: profiles.iter().map(String::as_str).collect(), found: Vec::new() };
    judge.object("", event, &class.fields);
    let expected: [(&str, Value); 4] = [
        ("class_name", class.caption.into()),
        ("category_uid", class.category_uid.parse::<i64>().unwrap().into()),
        ("category_name", class.category_name.into()),
        ("type_uid", event["activity_id"].as_i64().map(|id| class.uid.parse::<i64>().unwrap() * 100 + id).into()),
    ];
    for (name, value) in expected {
        if event[name] != value {
            judge.found.push(format!("{name}: {} is not {value}", event[name]));
        }
    }
    judge.found
}

struct Judge<'p> {
    profiles: Vec<&'p str>,
    found: Vec<String>,
}

impl Judge<'_> {
    fn object(&mut self, path: &str, value: &Value, fields: &Fields) {
        let Some(object) = value.as_object() else {
            return self.found.push(format!("{path}: not an object"));
        };
        if fields.attributes.is_empty() {
            return;
        }
        for (name, value) in object {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            match fields.get(name).filter(|attribute| attribute.exists_with(&self.profiles)) {
                Some(attribute) => self.attribute(&path, value, attribute, object),
                None => self.found.push(format!("{path}: no such attribute")),
            }
        }
        for attribute in fields.attributes.iter().filter(|a| a.required && a.exists_with(&self.profiles)) {
            if !object.contains_key(attribute.name) {
                self.found.push(format!("{path}: `{}` is missing", attribute.name));
            }
        }
        let count = |names: &Vec<&str>| names.iter().filter(|name| object.contains_key(**name)).count();
        for names in fields.at_least_one.iter().filter(|names| count(names) == 0) {
            self.found.push(format!("{path}: none of {names:?}"));
        }
        for names in fields.just_one.iter().filter(|names| count(names) != 1) {
            self.found.push(format!("{path}: not one of {names:?}"));
        }
    }

    fn attribute(&mut self, path: &str, value: &Value, attribute: &Attribute, around: &Object<String, Value>) {
        let items = match value.as_array() {
            Some(items) if attribute.list => items.as_slice(),
            _ if attribute.list => return self.found.push(format!("{path}: not a list")),
            _ => std::slice::from_ref(value),
        };
        for item in items {
            match attribute.kind {
                Kind::Object(name) => self.object(path, item, schema().object(name).unwrap()),
                Kind::Scalar(scalar) if !fits(scalar, item) => {
                    self.found.push(format!("{path}: {item} is not {}", scalar.describe()));
                }
                Kind::Scalar(_) => self.word(path, item, attribute, around),
            }
        }
    }

    fn word(&mut self, path: &str, value: &Value, attribute: &Attribute, around: &Object<String, Value>) {
        let Some(known) = schema().words(attribute) else { return };
        let key = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let Some(word) = known.iter().find(|word| word.key == key) else {
            return self.found.push(format!("{path}: {value} is no word of this enum"));
        };
        let Some(sibling) = attribute.sibling.and_then(|sibling| around.get(sibling)) else { return };
        if word.key != "99" && sibling != word.caption {
            self.found.push(format!("{path}: {sibling} beside {value}, which is `{}`", word.caption));
        }
    }
}

fn fits(scalar: Scalar, value: &Value) -> bool {
    match scalar {
        Scalar::Json => true,
        Scalar::Boolean => value.is_boolean(),
        Scalar::Integer | Scalar::Timestamp => value.is_i64() || value.is_u64(),
        Scalar::Port => value.as_u64().is_some_and(|port| port <= 65_535),
        Scalar::Float => value.is_number(),
        text => value.as_str().is_some_and(|value| text.takes(value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> Value {
        serde_json::json!({
            "activity_id": 1, "activity_name": "Create", "category_uid": 3,
            "category_name": "Identity & Access Management", "class_uid": 3004, "class_name": "Entity Management",
            "entity": { "uid": "e" }, "metadata": { "version": "1.8.0", "product": { "name": "p" } },
            "severity_id": 1, "severity": "Informational", "time": 0, "type_uid": 300_401,
            "type_name": "Entity Management: Create", "unmapped": { "any": [null] },
        })
    }

    #[test]
    fn a_valid_event_has_no_problems() {
        assert_eq!(problems(&event()), [""; 0]);
    }

    #[test]
    fn every_kind_of_mistake_is_found() {
        let cases: [(&str, Value, &str); 12] = [
            ("/class_uid", 9.into(), "class_uid: no class 9"),
            ("/activity_id", 77.into(), "activity_id: 77 is no word of this enum"),
            ("/activity_name", "Delete".into(), "activity_id: \"Delete\" beside 1, which is `Create`"),
            ("/type_uid", 300_402.into(), "type_uid: 300402 is not 300401"),
            ("/category_name", "x".into(), "category_name: \"x\" is not \"Identity & Access Management\""),
            ("/time", "0".into(), "time: \"0\" is not a time"),
            ("/entity", serde_json::json!({}), "entity: none of [\"name\""),
            ("/entity", serde_json::json!({"uid": "e", "x": 1}), "entity.x: no such attribute"),
            ("/entity", "e".into(), "entity: not an object"),
            ("/entity", serde_json::json!({"uid": 7}), "entity.uid: 7 is not a text"),
            ("/metadata", serde_json::json!({"version": "1"}), "metadata: `product` is missing"),
            ("/metadata/product/name", Value::Null, "metadata.product.name: null is not a text"),
        ];
        for (at, value, expected) in cases {
            let mut event = event();
            *event.pointer_mut(at).unwrap() = value;
            let found = problems(&event);
            assert!(found.iter().any(|problem| problem.starts_with(expected)), "{at}: {found:?}");
        }
        let mut event = event();
        event["api"] = serde_json::json!({ "operation": "x" });
        assert_eq!(problems(&event), ["api: no such attribute"]);
        event["metadata"]["profiles"] = serde_json::json!(["cloud"]);
        assert_eq!(problems(&event), [": `cloud` is missing"]);
    }
}
