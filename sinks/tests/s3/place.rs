//! A place in the server's bucket that nobody else uses, and what is shared by the tests.

use std::io::Read;
use std::sync::Arc;

use arrow_array::StringArray;
use async_trait::async_trait;
use auditline_sinks::contract::{self, Destination, Guarantees};
use auditline_sinks::{Batch, Sink, SinkConfig};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};

pub const S3: &str = "AUDITLINE_TEST_S3";
pub const MOTO: &str = "AUDITLINE_TEST_MOTO";

pub fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is set together with the server's address"))
}

pub fn sink(config: Value) -> Arc<dyn Sink> {
    let config: SinkConfig = serde_json::from_value(json!({ "s3": config })).unwrap();
    config.build().unwrap()
}

pub fn config(endpoint: &str, prefix: &str) -> Value {
    json!({
        "bucket": "audit",
        "endpoint": endpoint,
        "path_style": true,
        "region": "us-east-1",
        "access_key_id": variable("AUDITLINE_TEST_S3_ACCESS_KEY"),
        "secret_access_key": variable("AUDITLINE_TEST_S3_SECRET_KEY"),
        "prefix": prefix,
    })
}

pub struct Prefix {
    pub config: Value,
    /// What every object's name begins with.
    pub root: String,
}

impl Prefix {
    pub fn new(endpoint: &str, name: &str, compression: &str, prefix: &str) -> Self {
        let root = format!("{name}/");
        let mut config = config(endpoint, &format!("{root}{prefix}"));
        config["compression"] = json!(compression);
        Self { config, root }
    }

    pub fn client(&self) -> Client {
        let text = |key: &str| self.config[key].as_str().unwrap();
        let keys = Credentials::new(text("access_key_id"), text("secret_access_key"), None, None, "test");
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(text("endpoint"))
            .force_path_style(true)
            .region(Region::new("us-east-1"))
            .credentials_provider(keys)
            .build();
        Client::from_conf(config)
    }

    /// Names and unpacked contents, in the names' order.
    pub async fn objects(&self) -> Vec<(String, Vec<u8>)> {
        let client = self.client();
        let listed = client.list_objects_v2().bucket("audit").prefix(&self.root).send().await.unwrap();
        assert_ne!(listed.is_truncated(), Some(true));
        let mut objects = Vec::new();
        for object in listed.contents() {
            let key = object.key().unwrap().to_owned();
            let stored = client.get_object().bucket("audit").key(&key).send().await.unwrap();
            let body = stored.body.collect().await.unwrap().to_vec();
            objects.push((key, body));
        }
        objects.sort();
        objects
    }

    /// How many uploads were begun and neither finished nor ended.
    pub async fn unfinished(&self) -> usize {
        let listed = self.client().list_multipart_uploads().bucket("audit").prefix(&self.root).send().await.unwrap();
        listed.uploads().len()
    }
}

/// The column `json` of a table of records that are no OCSF.
pub fn jsons(parquet: &[u8]) -> String {
    let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::copy_from_slice(parquet)).unwrap().build().unwrap();
    let mut text = String::new();
    for rows in reader {
        let rows = rows.unwrap();
        let column = rows.column_by_name("json").unwrap().as_any().downcast_ref::<StringArray>().unwrap();
        for json in column {
            text += json.unwrap();
            text += "\n";
        }
    }
    text
}

pub fn unpacked((key, body): &(String, Vec<u8>)) -> String {
    let mut text = String::new();
    match key.rsplit_once('.').unwrap().1 {
        "gz" => drop(flate2::read::GzDecoder::new(&**body).read_to_string(&mut text).unwrap()),
        "zst" => text = String::from_utf8(zstd::decode_all(&**body).unwrap()).unwrap(),
        "parquet" => text = jsons(body),
        "ndjson" => text = String::from_utf8(body.clone()).unwrap(),
        other => panic!("{other}"),
    }
    text
}

#[async_trait]
impl Destination for Prefix {
    fn sink(&self) -> Arc<dyn Sink> {
        sink(self.config.clone())
    }

    async fn read_back(&self, _expected: usize) -> Vec<String> {
        let objects = self.objects().await;
        let texts = objects.iter().map(unpacked);
        texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
    }

    fn guarantees(&self) -> Guarantees {
        Guarantees { exactly_once: true, ..Guarantees::default() }
    }
}

/// A batch of `mebibytes` that gzip could not make smaller.
pub fn large(pipeline: &str, mebibytes: usize) -> Batch {
    let mut state = 7_u64;
    let mut noise = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        format!("{:016x}", state)
    };
    let text = |_| format!(r#"{{"text":"{}"}}"#, (0..(1 << 20) / 16).map(|_| noise()).collect::<String>());
    contract::batch_of(pipeline, 1, (0..mebibytes).map(text))
}

pub fn offline(endpoint: &str) -> Value {
    json!({
        "bucket": "audit",
        "endpoint": endpoint,
        "path_style": true,
        "access_key_id": "nobody",
        "secret_access_key": "opens-nothing",
    })
}
