//! What loading refuses, and where it says so.

use super::{TINY, identity, try_load};

/// What is said about a map: each message with its line and column, and its hint in brackets.
fn said(text: &str) -> Vec<String> {
    let identity = identity("Example", "example", &[], &[]);
    let shown = try_load(text, &identity).expect_err("a map with mistakes");
    let mut said = Vec::new();
    for problem in shown.split("\n\n") {
        let line = |start: &str| problem.lines().find_map(|line| line.trim_start().strip_prefix(start));
        let place = line("--> map.toml:").unwrap_or("nowhere");
        let message = line("error: ").or_else(|| line("warning: ")).unwrap_or(problem);
        let hint = line("= hint: ").or_else(|| line("hint: ")).map(|hint| format!(" ({hint})"));
        said.push(format!("{place} {message}{}", hint.unwrap_or_default()));
    }
    said
}

/// The one thing said about the small map with this line at its end, where it is line 9.
fn of_line(line: &str) -> String {
    let said = said(&format!("{TINY}{line}\n"));
    assert_eq!(said.len(), 1, "{said:#?}");
    said.concat()
}

/// What is said about the small map with one part of it replaced.
fn of_change(from: &str, to: &str) -> Vec<String> {
    assert!(TINY.contains(from), "{from}");
    said(&TINY.replace(from, to))
}

#[test]
fn attributes_are_those_of_the_class() {
    let cases = [
        (
            "actor.user.emial_addr = \"x\"",
            "9:12 `actor.user` has no attribute `emial_addr` (did you mean `email_addr`?)",
        ),
        (
            "api.operation = \"x\"",
            "9:1 `api` belongs to the profile `cloud`, which is not in use (add `profiles = [\"cloud\"]` to `[ocsf]`)",
        ),
        ("metadata.uid = \"x\"", "9:10 `metadata.uid` is for auditline to fill in"),
        ("unmapped.x = \"x\"", "9:1 `unmapped` is for auditline to fill in"),
        ("\"entity.uid\" = \"x\"", "9:1 `entity.uid` is said twice"),
        (
            "activity_id = \"x\"",
            "9:1 `activity_id` is said twice (`activity`, beside the map, says it already: leave one of them out)",
        ),
        ("entity.data = \"x\"\n\"entity.data.y\" = \"y\"", "10:1 `entity.data` is said twice"),
        ("\"comment.text\" = \"x\"", "9:1 `comment` is a text and has no `text` in it"),
        (
            "actor.user = \"x\"",
            "9:7 `actor.user` is an object: say what goes into it (`actor.user.account`, for example)",
        ),
        (
            "http_request.http_headers = \"x\"",
            "9:14 `http_request.http_headers` is a list (its first item is `http_request.http_headers.0.…`)",
        ),
        (
            "http_request.http_headers.name = \"x\"",
            "9:27 `http_request.http_headers` is a list (its first item is `http_request.http_headers.0.name`)",
        ),
        ("http_request.url.category_ids = \"x\"", "9:18 `category_ids` is a list of enum numbers"),
        ("http_response.message = \"x\"", "9:1 `http_response` needs `code`"),
        ("actor.user.domain = \"x\"", "9:7 `actor.user` needs one of `account`, `name`, `uid`"),
    ];
    for (line, expected) in cases {
        assert_eq!(of_line(line), expected);
    }
}

#[test]
fn expressions_are_understood_or_refused() {
    let cases = [
        (
            "comment = 5",
            "9:11 expected a path in the vendor's record, found an integer (a constant is written `{ value = … }`)",
        ),
        ("comment = { form = \"x\" }", "9:13 unknown key `form` (did you mean `from`?)"),
        ("comment = { otherwise = \"x\" }", "9:1 expected either `from` or `value`"),
        ("comment = []", "9:11 there is no path in this list"),
        ("comment = \"a..b\"", "9:11 `a..b` is not a path: a part of it is empty"),
        ("comment = { value = 5 }", "9:21 expected a text, found an integer"),
        ("comment = { value = \"x\", otherwise = \"y\" }", "9:1 a constant has no `values` and no `otherwise`"),
        (
            "comment = { from = \"x\", values = { \"a*b\" = \"y\" } }",
            "9:36 `a*b` has a `*` that is neither its first nor its last character",
        ),
        ("src_endpoint.ip = { from = \"x\", otherwise = \"unknown\" }", "9:45 expected an IP address, found `unknown`"),
        ("src_endpoint.port = { value = 70000 }", "9:31 expected a port, found an integer"),
        ("start_time = { value = \"x\" }", "9:24 expected a time, found `x`"),
        (
            "http_request.http_method = { value = \"FETCH\" }",
            "9:38 `http_method` of class `entity_management` has no `FETCH` (known words: `Connect`, `Delete`, `Get`, \
             `Head`, `Options`, `Patch`, `Post`, `Put`, `Trace`)",
        ),
    ];
    for (line, expected) in cases {
        assert_eq!(of_line(line), expected);
    }
}

#[test]
fn every_unknown_word_is_reported() {
    let line = "actor.user = { uid = \"x\", type = { from = \"x\", values = { a = \"Admn\", b = 77 } } }";
    assert_eq!(
        said(&format!("{TINY}{line}")),
        [
            "9:63 `type_id` of class `entity_management` has no `Admn` (did you mean `Admin`?)",
            "9:75 `type_id` of class `entity_management` has no `77` (known words: `Unknown`, `User`, `Admin`, `System`, \
             `Service`, `Other`)",
        ]
    );
}

#[test]
fn rules_are_checked_against_their_own_class() {
    assert_eq!(
        said(&format!("{TINY}[[ocsf.when]]\nclass = \"api_activity\"")),
        ["`actor`", "`api`", "`src_endpoint`"].map(|name| format!("10:9 class `api_activity` needs {name}"))
    );
    assert_eq!(
        said(&format!("{TINY}[[ocsf.when]]\nclass = \"authentication\"\nmap.user.uid = \"x\"")),
        [
            "10:9 class `authentication` needs `activity`",
            "10:9 class `authentication` needs one of `service`, `dst_endpoint`",
        ]
    );
    let cases = [
        ("activity_id = \"x\"", "10:1 unknown key `activity_id` (did you mean `activity`?)"),
        (
            "map.privileges = \"x\"",
            "10:5 class `entity_management` has no attribute `privileges` (classes that have it: \
             `authorize_session`, `user_access`, `group_management`)",
        ),
        ("clas = \"authentication\"", "10:1 unknown key `clas` (did you mean `class`?)"),
        (
            "map.api.operation = \"x\"",
            "10:5 `api` belongs to the profile `cloud`, which is not in use (add `profiles = [\"cloud\"]` to `[ocsf]`)",
        ),
        (
            "match = { a = { exist = true } }",
            r#"10:17 unknown test `exist` (did you mean `exists`? (a path of that name is written in quotes: `"a.exist"`))"#,
        ),
        ("match = { a = 1.5 }", "10:15 expected a word or a list of words, found a float"),
        ("match = { b = \"x*y\" }", "10:15 `x*y` has a `*` that is neither its first nor its last character"),
        ("match = \"x\"", "10:9 expected a table, found a string"),
    ];
    for (line, expected) in cases {
        assert_eq!(of_line(&format!("[[ocsf.when]]\n{line}")), expected);
    }
    assert_eq!(of_line("[ocsf.when]"), "9:1 expected a list of rules (write `[[ocsf.when]]`)");
}

#[test]
fn what_the_class_requires_must_be_said() {
    let class = "4:9 class `entity_management` needs";
    assert_eq!(of_change("activity = \"Update\"", ""), [format!("{class} `activity`")]);
    assert_eq!(of_change("severity = \"Informational\"", ""), [format!("{class} `severity`")]);
    assert_eq!(
        of_change("severity = \"Informational\"", "severity = 1\nprofiles = [\"cloud\"]"),
        [format!("{class} `cloud`")]
    );
    assert_eq!(
        of_change("entity.uid", "entity.type"),
        ["8:1 `entity` needs one of `name`, `uid`, `device`, `group`, `org`, `policy`, `user`"]
    );
    assert_eq!(
        of_change(", otherwise = \"unknown\"", ""),
        [format!(
            "{class} `entity`, which a record may not have, and there is no other class to choose then (give what it \
             needs an `otherwise`, or move this class to a `[[ocsf.when]]`)"
        )]
    );
}

#[test]
fn the_head_of_a_map_is_checked() {
    let cases = [
        (
            "product = \"Example\"",
            "",
            "2:1 missing key `product` (say `product = …`, the name of what the vendor sells)",
        ),
        ("product = \"Example\"", "product = 5", "3:11 expected the name of a product"),
        ("class = \"entity_management\"", "", "2:1 missing key `class` (say `class = …`)"),
        (
            "entity_management",
            "entity_managment",
            "4:9 there is no class `entity_managment` for audit logs (did you mean `entity_management`?)",
        ),
        (
            "\"Update\"",
            "\"Upate\"",
            "5:12 `activity_id` of class `entity_management` has no `Upate` (did you mean `Update`?)",
        ),
        ("\"Informational\"", "1.5", "6:12 expected a word of `severity_id`, found a float"),
        ("\"Informational\"", "1\nprofiles = [\"hots\"]", "7:13 OCSF has no profile `hots` (did you mean `host`?)"),
    ];
    for (from, to, expected) in cases {
        assert_eq!(of_change(from, to), [expected]);
    }
}

#[test]
fn a_rule_that_every_record_fits_hides_the_rules_behind_it() {
    let warned = |rules: &str| {
        let problems = crate::document::Problems::new();
        let text = format!("{TINY}{rules}");
        let document = crate::document::Document::parse("map.toml", &text, &problems).unwrap();
        let node = document.root().get("ocsf").unwrap();
        assert!(crate::transform::ocsf::Map::load(node, &identity("E", "e", &[], &[]), &problems).is_some());
        problems.to_string()
    };
    let all = "[[ocsf.when]]\nactivity = \"Create\"\n";
    let some = "[[ocsf.when]]\nmatch = { a = \"b\" }\n";
    let needs = "[[ocsf.when]]\nmap.entity_result.uid = \"x\"\n[[ocsf.when]]\nmap.entity.name = \"y\"\n";
    for (rules, expected) in [
        (format!("{all}{some}"), "the rule after it will never be tried"),
        (format!("{some}{all}{some}{some}"), "the 2 rules after it will never be tried"),
    ] {
        let warned = warned(&rules);
        assert!(warned.contains("warning: every record fits this rule") && warned.contains(expected), "{warned}");
    }
    for rules in [format!("{some}{all}"), format!("{some}{some}")] {
        assert_eq!(warned(&rules), "", "{rules}");
    }
    // An object of its map may be missing, and then the rule still fits.
    assert!(warned(needs).contains("the rule after it"));
}

#[test]
fn an_attribute_that_ocsf_gives_up_is_a_warning() {
    let text = format!("{TINY}actor.invoked_by = \"x\"\n");
    let problems = crate::document::Problems::new();
    let document = crate::document::Document::parse("map.toml", &text, &problems).unwrap();
    let node = document.root().get("ocsf").unwrap();
    assert!(crate::transform::ocsf::Map::load(node, &identity("E", "e", &[], &[]), &problems).is_some());
    assert!(problems.to_string().contains("OCSF means to do away with `actor.invoked_by`"), "{problems}");
}
