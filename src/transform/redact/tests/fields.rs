//! What a field hides is nowhere in the event, whatever else puts it there.

use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;
use crate::event::{Arena, Event, json as writer};
use crate::transform::enrich::{Agent, Enrich, Indicators, Intel, Kept, Lookup, Match, Shape, Spots, Table};
use crate::transform::normalize::{Form, Normalize};
use crate::transform::ocsf::tests::{TINY, identity, load};
use crate::transform::ocsf::validate;
use crate::transform::{Notes, Transform};

const MAP: &str = r#"[ocsf.map]
actor.user.name = ["actor.name", "actor.login"]
actor.user.email_addr = "actor.mail"
actor.user.uid = "actor.id"
actor.user.type = { from = "actor.kind", values = { robot = "Service" } }
src_endpoint.ip = "ip"
http_request.user_agent = "user_agent"
actor.user.full_name = "old.is.deep"
actor.user.groups = { each = "targets", map = { name = "label", uid = "id" } }
"entity.data.before" = "old"
"#;

fn normalize(form: Form) -> Normalize {
    let identity = identity("Example", "example", &["id"], &["at"]);
    Normalize::new(form, Arc::new(load(&TINY.replace("[ocsf.map]\n", MAP), &identity)), identity)
}

fn policy(fields: &[(&str, FieldAction)]) -> Policy {
    let mut policy = Policy { key: Some(key()), ..Policy::default() };
    fields.iter().for_each(|(path, action)| policy.fields.add(path.parse().expect("a path"), *action));
    policy
}

fn fields(fields: &[(&str, FieldAction)]) -> Redact {
    Redact::new(Redactor::new(policy(fields)).expect("a policy with a key"))
}

fn steps(steps: &[&dyn Transform], record: &str) -> Json {
    let arena = Arena::new();
    let body = writer::decode(record.as_bytes(), &arena).expect("a record");
    let event = Event { id: "r-1", time: chrono::DateTime::UNIX_EPOCH, body };
    let mut notes = Notes::default();
    let event = steps.iter().try_fold(event, |event, step| step.apply(event, &arena, &mut notes)).expect("an event");
    serde_json::from_str(&writer::to_string(&event.body)).expect("JSON")
}

fn from<T>(text: &str, read: crate::transform::enrich::Read<T>) -> Arc<Kept<T>> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("table.csv");
    std::fs::write(&path, text).expect("a file");
    Arc::new(Kept::open(&path, read).expect("a table").0)
}

/// What the operator adds, by who did it, from where and with what.
fn enrich(who: &str) -> Enrich {
    let shape = Shape {
        by: "uid".to_owned(),
        take: vec!["uid".to_owned(), "team".to_owned()],
        matching: Match::Exact,
        case_sensitive: false,
    };
    let table = from("uid,team\nu-secret,blue\n", Box::new(move |path: &Path| Table::read(path, &shape)));
    let spots = Spots::own(vec![who.parse().expect("a path")]);
    Enrich::default()
        .and(Agent::new(None))
        .and(Lookup::new(table, spots, vec!["account".to_owned(), "team".to_owned()]))
        .and(Intel::new(from("203.0.113.77\n2001:db8::77\n", Box::new(Indicators::read)), "feed".to_owned(), None))
}

const ALL: [FieldAction; 4] = [FieldAction::Mask, FieldAction::Remove, FieldAction::Pseudonym, FieldAction::Encrypt];

// What enriching says about a value told it again, and so did what it took out of a user agent's text.
#[test]
fn what_a_field_hides_is_not_told_by_what_was_found_out_about_it() {
    let record = |ip: &str| {
        json!({
            "id": "r-1", "actor": { "id": "u-secret" }, "ip": ip,
            "user_agent": "SecretAgent/1.2-ada (serial ABC123)",
        })
        .to_string()
    };
    for action in ALL {
        let hides = fields(&[
            ("actor.user.uid", action),
            ("src_endpoint.ip", action),
            ("http_request.user_agent", action),
            ("user.id", action),
            ("source.ip", action),
            ("user_agent.original", action),
        ]);
        for (form, who) in [(Form::Ocsf, "actor.user.uid"), (Form::Ecs, "user.id")] {
            for ip in ["203.0.113.77", "::ffff:203.0.113.77", "2001:0DB8:0::77"] {
                let (normalize, enrich) = (normalize(form), enrich(who));
                let before = steps(&[&normalize, &enrich], &record(ip)).to_string();
                assert!(before.contains("blue") && before.matches(ip).count() > 2, "{before}");
                let after = steps(&[&normalize, &enrich, &hides], &record(ip));
                let text = after.to_string().to_lowercase();
                for secret in ["u-secret", "203.0.113.77", "db8::77", "secretagent", "1.2-ada", "abc123"] {
                    assert!(!text.contains(secret), "{secret}: {after:#}");
                }
                // What the operator knows of it is not hidden by that.
                assert!(text.contains("blue"), "{after:#}");
                if form == Form::Ocsf && action != FieldAction::Remove {
                    assert_eq!(validate::problems(&after), [""; 0], "{after:#}");
                }
            }
        }
    }
}

#[test]
fn what_a_browser_is_stays_where_its_text_is_hidden() {
    let agent = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36";
    let record = json!({ "id": "r-1", "user_agent": agent }).to_string();
    let mut both = policy(&[("http_request.user_agent", FieldAction::Remove)]);
    both.ips = Some(IpAction::Pseudonym);
    let redact = Redact::new(Redactor::new(both).expect("a policy"));
    let event = steps(&[&normalize(Form::Ocsf), &Enrich::default().and(Agent::new(None)), &redact], &record);
    assert!(!event.to_string().contains("KHTML"), "{event:#}");
    assert_eq!(event["enrichments"][0]["value"], "masked");
    let expected =
        json!({ "name": "Chrome", "version": "120.0.0.0", "os": { "name": "Windows 10", "version": "NT 10.0" } });
    assert_eq!(event["enrichments"][0]["data"], expected);
    // One that says what it likes where a browser has its version tells it here.
    assert_eq!(crate::transform::enrich::quotes("Mozilla/5.0 KDDI-ada-1 UP.Browser").collect::<Vec<_>>(), ["ada"]);
}

// A vendor that changed the form of a value, or doubled a key, had it delivered in clear below `unmapped`.
#[test]
fn what_a_field_would_have_held_is_hidden_where_it_is_left() {
    let records = [
        r#"{"actor":{"name":["Ada Secret"],"kind":"robot"}}"#,
        r#"{"actor":{"name":[["Ada Secret"]]}}"#,
        r#"{"actor":{"name":{"raw":"Ada Secret"}}}"#,
        r#"{"actor":{"name":{"raw":{"is":["Ada Secret"]}}}}"#,
        r#"{"actor":{"name":"Ada Secret","name":"Ada2 Secret"}}"#,
        r#"{"actor":{"name":"Ada Secret"},"actor":{"name":"Ada2 Secret"}}"#,
        r#"{"actor":{"name":"Ada2 Secret","login":"Ada Secret"}}"#,
        r#"{"actor":[{"name":"Ada Secret"}]}"#,
        r#"{"actor":"Ada Secret"}"#,
        r#"{"actor":["Ada Secret"]}"#,
        r#"{"actor":"{\"name\":\"Ada Secret\"}"}"#,
        r#"{"user_agent":{"raw":"Ada Secret"}}"#,
        r#"{"user_agent":["x",{"raw":"Ada Secret"}]}"#,
        r#"{"targets":[{"label":["Ada Secret"],"id":"t"},{"id":"Ada Shown"}]}"#,
        r#"{"targets":{"label":"Ada Secret"}}"#,
        r#"{"targets":"Ada Secret"}"#,
        r#"{"old":{"is":{"deep":{"in":["Ada Secret"]}}}}"#,
        r#"{"old":{"password":"x"},"old":{"password":"Ada Secret"}}"#,
    ];
    for action in ALL {
        let hides = fields(&[
            ("actor.user.name", action),
            ("actor.user.full_name", action),
            ("user.full_name", action),
            ("http_request.user_agent", action),
            ("actor.user.groups.*.name", action),
            ("user.group.name", action),
            ("entity.data.before.password", action),
            ("user.name", action),
            ("user_agent.original", action),
            ("auditline.ocsf.entity.data.before", action),
        ]);
        for record in records {
            for form in [Form::Ocsf, Form::Ecs] {
                let normalize = normalize(form);
                assert!(steps(&[&normalize], record).to_string().contains("Ada Secret"), "{record}");
                let event = steps(&[&normalize, &hides], record);
                assert!(!event.to_string().contains("Secret"), "{record}: {event:#}");
                if form == Form::Ocsf && action != FieldAction::Remove {
                    assert_eq!(validate::problems(&event), [""; 0], "{event:#}");
                }
            }
        }
    }
}

#[test]
fn what_is_left_of_other_fields_stays() {
    let hides = fields(&[("actor.user.name", FieldAction::Mask), ("unmapped.actor.login", FieldAction::Keep)]);
    let record = r#"{"actor":{"name":{"a":"x"},"login":["ada"],"mail":["m"],"more":"y"},"old":"o","z":1}"#;
    let event = steps(&[&normalize(Form::Ocsf), &hides], record);
    let expected =
        json!({ "actor": { "name": { "a": "masked" }, "login": ["ada"], "mail": ["m"], "more": "y" }, "z": 1 });
    let mut unmapped = event["unmapped"].clone();
    unmapped.as_object_mut().expect("an object").remove("old");
    assert_eq!(unmapped, expected);
    let hides = fields(&[("actor.user.type", FieldAction::Pseudonym)]);
    let event = steps(&[&normalize(Form::Ocsf), &hides], r#"{"actor":{"id":"a","kind":"robot"}}"#);
    assert_eq!(event["unmapped"]["actor"]["kind"], key().pseudonym("text", b"robot"));
}

// One text of the record stood in two fields, of which one was hidden.
#[test]
fn a_field_beside_a_hidden_one_does_not_tell_the_same() {
    let map = TINY.replace("[ocsf.map]\n", "[ocsf.map]\nactor.user.name = \"by\"\nactor.user.email_addr = \"by\"\n");
    let identity = identity("Example", "example", &["id"], &["at"]);
    let normalize = Normalize::new(Form::Ocsf, Arc::new(load(&map, &identity)), identity);
    let record = r#"{"by":"ada@example.com","to":"Ada@example.com","zone":"z-1"}"#;
    let event = steps(&[&normalize, &fields(&[("actor.user.email_addr", FieldAction::Remove)])], record);
    assert!(!event.to_string().to_lowercase().contains("ada@"), "{event:#}");
    assert_eq!(event["actor"]["user"]["name"], "masked@masked.invalid");
    assert_eq!(event["unmapped"]["to"], "masked@masked.invalid");
}

#[test]
fn what_is_ours_and_what_is_kept_is_no_copy() {
    let hides = fields(&[("actor.user.name", FieldAction::Mask), ("actor.user.uid", FieldAction::Keep)]);
    let text = normalize(Form::Ocsf);
    for (name, at) in [("example", "log_name"), ("1.8.0", "version")] {
        let event = steps(&[&text, &hides], &json!({ "actor": { "name": name, "id": name } }).to_string());
        assert_eq!(event["metadata"][at], name);
        let user = &event["actor"]["user"];
        assert_eq!((&user["name"], &user["uid"]), (&json!("masked"), &json!(name)));
    }
    // The numbers of a class, of a port and the like.
    let event = steps(&[&text, &hides], r#"{"actor":{"name":"3004"},"other":3004}"#);
    assert_eq!((&event["class_uid"], &event["unmapped"]["other"]), (&json!(3004), &json!(0)));
    let event = steps(&[&text, &hides], r#"{"actor":{"name":"Entity Management"}}"#);
    assert_eq!(event["class_name"], "Entity Management");
    let ecs = fields(&[("user.name", FieldAction::Mask)]);
    let event = steps(&[&normalize(Form::Ecs), &ecs], r#"{"actor":{"name":"1970-01-01T00:00:00.000Z"}}"#);
    assert_eq!((&event["@timestamp"], &event["user"]["name"]), (&json!("1970-01-01T00:00:00.000Z"), &json!("masked")));
}

// The version of a browser, alone in its field, was taken for an address, replaced and counted as one.
#[test]
fn a_version_out_of_a_user_agent_is_no_address() {
    let redact = Redact::new(redactor(None, Some(IpAction::Pseudonym)));
    let agents = [
        (
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36",
            Some("120.0.0.0"),
        ),
        (
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.1.2.3 Safari/537.36",
            Some("120.1.2.3"),
        ),
        ("Mine/7.0.0.0 (x)", Some("7.0.0.0")),
        ("Slack/4.35.126.0", Some("4.35.126.0")),
        ("Slack/203.0.113.4", None),
        ("hosts/203.0.113.4", None),
        ("hosts/203.0.113.4 (v203.0.113.4)", None),
        ("hosts/203.0.113.4:80 Chrome/203.0.113.4.5", None),
        ("203.0.113.4", None),
    ];
    for (agent, version) in agents {
        let record = json!({ "id": "r-1", "user_agent": agent, "ip": "120.0.0.0" }).to_string();
        for form in [Form::Ocsf, Form::Ecs] {
            let event = steps(&[&normalize(form), &Enrich::default().and(Agent::new(None)), &redact], &record);
            let data = match form {
                Form::Ocsf => &event["enrichments"][0]["data"],
                _ => &event["user_agent"],
            };
            match version {
                Some(version) => assert_eq!(data["version"], version, "{event:#}"),
                None => assert!(!data.to_string().replace("v203.0.113.4", "").contains("203.0.113.4\""), "{event:#}"),
            }
            // Elsewhere the same text is an address.
            let address = if form == Form::Ocsf { &event["src_endpoint"]["ip"] } else { &event["source"]["ip"] };
            assert!(address.as_str().expect("a text").starts_with("3fff:add:1:"), "{event:#}");
        }
    }
    let mut notes = Notes::default();
    let arena = Arena::new();
    let body = br#"{"enrichments":[{"type":"user_agent","value":"Chrome/120.0.0.0","data":{"version":"120.0.0.0"}}]}"#;
    let body = writer::decode(body, &arena).expect("JSON");
    redact.apply(Event { id: "1", time: chrono::DateTime::UNIX_EPOCH, body }, &arena, &mut notes).expect("an event");
    assert_eq!(notes.hits.total(), 0);
}

#[test]
fn the_other_detectors_look_at_a_version() {
    let mut policy = policy(&[]);
    policy.ips = Some(IpAction::Mask);
    policy.patterns = vec![Pattern::new("major", r"^120\.", TextAction::Mask).expect("an expression")];
    let redact = Redact::new(Redactor::new(policy).expect("a policy"));
    let record = r#"{"id":"r-1","user_agent":"Chrome/120.0.0.0"}"#;
    let event = steps(&[&normalize(Form::Ocsf), &Enrich::default().and(Agent::new(None)), &redact], record);
    assert_eq!(event["enrichments"][0]["data"]["version"], "masked-major");
}

/// What no other text has in it.
const SECRET: &str = "zq-secret-9";

/// JSON in which some texts are the secret, in letters large and small.
fn telling() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(json!(SECRET)),
        Just(json!(SECRET.to_uppercase())),
        Just(json!("another")),
        any::<u32>().prop_map(Json::from),
        Just(Json::Null),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let key = prop::sample::select(vec!["a", "b", "data", "value", "type", "name", "version"]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            prop::collection::btree_map(key, inner, 0..4)
                .prop_map(|members| members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<Json>()),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_hidden_text_is_nowhere_in_the_event(
        all in prop::collection::btree_map(
            prop::sample::select(vec!["unmapped", "enrichments", "actor", "user_agent", "event", "device", "record", "threat", "labels"]),
            telling(), 1..6,
        ),
        form in prop::sample::select(vec![json!({}), json!({ "class_uid": 1, "metadata": {} }), json!({ "ecs": { "version": "9" } })]),
        action in prop::sample::select(ALL.to_vec()),
    ) {
        let mut event = form;
        for (key, value) in all {
            event[key] = value;
        }
        event["who"] = json!(SECRET);
        let hides = fields(&[("who", action)]);
        let after = steps(&[&hides], &event.to_string());
        // Normalizing alone says which kind of event it is.
        let mut shown = after.clone();
        if let Some(of_ours) = shown.get_mut("event").and_then(Json::as_object_mut) {
            for name in ["kind", "category", "type", "outcome", "module", "dataset", "provider"] {
                of_ours.remove(name);
            }
        }
        prop_assert!(!shown.to_string().to_lowercase().contains(SECRET), "{event} became {after}");
        prop_assert_eq!(steps(&[&hides], &after.to_string()), after);
    }

    #[test]
    fn what_a_field_hides_is_hidden_in_whatever_form_it_comes(
        value in telling(), doubled in any::<bool>(), form in prop::sample::select(vec![Form::Ocsf, Form::Ecs]),
        path in prop::sample::select(vec!["name", "login"]), action in prop::sample::select(ALL.to_vec()),
    ) {
        let twice = if doubled { format!("\"{path}\":\"else\",") } else { String::new() };
        let record = format!("{{\"id\":\"r-1\",\"actor\":{{{twice}\"{path}\":{value}}}}}");
        let hides = fields(&[("actor.user.name", action), ("user.name", action)]);
        let after = steps(&[&normalize(form), &hides], &record);
        prop_assert!(!after.to_string().to_lowercase().contains(SECRET), "{record} became {after}");
    }

    #[test]
    fn no_address_is_shown_as_a_version_that_the_agents_text_hides(
        name in "[A-Za-z]{1,8}", before in prop::sample::select(vec!["", "Mozilla/5.0 ", "x ", "(", "/", "a/b/", "-"]),
        after in prop::sample::select(vec!["", " (x)", "/1", ":443", ".5", "; y", " Safari/1.0"]),
        address in (1u8..=223, any::<u8>(), any::<u8>(), any::<u8>()).prop_map(|(a, b, c, d)| format!("{a}.{b}.{c}.{d}")),
        form in prop::sample::select(vec![Form::Ocsf, Form::Ecs]),
    ) {
        let agent = format!("{before}{name}/{address}{after}");
        let redact = Redact::new(redactor(None, Some(IpAction::Pseudonym)));
        let record = json!({ "id": "r-1", "user_agent": agent }).to_string();
        let event = steps(&[&normalize(form), &Enrich::default().and(Agent::new(None)), &redact], &record);
        let text = if form == Form::Ocsf { &event["http_request"]["user_agent"] } else { &event["user_agent"]["original"] };
        if !text.as_str().expect("a text").contains(&address) {
            prop_assert!(!event.to_string().contains(&address), "{} became {}", agent, event);
        }
    }
}
