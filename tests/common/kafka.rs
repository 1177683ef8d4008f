//! Topics to deliver to: there before anything is sent, and settled before they are read.
#![allow(dead_code, reason = "each test program uses the part it needs")]

use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};

pub const PARTITIONS: i32 = 3;

/// Longer than a broker needs on a busy machine: what is not so by then never is.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Makes a topic, and returns when its partitions are led. A broker hears of that a moment later, and what it refuses until
/// then would be sent twice.
pub async fn create(broker: &str, topic: &str) {
    let admin: AdminClient<DefaultClientContext> = client(broker, "read_committed").create().unwrap();
    let new = NewTopic::new(topic, PARTITIONS, TopicReplication::Fixed(1));
    admin.create_topics(&[new], &AdminOptions::new()).await.unwrap().pop().unwrap().unwrap();
    let (broker, topic) = (broker.to_owned(), topic.to_owned());
    let wait = move || {
        let consumer: BaseConsumer = client(&broker, "read_committed").create().unwrap();
        until("is led", |partition| consumer.fetch_watermarks(&topic, partition, PATIENCE).is_ok());
    };
    tokio::task::spawn_blocking(wait).await.unwrap();
}

/// Waits until no transaction is open: a commit is answered before every partition knows of it.
pub fn settle(broker: &str, topic: &str) {
    let [committed, all] = ["read_committed", "read_uncommitted"].map(|isolation| {
        let consumer: BaseConsumer = client(broker, isolation).create().unwrap();
        move |partition| consumer.fetch_watermarks(topic, partition, PATIENCE).unwrap().1
    });
    until("is settled", |partition| committed(partition) == all(partition));
}

fn until(what: &str, is_so: impl Fn(i32) -> bool) {
    let give_up = Instant::now() + PATIENCE;
    for partition in 0..PARTITIONS {
        while !is_so(partition) {
            assert!(Instant::now() < give_up, "partition {partition} never {what}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn client(broker: &str, isolation: &str) -> ClientConfig {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", broker).set("isolation.level", isolation);
    client
}
