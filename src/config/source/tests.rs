//! Sources of connectors that do not come with the binary.

use super::*;
use crate::connector;
use crate::document::{Document, Place, Problems};

/// What a source comes to, for a connector whose base URL holds `{domain}`, or what is said of it.
fn resolved(keys: &str) -> Result<(String, Option<DateTime<Utc>>), String> {
    let parameter =
        "[parameters.domain]\npattern = \"host\"\nabout = \"the organisation's domain\"\n\n[parameters.api_key]";
    let file = connector::source("ashby").unwrap();
    let file =
        file.replace("https://api.ashbyhq.com", "https://{domain}/api").replace("[parameters.api_key]", parameter);
    let problems = Problems::new();
    let context = Context::new(&problems);
    let connector = Arc::new(Connector::parse("ashby", "ashby.toml", &file, &context).unwrap());
    let document = Document::parse("a.toml", &format!("api_key = \"literal\"\n{keys}"), &problems).unwrap();
    let name = Spanned::new("ashby".to_owned(), Place::whole(document.file()));
    let section = Section { name: &name, node: document.root(), connector: &connector, context: &context };
    match section.resolve() {
        Some(ResolvedSource { settings: SourcePlan::Api(settings), .. }) => {
            Ok((settings.base_url.to_string(), settings.credential_expires))
        }
        Some(_) => unreachable!("no files are configured here"),
        None => Err(problems.to_string()),
    }
}

#[test]
fn the_base_url_is_made_of_the_operators_host() {
    let url = |keys: &str| resolved(keys).unwrap().0;
    assert_eq!(url("domain = \"acme.example.com\""), "https://acme.example.com/api");
    assert_eq!(url("domain = \"acme.example.com\"\nbase_url = \"http://127.0.0.1:1\""), "http://127.0.0.1:1/");
}

#[test]
fn what_is_more_than_a_host_is_refused() {
    for domain in [
        "https://acme.com",
        "acme.com/",
        "acme.com:8443",
        "me@acme.com",
        "acme..com",
        "-acme.com",
        "",
        "a b.com",
        "ac\u{131}e.com",
        "acme.com#",
        "acme.com\\\\",
    ] {
        let said = resolved(&format!("domain = \"{domain}\"")).unwrap_err();
        let hint =
            "hint: the organisation's domain: a bare host name such as `example.com`, without `https://`, port or path";
        assert!(said.contains("is not what `domain` looks like") && said.contains(hint), "{domain}: {said}");
    }
    let said = resolved("domain = \"999.999.999.999\"").unwrap_err();
    assert!(said.contains("error: `https://999.999.999.999/api` is no address"), "{said}");
}

#[test]
fn the_operator_may_note_when_the_credential_ends() {
    let expires = |text: &str| resolved(&format!("domain = \"acme.com\"\ncredential_expires = {text}")).unwrap().1;
    let expected = Some("2127-01-31T00:00:00Z".parse().unwrap());
    assert_eq!(
        (expires("\"2127-01-31\""), expires("2127-01-31"), expires("2127-01-31T01:00:00+01:00")),
        (expected, expected, expected)
    );
}
