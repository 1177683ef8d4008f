//! The JSON Schema of connector files.
//!
//! Made of the model, whose types derive theirs. Here are those of the values that the model reads from texts.

use std::borrow::Cow;

use auditline_sinks::units::HumanDuration;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Value as Json;

use super::model::{Definition, Rate};
use super::template::{Template, Tree};
use crate::document::schema_of;

/// The JSON Schema of connector files.
#[must_use]
pub fn schema() -> Json {
    schema_of::<Definition>("auditline connector")
}

impl JsonSchema for Template {
    fn schema_name() -> Cow<'static, str> {
        "Template".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "title": "template",
            "description": "A text with variables: `\"/accounts/{account_id}/logs\"`. `{name}` is a parameter, or what the \
                source fills in; `{name.member}` is a member of a JSON parameter. A template that is one variable and nothing \
                else keeps the variable's type. What has a variable without a value is left out, with its key.",
            "type": "string",
            "pattern": r"^([^{}]|\{[A-Za-z0-9_.]+\})*$",
        })
    }
}

impl JsonSchema for Tree {
    fn schema_name() -> Cow<'static, str> {
        "Tree".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (template, tree) = (generator.subschema_for::<Template>(), generator.subschema_for::<Self>());
        json_schema!({
            "title": "JSON value",
            "description": "A template, a number, a boolean, or a list or table of such: `{ from = \"{from}\", deep = [1] }`. \
                Lists and tables of which nothing is left are left out, with their key.",
            "anyOf": [
                template,
                { "type": ["number", "boolean"] },
                { "type": "array", "items": tree },
                { "type": "object", "additionalProperties": tree },
            ],
        })
    }
}

impl JsonSchema for Rate {
    fn schema_name() -> Cow<'static, str> {
        "Rate".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let duration = HumanDuration::json_schema(generator);
        let duration = duration.get("pattern").and_then(Json::as_str).unwrap_or_default();
        json_schema!({
            "title": "rate",
            "description": "So many requests in so much time: `\"2/1s\"`, `\"1200/5m\"`.",
            "type": "string",
            "pattern": format!("^ *[0-9]*[1-9][0-9]* */ *{} *$", duration.trim_matches(['^', '$'])),
        })
    }
}
