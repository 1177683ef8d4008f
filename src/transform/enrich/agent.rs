//! `user_agent`: which program and which system a user agent's text names.

use std::borrow::Cow;

use woothee::parser::Parser;

use super::Kind;
use super::draft::{Draft, Finding, Form, Members};
use super::spots::Spots;
use crate::event::{Arena, Member, Value};

/// Says what a user agent's text names.
#[derive(Debug)]
pub struct Agent {
    from: Spots,
}

impl Agent {
    /// Looks at the texts that stand there; without places, where OCSF and ECS keep the text.
    #[must_use]
    pub fn new(from: Option<Spots>) -> Self {
        let usual = || Spots::usual(&["http_request.user_agent"], &["user_agent.original"]);
        Self { from: from.unwrap_or_else(usual) }
    }
}

impl Kind for Agent {
    fn add<'a>(&self, body: Value<'a>, draft: &mut Draft<'a>) {
        // One event has one user agent: the first that is known.
        for (spot, value) in self.from.texts(draft.form, body) {
            let data = Parts::of(value).members(draft.arena);
            if data.is_empty() {
                continue;
            }
            match draft.form {
                Form::Ecs => draft.merge("user_agent", data),
                Form::Ocsf | Form::Envelope => {
                    let name = &spot.name;
                    draft.enrichment(&Finding { name, value, kind: "user_agent", provider: "woothee", data });
                }
            }
            return;
        }
    }
}

/// What is in a user agent's text, as far as it is known.
#[derive(Debug, Default, PartialEq, Eq)]
struct Parts<'t> {
    name: Option<&'t str>,
    version: Option<&'t str>,
    system: Option<&'t str>,
    system_version: Option<Cow<'t, str>>,
    device: Option<&'t str>,
}

impl<'t> Parts<'t> {
    fn of(text: &'t str) -> Self {
        let known = |part: &'t str| (!part.is_empty() && part != "UNKNOWN").then_some(part);
        let parsed = Parser::new().parse(text).unwrap_or_default();
        let mut parts = Self {
            name: known(parsed.name),
            version: known(parsed.version),
            system: known(parsed.os),
            system_version: Some(parsed.os_version).filter(|version| !version.is_empty() && version != "UNKNOWN"),
            device: None,
        };
        if !is_browser(text) {
            (parts.name, parts.version) = product(text);
        }
        if let Some(device @ ("iPhone" | "iPad" | "iPod")) = parts.system {
            (parts.system, parts.device) = (Some("iOS"), Some(device));
        }
        parts
    }

    fn members<'a>(&self, arena: &'a Arena) -> &'a [Member<'a>] {
        let mut out = Members::new(arena);
        out.text("name", self.name);
        out.text("version", self.version);
        let mut system = Members::new(arena);
        system.text("name", self.system);
        system.text("version", self.system_version.as_deref());
        out.object("os", system);
        let mut device = Members::new(arena);
        device.text("name", self.device);
        out.object("device", device);
        out.finish()
    }
}

/// What of a user agent's text is quoted from it as it stands there, where this tells more than which browser of which
/// version it is: what the program of the text's author calls itself.
pub fn quotes(text: &str) -> impl Iterator<Item = &str> {
    let (name, version) = if is_browser(text) {
        let version = Parts::of(text).version;
        (None, version.filter(|version| version.bytes().any(|byte| !matches!(byte, b'0'..=b'9' | b'.' | b'_'))))
    } else {
        product(text)
    };
    name.into_iter().chain(version)
}

/// Only browsers hide behind the name of another one. Whatever else asks an API says its own first.
fn is_browser(text: &str) -> bool {
    text.starts_with("Mozilla/") || text.starts_with("Opera/")
}

/// The first product of a text such as `curl/8.5.0 (x86_64)`, as HTTP writes them.
fn product(text: &str) -> (Option<&str>, Option<&str>) {
    let first = text.split([' ', '(', ';', ',']).next().unwrap_or_default();
    let mut parts = first.split('/');
    let (name, version) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let known = |part: &'_ str| !part.is_empty() && part != "-";
    (Some(name).filter(|name| known(name)), Some(version).filter(|version| known(version)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::{apply, apply_json, ecs, valid_ocsf};
    use super::*;

    fn members(text: &str) -> serde_json::Value {
        let arena = Arena::new();
        let members = Value::Object(Parts::of(text).members(&arena));
        serde_json::from_str(&crate::event::json::to_string(&members)).unwrap()
    }

    #[test]
    fn browsers_and_tools_are_told_apart() {
        let cases = [
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 \
                 Safari/537.36 Edg/131.0.2903.86",
                json!({ "name": "Edge", "version": "131.0.2903.86", "os": { "name": "Windows 10", "version": "NT 10.0" } }),
            ),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 \
                 Safari/605.1.15",
                json!({ "name": "Safari", "version": "18.1", "os": { "name": "Mac OSX", "version": "10.15.7" } }),
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                 Version/17.5 Mobile/15E148 Safari/604.1",
                json!({
                    "name": "Safari", "version": "17.5", "os": { "name": "iOS", "version": "17.5" },
                    "device": { "name": "iPhone" },
                }),
            ),
            ("curl/8.5.0", json!({ "name": "curl", "version": "8.5.0" })),
            ("python-requests/2.31.0", json!({ "name": "python-requests", "version": "2.31.0" })),
            (
                "aws-cli/2.15.0 Python/3.11.6 Linux/6.5 exe/x86_64",
                json!({ "name": "aws-cli", "version": "2.15.0", "os": { "name": "Linux" } }),
            ),
            ("-", json!({})),
            ("", json!({})),
        ];
        for (text, expected) in cases {
            assert_eq!(members(text), expected, "{text}");
        }
    }

    #[test]
    fn ocsf_has_it_among_its_enrichments() {
        let event = valid_ocsf(Agent::new(None));
        let firefox = json!({ "name": "Firefox", "version": "128.0", "os": { "name": "Linux" } });
        assert_eq!(event["enrichments"][0]["data"], firefox);
        assert_eq!(event["enrichments"][0]["name"], "http_request.user_agent");
        assert_eq!(event["enrichments"][0]["value"], event["http_request"]["user_agent"]);
    }

    #[test]
    fn ecs_has_it_beside_the_text() {
        let mut before = ecs();
        before["user_agent"]["version"] = "said before".into();
        let event = apply_json(Agent::new(None), &before);
        let expected = json!({
            "original": before["user_agent"]["original"], "version": "said before", "name": "Firefox",
            "os": { "name": "Linux" },
        });
        assert_eq!(event["user_agent"], expected);
        assert_eq!(event.get("enrichments"), None);
    }

    #[test]
    fn an_envelope_is_looked_at_where_the_operator_says() {
        let body = r#"{"id":"r-1","record":{"ua":"curl/8.5.0"}}"#;
        assert_eq!(apply(Agent::new(None), body), body);
        let own = Agent::new(Some(Spots::own(vec!["record.none".parse().unwrap(), "record.ua".parse().unwrap()])));
        let expected = r#""enrichments":[{"name":"record.ua","value":"curl/8.5.0","type":"user_agent","provider":"woothee","data":{"name":"curl","version":"8.5.0"}}]}"#;
        assert!(apply(own, body).ends_with(expected));
    }
}
