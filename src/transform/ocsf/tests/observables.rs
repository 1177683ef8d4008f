//! What a SIEM can search for without knowing where an attribute stands.

use serde_json::{Value, json};

use super::event;

fn text<'e>(one: &'e Value, key: &str) -> Option<&'e str> {
    one.get(key).map(|text| text.as_str().unwrap())
}

/// Name, kind and value of each.
fn observables(event: &Value) -> Vec<(&str, &str, Option<&str>)> {
    let all = event["observables"].as_array().map(Vec::as_slice).unwrap_or_default();
    let of = |one| (text(one, "name").unwrap(), text(one, "type").unwrap(), text(one, "value"));
    all.iter().map(of).collect()
}

#[test]
fn what_ocsf_counts_as_one_is_one() {
    let map = r#"
        actor.user.uid = "who.id"
        actor.user.name = "who.name"
        actor.user.email_addr = "who.mail"
        src_endpoint.ip = "ip"
        src_endpoint.hostname = "host"
        src_endpoint.port = "port"
        http_request.user_agent = "agent"
        http_request.url.url_string = "url"
        http_request.http_method = "verb"
        comment = "note""#;
    let record = json!({
        "who": { "id": 7, "name": "anna", "mail": "anna@example.com" }, "ip": "192.0.2.1", "host": "a.example",
        "port": 443, "agent": "curl/8", "url": "https://a.example/", "verb": "GET", "note": "x",
    });
    let event = event(map, record);
    assert_eq!(
        observables(&event),
        [
            ("actor.user.uid", "User Object: uid", Some("7")),
            ("actor.user.name", "User Name", Some("anna")),
            ("actor.user.email_addr", "Email Address", Some("anna@example.com")),
            // An object has no value of its own.
            ("actor.user", "User", None),
            ("src_endpoint.ip", "IP Address", Some("192.0.2.1")),
            ("src_endpoint.hostname", "Hostname", Some("a.example")),
            ("src_endpoint.port", "Port", Some("443")),
            ("src_endpoint", "Endpoint", None),
            ("http_request.user_agent", "HTTP User-Agent", Some("curl/8")),
            ("http_request.url.url_string", "URL String", Some("https://a.example/")),
            ("http_request.url", "Uniform Resource Locator", None),
        ]
    );
    assert_eq!(
        event["observables"][2],
        json!({ "name": "actor.user.email_addr", "type_id": 5, "type": "Email Address", "value": "anna@example.com" })
    );
}

#[test]
fn an_event_without_any_has_no_list_of_them() {
    assert_eq!(event("comment = \"c\"", json!({ "c": "192.0.2.1" })).get("observables"), None);
}

#[test]
fn what_is_not_in_the_event_is_none() {
    // Without a type there is no device, whatever its address.
    let map = "profiles = [\"host\"]\nactivity = 1\n[ocsf.map]\ndevice.ip = \"ip\"\ndevice.type = { from = \"t\", values = {} }\nhttp_response.message = \"m\"\nhttp_response.code = \"c\"\nhttp_request.x_forwarded_for = \"ips\"";
    let event = event(map, json!({ "ip": "nowhere", "t": "Server", "ips": ["x"] }));
    assert_eq!(observables(&event), []);
}

#[test]
fn an_item_of_a_list_is_one_and_the_same_only_once() {
    let map = "http_request.x_forwarded_for = \"ips\"\nactor.user.groups = [{ uid = \"g\" }, { uid = \"h\" }, { uid = \"i\" }]\nactor.user.uid = \"u\"";
    let event = event(map, json!({ "ips": ["192.0.2.1", "192.0.2.2", "192.0.2.1"], "u": 1, "g": 2, "h": 3, "i": 2 }));
    let found = observables(&event);
    let of = |name: &str| found.iter().filter(|one| one.0 == name).map(|one| one.2.unwrap()).collect::<Vec<_>>();
    assert_eq!(of("http_request.x_forwarded_for[]"), ["192.0.2.1", "192.0.2.2"]);
    assert_eq!(of("actor.user.groups[].uid"), ["2", "3"]);
    assert_eq!(event["actor"]["user"]["groups"].as_array().unwrap().len(), 3);
}
