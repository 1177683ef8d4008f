//! Through the binary to a real S3 server: each record once however often it is killed, Parquet that holds what the lines of
//! JSON hold, and objects of the size that was asked for.

mod common;

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use auditline::simulator::{Vendor, World};
use auditline_sinks::contract::{server, unique};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use common::{Installation, Pipeline, expect_once, expected, id, simulate, world};
use serde_json::Value as Json;
use tokio::time::sleep;

const KILLS: u32 = 50;
const VENDORS: [Vendor; 2] = [Vendor::Telnyx, Vendor::Ashby];

/// A place in the server's bucket that nobody else uses.
struct Place {
    endpoint: String,
    key: String,
    secret: String,
    root: String,
}

impl Place {
    fn new(endpoint: String) -> Self {
        let variable = |name: &str| {
            std::env::var(name).unwrap_or_else(|_| panic!("{name} is set together with the server's address"))
        };
        let (key, secret) = (variable("AUDITLINE_TEST_S3_ACCESS_KEY"), variable("AUDITLINE_TEST_S3_SECRET_KEY"));
        Self { endpoint, key, secret, root: unique("binary") }
    }

    /// `[sinks.NAME.s3]`, `prefix` being below the root.
    fn sink(&self, name: &str, prefix: &str, more: &str) -> String {
        let Self { endpoint, key, secret, root } = self;
        format!(
            "[sinks.{name}.s3]\nbucket = \"audit\"\nendpoint = \"{endpoint}\"\npath_style = true\n\
             access_key_id = \"{key}\"\nsecret_access_key = \"{secret}\"\nprefix = \"{root}/{prefix}\"\n{more}\n"
        )
    }

    /// Names, without the root, and contents.
    async fn objects(&self) -> Vec<(String, Vec<u8>)> {
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(&self.endpoint)
            .force_path_style(true)
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new(&self.key, &self.secret, None, None, "test"))
            .build();
        let client = Client::from_conf(config);
        let root = format!("{}/", self.root);
        let mut pages = client.list_objects_v2().bucket("audit").prefix(&root).into_paginator().send();
        let mut objects = Vec::new();
        while let Some(page) = pages.next().await {
            for object in page.unwrap().contents() {
                let name = object.key().unwrap();
                let stored = client.get_object().bucket("audit").key(name).send().await.unwrap();
                let body = stored.body.collect().await.unwrap().to_vec();
                objects.push((name.strip_prefix(&root).unwrap().to_owned(), body));
            }
        }
        objects
    }
}

fn unpacked(body: &[u8]) -> String {
    let mut text = String::new();
    flate2::read::GzDecoder::new(body).read_to_string(&mut text).unwrap();
    text
}

fn events(objects: &[(String, Vec<u8>)]) -> Vec<Json> {
    let texts = objects.iter().map(|(_, body)| unpacked(body));
    texts.flat_map(|text| text.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<_>>()).collect()
}

#[tokio::test]
async fn killed_fifty_times_s3_has_each_record_once() {
    let test = "killed_fifty_times_s3_has_each_record_once";
    let Some(endpoint) = server(test, "s3", "AUDITLINE_TEST_S3") else { return };
    let place = Place::new(endpoint);
    let simulator = simulate(World { latency: Duration::from_millis(25), ..world(1500) }).await;
    let pipelines = VENDORS.map(|vendor| {
        let pipeline = Pipeline::of(&simulator, vendor).set("window", "\"2h\"").not_to("siem");
        pipeline.to("real", "batch = { max_records = 15, max_wait = \"10ms\" }")
    });
    let installation = Installation::new(&place.sink("real", "{vendor}/day={date}/", ""), &pipelines);
    let mut there = 0;
    for life in 0.. {
        if life >= KILLS {
            there = place.objects().await.len();
            if there > 10 {
                break;
            }
        }
        let running = installation.start();
        // From before it connects to well within its deliveries, at another place each time; on a busy machine more often,
        // and later each time.
        sleep(Duration::from_millis(u64::from(40 + life * 53 % 800 + life / KILLS * life))).await;
        let ended = running.kill().await;
        assert_eq!(ended.status.code(), None, "it ended by itself: {}", ended.stderr);
    }
    installation.read_all().await;

    let objects = place.objects().await;
    println!("{} objects, {there} of them by processes that were killed", objects.len());
    let wanted: BTreeSet<String> = VENDORS
        .into_iter()
        .flat_map(|vendor| expected(&simulator, vendor).into_iter().map(move |id| format!("{vendor} {id}")))
        .collect();
    let named = |event: &Json| format!("{} {}", event["metadata"]["log_name"].as_str().unwrap(), id(event));
    expect_once("s3", events(&objects).iter().map(named).collect(), &wanted);
}

#[tokio::test]
async fn objects_have_about_the_size_that_was_asked_for() {
    let test = "objects_have_about_the_size_that_was_asked_for";
    let Some(endpoint) = server(test, "s3", "AUDITLINE_TEST_S3") else { return };
    let place = Place::new(endpoint);
    let simulator = simulate(world(4000)).await;
    let pipeline = Pipeline::of(&simulator, Vendor::Telnyx).not_to("siem").to("real", "batch = { max_wait = \"10m\" }");
    let installation = Installation::new(&place.sink("real", "", "object_size = \"16KiB\""), &[pipeline]);
    installation.read_all().await;
    let objects = place.objects().await;
    let sizes: Vec<usize> = objects.iter().map(|(_, body)| body.len()).collect();
    println!("{sizes:?}");
    assert!(sizes.len() >= 4, "{sizes:?}");
    // The first is a guess, and the last is what was left.
    for size in &sizes[1..sizes.len() - 1] {
        assert!((12 << 10..20 << 10).contains(size), "{sizes:?}");
    }
    let ids = events(&objects).iter().map(id).collect();
    expect_once("s3", ids, &expected(&simulator, Vendor::Telnyx));
}

#[tokio::test]
async fn parquet_holds_what_the_lines_of_json_hold() {
    let test = "parquet_holds_what_the_lines_of_json_hold";
    let Some(endpoint) = server(test, "s3", "AUDITLINE_TEST_S3") else { return };
    let Some(compare) = server(test, "parquet readers", "AUDITLINE_TEST_PARQUET") else { return };
    let place = Place::new(endpoint);
    // The layout that Security Lake wants.
    let prefix = "ext/{class}/region=eu-central-1/accountId=123456789012/eventDay={year}{month}{day}/";
    let sinks = format!("{}{}", common::FILES, place.sink("lake", prefix, "format = \"parquet\""));
    let simulator = simulate(world(300)).await;
    let mut pipelines: Vec<Pipeline> = Vec::new();
    for vendor in Vendor::ALL {
        pipelines.push(Pipeline::of(&simulator, vendor).to("lake", "batch = { max_records = 200 }"));
    }
    for form in ["none", "ecs"] {
        let pipeline = Pipeline::of(&simulator, Vendor::Ashby).named(form).to("lake", "");
        pipelines.push(pipeline.with(&format!("[[transform]]\nnormalize = \"{form}\"\n")));
    }
    let installation = Installation::new(&sinks, &pipelines);
    installation.read_all().await;

    let folder = installation.path("lake");
    std::fs::create_dir(&folder).unwrap();
    let mut files: Vec<PathBuf> = Vec::new();
    for (name, body) in place.objects().await {
        // `ext/CLASS/region=…/…-CLASS.parquet`
        let class = name.split('/').nth(1).unwrap();
        assert!(name.ends_with(&format!("-{class}.parquet")) && name.contains("/eventDay=20"), "{name}");
        let path = folder.join(format!("{}.parquet", files.len()));
        std::fs::write(&path, body).unwrap();
        files.push(path);
    }
    let lines = installation.path("all.ndjson");
    let names = pipelines.iter().map(|pipeline| installation.path(&format!("out/{}.ndjson", pipeline.name)));
    let text = names.map(|path| std::fs::read_to_string(path).unwrap()).collect::<String>();
    assert!(text.lines().count() > 7 * 250, "every pipeline has its records");
    std::fs::write(&lines, text).unwrap();
    let output = Command::new(compare).arg(&lines).args(&files).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    print!("{}", text(&output.stderr));
}
