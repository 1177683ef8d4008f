//! Objects that go in parts.

use std::time::{Duration, Instant};

use auditline_sinks::contract::{self, Destination, server};

use crate::place::{Prefix, S3, large};

#[tokio::test]
async fn a_large_object_goes_in_parts_and_leaves_none_behind() {
    let Some(endpoint) = server("a_large_object_goes_in_parts_and_leaves_none_behind", "s3", S3) else {
        return;
    };
    let prefix = Prefix::new(&endpoint, &contract::unique("large"), "none", "");
    let batch = large("corp", 20);
    let key = format!("{}{}.ndjson", prefix.root, batch.key());
    // A process before us began the same object and was killed.
    let begun = prefix.client().create_multipart_upload().bucket("audit").key(&key).send().await.unwrap();
    assert!(begun.upload_id().is_some());
    assert_eq!(prefix.unfinished().await, 1);

    prefix.sink().deliver(&batch).await.unwrap();
    assert_eq!(prefix.unfinished().await, 0);
    let head = prefix.client().head_object().bucket("audit").key(&key).send().await.unwrap();
    let (tag, changed) = (head.e_tag().unwrap().to_owned(), head.last_modified().copied());
    assert!(tag.trim_matches('"').ends_with("-5"), "it was sent in five parts: {tag}");
    assert!(prefix.read_back(20).await == contract::texts(std::slice::from_ref(&batch)));

    // It comes again, is found to be there, and is not written.
    prefix.sink().deliver(&batch).await.unwrap();
    let head = prefix.client().head_object().bucket("audit").key(&key).send().await.unwrap();
    assert_eq!((head.e_tag(), head.last_modified().copied()), (Some(tag.as_str()), changed));
    assert_eq!(prefix.unfinished().await, 0);
}

#[tokio::test]
async fn a_large_upload_that_is_dropped_is_ended() {
    let Some(endpoint) = server("a_large_upload_that_is_dropped_is_ended", "s3", S3) else {
        return;
    };
    let prefix = Prefix::new(&endpoint, &contract::unique("dropped"), "gzip", "");
    let batch = large("corp", 40);
    let sink = prefix.sink();
    for millis in [300, 900, 1500] {
        let _ = tokio::time::timeout(Duration::from_millis(millis), sink.deliver(&batch)).await;
    }
    sink.deliver(&batch).await.unwrap();
    assert!(prefix.read_back(40).await == contract::texts(&[batch]));
    // The ending goes on beside us.
    let give_up = Instant::now() + Duration::from_secs(120);
    loop {
        let unfinished = prefix.unfinished().await;
        if unfinished == 0 {
            return;
        }
        assert!(Instant::now() < give_up, "{unfinished} uploads were begun and never ended");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
