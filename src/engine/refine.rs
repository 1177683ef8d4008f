//! From a vendor's record to what the journal keeps: the transforms in order, then frozen.

use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};

use crate::event::{Arena, Event, Record, RecordKey};
use crate::journal::DeadLetter;
use crate::source::Raw;
use crate::transform::redact::Hits;
use crate::transform::{Exit, Notes, Transform};

/// What became of one record.
#[derive(Debug)]
pub enum Refined {
    /// A record for the sinks.
    Record(RecordKey, Record),
    /// One that a person has to look at.
    Dead(DeadLetter),
    /// One that the operator does not want, counted under the reason.
    Dropped {
        /// What it is known by.
        key: RecordKey,
        /// When it happened.
        time: DateTime<Utc>,
        /// In the operator's words.
        reason: Arc<str>,
    },
}

/// The stage that dead letters of this kind name.
const STAGE: &str = "transform";

/// Runs the transforms over one record.
pub fn refine<'a>(raw: Raw<'a>, transforms: &[Box<dyn Transform>], arena: &'a Arena) -> (Refined, Hits) {
    let mut notes = Notes::default();
    let refined = match raw {
        Raw::Event(event) => match apply(event, transforms, arena, &mut notes) {
            Ok(done) => {
                let mut record = done.freeze();
                record.id = redacted(record.id, transforms);
                Refined::Record(RecordKey::of(event.id), record)
            }
            Err((_, Exit::Dropped { reason })) => {
                Refined::Dropped { key: RecordKey::of(event.id), time: event.time, reason }
            }
            Err((transform, Exit::Dead { reason })) => {
                let body = crate::event::json::to_string(&event.body);
                Refined::Dead(dead(RecordKey::of(event.id), body, &format!("{transform}: {reason}"), transforms))
            }
        },
        Raw::Unreadable { text, reason } => {
            Refined::Dead(dead(RecordKey::of(text), text.to_owned(), reason, transforms))
        }
    };
    (refined, notes.hits)
}

/// The changed event, or why it goes no further and after which transform.
fn apply<'a, 't>(
    event: Event<'a>,
    transforms: &'t [Box<dyn Transform>],
    arena: &'a Arena,
    notes: &mut Notes,
) -> Result<Event<'a>, (&'t dyn Transform, Exit)> {
    transforms.iter().try_fold(event, |event, transform| {
        transform.apply(event, arena, notes).map_err(|exit| (transform.as_ref(), exit))
    })
}

/// A dead letter reaches the disk like a record does, so it is redacted like one.
fn dead(key: RecordKey, body: String, reason: &str, transforms: &[Box<dyn Transform>]) -> DeadLetter {
    DeadLetter {
        key,
        stage: STAGE.to_owned(),
        reason: redacted(reason.to_owned(), transforms),
        body: Bytes::from(transforms.iter().fold(body, |body, transform| transform.dead_body(body))),
    }
}

fn redacted(text: String, transforms: &[Box<dyn Transform>]) -> String {
    transforms.iter().fold(text, |text, transform| transform.text(text))
}
