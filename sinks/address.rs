//! `host:port`, checked when the configuration is read.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// Where a server listens: a name or an IP address, and a port.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    /// A name or an IP address, IPv6 without its brackets.
    pub host: String,
    /// 1 to 65535.
    pub port: u16,
}

/// Why a text is not an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected `host:port`, found `{0}`")]
pub struct AddressError(String);

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let wrong = || AddressError(text.to_owned());
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let port = port.parse().map_err(|_| wrong())?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let named = |host: &str| {
            !host.is_empty() && host.chars().all(|char| char.is_ascii_graphic() && !"/:@,[]".contains(char))
        };
        let valid = match bare {
            Some(ip) => ip.parse::<std::net::Ipv6Addr>().is_ok(),
            None => named(host),
        };
        if !valid || port == 0 {
            return Err(wrong());
        }
        Ok(Self { host: bare.unwrap_or(host).to_owned(), port })
    }
}

/// Whether `host` is this machine itself, so that nothing said to it can be overheard.
#[must_use]
pub fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_names_and_both_kinds_of_ip() {
        for text in ["kafka-1:9093", "192.0.2.7:514", "[2001:db8::7]:6514"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn refuses_what_is_not_host_and_port() {
        for text in
            ["kafka", "kafka:", ":9092", "kafka:0", "kafka:70000", "a b:1", "tcp://a:1", "::1:5", "[x]:1", "a,b:1"]
        {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }

    #[test]
    fn knows_the_loopback() {
        assert!(is_loopback("localhost") && is_loopback("127.0.0.9") && is_loopback("[::1]"));
        assert!(!is_loopback("192.0.2.7") && !is_loopback("localhost.example.com"));
    }
}
