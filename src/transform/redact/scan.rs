//! The first look at a text: can it hold an address at all, and must it be decoded to tell?
//!
//! Nearly every string of an audit record ends here, so this is the code that sets the price of
//! redaction. Sixteen bytes are looked at together, in a form the compiler turns into vector
//! instructions; only a text that holds something telling is looked at byte by byte, for which of
//! the finders it needs.

const LANES: usize = 16;

const AT: u8 = 1;
const DOT: u8 = 1 << 1;
const COLON: u8 = 1 << 2;
/// `%`, `\` or `&`: something may be written in another way.
const ESCAPE: u8 = 1 << 3;
/// The first byte of U+F000..U+FFFF, where the full-width forms `＠．：` are.
const WIDE: u8 = 1 << 4;
const HIGH: u8 = 1 << 7;

/// Which of the bytes that matter occur in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Traits(u8);

impl Traits {
    /// Nothing in the text could be an address or hide one.
    #[inline]
    pub(super) fn harmless(self, emails: bool, ips: bool) -> bool {
        let mut telling = ESCAPE | WIDE;
        if emails {
            telling |= AT;
        }
        if ips {
            telling |= DOT | COLON;
        }
        self.0 & telling == 0
    }

    /// The text has to be decoded before it can be searched.
    ///
    /// Text outside ASCII goes the same way because its punctuation has to be told from its letters.
    pub(super) fn written_otherwise(self) -> bool {
        self.0 & (ESCAPE | WIDE | HIGH) != 0
    }

    pub(super) fn has_at(self) -> bool {
        self.0 & AT != 0
    }

    pub(super) fn has_dot(self) -> bool {
        self.0 & DOT != 0
    }

    pub(super) fn has_colon(self) -> bool {
        self.0 & COLON != 0
    }
}

/// Looks at every byte of `text`.
#[inline]
pub(super) fn traits(text: &[u8]) -> Traits {
    let (chunks, rest) = text.as_chunks::<LANES>();
    let mut seen = [0u8; LANES];
    for chunk in chunks {
        mark_telling(&mut seen, chunk);
    }
    // The last bytes are looked at together with some that were seen: cheaper than one by one.
    match text.last_chunk::<LANES>() {
        Some(last) if !rest.is_empty() => mark_telling(&mut seen, last),
        Some(_) => {}
        None => return classes(text),
    }
    if u128::from_ne_bytes(seen) == 0 { Traits(0) } else { classes(text) }
}

fn classes(text: &[u8]) -> Traits {
    Traits(text.iter().fold(0, |seen, &byte| seen | CLASSES[usize::from(byte)]))
}

/// Comparisons and no table: a table look-up cannot be done for sixteen bytes at once.
#[inline(always)]
fn mark_telling(seen: &mut [u8; LANES], chunk: &[u8; LANES]) {
    for (seen, &byte) in seen.iter_mut().zip(chunk) {
        let telling = (byte == b'@') | (byte == b'.') | (byte == b':') | (byte == b'%') | (byte == b'\\');
        *seen |= u8::from(telling | (byte == b'&') | (byte == 0xEF));
    }
}

const fn class(byte: u8) -> u8 {
    let mut class = byte & HIGH;
    class |= if byte == b'@' { AT } else { 0 };
    class |= if byte == b'.' { DOT } else { 0 };
    class |= if byte == b':' { COLON } else { 0 };
    class |= if byte == b'%' || byte == b'\\' || byte == b'&' { ESCAPE } else { 0 };
    class | if byte == 0xEF { WIDE } else { 0 }
}

static CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = class(byte as u8);
        byte += 1;
    }
    classes
};

/// At least `wanted` times `byte`.
pub(super) fn at_least(text: &[u8], byte: u8, wanted: usize) -> bool {
    text.iter().filter(|&&b| b == byte).count() >= wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sees_every_telling_byte_at_every_place() {
        for length in 1..50 {
            for place in 0..length {
                for byte in 0..=u8::MAX {
                    let mut text = vec![b'a'; length];
                    text[place] = byte;
                    let seen = traits(&text);
                    assert_eq!(seen.0 & !HIGH, class(byte) & !HIGH, "{byte:#x} at {place} of {length}");
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
    fn plain_words_are_harmless() {
        for text in ["", "login", "a1b2c3d4-0000-4000-8000-1234567890ab", "Zoë Müller, admin"] {
            assert!(traits(text.as_bytes()).harmless(true, true), "{text}");
        }
    }

    #[test]
    fn only_what_is_asked_for_counts() {
        assert!(traits(b"a@example").harmless(false, true));
        assert!(traits(b"10.0.0.1").harmless(true, false));
        assert!(!traits(b"a%40example").harmless(true, false));
    }
}
