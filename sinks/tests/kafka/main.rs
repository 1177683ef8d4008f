//! The Kafka sink against a real broker, and for faults against librdkafka's imitation of one.

mod faults;
mod fenced;
mod messages;
mod once;
mod refused;
mod rejected;
mod rights;
mod topic;

use auditline_sinks::contract::{self, server};

use self::topic::{Topic, config, once, plain, secure};

#[tokio::test]
async fn keeps_the_contract() {
    let Some(broker) = server("keeps_the_contract", "kafka", "AUDITLINE_TEST_KAFKA") else {
        return;
    };
    contract::all(async |name| Topic::create(config(&broker, name), plain(&broker)).await).await;
}

#[tokio::test]
async fn keeps_the_contract_exactly_once() {
    let Some(broker) = server("keeps_the_contract_exactly_once", "kafka", "AUDITLINE_TEST_KAFKA") else {
        return;
    };
    contract::all(async |name| Topic::create(once(&broker, name), plain(&broker)).await).await;
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
