//! From a vendor's record to what the journal keeps: the transforms in order, then frozen.

use bytes::Bytes;

use crate::event::{Arena, Event, Record, RecordKey};
use crate::journal::DeadLetter;
use crate::source::Raw;
use crate::transform::{Tally, Transform};

/// What became of one record.
#[derive(Debug)]
pub enum Refined {
    /// A record for the sinks.
    Record(RecordKey, Record),
    /// One that a person has to look at.
    Dead(DeadLetter),
}

/// The stage that dead letters of this kind name.
const STAGE: &str = "transform";

/// Runs the transforms over one record.
pub fn refine<'a>(raw: Raw<'a>, transforms: &[Box<dyn Transform>], arena: &'a Arena) -> (Refined, Tally) {
    let mut tally = Tally::default();
    let refined = match raw {
        Raw::Event(event) => match apply(event, transforms, arena, &mut tally) {
            Ok(done) => {
                let mut record = done.freeze();
                record.id = redacted(record.id, transforms);
                Refined::Record(RecordKey::of(event.id), record)
            }
            Err(reason) => Refined::Dead(dead(
                RecordKey::of(event.id),
                crate::event::json::to_string(&event.body),
                &reason,
                transforms,
            )),
        },
        Raw::Unreadable { text, reason } => {
            Refined::Dead(dead(RecordKey::of(text), text.to_owned(), reason, transforms))
        }
    };
    (refined, tally)
}

fn apply<'a>(
    event: Event<'a>,
    transforms: &[Box<dyn Transform>],
    arena: &'a Arena,
    tally: &mut Tally,
) -> Result<Event<'a>, String> {
    transforms.iter().try_fold(event, |event, transform| {
        transform.apply(event, arena, tally).map_err(|unfit| format!("{transform}: {unfit}"))
    })
}

/// A dead letter reaches the disk like a record does, so it is redacted like one.
fn dead(key: RecordKey, body: String, reason: &str, transforms: &[Box<dyn Transform>]) -> DeadLetter {
    DeadLetter {
        key,
        stage: STAGE.to_owned(),
        reason: redacted(reason.to_owned(), transforms),
        body: Bytes::from(redacted(body, transforms)),
    }
}

fn redacted(text: String, transforms: &[Box<dyn Transform>]) -> String {
    transforms.iter().fold(text, |text, transform| transform.text(text))
}
