//! Records that a topic never takes: they alone are rejected, and all others arrive once.

use std::time::Instant;

use auditline_sinks::Delivery;
use auditline_sinks::contract::{self, Destination as _, server};
use serde_json::json;

use super::topic::{PATIENCE, Topic, config, once, plain};

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

fn large(n: usize) -> String {
    format!(r#"{{"n":{n},"large":"{}"}}"#, "x".repeat(30_000))
}

// The engine takes it for the topic's fault when nothing of a batch is taken, and brings the batch again.
#[tokio::test]
async fn a_batch_of_which_nothing_was_taken_arrives_once_the_topic_is_mended() {
    let test = "a_batch_of_which_nothing_was_taken_arrives_once_the_topic_is_mended";
    let Some(broker) = server(test, "kafka", "AUDITLINE_TEST_KAFKA") else { return };
    for exactly_once in [false, true] {
        let make = if exactly_once { once } else { config };
        let topic = Topic::with_limit(make(&broker, &contract::unique("mended")), plain(&broker), 20_000).await;
        let sink = topic.sink();
        let first = contract::numbered("p", 1, 3);
        sink.deliver(&first).await.unwrap();
        let batch = contract::batch_of("p", 4, (0..12).map(large));
        let alone = contract::batch_of("p", 16, [large(12)]);
        for batch in [&batch, &batch, &alone] {
            assert_eq!(sink.deliver(batch).await.unwrap().rejected.len(), batch.records.len());
        }
        // One that was started anew finds its place as well, and so does what comes next.
        let next = topic.sink();
        for batch in [&batch, &alone] {
            assert_eq!(next.deliver(batch).await.unwrap().rejected.len(), batch.records.len());
        }
        let small = contract::numbered("p", 17, 3);
        next.deliver(&small).await.unwrap();

        topic.set_limit(100_000).await;
        let probe = contract::batch_of("probe", 1, [large(13)]);
        let give_up = Instant::now() + PATIENCE;
        while topic.sink().deliver(&probe).await.unwrap() != Delivery::default() {
            assert!(Instant::now() < give_up, "the limit does not change");
        }
        for batch in [&batch, &alone] {
            assert_eq!(next.deliver(batch).await.unwrap(), Delivery::default());
        }
        if exactly_once {
            for (sink, batch) in [(&next, &batch), (&next, &alone), (&topic.sink(), &batch), (&topic.sink(), &alone)] {
                assert_eq!(sink.deliver(batch).await.unwrap(), Delivery::default());
            }
        }
        let mut arrived = topic.read_back(20).await;
        let mut expected = contract::texts(&[first, small, probe, batch, alone]);
        arrived.sort_unstable();
        expected.sort_unstable();
        assert!(arrived == expected, "{} of {} arrived", arrived.len(), expected.len());
    }
}

// What is refused alone is refused for what it is: no other pipeline's record may be in the same request.
#[tokio::test]
async fn a_record_is_not_blamed_for_another_pipelines() {
    let Some(broker) = server("a_record_is_not_blamed_for_another_pipelines", "kafka", "AUDITLINE_TEST_KAFKA") else {
        return;
    };
    let mut config = config(&broker, &contract::unique("blamed"));
    // All in one partition, and each waits for company.
    config["key"] = json!("all");
    config["options"] = json!({ "linger.ms": 50 });
    let topic = Topic::with_limit(config, plain(&broker), 20_000).await;
    let sink = topic.sink();
    // Any two of them are too large together, so each is sent alone.
    let good = contract::batch_of("good", 1, (0..8).map(|n| format!(r#"{{"n":{n},"text":"{}"}}"#, "x".repeat(12_000))));
    let bad = contract::batch_of("bad", 1, (0..8).map(large));
    let (of_good, of_bad) = futures::join!(sink.deliver(&good), sink.deliver(&bad));
    assert_eq!(of_good.unwrap(), Delivery::default());
    assert_eq!(of_bad.unwrap().rejected.len(), 8);
    let mut arrived = topic.read_back(8).await;
    arrived.sort_unstable();
    assert!(arrived == contract::texts(&[good]), "{} of 8 arrived", arrived.len());
}

// A batch beyond the default bounds, of which so much is rejected that it does not fit beside the position.
#[tokio::test]
async fn more_rejected_than_kafka_keeps_does_not_stop_a_pipeline() {
    let test = "more_rejected_than_kafka_keeps_does_not_stop_a_pipeline";
    let Some(broker) = server(test, "kafka", "AUDITLINE_TEST_KAFKA") else { return };
    let mut config = once(&broker, &contract::unique("many"));
    config["options"] = json!({ "message.max.bytes": 20_000 });
    let topic = Topic::create(config, plain(&broker)).await;
    let mut batch = contract::numbered("p", 1, 50_000);
    let large = bytes::Bytes::from(large(0));
    // Without a pattern, so that it cannot be packed.
    let mut seed = 7u64;
    for record in &mut batch.records {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        if seed >> 63 == 1 {
            record.json = large.clone();
        }
    }
    let next = contract::numbered("p", 50_001, 3);
    let sink = topic.sink();
    let first = sink.deliver(&batch).await.unwrap();
    assert_eq!(sink.deliver(&next).await.unwrap(), Delivery::default());
    batch.records.retain(|record| record.json.len() < 20_000);
    assert_eq!(first.rejected.len(), 50_000 - batch.records.len());
    let expected = contract::texts(&[batch, next]);
    assert!(topic.read_back(expected.len()).await == expected);
}
