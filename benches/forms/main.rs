//! What a record costs, from the vendor's bytes to the redacted OCSF event's bytes, in three forms of memory.
//!
//! `make bench` runs it. It fails when the product's form costs more than [`MOST`] times as much as the plain thing:
//! `serde_json::Value` parsing the same bytes and writing them out again, with nothing done in between.

mod clock;
mod owned;
mod product;
mod records;
mod tree;

use std::hint::black_box;
use std::process::ExitCode;

use auditline::event::Record;
use auditline::transform::redact::{Detector, EmailAction, Hits, IpAction, Key, Policy, Redactor};

use self::clock::Lap;
use self::product::Product;

/// What the product's form may cost at the most, in times of the baseline.
const MOST: f64 = 1.5;
/// Records on a page, as many as Cloudflare hands out at once.
const RECORDS: u64 = 1_000;
/// Every form once a round, so that a machine that slows down slows all of them.
const ROUNDS: usize = 61;

/// A row of the table: what is measured, and how.
struct Row<'b> {
    name: &'static str,
    run: Box<dyn Fn() -> Vec<f64> + 'b>,
    /// Of each part, the microseconds of all rounds.
    rounds: Vec<Vec<f64>>,
}

impl<'b> Row<'b> {
    fn whole<R>(name: &'static str, work: impl Fn() -> R + 'b) -> Self {
        let run = move || {
            let mut lap = Lap::start();
            drop(black_box(work()));
            vec![lap.next()]
        };
        Self { name, run: Box::new(run), rounds: Vec::new() }
    }

    fn parts(name: &'static str, work: impl Fn() -> [f64; 4] + 'b) -> Self {
        Self { name, run: Box::new(move || work().to_vec()), rounds: Vec::new() }
    }

    /// The median of each part, in microseconds a record.
    fn medians(&self) -> Vec<f64> {
        let parts = self.rounds[0].len();
        let part = |at: usize| median(self.rounds.iter().map(|round| round[at]).collect()) / RECORDS as f64;
        (0..parts).map(part).collect()
    }

    /// The median over the rounds of how many times as much it cost as `other` did in the same round.
    fn against(&self, other: &Row) -> f64 {
        median(self.rounds.iter().zip(&other.rounds).map(|(own, other)| own[0] / other[0]).collect())
    }
}

fn main() -> ExitCode {
    clock::stay_on_one_core();
    let page = records::page(RECORDS);
    let product = Product::new(redactor());
    let redactor = redactor();
    let written = same_work(&page, &product, &redactor);

    let mut rows = [
        Row::whole("serde_json::Value, parsed and written", || {
            let value: serde_json::Value = serde_json::from_slice(&page).expect("the page is JSON");
            serde_json::to_vec(&value).expect("writing to memory does not fail")
        }),
        Row::whole("auditline's arena", || product.run(&page)),
        Row::whole("serde_json::Value", || tree::run::<serde_json::Value>(&page, &redactor)),
        Row::whole("sonic_rs::Value", || tree::run::<sonic_rs::Value>(&page, &redactor)),
    ];
    let mut parts = [
        Row::parts("auditline's arena", || product.parts(&page)),
        Row::parts("serde_json::Value", || tree::parts::<serde_json::Value>(&page, &redactor)),
        Row::parts("sonic_rs::Value", || tree::parts::<sonic_rs::Value>(&page, &redactor)),
    ];
    for round in 0..=ROUNDS {
        for row in rows.iter_mut().chain(&mut parts) {
            let times = (row.run)();
            // The first round fills caches and the allocator.
            if round > 0 {
                row.rounds.push(times);
            }
        }
    }
    report(&rows, &parts, page.len(), written)
}

fn redactor() -> Redactor {
    let key = Key::new(1, b"a benchmark's key, protects nothing").expect("a long enough key");
    let policy = Policy {
        emails: Some(EmailAction::Pseudonym),
        ips: Some(IpAction::Truncate),
        key: Some(key),
        ..Policy::default()
    };
    Redactor::new(policy).expect("a sound policy")
}

/// Compares what the forms make of the page, to the last value: a form that does less would win. Returns the bytes.
fn same_work(page: &[u8], product: &Product, redactor: &Redactor) -> usize {
    let (expected, hits) = product.run(page);
    assert_eq!(expected.len() as u64, RECORDS);
    assert!(hits[Detector::Email] > RECORDS && hits[Detector::Ip] > RECORDS, "there is something to redact");
    compare("serde_json::Value", &expected, hits, tree::run::<serde_json::Value>(page, redactor));
    compare("sonic_rs::Value", &expected, hits, tree::run::<sonic_rs::Value>(page, redactor));
    expected.iter().map(|record| record.json.len()).sum()
}

fn compare(form: &str, expected: &[Record], hits: Hits, (found, found_hits): (Vec<Record>, Hits)) {
    let event = |record: &Record| -> serde_json::Value { serde_json::from_slice(&record.json).expect("JSON") };
    assert_eq!(found.len(), expected.len());
    for (expected, found) in expected.iter().zip(&found) {
        assert_eq!((&expected.id, expected.time), (&found.id, found.time));
        assert_eq!(event(expected), event(found), "{form} makes another event of {}", expected.id);
    }
    assert_eq!(found_hits, hits, "{form} redacts another number of addresses");
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn report(rows: &[Row], parts: &[Row], read: usize, written: usize) -> ExitCode {
    let each = |bytes: usize| bytes / RECORDS as usize;
    println!("Cost of a record: {} bytes of Cloudflare's JSON in, {} bytes of OCSF out", each(read), each(written));
    println!("Medians of {ROUNDS} rounds of {RECORDS} records, processor time of one thread\n");
    println!("  {:<42}{:>12}{:>10}", "parse, map, redact, encode", "µs/record", "times");
    let baseline = &rows[0];
    for row in &rows[1..] {
        println!("  {:<42}{:>12.2}{:>10.2}", row.name, row.medians()[0], row.against(baseline));
    }
    println!("  {:<42}{:>12.2}{:>10.2}  the baseline", baseline.name, baseline.medians()[0], 1.0);
    println!("\n  {:<42}{:>10}{:>10}{:>10}{:>10}", "the parts, µs/record", "parse", "map", "redact", "encode");
    for row in parts {
        let times: String = row.medians().iter().map(|time| format!("{time:>10.2}")).collect();
        println!("  {:<42}{times}", row.name);
    }
    let ratio = rows[1].against(baseline);
    if ratio > MOST {
        println!("\nFAILED: auditline's form costs {ratio:.2} times the baseline, and may cost {MOST}");
        return ExitCode::FAILURE;
    }
    println!("\nok: auditline's form costs {ratio:.2} times the baseline, and may cost {MOST}");
    ExitCode::SUCCESS
}
