//! A text as its reader would see it: percent-encoding, string escapes and entities undone.
//!
//! The finders search the decoded bytes; every decoded byte remembers where it was written, so a
//! find becomes a span of the original text, and the text around it is never rewritten. Decoding is
//! generous, because it only serves to find: any depth of `%2540` or `\\\\u0040` is undone at once,
//! and mixtures (`\u002540`) in a few rounds, each linear in the text.

use std::ops::Range;

/// `\u0026#x25;40` is three. What is wrapped more often than this is no longer what anybody reads.
const ROUNDS: usize = 6;

/// Stands for white space and punctuation outside ASCII: it ends a word, and that is all we ask.
const BREAK: u8 = b' ';

/// A decoded text and where its bytes were written.
#[derive(Debug)]
pub(super) struct Decoded {
    pub(super) bytes: Vec<u8>,
    /// Per decoded byte the offset where its unit begins in the original; one more for the end.
    starts: Vec<usize>,
}

impl Decoded {
    /// `None` when the text says what it says: there is nothing to decode in it.
    pub(super) fn of(text: &str) -> Option<Decoded> {
        Self::read(text, percent)
    }

    /// The other reading: `%` is a `%`, and `%25` is all that is written with one.
    pub(super) fn but_percent(text: &str) -> Option<Decoded> {
        Self::read(text, percent_sign)
    }

    fn read(text: &str, percent: Percent) -> Option<Decoded> {
        let mut decoded = round(text.as_bytes(), percent, |at| at)?;
        for _ in 1..ROUNDS {
            match round(&decoded.bytes, percent, |at| decoded.starts[at]) {
                Some(next) => decoded = next,
                None => break,
            }
        }
        Some(decoded)
    }
}

/// What is searched: the decoded bytes, and the way back to the original.
#[derive(Debug, Clone, Copy)]
pub(super) struct Text<'a> {
    pub(super) raw: &'a str,
    pub(super) bytes: &'a [u8],
    /// Empty when the bytes are those of `raw`.
    starts: &'a [usize],
}

impl<'a> Text<'a> {
    pub(super) fn plain(raw: &'a str) -> Self {
        Text { raw, bytes: raw.as_bytes(), starts: &[] }
    }

    pub(super) fn decoded(raw: &'a str, decoded: &'a Decoded) -> Self {
        Text { raw, bytes: &decoded.bytes, starts: &decoded.starts }
    }

    /// Where a range of decoded bytes was written; whole escapes and whole characters.
    pub(super) fn written(&self, decoded: Range<usize>) -> Range<usize> {
        let (mut start, mut end) = if self.starts.is_empty() {
            (decoded.start, decoded.end)
        } else {
            let mut end = decoded.end;
            while end > 0 && end < self.bytes.len() && self.starts[end] == self.starts[end - 1] {
                end += 1;
            }
            (self.starts[decoded.start], self.starts[end])
        };
        while !self.raw.is_char_boundary(start) {
            start -= 1;
        }
        while !self.raw.is_char_boundary(end) {
            end += 1;
        }
        start..end
    }

    /// The original of one decoded byte: `@`, or `%40`, or `\u0040`.
    pub(super) fn unit(&self, at: usize) -> &'a str {
        &self.raw[self.written(at..at + 1)]
    }
}

/// One decoding of everything that is encoded once, or `None` when nothing is.
fn round(bytes: &[u8], percent: Percent, origin: impl Fn(usize) -> usize) -> Option<Decoded> {
    let first = first_escape(bytes, percent)?;
    let mut out = Decoded { bytes: Vec::with_capacity(bytes.len()), starts: Vec::with_capacity(bytes.len() + 1) };
    out.bytes.extend_from_slice(&bytes[..first]);
    out.starts.extend((0..first).map(&origin));
    let mut at = first;
    while at < bytes.len() {
        let before = at;
        match unit(bytes, at, percent) {
            Unit::Same(length) => {
                out.bytes.extend_from_slice(&bytes[at..at + length]);
                out.starts.extend((at..at + length).map(&origin));
                at += length;
            }
            Unit::Means(meaning, length) => {
                meaning.push(&mut out.bytes);
                out.starts.resize(out.bytes.len(), origin(before));
                at += length;
            }
        }
    }
    out.starts.push(origin(bytes.len()));
    Some(out)
}

/// Where the first thing is that does not mean itself.
fn first_escape(bytes: &[u8], percent: Percent) -> Option<usize> {
    let mut at = 0;
    loop {
        at += bytes[at..].iter().position(|b| matches!(b, b'%' | b'\\' | b'&' | 0x1B | 0x80..))?;
        match unit(bytes, at, percent) {
            Unit::Same(length) => at += length,
            Unit::Means(..) => return Some(at),
        }
    }
}

enum Unit {
    /// So many bytes that mean themselves.
    Same(usize),
    /// What the next so many bytes mean.
    Means(Meaning, usize),
}

/// What a text means that begins with `%`.
type Percent = fn(&[u8]) -> Unit;

enum Meaning {
    Byte(u8),
    Char(u32),
    Nothing,
}

impl Meaning {
    fn push(self, out: &mut Vec<u8>) {
        match self {
            Meaning::Byte(byte) => out.push(byte),
            Meaning::Nothing => {}
            Meaning::Char(code) => {
                // Half of a surrogate pair is a piece of a letter, and all letters are alike to us.
                let letter = char::from_u32(code).unwrap_or('\u{FFFD}');
                out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
    }
}

fn unit(bytes: &[u8], at: usize, percent: Percent) -> Unit {
    let rest = &bytes[at..];
    match rest[0] {
        b'%' => percent(rest),
        b'\\' => backslash(rest, &bytes[..at]),
        b'&' => entity(rest),
        0x1B => colour(rest, 1),
        0x80.. => outside_ascii(rest, at.checked_sub(1).map(|before| bytes[before])),
        _ => Unit::Same(1),
    }
}

/// RFC 3986 section 2.1, applied as often as it was, and the `%u0040` of old scripts.
fn percent(rest: &[u8]) -> Unit {
    if rest.get(1) == Some(&b'u')
        && let Some(code) = hex(rest, 2, 4)
    {
        return Unit::Means(Meaning::Char(code), 6);
    }
    let mut digits = 1;
    while rest[digits..].starts_with(b"25") {
        digits += 2;
    }
    match hex(rest, digits, 2) {
        Some(code) => Unit::Means(Meaning::Byte(code as u8), digits + 2),
        None if digits > 1 => Unit::Means(Meaning::Byte(b'%'), digits),
        None => Unit::Same(1),
    }
}

/// A `%` that is one, as often as it was encoded.
fn percent_sign(rest: &[u8]) -> Unit {
    let mut digits = 1;
    while rest[digits..].starts_with(b"25") {
        digits += 2;
    }
    if digits > 1 { Unit::Means(Meaning::Byte(b'%'), digits) } else { Unit::Same(1) }
}

/// The escapes of JSON (RFC 8259 section 7) and `\x40`, behind any number of backslashes, since
/// each nesting of a string in a string doubles them.
fn backslash(rest: &[u8], before: &[u8]) -> Unit {
    let run = rest.iter().take_while(|&&b| b == b'\\').count();
    let byte = |byte| Unit::Means(Meaning::Byte(byte), run + 1);
    match rest.get(run) {
        Some(b'u') => match hex(rest, run + 1, 4) {
            Some(code) => Unit::Means(Meaning::Char(code), run + 5),
            None => Unit::Same(run),
        },
        Some(b'x') => match hex(rest, run + 1, 2) {
            Some(code) => Unit::Means(Meaning::Char(code), run + 3),
            None => Unit::Same(run),
        },
        Some(b'e') if rest.get(run + 1) == Some(&b'[') => colour(rest, run + 1),
        Some(b'0') if rest[run..].starts_with(b"033[") => colour(rest, run + 3),
        // `AzureAD\bob` and `CORP\fay`: nobody writes bells and form feeds into a word.
        Some(b'b' | b'f') if rest.get(run + 1).is_some_and(u8::is_ascii_alphanumeric) => Unit::Same(run),
        Some(b'n' | b'r' | b't') if is_domain(before) => Unit::Same(run),
        Some(b'n' | b'r' | b't' | b'b' | b'f') => byte(BREAK),
        Some(&quote @ (b'"' | b'\'' | b'/')) => byte(quote),
        _ => Unit::Same(run),
    }
}

/// The domains that Windows names itself, before the name of a person.
fn is_domain(before: &[u8]) -> bool {
    const DOMAINS: [&[u8]; 3] = [b"AzureAD", b"MicrosoftAccount", b"WORKGROUP"];
    DOMAINS.iter().any(|domain| before.ends_with(domain))
}

/// What changes the colour in a terminal (ECMA-48 section 5.4) ends with a letter, which is of no word.
fn colour(rest: &[u8], escape: usize) -> Unit {
    const MOST_PARAMETERS: usize = 32;
    if rest.get(escape) != Some(&b'[') {
        return Unit::Same(escape);
    }
    let parameters = &rest[escape + 1..];
    let length = parameters.iter().take(MOST_PARAMETERS).take_while(|b| (0x20..0x40).contains(*b)).count();
    match parameters.get(length) {
        Some(0x40..=0x7E) => Unit::Means(Meaning::Byte(BREAK), escape + length + 2),
        _ => Unit::Same(escape),
    }
}

/// The entities of HTML and XML that an address or its neighbours are written with.
fn entity(rest: &[u8]) -> Unit {
    const NAMED: [(&[u8], u8); 9] = [
        (b"&commat;", b'@'),
        (b"&period;", b'.'),
        (b"&colon;", b':'),
        (b"&percnt;", b'%'),
        (b"&amp;", b'&'),
        (b"&lt;", b'<'),
        (b"&gt;", b'>'),
        (b"&quot;", b'"'),
        (b"&nbsp;", BREAK),
    ];
    if rest.get(1) != Some(&b'#') {
        let named = NAMED.iter().find(|(name, _)| rest.starts_with(name));
        return match named {
            Some((name, byte)) => Unit::Means(Meaning::Byte(*byte), name.len()),
            None => Unit::Same(1),
        };
    }
    let (from, radix) = match rest.get(2) {
        Some(b'x' | b'X') => (3, 16),
        _ => (2, 10),
    };
    // Eight digits name every character, with zeros to spare.
    let digits = rest[from..].iter().take(8).take_while(|b| (**b as char).is_digit(radix)).count();
    let number = std::str::from_utf8(&rest[from..from + digits]).ok();
    match number.and_then(|n| u32::from_str_radix(n, radix).ok()) {
        Some(code) if rest.get(from + digits) == Some(&b';') => Unit::Means(Meaning::Char(code), from + digits + 1),
        _ => Unit::Same(1),
    }
}

/// Punctuation becomes a break, full-width ASCII becomes ASCII, and what nobody sees is not there; everything else is a
/// letter to us.
fn outside_ascii(rest: &[u8], before: Option<u8>) -> Unit {
    let next = |at: usize| rest.get(at).copied().filter(|b| (0x80..0xC0).contains(b));
    let byte = |byte| Unit::Means(Meaning::Byte(byte), 3);
    let is_before_word = rest.get(3).is_some_and(u8::is_ascii_alphanumeric);
    match (rest[0], next(1), next(2)) {
        // Soft hyphen.
        (0xC2, Some(0xAD), _) => Unit::Means(Meaning::Nothing, 2),
        // Joiners and marks of no width. The blank of no width parts numbers, and words nobody can tell.
        (0xE2, Some(0x80), Some(0x8B)) if !before.is_some_and(|b| b.is_ascii_digit()) => {
            Unit::Means(Meaning::Nothing, 3)
        }
        (0xE2, Some(0x80), Some(0x8C | 0x8D)) | (0xE2, Some(0x81), Some(0xA0)) | (0xEF, Some(0xBB), Some(0xBF)) => {
            Unit::Means(Meaning::Nothing, 3)
        }
        // Full stops of other scripts that IDNA takes for dots (RFC 3490 section 3.1): before a word, for they end
        // sentences, too.
        (0xE3, Some(0x80), Some(0x82)) | (0xEF, Some(0xBD), Some(0xA1)) if is_before_word => byte(b'.'),
        (0xEF, Some(0xB9), Some(0x92)) => byte(b'.'),
        (0xEF, Some(0xB9), Some(0x95)) => byte(b':'),
        (0xEF, Some(0xB9), Some(0xAB)) => byte(b'@'),
        // U+0080..U+00BF, and U+2000..U+207F, U+3000..U+303F.
        (0xC2, Some(_), _) => Unit::Means(Meaning::Byte(BREAK), 2),
        (0xE2, Some(0x80 | 0x81), Some(_)) | (0xE3, Some(0x80), Some(_)) => byte(BREAK),
        // U+FF01..U+FF5E
        (0xEF, Some(0xBC), Some(low @ 0x81..)) => byte(low - 0x60),
        (0xEF, Some(0xBD), Some(low @ ..=0x9E)) => byte(low - 0x20),
        (0xEF, Some(0xBD), Some(0xA1)) => byte(BREAK),
        _ => Unit::Same(1),
    }
}

fn hex(bytes: &[u8], from: usize, digits: usize) -> Option<u32> {
    let digits = bytes.get(from..from + digits)?;
    digits.iter().try_fold(0, |value, &digit| Some(value * 16 + (digit as char).to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(text: &str) -> String {
        match Decoded::of(text) {
            Some(decoded) => String::from_utf8_lossy(&decoded.bytes).into_owned(),
            None => text.to_owned(),
        }
    }

    #[test]
    fn undoes_what_hides_an_address() {
        for written in [
            "a@b",
            "a%40b",
            "a%2540b",
            "a%25252540b",
            r"a\u0040b",
            r"a\\\u0040b",
            r"a\\u0040b",
            r"a\x40b",
            "a&#64;b",
            "a&#x40;b",
            "a&#0064;b",
            "a&commat;b",
            "a&amp;#64;b",
            "a%u0040b",
            r"a\u002540b",
            "a＠b",
            "a%EF%BC%A0b",
            "a%4%30b",
            "a％40b",
            r"a%25\u0034\u0030b",
        ] {
            assert_eq!(decoded(written), "a@b", "{written}");
        }
    }

    #[test]
    fn leaves_what_is_not_an_escape() {
        for text in ["100%", "50% of", r"C:\\Users", r"DOMAIN\\anna", "a&b=c", "&#;", "&#x;", "Zoë", r"\", "%", "&"] {
            assert!(Decoded::of(text).is_none(), "{text}");
        }
    }

    #[test]
    fn the_way_back_covers_whole_escapes_and_characters() {
        let raw = r"é%40\u00e9x";
        let decoded = Decoded::of(raw).expect("two escapes");
        let text = Text::decoded(raw, &decoded);
        assert_eq!(text.bytes, "é@éx".as_bytes());
        assert_eq!(text.unit(2), "%40");
        assert_eq!(&raw[text.written(0..3)], "é%40");
        // Half a letter counts as the letter.
        assert_eq!(&raw[text.written(1..4)], r"é%40\u00e9");
        assert_eq!(&raw[text.written(5..6)], "x");
    }

    #[test]
    fn punctuation_outside_ascii_ends_a_word() {
        assert_eq!(decoded("“a”，b\u{a0}c"), " a ,b c");
    }
}
