//! Where two JSON values differ.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value as Json;

/// One place at which they differ. `Display` is a line for a person.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// Where, dotted.
    pub path: String,
    /// What was expected there, if anything was.
    pub expected: Option<Json>,
    /// What is there, if anything is.
    pub found: Option<Json>,
}

/// A value is cut after this many characters: the path says where to look.
const LONGEST: usize = 120;

/// Every innermost place below `path` at which the two differ, in the order of the keys. None when they are equal.
#[must_use]
pub fn differences(path: &str, expected: &Json, found: &Json) -> Vec<Difference> {
    let mut all = Vec::new();
    compare(path, Some(expected), Some(found), &mut all);
    all
}

fn compare(path: &str, expected: Option<&Json>, found: Option<&Json>, all: &mut Vec<Difference>) {
    match (expected, found) {
        (expected, found) if expected == found => {}
        (Some(Json::Object(one)), Some(Json::Object(other))) => {
            let keys: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
            for key in keys {
                // A key with a dot in it is quoted, as in a connector's paths.
                let key_text = if key.contains('.') { format!("\"{key}\"") } else { key.clone() };
                compare(&format!("{path}.{key_text}"), one.get(key), other.get(key), all);
            }
        }
        (Some(Json::Array(one)), Some(Json::Array(other))) => {
            for index in 0..one.len().max(other.len()) {
                compare(&format!("{path}.{index}"), one.get(index), other.get(index), all);
            }
        }
        (expected, found) => {
            all.push(Difference { path: path.to_owned(), expected: expected.cloned(), found: found.cloned() });
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |value: &Option<Json>| value.as_ref().map_or_else(|| "nothing".to_owned(), shortened);
        write!(out, "{}: expected {}, found {}", self.path, text(&self.expected), text(&self.found))
    }
}

fn shortened(value: &Json) -> String {
    let text = value.to_string();
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_innermost_places_are_told() {
        let expected = json!({"a": 1, "b": {"c.d": [1, {"e": "x"}], "f": null}, "g": [1, 2]});
        let found = json!({"a": 1, "b": {"c.d": [1, {"e": "y"}]}, "g": [1, 2, 3], "h": {"i": 1}});
        let lines: Vec<String> = differences("events.0", &expected, &found).iter().map(ToString::to_string).collect();
        let told = [
            "events.0.b.\"c.d\".1.e: expected \"x\", found \"y\"",
            "events.0.b.f: expected null, found nothing",
            "events.0.g.2: expected nothing, found 3",
            "events.0.h: expected nothing, found {\"i\":1}",
        ];
        assert_eq!(lines, told);
    }

    #[test]
    fn a_long_value_is_cut() {
        let line = differences("x", &json!("é".repeat(500)), &json!(1))[0].to_string();
        assert_eq!(line.chars().count(), "x: expected , found 1".len() + LONGEST + 1);
    }

    fn any_json() -> impl Strategy<Value = Json> {
        let leaf = prop_oneof![Just(Json::Null), any::<bool>().prop_map(Json::from), (0..3).prop_map(Json::from)];
        leaf.prop_recursive(3, 16, 3, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..3).prop_map(Json::from),
                proptest::collection::btree_map("[ab]", inner, 0..3)
                    .prop_map(|map| Json::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn there_are_differences_only_between_what_differs(one in any_json(), other in any_json()) {
            prop_assert_eq!(differences("x", &one, &other).is_empty(), one == other);
            prop_assert_eq!(differences("x", &one, &other).len(), differences("x", &other, &one).len());
        }
    }
}
