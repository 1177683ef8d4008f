//! Objects that are there already.

use std::collections::BTreeMap;

use auditline_sinks::DeliveryError;
use auditline_sinks::contract::{self, Destination, chain, server};
use aws_sdk_s3::error::ProvideErrorMetadata as _;
use aws_sdk_s3::primitives::ByteStream;
use serde_json::json;

use crate::place::{Prefix, S3, large, unpacked};

#[tokio::test]
async fn what_is_there_and_not_ours_is_not_replaced() {
    let Some(endpoint) = server("what_is_there_and_not_ours_is_not_replaced", "s3", S3) else {
        return;
    };
    let mut prefix = Prefix::new(&endpoint, &contract::unique("taken"), "none", "");
    for batch in [contract::numbered("small", 1, 3), large("large", 9)] {
        let key = format!("{}{}.ndjson", prefix.root, batch.key());
        let other = ByteStream::from_static(b"theirs");
        prefix.client().put_object().bucket("audit").key(&key).body(other).send().await.unwrap();
        let outcome = prefix.sink().deliver(&batch).await;
        let Err(DeliveryError::Refused { message, hint, .. }) = outcome else { panic!("{outcome:?}") };
        assert_eq!(message, format!("`{key}` is there already, and holds other records"));
        assert!(hint.contains("`if_absent = false`"), "{hint}");
        let objects: BTreeMap<String, Vec<u8>> = prefix.objects().await.into_iter().collect();
        assert_eq!(objects[&key], b"theirs");
        assert_eq!(prefix.unfinished().await, 0);

        prefix.config["if_absent"] = json!(false);
        prefix.sink().deliver(&batch).await.unwrap();
        let objects: BTreeMap<String, Vec<u8>> = prefix.objects().await.into_iter().collect();
        let text = contract::texts(std::slice::from_ref(&batch)).join("\n") + "\n";
        assert!(objects[&key] == text.as_bytes(), "it is replaced where that is wanted");
        prefix.config["if_absent"] = json!(true);
    }
}

// Two servers of the same kind may pack in another way, and so may a later release of ours.
#[tokio::test]
async fn the_same_records_in_other_bytes_are_the_same_object() {
    let Some(endpoint) = server("the_same_records_in_other_bytes_are_the_same_object", "s3", S3) else {
        return;
    };
    let prefix = Prefix::new(&endpoint, &contract::unique("repacked"), "gzip", "");
    let batch = contract::numbered("corp", 1, 100);
    prefix.sink().deliver(&batch).await.unwrap();
    let (key, body) = prefix.objects().await.remove(0);
    let head = prefix.client().head_object().bucket("audit").key(&key).send().await.unwrap();
    let mut fast = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut fast, unpacked(&(key.clone(), body)).as_bytes()).unwrap();
    let fast = fast.finish().unwrap();
    let put = prefix.client().put_object().bucket("audit").key(&key).set_metadata(head.metadata().cloned());
    put.body(ByteStream::from(fast.clone())).send().await.unwrap();
    prefix.sink().deliver(&batch).await.unwrap();
    assert!(prefix.objects().await == [(key, fast)], "it was left as it was");
}

// What our uploads rely on: the server compares the checksum with what arrived.
#[tokio::test]
async fn the_server_refuses_a_wrong_checksum() {
    let Some(endpoint) = server("the_server_refuses_a_wrong_checksum", "s3", S3) else {
        return;
    };
    let prefix = Prefix::new(&endpoint, &contract::unique("checksum"), "gzip", "");
    let key = format!("{}object", prefix.root);
    let put = prefix.client().put_object().bucket("audit").key(&key).checksum_crc32("AAAAAA==");
    let error = put.body(ByteStream::from_static(b"something")).send().await.unwrap_err();
    assert_eq!(error.code(), Some("BadDigest"), "{}", chain(&error));
    let begun = prefix.client().create_multipart_upload().bucket("audit").key(&key).send().await.unwrap();
    let part = prefix.client().upload_part().bucket("audit").key(&key).set_upload_id(begun.upload_id).part_number(1);
    let part = part.checksum_crc32("AAAAAA==").body(ByteStream::from_static(b"something"));
    let error = part.send().await.unwrap_err();
    assert_eq!(error.code(), Some("BadDigest"), "{}", chain(&error));
    assert!(prefix.objects().await.is_empty());
}
