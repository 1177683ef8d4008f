//! Names with placeholders, `audit/{vendor}/{date}/`: where a record goes, told by the record.

mod event;

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

pub use self::event::{Event, Path, Wanted};
use crate::{Batch, Record, ocsf, parquet};

/// A name with the placeholders `{vendor}`, `{pipeline}`, `{date}`, `{hour}`, `{year}`, `{month}`, `{day}`, `{class}`, the
/// name of the event's OCSF class, `{actor}` and `{.path.to.a.value}`; `{{` and `}}` stand for braces.
///
/// Date and hour are those of the record's event, in UTC: a record that is read late still goes to the day it
/// belongs to, and a batch that is delivered again goes to the same places.
///
/// `{actor}` is who acted, by OCSF's or ECS's words, and the pipeline where the event does not say. A path leads to a
/// text, a number or a boolean in the event; where there is none, the value is empty. Events are read for these two only.
#[derive(Clone, PartialEq, Eq)]
pub struct Template {
    text: String,
    parts: Vec<Part>,
    wanted: Wanted,
}

/// A [`Template`] that may also hold `{id}`, the record's id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyTemplate(pub Template);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Field(Field),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Field {
    Vendor,
    Pipeline,
    Date,
    Hour,
    Year,
    Month,
    Day,
    Class,
    Id,
    Actor,
    Value(Path),
}

/// How much of a value in an event a path or a topic takes, in bytes: names have bounds, and what people type has none. Three
/// such values fit into a topic, and any into a segment of an object's key.
const LONGEST: usize = 80;

/// What a rendered value is for, and so which characters of it must go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A file path or an object key: a value stays inside its segment.
    Path,
    /// A Kafka topic: ASCII letters, digits, `.`, `_` and `-`.
    Topic,
    /// A URL: a value stays inside its segment, or its part of the query.
    Url,
    /// Free text: values as they are.
    Text,
}

/// Why a text is not a template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// There is no such placeholder.
    #[error("unknown placeholder `{{{name}}}`: expected {known}")]
    Unknown {
        /// What stood between the braces.
        name: String,
        /// The names that would do.
        known: &'static str,
    },
    /// What follows the dot leads nowhere.
    #[error("`{{.{path}}}` is not a path in an event: {reason}")]
    Path {
        /// What stood behind the dot.
        path: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A `{` has no `}`.
    #[error("`{{` is never closed: write `{{{{` for a brace that is meant literally")]
    Unclosed,
    /// A `}` has no `{`.
    #[error("`}}` closes nothing: write `}}}}` for a brace that is meant literally")]
    Unopened,
}

/// What a text with braces is made of.
pub(crate) enum Piece<'a> {
    /// Meant as it stands. Never empty.
    Text(String),
    /// What stands between two braces.
    Name(&'a str),
}

/// The pieces of a text in which `{{` and `}}` stand for braces.
pub(crate) fn pieces(text: &str) -> Result<Vec<Piece<'_>>, TemplateError> {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, brace) = rest.split_at(at);
        literal.push_str(before);
        if let Some(after) = brace.strip_prefix("{{") {
            literal.push('{');
            rest = after;
        } else if let Some(after) = brace.strip_prefix("}}") {
            literal.push('}');
            rest = after;
        } else if brace.starts_with('}') {
            return Err(TemplateError::Unopened);
        } else {
            let (name, after) = brace[1..].split_once('}').ok_or(TemplateError::Unclosed)?;
            if !literal.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut literal)));
            }
            pieces.push(Piece::Name(name));
            rest = after;
        }
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        pieces.push(Piece::Text(literal));
    }
    Ok(pieces)
}

impl Template {
    /// The name as far as a pipeline settles it; what the record decides stays a placeholder. Where two of these are the same, so are
    /// the names of records.
    #[must_use]
    pub fn of_pipeline(&self, pipeline: &str, vendor: &str, place: Place) -> String {
        let settled = |part: &Part| match part {
            Part::Text(text) => text.replace('{', "{{").replace('}', "}}"),
            Part::Field(Field::Pipeline) => place.fit(pipeline).into_owned(),
            Part::Field(Field::Vendor) => place.fit(vendor).into_owned(),
            Part::Field(field) => field.to_string(),
        };
        self.parts.iter().map(settled).collect()
    }

    /// A name as a record may have it, to see whether such names will do.
    #[must_use]
    pub fn sample(&self) -> String {
        let sample = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Field(field) => field.sample().to_owned(),
        };
        self.parts.iter().map(sample).collect()
    }

    /// The name with the same text for each placeholder.
    #[must_use]
    pub fn filled_with(&self, text: &str) -> String {
        let part = |part: &Part| match part {
            Part::Text(literal) => literal.clone(),
            Part::Field(_) => text.to_owned(),
        };
        self.parts.iter().map(part).collect()
    }

    /// The same name below `folder`, unless it begins at the root.
    #[must_use]
    pub fn rooted_in(self, folder: &std::path::Path) -> Self {
        if self.text.starts_with('/') || folder.as_os_str().is_empty() {
            return self;
        }
        let folder = format!("{}/", folder.display());
        let text = format!("{folder}{}", self.text);
        let mut parts = self.parts;
        match parts.first_mut() {
            Some(Part::Text(first)) => first.insert_str(0, &folder),
            _ => parts.insert(0, Part::Text(folder)),
        }
        Self { text, parts, wanted: self.wanted }
    }

    fn parse(text: &str, with_id: bool) -> Result<Self, TemplateError> {
        let part = |piece| match piece {
            Piece::Text(text) => Ok(Part::Text(text)),
            Piece::Name(name) => Field::named(name, with_id).map(Part::Field),
        };
        let parts = pieces(text)?.into_iter().map(part).collect::<Result<Vec<_>, _>>()?;
        let mut wanted = Wanted::default();
        for part in &parts {
            match part {
                Part::Field(Field::Actor) => wanted.add_actor(),
                Part::Field(Field::Value(path)) => wanted.add(path),
                _ => {}
            }
        }
        Ok(Self { text: text.to_owned(), parts, wanted })
    }

    /// What it looks for in an event.
    #[must_use]
    pub fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// Whether two records of one batch may get different names.
    #[must_use]
    pub fn varies(&self) -> bool {
        self.parts.iter().any(|part| !matches!(part, Part::Text(_) | Part::Field(Field::Vendor | Field::Pipeline)))
    }

    /// Whether two pipelines may get the same name.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        !self.parts.contains(&Part::Field(Field::Pipeline))
    }

    /// The text before the first placeholder.
    #[must_use]
    pub fn literal_prefix(&self) -> &str {
        match self.parts.first() {
            Some(Part::Text(text)) => text,
            _ => "",
        }
    }

    /// The whole name, where it is the same for every record.
    #[must_use]
    pub fn literal(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The name for one record of a batch.
    #[must_use]
    pub fn render(&self, batch: &Batch, record: &Record, place: Place) -> String {
        self.render_with(batch, record, &self.wanted.read(&record.json), place)
    }

    /// The same with an event that was read already, and for all that this template [wants](Template::wanted).
    #[must_use]
    pub fn render_with(&self, batch: &Batch, record: &Record, event: &Event<'_>, place: Place) -> String {
        let mut name = String::with_capacity(self.text.len() + 16);
        for part in &self.parts {
            match part {
                Part::Text(text) => name.push_str(text),
                Part::Field(field) => name.push_str(&place.fit(&field.of(batch, record, event, place))),
            }
        }
        name
    }

    /// The batch's records by name: names in the order they first occur, records in the batch's order.
    #[must_use]
    pub fn group<'a>(&self, batch: &'a Batch, place: Place) -> Vec<(String, Vec<&'a Record>)> {
        let mut groups: Vec<(String, Vec<&Record>)> = Vec::new();
        if !self.varies() {
            if let Some(first) = batch.records.first() {
                let name = self.render(batch, first, place);
                groups.push((name, batch.records.iter().collect()));
            }
            return groups;
        }
        let mut index: HashMap<String, usize> = HashMap::new();
        for record in &batch.records {
            let name = self.render(batch, record, place);
            let at = *index.entry(name).or_insert_with_key(|name| {
                groups.push((name.clone(), Vec::new()));
                groups.len() - 1
            });
            groups[at].1.push(record);
        }
        groups
    }
}

impl Field {
    fn named(name: &str, with_id: bool) -> Result<Self, TemplateError> {
        if let Some(path) = name.strip_prefix('.') {
            let wrong = |reason| TemplateError::Path { path: path.to_owned(), reason };
            return path.parse().map(Self::Value).map_err(wrong);
        }
        match name {
            "vendor" => Ok(Self::Vendor),
            "pipeline" => Ok(Self::Pipeline),
            "date" => Ok(Self::Date),
            "hour" => Ok(Self::Hour),
            "year" => Ok(Self::Year),
            "month" => Ok(Self::Month),
            "day" => Ok(Self::Day),
            "class" => Ok(Self::Class),
            "actor" => Ok(Self::Actor),
            "id" if with_id => Ok(Self::Id),
            _ => Err(TemplateError::Unknown {
                name: name.to_owned(),
                known: if with_id {
                    "`{vendor}`, `{pipeline}`, `{date}`, `{hour}`, `{year}`, `{month}`, `{day}`, `{class}`, `{actor}`, `{id}` or `{.path.to.a.value}`"
                } else {
                    "`{vendor}`, `{pipeline}`, `{date}`, `{hour}`, `{year}`, `{month}`, `{day}`, `{class}`, `{actor}` or `{.path.to.a.value}`"
                },
            }),
        }
    }

    fn of<'a>(&self, batch: &'a Batch, record: &'a Record, event: &'a Event<'_>, place: Place) -> Cow<'a, str> {
        match self {
            Self::Vendor => Cow::Borrowed(&batch.vendor),
            Self::Pipeline => Cow::Borrowed(&batch.pipeline),
            Self::Date => Cow::Owned(record.time.format("%Y-%m-%d").to_string()),
            Self::Hour => Cow::Owned(record.time.format("%H").to_string()),
            Self::Year => Cow::Owned(record.time.format("%Y").to_string()),
            Self::Month => Cow::Owned(record.time.format("%m").to_string()),
            Self::Day => Cow::Owned(record.time.format("%d").to_string()),
            Self::Class => Cow::Borrowed(parquet::table_name(ocsf::class_of(&record.json))),
            Self::Id => Cow::Borrowed(&record.id),
            Self::Actor => Cow::Borrowed(place.cut(event.actor().unwrap_or(&batch.pipeline))),
            Self::Value(path) => Cow::Borrowed(place.cut(event.get(path).unwrap_or_default())),
        }
    }
}

impl Field {
    fn sample(&self) -> &'static str {
        match self {
            Self::Date => "2026-03-14",
            Self::Hour => "09",
            Self::Year => "2026",
            Self::Month => "03",
            Self::Day => "14",
            Self::Vendor | Self::Pipeline | Self::Class | Self::Id | Self::Actor | Self::Value(_) => "x",
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vendor => f.write_str("{vendor}"),
            Self::Pipeline => f.write_str("{pipeline}"),
            Self::Date => f.write_str("{date}"),
            Self::Hour => f.write_str("{hour}"),
            Self::Year => f.write_str("{year}"),
            Self::Month => f.write_str("{month}"),
            Self::Day => f.write_str("{day}"),
            Self::Class => f.write_str("{class}"),
            Self::Id => f.write_str("{id}"),
            Self::Actor => f.write_str("{actor}"),
            Self::Value(path) => write!(f, "{{.{path}}}"),
        }
    }
}

impl Place {
    /// As much of a value in an event as this place takes.
    fn cut(self, value: &str) -> &str {
        match self {
            Self::Text => value,
            _ => &value[..value.floor_char_boundary(LONGEST)],
        }
    }

    fn fit(self, value: &str) -> Cow<'_, str> {
        if self == Self::Text {
            return Cow::Borrowed(value);
        }
        // `..` climbs, `.` and nothing vanish from a path: two pipelines would share a name.
        if value.chars().all(|char| char == '.') {
            return Cow::Owned("_".repeat(value.len().max(1)));
        }
        if value.chars().all(|char| self.takes(char)) {
            return Cow::Borrowed(value);
        }
        if self == Self::Url {
            return Cow::Owned(encoded(value));
        }
        let fit = |char| if self.takes(char) { char } else { '_' };
        Cow::Owned(value.chars().map(fit).collect())
    }

    fn takes(self, char: char) -> bool {
        match self {
            Self::Path => !char.is_control() && char != '/' && char != '\\',
            Self::Topic | Self::Url => char.is_ascii_alphanumeric() || matches!(char, '.' | '_' | '-'),
            Self::Text => true,
        }
    }
}

/// With everything but letters, digits, `.`, `_` and `-` percent-encoded.
fn encoded(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for byte in value.bytes() {
        match char::from(byte) {
            char if byte.is_ascii() && Place::Url.takes(char) => text.push(char),
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

impl FromStr for Template {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, TemplateError> {
        Self::parse(text, false)
    }
}

impl FromStr for KeyTemplate {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, TemplateError> {
        Template::parse(text, true).map(Self)
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for KeyTemplate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract;

    fn rendered(template: &str, pipeline: &str, place: Place) -> String {
        let template: KeyTemplate = template.parse().unwrap();
        let batch = contract::batch_of(pipeline, 1, [r#"{"n":1}"#]);
        template.0.render(&batch, &batch.records[0], place)
    }

    #[test]
    fn fills_every_placeholder() {
        assert_eq!(
            rendered("a/{vendor}/{date}/{hour}/{pipeline}-{id}", "p", Place::Path),
            "a/example/2026-03-14/09/p-p-1"
        );
        assert_eq!(rendered("y={year}/m={month}/d={day}/{class}", "p", Place::Path), "y=2026/m=03/d=14/other");
    }

    fn of_event(template: &str, json: &str, place: Place) -> String {
        let template: Template = template.parse().unwrap();
        let batch = contract::batch_of("corp", 1, [json]);
        template.render(&batch, &batch.records[0], place)
    }

    #[test]
    fn values_of_the_event_are_fitted_to_their_place() {
        let json = r#"{"actor":{"user":{"uid":"../ann"}},"a":{"b":"x/y","n":7},"long":"LONG"}"#;
        let json = json.replace("LONG", &"ü".repeat(300));
        assert_eq!(of_event("{actor}/{.a.b}", &json, Place::Path), ".._ann/x_y");
        assert_eq!(of_event("{actor}.{.a.n}.{.a.none}", &json, Place::Topic), ".._ann.7._");
        assert_eq!(of_event("{actor} {.a.b}{.a.none}", &json, Place::Text), "../ann x/y");
        assert_eq!(of_event("{actor}", "{}", Place::Text), "corp");
        assert_eq!(of_event("{actor}?q={.a.b}", &json, Place::Url), "..%2Fann?q=x%2Fy");
        assert_eq!(of_event("{.long}", &json, Place::Topic), "_".repeat(40));
        assert_eq!(of_event("{.long}", &json, Place::Path), "ü".repeat(40));
        assert_eq!(of_event("{.long}", &json, Place::Text), "ü".repeat(300));
        let template: Template = "{pipeline}/{actor}/{.a.\"b.c\"}".parse().unwrap();
        assert!(template.varies());
        assert_eq!(template.of_pipeline("corp", "example", Place::Path), "corp/{actor}/{.a.\"b.c\"}");
        let error = "{.a..b}".parse::<Template>().unwrap_err();
        assert_eq!(error.to_string(), "`{.a..b}` is not a path in an event: a part of it is empty");
    }

    #[test]
    fn doubled_braces_are_braces() {
        assert_eq!(rendered("{{{vendor}}}", "p", Place::Path), "{example}");
        assert_eq!(rendered("}}{{", "p", Place::Path), "}{");
    }

    #[test]
    fn an_unknown_placeholder_is_told_the_known_ones() {
        let error = "audit/{vendr}/".parse::<Template>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "unknown placeholder `{vendr}`: expected `{vendor}`, `{pipeline}`, `{date}`, `{hour}`, `{year}`, `{month}`, \
             `{day}`, `{class}`, `{actor}` or `{.path.to.a.value}`"
        );
        let error = "{id}".parse::<Template>().unwrap_err();
        assert!(error.to_string().contains("unknown placeholder `{id}`"));
        assert!("{id}".parse::<KeyTemplate>().is_ok());
    }

    #[test]
    fn stray_braces_are_errors() {
        assert_eq!("a/{date".parse::<Template>(), Err(TemplateError::Unclosed));
        assert_eq!("a/}b".parse::<Template>(), Err(TemplateError::Unopened));
        assert_eq!(
            "`}` closes nothing: write `}}` for a brace that is meant literally",
            TemplateError::Unopened.to_string()
        );
    }

    #[test]
    fn no_value_leaves_its_segment() {
        for (value, safe) in [
            ("..", "__"),
            (".", "_"),
            ("", "_"),
            ("../../etc/passwd", ".._.._etc_passwd"),
            ("a\\b", "a_b"),
            ("a\0b\nc\u{85}d", "a_b_c_d"),
            ("büro", "büro"),
        ] {
            assert_eq!(rendered("{pipeline}", value, Place::Path), safe);
        }
        assert_eq!(rendered("{pipeline}{pipeline}", ".", Place::Path), "__");
        assert_eq!(rendered("{pipeline}", "büro west", Place::Topic), "b_ro_west");
        assert_eq!(rendered("{pipeline}", "a/b", Place::Text), "a/b");
    }

    #[test]
    fn groups_keep_the_order_of_records() {
        let mut batch = contract::batch_of("p", 1, ["{\"n\":1}", "{\"n\":2}", "{\"n\":3}"]);
        batch.records[1].time += chrono::Duration::days(1);
        let template: Template = "{date}".parse().unwrap();
        let groups: Vec<(String, Vec<&str>)> = template
            .group(&batch, Place::Path)
            .into_iter()
            .map(|(name, records)| (name, records.iter().map(|r| r.id.as_str()).collect()))
            .collect();
        assert_eq!(groups, [("2026-03-14".to_owned(), vec!["p-1", "p-3"]), ("2026-03-15".to_owned(), vec!["p-2"]),]);
    }
}
