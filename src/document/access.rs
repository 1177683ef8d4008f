//! serde's view of what is inside a node: fields, elements, and the one key that says a kind.

use serde::Deserializer;
use serde::de::{DeserializeSeed, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor};

use super::decode::{Failure, Session};
use super::ghost::Ghost;
use super::node::{Entry, Node};
use super::reader::{self, Reader};

/// The entries of a table, without those that are struck.
pub(super) struct Fields<'s> {
    table: Reader<'s>,
    slots: std::vec::IntoIter<Slot<'s>>,
    current: Option<Slot<'s>>,
}

#[derive(Clone, Copy)]
enum Slot<'s> {
    Written(&'s Entry),
    /// A field that is missing, with a made-up value.
    Ghost(&'static str, usize),
}

impl<'s> Fields<'s> {
    pub(super) fn of_map(table: Reader<'s>) -> Self {
        Self::of_struct(table, &[])
    }

    pub(super) fn of_struct(table: Reader<'s>, known: &'static [&'static str]) -> Self {
        let entries = table.node.entries().unwrap_or_default().iter();
        let written = entries.filter(|entry| !table.session.is_passed_over(entry)).map(Slot::Written);
        let ghosts = known.iter().filter_map(|field| {
            let ghost = table.session.ghost(table.node, field)?;
            Some(Slot::Ghost(field, ghost))
        });
        let slots: Vec<_> = written.chain(ghosts).collect();
        Self { table, slots: slots.into_iter(), current: None }
    }
}

impl<'de> MapAccess<'de> for Fields<'_> {
    type Error = Failure;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Failure> {
        self.current = self.slots.next();
        match self.current {
            None => Ok(None),
            Some(Slot::Ghost(field, _)) => seed.deserialize(reader::name(field)).map(Some),
            Some(Slot::Written(entry)) => {
                let session = self.table.session;
                let key = seed.deserialize(Reader::new(&entry.key, session));
                session.settle(&entry.key, key).map(Some)
            }
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Failure> {
        let Reader { node, session } = self.table;
        match self.current.take() {
            None => Err(Failure::wrong("a value was asked for before its key")),
            Some(Slot::Written(entry)) => {
                let value = seed.deserialize(Reader::new(&entry.value, session));
                session.settle(&entry.value, value)
            }
            Some(Slot::Ghost(field, kind)) => seed.deserialize(Ghost::new(node, kind)).map_err(|_| {
                session.ghost_refused(node, field);
                Failure::Told
            }),
        }
    }
}

/// The elements of an array, without those that are struck.
pub(super) struct Elements<'s> {
    nodes: std::slice::Iter<'s, Node>,
    session: &'s Session<'s>,
}

impl<'s> Elements<'s> {
    pub(super) fn new(nodes: &'s [Node], session: &'s Session<'s>) -> Self {
        Self { nodes: nodes.iter(), session }
    }
}

impl<'de> SeqAccess<'de> for Elements<'_> {
    type Error = Failure;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Failure> {
        let session = self.session;
        let Some(node) = self.nodes.find(|node| !session.is_struck(node)) else {
            return Ok(None);
        };
        let element = seed.deserialize(Reader::new(node, session));
        session.settle(node, element).map(Some)
    }
}

/// Which variant of an enum is meant.
pub(super) struct Kind<'s> {
    /// What says it: a word, or the key of a table.
    name: &'s Node,
    content: Option<&'s Node>,
    session: &'s Session<'s>,
}

impl<'s> Kind<'s> {
    pub(super) fn word(reader: Reader<'s>) -> Self {
        Self { name: reader.node, content: None, session: reader.session }
    }

    pub(super) fn key(entry: &'s Entry, session: &'s Session<'s>) -> Self {
        Self { name: &entry.key, content: Some(&entry.value), session }
    }

    fn with_content<T>(self, read: impl FnOnce(Reader<'s>) -> Result<T, Failure>) -> Result<T, Failure> {
        let name = self.name.as_str().unwrap_or_default();
        let Some(node) = self.content else {
            return Err(Failure::with_hint(format!("`{name}` needs settings"), format!("write `{{ {name} = … }}`")));
        };
        self.session.settle(node, read(Reader::new(node, self.session)))
    }
}

impl<'de, 's> EnumAccess<'de> for Kind<'s> {
    type Error = Failure;
    type Variant = Kind<'s>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Kind<'s>), Failure> {
        let name = self.name.as_str().unwrap_or_default();
        Ok((seed.deserialize(reader::name(name))?, self))
    }
}

impl<'de> VariantAccess<'de> for Kind<'_> {
    type Error = Failure;

    fn unit_variant(self) -> Result<(), Failure> {
        let Some(node) = self.content else {
            return Ok(());
        };
        let name = self.name.as_str().unwrap_or_default();
        let result = match node.entries() {
            Some(entries) => {
                entries.iter().for_each(|entry| self.session.unknown(node, entry, "key", &[]));
                Ok(())
            }
            None => Err(Failure::wrong(format!("`{name}` takes no value, found {}", node.kind()))),
        };
        self.session.settle(node, result)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Failure> {
        self.with_content(|content| seed.deserialize(content))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Failure> {
        self.with_content(|content| content.deserialize_seq(visitor))
    }

    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Failure> {
        self.with_content(|content| content.deserialize_struct("", fields, visitor))
    }
}
