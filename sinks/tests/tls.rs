//! The keys of `tls` that all sinks share, against the servers of several of them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use auditline_sinks::contract::{chain, numbered, server};
use auditline_sinks::{DeliveryError, Sink, SinkConfig};
use serde_json::{Value, json};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

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
        "elasticsearch" => json!({ "elasticsearch": { "url": address, "index": "tls", "tls": tls } }),
        "s3" => json!({ "s3": {
            "endpoint": address, "bucket": variable("AUDITLINE_TEST_S3_BUCKET"), "region": "us-east-1", "path_style": true,
            "access_key_id": variable("AUDITLINE_TEST_S3_ACCESS_KEY"),
            "secret_access_key": variable("AUDITLINE_TEST_S3_SECRET_KEY"), "prefix": "tls/", "tls": tls,
        } }),
        "splunk_hec" => json!({ "splunk_hec": { "url": address, "token": "any", "tls": tls } }),
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

/// Leads to a server on this machine by an address that its certificate does not have.
async fn by_another_name(address: &str) -> String {
    let (before, port) = address.rsplit_once(':').unwrap();
    let server = format!("127.0.0.1:{port}");
    let listener = TcpListener::bind("127.0.0.2:0").await.unwrap();
    let ours = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut server = TcpStream::connect(&server).await.unwrap();
            tokio::spawn(async move { copy_bidirectional(&mut client, &mut server).await });
        }
    });
    if before.starts_with("https://") { format!("https://{ours}") } else { ours }
}

#[tokio::test]
async fn a_certificate_of_another_name_needs_a_person() {
    for (kind, name) in [
        ("kafka", "AUDITLINE_TEST_KAFKA_SASL_TLS"),
        ("syslog", "AUDITLINE_TEST_RSYSLOG_TLS"),
        ("http", "AUDITLINE_TEST_HTTP_TLS"),
        ("otlp", "AUDITLINE_TEST_OTLP_TLS"),
        ("splunk_hec", "AUDITLINE_TEST_HEC_TLS"),
        // They never come to HTTP, so it need not be a server of their own.
        ("elasticsearch", "AUDITLINE_TEST_HTTP_TLS"),
        ("s3", "AUDITLINE_TEST_HTTP_TLS"),
    ] {
        let Some(address) = server("a_certificate_of_another_name_needs_a_person", kind, name) else { continue };
        let address = by_another_name(&address).await;
        let sink = to(kind, &address, json!({ "ca": variable("AUDITLINE_TEST_TLS_CA") }));
        for error in [sink.check().await.unwrap_err(), sink.deliver(&numbered("tls", 1, 1)).await.unwrap_err()] {
            let DeliveryError::Refused { message, hint, .. } = &error else { panic!("{kind}: {}", chain(&error)) };
            let said = format!("{} {hint}", chain(&error)).to_lowercase();
            assert!(said.contains("certificate") && said.contains("name"), "{kind}: {message}: {said}");
        }
    }
}

/// A TLS server in front of one that has none, which takes only clients with a certificate of our authority.
async fn guarded(address: &str) -> String {
    let address = address.trim_start_matches("http://").to_owned();
    let folder = PathBuf::from(variable("AUDITLINE_TEST_TLS_CA")).parent().unwrap().to_owned();
    let certificates =
        |path: &Path| CertificateDer::pem_file_iter(path).unwrap().map(Result::unwrap).collect::<Vec<_>>();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates(&folder.join("ca.pem")));
    let verifier = WebPkiClientVerifier::builder(roots.into()).build().unwrap();
    let key = PrivateKeyDer::from_pem_file(folder.join("server.key")).unwrap();
    let config = ServerConfig::builder().with_client_cert_verifier(verifier);
    let config = config.with_single_cert(certificates(&folder.join("server.pem")), key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (acceptor, address) = (acceptor.clone(), address.clone());
            tokio::spawn(async move {
                let mut client = acceptor.accept(client).await?;
                let mut server = TcpStream::connect(address).await?;
                copy_bidirectional(&mut client, &mut server).await
            });
        }
    });
    format!("https://localhost:{port}")
}

#[tokio::test]
async fn a_server_knows_us_by_our_certificate() {
    for (kind, name) in [("elasticsearch", "AUDITLINE_TEST_OPENSEARCH"), ("s3", "AUDITLINE_TEST_S3")] {
        let Some(address) = server("a_server_knows_us_by_our_certificate", kind, name) else { continue };
        let address = guarded(&address).await;
        let ca = variable("AUDITLINE_TEST_TLS_CA");
        let stranger = to(kind, &address, json!({ "ca": ca }));
        for error in [stranger.check().await.unwrap_err(), stranger.deliver(&numbered("tls", 1, 1)).await.unwrap_err()]
        {
            let DeliveryError::Refused { hint, .. } = &error else { panic!("{kind}: {}", chain(&error)) };
            assert!(hint.contains("tls.cert"), "{kind}: {hint}");
        }
        let (cert, key) = (variable("AUDITLINE_TEST_TLS_CLIENT_CERT"), variable("AUDITLINE_TEST_TLS_CLIENT_KEY"));
        let known = to(kind, &address, json!({ "ca": ca, "cert": cert, "key": key }));
        known.check().await.unwrap_or_else(|error| panic!("{kind}: {}", chain(&error)));
        assert_eq!(known.deliver(&numbered("tls", 1, 20)).await.unwrap().rejected, []);
        let anybody =
            to(kind, &address, json!({ "insecure": "any certificate is accepted", "cert": cert, "key": key }));
        anybody.check().await.unwrap_or_else(|error| panic!("{kind}: {}", chain(&error)));
    }
}
