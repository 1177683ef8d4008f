//! Header fields taken apart: lists of items with parameters, numbers, and instants in the forms that are sent.
//!
//! More lenient than RFC 9651, because much of what is sent was never a structured field.

use chrono::{DateTime, NaiveDateTime, Utc};
use reqwest::header::HeaderMap;

/// `name;key=value;key=value`, quotes taken off.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Item<'a> {
    pub name: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
}

impl<'a> Item<'a> {
    fn of(text: &'a str) -> Self {
        let mut parts = split(text, b';');
        let name = unquoted(parts.next().unwrap_or_default());
        let parameters =
            parts.filter_map(|part| part.split_once('=')).map(|(key, value)| (key.trim(), unquoted(value)));
        Self { name, parameters: parameters.collect() }
    }

    pub fn text(&self, key: &str) -> Option<&'a str> {
        self.parameters.iter().find(|(known, _)| *known == key).map(|(_, value)| *value)
    }

    pub fn number(&self, key: &str) -> Option<f64> {
        self.text(key).and_then(number)
    }
}

/// The lines of a field, as texts. One field may be sent as several lines.
pub(super) fn lines<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = &'a str> {
    headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok()).map(str::trim)
}

/// The items of a list, over all lines.
pub(super) fn items<'a>(headers: &'a HeaderMap, name: &str) -> Vec<Item<'a>> {
    let texts = lines(headers, name).flat_map(|line| split(line, b','));
    texts.filter(|text| !text.is_empty()).map(Item::of).collect()
}

/// A number that is one; neither `NaN` nor `inf` says anything.
pub(super) fn number(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|number: &f64| number.is_finite())
}

/// An instant in words: the three forms of HTTP (RFC 9110 5.6.7) and RFC 3339.
pub(super) fn instant(text: &str) -> Option<DateTime<Utc>> {
    let naive = |format| NaiveDateTime::parse_from_str(text, format).ok().map(|time| time.and_utc());
    let fixed = DateTime::parse_from_rfc2822(text).or_else(|_| DateTime::parse_from_rfc3339(text));
    let fixed = fixed.ok().map(|time| time.to_utc());
    fixed.or_else(|| naive("%A, %d-%b-%y %H:%M:%S GMT")).or_else(|| naive("%a %b %e %H:%M:%S %Y"))
}

/// The parts of a text between separators that are not in quotes, without the space around them.
fn split(text: &str, separator: u8) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let mut quoted = false;
        let end = text.bytes().position(|byte| {
            quoted ^= byte == b'"';
            byte == separator && !quoted
        });
        rest = end.map(|end| &text[end + 1..]);
        Some(text[..end.unwrap_or(text.len())].trim())
    })
}

fn unquoted(text: &str) -> &str {
    let text = text.trim();
    text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_in_quotes_separate_nothing() {
        let mut headers = HeaderMap::new();
        headers.append("x", r#""a, b;c" ; q=1;pk="x;y", d"#.parse().unwrap());
        headers.append("x", "5;w=60".parse().unwrap());
        let expected = [
            Item { name: "a, b;c", parameters: vec![("q", "1"), ("pk", "x;y")] },
            Item { name: "d", parameters: vec![] },
            Item { name: "5", parameters: vec![("w", "60")] },
        ];
        assert_eq!(items(&headers, "x"), expected);
    }
}
