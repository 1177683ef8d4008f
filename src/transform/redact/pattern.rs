//! What the operator's own expressions match.

use std::fmt;

use regex::bytes::{Regex, RegexBuilder};

use super::encoded::Text;
use super::{Found, TextAction, What};

/// The compiled form of one expression is no larger.
const MOST_BYTES: usize = 1 << 20;

/// In a text with more matches than this, all from there on is one: looking for each may read on to the end.
const MOST_MATCHES: usize = 1000;

/// An expression with a name, and what becomes of its matches.
#[derive(Clone)]
pub struct Pattern {
    pub(super) name: String,
    pub(super) action: TextAction,
    regex: Regex,
}

/// Why there is no such pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// The name would not be told again in a stand-in.
    #[error("`{0}` is no name of a pattern")]
    Name(String),
    /// What the parser says, in one line.
    #[error("this is no expression: {0}")]
    Syntax(String),
    /// Too much to be compiled.
    #[error("this expression takes too much memory")]
    TooLarge,
    /// It would match everywhere.
    #[error("this expression matches the empty text, so it would match everywhere")]
    Empty,
}

impl PatternError {
    /// What the operator can do.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Name(_) => "a name begins with a small letter and goes on with small letters, digits and `_`",
            Self::Syntax(_) => {
                "expressions are those of https://docs.rs/regex, without look-around and back-references"
            }
            Self::TooLarge => "repeat less: `{1,1000}` of a class is thousands of states",
            Self::Empty => "say what has to be there at least: `+` in place of `*`",
        }
    }
}

impl Pattern {
    /// # Errors
    /// When the name or the expression cannot be used.
    pub fn new(name: &str, expression: &str, action: TextAction) -> Result<Self, PatternError> {
        let begins_well = name.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
        let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if !begins_well || name.len() > 32 || !name.bytes().all(is_name) {
            return Err(PatternError::Name(name.to_owned()));
        }
        let regex = RegexBuilder::new(expression).size_limit(MOST_BYTES).build().map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => PatternError::TooLarge,
            error => PatternError::Syntax(last_line(&error.to_string())),
        })?;
        let syntax = regex_syntax::ParserBuilder::new().utf8(false).build().parse(expression);
        if syntax.is_ok_and(|syntax| syntax.properties().minimum_len().is_none_or(|least| least == 0)) {
            return Err(PatternError::Empty);
        }
        Ok(Self { name: name.to_owned(), action, regex })
    }

    pub(super) fn may_be_in(&self, text: &[u8]) -> bool {
        self.regex.is_match(text)
    }

    /// Finds every match, as the pattern of that index.
    pub(super) fn find(&self, index: usize, text: &Text<'_>, found: &mut Vec<Found>) {
        for (count, matched) in self.regex.find_iter(text.bytes).enumerate() {
            let is_last = count + 1 == MOST_MATCHES;
            let end = if is_last { text.bytes.len() } else { matched.end() };
            found.push(Found { start: matched.start(), end, what: What::Pattern(index) });
            if is_last {
                return;
            }
        }
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pattern").field("name", &self.name).field("action", &self.action).finish_non_exhaustive()
    }
}

/// The parser draws a picture; its last line says what is wrong.
fn last_line(text: &str) -> String {
    let line = text.lines().last().unwrap_or_default().trim();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(name: &str, expression: &str) -> PatternError {
        Pattern::new(name, expression, TextAction::Mask).expect_err("a mistake")
    }

    #[test]
    fn says_what_is_wrong() {
        assert_eq!(error("Name", "x"), PatternError::Name("Name".to_owned()));
        assert_eq!(error("", "x"), PatternError::Name(String::new()));
        assert_eq!(error("x", "(a"), PatternError::Syntax("unclosed group".to_owned()));
        assert_eq!(error("x", r"(\w{1000}){1000}"), PatternError::TooLarge);
        for expression in ["", "a*", r"\b", "^$", "a|b*", "(?:)"] {
            assert_eq!(error("x", expression), PatternError::Empty, "{expression}");
        }
        assert!(matches!(error("x", r"(?=a)b"), PatternError::Syntax(_)));
    }
}
