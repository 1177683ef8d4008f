//! Stand-ins that are the same for the same address, and say nothing about it without the key.
//!
//! Both kinds look like what they replace, so that an event stays valid where a field must hold an
//! address, and both lie where no real address can: the top-level domain `.invalid` (RFC 2606) and
//! the IPv6 documentation prefix `3fff::/20` (RFC 9637). That is also how they are told again, and
//! left alone, when redacted text is redacted once more.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::PolicyError;

/// The domain of every e-mail pseudonym.
pub(super) const DOMAIN: &str = "pseudonym.invalid";

/// `3fff:add::/32`, the prefix of every IP pseudonym.
const PREFIX: [u16; 2] = [0x3fff, 0x0add];

const TOKEN: usize = 26;

/// The secret that pseudonyms are made with, and the number of its epoch.
///
/// The epoch stands in every pseudonym in clear. Whoever changes the key raises it, so that a reader
/// can tell "another person" from "another key".
#[derive(Clone)]
pub struct PseudonymKey {
    epoch: u16,
    keyed: Hmac<Sha256>,
}

impl PseudonymKey {
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
        let keyed = Hmac::new_from_slice(secret).expect("HMAC takes keys of every length");
        Ok(PseudonymKey { epoch, keyed })
    }

    fn digest(&self, kind: &[u8], value: &[u8]) -> [u8; 32] {
        let mut mac = self.keyed.clone();
        mac.update(kind);
        mac.update(value);
        mac.finalize().into_bytes().into()
    }

    /// The part before the `@`: `e1-` and 128 bits in base32.
    pub(super) fn email(&self, canonical: &str) -> String {
        let digest = self.digest(b"email\0", canonical.as_bytes());
        format!("e{}-{}", self.epoch, base32(&digest))
    }

    /// `3fff:add:EPOCH:` and 80 bits. An IPv4 address and its v4-mapped form are one address.
    pub(super) fn ip(&self, address: IpAddr) -> Ipv6Addr {
        let octets = match address {
            IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
            IpAddr::V6(v6) => v6.octets(),
        };
        let digest = self.digest(b"ip\0", &octets);
        let group = |n: usize| u16::from_be_bytes([digest[2 * n], digest[2 * n + 1]]);
        Ipv6Addr::new(PREFIX[0], PREFIX[1], self.epoch, group(0), group(1), group(2), group(3), group(4))
    }
}

impl fmt::Debug for PseudonymKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PseudonymKey").field("epoch", &self.epoch).field("secret", &"***").finish()
    }
}

/// Whether the address is one that [`PseudonymKey::ip`] makes, with whatever key.
pub(super) fn is_ip(address: Ipv6Addr) -> bool {
    address.segments().starts_with(&PREFIX)
}

/// Whether `local` is one that [`PseudonymKey::email`] makes, with whatever key.
pub(super) fn is_local(local: &[u8]) -> bool {
    let Some(rest) = local.strip_prefix(b"e") else { return false };
    let epoch = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    let token = rest[epoch..].strip_prefix(b"-").unwrap_or_default();
    (1..=5).contains(&epoch) && token.len() == TOKEN && token.iter().all(|b| matches!(b, b'a'..=b'z' | b'2'..=b'7'))
}

/// The first 128 bits in the alphabet of RFC 4648 section 6, in lower case, without padding.
fn base32(digest: &[u8; 32]) -> String {
    let mut bits = [0; 16];
    bits.copy_from_slice(&digest[..16]);
    let bits = u128::from_be_bytes(bits);
    let letters = (0..TOKEN).map(|n| {
        let shifted = if n < 25 { bits >> (123 - 5 * n) } else { bits << 2 };
        char::from(b"abcdefghijklmnopqrstuvwxyz234567"[(shifted & 31) as usize])
    });
    letters.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(epoch: u16, secret: &[u8]) -> PseudonymKey {
        PseudonymKey::new(epoch, secret).expect("a long enough secret")
    }

    #[test]
    fn base32_is_that_of_the_rfc() {
        let mut digest = [0; 32];
        digest[..6].copy_from_slice(b"foobar");
        // RFC 4648 section 10: BASE32("foobar") = "MZXW6YTBOI======"
        assert!(base32(&digest).starts_with("mzxw6ytboi"));
        assert_eq!(base32(&[0xFF; 32]), format!("{}4", "7".repeat(25)));
    }

    // Pinned: a change of these strings cuts every analyst off from the pseudonyms of before.
    #[test]
    fn known_pseudonyms() {
        let key = key(1, b"an invented secret of 32 bytes!!");
        assert_eq!(key.email("ada@example.com"), "e1-jrv6evancv3mod5zcaibmzr25q");
        assert_eq!(
            key.ip("203.0.113.4".parse().expect("an address")).to_string(),
            "3fff:add:1:2fd8:a011:3d14:8898:8065"
        );
    }

    #[test]
    fn differ_by_key_epoch_and_kind() {
        let address: IpAddr = "203.0.113.4".parse().expect("an address");
        let (one, other) = (key(1, b"0123456789abcdef"), key(1, b"0123456789abcdeg"));
        assert_ne!(one.email("ada@example.com"), other.email("ada@example.com"));
        assert_ne!(one.ip(address), other.ip(address));
        assert_eq!(one.ip(address), key(1, b"0123456789abcdef").ip(address));
        assert!(key(65535, b"0123456789abcdef").email("x").starts_with("e65535-"));
    }

    #[test]
    fn are_told_again() {
        let key = key(65535, b"0123456789abcdef");
        assert!(is_ip(key.ip("2001:db8::1".parse().expect("an address"))));
        assert!(is_local(key.email("ada@example.com").as_bytes()));
        for other in ["ada", "e1-", "e-abcdefghijklmnopqrstuvwxyz", "e1-ABCDEFGHIJKLMNOPQRSTUVWXYZ", "e1-short"] {
            assert!(!is_local(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn a_short_secret_is_refused_and_none_is_shown() {
        let error = PseudonymKey::new(1, b"hunter2").expect_err("seven bytes");
        assert_eq!(error.to_string(), "the redaction key has 7 bytes, it needs 16 or more");
        assert!(!format!("{:?}", key(1, b"0123456789abcdef")).contains("0123"));
    }
}
