//! Texts with places to fill in: `/accounts/{account_id}/logs/audit`, `{from}`.

use std::borrow::Cow;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer};
use serde_json::Value as Json;

/// A text with variables in braces. A variable may name a member of a JSON parameter: `{credentials.key_id}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Variable(String),
}

/// Why a text is no template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// `{` without its `}`, or the other way round.
    #[error("a brace is not closed or not opened in `{0}`")]
    Brace(String),
    /// `{}` or something that is no name.
    #[error("`{{{0}}}` is not the name of a variable")]
    Name(String),
}

impl Template {
    /// The names of the variables, in order, without the members they pick.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Variable(name) => Some(name.split_once('.').map_or(name.as_str(), |(name, _)| name)),
            Piece::Text(_) => None,
        })
    }

    /// Fills in. `None` when a variable has no value: the caller leaves out what it would have set.
    ///
    /// A template that is one variable and nothing else keeps the variable's type, so that a number stays one in JSON.
    pub fn fill(&self, lookup: &dyn Fn(&str) -> Option<Json>) -> Option<Json> {
        if let [Piece::Variable(name)] = self.pieces.as_slice() {
            return lookup(name);
        }
        self.fill_text(lookup).map(Json::String)
    }

    /// Fills in as a text.
    pub fn fill_text(&self, lookup: &dyn Fn(&str) -> Option<Json>) -> Option<String> {
        let mut out = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Variable(name) => out.push_str(&as_text(&lookup(name)?)),
            }
        }
        Some(out)
    }
}

/// A JSON value as it stands in a query or a path.
pub fn as_text(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}

impl FromStr for Template {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, TemplateError> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, braced) = rest.split_at(at);
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned()));
            }
            let (name, after) = braced
                .strip_prefix('{')
                .and_then(|inner| inner.split_once('}'))
                .ok_or_else(|| TemplateError::Brace(text.to_owned()))?;
            if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.') {
                return Err(TemplateError::Name(name.to_owned()));
            }
            pieces.push(Piece::Variable(name.to_owned()));
            rest = after;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        Ok(Self { pieces })
    }
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn lookup(name: &str) -> Option<Json> {
        match name {
            "size" => Some(json!(100)),
            "id" => Some(json!("a b")),
            "key.part" => Some(json!(7)),
            _ => None,
        }
    }

    fn fill(text: &str) -> Option<Json> {
        text.parse::<Template>().unwrap().fill(&lookup)
    }

    #[test]
    fn one_variable_keeps_its_type_and_a_missing_one_leaves_out() {
        assert_eq!(fill("{size}"), Some(json!(100)));
        assert_eq!(fill("n={size}"), Some(json!("n=100")));
        assert_eq!(fill("/x/{id}/{key.part}"), Some(json!("/x/a b/7")));
        assert_eq!(fill("plain"), Some(json!("plain")));
        assert_eq!(fill("{cursor}"), None);
        assert_eq!(fill("a{cursor}"), None);
    }

    #[test]
    fn broken_templates_are_refused() {
        for text in ["{", "a}", "{a", "{}", "{a b}", "{{a}}"] {
            assert!(text.parse::<Template>().is_err(), "{text}");
        }
    }
}
