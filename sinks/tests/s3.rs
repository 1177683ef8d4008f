//! The S3 sink against a real server.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::StringArray;

use async_trait::async_trait;
use auditline_sinks::contract::{self, Destination, Guarantees, chain, server};
use auditline_sinks::{Batch, DeliveryError, Sink, SinkConfig};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_s3::error::ProvideErrorMetadata as _;
use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
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

    /// How many uploads were begun and neither finished nor ended.
    async fn unfinished(&self) -> usize {
        let listed = self.client().list_multipart_uploads().bucket("audit").prefix(&self.root).send().await.unwrap();
        listed.uploads().len()
    }
}

/// The column `json` of a table of records that are no OCSF.
fn jsons(parquet: &[u8]) -> String {
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

fn unpacked((key, body): &(String, Vec<u8>)) -> String {
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

#[tokio::test]
async fn as_parquet_each_class_has_an_object_of_its_own() {
    let Some(endpoint) = server("as_parquet_each_class_has_an_object_of_its_own", "s3", S3) else {
        return;
    };
    let name = contract::unique("classes");
    let mut config = config(&endpoint, &format!("{name}/day={{date}}/"));
    config["format"] = json!("parquet");
    let prefix = Prefix { config, root: format!("{name}/") };
    let mut batch = contract::batch_of(
        "corp",
        1,
        [
            r#"{"class_uid":6003,"metadata":{"uid":"1"}}"#,
            r#"{"class_uid":3002,"metadata":{"uid":"2"}}"#,
            r#"{"class_uid":6003,"metadata":{"uid":"3"}}"#,
            r#"{"event":{"kind":"event"}}"#,
            r#"{"class_uid":6003,"metadata":{"uid":"5"}}"#,
        ],
    );
    batch.records[4].time += chrono::TimeDelta::days(1);
    prefix.sink().deliver(&batch).await.unwrap();
    let first = prefix.objects().await;
    let keys: Vec<&str> = first.iter().map(|(key, _)| key.strip_prefix(&prefix.root).unwrap()).collect();
    assert_eq!(
        keys,
        [
            "day=2026-03-14/corp-j7k2-000000000001-000000000005-api_activity.parquet",
            "day=2026-03-14/corp-j7k2-000000000001-000000000005-authentication.parquet",
            "day=2026-03-14/corp-j7k2-000000000001-000000000005-other.parquet",
            "day=2026-03-15/corp-j7k2-000000000001-000000000005-api_activity.parquet",
        ]
    );
    assert_eq!(unpacked(&first[2]), "{\"event\":{\"kind\":\"event\"}}\n");
    prefix.sink().deliver(&batch).await.unwrap();
    assert!(first == prefix.objects().await, "an object has changed");
}

/// A batch of `mebibytes` that gzip could not make smaller.
fn large(pipeline: &str, mebibytes: usize) -> Batch {
    let mut state = 7_u64;
    let mut noise = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        format!("{:016x}", state)
    };
    let text = |_| format!(r#"{{"text":"{}"}}"#, (0..(1 << 20) / 16).map(|_| noise()).collect::<String>());
    contract::batch_of(pipeline, 1, (0..mebibytes).map(text))
}

#[tokio::test]
async fn a_large_object_goes_in_parts_and_leaves_none_behind() {
    let Some(endpoint) = server("a_large_object_goes_in_parts_and_leaves_none_behind", "s3", S3) else {
        return;
    };
    let prefix = Prefix::new(&endpoint, &contract::unique("large"), "none", "");
    let batch = large("corp", 20);
    let key = format!("{}{}.ndjson", prefix.root, batch.key());
    // A process before us began the same object and was killed.
    let begun = prefix.client().create_multipart_upload().bucket("audit").key(&key).send().await.unwrap();
    assert!(begun.upload_id().is_some());
    assert_eq!(prefix.unfinished().await, 1);

    prefix.sink().deliver(&batch).await.unwrap();
    assert_eq!(prefix.unfinished().await, 0);
    let head = prefix.client().head_object().bucket("audit").key(&key).send().await.unwrap();
    let (tag, changed) = (head.e_tag().unwrap().to_owned(), head.last_modified().copied());
    assert!(tag.trim_matches('"').ends_with("-3"), "it was sent in three parts: {tag}");
    assert!(prefix.read_back(20).await == contract::texts(std::slice::from_ref(&batch)));

    // It comes again, is found to be there, and is not written.
    prefix.sink().deliver(&batch).await.unwrap();
    let head = prefix.client().head_object().bucket("audit").key(&key).send().await.unwrap();
    assert_eq!((head.e_tag(), head.last_modified().copied()), (Some(tag.as_str()), changed));
    assert_eq!(prefix.unfinished().await, 0);
}

#[tokio::test]
async fn a_large_upload_that_is_dropped_is_ended() {
    let Some(endpoint) = server("a_large_upload_that_is_dropped_is_ended", "s3", S3) else {
        return;
    };
    let prefix = Prefix::new(&endpoint, &contract::unique("dropped"), "gzip", "");
    let batch = large("corp", 40);
    let sink = prefix.sink();
    for millis in [300, 900, 1500] {
        let _ = tokio::time::timeout(Duration::from_millis(millis), sink.deliver(&batch)).await;
    }
    sink.deliver(&batch).await.unwrap();
    assert!(prefix.read_back(40).await == contract::texts(&[batch]));
    // The ending goes on beside us.
    for _ in 0..100 {
        if prefix.unfinished().await == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{} uploads were begun and never ended", prefix.unfinished().await);
}

#[tokio::test]
async fn what_is_there_and_not_ours_is_not_replaced() {
    let Some(endpoint) = server("what_is_there_and_not_ours_is_not_replaced", "s3", S3) else {
        return;
    };
    let mut prefix = Prefix::new(&endpoint, &contract::unique("taken"), "none", "");
    for batch in [contract::numbered("small", 1, 3), large("large", 9)] {
        let key = format!("{}{}.ndjson", prefix.root, batch.key());
        let other = ByteStream::from_static(b"theirs");
        prefix.client().put_object().bucket("audit").key(&key).body(other).send().await.unwrap();
        let outcome = prefix.sink().deliver(&batch).await;
        let Err(DeliveryError::Refused { message, hint, .. }) = outcome else { panic!("{outcome:?}") };
        assert_eq!(message, format!("`{key}` is there already, and holds other records"));
        assert!(hint.contains("`if_absent = false`"), "{hint}");
        let objects: BTreeMap<String, Vec<u8>> = prefix.objects().await.into_iter().collect();
        assert_eq!(objects[&key], b"theirs");
        assert_eq!(prefix.unfinished().await, 0);

        prefix.config["if_absent"] = json!(false);
        prefix.sink().deliver(&batch).await.unwrap();
        let objects: BTreeMap<String, Vec<u8>> = prefix.objects().await.into_iter().collect();
        let text = contract::texts(std::slice::from_ref(&batch)).join("\n") + "\n";
        assert!(objects[&key] == text.as_bytes(), "it is replaced where that is wanted");
        prefix.config["if_absent"] = json!(true);
    }
}

// Two servers of the same kind may pack in another way, and so may a later release of ours.
#[tokio::test]
async fn the_same_records_in_other_bytes_are_the_same_object() {
    let Some(endpoint) = server("the_same_records_in_other_bytes_are_the_same_object", "s3", S3) else {
        return;
    };
    let prefix = Prefix::new(&endpoint, &contract::unique("repacked"), "gzip", "");
    let batch = contract::numbered("corp", 1, 100);
    prefix.sink().deliver(&batch).await.unwrap();
    let (key, body) = prefix.objects().await.remove(0);
    let head = prefix.client().head_object().bucket("audit").key(&key).send().await.unwrap();
    let mut fast = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut fast, unpacked(&(key.clone(), body)).as_bytes()).unwrap();
    let fast = fast.finish().unwrap();
    let put = prefix.client().put_object().bucket("audit").key(&key).set_metadata(head.metadata().cloned());
    put.body(ByteStream::from(fast.clone())).send().await.unwrap();
    prefix.sink().deliver(&batch).await.unwrap();
    assert!(prefix.objects().await == [(key, fast)], "it was left as it was");
}

// What our uploads rely on: the server compares the checksum with what arrived.
#[tokio::test]
async fn the_server_refuses_a_wrong_checksum() {
    let Some(endpoint) = server("the_server_refuses_a_wrong_checksum", "s3", S3) else {
        return;
    };
    let prefix = Prefix::new(&endpoint, &contract::unique("checksum"), "gzip", "");
    let key = format!("{}object", prefix.root);
    let put = prefix.client().put_object().bucket("audit").key(&key).checksum_crc32("AAAAAA==");
    let error = put.body(ByteStream::from_static(b"something")).send().await.unwrap_err();
    assert_eq!(error.code(), Some("BadDigest"), "{}", chain(&error));
    let begun = prefix.client().create_multipart_upload().bucket("audit").key(&key).send().await.unwrap();
    let part = prefix.client().upload_part().bucket("audit").key(&key).set_upload_id(begun.upload_id).part_number(1);
    let part = part.checksum_crc32("AAAAAA==").body(ByteStream::from_static(b"something"));
    let error = part.send().await.unwrap_err();
    assert_eq!(error.code(), Some("BadDigest"), "{}", chain(&error));
    assert!(prefix.objects().await.is_empty());
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
    let (_closed, address) = contract::closed_port();
    let endpoint = format!("http://{address}");
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
    let (endpoint, answering) = answers(vec![(head.to_owned(), body.to_owned())]).await;
    (endpoint, tokio::spawn(async move { drop(answering.await.unwrap()) }))
}

/// A server that answers request after request so; in the end, the requests' heads.
async fn answers(answers: Vec<(String, String)>) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let answering = tokio::spawn(async move {
        let mut heads = Vec::new();
        for (head, body) in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 16 * 1024];
            let read = stream.read(&mut request).await.unwrap();
            heads.push(String::from_utf8_lossy(&request[..read]).into_owned());
            let length = body.len();
            let answer = format!("HTTP/1.1 {head}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
        heads
    });
    (endpoint, answering)
}

#[tokio::test]
async fn a_server_without_the_condition_is_asked_once() {
    let unknown = "<Error><Code>NotImplemented</Code><Message>A header you provided implies…</Message></Error>";
    let stored = || ("200 OK\r\netag: \"e\"".to_owned(), String::new());
    let refused = ("501 Not Implemented".to_owned(), unknown.to_owned());
    let (endpoint, answering) = answers(vec![refused, stored(), stored()]).await;
    let sink = sink(offline(&endpoint));
    sink.deliver(&contract::numbered("p", 1, 2)).await.unwrap();
    sink.deliver(&contract::numbered("p", 3, 2)).await.unwrap();
    let conditional: Vec<bool> =
        answering.await.unwrap().iter().map(|head| head.to_lowercase().contains("if-none-match: *")).collect();
    assert_eq!(conditional, [true, false, false]);
}

// A key that may write and not read cannot tell whose object it is. Its name is that of our batch.
#[tokio::test]
async fn an_object_that_may_not_be_looked_at_is_written_again() {
    let taken = "<Error><Code>PreconditionFailed</Code></Error>".to_owned();
    let (endpoint, answering) = answers(vec![
        ("412 Precondition Failed".to_owned(), taken),
        ("403 Forbidden".to_owned(), String::new()),
        ("200 OK\r\netag: \"e\"".to_owned(), String::new()),
    ])
    .await;
    sink(offline(&endpoint)).deliver(&contract::numbered("p", 1, 2)).await.unwrap();
    let heads = answering.await.unwrap();
    let methods: Vec<&str> = heads.iter().map(|head| head.split(' ').next().unwrap()).collect();
    assert_eq!(methods, ["PUT", "HEAD", "PUT"]);
}

// A page of a proxy under a status that means all is well: nothing was stored.
#[tokio::test]
async fn a_friendly_page_is_no_delivery() {
    let page = "<html>Please sign in to the guest network</html>";
    let (endpoint, _) = answers(vec![("200 OK".to_owned(), page.to_owned()); 2]).await;
    let sink = sink(offline(&endpoint));
    let outcome = sink.deliver(&contract::numbered("p", 1, 2)).await;
    let Err(DeliveryError::Retryable { message, .. }) = outcome else { panic!("{outcome:?}") };
    assert!(message.ends_with("but not as S3 does: is `endpoint` an S3 server?"), "{message}");
    let outcome = sink.check().await;
    let Err(DeliveryError::Retryable { message, .. }) = outcome else { panic!("{outcome:?}") };
    assert_eq!(message, "what answers is no S3 server: is `endpoint` right, or is a proxy between?");
}

#[tokio::test]
async fn garbage_is_no_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let babbling = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.write_all(b"220 mail.example ESMTP\r\n").await;
        }
    });
    expect_both_retryable(offline(&endpoint), "S3 cannot be reached").await;
    babbling.abort();
}

/// Runs one test of this program by itself, with an environment of its own, which a process cannot change safely.
fn alone(test: &str, environment: &[(&str, &str)]) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]).env("AUDITLINE_TEST_ALONE", test);
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_ROLE_ARN"] {
        command.env_remove(name);
    }
    let output = command.env("AWS_EC2_METADATA_DISABLED", "true").envs(environment.iter().copied()).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && told.contains("1 passed"), "{told}");
}

/// Whether this process is the one that [`alone`] started for this test.
fn is_alone(test: &str) -> bool {
    std::env::var("AUDITLINE_TEST_ALONE").is_ok_and(|alone| alone == test)
}

#[tokio::test]
async fn a_certificate_of_another_name_needs_a_person() {
    let test = "a_certificate_of_another_name_needs_a_person";
    if is_alone(test) {
        let endpoint = std::env::var("AUDITLINE_TEST_ALONE_ENDPOINT").unwrap();
        return expect_both_refused(offline(&endpoint), "connect by a name in the certificate").await;
    }
    use tokio_rustls::rustls::ServerConfig;
    let key = rcgen::generate_simple_self_signed(["elsewhere.example".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let trusted = folder.path().join("trusted.pem");
    std::fs::write(&trusted, key.cert.pem()).unwrap();
    let private = tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer::from(key.signing_key.serialize_der());
    let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
    let server = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let server = server.with_no_client_auth().with_single_cert(vec![key.cert.der().clone()], private.into()).unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(server));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let accepting = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let _ = acceptor.accept(stream).await;
        }
    });
    let environment = [
        ("SSL_CERT_FILE".to_owned(), trusted.display().to_string()),
        ("AUDITLINE_TEST_ALONE_ENDPOINT".to_owned(), endpoint),
    ];
    let told = tokio::task::spawn_blocking(move || {
        let environment: Vec<(&str, &str)> = environment.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        alone(test, &environment);
    });
    told.await.unwrap();
    accepting.abort();
}

/// What a sink without keys of its own delivers with, is found in the environment.
async fn deliver_with_the_environments_keys() {
    let endpoint = std::env::var("AUDITLINE_TEST_ALONE_ENDPOINT").unwrap();
    let prefix = format!("{}/", contract::unique("chain"));
    let sink = sink(json!({ "bucket": "audit", "endpoint": endpoint, "path_style": true, "prefix": prefix }));
    sink.check().await.unwrap_or_else(|error| panic!("{}", chain(&error)));
    sink.deliver(&contract::numbered("p", 1, 2)).await.unwrap_or_else(|error| panic!("{}", chain(&error)));
}

fn file(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[tokio::test]
async fn keys_come_from_a_profile() {
    let test = "keys_come_from_a_profile";
    if is_alone(test) {
        return deliver_with_the_environments_keys().await;
    }
    let Some(endpoint) = server(test, "s3", S3) else { return };
    let folder = tempfile::tempdir().unwrap();
    let (key, secret) = (variable("AUDITLINE_TEST_S3_ACCESS_KEY"), variable("AUDITLINE_TEST_S3_SECRET_KEY"));
    let written = format!("aws_access_key_id = {key}\naws_secret_access_key = {secret}\n");
    let plain = file(folder.path(), "credentials", &format!("[audit]\n{written}"));
    let answer = json!({ "Version": 1, "AccessKeyId": key, "SecretAccessKey": secret });
    let answer = file(folder.path(), "answer.json", &answer.to_string());
    let process = file(folder.path(), "config", &format!("[profile audit]\ncredential_process = cat {answer}\n"));
    for (credentials, config) in [(plain.as_str(), "/dev/null"), ("/dev/null", process.as_str())] {
        alone(
            test,
            &[
                ("AUDITLINE_TEST_ALONE_ENDPOINT", &endpoint),
                ("AWS_PROFILE", "audit"),
                ("AWS_SHARED_CREDENTIALS_FILE", credentials),
                ("AWS_CONFIG_FILE", config),
            ],
        );
    }
}

const MOTO: &str = "AUDITLINE_TEST_MOTO";

#[tokio::test]
async fn keys_come_from_a_web_identity() {
    let test = "keys_come_from_a_web_identity";
    if is_alone(test) {
        return deliver_with_the_environments_keys().await;
    }
    let Some(endpoint) = server(test, "moto", MOTO) else { return };
    let folder = tempfile::tempdir().unwrap();
    // A token of the kind a Kubernetes service account has: {"alg":"none"} . {"sub":"auditline"} .
    let token = file(folder.path(), "token", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhdWRpdGxpbmUifQ.");
    alone(
        test,
        &[
            ("AUDITLINE_TEST_ALONE_ENDPOINT", &endpoint),
            ("AWS_WEB_IDENTITY_TOKEN_FILE", &token),
            ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/auditline"),
            ("AWS_ENDPOINT_URL_STS", &endpoint),
            ("AWS_REGION", "us-east-1"),
            ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
            ("AWS_CONFIG_FILE", "/dev/null"),
        ],
    );
}

#[tokio::test]
async fn objects_are_encrypted_as_configured() {
    let Some(endpoint) = server("objects_are_encrypted_as_configured", "moto", MOTO) else { return };
    let name = contract::unique("encrypted");
    let mut config = offline(&endpoint);
    config["timeout"] = json!("30s");
    config["compression"] = json!("none");
    config["storage_class"] = json!("STANDARD_IA");
    for (sse, key) in [("AES256", None), ("aws:kms", Some("arn:aws:kms:us-east-1:123456789012:key/abc"))] {
        for batch in [contract::numbered("small", 1, 2), large("large", 9)] {
            config["prefix"] = json!(format!("{name}/{}/", sse.replace(':', "-")));
            config["sse"] = json!(sse);
            config["sse_kms_key_id"] = json!(key);
            let prefix = Prefix { config: config.clone(), root: config["prefix"].as_str().unwrap().to_owned() };
            prefix.sink().deliver(&batch).await.unwrap_or_else(|error| panic!("{}", chain(&error)));
            prefix.sink().deliver(&batch).await.unwrap_or_else(|error| panic!("again: {}", chain(&error)));
            let key_of = format!("{}{}.ndjson", prefix.root, batch.key());
            let head = prefix.client().head_object().bucket("audit").key(key_of).send().await.unwrap();
            assert_eq!(head.server_side_encryption().unwrap().as_str(), sse);
            assert_eq!(head.ssekms_key_id(), key);
            assert_eq!(head.storage_class().unwrap().as_str(), "STANDARD_IA");
        }
    }
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
