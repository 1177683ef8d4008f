//! The Kafka sink against a real broker, and for faults against librdkafka's imitation of one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use auditline_sinks::contract::{self, Destination, Guarantees, chain, server};
use auditline_sinks::{Batch, Delivery, DeliveryError, Sink, SinkConfig};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{Headers, Message, OwnedMessage};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// Above what travels as one, below what librdkafka itself takes: it is the broker that refuses.
const LIMIT: usize = 800_000;

fn sink(config: Value) -> Arc<dyn Sink> {
    let config: SinkConfig = serde_json::from_value(json!({ "kafka": config })).unwrap();
    config.build().unwrap()
}

/// A topic of three partitions and a message limit of its own.
struct Topic {
    config: Value,
    /// How the test itself connects.
    client: ClientConfig,
}

impl Topic {
    async fn create(config: Value, client: ClientConfig) -> Self {
        Self::with_limit(config, client, LIMIT).await
    }

    async fn with_limit(config: Value, client: ClientConfig, limit: usize) -> Self {
        let name = config["topic"].as_str().unwrap();
        let admin: AdminClient<DefaultClientContext> = client.create().unwrap();
        let limit = limit.to_string();
        let topic = NewTopic::new(name, 3, TopicReplication::Fixed(1)).set("max.message.bytes", &limit);
        let created = admin.create_topics(&[topic], &AdminOptions::new()).await.unwrap();
        created.into_iter().for_each(|topic| drop(topic.unwrap()));
        Self { config, client }
    }

    /// Everything in the topic, partition by partition.
    async fn messages(&self) -> Vec<OwnedMessage> {
        let client = self.client.clone();
        let topic = self.config["topic"].as_str().unwrap().to_owned();
        tokio::task::spawn_blocking(move || read_all(&client, &topic)).await.unwrap()
    }
}

/// What readers see who are not shown transactions before they are committed.
fn read_all(client: &ClientConfig, topic: &str) -> Vec<OwnedMessage> {
    let reader = |isolation: &str| -> BaseConsumer {
        let mut client = client.clone();
        client.set("group.id", "auditline-tests").set("enable.auto.commit", "false");
        client.set("enable.partition.eof", "true").set("isolation.level", isolation);
        client.create().unwrap()
    };
    let (consumer, all) = (reader("read_committed"), reader("read_uncommitted"));
    let wait = Duration::from_secs(20);
    let metadata = consumer.fetch_metadata(Some(topic), wait).unwrap();
    let mut messages = Vec::new();
    for partition in metadata.topics()[0].partitions() {
        // A commit is answered before every partition knows of it.
        let (low, end) = all.fetch_watermarks(topic, partition.id(), wait).unwrap();
        let give_up = Instant::now() + wait;
        while consumer.fetch_watermarks(topic, partition.id(), wait).unwrap().1 < end {
            assert!(Instant::now() < give_up, "a transaction in partition {} was left open", partition.id());
            std::thread::sleep(Duration::from_millis(20));
        }
        let mut from = TopicPartitionList::new();
        from.add_partition_offset(topic, partition.id(), Offset::Offset(low)).unwrap();
        consumer.assign(&from).unwrap();
        loop {
            match consumer.poll(wait).expect("the broker answers") {
                Ok(message) => messages.push(message.detach()),
                Err(KafkaError::PartitionEOF(_)) => break,
                Err(error) => panic!("{error}"),
            }
        }
    }
    messages
}

#[async_trait]
impl Destination for Topic {
    fn sink(&self) -> Arc<dyn Sink> {
        sink(self.config.clone())
    }

    async fn read_back(&self, _expected: usize) -> Vec<String> {
        let messages = self.messages().await;
        let text = |message: &OwnedMessage| String::from_utf8(message.payload().unwrap().to_vec()).unwrap();
        messages.iter().map(text).collect()
    }

    fn guarantees(&self) -> Guarantees {
        let exactly_once = self.config["delivery"] == "exactly_once";
        Guarantees { exactly_once, max_record_bytes: Some(LIMIT), ..Guarantees::default() }
    }
}

fn plain(broker: &str) -> ClientConfig {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", broker);
    client
}

/// Uncompressed, so that the broker's limit is met by what we think is large.
fn config(broker: &str, topic: &str) -> Value {
    json!({ "brokers": [broker], "topic": topic, "compression": "none" })
}

#[tokio::test]
async fn keeps_the_contract() {
    let Some(broker) = server("keeps_the_contract", "kafka", "AUDITLINE_TEST_KAFKA") else {
        return;
    };
    contract::all(async |name| Topic::create(config(&broker, name), plain(&broker)).await).await;
}

/// The same in transactions.
fn once(broker: &str, topic: &str) -> Value {
    let mut config = config(broker, topic);
    config["delivery"] = json!("exactly_once");
    config["transactional_id_prefix"] = json!(topic);
    config
}

#[tokio::test]
async fn keeps_the_contract_exactly_once() {
    let Some(broker) = server("keeps_the_contract_exactly_once", "kafka", "AUDITLINE_TEST_KAFKA") else {
        return;
    };
    contract::all(async |name| Topic::create(once(&broker, name), plain(&broker)).await).await;
}

fn secure(broker: &str, topic: &str) -> (Value, ClientConfig) {
    let ca = std::env::var("AUDITLINE_TEST_KAFKA_CA").unwrap();
    let mut config = config(broker, topic);
    config["tls"] = json!({ "ca": ca });
    config["sasl"] = json!({ "mechanism": "scram-sha-256", "username": "auditline", "password": "opens-nothing" });
    let mut client = plain(broker);
    client
        .set("security.protocol", "sasl_ssl")
        .set("ssl.ca.location", ca)
        .set("sasl.mechanism", "SCRAM-SHA-256")
        .set("sasl.username", "auditline")
        .set("sasl.password", "opens-nothing");
    (config, client)
}

#[tokio::test]
async fn keeps_the_contract_with_sasl_and_tls() {
    let Some(broker) = server("keeps_the_contract_with_sasl_and_tls", "kafka", "AUDITLINE_TEST_KAFKA_SASL_TLS") else {
        return;
    };
    contract::all(async |name| {
        let (config, client) = secure(&broker, name);
        Topic::create(config, client).await
    })
    .await;
}

#[tokio::test]
async fn a_message_tells_where_it_comes_from() {
    let Some(broker) = server("a_message_tells_where_it_comes_from", "kafka", "AUDITLINE_TEST_KAFKA") else {
        return;
    };
    let mut config = config(&broker, &contract::unique("headers"));
    config["key"] = json!("{pipeline}/{id}");
    let mut topic = Topic::create(config, plain(&broker)).await;
    let mut batch = contract::batch_of("corp", 1, [r#"{"n":1}"#]);
    batch.records[0].id = "ünï/1".to_owned();
    for compression in ["none", "gzip", "snappy", "lz4", "zstd"] {
        topic.config["compression"] = json!(compression);
        topic.sink().deliver(&batch).await.unwrap();
    }
    let messages = topic.messages().await;
    assert_eq!(messages.len(), 5);
    for message in messages {
        let text = |value: &[u8]| String::from_utf8(value.to_vec()).unwrap();
        let headers = message.headers().unwrap().iter();
        let headers: Vec<(&str, String)> = headers.map(|header| (header.key, text(header.value.unwrap()))).collect();
        let expected = [
            ("auditline-id", "ünï/1"),
            ("auditline-vendor", "example"),
            ("auditline-pipeline", "corp"),
            ("auditline-time", "2026-03-14T09:26:54.589Z"),
            ("content-type", "application/json"),
        ];
        assert_eq!(headers, expected.map(|(key, value)| (key, value.to_owned())));
        assert_eq!(message.key(), Some("corp/ünï/1".as_bytes()));
        assert_eq!(message.payload(), Some(br#"{"n":1}"#.as_slice()));
    }
}

#[tokio::test]
async fn what_librdkafka_itself_finds_too_large_is_rejected() {
    let Some(broker) = server("what_librdkafka_itself_finds_too_large_is_rejected", "kafka", "AUDITLINE_TEST_KAFKA")
    else {
        return;
    };
    let mut config = config(&broker, &contract::unique("local-limit"));
    config["options"] = json!({ "message.max.bytes": "2000" });
    let topic = Topic::create(config, plain(&broker)).await;
    let large = format!(r#"{{"large":"{}"}}"#, "x".repeat(3000));
    let batch = contract::batch_of("p", 7, ["{}", large.as_str(), r#"{"n":3}"#]);
    let Delivery { rejected } = topic.sink().deliver(&batch).await.unwrap();
    assert_eq!(rejected.len(), 1);
    assert_eq!(rejected[0].at, 1);
    assert!(rejected[0].reason.contains("`message.max.bytes`"), "{rejected:?}");
    assert_eq!(topic.read_back(2).await, ["{}", r#"{"n":3}"#]);
}

// The broker refuses what travels together for what one record is, or for what all of them are.
#[tokio::test]
async fn a_topic_that_takes_little_gets_each_record_once() {
    let Some(broker) = server("a_topic_that_takes_little_gets_each_record_once", "kafka", "AUDITLINE_TEST_KAFKA")
    else {
        return;
    };
    let config = config(&broker, &contract::unique("little"));
    let topic = Topic::with_limit(config, plain(&broker), 20_000).await;
    let mut batch = contract::numbered("p", 1, 2000);
    let large = |n| format!(r#"{{"n":{n},"large":"{}"}}"#, "x".repeat(30_000)).into();
    for at in [0, 700, 701, 1999] {
        batch.records[at].json = large(at);
    }
    let Delivery { rejected } = topic.sink().deliver(&batch).await.unwrap();
    let places: Vec<usize> = rejected.iter().map(|rejected| rejected.at).collect();
    assert_eq!(places, [0, 700, 701, 1999]);
    batch.records.retain(|record| record.json.len() < 20_000);
    let mut arrived = topic.read_back(1996).await;
    let mut expected = contract::texts(&[batch]);
    arrived.sort_unstable();
    expected.sort_unstable();
    assert!(arrived == expected, "{} of 1996 arrived", arrived.len());
}

// The process died between the commit and the journal's note of it, and what was rejected was known to it alone.
#[tokio::test]
async fn after_a_kill_what_was_rejected_is_still_known() {
    let Some(broker) = server("after_a_kill_what_was_rejected_is_still_known", "kafka", "AUDITLINE_TEST_KAFKA") else {
        return;
    };
    let topic = Topic::with_limit(once(&broker, &contract::unique("killed")), plain(&broker), 20_000).await;
    let mut batch = contract::numbered("p", 1, 60);
    for at in [0, 30, 31, 59] {
        batch.records[at].json = format!(r#"{{"n":{at},"large":"{}"}}"#, "x".repeat(30_000)).into();
    }
    let first = topic.sink().deliver(&batch).await.unwrap();
    let places: Vec<usize> = first.rejected.iter().map(|rejected| rejected.at).collect();
    assert_eq!(places, [0, 30, 31, 59]);
    let again = topic.sink();
    assert_eq!(again.deliver(&batch).await.unwrap(), first);
    let next = contract::numbered("p", 61, 3);
    assert_eq!(again.deliver(&next).await.unwrap(), Delivery::default());
    // However much later it is, while Kafka remembers.
    assert_eq!(again.deliver(&batch).await.unwrap(), first);
    assert_eq!(topic.sink().deliver(&batch).await.unwrap(), first);
    batch.records.retain(|record| record.json.len() < 20_000);
    assert_eq!(topic.read_back(59).await, contract::texts(&[batch, next]));
}

// A state folder restored from a copy gives sequences to records that others have had.
#[tokio::test]
async fn other_records_of_the_same_sequences_are_not_taken_for_delivered() {
    let test = "other_records_of_the_same_sequences_are_not_taken_for_delivered";
    let Some(broker) = server(test, "kafka", "AUDITLINE_TEST_KAFKA") else { return };
    let topic = Topic::create(once(&broker, &contract::unique("restored")), plain(&broker)).await;
    let before = contract::numbered("p", 1, 9);
    topic.sink().deliver(&before).await.unwrap();
    let mut after = contract::numbered("p", 1, 4);
    after.records.iter_mut().for_each(|record| {
        record.id = format!("{}-of-another-life", record.id);
        record.json = format!(r#"{{"id":"{}"}}"#, record.id).into();
    });
    let sink = topic.sink();
    sink.deliver(&after).await.unwrap();
    sink.deliver(&after).await.unwrap();
    assert_eq!(topic.read_back(13).await, contract::texts(&[before, after]));
}

#[tokio::test]
async fn a_zombie_is_shut_out() {
    let Some(broker) = server("a_zombie_is_shut_out", "kafka", "AUDITLINE_TEST_KAFKA") else { return };
    let topic = Topic::create(once(&broker, &contract::unique("zombie")), plain(&broker)).await;
    let batches = [contract::numbered("p", 1, 5), contract::numbered("p", 6, 5), contract::numbered("p", 11, 5)];
    let zombie = topic.sink();
    zombie.deliver(&batches[0]).await.unwrap();
    // Another takes over: from the same state, as a pod does whose node was thought to be gone.
    let heir = topic.sink();
    heir.deliver(&batches[0]).await.unwrap();
    heir.deliver(&batches[1]).await.unwrap();
    // What the zombie has since read into its own copy is not what the heir has.
    let mut own = contract::numbered("p", 6, 4);
    own.records.iter_mut().for_each(|record| record.id.push_str("-of-the-zombie"));
    for _ in 0..2 {
        expect_refused(deliver(&*zombie, &own).await, "stop one of the two");
    }
    // To look whether all is well disturbs nobody.
    topic.sink().check().await.unwrap();
    heir.deliver(&batches[2]).await.unwrap();
    expect_refused(deliver(&*zombie, &own).await, "stop one of the two");
    assert_eq!(topic.read_back(15).await, contract::texts(&batches));
}

// Two with the same names that know nothing of each other cost time and nothing else.
#[tokio::test]
async fn where_nobody_else_has_delivered_the_lane_is_taken_back() {
    let test = "where_nobody_else_has_delivered_the_lane_is_taken_back";
    let Some(broker) = server(test, "kafka", "AUDITLINE_TEST_KAFKA") else { return };
    let topic = Topic::create(once(&broker, &contract::unique("back")), plain(&broker)).await;
    let batches = [contract::numbered("p", 1, 5), contract::numbered("p", 6, 5)];
    let sink = topic.sink();
    sink.deliver(&batches[0]).await.unwrap();
    topic.sink().deliver(&batches[0]).await.unwrap();
    let error = deliver(&*sink, &batches[1]).await.unwrap_err();
    assert!(matches!(error, DeliveryError::Retryable { .. }), "{}", chain(&error));
    assert!(error.to_string().contains("Kafka ended the transaction"), "{error}");
    sink.deliver(&batches[1]).await.unwrap();
    assert_eq!(topic.read_back(10).await, contract::texts(&batches));
}

#[tokio::test]
async fn a_dropped_delivery_leaves_no_transaction_open() {
    let Some(broker) = server("a_dropped_delivery_leaves_no_transaction_open", "kafka", "AUDITLINE_TEST_KAFKA") else {
        return;
    };
    let mut config = once(&broker, &contract::unique("left"));
    // So long that only we can be who ends it.
    config["timeout"] = json!("200s");
    config["options"] = json!({ "linger.ms": "1" });
    let topic = Topic::create(config, plain(&broker)).await;
    let sink = topic.sink();
    sink.deliver(&contract::numbered("p", 1, 2)).await.unwrap();
    let batch = contract::numbered("p", 3, 5000);
    for millis in [3, 10, 30] {
        let _ = tokio::time::timeout(Duration::from_millis(millis), sink.deliver(&batch)).await;
    }
    // Waits for the end of what is open, and fails if that does not come.
    let arrived = topic.read_back(2).await;
    assert!(arrived.len() == 2 || arrived.len() == 5002, "a part of a batch can be seen: {}", arrived.len());
    sink.deliver(&batch).await.unwrap();
    assert_eq!(topic.read_back(5002).await.len(), 5002);
}

#[tokio::test]
async fn records_of_one_batch_may_go_to_several_topics_once() {
    let Some(broker) = server("records_of_one_batch_may_go_to_several_topics_once", "kafka", "AUDITLINE_TEST_KAFKA")
    else {
        return;
    };
    let mut topic = Topic::create(once(&broker, &contract::unique("several")), plain(&broker)).await;
    let name = topic.config["topic"].as_str().unwrap().to_owned();
    topic.config["positions_topic"] = json!(name);
    topic.config["topic"] = json!(format!("{name}.{{.to}}"));
    let batch = contract::batch_of("p", 1, [r#"{"to":"a","n":1}"#, r#"{"to":"b","n":2}"#, r#"{"to":"a","n":3}"#]);
    for _ in 0..2 {
        topic.sink().deliver(&batch).await.unwrap();
    }
    for (to, expected) in
        [("a", vec![r#"{"to":"a","n":1}"#, r#"{"to":"a","n":3}"#]), ("b", vec![r#"{"to":"b","n":2}"#])]
    {
        topic.config["topic"] = json!(format!("{name}.{to}"));
        assert_eq!(topic.read_back(expected.len()).await, expected);
    }
    topic.config["topic"] = json!(name);
    assert_eq!(topic.read_back(0).await, [""; 0]);
}

#[tokio::test]
async fn an_actors_events_lie_in_one_partition_in_order() {
    let Some(broker) = server("an_actors_events_lie_in_one_partition_in_order", "kafka", "AUDITLINE_TEST_KAFKA") else {
        return;
    };
    let mut config = config(&broker, &contract::unique("actors"));
    config["headers"] = json!({ "env": "prod", "who": "{actor}" });
    let topic = Topic::create(config, plain(&broker)).await;
    let event = |n: usize| {
        let who = n % 17;
        format!(
            r#"{{"n":{n},"class_uid":3004,"metadata":{{"version":"1.8.0"}},"actor":{{"user":{{"uid":"u{who}"}}}}}}"#
        )
    };
    topic.sink().deliver(&contract::batch_of("p", 1, (0..500).map(event))).await.unwrap();
    let mut lanes: BTreeMap<String, (i32, Vec<u64>)> = BTreeMap::new();
    for message in topic.messages().await {
        let key = String::from_utf8(message.key().unwrap().to_vec()).unwrap();
        let event: Value = serde_json::from_slice(message.payload().unwrap()).unwrap();
        let headers = message.headers().unwrap();
        let header = |name: &str| headers.iter().find(|header| header.key == name).and_then(|header| header.value);
        assert_eq!(header("auditline-schema"), Some(b"ocsf 1.8.0".as_slice()));
        assert_eq!(header("auditline-class"), Some(b"3004".as_slice()));
        assert_eq!(header("env"), Some(b"prod".as_slice()));
        assert_eq!(header("who"), Some(key.as_bytes()));
        let lane = lanes.entry(key).or_insert_with(|| (message.partition(), Vec::new()));
        assert_eq!(lane.0, message.partition());
        lane.1.push(event["n"].as_u64().unwrap());
    }
    assert_eq!(lanes.len(), 17);
    assert!(lanes.values().all(|(_, numbers)| numbers.is_sorted()), "{lanes:?}");
    let used: BTreeSet<i32> = lanes.values().map(|(partition, _)| *partition).collect();
    assert_eq!(used.len(), 3, "the actors share the partitions");
}

fn expect_refused(outcome: Result<(), DeliveryError>, expected: &str) {
    match outcome {
        Err(DeliveryError::Refused { hint, message, .. }) => {
            assert!(hint.contains(expected), "{message}: {hint}")
        }
        other => panic!("{other:?}"),
    }
}

fn expect_retryable(outcome: Result<(), DeliveryError>, expected: &str) {
    match outcome {
        Err(error @ DeliveryError::Retryable { .. }) => {
            assert_eq!(error.to_string(), expected, "{}", chain(&error))
        }
        other => panic!("{other:?}"),
    }
}

async fn deliver(sink: &dyn Sink, batch: &Batch) -> Result<(), DeliveryError> {
    sink.deliver(batch).await.map(drop)
}

#[tokio::test]
async fn wrong_credentials_need_a_person() {
    let Some(broker) = server("wrong_credentials_need_a_person", "kafka", "AUDITLINE_TEST_KAFKA_SASL_TLS") else {
        return;
    };
    let (mut config, _) = secure(&broker, "any");
    config["sasl"]["password"] = json!("wrong");
    config["timeout"] = json!("4s");
    let sink = sink(config);
    expect_refused(sink.check().await, "`sasl.password`");
    // The second time librdkafka has nothing new to say.
    expect_refused(sink.check().await, "`sasl.password`");
    expect_refused(deliver(&*sink, &contract::numbered("p", 1, 2)).await, "`sasl.password`");
}

#[tokio::test]
async fn a_broker_we_cannot_trust_needs_a_person() {
    let Some(broker) = server("a_broker_we_cannot_trust_needs_a_person", "kafka", "AUDITLINE_TEST_KAFKA_SASL_TLS")
    else {
        return;
    };
    let (mut config, _) = secure(&broker, "any");
    config["tls"]["ca"] = json!(std::env::var("AUDITLINE_TEST_TLS_WRONG_CA").unwrap());
    config["timeout"] = json!("4s");
    let sink = sink(config);
    expect_refused(sink.check().await, "`tls.ca`");
    expect_refused(deliver(&*sink, &contract::numbered("p", 1, 2)).await, "`tls.ca`");
}

#[tokio::test]
async fn a_topic_with_an_impossible_name_needs_a_person() {
    let Some(broker) = server("a_topic_with_an_impossible_name_needs_a_person", "kafka", "AUDITLINE_TEST_KAFKA") else {
        return;
    };
    let mut config = config(&broker, &"x".repeat(250));
    config["timeout"] = json!("4s");
    let sink = sink(config);
    expect_refused(sink.check().await, "`topic`");
    expect_refused(deliver(&*sink, &contract::numbered("p", 1, 2)).await, "`topic`");
}

#[tokio::test]
async fn a_closed_port_may_open() {
    let (_closed, address) = contract::closed_port();
    let mut config = config(&address, "any");
    config["timeout"] = json!("1s");
    let sink = sink(config);
    let expected = format!("Kafka at `{address}` does not answer");
    expect_retryable(deliver(&*sink, &contract::numbered("p", 1, 2)).await, &expected);
}

#[tokio::test]
async fn a_broker_that_never_answers_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut config = config(&address, "any");
    config["timeout"] = json!("1s");
    let sink = sink(config);
    let expected = format!("Kafka at `{address}` does not answer");
    expect_retryable(deliver(&*sink, &contract::numbered("p", 1, 2)).await, &expected);
    drop(listener);
}

/// Both ways of delivery, for what must be told alike.
fn both(broker: &str) -> [Value; 2] {
    [config(broker, "any"), once(broker, "any")].map(|mut config| {
        config["timeout"] = json!("1s");
        config
    })
}

#[tokio::test]
async fn in_transactions_too_a_silent_broker_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let [_, config] = both(&address);
    let began = Instant::now();
    let expected = format!("Kafka at `{address}` does not answer");
    expect_retryable(deliver(&*sink(config), &contract::numbered("p", 1, 2)).await, &expected);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    drop(listener);
}

#[tokio::test]
async fn a_server_that_is_no_broker_is_given_up() {
    use tokio::io::AsyncWriteExt as _;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let _ = client.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n\xff\xff\xff\xffgarbage").await;
        }
    });
    for config in both(&address) {
        let expected = format!("Kafka at `{address}` does not answer");
        expect_retryable(deliver(&*sink(config), &contract::numbered("p", 1, 2)).await, &expected);
    }
    server.abort();
}

/// The imitation knows no topics but those it is told of, and fails as it is told to.
fn imitation() -> (MockCluster<'static, DefaultProducerContext>, Arc<dyn Sink>) {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("audit", 1, 1).unwrap();
    let mut config = config(&cluster.bootstrap_servers(), "audit");
    config["timeout"] = json!("5s");
    config["options"] = json!({ "retry.backoff.ms": "10" });
    (cluster, sink(config))
}

#[tokio::test]
async fn a_passing_fault_is_not_even_seen() {
    let (cluster, sink) = imitation();
    let fault = RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS;
    cluster.request_errors(RDKafkaApiKey::Produce, &[fault; 3]);
    deliver(&*sink, &contract::numbered("p", 1, 20)).await.unwrap();
}

#[tokio::test]
async fn a_missing_right_needs_a_person() {
    let (cluster, sink) = imitation();
    let fault = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    cluster.request_errors(RDKafkaApiKey::Produce, &[fault; 100]);
    expect_refused(deliver(&*sink, &contract::numbered("p", 1, 20)).await, "grant this user Write");
}

#[tokio::test]
async fn a_missing_right_to_transactions_needs_a_person() {
    let (cluster, _) = imitation();
    let mut config = once(&cluster.bootstrap_servers(), "audit");
    config["timeout"] = json!("5s");
    let fault = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
    cluster.request_errors(RDKafkaApiKey::InitProducerId, &[fault; 100]);
    let outcome = deliver(&*sink(config.clone()), &contract::numbered("p", 1, 2)).await;
    expect_refused(outcome, "grant this user Write and Describe on the transactional ids");
    cluster.clear_request_errors(RDKafkaApiKey::InitProducerId);
    let fault = RDKafkaRespErr::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED;
    cluster.request_errors(RDKafkaApiKey::OffsetFetch, &[fault; 100]);
    let outcome = deliver(&*sink(config), &contract::numbered("p", 1, 2)).await;
    expect_refused(outcome, "grant this user Read on the consumer groups");
}

#[tokio::test]
async fn an_unknown_topic_needs_a_person() {
    let (cluster, sink) = imitation();
    cluster.topic_error("audit", RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART).unwrap();
    expect_refused(sink.check().await, "create the topic");
    expect_refused(deliver(&*sink, &contract::numbered("p", 1, 2)).await, "create the topic");
}

async fn topics(client: ClientConfig) -> Vec<String> {
    let listed = tokio::task::spawn_blocking(move || {
        let consumer: BaseConsumer = client.create().unwrap();
        let metadata = consumer.fetch_metadata(None, Duration::from_secs(20)).unwrap();
        metadata.topics().iter().map(|topic| topic.name().to_owned()).collect()
    });
    listed.await.unwrap()
}

#[tokio::test]
async fn to_check_a_missing_topic_does_not_make_it() {
    let (cluster, _) = imitation();
    let absent = sink(config(&cluster.bootstrap_servers(), "absent"));
    expect_refused(absent.check().await, "create the topic");
    assert_eq!(topics(plain(&cluster.bootstrap_servers())).await, ["audit"]);
}

#[tokio::test]
async fn a_topic_that_the_brokers_will_make_is_not_missed() {
    let Some(broker) = server("a_topic_that_the_brokers_will_make_is_not_missed", "kafka", "AUDITLINE_TEST_KAFKA")
    else {
        return;
    };
    let name = contract::unique("made");
    let sink = sink(config(&broker, &name));
    sink.check().await.unwrap();
    assert!(!topics(plain(&broker)).await.contains(&name));
    deliver(&*sink, &contract::numbered("p", 1, 2)).await.unwrap();
    assert!(topics(plain(&broker)).await.contains(&name));
}

#[tokio::test]
async fn after_a_broker_was_down_the_same_sink_delivers() {
    let (cluster, sink) = imitation();
    let batch = contract::numbered("p", 1, 20);
    cluster.broker_down(1).unwrap();
    let error = deliver(&*sink, &batch).await.unwrap_err();
    assert!(matches!(error, DeliveryError::Retryable { .. }), "{}", chain(&error));
    cluster.broker_up(1).unwrap();
    deliver(&*sink, &batch).await.unwrap();
}

#[tokio::test]
async fn a_full_buffer_is_waited_for() {
    let Some(broker) = server("a_full_buffer_is_waited_for", "kafka", "AUDITLINE_TEST_KAFKA") else {
        return;
    };
    let mut config = config(&broker, &contract::unique("buffer"));
    config["options"] = json!({ "queue.buffering.max.kbytes": "16", "queue.buffering.max.messages": "50" });
    let topic = Topic::create(config, plain(&broker)).await;
    let sink = topic.sink();
    let batches = ["a", "b", "c"].map(|pipeline| contract::numbered(pipeline, 1, 400));
    let outcomes = futures::future::join_all(batches.iter().map(|batch| deliver(&*sink, batch))).await;
    outcomes.into_iter().for_each(Result::unwrap);
    let mut arrived = topic.read_back(1200).await;
    let mut expected = contract::texts(&batches);
    arrived.sort_unstable();
    expected.sort_unstable();
    assert!(arrived == expected, "{} of 1200 arrived", arrived.len());
}
