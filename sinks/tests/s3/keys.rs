//! Keys and certificates that the environment tells.

use std::path::Path;
use std::process::Command;

use auditline_sinks::contract::{self, chain, server};
use serde_json::json;

use crate::place::{MOTO, S3, sink, variable};

/// Runs one test of this program by itself, with an environment of its own, which a process cannot change safely.
fn alone(test: &str, environment: &[(&str, &str)]) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]).env("AUDITLINE_TEST_ALONE", test);
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_ROLE_ARN"] {
        command.env_remove(name);
    }
    let output = command.env("AWS_EC2_METADATA_DISABLED", "true").envs(environment.iter().copied()).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && told.contains("1 passed"), "{told}");
}

/// Whether this process is the one that [`alone`] started for this test.
fn is_alone(test: &str) -> bool {
    std::env::var("AUDITLINE_TEST_ALONE").is_ok_and(|alone| alone == test)
}

/// What a sink without keys of its own delivers with, is found in the environment.
async fn deliver_with_the_environments_keys() {
    let endpoint = std::env::var("AUDITLINE_TEST_ALONE_ENDPOINT").unwrap();
    let prefix = format!("{}/", contract::unique("chain"));
    let sink = sink(json!({ "bucket": "audit", "endpoint": endpoint, "path_style": true, "prefix": prefix }));
    sink.check().await.unwrap_or_else(|error| panic!("{}", chain(&error)));
    sink.deliver(&contract::numbered("p", 1, 2)).await.unwrap_or_else(|error| panic!("{}", chain(&error)));
}

fn file(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[tokio::test]
async fn keys_come_from_a_profile() {
    let test = "keys::keys_come_from_a_profile";
    if is_alone(test) {
        return deliver_with_the_environments_keys().await;
    }
    let Some(endpoint) = server(test, "s3", S3) else { return };
    let folder = tempfile::tempdir().unwrap();
    let (key, secret) = (variable("AUDITLINE_TEST_S3_ACCESS_KEY"), variable("AUDITLINE_TEST_S3_SECRET_KEY"));
    let written = format!("aws_access_key_id = {key}\naws_secret_access_key = {secret}\n");
    let plain = file(folder.path(), "credentials", &format!("[audit]\n{written}"));
    let answer = json!({ "Version": 1, "AccessKeyId": key, "SecretAccessKey": secret });
    let answer = file(folder.path(), "answer.json", &answer.to_string());
    let process = file(folder.path(), "config", &format!("[profile audit]\ncredential_process = cat {answer}\n"));
    for (credentials, config) in [(plain.as_str(), "/dev/null"), ("/dev/null", process.as_str())] {
        alone(
            test,
            &[
                ("AUDITLINE_TEST_ALONE_ENDPOINT", &endpoint),
                ("AWS_PROFILE", "audit"),
                ("AWS_SHARED_CREDENTIALS_FILE", credentials),
                ("AWS_CONFIG_FILE", config),
            ],
        );
    }
}

// What the AWS chain has read once it does not read again: the process had to be started anew.
#[tokio::test]
async fn keys_that_a_person_has_corrected_are_read_again() {
    let test = "keys::keys_that_a_person_has_corrected_are_read_again";
    let credentials = |secret: &str| {
        let key = variable("AUDITLINE_TEST_S3_ACCESS_KEY");
        format!("[default]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n")
    };
    if is_alone(test) {
        let endpoint = std::env::var("AUDITLINE_TEST_ALONE_ENDPOINT").unwrap();
        let prefix = format!("{}/", contract::unique("corrected"));
        let sink = sink(json!({ "bucket": "audit", "endpoint": endpoint, "path_style": true, "prefix": prefix }));
        let batch = contract::numbered("p", 1, 2);
        let failed = sink.deliver(&batch).await.unwrap_err();
        assert_eq!(failed.to_string(), "S3 answered `SignatureDoesNotMatch` for bucket `audit`");
        let path = std::env::var("AWS_SHARED_CREDENTIALS_FILE").unwrap();
        std::fs::write(path, credentials(&variable("AUDITLINE_TEST_S3_SECRET_KEY"))).unwrap();
        sink.deliver(&batch).await.unwrap_or_else(|error| panic!("{}", chain(&error)));
        return;
    }
    let Some(endpoint) = server(test, "s3", S3) else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "credentials", &credentials("opens-nothing"));
    let environment = [
        ("AUDITLINE_TEST_ALONE_ENDPOINT", endpoint.as_str()),
        ("AWS_SHARED_CREDENTIALS_FILE", &path),
        ("AWS_CONFIG_FILE", "/dev/null"),
    ];
    alone(test, &environment);
}

#[tokio::test]
async fn keys_come_from_a_web_identity() {
    let test = "keys::keys_come_from_a_web_identity";
    if is_alone(test) {
        return deliver_with_the_environments_keys().await;
    }
    let Some(endpoint) = server(test, "moto", MOTO) else { return };
    let folder = tempfile::tempdir().unwrap();
    // A token of the kind a Kubernetes service account has: {"alg":"none"} . {"sub":"auditline"} .
    let token = file(folder.path(), "token", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhdWRpdGxpbmUifQ.");
    alone(
        test,
        &[
            ("AUDITLINE_TEST_ALONE_ENDPOINT", &endpoint),
            ("AWS_WEB_IDENTITY_TOKEN_FILE", &token),
            ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/auditline"),
            ("AWS_ENDPOINT_URL_STS", &endpoint),
            ("AWS_REGION", "us-east-1"),
            ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
            ("AWS_CONFIG_FILE", "/dev/null"),
        ],
    );
}
