//! How late the late records were.

use chrono::TimeDelta;

/// Late records by how far behind the watermark they turned up: what an `overlap` has to reach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lateness([u64; BOUNDS.len() + 1]);

/// The upper bounds of all counts but the last, which has none. In seconds.
const BOUNDS: [i64; 8] = [10, 60, 300, 900, 3600, 6 * 3600, 24 * 3600, 7 * 24 * 3600];

impl Lateness {
    /// Counts one record that turned up so far behind the watermark.
    pub fn note(&mut self, behind: TimeDelta) {
        let seconds = behind.num_seconds();
        let slot = BOUNDS.iter().position(|bound| seconds < *bound).unwrap_or(BOUNDS.len());
        self.0[slot] += 1;
    }

    /// Adds the counts of another one.
    pub fn add(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(count, more)| *count += more);
    }

    /// All late records.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The counts, each with what its records were less behind than; the last has no such bound.
    pub fn counts(&self) -> impl Iterator<Item = (Option<TimeDelta>, u64)> {
        let bounds = BOUNDS.into_iter().map(|seconds| Some(TimeDelta::seconds(seconds))).chain([None]);
        bounds.zip(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_record_is_counted_once_below_its_bound() {
        let mut lateness = Lateness::default();
        for seconds in [0, 9, 10, 59, 3600, 40 * 24 * 3600] {
            lateness.note(TimeDelta::seconds(seconds));
        }
        let counts: Vec<u64> = lateness.counts().map(|(_, count)| count).collect();
        assert_eq!(counts, [2, 2, 0, 0, 0, 1, 0, 0, 1]);
        let mut twice = lateness;
        twice.add(&lateness);
        assert_eq!((lateness.total(), twice.total()), (6, 12));
    }
}
