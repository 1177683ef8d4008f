//! Addresses that a vendor gives for the next page: in a `Link` header (RFC 8288), or in the answer.
//!
//! A credential is bound to its host, so an address at another one is never asked.

use reqwest::header::{HeaderMap, LINK};
use url::Url;

/// The target of the first link to the next page.
#[must_use]
pub fn next(headers: &HeaderMap) -> Option<String> {
    headers.get_all(LINK).iter().find_map(|value| next_of(&String::from_utf8_lossy(value.as_bytes())))
}

/// The address that `target`, found in the answer to a request of `page`, stands for.
///
/// # Errors
/// Names the host when it is not the origin of `base`, or what is wrong with it.
pub fn at_home(base: &Url, page: &Url, target: &str) -> Result<Url, String> {
    let mut url = page.join(target).map_err(|_| "something that is no address".to_owned())?;
    url.set_fragment(None);
    if url.origin() != base.origin() {
        return Err(url.host_str().map_or_else(|| "no host at all".to_owned(), |host| format!("`{host}`")));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("an address with a credential of its own".to_owned());
    }
    Ok(url)
}

fn next_of(header: &str) -> Option<String> {
    let mut rest = header;
    while let Some((_, after)) = rest.split_once('<') {
        let (target, after) = after.split_once('>')?;
        let (parameters, after) = parameters(after);
        rest = after;
        let value =
            |name: &str| parameters.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value);
        let leads_on =
            value("rel").is_some_and(|rel| rel.split_ascii_whitespace().any(|rel| rel.eq_ignore_ascii_case("next")));
        // With an anchor it is said of another page than this one.
        if leads_on && value("anchor").is_none() {
            return Some(target.trim().to_owned());
        }
    }
    None
}

/// The parameters of a link, and what follows it: from the comma that ends it.
fn parameters(text: &str) -> (Vec<(&str, String)>, &str) {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while let Some(after) = rest.strip_prefix(';') {
        let after = after.trim_start();
        let end = after.find(['=', ';', ',']).unwrap_or(after.len());
        let (name, after) = after.split_at(end);
        let (value, after) = match after.strip_prefix('=').map(str::trim_start) {
            Some(value) => value_of(value),
            None => (String::new(), after),
        };
        found.push((name.trim(), value));
        rest = after.trim_start();
    }
    (found, rest)
}

/// A token or a quoted string, and what follows it.
fn value_of(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([';', ',']).unwrap_or(text.len());
        return (text[..end].trim().to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut letters = quoted.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(letters.next().map(|(_, letter)| letter)),
            _ => value.push(letter),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    fn next_in(values: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(LINK, HeaderValue::from_str(value).unwrap());
        }
        next(&headers)
    }

    #[test]
    fn the_next_page_is_found_in_every_form_of_the_header() {
        let found = Some("https://api.example.com/log?after=2".to_owned());
        for values in [
            &[r#"<https://api.example.com/log?after=2>; rel="next""#][..],
            &["<https://api.example.com/log?after=2>; rel=next"],
            &["<https://api.example.com/log?after=2>;REL=\"prefetch NEXT\""],
            &["<https://api.example.com/log>; rel=\"self\"", "<https://api.example.com/log?after=2>; rel=\"next\""],
            &[r#"<https://api.example.com/log>; rel="self", <https://api.example.com/log?after=2>; rel="next""#],
            &[
                r#"<https://api.example.com/a,b;c>; title="a \"quoted\", <odd>; one"; rel="prev" , < https://api.example.com/log?after=2 > ; rel = "next" ; title=x"#,
            ],
        ] {
            assert_eq!(next_in(values), found, "{values:?}");
        }
    }

    #[test]
    fn without_a_next_page_there_is_none() {
        for values in [
            &[][..],
            &["<https://api.example.com/log>; rel=\"self\""],
            &["<https://api.example.com/log>"],
            &["<https://api.example.com/log; rel=\"next\""],
            &["<https://api.example.com/log>; rel=\"nextish\""],
            &["<https://api.example.com/log>; anchor=\"#other\"; rel=\"next\""],
            &["nonsense, \"; <"],
        ] {
            assert_eq!(next_in(values), None, "{values:?}");
        }
    }

    #[test]
    fn only_an_address_at_the_base_urls_origin_is_followed() {
        let base = Url::parse("https://api.example.com/v2").unwrap();
        let page = Url::parse("https://api.example.com/v2/log?limit=9").unwrap();
        let at_home = |target| at_home(&base, &page, target).map(String::from);
        let same = "https://api.example.com/v2/log?after=a%2Fb%3D&limit=9";
        assert_eq!(at_home(same), Ok(same.to_owned()));
        assert_eq!(at_home("https://api.example.com:443/other#top"), Ok("https://api.example.com/other".to_owned()));
        assert_eq!(at_home("?after=2"), Ok("https://api.example.com/v2/log?after=2".to_owned()));
        assert_eq!(at_home("/v3/log?x"), Ok("https://api.example.com/v3/log?x".to_owned()));
        for (target, named) in [
            ("https://evil.example.net/v2/log?after=2", "`evil.example.net`"),
            ("//evil.example.net/log", "`evil.example.net`"),
            ("http://api.example.com/v2/log", "`api.example.com`"),
            ("https://api.example.com:8443/v2/log", "`api.example.com`"),
            ("https://api.example.com.evil.example.net/", "`api.example.com.evil.example.net`"),
            ("https://a:b@api.example.com/", "an address with a credential of its own"),
            ("file:///etc/passwd", "no host at all"),
            ("https://", "something that is no address"),
        ] {
            assert_eq!(at_home(target), Err(named.to_owned()), "{target}");
        }
    }
}
