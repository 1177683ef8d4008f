//! What the `[ocsf]` table may say, as far as a schema can show it.
//!
//! Only described here: what is written is read by [`Map::load`](super::Map::load), which holds every word of it against
//! OCSF.

#![expect(dead_code, reason = "these types are described and never made")]

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Value as Json;

use super::schema::schema;

/// `[ocsf]`
#[derive(JsonSchema)]
pub struct Form {
    /// What the vendor sells: `metadata.product.name`.
    product: String,
    /// The class of the events that no rule fits. It must fit every record.
    class: ClassName,
    /// What was done: `activity_id`.
    activity: Option<Word>,
    /// How grave it is: `severity_id`.
    severity: Option<Word>,
    /// How it went: `status_id`.
    status: Option<Word>,
    /// OCSF's profiles whose attributes are used.
    profiles: Option<Vec<String>>,
    /// Attributes of OCSF, and where in the vendor's record they come from.
    map: Option<BTreeMap<String, Json>>,
    /// Rules for records of a class of their own, tried in this order.
    when: Option<Vec<Rule>>,
}

/// `[[ocsf.when]]`: a rule applies when its conditions hold and the record has what its class requires.
#[derive(JsonSchema)]
pub struct Rule {
    /// What must stand where in the record; of a list of such tables one must hold. Absent: nothing.
    r#match: Option<Json>,
    /// The class of these events. Absent: as above.
    class: Option<ClassName>,
    /// As above, for these events.
    activity: Option<Word>,
    /// As above, for these events.
    severity: Option<Word>,
    /// As above, for these events.
    status: Option<Word>,
    /// Beside the map above, and before it.
    map: Option<BTreeMap<String, Json>>,
}

/// The name of a class.
struct ClassName;

impl JsonSchema for ClassName {
    fn schema_name() -> Cow<'static, str> {
        "ClassName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let names: Vec<&str> = schema().classes.iter().map(|class| class.name).collect();
        json_schema!({
            "title": "OCSF class",
            "description": "The name of an OCSF class for audit logs, as in `\"api_activity\"`.",
            "enum": names,
        })
    }
}

/// A word of OCSF, or where it comes from.
struct Word;

impl JsonSchema for Word {
    fn schema_name() -> Cow<'static, str> {
        "Word".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let paths = json_schema!({ "type": ["string", "array"], "items": { "type": "string" } });
        json_schema!({
            "title": "OCSF word",
            "description": "A word of OCSF, as in `\"Create\"`, or where it comes from: \
                `{ from = \"action\", values = { \"add*\" = \"Create\" }, otherwise = \"Create\" }`.",
            "anyOf": [
                { "type": "string" },
                {
                    "type": "object",
                    "properties": {
                        "from": paths,
                        "values": { "type": "object", "additionalProperties": true },
                        "otherwise": true,
                        "value": true,
                    },
                },
            ],
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::map::{LAYER, OF_RULE, OF_TABLE};
    use super::*;

    #[test]
    fn it_shows_the_keys_that_are_read() {
        let keys = |schema: Schema| -> BTreeSet<String> {
            schema.get("properties").and_then(Json::as_object).unwrap().keys().cloned().collect()
        };
        let read =
            |own: &[&str]| -> BTreeSet<String> { LAYER.iter().chain(own).map(|key| (*key).to_owned()).collect() };
        let mut generator = SchemaGenerator::default();
        assert_eq!(keys(Form::json_schema(&mut generator)), read(&OF_TABLE));
        assert_eq!(keys(Rule::json_schema(&mut generator)), read(&OF_RULE));
    }
}
