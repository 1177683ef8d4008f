//! JSON in and out of the arena form.

use jiter::{Jiter, JiterError, Peek};

use super::{Arena, Member, Path, Value};

/// Nesting beyond this is refused: it would only serve to exhaust the stack of whoever reads the event. Common readers take
/// 127 levels, and an event stands some around what the vendor has nested.
pub const MAX_DEPTH: usize = 100;

/// Why a text is not an event.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// Not JSON.
    #[error("not JSON at byte {at}: {reason}")]
    Syntax {
        /// Offset into the text.
        at: usize,
        /// What the parser says.
        reason: String,
    },
    /// JSON, but nested beyond [`MAX_DEPTH`].
    #[error("nested more than {MAX_DEPTH} deep at byte {at}")]
    TooDeep {
        /// Offset into the text.
        at: usize,
    },
}

/// Reads one JSON value, which must be all there is but white space.
///
/// Numbers keep their digits, doubled keys stay, and invalid UTF-8 is an error.
///
/// # Errors
/// Says where and why the text is not JSON, or that it is nested too deep.
pub fn decode<'a>(text: &[u8], arena: &'a Arena) -> Result<Value<'a>, JsonError> {
    let mut parser = Jiter::new(text);
    let first = parser.peek().map_err(syntax)?;
    let value = value(&mut parser, first, arena, MAX_DEPTH)?;
    parser.finish().map_err(syntax)?;
    Ok(value)
}

/// Rewrites a text so that nothing in it is nested deeper than [`MAX_DEPTH`]: what would be, stands there as a text
/// holding its JSON. Nothing is lost, and whoever reads the event decides whether to look into it.
///
/// The result of a text that is not JSON is not JSON either.
#[must_use]
pub fn flatten(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        let end = match text[at] {
            b'"' => string_end(text, at),
            b'[' | b'{' if depth == MAX_DEPTH => {
                let end = value_end(text, at);
                encode_text(&String::from_utf8_lossy(&text[at..end]), &mut out);
                at = end;
                continue;
            }
            b'[' | b'{' => {
                depth += 1;
                at + 1
            }
            b']' | b'}' => {
                depth = depth.saturating_sub(1);
                at + 1
            }
            _ => at + 1,
        };
        out.extend_from_slice(&text[at..end]);
        at = end;
    }
    out
}

/// Where the string that begins at `at` ends.
fn string_end(text: &[u8], at: usize) -> usize {
    let mut next = at + 1;
    while next < text.len() {
        match text[next] {
            b'"' => return next + 1,
            b'\\' => next += 2,
            _ => next += 1,
        }
    }
    text.len()
}

/// Where the list or object that begins at `at` ends.
fn value_end(text: &[u8], mut at: usize) -> usize {
    let mut open = 0_usize;
    while at < text.len() {
        match text[at] {
            b'"' => {
                at = string_end(text, at);
                continue;
            }
            b'[' | b'{' => open += 1,
            b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        at += 1;
        if open == 0 {
            return at;
        }
    }
    text.len()
}

/// What is left of a text when the items of one list were handed out.
#[derive(Clone, Copy, Debug)]
pub struct Around<'a> {
    /// Everything else; the list is empty in it.
    pub rest: Value<'a>,
    /// How many items the list has; `None` when there is no such list.
    pub items: Option<usize>,
}

/// Takes an item, which is gone when it returns.
pub type Each<'e> = dyn for<'i> FnMut(Value<'i>, &'i Arena) + 'e;

/// Reads a JSON value as [`decode`] does, but hands out the items of the list at `path`, or of the list that it is where
/// there is no path, one by one, each in an arena of its own that is used again for the next: a page of any length takes the memory of one record, which stays in the
/// processor's nearest cache while it is worked on. Without `each`, the items are passed over.
///
/// Of a doubled list the items of both are handed out.
///
/// # Errors
/// As [`decode`], and only when the text is at its end or broken: what was handed out until then may be of no use.
pub fn decode_around<'a>(
    text: &[u8],
    path: Option<&Path>,
    arena: &'a Arena,
    each: Option<&mut Each<'_>>,
) -> Result<Around<'a>, JsonError> {
    let mut walk = Walk { parser: Jiter::new(text), arena, each, item: Arena::new(), items: None };
    let first = walk.parser.peek().map_err(syntax)?;
    let rest = walk.around(first, path.map_or(&[], Path::parts), MAX_DEPTH)?;
    walk.parser.finish().map_err(syntax)?;
    Ok(Around { rest, items: walk.items })
}

/// The way to the list of [`decode_around`], and past it.
struct Walk<'t, 'a, 'e, 'f> {
    parser: Jiter<'t>,
    arena: &'a Arena,
    each: Option<&'e mut Each<'f>>,
    item: Arena,
    items: Option<usize>,
}

impl<'a> Walk<'_, 'a, '_, '_> {
    fn around(&mut self, next: Peek, path: &[String], depth: usize) -> Result<Value<'a>, JsonError> {
        match (next, path.split_first()) {
            (Peek::Array, None) => self.hand_out(deeper(&self.parser, depth)?),
            (Peek::Array, Some((part, below))) => self.array(part, below, deeper(&self.parser, depth)?),
            (Peek::Object, Some((part, below))) => self.object(part, below, deeper(&self.parser, depth)?),
            _ => value(&mut self.parser, next, self.arena, depth),
        }
    }

    fn object(&mut self, part: &str, below: &[String], depth: usize) -> Result<Value<'a>, JsonError> {
        let arena = self.arena;
        let mut members = bumpalo::collections::Vec::new_in(arena);
        let mut next: Option<&'a str> = self.parser.known_object().map_err(syntax)?.map(|key| &*arena.alloc_str(key));
        while let Some(key) = next {
            let peek = self.parser.peek().map_err(syntax)?;
            let value = match key == part {
                true => self.around(peek, below, depth)?,
                false => value(&mut self.parser, peek, arena, depth)?,
            };
            members.push(Member { key, value });
            next = self.parser.next_key().map_err(syntax)?.map(|key| &*arena.alloc_str(key));
        }
        Ok(Value::Object(members.into_bump_slice()))
    }

    fn array(&mut self, part: &str, below: &[String], depth: usize) -> Result<Value<'a>, JsonError> {
        let place: Option<usize> = part.parse().ok();
        let mut items = bumpalo::collections::Vec::new_in(self.arena);
        let mut next = self.parser.known_array().map_err(syntax)?;
        while let Some(peek) = next {
            items.push(match place == Some(items.len()) {
                true => self.around(peek, below, depth)?,
                false => value(&mut self.parser, peek, self.arena, depth)?,
            });
            next = self.parser.array_step().map_err(syntax)?;
        }
        Ok(Value::Array(items.into_bump_slice()))
    }

    fn hand_out(&mut self, depth: usize) -> Result<Value<'a>, JsonError> {
        let mut count = self.items.unwrap_or(0);
        let mut next = self.parser.known_array().map_err(syntax)?;
        while let Some(peek) = next {
            match &mut self.each {
                Some(each) => {
                    each(value(&mut self.parser, peek, &self.item, depth)?, &self.item);
                    self.item.reset();
                }
                None => self.parser.known_skip(peek).map_err(syntax)?,
            }
            count += 1;
            next = self.parser.array_step().map_err(syntax)?;
        }
        self.items = Some(count);
        Ok(Value::Array(&[]))
    }
}

fn value<'a>(parser: &mut Jiter, next: Peek, arena: &'a Arena, depth: usize) -> Result<Value<'a>, JsonError> {
    Ok(match next {
        Peek::Null => {
            parser.known_null().map_err(syntax)?;
            Value::Null
        }
        Peek::True | Peek::False => Value::Bool(parser.known_bool(next).map_err(syntax)?),
        Peek::String => Value::String(arena.alloc_str(parser.known_str().map_err(syntax)?)),
        Peek::Array => array(parser, arena, deeper(parser, depth)?)?,
        Peek::Object => object(parser, arena, deeper(parser, depth)?)?,
        _ => number(parser, next, arena)?,
    })
}

fn deeper(parser: &Jiter, depth: usize) -> Result<usize, JsonError> {
    depth.checked_sub(1).ok_or(JsonError::TooDeep { at: parser.current_index() })
}

fn array<'a>(parser: &mut Jiter, arena: &'a Arena, depth: usize) -> Result<Value<'a>, JsonError> {
    let mut items = bumpalo::collections::Vec::new_in(arena);
    let mut next = parser.known_array().map_err(syntax)?;
    while let Some(peek) = next {
        items.push(value(parser, peek, arena, depth)?);
        next = parser.array_step().map_err(syntax)?;
    }
    Ok(Value::Array(items.into_bump_slice()))
}

fn object<'a>(parser: &mut Jiter, arena: &'a Arena, depth: usize) -> Result<Value<'a>, JsonError> {
    let mut members = bumpalo::collections::Vec::new_in(arena);
    let mut next: Option<&'a str> = parser.known_object().map_err(syntax)?.map(|key| &*arena.alloc_str(key));
    while let Some(key) = next {
        let peek = parser.peek().map_err(syntax)?;
        members.push(Member { key, value: value(parser, peek, arena, depth)? });
        next = parser.next_key().map_err(syntax)?.map(|key| &*arena.alloc_str(key));
    }
    Ok(Value::Object(members.into_bump_slice()))
}

fn number<'a>(parser: &mut Jiter, next: Peek, arena: &'a Arena) -> Result<Value<'a>, JsonError> {
    let digits = parser.known_number_bytes(next).map_err(syntax)?;
    let digits = std::str::from_utf8(digits).expect("the parser lets only ASCII through");
    Ok(Value::Number(arena.alloc_str(digits)))
}

fn syntax(error: JiterError) -> JsonError {
    JsonError::Syntax { at: error.index, reason: error.error_type.to_string() }
}

/// Writes `value` as JSON without white space or line breaks.
pub fn encode(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(digits) => out.extend_from_slice(digits.as_bytes()),
        Value::String(text) => encode_text(text, out),
        Value::Array(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                encode(item, out);
            }
            out.push(b']');
        }
        Value::Object(members) => {
            out.push(b'{');
            for (index, member) in members.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                encode_text(member.key, out);
                out.push(b':');
                encode(&member.value, out);
            }
            out.push(b'}');
        }
    }
}

fn encode_text(text: &str, out: &mut Vec<u8>) {
    if needs_escape(text.as_bytes()) {
        serde_json::to_writer(out, text).expect("writing a text to memory does not fail");
        return;
    }
    out.reserve(text.len() + 2);
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

/// Whether JSON writes any of it in another way (RFC 8259 section 7). Nearly every text goes out as it is, so sixteen bytes
/// are looked at together, in a form the compiler turns into vector instructions.
fn needs_escape(text: &[u8]) -> bool {
    const LANES: usize = 16;
    let any =
        |bytes: &[u8]| bytes.iter().fold(false, |any, &byte| any | (byte < b' ') | (byte == b'"') | (byte == b'\\'));
    let (chunks, rest) = text.as_chunks::<LANES>();
    if chunks.iter().any(|chunk| any(chunk)) {
        return true;
    }
    // The last bytes are looked at together with some that were seen: cheaper than one by one. So are those of short texts,
    // as most keys are.
    const HALF: usize = LANES / 2;
    match (text.last_chunk::<LANES>(), text.first_chunk::<HALF>(), text.last_chunk::<HALF>()) {
        (Some(last), ..) => !rest.is_empty() && any(last),
        (None, Some(first), Some(last)) => any(first) | any(last),
        _ => any(text),
    }
}

/// `value` as a JSON text.
#[must_use]
pub fn to_string(value: &Value) -> String {
    let mut out = Vec::new();
    encode(value, &mut out);
    String::from_utf8(out).expect("the encoder writes UTF-8")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn round(text: &str) -> String {
        let arena = Arena::new();
        to_string(&decode(text.as_bytes(), &arena).unwrap())
    }

    #[test]
    fn numbers_keep_their_digits() {
        let text = r#"[12345678901234567890123,1.10,1E400,-0,9007199254740993]"#;
        assert_eq!(round(text), text);
    }

    #[test]
    fn doubled_keys_stay_and_the_last_one_counts() {
        let arena = Arena::new();
        let value = decode(br#"{"a":1,"a":2}"#, &arena).unwrap();
        assert_eq!(value.get("a"), Some(Value::Number("2")));
        assert_eq!(to_string(&value), r#"{"a":1,"a":2}"#);
    }

    #[test]
    fn depth_is_bounded() {
        let arena = Arena::new();
        let fits = "[".repeat(MAX_DEPTH) + &"]".repeat(MAX_DEPTH);
        assert!(decode(fits.as_bytes(), &arena).is_ok());
        let deep = "[".repeat(100_000);
        assert!(matches!(decode(deep.as_bytes(), &arena), Err(JsonError::TooDeep { at: 101 | 100 })));
    }

    /// What is handed out of the list at `path`, and what is left.
    fn around(text: &str, path: &str) -> (Vec<String>, String, Option<usize>) {
        let arena = Arena::new();
        let mut items = Vec::new();
        let mut each = |item: Value<'_>, _: &Arena| items.push(to_string(&item));
        let path = path.parse().unwrap();
        let left = decode_around(text.as_bytes(), Some(&path), &arena, Some(&mut each)).unwrap();
        let passed = decode_around(text.as_bytes(), Some(&path), &arena, None).unwrap();
        assert_eq!((to_string(&passed.rest), passed.items), (to_string(&left.rest), left.items));
        (items, to_string(&left.rest), left.items)
    }

    #[test]
    fn a_list_is_handed_out_and_the_rest_stays() {
        let page = r#"{"ok":true,"data":{"list":[{"id":1},[2],"3"],"next":"x"},"list":[4]}"#;
        let (items, rest, count) = around(page, "data.list");
        assert_eq!(items, [r#"{"id":1}"#, "[2]", "\"3\""]);
        assert_eq!(rest, r#"{"ok":true,"data":{"list":[],"next":"x"},"list":[4]}"#);
        assert_eq!(count, Some(3));
        assert_eq!(around("[0,[1,2]]", "1"), (vec!["1".to_owned(), "2".to_owned()], "[0,[]]".to_owned(), Some(2)));
        assert_eq!(around(r#"{"a":[1],"a":[2]}"#, "a").0, ["1", "2"]);
    }

    #[test]
    fn a_list_that_is_not_there_has_no_items_and_an_empty_one_has_none() {
        assert_eq!(around(r#"{"a":[]}"#, "a"), (vec![], r#"{"a":[]}"#.to_owned(), Some(0)));
        for text in [r#"{"a":{"b":[1]}}"#, r#"{"a":null}"#, "{}", "[[1]]", "7"] {
            assert_eq!(around(text, "a"), (vec![], text.to_owned(), None), "{text}");
        }
    }

    #[test]
    fn without_a_path_the_value_itself_is_the_list() {
        for (text, items) in [(r#"[{"id":1},2]"#, Some(2)), ("[]", Some(0)), (r#"{"a":[1]}"#, None)] {
            let arena = Arena::new();
            let mut seen = 0;
            let around = decode_around(text.as_bytes(), None, &arena, Some(&mut |_, _| seen += 1)).unwrap();
            assert_eq!((around.items, seen), (items, items.unwrap_or(0)), "{text}");
        }
    }

    #[test]
    fn a_list_that_breaks_off_is_an_error() {
        let path = "a".parse().unwrap();
        for text in [r#"{"a":[1,2"#, r#"{"a":[1]"#, r#"{"a":[1]} x"#] {
            let arena = Arena::new();
            assert!(decode_around(text.as_bytes(), Some(&path), &arena, Some(&mut |_, _| {})).is_err(), "{text}");
        }
        let deep = format!(r#"{{"a":[{}"#, "[".repeat(1000));
        let arena = Arena::new();
        let refused = decode_around(deep.as_bytes(), Some(&path), &arena, Some(&mut |_, _| {}));
        assert!(matches!(refused, Err(JsonError::TooDeep { .. })));
    }

    #[test]
    fn every_text_is_written_as_serde_json_writes_it() {
        for length in 0..40 {
            for place in 0..length {
                for byte in 0..128_u8 {
                    let mut text = vec![b'a'; length];
                    text[place] = byte;
                    let text = String::from_utf8(text).unwrap();
                    assert_eq!(to_string(&Value::String(&text)), serde_json::to_string(&text).unwrap());
                }
            }
        }
    }

    #[test]
    fn what_is_nested_too_deep_is_kept_as_a_text() {
        let arena = Arena::new();
        let inner = r#"{"a":["]\\\"",1]}"#;
        let deep = "[".repeat(MAX_DEPTH) + inner + ",2" + &"]".repeat(MAX_DEPTH);
        let mut value = decode(&flatten(deep.as_bytes()), &arena).unwrap();
        for _ in 1..MAX_DEPTH {
            value = value.as_array().unwrap()[0];
        }
        assert_eq!(value, Value::Array(&[Value::String(inner), Value::Number("2")]));
        let bottomless = "[".repeat(100_000);
        assert!(decode(&flatten(bottomless.as_bytes()), &arena).is_err());
    }

    #[test]
    fn what_is_not_json_is_refused() {
        let arena = Arena::new();
        for text in [&b"{"[..], b"", b"{} x", b"\"\xff\"", b"NaN", b"[1,]", b"01", b"\"\\ud800\""] {
            assert!(decode(text, &arena).is_err(), "{}", String::from_utf8_lossy(text));
        }
    }

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<u64>().prop_map(Into::into),
            ".*".prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 64, 8, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..8).prop_map(Into::into),
                proptest::collection::btree_map(".*", inner, 0..8)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_decoded_and_encoded_is_the_same_to_serde_json(value in any_json()) {
            let text = serde_json::to_string(&value).unwrap();
            let again: serde_json::Value = serde_json::from_str(&round(&text)).unwrap();
            prop_assert_eq!(again, value);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            let arena = Arena::new();
            let _ = decode(&bytes, &arena);
            let _ = flatten(&bytes);
        }

        #[test]
        fn what_is_not_too_deep_is_left_alone(value in any_json()) {
            let text = serde_json::to_vec(&value).unwrap();
            prop_assert_eq!(flatten(&text), text);
        }
    }
}
