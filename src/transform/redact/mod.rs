//! E-mail and IP addresses in a text: found in every form they are written in, and replaced.
//!
//! ```text
//! text ─► scan ─► (encoded) ─► email, ip ─► spans ─► text with stand-ins
//!          │ nothing that matters: the caller keeps its text, nothing is copied
//! ```
//!
//! # What comes out
//!
//! Every stand-in has the shape of what it replaces, so that a field which must hold an address
//! still does (OCSF `email_t` and `ip_t`); only `remove` leaves a field empty, which its caller
//! then leaves out.
//!
//! | action | e-mail | IPv4 | IPv6 |
//! |---|---|---|---|
//! | `mask` | `masked@masked.invalid` | `0.0.0.0` | `::` |
//! | `remove` | nothing | nothing | nothing |
//! | `pseudonym` | `e1-<26 base32>@pseudonym.invalid` | `3fff:add:1:<80 bits>` | the same |
//! | `keep_domain` | `masked@example.com` | | |
//! | `truncate` | | `203.0.113.0` | `2001:db8:1::` |
//!
//! A pseudonym is an HMAC-SHA256 of the canonical address under the operator's key; the number
//! behind `e` or `3fff:add:` is the key's epoch. IPv4 addresses get an IPv6 pseudonym, because the
//! 28 reserved bits of IPv4 would give two of some twenty thousand addresses the same one, and an
//! analyst would see one person where there are two. Where a port follows or an URL's authority
//! begins, it is put in brackets.
//!
//! Redacting twice is redacting once: stand-ins are told again and left alone, and `0.0.0.0` and
//! `::`, which are nobody's address, are never replaced.
//!
//! # What is left alone
//!
//! Times, dates, MACs, EUI-64, UUIDs, fingerprints, ratios, paths like `a::b`; numbers with three or
//! five and more parts, `v1.2.3.4`, `1.2.3.4-beta`, `Chrome/120.0.0.0`; `lodash@4.17.21`,
//! `checkout@v4`, `@mention`, `logo@2x.png`. A bare `1.2.3.4` is an address, and so is everything
//! else in doubt.
//!
//! # Cost
//!
//! Linear in the text: every finder walks it once, and what it reads ahead or behind is bounded or
//! never read again.

mod email;
mod encoded;
mod ip;
#[cfg(test)]
mod laws;
mod pseudonym;
mod scan;
mod step;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::AddAssign;

use serde::Deserialize;

use encoded::{Decoded, Text};
pub use pseudonym::PseudonymKey;
pub use step::{Redact, masked};

/// What `mask` makes of an e-mail address.
const MASK: &str = "masked@masked.invalid";

/// A pseudonym with an epoch of five digits; room for one spares nearly every text a second allocation.
const LONGEST_STAND_IN: usize = 50;

/// How often a text is looked at again after a replacement in an unclear place.
const ROUNDS: usize = 16;

/// What becomes of an e-mail address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EmailAction {
    /// `masked@masked.invalid`
    Mask,
    /// Nothing is left of it; the text around it stays.
    Remove,
    /// `e1-<26 base32>@pseudonym.invalid`, the same for the same address and key.
    Pseudonym,
    /// `masked@example.com`; where the host is an IP address or holds one, as [`Self::Mask`].
    KeepDomain,
}

/// What becomes of an IP address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IpAction {
    /// `0.0.0.0` or `::`
    Mask,
    /// Nothing is left of it; the text around it stays.
    Remove,
    /// An address in `3fff:add::/32`, the same for the same address and key.
    Pseudonym,
    /// Its network: the first 24 bits of IPv4 and 48 of IPv6. The zone goes.
    Truncate,
}

/// What a [`Redactor`] is to do.
#[derive(Debug, Clone)]
pub struct Policy {
    /// `None` leaves e-mail addresses alone.
    pub emails: Option<EmailAction>,
    /// `None` leaves IP addresses alone.
    pub ips: Option<IpAction>,
    /// Needed by the `pseudonym` actions, ignored without one.
    pub key: Option<PseudonymKey>,
}

/// Why a policy cannot be carried out.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PolicyError {
    /// A `pseudonym` action and no key.
    #[error("`{option} = \"pseudonym\"` needs a key")]
    MissingKey {
        /// `emails` or `ips`.
        option: &'static str,
    },
    /// A key that could be guessed.
    #[error("the redaction key has {bytes} bytes, it needs {min} or more", min = PseudonymKey::MIN_BYTES)]
    ShortKey {
        /// Its length.
        bytes: usize,
    },
}

impl PolicyError {
    /// What the operator can do.
    #[must_use]
    pub fn hint(&self) -> String {
        let least = PseudonymKey::MIN_BYTES;
        match self {
            Self::MissingKey { .. } => {
                format!("add `key = {{ file = \"…\" }}` with {least} random bytes or more, or choose \"mask\"")
            }
            Self::ShortKey { .. } => "make one with `openssl rand -hex 32`".to_owned(),
        }
    }
}

/// How many addresses were replaced.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Hits {
    /// E-mail addresses.
    pub emails: u64,
    /// IP addresses.
    pub ips: u64,
}

impl AddAssign for Hits {
    fn add_assign(&mut self, other: Hits) {
        self.emails += other.emails;
        self.ips += other.ips;
    }
}

/// Finds addresses and replaces them, by one policy. Pure: the same text gives the same result.
#[derive(Debug, Clone)]
pub struct Redactor {
    emails: Option<Email>,
    ips: Option<Ip>,
}

/// An action together with what it needs.
#[derive(Debug, Clone)]
enum Email {
    Mask,
    Remove,
    Pseudonym(PseudonymKey),
    KeepDomain,
}

#[derive(Debug, Clone)]
enum Ip {
    Mask,
    Remove,
    Pseudonym(PseudonymKey),
    Truncate,
}

/// An address in the decoded text.
#[derive(Debug)]
struct Found {
    start: usize,
    end: usize,
    what: What,
}

#[derive(Debug)]
enum What {
    Email {
        at: usize,
    },
    /// An e-mail address that holds an IP address, or overlaps with one.
    EmailWithIp {
        at: usize,
    },
    Ip(IpAddr),
}

impl Redactor {
    /// # Errors
    ///
    /// When an action needs a key and the policy has none.
    pub fn new(policy: Policy) -> Result<Self, PolicyError> {
        let key = |option| policy.key.clone().ok_or(PolicyError::MissingKey { option });
        let emails = match policy.emails {
            None => None,
            Some(EmailAction::Mask) => Some(Email::Mask),
            Some(EmailAction::Remove) => Some(Email::Remove),
            Some(EmailAction::Pseudonym) => Some(Email::Pseudonym(key("emails")?)),
            Some(EmailAction::KeepDomain) => Some(Email::KeepDomain),
        };
        let ips = match policy.ips {
            None => None,
            Some(IpAction::Mask) => Some(Ip::Mask),
            Some(IpAction::Remove) => Some(Ip::Remove),
            Some(IpAction::Pseudonym) => Some(Ip::Pseudonym(key("ips")?)),
            Some(IpAction::Truncate) => Some(Ip::Truncate),
        };
        Ok(Redactor { emails, ips })
    }

    /// The text with every address replaced, or `None` when there is none: the caller keeps its
    /// text and nothing is copied.
    ///
    /// `hits` counts what was replaced. Redacting the result again gives `None`.
    #[inline]
    pub fn text(&self, text: &str, hits: &mut Hits) -> Option<String> {
        let traits = scan::traits(text.as_bytes());
        if traits.harmless(self.emails.is_some(), self.ips.is_some()) {
            return None;
        }
        self.settle(text, traits, hits)
    }

    /// Redacts until nothing changes.
    ///
    /// One round is nearly always enough. Where a stand-in touches what could be read together with
    /// it (`1:` and `:5` around a removed address are `1::5`), only another look can tell.
    fn settle(&self, text: &str, traits: scan::Traits, hits: &mut Hits) -> Option<String> {
        let mut done = self.round(text, traits, hits)?;
        for _ in 1..ROUNDS {
            if done.calm {
                break;
            }
            match self.round(&done.text, scan::traits(done.text.as_bytes()), hits) {
                Some(next) => done = next,
                None => break,
            }
        }
        Some(done.text)
    }

    fn round(&self, text: &str, traits: scan::Traits, hits: &mut Hits) -> Option<Redacted> {
        if traits.written_otherwise()
            && let Some(decoded) = Decoded::of(text)
        {
            let traits = scan::traits(&decoded.bytes);
            return self.replace(&Text::decoded(text, &decoded), traits, hits);
        }
        self.replace(&Text::plain(text), traits, hits)
    }

    fn replace(&self, text: &Text<'_>, traits: scan::Traits, hits: &mut Hits) -> Option<Redacted> {
        let found = self.find(text, &traits);
        if found.is_empty() {
            return None;
        }
        let mut out = Redacted { text: String::with_capacity(text.raw.len() + LONGEST_STAND_IN), calm: true };
        let (mut copied, mut changed) = (0, false);
        for address in &found {
            let span = text.written(address.start..address.end);
            out.text.push_str(&text.raw[copied..span.start]);
            let stand_in = out.text.len();
            self.write(text, address, &mut out.text);
            copied = span.end;
            if out.text[stand_in..] == text.raw[span.clone()] {
                continue;
            }
            changed = true;
            match address.what {
                What::Ip(_) => hits.ips += 1,
                What::Email { .. } | What::EmailWithIp { .. } => hits.emails += 1,
            }
            out.calm &= is_calm(text.raw, span.start, span.end);
        }
        if !changed {
            return None;
        }
        out.text.push_str(&text.raw[copied..]);
        Some(out)
    }

    /// All addresses from left to right; none overlaps with the next.
    fn find(&self, text: &Text<'_>, traits: &scan::Traits) -> Vec<Found> {
        let mut found = Vec::new();
        if self.emails.is_some() && traits.email() {
            email::find(text, &mut found);
        }
        if self.ips.is_some() {
            let emails = found.len();
            if traits.ipv6() {
                ip::find_v6(text, &mut found);
            }
            if traits.ipv4() {
                ip::find_v4(text, &mut found);
            }
            if traits.ip6_arpa() {
                ip::find_ip6_arpa(text, &mut found);
            }
            if found.len() > emails.max(1) {
                found = merged(found);
            }
        }
        found
    }

    fn write(&self, text: &Text<'_>, address: &Found, out: &mut String) {
        match address.what {
            What::Email { at } => self.write_email(text, address, at, true, out),
            What::EmailWithIp { at } => self.write_email(text, address, at, false, out),
            What::Ip(ip) => self.write_ip(text, address, ip, out),
        }
    }

    fn write_email(&self, text: &Text<'_>, address: &Found, at: usize, named_host: bool, out: &mut String) {
        let (local, host): (Cow<'_, str>, &str) = match &self.emails {
            None | Some(Email::Remove) => return,
            Some(Email::Pseudonym(key)) => {
                let canonical = String::from_utf8_lossy(&text.bytes[address.start..address.end]).to_lowercase();
                (key.email(&canonical).into(), pseudonym::DOMAIN)
            }
            Some(Email::KeepDomain) if named_host && !holds_ip(&text.bytes[at + 1..address.end]) => {
                ("masked".into(), &text.raw[text.written(at + 1..address.end)])
            }
            Some(Email::Mask | Email::KeepDomain) => ("masked".into(), "masked.invalid"),
        };
        out.push_str(&local);
        // Written as it was, `@` or `%40`: the text around it may have to be decoded again.
        out.push_str(text.unit(at));
        out.push_str(host);
    }

    fn write_ip(&self, text: &Text<'_>, found: &Found, ip: IpAddr, out: &mut String) {
        let stand_in = match (&self.ips, ip) {
            (None | Some(Ip::Remove), _) => return,
            (Some(Ip::Mask), IpAddr::V4(_)) => Ipv4Addr::UNSPECIFIED.into(),
            (Some(Ip::Mask), IpAddr::V6(_)) => Ipv6Addr::UNSPECIFIED.into(),
            (Some(Ip::Pseudonym(key)), ip) => key.ip(ip).into(),
            (Some(Ip::Truncate), ip) => ip::network(ip),
        };
        let from = out.len();
        let written = match stand_in {
            IpAddr::V6(v6) if needs_brackets(text.bytes, found) => write!(out, "[{v6}]"),
            stand_in => write!(out, "{stand_in}"),
        };
        written.expect("a string takes all that is written to it");
        let colon = text.bytes[found.start..found.end].iter().position(|&b| b == b':');
        if let Some(colon) = colon.map(|colon| text.unit(found.start + colon)).filter(|colon| *colon != ":") {
            let encoded = out.split_off(from).replace(':', colon);
            out.push_str(&encoded);
        }
    }
}

/// A text after one round.
struct Redacted {
    text: String,
    /// No stand-in touches anything it could be read together with.
    calm: bool,
}

fn is_calm(raw: &str, start: usize, end: usize) -> bool {
    let raw = raw.as_bytes();
    let calm =
        |byte: Option<&u8>| matches!(byte, None | Some(b' ' | b'\n' | b'\t' | b'"' | b'<' | b'>' | b'(' | b')' | b','));
    // `"@`, however the `@` is written, could make a local part of what stands before the quote.
    let quotes = raw.get(end) == Some(&b'"') && matches!(raw.get(end + 1), Some(b'@' | b'%' | b'\\' | b'&' | 0x80..));
    calm(raw[..start].last()) && calm(raw.get(end)) && !quotes
}

/// Puts what was found in order; of two that overlap one remains, and covers both.
fn merged(mut found: Vec<Found>) -> Vec<Found> {
    // Stable, so that of two with one beginning the e-mail address stays first.
    found.sort_by_key(|address| address.start);
    let mut apart: Vec<Found> = Vec::with_capacity(found.len());
    for address in found {
        match apart.last_mut() {
            Some(last) if address.start < last.end => {
                last.end = last.end.max(address.end);
                last.what = match (&last.what, &address.what) {
                    (What::Email { at } | What::EmailWithIp { at }, _) => What::EmailWithIp { at: *at },
                    (_, What::Email { at } | What::EmailWithIp { at }) => What::EmailWithIp { at: *at },
                    (What::Ip(ip), _) => What::Ip(*ip),
                };
            }
            _ => apart.push(address),
        }
    }
    apart
}

/// `user@203.0.113.4` and `user@[203.0.113.4]` have no domain to keep.
fn holds_ip(host: &[u8]) -> bool {
    host.first() == Some(&b'[') || ip::quad(host).is_some()
}

/// Whether an IPv6 address would run into its surroundings: a port, an URL's authority, a label that
/// could be a group.
fn needs_brackets(bytes: &[u8], found: &Found) -> bool {
    let before = &bytes[..found.start];
    if bytes.get(found.end) == Some(&b':') || before.ends_with(b"//") || before.ends_with(b"@") {
        return true;
    }
    let Some(label) = before.strip_suffix(b":") else { return before.ends_with(b"%") };
    let word = label.iter().rev().take(5).take_while(|b| b.is_ascii_alphanumeric());
    let digits = word.clone().take_while(|b| b.is_ascii_hexdigit()).count();
    label.ends_with(b":") || (digits > 0 && digits < 5 && digits == word.count())
}
