//! Vendors' words: lists of them, with a `*` where a part may be anything.

use super::critic::Critic;
use crate::document::Place;
use crate::event::Value;

/// The text of a single value, unless it is empty: a number's digits, `true`, `false`.
#[must_use]
pub fn word(value: Value<'_>) -> Option<&str> {
    match value {
        Value::String(text) | Value::Number(text) => (!text.is_empty()).then_some(text),
        Value::Bool(true) => Some("true"),
        Value::Bool(false) => Some("false"),
        _ => None,
    }
}

/// One word of a list, compared without regard to ASCII case: `create`, `vm.*`, `*.created`, `*Key*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// The word itself.
    Exact(String),
    /// How a word begins.
    Prefix(String),
    /// How a word ends.
    Suffix(String),
    /// What is somewhere in a word.
    Part(String),
}

/// Words and what they mean. The exact word counts before the patterns, a longer pattern before a shorter one.
#[derive(Clone, Debug)]
pub struct Words<T> {
    entries: Vec<(Pattern, T)>,
    /// So many of them, the first, are exact.
    exact: usize,
}

impl Pattern {
    /// Reads a word of the map. `None` if it has a `*` in the middle, where it is not understood.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let (text, open_start) = text.strip_prefix('*').map_or((text, false), |rest| (rest, true));
        let (text, open_end) = text.strip_suffix('*').map_or((text, false), |rest| (rest, true));
        let word = text.to_owned();
        (!word.contains('*')).then_some(match (open_start, open_end) {
            (false, false) => Self::Exact(word),
            (false, true) => Self::Prefix(word),
            (true, false) => Self::Suffix(word),
            (true, true) => Self::Part(word),
        })
    }

    /// Reads a word that stands there, and reports one that is not understood.
    pub fn understand(text: &str, place: &Place, critic: Critic) -> Option<Self> {
        let pattern = Self::read(text);
        if pattern.is_none() {
            critic.error(place, format!("`{text}` has a `*` that is neither its first nor its last character"), None);
        }
        pattern
    }

    /// Whether `word` is such a word.
    #[must_use]
    pub fn matches(&self, word: &str) -> bool {
        let word = word.as_bytes();
        match self {
            Self::Exact(own) => word.eq_ignore_ascii_case(own.as_bytes()),
            Self::Prefix(own) => word.get(..own.len()).is_some_and(|start| start.eq_ignore_ascii_case(own.as_bytes())),
            Self::Suffix(own) => {
                let start = word.len().checked_sub(own.len());
                start.is_some_and(|start| word[start..].eq_ignore_ascii_case(own.as_bytes()))
            }
            Self::Part(own) => {
                own.is_empty() || word.windows(own.len()).any(|part| part.eq_ignore_ascii_case(own.as_bytes()))
            }
        }
    }

    /// What counts first.
    fn rank(&self) -> (bool, std::cmp::Reverse<usize>) {
        (!matches!(self, Self::Exact(_)), std::cmp::Reverse(self.len()))
    }

    fn len(&self) -> usize {
        let (Self::Exact(own) | Self::Prefix(own) | Self::Suffix(own) | Self::Part(own)) = self;
        own.len()
    }
}

impl<T> Words<T> {
    /// Of patterns that are equally long, the first in `entries` counts.
    #[must_use]
    pub fn new(mut entries: Vec<(Pattern, T)>) -> Self {
        entries.sort_by_key(|(pattern, _)| pattern.rank());
        let exact = entries.partition_point(|(pattern, _)| matches!(pattern, Pattern::Exact(_)));
        Self { entries, exact }
    }

    /// Whether there is no word.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What `word` means.
    #[must_use]
    pub fn get(&self, word: &str) -> Option<&T> {
        // Of the exact words, which are there by their length, only those that are as long can be it.
        let (exact, patterns) = self.entries.split_at(self.exact);
        let longer = exact.partition_point(|(pattern, _)| pattern.len() > word.len());
        let as_long = exact[longer..].iter().take_while(|(pattern, _)| pattern.len() == word.len());
        as_long.chain(patterns).find(|(pattern, _)| pattern.matches(word)).map(|(_, meaning)| meaning)
    }
}

impl<T> Default for Words<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), exact: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(list: &[&'static str]) -> Words<&'static str> {
        Words::new(list.iter().map(|text| (Pattern::read(text).unwrap(), *text)).collect())
    }

    #[test]
    fn the_most_telling_word_counts() {
        let words = words(&["*", "*ed", "Set*", "*created", "SetPassword", "*key*"]);
        let get = |word| *words.get(word).unwrap();
        assert_eq!(get("setpassword"), "SetPassword");
        assert_eq!(get("vm.Created"), "*created");
        assert_eq!(get("deleted"), "*ed");
        assert_eq!(get("SetUserInfo"), "Set*");
        assert_eq!(get("SSH_KEYS"), "*key*");
        assert_eq!(get("é"), "*");
    }

    #[test]
    fn an_unknown_word_has_no_meaning() {
        let words = words(&["create", "set*", "*ed", "*longer than that*"]);
        for word in ["created ", "creat", "reset", "d", "", "é"] {
            assert_eq!(words.get(word), None, "{word}");
        }
    }

    #[test]
    fn a_star_in_the_middle_is_not_understood() {
        assert_eq!(Pattern::read("a*b"), None);
        assert_eq!(Pattern::read("*a*b"), None);
        assert_eq!(Pattern::read("*"), Some(Pattern::Suffix(String::new())));
    }
}
