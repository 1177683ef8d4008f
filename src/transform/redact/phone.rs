//! Telephone numbers as E.164 writes them: a `+`, the code of a country, and as many digits as its numbers have.
//!
//! A number without `+` is not told from an id, and is left alone. So are UTC offsets (`+02:00`: no country's code begins
//! with 0), sums and scores.

use memchr::memchr;

use super::encoded::Text;
use super::{Detector, Found, What};

/// No number is longer (E.164 section 6).
const MOST_DIGITS: usize = 15;

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
    loop {
        let group = bytes[at..].iter().take(MOST_DIGITS + 1).take_while(|b| b.is_ascii_digit()).count();
        if group == 0 || count + group > MOST_DIGITS {
            break;
        }
        digits[count..count + group].copy_from_slice(&bytes[at..at + group]);
        count += group;
        at += group;
        let closes = !bytes.get(at).is_some_and(|&b| is_word(b));
        if closes && is_number(&digits[..count]) {
            end = Some(at);
        }
        // ` (0)`, `) `, and single marks between groups; in the query of a URL a blank is a `+`.
        let marks = bytes[at..]
            .iter()
            .take(3)
            .take_while(|b| matches!(b, b' ' | b'-' | b'.' | b'/' | b'(' | b')' | b'+'))
            .count();
        if marks == 0 || marks > 2 {
            break;
        }
        at += marks;
    }
    end
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
    written.iter().copied().filter(|b| b.is_ascii_digit() || *b == b'+').collect()
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
    }
}
