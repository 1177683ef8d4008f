//! Values that their attributes do not take: the event passes, and says where.

use serde_json::{Value, json};

use super::event;

/// Which attributes the event says did not take what the record has for them.
fn misfits(event: &Value) -> Vec<&str> {
    let tags = event["metadata"]["tags"].as_array().map(Vec::as_slice).unwrap_or_default();
    let of_ours = tags.iter().filter(|tag| tag["name"] == "auditline.misfit");
    of_ours.flat_map(|tag| tag["values"].as_array().unwrap()).map(|path| path.as_str().unwrap()).collect()
}

const MAP: &str = r#"
    src_endpoint.ip = "ip"
    src_endpoint.hostname = "host"
    start_time = "from"
    http_request.uid = "req"
    http_request.http_method = "verb"
    http_request.x_forwarded_for = "ips"
    http_response.code = "code"
    actor.user.uid = "who"
    actor.user.type = "kind"
    actor.user.has_mfa = "mfa"
"#;

#[test]
fn a_value_that_does_not_fit_is_marked_by_its_attribute() {
    let cases = [
        (json!({ "ip": "nowhere", "host": "h" }), "src_endpoint.ip"),
        (json!({ "ip": 7 }), "src_endpoint.ip"),
        (json!({ "host": { "name": "h" } }), "src_endpoint.hostname"),
        (json!({ "host": ["h"] }), "src_endpoint.hostname"),
        (json!({ "from": "the day after" }), "start_time"),
        (json!({ "from": { "day": 1 } }), "start_time"),
        (json!({ "req": [[[["r"]]]] }), "http_request.uid"),
        (json!({ "verb": "PROPFIND" }), "http_request.http_method"),
        (json!({ "code": "many" }), "http_response.code"),
        (json!({ "code": 12_345_678_901_234_567_890_u64 }), "http_response.code"),
        (json!({ "who": "w", "kind": { "a": 1 } }), "actor.user.type_id"),
        (json!({ "who": "w", "mfa": "maybe" }), "actor.user.has_mfa"),
    ];
    for (record, path) in cases {
        let event = event(MAP, record.clone());
        assert_eq!(misfits(&event), [path], "{record}");
        let rest = event["unmapped"].as_object().unwrap();
        assert!(rest.iter().all(|(key, value)| record[key] == *value), "{record}: {rest:?}");
    }
}

#[test]
fn what_is_empty_or_another_word_is_no_misfit() {
    let cases = [
        json!({ "ip": null, "host": "", "from": [], "req": {}, "code": null, "mfa": "" }),
        json!({ "who": "w", "kind": "Robot" }),
        json!({ "ips": [null, "192.0.2.1", ""] }),
        json!({}),
        json!([1]),
    ];
    for record in cases {
        assert_eq!(event(MAP, record.clone())["metadata"].get("tags"), None, "{record}");
    }
}

#[test]
fn several_are_one_tag_after_those_of_the_map() {
    let map = format!("{MAP}metadata.tags = [{{ name = {{ value = \"plan\" }}, value = \"plan\" }}]");
    let event = event(&map, json!({ "ip": "x", "from": "y", "code": "z", "plan": "free", "ips": ["192.0.2.1", "x"] }));
    assert_eq!(
        event["metadata"]["tags"],
        json!([
            { "name": "plan", "value": "free" },
            {
                "name": "auditline.misfit",
                "values": ["src_endpoint.ip", "start_time", "http_request.x_forwarded_for[]", "http_response.code"],
            },
        ])
    );
}

#[test]
fn what_is_in_the_event_elsewhere_is_none() {
    let map = r#"
        actor.user.name = "who"
        actor.user.email_addr = "who"
        src_endpoint.ip = ["ip", "address"]
        comment = "note"
        status_detail = "note.text"
        entity.data = "box"
        start_time = "box.when""#;
    let none = [
        json!({ "who": "anna" }),
        json!({ "ip": "internal", "address": "192.0.2.1" }),
        json!({ "note": { "text": "t" } }),
        json!({ "box": { "when": "soon" } }),
    ];
    for record in none {
        assert_eq!(misfits(&event(map, record.clone())), [""; 0], "{record}");
    }
    assert_eq!(misfits(&event(map, json!({ "ip": "internal", "address": "too" }))), ["src_endpoint.ip"]);
}

#[test]
fn a_default_does_not_hide_a_misfit_and_a_list_of_words_is_about_those_words() {
    let map = r#"
        entity.uid = { from = "what", otherwise = "unknown" }
        actor.user.uid = "who"
        actor.user.has_mfa = { from = "how", values = { otp = true } }"#;
    let found = event(map, json!({ "what": { "x": 1 }, "who": 1, "how": "password" }));
    assert_eq!((misfits(&found), &found["entity"]["uid"]), (vec!["entity.uid"], &json!("unknown")));
    assert_eq!(misfits(&event(map, json!({ "who": 1, "how": ["otp"] }))), ["actor.user.has_mfa"]);
}

#[test]
fn a_rule_that_does_not_apply_because_of_one_is_known_by_it() {
    let map = r#"
        activity = "Read"
        [ocsf.map]
        comment = "ip.text"
        [[ocsf.when]]
        class = "api_activity"
        [ocsf.when.map]
        actor.user.uid = "who"
        src_endpoint.ip = "ip"
        api.operation = "verb""#;
    let record = json!({ "who": 1, "ip": "10.0.0.300", "verb": "read" });
    let found = event(map, record);
    assert_eq!((misfits(&found), &found["class_uid"]), (vec!["src_endpoint.ip"], &json!(3004)));
    // Here the record is of another kind, and nothing is amiss.
    assert_eq!(misfits(&event(map, json!({ "who": 1, "ip": { "text": "none" }, "verb": "read" }))), [""; 0]);
    assert_eq!(misfits(&event(map, json!({ "who": 1, "verb": "read" }))), [""; 0]);
}
