//! `sample`: a share of what comes in masses.

use std::fmt;
use std::sync::Arc;

use super::condition::Matcher;
use super::{Exit, Notes, Transform};
use crate::event::{Arena, Event, RecordKey};

/// The reason under which the others are counted.
pub const SAMPLE: &str = "sample";

/// Keeps a share of the events, chosen by their ids: the same ones at every read, on every machine.
#[derive(Debug)]
pub struct Sample {
    /// Hashes below this are kept.
    below: u64,
    matcher: Option<Matcher>,
    /// Tells the steps of one pipeline apart, so that the second does not choose what the first has chosen already.
    salt: String,
    reason: Arc<str>,
}

impl Sample {
    /// Keeps this share, between 0 and 1, of the events that fit, and all that do not. `number` counts the steps of this
    /// kind.
    #[must_use]
    pub fn new(share: f64, matcher: Option<Matcher>, number: usize) -> Self {
        let below = (share * 2_f64.powi(64)) as u64;
        Self { below, matcher, salt: format!("sample {number}"), reason: SAMPLE.into() }
    }
}

impl Transform for Sample {
    fn apply<'a>(&self, event: Event<'a>, _: &'a Arena, _: &mut Notes) -> Result<Event<'a>, Exit> {
        if self.matcher.as_ref().is_some_and(|matcher| !matcher.holds(event.body)) {
            return Ok(event);
        }
        let RecordKey(hash) = RecordKey::of(event.id).derived(&self.salt);
        let hash = hash[..8].iter().fold(0, |hash, byte| hash << 8 | u64::from(*byte));
        match hash < self.below {
            true => Ok(event),
            false => Err(Exit::Dropped { reason: Arc::clone(&self.reason) }),
        }
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("sample")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transform::condition::tests::{event, matcher};

    /// Which of 10,000 ids are kept.
    fn kept(sample: &Sample, body: &str) -> Vec<u32> {
        let arena = Arena::new();
        let keeps =
            |id: &u32| sample.apply(event(&id.to_string(), body, &arena), &arena, &mut Notes::default()).is_ok();
        (0..10_000).filter(keeps).collect()
    }

    #[test]
    fn a_share_is_kept_and_always_the_same() {
        let sample = Sample::new(0.1, None, 0);
        let kept_ids = kept(&sample, "{}");
        // Of 10,000 fair throws, five standard deviations.
        assert!((850..1150).contains(&kept_ids.len()), "{}", kept_ids.len());
        assert_eq!(kept_ids, kept(&Sample::new(0.1, None, 0), r#"{"changed":1}"#));
        let larger = kept(&Sample::new(0.5, None, 0), "{}");
        assert!(kept_ids.iter().all(|id| larger.contains(id)), "a larger share holds the smaller one");
    }

    #[test]
    fn a_second_step_chooses_anew() {
        let first = kept(&Sample::new(0.5, None, 0), "{}");
        let second = kept(&Sample::new(0.5, None, 1), "{}");
        let both = first.iter().filter(|id| second.contains(id)).count();
        assert!((2250..2750).contains(&both), "{both}");
    }

    #[test]
    fn what_does_not_fit_is_left_alone() {
        let sample = Sample::new(0.001, Some(matcher(r#"{ op = "Get*" }"#).unwrap()), 0);
        assert_eq!(kept(&sample, r#"{"op":"Put"}"#).len(), 10_000);
        assert!(kept(&sample, r#"{"op":"GetObject"}"#).len() < 100);
    }
}
