//! Documents for OpenSearch, by bulk requests. The plainest program looks whether the answer tells of errors.

use std::io::Write;

use auditline_sinks::Batch;
use reqwest::header::CONTENT_TYPE;
use serde_json::json;

use super::race::Pair;
use super::web::{self, Posts, Request};

pub fn pair() -> Option<Pair> {
    let server = super::server("elasticsearch", "OpenSearch", "AUDITLINE_TEST_OPENSEARCH")?;
    for vendor in ["cloudflare", "ashby", "voximplant"] {
        create(&format!("{server}/audit-{vendor}"));
    }
    let config = super::config(&format!("[elasticsearch]\nurl = \"{server}\""));
    let request = move |batch: &Batch| Request {
        url: format!("{server}/audit-{}/_bulk?filter_path=errors", batch.vendor),
        content_type: "application/x-ndjson",
        authorization: None,
        body: documents(batch),
    };
    let is_taken = |answer: &[u8]| answer == br#"{"errors":false}"#;
    Some(Pair::new("elasticsearch", config, Posts::new(Batch::clone, request, is_taken)))
}

/// An index that looks into no document: the server is to have little to do.
fn create(index: &str) {
    let settings = json!({
        "settings": { "number_of_shards": 1, "number_of_replicas": 0, "refresh_interval": "30s" },
        "mappings": { "enabled": false },
    });
    let request = reqwest::Client::new().put(index).header(CONTENT_TYPE, "application/json");
    let answer = web::runtime().block_on(request.body(settings.to_string()).send()).expect("the server answers");
    assert!(answer.status().is_success(), "{index}: {}", answer.status());
}

fn documents(batch: &Batch) -> Vec<u8> {
    let mut body = Vec::new();
    for record in &batch.records {
        let (pipeline, id) = (&batch.pipeline, &record.id);
        writeln!(body, r#"{{"create":{{"_id":"{pipeline}/{id}"}}}}"#).expect("memory takes everything");
        body.extend_from_slice(&record.json);
        body.push(b'\n');
    }
    body
}
