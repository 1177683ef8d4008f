//! From a vendor's record to what the journal keeps: the transforms in order, then frozen.

use std::sync::Arc;

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
                let record = done.freeze();
                let to = notes.to.take();
                // Once all steps have had their say, so that their order does not matter.
                let twin = notes.twin.map(|twin| among(twin, to.as_deref()));
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

/// The twin among events that go to the same sinks. One that goes elsewhere is no repetition: dropped for the other's sake, it
/// would be missing where only it goes.
fn among(twin: RecordKey, to: Option<&[Arc<str>]>) -> RecordKey {
    let Some(to) = to else { return twin };
    let mut names: Vec<&str> = to.iter().map(AsRef::as_ref).collect();
    names.sort_unstable();
    twin.derived(&format!("to\n{}", names.join("\n")))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_that_go_to_other_sinks_are_no_repetitions() {
        let twin = RecordKey::of("twin");
        let of = |to: &[&str]| {
            let to: Vec<Arc<str>> = to.iter().map(|sink| Arc::from(*sink)).collect();
            among(twin, Some(&to))
        };
        assert_eq!(among(twin, None), twin);
        assert_eq!(of(&["siem", "archive"]), of(&["archive", "siem"]));
        let all = [twin, of(&["siem"]), of(&["archive"]), of(&["siem", "archive"])];
        assert_eq!(all.iter().collect::<std::collections::HashSet<_>>().len(), 4);
    }
}
