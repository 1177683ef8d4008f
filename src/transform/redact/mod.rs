//! Addresses and secrets in a text: found in every form they are written in, and replaced.
//!
//! ```text
//! text ─► scan ─► (encoded) ─► email, ip, phone, … ─► spans ─► text with stand-ins
//!          │ nothing that matters: the caller keeps its text, nothing is copied
//! ```
//!
//! # What comes out
//!
//! A stand-in of an address has the shape of one, so that a field which must hold an address still does (OCSF `email_t`
//! and `ip_t`); only `remove` leaves a field empty, which its caller then leaves out.
//!
//! | action | e-mail | IPv4 | IPv6 | anything else |
//! |---|---|---|---|---|
//! | `mask` | `masked@masked.invalid` | `0.0.0.0` | `::` | `masked-phone`, `masked-NAME` |
//! | `remove` | nothing | nothing | nothing | nothing |
//! | `pseudonym` | `e1-<26 base32>@pseudonym.invalid` | `3fff:add:1:<80 bits>` | the same | `e1-<26 base32>` |
//! | `encrypt` | `x1-<base32>@encrypted.invalid` | `3fff:aee:1:<80 bits>` | `::%x1-<31 base32>` | `x1-<base32>` |
//! | `keep_domain` | `masked@example.com` | | | |
//! | `truncate` | | `203.0.113.0` | `2001:db8:1::` | |
//!
//! A pseudonym is an HMAC-SHA256 of the canonical address under the operator's key; the number behind `e`, `x`,
//! `3fff:add:` or `3fff:aee:` is the key's epoch. IPv4 addresses get an IPv6 stand-in, because the 28 reserved bits of
//! IPv4 would give two of some twenty thousand addresses the same one, and an analyst would see one person where there
//! are two. Where a port follows or an URL's authority begins, it is put in brackets. What is encrypted, and why it looks
//! so, is told in `key`.
//!
//! Redacting twice is redacting once: stand-ins are told again, whatever key made them, and left alone, and `0.0.0.0` and
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
//! never read again. Detectors that are off cost nothing.

mod api_key;
mod base32;
mod card;
mod copies;
mod email;
mod encoded;
mod fields;
mod id;
mod ip;
mod jwt;
mod key;
#[cfg(test)]
mod laws;
mod left;
mod ours;
mod pattern;
mod phone;
mod policy;
mod redactor;
mod reveal;
mod scan;
mod stand_in;
mod step;
mod tally;
#[cfg(test)]
mod tests;
mod versions;
mod walk;

use std::net::IpAddr;

pub use fields::Fields;
pub use key::Key;
pub use pattern::{Pattern, PatternError};
pub use policy::{Detector, EmailAction, FieldAction, IpAction, Policy, PolicyError, TextAction};
pub use redactor::Redactor;
pub use reveal::{Revealed, Revealer};
pub use step::Redact;
pub use tally::{Hits, Tally};
pub use walk::masked;

/// Something that is to be replaced, in the decoded text.
#[derive(Debug)]
struct Found {
    start: usize,
    end: usize,
    what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Email {
        at: usize,
    },
    /// An e-mail address that holds something else, or overlaps with it.
    EmailWithMore {
        at: usize,
    },
    Ip(IpAddr),
    /// What one of the other detectors found.
    Text(Detector),
    /// What the pattern of this index matched.
    Pattern(usize),
    /// A stand-in of ours, which no pattern may take for anything.
    Ours,
}

impl What {
    fn detector(self) -> Detector {
        match self {
            Self::Email { .. } | Self::EmailWithMore { .. } => Detector::Email,
            Self::Ip(_) => Detector::Ip,
            Self::Text(detector) => detector,
            Self::Pattern(_) | Self::Ours => Detector::Pattern,
        }
    }
}
