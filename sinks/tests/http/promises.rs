//! What every sink promises, and what becomes of it side by side.

use auditline_sinks::Batch;
use auditline_sinks::contract::{self, numbered, server};
use serde_json::json;

use crate::place::{HTTP, Intake, requests, sink};

#[tokio::test]
async fn keeps_the_contract() {
    let Some(base) = server("keeps_the_contract", "http", HTTP) else { return };
    contract::all(async |name| Intake::new(&base, name, json!({ "format": "ndjson" }))).await;
}

#[tokio::test]
async fn keeps_the_contract_with_small_arrays() {
    let Some(base) = server("keeps_the_contract_with_small_arrays", "http", HTTP) else { return };
    let config = json!({
        "format": "json_array", "compression": "none", "method": "PUT",
        "max_request_bytes": "80KiB", "max_request_records": 7,
    });
    contract::all(async |name| Intake::new(&base, name, config.clone())).await;
}

#[tokio::test]
async fn keeps_the_contract_with_a_request_for_each_record() {
    let Some(base) = server("keeps_the_contract_with_a_request_for_each_record", "http", HTTP) else { return };
    contract::all(async |name| Intake::new(&base, name, json!({ "format": "json" }))).await;
}

#[tokio::test]
async fn requests_may_run_side_by_side() {
    let Some(base) = server("requests_may_run_side_by_side", "http", HTTP) else { return };
    let name = contract::unique("side");
    let sink = sink(json!({
        "url": format!("{base}/in/{name}"), "format": "ndjson", "concurrency": 8, "max_request_records": 5,
    }));
    let batch: Batch = numbered("side", 1, 200);
    sink.deliver(&batch).await.unwrap();
    let arrived = requests(&base, &format!("in/{name}")).await;
    assert_eq!(arrived.len(), 40);
    let mut lines: Vec<&str> = arrived.iter().flat_map(|(_, body)| body.lines()).collect();
    let mut expected = contract::texts(&[batch]);
    lines.sort_unstable();
    expected.sort_unstable();
    assert!(lines.iter().eq(expected.iter()));
}
