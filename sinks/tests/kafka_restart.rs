//! Brokers that are killed and started again while batches are on their way: nothing is lost, and order is kept.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use auditline_sinks::contract::{self, chain, server};
use auditline_sinks::{DeliveryError, Sink, SinkConfig};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::metadata::Metadata;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde_json::{Value, json};

const TOPICS: [&str; 2] = ["at_least_once", "exactly_once"];
const BATCHES: u64 = 120;
const EACH: u64 = 40;
/// Longer than brokers need on a busy machine: what is not so by then never is. librdkafka alone would try for longer.
const PATIENCE: Duration = Duration::from_secs(120);

/// A broker that only this test knows. Dropping it kills it.
struct Broker {
    program: String,
    folder: tempfile::TempDir,
    /// Its port, that of the controller, its number and how many there are.
    numbers: [u16; 4],
    child: Child,
}

impl Broker {
    async fn start(program: &str) -> Self {
        let [broker] = Self::start_several(program).await;
        broker
    }

    async fn start_several<const NODES: usize>(program: &str) -> [Self; NODES] {
        let controller = contract::server_port();
        let brokers = std::array::from_fn(|at| {
            let number = |n: usize| u16::try_from(n).unwrap();
            let numbers = [contract::server_port(), controller, number(at + 1), number(NODES)];
            let folder = tempfile::tempdir().unwrap();
            let child = Self::run(program, folder.path(), numbers);
            Self { program: program.to_owned(), folder, numbers, child }
        });
        for broker in &brokers {
            broker.answers().await;
        }
        // One that answers may not have its part in the cluster yet.
        let give_up = Instant::now() + PATIENCE;
        while members(&brokers[0].address()).await < NODES {
            assert!(Instant::now() < give_up, "the brokers do not find each other");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        brokers
    }

    fn run(program: &str, folder: &Path, numbers: [u16; 4]) -> Child {
        let log = std::fs::File::options().create(true).append(true).open(folder.join("log")).unwrap();
        let mut command = Command::new(program);
        command.arg(folder).args(numbers.map(|number| number.to_string())).stdin(Stdio::null());
        command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
    }

    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.numbers[0])
    }

    async fn answers(&self) {
        let give_up = Instant::now() + PATIENCE;
        while tokio::net::TcpStream::connect(self.address()).await.is_err() {
            let log = || std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(Instant::now() < give_up, "it does not start: {}", log());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn start_again(&mut self) {
        self.child = Self::run(&self.program, self.folder.path(), self.numbers);
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn sink(brokers: &[&str], delivery: &str) -> Arc<dyn Sink> {
    let config = json!({ "brokers": brokers, "topic": delivery, "timeout": "4s", "delivery": delivery });
    let config: SinkConfig = serde_json::from_value(json!({ "kafka": config })).unwrap();
    config.build().unwrap()
}

/// Delivers as the engine does: the same batch until it is taken. Returns how often it was not, and the longest wait.
async fn deliver_all(sink: &dyn Sink) -> (usize, Duration) {
    let (mut failures, mut longest) = (0, Duration::ZERO);
    for batch in 0..BATCHES {
        let event = |n: u64| format!(r#"{{"n":{n},"actor":{{"user":{{"uid":"u{}"}}}}}}"#, n % 7);
        let batch = contract::batch_of("p", batch * EACH + 1, (batch * EACH + 1..=(batch + 1) * EACH).map(event));
        loop {
            let began = Instant::now();
            let outcome = sink.deliver(&batch).await;
            longest = longest.max(began.elapsed());
            match outcome {
                Ok(delivery) => break assert_eq!(delivery.rejected, []),
                Err(error @ DeliveryError::Retryable { .. }) => {
                    eprintln!("{}: {}", sink, chain(&error));
                    failures += 1;
                }
                Err(error) => panic!("{}", chain(&error)),
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    (failures, longest)
}

/// What there is of each key, in order.
fn lanes(broker: &str, topic: &str) -> BTreeMap<String, Vec<u64>> {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", broker).set("group.id", "tests").set("enable.auto.commit", "false");
    client.set("enable.partition.eof", "true").set("isolation.level", "read_committed");
    let consumer: BaseConsumer = client.create().unwrap();
    let mut lanes: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for partition in 0..3 {
        let mut from = TopicPartitionList::new();
        from.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
        consumer.assign(&from).unwrap();
        loop {
            match consumer.poll(PATIENCE).expect("the broker answers") {
                Ok(message) => {
                    let event: Value = serde_json::from_slice(message.payload().unwrap()).unwrap();
                    let key = String::from_utf8(message.key().unwrap().to_vec()).unwrap();
                    lanes.entry(key).or_default().push(event["n"].as_u64().unwrap());
                }
                Err(KafkaError::PartitionEOF(_)) => break,
                // While it starts, or is sought again.
                Err(error) => eprintln!("{error}"),
            }
        }
    }
    lanes
}

#[tokio::test]
async fn a_broker_killed_on_the_way_costs_neither_record_nor_order() {
    let test = "a_broker_killed_on_the_way_costs_neither_record_nor_order";
    let Some(program) = server(test, "kafka", "AUDITLINE_TEST_KAFKA_OWN") else { return };
    let mut broker = Broker::start(&program).await;
    let address = broker.address();
    create_topics(&address, &[1]).await;
    let (plain, once) = (sink(&[&address], "at_least_once"), sink(&[&address], "exactly_once"));
    let kills = async {
        for _ in 0..2 {
            tokio::time::sleep(Duration::from_millis(1500)).await;
            broker.kill();
            // Longer than a delivery waits.
            tokio::time::sleep(Duration::from_secs(6)).await;
            broker.start_again();
            broker.answers().await;
        }
    };
    let (plain, once, ()) = futures::join!(deliver_all(&*plain), deliver_all(&*once), kills);
    println!("failed and longest wait: at least once {plain:?}, exactly once {once:?}");
    assert!(plain.0 > 0 && once.0 > 0, "nothing was on its way when the broker was killed");
    // `timeout` bounds each step of a delivery; the rest is for a machine with much else to do.
    assert!(plain.1.max(once.1) < PATIENCE, "{plain:?} {once:?}");
    expect_all(&address);
}

/// Partitions whose leader dies go on with another, and so do we, in the middle of a batch.
#[tokio::test]
async fn a_leader_that_changes_costs_neither_record_nor_order() {
    let test = "a_leader_that_changes_costs_neither_record_nor_order";
    let Some(program) = server(test, "kafka", "AUDITLINE_TEST_KAFKA_OWN") else { return };
    let [first, mut second]: [Broker; 2] = Broker::start_several(&program).await;
    let address = first.address();
    // The second leads them all, and the first follows.
    create_topics(&address, &[2, 1]).await;
    leads(&address, 2).await;
    let both = [&*address, &*second.address()];
    let (plain, once) = (sink(&both, "at_least_once"), sink(&both, "exactly_once"));
    let kill = async {
        tokio::time::sleep(Duration::from_millis(1500)).await;
        second.kill();
        leads(&address, 1).await;
        second.start_again();
    };
    let (plain, once, ()) = futures::join!(deliver_all(&*plain), deliver_all(&*once), kill);
    println!("failed and longest wait: at least once {plain:?}, exactly once {once:?}");
    assert_eq!(leaders(&address).await, [1; 6]);
    expect_all(&address);
}

/// Topics with these replicas of each partition, the first of which leads.
async fn create_topics(broker: &str, replicas: &[i32]) {
    let replicas = [replicas; 3];
    let mut client = ClientConfig::new();
    let admin: AdminClient<DefaultClientContext> = client.set("bootstrap.servers", broker).create().unwrap();
    let topics = TOPICS.map(|name| NewTopic::new(name, 3, TopicReplication::Variable(&replicas)));
    // A broker that has just started may not have found the others yet.
    let give_up = Instant::now() + PATIENCE;
    loop {
        let made = admin.create_topics(&topics, &AdminOptions::new()).await.unwrap();
        let wrong: Vec<_> = made.into_iter().filter_map(Result::err).collect();
        let is_there = |(_, code): &(String, RDKafkaErrorCode)| *code == RDKafkaErrorCode::TopicAlreadyExists;
        if wrong.iter().all(is_there) {
            return;
        }
        assert!(Instant::now() < give_up, "{wrong:?}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Waits until `node` leads all partitions, as `broker` knows.
async fn leads(broker: &str, node: i32) {
    let give_up = Instant::now() + PATIENCE;
    loop {
        let leaders = leaders(broker).await;
        if leaders == [node; 6] {
            return;
        }
        assert!(Instant::now() < give_up, "the leaders are {leaders:?}, and not {node}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Who leads the partitions of both topics, as `broker` knows.
async fn leaders(broker: &str) -> Vec<i32> {
    let leaders = |metadata: &Metadata| {
        let topics = metadata.topics().iter().filter(|topic| TOPICS.contains(&topic.name()));
        topics.flat_map(|topic| topic.partitions().iter().map(|partition| partition.leader())).collect()
    };
    told(broker, leaders).await
}

/// How many brokers have their part in the cluster, as `broker` knows.
async fn members(broker: &str) -> usize {
    told(broker, |metadata| metadata.brokers().len()).await
}

/// What `broker` tells of the cluster.
async fn told<T: Send + 'static>(broker: &str, of: impl FnOnce(&Metadata) -> T + Send + 'static) -> T {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", broker);
    let ask = move || {
        let consumer: BaseConsumer = client.create().unwrap();
        of(&consumer.fetch_metadata(None, PATIENCE).unwrap())
    };
    tokio::task::spawn_blocking(ask).await.unwrap()
}

/// What both topics must hold in the end, however it came there.
fn expect_all(address: &str) {
    let expected = |key: &str| {
        let key: u64 = key[1..].parse().unwrap();
        (1..=BATCHES * EACH).filter(|n| n % 7 == key).collect::<Vec<_>>()
    };
    let [mut repeated, exact] = TOPICS.map(|topic| {
        let address = address.to_owned();
        std::thread::spawn(move || lanes(&address, topic)).join().unwrap()
    });
    assert_eq!((repeated.len(), exact.len()), (7, 7));
    for (key, numbers) in exact {
        assert_eq!(numbers, expected(&key), "{key}");
    }
    for (key, numbers) in &mut repeated {
        // A batch may come again, and then in its order: the last copies are a run.
        let mut last = BTreeMap::new();
        last.extend(numbers.iter().enumerate().map(|(at, n)| (*n, at)));
        assert_eq!(last.keys().copied().collect::<Vec<_>>(), expected(key), "{key}");
        assert!(last.values().is_sorted(), "{key} is out of order");
    }
}
