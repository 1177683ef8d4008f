//! Telephone numbers as E.164 writes them: a `+`, the code of a country, and as many digits as its numbers have.
//!
//! A number without `+` is not told from an id, and is left alone. So are UTC offsets (`+02:00`: no country's code begins
//! with 0), sums and scores.

use memchr::{memchr, memmem};

use super::encoded::Text;
use super::{Detector, Found, What};

/// No number is longer (E.164 section 6).
const MOST_DIGITS: usize = 15;

/// In more there is none: those are versions behind each other.
const MOST_GROUPS: usize = 8;

/// As in `)- `.
const MOST_MARKS: usize = 3;

/// Countries whose numbers have a known length: the code, the least and the most digits with it.
const LENGTHS: [(&str, usize, usize); 38] = [
    ("1", 11, 11),
    ("7", 11, 11),
    ("20", 10, 12),
    ("27", 11, 11),
    ("30", 12, 12),
    ("31", 10, 13),
    ("32", 10, 11),
    ("33", 11, 12),
    ("34", 11, 11),
    ("36", 10, 11),
    ("39", 8, 13),
    ("40", 11, 11),
    ("41", 11, 11),
    ("43", 8, 15),
    ("44", 11, 12),
    ("45", 10, 10),
    ("46", 9, 12),
    ("47", 10, 10),
    ("48", 11, 11),
    ("49", 8, 15),
    ("52", 12, 13),
    ("54", 12, 13),
    ("55", 12, 13),
    ("60", 10, 12),
    ("61", 11, 11),
    ("62", 10, 15),
    ("63", 11, 12),
    ("64", 10, 12),
    ("65", 10, 12),
    ("66", 10, 11),
    ("81", 11, 12),
    ("82", 10, 13),
    ("84", 11, 12),
    ("86", 12, 13),
    ("90", 12, 12),
    ("91", 12, 12),
    ("353", 10, 12),
    ("971", 11, 12),
];

/// Finds every telephone number of `text`.
pub(super) fn find(text: &Text<'_>, found: &mut Vec<Found>) {
    let bytes = text.bytes;
    let mut search = 0;
    while let Some(offset) = memchr(b'+', &bytes[search..]) {
        let start = search + offset;
        search = start + 1;
        // Within a word it is a letter of Base64, or the tag of an e-mail address.
        if start.checked_sub(1).is_some_and(|before| is_word(bytes[before])) {
            continue;
        }
        if let Some(end) = number_end(bytes, start + 1) {
            found.push(Found { start, end, what: What::Text(Detector::Phone) });
            search = end;
        }
    }
}

/// Where the number ends whose digits begin at `start`: after the last group with which it can be one.
fn number_end(bytes: &[u8], start: usize) -> Option<usize> {
    let (mut digits, mut count) = ([0; MOST_DIGITS], 0);
    let mut at = start;
    let mut end = None;
    for _ in 0..MOST_GROUPS {
        let group = bytes[at..].iter().take(MOST_DIGITS + 1).take_while(|b| b.is_ascii_digit()).count();
        if group == 0 || count + group > MOST_DIGITS {
            break;
        }
        digits[count..count + group].copy_from_slice(&bytes[at..at + group]);
        count += group;
        at += group;
        let closes = !bytes.get(at).is_some_and(|&b| is_word(b)) || is_extension(&bytes[at..]);
        if closes && is_number(&digits[..count]) {
            end = Some(at);
        }
        // ` (0)`, `) `, and few marks between groups; in the query of a URL a blank is a `+`.
        let trunk = trunk_prefix(&bytes[at..]);
        at += trunk;
        let marks = bytes[at..].iter().take(MOST_MARKS + 1).take_while(|b| is_mark(**b)).count();
        if marks + trunk == 0 || marks > MOST_MARKS {
            break;
        }
        at += marks;
    }
    end
}

/// `(0)`, with marks before it: who is abroad does not dial it, so it is not of the number.
fn trunk_prefix(bytes: &[u8]) -> usize {
    let marks = bytes.iter().take(2).take_while(|b| is_mark(**b) && **b != b'(').count();
    if bytes[marks..].starts_with(b"(0)") { marks + 3 } else { 0 }
}

/// `x12` and `ext12`: the number of a room, not of the telephone.
fn is_extension(rest: &[u8]) -> bool {
    let letters = rest.iter().take(4).take_while(|b| b.is_ascii_alphabetic()).count();
    let is_named = rest[..letters].eq_ignore_ascii_case(b"x") || rest[..letters].eq_ignore_ascii_case(b"ext");
    let digits = rest[letters..].iter().take(8).take_while(|b| b.is_ascii_digit()).count();
    is_named && ((1..8).contains(&digits) || matches!(rest.get(letters), Some(b'.' | b' ')))
}

fn is_mark(byte: u8) -> bool {
    matches!(byte, b' ' | b'-' | b'.' | b'/' | b'(' | b')' | b'+')
}

fn is_number(digits: &[u8]) -> bool {
    let known = LENGTHS.iter().find(|(code, ..)| digits.starts_with(code.as_bytes()));
    match known {
        // North America: neither an area nor an exchange begins with 0 or 1.
        Some(("1", ..)) => digits.len() == 11 && digits[1] >= b'2' && digits[4] >= b'2',
        Some((_, least, most)) => (*least..=*most).contains(&digits.len()),
        None => (9..=MOST_DIGITS).contains(&digits.len()) && is_code(digits),
    }
}

/// Whether a country's code is at the beginning (ITU-T E.164, list of country codes assigned).
fn is_code(digits: &[u8]) -> bool {
    const TWO: [&[u8]; 10] = [b"51", b"53", b"56", b"57", b"58", b"92", b"93", b"94", b"95", b"98"];
    TWO.contains(&&digits[..2])
        || matches!(digits[..3], [b'2', b'1' | b'2' | b'3' | b'4' | b'5' | b'6' | b'9', _])
        || matches!(digits[..3], [b'3', b'5' | b'7' | b'8', _] | [b'4', b'2', b'0' | b'1' | b'3'])
        || matches!(digits[..3], [b'5', b'0' | b'9', _] | [b'6', b'7' | b'8' | b'9', _])
        || matches!(digits[..3], [b'8', b'0' | b'5' | b'7' | b'8', _] | [b'9', b'6' | b'7', _])
        || matches!(digits[..3], [b'9', b'9', b'2'..=b'6' | b'8'])
}

/// The number without its marks: one number is one however it is written.
pub(super) fn canonical(written: &[u8]) -> Vec<u8> {
    let (trunk, rest) = match memmem::find(written, b"(0)") {
        Some(at) => (&written[..at], &written[at + 3..]),
        None => (written, &[][..]),
    };
    let digits = trunk.iter().chain(rest).copied().filter(u8::is_ascii_digit);
    std::iter::once(b'+').chain(digits).collect()
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(text: &str) -> Vec<&str> {
        let mut found = Vec::new();
        find(&Text::plain(text), &mut found);
        found.iter().map(|found| &text[found.start..found.end]).collect()
    }

    #[test]
    fn finds_numbers_however_they_are_spaced() {
        for (text, expected) in [
            ("+12025550143", &["+12025550143"][..]),
            ("call +1 (202) 555-0143.", &["+1 (202) 555-0143"]),
            ("+49 (0)151 23456789, +33 1 23 45 67 89", &["+49 (0)151 23456789", "+33 1 23 45 67 89"]),
            ("tel:+44-20-7946-0958", &["+44-20-7946-0958"]),
            ("+380 44 123 4567", &["+380 44 123 4567"]),
            ("phone=+12025550143&x=1", &["+12025550143"]),
            ("+12025550143 2026-09-14", &["+12025550143"]),
            ("+49+151+23456789", &["+49+151+23456789"]),
            // The 0 made it too long, or another number.
            ("+44 (0)20 7946 0958", &["+44 (0)20 7946 0958"]),
            ("+44(0)2079460958", &["+44(0)2079460958"]),
            ("+33 (0) 1 23 45 67 89", &["+33 (0) 1 23 45 67 89"]),
            ("+1 (202)- 555-0143", &["+1 (202)- 555-0143"]),
            ("+12025550143x99, +1 202 555 0143ext. 7", &["+12025550143", "+1 202 555 0143"]),
        ] {
            assert_eq!(numbers(text), expected, "{text}");
        }
    }

    #[test]
    fn leaves_what_is_no_number() {
        for text in [
            "2026-09-14T08:22:31+02:00",
            "+0200",
            "+1",
            "+100%",
            "+1.5",
            "12025550143",
            "+11025550143",
            "+12021550143",
            "+999123456789",
            "a+12025550143",
            "+12025550143a",
            "+1789374151000123456",
            "AB+4915123456789/CD==",
            "1+4915123456789",
        ] {
            assert_eq!(numbers(text), [""; 0], "{text}");
        }
    }

    #[test]
    fn one_number_is_one_however_it_is_written() {
        assert_eq!(canonical(b"+1 (202) 555-0143"), canonical(b"+12025550143"));
        assert_eq!(canonical(b"+44 (0)20 7946 0958"), canonical(b"+442079460958"));
        assert_eq!(canonical(b"+49+151+23456789"), canonical(b"+4915123456789"));
    }
}
