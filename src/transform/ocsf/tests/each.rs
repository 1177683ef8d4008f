//! Lists of the vendor, item by item.

use serde_json::{Value, json};

use super::{TINY, event, identity, try_load};

#[test]
fn changes_become_what_was_and_what_is() {
    let map = r#"
        entity.data = { each = "changes", by = "field", from = "from" }
        entity_result.uid = "what"
        entity_result.data = { each = "changes", by = "field", from = "to", last = true }"#;
    let changes = json!([
        { "field": "name", "from": "a", "to": "b", "by": "hand" },
        { "field": "on", "from": null, "to": false },
        { "field": "tags", "from": [{ "k": 1 }], "to": null },
        // What was changed twice was before the first change, and is after the last; what is between keeps its name. One
        // without a name would be nowhere.
        { "field": "name", "from": "x", "to": "y" },
        { "from": 1, "to": 2 },
        "odd",
    ]);
    let found = event(map, json!({ "what": "w", "changes": changes }));
    assert_eq!(found["entity"]["data"], json!({ "name": "a", "tags": [{ "k": 1 }] }));
    assert_eq!(found["entity_result"]["data"], json!({ "on": false, "name": "y" }));
    let rest = json!([
        { "field": "name", "to": "b", "by": "hand" }, { "field": "name", "from": "x" }, { "from": 1, "to": 2 }, "odd",
    ]);
    assert_eq!(found["unmapped"], json!({ "changes": rest }));
    let found = event(map, json!({ "changes": null }));
    assert_eq!((&found["entity"], found.get("entity_result")), (&json!({ "uid": "e" }), None));
}

#[test]
fn what_came_or_went_on_the_way_is_neither_before_nor_after() {
    let map = r#"
        entity.data = { each = "changes", by = "field", from = "from" }
        entity_result.uid = "what"
        entity_result.data = { each = "changes", by = "field", from = "to", last = true }"#;
    let changes = json!([
        { "field": "new", "from": null, "to": 1 }, { "field": "new", "from": 1, "to": 2 },
        { "field": "gone", "from": 3, "to": 4 }, { "field": "gone", "from": 4, "to": null },
    ]);
    let found = event(map, json!({ "what": "w", "changes": changes }));
    assert_eq!(found["entity"]["data"], json!({ "gone": 3 }));
    assert_eq!(found["entity_result"]["data"], json!({ "new": 2 }));
    let between = json!([
        { "field": "new", "to": 1 }, { "field": "new", "from": 1 }, { "field": "gone", "to": 4 }, { "field": "gone", "from": 4 },
    ]);
    assert_eq!(found["unmapped"], json!({ "changes": between }));
}

#[test]
fn what_was_emptied_is_not_gone() {
    let map = r#"
        entity.data = { each = "changes", by = "field", from = "from" }
        entity_result.uid = "what"
        entity_result.data = { each = "changes", by = "field", from = "to" }
        comment = { each = "words" }"#;
    let changes = json!([
        { "field": "tags", "from": ["lab"], "to": [] },
        { "field": "note", "from": "", "to": "x" },
        { "field": "gone", "from": {}, "to": null },
    ]);
    let found = event(map, json!({ "what": "w", "changes": changes, "words": ["", "y"] }));
    assert_eq!(found["entity"]["data"], json!({ "tags": ["lab"], "note": "", "gone": {} }));
    assert_eq!(found["entity_result"]["data"], json!({ "tags": [], "note": "x" }));
    assert_eq!((&found["comment"], found.get("unmapped")), (&json!("y"), None));

    let of_members = event(
        r#"entity.data = { each = "changed", from = "1" }"#,
        json!({ "changed": { "a": [1, ""], "b": [2, null] } }),
    );
    assert_eq!(of_members["entity"]["data"], json!({ "a": "" }));
    let whole = event(r#"entity.data = { each = "now" }"#, json!({ "now": { "a": [], "b": null } }));
    assert_eq!(whole["entity"]["data"], json!({ "a": [] }));
}

#[test]
fn the_members_of_an_object_keep_their_keys() {
    let map = r#"
        entity.data = { each = "changed", from = "0" }
        entity_result.uid = "what"
        entity_result.data = { each = "changed", from = "1" }"#;
    let found =
        event(map, json!({ "what": "w", "changed": { "status": ["Draft", "Open"], "lead": [null, { "ref": "r" }] } }));
    assert_eq!(found["entity"]["data"], json!({ "status": "Draft" }));
    assert_eq!(found["entity_result"]["data"], json!({ "status": "Open", "lead": { "ref": "r" } }));
    assert_eq!(found.get("unmapped"), None);
    // A list of the vendor's is one here, too.
    assert_eq!(event(map, json!({ "changed": [[1, 2], [3, 4]] }))["entity"]["data"], json!([1, 3]));
}

const TARGETS: &str = r#"
    activity = "Read"
    [ocsf.map]
    comment = "note"
    [[ocsf.when]]
    match = { "targets.0" = { exists = true } }
    class = "user_access"
    activity = "Assign Privileges"
    [ocsf.when.map]
    privileges = { each = "roles", from = "name" }
    user = { each = "targets", match = { type = "User" }, map = { uid = "id", name = "name", "groups.0.uid" = "team" } }
    [ocsf.when.map.resources]
    each = "targets"
    match = [{ type = { not = "User" } }]
    map = { uid = "id", type = "type", role = { value = "Target" }, ip = "ip" }
"#;

#[test]
fn items_are_picked_by_what_they_are() {
    let targets = json!([
        { "type": "App", "id": "a", "ip": "192.0.2.1", "extra": 1 },
        { "type": "User", "name": 7, "team": "t" },
        { "type": "User", "id": "second" },
        { "type": "App", "id": "b", "ip": "none" },
        { "type": "Nothing" },
    ]);
    let found = event(TARGETS, json!({ "targets": targets, "roles": [{ "name": "admin" }, { "name": "dev" }] }));
    assert_eq!(found["class_name"], "User Access Management");
    assert_eq!(found["user"], json!({ "name": "7", "groups": [{ "uid": "t" }] }));
    assert_eq!(found["privileges"], json!(["admin", "dev"]));
    let app = |id: &str| json!({ "uid": id, "type": "App", "role": "Target", "role_id": 1 });
    let mut first = app("a");
    first["ip"] = json!("192.0.2.1");
    assert_eq!(found["resources"], json!([first, app("b")]));
    assert_eq!(
        found["unmapped"],
        json!({ "targets": [
            { "extra": 1 }, { "type": "User" }, { "type": "User", "id": "second" }, { "ip": "none" }, { "type": "Nothing" },
        ] })
    );
    assert_eq!(found["metadata"]["tags"], json!([{ "name": "auditline.misfit", "values": ["resources[].ip"] }]));
    let observed: Vec<&Value> = found["observables"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    let expected = ["user.name", "user.groups[].uid", "user", "resources[].uid", "resources[].ip", "resources[].uid"];
    assert_eq!(observed, expected);
}

#[test]
fn without_a_fitting_item_the_attribute_is_missing() {
    // The rule needs a user and privileges; without them it does not apply, and nothing is taken.
    let record = json!({ "targets": [{ "type": "App", "id": "a" }], "roles": ["x"] });
    let found = event(TARGETS, record.clone());
    assert_eq!((&found["class_uid"], &found["unmapped"]), (&json!(3004), &record));
}

#[test]
fn a_list_of_one_may_be_the_one_itself() {
    let map = "access_list = { each = \"roles\", values = { r = \"Reader\" } }";
    assert_eq!(event(map, json!({ "roles": "r" }))["access_list"], json!(["Reader"]));
    assert_eq!(event(map, json!({ "roles": ["r", 7, "", { "x": 1 }] }))["access_list"], json!(["Reader", "7"]));
}

#[test]
fn items_have_items() {
    let map = r#"
        actor.user.uid = "who"
        actor.user.groups = { each = "teams", map = { uid = "id", privileges = { each = "roles", from = "r" } } }"#;
    let teams = json!([{ "id": 1, "roles": [{ "r": "a" }, { "r": "b", "s": 2 }, { "r": [3] }] }, { "id": 2 }]);
    let found = event(map, json!({ "who": 7, "teams": teams }));
    let groups = json!([{ "uid": "1", "privileges": ["a", "b"] }, { "uid": "2" }]);
    assert_eq!(found["actor"]["user"]["groups"], groups);
    assert_eq!(found["unmapped"], json!({ "teams": [{ "roles": [{ "s": 2 }, { "r": [3] }] }] }));
    assert_eq!(found["metadata"]["tags"][0]["values"], json!(["actor.user.groups[].privileges[]"]));
}

#[test]
fn a_rule_may_say_another_way() {
    let map = r#"
        activity = "Read"
        [ocsf.map]
        actor.user = { each = "users", map = { uid = "id" } }
        entity.data = { each = "users", from = "id" }
        [[ocsf.when]]
        match = { plain = { exists = true } }
        [ocsf.when.map]
        actor.user.uid = "plain"
        entity.data = "users"
        [[ocsf.when]]
        match = { other = { exists = true } }
        [ocsf.when.map]
        actor.user = { each = "other", map = { uid = "n" } }"#;
    let users = json!([{ "id": "a" }, { "id": "b" }]);
    let found = event(map, json!({ "users": users }));
    assert_eq!((&found["actor"]["user"]["uid"], &found["entity"]["data"]), (&json!("a"), &json!(["a", "b"])));
    let found = event(map, json!({ "users": users, "plain": "p" }));
    assert_eq!((&found["actor"]["user"]["uid"], &found["entity"]["data"]), (&json!("p"), &users));
    assert_eq!(event(map, json!({ "other": [{ "n": "o" }] }))["actor"]["user"]["uid"], "o");
}

/// What is said of a small map with this line in it.
fn mistake(line: &str) -> String {
    let text = format!("{TINY}{line}\n");
    try_load(&text, &identity("Example", "example", &[], &[])).unwrap_err()
}

#[test]
fn what_is_wrong_with_an_each_is_told() {
    let cases = [
        ("actor.user = { each = \"u\" }", "missing key `map`"),
        ("actor.user = { each = \"u\", map = { x = \"y\" } }", "`actor.user` has no attribute `x`"),
        ("actor.user = { each = \"u\", map = { full_name = \"y\" } }", "`actor.user` needs one of"),
        ("actor.user = { each = \"u\", from = \"y\", map = {} }", "unknown key `from`"),
        ("actor.user = { each = 7, map = { uid = \"y\" } }", "expected a path, found an integer"),
        ("comment = { each = \"u\", by = \"k\" }", "unknown key `by`"),
        ("status = { each = \"u\" }", "`status_id` is one word and not made of a list"),
        ("entity.data = { each = \"u\", by = \"\" }", "is not a path"),
        ("entity.data = { each = \"u\", match = { a = 1.5 } }", "expected a word or a list of words"),
        ("observables.0.value = \"x\"", "`observables` is for auditline to fill in"),
        ("raw_data = \"x\"", "`raw_data` is for auditline to fill in"),
    ];
    for (line, expected) in cases {
        let said = mistake(line);
        assert!(said.contains(expected), "{line}: {said}");
    }
}
