//! A text as its reader would see it: percent-encoding, escapes, entities and defanged signs undone.
//!
//! The finders search the decoded bytes; every decoded byte remembers where it was written, so a
//! find becomes a span of the original text, and the text around it is never rewritten. Decoding is
//! generous, because it only serves to find: any depth of `%2540` or `\\\\u0040` is undone at once,
//! and mixtures (`\u002540`) in a few rounds, each linear in the text.

use std::ops::Range;

use super::ip;

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
        start..without_unseen(self.raw, start, end)
    }

    /// The original of one decoded byte: `@`, or `%40`, or `\u0040`.
    pub(super) fn unit(&self, at: usize) -> &'a str {
        &self.raw[self.written(at..at + 1)]
    }
}

/// What nobody sees behind an address is not of it: a direction that was begun before it ends there.
fn without_unseen(raw: &str, start: usize, mut end: usize) -> usize {
    // More than these cost time in a text made of them, and do no harm.
    const MOST_MARKS: usize = 8;
    for _ in 0..MOST_MARKS {
        let last = raw[start..end].chars().next_back().filter(|last| !last.is_ascii());
        let Some(last) = last.filter(|last| unseen(last.encode_utf8(&mut [0; 4]).as_bytes()) > 0) else { break };
        if end - last.len_utf8() == start {
            break;
        }
        end -= last.len_utf8();
    }
    end
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
        at += bytes[at..].iter().position(|b| matches!(b, b'%' | b'\\' | b'&' | b'[' | b'(' | 0x1B | 0x80..))?;
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
        b'[' | b'(' => match defanged(rest) {
            Some((sign, length)) => Unit::Means(Meaning::Byte(sign), length),
            None => Unit::Same(1),
        },
        0x1B => colour(rest, 1),
        0x80.. => outside_ascii(rest, &bytes[..at]),
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

/// The sign that is written so that nothing makes a link of it, as tickets and threat reports have it: `203[.]0[.]113[.]4`,
/// `ada[at]example(.)com`; and how long that is. In an expression, `[.]` is a dot, too.
pub(super) fn defanged(rest: &[u8]) -> Option<(u8, usize)> {
    match rest {
        [b'[', sign @ (b'.' | b'@' | b':'), b']', ..] | [b'(', sign @ (b'.' | b'@' | b':'), b')', ..] => {
            Some((*sign, 3))
        }
        [b'[', b'd' | b'D', b'o' | b'O', b't' | b'T', b']', ..] => Some((b'.', 5)),
        [b'[', b'a' | b'A', b't' | b'T', b']', ..] => Some((b'@', 4)),
        _ => None,
    }
}

/// The escapes of JSON (RFC 8259 section 7), of scripts, and of expressions, which put a backslash before a sign that is
/// only a sign (`ada\.love\@example\.com`); behind any number of backslashes, since each nesting of a string in a string
/// doubles them.
fn backslash(rest: &[u8], before: &[u8]) -> Unit {
    let run = rest.iter().take_while(|&&b| b == b'\\').count();
    let byte = |byte| Unit::Means(Meaning::Byte(byte), run + 1);
    match rest.get(run) {
        Some(b'u') if rest.get(run + 1) == Some(&b'{') => match in_braces(&rest[run + 2..]) {
            Some((code, length)) => Unit::Means(Meaning::Char(code), run + 2 + length),
            None => Unit::Same(run),
        },
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
        Some(&sign @ (b'.' | b'@' | b':' | b'-' | b'_' | b'+' | b'[' | b']')) => byte(sign),
        _ => Unit::Same(run),
    }
}

/// The `40}` of `\u{40}`, and how long it is.
fn in_braces(rest: &[u8]) -> Option<(u32, usize)> {
    const MOST_DIGITS: usize = 6;
    let digits = rest.iter().take(MOST_DIGITS).take_while(|b| b.is_ascii_hexdigit()).count();
    let code = hex(rest, 0, digits).filter(|_| digits > 0)?;
    (rest.get(digits) == Some(&b'}')).then_some((code, digits + 1))
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
    const LONGEST_NAME: usize = 16;
    if rest.get(1) == Some(&b'#') {
        return numbered_entity(rest);
    }
    let length = rest[1..].iter().take(LONGEST_NAME).take_while(|b| b.is_ascii_alphanumeric()).count();
    match named_entity(&rest[1..=length]) {
        Some(meaning) if rest.get(length + 1) == Some(&b';') => Unit::Means(meaning, length + 2),
        _ => Unit::Same(1),
    }
}

/// `&#64;`, and as a browser takes it `&#64` before what is no digit. Without the semicolon it may be anything (`a=1&#10.0.0.1`),
/// so it has to be a sign or a letter, and no number may go on.
fn numbered_entity(rest: &[u8]) -> Unit {
    let (from, radix) = match rest.get(2) {
        Some(b'x' | b'X') => (3, 16),
        _ => (2, 10),
    };
    // Eight digits name every character, with zeros to spare.
    let digits = rest[from..].iter().take(8).take_while(|b| (**b as char).is_digit(radix)).count();
    let end = from + digits;
    let number = std::str::from_utf8(&rest[from..end]).ok();
    match number.and_then(|n| u32::from_str_radix(n, radix).ok()) {
        Some(code) if rest.get(end) == Some(&b';') => Unit::Means(Meaning::Char(code), end + 1),
        Some(code @ 0x21..=0x7E) if !matches!(rest.get(end), Some(b'0'..=b'9' | b'.' | b':')) => {
            Unit::Means(Meaning::Char(code), end)
        }
        _ => Unit::Same(1),
    }
}

/// What HTML calls a sign of ASCII, a letter of Latin-1, a letter with a mark, or what is no letter.
fn named_entity(name: &[u8]) -> Option<Meaning> {
    // U+00C0 to U+00FF; they are no letters at 0xD7 and 0xF7, which is as good.
    const LATIN: [&str; 64] = [
        "Agrave", "Aacute", "Acirc", "Atilde", "Auml", "Aring", "AElig", "Ccedil", "Egrave", "Eacute", "Ecirc", "Euml",
        "Igrave", "Iacute", "Icirc", "Iuml", "ETH", "Ntilde", "Ograve", "Oacute", "Ocirc", "Otilde", "Ouml", "times",
        "Oslash", "Ugrave", "Uacute", "Ucirc", "Uuml", "Yacute", "THORN", "szlig", "agrave", "aacute", "acirc",
        "atilde", "auml", "aring", "aelig", "ccedil", "egrave", "eacute", "ecirc", "euml", "igrave", "iacute", "icirc",
        "iuml", "eth", "ntilde", "ograve", "oacute", "ocirc", "otilde", "ouml", "divide", "oslash", "ugrave", "uacute",
        "ucirc", "uuml", "yacute", "thorn", "yuml",
    ];
    const MARKS: [&[u8]; 14] = [
        b"uml", b"acute", b"grave", b"circ", b"tilde", b"ring", b"cedil", b"slash", b"caron", b"breve", b"macr",
        b"ogon", b"strok", b"dblac",
    ];
    let sign = match name {
        b"commat" => b'@',
        b"period" => b'.',
        b"colon" => b':',
        b"percnt" => b'%',
        b"amp" | b"AMP" => b'&',
        b"lt" | b"LT" => b'<',
        b"gt" | b"GT" => b'>',
        b"quot" | b"QUOT" => b'"',
        b"apos" => b'\'',
        b"plus" => b'+',
        b"lowbar" | b"UnderBar" => b'_',
        b"hyphen" | b"dash" => b'-',
        b"sol" => b'/',
        b"bsol" => b'\\',
        b"excl" => b'!',
        b"num" => b'#',
        b"dollar" => b'$',
        b"ast" | b"midast" => b'*',
        b"Hat" => b'^',
        b"equals" => b'=',
        b"quest" => b'?',
        b"comma" => b',',
        b"semi" => b';',
        b"grave" | b"DiacriticalGrave" => b'`',
        b"lpar" => b'(',
        b"rpar" => b')',
        b"lsqb" | b"lbrack" => b'[',
        b"rsqb" | b"rbrack" => b']',
        b"lcub" | b"lbrace" => b'{',
        b"rcub" | b"rbrace" => b'}',
        b"vert" | b"verbar" | b"VerticalLine" => b'|',
        b"nbsp" | b"NonBreakingSpace" | b"Tab" | b"NewLine" | b"ensp" | b"emsp" | b"thinsp" | b"ndash" | b"mdash"
        | b"hellip" | b"lsquo" | b"rsquo" | b"sbquo" | b"ldquo" | b"rdquo" | b"bdquo" | b"laquo" | b"raquo"
        | b"lsaquo" | b"rsaquo" | b"bull" | b"middot" | b"copy" | b"reg" | b"trade" => BREAK,
        b"shy" | b"zwnj" | b"zwj" | b"lrm" | b"rlm" | b"NoBreak" | b"ZeroWidthSpace" => return Some(Meaning::Nothing),
        _ => {
            let latin = LATIN.iter().position(|latin| latin.as_bytes() == name).map(|at| 0xC0 + at as u32);
            let has_mark = || {
                let letter = MARKS.iter().find_map(|mark| name.strip_suffix(*mark));
                letter.is_some_and(|letter| matches!(letter, [b'A'..=b'Z' | b'a'..=b'z']))
            };
            // Which letter it is, nobody asks; that it is one, does.
            let letter = latin.or_else(|| has_mark().then_some(u32::from(char::REPLACEMENT_CHARACTER)));
            return letter.map(Meaning::Char);
        }
    };
    Some(Meaning::Byte(sign))
}

/// Punctuation becomes a break, full-width ASCII becomes ASCII, and what nobody sees is not there; everything else is a
/// letter to us.
fn outside_ascii(rest: &[u8], before: &[u8]) -> Unit {
    let next = |at: usize| rest.get(at).copied().filter(|b| (0x80..0xC0).contains(b));
    let byte = |byte| Unit::Means(Meaning::Byte(byte), 3);
    let is_before_word = rest.get(3).is_some_and(u8::is_ascii_alphanumeric);
    let unseen = unseen_run(rest);
    if unseen > 0 {
        let meaning = if parts_numbers(&rest[..unseen], before, &rest[unseen..]) {
            Meaning::Byte(BREAK)
        } else {
            Meaning::Nothing
        };
        return Unit::Means(meaning, unseen);
    }
    match (rest[0], next(1), next(2)) {
        // Full stops of other scripts that IDNA takes for dots (RFC 3490 section 3.1): before a word, for they end
        // sentences, too.
        (0xE3, Some(0x80), Some(0x82)) | (0xEF, Some(0xBD), Some(0xA1)) if is_before_word => byte(b'.'),
        // The leader of one dot.
        (0xE2, Some(0x80), Some(0xA4)) => byte(b'.'),
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

const BLANK_OF_NO_WIDTH: &[u8] = "\u{200B}".as_bytes();

/// How long the character is that stands here, if nobody sees it: 0 if somebody does.
pub(super) fn unseen(rest: &[u8]) -> usize {
    match rest {
        // Soft hyphen; Arabic letter mark.
        [0xC2, 0xAD, ..] | [0xD8, 0x9C, ..] => 2,
        // U+200B..U+200F and U+202A..U+202E: no width, joiners, directions, which copied text often has.
        [0xE2, 0x80, 0x8B..=0x8F | 0xAA..=0xAE, ..] => 3,
        // U+2060..U+206F: joiners, signs of mathematics that are only meant, and directions.
        [0xE2, 0x81, 0xA0..=0xAF, ..] => 3,
        // U+FE00..U+FE0F choose a variant; U+FEFF.
        [0xEF, 0xB8, 0x80..=0x8F, ..] | [0xEF, 0xBB, 0xBF, ..] => 3,
        _ => 0,
    }
}

/// As [`unseen`], of all that stand here together.
fn unseen_run(rest: &[u8]) -> usize {
    let mut length = 0;
    loop {
        match unseen(&rest[length..]) {
            0 => return length,
            one => length += one,
        }
    }
}

/// Whether two numbers are apart that only unseen marks part: the blank of no width does it between digits, and any of them
/// between two addresses.
fn parts_numbers(marks: &[u8], before: &[u8], after: &[u8]) -> bool {
    // Of an IPv6 address with an IPv4 address in it.
    const LONGEST: usize = 46;
    let (Some(last), Some(first)) = (before.last(), after.first()) else { return false };
    // A lone blank between digits parts them; in an address it was put where the line may break, which is before a dot.
    if marks == BLANK_OF_NO_WIDTH && last.is_ascii_digit() && first.is_ascii_digit() {
        return true;
    }
    if !last.is_ascii_hexdigit() || !first.is_ascii_hexdigit() {
        return false;
    }
    let is_of_address = |byte: &&u8| byte.is_ascii_hexdigit() || matches!(byte, b'.' | b':');
    let length = before.iter().rev().take(LONGEST).take_while(is_of_address).count();
    let precedes = &before[before.len() - length..];
    let length = after.iter().take(LONGEST).take_while(is_of_address).count();
    let mut follows = &after[..length];
    while let [rest @ .., b'.'] = follows {
        follows = rest;
    }
    is_whole_address(precedes) && is_whole_address(follows)
}

fn is_whole_address(text: &[u8]) -> bool {
    let is_v6 = || std::str::from_utf8(text).is_ok_and(|text| text.parse::<std::net::Ipv6Addr>().is_ok());
    ip::quad(text).is_some() || is_v6()
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
            r"a\@b",
            r"a\\\@b",
            r"a\u{40}b",
            "a[@]b",
            "a(@)b",
            "a[at]b",
            "a[AT]b",
            "a%5B%40%5Db",
            "a&#64b",
            "a&lsqb;&commat;&rsqb;b",
            "a&lrm;@b",
            "a\u{200E}@b",
            "\u{202A}a\u{202C}@b",
            "a\u{2063}@\u{FE0F}b",
        ] {
            assert_eq!(decoded(written), "a@b", "{written}");
        }
    }

    #[test]
    fn leaves_what_is_not_an_escape() {
        for text in [
            "100%",
            "50% of",
            r"C:\\Users",
            r"DOMAIN\\anna",
            "a&b=c",
            "&#;",
            "&#x;",
            "Zoë",
            r"\",
            "%",
            "&",
            "a&copyright;b",
            "&;",
            "a[0]",
            "f(x)",
            "[at ]",
            "[dota]",
            "&#10.0.0.1",
            "&#649",
        ] {
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
        assert_eq!(decoded("a&nbsp;b&ndash;c"), "a b c");
    }

    #[test]
    fn entities_that_are_letters_are_letters() {
        assert_eq!(decoded("m&uuml;ller &Agrave;&szlig;&yuml;&eth;"), "müller Àßÿð");
        assert_eq!(decoded("ko&ccaron;"), "ko\u{FFFD}");
    }

    #[test]
    fn an_unseen_mark_is_left_behind_what_it_follows() {
        let raw = "\u{202A}203.0.113.4\u{202C}\u{200E} x";
        let decoded = Decoded::of(raw).expect("marks");
        let text = Text::decoded(raw, &decoded);
        assert_eq!(&raw[text.written(0..11)], "203.0.113.4");
    }
}
