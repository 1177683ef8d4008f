//! The credentials of the proxies that stand in the environment.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use url::Url;

/// Where `reqwest` looks for them.
const VARIABLES: [&str; 6] = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];

/// What a person can do about a 407.
pub(super) const HINT: &str = "put the proxy's user and password into its URL in the environment, with what no URL can hold \
                               percent-encoded: `https_proxy=http://user:password@host:port`";

/// What a proxy may repeat when it refuses us, and nobody is to read.
pub(super) fn secrets(variable: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let mut secrets = Vec::new();
    for text in VARIABLES.into_iter().filter_map(variable) {
        // Without a scheme it is `http`.
        let with_scheme = if text.contains("://") { text } else { format!("http://{text}") };
        let Ok(url) = Url::parse(&with_scheme) else { continue };
        let (user, password) = (plain(url.username()), plain(url.password().unwrap_or_default()));
        secrets.push(BASE64_STANDARD.encode(format!("{user}:{password}")));
        match url.password() {
            Some(written) => secrets.extend([written.to_owned(), password]),
            // A token in the place of a name.
            None => secrets.extend([url.username().to_owned(), user]),
        }
    }
    secrets.retain(|secret| !matches!(secret.as_str(), "" | "Og=="));
    secrets
}

/// The text without its percent-encoding.
fn plain(text: &str) -> String {
    let query = format!("x={}", text.replace('+', "%2B"));
    url::form_urlencoded::parse(query.as_bytes()).map(|(_, value)| value.into_owned()).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_found_however_they_are_written() {
        let of = |text: &str| secrets(|name| (name == "https_proxy").then(|| text.to_owned()));
        assert_eq!(of("http://me:p%40ss+1@proxy:3128"), ["bWU6cEBzcysx", "p%40ss+1", "p@ss+1"]);
        assert_eq!(of("me:secret@proxy:3128"), ["bWU6c2VjcmV0", "secret", "secret"]);
        assert_eq!(of("http://token@proxy:3128"), ["dG9rZW46", "token", "token"]);
        for nothing in ["", "http://proxy:3128", "proxy", "::"] {
            assert_eq!(of(nothing), [""; 0], "{nothing}");
        }
    }
}
