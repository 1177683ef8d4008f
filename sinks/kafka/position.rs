//! How far a pipeline has got, as Kafka keeps it: an offset, and beside it what the last batches were and what of them
//! was rejected.
//!
//! The offset alone would not do. A state folder that was restored from a copy numbers other records with the same
//! sequences, and to take those for delivered would lose them. So a batch is known by its records.

use std::io::{Read as _, Write as _};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::explain::Why;
use crate::Batch;

/// How many batches are remembered. A journal asks again for its last one; what it may have lost of its own is not much.
const KEPT: usize = 16;
/// What brokers take beside an offset, unless `offset.metadata.max.bytes` says otherwise.
const ROOM: usize = 4096;

/// The batches delivered last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Position {
    /// The sequence of the last record delivered.
    pub last: Option<u64>,
    /// The newest first.
    delivered: Vec<Delivered>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Delivered {
    batch: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    rejected: Vec<Refused>,
    /// More was rejected than there is room for. It has to come again for its dead letters, and is then there twice.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    unlisted: bool,
}

/// The places that were rejected for one reason: bits, packed, for there may be thousands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Refused {
    why: Why,
    at: String,
}

impl Position {
    /// What Kafka keeps; `None` if that is nothing of ours.
    pub fn read(offset: u64, note: &str) -> Option<Self> {
        Some(Self { last: Some(offset), delivered: serde_json::from_str(note).ok()? })
    }

    /// What was rejected of a batch, in its order, if it has been delivered and that is known.
    pub fn rejected_of(&self, batch: &Batch) -> Option<Vec<(usize, Why)>> {
        let delivered = self.delivered(batch).filter(|delivered| !delivered.unlisted)?;
        let mut rejected = Vec::new();
        for refused in &delivered.rejected {
            rejected.extend(unpack(&refused.at)?.into_iter().map(|at| (at, refused.why)));
        }
        rejected.sort_unstable_by_key(|(at, _)| *at);
        Some(rejected)
    }

    /// Whether a batch has been delivered, and what was rejected of it was too much to be kept.
    pub fn is_unlisted(&self, batch: &Batch) -> bool {
        self.delivered(batch).is_some_and(|delivered| delivered.unlisted)
    }

    /// Whether this is what becomes of `before` by nothing at all or by this batch. A position that is gone is nobody's.
    pub fn follows(&self, before: &Self, batch: &Batch) -> bool {
        self.last.is_none()
            || self == before
            || self
                .delivered
                .split_first()
                .is_some_and(|(newest, others)| newest.batch == name(batch) && before.delivered.starts_with(others))
    }

    fn delivered(&self, batch: &Batch) -> Option<&Delivered> {
        let name = name(batch);
        self.delivered.iter().find(|delivered| delivered.batch == name)
    }

    /// The position after this batch.
    ///
    /// One of which nothing was taken leaves no trace: the next attempt repeats nothing, and finds out whether the topic has
    /// been mended meanwhile.
    pub fn after(&self, batch: &Batch, rejected: &[(usize, Why)]) -> Self {
        if rejected.len() == batch.records.len() {
            return self.clone();
        }
        let mut reasons: Vec<(Why, Vec<usize>)> = Vec::new();
        for (at, why) in rejected {
            match reasons.iter_mut().find(|(reason, _)| reason == why) {
                Some((_, places)) => places.push(*at),
                None => reasons.push((*why, vec![*at])),
            }
        }
        let rejected = reasons.into_iter().map(|(why, places)| Refused { why, at: pack(&places) }).collect();
        let mut delivered = vec![Delivered { batch: name(batch), rejected, unlisted: false }];
        if note(&delivered).len() > ROOM {
            delivered[0] = Delivered { batch: name(batch), rejected: Vec::new(), unlisted: true };
        }
        delivered.extend_from_slice(&self.delivered);
        delivered.truncate(KEPT);
        while delivered.len() > 1 && note(&delivered).len() > ROOM {
            delivered.pop();
        }
        Self { last: Some(batch.last), delivered }
    }

    /// What to keep beside the offset.
    pub fn note(&self) -> String {
        note(&self.delivered)
    }
}

fn note(delivered: &[Delivered]) -> String {
    serde_json::to_string(delivered).expect("texts in lists are JSON")
}

/// Sixteen characters that tell a batch from all others of its lane.
fn name(batch: &Batch) -> String {
    let mut hash = Sha256::new();
    hash.update(batch.first.to_be_bytes());
    hash.update(batch.last.to_be_bytes());
    for record in &batch.records {
        hash.update((record.id.len() as u64).to_be_bytes());
        hash.update(&record.id);
    }
    BASE64.encode(&hash.finalize()[..12])
}

fn pack(places: &[usize]) -> String {
    let longest = places.iter().max().map_or(0, |last| last / 8 + 1);
    let mut bits = vec![0u8; longest];
    for at in places {
        bits[at / 8] |= 1 << (at % 8);
    }
    let mut packed = DeflateEncoder::new(Vec::new(), Compression::best());
    packed.write_all(&bits).expect("memory takes all");
    BASE64.encode(packed.finish().expect("memory takes all"))
}

fn unpack(text: &str) -> Option<Vec<usize>> {
    let packed = BASE64.decode(text).ok()?;
    let mut bits = Vec::new();
    DeflateDecoder::new(packed.as_slice()).read_to_end(&mut bits).ok()?;
    Some((0..bits.len() * 8).filter(|at| bits[at / 8] & (1 << (at % 8)) != 0).collect())
}

#[cfg(test)]
mod tests {
    use rdkafka::error::RDKafkaErrorCode as Code;

    use super::*;
    use crate::contract::{gapped, numbered};

    fn kept(position: &Position) -> Position {
        Position::read(position.last.unwrap(), &position.note()).unwrap()
    }

    #[test]
    fn a_batch_is_known_with_what_was_rejected_of_it() {
        let (one, two) = (numbered("p", 1, 5000), numbered("p", 5001, 3));
        let rejected: Vec<(usize, Why)> =
            vec![(0, Why::Producer), (7, Why::of(Code::MessageSizeTooLarge).unwrap()), (4999, Why::Producer)];
        let position = kept(&Position::default().after(&one, &rejected).after(&two, &[]));
        assert_eq!(position.rejected_of(&one), Some(rejected));
        assert_eq!(position.rejected_of(&two), Some(vec![]));
        assert_eq!(position.last, Some(5003));
        assert!(position.note().len() < 200, "{}", position.note());
    }

    #[test]
    fn a_batch_of_which_nothing_was_taken_is_not_remembered() {
        let before = Position::default().after(&numbered("p", 1, 5), &[]);
        let all: Vec<(usize, Why)> = (0..12).map(|at| (at, Why::TooLarge)).collect();
        let batch = numbered("p", 6, 12);
        let after = before.after(&batch, &all);
        assert_eq!((&after, after.rejected_of(&batch)), (&before, None));
        assert_eq!(before.after(&batch, &all[1..]).rejected_of(&batch), Some(all[1..].to_vec()));
    }

    #[test]
    fn other_records_with_the_same_sequences_are_another_batch() {
        let position = Position::default().after(&numbered("p", 1, 5), &[]);
        let mut other = numbered("p", 1, 5);
        other.records[3].id = "of another life".to_owned();
        assert_eq!(position.rejected_of(&other), None);
        assert_eq!(position.rejected_of(&gapped("p", &[1, 5])), None);
    }

    /// The worst there is: no two neighbours alike, for two reasons, without a pattern.
    fn worst(count: usize) -> Vec<(usize, Why)> {
        let mut seed = 7u64;
        let mut random = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            seed >> 62
        };
        let whys = [Why::Producer, Why::of(Code::InvalidRecord).unwrap()];
        (0..count).filter_map(|at| whys.get(random() as usize).map(|why| (at, *why))).collect()
    }

    #[test]
    fn of_a_batch_beyond_all_bounds_it_is_known_that_it_was_delivered() {
        let batch = numbered("p", 1, 50_000);
        let before = Position::default().after(&numbered("p", 1, 10), &[]);
        let position = kept(&before.after(&batch, &worst(50_000)));
        assert!(position.note().len() <= ROOM);
        assert!(position.is_unlisted(&batch));
        assert_eq!((position.rejected_of(&batch), position.last), (None, Some(50_000)));
        assert!(position.follows(&before, &batch));
    }

    #[test]
    fn somebody_elses_batch_is_told_from_ours() {
        let [a, b, c] = [1, 6, 11].map(|first| numbered("p", first, 5));
        let before = Position::default().after(&a, &[]);
        assert!(before.follows(&before, &b));
        assert!(before.after(&b, &[(3, Why::TooLarge), (1, Why::Producer)]).follows(&before, &b));
        assert!(!before.after(&c, &[]).follows(&before, &b));
        assert!(!before.after(&b, &[]).after(&c, &[]).follows(&before, &b));
        assert!(!before.after(&c, &[]).after(&b, &[]).follows(&before, &b));
        assert!(Position::default().follows(&before, &b), "it was forgotten");
        let mut long = before;
        for first in 0..40 {
            long = long.after(&numbered("p", 100 + first, 1), &[]);
        }
        assert!(kept(&long.after(&b, &[])).follows(&long, &b));
    }

    #[test]
    fn whatever_is_rejected_there_is_room_for_it() {
        let batch = numbered("p", 1, 5000);
        let rejected = worst(5000);
        let mut position = Position::default();
        for first in 0..40 {
            position = position.after(&numbered("p", first * 10 + 1, 10), &[]);
        }
        position = kept(&position.after(&batch, &rejected));
        assert!(position.note().len() <= ROOM);
        assert_eq!(position.rejected_of(&batch), Some(rejected));
        for _ in 0..40 {
            position = position.after(&numbered("p", 90_000, 3), &[]);
        }
        assert_eq!(position.rejected_of(&batch), None, "it is long gone");
    }

    #[test]
    fn what_another_has_written_is_not_ours() {
        assert_eq!(Position::read(7, ""), None);
        assert_eq!(Position::read(7, "consumed by hand"), None);
    }
}
