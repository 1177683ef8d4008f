//! A value that was parsed and not yet decoded, with its place.

use std::cell::Cell;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use serde::de::{self, Deserialize, DeserializeOwned, Deserializer, Visitor};
use toml::de::{DeTable, DeValue};
use toml::value::Datetime;

use super::Context;
use super::decode;
use super::file::{File, Place};
use super::mask;
use super::problem::Problems;
use super::spanned::{self, Spanned};

/// The newtype name by which our deserializer learns that a node is asked for.
pub(super) const NODE_NAME: &str = "$auditline::Node";

/// A value of a document and where it stands: for parameters whose keys are not known when the program is built.
///
/// Cheap to clone. A field of this type takes any value as it is, to be decoded later. `Debug` prints the place and
/// never the value, which may be a secret.
#[derive(Clone)]
pub struct Node(Arc<Inner>);

/// Tells nodes of one document apart.
pub(super) type NodeId = usize;

struct Inner {
    id: NodeId,
    file: Arc<File>,
    span: Range<usize>,
    /// The key it stands under.
    key: Option<Range<usize>>,
    value: Value,
}

pub(super) enum Value {
    String(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    Datetime(Datetime),
    Array(Vec<Node>),
    /// In the order of the file.
    Table(Vec<Entry>),
}

pub(super) struct Entry {
    pub(super) name: Spanned<String>,
    /// The name once more as a value, because keys are decoded too.
    pub(super) key: Node,
    pub(super) value: Node,
}

impl Node {
    /// Decodes it, reporting all that is wrong and not only the first mistake.
    ///
    /// `None` when a value is missing or wrong. Where nothing worse was found than unknown keys, those are errors in
    /// `context.problems` and the value comes without them, so that later checks can go on: look at
    /// [`Problems::has_errors`] before acting on what was decoded.
    pub fn decode<T: DeserializeOwned>(&self, context: &Context<'_>) -> Option<T> {
        decode::decode(self, context)
    }

    /// Where it stands: the value, or the header of a table.
    #[must_use]
    pub fn place(&self) -> Place {
        Place::new(&self.0.file, self.0.span.clone())
    }

    /// Where to say something about a table as a whole: its header, else its key. A value's own place.
    #[must_use]
    pub fn head(&self) -> Place {
        match (&self.0.value, &self.0.key) {
            (Value::Table(_), None) if self.0.id == 0 => Place::whole(&self.0.file),
            (Value::Table(_), Some(key)) if self.is_inline() => Place::new(&self.0.file, key.clone()),
            _ => self.place(),
        }
    }

    /// What it is, for messages: `a string`, `an array`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match &self.0.value {
            Value::String(_) => "a string",
            Value::Integer(_) => "an integer",
            Value::Float(_) => "a float",
            Value::Boolean(_) => "a boolean",
            Value::Datetime(_) => "a date or time",
            Value::Array(_) => "an array",
            Value::Table(_) => "a table",
        }
    }

    /// Its text, if it is a string.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match &self.0.value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// Its value, if it is an integer.
    #[must_use]
    pub fn as_integer(&self) -> Option<i64> {
        match self.0.value {
            Value::Integer(number) => Some(number),
            _ => None,
        }
    }

    /// Its value, if it is a float or an integer.
    #[must_use]
    pub fn as_float(&self) -> Option<f64> {
        match self.0.value {
            Value::Float(number) => Some(number),
            Value::Integer(number) => Some(number as f64),
            _ => None,
        }
    }

    /// Its value, if it is a boolean.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match self.0.value {
            Value::Boolean(yes) => Some(yes),
            _ => None,
        }
    }

    /// Its value, if it is a date, a time or both.
    #[must_use]
    pub fn as_datetime(&self) -> Option<&Datetime> {
        match &self.0.value {
            Value::Datetime(datetime) => Some(datetime),
            _ => None,
        }
    }

    /// Its elements, if it is an array.
    #[must_use]
    pub fn as_array(&self) -> Option<&[Node]> {
        match &self.0.value {
            Value::Array(nodes) => Some(nodes),
            _ => None,
        }
    }

    /// Its keys and values in the order of the file, if it is a table.
    pub fn as_table(&self) -> Option<impl Iterator<Item = (&Spanned<String>, &Node)>> {
        let entries = self.entries()?.iter();
        Some(entries.map(|entry| (&entry.name, &entry.value)))
    }

    /// The value under `key`, if it is a table that has one.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Node> {
        let entry = self.entries()?.iter().find(|entry| entry.name.value == key)?;
        Some(&entry.value)
    }

    /// The same value in JSON; dates and times become strings, as do the floats JSON has no number for.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        match &self.0.value {
            Value::String(text) => text.as_str().into(),
            Value::Integer(number) => (*number).into(),
            Value::Float(number) => serde_json::Number::from_f64(*number)
                .map_or_else(|| number.to_string().into(), serde_json::Value::Number),
            Value::Boolean(yes) => (*yes).into(),
            Value::Datetime(datetime) => datetime.to_string().into(),
            Value::Array(nodes) => nodes.iter().map(Node::to_json).collect(),
            Value::Table(entries) => {
                let pairs = entries.iter().map(|e| (e.name.value.clone(), e.value.to_json()));
                pairs.collect::<serde_json::Map<_, _>>().into()
            }
        }
    }

    /// The file it stands in.
    #[must_use]
    pub fn file(&self) -> &Arc<File> {
        &self.0.file
    }

    /// Shows nothing of its values where its lines are shown, but for what can be no secret. For what stands under a key
    /// that nobody knows: it may be a secret whose key is misspelled.
    pub fn cover(&self) {
        mask::cover(self);
    }

    pub(super) fn id(&self) -> NodeId {
        self.0.id
    }

    pub(super) fn span(&self) -> Range<usize> {
        self.0.span.clone()
    }

    pub(super) fn key_span(&self) -> Option<Range<usize>> {
        self.0.key.clone()
    }

    pub(super) fn value(&self) -> &Value {
        &self.0.value
    }

    pub(super) fn entries(&self) -> Option<&[Entry]> {
        match &self.0.value {
            Value::Table(entries) => Some(entries),
            _ => None,
        }
    }

    /// Whether it stands on the line of its key, unlike a table with a header.
    pub(super) fn is_inline(&self) -> bool {
        let text = self.0.file.text().get(self.0.span.clone());
        !matches!(self.0.value, Value::Table(_)) || text.is_some_and(|text| text.starts_with('{'))
    }

    pub(super) fn root(file: &Arc<File>, table: DeTable<'_>, problems: &Problems) -> Self {
        let planter = Planter { file, problems, next: Cell::new(0) };
        planter.node(0..0, None, |planter| planter.table(table))
    }
}

/// Grows our tree from the parser's.
struct Planter<'a> {
    file: &'a Arc<File>,
    problems: &'a Problems,
    next: Cell<NodeId>,
}

impl Planter<'_> {
    fn node(&self, span: Range<usize>, key: Option<Range<usize>>, value: impl FnOnce(&Self) -> Value) -> Node {
        let id = self.next.replace(self.next.get() + 1);
        Node(Arc::new(Inner { id, file: self.file.clone(), span, key, value: value(self) }))
    }

    fn table(&self, table: DeTable<'_>) -> Value {
        let mut entries: Vec<Entry> = Vec::new();
        for (key, value) in table {
            let (at, name) = (key.span(), key.into_inner().into_owned());
            entries.push(Entry {
                name: Spanned::new(name.clone(), Place::new(self.file, at.clone())),
                key: self.node(at.clone(), None, |_| Value::String(name)),
                value: self.node(value.span(), Some(at), |me| me.value(value)),
            });
        }
        entries.sort_by_key(|entry| entry.key.span().start);
        Value::Table(entries)
    }

    fn value(&self, value: toml::Spanned<DeValue<'_>>) -> Value {
        let span = value.span();
        match value.into_inner() {
            DeValue::String(text) => Value::String(text.into_owned()),
            DeValue::Integer(number) => {
                let parsed = i64::from_str_radix(number.as_str(), number.radix());
                Value::Integer(parsed.unwrap_or_else(|_| self.too_large(span)))
            }
            DeValue::Float(number) => {
                let parsed = number.as_str().parse().ok();
                let kept = parsed.filter(|n: &f64| n.is_finite() || number.as_str().contains(['i', 'n']));
                Value::Float(kept.unwrap_or_else(|| self.too_large(span)))
            }
            DeValue::Boolean(yes) => Value::Boolean(yes),
            DeValue::Datetime(datetime) => Value::Datetime(datetime),
            DeValue::Array(array) => {
                let node = |value: toml::Spanned<DeValue<'_>>| self.node(value.span(), None, |me| me.value(value));
                Value::Array(array.into_iter().map(node).collect())
            }
            DeValue::Table(table) => self.table(table),
        }
    }

    fn too_large<T: Default>(&self, span: Range<usize>) -> T {
        let written = self.file.text().get(span.clone()).unwrap_or_default();
        // That is told as an error of syntax.
        if !begins_with_zero(written) {
            self.problems.error_at(&Place::new(self.file, span), "this number is too large");
        }
        T::default()
    }
}

/// Whether `number` is written with a zero before its digits, which TOML does not have.
fn begins_with_zero(number: &str) -> bool {
    let digits = number.trim_start_matches(['+', '-']).strip_prefix('0');
    digits.is_some_and(|digits| digits.starts_with(|c: char| c.is_ascii_digit() || c == '_'))
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.kind(), self.place())
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(NODE_NAME, NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, _: D) -> Result<Node, D::Error> {
        spanned::take_lent().ok_or_else(|| de::Error::custom("a node is read from a document only"))
    }
}
