//! What the operator's secret makes: stand-ins that are the same for the same address, and say nothing about it to
//! whoever lacks the secret.
//!
//! A pseudonym cannot be undone by anybody; what is encrypted can, by whoever has the key. Both look like what they
//! replace, so that an event stays valid where a field must hold an address, and both lie where no real address can: the
//! top-level domain `.invalid` (RFC 2606), the IPv6 documentation prefix `3fff::/20` (RFC 9637) and zones of the
//! unspecified address. That is also how they are told again, and left alone, when redacted text is redacted once more.
//!
//! # Encryption
//!
//! Texts are encrypted with AES-SIV (RFC 5297), which is deterministic and fails for another key. Its tag alone is
//! as long as an IPv6 address, so nothing it makes fits where an IP address has to stand. There the same construction is
//! used with what room there is:
//!
//! - IPv4, in `3fff:aee:EPOCH::/48`: 48 bits of an HMAC of the address, which are the tag, and the address under a key
//!   stream that is an HMAC of the tag. Where there are a million addresses, the odds that any two of them share a stream are
//!   1 to 500; those two then tell how they differ, and no more.
//! - IPv6, in `::%xEPOCH-…`, the zone of the address that is nobody's: the address in one block of AES-256, a permutation
//!   of all addresses, and 24 bits of its HMAC, by which another key is told. 128 bits and a tag fit into no IPv6 address,
//!   and OCSF's `ip_t` takes a zone and 40 characters. The epoch is hexadecimal there, as IPv6 writes numbers.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use aes::Aes256;
use aes::cipher::{BlockCipherDecrypt, BlockCipherEncrypt};
use aes_siv::siv::Aes256Siv;
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::PolicyError;
use super::base32;

/// The domain of every e-mail pseudonym.
pub(super) const PSEUDONYM_DOMAIN: &str = "pseudonym.invalid";

/// The domain of every encrypted e-mail address.
pub(super) const ENCRYPTED_DOMAIN: &str = "encrypted.invalid";

/// `3fff:add::/32`, the prefix of every IP pseudonym.
const PSEUDONYM_PREFIX: [u16; 2] = [0x3fff, 0x0add];

/// `3fff:aee::/32`, the prefix of every encrypted IPv4 address.
const ENCRYPTED_PREFIX: [u16; 2] = [0x3fff, 0x0aee];

/// What every encrypted IPv6 address begins with.
pub(super) const SEALED_V6: &str = "::%x";

/// The letters of an encrypted IPv6 address: a block and its tag.
pub(super) const SEALED_V6_TOKEN: usize = base32::length(16 + V6_TAG);

const V6_TAG: usize = 3;
const V4_TAG: usize = 6;
const SIV_TAG: usize = 16;

/// The letters of a pseudonym: 128 bits.
const TOKEN: usize = 26;

/// What AES-SIV authenticates beside the text.
const HEADER: &[u8] = b"auditline";

/// The secret that stand-ins are made with, and the number of its epoch. Cheap to clone.
///
/// The epoch stands in every stand-in in clear. Whoever changes the key raises it, so that a reader can tell "another
/// person" from "another key".
#[derive(Clone)]
pub struct Key(Arc<Inner>);

struct Inner {
    epoch: u16,
    /// Of pseudonyms.
    keyed: Hmac<Sha256>,
    siv: [u8; 64],
    block: Aes256,
    v6_tag: Hmac<Sha256>,
    v4_tag: Hmac<Sha256>,
    v4_stream: Hmac<Sha256>,
}

impl Key {
    /// The shortest secret that is accepted, in bytes.
    ///
    /// There are few IPv4 addresses and mostly guessable e-mail addresses: the key is all that keeps
    /// somebody from computing every pseudonym and looking up ours.
    pub const MIN_BYTES: usize = 16;

    /// # Errors
    ///
    /// When the secret is shorter than [`Self::MIN_BYTES`].
    pub fn new(epoch: u16, secret: &[u8]) -> Result<Self, PolicyError> {
        if secret.len() < Self::MIN_BYTES {
            return Err(PolicyError::ShortKey { bytes: secret.len() });
        }
        let derive = Hkdf::<Sha256>::new(None, secret);
        let expand = |label: &str, key: &mut [u8]| {
            derive.expand(format!("auditline redact {label}").as_bytes(), key).expect("HKDF has as many bytes");
        };
        let mac = |label: &str| {
            let mut key = [0; 32];
            expand(label, &mut key);
            hmac(&key)
        };
        let (mut siv, mut block) = ([0; 64], [0; 32]);
        expand("text", &mut siv);
        expand("ipv6 block", &mut block);
        Ok(Self(Arc::new(Inner {
            epoch,
            keyed: hmac(secret),
            siv,
            block: Aes256::new(&block.into()),
            v6_tag: mac("ipv6 tag"),
            v4_tag: mac("ipv4 tag"),
            v4_stream: mac("ipv4 stream"),
        })))
    }

    /// The number of its epoch.
    #[must_use]
    pub fn epoch(&self) -> u16 {
        self.0.epoch
    }

    /// `e1-` and 128 bits in base32: the part of an e-mail pseudonym before the `@`, or the pseudonym of any other text.
    /// One text has another pseudonym of each kind.
    pub(super) fn pseudonym(&self, kind: &str, canonical: &[u8]) -> String {
        let digest = digest(&self.0.keyed, &[kind.as_bytes(), b"\0", canonical]);
        self.token("e", &digest[..16])
    }

    /// `3fff:add:EPOCH:` and 80 bits. An IPv4 address and its v4-mapped form are one address.
    pub(super) fn ip_pseudonym(&self, address: IpAddr) -> Ipv6Addr {
        let octets = match address {
            IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
            IpAddr::V6(v6) => v6.octets(),
        };
        let digest = digest(&self.0.keyed, &[b"ip\0", &octets]);
        self.in_prefix(PSEUDONYM_PREFIX, &digest)
    }

    /// `x1-` and the text in AES-SIV: the part of an encrypted e-mail address before the `@`, or any other text.
    pub(super) fn seal(&self, text: &[u8]) -> String {
        let mut siv = Aes256Siv::new(&self.0.siv.into());
        let sealed = siv.encrypt([HEADER], text).expect("a text in memory is not too long");
        self.token("x", &with_length(&sealed))
    }

    /// The kind, the epoch and the bytes in letters.
    fn token(&self, kind: &str, bytes: &[u8]) -> String {
        let mut out = String::with_capacity(kind.len() + 6 + base32::length(bytes.len()));
        out.push_str(kind);
        out.push_str(itoa::Buffer::new().format(self.0.epoch));
        out.push('-');
        base32::encode(bytes, &mut out);
        out
    }

    /// The text of a token that [`Self::seal`] made; `None` when another key did.
    pub(super) fn unseal(&self, token: &[u8]) -> Option<Vec<u8>> {
        let bytes = base32::decode(token)?;
        let (length, from) = read_length(&bytes)?;
        let sealed = bytes.get(from..from + length)?;
        Aes256Siv::new(&self.0.siv.into()).decrypt([HEADER], sealed).ok()
    }

    /// As it is written: an address of `3fff:aee::/32` for IPv4, a zone of `::` for IPv6.
    pub(super) fn seal_ip(&self, address: IpAddr) -> String {
        match unmapped(address) {
            IpAddr::V4(v4) => self.seal_v4(v4).to_string(),
            IpAddr::V6(v6) => {
                let mut sealed = v6.octets().to_vec();
                let tag = digest(&self.0.v6_tag, &[&sealed]);
                let mut block = v6.octets().into();
                self.0.block.encrypt_block(&mut block);
                sealed.copy_from_slice(&block);
                sealed.extend_from_slice(&tag[..V6_TAG]);
                let mut out = format!("{SEALED_V6}{:x}-", self.0.epoch);
                base32::encode(&sealed, &mut out);
                out
            }
        }
    }

    fn seal_v4(&self, address: Ipv4Addr) -> Ipv6Addr {
        let tag = digest(&self.0.v4_tag, &[&address.octets()]);
        let mut sealed = [0; 10];
        sealed[..V4_TAG].copy_from_slice(&tag[..V4_TAG]);
        sealed[V4_TAG..].copy_from_slice(&self.stream(&tag[..V4_TAG], address.octets()));
        self.in_prefix(ENCRYPTED_PREFIX, &sealed)
    }

    /// The address of one that [`Self::seal_ip`] made of IPv4; `None` when another key did.
    pub(super) fn unseal_v4(&self, sealed: Ipv6Addr) -> Option<Ipv4Addr> {
        let octets = sealed.octets();
        let (tag, hidden) = octets[6..].split_at(V4_TAG);
        let address = Ipv4Addr::from(self.stream(tag, hidden.try_into().ok()?));
        (self.seal_v4(address) == sealed).then_some(address)
    }

    /// The address of the letters behind `::%xEPOCH-`; `None` when another key made them.
    pub(super) fn unseal_v6(&self, token: &[u8]) -> Option<Ipv6Addr> {
        let bytes = base32::decode(token)?;
        let mut block = <[u8; 16]>::try_from(bytes.get(..16)?).ok()?.into();
        self.0.block.decrypt_block(&mut block);
        let address = <[u8; 16]>::from(block);
        (bytes[16..] == digest(&self.0.v6_tag, &[&address])[..V6_TAG]).then(|| Ipv6Addr::from(address))
    }

    /// Hides what is in clear, and the other way round.
    fn stream(&self, tag: &[u8], octets: [u8; 4]) -> [u8; 4] {
        let stream = digest(&self.0.v4_stream, &[tag]);
        std::array::from_fn(|at| octets[at] ^ stream[at])
    }

    fn in_prefix(&self, prefix: [u16; 2], bits: &[u8]) -> Ipv6Addr {
        let group = |n: usize| u16::from_be_bytes([bits[2 * n], bits[2 * n + 1]]);
        Ipv6Addr::new(prefix[0], prefix[1], self.0.epoch, group(0), group(1), group(2), group(3), group(4))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("epoch", &self.0.epoch).field("secret", &"***").finish()
    }
}

fn hmac(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of every length")
}

fn digest(mac: &Hmac<Sha256>, parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = mac.clone();
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

fn unmapped(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    }
}

/// A token says how long it is, so that its end is known whatever letters follow.
fn with_length(sealed: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(sealed.len() + 3);
    let mut rest = sealed.len();
    while rest >= 0x80 {
        bytes.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
    bytes.extend_from_slice(sealed);
    bytes
}

/// The length that [`with_length`] wrote, and how many bytes it takes.
fn read_length(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut length = 0;
    for (at, byte) in bytes.iter().take(4).enumerate() {
        length |= usize::from(byte & 0x7F) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((length, at + 1));
        }
    }
    None
}

/// Whether the address is one that [`Key::ip_pseudonym`] makes, with whatever key.
pub(super) fn is_ip_pseudonym(address: Ipv6Addr) -> bool {
    address.segments().starts_with(&PSEUDONYM_PREFIX)
}

/// Whether the address is one that [`Key::seal_ip`] makes of IPv4, with whatever key.
pub(super) fn is_sealed_v4(address: Ipv6Addr) -> bool {
    address.segments().starts_with(&ENCRYPTED_PREFIX)
}

/// What a stand-in of letters is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// [`Key::pseudonym`]
    Pseudonym,
    /// [`Key::seal`], the epoch in clear, and how many bytes stand before its letters.
    Sealed { epoch: u16, prefix: usize },
}

/// The token that begins where the bytes do, made with whatever key, and how long it is.
pub(super) fn token(bytes: &[u8]) -> Option<(Token, usize)> {
    let is_sealed = match bytes.first()? {
        b'e' => false,
        b'x' => true,
        _ => return None,
    };
    let digits = bytes[1..].iter().take(6).take_while(|b| b.is_ascii_digit()).count();
    let epoch: u16 = std::str::from_utf8(&bytes[1..=digits]).ok()?.parse().ok()?;
    let prefix = digits + 2;
    if bytes.get(prefix - 1) != Some(&b'-') {
        return None;
    }
    let letters = |length: usize| {
        let token = bytes.get(prefix..prefix + length)?;
        token.iter().all(|byte| base32::is_letter(*byte)).then_some(prefix + length)
    };
    if !is_sealed {
        return Some((Token::Pseudonym, letters(TOKEN)?));
    }
    let head = base32::decode(bytes.get(prefix..prefix + 7)?)?;
    let (length, from) = read_length(&head).filter(|(length, _)| *length > SIV_TAG)?;
    Some((Token::Sealed { epoch, prefix }, letters(base32::length(from + length))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(epoch: u16, secret: &[u8]) -> Key {
        Key::new(epoch, secret).expect("a long enough secret")
    }

    // Pinned: a change of these strings cuts every analyst off from the stand-ins of before.
    #[test]
    fn known_stand_ins() {
        let key = key(1, b"an invented secret of 32 bytes!!");
        let (v4, v6): (IpAddr, IpAddr) = ("203.0.113.4".parse().unwrap(), "2001:db8::1".parse().unwrap());
        assert_eq!(key.pseudonym("email", b"ada@example.com"), "e1-jrv6evancv3mod5zcaibmzr25q");
        assert_eq!(key.ip_pseudonym(v4).to_string(), "3fff:add:1:2fd8:a011:3d14:8898:8065");
        assert_eq!(key.seal(b"ada@example.com"), "x1-d56al5v5tngmvpdwxer2qwnyzsag7ix4vov77r4m7lwsuw2gt3oq");
        assert_eq!(key.seal_ip(v4), "3fff:aee:1:6cc8:6b0f:cfde:2615:5f94");
        assert_eq!(key.seal_ip(v6), "::%x1-zrwzmxkwd2gomcq7cs7ru7jj2jb7gcq");
    }

    #[test]
    fn differ_by_key_epoch_and_kind() {
        let address: IpAddr = "203.0.113.4".parse().unwrap();
        let (one, other) = (key(1, b"0123456789abcdef"), key(1, b"0123456789abcdeg"));
        assert_ne!(one.pseudonym("email", b"ada"), other.pseudonym("email", b"ada"));
        assert_ne!(one.pseudonym("email", b"ada"), one.pseudonym("text", b"ada"));
        assert_ne!(one.ip_pseudonym(address), other.ip_pseudonym(address));
        assert_ne!(one.seal(b"ada"), other.seal(b"ada"));
        assert_ne!(one.seal_ip(address), other.seal_ip(address));
        assert_eq!(one.ip_pseudonym(address), key(1, b"0123456789abcdef").ip_pseudonym(address));
        assert!(key(65535, b"0123456789abcdef").pseudonym("email", b"x").starts_with("e65535-"));
    }

    #[test]
    fn are_told_again_whatever_follows() {
        let key = key(65535, b"0123456789abcdef");
        let address: IpAddr = "203.0.113.4".parse().unwrap();
        assert!(is_ip_pseudonym(key.ip_pseudonym(address)));
        assert!(key.seal_ip(address).parse().is_ok_and(is_sealed_v4));
        for length in [1, 2, 111, 112, 113, 20_000] {
            let sealed = key.seal(&vec![b'a'; length]);
            let known = token(format!("{sealed}abcdefgh").as_bytes());
            assert_eq!(known, Some((Token::Sealed { epoch: 65535, prefix: 7 }, sealed.len())), "{length}");
            assert_eq!(key.unseal(&sealed.as_bytes()[7..]), Some(vec![b'a'; length]));
        }
        let pseudonym = key.pseudonym("text", b"ada");
        assert_eq!(token(format!("{pseudonym}x").as_bytes()), Some((Token::Pseudonym, pseudonym.len())));
        for other in [
            "ada",
            "e1-",
            "e-abcdefghijklmnopqrstuvwxyz",
            "e1-ABCDEFGHIJKLMNOPQRSTUVWXYZ",
            "x1-short",
            "x1-aaaaaaaaaaa",
        ] {
            assert_eq!(token(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn an_encrypted_address_is_one_and_fits_where_one_must_stand() {
        let key = key(65535, b"0123456789abcdef");
        for address in ["203.0.113.4", "255.255.255.255", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "fe80::1"] {
            let address: IpAddr = address.parse().unwrap();
            let sealed = key.seal_ip(address);
            // OCSF's `ip_t`: 40 characters, and a zone only behind IPv6.
            assert!(sealed.len() <= 40, "{sealed}");
            assert!(sealed.split('%').next().unwrap().parse::<Ipv6Addr>().is_ok(), "{sealed}");
            let clear = match sealed.strip_prefix("::%xffff-") {
                Some(token) => key.unseal_v6(token.as_bytes()).map(IpAddr::V6),
                None => key.unseal_v4(sealed.parse().unwrap()).map(IpAddr::V4),
            };
            assert_eq!(clear, Some(address));
        }
    }

    #[test]
    fn another_key_reveals_nothing() {
        let (one, other) = (key(1, b"0123456789abcdef"), key(1, b"0123456789abcdeg"));
        assert_eq!(other.unseal(&one.seal(b"ada").as_bytes()[3..]), None);
        assert_eq!(other.unseal_v4(one.seal_v4(Ipv4Addr::new(203, 0, 113, 4))), None);
        let sealed = one.seal_ip("2001:db8::1".parse().unwrap());
        assert_eq!(other.unseal_v6(sealed.strip_prefix("::%x1-").unwrap().as_bytes()), None);
    }

    #[test]
    fn a_short_secret_is_refused_and_none_is_shown() {
        let error = Key::new(1, b"hunter2").expect_err("seven bytes");
        assert_eq!(error.to_string(), "the redaction key has 7 bytes, it needs 16 or more");
        assert!(!format!("{:?}", key(1, b"0123456789abcdef")).contains("0123"));
    }
}
