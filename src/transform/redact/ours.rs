//! Our own stand-ins in a text, made with whatever key: what no pattern may replace, and what a key can reveal.

use std::net::Ipv6Addr;

use memchr::{memchr2_iter, memmem};

use super::encoded::Text;
use super::key::{self, ENCRYPTED_DOMAIN, PSEUDONYM_DOMAIN, SEALED_V6, SEALED_V6_TOKEN, Token};
use super::policy::Detector;
use super::stand_in::MASK;
use super::{base32, ip};

/// What a stand-in is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ours {
    /// Nothing is known of what was there.
    Mask,
    Pseudonym,
    /// An encrypted text, its epoch and where its letters are.
    Text {
        epoch: u16,
        from: usize,
        to: usize,
    },
    /// An encrypted IPv4 address.
    V4(Ipv6Addr),
    /// An encrypted IPv6 address, its epoch and where its letters are.
    V6 {
        epoch: u16,
        from: usize,
        to: usize,
    },
}

/// Finds every stand-in: where it begins and ends, and what it is. Masks of patterns are known by the patterns' names.
pub(super) fn find<'n>(
    text: &Text<'_>,
    names: impl Iterator<Item = &'n str> + Clone,
    mut each: impl FnMut(usize, usize, Ours),
) {
    find_masks(text.bytes, names, &mut each);
    find_tokens(text.bytes, &mut each);
    find_addresses(text.bytes, &mut each);
}

/// Whether all of the text is one stand-in.
pub(super) fn is_one(written: &str) -> bool {
    let mut one = false;
    find(&Text::plain(written), std::iter::empty(), |start, end, _| one |= (start, end) == (0, written.len()));
    one
}

fn find_masks<'n>(
    bytes: &[u8],
    names: impl Iterator<Item = &'n str> + Clone,
    each: &mut impl FnMut(usize, usize, Ours),
) {
    for start in memmem::find_iter(bytes, "masked") {
        let rest = &bytes[start..];
        let known = Detector::ALL.iter().map(|detector| detector.mask()).chain([MASK]);
        let known = known.filter(|mask| rest.starts_with(mask.as_bytes())).map(str::len).max();
        let named = rest.strip_prefix(b"masked-").and_then(|rest| {
            let fits = names.clone().filter(|name| rest.starts_with(name.as_bytes())).map(str::len).max();
            fits.map(|length| "masked-".len() + length)
        });
        let length = known.max(named).unwrap_or("masked".len());
        each(start, start + length, Ours::Mask);
    }
}

fn find_tokens(bytes: &[u8], each: &mut impl FnMut(usize, usize, Ours)) {
    let mut floor = 0;
    for start in memchr2_iter(b'e', b'x', bytes) {
        // A zone has another form, and is told by its address.
        if start < floor || bytes[..start].ends_with(b"::%") {
            continue;
        }
        let Some((token, length)) = key::token(&bytes[start..]) else { continue };
        let end = start + length;
        let (ours, domain) = match token {
            Token::Pseudonym => (Ours::Pseudonym, PSEUDONYM_DOMAIN),
            Token::Sealed { epoch, prefix } => (Ours::Text { epoch, from: start + prefix, to: end }, ENCRYPTED_DOMAIN),
        };
        let host = bytes[end..].strip_prefix(b"@").filter(|host| host.starts_with(domain.as_bytes()));
        floor = if host.is_some() { end + 1 + domain.len() } else { end };
        each(start, floor, ours);
    }
}

fn find_addresses(bytes: &[u8], each: &mut impl FnMut(usize, usize, Ours)) {
    for start in memmem::find_iter(bytes, "0.0.0.0") {
        each(start, start + 7, Ours::Mask);
    }
    ip::find_own(bytes, |start, end, address| {
        if !address.is_unspecified() {
            let ours = if key::is_sealed_v4(address) { Ours::V4(address) } else { Ours::Pseudonym };
            return each(start, end, ours);
        }
        match zone(bytes, start) {
            Some((epoch, from, to)) => each(start, to, Ours::V6 { epoch, from, to }),
            None => each(start, end, Ours::Mask),
        }
    });
}

/// The epoch of the encrypted IPv6 address at `start`, and where its letters are.
fn zone(bytes: &[u8], start: usize) -> Option<(u16, usize, usize)> {
    let zone = bytes[start..].strip_prefix(SEALED_V6.as_bytes())?;
    let digits = zone.iter().take(5).take_while(|b| b.is_ascii_hexdigit()).count();
    let epoch = u16::from_str_radix(std::str::from_utf8(&zone[..digits]).ok()?, 16).ok()?;
    let letters = zone[digits..].strip_prefix(b"-")?.get(..SEALED_V6_TOKEN)?;
    let from = start + SEALED_V6.len() + digits + 1;
    letters.iter().all(|b| base32::is_letter(*b)).then_some((epoch, from, from + SEALED_V6_TOKEN))
}
