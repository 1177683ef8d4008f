//! The maps of the five vendors, and what they make of their records.

use proptest::prelude::*;
use serde_json::Value;

use super::{apply, identity, load};
use crate::transform::ocsf::{Identity, Map};

struct Vendor {
    map: &'static str,
    identity: Identity,
    cases: &'static str,
}

fn vendor(name: &str) -> Vendor {
    macro_rules! vendor {
        ($name:literal, $vendor:literal, $id:expr, $time:expr) => {
            Vendor {
                map: include_str!(concat!("../../../../connectors/", $name, ".toml")),
                identity: identity($vendor, $name, $id, $time),
                cases: include_str!(concat!($name, ".json")),
            }
        };
    }
    match name {
        "telnyx" => vendor!("telnyx", "Telnyx", &["id"], &["created_at"]),
        "cloudflare" => vendor!("cloudflare", "Cloudflare", &["id"], &["action.time"]),
        "voximplant" => vendor!("voximplant", "Voximplant", &["audit_log_id"], &["requested"]),
        "ashby" => vendor!("ashby", "Ashby", &["id"], &["createdAt", "occurredAt"]),
        "nirvana" => vendor!("nirvana", "Nirvana Labs", &["id"], &["created_at"]),
        other => panic!("no vendor {other}"),
    }
}

impl Vendor {
    fn load(&self) -> Map {
        load(self.map, &self.identity)
    }

    fn cases(&self) -> Vec<Value> {
        serde_json::from_str(self.cases).unwrap()
    }
}

/// Compares the events of every recorded case, whole, with those that are expected.
fn check(name: &str) {
    let vendor = vendor(name);
    let map = vendor.load();
    let text = |case: &Value, key: &str| case[key].as_str().unwrap().to_owned();
    for case in vendor.cases() {
        let event = apply(&map, &text(&case, "id"), &text(&case, "time"), &case["record"].to_string());
        assert_eq!(event, case["event"], "{name}: {}\n{event:#}", case["about"]);
    }
}

#[test]
fn telnyx() {
    check("telnyx");
}

#[test]
fn cloudflare() {
    check("cloudflare");
}

#[test]
fn voximplant() {
    check("voximplant");
}

#[test]
fn ashby() {
    check("ashby");
}

#[test]
fn nirvana() {
    check("nirvana");
}

/// All leaves of a tree but `null`, in lower case.
fn leaves(value: &Value, out: &mut Vec<String>) {
    match value {
        Value::Null => {}
        Value::Bool(flag) => out.push(flag.to_string()),
        Value::Number(number) => out.push(number.to_string()),
        Value::String(text) => out.push(text.to_lowercase()),
        Value::Array(items) => items.iter().for_each(|item| leaves(item, out)),
        Value::Object(members) => members.values().for_each(|value| leaves(value, out)),
    }
}

/// A record of the vendor in which any part may be missing, null, or of another kind.
fn mangled(record: Value) -> BoxedStrategy<Value> {
    let odd = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (0_u32..700).prop_map(Value::from),
        "[a-zA-Z ._-]{0,12}".prop_map(Value::from),
        "[0-9.:]{1,12}".prop_map(Value::from),
        Just(serde_json::json!({})),
        Just(serde_json::json!([])),
        Just(serde_json::json!({ "id": "odd", "type": 7 })),
        Just(serde_json::json!([{ "field": "odd" }, "odd", 2.5])),
    ];
    let own: BoxedStrategy<Value> = match record {
        Value::Object(members) => {
            let members: Vec<_> = members.into_iter().map(|(key, value)| (Just(key), mangled(value))).collect();
            let keep = proptest::collection::vec(proptest::bool::weighted(0.9), members.len());
            let build = |(members, keep): (Vec<(String, Value)>, Vec<bool>)| {
                members.into_iter().zip(keep).filter(|(_, keep)| *keep).map(|(member, _)| member).collect::<Value>()
            };
            (members, keep).prop_map(build).boxed()
        }
        other => Just(other).boxed(),
    };
    prop_oneof![12 => own, 1 => odd].boxed()
}

proptest! {
    #[test]
    fn whatever_a_record_looks_like_its_event_is_valid_and_nothing_is_lost(
        (name, record) in prop_oneof![Just("telnyx"), Just("cloudflare"), Just("voximplant"), Just("ashby"), Just("nirvana")]
            .prop_flat_map(|name| {
                let records: Vec<_> = vendor(name).cases().into_iter().map(|case| case["record"].clone()).collect();
                (Just(name), proptest::sample::select(records).prop_flat_map(mangled))
            })
    ) {
        // `apply` checks that it is valid.
        let event = apply(&vendor(name).load(), "another id", "2026-09-14T08:22:31Z", &record.to_string());
        let (mut wanted, mut found) = (Vec::new(), Vec::new());
        leaves(&record, &mut wanted);
        leaves(&event, &mut found);
        for leaf in wanted.iter().filter(|leaf| !leaf.is_empty()) {
            prop_assert!(found.contains(leaf), "{leaf} of {record:#} is not in {event:#}");
        }
    }
}
