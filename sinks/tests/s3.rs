//! The S3 sink against a real server.

use std::io::Read;
use std::sync::Arc;

use async_trait::async_trait;
use auditline_sinks::contract::{self, Destination, Guarantees, chain, server};
use auditline_sinks::{DeliveryError, Sink, SinkConfig};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is set together with the server's address"))
}

fn sink(config: Value) -> Arc<dyn Sink> {
    let config: SinkConfig = serde_json::from_value(json!({ "s3": config })).unwrap();
    config.build().unwrap()
}

fn config(endpoint: &str, prefix: &str) -> Value {
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

struct Prefix {
    config: Value,
    /// What every object's name begins with.
    root: String,
}

impl Prefix {
    fn new(endpoint: &str, name: &str, compression: &str, prefix: &str) -> Self {
        let root = format!("{name}/");
        let mut config = config(endpoint, &format!("{root}{prefix}"));
        config["compression"] = json!(compression);
        Self { config, root }
    }

    fn client(&self) -> Client {
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
    async fn objects(&self) -> Vec<(String, Vec<u8>)> {
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
}

fn unpacked((key, body): &(String, Vec<u8>)) -> String {
    let mut text = String::new();
    match key.rsplit_once('.').unwrap().1 {
        "gz" => drop(flate2::read::GzDecoder::new(&**body).read_to_string(&mut text).unwrap()),
        "zst" => text = String::from_utf8(zstd::decode_all(&**body).unwrap()).unwrap(),
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

const S3: &str = "AUDITLINE_TEST_S3";

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
async fn a_batch_that_comes_again_changes_nothing() {
    let Some(endpoint) = server("a_batch_that_comes_again_changes_nothing", "s3", S3) else {
        return;
    };
    for (compression, suffix) in [("none", "ndjson"), ("gzip", "ndjson.gz"), ("zstd", "ndjson.zst")] {
        let name = contract::unique("again");
        let prefix = Prefix::new(&endpoint, &name, compression, "{date}/");
        let mut batch = contract::numbered("corp", 41, 4);
        batch.records[3].time += chrono::TimeDelta::days(1);
        prefix.sink().deliver(&batch).await.unwrap();
        let first = prefix.objects().await;
        prefix.sink().deliver(&batch).await.unwrap();
        assert!(first == prefix.objects().await, "an object has changed");
        let keys: Vec<&str> = first.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(
            keys,
            [
                format!("{name}/2026-03-14/corp-j7k2-000000000041-000000000044.{suffix}"),
                format!("{name}/2026-03-15/corp-j7k2-000000000041-000000000044.{suffix}"),
            ]
        );
    }
}

fn expect_refused(outcome: Result<(), DeliveryError>, expected: &str) {
    match outcome {
        Err(DeliveryError::Refused { hint, message, .. }) => {
            assert!(hint.contains(expected), "{message}: {hint}")
        }
        other => panic!("{other:?}"),
    }
}

async fn expect_both_refused(config: Value, expected: &str) {
    let sink = sink(config);
    expect_refused(sink.check().await, expected);
    expect_refused(sink.deliver(&contract::numbered("p", 1, 2)).await.map(drop), expected);
}

#[tokio::test]
async fn a_mistake_in_the_configuration_needs_a_person() {
    let Some(endpoint) = server("a_mistake_in_the_configuration_needs_a_person", "s3", S3) else {
        return;
    };
    let mut missing = config(&endpoint, "mistakes/");
    missing["bucket"] = json!("no-such-bucket");
    expect_both_refused(missing, "create the bucket").await;

    let mut wrong = config(&endpoint, "mistakes/");
    wrong["secret_access_key"] = json!("opens-nothing");
    expect_both_refused(wrong, "`secret_access_key`").await;

    let mut unknown = config(&endpoint, "mistakes/");
    unknown["access_key_id"] = json!("nobody");
    expect_both_refused(unknown, "`access_key_id`").await;
}

fn offline(endpoint: &str) -> Value {
    json!({
        "bucket": "audit",
        "endpoint": endpoint,
        "path_style": true,
        "access_key_id": "nobody",
        "secret_access_key": "opens-nothing",
        "timeout": "1s",
    })
}

async fn expect_both_retryable(config: Value, expected: &str) {
    let sink = sink(config);
    let delivered = sink.deliver(&contract::numbered("p", 1, 2)).await.map(drop);
    for outcome in [sink.check().await, delivered] {
        match outcome {
            Err(error @ DeliveryError::Retryable { .. }) => {
                assert_eq!(error.to_string(), expected, "{}", chain(&error))
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_closed_port_may_open() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    expect_both_retryable(offline(&endpoint), "S3 cannot be reached").await;
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    expect_both_retryable(offline(&endpoint), "S3 did not answer in time").await;
    drop(listener);
}

/// A server that answers one request so, whatever it is.
async fn one_answer(head: &str, body: &str) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let length = body.len();
    let answer = format!("HTTP/1.1 {head}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
    let answering = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 16 * 1024];
        let _ = stream.read(&mut request).await.unwrap();
        stream.write_all(answer.as_bytes()).await.unwrap();
    });
    (endpoint, answering)
}

#[tokio::test]
async fn a_throttled_upload_tells_how_long_to_wait() {
    let body = "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>";
    let (endpoint, busy) = one_answer("503 Slow Down\r\nretry-after: 7", body).await;
    let outcome = sink(offline(&endpoint)).deliver(&contract::numbered("p", 1, 2)).await;
    match outcome {
        Err(DeliveryError::Retryable { retry_after, message, .. }) => {
            assert_eq!(retry_after, Some(std::time::Duration::from_secs(7)));
            assert_eq!(message, "S3 answered `SlowDown` for bucket `audit`");
        }
        other => panic!("{other:?}"),
    }
    busy.await.unwrap();
}

// A proxy says so by the status alone, in words of its own.
#[tokio::test]
async fn an_object_that_is_too_large_needs_the_servers_limit_raised() {
    let entity = "<Error><Code>EntityTooLarge</Code><Message>Your proposed upload is too large.</Message></Error>";
    for (head, body, name) in [
        ("400 Bad Request", entity, "EntityTooLarge"),
        ("413 Payload Too Large", entity, "EntityTooLarge"),
        ("413 Request Entity Too Large", "<html>413</html>", "HTTP 413"),
    ] {
        let (endpoint, refusing) = one_answer(head, body).await;
        let outcome = sink(offline(&endpoint)).deliver(&contract::numbered("p", 1, 2)).await;
        let Err(DeliveryError::Refused { message, hint, .. }) = outcome else { panic!("{outcome:?}") };
        assert_eq!(message, format!("S3 answered `{name}` for bucket `audit`"));
        assert_eq!(
            hint,
            "raise the limit of the server, or of the proxy before it, for one object; a lower `batch.max_bytes` \
             counts only for later batches, as this one keeps its bounds"
        );
        refusing.await.unwrap();
    }
}
