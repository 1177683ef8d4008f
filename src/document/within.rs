//! From a part of a string's text to where that part was written: a program in a string has mistakes of its own.

use std::ops::Range;

use super::file::Place;

const QUOTES: [&str; 4] = ["'''", "\"\"\"", "'", "\""];

impl Place {
    /// Where a part of a string was written; `part` counts in the text that the string means. This place itself where no
    /// string stands.
    #[must_use]
    pub fn within(&self, part: Range<usize>) -> Self {
        let Some(whole) = self.span() else { return self.clone() };
        let token = self.file().text().get(whole.clone()).unwrap_or_default();
        match (written(token, part.start, true), written(token, part.end, false)) {
            (Some(start), Some(end)) => Self::new(self.file(), whole.start + start..whole.start + end),
            _ => self.clone(),
        }
    }
}

/// Where in `token`, a string with its quotes, the byte `meant` of its text was written. What means nothing is passed over
/// where something begins.
fn written(token: &str, meant: usize, begins: bool) -> Option<usize> {
    let quote = QUOTES.into_iter().find(|quote| token.starts_with(quote))?;
    let mut rest = token.strip_prefix(quote)?.strip_suffix(quote)?;
    if quote.len() == 3 {
        // A line break right after the quotes is not of the text.
        rest = rest.strip_prefix("\r\n").or(rest.strip_prefix('\n')).unwrap_or(rest);
    }
    let (escapes, mut seen) = (quote.starts_with('"'), 0);
    while seen < meant || begins {
        let (length, means) = match unit(rest, escapes) {
            Some(unit) if seen < meant || unit.1 == 0 => unit,
            _ if seen >= meant => break,
            _ => return None,
        };
        seen += means;
        rest = &rest[length..];
    }
    Some(token.len() - quote.len() - rest.len())
}

/// How long the next thing is as it is written, and as it is meant.
fn unit(rest: &str, escapes: bool) -> Option<(usize, usize)> {
    let first = rest.chars().next()?;
    if first != '\\' || !escapes {
        return Some((first.len_utf8(), first.len_utf8()));
    }
    let digits = match rest[1..].chars().next()? {
        'x' => 2,
        'u' => 4,
        'U' => 8,
        // A line that goes on: the break and the blanks after it mean nothing.
        blank if blank.is_ascii_whitespace() => return Some((rest.len() - rest[1..].trim_start().len(), 0)),
        _ => return Some((2, 1)),
    };
    let code = u32::from_str_radix(rest.get(2..2 + digits)?, 16).ok()?;
    Some((2 + digits, char::from_u32(code)?.len_utf8()))
}

#[cfg(test)]
mod tests {
    use super::super::{Document, Problems};

    /// What is written where `word` is meant, for each way to write a string.
    fn found(string: &str, word: &str) -> String {
        let problems = Problems::new();
        let text = format!("program = {string}\n");
        let document = Document::parse("a.toml", &text, &problems).unwrap();
        let node = document.root().get("program").unwrap();
        let meant = node.as_str().unwrap();
        let at = meant.find(word).unwrap();
        let place = node.place().within(at..at + word.len());
        text[place.span().unwrap().clone()].to_owned()
    }

    #[test]
    fn a_part_of_any_string_is_found() {
        for string in
            ["'.é = here'", "'''\n.é = here\n'''", "'''.é = here'''", "\".é = here\"", "\"\"\"\n.é = \\\n   here\"\"\""]
        {
            assert_eq!(found(string, "here"), "here", "{string}");
        }
        assert_eq!(found("'''\r\n.a = 1\r\n.b = here\r\n'''", "here"), "here");
    }

    #[test]
    fn escapes_count_as_what_they_mean() {
        assert_eq!(found(r#""\".\u00e9\\\U0001F600\t = here\n""#, "here"), "here");
        assert_eq!(found(r#"".a = \u0068ere""#, "here"), r"\u0068ere");
    }

    #[test]
    fn what_is_no_string_stays_whole() {
        let problems = Problems::new();
        let document = Document::parse("a.toml", "program = 17\n", &problems).unwrap();
        let place = document.root().get("program").unwrap().place();
        assert_eq!(place.within(0..1), place);
    }
}
