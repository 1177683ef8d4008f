//! One test of what stands at a place.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};

use super::critic::{Critic, suggest};
use super::words::{Pattern, Words, word};
use crate::document::{Node, did_you_mean};
use crate::event::Value;

/// The tests that are written as a table, by their only key.
const NAMES: [&str; 4] = ["exists", "not", "prefix", "cidr"];

/// Tests of other languages, and what is written here in their place. Taken for the rest of a path, one of them would ask for
/// what no event has.
const FOREIGN: [(&[&str], &str); 7] = [
    (&["equals", "eq", "is"], "write the word itself: `\"login\"`"),
    (&["in", "any", "any_of", "one_of"], "write a list of words: `[\"login\", \"logout\"]`"),
    (&["ne", "not_in", "not_equals"], "write `{ not = \"login\" }`"),
    (&["contains", "includes"], "write `\"*login*\"`"),
    (&["suffix", "ends_with", "endswith"], "write `\"*login\"`"),
    (
        &["regex", "regexp", "matches", "like", "glob"],
        "write a word that begins or ends with `*`, or a list of such words",
    ),
    (&["gt", "lt", "gte", "lte"], "write the numbers that fit as a list: `[401, 403]`"),
];

#[derive(Debug)]
pub(super) enum Test {
    OneOf(Words<()>),
    Within(Vec<IpNet>),
    Exists(bool),
    Not(Box<Test>),
}

/// Whether a table is a test, and not the rest of a path: a key that is nearly a test's name was probably meant to be one, and
/// so was one that is a test elsewhere.
pub(super) fn is_meant(table: &Node) -> bool {
    let mut keys = table.as_table().into_iter().flatten();
    keys.any(|(key, _)| did_you_mean(key, NAMES).is_some() || in_place_of(key).is_some())
}

/// What is written here in the place of another language's test.
fn in_place_of(name: &str) -> Option<&'static str> {
    FOREIGN.iter().find(|(names, _)| names.contains(&name)).map(|(_, hint)| *hint)
}

impl Test {
    pub(super) fn holds(&self, value: Value) -> bool {
        match self {
            Self::OneOf(words) => word(value).is_some_and(|word| words.get(word).is_some()),
            Self::Within(networks) => {
                let address = word(value).and_then(address);
                address.is_some_and(|address| networks.iter().any(|network| network.contains(&address)))
            }
            Self::Exists(wanted) => *wanted != value.is_empty(),
            Self::Not(test) => !test.holds(value),
        }
    }

    /// Reads the test of `path`.
    pub(super) fn read(node: &Node, path: &str, critic: Critic) -> Option<Self> {
        let Some(mut entries) = node.as_table() else { return words(node, critic).map(Self::OneOf) };
        let Some((name, inner)) = entries.next() else {
            critic.error(&node.head(), "there is no test here", None);
            return None;
        };
        if let Some((other, _)) = entries.next() {
            let hint = format!("leave `{name}` or `{other}`; what must hold beside it is another table or another key");
            critic.error(&other.place, "there are several tests here", Some(hint));
            return None;
        }
        match name.value.as_str() {
            "exists" => exists(inner, critic).map(Self::Exists),
            "not" => Self::read(inner, path, critic).map(|test| Self::Not(Box::new(test))),
            "prefix" => prefixes(inner, critic).map(Self::OneOf),
            "cidr" => networks(inner, critic).map(Self::Within),
            unknown => {
                let nearest = in_place_of(unknown).map_or_else(|| suggest(name, &NAMES, "tests"), str::to_owned);
                let hint = format!("{nearest} (a path of that name is written in quotes: `\"{path}.{unknown}\"`)");
                critic.error(&name.place, format!("unknown test `{unknown}`"), Some(hint));
                None
            }
        }
    }
}

/// How many words of a list are told.
const MOST_TOLD: usize = 3;

/// A test in short, for people.
pub(super) fn described(node: &Node) -> String {
    if let Some(items) = node.as_array() {
        let told: Vec<String> = items.iter().take(MOST_TOLD).map(described).collect();
        return told.join(", ") + if items.len() > MOST_TOLD { ", …" } else { "" };
    }
    if let Some(entries) = node.as_table() {
        let told: Vec<String> = entries.map(|(name, inner)| format!("{} {}", name.value, described(inner))).collect();
        return told.join(" ");
    }
    node.as_str().map_or_else(|| node.to_json().to_string(), ToOwned::to_owned)
}

fn exists(node: &Node, critic: Critic) -> Option<bool> {
    let wanted = node.as_bool();
    if wanted.is_none() {
        critic.error(&node.place(), format!("expected `true` or `false`, found {}", node.kind()), None);
    }
    wanted
}

/// The items of a list, or the one value that is none. Reports a list that is empty.
fn items<'n>(node: &'n Node, noun: &str, critic: Critic) -> Option<&'n [Node]> {
    let items = node.as_array().unwrap_or(std::slice::from_ref(node));
    if items.is_empty() {
        critic.error(&node.place(), format!("there is no {noun} in this list"), None);
        return None;
    }
    Some(items)
}

fn words(node: &Node, critic: Critic) -> Option<Words<()>> {
    let mut entries = Vec::new();
    for node in items(node, "word", critic)? {
        let text = match (node.as_str(), node.as_integer(), node.as_bool()) {
            (Some(text), _, _) => text.to_owned(),
            (_, Some(number), _) => number.to_string(),
            (_, _, Some(flag)) => flag.to_string(),
            _ => {
                critic.error(&node.place(), format!("expected a word or a list of words, found {}", node.kind()), None);
                return None;
            }
        };
        if text.is_empty() {
            let hint = "to ask whether there is nothing, write `{ exists = false }`".to_owned();
            critic.error(&node.place(), "an empty text is no word, and nothing fulfils it", Some(hint));
            return None;
        }
        if text.contains('/') && text.parse::<IpNet>().is_ok() {
            let hint = format!("for the addresses of a network, write `{{ cidr = \"{text}\" }}`");
            critic.warn(&node.place(), format!("`{text}` is taken as a word, which no address is"), hint);
        }
        entries.push((Pattern::understand(&text, &node.place(), critic)?, ()));
    }
    Some(Words::new(entries))
}

fn prefixes(node: &Node, critic: Critic) -> Option<Words<()>> {
    let mut entries = Vec::new();
    for node in items(node, "text", critic)? {
        let Some(text) = node.as_str() else {
            critic.error(&node.place(), format!("expected a text or a list of texts, found {}", node.kind()), None);
            return None;
        };
        if text.is_empty() {
            let hint = "to ask whether there is anything, write `{ exists = true }`".to_owned();
            critic.error(&node.place(), "every text begins with nothing", Some(hint));
            return None;
        }
        entries.push((Pattern::Prefix(text.to_owned()), ()));
    }
    Some(Words::new(entries))
}

fn networks(node: &Node, critic: Critic) -> Option<Vec<IpNet>> {
    let network = |node: &Node| {
        let Some(text) = node.as_str() else {
            let message = format!("expected a network or a list of networks, found {}", node.kind());
            critic.error(&node.place(), message, None);
            return None;
        };
        let parsed = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
        let Some(network) = parsed else {
            let hint = "write `10.0.0.0/8`, `2001:db8::/32` or a single address".to_owned();
            critic.error(&node.place(), format!("`{text}` is no network"), Some(hint));
            return None;
        };
        if network.addr() != network.network() {
            let hint = format!("did you mean `{}` or `{}`?", network.trunc(), network.addr());
            critic.error(&node.place(), format!("`{text}` names an address and not a network"), Some(hint));
            return None;
        }
        Some(unmapped(network))
    };
    // All of them are looked at before the first that failed counts.
    let networks: Vec<_> = items(node, "network", critic)?.iter().map(network).collect();
    networks.into_iter().collect()
}

/// A network of IPv4 addresses that is written as one of IPv6 (`::ffff:10.0.0.0/104`) is one of IPv4.
fn unmapped(network: IpNet) -> IpNet {
    let IpNet::V6(mapped) = network else { return network };
    let v4 = mapped.addr().to_ipv4_mapped().zip(mapped.prefix_len().checked_sub(96));
    v4.and_then(|(address, length)| Ipv4Net::new(address, length).ok()).map_or(network, IpNet::V4)
}

/// The address that a text is. The zone of `fe80::1%eth0` says nothing of the network.
fn address(text: &str) -> Option<IpAddr> {
    let (address, zone) = text.split_once('%').map_or((text, None), |(address, zone)| (address, Some(zone)));
    let address: IpAddr = address.parse().ok()?;
    match zone {
        Some(zone) if zone.is_empty() || address.is_ipv4() => None,
        _ => Some(address.to_canonical()),
    }
}
