//! The product on its own way: decode the page, then each record through the transforms to the frozen record the journal
//! gets.

use std::path::Path;
use std::sync::Arc;

use auditline::config::{Files, Plan, resolve};
use auditline::connector::Connector;
use auditline::document::{Context, Problems};
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
    /// The pipeline of that name, taken out of the plan.
    pub fn new(name: &str, plan: &mut Plan) -> Self {
        let at = plan.files.iter().position(|pipeline| &*pipeline.name == name).expect("a pipeline of that name");
        let pipeline = plan.files.swap_remove(at);
        Self { connector: pipeline.source.connector, transforms: pipeline.transforms }
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

/// The pipelines beside this file, as `auditline run` reads them.
pub fn plan() -> Plan {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/transforms/config");
    let problems = Problems::new();
    let context = Context::new(&problems);
    let plan = Files::read(&folder, &context).and_then(|files| resolve(&files, &context));
    plan.unwrap_or_else(|| panic!("{problems}"))
}
