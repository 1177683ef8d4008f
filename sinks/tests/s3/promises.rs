//! What every sink promises.

use auditline_sinks::contract::{self, server};
use serde_json::json;

use crate::place::{Prefix, S3};

#[tokio::test]
async fn keeps_the_contract() {
    let Some(endpoint) = server("keeps_the_contract", "s3", S3) else {
        return;
    };
    contract::all(async |name| Prefix::new(&endpoint, name, "gzip", "{vendor}/{pipeline}/")).await;
}

#[tokio::test]
async fn keeps_the_contract_by_day_with_zstd() {
    let Some(endpoint) = server("keeps_the_contract_by_day_with_zstd", "s3", S3) else {
        return;
    };
    contract::all(async |name| Prefix::new(&endpoint, name, "zstd", "{pipeline}/{date}/{hour}/")).await;
}

#[tokio::test]
async fn keeps_the_contract_uncompressed() {
    let Some(endpoint) = server("keeps_the_contract_uncompressed", "s3", S3) else {
        return;
    };
    contract::all(async |name| Prefix::new(&endpoint, name, "none", "{vendor}-")).await;
}

#[tokio::test]
async fn keeps_the_contract_as_parquet() {
    let Some(endpoint) = server("keeps_the_contract_as_parquet", "s3", S3) else {
        return;
    };
    contract::all(async |name| {
        let mut prefix = Prefix::new(&endpoint, name, "none", "{class}/{year}/{month}/{day}/");
        prefix.config["format"] = json!("parquet");
        prefix.config.as_object_mut().unwrap().remove("compression");
        prefix
    })
    .await;
}
