//! The walk through a window: one read at a time, from a cursor to a page and the next cursor.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value as Json;

use super::budget::{Budget, Priority};
use super::cursor::{Cursor, Place, Window};
use super::decode::{self, Raw};
use super::paginate::{self, Step};
use super::request::prepare;
use super::settings::{Mode, Settings};
use super::upstream::{Refusal, Upstream};
use super::verdict::Answer;
use super::{Page, Progress, SourceError};
use crate::connector::model::{Definition, Job, Order, Paginate, Read, Request, Then};
use crate::event::json::{self, JsonError};
use crate::event::{Arena, Value};

/// A window that comes newest first is read whole before any of it goes on. Beyond this many records it is halved, so
/// that memory stays bounded.
const MOST_HELD: usize = 10_000;
/// How often a walk may begin again, or a job be ordered again, before a person is told.
const MOST_RESETS: u32 = 3;

/// Reads one vendor's log. Holds no position: reading the same cursor twice is harmless.
#[derive(Debug)]
pub struct Source {
    upstream: Upstream,
    /// Which of the page sizes the vendor takes.
    page_size: AtomicUsize,
}

/// Turns a record into what the caller keeps, while the page's arena lives.
pub type Refine<'r, T> = &'r (dyn for<'a> Fn(Raw<'a>, &'a Arena) -> T + Sync);

/// A refined record and the time it is ordered by.
type Held<T> = (DateTime<Utc>, T);

/// Why an answer is no page.
enum Undecoded {
    Json(JsonError),
    NoList,
}

/// One answer, taken apart.
struct Decoded<T> {
    items: Vec<Held<T>>,
    /// When its records happened, in the vendor's order and with those that our own reading made.
    times: Vec<DateTime<Utc>>,
    own_reads: u64,
    step: Step,
}

impl Source {
    /// A source that asks within `budget`, naming itself `user_agent`.
    ///
    /// # Errors
    /// When the settings cannot work: no credential is complete.
    pub fn new(settings: Settings, budget: Arc<Budget>, user_agent: &str) -> Result<Self, SourceError> {
        Ok(Self { upstream: Upstream::new(settings, budget, user_agent)?, page_size: AtomicUsize::new(0) })
    }

    /// What this source was told.
    pub fn settings(&self) -> &Settings {
        self.upstream.settings()
    }

    /// The cursor of a source that has not read anything.
    #[must_use]
    pub fn start(&self) -> Cursor {
        Cursor::at(self.settings().start)
    }

    /// The newest instant that may be read now.
    #[must_use]
    pub fn horizon(&self) -> DateTime<Utc> {
        self.upstream.now() - self.settings().rules.lag
    }

    /// Asks for one record of the last minutes, to see that the vendor takes our credential.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub async fn check(&self) -> Result<(), SourceError> {
        let until = self.horizon();
        let cursor = Cursor::at(until - TimeDelta::minutes(5));
        let window = self.open(cursor.complete_up_to, until);
        let (_, read) = self.pages();
        let request = self.prepared(&read.request, &window, &[]);
        self.upstream.call(&request, Priority::Live).await.map(drop).map_err(|refusal| self.failure(refusal))
    }

    /// Reads the page `cursor` stands at, when the budget lets that priority. Every record of it goes through `refine`, and the results come oldest first.
    ///
    /// # Errors
    /// When the page could not be read. Nothing was skipped: the same cursor leads there again.
    pub async fn read<T: Send>(
        &self,
        cursor: &Cursor,
        priority: Priority,
        refine: Refine<'_, T>,
    ) -> Result<Page<T>, SourceError> {
        let Some(cursor) = self.with_window(cursor) else {
            return Ok(Page { items: Vec::new(), next: cursor.clone(), progress: Progress::CaughtUp, own_reads: 0 });
        };
        let window = cursor.window.as_ref().expect("a window was just opened");
        let read = self.way(&window.read);
        let outcome = match &read.job {
            Some(job) => self.read_job(&cursor, (read, job), priority, refine).await,
            None => self.read_pages(&cursor, read, priority, refine).await,
        };
        match outcome {
            Ok(page) => Ok(page),
            Err(refusal) => self.recover(&cursor, refusal).map(|(next, progress)| Page {
                items: Vec::new(),
                next,
                progress,
                own_reads: 0,
            }),
        }
    }

    fn definition(&self) -> &Definition {
        &self.settings().connector.definition
    }

    /// The cursor with the window it is in, or with the next one; `None` when everything was read.
    fn with_window(&self, cursor: &Cursor) -> Option<Cursor> {
        if cursor.window.is_some() {
            return Some(cursor.clone());
        }
        let (from, until) = cursor.next_span(&self.settings().rules, self.upstream.now())?;
        Some(Cursor { window: Some(self.open(from, until)), ..cursor.clone() })
    }

    fn open(&self, from: DateTime<Utc>, until: DateTime<Utc>) -> Window {
        let asked_at = self.upstream.now();
        let read = self.choose(asked_at - from).to_owned();
        let (place, read_up_to, resets, page_size) = (Place::Start, None, 0, None);
        Window { from, until, asked_at, read, place, read_up_to, resets, page_size }
    }

    /// The way to read a window that begins so long ago.
    fn choose(&self, age: TimeDelta) -> &str {
        if let Mode::Named(name) = &self.settings().mode {
            return name;
        }
        let beyond = |read: &Read| read.beyond.is_some_and(|beyond| age.to_std().is_ok_and(|age| age > beyond.0));
        let far = self.definition().read.iter().find(|(_, read)| beyond(read));
        far.map_or_else(|| self.pages().0, |(name, _)| name.value.as_str())
    }

    /// The way that needs no job.
    fn pages(&self) -> (&str, &Read) {
        let reads = &self.definition().read;
        let (name, read) = reads
            .iter()
            .find(|(_, read)| read.job.is_none())
            .or_else(|| reads.first_key_value())
            .expect("a connector has at least one way to read");
        (&name.value, read)
    }

    fn way(&self, name: &str) -> &Read {
        // A cursor may name a way that the connector no longer has.
        self.definition().read.get(name).unwrap_or_else(|| self.pages().1)
    }

    async fn read_pages<T: Send>(
        &self,
        cursor: &Cursor,
        read: &Read,
        priority: Priority,
        refine: Refine<'_, T>,
    ) -> Result<Page<T>, Refusal> {
        let mut cursor = cursor.clone();
        let mut held: Vec<Held<T>> = Vec::new();
        let mut own_reads = 0;
        loop {
            let window = cursor.window.as_mut().expect("the caller opened it");
            let asked = self.page_size_of(read);
            window.count_pages_of(asked, first_page(read));
            let request = self.prepared(&read.request, window, &place_variables(read, &window.place, asked));
            let answer = self.upstream.call(&request, priority).await?;
            window.asked_at = window.asked_at.min(self.upstream.now());
            let mut decoded = self.decode_page(&answer, window, asked, refine)?;
            own_reads += decoded.own_reads;
            let step = decoded.step;
            if read.order == Order::Ascending {
                window.note_order(decoded.times.iter().copied());
            }
            held.append(&mut decoded.items);
            match step {
                Step::Next(place) if read.order == Order::Ascending => {
                    window.place = place;
                    return Ok(self.page(held, cursor, Progress::More, own_reads));
                }
                Step::Next(place) if held.len() <= MOST_HELD => window.place = place,
                Step::Next(place) => match cursor.halve() {
                    Some(half) => return Ok(self.page(Vec::new(), half, Progress::More, 0)),
                    // A single second with so many records: they go on in the vendor's order.
                    None => {
                        cursor.window.as_mut().expect("the caller opened it").place = place;
                        return Ok(self.page(held, cursor, Progress::More, own_reads));
                    }
                },
                Step::End => {
                    let (next, progress) = self.finished(&cursor);
                    return Ok(self.page(held, next, progress, own_reads));
                }
                Step::Ceiling => {
                    let next = cursor.halve().ok_or_else(|| self.stuck("lets us no further into a single second"))?;
                    return Ok(self.page(held, next, Progress::More, own_reads));
                }
                Step::Circle => {
                    let what = "gives the same cursor again and again, so that its pages have no end";
                    let next = cursor.begin_again(MOST_RESETS).ok_or_else(|| self.stuck(what))?;
                    return Ok(self.page(held, next, Progress::More, own_reads));
                }
            }
        }
    }

    /// The cursor after a window's last page, and whether that window reached as far as there was to read.
    fn finished(&self, cursor: &Cursor) -> (Cursor, Progress) {
        let rules = &self.settings().rules;
        let next = cursor.finish(rules);
        let asked_at = cursor.window.as_ref().map_or_else(|| self.upstream.now(), |window| window.asked_at);
        let progress = if next.next_span(rules, asked_at).is_some() { Progress::More } else { Progress::CaughtUp };
        (next, progress)
    }

    /// Puts the records into order: oldest first, whatever the vendor's.
    fn page<T>(&self, mut held: Vec<Held<T>>, next: Cursor, progress: Progress, own_reads: u64) -> Page<T> {
        if held.first().zip(held.last()).is_some_and(|(first, last)| first.0 > last.0) {
            held.reverse();
        }
        held.sort_by_key(|(time, _)| *time);
        Page { items: held.into_iter().map(|(_, item)| item).collect(), next, progress, own_reads }
    }

    fn decode_page<T>(
        &self,
        answer: &Answer,
        window: &Window,
        asked: usize,
        refine: Refine<'_, T>,
    ) -> Result<Decoded<T>, Refusal> {
        let decoded = match self.decode_text(&answer.body, window, asked, refine) {
            // What is nested too deep is kept as a text: no reason to stay before a page for ever.
            Err(Undecoded::Json(JsonError::TooDeep { .. })) => {
                self.decode_text(&json::flatten(&answer.body), window, asked, refine)
            }
            decoded => decoded,
        };
        decoded.map_err(|error| match error {
            Undecoded::Json(error) => self.stuck(&format!("answered with something that is {error}")),
            Undecoded::NoList => {
                self.stuck(&format!("answered without the list `{}`", self.definition().decode.records))
            }
        })
    }

    fn decode_text<T>(
        &self,
        text: &[u8],
        window: &Window,
        asked: usize,
        refine: Refine<'_, T>,
    ) -> Result<Decoded<T>, Undecoded> {
        let arena = Arena::new();
        let mut decoded = Decoded { items: Vec::new(), times: Vec::new(), own_reads: 0, step: Step::End };
        let mut each = |record: Value<'_>, arena: &Arena| {
            self.decode_record(record, window, refine, arena, &mut decoded);
        };
        let page = decode::page(text, &self.definition().decode, &arena, &mut each).map_err(Undecoded::Json)?;
        let received = page.items.ok_or(Undecoded::NoList)?;
        let paginate = self.way(&window.read).paginate.as_ref();
        decoded.step = paginate::step(paginate, &window.place, page.rest, received, asked);
        Ok(decoded)
    }

    fn decode_record<'a, T>(
        &self,
        record: Value<'a>,
        window: &Window,
        refine: Refine<'_, T>,
        arena: &'a Arena,
        decoded: &mut Decoded<T>,
    ) {
        let rules = &self.definition().decode;
        if rules.own_reads.as_ref().is_some_and(|own| decode::is_own_read(record, own, self.upstream.user_agent())) {
            decoded.own_reads += 1;
            decoded.times.push(decode::time_of(record, rules).unwrap_or(window.until));
            return;
        }
        let raw = decode::record(record, rules, window.until, arena);
        let time = match &raw {
            Raw::Event(event) => event.time,
            Raw::Unreadable { .. } => window.until,
        };
        decoded.times.push(time);
        decoded.items.push((time, refine(raw, arena)));
    }

    async fn read_job<T: Send>(
        &self,
        cursor: &Cursor,
        (read, job): (&Read, &Job),
        priority: Priority,
        refine: Refine<'_, T>,
    ) -> Result<Page<T>, Refusal> {
        let mut cursor = cursor.clone();
        let window = cursor.window.as_mut().expect("the caller opened it");
        let Place::Job { id, ordered_at, attempts } = window.place.clone() else {
            let answer = self.upstream.call(&self.prepared(&read.request, window, &[]), priority).await?;
            let id =
                self.text_at(&answer, &job.id).ok_or_else(|| self.stuck("took an order without giving it an id"))?;
            window.asked_at = window.asked_at.min(self.upstream.now());
            window.place = Place::Job { id, ordered_at: self.upstream.now(), attempts: window.resets };
            // The id becomes durable before anything else happens, so that nothing is ordered twice.
            return Ok(self.page(Vec::new(), cursor, Progress::Wait(next_poll(job, Duration::ZERO)), 0));
        };
        let variables = [("job", Json::String(id))];
        let answer = self.upstream.call(&self.prepared_plain(&job.poll, window, &variables), priority).await?;
        if self.text_at(&answer, &job.ready).is_none() {
            let waited = (self.upstream.now() - ordered_at).to_std().unwrap_or_default();
            if waited > job.give_up.0 {
                let next =
                    cursor.begin_again(MOST_RESETS).ok_or_else(|| self.stuck("does not finish what was ordered"))?;
                tracing::warn!(attempts, "ordering again what the vendor does not finish");
                return Ok(self.page(Vec::new(), next, Progress::More, 0));
            }
            return Ok(self.page(Vec::new(), cursor, Progress::Wait(next_poll(job, waited)), 0));
        }
        let answer = self.upstream.call(&self.prepared_plain(&job.download, window, &variables), priority).await?;
        let decoded = self.decode_file(&answer, window, refine)?;
        let (next, progress) = self.finished(&cursor);
        Ok(self.page(decoded.items, next, progress, decoded.own_reads))
    }

    fn decode_file<T>(&self, answer: &Answer, window: &Window, refine: Refine<'_, T>) -> Result<Decoded<T>, Refusal> {
        let arena = Arena::with_capacity(answer.body.len() * 2);
        let records = decode::csv(&answer.body, &self.definition().decode, &arena)
            .map_err(|error| self.stuck(&format!("sent a file that is no CSV: {error}")))?;
        let items = Vec::with_capacity(records.len());
        let mut decoded = Decoded { items, times: Vec::new(), own_reads: 0, step: Step::End };
        for record in records {
            self.decode_record(record, window, refine, &arena, &mut decoded);
        }
        Ok(decoded)
    }

    /// What a refusal means for the walk: where it goes on, if it does.
    fn recover(&self, cursor: &Cursor, refusal: Refusal) -> Result<(Cursor, Progress), SourceError> {
        let then = match &refusal {
            Refusal::Asked(verdict) => verdict.then,
            Refusal::TooLarge => Then::SmallerPage,
            Refusal::Failed(_) => return Err(self.failure(refusal)),
        };
        let window = cursor.window.as_ref();
        let next = match then {
            // A walk that outlives the vendor's cursors each time has to become shorter.
            Then::ResetCursor => cursor.begin_again(MOST_RESETS).or_else(|| cursor.halve()),
            Then::OrderAgain => cursor.begin_again(MOST_RESETS),
            Then::SplitWindow => cursor.halve(),
            Then::SmallerPage if self.shrink_page(window.map(|window| window.read.as_str())) => Some(cursor.clone()),
            Then::SmallerPage => cursor.halve(),
            Then::Wait => {
                let wait = match &refusal {
                    Refusal::Asked(verdict) => verdict.wait,
                    _ => None,
                };
                let every = window.and_then(|window| self.way(&window.read).job.as_ref()).map(|job| job.every.0);
                let wait = wait.or(every).unwrap_or(Duration::from_secs(15));
                return Ok((cursor.clone(), Progress::Wait(wait)));
            }
            // A refused first page may be too large a page for this vendor's endpoint.
            Then::Configuration
                if refusal.is_bad_request() && self.shrink_page(window.map(|window| window.read.as_str())) =>
            {
                Some(cursor.clone())
            }
            Then::Configuration | Then::RefreshCredential | Then::Retry => None,
        };
        next.map(|next| (next, Progress::More)).ok_or_else(|| self.failure(refusal))
    }

    fn failure(&self, refusal: Refusal) -> SourceError {
        match refusal {
            Refusal::Asked(verdict) => self.upstream.refused(&verdict),
            Refusal::TooLarge => self.upstream.trouble("sends answers larger than can be held in memory"),
            Refusal::Failed(error) => error,
        }
    }

    fn stuck(&self, what: &str) -> Refusal {
        Refusal::Failed(self.upstream.trouble(what))
    }

    fn page_size_of(&self, read: &Read) -> usize {
        let last = read.page_sizes.len().saturating_sub(1);
        let chosen = self.page_size.load(Ordering::Relaxed).min(last);
        read.page_sizes.get(chosen).map_or(usize::MAX, |size| *size as usize)
    }

    /// Asks for the next smaller page from now on; `false` when there is none.
    fn shrink_page(&self, read: Option<&str>) -> bool {
        let sizes = read.map_or(0, |name| self.way(name).page_sizes.len());
        let chosen = self.page_size.load(Ordering::Relaxed);
        if chosen + 1 >= sizes {
            return false;
        }
        self.page_size.store(chosen + 1, Ordering::Relaxed);
        true
    }

    /// The main request of a way to read, with the operator's filters.
    fn prepared(&self, request: &Request, window: &Window, variables: &[(&str, Json)]) -> super::request::Prepared {
        let filters = &self.settings().filters;
        let lookup = |name: &str| self.variable(name, window, variables);
        prepare(&self.settings().base_url, request, &self.definition().filters, filters, &lookup)
    }

    /// A later request of a job: what was ordered was filtered then.
    fn prepared_plain(
        &self,
        request: &Request,
        window: &Window,
        variables: &[(&str, Json)],
    ) -> super::request::Prepared {
        let lookup = |name: &str| self.variable(name, window, variables);
        prepare(&self.settings().base_url, request, &self.definition().filters, &[], &lookup)
    }

    fn variable(&self, name: &str, window: &Window, own: &[(&str, Json)]) -> Option<Json> {
        let rules = &self.definition().window;
        let slack = TimeDelta::from_std(rules.slack.0).unwrap_or_default();
        let written = |time: DateTime<Utc>| Some(Json::String(time.format(&rules.time_format.value).to_string()));
        match name {
            "from" => written(window.from - slack),
            "until" => written(window.until + slack),
            _ => own
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| value.clone())
                .or_else(|| self.settings().parameter(name)),
        }
    }

    fn text_at(&self, answer: &Answer, path: &crate::event::Path) -> Option<String> {
        let arena = Arena::new();
        let page = json::decode(String::from_utf8_lossy(&answer.body).as_bytes(), &arena).ok()?;
        match path.find(page)? {
            Value::String(text) | Value::Number(text) if !text.is_empty() => Some(text.to_owned()),
            _ => None,
        }
    }
}

/// What of a request depends on the place in the window, with pages of `asked` records.
fn place_variables(read: &Read, place: &Place, asked: usize) -> Vec<(&'static str, Json)> {
    let mut variables = Vec::new();
    if !read.page_sizes.is_empty() {
        variables.push(("page_size", asked.into()));
    }
    match place {
        Place::Start | Place::Job { .. } => {
            variables.extend([("page", first_page(read).into()), ("offset", 0.into())]);
        }
        Place::Page(number) => variables.push(("page", (*number).into())),
        Place::Offset(offset) => variables.push(("offset", (*offset).into())),
        Place::Token { token, .. } => variables.push(("cursor", token.clone().into())),
    }
    variables
}

/// The number of a window's first page, where pages have numbers.
fn first_page(read: &Read) -> u64 {
    match &read.paginate {
        Some(Paginate::Page { first, .. }) => *first,
        _ => 1,
    }
}

/// A job is asked after again when it has taken as long again: a small report is done in a moment.
fn next_poll(job: &Job, waited: Duration) -> Duration {
    waited.max(Duration::from_secs(1)).min(job.every.0)
}
