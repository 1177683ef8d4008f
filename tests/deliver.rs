//! All five pipelines through the binary to the destinations themselves: Kafka, S3, rsyslog, syslog-ng, HTTP, OTLP.
//!
//! `tests/servers/run` starts them; without it each test says that it was skipped.

mod common;
#[path = "common/kafka.rs"]
mod kafka;

use std::io::Read as _;
use std::path::PathBuf;
use std::time::Duration;

use auditline::simulator::{RetryAfter, Simulator, Throttle, Vendor, World};
use auditline_sinks::contract::{server, unique};
use common::{Installation, Pipeline, expect_at_least_once, expect_once, expected_of_all, id, named, simulate, world};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message as _;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde_json::Value as Json;
use tokio::time::{Instant, sleep};

const RECORDS: u64 = 400;

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is set together with the server's address"))
}

/// Reads all five vendors into one sink, and is killed so often on the way. Some requests are refused, as in life.
async fn deliver(sink: &str, kills: u64) -> Simulator {
    let throttle = Throttle { every: 5, retry_after: RetryAfter::Seconds(0), ..Throttle::default() };
    let latency = Duration::from_millis(if kills > 0 { 40 } else { 0 });
    let simulator = simulate(World { throttle, latency, ..world(RECORDS) }).await;
    let to_sink = |vendor| {
        let pipeline = Pipeline::of(&simulator, vendor).set("window", "\"2h\"");
        pipeline.not_to("siem").to("real", "batch = { max_records = 30, max_wait = \"20ms\" }")
    };
    let pipelines: Vec<Pipeline> = Vendor::ALL.into_iter().map(to_sink).collect();
    let installation = Installation::new(sink, &pipelines);
    installation.read_all_despite(kills).await;
    // A second run finds the journal at its end and sends nothing.
    installation.read_all().await;
    simulator
}

/// How often it is killed in the tests that do.
const KILLS: u64 = 12;

#[tokio::test]
async fn all_vendors_reach_kafka() {
    let Some(broker) = server("all_vendors_reach_kafka", "kafka", "AUDITLINE_TEST_KAFKA") else { return };
    let (simulator, arrived) = through_kafka(&broker, 0).await;
    // Nothing broke on the way, so nothing came twice either.
    expect_once("kafka", arrived, &expected_of_all(&simulator));
}

#[tokio::test]
async fn killed_on_the_way_kafka_has_each_at_least_once() {
    let test = "killed_on_the_way_kafka_has_each_at_least_once";
    let Some(broker) = server(test, "kafka", "AUDITLINE_TEST_KAFKA") else { return };
    let (simulator, arrived) = through_kafka(&broker, KILLS).await;
    expect_at_least_once("kafka", arrived, &expected_of_all(&simulator));
}

async fn through_kafka(broker: &str, kills: u64) -> (Simulator, Vec<String>) {
    let topic = unique("deliver");
    let sink = format!("[sinks.real.kafka]\nbrokers = [\"{broker}\"]\ntopic = \"{topic}.{{vendor}}\"\n");
    for vendor in Vendor::ALL {
        kafka::create(broker, &format!("{topic}.{vendor}")).await;
    }
    let simulator = deliver(&sink, kills).await;
    let mut arrived = Vec::new();
    for vendor in Vendor::ALL {
        let (broker, topic) = (broker.to_owned(), format!("{topic}.{vendor}"));
        arrived.extend(tokio::task::spawn_blocking(move || consume(&broker, &topic)).await.unwrap());
    }
    (simulator, arrived.iter().map(named).collect())
}

fn consume(broker: &str, topic: &str) -> Vec<Json> {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", broker).set("group.id", "auditline-tests").set("enable.auto.commit", "false");
    let consumer: BaseConsumer = client.create().unwrap();
    let metadata = consumer.fetch_metadata(Some(topic), kafka::PATIENCE).unwrap();
    let mut events = Vec::new();
    for partition in metadata.topics()[0].partitions() {
        let (low, high) = consumer.fetch_watermarks(topic, partition.id(), kafka::PATIENCE).unwrap();
        let mut from = TopicPartitionList::new();
        from.add_partition_offset(topic, partition.id(), Offset::Offset(low)).unwrap();
        consumer.assign(&from).unwrap();
        let mut next = low;
        while next < high {
            let message = consumer.poll(kafka::PATIENCE).expect("the broker answers").unwrap();
            next = message.offset() + 1;
            events.push(serde_json::from_slice(message.payload().unwrap()).unwrap());
        }
    }
    events
}

#[tokio::test]
async fn all_vendors_reach_http() {
    let Some(base) = server("all_vendors_reach_http", "http", "AUDITLINE_TEST_HTTP") else { return };
    let (simulator, arrived) = through_http(&base, 0).await;
    expect_once("http", arrived, &expected_of_all(&simulator));
}

#[tokio::test]
async fn killed_on_the_way_http_has_each_at_least_once() {
    let test = "killed_on_the_way_http_has_each_at_least_once";
    let Some(base) = server(test, "http", "AUDITLINE_TEST_HTTP") else { return };
    let (simulator, arrived) = through_http(&base, KILLS).await;
    expect_at_least_once("http", arrived, &expected_of_all(&simulator));
}

async fn through_http(base: &str, kills: u64) -> (Simulator, Vec<String>) {
    let path = format!("in/{}", unique("deliver"));
    let sink = format!(
        "[sinks.real.http]\nurl = \"{base}/{path}\"\nformat = \"ndjson\"\nmax_request_records = 7\n\
         record = {{ of = \"{{vendor}}\", event = \"{{event}}\" }}\n"
    );
    let simulator = deliver(&sink, kills).await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let stored = client.get(format!("{base}/stored/{path}")).send().await.unwrap().text().await.unwrap();
    let mut arrived = Vec::new();
    for request in stored.lines() {
        let request: Json = serde_json::from_str(request).unwrap();
        for line in request["body"].as_str().unwrap().lines() {
            let record: Json = serde_json::from_str(line).unwrap();
            assert_eq!(record["of"], record["event"]["metadata"]["log_name"]);
            arrived.push(named(&record["event"]));
        }
    }
    (simulator, arrived)
}

#[tokio::test]
async fn all_vendors_reach_otlp() {
    let Some(endpoint) = server("all_vendors_reach_otlp", "otlp", "AUDITLINE_TEST_OTLP") else { return };
    let (simulator, arrived) = through_otlp(&endpoint, 0).await;
    expect_once("otlp", arrived, &expected_of_all(&simulator));
}

#[tokio::test]
async fn killed_on_the_way_otlp_has_each_at_least_once() {
    let test = "killed_on_the_way_otlp_has_each_at_least_once";
    let Some(endpoint) = server(test, "otlp", "AUDITLINE_TEST_OTLP") else { return };
    let (simulator, arrived) = through_otlp(&endpoint, KILLS).await;
    expect_at_least_once("otlp", arrived, &expected_of_all(&simulator));
}

async fn through_otlp(endpoint: &str, kills: u64) -> (Simulator, Vec<String>) {
    let name = unique("deliver");
    let sink =
        format!("[sinks.real.otlp]\nendpoint = \"{endpoint}\"\nbody = \"json\"\nresource = {{ test = \"{name}\" }}\n");
    let simulator = deliver(&sink, kills).await;
    let output = std::fs::read_to_string(variable("AUDITLINE_TEST_OTLP_OUTPUT")).unwrap();
    let mut arrived = Vec::new();
    for request in output.lines().filter(|line| line.contains(&name)) {
        let request: Json = serde_json::from_str(request).unwrap();
        let records = request["resourceLogs"][0]["scopeLogs"][0]["logRecords"].as_array().unwrap();
        for record in records {
            let event: Json = serde_json::from_str(record["body"]["stringValue"].as_str().unwrap()).unwrap();
            assert_eq!(record["attributes"][0]["value"]["stringValue"], id(&event));
            assert_ne!(record["severityNumber"], Json::Null, "{record}");
            arrived.push(named(&event));
        }
    }
    (simulator, arrived)
}

#[tokio::test]
async fn all_vendors_reach_s3_once() {
    let Some(endpoint) = server("all_vendors_reach_s3_once", "s3", "AUDITLINE_TEST_S3") else { return };
    through_s3(&endpoint, 0).await;
}

#[tokio::test]
async fn killed_on_the_way_s3_has_each_once() {
    let Some(endpoint) = server("killed_on_the_way_s3_has_each_once", "s3", "AUDITLINE_TEST_S3") else { return };
    through_s3(&endpoint, KILLS).await;
}

async fn through_s3(endpoint: &str, kills: u64) {
    let root = unique("deliver");
    let (key, secret) = (variable("AUDITLINE_TEST_S3_ACCESS_KEY"), variable("AUDITLINE_TEST_S3_SECRET_KEY"));
    let bucket = variable("AUDITLINE_TEST_S3_BUCKET");
    let sink = format!(
        "[sinks.real.s3]\nbucket = \"{bucket}\"\nendpoint = \"{endpoint}\"\npath_style = true\n\
         access_key_id = \"{key}\"\nsecret_access_key = \"{secret}\"\nprefix = \"{root}/{{vendor}}/{{date}}/\"\n"
    );
    let simulator = deliver(&sink, kills).await;
    let objects = objects(endpoint, &key, &secret, &bucket, &root).await;
    let mut arrived = Vec::new();
    for (name, text) in &objects {
        for line in text.lines() {
            let event: Json = serde_json::from_str(line).unwrap();
            let time = chrono::DateTime::from_timestamp_millis(event["time"].as_i64().unwrap()).unwrap();
            let folder =
                format!("{root}/{}/{}/", event["metadata"]["log_name"].as_str().unwrap(), time.format("%Y-%m-%d"));
            assert!(name.starts_with(&folder), "{name} holds an event of {folder}");
            arrived.push(named(&event));
        }
    }
    expect_once("s3", arrived, &expected_of_all(&simulator));
}

/// The names and texts of all objects below `root/`.
async fn objects(endpoint: &str, key: &str, secret: &str, bucket: &str, root: &str) -> Vec<(String, String)> {
    use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(endpoint)
        .force_path_style(true)
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new(key, secret, None, None, "test"))
        .build();
    let client = aws_sdk_s3::Client::from_conf(config);
    let listed = client.list_objects_v2().bucket(bucket).prefix(format!("{root}/")).send().await.unwrap();
    assert_ne!(listed.is_truncated(), Some(true));
    let mut objects = Vec::new();
    for object in listed.contents() {
        let name = object.key().unwrap().to_owned();
        let stored = client.get_object().bucket(bucket).key(&name).send().await.unwrap();
        let packed = stored.body.collect().await.unwrap().to_vec();
        let mut text = String::new();
        flate2::read::GzDecoder::new(&*packed).read_to_string(&mut text).unwrap();
        objects.push((name, text));
    }
    objects
}

/// Delivers to a syslog receiver and waits until its file has every event.
async fn reach(transport: &str, address: &str, output: &str, event_of: fn(&str, &str) -> Option<Json>, kills: u64) {
    let app = unique("deliver");
    let tls = match transport {
        "tls" => format!("tls = {{ ca = \"{}\" }}\n", variable("AUDITLINE_TEST_TLS_CA")),
        _ => String::new(),
    };
    let sink = format!(
        "[sinks.real.syslog]\naddress = \"{address}\"\ntransport = \"{transport}\"\napp_name = \"{app}\"\n{tls}"
    );
    let simulator = deliver(&sink, kills).await;
    let all = expected_of_all(&simulator);
    let expect = if kills > 0 { expect_at_least_once } else { expect_once };
    let output = PathBuf::from(variable(output));
    let give_up = Instant::now() + Duration::from_secs(300);
    loop {
        let text = String::from_utf8_lossy(&tokio::fs::read(&output).await.unwrap()).into_owned();
        let whole = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
        let arrived: Vec<String> =
            whole.lines().filter_map(|line| event_of(line, &app)).map(|event| named(&event)).collect();
        if all.is_subset(&arrived.iter().cloned().collect()) {
            return expect(transport, arrived, &all);
        }
        if Instant::now() > give_up {
            return expect(transport, arrived, &all);
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// The event in a line of rsyslog's file of raw messages. One that a kill cut short is none.
fn from_rsyslog(line: &str, app: &str) -> Option<Json> {
    line.split(' ').nth(3).filter(|name| *name == app)?;
    serde_json::from_str(&line[line.find("] {")? + 2..]).ok()
}

/// The event in a line of syslog-ng's JSON. One that a kill cut short is none.
fn from_syslog_ng(line: &str, app: &str) -> Option<Json> {
    let line: Json = serde_json::from_str(line).ok()?;
    let message = line.get("MSG").filter(|_| line["APP-NAME"] == app)?.as_str()?;
    serde_json::from_str(message).ok()
}

#[tokio::test]
async fn all_vendors_reach_rsyslog_over_tcp() {
    let variable = "AUDITLINE_TEST_RSYSLOG_TCP";
    let Some(address) = server("all_vendors_reach_rsyslog_over_tcp", "rsyslog", variable) else { return };
    reach("tcp", &address, "AUDITLINE_TEST_RSYSLOG_OUTPUT", from_rsyslog, 0).await;
}

#[tokio::test]
async fn all_vendors_reach_rsyslog_over_tls() {
    let variable = "AUDITLINE_TEST_RSYSLOG_TLS";
    let Some(address) = server("all_vendors_reach_rsyslog_over_tls", "rsyslog", variable) else { return };
    reach("tls", &address, "AUDITLINE_TEST_RSYSLOG_OUTPUT", from_rsyslog, 0).await;
}

#[tokio::test]
async fn all_vendors_reach_syslog_ng_over_tcp() {
    let variable = "AUDITLINE_TEST_SYSLOG_NG_TCP";
    let Some(address) = server("all_vendors_reach_syslog_ng_over_tcp", "syslog-ng", variable) else { return };
    reach("tcp", &address, "AUDITLINE_TEST_SYSLOG_NG_OUTPUT", from_syslog_ng, 0).await;
}

#[tokio::test]
async fn all_vendors_reach_syslog_ng_over_tls() {
    let variable = "AUDITLINE_TEST_SYSLOG_NG_TLS";
    let Some(address) = server("all_vendors_reach_syslog_ng_over_tls", "syslog-ng", variable) else { return };
    reach("tls", &address, "AUDITLINE_TEST_SYSLOG_NG_OUTPUT", from_syslog_ng, 0).await;
}

#[tokio::test]
async fn killed_on_the_way_syslog_ng_has_each_at_least_once() {
    let (test, variable) = ("killed_on_the_way_syslog_ng_has_each_at_least_once", "AUDITLINE_TEST_SYSLOG_NG_TCP");
    let Some(address) = server(test, "syslog-ng", variable) else { return };
    reach("tcp", &address, "AUDITLINE_TEST_SYSLOG_NG_OUTPUT", from_syslog_ng, KILLS).await;
}
