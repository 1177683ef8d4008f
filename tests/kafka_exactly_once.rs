//! `delivery = "exactly_once"`: killed as often as one likes, whoever reads what is committed finds each record once, and
//! each actor's in order.

mod common;
#[path = "common/kafka.rs"]
mod kafka;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use auditline::simulator::{Vendor, World};
use auditline_sinks::contract::{server, unique};
use chrono::Utc;
use common::{Installation, Pipeline, expect_once, expected, expected_times, id, simulate, world};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde_json::Value as Json;
use tokio::time::{Instant, sleep};

const KILLS: usize = 50;
const VENDORS: [Vendor; 2] = [Vendor::Cloudflare, Vendor::Ashby];

/// Chooses the moments of the kills, to run a failed test again.
const SEED: &str = "AUDITLINE_TEST_SEED";

fn seed() -> u64 {
    match std::env::var(SEED) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{SEED} is no number")),
        Err(_) => Utc::now().timestamp_micros().cast_unsigned(),
    }
}

/// From before it has begun to well within its deliveries.
fn life(seed: &mut u64) -> Duration {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    Duration::from_micros((*seed >> 33) % 900_000)
}

#[tokio::test]
async fn killed_at_any_moment_kafka_has_each_once() {
    let test = "killed_at_any_moment_kafka_has_each_once";
    let Some(broker) = server(test, "kafka", "AUDITLINE_TEST_KAFKA") else { return };
    let mut seed = seed();
    println!("{SEED}={seed}");
    // So slow that reading lasts as long as the killing.
    let simulator = simulate(World { latency: Duration::from_millis(120), seed, ..world(3000) }).await;
    let topic = unique("once");
    kafka::create(&broker, &topic).await;
    let to_kafka = |vendor| {
        let pipeline = Pipeline::of(&simulator, vendor).set("window", "\"30m\"");
        pipeline.not_to("siem").to("kafka", "batch = { max_records = 40, max_wait = \"20ms\" }")
    };
    let sink = format!(
        "[sinks.kafka.kafka]\nbrokers = [\"{broker}\"]\ntopic = \"{topic}\"\ndelivery = \"exactly_once\"\n\
         transactional_id_prefix = \"{topic}\"\n"
    );
    let installation = Installation::new(&sink, &VENDORS.map(to_kafka));
    let began = Instant::now();
    for _ in 0..KILLS {
        let running = installation.start();
        sleep(life(&mut seed)).await;
        let ended = running.kill().await;
        assert_eq!(ended.status.code(), None, "it ended by itself: {}", ended.stderr);
    }
    println!("{KILLS} kills in {:?}", began.elapsed());
    installation.read_all().await;
    println!("all read after {:?}", began.elapsed());

    let read = tokio::task::spawn_blocking(move || read(&broker, &topic)).await.unwrap();
    let arrived: Vec<String> = read.iter().map(|message| named(&message.event)).collect();
    let all: BTreeSet<String> = VENDORS
        .into_iter()
        .flat_map(|vendor| expected(&simulator, vendor).into_iter().map(move |id| format!("{vendor} {id}")))
        .collect();
    println!("{} records", arrived.len());
    expect_once("kafka", arrived, &all);

    let times: BTreeMap<String, _> =
        VENDORS.into_iter().flat_map(|vendor| expected_times(&simulator, vendor)).collect();
    let mut newest = BTreeMap::new();
    let mut home = BTreeMap::new();
    for message in &read {
        let time = times[&id(&message.event)];
        // Of two pipelines with an actor of one name, each has its order.
        let lane = (message.event["metadata"]["log_name"].to_string(), message.key.clone());
        let before = newest.insert(lane, time);
        assert!(before.is_none_or(|before| before <= time), "{} came too late for {}", id(&message.event), message.key);
        let partition = home.entry(message.key.clone()).or_insert(message.partition);
        assert_eq!(*partition, message.partition, "{}", message.key);
    }
    assert!(home.len() > 3, "the events have too few actors to tell: {:?}", home.keys());
}

/// An event by its vendor and id.
fn named(event: &Json) -> String {
    format!("{} {}", event["metadata"]["log_name"].as_str().unwrap_or_default(), id(event))
}

struct Committed {
    partition: i32,
    key: String,
    event: Json,
}

/// All that is committed, partition by partition.
fn read(broker: &str, topic: &str) -> Vec<Committed> {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", broker).set("group.id", "auditline-tests").set("enable.auto.commit", "false");
    client.set("isolation.level", "read_committed").set("enable.partition.eof", "true");
    let consumer: BaseConsumer = client.create().unwrap();
    kafka::settle(broker, topic);
    let mut messages = Vec::new();
    for partition in 0..kafka::PARTITIONS {
        let mut from = TopicPartitionList::new();
        from.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
        consumer.assign(&from).unwrap();
        loop {
            match consumer.poll(kafka::PATIENCE).expect("the broker answers") {
                Ok(message) => messages.push(Committed {
                    partition,
                    key: String::from_utf8(message.key().unwrap().to_vec()).unwrap(),
                    event: serde_json::from_slice(message.payload().unwrap()).unwrap(),
                }),
                Err(KafkaError::PartitionEOF(_)) => break,
                Err(error) => panic!("{error}"),
            }
        }
    }
    messages
}
