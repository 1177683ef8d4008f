//! Addresses and names of machines, in the many ways in which events write them.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

use ipnet::{IpNet, Ipv4Net};
use prefix_trie::joint::JointPrefixMap;

use super::names::Names;

/// No name of a machine is longer.
const LONGEST_NAME: usize = 253;

/// The address that a text is: alone, with a port, or in brackets. An IPv4 address in IPv6 clothes is the IPv4 address.
pub fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let unscoped = bare.split_once('%').map_or(bare, |(address, _)| address);
    let parsed = unscoped.parse().or_else(|_| text.parse().map(|with_port: SocketAddr| with_port.ip()));
    parsed.ok().map(|address: IpAddr| address.to_canonical())
}

/// The network that a text is, or that of one address alone. Bits behind the prefix do not count.
pub fn network(text: &str) -> Option<IpNet> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(IpNet::from(address.to_canonical()));
    }
    let network: IpNet = text.parse().ok()?;
    let IpNet::V6(wide) = network else { return Some(network.trunc()) };
    let mapped = wide.addr().to_ipv4_mapped().zip(wide.prefix_len().checked_sub(96));
    Some(match mapped {
        Some((address, prefix)) => IpNet::V4(Ipv4Net::new_assert(address, prefix).trunc()),
        None => network.trunc(),
    })
}

/// The name of the machine in a text: a name, an e-mail address, a URL; lower case, without port and final dot.
pub fn host(text: &str) -> Option<Cow<'_, str>> {
    let text = text.trim();
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = match host.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => host,
    };
    name(host)
}

/// A name as it is compared: lower case, in ASCII, without final dot.
pub fn name(text: &str) -> Option<Cow<'_, str>> {
    let text = text.strip_suffix('.').unwrap_or(text);
    if text.is_empty() || text.len() > LONGEST_NAME {
        return None;
    }
    if !text.is_ascii() {
        return match url::Host::parse(text).ok()? {
            url::Host::Domain(domain) => Some(Cow::Owned(domain)),
            _ => None,
        };
    }
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if !text.bytes().all(is_plain) || text.split('.').any(str::is_empty) {
        return None;
    }
    Some(match text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        true => Cow::Owned(text.to_ascii_lowercase()),
        false => Cow::Borrowed(text),
    })
}

/// Networks, each with a value.
#[derive(Debug, Default)]
pub struct Networks(JointPrefixMap<IpNet, u32>);

impl Networks {
    /// Adds a network; the value it had, if it was there.
    pub fn add(&mut self, network: IpNet, value: u32) -> Option<u32> {
        self.0.insert(network, value)
    }

    /// The longest of the networks that an address is in.
    pub fn find(&self, address: IpAddr) -> Option<(IpNet, u32)> {
        self.0.get_lpm(&IpNet::from(address)).map(|(network, value)| (network, *value))
    }
}

/// The longest of the names that `host` is or stands under: `corp.example` for `mail.corp.example`.
pub fn longest_suffix(names: &Names, host: &str) -> Option<u32> {
    let mut suffix = host;
    loop {
        if let Some(number) = names.find(suffix) {
            return Some(number);
        }
        suffix = suffix.split_once('.')?.1;
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_address_is_found_in_all_its_clothes() {
        let (four, six) = ("192.0.2.7".parse::<IpAddr>().unwrap(), "2001:db8::7".parse::<IpAddr>().unwrap());
        for text in ["192.0.2.7", " 192.0.2.7 ", "192.0.2.7:443", "::ffff:192.0.2.7", "[::ffff:c000:207]:1"] {
            assert_eq!(address(text), Some(four), "{text}");
        }
        for text in ["2001:db8::7", "[2001:DB8::7]", "[2001:db8::7]:443", "2001:db8::7%eth0"] {
            assert_eq!(address(text), Some(six), "{text}");
        }
        for text in ["", "192.0.2", "192.0.2.7/24", "192.0.2.007", "example.com", "1", "::1::"] {
            assert_eq!(address(text), None, "{text}");
        }
    }

    #[test]
    fn a_network_loses_the_bits_behind_its_prefix() {
        let cases = [
            ("192.0.2.7/24", "192.0.2.0/24"),
            ("192.0.2.7", "192.0.2.7/32"),
            ("2001:db8::7/32", "2001:db8::/32"),
            ("::ffff:192.0.2.7/120", "192.0.2.0/24"),
            ("::ffff:192.0.2.7", "192.0.2.7/32"),
        ];
        for (text, expected) in cases {
            assert_eq!(network(text).map(|network| network.to_string()).as_deref(), Some(expected), "{text}");
        }
        for text in ["192.0.2.0/33", "192.0.2.0/", "corp.example", ""] {
            assert_eq!(network(text), None, "{text}");
        }
    }

    #[test]
    fn a_host_is_found_in_names_addresses_and_urls() {
        let same = [
            "mail.corp.example",
            "Mail.Corp.Example.",
            "anna@mail.corp.example",
            "\"a@b\"@mail.corp.example",
            "mailto:anna@mail.corp.example",
            "https://mail.corp.example/path?q=https://evil.example",
            "https://user:word@mail.corp.example:8443#x",
            "mail.corp.example:443",
        ];
        for text in same {
            assert_eq!(host(text).as_deref(), Some("mail.corp.example"), "{text}");
        }
        assert_eq!(host("anna@bücher.example").as_deref(), Some("xn--bcher-kva.example"));
        for text in ["", "anna@", "a b.example", "https://", "..", "a..b", "[2001:db8::7]:443"] {
            assert_eq!(host(text), None, "{text}");
        }
        assert_eq!(host(&"a.".repeat(200)), None);
    }

    proptest! {
        #[test]
        fn the_longest_prefix_wins(
            networks in prop::collection::vec((0_u32..64, 20_u8..=32), 0..40),
            addresses in prop::collection::vec(0_u32..64, 1..20),
        ) {
            let base = u32::from(Ipv4Addr::new(192, 0, 2, 0));
            // The same networks as IPv4, and far from them as IPv6.
            for is_six in [false, true] {
                let address = |low: u32| match is_six {
                    false => IpAddr::from(Ipv4Addr::from(base + low)),
                    true => IpAddr::from(std::net::Ipv6Addr::from((0x2001_0db8_u128 << 96) + u128::from(low))),
                };
                let network = |low: u32, length: u8| {
                    let length = if is_six { length + 96 } else { length };
                    IpNet::new(address(low), length).unwrap().trunc()
                };
                let mut trie = Networks::default();
                let mut naive: Vec<(IpNet, u32)> = Vec::new();
                for (value, (low, length)) in networks.iter().enumerate() {
                    let (network, value) = (network(*low, *length), value as u32);
                    trie.add(network, value);
                    naive.retain(|(known, _)| *known != network);
                    naive.push((network, value));
                }
                for low in &addresses {
                    let address = address(*low);
                    let expected = naive.iter().filter(|(network, _)| network.contains(&address));
                    let expected = expected.max_by_key(|(network, _)| network.prefix_len()).copied();
                    prop_assert_eq!(trie.find(address), expected);
                }
            }
        }

        #[test]
        fn the_longest_suffix_wins_and_ends_at_a_label(
            suffixes in prop::collection::vec("[ab]{1,2}(\\.[ab]{1,2}){0,3}", 0..12),
            hosts in prop::collection::vec("[ab]{1,2}(\\.[ab]{1,2}){0,4}", 1..12),
        ) {
            let mut names = Names::default();
            for suffix in &suffixes {
                names.add(suffix).unwrap();
            }
            for host in &hosts {
                let is_under = |suffix: &&String| *suffix == host || host.ends_with(&format!(".{suffix}"));
                let expected = suffixes.iter().filter(is_under).max_by_key(|suffix| suffix.len()).map(String::as_str);
                prop_assert_eq!(longest_suffix(&names, host).map(|number| names.get(number)), expected);
            }
        }
    }
}
