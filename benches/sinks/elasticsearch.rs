//! Documents for OpenSearch, by bulk requests. The plainest program has each action ready, and looks whether the answer tells
//! of errors.

use auditline_sinks::Batch;
use bytes::Bytes;
use reqwest::header::CONTENT_TYPE;
use serde_json::json;

use super::race::Pair;
use super::web::{self, Posts, Request, Texts, url};

pub fn pair() -> Option<Pair> {
    let server = super::server("elasticsearch", "OpenSearch", "AUDITLINE_TEST_OPENSEARCH")?;
    for vendor in ["cloudflare", "ashby", "voximplant"] {
        create(&format!("{server}/audit-{vendor}"));
    }
    let config = super::config(&format!("[elasticsearch]\nurl = \"{server}\""));
    let request = move |batch: &Batch| Request {
        url: url(&format!("{server}/audit-{}/_bulk?filter_path=errors", batch.vendor)),
        content_type: "application/x-ndjson",
        authorization: None,
        body: documents(batch),
    };
    Some(Pair::new("elasticsearch", config, Posts::new(request, |answer| answer == br#"{"errors":false}"#)))
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

fn documents(batch: &Batch) -> Texts {
    let action = |id: &str| json!({ "create": { "_id": format!("{}/{id}", batch.pipeline) } }).to_string() + "\n";
    let records = batch.records.iter();
    records.flat_map(|record| [action(&record.id).into(), record.json.clone(), Bytes::from_static(b"\n")]).collect()
}
