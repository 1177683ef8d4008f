//! `threat_intel`: whether an address or a domain in the event stands on a list.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::sync::Arc;

use ipnet::IpNet;

use super::super::Watched;
use super::Kind;
use super::draft::{Draft, Finding, Form};
use super::hosts::{self, Networks};
use super::kept::{Content, Kept, Tally, Unread};
use super::names::Names;
use super::spots::Spots;
use crate::event::{Arena, Member, Value};

/// Where OCSF and ECS have addresses and domains.
const OCSF: [&str; 9] = [
    "src_endpoint.ip",
    "dst_endpoint.ip",
    "device.ip",
    "http_request.x_forwarded_for",
    "src_endpoint.hostname",
    "src_endpoint.domain",
    "http_request.url.hostname",
    "actor.user.email_addr",
    "user.email_addr",
];
const ECS: [&str; 11] = [
    "source.ip",
    "destination.ip",
    "client.ip",
    "host.ip",
    "source.domain",
    "destination.domain",
    "client.domain",
    "url.domain",
    "user.email",
    "user.target.email",
    "user.effective.email",
];

/// The addresses, networks and domains of a list.
#[derive(Debug, Default)]
pub struct Indicators {
    networks: Networks,
    domains: Names,
}

impl Indicators {
    /// Reads a list: an address, a network or a domain on each line, and comments behind `#` or `;`.
    ///
    /// A line that is none of them is passed over: a list is somebody else's, and the rest of it still counts.
    ///
    /// # Errors
    /// Why it is no such list.
    pub fn read(path: &Path) -> Result<Content<Self>, Unread> {
        let mut reader = BufReader::new(File::open(path)?);
        let (mut list, mut odd, mut line, mut number, mut entries) =
            (Self::default(), Tally::default(), Vec::new(), 0, 0);
        while reader.read_until(b'\n', &mut line)? > 0 {
            number += 1;
            let text = String::from_utf8_lossy(&line);
            let text = text.trim_start_matches('\u{feff}').split(['#', ';']).next().unwrap_or_default().trim();
            match text.is_empty() || list.add(text) {
                true => entries += usize::from(!text.is_empty()),
                false => odd.note(number),
            }
            line.clear();
        }
        let wrong = |line, reason: &str| {
            let hint = "a list has an address, a network or a domain on each line, and comments behind `#`";
            Err(Unread::Wrong { line, reason: reason.to_owned(), hint })
        };
        if number == 0 {
            return wrong(None, "it is empty");
        }
        if let Some(first) = odd.first().filter(|_| entries == 0) {
            return wrong(Some(first), "this is no address, no network and no domain, and nor is any other line");
        }
        list.domains.shrink();
        let odd = odd.told("is no address, no network and no domain, and is passed over");
        let empty = (entries == 0).then(|| "there is nothing on the list".to_owned());
        let passed_over = odd.into_iter().chain(empty).collect();
        Ok(Content { value: list, entries: Some(entries), passed_over })
    }

    fn add(&mut self, text: &str) -> bool {
        if let Some(network) = hosts::network(text) {
            self.networks.add(network, 0);
            return true;
        }
        let text = text.strip_prefix("*.").or(text.strip_prefix('.')).unwrap_or(text);
        // A name without a dot is a word that strayed here, and one of digits a broken address.
        let is_domain = |name: &str| name.contains('.') && name.bytes().any(|byte| byte.is_ascii_alphabetic());
        hosts::name(text).is_some_and(|name| is_domain(&name) && self.domains.add(&name).is_some())
    }

    /// What on the list a value is, is in, or stands under.
    fn find(&self, text: &str) -> Option<Indicator<'_>> {
        let host = || hosts::host(text);
        let address = hosts::address(text).or_else(|| hosts::address(&host()?));
        match address {
            Some(address) => self.networks.find(address).map(|(network, _)| Indicator::Network(network)),
            None => Some(Indicator::Domain(self.domains.get(hosts::longest_suffix(&self.domains, &host()?)?))),
        }
    }
}

/// An entry of a list.
enum Indicator<'l> {
    Network(IpNet),
    Domain(&'l str),
}

impl Indicator<'_> {
    /// What STIX calls it, and ECS after it.
    fn kind(&self) -> &'static str {
        match self {
            Self::Network(IpNet::V4(_)) => "ipv4-addr",
            Self::Network(IpNet::V6(_)) => "ipv6-addr",
            Self::Domain(_) => "domain-name",
        }
    }

    fn text<'a>(&self, arena: &'a Arena) -> &'a str {
        match self {
            Self::Network(network) if network.prefix_len() == network.max_prefix_len() => {
                bumpalo::format!(in arena, "{}", network.addr()).into_bump_str()
            }
            Self::Network(network) => bumpalo::format!(in arena, "{}", network).into_bump_str(),
            Self::Domain(domain) => arena.alloc_str(domain),
        }
    }

    /// As ECS has it.
    fn ecs<'a>(&self, provider: &'a str, arena: &'a Arena) -> Value<'a> {
        let text = Value::String(self.text(arena));
        let mut members = bumpalo::vec![in arena;
            Member::new("type", Value::String(self.kind())),
            Member::new("name", text),
            Member::new("provider", Value::String(provider)),
        ];
        match self {
            Self::Network(network) if network.prefix_len() == network.max_prefix_len() => {
                members.push(Member::new("ip", text));
            }
            Self::Network(_) => {}
            Self::Domain(_) => {
                members.push(Member::new("url", Value::Object(arena.alloc([Member::new("domain", text)]))));
            }
        }
        Value::Object(members.into_bump_slice())
    }
}

/// Marks events with something in them that stands on a list.
pub struct Intel {
    list: Arc<Kept<Indicators>>,
    name: String,
    label: String,
    from: Spots,
}

impl Intel {
    /// A list that is called `name`. Looks at what stands there; without places, wherever addresses and domains stand.
    #[must_use]
    pub fn new(list: Arc<Kept<Indicators>>, name: String, from: Option<Spots>) -> Self {
        let label = format!("threat_intel:{name}");
        Self { list, name, label, from: from.unwrap_or_else(|| Spots::usual(&OCSF, &ECS)) }
    }
}

impl Kind for Intel {
    fn add<'a>(&self, body: Value<'a>, draft: &mut Draft<'a>) {
        let (list, arena) = (self.list.now(), draft.arena);
        for (spot, value) in self.from.texts(draft.form, body) {
            let Some(indicator) = list.find(value) else { continue };
            draft.label(&self.label);
            let name = &spot.name;
            if draft.form == Form::Ecs {
                let matched = arena.alloc([
                    Member::new("atomic", Value::String(value)),
                    Member::new("field", Value::String(arena.alloc_str(name))),
                ]);
                let indicator = indicator.ecs(arena.alloc_str(&self.name), arena);
                let matched = Member::new("matched", Value::Object(matched));
                draft.threat(arena.alloc([Member::new("indicator", indicator), matched]));
            } else {
                let data = arena.alloc([
                    Member::new("indicator", Value::String(indicator.text(arena))),
                    Member::new("indicator_type", Value::String(indicator.kind())),
                ]);
                draft.enrichment(&Finding { name, value, kind: "threat_intel", provider: &self.name, data });
            }
        }
    }

    fn watched(&self) -> Option<Arc<dyn Watched>> {
        Some(Arc::clone(&self.list) as _)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::{apply, apply_json, ecs, kept, valid_ocsf};
    use super::*;

    const LIST: &str = "\u{feff}# bad ones\r\n198.51.100.0/24 # a net\n203.0.113.9;SBL1\n\n.Corp.example\n*.evil.example\n\
        2001:db8:bad::/48\n";

    fn intel(from: &[&str]) -> Intel {
        let (list, passed_over) = kept(LIST, Box::new(Indicators::read));
        assert_eq!(passed_over, [""; 0]);
        let from = (!from.is_empty()).then(|| Spots::own(from.iter().map(|path| path.parse().unwrap()).collect()));
        Intel::new(Arc::new(list), "feed-x".to_owned(), from)
    }

    #[test]
    fn ocsf_has_a_label_and_what_was_hit() {
        let event = valid_ocsf(intel(&[]));
        assert_eq!(event["metadata"]["labels"], json!(["threat_intel:feed-x"]));
        let expected = json!([
            {
                "name": "src_endpoint.ip", "value": "198.51.100.7", "type": "threat_intel", "provider": "feed-x",
                "data": { "indicator": "198.51.100.0/24", "indicator_type": "ipv4-addr" },
            },
            {
                "name": "actor.user.email_addr", "value": "Anna@mail.corp.example", "type": "threat_intel",
                "provider": "feed-x", "data": { "indicator": "corp.example", "indicator_type": "domain-name" },
            },
        ]);
        assert_eq!(event["enrichments"], expected);
    }

    #[test]
    fn ecs_has_a_tag_and_its_own_list() {
        let mut before = ecs();
        before["source"]["ip"] = "203.0.113.9".into();
        let event = apply_json(intel(&[]), &before);
        assert_eq!(event["tags"], json!(["threat_intel:feed-x"]));
        let expected = json!([
            {
                "indicator": { "type": "ipv4-addr", "name": "203.0.113.9", "provider": "feed-x", "ip": "203.0.113.9" },
                "matched": { "atomic": "203.0.113.9", "field": "source.ip" },
            },
            {
                "indicator": {
                    "type": "domain-name", "name": "corp.example", "provider": "feed-x",
                    "url": { "domain": "corp.example" },
                },
                "matched": { "atomic": "Anna@mail.corp.example", "field": "user.email" },
            },
        ]);
        assert_eq!(event["threat"]["enrichments"], expected);
        assert_eq!(event.get("enrichments"), None);
    }

    #[test]
    fn ecs_is_searched_for_the_users_that_somebody_acts_upon() {
        for part in ["target", "effective"] {
            let mut before = ecs();
            before["user"] = json!({ part: { "email": "eve@evil.example" } });
            let event = apply_json(intel(&[]), &before);
            let field = format!("user.{part}.email");
            let found = event["threat"]["enrichments"].as_array().unwrap().iter();
            assert!(found.clone().any(|hit| hit["matched"]["field"] == field.as_str()), "{event:#}");
        }
    }

    #[test]
    fn addresses_and_domains_are_found_in_whatever_holds_them() {
        let hits = [
            "203.0.113.9",
            "::ffff:203.0.113.9",
            "https://203.0.113.9/x",
            "2001:db8:bad::1",
            "x@evil.example",
            "https://a.EVIL.example:8443/p",
            "evil.example",
        ];
        let misses = ["203.0.113.8", "notevil.example", "evil.example.com", "no host", "", "example"];
        for text in hits.into_iter().chain(misses) {
            let found = apply(intel(&["at"]), &json!({ "at": text }).to_string());
            assert_eq!(found.contains("\"labels\":[\"threat_intel:feed-x\"]"), hits.contains(&text), "{found}");
        }
    }

    #[test]
    fn odd_lines_are_told_and_a_file_of_nothing_else_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let read = |text: &[u8]| {
            let path = folder.path().join("list");
            std::fs::write(&path, text).unwrap();
            Indicators::read(&path)
                .map(|content| (content.entries, content.passed_over))
                .map_err(|error| error.to_string())
        };
        let odd = "line 1 is no address, no network and no domain, and is passed over, and 2 other lines".to_owned();
        assert_eq!(read(b"domain\n192.0.2.1\n10.0.0.0/99\n0.0.0.0 evil.example\n"), Ok((Some(1), vec![odd])));
        assert_eq!(read(b"# none today\n"), Ok((Some(0), vec!["there is nothing on the list".to_owned()])));
        assert_eq!(read(b""), Err("it is empty".to_owned()));
        let none = "line 2: this is no address, no network and no domain, and nor is any other line".to_owned();
        assert_eq!(read(b"\n<html>\n\xff\n"), Err(none));
    }
}
