//! Keeps secrets out of what somebody else says: servers quote the key they refuse, as it is or as it came to them.
//!
//! The text is decoded first, so that no spelling has to be foreseen: percent-encoded with small or capital digits, with
//! `+` for a blank, escaped as in JSON, as entities, one in another. Only Base64 is looked for as such.

use std::ops::Range;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};

/// A piece of a secret that is shorter stands in many a text, and says little about it.
const SHORTEST_PIECE: usize = 8;

/// What is shorter is in Base64 not told from any other letters.
const SHORTEST_IN_BASE64: usize = 4;

/// As above, where a text was cut.
const SHORTEST_BEGINNING: usize = 4;

/// What is wrapped more often than this is no longer what any server says.
const ROUNDS: usize = 6;

/// Secrets that are to be hidden in texts.
#[derive(Clone, Default)]
pub struct Hidden {
    /// In small letters, and `+` for a blank.
    needles: Vec<Vec<u8>>,
}

impl Hidden {
    /// Of these secrets, those of at least so many bytes, line by line: a key in PEM is quoted so, if at all.
    pub fn of<'a>(secrets: impl IntoIterator<Item = &'a str>, shortest: usize) -> Self {
        let mut hidden = Self::default();
        let lines = secrets.into_iter().flat_map(str::lines);
        for line in lines.filter(|line| !line.is_empty() && line.len() >= shortest) {
            hidden.add(line);
            if line.len() >= SHORTEST_IN_BASE64 {
                hidden.add_base64(line.as_bytes());
            }
        }
        hidden
    }

    /// These and others.
    #[must_use]
    pub fn and(&self, other: Self) -> Self {
        Self { needles: [&*self.needles, &*other.needles].concat() }
    }

    /// `text` with `***` for each secret, in whatever spelling; for half of one, or more, if that is eight characters; and
    /// where a text that was cut (`…`) ends in the beginning of one.
    #[must_use]
    pub fn hide(&self, text: &str) -> String {
        if self.needles.is_empty() {
            return text.to_owned();
        }
        let said = Said::of(text);
        let mut spans: Vec<Range<usize>> = Vec::new();
        for needle in &self.needles {
            said.find(needle, &mut spans);
            spans.extend(said.begun(needle));
        }
        spans.sort_by_key(|span| (span.start, span.end));
        let (mut out, mut copied) = (String::with_capacity(text.len()), 0);
        for span in spans {
            if span.start > copied || copied == 0 {
                out.push_str(&text[copied..span.start]);
                out.push_str("***");
            }
            copied = copied.max(span.end);
        }
        out.push_str(&text[copied..]);
        out
    }

    /// A secret may look as if it were spelled in another way: so it is read as the text is.
    fn add(&mut self, needle: &str) {
        let needle = Said::of(needle).bytes;
        if !needle.is_empty() && !self.needles.contains(&needle) {
            self.needles.push(needle);
        }
    }

    /// As basic authentication spells it, alone or behind a name: what depends on a neighbour is left out.
    fn add_base64(&mut self, secret: &[u8]) {
        for engine in [BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD] {
            self.add(&engine.encode(secret));
            for rest in [0, 1, 2].iter().filter_map(|skipped| secret.get(*skipped..)) {
                let whole = &rest[..rest.len() / 3 * 3];
                if whole.len() * 2 >= secret.len() {
                    self.add(&engine.encode(whole));
                }
            }
        }
    }
}

/// What is not told apart: letters of either case, and a blank and the `+` of forms.
fn alike(byte: u8) -> u8 {
    if byte == b'+' { b' ' } else { byte.to_ascii_lowercase() }
}

/// A text as its reader sees it.
struct Said<'t> {
    text: &'t str,
    bytes: Vec<u8>,
    /// Per byte where its spelling begins in the text; one more for the end.
    starts: Vec<usize>,
}

impl<'t> Said<'t> {
    fn of(text: &'t str) -> Self {
        let mut said = Self { text, bytes: text.as_bytes().to_vec(), starts: (0..=text.len()).collect() };
        for _ in 0..ROUNDS {
            let Some(next) = said.decoded() else { break };
            said = next;
        }
        for byte in &mut said.bytes {
            *byte = alike(*byte);
        }
        said
    }

    /// With everything undone that is encoded once, or `None` when nothing is.
    fn decoded(&self) -> Option<Self> {
        let mut next = Self { text: self.text, bytes: Vec::new(), starts: Vec::new() };
        let mut at = 0;
        while at < self.bytes.len() {
            let (meaning, length) = unit(&self.bytes[at..]);
            match meaning {
                Some(char) => next.bytes.extend_from_slice(char.encode(&mut [0; 4])),
                None => next.bytes.extend_from_slice(&self.bytes[at..at + length]),
            }
            match meaning {
                Some(_) => next.starts.resize(next.bytes.len(), self.starts[at]),
                None => next.starts.extend_from_slice(&self.starts[at..at + length]),
            }
            at += length;
        }
        next.starts.push(self.text.len());
        (next.bytes.len() < self.bytes.len()).then_some(next)
    }

    /// Finds all of the needle, and each piece of it that is long enough.
    fn find(&self, needle: &[u8], spans: &mut Vec<Range<usize>>) {
        let least = needle.len().div_ceil(2).max(SHORTEST_PIECE);
        if needle.len() < least {
            return self.seek(needle, |at| spans.push(self.written(at..at + needle.len())));
        }
        // A piece of that length holds one of these whole.
        let seed = least / 2;
        for from in (0..=needle.len() - seed).step_by(seed) {
            self.seek(&needle[from..from + seed], |at| {
                let before = same(needle[..from].iter().rev(), self.bytes[..at].iter().rev());
                let behind = same(needle[from..].iter(), self.bytes[at..].iter());
                if before + behind >= least {
                    spans.push(self.written(at - before..at + behind));
                }
            });
        }
    }

    fn seek(&self, needle: &[u8], mut each: impl FnMut(usize)) {
        let Some(&first) = needle.first() else { return };
        for (at, byte) in self.bytes.iter().enumerate() {
            if *byte == first && self.bytes[at..].starts_with(needle) {
                each(at);
            }
        }
    }

    /// The beginning of the needle with which a text that was cut ends, where it may have been cut within an escape, too.
    fn begun(&self, needle: &[u8]) -> Option<Range<usize>> {
        const LONGEST_ESCAPE: usize = 8;
        let end = self.bytes.len().checked_sub('…'.len_utf8()).filter(|end| self.bytes[*end..] == *"…".as_bytes())?;
        let escape = self.bytes[end.saturating_sub(LONGEST_ESCAPE)..end].iter().rposition(|b| b"%\\&".contains(b));
        let cut = escape.map(|at| end.saturating_sub(LONGEST_ESCAPE) + at);
        [Some(end), cut].into_iter().flatten().find_map(|stop| {
            let lengths = (SHORTEST_BEGINNING..=needle.len().min(stop)).rev();
            let length = lengths.into_iter().find(|length| self.bytes[..stop].ends_with(&needle[..*length]))?;
            Some(self.written(stop - length..end))
        })
    }

    /// Where these bytes are written; whole spellings and whole characters.
    fn written(&self, decoded: Range<usize>) -> Range<usize> {
        let (mut start, mut end) = (self.starts[decoded.start], self.starts[decoded.end]);
        while !self.text.is_char_boundary(start) {
            start -= 1;
        }
        while !self.text.is_char_boundary(end) {
            end += 1;
        }
        start..end.max(start)
    }
}

fn same<'a>(one: impl Iterator<Item = &'a u8>, other: impl Iterator<Item = &'a u8>) -> usize {
    one.zip(other).take_while(|(one, other)| one == other).count()
}

/// What a spelling stands for.
#[derive(Clone, Copy)]
enum Meaning {
    Byte(u8),
    Char(char),
}

impl Meaning {
    fn of(code: u32) -> Self {
        Self::Char(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn encode(self, buffer: &mut [u8; 4]) -> &[u8] {
        match self {
            Self::Byte(byte) => {
                buffer[0] = byte;
                &buffer[..1]
            }
            Self::Char(char) => char.encode_utf8(buffer).as_bytes(),
        }
    }
}

/// What the next bytes stand for, if it is not themselves, and how many they are.
fn unit(rest: &[u8]) -> (Option<Meaning>, usize) {
    let escape = match rest[0] {
        b'%' => percent(rest),
        b'\\' => Some(backslash(rest)),
        b'&' => entity(rest),
        _ => None,
    };
    escape.map_or((None, 1), |(meaning, length)| (Some(meaning), length))
}

fn percent(rest: &[u8]) -> Option<(Meaning, usize)> {
    match rest.get(1) {
        Some(b'u' | b'U') => Some((Meaning::of(hex(rest.get(2..6)?)?), 6)),
        _ => Some((Meaning::Byte(u8::try_from(hex(rest.get(1..3)?)?).ok()?), 3)),
    }
}

/// The escapes of JSON and `\x2F`, behind any number of backslashes. A backslash alone, before whatever it is, is none: so it
/// is in a secret, too, which then is quoted with two or more.
fn backslash(rest: &[u8]) -> (Meaning, usize) {
    let run = rest.iter().take_while(|byte| **byte == b'\\').count();
    let code = |digits: usize| rest.get(run + 1..run + 1 + digits).and_then(hex);
    let numbered = match rest.get(run) {
        Some(b'u' | b'U') => code(4).map(|code| (Meaning::of(code), run + 5)),
        Some(b'x' | b'X') => code(2).map(|code| (Meaning::of(code), run + 3)),
        _ => None,
    };
    numbered.unwrap_or_else(|| match rest.get(run) {
        Some(&sign @ (b'/' | b'"' | b'\'' | b'+' | b'=')) => (Meaning::Byte(sign), run + 1),
        _ => (Meaning::Byte(b'\\'), run),
    })
}

fn entity(rest: &[u8]) -> Option<(Meaning, usize)> {
    const NAMED: [(&str, u8); 25] = [
        ("amp", b'&'),
        ("lt", b'<'),
        ("gt", b'>'),
        ("quot", b'"'),
        ("apos", b'\''),
        ("plus", b'+'),
        ("equals", b'='),
        ("sol", b'/'),
        ("bsol", b'\\'),
        ("colon", b':'),
        ("period", b'.'),
        ("comma", b','),
        ("semi", b';'),
        ("percnt", b'%'),
        ("commat", b'@'),
        ("num", b'#'),
        ("excl", b'!'),
        ("quest", b'?'),
        ("dollar", b'$'),
        ("ast", b'*'),
        ("lowbar", b'_'),
        ("hyphen", b'-'),
        ("lpar", b'('),
        ("rpar", b')'),
        ("nbsp", b' '),
    ];
    const LONGEST: usize = 10;
    let length = rest.iter().take(LONGEST + 2).position(|byte| *byte == b';')?;
    let name = std::str::from_utf8(&rest[1..length]).ok()?;
    let meaning = match name.strip_prefix('#') {
        Some(number) => match number.strip_prefix(['x', 'X']) {
            Some(digits) => Meaning::of(u32::from_str_radix(digits, 16).ok()?),
            None => Meaning::of(number.parse().ok()?),
        },
        None => Meaning::Byte(NAMED.iter().find(|(named, _)| name.eq_ignore_ascii_case(named))?.1),
    };
    Some((meaning, length + 1))
}

fn hex(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |value, digit| Some(value * 16 + char::from(*digit).to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE};
    use proptest::prelude::*;

    use super::*;

    const KEY: &str = "ab/cd+ef==gh\"ij&kl mn\\op";

    fn hide(text: &str) -> String {
        Hidden::of([KEY], 8).hide(text)
    }

    // The vendor answered 401 with the key as its router had it, percent-encoded.
    #[test]
    fn a_key_that_a_server_quotes_percent_encoded_is_hidden() {
        let key = Hidden::of(["ab/cd+ef=="], 8);
        for said in [
            "ab%2Fcd%2Bef%3D%3D",
            "ab%2fcd%2bef%3d%3d",
            "AB%252FCD%252BEF%253D%253D",
            r"ab\/cd\u002bef==",
            "ab&#47;cd&plus;ef&#x3D;=",
        ] {
            assert_eq!(key.hide(&format!("Invalid API key: {said}.")), "Invalid API key: ***.");
        }
    }

    #[test]
    fn a_long_piece_of_a_key_is_hidden_and_a_short_one_stays() {
        let key = Hidden::of(["KEY0123456789abcdefgh"], 8);
        for (said, shown) in [
            ("key KEY0123456789… is unknown", "key ***… is unknown"),
            ("key …0123456789abcdefgh", "key …***"),
            ("key 23456789ABCDEF", "key ***"),
            ("key KEY0…fgh", "key KEY0…fgh"),
            ("cut in KEY01%…", "cut in ***…"),
            ("cut in KEY0…", "cut in ***…"),
            ("cut in KEY…", "cut in KEY…"),
        ] {
            assert_eq!(key.hide(said), shown);
        }
    }

    #[test]
    fn of_two_that_overlap_all_is_hidden_and_the_rest_stays() {
        let both = Hidden::of(["0123456789", "56789abcdef"], 8).and(Hidden::of(["x"], 1));
        assert_eq!(both.hide("é 0123456789abcdef x é% \\ &"), "é *** *** é% \\ &");
        assert_eq!(Hidden::default().hide("a"), "a");
        assert_eq!(Hidden::of(["short", ""], 8).hide("short"), "short");
    }

    fn spelled(way: u8, text: &str) -> String {
        let form = || url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let all = |write: fn(u32) -> String| text.chars().map(|char| write(char.into())).collect::<String>();
        match way {
            0 => form(),
            1 => form().replace('+', "%20").to_lowercase(),
            2 => text.bytes().map(|byte| format!("%{byte:02x}")).collect(),
            3 => serde_json::to_string(text).unwrap().trim_matches('"').to_owned(),
            4 => serde_json::to_string(text).unwrap().replace('/', "\\/"),
            5 => all(|code| format!("\\u{code:04x}")),
            6 => all(|code| format!("&#{code};")),
            7 => all(|code| format!("&#x{code:X};")),
            8 => text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;").replace('\'', "&apos;"),
            9 => text.to_uppercase(),
            _ => text.to_owned(),
        }
    }

    proptest! {
        #[test]
        fn no_spelling_of_a_secret_survives(
            secret in "[a-zA-Z0-9/+=_.~&%<' -]{8,40}", ways in prop::collection::vec(0u8..11, 0..3), around in "[a-z]{1,5}: ",
        ) {
            let quoted = ways.iter().fold(secret.clone(), |text, way| spelled(*way, &text));
            let shown = Hidden::of([&*secret], 8).hide(&format!("{around}{quoted}"));
            let rest = Said::of(&shown).bytes;
            let whole = Said::of(&secret).bytes;
            let piece = whole.len().div_ceil(2).max(SHORTEST_PIECE);
            prop_assert!(whole.windows(piece).all(|piece| !rest.windows(piece.len()).any(|said| said == piece)), "{}", shown);
            prop_assert!(shown.contains("***") || whole.len() < 8 || quoted.is_empty(), "{} of {}", shown, secret);
        }

        #[test]
        fn nor_does_base64_show_it(secret in "[ -~]{12,40}", user in "[a-z]{0,7}", is_url in any::<bool>()) {
            let basic = format!("{user}:{secret}");
            let encoded = if is_url { BASE64_URL_SAFE.encode(basic) } else { BASE64_STANDARD.encode(basic) };
            let shown = Hidden::of([&*secret], 8).hide(&format!("Basic {encoded}"));
            let left = shown.replace("***", "").len() - "Basic ".len();
            // What encodes the user, and on either side a group that is not of the secret alone.
            prop_assert!(left <= (user.len() + 1).div_ceil(3) * 4 + 8, "{} of {}", shown, encoded);
        }

        #[test]
        fn any_text_can_be_quoted(text in any::<String>(), noise in "[%&#;\\\\ux0-9a-f…]{0,30}") {
            hide(&text);
            hide(&format!("{noise}{KEY}{noise}…"));
            prop_assert_eq!(Hidden::of(["never there at all"], 8).hide(&noise), noise);
        }
    }
}
