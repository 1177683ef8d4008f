//! What was replaced, counted or told one by one.

use std::ops::{AddAssign, Index};

use super::Detector;

/// Is told of everything that is replaced, and where.
pub trait Tally {
    /// `found` was replaced by `stand_in`.
    fn hit(&mut self, detector: Detector, found: &str, stand_in: &str);

    /// Where it is all about how many, the numbers: then the same text is not looked at twice.
    fn counts(&mut self) -> Option<&mut Hits> {
        None
    }

    /// What follows is below this name or index, until [`leave`](Self::leave).
    fn enter(&mut self, part: &str) {
        let _ = part;
    }

    /// Back to what was before the last [`enter`](Self::enter).
    fn leave(&mut self) {}
}

/// How much each detector has replaced.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Hits([u64; Detector::ALL.len()]);

impl Hits {
    /// Of all detectors together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Counts one more.
    pub fn count(&mut self, detector: Detector) {
        self.0[detector as usize] += 1;
    }
}

impl Tally for Hits {
    #[inline]
    fn hit(&mut self, detector: Detector, _: &str, _: &str) {
        self.count(detector);
    }

    #[inline]
    fn counts(&mut self) -> Option<&mut Hits> {
        Some(self)
    }
}

impl Index<Detector> for Hits {
    type Output = u64;

    fn index(&self, detector: Detector) -> &u64 {
        &self.0[detector as usize]
    }
}

impl AddAssign for Hits {
    fn add_assign(&mut self, other: Hits) {
        self.0.iter_mut().zip(other.0).for_each(|(own, other)| *own += other);
    }
}
