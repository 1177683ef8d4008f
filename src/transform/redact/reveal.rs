//! Undoes what was encrypted, for whoever has the key.

use std::collections::BTreeMap;
use std::ops::Range;

use super::encoded::{Decoded, Text};
use super::key::{Key, is_sealed_v4};
use super::ours::{self, Ours};
use crate::event::{Arena, Member, Value, json};

/// Replaces encrypted stand-ins by what they stand for, in any text.
#[derive(Clone, Debug, Default)]
pub struct Revealer {
    keys: BTreeMap<u16, Key>,
}

/// What became of the stand-ins in a text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Revealed {
    /// So many are in clear now.
    pub clear: u64,
    /// So many are of these epochs, whose key is not here.
    pub unknown_epochs: BTreeMap<u16, u64>,
    /// So many were made with another key of an epoch whose key is here.
    pub other_key: u64,
    /// So many are pseudonyms, which nobody can undo.
    pub pseudonyms: u64,
}

impl Revealed {
    /// Whether some stand-in had to be left that another key might undo.
    #[must_use]
    pub fn lacks_a_key(&self) -> bool {
        self.other_key > 0 || !self.unknown_epochs.is_empty()
    }
}

impl Revealer {
    /// Knows these keys; of two of one epoch, the last.
    #[must_use]
    pub fn new(keys: impl IntoIterator<Item = Key>) -> Self {
        Self { keys: keys.into_iter().map(|key| (key.epoch(), key)).collect() }
    }

    /// Whether it can undo anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The text with everything in clear that can be, or `None` when nothing can.
    pub fn text(&self, text: &str, counts: &mut Revealed) -> Option<String> {
        let decoded = Decoded::of(text);
        let text = decoded.as_ref().map_or_else(|| Text::plain(text), |decoded| Text::decoded(text, decoded));
        let mut found: Vec<(Range<usize>, String)> = Vec::new();
        ours::find(&text, std::iter::empty(), |start, end, ours| {
            let Some(clear) = self.clear(&text, ours, counts) else { return };
            let span = without_brackets(text.bytes, start..end, &clear);
            found.push((text.written(span), as_written(&text, start..end, clear)));
        });
        found.sort_by_key(|(span, _)| span.start);
        let (mut out, mut copied) = (String::new(), 0);
        for (span, clear) in found {
            if span.start < copied {
                continue;
            }
            out.push_str(&text.raw[copied..span.start]);
            out.push_str(&clear);
            copied = span.end;
        }
        if copied == 0 {
            return None;
        }
        out.push_str(&text.raw[copied..]);
        Some(out)
    }

    /// The line with everything in clear that can be; of an event, each text in it. `None` when nothing can.
    pub fn line(&self, line: &str, counts: &mut Revealed) -> Option<String> {
        let arena = Arena::new();
        match json::decode(line.as_bytes(), &arena) {
            // What is in clear has to be escaped as JSON has it.
            Ok(value @ (Value::Array(_) | Value::Object(_) | Value::String(_))) => {
                self.value(value, &arena, counts).map(|value| json::to_string(&value))
            }
            _ => self.text(line, counts),
        }
    }

    fn value<'a>(&self, value: Value<'a>, arena: &'a Arena, counts: &mut Revealed) -> Option<Value<'a>> {
        match value {
            Value::String(text) => self.text(text, counts).map(|text| Value::String(arena.alloc_str(&text))),
            Value::Array(items) => {
                let changed: Vec<_> = items.iter().map(|item| self.value(*item, arena, counts)).collect();
                let all = items.iter().zip(&changed).map(|(item, changed)| changed.unwrap_or(*item));
                changed.iter().any(Option::is_some).then(|| Value::Array(arena.alloc_slice_fill_iter(all)))
            }
            Value::Object(members) => {
                let change = |member: &Member<'a>| {
                    let key = self.text(member.key, counts).map(|text| &*arena.alloc_str(&text));
                    let value = self.value(member.value, arena, counts);
                    (key.is_some() || value.is_some())
                        .then(|| Member::new(key.unwrap_or(member.key), value.unwrap_or(member.value)))
                };
                let changed: Vec<_> = members.iter().map(change).collect();
                let all = members.iter().zip(&changed).map(|(member, changed)| changed.unwrap_or(*member));
                changed.iter().any(Option::is_some).then(|| Value::Object(arena.alloc_slice_fill_iter(all)))
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => None,
        }
    }

    fn clear(&self, text: &Text<'_>, ours: Ours, counts: &mut Revealed) -> Option<String> {
        let (epoch, sealed) = match ours {
            Ours::Mask => return None,
            Ours::Pseudonym => {
                counts.pseudonyms += 1;
                return None;
            }
            Ours::Text { epoch, from, to } | Ours::V6 { epoch, from, to } => (epoch, &text.bytes[from..to]),
            Ours::V4(address) => (address.segments()[2], &[][..]),
        };
        let Some(key) = self.keys.get(&epoch) else {
            *counts.unknown_epochs.entry(epoch).or_default() += 1;
            return None;
        };
        let clear = match ours {
            Ours::V4(address) if is_sealed_v4(address) => key.unseal_v4(address).map(|address| address.to_string()),
            Ours::V6 { .. } => key.unseal_v6(sealed).map(|address| address.to_string()),
            _ => key.unseal(sealed).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
        };
        match clear {
            Some(_) => counts.clear += 1,
            None => counts.other_key += 1,
        }
        clear
    }
}

/// An IPv4 address needs no brackets, and had none before its stand-in was put into some.
fn without_brackets(bytes: &[u8], span: Range<usize>, clear: &str) -> Range<usize> {
    let in_brackets = span.start > 0 && bytes[span.start - 1] == b'[' && bytes.get(span.end) == Some(&b']');
    if in_brackets && clear.parse::<std::net::Ipv4Addr>().is_ok() {
        return span.start - 1..span.end + 1;
    }
    span
}

/// The `@` or the colons in the form that those of the stand-in have, `%40` or `%3A`.
fn as_written(text: &Text<'_>, span: Range<usize>, clear: String) -> String {
    let mark = |mark: u8| {
        let at = text.bytes[span.clone()].iter().position(|byte| *byte == mark)?;
        Some(text.unit(span.start + at)).filter(|unit| unit.len() > 1)
    };
    if let Some(at) = mark(b'@') {
        return clear.replace('@', at);
    }
    mark(b':').map_or(clear.clone(), |colon| clear.replace(':', colon))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transform::redact::{EmailAction, Hits, IpAction, Policy, Redactor};

    fn key(epoch: u16) -> Key {
        Key::new(epoch, format!("an invented secret, the {epoch}.").as_bytes()).unwrap()
    }

    fn encrypted(text: &str, epoch: u16) -> String {
        let (emails, ips) = (Some(EmailAction::Encrypt), Some(IpAction::Encrypt));
        let policy = Policy { emails, ips, key: Some(key(epoch)), ..Policy::default() };
        Redactor::new(policy).unwrap().text(text, &mut Hits::default()).unwrap()
    }

    fn revealed(line: &str) -> (String, Revealed) {
        let mut counts = Revealed::default();
        let clear = Revealer::new([key(1), key(2)]).line(line, &mut counts);
        (clear.unwrap_or_else(|| line.to_owned()), counts)
    }

    #[test]
    fn addresses_come_back_as_they_were_written_around() {
        for text in [
            "ada@example.com at 203.0.113.4:443, 2001:db8::1",
            "http://203.0.113.4/?u=ada%40example.com&x=2001%3Adb8%3A%3A1",
            "[2001:db8::1]:443",
            "src:2001:db8::1",
            r#"{"ada@example.com":["203.0.113.4",1.50,null]}"#,
        ] {
            for epoch in [1, 2] {
                let hidden = encrypted(text, epoch);
                assert!(!hidden.contains("ada") && !hidden.contains("203.0") && !hidden.contains("db8"), "{hidden}");
                let (clear, counts) = revealed(&hidden);
                let expected = text.replace("src:2001:db8::1", "src:[2001:db8::1]");
                assert_eq!(clear, expected);
                assert!(!counts.lacks_a_key());
            }
        }
    }

    #[test]
    fn what_is_in_clear_is_escaped_in_json() {
        let hidden = encrypted(r#""ada lovelace"@example.com"#, 1);
        let (clear, _) = revealed(&format!("[{hidden:?}]"));
        assert_eq!(clear, r#"["\"ada lovelace\"@example.com"]"#);
    }

    #[test]
    fn what_stays_is_counted() {
        let other = Key::new(1, b"another secret of the same epoch").unwrap();
        let text = [
            encrypted("ada@example.com", 1),
            encrypted("ada@example.com 203.0.113.4 2001:db8::1", 3),
            other.seal(b"ada"),
            key(1).pseudonym("text", b"ada"),
            key(1).ip_pseudonym("203.0.113.4".parse().unwrap()).to_string(),
        ];
        let (clear, counts) = revealed(&text.join(" "));
        assert!(clear.starts_with("ada@example.com x3-"), "{clear}");
        let expected = Revealed { clear: 1, unknown_epochs: [(3, 3)].into(), other_key: 1, pseudonyms: 2 };
        assert_eq!(counts, expected);
    }
}
