//! Makes JSON of what some vendors take for it, so that one bad record does not keep a page from being read.

use super::json::flatten;

/// Rewrites a text so that it can be read as JSON, where all that is wrong with it is one of these: half of a surrogate
/// pair (a text cut in the middle of a character), a control character or an unknown escape within a text, `NaN` or
/// `Infinity` for a number, or nesting too deep (see [`flatten`]). What cannot be kept as it is becomes a text or the
/// replacement character.
///
/// The result of a text that is not JSON for another reason is not JSON either, and JSON stays as it is.
#[must_use]
pub fn mend(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        if *first == b'"' {
            out.push(b'"');
            rest = within_text(after, &mut out);
        } else if let Some(word) = NOT_NUMBERS.into_iter().find(|word| rest.starts_with(word.as_bytes())) {
            out.extend_from_slice(format!("\"{word}\"").as_bytes());
            rest = &rest[word.len()..];
        } else {
            out.push(*first);
            rest = after;
        }
    }
    flatten(&out)
}

/// What other languages write for numbers that JSON has not.
const NOT_NUMBERS: [&str; 3] = ["NaN", "-Infinity", "Infinity"];

/// Copies a text up to its closing quote, and returns what comes after it.
fn within_text<'t>(mut rest: &'t [u8], out: &mut Vec<u8>) -> &'t [u8] {
    while let Some((first, after)) = rest.split_first() {
        rest = match first {
            b'"' => {
                out.push(b'"');
                return after;
            }
            b'\\' => escape(rest, out),
            0..0x20 => {
                out.extend_from_slice(format!("\\u{first:04x}").as_bytes());
                after
            }
            _ => {
                out.push(*first);
                after
            }
        };
    }
    rest
}

/// Copies an escape, and returns what comes after it.
fn escape<'t>(text: &'t [u8], out: &mut Vec<u8>) -> &'t [u8] {
    const REPLACEMENT: &[u8] = b"\\ufffd";
    let length = match (unit(text), text.get(6..).and_then(unit)) {
        (Some(0xd800..0xdc00), Some(0xdc00..0xe000)) => 12,
        (Some(0xd800..0xe000), _) => {
            out.extend_from_slice(REPLACEMENT);
            return &text[6..];
        }
        (Some(_), _) => 6,
        (None, _) => match text.get(1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 2,
            // It stood for itself, or for something that only the vendor knows.
            _ => {
                out.extend_from_slice(b"\\\\");
                return &text[1..];
            }
        },
    };
    out.extend_from_slice(&text[..length]);
    &text[length..]
}

/// The UTF-16 unit of a `\uXXXX` that stands here.
fn unit(text: &[u8]) -> Option<u16> {
    let digits = text.strip_prefix(b"\\u")?.get(..4)?;
    let digits =
        std::str::from_utf8(digits).ok().filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    u16::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Arena, json};
    use super::*;

    fn read(text: &str) -> Option<String> {
        let arena = Arena::new();
        json::decode(&mend(text.as_bytes()), &arena).ok().map(|value| json::to_string(&value))
    }

    #[test]
    fn what_vendors_get_wrong_can_be_read() {
        for (text, expected) in [
            (r#"["a\ud83d"]"#, "[\"a\u{fffd}\"]"),
            (r#"["\ude00b"]"#, "[\"\u{fffd}b\"]"),
            (r#"["\ud83dx\ud83d\ud83d\ude00"]"#, "[\"\u{fffd}x\u{fffd}\u{1f600}\"]"),
            ("[\"a\tb\nc\u{1}\"]", r#"["a\tb\nc\u0001"]"#),
            (r#"["C:\Users\x41","it\'s"]"#, r#"["C:\\Users\\x41","it\\'s"]"#),
            (r#"[NaN,-Infinity,Infinity,"NaN"]"#, r#"["NaN","-Infinity","Infinity","NaN"]"#),
            (r#"["\\","\"",1]"#, r#"["\\","\"",1]"#),
        ] {
            assert_eq!(read(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_broken_for_another_reason_stays_so() {
        for text in ["", "[1,2", r#"["a"#, r#"["a\"#, "<html>", r#"{"a":}"#, r#"["\u12"#] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    fn any_unit() -> impl Strategy<Value = String> {
        prop_oneof![
            any::<u16>().prop_map(|unit| format!("\\u{unit:04x}")),
            "[a-z ]".prop_map(|text| text),
            Just("\\\\".to_owned()),
            (0..32_u8).prop_map(|byte| char::from(byte).to_string()),
        ]
    }

    proptest! {
        #[test]
        fn every_text_of_units_can_be_read(units in proptest::collection::vec(any_unit(), 0..32)) {
            let text = format!("{{\"a\":\"{}\"}}", units.concat());
            prop_assert!(read(&text).is_some(), "{}", text);
        }

        #[test]
        fn json_stays_as_it_is(texts in proptest::collection::vec(".*", 0..8), number in any::<i64>()) {
            let text = serde_json::to_vec(&serde_json::json!([texts, number])).unwrap();
            prop_assert_eq!(mend(&text), text);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            let _ = mend(&bytes);
        }
    }
}
