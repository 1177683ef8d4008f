//! How much JSON makes an object of a given size: known only after some were packed, and other for every vendor.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// What gzip makes of most audit logs, until we know better.
const GUESS: f64 = 8.0;

/// JSON to packed bytes, by pipeline.
#[derive(Default)]
pub(super) struct Ratios {
    // Held for a few lines, never across an await.
    seen: Mutex<HashMap<Arc<str>, Seen>>,
}

/// What was packed, the last batch counting as much as all before it.
#[derive(Clone, Copy, Default)]
struct Seen {
    json: f64,
    packed: f64,
}

impl Ratios {
    /// A batch of this much JSON made objects of which the largest has `packed` bytes.
    pub(super) fn learn(&self, pipeline: &Arc<str>, json: u64, packed: u64) {
        let mut all = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = all.entry(pipeline.clone()).or_default();
        // By weight: a batch of three records that was old enough says little about a full one.
        seen.json = seen.json / 2.0 + json as f64;
        seen.packed = seen.packed / 2.0 + packed as f64;
    }

    /// How much JSON a batch should have, so that its largest object has about `packed` bytes.
    pub(super) fn json_for(&self, pipeline: &str, packed: u64) -> u64 {
        let all = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let ratio = all.get(pipeline).map_or(GUESS, |seen| seen.json / seen.packed.max(1.0));
        // Headers outweigh the content of a small object, and would make the next ones smaller still.
        (packed as f64 * ratio.max(1.0)) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_what_was_packed() {
        let ratios = Ratios::default();
        let (audit, other): (Arc<str>, Arc<str>) = ("audit".into(), "other".into());
        assert_eq!(ratios.json_for("audit", 1000), 8000);
        ratios.learn(&audit, 10_000, 500);
        assert_eq!(ratios.json_for("audit", 1000), 20_000);
        // Small ones hardly count.
        ratios.learn(&audit, 10, 90);
        assert!((14_000..20_000).contains(&ratios.json_for("audit", 1000)));
        for _ in 0..20 {
            ratios.learn(&audit, 10_000, 2000);
        }
        assert_eq!(ratios.json_for("audit", 1000), 5000);
        ratios.learn(&other, 10, 90);
        assert_eq!(ratios.json_for("other", 1000), 1000);
    }
}
