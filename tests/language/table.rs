//! From the schema to the tables of the reference: a section for each TOML table, a row for each key.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::order::Order;

/// A TOML table.
pub struct Section {
    /// Its header; empty for the file as a whole.
    pub path: Vec<String>,
    /// Whether its header has double brackets.
    pub is_list: bool,
    /// What it is.
    pub text: String,
    /// Its keys.
    pub rows: Vec<Row>,
}

/// A key.
pub struct Row {
    pub key: String,
    pub kind: String,
    pub default: String,
    pub meaning: String,
}

impl Section {
    /// As it is written in a file.
    pub fn header(&self) -> String {
        let path = self.path.join(".");
        if self.is_list { format!("[[{path}]]") } else { format!("[{path}]") }
    }
}

/// Where GitHub jumps to for a heading.
fn anchor(path: &[String]) -> String {
    path.concat().to_lowercase()
}

/// Makes the sections, each before those of the tables in it.
pub fn sections(schema: &Json) -> Vec<Section> {
    let mut walker = Walker { schema, order: Order::new(), placed: BTreeMap::new(), sections: Vec::new() };
    let root = Found { definition: Some("Definition"), schema, description: None };
    walker.section(Vec::new(), false, root);
    walker.sections
}

/// The kinds of values that have a name of their own: name and description.
pub fn values(schema: &Json) -> Vec<(&str, &str)> {
    let definitions = schema["definitions"].as_object().into_iter().flatten();
    definitions.filter_map(|(_, it)| Some((it["title"].as_str()?, it["description"].as_str()?))).collect()
}

struct Walker<'s> {
    schema: &'s Json,
    order: Order,
    /// Where the definitions that are used more than once have their section.
    placed: BTreeMap<&'s str, Vec<String>>,
    sections: Vec<Section>,
}

/// A schema behind its references.
#[derive(Clone, Copy)]
struct Found<'s> {
    definition: Option<&'s str>,
    schema: &'s Json,
    /// What is said of it where it is used.
    description: Option<&'s str>,
}

enum Shape<'s> {
    Named(&'s str),
    Words(Vec<(&'s str, Option<&'s str>)>),
    Kinds(&'s [Json]),
    List(&'s Json),
    Names(&'s Json),
    Table,
    Plain(&'static str),
}

/// A table in a table.
struct Inner<'s> {
    path: Vec<String>,
    is_list: bool,
    found: Found<'s>,
}

/// What is being made of one table.
struct Draft<'s> {
    path: Vec<String>,
    rows: Vec<Row>,
    inner: Vec<Inner<'s>>,
}

/// A key, and what is known of it from the table it stands in.
struct Key<'s> {
    name: String,
    found: Found<'s>,
    required: bool,
    default: Option<&'s Json>,
}

impl<'s> Walker<'s> {
    fn section(&mut self, path: Vec<String>, is_list: bool, found: Found<'s>) {
        let own = found.schema["description"].as_str().map(without_header).filter(|text| !text.is_empty());
        let mut text = own.or_else(|| found.description.map(plain)).unwrap_or_default();
        if matches!(self.shape(found.schema), Shape::Kinds(_)) {
            text.push_str(" Exactly one of these kinds is given.");
        }
        let mut draft = Draft { path: path.clone(), rows: Vec::new(), inner: Vec::new() };
        self.content(&mut draft, "", found);
        self.sections.push(Section { path, is_list, text, rows: draft.rows });
        for inner in draft.inner {
            self.section(inner.path, inner.is_list, inner.found);
        }
    }

    /// The rows of a table's keys, or of the kinds it may be of.
    fn content(&mut self, draft: &mut Draft<'s>, prefix: &str, found: Found<'s>) {
        if let Shape::Kinds(kinds) = self.shape(found.schema) {
            kinds.iter().for_each(|kind| self.kind(draft, prefix, found.definition, kind));
            return;
        }
        self.members(draft, prefix, found.schema, found.definition, None);
    }

    fn members(
        &mut self,
        draft: &mut Draft<'s>,
        prefix: &str,
        table: &'s Json,
        definition: Option<&str>,
        variant: Option<&str>,
    ) {
        let required = table["required"].as_array().map(Vec::as_slice).unwrap_or_default();
        let members = table["properties"].as_object().into_iter().flatten();
        let mut members: Vec<_> = members.map(|(name, member)| (name.clone(), member)).collect();
        self.order.sort(&mut members, definition.unwrap_or_default(), variant);
        for (name, member) in members {
            let required = required.iter().any(|known| *known == name.as_str());
            let (found, default) = (self.resolve(member), member.get("default"));
            self.row(draft, Key { name: format!("{prefix}{name}"), found, required, default });
        }
    }

    /// A kind is the only key of a table, or a word.
    fn kind(&mut self, draft: &mut Draft<'s>, prefix: &str, definition: Option<&str>, kind: &'s Json) {
        let description = kind["description"].as_str();
        let Some((name, inner)) = kind["properties"].as_object().and_then(|members| members.iter().next()) else {
            let word = kind["const"].as_str().unwrap_or_default();
            let key = prefix.trim_end_matches('.').to_owned();
            draft.rows.push(Row::new(
                key,
                format!("`\"{word}\"`"),
                String::new(),
                cell(description.unwrap_or_default()),
            ));
            return;
        };
        let found = Found { description, ..self.resolve(inner) };
        if found.definition.is_none() && matches!(self.shape(found.schema), Shape::Table) {
            let meaning = cell(description.unwrap_or_default());
            draft.rows.push(Row::new(format!("{prefix}{name}"), "table".to_owned(), String::new(), meaning));
            self.members(draft, &format!("{prefix}{name}."), found.schema, definition, Some(name));
        } else {
            self.row(draft, Key { name: format!("{prefix}{name}"), found, required: false, default: None });
        }
    }

    fn row(&mut self, draft: &mut Draft<'s>, key: Key<'s>) {
        let default = default(key.required, key.default);
        let mut meaning = cell(key.found.description.unwrap_or_default());
        let mut name = key.name.clone();
        let kind = match self.shape(key.found.schema) {
            Shape::Words(words) => {
                for (word, text) in words {
                    let text = text.map(|text| format!(": {}", cell(text))).unwrap_or_default();
                    meaning.push_str(&format!("<br>`\"{word}\"`{text}"));
                }
                "word".to_owned()
            }
            Shape::List(items) => {
                let items = self.resolve(items);
                match self.shape(items.schema) {
                    Shape::Table | Shape::Kinds(_) => {
                        let found = Found { description: key.found.description, ..items };
                        format!("list of {}", self.inner(draft, &key.name, true, found).replace("[table]", "[tables]"))
                    }
                    _ => format!("list of {}", self.name(items.schema, true)),
                }
            }
            Shape::Names(value) => {
                name.push_str(".NAME");
                let value = self.resolve(value);
                match self.shape(value.schema) {
                    Shape::Table | Shape::Kinds(_) => {
                        let found = Found { description: key.found.description, ..value };
                        self.inner(draft, &name, false, found)
                    }
                    _ => self.name(value.schema, false),
                }
            }
            Shape::Table | Shape::Kinds(_) if self.has_section(key.found) => {
                self.inner(draft, &key.name, false, key.found)
            }
            Shape::Kinds(_) => "one of these".to_owned(),
            _ => self.name(key.found.schema, false),
        };
        draft.rows.push(Row::new(name, kind, default, meaning));
        if matches!(self.shape(key.found.schema), Shape::Table | Shape::Kinds(_)) && !self.has_section(key.found) {
            self.content(draft, &format!("{}.", key.name), key.found);
        }
    }

    /// Whether it is told apart: what is used more than once, and what says its header itself.
    fn has_section(&self, found: Found<'s>) -> bool {
        let Some(definition) = found.definition else { return false };
        let reference = format!("\"#/definitions/{definition}\"");
        let uses = self.schema.to_string().matches(&reference).count();
        uses > 1 || found.schema["description"].as_str().is_some_and(|text| text.starts_with("`["))
    }

    /// A link to the section of a table in this one, which is made unless there is one already.
    fn inner(&mut self, draft: &mut Draft<'s>, key: &str, is_list: bool, found: Found<'s>) -> String {
        let path: Vec<String> = draft.path.iter().cloned().chain(key.split('.').map(ToOwned::to_owned)).collect();
        if let Some(path) = found.definition.and_then(|definition| self.placed.get(definition)) {
            return format!("[table](#{}), as `[{}]`", anchor(path), path.join("."));
        }
        if let Some(definition) = found.definition {
            self.placed.insert(definition, path.clone());
        }
        let link = format!("[table](#{})", anchor(&path));
        draft.inner.push(Inner { path, is_list, found });
        link
    }

    fn resolve(&self, schema: &'s Json) -> Found<'s> {
        let description = schema["description"].as_str();
        let only = schema["allOf"].as_array().and_then(|all| all.first());
        let reference = only.unwrap_or(schema)["$ref"].as_str();
        match reference.and_then(|reference| reference.strip_prefix("#/definitions/")) {
            Some(name) => Found { definition: Some(name), schema: &self.schema["definitions"][name], description },
            None => Found { definition: None, schema, description },
        }
    }

    fn shape(&self, schema: &'s Json) -> Shape<'s> {
        let is_definition = !std::ptr::eq(schema, self.schema);
        if let Some(title) = schema["title"].as_str().filter(|_| is_definition) {
            return Shape::Named(title);
        }
        if let Some(ways) = schema["oneOf"].as_array() {
            let words: Option<Vec<_>> =
                ways.iter().map(|way| Some((way["const"].as_str()?, way["description"].as_str()))).collect();
            return words.map_or(Shape::Kinds(ways), Shape::Words);
        }
        if let Some(words) = schema["enum"].as_array() {
            return Shape::Words(words.iter().filter_map(|word| Some((word.as_str()?, None))).collect());
        }
        let free = [&schema["additionalProperties"]].into_iter();
        let mut free =
            free.chain(schema["patternProperties"].as_object().into_iter().flat_map(|members| members.values()));
        match schema["type"].as_str() {
            Some("array") => Shape::List(&schema["items"]),
            Some("object") => match free.find(|value| value.is_object() || **value == true) {
                Some(value) if schema.get("properties").is_none() => Shape::Names(value),
                _ => Shape::Table,
            },
            Some("string") => Shape::Plain("text"),
            Some("integer") => Shape::Plain("whole number"),
            Some("number") => Shape::Plain("number"),
            Some("boolean") => Shape::Plain("`true` or `false`"),
            _ => Shape::Plain("value"),
        }
    }

    fn name(&self, schema: &'s Json, plural: bool) -> String {
        let ending = if plural { "s" } else { "" };
        match self.shape(schema) {
            Shape::Named(title) => format!("[{title}{ending}](#values)"),
            Shape::Words(_) => format!("word{ending}"),
            Shape::List(items) => format!("list{ending} of {}", self.name(self.resolve(items).schema, true)),
            Shape::Names(_) | Shape::Table | Shape::Kinds(_) => format!("table{ending}"),
            Shape::Plain(name) => format!("{name}{ending}"),
        }
    }
}

impl Row {
    fn new(key: String, kind: String, default: String, meaning: String) -> Self {
        Self { key, kind, default, meaning }
    }
}

fn default(required: bool, value: Option<&Json>) -> String {
    match value {
        _ if required => "required".to_owned(),
        Some(Json::String(text)) if text.is_empty() => String::new(),
        Some(Json::Array(_) | Json::Object(_) | Json::Null) | None => String::new(),
        Some(value) => format!("`{value}`"),
    }
}

/// A description without the header of the table it is of.
fn without_header(text: &str) -> String {
    let Some((_, rest)) = text.strip_prefix("`[").and_then(|rest| rest.split_once("]`")) else { return plain(text) };
    let rest = plain(rest.trim_start_matches(':'));
    let mut chars = rest.chars();
    chars.next().into_iter().flat_map(char::to_uppercase).chain(chars.clone()).collect()
}

/// A description on one line.
fn plain(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A description in a cell of a table.
fn cell(text: &str) -> String {
    plain(text).replace('|', "\\|")
}
