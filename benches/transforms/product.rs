//! The product on its own way: decode the page, then each record through the transforms to the frozen record the journal
//! gets.

use std::sync::Arc;

use auditline::connector::Connector;
use auditline::engine::{Refined, refine};
use auditline::event::{Arena, Record};
use auditline::source::decode;
use auditline::source::decode::Found;
use auditline::transform::Transform;
use auditline::transform::redact::Hits;
use chrono::DateTime;

/// A pipeline's connector and transforms.
pub struct Product {
    connector: Arc<Connector>,
    transforms: Vec<Box<dyn Transform>>,
}

impl Product {
    /// A pipeline that reads that connector's records and changes them so.
    pub fn new(connector: Arc<Connector>, transforms: Vec<Box<dyn Transform>>) -> Self {
        Self { connector, transforms }
    }

    /// The records of a page, and how many addresses were redacted.
    pub fn run(&self, page: &[u8]) -> (Vec<Record>, Hits) {
        let rules = &self.connector.definition.decode;
        let mut sum = Hits::default();
        let mut done = Vec::new();
        let mut each = |found: Found<'_>, arena: &Arena| {
            let Found::Value(record) = found else { panic!("a line that is no record") };
            let raw = decode::record(record, rules, DateTime::UNIX_EPOCH, arena);
            let (refined, hits) = refine(raw, &self.transforms, arena);
            sum += hits;
            match refined {
                Refined::Record(new) => done.push(new.record),
                Refined::Dead(letter) => panic!("a dead letter: {}", letter.reason),
                Refined::Dropped(dropped) => panic!("dropped: {}", dropped.reason),
            }
        };
        decode::page(page, rules, &Arena::new(), &mut each).expect("the page is JSON");
        (done, sum)
    }
}
