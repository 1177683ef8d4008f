//! JSON Web Tokens (RFC 7519): three parts in base64url, the first of which is a JSON object that names its algorithm.
//!
//! Encrypted ones (RFC 7516) have five. The header is what tells a token from anything else with two dots.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use memchr::memchr;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::encoded::Text;
use super::{Detector, Found, What};

/// A header longer than this is nobody's.
const LONGEST_HEADER: usize = 4096;

/// Headers are looked for at so many places of a word: `key-eyJ…`.
const MOST_BEGINNINGS: usize = 4;

#[derive(Deserialize)]
struct Header {
    #[serde(rename = "alg")]
    _alg: IgnoredAny,
}

/// Finds every token of `text`.
pub(super) fn find(text: &Text<'_>, found: &mut Vec<Found>) {
    let bytes = text.bytes;
    let mut floor = 0;
    while let Some(offset) = memchr(b'.', &bytes[floor..]) {
        let dot = floor + offset;
        let length = bytes[floor..dot].iter().rev().take(LONGEST_HEADER).take_while(|b| is_letter(**b)).count();
        floor = dot + 1;
        let Some(start) = header_start(bytes, dot - length, dot) else { continue };
        let Some(end) = end(bytes, dot) else { continue };
        found.push(Found { start, end, what: What::Text(Detector::Jwt) });
        floor = end;
    }
}

/// Where the header begins that ends at `dot`. `{"` is `ey`, and `{` with a line break `ew`.
fn header_start(bytes: &[u8], from: usize, dot: usize) -> Option<usize> {
    let word = &bytes[from..dot];
    let begins = |pair: &[u8]| matches!(pair, b"ey" | b"ew");
    let starts = word.windows(2).enumerate().filter(|(_, pair)| begins(pair)).map(|(at, _)| from + at);
    starts.take(MOST_BEGINNINGS).find(|start| is_header(&bytes[*start..dot]))
}

fn is_header(letters: &[u8]) -> bool {
    let json = URL_SAFE_NO_PAD.decode(letters).unwrap_or_default();
    serde_json::from_slice::<Header>(&json).is_ok()
}

/// Where the token ends whose header ends at `dot`; `None` without a payload and the dot of a signature.
fn end(bytes: &[u8], dot: usize) -> Option<usize> {
    let part = |from: usize| from + bytes[from..].iter().take_while(|b| is_letter(**b)).count();
    let mut end = part(dot + 1);
    let is_encrypted = end == dot + 1;
    if bytes.get(end) != Some(&b'.') {
        return None;
    }
    end = part(end + 1);
    for _ in 0..2 {
        let more = bytes.get(end) == Some(&b'.') && bytes.get(end + 1).is_some_and(|b| is_letter(*b));
        if !(more || is_encrypted && bytes.get(end) == Some(&b'.')) {
            break;
        }
        end = part(end + 1);
    }
    Some(end)
}

fn is_letter(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> Vec<&str> {
        let mut found = Vec::new();
        find(&Text::plain(text), &mut found);
        found.iter().map(|found| &text[found.start..found.end]).collect()
    }

    fn token(header: &str, rest: &str) -> String {
        format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header))
    }

    #[test]
    fn finds_signed_and_encrypted_ones() {
        for token in [
            token(r#"{"alg":"HS256","typ":"JWT"}"#, "eyJzdWIiOiIxIn0.c2lnbmF0dXJl"),
            token(r#"{ "typ": "JWT", "alg": "none" }"#, "eyJzdWIiOiIxIn0."),
            token("{\n\"alg\":\"ES256\"}", "e30.c2lnbmF0dXJl"),
            token(r#"{"alg":"dir","enc":"A128GCM"}"#, ".aXY.Y2lwaGVy.dGFn"),
        ] {
            assert_eq!(tokens(&token), [token.as_str()]);
            assert_eq!(tokens(&format!("Bearer {token}, key_{token}")), [token.as_str(); 2]);
        }
    }

    #[test]
    fn leaves_what_is_no_token() {
        for text in [
            "a.b.c",
            "www.example.com",
            &token(r#"{"typ":"JWT"}"#, "e30.c2ln"),
            &token("not JSON", "e30.c2ln"),
            &token(r#"{"alg":"HS256"}"#, "e30"),
            "eyJ.eyJ.eyJ",
        ] {
            assert_eq!(tokens(text), [""; 0], "{text}");
        }
    }
}
