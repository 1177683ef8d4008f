//! The records of a batch, and the digest that names them.

use std::hash::Hasher as _;
use std::ops::{Deref, DerefMut};
use std::slice;
use std::sync::{Arc, OnceLock};
use std::vec;

use twox_hash::XxHash64;

use crate::Record;

/// A list of records that is shared by its clones, and knows its digest once it was asked for it. Whoever changes a record
/// gets a list of their own, without a digest.
#[derive(Clone, Debug, Default)]
pub struct Records(Arc<Inner>);

#[derive(Clone, Debug, Default)]
struct Inner {
    list: Vec<Record>,
    digest: OnceLock<String>,
}

impl Records {
    /// Sixteen digits that tell these records from others: by id, time and JSON, in their order.
    #[must_use]
    pub fn digest(&self) -> &str {
        self.0.digest.get_or_init(|| digest(&self.0.list))
    }
}

/// By a hash that is the same on every machine and in every version, and costs next to nothing. It tells batches of the same
/// numbers apart, of which there are two at most where a state folder was restored: nothing is to be gained by forging one.
fn digest(records: &[Record]) -> String {
    let mut hash = XxHash64::with_seed(0);
    for record in records {
        hash.write(&(record.id.len() as u64).to_be_bytes());
        hash.write(record.id.as_bytes());
        // As finely as the journal keeps it.
        hash.write(&record.time.timestamp_micros().to_be_bytes());
        hash.write(&(record.json.len() as u64).to_be_bytes());
        hash.write(&record.json);
    }
    format!("{:016x}", hash.finish())
}

impl Deref for Records {
    type Target = Vec<Record>;

    fn deref(&self) -> &Vec<Record> {
        &self.0.list
    }
}

impl DerefMut for Records {
    fn deref_mut(&mut self) -> &mut Vec<Record> {
        let inner = Arc::make_mut(&mut self.0);
        inner.digest.take();
        &mut inner.list
    }
}

impl From<Vec<Record>> for Records {
    fn from(list: Vec<Record>) -> Self {
        Self(Arc::new(Inner { list, digest: OnceLock::new() }))
    }
}

impl From<Records> for Vec<Record> {
    fn from(records: Records) -> Self {
        Arc::unwrap_or_clone(records.0).list
    }
}

impl PartialEq for Records {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Records {}

impl PartialEq<Vec<Record>> for Records {
    fn eq(&self, other: &Vec<Record>) -> bool {
        **self == *other
    }
}

impl IntoIterator for Records {
    type Item = Record;
    type IntoIter = vec::IntoIter<Record>;

    fn into_iter(self) -> Self::IntoIter {
        Vec::from(self).into_iter()
    }
}

impl<'a> IntoIterator for &'a Records {
    type Item = &'a Record;
    type IntoIter = slice::Iter<'a, Record>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<'a> IntoIterator for &'a mut Records {
    type Item = &'a mut Record;
    type IntoIter = slice::IterMut<'a, Record>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter_mut()
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use crate::contract::numbered;

    #[test]
    fn whatever_differs_in_a_record_makes_another_digest() {
        let batch = numbered("p", 1, 3);
        let mut digests = vec![batch.records.digest().to_owned()];
        let mut other = batch.clone();
        other.records[1].id.push('x');
        digests.push(other.records.digest().to_owned());
        other = batch.clone();
        other.records[1].json = r#"{"n":3}"#.into();
        digests.push(other.records.digest().to_owned());
        other = batch.clone();
        other.records[1].time += TimeDelta::microseconds(1);
        digests.push(other.records.digest().to_owned());
        other = batch.clone();
        other.records.swap(0, 2);
        digests.push(other.records.digest().to_owned());
        other = batch.clone();
        // What stands before and behind the border between id and JSON.
        let record = &mut other.records[0];
        record.json = record.json.slice(1..);
        record.id.push('{');
        digests.push(other.records.digest().to_owned());
        let count = digests.len();
        digests.sort();
        digests.dedup();
        assert_eq!(digests.len(), count);
    }

    // Objects are found again by it: another computation would deliver what is on its way during an upgrade twice.
    #[test]
    fn the_digest_stays_what_it_is() {
        let batch = numbered("p", 1, 3);
        assert_eq!(batch.records.digest(), "9aa3d3da833281f7");
        assert_eq!(batch.records.digest(), batch.clone().records.digest());
    }

    #[test]
    fn a_change_is_seen_after_the_digest_was_asked_for() {
        let mut batch = numbered("p", 1, 3);
        let before = batch.records.digest().to_owned();
        batch.records.pop();
        assert_ne!(batch.records.digest(), before);
        batch.records.extend(numbered("p", 3, 1).records);
        assert_eq!(batch.records.digest(), before);
    }
}
