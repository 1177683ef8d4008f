//! Numbers of payment cards: of a known issuer, as long as that issuer's are, with the check digit of Luhn.
//!
//! One of ten numbers has the right check digit by chance, so issuer and length have to fit too, and what is a part of
//! something longer (a UUID, a fraction, a word) is none.

use super::encoded::Text;
use super::{Detector, Found, What};

const FEWEST: usize = 13;
const MOST: usize = 19;

/// Whether there are as many digits as a card's number has.
pub(super) fn may_be_in(text: &[u8]) -> bool {
    text.len() >= FEWEST && text.iter().filter(|b| b.is_ascii_digit()).count() >= FEWEST
}

/// Finds every card number of `text`, its digits together or in groups.
pub(super) fn find(text: &Text<'_>, found: &mut Vec<Found>) {
    let bytes = text.bytes;
    let mut at = 0;
    while let Some(offset) = bytes[at..].iter().position(u8::is_ascii_digit) {
        let start = at + offset;
        let run = Run::read(bytes, start);
        if run.is_card(bytes) {
            found.push(Found { start, end: run.end, what: What::Text(Detector::Card) });
        }
        at = run.next;
    }
}

/// Digits, and what parts them into groups.
struct Run {
    start: usize,
    end: usize,
    /// Where the search goes on: never within digits.
    next: usize,
    digits: [u8; MOST],
    count: usize,
    /// The mark between groups.
    mark: Option<u8>,
}

impl Run {
    fn read(bytes: &[u8], start: usize) -> Run {
        let mut run = Run { start, end: start, next: start, digits: [0; MOST], count: 0, mark: None };
        let group = run.group(bytes);
        run.next = run.end;
        // Those that are in groups begin with four digits, and each has three to seven.
        if group != 4 {
            return run;
        }
        // A number behind it, as that of a month or a check, is not of it: the longest that is a card counts.
        let mut longest = None;
        // In the query of a URL a blank is a `+`.
        while let Some(mark @ (b' ' | b'-' | b'+')) = bytes.get(run.end).copied() {
            let fits = run.mark.is_none_or(|known| known == mark);
            let digits = bytes[run.end + 1..].iter().take(8).take_while(|b| b.is_ascii_digit()).count();
            if !fits || !(1..8).contains(&digits) || run.count + digits > MOST {
                break;
            }
            run.mark = Some(mark);
            run.end += 1;
            run.group(bytes);
            if run.is_card(bytes) {
                longest = Some((run.end, run.count));
            }
            if digits < 3 {
                break;
            }
        }
        if let Some((end, count)) = longest {
            (run.end, run.count, run.next) = (end, count, end);
        }
        run
    }

    /// Takes the digits at the end.
    fn group(&mut self, bytes: &[u8]) -> usize {
        let group = bytes[self.end..].iter().take_while(|b| b.is_ascii_digit()).count();
        for digit in &bytes[self.end..self.end + group] {
            if let Some(slot) = self.digits.get_mut(self.count) {
                *slot = digit - b'0';
            }
            self.count += 1;
        }
        self.end += group;
        group
    }

    fn is_card(&self, bytes: &[u8]) -> bool {
        (FEWEST..=MOST).contains(&self.count)
            && self.stands_alone(bytes)
            && is_issued(&self.digits[..self.count])
            && luhn(&self.digits[..self.count])
    }

    fn stands_alone(&self, bytes: &[u8]) -> bool {
        let before = |back: usize| self.start.checked_sub(back).map(|at| bytes[at]);
        let after = |on: usize| bytes.get(self.end + on).copied();
        let is_word = |byte: Option<u8>| byte.is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_');
        let is_part = |mark: Option<u8>, beyond: Option<u8>| match mark {
            Some(b'.') => beyond.is_some_and(|b| b.is_ascii_digit()),
            Some(b'-') => self.mark == Some(b'-') && is_word(beyond),
            mark => is_word(mark),
        };
        let rest = &bytes[self.end..];
        let digits = rest.iter().skip(1).take(5).take_while(|b| b.is_ascii_digit()).count();
        let is_short_number = rest.first() == Some(&b'-')
            && (1..=4).contains(&digits)
            && !rest.get(1 + digits).is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
        !is_part(before(1), before(2)) && (is_short_number || !is_part(after(0), after(1)))
    }
}

/// Whether an issuer's numbers begin so and are so long (ISO/IEC 7812, and what the issuers publish).
fn is_issued(digits: &[u8]) -> bool {
    let prefix = |length: usize| digits[..length].iter().fold(0u32, |number, digit| number * 10 + u32::from(*digit));
    let count = digits.len();
    match (prefix(2), prefix(4)) {
        // Visa
        (40..=49, _) => matches!(count, 13 | 16 | 19),
        // Mastercard
        (51..=55, _) | (_, 2221..=2720) => count == 16,
        // American Express
        (34 | 37, _) => count == 15,
        // Diners Club
        (36 | 38 | 39, _) | (_, 3000..=3059) => (14..=19).contains(&count),
        // JCB, Discover, UnionPay
        (_, 3528..=3589 | 6011 | 6440..=6599) | (62, _) => (16..=19).contains(&count),
        _ => false,
    }
}

/// ISO/IEC 7812-1, annex B.
fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, &digit)| match (at % 2, u32::from(digit) * 2) {
            (0, _) => u32::from(digit),
            (_, twice) => twice / 10 + twice % 10,
        })
        .sum();
    sum.is_multiple_of(10)
}

/// The number without its marks.
pub(super) fn canonical(written: &[u8]) -> Vec<u8> {
    written.iter().copied().filter(u8::is_ascii_digit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cards(text: &str) -> Vec<&str> {
        let mut found = Vec::new();
        find(&Text::plain(text), &mut found);
        found.iter().map(|found| &text[found.start..found.end]).collect()
    }

    // Numbers that the issuers publish for tests.
    #[test]
    fn finds_cards_of_every_issuer() {
        for card in [
            "4111111111111111",
            "4222222222222",
            "5555 5555 5555 4444",
            "2223-0031-2200-3222",
            "378282246310005",
            "3714 496353 98431",
            "6011111111111117",
            "3566002020360505",
            "30569309025904",
            "6240008631401148",
        ] {
            assert_eq!(cards(card), [card]);
            assert_eq!(cards(&format!("card-x: {card}, 7")), [card]);
            assert_eq!(cards(&format!("\"{card}\"")), [card]);
        }
        assert_eq!(cards("n=4111111111111111&m=card-4111111111111111."), ["4111111111111111"; 2]);
    }

    // The number behind it was taken for a part of it, and no card is so long.
    #[test]
    fn a_card_that_a_short_number_follows_is_one() {
        for (text, card) in [
            ("4111 1111 1111 1111 123", "4111 1111 1111 1111"),
            ("4111 1111 1111 1111 12 27", "4111 1111 1111 1111"),
            ("4111+1111+1111+1111+7", "4111+1111+1111+1111"),
            ("4111-1111-1111-1111-123", "4111-1111-1111-1111"),
            ("3782 822463 10005 1234", "3782 822463 10005"),
        ] {
            assert_eq!(cards(text), [card], "{text}");
        }
    }

    #[test]
    fn leaves_what_is_no_card() {
        for text in [
            "4111111111111112",
            "1789374151000",
            "1789374151000123",
            "0.4111111111111111",
            "4111111111111111.5",
            "a4111111111111111",
            "4111111111111111a",
            "41111111111111114111111111111111",
            "a1b2c3d4-4111-1111-1111-1111",
            "4111-1111-1111-1111-ab",
            "4111-1111 1111-1111",
            "411111111111111",
            "9999999999999995",
            "2026-09-14 08:22:31",
        ] {
            assert_eq!(cards(text), [""; 0], "{text}");
        }
    }
}
