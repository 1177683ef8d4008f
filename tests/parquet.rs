//! All five vendors through the binary into Parquet on S3, next to lines of JSON in files: both hold the same.

mod common;

use std::path::PathBuf;
use std::process::Command;

use auditline::simulator::Vendor;
use auditline_sinks::contract::{server, unique};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use common::{Installation, Pipeline, simulate, world};

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is set together with the server's address"))
}

#[tokio::test]
async fn parquet_holds_what_the_lines_of_json_hold() {
    let test = "parquet_holds_what_the_lines_of_json_hold";
    let Some(endpoint) = server(test, "s3", "AUDITLINE_TEST_S3") else { return };
    let Some(compare) = server(test, "parquet readers", "AUDITLINE_TEST_PARQUET") else { return };
    let root = unique("parquet");
    let (key, secret) = (variable("AUDITLINE_TEST_S3_ACCESS_KEY"), variable("AUDITLINE_TEST_S3_SECRET_KEY"));
    // The layout that Security Lake wants.
    let sinks = format!(
        "{}[sinks.lake.s3]\nbucket = \"audit\"\nendpoint = \"{endpoint}\"\npath_style = true\nformat = \"parquet\"\n\
         access_key_id = \"{key}\"\nsecret_access_key = \"{secret}\"\n\
         prefix = \"{root}/ext/{{class}}/region=eu-central-1/accountId=123456789012/eventDay={{year}}{{month}}{{day}}/\"\n",
        common::FILES
    );
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
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(&endpoint)
        .force_path_style(true)
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new(&key, &secret, None, None, "test"))
        .build();
    let client = Client::from_conf(config);
    let listed = client.list_objects_v2().bucket("audit").prefix(format!("{root}/")).send().await.unwrap();
    assert_ne!(listed.is_truncated(), Some(true));
    let mut files: Vec<PathBuf> = Vec::new();
    for object in listed.contents() {
        let name = object.key().unwrap();
        // `…/ext/CLASS/region=…/…-CLASS.parquet`
        let class = name.split('/').nth(2).unwrap();
        assert!(name.ends_with(&format!("-{class}.parquet")) && name.contains("/eventDay=20"), "{name}");
        let stored = client.get_object().bucket("audit").key(name).send().await.unwrap();
        let path = folder.join(format!("{}.parquet", files.len()));
        std::fs::write(&path, stored.body.collect().await.unwrap().to_vec()).unwrap();
        files.push(path);
    }

    let lines = installation.path("all.ndjson");
    let names = pipelines.iter().map(|pipeline| installation.path(&format!("out/{}.ndjson", pipeline.name)));
    let texts: Vec<String> = names.map(|path| std::fs::read_to_string(path).unwrap()).collect();
    std::fs::write(&lines, texts.concat()).unwrap();
    assert!(texts.concat().lines().count() > 7 * 250, "every pipeline has its records");
    let output = Command::new(compare).arg(&lines).args(&files).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    print!("{}", text(&output.stderr));
}
