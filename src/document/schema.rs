//! The JSON Schema of files, for editors and for the reference: it says what decoding takes.
//!
//! Made from the types that are decoded, whose doc comments are the descriptions. What a schema cannot say is left to
//! decoding and to the checks behind it: the schema refuses nothing that they accept.

use std::borrow::Cow;

use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value as Json};

use super::{Node, Spanned};

/// The JSON Schema of a document that is decoded as `T`.
///
/// In draft 7, because what editors use for TOML knows no later one.
#[must_use]
pub fn schema_of<T: JsonSchema>(title: &str) -> Json {
    let settings = SchemaSettings::draft07().with(|settings| {
        // Before the transforms of the draft, which move what stands beside a reference.
        settings.transforms.insert(0, Box::new(RecursiveTransform(as_toml)));
    });
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    schema.insert("title".to_owned(), title.into());
    schema.to_value()
}

/// What is true of every document of ours, and not of all that serde reads.
fn as_toml(schema: &mut Schema) {
    let Some(members) = schema.as_object_mut() else { return };
    close(members);
    drop_null(members);
    // `uint32` and the like are no formats of JSON Schema; the bounds stand beside them.
    if members.get("type").is_some_and(|kind| kind == "integer" || kind == "number") {
        members.remove("format");
    }
}

/// Unknown keys are always mistakes. Whatever takes free ones says so itself.
fn close(members: &mut Map<String, Json>) {
    let is_open = ["additionalProperties", "patternProperties"].iter().any(|key| members.contains_key(*key));
    if members.get("type").is_some_and(|kind| kind == "object") && !is_open {
        members.insert("additionalProperties".to_owned(), false.into());
    }
}

/// TOML has no null: what is optional is left out.
fn drop_null(members: &mut Map<String, Json>) {
    if members.get("default").is_some_and(Json::is_null) {
        members.remove("default");
    }
    if let Some(Json::Array(kinds)) = members.get_mut("type") {
        kinds.retain(|kind| kind != "null");
        if let [kind] = kinds.as_slice() {
            let kind = kind.clone();
            members.insert("type".to_owned(), kind);
        }
    }
    if let Some(Json::Array(words)) = members.get_mut("enum") {
        words.retain(|word| !word.is_null());
    }
    if let Some(Json::Array(ways)) = members.get_mut("anyOf") {
        ways.retain(|way| way.get("type").is_none_or(|kind| kind != "null"));
        if ways.len() == 1
            && let Some(Json::Object(only)) = ways.pop()
        {
            members.remove("anyOf");
            // What the field says of itself counts before what its type says.
            for (key, value) in only {
                members.entry(key).or_insert(value);
            }
        }
    }
}

/// A value that knows its place is written as one that does not.
impl<T: JsonSchema> JsonSchema for Spanned<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// Any value. A field that takes less says so by `#[schemars(with = …)]`.
impl JsonSchema for Node {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Node".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        true.into()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    #[derive(JsonSchema)]
    #[serde(rename_all = "snake_case")]
    #[expect(dead_code, reason = "only its schema is made")]
    enum Kind {
        /// Nothing more to say.
        Plain,
        /// A table of its own.
        Table {
            /// How many.
            most: Option<u32>,
        },
        /// An empty table.
        Empty {},
    }

    /// A file.
    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its schema is made")]
    struct Example {
        /// A name.
        name: Spanned<String>,
        /// Perhaps a kind.
        #[serde(default)]
        kind: Option<Spanned<Kind>>,
        /// Free names.
        #[serde(default)]
        free: BTreeMap<Spanned<String>, Node>,
    }

    #[test]
    fn tables_are_closed_and_nothing_is_null() {
        let expected = json!({
            "$schema": "http://json-schema.org/draft-07/schema#",
            "title": "an example",
            "description": "A file.",
            "type": "object",
            "additionalProperties": false,
            "required": ["name"],
            "properties": {
                "name": { "type": "string", "description": "A name." },
                "kind": { "allOf": [{ "$ref": "#/definitions/Kind" }], "description": "Perhaps a kind." },
                "free": { "type": "object", "additionalProperties": true, "description": "Free names." },
            },
            "definitions": {
                "Kind": {
                    "oneOf": [
                        { "type": "string", "const": "plain", "description": "Nothing more to say." },
                        {
                            "type": "object",
                            "additionalProperties": false,
                            "required": ["table"],
                            "description": "A table of its own.",
                            "properties": {
                                "table": {
                                    "type": "object",
                                    "additionalProperties": false,
                                    "properties": {
                                        "most": { "type": "integer", "minimum": 0, "description": "How many." },
                                    },
                                },
                            },
                        },
                        {
                            "type": "object",
                            "additionalProperties": false,
                            "required": ["empty"],
                            "description": "An empty table.",
                            "properties": { "empty": { "type": "object", "additionalProperties": false } },
                        },
                    ],
                },
            },
        });
        let found = schema_of::<Example>("an example");
        assert_eq!(found, expected, "{found:#}");
    }
}
