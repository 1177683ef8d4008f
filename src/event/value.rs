//! The form an event has in memory: a tree that borrows its texts and lives in one arena per page.
//!
//! A page is decoded into the arena, its events are changed by building new nodes beside the old ones, encoded, and the
//! arena is then emptied at once. Nothing is freed one by one, a transform copies only what it changes, and numbers stay
//! the digits the vendor wrote. `make bench` compares this form with `serde_json::Value` and `sonic_rs::Value`.

use bumpalo::Bump;

/// Where the nodes and texts of one page live.
pub type Arena = Bump;

/// A JSON value. Small and `Copy`: changing an event means building another one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number as it was written: no digit is lost, whatever its size.
    Number(&'a str),
    /// A text, unescaped.
    String(&'a str),
    /// A list.
    Array(&'a [Value<'a>]),
    /// An object: its members in the order they came, doubled keys included.
    Object(&'a [Member<'a>]),
}

/// A key and its value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Member<'a> {
    /// The key, unescaped.
    pub key: &'a str,
    /// What it holds.
    pub value: Value<'a>,
}

impl<'a> Member<'a> {
    /// A member of an object.
    #[must_use]
    pub fn new(key: &'a str, value: Value<'a>) -> Self {
        Self { key, value }
    }
}

impl<'a> Value<'a> {
    /// The member of that key, if this is an object that has one. The last of doubled keys, as most readers take it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Value<'a>> {
        match self {
            Value::Object(members) => members.iter().rev().find(|member| member.key == key).map(|member| member.value),
            _ => None,
        }
    }

    /// The text, if this is one.
    #[must_use]
    pub fn as_str(&self) -> Option<&'a str> {
        match self {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// The items, if this is a list.
    #[must_use]
    pub fn as_array(&self) -> Option<&'a [Value<'a>]> {
        match self {
            Value::Array(items) => Some(items),
            _ => None,
        }
    }

    /// The members, if this is an object.
    #[must_use]
    pub fn as_object(&self) -> Option<&'a [Member<'a>]> {
        match self {
            Value::Object(members) => Some(members),
            _ => None,
        }
    }

    /// The whole number, if this is one that fits.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Value::Number(digits) => digits.parse().ok(),
            _ => None,
        }
    }

    /// `true` or `false`, if this is one of them.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Value::Bool(flag) => Some(*flag),
            _ => None,
        }
    }

    /// Whether this is `null`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    /// Whether this says nothing: `null`, an empty text, list or object.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self {
            Value::Null => true,
            Value::String(text) => text.is_empty(),
            Value::Array(items) => items.is_empty(),
            Value::Object(members) => members.is_empty(),
            Value::Bool(_) | Value::Number(_) => false,
        }
    }

    /// What kind of JSON this is, for messages.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::Array(_) => "a list",
            Value::Object(_) => "an object",
        }
    }

    /// A number node.
    #[must_use]
    pub fn integer(number: i64, arena: &'a Arena) -> Self {
        let mut digits = itoa::Buffer::new();
        Value::Number(arena.alloc_str(digits.format(number)))
    }
}
