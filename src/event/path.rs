//! Where something stands in an event: `actor.user.email`, `changes.0.field`, `"key with.dots".id`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::Value;

/// A dotted path. A part that is a number picks from a list; a part in double quotes may hold dots.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Path {
    parts: Vec<String>,
}

/// Why a text is no path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a path: {reason}")]
pub struct PathError {
    text: String,
    reason: &'static str,
}

impl Path {
    /// The parts, outermost first. At least one.
    #[must_use]
    pub fn parts(&self) -> &[String] {
        &self.parts
    }

    /// What stands there, if anything does. `null` counts as standing there.
    #[must_use]
    pub fn find<'a>(&self, value: Value<'a>) -> Option<Value<'a>> {
        self.parts.iter().try_fold(value, |value, part| match value {
            Value::Object(_) => value.get(part),
            Value::Array(items) => items.get(part.parse::<usize>().ok()?).copied(),
            _ => None,
        })
    }
}

impl FromStr for Path {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        let fail = |reason| Err(PathError { text: text.to_owned(), reason });
        let mut parts = Vec::new();
        let mut rest = text;
        loop {
            let (part, after) = if let Some(quoted) = rest.strip_prefix('"') {
                let Some((part, after)) = quoted.split_once('"') else {
                    return fail("a quote is not closed");
                };
                (part, after)
            } else {
                rest.split_at(rest.find('.').unwrap_or(rest.len()))
            };
            if part.is_empty() {
                return fail("a part of it is empty");
            }
            parts.push(part.to_owned());
            if after.is_empty() {
                return Ok(Self { parts });
            }
            let Some(next) = after.strip_prefix('.') else {
                return fail("after a quoted part comes a dot");
            };
            rest = next;
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, part) in self.parts.iter().enumerate() {
            if index > 0 {
                out.write_str(".")?;
            }
            if part.contains('.') { write!(out, "\"{part}\"")? } else { out.write_str(part)? }
        }
        Ok(())
    }
}

impl<'de> serde::Deserialize<'de> for Path {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Path {
    fn schema_name() -> Cow<'static, str> {
        "Path".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let part = r#"("[^"]+"|[^".][^.]*)"#;
        json_schema!({
            "title": "path",
            "description": "Where something stands in an answer or a record: `\"actor.user.email\"`. A part that is a number \
                picks from a list: `\"changes.0.field\"`. A part in double quotes may hold dots: `'\"key with.dots\".id'`.",
            "type": "string",
            "pattern": format!(r"^{part}(\.{part})*$"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Arena, json};
    use super::*;

    #[test]
    fn finds_members_items_and_quoted_keys() {
        let arena = Arena::new();
        let value = json::decode(br#"{"a":{"b.c":[{"d":7}]},"n":null}"#, &arena).unwrap();
        let find = |path: &str| path.parse::<Path>().unwrap().find(value);
        assert_eq!(find("a.\"b.c\".0.d"), Some(Value::Number("7")));
        assert_eq!(find("n"), Some(Value::Null));
        assert_eq!(find("a.x"), None);
        assert_eq!(find("a.\"b.c\".1"), None);
        assert_eq!(find("n.x"), None);
    }

    #[test]
    fn is_written_as_it_is_read() {
        for text in ["a", "a.b", "a.\"b.c\".0"] {
            assert_eq!(text.parse::<Path>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn says_what_is_wrong() {
        for text in ["", "a.", ".a", "a..b", "\"a", "\"a\"b"] {
            assert!(text.parse::<Path>().is_err(), "{text}");
        }
    }
}
