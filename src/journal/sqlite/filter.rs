//! Which eras an id is surely not in, told from memory: most ids are new, and need not be looked for on the disk.

use std::collections::HashMap;

use crate::event::RecordKey;

/// Memory for all filters together, at two bytes per id. Beyond it the disk is asked.
const MAX_BYTES: usize = 12 << 20;

/// The filters of a journal's eras. An era is named by its pipeline and itself.
///
/// An era that has no filter here is not known to be empty: [`load`](Filters::load) comes first.
#[derive(Debug, Default)]
pub(super) struct Filters {
    eras: HashMap<(i64, i64), Filter>,
    bytes: usize,
}

impl Filters {
    /// Whether the era has a filter.
    pub(super) fn knows(&self, pipeline: i64, era: i64) -> bool {
        self.eras.contains_key(&(pipeline, era))
    }

    /// Gives an era a filter with all the ids it has. After an error it still has none.
    pub(super) fn load<E>(
        &mut self,
        pipeline: i64,
        era: i64,
        keys: impl Iterator<Item = Result<RecordKey, E>>,
    ) -> Result<(), E> {
        let (mut filter, mut bytes) = (Filter::default(), self.bytes);
        for key in keys {
            filter.add(key?, &mut bytes);
        }
        self.bytes = bytes;
        self.eras.insert((pipeline, era), filter);
        Ok(())
    }

    /// Notes an id of an era. One that is noted and then not written does no harm.
    pub(super) fn add(&mut self, pipeline: i64, era: i64, key: RecordKey) {
        self.eras.entry((pipeline, era)).or_default().add(key, &mut self.bytes);
    }

    /// `false` if the era has no such id.
    pub(super) fn may_have(&self, pipeline: i64, era: i64, key: RecordKey) -> bool {
        self.eras.get(&(pipeline, era)).is_none_or(|filter| filter.may_have(key))
    }

    /// Lets go of the eras that a pipeline does not have any more.
    pub(super) fn keep_only(&mut self, pipeline: i64, eras: &[i64]) {
        let bytes = &mut self.bytes;
        self.eras.retain(|(of, era), filter| {
            let keep = *of != pipeline || eras.contains(era);
            if !keep {
                *bytes -= filter.bytes();
            }
            keep
        });
    }
}

/// A Bloom filter that grows: a part that is full is followed by one four times as large.
#[derive(Debug, Default)]
struct Filter {
    parts: Vec<Part>,
    /// There was no memory for its ids: any id may be here.
    full: bool,
}

#[derive(Debug)]
struct Part {
    /// 16 bits for each id, a power of two in all.
    bits: Vec<u64>,
    /// Ids that still go in.
    room: usize,
}

impl Filter {
    fn bytes(&self) -> usize {
        self.parts.iter().map(|part| part.bits.len() * 8).sum()
    }

    fn add(&mut self, key: RecordKey, total: &mut usize) {
        if self.full {
            return;
        }
        if self.parts.last().is_none_or(|part| part.room == 0) {
            let room = self.parts.last().map_or(512, |part| part.bits.len() * 4 * 4);
            if *total + room * 2 > MAX_BYTES {
                *total -= self.bytes();
                *self = Self { parts: Vec::new(), full: true };
                return;
            }
            *total += room * 2;
            self.parts.push(Part { bits: vec![0; room / 4], room });
        }
        if let Some(part) = self.parts.last_mut() {
            part.room -= 1;
            let mask = part.bits.len() * 64 - 1;
            places(key, mask).for_each(|place| part.bits[place / 64] |= 1 << (place % 64));
        }
    }

    fn may_have(&self, key: RecordKey) -> bool {
        let has = |part: &Part| {
            places(key, part.bits.len() * 64 - 1).all(|place| part.bits[place / 64] & (1 << (place % 64)) != 0)
        };
        self.full || self.parts.iter().any(has)
    }
}

/// The bits of an id: it is a hash already, so two halves of it give as many as are wanted.
fn places(key: RecordKey, mask: usize) -> impl Iterator<Item = usize> {
    let both = u128::from_le_bytes(key.0);
    let (start, step) = (both as usize, (both >> 64) as usize | 1);
    (0..6).map(move |turn: usize| start.wrapping_add(turn.wrapping_mul(step)) & mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u32) -> RecordKey {
        RecordKey::of(&number.to_string())
    }

    fn load(filters: &mut Filters, pipeline: i64, era: i64, keys: u32) {
        filters.load(pipeline, era, (0..keys).map(|number| Ok::<_, ()>(key(number)))).unwrap();
    }

    #[test]
    fn an_id_that_is_there_is_never_denied_and_others_mostly_are() {
        let mut filters = Filters::default();
        load(&mut filters, 1, 7, 40_000);
        assert!((0..40_000).all(|number| filters.may_have(1, 7, key(number))));
        let wrong = (40_000..50_000).filter(|number| filters.may_have(1, 7, key(*number))).count();
        assert!(wrong < 100, "{wrong} of 10000");
        assert!((80_000..200_000).contains(&filters.bytes), "{} bytes", filters.bytes);
    }

    #[test]
    fn an_era_that_was_not_loaded_may_have_anything() {
        let mut filters = Filters::default();
        load(&mut filters, 1, 7, 0);
        assert!(!filters.may_have(1, 7, key(1)));
        assert!(filters.may_have(1, 8, key(1)));
        assert!(filters.may_have(2, 7, key(1)));
    }

    #[test]
    fn an_era_that_could_not_be_read_may_have_anything() {
        let mut filters = Filters::default();
        assert_eq!(filters.load(1, 7, [Ok(key(1)), Err("broken disk")].into_iter()), Err("broken disk"));
        assert!(!filters.knows(1, 7) && filters.may_have(1, 7, key(2)));
        assert_eq!(filters.bytes, 0);
    }

    #[test]
    fn eras_that_are_gone_give_their_memory_back() {
        let mut filters = Filters::default();
        for era in 0..10 {
            load(&mut filters, 1, era, 1000);
            load(&mut filters, 2, era, 1000);
        }
        let before = filters.bytes;
        filters.keep_only(1, &[3]);
        assert_eq!(filters.bytes, before / 20 * 11);
        assert!(filters.knows(1, 3) && filters.knows(2, 4) && !filters.knows(1, 4));
    }

    #[test]
    fn without_memory_any_id_may_be_there() {
        let mut filters = Filters { bytes: MAX_BYTES - 2000, ..Filters::default() };
        load(&mut filters, 1, 7, 2000);
        assert!((0..4000).all(|number| filters.may_have(1, 7, key(number))));
        assert_eq!(filters.bytes, MAX_BYTES - 2000);
        filters.keep_only(1, &[]);
        assert_eq!(filters.bytes, MAX_BYTES - 2000);
    }
}
