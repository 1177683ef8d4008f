//! Keys and certificates that the environment tells.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use auditline_sinks::contract::{self, chain, server};
use serde_json::json;
use tokio::net::TcpListener;

use crate::place::{MOTO, S3, offline, sink, variable};
use crate::trouble::expect_both_refused;

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

#[tokio::test]
async fn a_certificate_of_another_name_needs_a_person() {
    let test = "keys::a_certificate_of_another_name_needs_a_person";
    if is_alone(test) {
        let endpoint = std::env::var("AUDITLINE_TEST_ALONE_ENDPOINT").unwrap();
        return expect_both_refused(offline(&endpoint), "connect by a name in the certificate").await;
    }
    use tokio_rustls::rustls::ServerConfig;
    let key = rcgen::generate_simple_self_signed(["elsewhere.example".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let trusted = folder.path().join("trusted.pem");
    std::fs::write(&trusted, key.cert.pem()).unwrap();
    let private = tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer::from(key.signing_key.serialize_der());
    let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
    let server = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let server = server.with_no_client_auth().with_single_cert(vec![key.cert.der().clone()], private.into()).unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(server));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let accepting = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let _ = acceptor.accept(stream).await;
        }
    });
    let environment = [
        ("SSL_CERT_FILE".to_owned(), trusted.display().to_string()),
        ("AUDITLINE_TEST_ALONE_ENDPOINT".to_owned(), endpoint),
    ];
    let told = tokio::task::spawn_blocking(move || {
        let environment: Vec<(&str, &str)> = environment.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        alone(test, &environment);
    });
    told.await.unwrap();
    accepting.abort();
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
