//! A vendor without a network, and a reader that is a source without one: the same windows, bounds, steps and turns.

use std::collections::BTreeSet;

use chrono::{DateTime, Duration, Utc};
use reqwest::header::HeaderMap;
use url::Url;

use crate::connector::model::{Bounds, Order, Paginate, WindowRules};
use crate::event::{Arena, json};
use crate::source::Rules;
use crate::source::boundary::{Boundary, Span};
use crate::source::cursor::{Cursor, Place, Window};
use crate::source::paginate::{self, Last, Outline};
use crate::source::walk::{MOST_RESETS, Turn, turn};

/// Microseconds since the model's beginning.
pub type Micros = i64;
pub const SECOND: Micros = 1_000_000;

pub fn instant(micros: Micros) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(1_700_000_000 * SECOND + micros).unwrap()
}

fn micros(time: DateTime<Utc>) -> Micros {
    time.timestamp_micros() - 1_700_000_000 * SECOND
}

/// A record of the vendor's, by the vendor's clock.
#[derive(Clone, Copy, Debug)]
pub struct Record {
    pub id: u64,
    pub time: Micros,
    /// No answer has it before.
    pub visible_at: Micros,
}

/// How the vendor does things.
#[derive(Clone, Debug)]
pub struct Vendor {
    pub records: Vec<Record>,
    /// What it takes its bounds for.
    pub bounds: Bounds,
    /// How coarse its clock is: times are cut to this, where they are shown and where they are compared.
    pub tick: Micros,
    pub order: Order,
    pub paginate: Paginate,
    pub page_size: usize,
    /// The last page has a cursor too, which leads to an empty one.
    pub cursor_on_last_page: bool,
    /// How long a cursor is good.
    pub lifetime: Option<Micros>,
    /// It refuses to be asked for more at once.
    pub longest: Option<Micros>,
    /// Its clock minus ours.
    pub skew: Micros,
}

/// One page, or why there is none.
enum Answer {
    Page { records: Vec<Record>, body: String },
    CursorRefused,
    TooLong,
}

impl Vendor {
    pub fn shown(&self, record: Record) -> Micros {
        record.time - record.time.rem_euclid(self.tick)
    }

    /// What it has to say at `now`, by its own clock.
    fn answer(&self, asked: Span, place: &Place, now: Micros) -> Answer {
        let (low, high) = (micros(asked.from), micros(asked.until));
        if self.longest.is_some_and(|longest| high - low > longest) {
            return Answer::TooLong;
        }
        let lies_within = |time: Micros| match self.bounds {
            Bounds::Inclusive => low <= time && time <= high,
            Bounds::HalfOpen => low <= time && time < high,
            Bounds::Exclusive | Bounds::Unknown => low < time && time < high,
        };
        let mut all: Vec<Record> = self.records.iter().copied().filter(|record| record.visible_at <= now).collect();
        all.retain(|record| lies_within(self.shown(*record)));
        all.sort_by_key(|record| (self.shown(*record), record.id));
        if self.order == Order::NewestFirst {
            all.reverse();
        }
        let is_behind = |record: &Record, time: Micros, id: u64| match self.order {
            Order::Ascending => (self.shown(*record), record.id) > (time, id),
            Order::NewestFirst => (self.shown(*record), record.id) < (time, id),
        };
        let begin = match place {
            Place::Page(number) => (*number as usize - 1) * self.page_size,
            Place::Offset(offset) => *offset as usize,
            Place::After { id, time, .. } => {
                let (id, time) = (id.parse().unwrap(), micros(time.unwrap()));
                all.iter().position(|record| is_behind(record, time, id)).unwrap_or(all.len())
            }
            Place::Token { token, .. } => {
                let parts: Vec<i64> = token.split(' ').map(|part| part.parse().unwrap()).collect();
                let (time, id, issued) = (parts[0], parts[1] as u64, parts[2]);
                if self.lifetime.is_some_and(|lifetime| now - issued > lifetime) {
                    return Answer::CursorRefused;
                }
                all.iter().position(|record| is_behind(record, time, id)).unwrap_or(all.len())
            }
            _ => 0,
        };
        let records: Vec<Record> = all.iter().skip(begin).take(self.page_size).copied().collect();
        let has_more = begin + records.len() < all.len() || self.cursor_on_last_page;
        let next =
            records.last().filter(|_| has_more).map(|last| format!("\"{} {} {now}\"", self.shown(*last), last.id));
        let total = match self.paginate {
            Paginate::Page { .. } => all.len().div_ceil(self.page_size),
            _ => all.len(),
        };
        let body = format!(r#"{{"total":{total},"next":{}}}"#, next.unwrap_or_else(|| "null".to_owned()));
        Answer::Page { records, body }
    }
}

/// What a source does, with what it has made durable.
pub struct Reader<'a> {
    pub vendor: &'a Vendor,
    pub rules: Rules,
    boundary: Boundary,
    /// Ours.
    pub now: Micros,
    /// What would be found after a crash.
    pub durable: Cursor,
    cursor: Cursor,
    pub got: BTreeSet<u64>,
    pub handed_out: usize,
    pub requests: usize,
    /// The vendor's clock is behind ours by this much, as far as we know.
    behind: Micros,
}

/// What happens after a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    Nothing,
    /// The program ends after the page was made durable.
    RestartAfter,
    /// The program ends before it was.
    RestartBefore,
}

impl<'a> Reader<'a> {
    pub fn new(vendor: &'a Vendor, rules: Rules, window: &WindowRules) -> Self {
        let cursor = Cursor::at(instant(0));
        Self {
            vendor,
            rules,
            boundary: Boundary::of(window),
            now: 0,
            durable: cursor.clone(),
            cursor,
            got: BTreeSet::new(),
            handed_out: 0,
            requests: 0,
            behind: 0,
        }
    }

    fn our_now(&self) -> DateTime<Utc> {
        instant(self.now - self.behind)
    }

    /// Reads once, each request taking `latency`; `false` when there was nothing to read.
    pub fn read(&mut self, latency: Micros, event: Event) -> bool {
        let mut cursor = self.cursor.clone();
        if cursor.window.is_none() {
            let now = self.our_now();
            let Some(span) = cursor.next_span(&self.rules, now) else { return false };
            cursor = cursor.open(span, "pages", now);
        }
        let (next, ids) = self.walk(cursor, latency);
        if event != Event::RestartBefore {
            self.handed_out += ids.len();
            self.got.extend(ids);
            self.durable = next.durable();
        }
        self.cursor = match event {
            Event::Nothing => next,
            _ => {
                self.behind = 0;
                let written = serde_json::to_string(&self.durable).unwrap();
                serde_json::from_str(&written).unwrap()
            }
        };
        self.check_watermark();
        true
    }

    /// As `Source::read_pages`.
    fn walk(&mut self, mut cursor: Cursor, latency: Micros) -> (Cursor, Vec<u64>) {
        let mut held = Vec::new();
        let begun = cursor.clone();
        loop {
            let window = cursor.window.as_mut().unwrap();
            self.requests += 1;
            assert!(self.requests < 200_000, "no end: {window:?}");
            self.now += latency;
            let answer =
                self.vendor.answer(self.boundary.asked(window.span()), &window.place, self.now + self.vendor.skew);
            self.behind = (-self.vendor.skew).max(0);
            window.asked_at = window.asked_at.min(self.our_now());
            let (records, body) = match answer {
                Answer::Page { records, body } => (records, body),
                Answer::CursorRefused => {
                    let next = begun.begin_again(MOST_RESETS).or_else(|| begun.halve());
                    return (next.expect("a second is never too long"), Vec::new());
                }
                Answer::TooLong => return (begun.halve().expect("a second is never too long"), Vec::new()),
            };
            let step = self.step(window, &records, &body);
            if self.vendor.order == Order::Ascending {
                window.note_order(records.iter().map(|record| Some(instant(self.vendor.shown(*record)))));
            }
            held.extend(records.iter().map(|record| record.id));
            match turn(&cursor, step, self.vendor.order, held.len(), 0) {
                Turn::Read(next) => cursor = next,
                Turn::HandOut(next) => return (next, held),
                Turn::Drop(next) => return (next, Vec::new()),
                Turn::Finish(last) => return (last.finish(&self.rules), held),
                stuck => panic!("{stuck:?} at {cursor:?}"),
            }
        }
    }

    fn step(&self, window: &mut Window, records: &[Record], body: &str) -> paginate::Step {
        let arena = Arena::new();
        let rest = json::decode(body.as_bytes(), &arena).unwrap();
        let paginate = Some(&self.vendor.paginate);
        let url = Url::parse("https://api.example.com/").unwrap();
        let told = paginate::total(paginate, rest);
        window.note_page(records.len(), Some(self.vendor.page_size), told);
        let last = records
            .last()
            .map(|last| Last { id: Some(last.id.to_string()), time: Some(instant(self.vendor.shown(*last))) });
        let outline = Outline {
            place: &window.place,
            rest,
            headers: &HeaderMap::new(),
            address: &url,
            base: &url,
            received: records.len(),
            asked: Some(self.vendor.page_size),
            last: last.as_ref(),
            total: window.pages.total,
            order: self.vendor.order,
        };
        paginate::step(paginate, &outline)
    }

    /// What was published within the lag and lies before the watermark was read.
    fn check_watermark(&self) {
        for record in &self.vendor.records {
            let time = self.vendor.shown(*record);
            let in_time = record.visible_at <= time + micros_of(self.rules.lag);
            let is_passed = instant(time) < self.durable.complete_up_to && time >= 0;
            assert!(!in_time || !is_passed || self.got.contains(&record.id), "{record:?} before {:?}", self.durable);
        }
    }

    /// What became visible before it was older than lag and overlap was read, and all of it is settled.
    pub fn check_complete(&self, last: Micros) {
        assert!(self.durable.settled > instant(last), "{:?} is not settled: {:?}", instant(last), self.durable);
        for record in &self.vendor.records {
            let time = self.vendor.shown(*record);
            let patience = micros_of(self.rules.lag) + micros_of(self.rules.overlap);
            let in_time = record.visible_at <= time + patience;
            assert!(!in_time || self.got.contains(&record.id), "{record:?} is missing: {:?}", self.durable);
        }
    }
}

pub fn micros_of(span: Duration) -> Micros {
    span.num_microseconds().unwrap()
}
