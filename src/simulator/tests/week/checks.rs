//! What must be true of a collector, while the week goes on and when it is over.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};

use super::collector::{Collector, Restarts, Tally};
use crate::journal::Walk;
use crate::simulator::{Expected, Vendor};

impl Collector {
    /// Everything before the watermark that the vendor showed by the time it was read is there, and everything before what
    /// is settled that came within the overlap.
    pub async fn expect_what_the_watermark_says(&mut self) {
        self.deliver().await;
        let live = self.cursor(&Walk::live()).await.expect("a live walk");
        let rules = self.settings.rules;
        let missing = |before: DateTime<Utc>, grace: TimeDelta| -> Vec<Expected> {
            let expected = self.simulator.expected_ids(self.vendor, before);
            let due = expected.filter(|record| record.published <= record.time + grace);
            due.filter(|record| !self.delivered.contains_key(&record.id)).collect()
        };
        let none: Vec<Expected> = Vec::new();
        assert_eq!(missing(live.complete_up_to, rules.lag), none, "before the watermark {}", live.complete_up_to);
        assert_eq!(
            missing(live.settled, rules.lag + rules.overlap),
            none,
            "before what is settled at {}",
            live.settled
        );
    }

    /// Everything that happened before `end` is there once, and nothing is there that never happened.
    pub async fn expect_all_before(&mut self, end: DateTime<Utc>) {
        self.expect_what_the_watermark_says().await;
        let ids = |until| self.simulator.expected_ids(self.vendor, until).map(|record| record.id);
        let known: BTreeSet<String> = ids(self.settings.clock.now()).collect();
        let missing: Vec<String> = ids(end).filter(|id| !self.delivered.contains_key(id)).collect();
        let twice: Vec<&String> = self.delivered.iter().filter(|(_, times)| **times > 1).map(|(id, _)| id).collect();
        let unknown: Vec<&String> = self.delivered.keys().filter(|id| !known.contains(*id)).collect();
        assert!(
            missing.is_empty() && twice.is_empty() && unknown.is_empty() && self.tally.dead == 0,
            "missing {missing:?}, twice {twice:?}, unknown {unknown:?}, {:?}",
            self.tally
        );
        let stats = self.simulator.stats(self.vendor);
        let (records, late, drifted) = (ids(end).count(), self.late(end).count(), self.drifted(end));
        let Tally { lives, sweeps, swept, repeated, .. } = self.tally;
        println!(
            "{}: {records} records, {late} late ({drifted} while paging), {swept} swept in {sweeps} sweeps, \
             {repeated} repeated, {lives} lives, {stats:?}",
            self.vendor
        );
    }

    fn late(&self, end: DateTime<Utc>) -> impl Iterator<Item = Expected> {
        let is_late = |record: &Expected| record.published > record.time + TimeDelta::seconds(1);
        self.simulator.expected_ids(self.vendor, end).filter(is_late)
    }

    /// How many records were published while a walk was paging.
    fn drifted(&self, end: DateTime<Utc>) -> usize {
        let while_paging =
            |record: &Expected| self.tally.paging.iter().any(|(from, to)| (*from..*to).contains(&record.published));
        self.late(end).filter(while_paging).count()
    }

    /// A week without trouble would prove nothing.
    pub fn expect_trouble_was_met(&self, end: DateTime<Utc>) {
        let (stats, tally) = (self.simulator.stats(self.vendor), &self.tally);
        assert!(stats.throttled > 0 && stats.faults > 0 && stats.earned == 0, "{stats:?}");
        assert!(tally.lives > 500 && tally.sweeps > 100 && tally.swept > 5 && tally.repeated > 0, "{tally:?}");
        assert!(self.late(end).count() > 20);
        // A life of one request keeps neither a cursor nor a token long enough.
        if self.restarts == Restarts::EveryFew {
            assert!(self.drifted(end) > 0, "nothing was published while a walk was paging");
            match self.vendor {
                Vendor::Cloudflare | Vendor::Nirvana | Vendor::Ashby => assert!(stats.invalid > 0, "no cursor expired"),
                Vendor::Voximplant => assert!(stats.refused > 0, "no token ran out on its way"),
                Vendor::Telnyx => {}
            }
        }
    }
}
