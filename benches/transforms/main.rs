//! What a pipeline's transforms cost on the records of three vendors, and whether redaction keeps its speed on long texts.
//!
//! `make bench` runs it. It fails when normalizing, three enrichments and redaction together cost more than [`MOST`] times
//! as much as it costs `serde_json::Value` to parse what they read and to write what they write, or when a long text is
//! redacted more slowly than short ones; see `throughput`. How much they cost beside parsing the records and writing those
//! out again is told, too: events are several times as long as the records they are made of.

mod clock;
mod product;
mod records;
mod texts;
mod throughput;

use std::hint::black_box;
use std::process::ExitCode;

use auditline::config::Plan;
use auditline::simulator::Vendor;
use auditline::transform::redact::{EmailAction, IpAction, Key, Policy, Redactor, TextAction};

use self::clock::Lap;
use self::product::Product;

/// What the transforms may cost at the most, in times of what it costs to parse what they read and write what they write.
const MOST: f64 = 3.0;
const RECORDS: u64 = 1_000;
/// Everything once a round, so that a machine that slows down slows all of it.
const ROUNDS: usize = 61;

/// Where a round has what.
const RECORDS_OUT: usize = 0;
const EVENTS_OUT: usize = 1;
const OWN: usize = 2;

/// A vendor's page and what is measured on it.
struct Row {
    name: &'static str,
    page: Vec<u8>,
    product: Product,
    /// What becomes of the page.
    events: Vec<serde_json::Value>,
    /// Of each round the microseconds of parsing records and writing them, of parsing records and writing events, and of
    /// the transforms.
    rounds: Vec<[f64; 3]>,
}

impl Row {
    fn new(name: &'static str, page: Vec<u8>, plan: &mut Plan) -> Self {
        let product = Product::new(name, plan);
        let (records, _) = product.run(&page);
        let events = records.iter().map(|record| serde_json::from_slice(&record.json).expect("events are JSON"));
        Self { name, events: events.collect(), page, product, rounds: Vec::new() }
    }

    fn round(&self) -> [f64; 3] {
        let mut lap = Lap::start();
        let value: serde_json::Value = serde_json::from_slice(&self.page).expect("the page is JSON");
        let parsed = lap.next();
        drop(black_box(written(&value)));
        let records = lap.next();
        drop(value);
        let dropped = lap.next();
        let events: Vec<Vec<u8>> = self.events.iter().map(written).collect();
        drop(black_box(events));
        let events = lap.next();
        drop(black_box(self.product.run(&self.page)));
        let own = lap.next();
        [parsed + records + dropped, parsed + dropped + events, own]
    }

    /// The median of how many times as much as a baseline the transforms cost in the same round.
    fn times(&self, baseline: usize) -> f64 {
        median(self.rounds.iter().map(|round| round[OWN] / round[baseline]).collect())
    }

    fn print(&self) {
        let each = |part: usize| median(self.rounds.iter().map(|round| round[part]).collect()) / RECORDS as f64;
        let bytes = self.page.len() / RECORDS as usize;
        let event = self.events.iter().map(|event| written(event).len()).sum::<usize>() / RECORDS as usize;
        let [records, events] = [self.times(RECORDS_OUT), self.times(EVENTS_OUT)];
        println!("  {:<12}{bytes:>8}{event:>8}{:>14.2}{records:>10.2}{events:>10.2}", self.name, each(OWN));
    }
}

fn main() -> ExitCode {
    clock::stay_on_one_core();
    clock::keep_what_is_freed();
    let mut plan = product::plan();
    let mut rows = [
        Row::new("cloudflare", records::page(RECORDS), &mut plan),
        Row::new("ashby", records::simulated("results", Vendor::Ashby, RECORDS), &mut plan),
        Row::new("voximplant", records::simulated("result", Vendor::Voximplant, RECORDS), &mut plan),
    ];
    for round in 0..=ROUNDS {
        for row in &mut rows {
            let times = row.round();
            // The first round fills caches and the allocator.
            if round > 0 {
                row.rounds.push(times);
            }
        }
    }
    println!("Cost of a record: normalized to OCSF, three times enriched, redacted");
    println!("Medians of {ROUNDS} rounds of {RECORDS} records, processor time of one thread\n");
    println!("  {:<12}{:>8}{:>8}{:>14}{:>20}", "vendor", "bytes", "event", "auditline µs", "times what it costs");
    println!("  {:<42}{:>10}{:>10}", "", "record", "event");
    rows.iter().for_each(Row::print);
    let is_cheap = judge(&rows);
    let redactor = |policy| Redactor::new(policy).expect("a sound policy");
    let is_even = throughput::run("addresses", &redactor(addresses()));
    let is_even = throughput::run("all detectors", &redactor(everything())) && is_even;
    if is_cheap && is_even { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn written(value: &serde_json::Value) -> Vec<u8> {
    serde_json::to_vec(value).expect("writing to memory does not fail")
}

fn judge(rows: &[Row]) -> bool {
    let dear: Vec<&Row> = rows.iter().filter(|row| row.times(EVENTS_OUT) > MOST).collect();
    for row in &dear {
        println!(
            "\nFAILED: on {} the transforms cost {:.2} times what it costs to parse records and write events, and may cost {MOST}",
            row.name,
            row.times(EVENTS_OUT)
        );
    }
    if dear.is_empty() {
        println!("\nok: nowhere do they cost more than {MOST} times what it costs to parse records and write events");
    }
    dear.is_empty()
}

/// What most pipelines redact.
fn addresses() -> Policy {
    let key = Key::new(1, b"a benchmark's key, protects nothing").expect("a long enough key");
    Policy { emails: Some(EmailAction::Pseudonym), ips: Some(IpAction::Truncate), key: Some(key), ..Policy::default() }
}

/// Everything that can be looked for.
fn everything() -> Policy {
    let mask = Some(TextAction::Mask);
    Policy { phones: mask, jwts: mask, api_keys: mask, cards: mask, ..addresses() }
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
