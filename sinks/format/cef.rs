//! ArcSight's Common Event Format, by its implementation standard of 2025 (document version 27), as `CEF:0`, which every
//! receiver reads.
//!
//! Header fields escape `\` and `|`, extensions `\`, `=` and line breaks. A header has no line breaks, and no control
//! character but those goes anywhere: it becomes `_`, a tab a blank.

use std::fmt::Write as _;
use std::net::IpAddr;

use super::facts::{Fact, Facts};
use super::in_one_line;
use crate::{Batch, Record};

/// Extensions that take a fact as it is, in the order they are written.
#[rustfmt::skip]
const EXTENSIONS: &[(&str, Fact)] = &[
    ("cat", Fact::Category),
    ("act", Fact::Action),
    ("reason", Fact::Reason),
    ("suid", Fact::ActorId),
    ("suser", Fact::ActorName),
    ("spriv", Fact::ActorKind),
    ("sntdom", Fact::ActorDomain),
    ("sourceServiceName", Fact::ActorApp),
    ("duid", Fact::TargetId),
    ("duser", Fact::TargetName),
    ("spt", Fact::SourcePort),
    ("shost", Fact::SourceHost),
    ("dpt", Fact::DestinationPort),
    ("dhost", Fact::DestinationHost),
    ("destinationServiceName", Fact::Service),
    ("request", Fact::Url),
    ("requestMethod", Fact::Method),
    ("requestClientApplication", Fact::UserAgent),
    ("requestContext", Fact::Referrer),
    ("deviceExternalId", Fact::Tenant),
    ("deviceFacility", Fact::Log),
];

/// What has no key of its own: custom key, its label, fact.
#[rustfmt::skip]
const CUSTOM: &[(&str, &str, Fact)] = &[
    ("cs1", "objectId", Fact::ObjectId),
    ("cs2", "objectName", Fact::ObjectName),
    ("cs3", "objectType", Fact::ObjectKind),
    ("cs4", "privileges", Fact::Privileges),
    ("cs5", "correlationId", Fact::Correlation),
    ("cn1", "classUid", Fact::Class),
    ("cn2", "typeUid", Fact::Type),
];

/// One record as a line of CEF. An event that cannot be looked into travels as JSON even without `include_json`.
#[must_use]
pub fn write(batch: &Batch, record: &Record, include_json: bool) -> String {
    let facts = Facts::of(record);
    let head = facts.head(batch);
    let mut text = String::from("CEF:0");
    for field in [head.vendor, head.product, head.version, head.code, head.name] {
        text.push('|');
        push_header(&mut text, &field);
    }
    let _ = write!(text, "|{}|rt={}", facts.severity().unwrap_or(0), record.time.timestamp_millis());
    push(&mut text, "externalId", &record.id);
    for (key, fact) in EXTENSIONS {
        if let Some(value) = facts.get(*fact) {
            push(&mut text, key, &value);
        }
    }
    if let Some(outcome) = facts.get(Fact::Outcome) {
        let known = ["success", "failure"].into_iter().find(|known| outcome.eq_ignore_ascii_case(known));
        push(&mut text, "outcome", known.unwrap_or(&outcome));
    }
    if let Some(message) = facts.get(Fact::Message) {
        push(&mut text, "msg", &message);
    }
    push_address(&mut text, &facts, Fact::SourceIp, "src", ("c6a2", "Source IPv6 Address"));
    push_address(&mut text, &facts, Fact::DestinationIp, "dst", ("c6a3", "Destination IPv6 Address"));
    for (key, label, fact) in CUSTOM {
        if let Some(value) = facts.get(*fact) {
            push_labelled(&mut text, key, label, &value);
        }
    }
    push_labelled(&mut text, "cs6", "pipeline", &batch.pipeline);
    if include_json || !facts.are_readable() {
        // The last, and without blanks at its end: those of the last extension are not kept.
        push(&mut text, "auditlineEvent", &in_one_line(record));
    }
    text
}

/// `src` and `dst` are for IPv4; what is redacted is no address any more, and goes there all the same.
fn push_address(text: &mut String, facts: &Facts<'_>, fact: Fact, key: &str, v6: (&str, &str)) {
    let Some(value) = facts.get(fact) else {
        return;
    };
    match value.parse() {
        Ok(IpAddr::V6(_)) => push_labelled(text, v6.0, v6.1, &value),
        _ => push(text, key, &value),
    }
}

fn push_labelled(text: &mut String, key: &str, label: &str, value: &str) {
    push(text, key, value);
    let _ = write!(text, " {key}Label={label}");
}

fn push(text: &mut String, key: &str, value: &str) {
    if value.is_empty() {
        return;
    }
    text.push(' ');
    text.push_str(key);
    text.push('=');
    for char in value.chars() {
        match char {
            '\\' | '=' => text.extend(['\\', char]),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            other => text.push(plain(other)),
        }
    }
}

fn push_header(text: &mut String, value: &str) {
    for char in value.chars() {
        match char {
            '\\' | '|' => text.extend(['\\', char]),
            '\n' | '\r' => text.push(' '),
            other => text.push(plain(other)),
        }
    }
}

fn plain(char: char) -> char {
    match char {
        '\t' => ' ',
        control if control.is_control() => '_',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract;

    const OCSF: &str = r#"{"activity_name":"Disable","actor":{"user":{"name":"Anna Ops","type":"User","uid":"u-1"}},"class_name":"Account Change","class_uid":3001,"http_request":{"user_agent":"curl/8 a=b"},"message":"first\nsecond","metadata":{"event_code":"App|Off","log_name":"ashby","product":{"name":"Ashby","vendor_name":"Ashby\\Inc"}},"severity_id":4,"src_endpoint":{"ip":"2001:db8::7"},"status":"Success","type_name":"Account Change: Disable","type_uid":300105,"user":{"uid":"u-2"}}"#;

    fn written(json: &str, include_json: bool) -> String {
        let batch = contract::batch_of("corp", 1, [json]);
        write(&batch, &batch.records[0], include_json)
    }

    #[test]
    fn an_ocsf_event_is_where_a_rule_looks_for_it() {
        assert_eq!(
            written(OCSF, false),
            "CEF:0|Ashby\\\\Inc|Ashby|-|App\\|Off|Account Change: Disable|7|rt=1773480414589 externalId=corp-1 \
             cat=Account Change act=Disable suid=u-1 suser=Anna Ops spriv=User duid=u-2 \
             requestClientApplication=curl/8 a\\=b deviceFacility=ashby outcome=success msg=first\\nsecond \
             c6a2=2001:db8::7 c6a2Label=Source IPv6 Address cn1=3001 cn1Label=classUid cn2=300105 cn2Label=typeUid \
             cs6=corp cs6Label=pipeline"
        );
    }

    #[test]
    fn an_ecs_event_is_where_a_rule_looks_for_it() {
        let ecs = r#"{"@timestamp":"2026-03-14T09:26:54Z","ecs":{"version":"9.4.0"},"event":{"action":"user.login","code":"user.login","category":["authentication"],"type":["start"],"outcome":"failure","severity":1,"module":"okta"},"observer":{"vendor":"Okta","product":"Okta"},"user":{"id":"7","name":"anna","target":{"id":"8"}},"source":{"ip":"192.0.2.7","port":443},"auditline":{"ocsf":{"class_uid":3002}}}"#;
        assert_eq!(
            written(ecs, false),
            "CEF:0|Okta|Okta|-|user.login|user.login|1|rt=1773480414589 externalId=corp-1 cat=authentication act=start \
             suid=7 suser=anna duid=8 spt=443 deviceFacility=okta outcome=failure src=192.0.2.7 cn1=3002 \
             cn1Label=classUid cs6=corp cs6Label=pipeline"
        );
    }

    #[test]
    fn the_whole_event_travels_along() {
        let text = written("{\"n\":1,\n \"a\":\"b=c\\n\"}", true);
        assert!(text.starts_with("CEF:0|example|example|-|record|record|0|rt="), "{text}");
        assert!(text.ends_with(" auditlineEvent={\"n\":1,  \"a\":\"b\\=c\\\\n\"}"), "{text}");
    }

    #[test]
    fn what_cannot_be_looked_into_travels_all_the_same() {
        assert!(written("[1]", false).ends_with(" auditlineEvent=[1]"));
        assert!(!written("{}", false).contains("auditlineEvent"));
    }
}
