//! What the demo shows at its end: a table, some events before and after, and where the files are.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::Duration;

use serde_json::Value as Json;

use super::capture::{Before, Captured};
use crate::cli::table::{Table, thousands};
use crate::engine::Handle;

/// The vendors whose events are shown.
const SHOWN: [&str; 2] = ["nirvana", "ashby"];

/// A row for each vendor.
pub fn table(handles: &[Handle]) {
    let header = [
        "VENDOR",
        "READ",
        "LATE",
        "REPEATED",
        "OWN READS",
        "E-MAILS",
        "IPS",
        "DEAD LETTERS",
        "DELIVERED",
        "COMPLETE UP TO (UTC)",
    ];
    let mut table = Table::new(header);
    for Handle { name, counters, .. } in handles {
        let delivered: u64 = counters.lanes.iter().map(|lane| lane.delivered.get()).sum();
        let watermark =
            counters.watermark().map_or("-".to_owned(), |time| time.format("%Y-%m-%d %H:%M:%S").to_string());
        let numbers = [
            counters.read.get(),
            counters.lateness().total(),
            counters.repeated.get(),
            counters.own_reads.get(),
            counters.emails.get(),
            counters.ips.get(),
            counters.dead_letters.get(),
            delivered,
        ];
        let [read, late, repeated, own, emails, ips, dead, delivered] = numbers.map(thousands);
        table.row([name.to_string(), read, late, repeated, own, emails, ips, dead, delivered, watermark]);
    }
    println!("{table}");
}

/// Some records as the vendor gave them, and as they were delivered.
pub fn events(out: &Path, captured: &Captured) {
    let kept = captured.iter().filter_map(|kept| kept.lock().ok()?.clone());
    for before in kept.filter(|before| SHOWN.contains(&before.vendor.as_str())) {
        let Some(after) = delivered(out, &before) else { continue };
        println!(
            "an event of {}, as the vendor gave it:\n\n{}\n\nand as it was delivered:\n\n{after}\n",
            before.vendor, before.json
        );
    }
}

fn delivered(out: &Path, before: &Before) -> Option<String> {
    let file = fs::File::open(out.join(format!("{}.ndjson", before.vendor))).ok()?;
    let is_it = |line: &String| {
        let event: Option<Json> = serde_json::from_str(line).ok();
        event.is_some_and(|event| event.pointer("/metadata/uid").and_then(Json::as_str) == Some(&before.id))
    };
    BufReader::new(file).lines().map_while(Result::ok).find(is_it)
}

/// Where the events are.
pub fn files(out: &Path, took: Duration) -> String {
    let folder = fs::canonicalize(out).unwrap_or_else(|_| out.to_owned());
    format!("delivered in {:.1} s to {}", took.as_secs_f64(), folder.join("*.ndjson").display())
}
