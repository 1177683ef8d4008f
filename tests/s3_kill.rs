//! Killed at any moment while it delivers to a real S3 server: the union of all objects holds each record once.

mod common;

use std::collections::BTreeSet;
use std::io::Read as _;
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

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is set together with the server's address"))
}

#[tokio::test]
async fn killed_fifty_times_s3_has_each_record_once() {
    let Some(endpoint) = server("killed_fifty_times_s3_has_each_record_once", "s3", "AUDITLINE_TEST_S3") else {
        return;
    };
    let root = unique("kill");
    let (key, secret) = (variable("AUDITLINE_TEST_S3_ACCESS_KEY"), variable("AUDITLINE_TEST_S3_SECRET_KEY"));
    let sink = format!(
        "[sinks.real.s3]\nbucket = \"audit\"\nendpoint = \"{endpoint}\"\npath_style = true\n\
         access_key_id = \"{key}\"\nsecret_access_key = \"{secret}\"\nprefix = \"{root}/{{vendor}}/day={{date}}/\"\n"
    );
    let simulator = simulate(World { latency: Duration::from_millis(25), ..world(1500) }).await;
    let pipelines = VENDORS.map(|vendor| {
        let pipeline = Pipeline::of(&simulator, vendor).set("window", "\"2h\"").not_to("siem");
        pipeline.to("real", "batch = { max_records = 15, max_wait = \"10ms\" }")
    });
    let installation = Installation::new(&sink, &pipelines);
    for life in 0..KILLS {
        let running = installation.start();
        // From before it connects to well within its deliveries, never twice at the same place.
        sleep(Duration::from_millis(u64::from(40 + life * 37 % 400))).await;
        let ended = running.kill().await;
        assert_eq!(ended.status.code(), None, "it ended by itself: {}", ended.stderr);
    }
    let there = objects(&endpoint, &key, &secret, &root).await.len();
    assert!(there > 10, "only {there} objects were stored by the processes that were killed");
    installation.read_all().await;

    let objects = objects(&endpoint, &key, &secret, &root).await;
    println!("{} objects, {there} of them by processes that were killed", objects.len());
    let named = |vendor: Vendor, id: &str| format!("{vendor} {id}");
    let wanted: BTreeSet<String> = VENDORS
        .into_iter()
        .flat_map(|vendor| expected(&simulator, vendor).into_iter().map(move |id| named(vendor, &id)))
        .collect();
    let arrived = objects.iter().flat_map(|text| text.lines()).map(|line| {
        let event: Json = serde_json::from_str(line).unwrap();
        format!("{} {}", event["metadata"]["log_name"].as_str().unwrap(), id(&event))
    });
    expect_once("s3", arrived.collect(), &wanted);
}

/// The texts of all objects below `root/`.
async fn objects(endpoint: &str, key: &str, secret: &str, root: &str) -> Vec<String> {
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(endpoint)
        .force_path_style(true)
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new(key, secret, None, None, "test"))
        .build();
    let client = Client::from_conf(config);
    let mut pages = client.list_objects_v2().bucket("audit").prefix(format!("{root}/")).into_paginator().send();
    let mut texts = Vec::new();
    while let Some(page) = pages.next().await {
        for object in page.unwrap().contents() {
            let stored = client.get_object().bucket("audit").key(object.key().unwrap()).send().await.unwrap();
            let packed = stored.body.collect().await.unwrap().to_vec();
            let mut text = String::new();
            flate2::read::GzDecoder::new(&*packed).read_to_string(&mut text).unwrap();
            texts.push(text);
        }
    }
    texts
}
