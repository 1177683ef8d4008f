//! serde's view of a node: checks what a type asks for against what was written.

use serde::Deserializer;
use serde::de::value::{SeqDeserializer, StrDeserializer};
use serde::de::{IntoDeserializer, Visitor};

use auditline_sinks::secret::SECRET_NAME;

use super::access::{Elements, Fields, Kind};
use super::decode::{Failure, Session};
use super::node::{NODE_NAME, Node, Value};
use super::secret;
use super::spanned::{self, SPANNED_NAME};
use super::suggest;

/// A node being decoded. Whoever calls a visitor settles its failure, so that it is reported at the right place.
#[derive(Clone, Copy)]
pub(super) struct Reader<'s> {
    pub(super) node: &'s Node,
    pub(super) session: &'s Session<'s>,
}

impl<'s> Reader<'s> {
    pub(super) fn new(node: &'s Node, session: &'s Session<'s>) -> Self {
        Self { node, session }
    }

    fn expected(&self, what: impl AsRef<str>) -> Failure {
        let what = what.as_ref();
        Failure::wrong(format!("expected {what}, found {}", self.node.kind()))
    }

    fn expected_array(&self) -> Failure {
        let message = format!("expected an array, found {}", self.node.kind());
        match self.node.value() {
            Value::Table(_) if !self.node.is_inline() => {
                Failure::with_hint(message, "double the brackets of its header: `[[…]]`")
            }
            Value::String(_) => Failure::with_hint(message, "put it in brackets: `[\"…\"]`"),
            _ => Failure::wrong(message),
        }
    }

    fn expected_table(&self, known: &'static [&'static str]) -> Failure {
        let message = format!("expected a table, found {}", self.node.kind());
        match known {
            [first, ..] => {
                let hint = format!("write one, as in `{{ {first} = … }}`; known keys: {}", suggest::quoted(known));
                Failure::with_hint(message, hint)
            }
            [] => Failure::wrong(message),
        }
    }

    fn integer<T: TryFrom<i64>>(&self, least: i128, most: i128) -> Result<T, Failure> {
        let range = match (least, most) {
            (0, most) if most > u32::MAX.into() => "a whole number from 0".to_owned(),
            (_, most) if most > u32::MAX.into() => "a whole number".to_owned(),
            (least, most) => format!("a whole number from {least} to {most}"),
        };
        let number = self.node.as_integer().ok_or_else(|| self.expected(&range))?;
        let wrong = |_| Failure::wrong(format!("expected {range}, found `{number}`"));
        T::try_from(number).map_err(wrong)
    }

    /// A variant written as a word, or as the only key of a table.
    fn kind(&self, known: &'static [&'static str]) -> Result<Kind<'s>, Failure> {
        match self.node.value() {
            Value::String(name) if known.contains(&name.as_str()) => Ok(Kind::word(*self)),
            Value::String(name) => {
                Err(Failure::with_hint(format!("unknown value `{name}`"), suggest::known(name, "value", known)))
            }
            Value::Table(_) => self.only_key(known),
            _ => Err(self.expected(format!("one of {}", suggest::quoted(known)))),
        }
    }

    fn only_key(&self, known: &'static [&'static str]) -> Result<Kind<'s>, Failure> {
        let entries = self.node.entries().unwrap_or_default();
        let is_known = |name: &str| known.contains(&name);
        for entry in entries.iter().filter(|entry| !is_known(&entry.name)) {
            self.session.unknown(self.node, entry, "kind", known);
        }
        let kinds: Vec<_> = entries.iter().filter(|entry| is_known(&entry.name)).collect();
        match kinds.as_slice() {
            [] if entries.is_empty() => {
                Err(Failure::with_hint("no kind is named here", format!("known kinds: {}", suggest::quoted(known))))
            }
            [entry] if !self.session.is_passed_over(entry) => Ok(Kind::key(entry, self.session)),
            [first, second, ..] => {
                let message = format!("`{}` beside `{}`: only one kind can be meant", second.name, first.name);
                let failure = Failure::with_hint(message, "give each a table of its own");
                let _ = self.session.settle::<()>(&second.key, Err(failure));
                self.strike()
            }
            _ => self.strike(),
        }
    }

    fn strike<T>(&self) -> Result<T, Failure> {
        self.session.strike(self.node);
        Err(Failure::Told)
    }
}

macro_rules! integers {
    ($($deserialize:ident $visit:ident $type:ty;)*) => {
        $(fn $deserialize<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
            visitor.$visit(self.integer::<$type>(<$type>::MIN.into(), <$type>::MAX.into())?)
        })*
    };
}

macro_rules! like {
    ($target:ident: $($deserialize:ident)*) => {
        $(fn $deserialize<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
            self.$target(visitor)
        })*
    };
}

impl<'de> Deserializer<'de> for Reader<'_> {
    type Error = Failure;

    integers! {
        deserialize_i8 visit_i8 i8;
        deserialize_i16 visit_i16 i16;
        deserialize_i32 visit_i32 i32;
        deserialize_i64 visit_i64 i64;
        deserialize_u8 visit_u8 u8;
        deserialize_u16 visit_u16 u16;
        deserialize_u32 visit_u32 u32;
        deserialize_u64 visit_u64 u64;
    }

    like! { deserialize_f64: deserialize_f32 }
    like! { deserialize_str: deserialize_string deserialize_char deserialize_identifier }
    like! { deserialize_any: deserialize_bytes deserialize_byte_buf deserialize_unit deserialize_ignored_any }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        match self.node.value() {
            Value::String(text) => visitor.visit_str(text),
            Value::Integer(number) => visitor.visit_i64(*number),
            Value::Float(number) => visitor.visit_f64(*number),
            Value::Boolean(yes) => visitor.visit_bool(*yes),
            Value::Datetime(datetime) => visitor.visit_string(datetime.to_string()),
            Value::Array(nodes) => visitor.visit_seq(Elements::new(nodes, self.session)),
            Value::Table(_) => visitor.visit_map(Fields::of_map(self)),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        let yes = self.node.as_bool().ok_or_else(|| self.expected("`true` or `false`"))?;
        visitor.visit_bool(yes)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        let number = self.node.as_float().ok_or_else(|| self.expected("a number"))?;
        visitor.visit_f64(number)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        match self.node.value() {
            Value::String(text) => visitor.visit_str(text),
            Value::Datetime(datetime) => visitor.visit_string(datetime.to_string()),
            _ => Err(self.expected("a string")),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Failure> {
        match name {
            SPANNED_NAME | NODE_NAME => spanned::lend(self.node),
            SECRET_NAME => {
                let parts = secret::resolve(self.node, self.session)?;
                return visitor.visit_seq(SeqDeserializer::new(parts.into_iter()));
            }
            _ => {}
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        let nodes = self.node.as_array().ok_or_else(|| self.expected_array())?;
        visitor.visit_seq(Elements::new(nodes, self.session))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Failure> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Failure> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        match self.node.value() {
            Value::Table(_) => visitor.visit_map(Fields::of_map(self)),
            _ => Err(self.expected("a table")),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failure> {
        let entries = self.node.entries().ok_or_else(|| self.expected_table(known))?;
        for entry in entries.iter().filter(|entry| !known.contains(&entry.name.as_str())) {
            self.session.unknown(self.node, entry, "key", known);
        }
        visitor.visit_map(Fields::of_struct(self, known))
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Failure> {
        self.deserialize_struct(name, &[], visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failure> {
        visitor.visit_enum(self.kind(known)?)
    }
}

impl<'de> IntoDeserializer<'de, Failure> for Reader<'_> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

/// The name of a field or variant, for the seed that recognises it.
pub(super) fn name(text: &str) -> StrDeserializer<'_, Failure> {
    text.into_deserializer()
}
