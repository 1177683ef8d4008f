//! How one page leads to the next.

use super::cursor::Place;
use crate::connector::model::Paginate;
use crate::event::{Path, Value};

/// Where a walk goes after a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// To the next page.
    Next(Place),
    /// Nowhere: that was the last page.
    End,
    /// The vendor does not let us any further into this window.
    Ceiling,
    /// The vendor gave a cursor that it gave before.
    Circle,
}

/// A vendor that repeats its cursors does so within this many pages, or we notice at the window's end.
const REMEMBERED: usize = 64;

/// The step after a page of `received` records, of at most `asked`.
#[must_use]
pub fn step(paginate: Option<&Paginate>, place: &Place, page: Value, received: usize, asked: usize) -> Step {
    match paginate {
        None => Step::End,
        Some(Paginate::Page { first, total }) => {
            let number = match place {
                Place::Page(number) => *number,
                _ => *first,
            };
            match count(total.as_ref(), page) {
                // 0 is what some answer when they have not counted.
                Some(total) if total > 0 && number >= total => Step::End,
                _ if received == 0 => Step::End,
                _ => Step::Next(Place::Page(number + 1)),
            }
        }
        Some(Paginate::Offset { ceiling, total }) => {
            let offset = match place {
                Place::Offset(offset) => *offset,
                _ => 0,
            } + received as u64;
            match count(total.as_ref(), page) {
                Some(total) if offset >= total => Step::End,
                Some(_) if received > 0 => beyond(*ceiling, offset),
                _ if received == 0 || received < asked => Step::End,
                _ => beyond(*ceiling, offset),
            }
        }
        Some(Paginate::Cursor { next, more, empty_page_ends }) => {
            let ended = more.as_ref().and_then(|path| path.find(page)).and_then(|more| more.as_bool()) == Some(false);
            if ended || (received == 0 && *empty_page_ends) {
                return Step::End;
            }
            let token = next.iter().filter_map(|path| path.find(page)).find_map(|token| match token {
                Value::String(text) | Value::Number(text) if !text.is_empty() => Some(text.to_owned()),
                _ => None,
            });
            token.map_or(Step::End, |token| follow(place, token))
        }
    }
}

fn follow(place: &Place, token: String) -> Step {
    let mut before = Vec::new();
    if let Place::Token { token: last, before: older } = place {
        before.extend(older.iter().skip(older.len().saturating_sub(REMEMBERED - 1)).cloned());
        before.push(last.clone());
    }
    if before.contains(&token) {
        return Step::Circle;
    }
    Step::Next(Place::Token { token, before })
}

fn beyond(ceiling: Option<u64>, offset: u64) -> Step {
    if ceiling.is_some_and(|ceiling| offset >= ceiling) { Step::Ceiling } else { Step::Next(Place::Offset(offset)) }
}

/// A count, which some vendors write as a text.
fn count(path: Option<&Path>, page: Value) -> Option<u64> {
    match path?.find(page)? {
        Value::Number(digits) | Value::String(digits) => digits.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connector::Connector;
    use crate::event::{Arena, json};

    fn steps(connector: &str, place: Place, page: &str, received: usize, asked: usize) -> Step {
        let connector = Connector::embedded(connector).unwrap();
        let arena = Arena::new();
        let read = connector.definition.read.get("pages").unwrap();
        step(read.paginate.as_ref(), &place, json::decode(page.as_bytes(), &arena).unwrap(), received, asked)
    }

    fn token(token: &str, before: &[&str]) -> Place {
        Place::Token { token: token.to_owned(), before: before.iter().map(|text| (*text).to_owned()).collect() }
    }

    #[test]
    fn pages_end_at_the_total_or_when_one_is_empty() {
        let next = |page| Step::Next(Place::Page(page));
        assert_eq!(steps("telnyx", Place::Start, r#"{"meta":{"total_pages":3}}"#, 250, 250), next(2));
        assert_eq!(steps("telnyx", Place::Page(2), r#"{"meta":{"total_pages":3}}"#, 10, 250), next(3));
        assert_eq!(steps("telnyx", Place::Page(3), r#"{"meta":{"total_pages":3}}"#, 250, 250), Step::End);
        assert_eq!(steps("telnyx", Place::Page(3), r#"{"meta":{"total_pages":0}}"#, 250, 250), next(4));
        assert_eq!(steps("telnyx", Place::Page(4), "{}", 0, 250), Step::End);
    }

    #[test]
    fn offsets_end_at_the_total_at_a_short_page_or_at_the_ceiling() {
        let next = |offset| Step::Next(Place::Offset(offset));
        assert_eq!(steps("voximplant", Place::Start, r#"{"total_count":1500}"#, 1000, 1000), next(1000));
        assert_eq!(steps("voximplant", Place::Offset(1000), r#"{"total_count":1500}"#, 500, 1000), Step::End);
        assert_eq!(steps("voximplant", Place::Offset(1000), r#"{"total_count":1500}"#, 200, 1000), next(1200));
        assert_eq!(steps("voximplant", Place::Offset(1000), "{}", 200, 1000), Step::End);
        assert_eq!(steps("voximplant", Place::Offset(9000), r#"{"total_count":99999}"#, 1000, 1000), Step::Ceiling);
    }

    #[test]
    fn cursors_are_found_in_either_place_and_end_in_every_way_the_vendors_have() {
        let next = |text| Step::Next(token(text, &[]));
        assert_eq!(steps("cloudflare", Place::Start, r#"{"result_info":{"cursor":"a"}}"#, 9, 9), next("a"));
        assert_eq!(steps("cloudflare", Place::Start, r#"{"result_info":{"cursors":{"after":"b"}}}"#, 9, 9), next("b"));
        assert_eq!(steps("cloudflare", Place::Start, r#"{"result_info":{"cursor":"a"}}"#, 0, 9), Step::End);
        assert_eq!(steps("cloudflare", Place::Start, r#"{"result_info":{"cursor":null}}"#, 9, 9), Step::End);
        assert_eq!(steps("cloudflare", Place::Start, r#"{"result_info":{"cursor":""}}"#, 9, 9), Step::End);
        // An empty page with more to come is followed by Ashby's rules.
        assert_eq!(steps("ashby", Place::Start, r#"{"moreDataAvailable":true,"nextCursor":"c"}"#, 0, 100), next("c"));
        assert_eq!(
            steps("ashby", Place::Start, r#"{"moreDataAvailable":false,"nextCursor":"c"}"#, 100, 100),
            Step::End
        );
    }

    #[test]
    fn a_cursor_that_comes_again_is_a_circle() {
        let page = r#"{"result_info":{"cursor":"a"}}"#;
        assert_eq!(steps("cloudflare", token("a", &[]), page, 9, 9), Step::Circle);
        assert_eq!(steps("cloudflare", token("b", &["a"]), page, 9, 9), Step::Circle);
        assert_eq!(steps("cloudflare", token("c", &["b"]), page, 9, 9), Step::Next(token("a", &["b", "c"])));
    }
}
