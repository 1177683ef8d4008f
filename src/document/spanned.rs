//! A decoded value that still knows where it was written.

use std::borrow::Borrow;
use std::cell::RefCell;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::ops::Deref;

use serde::de::{self, Deserialize, Deserializer, Visitor};

use super::file::Place;
use super::node::Node;

/// The newtype name by which our deserializer learns that a place is asked for.
pub(super) const SPANNED_NAME: &str = "$auditline::Spanned";

/// A value and where it was written: a later check can point there, with `problems.error_at(&field.place, …)`.
///
/// Equal, ordered and hashed by its value alone, so it serves as the key of a map too. Read from a document only.
#[derive(Clone)]
pub struct Spanned<T> {
    /// What was written.
    pub value: T,
    /// Where: the value, or the header or key of a table.
    pub place: Place,
}

impl<T> Spanned<T> {
    /// Puts a place to a value.
    pub fn new(value: T, place: Place) -> Self {
        Self { value, place }
    }

    /// The same place with another value.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Spanned<U> {
        Spanned::new(change(self.value), self.place)
    }
}

impl<T> Deref for Spanned<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl Borrow<str> for Spanned<String> {
    fn borrow(&self) -> &str {
        &self.value
    }
}

impl<T: PartialEq> PartialEq for Spanned<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: Eq> Eq for Spanned<T> {}

impl<T: PartialOrd> PartialOrd for Spanned<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.value.partial_cmp(&other.value)
    }
}

impl<T: Ord> Ord for Spanned<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.value.cmp(&other.value)
    }
}

impl<T: Hash> Hash for Spanned<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.value.hash(state);
    }
}

impl<T: fmt::Debug> fmt::Debug for Spanned<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

impl<T: fmt::Display> fmt::Display for Spanned<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

thread_local! {
    // serde's data model has no room for a node, so it crosses from our deserializer to our visitor beside it: laid
    // down right before the visitor is called, and picked up as the first thing the visitor does.
    static LENT: RefCell<Option<Node>> = const { RefCell::new(None) };
}

pub(super) fn lend(node: &Node) {
    LENT.set(Some(node.clone()));
}

pub(super) fn take_lent() -> Option<Node> {
    LENT.take()
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Spanned<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(SPANNED_NAME, SpannedVisitor(PhantomData))
    }
}

struct SpannedVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for SpannedVisitor<T> {
    type Value = Spanned<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Spanned<T>, D::Error> {
        let node = take_lent().ok_or_else(|| de::Error::custom("a place is read from a document only"))?;
        let value = T::deserialize(deserializer)?;
        Ok(Spanned::new(value, node.head()))
    }
}
