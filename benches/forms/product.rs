//! The product's own form, on the product's own way: decode the page, then each record through the transforms to the
//! frozen record the journal gets.

use std::hint::black_box;
use std::sync::Arc;

use auditline::connector::Connector;
use auditline::engine::{Refined, refine};
use auditline::event::{Arena, Event, Record, json};
use auditline::source::decode::Found;
use auditline::source::{Raw, decode};
use auditline::transform::normalize::{Form, Normalize};
use auditline::transform::redact::{Hits, Redact, Redactor};
use auditline::transform::{Notes, Transform};
use chrono::DateTime;

use super::clock::Lap;

/// A pipeline's connector and transforms.
pub struct Product {
    connector: Arc<Connector>,
    transforms: Vec<Box<dyn Transform>>,
}

impl Product {
    /// Cloudflare's pipeline: normalize to OCSF, then redact.
    pub fn new(redactor: Redactor) -> Self {
        Self::of("cloudflare", Vec::new(), redactor)
    }

    /// A pipeline of that connector: normalize to OCSF, what is in `between`, then redact.
    pub fn of(connector: &str, between: Vec<Box<dyn Transform>>, redactor: Redactor) -> Self {
        let connector = Connector::embedded(connector).expect("an embedded connector");
        let normalize = Normalize::new(Form::Ocsf, Arc::clone(&connector.map), connector.identity.clone());
        let mut transforms: Vec<Box<dyn Transform>> = vec![Box::new(normalize)];
        transforms.extend(between);
        transforms.push(Box::new(Redact::new(redactor)));
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
                Refined::Record(_, record) => done.push(record),
                Refined::Dead(letter) => panic!("a dead letter: {}", letter.reason),
                Refined::Dropped { reason, .. } => panic!("dropped: {reason}"),
            }
        };
        decode::page(page, rules, &Arena::new(), &mut each).expect("the page is JSON");
        (done, sum)
    }

    /// The same work part by part over the whole page: decode, map, redact, encode.
    pub fn parts(&self, page: &[u8]) -> [f64; 4] {
        let rules = &self.connector.definition.decode;
        let mut notes = Notes::default();
        let mut lap = Lap::start();
        let arena = Arena::with_capacity(page.len() * 2);
        let page = json::decode(page, &arena).expect("the page is JSON");
        let records = rules
            .records
            .as_ref()
            .expect("a path")
            .find(page)
            .and_then(|list| list.as_array())
            .expect("the page has records");
        let event = |record| match decode::record(record, rules, DateTime::UNIX_EPOCH, &arena) {
            Raw::Event(event) => event,
            Raw::Unreadable { reason, .. } => panic!("{reason}"),
        };
        let mut events: Vec<Event> = records.iter().map(|record| event(*record)).collect();
        let decoded = lap.next();
        let mut step = |transform: &dyn Transform| {
            for event in &mut events {
                *event = transform.apply(*event, &arena, &mut notes).expect("every record fits");
            }
            lap.next()
        };
        let (mapped, redacted) = (step(&*self.transforms[0]), step(&*self.transforms[1]));
        let frozen: Vec<Record> = events.iter().map(Event::freeze).collect();
        black_box(frozen);
        [decoded, mapped, redacted, lap.next()]
    }
}
