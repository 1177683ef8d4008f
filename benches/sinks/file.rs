//! Lines in a file. The plainest program buffers its writes and syncs after each batch.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use auditline_sinks::Batch;
use bytes::Bytes;

use super::race::{Pair, Plain};

/// As much as the sink writes at once.
const BUFFER: usize = 128 * 1024;

struct Lines {
    file: File,
    batches: Vec<Vec<Bytes>>,
}

pub fn pair(folder: &Path) -> Option<Pair> {
    let config = format!("[file]\npath = \"{}/{{pipeline}}.ndjson\"", folder.display());
    let file = File::options().create(true).append(true).open(folder.join("plain.ndjson")).expect("a file");
    let plain = Lines { file, batches: Vec::new() };
    Some(Pair::new("file", super::config(&config), Box::new(plain)))
}

impl Plain for Lines {
    fn prepare(&mut self, batches: &[Batch]) {
        let lines = |batch: &Batch| batch.records.iter().map(|record| record.json.clone()).collect();
        self.batches = batches.iter().map(lines).collect();
    }

    fn push(&mut self) {
        for lines in &self.batches {
            let mut to = BufWriter::with_capacity(BUFFER, &self.file);
            for line in lines {
                to.write_all(line).expect("the disk takes it");
                to.write_all(b"\n").expect("the disk takes it");
            }
            to.flush().expect("the disk takes it");
            self.file.sync_data().expect("the disk takes it");
        }
    }
}
