//! What no waiting mends: a person is told what to do.

use auditline_sinks::contract::{self, server};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use serde_json::json;

use super::topic::{config, deliver, expect_refused, imitation, once, plain, secure, sink, topics};

#[tokio::test]
async fn wrong_credentials_need_a_person() {
    let Some(broker) = server("wrong_credentials_need_a_person", "kafka", "AUDITLINE_TEST_KAFKA_SASL_TLS") else {
        return;
    };
    let (mut config, _) = secure(&broker, "any");
    config["sasl"]["password"] = json!("wrong");
    config["timeout"] = json!("10s");
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
    config["timeout"] = json!("10s");
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
    config["timeout"] = json!("10s");
    let sink = sink(config);
    expect_refused(sink.check().await, "`topic`");
    expect_refused(deliver(&*sink, &contract::numbered("p", 1, 2)).await, "`topic`");
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
    config["timeout"] = json!("10s");
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
