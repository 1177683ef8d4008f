//! The keys of `tls` that all sinks share, against the servers of several of them.

use std::sync::Arc;

use auditline_sinks::contract::{numbered, server};
use auditline_sinks::{DeliveryError, Sink, SinkConfig};
use serde_json::{Value, json};

fn sink(config: Value) -> Arc<dyn Sink> {
    let config: SinkConfig = serde_json::from_value(config).unwrap();
    config.build().unwrap()
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is set together with the server's address"))
}

/// A sink to this server with that `tls`.
fn to(kind: &str, address: &str, tls: Value) -> Arc<dyn Sink> {
    sink(match kind {
        "kafka" => json!({ "kafka": {
            "brokers": [address], "topic": "tls", "tls": tls, "timeout": "10s",
            "sasl": { "mechanism": "scram-sha-256", "username": "auditline", "password": "opens-nothing" },
        } }),
        "syslog" => json!({ "syslog": { "address": address, "transport": "tls", "tls": tls } }),
        "http" => json!({ "http": { "url": format!("{address}/in/tls"), "format": "ndjson", "tls": tls } }),
        "otlp" => json!({ "otlp": { "endpoint": address, "tls": tls } }),
        other => panic!("{other}"),
    })
}

#[tokio::test]
async fn a_certificate_is_left_unverified_in_words() {
    for (kind, name) in [
        ("kafka", "AUDITLINE_TEST_KAFKA_SASL_TLS"),
        ("syslog", "AUDITLINE_TEST_RSYSLOG_TLS"),
        ("http", "AUDITLINE_TEST_HTTP_TLS"),
        ("otlp", "AUDITLINE_TEST_OTLP_TLS"),
    ] {
        let Some(address) = server("a_certificate_is_left_unverified_in_words", kind, name) else { continue };
        to(kind, &address, json!({ "insecure": "any certificate is accepted" })).check().await.unwrap();
        let wrong = json!({ "ca": variable("AUDITLINE_TEST_TLS_WRONG_CA") });
        let error = to(kind, &address, wrong).check().await.unwrap_err();
        assert!(matches!(error, DeliveryError::Refused { .. }), "{kind}: {error:?}");
    }
}

#[tokio::test]
async fn a_file_that_was_written_anew_is_read_anew() {
    for (kind, name) in [("syslog", "AUDITLINE_TEST_RSYSLOG_TLS"), ("http", "AUDITLINE_TEST_HTTP_TLS")] {
        let Some(address) = server("a_file_that_was_written_anew_is_read_anew", kind, name) else { continue };
        let folder = tempfile::tempdir().unwrap();
        let ca = folder.path().join("ca.pem");
        std::fs::copy(variable("AUDITLINE_TEST_TLS_WRONG_CA"), &ca).unwrap();
        let sink = to(kind, &address, json!({ "ca": ca }));
        sink.check().await.unwrap_err();
        std::fs::copy(variable("AUDITLINE_TEST_TLS_CA"), &ca).unwrap();
        sink.check().await.unwrap();
        sink.deliver(&numbered("tls", 1, 1)).await.unwrap();
    }
}
