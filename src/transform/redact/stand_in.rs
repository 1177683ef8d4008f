//! Writes what stands in the place of what was found.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::encoded::Text;
use super::key::{self, ENCRYPTED_DOMAIN, PSEUDONYM_DOMAIN, SEALED_V6};
use super::policy::{Detector, Treatment};
use super::redactor::Redactor;
use super::{Found, What, card, email, ip, phone};

/// What `mask` makes of an e-mail address.
pub(super) const MASK: &str = "masked@masked.invalid";

/// The kind of an e-mail address's pseudonym, and of that of any other text.
const EMAIL: &str = "email";
const TEXT: &str = "text";

impl Redactor {
    pub(super) fn write(&self, text: &Text<'_>, found: &Found, out: &mut String) {
        let bytes = &text.bytes[found.start..found.end];
        match found.what {
            What::Email { at } => write_email(self.emails.as_ref(), text, found, at, true, out),
            What::EmailWithMore { at } => write_email(self.emails.as_ref(), text, found, at, false, out),
            What::Ip(ip) => write_ip(self.ips.as_ref(), text, found, ip, out),
            What::Text(detector) => {
                let treatment = self.more.as_ref().and_then(|more| more.treatment(detector));
                let canonical = match detector {
                    Detector::Phone => phone::canonical(bytes),
                    Detector::Card => card::canonical(bytes),
                    _ => bytes.to_vec(),
                };
                write_text(treatment, detector.mask(), &canonical, out);
            }
            What::Pattern(index) => {
                if let Some((pattern, treatment)) = self.more.as_ref().and_then(|more| more.patterns.get(index)) {
                    write_text(Some(treatment), &format!("masked-{}", pattern.name), bytes, out);
                }
            }
            What::Ours => out.push_str(&text.raw[text.written(found.start..found.end)]),
        }
    }
}

/// The stand-in of a text as a whole: an address where the text is one. `None` where it is a stand-in already.
pub(super) fn whole(written: &str, treatment: &Treatment) -> Option<String> {
    // With blanks around it, it is the same address.
    let trimmed = written.trim();
    let text = Text::plain(trimmed);
    let mut found = Vec::new();
    email::find(&text, &mut found);
    ip::find_v6(&text, &mut found);
    ip::find_v4(&text, &mut found);
    let mut out = String::new();
    match found.first() {
        Some(found) if (found.start, found.end) == (0, trimmed.len()) => match found.what {
            What::Email { at } => write_email(Some(treatment), &text, found, at, false, &mut out),
            What::Ip(ip) => write_ip(Some(treatment), &text, found, ip, &mut out),
            _ => {}
        },
        _ if super::ours::is_one(trimmed) => return None,
        _ => {
            let canonical = match treatment {
                Treatment::Pseudonym(_) => canonical_number(&text),
                _ => None,
            };
            let canonical = canonical.as_deref().unwrap_or(written.as_bytes());
            write_text(Some(treatment), Detector::Field.mask(), canonical, &mut out);
        }
    }
    (out != written).then_some(out)
}

/// A telephone number or that of a card as the detectors compare it, so that a field has the pseudonym a text has.
fn canonical_number(text: &Text<'_>) -> Option<Vec<u8>> {
    let mut found = Vec::new();
    phone::find(text, &mut found);
    card::find(text, &mut found);
    let whole = found.iter().find(|found| (found.start, found.end) == (0, text.bytes.len()))?;
    match whole.what {
        What::Text(Detector::Phone) => Some(phone::canonical(text.bytes)),
        What::Text(Detector::Card) => Some(card::canonical(text.bytes)),
        _ => None,
    }
}

fn write_text(treatment: Option<&Treatment>, mask: &str, canonical: &[u8], out: &mut String) {
    match treatment {
        None | Some(Treatment::Remove) => {}
        Some(Treatment::Mask | Treatment::Coarsen) => out.push_str(mask),
        Some(Treatment::Pseudonym(key)) => out.push_str(&key.pseudonym(TEXT, canonical)),
        Some(Treatment::Encrypt(key)) => out.push_str(&key.seal(canonical)),
    }
}

fn write_email(
    treatment: Option<&Treatment>,
    text: &Text<'_>,
    found: &Found,
    at: usize,
    named_host: bool,
    out: &mut String,
) {
    let address = &text.bytes[found.start..found.end];
    let (local, host) = match treatment {
        None | Some(Treatment::Remove) => return,
        Some(Treatment::Pseudonym(key)) => {
            (key.pseudonym(EMAIL, email::canonical(address).as_bytes()), PSEUDONYM_DOMAIN)
        }
        Some(Treatment::Encrypt(key)) => (key.seal(email::canonical(address).as_bytes()), ENCRYPTED_DOMAIN),
        Some(Treatment::Coarsen) if named_host && !holds_ip(&text.bytes[at + 1..found.end]) => {
            ("masked".to_owned(), &text.raw[text.written(at + 1..found.end)])
        }
        Some(Treatment::Mask | Treatment::Coarsen) => ("masked".to_owned(), "masked.invalid"),
    };
    out.push_str(&local);
    // Written as it was, `@` or `%40`: the text around it may have to be decoded again.
    out.push_str(text.unit(at));
    out.push_str(host);
}

fn write_ip(treatment: Option<&Treatment>, text: &Text<'_>, found: &Found, ip: IpAddr, out: &mut String) {
    let colon = text.bytes[found.start..found.end].iter().position(|&b| b == b':');
    let from = out.len();
    let stand_in = match (treatment, ip) {
        (None | Some(Treatment::Remove), _) => return,
        // What is done most often by far.
        (Some(Treatment::Coarsen), IpAddr::V4(_)) if colon.is_none() => return write_v4(ip::network(ip), out),
        (Some(Treatment::Mask), IpAddr::V4(_)) => Ipv4Addr::UNSPECIFIED.to_string(),
        (Some(Treatment::Mask), IpAddr::V6(_)) => Ipv6Addr::UNSPECIFIED.to_string(),
        (Some(Treatment::Pseudonym(key)), ip) => key.ip_pseudonym(ip).to_string(),
        (Some(Treatment::Encrypt(key)), ip) => key.seal_ip(ip),
        (Some(Treatment::Coarsen), ip) => ip::network(ip).to_string(),
    };
    let is_zoned = stand_in.starts_with(SEALED_V6);
    let in_brackets = stand_in.contains(':') && needs_brackets(text.bytes, found, is_zoned);
    let written = if in_brackets { write!(out, "[{stand_in}]") } else { write!(out, "{stand_in}") };
    written.expect("a string takes all that is written to it");
    if let Some(colon) = colon.map(|colon| text.unit(found.start + colon)).filter(|colon| *colon != ":") {
        let mut encoded = out.split_off(from);
        if colon.starts_with('%') {
            encoded = encoded.replace('%', "%25");
        }
        out.push_str(&encoded.replace(':', colon));
    }
}

fn write_v4(address: IpAddr, out: &mut String) {
    let IpAddr::V4(address) = address else { return out.push_str(&address.to_string()) };
    for (at, octet) in address.octets().into_iter().enumerate() {
        if at > 0 {
            out.push('.');
        }
        out.push_str(itoa::Buffer::new().format(octet));
    }
}

/// `user@203.0.113.4` and `user@[203.0.113.4]` have no domain to keep.
fn holds_ip(host: &[u8]) -> bool {
    host.first() == Some(&b'[') || ip::quad(host).is_some()
}

/// Whether an IPv6 address would run into its surroundings: a port, an URL's authority, a label that
/// could be a group; a word that touches it; and letters that could be of its zone.
fn needs_brackets(bytes: &[u8], found: &Found, is_zoned: bool) -> bool {
    let before = &bytes[..found.start];
    let after = bytes.get(found.end);
    let touches = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    if touches(before.last()) || touches(after) {
        return true;
    }
    if after == Some(&b':') || before.ends_with(b"//") || before.ends_with(b"@") {
        return true;
    }
    let ends_zone = |byte: &u8| byte.is_ascii_whitespace() || b"\"<>(),;/]}|?&".contains(byte);
    if is_zoned && !after.is_none_or(ends_zone) {
        return true;
    }
    let Some(label) = before.strip_suffix(b":") else { return before.ends_with(b"%") };
    let word = label.iter().rev().take(5).take_while(|b| b.is_ascii_alphanumeric());
    let digits = word.clone().take_while(|b| b.is_ascii_hexdigit()).count();
    is_zoned || label.ends_with(b":") || (digits > 0 && digits < 5 && digits == word.count())
}

/// Whether an e-mail address is a stand-in, made with whatever key.
pub(super) fn is_email(local: &[u8], host: &[u8]) -> bool {
    let is_token = |local: &[u8], sealed: bool| {
        key::token(local).is_some_and(|(token, length)| {
            length == local.len() && sealed == matches!(token, key::Token::Sealed { .. })
        })
    };
    (local == b"masked" && host == b"masked.invalid")
        || (host == PSEUDONYM_DOMAIN.as_bytes() && is_token(local, false))
        || (host == ENCRYPTED_DOMAIN.as_bytes() && is_token(local, true))
}
