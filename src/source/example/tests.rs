//! The examples of every connector that comes with the binary, and what their maps make of records that are like them.

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;
use crate::connector::names;
use crate::event::Event;
use crate::transform::ecs;
use crate::transform::ocsf::validate;

fn connectors() -> Vec<Arc<Connector>> {
    names().filter_map(Connector::embedded).collect()
}

#[test]
fn every_example_becomes_what_it_says_and_that_is_valid_ocsf() {
    for connector in connectors() {
        let examples = &connector.definition.example;
        assert!(examples.len() >= 2, "{} has {} examples", connector.name, examples.len());
        for example in examples {
            let expected = match (&example.events, &example.error) {
                (Some(events), _) => Outcome::Records {
                    events: events.value.iter().map(|event| serde_json::from_str(event).unwrap()).collect(),
                    dead_letters: Vec::new(),
                },
                (None, error) => Outcome::Error(error.as_ref().map(|error| error.value.clone()).unwrap_or_default()),
            };
            let found = run(&connector, example);
            assert_eq!(found, expected, "{}: {}", connector.name, example.name);
            let Outcome::Records { events, .. } = found else { continue };
            for event in events {
                assert_eq!(validate::problems(&event), [""; 0], "{}: {}", connector.name, example.name);
                let ecs = in_ecs(&event);
                assert_eq!(ecs::validate::problems(&ecs), [""; 0], "{}: {}", connector.name, example.name);
            }
        }
    }
}

/// What happened, as one rule for all vendors asks for it (`type_uid`), and their words for it (`metadata.event_code`).
const DOINGS: [(u64, &[(&str, &str)]); 9] = [
    // Somebody signs in, or tries to.
    (
        300_201,
        &[
            ("auth0", "fp"),
            ("cloudflare", "SSO_LOGIN"),
            ("github", "user.failed_login"),
            ("okta", "user.session.start"),
            ("voximplant", "Logon"),
        ],
    ),
    // They sign out.
    (300_202, &[("auth0", "slo"), ("cloudflare", "logout"), ("okta", "user.session.end")]),
    // An account is made.
    (
        300_101,
        &[
            ("ashby", "UserCreated"),
            ("auth0", "ss"),
            ("cloudflare", "Add Member"),
            ("github", "org.add_member"),
            ("okta", "user.lifecycle.create"),
            ("voximplant", "AddSubUser"),
        ],
    ),
    // It gets another password.
    (300_103, &[("auth0", "scp"), ("okta", "user.account.update_password"), ("voximplant", "SetSubUserInfo")]),
    // It loses a factor.
    (
        300_111,
        &[
            ("auth0", "my_account_authentication_method_succeeded"),
            ("github", "two_factor_authentication.disabled"),
            ("okta", "user.mfa.factor.deactivate"),
        ],
    ),
    // It is locked.
    (300_109, &[("auth0", "limit_wc"), ("okta", "user.account.lock")]),
    // It ends.
    (
        300_106,
        &[
            ("auth0", "sdu"),
            ("cloudflare", "Remove Member"),
            ("github", "org.remove_member"),
            ("nirvana", "organization_member.removed"),
            ("okta", "user.lifecycle.delete.completed"),
            ("voximplant", "DelUser"),
        ],
    ),
    // Somebody gets a role.
    (
        300_501,
        &[
            ("ashby", "AppUserRoleChanged"),
            ("cloudflare", "Update Member"),
            ("github", "org.update_member"),
            ("okta", "user.account.privilege.grant"),
            ("voximplant", "SetSubUserRoles"),
        ],
    ),
    // They come into a group.
    (
        300_603,
        &[("auth0", "organization_member_added"), ("github", "team.add_member"), ("okta", "group.user_membership.add")],
    ),
];

#[test]
fn the_same_doing_is_the_same_with_every_vendor() {
    for (type_uid, words) in DOINGS {
        for (name, word) in words {
            let connector = Connector::embedded(name).unwrap();
            let found: Vec<Json> =
                events(&connector).filter(|event| event["metadata"]["event_code"] == *word).collect();
            let to_whom = found.iter().map(|event| &event["user"]);
            assert!(to_whom.clone().any(|user| user["uid"].is_string() || user["name"].is_string()), "{name}: {word}");
            for event in found {
                assert_eq!(event["type_uid"], type_uid, "{name}: {word}");
            }
        }
    }
}

#[test]
fn every_event_says_how_it_ended() {
    for connector in connectors() {
        for event in events(&connector) {
            assert!(event["status_id"].is_u64(), "{}: {event:#}", connector.name);
        }
    }
}

/// The events of a connector's examples.
fn events(connector: &Connector) -> impl Iterator<Item = Json> {
    let examples = connector.definition.example.iter();
    let events = examples.filter_map(|example| example.events.as_ref()).flat_map(|events| events.value.iter());
    events.map(|event| serde_json::from_str(event).unwrap())
}

/// The ECS event of an OCSF event.
fn in_ecs(event: &Json) -> Json {
    let arena = Arena::new();
    let event = json::decode(event.to_string().as_bytes(), &arena).unwrap();
    serde_json::from_str(&json::to_string(&ecs::from_ocsf(event, &arena))).unwrap()
}

/// The Telnyx connector with this at its end in place of its examples.
fn telnyx(examples: &str) -> Arc<Connector> {
    let text = crate::connector::source("telnyx").unwrap();
    let (definition, _) = text.split_once("[[example]]").unwrap();
    let problems = crate::document::Problems::new();
    let context = crate::document::Context::new(&problems);
    let connector = Connector::parse("telnyx", "telnyx.toml", &format!("{definition}{examples}"), &context);
    Arc::new(connector.unwrap_or_else(|| panic!("{problems}")))
}

fn outcome(example: &str) -> Outcome {
    let connector = telnyx(&format!("[[example]]\nname = \"x\"\n{example}"));
    run(&connector, &connector.definition.example[0])
}

#[test]
fn what_is_no_page_is_the_sentence_that_a_person_sees() {
    let error = |text: &str| Outcome::Error(text.to_owned());
    assert_eq!(
        outcome(
            r#"status = 401
                   answer = '{"errors":[{"code":"10009","detail":"no key of anna@example.com"}]}'"#
        ),
        error("Telnyx answered HTTP 401: 10009: no key of masked@masked.invalid")
    );
    assert_eq!(outcome("answer = '{}'"), error("Telnyx answered without the list `data`"));
    assert!(
        matches!(outcome("answer = '<html>'"), Outcome::Error(said) if said.starts_with("Telnyx answered with a web page (HTML): not JSON at byte 0"))
    );
}

#[test]
fn a_record_that_is_none_is_a_dead_letter_and_the_others_are_events() {
    let Outcome::Records { events, dead_letters } = outcome(r#"answer = '{"data":[{"id":"1"},["x"],{"id":"2"}]}'"#)
    else {
        panic!("a page");
    };
    assert_eq!(dead_letters, ["expected an object, found a list"]);
    let ids: Vec<_> = events.iter().map(|event| event["metadata"]["uid"].as_str().unwrap()).collect();
    assert_eq!(ids, ["1", "2"]);
}

#[test]
fn what_is_nested_too_deep_is_read_all_the_same() {
    let answer = format!(r#"{{"data":[{{"id":"1"}},{{"id":"2","x":{}{}}}]}}"#, "[".repeat(200), "]".repeat(200));
    let Outcome::Records { events, .. } = outcome(&format!("answer = '{answer}'")) else { panic!("a page") };
    assert_eq!(events.len(), 2);
}

/// The records of a connector's examples.
fn records(connector: &Connector) -> Vec<Json> {
    let mut records = Vec::new();
    for example in &connector.definition.example {
        let mut each = |found: Found<'_>, _: &Arena| {
            if let Found::Value(record) = found {
                records.extend(serde_json::from_str::<Json>(&json::to_string(&record)));
            }
        };
        // What is no page has no records.
        let _ = decode::page(example.answer.as_bytes(), &connector.definition.decode, &Arena::new(), &mut each);
    }
    records
}

/// All leaves of a tree but `null`, in lower case.
fn leaves(value: &Json, out: &mut Vec<String>) {
    match value {
        Json::Null => {}
        Json::Bool(flag) => out.push(flag.to_string()),
        Json::Number(number) => out.push(number.to_string()),
        Json::String(text) => out.push(text.to_lowercase()),
        Json::Array(items) => items.iter().for_each(|item| leaves(item, out)),
        Json::Object(members) => members.values().for_each(|value| leaves(value, out)),
    }
}

/// The keys in what an event says of a thing in the vendor's words, in lower case: a record may have them as values.
fn keys(value: &Json, in_data: bool) -> Vec<String> {
    match value {
        Json::Array(items) => items.iter().flat_map(|item| keys(item, in_data)).collect(),
        Json::Object(members) => members
            .iter()
            .flat_map(|(key, value)| {
                let own = in_data.then(|| key.to_lowercase());
                own.into_iter().chain(keys(value, in_data || key == "data"))
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// A record of the vendor in which any part may be missing, null, or of another kind.
fn mangled(record: Json) -> BoxedStrategy<Json> {
    let odd = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        (0_u32..700).prop_map(Json::from),
        "[a-zA-Z ._-]{0,12}".prop_map(Json::from),
        "[0-9.:]{1,12}".prop_map(Json::from),
        Just(serde_json::json!({})),
        Just(serde_json::json!([])),
        Just(serde_json::json!({ "id": "odd", "type": 7 })),
        Just(serde_json::json!([{ "field": "odd" }, "odd", 2.5])),
    ];
    let own: BoxedStrategy<Json> = match record {
        Json::Object(members) => {
            let members: Vec<_> = members.into_iter().map(|(key, value)| (Just(key), mangled(value))).collect();
            let keep = proptest::collection::vec(proptest::bool::weighted(0.9), members.len());
            let build = |(members, keep): (Vec<(String, Json)>, Vec<bool>)| {
                members.into_iter().zip(keep).filter(|(_, keep)| *keep).map(|(member, _)| member).collect::<Json>()
            };
            (members, keep).prop_map(build).boxed()
        }
        other => Just(other).boxed(),
    };
    prop_oneof![12 => own, 1 => odd].boxed()
}

/// A connector and a record that is like one of its examples'.
fn any_record() -> impl Strategy<Value = (Arc<Connector>, Json)> {
    proptest::sample::select(connectors()).prop_flat_map(|connector| {
        let records = records(&connector);
        (Just(connector), proptest::sample::select(records).prop_flat_map(mangled))
    })
}

/// What an event says but for what it says twice, each of which is there once.
fn without_observables(mut event: Json) -> Json {
    let observables = event.as_object_mut().unwrap().remove("observables").unwrap_or(Json::Array(Vec::new()));
    let mut all: Vec<String> = observables.as_array().unwrap().iter().map(Json::to_string).collect();
    let count = all.len();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), count, "{observables:#}");
    event
}

/// What no JSON library of a vendor should write, and some do. In a record it stands as the text before it.
fn hostile(text: &str) -> String {
    let deep = format!("{}\"@bottom@\"{}", "[{\"a\":".repeat(100), "}]".repeat(100));
    let parts =
        [("\"@deep@\"", deep.as_str()), ("\"@huge@\"", "123456789012345678901234567890"), ("@lone@", "x\\ud800y")];
    parts.iter().fold(text.to_owned(), |text, (mark, meant)| text.replace(mark, meant))
}

/// All leaves of a tree but `null`, in lower case and to the last digit.
fn words(value: Value<'_>, out: &mut HashSet<String>) {
    match value {
        Value::Null => {}
        Value::Bool(flag) => drop(out.insert(flag.to_string())),
        Value::Number(text) | Value::String(text) => drop(out.insert(text.to_lowercase())),
        Value::Array(items) => items.iter().for_each(|item| words(*item, out)),
        Value::Object(members) => members.iter().for_each(|member| words(member.value, out)),
    }
}

/// A record in which one value is replaced by something that nobody expects there.
fn replaced(record: &Json, at: usize, by: &Json) -> Json {
    fn walk(value: &mut Json, left: &mut usize, by: &Json) {
        if *left == 0 {
            *value = by.clone();
        }
        *left = left.wrapping_sub(1);
        match value {
            Json::Array(items) => items.iter_mut().for_each(|item| walk(item, left, by)),
            Json::Object(members) => members.values_mut().for_each(|member| walk(member, left, by)),
            _ => {}
        }
    }
    let mut record = record.clone();
    walk(&mut record, &mut (at + 1), by);
    record
}

/// How many values there are in a record, itself included.
fn size(value: &Json) -> usize {
    1 + match value {
        Json::Array(items) => items.iter().map(size).sum(),
        Json::Object(members) => members.values().map(size).sum(),
        _ => 0,
    }
}

/// Every value of every example, one after the other, replaced by each of these.
#[test]
fn no_value_in_any_place_makes_an_event_invalid_or_goes_lost() {
    let odd = [
        Json::Null,
        "".into(),
        "odd".into(),
        "@lone@".into(),
        "@huge@".into(),
        "@deep@".into(),
        false.into(),
        (-1.5).into(),
        serde_json::json!({}),
        serde_json::json!([]),
        serde_json::json!([null, ["odd"]]),
        serde_json::json!({ "odd": { "odd": 1 } }),
    ];
    for connector in connectors() {
        let rules = &connector.definition.decode;
        for record in records(&connector) {
            for (at, odd) in (0..size(&record) - 1).flat_map(|at| odd.iter().map(move |odd| (at, odd))) {
                let text = hostile(&replaced(&record, at, odd).to_string());
                let arena = Arena::new();
                let body =
                    json::decode(text.as_bytes(), &arena).or_else(|_| json::decode(&mend(text.as_bytes()), &arena));
                let body = body.unwrap_or_else(|error| panic!("{error}: {text}"));
                // One without a readable time is a dead letter, which holds all of it.
                let Raw::Event(event) = decode::record(body, rules, NO_TIME, &arena) else { continue };
                let mapped = connector.map.apply(&event, &arena).unwrap();
                let text = json::to_string(&mapped);
                let made: Json = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
                assert_eq!(validate::problems(&made), [""; 0], "{record:#} with {odd} at {at}: {made:#}");
                let (mut wanted, mut found) = (HashSet::new(), HashSet::new());
                found.extend(keys(&without_observables(made), false));
                words(event.body, &mut wanted);
                for member in mapped.as_object().unwrap() {
                    if member.key != "observables" {
                        words(member.value, &mut found);
                    }
                }
                for leaf in wanted.iter().filter(|leaf| !leaf.is_empty()) {
                    assert!(found.contains(leaf), "{leaf} of {record:#} with {odd} at {at} is not in {text}");
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn whatever_a_record_looks_like_its_event_is_valid_and_nothing_is_lost((connector, record) in any_record()) {
        let arena = Arena::new();
        let text = record.to_string();
        let event = Event {
            id: "another id",
            time: "2026-09-14T08:22:31Z".parse().unwrap(),
            body: json::decode(text.as_bytes(), &arena).unwrap(),
        };
        let event = json::to_string(&connector.map.apply(&event, &arena).unwrap());
        let event: Json = serde_json::from_str(&event).unwrap();
        prop_assert_eq!(validate::problems(&event), [""; 0], "{:#}", event);
        let (mut wanted, mut found) = (Vec::new(), Vec::new());
        let said = without_observables(event.clone());
        leaves(&record, &mut wanted);
        leaves(&said, &mut found);
        found.extend(keys(&said, false));
        for leaf in wanted.iter().filter(|leaf| !leaf.is_empty()) {
            prop_assert!(found.contains(leaf), "{} of {:#} is not in {:#}", leaf, record, event);
        }

        let ecs = in_ecs(&event);
        prop_assert_eq!(ecs::validate::problems(&ecs), [""; 0], "{:#}", ecs);
        let (mut told, mut kept) = (Vec::new(), Vec::new());
        leaves(&said, &mut told);
        leaves(&ecs, &mut kept);
        // Times are written anew.
        let time = event["time"].to_string();
        for leaf in told.iter().filter(|leaf| !leaf.is_empty() && **leaf != time) {
            prop_assert!(kept.contains(leaf), "{} of {:#} is not in {:#}", leaf, event, ecs);
        }
    }
}
