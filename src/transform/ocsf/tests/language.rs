//! What each form of the language does to a record.

use serde_json::{Value, json};

use super::event;

#[test]
fn every_event_has_what_is_ours_to_say() {
    assert_eq!(
        event("", json!({ "id": "r-1", "at": "", "x": { "y": [1, null] } })),
        json!({
            "activity_id": 2, "activity_name": "Read", "category_name": "Identity & Access Management", "category_uid": 3,
            "class_name": "Entity Management", "class_uid": 3004, "entity": { "uid": "e" },
            "metadata": {
                "log_name": "example", "product": { "name": "Example", "vendor_name": "Example" }, "uid": "r-1",
                "version": "1.8.0",
            },
            "severity": "Low", "severity_id": 2, "time": 1_789_374_151_000_i64,
            "type_name": "Entity Management: Read", "type_uid": 300_402,
            "unmapped": { "x": { "y": [1, null] } },
        })
    );
}

#[test]
fn id_and_time_are_taken_where_they_are_in_the_event() {
    let found = event("", json!({ "id": "r-1", "at": "2026-09-14T08:22:31Z" }));
    assert_eq!(found["metadata"]["original_time"], "2026-09-14T08:22:31Z");
    assert_eq!(found.get("unmapped"), None);
    // Another id than the event's, such as one that was cut, is not in the event.
    assert_eq!(event("", json!({ "id": "r-12" }))["unmapped"], json!({ "id": "r-12" }));
    // What it says is the vendor's, whether or not it can be read.
    for (at, written) in [(json!(1_789_374_151), "1789374151"), (json!("14 Sep"), "14 Sep")] {
        assert_eq!(event("", json!({ "at": at }))["metadata"]["original_time"], written);
    }
}

#[test]
fn the_first_path_that_fits_counts() {
    let map = "entity.uid = { from = [\"a\", \"b.0\"], otherwise = \"none\" }\nsrc_endpoint.ip = [\"a\", \"c\"]";
    let found = event(map, json!({ "a": "", "b": ["x"], "c": "192.0.2.1" }));
    assert_eq!((&found["entity"]["uid"], &found["src_endpoint"]["ip"]), (&json!("x"), &json!("192.0.2.1")));
    let found = event(map, json!({ "a": 7, "b": ["x", "y"], "c": "no address" }));
    assert_eq!(found["entity"]["uid"], "7");
    assert_eq!(found.get("src_endpoint"), None);
    assert_eq!(found["unmapped"], json!({ "b": ["x", "y"], "c": "no address" }));
    assert_eq!(event(map, json!({ "a": { "x": 1 } }))["entity"]["uid"], "none");
}

#[test]
fn an_unknown_word_is_other_and_a_missing_one_unknown() {
    let map = r#"
        status = { from = "result", values = { ok = "Success", "err*" = 2 } }
        activity = { from = "verb", otherwise = "Read", values = { skip = "Other" } }
        [ocsf.map]
        actor.user.uid = "who"
        actor.user.type = "kind""#;
    let found = event(map, json!({ "result": "ok", "verb": "delete", "who": 1, "kind": "Robot" }));
    assert_eq!((&found["status_id"], &found["status"]), (&json!(1), &json!("Success")));
    assert_eq!((&found["activity_id"], &found["activity_name"]), (&json!(4), &json!("Delete")));
    assert_eq!(found["actor"]["user"], json!({ "uid": "1", "type_id": 99, "type": "Robot" }));
    // Only `ok` is not in the event as it was.
    assert_eq!(found["unmapped"], json!({ "result": "ok" }));
    let found = event(map, json!({ "result": "error 7", "verb": "skip", "who": 1 }));
    assert_eq!((&found["status"], &found["activity_name"]), (&json!("Failure"), &json!("skip")));
    assert_eq!((&found["type_uid"], &found["actor"]["user"]["type"]), (&json!(300_499), &json!("Unknown")));
    let found = event(map, json!({ "result": null, "verb": { "a": 1 } }));
    assert_eq!((&found["status_id"], &found["activity_id"]), (&json!(0), &json!(2)));
    assert_eq!((found.get("actor"), &found["unmapped"]), (None, &json!({ "verb": { "a": 1 } })));
}

#[test]
fn an_enum_of_texts_takes_only_its_own_words() {
    let map = "http_request.http_method = \"verb\"\nhttp_request.uid = \"n\"";
    assert_eq!(
        event(map, json!({ "verb": "post", "n": 1 }))["http_request"],
        json!({ "http_method": "POST", "uid": "1" })
    );
    let found = event(map, json!({ "verb": "PROPFIND", "n": 1 }));
    assert_eq!((&found["http_request"], &found["unmapped"]), (&json!({ "uid": "1" }), &json!({ "verb": "PROPFIND" })));
}

#[test]
fn a_time_is_in_milliseconds_and_kept_as_it_was_written() {
    let found =
        event("start_time = \"from\"\nend_time = \"to\"", json!({ "from": "2026-09-14T08:22:31Z", "to": "later" }));
    assert_eq!(found["start_time"], 1_789_374_151_000_i64);
    assert_eq!(found["unmapped"], json!({ "from": "2026-09-14T08:22:31Z", "to": "later" }));
}

#[test]
fn lists_wrap_a_value_and_hold_the_items_that_fit() {
    let map = "access_list = \"list\"\nhttp_request.x_forwarded_for = \"ips\"";
    let found = event(map, json!({ "list": "one", "ips": ["192.0.2.1", "2001:db8::1"] }));
    assert_eq!(found["access_list"], json!(["one"]));
    assert_eq!(found["http_request"]["x_forwarded_for"], json!(["192.0.2.1", "2001:db8::1"]));
    assert_eq!(found.get("unmapped"), None);
    let found = event(map, json!({ "list": ["a", 2], "ips": ["192.0.2.1", "x"] }));
    assert_eq!(found["access_list"], json!(["a", "2"]));
    assert_eq!(found["http_request"]["x_forwarded_for"], json!(["192.0.2.1"]));
    assert_eq!(found["unmapped"], json!({ "ips": ["192.0.2.1", "x"] }));
}

#[test]
fn constants_do_not_make_an_object_appear() {
    let map = r#"
        actor.user.uid = "who"
        actor.user.type = { value = "Admin" }
        actor.app_name = { value = "console" }
        http_request.http_headers = [{ name = { value = "x-id" }, value = "h" }]
        src_endpoint.type = "d"
        src_endpoint.hostname = { value = "h" }
        metadata.reporter.name = { value = "svc" }"#;
    let found = event(map, json!({}));
    assert_eq!(found["metadata"]["reporter"], json!({ "name": "svc" }));
    for name in ["actor", "http_request", "src_endpoint"] {
        assert_eq!(found.get(name), None, "{name}");
    }
    let found = event(map, json!({ "who": "w", "h": "v", "d": "server" }));
    assert_eq!(found["actor"]["user"], json!({ "uid": "w", "type_id": 2, "type": "Admin" }));
    assert_eq!(found["http_request"]["http_headers"], json!([{ "name": "x-id", "value": "v" }]));
    assert_eq!(found["src_endpoint"], json!({ "hostname": "h", "type_id": 1, "type": "Server" }));
}

#[test]
fn what_an_incomplete_object_would_have_held_is_not_lost() {
    let found =
        event("http_response.message = \"m\"\nhttp_response.code = \"c\"", json!({ "m": "teapot", "c": "many" }));
    assert_eq!(found.get("http_response"), None);
    assert_eq!(found["unmapped"], json!({ "m": "teapot", "c": "many" }));
}

#[test]
fn any_json_goes_where_any_json_may() {
    let map = "entity.data = \"d\"\n\"entity_result.data.x.y\" = \"e\"\n\"entity_result.data.n\" = { value = 5 }\nentity_result.uid = \"d.id\"";
    let found = event(map, json!({ "d": { "id": 1, "l": [null] }, "e": false }));
    assert_eq!(found["entity"]["data"], json!({ "id": 1, "l": [null] }));
    assert_eq!(found["entity_result"], json!({ "uid": "1", "data": { "n": 5, "x": { "y": false } } }));
    assert_eq!(found.get("unmapped"), None);
    assert_eq!(event(map, json!({ "d": "text" }))["entity"]["data"], "text");
}

const RULES: &str = r#"
    activity = { from = "verb", values = { look = "Read" } }
    [ocsf.map]
    actor.user.uid = "who"
    entity.uid = { from = "what", otherwise = "unknown" }
    [[ocsf.when]]
    match = [{ verb = ["login", "sso*"], who = { exists = true } }, { n = 5, who = { not = "root" } }]
    class = "authentication"
    activity = "Logon"
    [ocsf.when.map]
    user.uid = "who"
    user.email_addr = "what"
    service.name = { value = "Example" }
    [[ocsf.when]]
    class = "api_activity"
    [ocsf.when.map]
    src_endpoint.ip = "ip"
    api.operation = "verb"
"#;

#[test]
fn the_first_rule_that_fits_counts() {
    let class = |record: Value| event(RULES, record)["class_name"].as_str().unwrap().to_owned();
    assert_eq!(class(json!({ "verb": "SSO", "who": "a" })), "Authentication");
    assert_eq!(class(json!({ "verb": "login", "ip": "192.0.2.1" })), "Entity Management");
    assert_eq!(class(json!({ "n": 5, "who": "a" })), "Authentication");
    assert_eq!(class(json!({ "n": 5, "who": "ROOT" })), "Entity Management");
    assert_eq!(class(json!({ "verb": "look", "who": "a", "ip": "192.0.2.1" })), "API Activity");
    // API Activity needs an address that is one, and an operation.
    assert_eq!(class(json!({ "verb": "look", "who": "a", "ip": "somewhere" })), "Entity Management");
    assert_eq!(class(json!({ "who": "a", "ip": "192.0.2.1" })), "Entity Management");
}

#[test]
fn a_rule_inherits_what_its_class_has() {
    let found = event(RULES, json!({ "verb": "login", "who": "a", "what": "a@example.com" }));
    assert_eq!((&found["type_name"], &found["severity"]), (&json!("Authentication: Logon"), &json!("Low")));
    assert_eq!(found["actor"], json!({ "user": { "uid": "a" } }));
    assert_eq!(found["user"], json!({ "uid": "a", "email_addr": "a@example.com" }));
    assert_eq!((found.get("entity"), &found["unmapped"]), (None, &json!({ "verb": "login" })));
    let found = event(RULES, json!({ "verb": "look", "who": "a", "what": "w", "ip": "192.0.2.1" }));
    assert_eq!((&found["activity_name"], &found["unmapped"]), (&json!("Read"), &json!({ "what": "w" })));
}

#[test]
fn a_profile_opens_its_attributes() {
    let map = "profiles = [\"cloud\", \"datetime\"]\nactivity = 1\n[ocsf.map]\ncloud.provider = { value = \"Example\" }\napi.operation = \"op\"";
    let found = event(map, json!({ "op": "run" }));
    assert_eq!(found["metadata"]["profiles"], json!(["cloud", "datetime"]));
    assert_eq!((&found["cloud"], &found["api"]), (&json!({ "provider": "Example" }), &json!({ "operation": "run" })));
}

#[test]
fn a_record_that_is_no_object_is_kept() {
    for record in [json!([1, "two"]), json!("text"), json!(7)] {
        assert_eq!(event("comment = \"c\"", record.clone())["unmapped"], json!({ "record": record }));
    }
    assert_eq!(event("", json!(null)).get("unmapped"), None);
}
