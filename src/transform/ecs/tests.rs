//! The table against ECS and OCSF, and whole events.

use super::category::{categories, types};
use super::*;
use crate::event::json;
use crate::transform::ocsf::paths::look;
use crate::transform::sight::Sight;

/// The ECS event of an OCSF event.
fn ecs(event: &str) -> serde_json::Value {
    let arena = Arena::new();
    let event = json::decode(event.as_bytes(), &arena).unwrap();
    serde_json::from_str(&json::to_string(&from_ocsf(event, &arena))).unwrap()
}

#[test]
fn every_line_of_the_table_is_of_ecs_and_of_ocsf() {
    for Row { field, how, from, also, .. } in TABLE {
        let known = validate::fields().get(field).unwrap_or_else(|| panic!("ECS has no `{field}`"));
        let kinds: (&[&str], bool) = match how {
            How::Long => (&["long"], false),
            How::Float => (&["float"], false),
            How::Ip => (&["ip"], false),
            How::Ips | How::AllIps => (&["ip"], true),
            How::Time => (&["date"], false),
            How::Labels => (&["object"], false),
            How::Point => (&["geo_point"], false),
            How::List | How::AllHosts | How::AllUsers | How::Category | How::Type => (&["keyword"], true),
            _ => (&["keyword", "wildcard", "match_only_text"], false),
        };
        assert!(kinds.0.contains(&known.kind), "`{field}` is {}, not {kinds:?}", known.kind);
        assert_eq!(kinds.1, known.list, "`{field}`");
        for path in from.iter().chain(*also) {
            let sight = look(&path.parse().unwrap(), "0");
            assert!(!matches!(sight, Sight::Nothing { .. }), "OCSF has no `{path}`");
        }
    }
}

#[test]
fn every_class_and_activity_has_a_category_and_types_that_go_with_it() {
    let known = &validate::fields()["event.category"].words;
    for class in [3001, 3002, 3003, 3004, 3005, 3006, 6001, 6003] {
        for activity in (0..14).chain([99]) {
            for entity in [0, 1, 2, 3, 99] {
                let kind = Kind { class, activity, entity, ..Kind::default() };
                assert!(!types(&kind).to_vec().is_empty());
                for category in categories(&kind) {
                    let (_, expected) = known.iter().find(|(word, _)| word == category).unwrap();
                    for word in types(&kind).to_vec() {
                        assert!(expected.contains(&word), "{word} in {category}: {kind:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_call_of_an_api() {
    let event = r#"{"activity_id":1,"activity_name":"Create","actor":{"user":{"email_addr":"deploy@harbour.example",
        "type":"User","type_id":1,"uid":"c81e"}},"api":{"operation":"Create DNS record","request":{"data":{"name":"www"},
        "uid":"9a7f"},"response":{"code":200},"service":{"name":"dns_records"}},"class_name":"API Activity",
        "class_uid":6003,"http_request":{"http_method":"POST","uid":"9a7f","url":{"path":"/zones?page=2"},
        "user_agent":"terraform/1.9"},"http_response":{"code":200},"metadata":{"labels":["prod"],"log_name":"cloudflare",
        "original_time":"2026-09-14T08:22:31Z","product":{"name":"Cloudflare","vendor_name":"Cloudflare"},
        "tags":[{"name":"team","value":"blue"},{"name":"a.b","value":"c"}],"tenant_uid":"9f2c","uid":"5b0f",
        "version":"1.8.0"},"observables":[{"name":"src_endpoint.ip","type_id":2,"value":"203.0.113.24"}],
        "severity":"Informational","severity_id":1,"src_endpoint":{"ip":"203.0.113.24","location":{"lat":52.4,"long":4.9}},
        "status":"Success","status_code":"200","status_id":1,"time":1789374151000,"unmapped":{"actor":{"context":"x"}}}"#;
    let expected = serde_json::json!({
        "@timestamp": "2026-09-14T08:22:31.000Z",
        "tags": ["prod"],
        "labels": { "team": "blue", "a_b": "c" },
        "ecs": { "version": "9.4.0" },
        "event": {
            "kind": "event", "category": ["api", "configuration"], "type": ["creation"], "action": "Create DNS record",
            "outcome": "success", "severity": 1, "id": "5b0f", "module": "cloudflare", "dataset": "cloudflare.audit",
            "provider": "Cloudflare",
        },
        "user": { "id": "c81e", "email": "deploy@harbour.example" },
        "organization": { "id": "9f2c" },
        "source": { "address": "203.0.113.24", "ip": "203.0.113.24", "geo": { "location": { "lat": 52.4, "lon": 4.9 } } },
        "client": { "address": "203.0.113.24", "ip": "203.0.113.24" },
        "user_agent": { "original": "terraform/1.9" },
        "http": { "request": { "id": "9a7f", "method": "POST" }, "response": { "status_code": 200 } },
        "url": { "original": "/zones?page=2", "path": "/zones", "query": "page=2" },
        "service": { "name": "dns_records" },
        "observer": { "vendor": "Cloudflare", "product": "Cloudflare" },
        "related": { "ip": ["203.0.113.24"], "user": ["c81e", "deploy@harbour.example"] },
        "auditline": {
            "ocsf": {
                "activity_id": 1, "activity_name": "Create", "actor": { "user": { "type": "User", "type_id": 1 } },
                "api": { "request": { "data": { "name": "www" } } }, "class_name": "API Activity", "class_uid": 6003,
                "metadata": {
                    "original_time": "2026-09-14T08:22:31Z", "version": "1.8.0",
                    "tags": [{ "name": "team", "value": "blue" }, { "name": "a.b", "value": "c" }],
                },
                "severity": "Informational", "status": "Success", "status_code": "200", "status_id": 1,
            },
            "unmapped": { "actor": { "context": "x" } },
        },
    });
    let found = ecs(event);
    assert_eq!(validate::problems(&found), [""; 0]);
    assert_eq!(found, expected, "{found:#}");
}

/// An event of that class with an actor and a user.
fn with_users(class: i64, activity: i64) -> serde_json::Value {
    ecs(&format!(
        r#"{{"class_uid":{class},"activity_id":{activity},"activity_name":"x","actor":{{"user":{{"uid":"a","name":"ann"}}}},
            "user":{{"uid":"u","name":"ann"}},"entity":{{"uid":"e","name":"eve","type_id":2}},"time":0}}"#
    ))
}

#[test]
fn users_have_the_part_they_play() {
    let target = with_users(3001, 1);
    assert_eq!(target["user"]["id"], "a");
    assert_eq!(target["user"]["target"], serde_json::json!({ "id": "u", "name": "ann" }));

    // Whoever signs in is the user, and what the actor has beside that is kept.
    let own = ecs(r#"{"class_uid":3002,"activity_id":1,"actor":{"user":{"uid":"u","type":"User"}},
        "user":{"uid":"u","name":"ann"},"time":0}"#);
    assert_eq!(own["user"], serde_json::json!({ "id": "u", "name": "ann" }));
    assert_eq!(own["auditline"]["ocsf"]["actor"], serde_json::json!({ "user": { "type": "User" } }));

    let switched = with_users(3002, 7);
    let effective = serde_json::json!({ "id": "u", "name": "ann" });
    assert_eq!(switched["user"], serde_json::json!({ "id": "a", "name": "ann", "effective": effective }));
}

#[test]
fn who_ends_the_session_of_another_is_the_user_and_the_other_the_target() {
    let users = |actor: &str, user: &str| {
        let event =
            ecs(&format!(r#"{{"class_uid":3002,"activity_id":2,"actor":{{"user":{actor}}},"user":{user},"time":0}}"#));
        let who = &event["user"];
        let known_by = |who: &serde_json::Value| {
            let member = ["id", "name", "email"].iter().find_map(|key| who[*key].as_str());
            member.map(ToOwned::to_owned)
        };
        (known_by(who), known_by(&who["target"]))
    };
    let some = |text: &str| Some(text.to_owned());
    let admin_and_eve = (some("admin"), some("eve"));
    assert_eq!(users(r#"{"uid":"admin","name":"n"}"#, r#"{"uid":"eve","name":"n"}"#), admin_and_eve);
    assert_eq!(users(r#"{"name":"admin"}"#, r#"{"name":"eve"}"#), admin_and_eve);
    assert_eq!(users(r#"{"email_addr":"admin"}"#, r#"{"email_addr":"eve"}"#), admin_and_eve);
    // Whether they are one cannot be seen: who acts is the actor in any case.
    assert_eq!(users(r#"{"name":"admin"}"#, r#"{"uid":"eve"}"#), admin_and_eve);
    for actor in [r#"{"uid":"eve","name":"x"}"#, r#"{"name":"e"}"#, r#"{"type":"System","uid":""}"#, "null"] {
        assert_eq!(users(actor, r#"{"uid":"eve","name":"e"}"#), (some("eve"), None), "{actor}");
    }
    let session = with_users(3003, 1);
    assert_eq!((&session["user"]["id"], &session["user"]["target"]["id"]), (&"a".into(), &"u".into()));
}

#[test]
fn an_entity_that_is_a_user_is_one() {
    let found = ecs(r#"{"class_uid":3004,"activity_id":4,"entity":{"uid":"e","name":"eve","type_id":2},"time":0}"#);
    assert_eq!(found["user"]["target"], serde_json::json!({ "id": "e", "name": "eve" }));
    assert_eq!(found["event"]["category"], serde_json::json!(["iam"]));
    assert_eq!(found["event"]["type"], serde_json::json!(["user", "deletion"]));
    assert_eq!(found["related"]["user"], serde_json::json!(["e", "eve"]));
    let group = ecs(r#"{"class_uid":3004,"activity_id":1,"entity":{"uid":"g","type_id":3},"time":0}"#);
    assert_eq!((&group["group"]["id"], &group["event"]["type"][0]), (&"g".into(), &"group".into()));
}

#[test]
fn a_country_is_a_code_or_a_name() {
    let geo = |country: &str| {
        ecs(&format!(r#"{{"class_uid":6003,"src_endpoint":{{"location":{{"country":"{country}"}}}},"time":0}}"#))["source"]
            ["geo"]
            .clone()
    };
    assert_eq!(geo("NL"), serde_json::json!({ "country_iso_code": "NL" }));
    assert_eq!(geo("Netherlands"), serde_json::json!({ "country_name": "Netherlands" }));
}

#[test]
fn what_the_vendor_thinks_of_a_risk_and_of_an_event_is_his() {
    let found = ecs(r#"{"class_uid":6003,"actor":{"user":{"uid":"u","risk_level":"High","risk_score":7}},
        "metadata":{"log_level":"WARN"},"time":0}"#);
    assert_eq!(validate::problems(&found), [""; 0]);
    assert_eq!(found["user"]["risk"], serde_json::json!({ "static_level": "High", "static_score": 7 }));
    assert_eq!(found["log"], serde_json::json!({ "level": "WARN" }));
    assert_eq!(found["auditline"]["ocsf"].get("metadata"), None);
}

#[test]
fn what_does_not_fit_its_field_is_kept_as_it_is() {
    let found = ecs(
        r#"{"class_uid":6003,"activity_id":99,"activity_name":"purge","time":0,"status_code":"E1","status_id":2,
        "src_endpoint":{"ip":"fe80::1%eth0","location":{"lat":123.0,"long":4.9}},"metadata":{"tags":[{"name":"x","values":["y"]}]}}"#,
    );
    assert_eq!(validate::problems(&found), [""; 0]);
    assert_eq!(found["event"]["action"], "purge");
    assert_eq!(found["error"]["code"], "E1");
    assert_eq!(found["source"], serde_json::json!({ "address": "fe80::1%eth0" }));
    let ocsf = &found["auditline"]["ocsf"];
    assert_eq!(ocsf["src_endpoint"]["location"], serde_json::json!({ "lat": 123.0, "long": 4.9 }));
    assert_eq!(ocsf["metadata"]["tags"][0]["values"][0], "y");
}
