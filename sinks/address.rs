//! `host:port` and `https://host:port/path`, checked when the configuration is read.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use url::Url;

use crate::BuildError;

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

/// The URL of a server that speaks HTTP, `https://host:port/path`. Holds no credentials, no query and no fragment, so it
/// may be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint(Url);

/// Why a text is not an [`Endpoint`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// `https://user:password@…`. The text is not repeated.
    #[error("credentials do not belong into a URL: give them by the keys there are for them")]
    Credentials,
    /// Something follows the path. It may be a token, so the text is not repeated.
    #[error("this URL ends in a query or a fragment: give its part before `?` and `#`")]
    Query,
    /// Not a URL, or of another kind.
    #[error("expected a URL such as `https://siem.example.com:8443`, found `{0}`")]
    Other(String),
}

impl Endpoint {
    /// The URL itself.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.0
    }

    /// The URL of `path`, which begins with a slash, below this one: a proxy may have put the server into a folder.
    #[must_use]
    pub fn below(&self, path: &str) -> Url {
        let mut url = self.0.clone();
        let folder = url.path().trim_end_matches('/').to_owned();
        url.set_path(&(folder + path));
        url
    }

    /// Refuses, under the name of its `key`, what would carry the logs unencrypted to another machine.
    pub fn keep_private(&self, key: &str, allow_http: bool) -> Result<(), BuildError> {
        keep_private(&self.0, self.0.as_str(), key, allow_http)
    }
}

/// [`Endpoint::keep_private`] for a URL that is more than an endpoint, and how it is printed.
pub(crate) fn keep_private(url: &Url, printed: &str, key: &str, allow_http: bool) -> Result<(), BuildError> {
    let host = url.host_str().unwrap_or_default();
    if url.scheme() == "https" || allow_http || is_loopback(host) {
        return Ok(());
    }
    Err(BuildError::new(
        key,
        format!("`{printed}` would carry the logs unencrypted to another machine"),
        "use `https://`, or set `allow_http = true` where the network itself is trusted",
    ))
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        match Url::parse(text) {
            Ok(url) if !url.username().is_empty() || url.password().is_some() => Err(EndpointError::Credentials),
            Ok(url) if url.query().is_some() || url.fragment().is_some() => Err(EndpointError::Query),
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(Self(url)),
            // What is no URL to the parser may still hold a password: `user:pass@host`.
            _ if text.contains('@') => Err(EndpointError::Credentials),
            _ => Err(EndpointError::Other(text.to_owned())),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<'de> Deserialize<'de> for Endpoint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(text: &str) -> Endpoint {
        text.parse().unwrap()
    }

    #[test]
    fn an_endpoint_is_a_url_that_holds_no_secret() {
        assert_eq!(endpoint("https://siem.example.com:8443/").to_string(), "https://siem.example.com:8443");
        for text in ["siem:9000", "ftp://a", "https://", "https://user:hunter2@a", "hunter2@a", "https://a/?k=hunter2"]
        {
            let error = text.parse::<Endpoint>().unwrap_err();
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_path_goes_below_the_one_there_is() {
        for (base, url) in [
            ("https://a", "https://a/v1/logs"),
            ("https://a/", "https://a/v1/logs"),
            ("https://a:1/otlp/", "https://a:1/otlp/v1/logs"),
        ] {
            assert_eq!(endpoint(base).below("/v1/logs").as_str(), url);
        }
    }

    #[test]
    fn plain_http_stays_on_this_machine() {
        for text in ["http://127.0.0.1:1", "http://[::1]", "http://localhost:80", "https://siem.example.com"] {
            assert!(endpoint(text).keep_private("url", false).is_ok(), "{text}");
        }
        let remote = endpoint("http://siem.example.com");
        let error = remote.keep_private("url", false).unwrap_err();
        assert_eq!(error.key, "url");
        assert!(error.hint.contains("allow_http"), "{}", error.hint);
        assert!(remote.keep_private("url", true).is_ok());
    }

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
