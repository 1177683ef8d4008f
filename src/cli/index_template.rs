//! What an index of Elasticsearch or OpenSearch has to know so that it takes every event of ours, whatever its vendor wrote.
//!
//! An index that is left alone guesses a field's type by the first value it meets, refuses each later event with another
//! one there, and every event with a new field once it has a thousand. So types are told by the names that OCSF and ECS give
//! their fields, a value that does not fit stays findable nowhere but is kept, and what vendors think of by themselves is
//! one field.

use clap::{Args, ValueEnum};
use serde_json::{Map, Value as Json, json};

/// The longest text that is found as a whole: Lucene takes 32766 bytes, which are as few letters as this.
const LONGEST_WORD: u32 = 8191;

/// Print an index template: `PUT _index_template/auditline` with it before the first event.
#[derive(Debug, Args)]
pub struct IndexTemplate {
    /// The form of the events, as `normalize` makes them.
    #[arg(long, value_enum, default_value_t)]
    form: Form,
    /// Which of the two servers it is for.
    #[arg(long, value_enum, default_value_t)]
    engine: Engine,
    /// For a data stream in place of an index.
    #[arg(long)]
    data_stream: bool,
    /// The names of indices it is for; may be given more than once [default: `audit-*`, and `logs-auditline.*` for data
    /// streams]
    #[arg(long, value_name = "PATTERN")]
    pattern: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Form {
    #[default]
    Ocsf,
    Ecs,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Engine {
    #[default]
    Elasticsearch,
    Opensearch,
}

impl IndexTemplate {
    /// The request's body.
    pub fn body(&self) -> Json {
        let mut properties = match self.form {
            Form::Ocsf => ocsf(self.engine),
            Form::Ecs => ecs(self.engine),
        };
        if self.data_stream {
            properties["@timestamp"] = json!({ "type": "date" });
        }
        let patterns = match (&*self.pattern, self.data_stream) {
            ([], false) => json!(["audit-*"]),
            ([], true) => json!(["logs-auditline.*"]),
            (patterns, _) => json!(patterns),
        };
        let mut template = json!({
            "index_patterns": patterns,
            // Before those that Elasticsearch has itself for `logs-*-*`.
            "priority": 300,
            "_meta": { "description": self.description() },
            "template": {
                "settings": {
                    // A value that does not fit its field is left out of that field, and the event is taken.
                    "index.mapping.ignore_malformed": true,
                    "index.mapping.total_fields.limit": 3000,
                },
                "mappings": {
                    // A text stays a text, whatever it looks like.
                    "date_detection": false,
                    "numeric_detection": false,
                    "dynamic_templates": dynamic_templates(),
                    "properties": properties,
                },
            },
        });
        if self.data_stream {
            template["data_stream"] = json!({});
        }
        template
    }

    fn description(&self) -> String {
        let form = match self.form {
            Form::Ocsf => "OCSF",
            Form::Ecs => "ECS",
        };
        format!("{form} events of auditline {}", env!("CARGO_PKG_VERSION"))
    }
}

/// By the names of attributes: in OCSF one name is one type, wherever it stands.
fn dynamic_templates() -> Json {
    let named = |name: &str, kind: &str, mapping: Json| json!({ name.trim_start_matches('*'): { "match": name, "match_mapping_type": kind, "mapping": mapping } });
    let mut templates = vec![
        // Any JSON, of any shape.
        json!({ "data": { "match": "data", "mapping": kept_only() } }),
        json!({ "scim": { "match": "scim_*_schema", "mapping": kept_only() } }),
        named("*_time", "long", moment()),
        named("time", "long", moment()),
        named("*_dt", "string", json!({ "type": "date", "format": "strict_date_optional_time" })),
    ];
    // `ip` is all of ECS's, too.
    for name in ["ip", "intermediate_ips", "x_forwarded_for", "x_originating_ip"] {
        templates.push(named(name, "string", address()));
    }
    // A whole number may be the first.
    for name in ["coordinates", "lat", "long", "base_score", "overall_score", "percentile"] {
        templates.push(named(name, "long", json!({ "type": "double" })));
    }
    templates.extend([
        named("desc", "string", prose()),
        json!({ "decimals": { "match_mapping_type": "double", "mapping": { "type": "double" } } }),
        json!({ "words": { "match_mapping_type": "string", "mapping": word() } }),
    ]);
    Json::from(templates)
}

fn ocsf(engine: Engine) -> Json {
    json!({
        "time": moment(),
        "message": prose(),
        "status_detail": prose(),
        "raw_data": not_indexed(),
        "unmapped": vendors_own(engine),
    })
}

/// The fields of ECS by its own list, and below `auditline` what it has no place for.
fn ecs(engine: Engine) -> Json {
    let lines = include_str!("../transform/ecs/fields-9.4.0.txt").lines();
    let mut root = Map::new();
    for line in lines.filter(|line| !line.starts_with('#') && !line.starts_with("version ")) {
        let mut words = line.split(' ');
        let (Some(name), Some(kind)) = (words.next(), words.next()) else { continue };
        let mapping = match kind.trim_end_matches("[]") {
            _ if name == "event.original" => not_indexed(),
            "keyword" | "wildcard" => word(),
            "match_only_text" => prose(),
            "ip" => address(),
            // A type of a module that not every server has.
            "scaled_float" => json!({ "type": "double" }),
            "object" => json!({ "type": "object" }),
            other => json!({ "type": other }),
        };
        let mut path: Vec<&str> = name.split('.').collect();
        let last = path.pop().expect("a name has a part");
        let mut properties = &mut root;
        for part in path {
            let object = properties.entry(part).or_insert_with(|| json!({ "properties": {} }));
            properties = object["properties"].as_object_mut().expect("a field of ECS has no fields of its own");
        }
        properties.insert(last.to_owned(), mapping);
    }
    root.insert("auditline".to_owned(), vendors_own(engine));
    root.into()
}

/// One field with as many names below it as vendors think of.
fn vendors_own(engine: Engine) -> Json {
    match engine {
        Engine::Elasticsearch => json!({ "type": "flattened", "depth_limit": 130, "ignore_above": LONGEST_WORD }),
        // Its `flat_object` refuses an event for one long text.
        Engine::Opensearch => kept_only(),
    }
}

/// To be read and not to be searched.
fn kept_only() -> Json {
    json!({ "type": "object", "enabled": false })
}

/// The same for a text.
fn not_indexed() -> Json {
    json!({ "type": "keyword", "index": false, "doc_values": false, "ignore_above": LONGEST_WORD })
}

fn moment() -> Json {
    json!({ "type": "date", "format": "epoch_millis||strict_date_optional_time" })
}

fn word() -> Json {
    json!({ "type": "keyword", "ignore_above": LONGEST_WORD })
}

fn prose() -> Json {
    json!({ "type": "text", "fields": { "keyword": word() } })
}

/// As an address, and as the text that `redact` may have made of it.
fn address() -> Json {
    json!({ "type": "ip", "ignore_malformed": true, "fields": { "keyword": word() } })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn template(form: Form, engine: Engine, data_stream: bool) -> Json {
        IndexTemplate { form, engine, data_stream, pattern: Vec::new() }.body()
    }

    /// The type that the templates give a field of this name with such a value.
    fn kind_of(name: &str, value: &str) -> String {
        let templates = dynamic_templates();
        let fits = |template: &&Json| {
            let named = template["match"].as_str().is_none_or(|pattern| match pattern.split_once('*') {
                Some((before, after)) => name.starts_with(before) && name.ends_with(after),
                None => pattern == name,
            });
            named && template["match_mapping_type"].as_str().is_none_or(|kind| kind == value)
        };
        let templates =
            templates.as_array().unwrap().iter().map(|named| named.as_object().unwrap().values().next().unwrap());
        let found = templates.collect::<Vec<_>>().into_iter().find(fits).unwrap();
        found["mapping"]["type"].as_str().unwrap().to_owned()
    }

    #[test]
    fn every_attribute_of_ocsf_gets_a_type_that_takes_it() {
        let mut seen = BTreeSet::new();
        for line in auditline_sinks::ocsf::FACTS.lines() {
            let mut words = line.strip_prefix("  ").unwrap_or_default().split(' ');
            let (Some(name), Some(kind)) = (words.next(), words.next()) else { continue };
            let expected = match kind.trim_end_matches("[]") {
                "timestamp_t" => ("long", "date"),
                "datetime_t" => ("string", "date"),
                "ip_t" => ("string", "ip"),
                "json_t" => ("object", "object"),
                "float_t" => ("long", "double"),
                _ => continue,
            };
            assert_eq!(kind_of(name, expected.0), expected.1, "{name} {kind}");
            seen.insert(kind.trim_end_matches("[]"));
        }
        assert_eq!(seen.len(), 5, "{seen:?}");
        // A vendor's own way of writing a time.
        assert_eq!(kind_of("original_time", "string"), "keyword");
    }

    #[test]
    fn ecs_fields_have_the_types_of_ecs() {
        let template = template(Form::Ecs, Engine::Elasticsearch, true);
        let properties = &template["template"]["mappings"]["properties"];
        assert_eq!(properties["@timestamp"]["type"], "date");
        assert_eq!(properties["source"]["properties"]["ip"]["type"], "ip");
        assert_eq!(properties["user"]["properties"]["target"]["properties"]["email"]["type"], "keyword");
        assert_eq!(properties["auditline"]["type"], "flattened");
        assert_eq!(template["data_stream"], json!({}));
        assert_eq!(template["index_patterns"], json!(["logs-auditline.*"]));
    }

    #[test]
    fn opensearch_is_told_of_no_type_it_does_not_know() {
        for form in [Form::Ocsf, Form::Ecs] {
            let text = template(form, Engine::Opensearch, false).to_string();
            assert!(
                ["flattened", "wildcard", "match_only_text"].iter().all(|kind| !text.contains(&format!(":\"{kind}\"")))
            );
            assert!(!text.contains("data_stream"));
        }
    }
}
