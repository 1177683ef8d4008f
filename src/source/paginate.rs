//! How one page leads to the next.

use chrono::{DateTime, Utc};
use reqwest::header::HeaderMap;
use url::Url;

use super::cursor::Place;
use super::link;
use crate::connector::model::{Order, Paginate};
use crate::event::{Path, Value, time};

/// Where a walk goes after a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// To the next page.
    Next(Place),
    /// Nowhere: that was the last page.
    End,
    /// The vendor does not let us any further into this window.
    Ceiling,
    /// The vendor gave a cursor that it gave before, or the same records again.
    Circle,
    /// The next page begins behind a record that has no id.
    Nameless,
    /// The next page is at another host: what was found there, for a person.
    Elsewhere(String),
}

/// What of a page leads on.
#[derive(Clone, Copy, Debug)]
pub struct Outline<'a> {
    /// Where the page stands.
    pub place: &'a Place,
    /// The answer without its records.
    pub rest: Value<'a>,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Its own address.
    pub address: &'a Url,
    /// Whose origin no next address may leave.
    pub base: &'a Url,
    /// How many records it has.
    pub received: usize,
    /// How many it was to have at most, where that was said.
    pub asked: Option<usize>,
    /// Its last record, where the next page begins behind it.
    pub last: Option<&'a Last>,
    /// The highest total that was told so far, by this page or one before it.
    pub total: Option<u64>,
    /// The order of the records.
    pub order: Order,
}

/// A page's last record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Last {
    /// Its id.
    pub id: Option<String>,
    /// When it happened.
    pub time: Option<DateTime<Utc>>,
}

impl Last {
    /// What a record says of itself.
    #[must_use]
    pub fn of(record: Value, id: &Path, time: Option<&Path>) -> Self {
        Self { id: id.find(record).and_then(text), time: time.and_then(|path| path.find(record)).and_then(time::parse) }
    }
}

/// A vendor that repeats its cursors does so within this many pages, or we notice at the window's end.
const REMEMBERED: usize = 64;
/// The same for ids, which are kept in the journal with every page.
const REMEMBERED_IDS: usize = 8;

/// The total that a page tells, of records or of pages.
#[must_use]
pub fn total(paginate: Option<&Paginate>, page: Value) -> Option<u64> {
    match paginate? {
        Paginate::Page { total, .. } | Paginate::Offset { total, .. } => count(total.as_ref(), page),
        _ => None,
    }
}

/// The step after a page.
#[must_use]
pub fn step(paginate: Option<&Paginate>, page: &Outline<'_>) -> Step {
    match paginate {
        None => Step::End,
        Some(Paginate::Page { first, ceiling, .. }) => after_number(page, *first, *ceiling),
        Some(Paginate::Offset { ceiling, .. }) => after_offset(page, *ceiling),
        Some(Paginate::Cursor { next, more, empty_page_ends }) => {
            if has_ended(more.as_ref(), page.rest) || (page.received == 0 && *empty_page_ends) {
                return Step::End;
            }
            follow(page, token(next, page.rest))
        }
        Some(Paginate::Link {}) => follow_address(page, link::next(page.headers)),
        Some(Paginate::Url { next, more }) => {
            if has_ended(more.as_ref(), page.rest) {
                return Step::End;
            }
            follow_address(page, token(next, page.rest))
        }
        Some(Paginate::Keyset { .. }) => after_record(page),
    }
}

fn after_number(page: &Outline<'_>, first: u64, ceiling: Option<u64>) -> Step {
    let number = match page.place {
        Place::Page(number) => *number,
        _ => first,
    };
    match page.total {
        // 0 is what some answer when they have not counted.
        Some(total) if total > 0 && number >= total => Step::End,
        _ if page.received == 0 => Step::End,
        _ if ceiling.is_some_and(|ceiling| number >= ceiling) => Step::Ceiling,
        _ => Step::Next(Place::Page(number + 1)),
    }
}

fn after_offset(page: &Outline<'_>, ceiling: Option<u64>) -> Step {
    let before = match page.place {
        Place::Offset(offset) => *offset,
        _ => 0,
    };
    let offset = before + page.received as u64;
    match page.total {
        Some(total) if offset >= total => Step::End,
        _ if page.received == 0 => Step::End,
        None if is_short(page) => Step::End,
        _ if ceiling.is_some_and(|ceiling| offset >= ceiling) => Step::Ceiling,
        _ => Step::Next(Place::Offset(offset)),
    }
}

fn after_record(page: &Outline<'_>) -> Step {
    if page.received == 0 || is_short(page) {
        return Step::End;
    }
    let Some(Last { id: Some(id), time }) = page.last else { return Step::Nameless };
    let mut before = Vec::new();
    if let Place::After { id: last, time: last_time, before: older } = page.place {
        let goes_back = last_time.zip(*time).is_some_and(|(last, time)| match page.order {
            Order::Ascending => time < last,
            Order::NewestFirst => time > last,
        });
        before = remembered(older, last, REMEMBERED_IDS);
        if goes_back || before.contains(id) {
            return Step::Circle;
        }
    }
    Step::Next(Place::After { id: id.clone(), time: *time, before })
}

/// To the page that a vendor's token leads to; without one there is none.
fn follow(page: &Outline<'_>, token: Option<String>) -> Step {
    let Some(token) = token else { return Step::End };
    let mut before = Vec::new();
    if let Place::Token { token: last, before: older } = page.place {
        // Some always give a cursor: one that does not move from an empty page says that there is nothing behind it.
        if page.received == 0 && *last == token {
            return Step::End;
        }
        before = remembered(older, last, REMEMBERED);
    }
    if before.contains(&token) { Step::Circle } else { Step::Next(Place::Token { token, before }) }
}

fn follow_address(page: &Outline<'_>, target: Option<String>) -> Step {
    match target.map(|target| link::at_home(page.base, page.address, &target)).transpose() {
        Ok(address) => follow(page, address.map(String::from)),
        Err(elsewhere) => Step::Elsewhere(elsewhere),
    }
}

fn remembered(older: &[String], last: &str, most: usize) -> Vec<String> {
    let mut before = older[older.len().saturating_sub(most - 1)..].to_vec();
    before.push(last.to_owned());
    before
}

fn is_short(page: &Outline<'_>) -> bool {
    page.asked.is_some_and(|asked| page.received < asked)
}

fn has_ended(more: Option<&Path>, page: Value) -> bool {
    more.and_then(|path| path.find(page)).and_then(|more| more.as_bool()) == Some(false)
}

fn token(paths: &[Path], page: Value) -> Option<String> {
    paths.iter().filter_map(|path| path.find(page)).find_map(text)
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::String(text) | Value::Number(text) if !text.is_empty() => Some(text.to_owned()),
        _ => None,
    }
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

    /// A page as one vendor or another sends it.
    struct Sent<'a> {
        place: Place,
        body: &'a str,
        link: &'a str,
        received: usize,
        asked: Option<usize>,
        last: Option<Last>,
        told: Option<u64>,
        order: Order,
    }

    impl Default for Sent<'_> {
        fn default() -> Self {
            Self {
                place: Place::Start,
                body: "{}",
                link: "",
                received: 9,
                asked: Some(9),
                last: None,
                told: None,
                order: Order::Ascending,
            }
        }
    }

    impl Sent<'_> {
        fn step(&self, paginate: &Paginate) -> Step {
            let arena = Arena::new();
            let rest = json::decode(self.body.as_bytes(), &arena).unwrap();
            let mut headers = HeaderMap::new();
            headers.insert("link", self.link.parse().unwrap());
            let page = Outline {
                place: &self.place,
                rest,
                headers: &headers,
                address: &Url::parse("https://api.example.com/v1/log?limit=9").unwrap(),
                base: &Url::parse("https://api.example.com/v1").unwrap(),
                received: self.received,
                asked: self.asked,
                last: self.last.as_ref(),
                total: self.told.max(total(Some(paginate), rest)),
                order: self.order,
            };
            step(Some(paginate), &page)
        }
    }

    fn paginate(connector: &str) -> Paginate {
        Connector::embedded(connector).unwrap().definition.read.get("pages").unwrap().paginate.clone().unwrap()
    }

    fn steps(connector: &str, place: Place, body: &str, received: usize, asked: usize) -> Step {
        Sent { place, body, received, asked: Some(asked), ..Sent::default() }.step(&paginate(connector))
    }

    fn token(token: &str, before: &[&str]) -> Place {
        Place::Token { token: token.to_owned(), before: before.iter().map(|text| (*text).to_owned()).collect() }
    }

    fn path(text: &str) -> Path {
        text.parse().unwrap()
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
    fn a_total_that_changes_ends_nothing_early() {
        let telnyx = paginate("telnyx");
        let at = |number, body, told| Sent { place: Place::Page(number), body, told, ..Sent::default() }.step(&telnyx);
        assert_eq!(at(3, r#"{"meta":{"total_pages":4}}"#, Some(3)), Step::Next(Place::Page(4)));
        assert_eq!(at(3, r#"{"meta":{"total_pages":2}}"#, Some(5)), Step::Next(Place::Page(4)));
        assert_eq!(at(5, r#"{"meta":{"total_pages":2}}"#, Some(5)), Step::End);
        let voximplant = paginate("voximplant");
        let at = |offset, body, received, told| {
            Sent { place: Place::Offset(offset), body, received, told, ..Sent::default() }.step(&voximplant)
        };
        assert_eq!(at(9, r#"{"total_count":9}"#, 9, Some(30)), Step::Next(Place::Offset(18)));
        assert_eq!(at(18, r#"{"total_count":9}"#, 0, Some(30)), Step::End);
    }

    #[test]
    fn offsets_end_at_the_total_at_a_short_page_or_at_the_ceiling() {
        let next = |offset| Step::Next(Place::Offset(offset));
        assert_eq!(steps("voximplant", Place::Start, r#"{"total_count":1500}"#, 1000, 1000), next(1000));
        assert_eq!(steps("voximplant", Place::Offset(1000), r#"{"total_count":1500}"#, 500, 1000), Step::End);
        assert_eq!(steps("voximplant", Place::Offset(1000), r#"{"total_count":1500}"#, 200, 1000), next(1200));
        assert_eq!(steps("voximplant", Place::Offset(1000), "{}", 200, 1000), Step::End);
        assert_eq!(steps("voximplant", Place::Offset(9000), r#"{"total_count":99999}"#, 1000, 1000), Step::Ceiling);
        // How many were asked for is not known: only a page without records is the last.
        let offset = Paginate::Offset { ceiling: None, total: None };
        let unasked = |received| Sent { received, asked: None, ..Sent::default() }.step(&offset);
        assert_eq!((unasked(3), unasked(0)), (next(3), Step::End));
    }

    #[test]
    fn page_numbers_have_ceilings_too() {
        let numbers = Paginate::Page { first: 0, total: None, ceiling: Some(9) };
        let at = |number| Sent { place: Place::Page(number), ..Sent::default() }.step(&numbers);
        assert_eq!((at(8), at(9)), (Step::Next(Place::Page(9)), Step::Ceiling));
        let last = Sent { place: Place::Page(9), received: 0, ..Sent::default() };
        assert_eq!(last.step(&numbers), Step::End);
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
        // Behind an empty page the same cursor again says that nothing is there.
        let page = r#"{"nextCursor":"a"}"#;
        assert_eq!(steps("ashby", token("a", &[]), page, 0, 9), Step::End);
        assert_eq!(steps("ashby", token("b", &["a"]), page, 0, 9), Step::Circle);
    }

    #[test]
    fn addresses_are_followed_at_home_only() {
        let url = Paginate::Url { next: vec![path("paging.next")], more: Some(path("paging.more")) };
        let at = |body| Sent { body, ..Sent::default() }.step(&url);
        let next = Step::Next(token("https://api.example.com/v1/log?after=b", &[]));
        assert_eq!(at(r#"{"paging":{"next":"https://api.example.com/v1/log?after=b"}}"#), next);
        assert_eq!(at(r#"{"paging":{"next":"/v1/log?after=b","more":true}}"#), next);
        assert_eq!(at(r#"{"paging":{"next":"/v1/log?after=b","more":false}}"#), Step::End);
        assert_eq!(at(r#"{"paging":{"next":null}}"#), Step::End);
        let elsewhere = Step::Elsewhere("`evil.example.net`".to_owned());
        assert_eq!(at(r#"{"paging":{"next":"https://evil.example.net/v1/log?after=b"}}"#), elsewhere);

        let link = |place, link, received| Sent { place, link, received, ..Sent::default() }.step(&Paginate::Link {});
        let header = "<https://api.example.com/v1/log?after=b>; rel=\"next\"";
        assert_eq!(link(Place::Start, header, 9), next);
        assert_eq!(link(Place::Start, "", 9), Step::End);
        assert_eq!(link(Place::Start, header, 0), next);
        let again = || token("https://api.example.com/v1/log?after=b", &[]);
        assert_eq!((link(again(), header, 9), link(again(), header, 0)), (Step::Circle, Step::End));
        assert_eq!(link(Place::Start, "<https://evil.example.net/>; rel=next", 9), elsewhere);
    }

    fn after(id: &str, second: i64, before: &[&str]) -> Place {
        let before = before.iter().map(|text| (*text).to_owned()).collect();
        Place::After { id: id.to_owned(), time: DateTime::from_timestamp(second, 0), before }
    }

    fn last(id: &str, second: i64) -> Option<Last> {
        Some(Last { id: Some(id.to_owned()), time: DateTime::from_timestamp(second, 0) })
    }

    #[test]
    fn a_keyset_goes_on_behind_the_last_record() {
        let keyset = Paginate::Keyset { id: path("id"), time: Some(path("at")) };
        let at = |place, last, received| Sent { place, last, received, ..Sent::default() }.step(&keyset);
        assert_eq!(at(Place::Start, last("b", 5), 9), Step::Next(after("b", 5, &[])));
        // Records of one instant at the page's edge: the id tells them apart.
        assert_eq!(at(after("b", 5, &[]), last("c", 5), 9), Step::Next(after("c", 5, &["b"])));
        assert_eq!(at(after("b", 5, &[]), last("c", 6), 8), Step::End);
        assert_eq!(at(after("b", 5, &[]), None, 0), Step::End);
        assert_eq!(at(Place::Start, Some(Last::default()), 9), Step::Nameless);
        // How many were asked for is not known: a page of any length is followed.
        let unasked = Sent { last: last("b", 5), received: 1, asked: None, ..Sent::default() };
        assert_eq!(unasked.step(&keyset), Step::Next(after("b", 5, &[])));
    }

    #[test]
    fn a_keyset_that_does_not_move_is_a_circle() {
        let keyset = Paginate::Keyset { id: path("id"), time: Some(path("at")) };
        let at = |place, last, order| Sent { place, last, order, ..Sent::default() }.step(&keyset);
        assert_eq!(at(after("b", 5, &[]), last("b", 5), Order::Ascending), Step::Circle);
        assert_eq!(at(after("c", 5, &["b"]), last("b", 5), Order::Ascending), Step::Circle);
        assert_eq!(at(after("c", 5, &["b"]), last("d", 4), Order::Ascending), Step::Circle);
        assert_eq!(at(after("c", 5, &["b"]), last("d", 6), Order::NewestFirst), Step::Circle);
        assert_eq!(at(after("c", 5, &["b"]), last("d", 4), Order::NewestFirst), Step::Next(after("d", 4, &["b", "c"])));
    }
}
