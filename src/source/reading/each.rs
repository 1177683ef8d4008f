//! Fan-out: the parents whose logs are read one after the other, listed at the beginning of each window.

use std::collections::BTreeSet;

use reqwest::header::HeaderMap;
use url::Url;

use super::{Source, page};
use crate::connector::model::{Each, Order, Paginate};
use crate::event::{Arena, Value, json};
use crate::source::cursor::{Cursor, Parents, Place};
use crate::source::paginate::{self, Last, Outline, Step};
use crate::source::upstream::Refusal;
use crate::source::verdict::Answer;
use crate::source::walk::{MOST_EMPTY, MOST_RESETS, Turn, next_log};
use crate::source::{Page, Priority, Progress};
use crate::transform::redact;

/// More parents than this are not read in one pipeline: they are kept in the cursor, which goes to the journal with every
/// page.
const MOST_PARENTS: usize = 10_000;
const TOO_MANY: &str = "lists more than 10000 things to read the log of, which is more than one pipeline reads";

/// One page of the list of parents.
struct Listed {
    ids: Vec<String>,
    step: Step,
}

impl Source {
    /// Reads the list of parents, whole: a part of it would not survive a restart.
    pub(super) async fn list_parents<T>(
        &self,
        cursor: &Cursor,
        each: &Each,
        priority: Priority,
    ) -> Result<Page<T>, Refusal> {
        let mut next = cursor.clone();
        let window = next.window.as_mut().expect("the caller opened it");
        let (mut left, mut known, mut empty) = (Vec::new(), BTreeSet::new(), 0);
        let mut place = Place::Start;
        loop {
            let request = self.parents_request(each, window, &place)?;
            let answer = self.upstream.call(&request, priority).await?;
            window.asked_at = window.asked_at.min(self.upstream.now());
            let listed = self.decode_parents(&answer, &request.url, each, &place)?;
            empty = if listed.ids.is_empty() { empty + 1 } else { 0 };
            left.extend(listed.ids.into_iter().filter(|id| known.insert(id.clone())));
            if left.len() > MOST_PARENTS {
                return Err(self.mistake(TOO_MANY, "narrow what is listed, or divide it among several pipelines"));
            }
            place = match listed.step {
                Step::Next(_) if empty > MOST_EMPTY => return Err(self.stuck("gives empty pages without end")),
                Step::Next(place) => place,
                Step::End => break,
                Step::Ceiling => return Err(self.stuck("lets us no further into the list of what to read the log of")),
                Step::Circle => return Err(self.stuck("repeats its cursor, so that its pages have no end")),
                Step::Nameless => return Err(self.without_id(each)),
                Step::Elsewhere(where_to) => return Err(self.elsewhere(&where_to)),
            };
        }
        let is_without = left.is_empty();
        window.parents = Some(Parents { left, ..Parents::default() });
        let (next, progress) = if is_without { self.finished(&next) } else { (next, Progress::More) };
        Ok(page::without_records(next, progress))
    }

    /// Goes on without the parent that was being read: it is gone. When none of them is there, something else is wrong.
    pub(super) fn without_parent(&self, cursor: &Cursor, refusal: Refusal) -> Result<(Cursor, Progress), Refusal> {
        let parents = cursor.window.as_ref().and_then(|window| window.parents.as_ref());
        if let Some(Parents { left, read: 0, .. }) = parents
            && left.len() == 1
        {
            // The list may be out of date: it is read again before a person is told.
            let mut again = cursor.begin_again(MOST_RESETS).ok_or(refusal)?;
            again.window.as_mut().expect("it was there before").parents = None;
            return Ok((again, Progress::More));
        }
        self.tell_of_gone(parents.and_then(|parents| parents.left.first()));
        Ok(match next_log(cursor, true) {
            Turn::Finish(last) => self.finished(&last),
            Turn::HandOut(next) | Turn::Read(next) | Turn::Drop(next) => (next, Progress::More),
            Turn::Stuck(_) | Turn::Elsewhere(_) => return Err(refusal),
        })
    }

    fn tell_of_gone(&self, id: Option<&String>) {
        let mut gone = self.gone.lock().expect("no panic while the lock is held");
        if let Some(id) = id.filter(|id| gone.len() < MOST_PARENTS && gone.insert((*id).clone())) {
            let vendor = &self.definition().connector.vendor;
            // Some logs are those of people.
            let id = redact::masked(id);
            tracing::warn!(vendor, id, "what was listed is gone: its log is left out");
        }
    }

    fn decode_parents(&self, answer: &Answer, address: &Url, each: &Each, place: &Place) -> Result<Listed, Refusal> {
        let arena = Arena::new();
        let text = String::from_utf8_lossy(&answer.body);
        let body = json::decode(text.as_bytes(), &arena)
            .map_err(|error| self.stuck(&format!("answered with something that is {error}")))?;
        let list = each.records.as_ref().map_or(Some(body), |path| path.find(body)).and_then(|list| list.as_array());
        let Some(list) = list else {
            let name = each.records.as_ref().map_or_else(String::new, |path| format!(" `{path}`"));
            return Err(self.stuck(&format!("answered without the list{name} of what to read the log of")));
        };
        let ids = list.iter().map(|parent| id_of(*parent, each).ok_or_else(|| self.without_id(each)));
        let ids = ids.collect::<Result<Vec<_>, _>>()?;
        let step = self.next_of_parents(each, place, (body, &answer.headers, address), list);
        Ok(Listed { ids, step })
    }

    fn next_of_parents(
        &self,
        each: &Each,
        place: &Place,
        (body, headers, address): (Value<'_>, &HeaderMap, &Url),
        list: &[Value<'_>],
    ) -> Step {
        let last = match &each.paginate {
            Some(Paginate::Keyset { id, time }) => list.last().map(|parent| Last::of(*parent, id, time.as_ref())),
            _ => None,
        };
        let outline = Outline {
            place,
            rest: body,
            headers,
            address,
            base: &self.settings().base_url,
            received: list.len(),
            asked: None,
            last: last.as_ref(),
            total: paginate::total(each.paginate.as_ref(), body),
            order: Order::Ascending,
        };
        paginate::step(each.paginate.as_ref(), &outline)
    }

    /// To leave a parent out because it says nothing of itself would lose its log.
    fn without_id(&self, each: &Each) -> Refusal {
        self.stuck(&format!("lists something to read the log of that has no `{}`", each.id))
    }
}

/// The id by which a parent is asked for. One that is dots would lead to another path.
fn id_of(parent: Value<'_>, each: &Each) -> Option<String> {
    match each.id.find(parent)? {
        Value::String(text) | Value::Number(text) if !text.is_empty() && text != "." && text != ".." => {
            Some(text.to_owned())
        }
        _ => None,
    }
}
