//! Objects for OpenStack Swift, by its S3 API. The plainest program compresses the lines in memory with the same library at
//! the same level and puts them with one request, its checksum made by the SDK.

use std::io::Write;

use auditline_sinks::Batch;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::ChecksumAlgorithm;
use bytes::Bytes;
use flate2::write::GzEncoder;
use tokio::runtime::Runtime;

use super::race::{Pair, Plain};

const BUCKET: &str = "audit";

/// How an object is packed.
#[derive(Clone, Copy)]
pub enum Packing {
    Gzip,
    Zstd,
}

struct Objects {
    packing: Packing,
    client: Client,
    runtime: Runtime,
    /// Key and lines of each.
    batches: Vec<(String, Vec<Bytes>)>,
}

pub fn pair(name: &'static str, packing: Packing) -> Option<Pair> {
    let endpoint = super::server(name, "S3", "AUDITLINE_TEST_S3")?;
    let [id, secret] = ["ACCESS", "SECRET"].map(|key| super::variable(&format!("AUDITLINE_TEST_S3_{key}_KEY")));
    let config = format!(
        r#"
[s3]
bucket = "{BUCKET}"
endpoint = "{endpoint}"
region = "us-east-1"
path_style = true
access_key_id = "{id}"
secret_access_key = "{secret}"
prefix = "bench/{{vendor}}/"
compression = "{}"
"#,
        packing.name()
    );
    let client = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(endpoint)
        .force_path_style(true)
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new(id, secret, None, None, "bench"))
        .build();
    let client = Client::from_conf(client);
    let plain = Objects { packing, client, runtime: super::web::runtime(), batches: Vec::new() };
    Some(Pair::new(name, super::config(&config), Box::new(plain)))
}

impl Plain for Objects {
    fn prepare(&mut self, batches: &[Batch]) {
        let object = |batch: &Batch| {
            let key = format!("plain/{}/{}-{}", batch.vendor, batch.first, self.packing.name());
            (key, batch.records.iter().map(|record| record.json.clone()).collect())
        };
        self.batches = batches.iter().map(object).collect();
    }

    fn push(&mut self) {
        self.runtime.block_on(async {
            for (key, lines) in &self.batches {
                let body = ByteStream::from(self.packing.pack(lines));
                let put = self.client.put_object().bucket(BUCKET).key(key).body(body);
                put.checksum_algorithm(ChecksumAlgorithm::Crc32).send().await.expect("the server takes it");
            }
        });
    }
}

impl Packing {
    fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    fn pack(self, lines: &[Bytes]) -> Vec<u8> {
        match self {
            Self::Gzip => written(GzEncoder::new(Vec::new(), flate2::Compression::default()), lines).finish(),
            Self::Zstd => written(zstd::Encoder::new(Vec::new(), 0).expect("an encoder"), lines).finish(),
        }
        .expect("memory takes everything")
    }
}

fn written<W: Write>(mut to: W, lines: &[Bytes]) -> W {
    for line in lines {
        to.write_all(line).and_then(|()| to.write_all(b"\n")).expect("memory takes everything");
    }
    to
}
