//! Deterministic content: what a record says follows from the world's seed and the record's index alone.

pub(crate) mod ashby;
pub(crate) mod cloudflare;
pub(crate) mod nirvana;
pub(crate) mod telnyx;
pub(crate) mod voximplant;

use std::fmt::Write;

use chrono::SecondsFormat;

use super::Vendor;
use super::timeline::{Micros, SECOND, date};

/// The first of the records that [`sample`] makes.
const SAMPLE_FROM: Micros = 1_788_000_000 * SECOND;

/// `count` records of a vendor as they stand on its pages, one a second: for a benchmark, which needs no server.
#[must_use]
pub fn sample(vendor: Vendor, count: u64) -> Vec<String> {
    let record = |index: u64| {
        let (time, mut out) = (SAMPLE_FROM + index as Micros * SECOND, String::with_capacity(1024));
        match vendor {
            Vendor::Telnyx => telnyx::write(0, index, time, &mut out),
            Vendor::Cloudflare => cloudflare::facts(0, index).write(time, &mut out),
            Vendor::Voximplant => voximplant::facts(0, index).write(time, false, &mut out),
            Vendor::Ashby => ashby::facts(0, index).write(time, time, &mut out),
            Vendor::Nirvana => nirvana::facts(0, index).write(time, &mut out),
        }
        out
    };
    (0..count).map(record).collect()
}

/// Mixes two numbers into one that looks random (splitmix64's finalizer).
pub(crate) fn mix(salt: u64, value: u64) -> u64 {
    let mut z = salt ^ value.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(0x632b_e59b_d9b4_e019);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A small stream of choices, the same for the same salt and index.
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    pub fn new(salt: u64, index: u64) -> Self {
        Self(mix(salt, index))
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0, 0)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    pub fn percent(&mut self, share: u64) -> bool {
        self.below(100) < share
    }

    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len() as u64) as usize]
    }
}

const LOW_48: u64 = (1 << 48) - 1;
const STIR: u64 = 0x5851_f42d_4c95;

/// Scrambles a 48-bit number so that it can be had back.
fn scramble(salt: u64, index: u64) -> u64 {
    let mut x = (index ^ mix(salt, 0)) & LOW_48;
    x = x.wrapping_mul(STIR) & LOW_48;
    x ^= x >> 24;
    x.wrapping_mul(STIR) & LOW_48
}

fn unscramble(salt: u64, value: u64) -> u64 {
    let inverse = inverse_of(STIR);
    let mut x = value.wrapping_mul(inverse) & LOW_48;
    // Undoes itself, since 24 is half of 48.
    x ^= x >> 24;
    x = x.wrapping_mul(inverse) & LOW_48;
    (x ^ mix(salt, 0)) & LOW_48
}

/// Newton's iteration for the inverse of an odd number modulo a power of two.
fn inverse_of(odd: u64) -> u64 {
    (0..6).fold(odd, |x, _| x.wrapping_mul(2u64.wrapping_sub(odd.wrapping_mul(x))))
}

/// The id of record `index`, in the look of a random UUID.
pub(crate) fn uuid(salt: u64, index: u64) -> String {
    let (high, variant) = (mix(salt, index), mix(!salt, index) & 0x3fff | 0x8000);
    let mut out = String::with_capacity(36);
    let groups =
        [(high >> 32, 8), (high >> 16, 4), (high & 0xfff | 0x4000, 4), (variant, 4), (scramble(salt, index), 12)];
    for (number, (value, digits)) in groups.into_iter().enumerate() {
        if number > 0 {
            out.push('-');
        }
        push_hex(&mut out, value, digits);
    }
    out
}

/// The id of record `index` as 32 hexadecimal digits.
pub(crate) fn hex32(salt: u64, index: u64) -> String {
    let mut out = String::with_capacity(32);
    push_hex(&mut out, mix(salt, index), 16);
    push_hex(&mut out, mix(!salt, index), 4);
    push_hex(&mut out, scramble(salt, index), 12);
    out
}

/// Appends the last `digits` hexadecimal digits of `value`; every record has a dozen such, and `format!` is slow.
fn push_hex(out: &mut String, value: u64, digits: u32) {
    for place in (0..digits).rev() {
        out.push(b"0123456789abcdef"[(value >> (4 * place) & 0xf) as usize] as char);
    }
}

/// The index behind an id made by [`uuid`] or [`hex32`], if `make` says that it is one.
pub(crate) fn index_of(salt: u64, id: &str, make: fn(u64, u64) -> String) -> Option<u64> {
    let node = id.get(id.len().checked_sub(12)?..)?;
    let index = unscramble(salt, u64::from_str_radix(node, 16).ok()?);
    (make(salt, index) == id).then_some(index)
}

/// Appends `text` as a JSON string.
pub(crate) fn quoted(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            c if c < ' ' => write!(out, "\\u{:04x}", c as u32).expect("a String takes everything"),
            c => out.push(c),
        }
    }
    out.push('"');
}

/// `text` with everything but letters, digits and `-._` percent-encoded.
pub(crate) fn percent_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._".contains(&byte) {
            out.push(byte as char);
        } else {
            write!(out, "%{byte:02X}").expect("a String takes everything");
        }
    }
    out
}

/// RFC 3339 in UTC, with milliseconds.
pub(crate) fn instant(time: Micros) -> String {
    date(time).to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// RFC 3339 in UTC, in whole seconds.
pub(crate) fn instant_secs(time: Micros) -> String {
    date(time).to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// `write!` into a `String`, which cannot fail.
macro_rules! put {
    ($out:expr, $($part:tt)*) => { write!($out, $($part)*).expect("a String takes everything") };
}
pub(crate) use put;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_are_unique_and_lead_back_to_their_index() {
        let mut seen = HashSet::new();
        for index in (0..20_000).chain([1_000_000, 99_999_999_999]) {
            assert!(seen.insert(uuid(3, index)) && seen.insert(hex32(3, index)));
            assert_eq!(index_of(3, &uuid(3, index), uuid), Some(index));
            assert_eq!(index_of(3, &hex32(3, index), hex32), Some(index));
        }
        assert_eq!(index_of(3, &uuid(4, 1), uuid), None);
        assert_eq!(index_of(3, "short", uuid), None);
    }

    #[test]
    fn quoting_is_json() {
        let mut out = String::new();
        quoted(&mut out, "a\"b\\c\nd\u{1}é");
        assert_eq!(serde_json::from_str::<String>(&out).expect("JSON"), "a\"b\\c\nd\u{1}é");
    }
}
