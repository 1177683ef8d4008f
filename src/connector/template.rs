//! Texts with places to fill in: `/accounts/{account_id}/logs/audit`, `{from}`.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Deserialize, Deserializer};
use serde_json::Value as Json;
use url::form_urlencoded::byte_serialize;

mod tree;

pub use self::tree::{Tree, fill_members};

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

/// Addresses: `https://{domain}/tenants/{tenant}`.
impl Template {
    /// The variables that stand in the host of the address.
    pub fn host_variables(&self) -> impl Iterator<Item = &str> {
        self.with_part().filter(|(_, part)| *part == Part::Host).filter_map(|(piece, _)| match piece {
            Piece::Variable(name) => Some(name.as_str()),
            Piece::Text(_) => None,
        })
    }

    /// Fills in an address. What stands behind the host is encoded, so that no value can leave its segment.
    pub fn fill_address(&self, lookup: &dyn Fn(&str) -> Option<Json>) -> Option<String> {
        let mut out = String::new();
        for (piece, part) in self.with_part() {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Variable(name) => {
                    let value = as_text(&lookup(name)?);
                    out.push_str(&if part == Part::Path { encoded(&value) } else { value });
                }
            }
        }
        Some(out)
    }

    /// Each piece with the part of an address in which it begins.
    fn with_part(&self) -> impl Iterator<Item = (&Piece, Part)> {
        let mut seen = String::new();
        self.pieces.iter().map(move |piece| {
            let part = match seen.split_once("//") {
                Some((_, behind)) if behind.contains(['/', '?', '#']) => Part::Path,
                Some(_) => Part::Host,
                None if seen.starts_with('/') => Part::Path,
                None => Part::Scheme,
            };
            seen.push_str(match piece {
                Piece::Text(text) => text,
                Piece::Variable(_) => "x",
            });
            (piece, part)
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Scheme,
    Host,
    Path,
}

/// A text as it may stand in a segment of a path.
pub fn encoded(text: &str) -> String {
    byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
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

impl fmt::Display for Template {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pieces.iter().try_for_each(|piece| match piece {
            Piece::Text(text) => out.write_str(text),
            Piece::Variable(name) => write!(out, "{{{name}}}"),
        })
    }
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
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
    fn an_address_takes_a_host_as_it_is_and_encodes_the_rest() {
        let address: Template = "https://{id}.example.com/{id}?x={id}".parse().unwrap();
        assert_eq!(address.fill_address(&lookup).unwrap(), "https://a b.example.com/a%20b?x=a%20b");
        assert_eq!(address.host_variables().collect::<Vec<_>>(), ["id"]);
        let path: Template = "/token/{id}".parse().unwrap();
        assert_eq!(path.fill_address(&lookup).unwrap(), "/token/a%20b");
        assert_eq!(path.host_variables().count(), 0);
        assert_eq!(address.to_string(), "https://{id}.example.com/{id}?x={id}");
    }

    #[test]
    fn broken_templates_are_refused() {
        for text in ["{", "a}", "{a", "{}", "{a b}", "{{a}}"] {
            assert!(text.parse::<Template>().is_err(), "{text}");
        }
    }
}
