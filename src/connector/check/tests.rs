//! What is said of connectors that cannot work, compared whole.

use crate::connector::Connector;
use crate::document::{Context, Problems};

/// What is said of Ashby's connector with these pieces of it replaced.
fn said(replaced: &[(&str, &str)]) -> String {
    let mut text = crate::connector::source("ashby").unwrap().to_owned();
    for (piece, with) in replaced {
        assert!(text.contains(piece), "{piece}");
        text = text.replace(piece, with);
    }
    let problems = Problems::new();
    let connector = Connector::parse("ashby", "ashby.toml", &text, &Context::new(&problems));
    assert_eq!(connector.is_none(), problems.has_errors(), "{problems}");
    problems.to_string()
}

/// The messages and hints alone.
fn messages(replaced: &[(&str, &str)]) -> Vec<String> {
    let said = said(replaced);
    let lines = said.lines().map(str::trim_start);
    let told = lines.filter_map(|line| line.strip_prefix("error: ").or_else(|| line.strip_prefix("hint: ")));
    told.map(ToOwned::to_owned).collect()
}

const BASE_URL: &str = "https://api.ashbyhq.com";
const KEY: &str = "[parameters.api_key]";
const BASIC: &str = r#"basic = { user = "{api_key}", password = "" }"#;

fn parameter(name: &str, keys: &str) -> String {
    format!("[parameters.{name}]\nabout = \"x\"\n{keys}\n\n{KEY}")
}

#[test]
fn a_base_url_may_hold_parameters_that_are_hosts() {
    let host = parameter("domain", "pattern = \"host\"");
    for base in ["https://{domain}", "https://api.{domain}/v1", "https://{domain}:8443/{domain}"] {
        assert_eq!(said(&[(KEY, &host), (BASE_URL, base)]), "", "{base}");
    }
    let tenant = parameter("tenant", "");
    assert_eq!(said(&[(KEY, &tenant), (BASE_URL, "https://api.example.com/{tenant}")]), "");
}

#[test]
fn a_base_url_that_could_lead_elsewhere_is_refused() {
    let expected = "\
error: `{domain}` stands in the host, and may be anything
 --> ashby.toml:6:12
  |
6 | base_url = \"https://{domain}/v1\"
  |            ^^^^^^^^^^^^^^^^^^^^^
  |
  hint: give `[parameters.domain]` a `pattern = \"host\"`, so that it cannot name another host
";
    assert_eq!(said(&[(KEY, &parameter("domain", "")), (BASE_URL, "https://{domain}/v1")]), expected);
    let told = |keys: &str, base: &str| messages(&[(KEY, &parameter("domain", keys)), (BASE_URL, base)])[0].clone();
    let host = "pattern = \"host\"";
    assert_eq!(told("secret = true", "https://{domain}"), "a secret stands in this address");
    assert_eq!(told("optional = true\npattern = \"host\"", "https://{domain}"), "`{domain}` may be left out");
    assert_eq!(told(host, "https://{tenant}"), "`{tenant}` is neither a parameter nor known here");
    assert_eq!(told(host, "https://{from}"), "`{from}` is neither a parameter nor known here");
    assert_eq!(told(host, "https://{domain"), "a brace is not closed or not opened in `https://{domain`");
    for base in ["http://{domain}", "{domain}", "https://{domain}?x", "https://a b"] {
        assert_eq!(told(host, base), format!("expected an https URL, found `{base}`"), "{base}");
    }
}

#[test]
fn a_token_is_fetched_at_an_address_that_the_connector_names() {
    let with = |token_url: &str| {
        let oauth2 = format!(
            "oauth2 = {{ token_url = \"{token_url}\", client_id = \"{{domain}}\", client_secret = \"{{api_key}}\" }}"
        );
        let parameters = parameter("domain", "pattern = \"host\"");
        messages(&[(KEY, &parameters), (BASIC, &oauth2)])
    };
    for sound in ["/oauth/token", "https://login.example.com/token", "https://{domain}/token", "/{domain}/token"] {
        assert_eq!(with(sound), [""; 0], "{sound}");
    }
    let hint = "for example \"/oauth/token\": the client's secret travels there";
    for bad in ["//example.com/token", "http://login.example.com/token", "oauth/token", "https://{domain}?x"] {
        assert_eq!(with(bad), [&format!("expected a path or an https URL, found `{bad}`"), hint], "{bad}");
    }
    let secret = "addresses are printed, and kept by whoever passes them on";
    assert_eq!(with("https://a.com/{api_key}"), ["a secret stands in this address", secret]);
}

const BODY: &str = "\
json.startDate = \"{from}\"
json.endDate = \"{until}\"
json.limit = \"{page_size}\"
json.cursor = \"{cursor}\"
";

#[test]
fn a_request_has_one_body() {
    let expected = "\
error: `json` beside `form`: a request has one body
  --> ashby.toml:50:18
   |
50 | json.startDate = \"{from}\"
   |                  ^^^^^^^^
   |
   hint: leave one of them out
";
    assert_eq!(said(&[(BODY, &format!("form.x = \"1\"\n{BODY}"))]), expected);
    let graphql = messages(&[(BODY, &format!("{BODY}graphql.query = \"{{ a }}\"\n"))]);
    assert_eq!(graphql, ["`graphql` beside `json`: a request has one body", "leave one of them out"]);
}

#[test]
fn variables_of_nested_bodies_and_of_graphql_are_known() {
    let nested = format!("{BODY}json.filter.list = [1, {{ until = \"{{untill}}\" }}]\n");
    let expected = "\
error: `{untill}` is neither a parameter nor known here
  --> ashby.toml:53:34
   |
53 | json.filter.list = [1, { until = \"{untill}\" }]
   |                                  ^^^^^^^^^^
   |
   hint: did you mean `{until}`?
";
    assert_eq!(said(&[(BODY, &nested)]), expected);
    let graphql = |variable: &str| {
        let query = "graphql.query = '''query ($after: String, $n: Int) { list(after: $after) { id } }'''";
        messages(&[(BODY, &format!("{query}\ngraphql.variables.{variable} = \"{{cursor}}\"\n"))])
    };
    assert_eq!(graphql("after"), [""; 0]);
    let hint = "declare it there, as in `query ($afte: String)`";
    assert_eq!(graphql("afte"), ["the query has no variable `$afte`", hint]);
}

#[test]
fn lines_have_no_list_and_headers_have_names() {
    let lines = messages(&[("records = \"results\"", "records = \"results\"\nformat = \"ndjson\"")]);
    assert_eq!(lines, ["`records` beside `format = \"ndjson\"`", "each line is a record: leave `records` out"]);
    let cursor = messages(&[("records = \"results\"\n", "")]);
    let expected = "`pages` pages by a cursor, but an answer has records and nothing else";
    assert_eq!(cursor, [expected, "say where the `records` are, or page in another way"]);
    let header = messages(&[("[decode]", "[credential]\nexpires_header = \"x:y\"\n\n[decode]")]);
    assert_eq!(header, ["`x:y` is not the name of a header", "for example \"x-token-expires\""]);
}
