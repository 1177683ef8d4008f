//! Bytes that redaction looks through in a second, in short texts and in long ones.
//!
//! A finder that reads on or back without a bound shows here: what is a constant in a text of 1 KiB grows with the text.

use std::hint::black_box;

use auditline::transform::redact::{Hits, Redactor};

use super::clock::Lap;
use super::median;
use super::texts::{self, AMOUNT, Kind};

/// What a long text may fall to at the least, of the speed of short ones.
const LEAST: f64 = 0.5;
/// The lengths of texts, shortest first.
const SIZES: [usize; 3] = [1 << 10, 32 << 10, 1 << 20];
const ROUNDS: usize = 9;

/// Prints the table. Returns whether every kind of text keeps its speed.
pub fn run(what: &str, redactor: &Redactor) -> bool {
    println!("\nRedaction of {what}, MiB a second in texts of 1 KiB, and how many times as much in longer ones");
    println!("\n  {:<42}{:>12}{:>10}{:>10}", "of", "1 KiB", "32 KiB", "1 MiB");
    let slow: Vec<(&str, f64)> = texts::kinds().iter().filter_map(|kind| row(redactor, kind)).collect();
    for (name, ratio) in &slow {
        println!("\nFAILED: redaction of `{name}` falls to {ratio:.2} of its speed, and may fall to {LEAST}");
    }
    slow.is_empty()
}

/// Prints a row. Returns the least ratio where it is too low.
fn row(redactor: &Redactor, kind: &Kind) -> Option<(&'static str, f64)> {
    let texts = SIZES.map(|size| kind.texts(size));
    // The first round fills caches and the allocator.
    let rounds: Vec<_> = (0..=ROUNDS).map(|_| round(redactor, &texts)).skip(1).collect();
    let speed = median(rounds.iter().map(|speeds| speeds[0]).collect());
    let ratios = [1, 2].map(|size| median(rounds.iter().map(|speeds| speeds[size] / speeds[0]).collect()));
    println!("  {:<42}{speed:>12.0}{:>10.2}{:>10.2}", kind.name, ratios[0], ratios[1]);
    let least = ratios[0].min(ratios[1]);
    (least < LEAST).then_some((kind.name, least))
}

/// The MiB a second for each size.
fn round(redactor: &Redactor, texts: &[Vec<String>; SIZES.len()]) -> [f64; SIZES.len()] {
    texts.each_ref().map(|texts| {
        let mut hits = Hits::default();
        let mut lap = Lap::start();
        for text in texts {
            drop(black_box(redactor.text(text, &mut hits)));
        }
        black_box(hits);
        AMOUNT as f64 / (1 << 20) as f64 / (lap.next() / 1e6)
    })
}
