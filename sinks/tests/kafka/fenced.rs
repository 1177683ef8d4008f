//! Two that deliver under one name: one of them is shut out, and says so.

use auditline_sinks::DeliveryError;
use auditline_sinks::contract::{self, Destination as _, chain, server};

use super::topic::{Topic, deliver, expect_refused, once, plain};

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
