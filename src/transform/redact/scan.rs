//! The first look at a text: can it hold an address at all, and must it be decoded to tell?
//!
//! Nearly every string of an audit record ends here, so this is the code that sets the price of
//! redaction. Sixteen bytes are looked at together, in a form the compiler turns into vector
//! instructions; only a text that holds something telling is looked at byte by byte, for which of
//! the finders it needs.

use super::encoded::{defanged, unseen};

const LANES: usize = 16;

/// Of an IPv4 address.
const LONGEST_PART: usize = 3;

const AT: u8 = 1;
const DOT: u8 = 1 << 1;
const COLON: u8 = 1 << 2;
/// `%`, `\` or the byte before a colour: something may be written in another way.
const ESCAPE: u8 = 1 << 3;
/// Both of them in `&#64;`, one of them in most URLs and user agents.
const AMPERSAND: u8 = 1 << 4;
const SEMICOLON: u8 = 1 << 5;
/// The first byte of U+F000..U+FFFF, where the full-width forms `＠．：` are, and of U+3000..U+3FFF, where `。` is; `․`, and what nobody sees.
const WIDE: u8 = 1 << 6;
const HIGH: u8 = 1 << 7;
/// None of them, but worth a look at what follows: `[dot]`.
const BRACKET: u8 = DOT | COLON;

/// The first byte of U+2000..U+2FFF.
const GENERAL: u8 = 0xE2;
const ONE_DOT_LEADER: &[u8] = "\u{2024}".as_bytes();

/// For the first look, beside `DOT`.
const DIGIT: u8 = 1 << 5;
const OTHER: u8 = 1 << 6;

/// What a text holds of that which matters.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Traits {
    seen: u8,
    dots: usize,
    /// How many numbers with a dot behind them follow upon each other.
    dotted_numbers: usize,
    colons: usize,
    double_colon: bool,
}

impl Traits {
    /// Nothing in the text could be an address or hide one.
    #[inline]
    pub(super) fn harmless(&self, emails: bool, ips: bool) -> bool {
        let email = emails && self.email();
        // Between numbers there may be something that nobody sees.
        let unseen = self.seen & HIGH != 0 && (self.dots >= 3 || self.colons >= 2);
        let ip = ips && (self.ipv4() || self.ipv6() || unseen);
        !(email || ip || self.escaped())
    }

    /// The text has to be decoded before it can be searched.
    ///
    /// Text outside ASCII goes the same way because its punctuation has to be told from its letters.
    pub(super) fn written_otherwise(&self) -> bool {
        self.escaped() || self.seen & HIGH != 0
    }

    #[inline]
    fn escaped(&self) -> bool {
        const ENTITY: u8 = AMPERSAND | SEMICOLON;
        self.seen & (ESCAPE | WIDE) != 0 || self.seen & ENTITY == ENTITY
    }

    #[inline]
    pub(super) fn email(&self) -> bool {
        self.seen & AT != 0
    }

    #[inline]
    pub(super) fn ipv4(&self) -> bool {
        self.dotted_numbers >= 3
    }

    /// The shortest is `::1`; without `::` there are seven colons, or six and a dotted tail.
    ///
    /// So no time, date or MAC has to be read as an address.
    #[inline]
    pub(super) fn ipv6(&self) -> bool {
        self.double_colon || self.colons >= 6
    }

    /// Three parts with dots between them, and more where they are encrypted.
    #[inline]
    pub(super) fn jwt(&self) -> bool {
        self.dots >= 2
    }

    /// As many dots as 32 nibbles and `ip6.arpa` have between them.
    pub(super) fn ip6_arpa(&self) -> bool {
        self.dots >= 33
    }
}

/// Whether the text is worth a closer look, where only addresses count: most are not, and this is all that they cost. Dots
/// without a digit are those of names (`account.member.role`) and no address.
#[inline]
pub(super) fn is_telling(text: &[u8]) -> bool {
    let (chunks, rest) = text.as_chunks::<LANES>();
    let Some(last) = text.last_chunk::<LANES>() else {
        let seen = text.iter().fold(0, |seen, &byte| seen | FIRST[usize::from(byte)]);
        return seen & OTHER != 0 || seen & (DOT | DIGIT) == DOT | DIGIT;
    };
    let (mut other, mut dot, mut digit) = ([0u8; LANES], [0u8; LANES], [0u8; LANES]);
    // The last bytes are looked at together with some that were seen: cheaper than one by one.
    for chunk in chunks.iter().chain((!rest.is_empty()).then_some(last)) {
        mark_telling(&mut other, chunk, u8::MAX);
        mark(&mut dot, chunk, |byte| byte == b'.');
        mark(&mut digit, chunk, |byte| (byte.wrapping_sub(b'0') < 10) | (byte >= 0x80));
    }
    let any = |lanes: [u8; LANES]| u128::from_ne_bytes(lanes) != 0;
    any(other) || (any(dot) && any(digit))
}

/// Looks at every byte of `text`.
#[inline]
pub(super) fn traits(text: &[u8]) -> Traits {
    let (chunks, rest) = text.as_chunks::<LANES>();
    let mut seen = [0u8; LANES];
    for chunk in chunks {
        mark_telling(&mut seen, chunk, b'.');
    }
    // The last bytes are looked at together with some that were seen: cheaper than one by one.
    let telling = match text.last_chunk::<LANES>() {
        Some(last) => {
            if !rest.is_empty() {
                mark_telling(&mut seen, last, b'.');
            }
            u128::from_ne_bytes(seen) != 0
        }
        None => text.iter().fold(0, |seen, &byte| seen | CLASSES[usize::from(byte)]) != 0,
    };
    if telling { count(text) } else { Traits::default() }
}

/// Comparisons and no table: a table look-up cannot be done for sixteen bytes at once. `or` is one that tells, too.
#[inline(always)]
fn mark_telling(seen: &mut [u8; LANES], chunk: &[u8; LANES], or: u8) {
    for (seen, &byte) in seen.iter_mut().zip(chunk) {
        let telling = (byte == b'@') | (byte == or) | (byte == b':') | (byte == b'%') | (byte == b'\\');
        // Two at a time: 0xE2 and 0xE3, 0x1B and `[`.
        let paired = (byte | 1 == 0xE3) | (byte & !0x40 == 0x1B);
        *seen |= u8::from(telling | paired | (byte == b'&') | (byte == 0xEF));
    }
}

#[inline(always)]
fn mark(seen: &mut [u8; LANES], chunk: &[u8; LANES], is_one: impl Fn(u8) -> bool) {
    for (seen, &byte) in seen.iter_mut().zip(chunk) {
        *seen |= u8::from(is_one(byte));
    }
}

fn count(text: &[u8]) -> Traits {
    let mut traits = Traits::default();
    let (mut last_dot, mut numbers) = (0, 0);
    for (at, &byte) in text.iter().enumerate() {
        let class = CLASSES[usize::from(byte)];
        // Nearly always: this branch is foreseen, and the rest costs nothing.
        if class == 0 {
            continue;
        }
        if class == BRACKET {
            traits.seen |= if defanged(&text[at..]).is_some() { ESCAPE } else { 0 };
            continue;
        }
        traits.seen |= class;
        let before = at.checked_sub(1).map_or(0, |before| text[before]);
        if before == b'(' && text.get(at + 1) == Some(&b')') {
            traits.seen |= ESCAPE;
        }
        if class == DOT {
            traits.dots += 1;
            let continues = numbers > 0 && at - last_dot <= LONGEST_PART + 1;
            numbers = if !before.is_ascii_digit() {
                0
            } else if continues {
                numbers + 1
            } else {
                1
            };
            traits.dotted_numbers = traits.dotted_numbers.max(numbers);
            last_dot = at;
        } else if class == COLON {
            traits.colons += 1;
            traits.double_colon |= before == b':';
        } else if class == AMPERSAND && text.get(at + 1) == Some(&b'#') {
            traits.seen |= ESCAPE;
        } else if byte == GENERAL && (text[at..].starts_with(ONE_DOT_LEADER) || unseen(&text[at..]) > 0) {
            traits.seen |= WIDE;
        }
    }
    traits
}

static CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0x80;
    while byte < 256 {
        classes[byte] = HIGH;
        byte += 1;
    }
    classes[0xE3] |= WIDE;
    classes[0xEF] |= WIDE;
    classes[b'@' as usize] = AT;
    classes[b'.' as usize] = DOT;
    classes[b':' as usize] = COLON;
    classes[b'%' as usize] = ESCAPE;
    classes[b'\\' as usize] = ESCAPE;
    classes[0x1B] = ESCAPE;
    classes[b'&' as usize] = AMPERSAND;
    classes[b'[' as usize] = BRACKET;
    classes[b';' as usize] = SEMICOLON;
    classes
};

/// What [`is_telling`] knows of a byte: a dot, a digit or what may be one, or anything else that tells.
static FIRST: [u8; 256] = {
    let mut first = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let is_dot_or_letter = CLASSES[byte] & !(DOT | HIGH) == 0;
        first[byte] = CLASSES[byte] & DOT;
        if !is_dot_or_letter && byte != b';' as usize {
            first[byte] |= OTHER;
        }
        if byte == GENERAL as usize {
            first[byte] |= OTHER;
        }
        if byte >= 0x80 || (byte >= b'0' as usize && byte <= b'9' as usize) {
            first[byte] |= DIGIT;
        }
        byte += 1;
    }
    first
};

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        // The first look may call a text telling that is not, and never the other way round.
        #[test]
        fn what_the_first_look_lets_pass_is_harmless(text in "[a-z0-9.:@%;&#é＠。․\\[\\]()\\\\-]{0,40}") {
            let bytes = text.as_bytes();
            proptest::prop_assert!(is_telling(bytes) || count(bytes).harmless(true, true), "{}", text);
        }
    }

    #[test]
    fn sees_every_telling_byte_at_every_place() {
        for length in 1..50 {
            for place in 0..length {
                for byte in [b'@', b'.', b':', b'%', b'\\', b'&', 0xEF, 0xE3, 0x1B] {
                    let mut text = vec![b'a'; length];
                    text[place] = byte;
                    assert_eq!(traits(&text), count(&text), "{byte:#x} at {place} of {length}");
                    assert_ne!(traits(&text), Traits::default(), "{byte:#x} at {place} of {length}");
                }
            }
        }
    }

    // Whether a text is ASCII only matters where something else is in it.
    #[test]
    fn letters_outside_ascii_count_beside_a_telling_byte() {
        assert!(traits("a letter outside of ASCII: é".as_bytes()).written_otherwise());
        assert!(!traits(b"no letter outside of ASCII: e").written_otherwise());
    }

    #[test]
    fn what_audit_logs_are_full_of_is_harmless() {
        for text in [
            "",
            "login",
            "a1b2c3d4-0000-4000-8000-1234567890ab",
            "Zoë Müller, admin",
            "2024-01-01T08:22:31+00:00",
            "00:1a:2b:3c:4d:5e",
            "dash.example.com",
            "account.member.role.update",
            "https://example.com/members?page=2&per_page=50",
        ] {
            assert!(traits(text.as_bytes()).harmless(true, true), "{text}");
        }
    }

    #[test]
    fn the_least_that_can_be_an_address_is_not() {
        for text in [
            "a@b",
            "1.1.1.1",
            "::1",
            "1:1:1:1:1:1:1.1.1.1",
            "1:1:1:1:1:1:1:1",
            "a%40b",
            "a&#64;b",
            "a&#64b",
            "a＠b",
            "a[at]b",
            "1[dot]1[dot]1[dot]1",
            "1(.)1(.)1(.)1",
            "1․1․1․1",
        ] {
            assert!(!traits(text.as_bytes()).harmless(true, true), "{text}");
        }
    }

    #[test]
    fn only_what_is_asked_for_counts() {
        assert!(traits(b"a@example").harmless(false, true));
        assert!(traits(b"10.0.0.1").harmless(true, false));
        assert!(!traits(b"a%40example").harmless(true, false));
    }
}
