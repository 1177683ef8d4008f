//! What is delivered: OCSF events as the pipelines of `benches/transforms` make them of three vendors' records, in batches
//! as the engine seals them.

use auditline::simulator::Vendor;
use auditline_sinks::{Batch, BatchLimits, Closed, Record};

use super::product::{self, Product};
use super::records;

/// JSON of each vendor, in bytes: as much as the largest batch takes.
const ENOUGH: usize = 16 << 20;
/// Records made at a time, until there are enough.
const PAGE: u64 = 12_000;

/// Events of three vendors.
pub struct Events(Vec<Pipeline>);

struct Pipeline {
    name: &'static str,
    records: Vec<Record>,
}

impl Events {
    /// Makes them. The same ones every time.
    pub fn new() -> Self {
        let mut plan = product::plan();
        let mut pipeline = |name, page: Vec<u8>| Pipeline::new(name, &page, &Product::new(name, &mut plan));
        Self(vec![
            pipeline("cloudflare", records::page(PAGE)),
            pipeline("ashby", records::simulated("results", Vendor::Ashby, PAGE)),
            pipeline("voximplant", records::simulated("result", Vendor::Voximplant, PAGE)),
        ])
    }

    /// How much JSON an event has, in bytes.
    pub fn average(&self) -> usize {
        let records = || self.0.iter().flat_map(|pipeline| &pipeline.records);
        records().map(|record| record.json.len()).sum::<usize>() / records().count()
    }

    /// So many full batches of each vendor. Those of another `turn` have other ids and other sequences.
    pub fn batches(&self, limits: BatchLimits, laps: usize, turn: u64) -> Vec<Batch> {
        let lap = |lap| self.0.iter().map(move |pipeline| pipeline.batch(limits, lap, turn));
        (0..laps).flat_map(lap).collect()
    }
}

impl Pipeline {
    fn new(name: &'static str, page: &[u8], product: &Product) -> Self {
        let (records, _) = product.run(page);
        let bytes: usize = records.iter().map(|record| record.json.len()).sum();
        assert!(bytes >= ENOUGH, "{name} has {bytes} bytes of events, which is less than a batch");
        Self { name, records }
    }

    fn batch(&self, limits: BatchLimits, lap: usize, turn: u64) -> Batch {
        let sequence = (turn << 32) + ((lap as u64) << 24);
        let mut bytes = 0;
        let mut records = Vec::new();
        for record in self.records.iter().cycle().skip(lap * 1000) {
            bytes += record.json.len();
            if records.len() == limits.max_records || bytes as u64 > limits.max_bytes {
                break;
            }
            let id = format!("{}-{turn}-{lap}", record.id);
            records.push(Record { id, ..record.clone() });
        }
        Batch {
            journal: "bench".into(),
            pipeline: self.name.into(),
            sink: "siem".into(),
            vendor: self.name.into(),
            first: sequence + 1,
            last: sequence + records.len() as u64,
            records: records.into(),
            closed: Closed::Bytes,
        }
    }
}
