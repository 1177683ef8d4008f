//! What is in the bucket afterwards.

use auditline_sinks::contract::{self, Destination, chain, server};
use serde_json::json;

use crate::place::{MOTO, Prefix, S3, config, large, offline, unpacked};

#[tokio::test]
async fn as_parquet_each_class_has_an_object_of_its_own() {
    let Some(endpoint) = server("as_parquet_each_class_has_an_object_of_its_own", "s3", S3) else {
        return;
    };
    let name = contract::unique("classes");
    let mut config = config(&endpoint, &format!("{name}/day={{date}}/"));
    config["format"] = json!("parquet");
    let prefix = Prefix { config, root: format!("{name}/") };
    let mut batch = contract::batch_of(
        "corp",
        1,
        [
            r#"{"class_uid":6003,"metadata":{"uid":"1"}}"#,
            r#"{"class_uid":3002,"metadata":{"uid":"2"}}"#,
            r#"{"class_uid":6003,"metadata":{"uid":"3"}}"#,
            r#"{"event":{"kind":"event"}}"#,
            r#"{"class_uid":6003,"metadata":{"uid":"5"}}"#,
        ],
    );
    batch.records[4].time += chrono::TimeDelta::days(1);
    prefix.sink().deliver(&batch).await.unwrap();
    let first = prefix.objects().await;
    let keys: Vec<&str> = first.iter().map(|(key, _)| key.strip_prefix(&prefix.root).unwrap()).collect();
    let batch_key = batch.key();
    let expected = [("14", "api_activity"), ("14", "authentication"), ("14", "other"), ("15", "api_activity")];
    assert_eq!(keys, expected.map(|(day, class)| format!("day=2026-03-{day}/{batch_key}-{class}.parquet")));
    assert_eq!(unpacked(&first[2]), "{\"event\":{\"kind\":\"event\"}}\n");
    prefix.sink().deliver(&batch).await.unwrap();
    assert!(first == prefix.objects().await, "an object has changed");
}

#[tokio::test]
async fn a_batch_that_comes_again_changes_nothing() {
    let Some(endpoint) = server("a_batch_that_comes_again_changes_nothing", "s3", S3) else {
        return;
    };
    for (compression, suffix) in [("none", "ndjson"), ("gzip", "ndjson.gz"), ("zstd", "ndjson.zst")] {
        let name = contract::unique("again");
        let prefix = Prefix::new(&endpoint, &name, compression, "{date}/");
        let mut batch = contract::numbered("corp", 41, 4);
        batch.records[3].time += chrono::TimeDelta::days(1);
        prefix.sink().deliver(&batch).await.unwrap();
        let first = prefix.objects().await;
        prefix.sink().deliver(&batch).await.unwrap();
        assert!(first == prefix.objects().await, "an object has changed");
        let keys: Vec<&str> = first.iter().map(|(key, _)| key.as_str()).collect();
        let batch_key = batch.key();
        assert_eq!(keys, ["14", "15"].map(|day| format!("{name}/2026-03-{day}/{batch_key}.{suffix}")));
    }
}

#[tokio::test]
async fn objects_are_encrypted_as_configured() {
    let Some(endpoint) = server("objects_are_encrypted_as_configured", "moto", MOTO) else { return };
    let name = contract::unique("encrypted");
    let mut config = offline(&endpoint);
    config["timeout"] = json!("30s");
    config["compression"] = json!("none");
    config["storage_class"] = json!("STANDARD_IA");
    for (sse, key) in [("AES256", None), ("aws:kms", Some("arn:aws:kms:us-east-1:123456789012:key/abc"))] {
        for batch in [contract::numbered("small", 1, 2), large("large", 9)] {
            config["prefix"] = json!(format!("{name}/{}/", sse.replace(':', "-")));
            config["sse"] = json!(sse);
            config["sse_kms_key_id"] = json!(key);
            let prefix = Prefix { config: config.clone(), root: config["prefix"].as_str().unwrap().to_owned() };
            prefix.sink().deliver(&batch).await.unwrap_or_else(|error| panic!("{}", chain(&error)));
            prefix.sink().deliver(&batch).await.unwrap_or_else(|error| panic!("again: {}", chain(&error)));
            let key_of = format!("{}{}.ndjson", prefix.root, batch.key());
            let head = prefix.client().head_object().bucket("audit").key(key_of).send().await.unwrap();
            assert_eq!(head.server_side_encryption().unwrap().as_str(), sse);
            assert_eq!(head.ssekms_key_id(), key);
            assert_eq!(head.storage_class().unwrap().as_str(), "STANDARD_IA");
        }
    }
}

// What stands in a value of an event becomes a part of a name, whatever it is.
#[tokio::test]
async fn names_may_hold_any_character() {
    let Some(endpoint) = server("names_may_hold_any_character", "s3", S3) else { return };
    let name = contract::unique("characters");
    let prefix = Prefix::new(&endpoint, &name, "none", "{.who}/at={.where.what}/");
    let values = [
        "a b+c",
        "100%25",
        "?x=1&y=2#z",
        "../../up",
        "./.",
        "",
        "ünï\u{1f98a}",
        "tab\there",
        "\u{0}",
        "'\"<>&;,:=@$!*()[]{}|^`~",
        "\\back",
    ];
    let body = |value: &&str| json!({ "who": value, "where": { "what": value } }).to_string();
    let batch = contract::batch_of("corp", 1, values.iter().map(body));
    prefix.sink().deliver(&batch).await.unwrap_or_else(|error| panic!("{}", chain(&error)));
    // Another process knows nothing, and finds all of them.
    prefix.sink().deliver(&batch).await.unwrap_or_else(|error| panic!("again: {}", chain(&error)));
    let objects = prefix.objects().await;
    for (key, _) in &objects {
        let segments: Vec<&str> = key.split('/').collect();
        assert!(segments.len() == 4 && segments.iter().all(|segment| !["", ".", ".."].contains(segment)), "{key}");
    }
    let mut arrived = prefix.read_back(values.len()).await;
    arrived.sort();
    let mut expected = contract::texts(&[batch]);
    expected.sort();
    assert_eq!(arrived, expected);
}

// An older state folder was put back: the numbers are given out again, to other records.
#[tokio::test]
async fn restored_numbers_make_other_names() {
    let Some(endpoint) = server("restored_numbers_make_other_names", "s3", S3) else { return };
    for if_absent in [true, false] {
        let mut prefix = Prefix::new(&endpoint, &contract::unique("restored"), "gzip", "");
        prefix.config["if_absent"] = json!(if_absent);
        let before = contract::numbered("corp", 1, 3);
        let mut after = before.clone();
        after.records[1].json = r#"{"n":"of the life after"}"#.into();
        for batch in [&before, &after, &before] {
            prefix.sink().deliver(batch).await.unwrap();
        }
        let mut arrived = prefix.read_back(6).await;
        arrived.sort();
        let mut expected = contract::texts(&[before, after]);
        expected.sort();
        assert_eq!(arrived, expected);
    }
}
