//! Templates the other way round: from a text that was filled in to what it was filled in with.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::connector::as_text;

/// What a template's variables stood for.
pub type Variables = BTreeMap<String, String>;

/// Around the name of a variable in a template that is filled in with the names themselves. Of the private use area
/// (Unicode 23.5), so that no definition has them.
const OPEN: char = '\u{e000}';
const CLOSE: char = '\u{e001}';

/// What fills a template in so that [`Pattern::of`] can read it: what is known with its value, all else with its name.
pub fn marked<'k>(known: &'k dyn Fn(&str) -> Option<Json>) -> impl Fn(&str) -> Option<Json> + 'k {
    move |name| Some(known(name).unwrap_or_else(|| Json::String(format!("{OPEN}{name}{CLOSE}"))))
}

/// A text with places that may hold anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Variable(String),
}

impl Pattern {
    /// The pattern of a template that was filled in by [`marked`].
    pub fn of(filled: &str) -> Self {
        let mut pieces = Vec::new();
        for (index, part) in filled.split(OPEN).enumerate() {
            let text = match part.split_once(CLOSE).filter(|_| index > 0) {
                Some((name, text)) => {
                    pieces.push(Piece::Variable(name.to_owned()));
                    text
                }
                None => part,
            };
            if !text.is_empty() {
                pieces.push(Piece::Text(text.to_owned()));
            }
        }
        Self { pieces }
    }

    /// Whether what it stands for may be left out: it has a variable, which may be without value.
    pub fn may_be_left_out(&self) -> bool {
        self.pieces.iter().any(|piece| matches!(piece, Piece::Variable(_)))
    }

    /// Adds what the variables stand for in `text`; `false` when the text is not of this pattern, or a variable stands
    /// for something else than it did.
    pub fn take(&self, text: &str, variables: &mut Variables) -> bool {
        let mut taken = variables.clone();
        if !take(&self.pieces, text, &mut taken) {
            return false;
        }
        *variables = taken;
        true
    }
}

fn take(pieces: &[Piece], text: &str, variables: &mut Variables) -> bool {
    match pieces {
        [] => text.is_empty(),
        [Piece::Text(piece), rest @ ..] => {
            text.strip_prefix(piece.as_str()).is_some_and(|text| take(rest, text, variables))
        }
        [Piece::Variable(name), rest @ ..] => {
            let ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
            for end in ends {
                let mut taken = variables.clone();
                let (value, after) = text.split_at(end);
                let agrees = taken.insert(name.clone(), value.to_owned()).is_none_or(|before| before == value);
                if agrees && take(rest, after, &mut taken) {
                    *variables = taken;
                    return true;
                }
            }
            false
        }
    }
}

/// The same of a JSON value, whose texts are patterns.
pub fn take_json(pattern: &Json, found: &Json, variables: &mut Variables) -> bool {
    match (pattern, found) {
        (Json::String(text), Json::String(_) | Json::Number(_) | Json::Bool(_)) => {
            Pattern::of(text).take(&as_text(found), variables)
        }
        (Json::Object(patterns), Json::Object(members)) => {
            members.keys().all(|name| patterns.contains_key(name))
                && patterns.iter().all(|(name, pattern)| match members.get(name) {
                    Some(member) => take_json(pattern, member, variables),
                    None => has_variables(pattern),
                })
        }
        (Json::Array(patterns), Json::Array(items)) => take_list(patterns, items, variables),
        (pattern, found) => pattern == found,
    }
}

/// Items whose variables have no value are left out.
fn take_list(patterns: &[Json], items: &[Json], variables: &mut Variables) -> bool {
    match (patterns, items) {
        ([], []) => true,
        ([pattern, rest @ ..], items) => {
            if let [item, after @ ..] = items {
                let mut taken = variables.clone();
                if take_json(pattern, item, &mut taken) && take_list(rest, after, &mut taken) {
                    *variables = taken;
                    return true;
                }
            }
            has_variables(pattern) && take_list(rest, items, variables)
        }
        _ => false,
    }
}

fn has_variables(pattern: &Json) -> bool {
    match pattern {
        Json::String(text) => Pattern::of(text).may_be_left_out(),
        Json::Array(items) => items.iter().any(has_variables),
        Json::Object(members) => members.values().any(has_variables),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::connector::Template;

    fn pattern(template: &str) -> Pattern {
        let known = |name: &str| (name == "account").then(|| json!("a-1"));
        Pattern::of(&template.parse::<Template>().unwrap().fill_text(&marked(&known)).unwrap())
    }

    fn taken(template: &str, text: &str) -> Option<Vec<(String, String)>> {
        let mut variables = Variables::new();
        pattern(template).take(text, &mut variables).then(|| variables.into_iter().collect())
    }

    #[test]
    fn what_was_filled_in_is_found_again() {
        let one = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
        assert_eq!(taken("{from}", "2026-09-14"), Some(one("from", "2026-09-14")));
        assert_eq!(taken("/x/{account}/y", "/x/a-1/y"), Some(vec![]));
        assert_eq!(taken("/x/{account}/y", "/x/a-2/y"), None);
        let both = [one("from", "2026-09-14T08:00:00Z"), one("until", "2026-09-14T09:00:00Z")].concat();
        assert_eq!(
            taken("date:[{from} TO {until}]", "date:[2026-09-14T08:00:00Z TO 2026-09-14T09:00:00Z]"),
            Some(both)
        );
        assert_eq!(taken("{page}-{page}", "4-4"), Some(one("page", "4")));
        assert_eq!(taken("{page}-{page}", "4-5"), None);
        assert_eq!(taken("plain", "plain"), Some(vec![]));
    }

    #[test]
    fn json_keeps_its_shape_and_may_lack_what_has_no_value() {
        let open = |name: &str| format!("{OPEN}{name}{CLOSE}");
        let pattern = json!({"from": open("from"), "limit": open("size"), "asc": true, "in": [open("cursor"), "x"]});
        let take = |found: Json| {
            let mut variables = Variables::new();
            take_json(&pattern, &found, &mut variables).then_some(variables)
        };
        let found = take(json!({"from": "a", "limit": 100, "asc": true, "in": ["x"]})).unwrap();
        assert_eq!(found, Variables::from([("from".into(), "a".into()), ("size".into(), "100".into())]));
        assert!(take(json!({"from": "a", "limit": 100, "asc": false, "in": ["x"]})).is_none());
        assert!(take(json!({"from": "a", "asc": true, "in": ["x"], "more": 1})).is_none());
        assert!(take(json!({"from": "a", "asc": true, "in": []})).is_none());
    }

    proptest! {
        #[test]
        fn whatever_is_filled_in_comes_back(one in "[a-z0-9:]{1,8}", other in "[a-z0-9 ]{0,8}") {
            let template: Template = "<{one}> and <{other}>".parse().unwrap();
            let fill = |name: &str| Some(json!(if name == "one" { &one } else { &other }));
            let text = template.fill_text(&fill).unwrap();
            let mut variables = Variables::new();
            let is_taken = pattern("<{one}> and <{other}>").take(&text, &mut variables);
            prop_assert!(is_taken);
            prop_assert_eq!(variables, Variables::from([("one".to_owned(), one), ("other".to_owned(), other)]));
        }
    }
}
