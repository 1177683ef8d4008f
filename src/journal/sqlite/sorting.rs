//! Which records of a page go on: those that are not seen before, repeated by others, or dropped.
//!
//! What is remembered of a record beside its own key has keys derived from it, and lives as long. That one was dropped is
//! remembered so that it is counted once; its own key is left alone, so that it is still new to whoever wants it later.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, params};

use super::filter::Filters;
use super::seen::{self, Sighting};
use crate::event::RecordKey;
use crate::journal::{Append, DEDUPE, Dropped};

/// What becomes of a page.
#[derive(Debug)]
pub(super) struct Sorted {
    /// The records to add, by their place in the page, in its order.
    pub new: Vec<usize>,
    /// What is dropped and was not before, by reason.
    pub dropped: BTreeMap<Arc<str>, u64>,
    /// How many of them are records that are repetitions.
    pub repetitions: u64,
}

/// What a pipeline remembers, in the transaction of one page.
pub(super) struct Memory<'m> {
    pub conn: &'m Connection,
    pub filters: &'m mut Filters,
    pub pipeline: i64,
    pub forget_hour: Option<i64>,
}

impl Memory<'_> {
    /// Sorts a page out, and remembers all of it.
    pub(super) fn sort(&mut self, page: &Append, now: DateTime<Utc>) -> rusqlite::Result<Sorted> {
        // A time that the vendor sets years ahead must not keep its era for years.
        let kept_by = |time: DateTime<Utc>| time.min(now).max(page.seen_at);
        let (repetitions, twins) = self.repetitions(page, &kept_by)?;
        let reason: Arc<str> = DEDUPE.into();
        let again = page.records.iter().filter(|new| repetitions.contains(&new.key)).map(|new| Dropped {
            key: new.key,
            time: new.record.time,
            reason: Arc::clone(&reason),
        });
        let dropped: Vec<Dropped> = page.dropped.iter().cloned().chain(again).collect();
        // What an earlier configuration let pass was delivered: it counts as that, and is not to be forgotten.
        let delivered = self.known(dropped.iter().map(|dropped| dropped.key))?;

        let records = page.records.iter().enumerate().filter(|(_, new)| !repetitions.contains(&new.key));
        let records = records.map(|(index, new)| Sighting { key: new.key, kept_by: kept_by(new.record.time), index });
        let others = dropped.iter().filter(|dropped| delivered.contains(&dropped.key));
        let others = others.map(|other| Sighting { key: other.key, kept_by: kept_by(other.time), index: usize::MAX });
        // In one go, so that a twin is in no later era than the record it was first met in.
        let mut new = self.remember(records.chain(others).chain(twins).collect())?;
        new.retain(|index| *index != usize::MAX);

        let marks = dropped.iter().enumerate().filter(|(_, dropped)| !delivered.contains(&dropped.key));
        let marks = marks.map(|(index, dropped)| Sighting {
            key: dropped.key.derived("dropped"),
            kept_by: kept_by(dropped.time),
            index,
        });
        let fresh = self.remember(marks.collect())?;
        let mut counts = BTreeMap::new();
        for index in &fresh {
            *counts.entry(Arc::clone(&dropped[*index].reason)).or_default() += 1;
        }
        self.count(&counts)?;
        let repetitions = fresh.iter().filter(|index| **index >= page.dropped.len()).count() as u64;
        Ok(Sorted { new, dropped: counts, repetitions })
    }

    /// The keys of the new records whose twins were added before, in this page or an earlier one, and the twins that are
    /// added with this one.
    ///
    /// A twin is kept for as long as the record it was first met in, however many repetitions follow: one that outlived it
    /// would make that record its own repetition when it is read again.
    fn repetitions(
        &mut self,
        page: &Append,
        kept_by: &dyn Fn(DateTime<Utc>) -> DateTime<Utc>,
    ) -> rusqlite::Result<(HashSet<RecordKey>, Vec<Sighting>)> {
        let (mut repetitions, mut twins) = (HashSet::new(), Vec::new());
        if page.records.iter().all(|new| new.twin.is_none()) {
            return Ok((repetitions, twins));
        }
        let mut firsts = HashMap::new();
        for (index, new) in page.records.iter().enumerate() {
            firsts.entry(new.key).or_insert(index);
        }
        let with_twins = page.records.iter().enumerate().filter_map(|(index, new)| Some((index, new, new.twin?)));
        let mut with_twins: Vec<_> = with_twins.filter(|(index, new, _)| firsts.get(&new.key) == Some(index)).collect();
        let delivered = self.known(with_twins.iter().map(|(_, new, _)| new.key))?;
        // A record that is read again is not its own repetition.
        with_twins.retain(|(_, new, _)| !delivered.contains(&new.key));
        let known = self.known(with_twins.iter().map(|(.., twin)| twin.derived("twin")))?;
        let mut met = HashSet::new();
        for (_, new, twin) in with_twins {
            let key = twin.derived("twin");
            if known.contains(&key) || !met.insert(key) {
                repetitions.insert(new.key);
            } else {
                twins.push(Sighting { key, kept_by: kept_by(new.record.time), index: usize::MAX });
            }
        }
        Ok((repetitions, twins))
    }

    fn count(&self, dropped: &BTreeMap<Arc<str>, u64>) -> rusqlite::Result<()> {
        for (reason, count) in dropped {
            self.conn
                .prepare_cached(
                    "INSERT INTO dropped (pipeline, reason, count) VALUES (?1, ?2, ?3)
                     ON CONFLICT DO UPDATE SET count = count + excluded.count",
                )?
                .execute(params![self.pipeline, reason, *count as i64])?;
        }
        Ok(())
    }

    fn known(&mut self, keys: impl Iterator<Item = RecordKey>) -> rusqlite::Result<HashSet<RecordKey>> {
        seen::known(self.conn, self.filters, self.pipeline, keys)
    }

    fn remember(&mut self, page: Vec<Sighting>) -> rusqlite::Result<Vec<usize>> {
        seen::remember(self.conn, self.filters, self.pipeline, page, self.forget_hour)
    }
}
