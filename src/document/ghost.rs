//! A made-up value for a field that is missing, so that decoding goes on to what is wrong behind it.

use serde::Deserializer;
use serde::de::value::{SeqDeserializer, StrDeserializer};
use serde::de::{DeserializeSeed, EnumAccess, IntoDeserializer, MapAccess, VariantAccess, Visitor};

use auditline_sinks::secret::SECRET_NAME;

use super::decode::Failure;
use super::node::{NODE_NAME, Node};
use super::spanned::{self, SPANNED_NAME};

/// Strings that types which parse them may take. A type that takes none hides the missing fields behind it, no more.
const TEXTS: [&str; 7] = ["x", "1s", "1B", "https://localhost", "localhost:1", "2026-01-01T00:00:00Z", ""];
/// How many kinds of ghost there are.
pub(super) const KINDS: usize = TEXTS.len();
/// Types may hold themselves.
const MAX_DEPTH: usize = 8;

#[derive(Clone, Copy)]
pub(super) struct Ghost<'s> {
    /// The table it appears in, which lends it a place.
    table: &'s Node,
    kind: usize,
    depth: usize,
}

impl<'s> Ghost<'s> {
    pub(super) fn new(table: &'s Node, kind: usize) -> Self {
        Self { table, kind, depth: 0 }
    }

    fn text(&self) -> &'static str {
        TEXTS[self.kind % KINDS]
    }

    fn inner(self) -> Result<Self, Failure> {
        let depth = self.depth + 1;
        (depth < MAX_DEPTH).then_some(Self { depth, ..self }).ok_or(Failure::Told)
    }
}

macro_rules! always {
    ($($deserialize:ident $visit:ident($($value:expr)?);)*) => {
        $(fn $deserialize<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
            visitor.$visit($($value)?)
        })*
    };
}

impl<'de> Deserializer<'de> for Ghost<'_> {
    type Error = Failure;

    always! {
        deserialize_bool visit_bool(false);
        deserialize_i8 visit_i8(1);
        deserialize_i16 visit_i16(1);
        deserialize_i32 visit_i32(1);
        deserialize_i64 visit_i64(1);
        deserialize_u8 visit_u8(1);
        deserialize_u16 visit_u16(1);
        deserialize_u32 visit_u32(1);
        deserialize_u64 visit_u64(1);
        deserialize_f32 visit_f32(1.0);
        deserialize_f64 visit_f64(1.0);
        deserialize_char visit_char('x');
        deserialize_unit visit_unit();
        deserialize_ignored_any visit_unit();
        deserialize_option visit_none();
    }

    serde::forward_to_deserialize_any! { str string bytes byte_buf identifier }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        visitor.visit_str(self.text())
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Failure> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Failure> {
        match name {
            SPANNED_NAME | NODE_NAME => spanned::lend(self.table),
            SECRET_NAME => {
                let parts = ["literal", "", "x"].into_iter();
                return visitor.visit_seq(SeqDeserializer::new(parts));
            }
            _ => {}
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        // Empty first; a list that may not be empty gets an element.
        let elements = vec![self.inner()?; self.kind.min(1)];
        visitor.visit_seq(SeqDeserializer::new(elements.into_iter()))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Failure> {
        let elements = vec![self.inner()?; length];
        visitor.visit_seq(SeqDeserializer::new(elements.into_iter()))
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Failure> {
        self.deserialize_tuple(length, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        self.deserialize_struct("", &[], visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failure> {
        visitor.visit_map(GhostFields { ghost: self.inner()?, fields: fields.iter() })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failure> {
        let variant = variants.get(self.kind % variants.len().max(1)).ok_or(Failure::Told)?;
        visitor.visit_enum(GhostKind { ghost: self.inner()?, variant })
    }
}

impl<'de> IntoDeserializer<'de, Failure> for Ghost<'_> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

struct GhostFields<'s> {
    ghost: Ghost<'s>,
    fields: std::slice::Iter<'static, &'static str>,
}

impl<'de> MapAccess<'de> for GhostFields<'_> {
    type Error = Failure;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Failure> {
        let field = self.fields.next();
        field.map(|field| seed.deserialize(StrDeserializer::new(field))).transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Failure> {
        seed.deserialize(self.ghost)
    }
}

struct GhostKind<'s> {
    ghost: Ghost<'s>,
    variant: &'static str,
}

impl<'de, 's> EnumAccess<'de> for GhostKind<'s> {
    type Error = Failure;
    type Variant = Ghost<'s>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Ghost<'s>), Failure> {
        Ok((seed.deserialize(StrDeserializer::new(self.variant))?, self.ghost))
    }
}

impl<'de> VariantAccess<'de> for Ghost<'_> {
    type Error = Failure;

    fn unit_variant(self) -> Result<(), Failure> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Failure> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Failure> {
        self.deserialize_tuple(length, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Failure> {
        self.deserialize_struct("", fields, visitor)
    }
}
