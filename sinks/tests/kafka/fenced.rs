//! Two that deliver under one name: one of them is shut out, and says so.

use auditline_sinks::contract::{self, Destination as _, chain, server};
use auditline_sinks::{Batch, DeliveryError};

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
    let own = own(6, 4);
    for _ in 0..2 {
        expect_refused(deliver(&*zombie, &own).await, "stop one of the two");
    }
    // To look whether all is well disturbs nobody.
    topic.sink().check().await.unwrap();
    heir.deliver(&batches[2]).await.unwrap();
    expect_refused(deliver(&*zombie, &own).await, "stop one of the two");
    assert_eq!(topic.read_back(15).await, contract::texts(&batches));
}

fn own(first: u64, count: usize) -> Batch {
    let mut batch = contract::numbered("p", first, count);
    batch.records.iter_mut().for_each(|record| record.id.push_str("-of-the-zombie"));
    batch
}

// A zombie is most often one that had lost the network: it does not know that it was shut out, only that it got no answer.
#[tokio::test]
async fn a_zombie_that_got_no_answer_is_shut_out_too() {
    let Some(broker) = server("a_zombie_that_got_no_answer_is_shut_out_too", "kafka", "AUDITLINE_TEST_KAFKA") else {
        return;
    };
    let topic = Topic::create(once(&broker, &contract::unique("no-answer")), plain(&broker)).await;
    let batches = [contract::numbered("p", 1, 5), contract::numbered("p", 6, 5)];
    let zombie = topic.sink();
    zombie.deliver(&batches[0]).await.unwrap();
    // Begun, and not ended.
    let own = own(6, 4);
    let mut delivery = zombie.deliver(&own);
    assert!(futures::poll!(&mut delivery).is_pending());
    drop(delivery);
    let heir = topic.sink();
    heir.deliver(&batches[0]).await.unwrap();
    heir.deliver(&batches[1]).await.unwrap();
    for _ in 0..2 {
        expect_refused(deliver(&*zombie, &own).await, "stop one of the two");
    }
    assert_eq!(topic.read_back(10).await, contract::texts(&batches));
}

// What the heir has delivered behind it may hold the zombie's next records, in other batches.
#[tokio::test]
async fn a_zombie_that_finds_its_batch_delivered_does_not_go_on_behind_others() {
    let test = "a_zombie_that_finds_its_batch_delivered_does_not_go_on_behind_others";
    let Some(broker) = server(test, "kafka", "AUDITLINE_TEST_KAFKA") else { return };
    let topic = Topic::create(once(&broker, &contract::unique("behind")), plain(&broker)).await;
    let batches = [1, 6, 11, 16].map(|first| contract::numbered("p", first, 5));
    let (zombie, heir) = (topic.sink(), topic.sink());
    zombie.deliver(&batches[0]).await.unwrap();
    for batch in &batches {
        heir.deliver(batch).await.unwrap();
    }
    for batch in &batches[1..3] {
        zombie.deliver(batch).await.unwrap();
    }
    for _ in 0..2 {
        expect_refused(deliver(&*zombie, &own(16, 4)).await, "stop one of the two");
    }
    assert_eq!(topic.read_back(20).await, contract::texts(&batches));
}

// Its own commit may have been answered too late, or the other has done the same and is gone.
#[tokio::test]
async fn one_that_finds_its_batch_delivered_and_nothing_else_goes_on() {
    let test = "one_that_finds_its_batch_delivered_and_nothing_else_goes_on";
    let Some(broker) = server(test, "kafka", "AUDITLINE_TEST_KAFKA") else { return };
    let topic = Topic::create(once(&broker, &contract::unique("same")), plain(&broker)).await;
    let batches = [1, 6, 11, 16].map(|first| contract::numbered("p", first, 5));
    let (one, other) = (topic.sink(), topic.sink());
    one.deliver(&batches[0]).await.unwrap();
    other.deliver(&batches[0]).await.unwrap();
    other.deliver(&batches[1]).await.unwrap();
    for batch in &batches[1..] {
        one.deliver(batch).await.unwrap();
    }
    // Who is behind now is the other.
    other.deliver(&batches[2]).await.unwrap();
    expect_refused(deliver(&*other, &own(16, 4)).await, "stop one of the two");
    assert_eq!(topic.read_back(20).await, contract::texts(&batches));
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
