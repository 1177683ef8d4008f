//! Lines for a server that takes JSON over HTTP (aiohttp).

use auditline_sinks::{Batch, BatchLimits};

use super::race::Pair;
use super::web::{Posts, Request};

/// What the server takes in a request is a little less than the sink's own megabyte.
const MOST_BYTES: u64 = 900 * 1024;

pub fn pair() -> Option<Pair> {
    let server = super::server("http", "HTTP server", "AUDITLINE_TEST_HTTP")?;
    let config = super::config(&format!("[http]\nurl = \"{server}/bench/{{vendor}}\"\nformat = \"ndjson\""));
    let request = move |batch: &Batch| Request {
        url: format!("{server}/bench/{}", batch.vendor),
        content_type: "application/x-ndjson",
        authorization: None,
        body: lines(batch),
    };
    let pair = Pair::new("http", config, Posts::new(Batch::clone, request, |_| true));
    Some(Pair { limits: BatchLimits { max_bytes: MOST_BYTES, ..pair.limits }, ..pair })
}

fn lines(batch: &Batch) -> Vec<u8> {
    let mut body = Vec::new();
    for record in &batch.records {
        body.extend_from_slice(&record.json);
        body.push(b'\n');
    }
    body
}
