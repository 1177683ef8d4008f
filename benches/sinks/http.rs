//! Lines for a server that takes JSON over HTTP (aiohttp).

use auditline_sinks::{Batch, BatchLimits};
use bytes::Bytes;

use super::race::Pair;
use super::web::{Posts, Request, Texts, url};

/// What the server takes in a request is a little less than the sink's own megabyte.
const MOST_BYTES: u64 = 900 * 1024;

pub fn pair() -> Option<Pair> {
    let server = super::server("http", "HTTP server", "AUDITLINE_TEST_HTTP")?;
    let config = super::config(&format!("[http]\nurl = \"{server}/bench/{{vendor}}\"\nformat = \"ndjson\""));
    let request = move |batch: &Batch| Request {
        url: url(&format!("{server}/bench/{}", batch.vendor)),
        content_type: "application/x-ndjson",
        authorization: None,
        body: lines(batch),
    };
    let pair = Pair::new("http", config, Posts::new(request, |_| true));
    Some(Pair { limits: BatchLimits { max_bytes: MOST_BYTES, ..pair.limits }, ..pair })
}

fn lines(batch: &Batch) -> Texts {
    batch.records.iter().flat_map(|record| [record.json.clone(), Bytes::from_static(b"\n")]).collect()
}
