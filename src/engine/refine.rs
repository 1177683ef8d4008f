//! From a vendor's record to what the journal keeps: the transforms in order, then frozen.

use bytes::Bytes;

use crate::event::{Arena, Event, RecordKey};
use crate::journal::{DeadLetter, Dropped, New};
use crate::source::Raw;
use crate::transform::redact::Hits;
use crate::transform::{Exit, Notes, Transform};

/// What became of one record.
#[derive(Debug)]
pub enum Refined {
    /// A record for the sinks.
    Record(New),
    /// One that a person has to look at.
    Dead(DeadLetter),
    /// One that the operator does not want, counted under the reason.
    Dropped(Dropped),
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
                let (to, twin) = (notes.to.take(), notes.twin);
                Refined::Record(New { key: RecordKey::of(event.id), record, to, twin })
            }
            Err((_, Exit::Dropped { reason })) => {
                Refined::Dropped(Dropped { key: RecordKey::of(event.id), time: event.time, reason })
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
        reason: transforms.iter().fold(reason.to_owned(), |reason, transform| transform.dead_reason(reason)),
        body: Bytes::from(transforms.iter().fold(body, |body, transform| transform.dead_body(body))),
    }
}

fn redacted(text: String, transforms: &[Box<dyn Transform>]) -> String {
    transforms.iter().fold(text, |text, transform| transform.text(text))
}
