//! Receivers that ask who we are, and those that we cannot trust.

use auditline_sinks::Delivery;
use auditline_sinks::contract::{self, Destination as _, chain, server};
use serde_json::json;

use crate::place::{expect_refused, introduce, receiver, sink};

/// Without a certificate nothing may count as delivered, and with one everything arrives.
async fn a_receiver_that_asks_for_a_certificate(test: &str, what: &str, transport: &str, variable: &str, output: &str) {
    let Some(address) = server(test, what, variable) else {
        return;
    };
    let name = contract::unique("mutual");
    let mut receiver = receiver(&name, transport, &address, output);
    let batch = contract::numbered("mutual", 1, 3);
    let strangers = receiver.sink();
    for _ in 0..5 {
        let error = strangers.deliver(&batch).await.expect_err("a stranger's records are lost");
        assert!(format!("{error} {error:?}").contains("`tls.key`"), "{}", chain(&error));
        strangers.check().await.expect_err("a stranger is not welcome");
    }
    introduce(&mut receiver);
    receiver.sink().check().await.unwrap();
    assert_eq!(receiver.sink().deliver(&batch).await.unwrap(), Delivery::default());
    assert_eq!(receiver.read_back(3).await, contract::texts(&[batch]));
}

#[tokio::test]
async fn rsyslog_lets_only_friends_in() {
    let variables = ("AUDITLINE_TEST_RSYSLOG_MUTUAL_TLS", "AUDITLINE_TEST_RSYSLOG_OUTPUT");
    let test = "rsyslog_lets_only_friends_in";
    a_receiver_that_asks_for_a_certificate(test, "rsyslog", "tls", variables.0, variables.1).await;
}

#[tokio::test]
async fn rsyslog_lets_only_friends_in_by_relp() {
    let variables = ("AUDITLINE_TEST_RSYSLOG_RELP_TLS", "AUDITLINE_TEST_RSYSLOG_OUTPUT");
    let test = "rsyslog_lets_only_friends_in_by_relp";
    a_receiver_that_asks_for_a_certificate(test, "rsyslog", "relp+tls", variables.0, variables.1).await;
}

#[tokio::test]
async fn syslog_ng_lets_only_friends_in() {
    let variables = ("AUDITLINE_TEST_SYSLOG_NG_MUTUAL_TLS", "AUDITLINE_TEST_SYSLOG_NG_OUTPUT");
    let test = "syslog_ng_lets_only_friends_in";
    a_receiver_that_asks_for_a_certificate(test, "syslog-ng", "tls", variables.0, variables.1).await;
}

#[tokio::test]
async fn a_certificate_we_cannot_trust_needs_a_person() {
    let test = "a_certificate_we_cannot_trust_needs_a_person";
    for (transport, variable) in [("tls", "AUDITLINE_TEST_RSYSLOG_TLS"), ("relp", "AUDITLINE_TEST_RSYSLOG_RELP_TLS")] {
        let Some(address) = server(test, "rsyslog", variable) else {
            return;
        };
        let ca = std::env::var("AUDITLINE_TEST_TLS_CA").unwrap();
        let wrong = std::env::var("AUDITLINE_TEST_TLS_WRONG_CA").unwrap();
        for (tls, hint) in [
            (json!({ "ca": wrong }), "set `tls.ca` to the certificate of the authority that signed it"),
            (
                json!({ "ca": ca, "server_name": "other.example" }),
                "set `tls.server_name` to a name in the certificate, or connect by that name",
            ),
        ] {
            let sink = sink(json!({ "address": address, "transport": transport, "tls": tls }));
            expect_refused(sink.check().await, hint);
            expect_refused(sink.deliver(&contract::numbered("p", 1, 1)).await.map(drop), hint);
        }
    }
}
