//! All five pipelines through the binary into OpenSearch, with the index template that the binary prints, into an event
//! collector that acknowledges, and into VictoriaLogs.
//!
//! `tests/servers/run` starts them; without it each test says that it was skipped.

mod common;

use std::process::Command;
use std::time::Duration;

use auditline::simulator::{Simulator, Vendor, World};
use auditline_sinks::contract::{server, unique};
use chrono::DateTime;
use common::{
    Installation, Pipeline, expect_at_least_once, expect_once, expected, expected_of_all, id, named, simulate, world,
};
use serde_json::Value as Json;

const RECORDS: u64 = 400;

/// How often it is killed in the tests that do.
const KILLS: u64 = 12;

/// Reads all vendors into the sink `real`, killed so often on the way, and expects every record to be taken.
async fn deliver(sink: &str, form: &str, kills: u64) -> Simulator {
    let latency = Duration::from_millis(if kills > 0 { 40 } else { 0 });
    let simulator = simulate(World { latency, ..world(RECORDS) }).await;
    let to_sink = |vendor| {
        let pipeline = Pipeline::of(&simulator, vendor).set("window", "\"2h\"");
        let pipeline = pipeline.with(&format!("[[transform]]\nnormalize = \"{form}\"\n"));
        pipeline.not_to("siem").to("real", "batch = { max_records = 30, max_wait = \"20ms\" }")
    };
    let pipelines: Vec<Pipeline> = Vendor::ALL.into_iter().map(to_sink).collect();
    let installation = Installation::new(sink, &pipelines);
    installation.read_all_despite(kills).await;
    for vendor in Vendor::ALL {
        let dead = installation.dead_letters(vendor.name()).await;
        assert!(dead.is_empty(), "{vendor}: {} dead letters, one of them {:?}", dead.len(), dead[0]);
    }
    simulator
}

async fn ask(method: &str, url: String, body: Option<String>) -> Json {
    let request = reqwest::Client::new().request(method.parse().unwrap(), &url);
    let request = request.header("content-type", "application/json").body(body.unwrap_or_default());
    let answer = request.send().await.unwrap();
    let (status, text) = (answer.status(), answer.text().await.unwrap());
    assert!(status.is_success(), "{method} {url}: {status} {text}");
    serde_json::from_str(&text).unwrap()
}

/// Has the server know the template that the binary prints.
async fn put_template(url: &str, name: &str, arguments: &[&str]) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_auditline"));
    let command = command.args(["schema", "index-template", "--engine", "opensearch"]).args(arguments);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    ask("PUT", format!("{url}/_index_template/{name}"), Some(String::from_utf8(output.stdout).unwrap())).await;
}

/// The events in all indices of the pattern.
async fn events(url: &str, pattern: &str) -> Vec<Json> {
    ask("POST", format!("{url}/{pattern}/_refresh"), None).await;
    let found = ask("POST", format!("{url}/{pattern}/_search"), Some(r#"{"size":10000}"#.to_owned())).await;
    found["hits"]["hits"].as_array().unwrap().iter().map(|hit| hit["_source"].clone()).collect()
}

async fn count(url: &str, pattern: &str, query: &str) -> u64 {
    let found = ask("GET", format!("{url}/{pattern}/_count"), Some(format!(r#"{{"query":{query}}}"#))).await;
    found["count"].as_u64().unwrap()
}

async fn through_opensearch(url: &str, kills: u64) {
    let root = unique("ocsf");
    put_template(url, &root, &["--form", "ocsf", "--pattern", &format!("{root}-*")]).await;
    let sink = format!("[sinks.real.elasticsearch]\nurl = \"{url}\"\nindex = \"{root}-{{vendor}}\"\n");
    let simulator = deliver(&sink, "ocsf", kills).await;
    let pattern = format!("{root}-*");
    let events = events(url, &pattern).await;
    expect_once("opensearch", events.iter().map(named).collect(), &expected_of_all(&simulator));
    let all = events.len() as u64;
    // The types are those that people search by.
    assert_eq!(count(url, &pattern, r#"{"range":{"time":{"gte":"now-3d","lte":"now"}}}"#).await, all);
    assert_eq!(count(url, &pattern, r#"{"exists":{"field":"_ignored"}}"#).await, 0);
    let with_address = events.iter().filter(|event| event["src_endpoint"]["ip"].is_string()).count() as u64;
    let any = r#"{"bool":{"should":[{"term":{"src_endpoint.ip":"0.0.0.0/0"}},{"term":{"src_endpoint.ip":"::/0"}}]}}"#;
    assert!(with_address > 0);
    assert_eq!(count(url, &pattern, any).await, with_address);
}

#[tokio::test]
async fn all_vendors_reach_opensearch_once() {
    let test = "all_vendors_reach_opensearch_once";
    let Some(url) = server(test, "opensearch", "AUDITLINE_TEST_OPENSEARCH") else { return };
    through_opensearch(&url, 0).await;
}

#[tokio::test]
async fn killed_on_the_way_opensearch_has_each_once() {
    let test = "killed_on_the_way_opensearch_has_each_once";
    let Some(url) = server(test, "opensearch", "AUDITLINE_TEST_OPENSEARCH") else { return };
    through_opensearch(&url, KILLS).await;
}

#[tokio::test]
async fn all_vendors_reach_a_data_stream_as_ecs() {
    let test = "all_vendors_reach_a_data_stream_as_ecs";
    let Some(url) = server(test, "opensearch", "AUDITLINE_TEST_OPENSEARCH") else { return };
    let root = format!("logs-{}", unique("ecs"));
    put_template(&url, &root, &["--form", "ecs", "--data-stream", "--pattern", &format!("{root}.*")]).await;
    let sink = format!("[sinks.real.elasticsearch]\nurl = \"{url}\"\ndata_stream = \"{root}.{{vendor}}-default\"\n");
    let simulator = deliver(&sink, "ecs", 0).await;
    let pattern = format!("{root}.*");
    let events = events(&url, &pattern).await;
    let named = |event: &Json| {
        format!("{} {}", event["event"]["module"].as_str().unwrap(), event["event"]["id"].as_str().unwrap())
    };
    expect_once("opensearch", events.iter().map(named).collect(), &expected_of_all(&simulator));
    assert_eq!(count(&url, &pattern, r#"{"range":{"@timestamp":{"gte":"now-3d"}}}"#).await, events.len() as u64);
    assert_eq!(count(&url, &pattern, r#"{"exists":{"field":"_ignored"}}"#).await, 0);
}

/// What the examples of all connectors become, each vendor's in its own index.
#[tokio::test]
async fn the_examples_of_all_connectors_fit_the_template() {
    let test = "the_examples_of_all_connectors_fit_the_template";
    let Some(url) = server(test, "opensearch", "AUDITLINE_TEST_OPENSEARCH") else { return };
    let root = unique("examples");
    put_template(&url, &root, &["--pattern", &format!("{root}-*")]).await;
    let mut bulk = String::new();
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/connectors")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let connector: toml::Table = toml::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        for example in connector["example"].as_array().unwrap() {
            for event in example.get("events").and_then(|events| events.as_array()).into_iter().flatten() {
                // All in one index as well: one name is one type in all of OCSF.
                for index in [name, "all"] {
                    bulk += &format!("{{\"create\":{{\"_index\":\"{root}-{index}\"}}}}\n{}\n", event.as_str().unwrap());
                }
            }
        }
    }
    let answer = ask("POST", format!("{url}/_bulk"), Some(bulk)).await;
    let items = answer["items"].as_array().unwrap();
    assert!(items.len() > 200, "{} items", items.len());
    let refused: Vec<&Json> = items.iter().filter(|item| item["create"]["status"] != 201).collect();
    assert!(refused.is_empty(), "{refused:#?}");
}

/// Into the imitated one, for the acknowledgements that VictoriaLogs has not.
#[tokio::test]
async fn killed_on_the_way_an_acknowledging_collector_has_each_at_least_once() {
    let test = "killed_on_the_way_an_acknowledging_collector_has_each_at_least_once";
    let Some(url) = server(test, "event collector", "AUDITLINE_TEST_HEC") else { return };
    let source = unique("deliver");
    let token = "22222222-2222-4222-8222-222222222222";
    let sink =
        format!("[sinks.real.splunk_hec]\nurl = \"{url}\"\ntoken = \"{token}\"\nack = true\nsource = \"{source}\"\n");
    let simulator = deliver(&sink, "ocsf", KILLS).await;
    let output = std::env::var("AUDITLINE_TEST_HEC_OUTPUT").expect("set together with the address");
    let lines = std::fs::read_to_string(output).unwrap();
    let events = lines.lines().map(|line| serde_json::from_str::<Json>(line).unwrap());
    let mine = events.filter(|line| line["envelope"]["source"] == source.as_str()).map(|line| {
        let event: Json = serde_json::from_str(line["event"].as_str().unwrap()).unwrap();
        assert_eq!(line["envelope"]["fields"]["auditline_id"], event["metadata"]["uid"]);
        named(&event)
    });
    expect_at_least_once("event collector", mine.collect(), &expected_of_all(&simulator));
}

async fn through_victorialogs(url: &str, kills: u64) -> (Simulator, Vec<String>) {
    let source = unique("deliver");
    let sink = format!("[sinks.real.splunk_hec]\nurl = \"{url}\"\ntoken = \"opens-nothing\"\nsource = \"{source}\"\n");
    let simulator = deliver(&sink, "ocsf", kills).await;
    let queries = std::env::var("AUDITLINE_TEST_VICTORIALOGS_QUERY").expect("set together with the address");
    let get = async |path: &str| {
        let answer = reqwest::get(format!("{queries}/{path}")).await.unwrap().error_for_status().unwrap();
        answer.text().await.unwrap()
    };
    get("internal/force_flush").await;
    let found = get(&format!("select/logsql/query?query=source:={source}")).await;
    let read = |line: &str| {
        let line: Json = serde_json::from_str(line).unwrap();
        let event: Json = serde_json::from_str(line["_msg"].as_str().unwrap()).unwrap();
        let time = DateTime::parse_from_rfc3339(line["_time"].as_str().unwrap()).unwrap();
        assert_eq!(event["time"], time.timestamp_millis());
        assert_eq!(line["fields.auditline_id"], event["metadata"]["uid"]);
        assert_eq!(line["sourcetype"], format!("auditline:{}", event["metadata"]["log_name"].as_str().unwrap()));
        named(&event)
    };
    (simulator, found.lines().map(read).collect())
}

#[tokio::test]
async fn all_vendors_reach_victorialogs() {
    let test = "all_vendors_reach_victorialogs";
    let Some(url) = server(test, "victorialogs", "AUDITLINE_TEST_VICTORIALOGS") else { return };
    let (simulator, arrived) = through_victorialogs(&url, 0).await;
    expect_once("victorialogs", arrived, &expected_of_all(&simulator));
}

#[tokio::test]
async fn killed_on_the_way_victorialogs_has_each_at_least_once() {
    let test = "killed_on_the_way_victorialogs_has_each_at_least_once";
    let Some(url) = server(test, "victorialogs", "AUDITLINE_TEST_VICTORIALOGS") else { return };
    let (simulator, arrived) = through_victorialogs(&url, KILLS).await;
    expect_at_least_once("victorialogs", arrived, &expected_of_all(&simulator));
}

/// A pipeline into an index that takes nothing, with these settings of its own.
async fn into_a_strict_index(url: &str, settings: &str) -> (Simulator, Installation, String) {
    let index = unique("strict");
    let strict = r#"{"mappings":{"dynamic":"strict"}}"#.to_owned();
    ask("PUT", format!("{url}/{index}"), Some(strict)).await;
    let simulator = simulate(world(RECORDS)).await;
    let pipeline = Pipeline::of(&simulator, Vendor::Telnyx).not_to("siem");
    let pipeline = pipeline.to("real", &format!("batch = {{ max_records = 30 }}\n{settings}"));
    let sink = format!("[sinks.real.elasticsearch]\nurl = \"{url}\"\nindex = \"{index}\"\n");
    (simulator, Installation::new(&sink, &[pipeline]), index)
}

#[tokio::test]
async fn a_destination_that_takes_nothing_costs_no_record() {
    let test = "a_destination_that_takes_nothing_costs_no_record";
    let Some(url) = server(test, "opensearch", "AUDITLINE_TEST_OPENSEARCH") else { return };
    let (simulator, installation, index) = into_a_strict_index(&url, "").await;
    let ended = installation.run_once().await;
    assert!(!ended.status.success(), "{}", ended.stderr);
    for said in ["none of the last 30 records was taken", "strict", "`all_rejected = \"dead_letter\"`", "`[to.real]`"] {
        assert!(ended.stderr.contains(said), "{said}: {}", ended.stderr);
    }
    assert_eq!(installation.dead_letters("telnyx").await, []);
    // Mended there, nothing is to be done here.
    ask("PUT", format!("{url}/{index}/_mapping"), Some(r#"{"dynamic":"false"}"#.to_owned())).await;
    installation.read_all().await;
    let arrived = events(&url, &index).await.iter().map(id).collect();
    expect_once("opensearch", arrived, &expected(&simulator, Vendor::Telnyx));
    assert_eq!(installation.dead_letters("telnyx").await, []);
}

#[tokio::test]
async fn records_that_nobody_will_ever_take_are_given_up_on_demand() {
    let test = "records_that_nobody_will_ever_take_are_given_up_on_demand";
    let Some(url) = server(test, "opensearch", "AUDITLINE_TEST_OPENSEARCH") else { return };
    let (simulator, installation, index) = into_a_strict_index(&url, "all_rejected = \"dead_letter\"").await;
    installation.read_all().await;
    let letters = installation.dead_letters("telnyx").await;
    assert_eq!(letters.len(), expected(&simulator, Vendor::Telnyx).len());
    assert!(letters.iter().all(|letter| letter.reason.contains("strict")), "{:?}", letters[0]);
    assert_eq!(events(&url, &index).await.len(), 0);
}
