//! What flows: an [`Event`] while it is decoded and changed, a [`Record`](auditline_sinks::Record) once it is frozen.

mod clock;
mod id;
pub mod json;
mod mend;
mod path;
pub mod time;
mod value;

use std::cell::RefCell;

pub use auditline_sinks::Record;
use bytes::Bytes;
use chrono::{DateTime, Utc};

pub use self::clock::Clock;
pub use self::id::{RecordKey, fingerprint};
pub use self::mend::mend;
pub use self::path::{Path, PathError};
pub use self::value::{Arena, Member, Value};

/// A thread keeps room to write an event of this size in; a larger one is an exception.
const MOST_KEPT: usize = 64 * 1024;

/// One entry of a vendor's audit log on its way through the transforms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Event<'a> {
    /// The vendor's id of the record, or a fingerprint where it gives none.
    pub id: &'a str,
    /// When it happened.
    pub time: DateTime<Utc>,
    /// The vendor's record at first; what the transforms made of it later.
    pub body: Value<'a>,
}

impl Event<'_> {
    /// Encodes what the transforms made of it. From here on it does not change.
    #[must_use]
    pub fn freeze(&self) -> Record {
        thread_local! {
            static WRITTEN: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
        }
        // A page and a batch of them wait in memory: none keeps room that it does not need. So it is written elsewhere first.
        let json = WRITTEN.with_borrow_mut(|written| {
            written.clear();
            written.shrink_to(MOST_KEPT);
            json::encode(&self.body, written);
            Bytes::copy_from_slice(written)
        });
        Record { id: self.id.to_owned(), time: self.time, json }
    }
}
