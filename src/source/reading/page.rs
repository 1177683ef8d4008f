//! From an answer to a page: its records refined and put into order, and the step to the next one.

use std::sync::atomic::Ordering;

use chrono::{DateTime, Utc};
use url::Url;

use super::{Refine, Source};
use crate::connector::model::{Format, Paginate, Read};
use crate::event::json::{self, JsonError};
use crate::event::{Arena, Value, mend};
use crate::source::cursor::{Cursor, Window};
use crate::source::decode::{self, Found, Raw};
use crate::source::paginate::{self, Last, Outline, Step};
use crate::source::upstream::Refusal;
use crate::source::verdict::Answer;
use crate::source::{Page, Progress};

/// A refined record and the time it is ordered by.
pub(super) type Held<T> = (DateTime<Utc>, T);

/// One answer, taken apart.
pub(super) struct Decoded<T> {
    /// Its records, in the vendor's order.
    pub items: Vec<Held<T>>,
    /// When its records happened, those that our own reading made among them; nothing where one does not say.
    pub times: Vec<Option<DateTime<Utc>>>,
    /// Where the records are only listed: each as it stands there, to be fetched by itself.
    pub listed: Vec<String>,
    pub own_reads: u64,
    /// How many records it has, ours included.
    pub received: usize,
    /// The total it tells.
    pub total: Option<u64>,
    pub step: Step,
}

impl<T> Decoded<T> {
    pub fn new() -> Self {
        Self {
            items: Vec::new(),
            times: Vec::new(),
            listed: Vec::new(),
            own_reads: 0,
            received: 0,
            total: None,
            step: Step::End,
        }
    }
}

/// Why an answer is no page.
enum Undecoded {
    Json(JsonError),
    NoList,
}

/// A page that leads on and holds nothing.
pub(super) fn without_records<T>(next: Cursor, progress: Progress) -> Page<T> {
    Page { items: Vec::new(), next, progress, own_reads: 0 }
}

/// Puts the records into order: oldest first, whatever the vendor's.
pub(super) fn in_order<T>(mut held: Vec<Held<T>>, next: Cursor, progress: Progress, own_reads: u64) -> Page<T> {
    if held.first().zip(held.last()).is_some_and(|(first, last)| first.0 > last.0) {
        held.reverse();
    }
    held.sort_by_key(|(time, _)| *time);
    Page { items: held.into_iter().map(|(_, item)| item).collect(), next, progress, own_reads }
}

impl Source {
    /// Takes the answer to a request of `address` apart.
    pub(super) fn decode_page<T>(
        &self,
        answer: &Answer,
        address: &Url,
        window: &Window,
        refine: Refine<'_, T>,
    ) -> Result<Decoded<T>, Refusal> {
        let decoded = match self.decode_text(&answer.body, (answer, address), window, refine) {
            // One bad record, or one nested too deep, is no reason to stay before a page for ever. Lines are mended each
            // by itself: what breaks one must not reach into the next.
            Err(Undecoded::Json(_)) if self.definition().decode.format == Format::Json => {
                self.decode_text(&mend(&answer.body), (answer, address), window, refine)
            }
            decoded => decoded,
        };
        decoded.map_err(|error| match error {
            Undecoded::Json(error) => self.stuck(&decode::no_page(&answer.body, &error)),
            Undecoded::NoList => self.stuck(&decode::no_list(&self.definition().decode)),
        })
    }

    fn decode_text<T>(
        &self,
        text: &[u8],
        (answer, address): (&Answer, &Url),
        window: &Window,
        refine: Refine<'_, T>,
    ) -> Result<Decoded<T>, Undecoded> {
        let arena = Arena::new();
        let read = self.way(&window.read);
        let mut decoded = Decoded::new();
        let mut last = None;
        let mut each = |found: Found<'_>, arena: &Arena| {
            let record = match found {
                Found::Value(record) => record,
                Found::Unreadable { text, reason } => {
                    decoded.times.push(None);
                    decoded.items.push((window.until, refine(Raw::Unreadable { text, reason }, arena)));
                    return;
                }
            };
            if let Some(Paginate::Keyset { id, time }) = &read.paginate {
                // Nothing comes behind one without an id: it stands at the beginning of the next page once more.
                last = Some(Last::of(record, id, time.as_ref())).filter(|last| last.id.is_some()).or(last.take());
            }
            // A page of nothing but our own entries leads on, too.
            decoded.times.push(decode::time_of(record, &self.definition().decode));
            self.take_record(record, read, window, refine, arena, &mut decoded);
        };
        let page = decode::page(text, &self.definition().decode, &arena, &mut each).map_err(Undecoded::Json)?;
        decoded.received = page.items.ok_or(Undecoded::NoList)?;
        decoded.total = paginate::total(read.paginate.as_ref(), page.rest);
        let outline = Outline {
            place: &window.place,
            rest: page.rest,
            headers: &answer.headers,
            address,
            base: &self.settings().base_url,
            received: decoded.received,
            asked: self.page_size_of(read, window),
            last: last.as_ref(),
            total: decoded.total.max(window.pages.total),
            order: read.order,
        };
        decoded.step = paginate::step(read.paginate.as_ref(), &outline);
        Ok(decoded)
    }

    fn take_record<T>(
        &self,
        record: Value<'_>,
        read: &Read,
        window: &Window,
        refine: Refine<'_, T>,
        arena: &Arena,
        decoded: &mut Decoded<T>,
    ) {
        match read.detail {
            Some(_) if !self.is_own(record) => decoded.listed.push(json::to_string(&record)),
            _ => self.decode_record(record, window, refine, arena, decoded),
        }
    }

    /// Decodes a record and refines it, unless our own reading made it.
    pub(super) fn decode_record<'a, T>(
        &self,
        record: Value<'a>,
        window: &Window,
        refine: Refine<'_, T>,
        arena: &'a Arena,
        decoded: &mut Decoded<T>,
    ) {
        if self.is_own(record) {
            decoded.own_reads += 1;
            return;
        }
        let raw = decode::record(record, &self.definition().decode, window.until, arena);
        let time = match &raw {
            Raw::Event(event) => event.time,
            Raw::Unreadable { .. } => window.until,
        };
        decoded.items.push((time, refine(raw, arena)));
    }

    fn is_own(&self, record: Value<'_>) -> bool {
        let own = self.definition().decode.own_reads.as_ref();
        own.is_some_and(|own| decode::is_own_read(record, own, self.upstream.user_agent()))
    }

    /// Tells a person, once, of a vendor that hands out what was not asked for: its parameters may have other names, and
    /// every window would be the whole log.
    pub(super) fn watch_for_strangers<T>(&self, items: &[Held<T>], window: &Window) {
        let asked = self.boundary.asked(window.span());
        let is_stranger = |time: DateTime<Utc>| !asked.holds(time) && time != asked.until;
        let all_are = !items.is_empty() && items.iter().all(|(time, _)| is_stranger(*time));
        if all_are && !self.told_of_strangers.swap(true, Ordering::Relaxed) {
            let vendor = &self.definition().connector.vendor;
            tracing::warn!(vendor, "the vendor hands out a page of records outside the time that was asked for");
        }
    }
}
