//! A window that is ordered, awaited and downloaded as a file.
//!
//! ```text
//! Start ─► Ordering ─► is it among the vendor's jobs? ─► Job ─► ready? ─► download, whole ─► the window's end
//!             ▲  │no: order                               │
//!             └──┴─────────────── it came to nothing ─────┘
//! ```
//!
//! That an order is about to go out is in the journal before it does. Whatever happens then, a crash or a lost answer, the
//! vendor's jobs are looked through before another one is ordered.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::asking::CLOCKS_DIFFER;
use super::page::{self, Decoded};
use super::{Refine, Source};
use crate::connector::as_text;
use crate::connector::model::{Find, Job, Read};
use crate::event::{Arena, Path, Value, json, time};
use crate::source::cursor::{Cursor, Place, Window};
use crate::source::decode;
use crate::source::upstream::Refusal;
use crate::source::verdict::Answer;
use crate::source::walk::MOST_RESETS;
use crate::source::{Page, Priority, Progress};

/// How often a file that came only in part is downloaded before it is ordered again.
const MOST_HALVES: u32 = 3;

/// What came of a download.
enum File<T> {
    Whole(Decoded<T>),
    /// Only a part; what says so.
    Part(String),
}

impl Source {
    /// One step of a job.
    pub(super) async fn read_job<T: Send>(
        &self,
        cursor: &Cursor,
        (read, job): (&Read, &Job),
        priority: Priority,
        refine: Refine<'_, T>,
    ) -> Result<Page<T>, Refusal> {
        let window = cursor.window.as_ref().expect("the caller opened it");
        match &window.place {
            Place::Ordering { ordered_at, .. } => {
                let (next, progress) = self.order(cursor, *ordered_at, (read, job), priority).await?;
                Ok(page::without_records(next, progress))
            }
            Place::Job { id, ordered_at, .. } => self.attend(cursor, (id, *ordered_at), job, priority, refine).await,
            _ => {
                let now = self.upstream.now();
                let place = Place::Ordering { ordered_at: now, attempts: window.resets, refused: Vec::new() };
                Ok(page::without_records(at(cursor, place), Progress::More))
            }
        }
    }

    /// Orders, unless the order is among the vendor's jobs already.
    async fn order(
        &self,
        cursor: &Cursor,
        ordered_at: DateTime<Utc>,
        (read, job): (&Read, &Job),
        priority: Priority,
    ) -> Result<(Cursor, Progress), Refusal> {
        let window = cursor.window.as_ref().expect("the caller opened it");
        let Place::Ordering { attempts, refused, .. } = window.place.clone() else { unreachable!("the caller looked") };
        let waiting = |id, refused| Place::Job { id, ordered_at, attempts, halves: 0, refused };
        let wait = Progress::Wait(next_poll(job, Duration::ZERO));
        if let Some(find) = &job.find {
            if let Some((id, created)) = self.find(find, window, (ordered_at, &refused), priority).await? {
                tracing::info!(job = id, "the job was ordered before: it is waited for");
                let mut next = at(cursor, waiting(id, refused));
                let window = next.window.as_mut().expect("it was there before");
                // It holds what there was when it was made, and the vendor's clock tells when that was.
                let now = self.upstream.now();
                window.asked_at = window.asked_at.min(created.map_or(now, |created| created.min(now)));
                return Ok((next, wait));
            }
            // By the vendor's clock, as its answer told it, the order will be earlier than we thought: to be found, it has to
            // be looked for from then on.
            let now = self.upstream.now();
            if now + CLOCKS_DIFFER / 2 < ordered_at {
                return Ok((at(cursor, Place::Ordering { ordered_at: now, attempts, refused }), Progress::More));
            }
        }
        let mut request = self.prepared(&read.request, window, &[], &self.settings().filters);
        request.once = true;
        let answer = self.upstream.call(&request, priority).await?;
        let id = text_at(&answer, &job.id).ok_or_else(|| self.stuck("took an order without giving it an id"))?;
        let mut next = at(cursor, waiting(id, refused));
        let window = next.window.as_mut().expect("it was there before");
        // What the order was answered with is as of then.
        window.asked_at = window.asked_at.min(self.upstream.now());
        Ok((next, wait))
    }

    /// Our order among the vendor's jobs, and when it was made as far as the vendor tells: the newest that fits, if any
    /// does.
    async fn find(
        &self,
        find: &Find,
        window: &Window,
        (ordered_at, refused): (DateTime<Utc>, &[String]),
        priority: Priority,
    ) -> Result<Option<(String, Option<DateTime<Utc>>)>, Refusal> {
        let answer = self.upstream.call(&self.find_request(find, window, ordered_at), priority).await?;
        let arena = Arena::new();
        let text = String::from_utf8_lossy(&answer.body);
        let body = json::decode(text.as_bytes(), &arena)
            .map_err(|error| self.stuck(&format!("answered with something that is {error}")))?;
        let list = find.records.as_ref().map_or(Some(body), |path| path.find(body)).and_then(|list| list.as_array());
        let list = list.ok_or_else(|| self.stuck("answered without the list of its jobs"))?;
        let ours = list.iter().filter(|job| self.is_ours(**job, find, window, &arena)).filter_map(|job| {
            let created = find.time.as_ref().and_then(|path| path.find(*job)).and_then(time::parse);
            let is_new = created.is_none_or(|created| created >= ordered_at - CLOCKS_DIFFER);
            let id = text_of(find.id.find(*job)?).filter(|id| is_new && !refused.contains(id))?;
            Some((id, created))
        });
        Ok(ours.max_by_key(|(_, created)| *created))
    }

    /// Whether a job says of itself what ours would. One that says nothing may be anybody's.
    fn is_ours(&self, job: Value<'_>, find: &Find, window: &Window, arena: &Arena) -> bool {
        let mut told = find.matches.is_empty();
        for (path, template) in &find.matches {
            let Some(found) = find_unpacking(path.parts(), job, arena).and_then(text_of) else { continue };
            let expected = template.fill(&|name| self.variable(name, window, &[])).map(|value| as_text(&value));
            if !expected.is_some_and(|expected| is_same(&expected, &found)) {
                return false;
            }
            told = true;
        }
        told
    }

    /// Asks how the job is, and fetches what it brought.
    async fn attend<T: Send>(
        &self,
        cursor: &Cursor,
        (id, ordered_at): (&str, DateTime<Utc>),
        job: &Job,
        priority: Priority,
        refine: Refine<'_, T>,
    ) -> Result<Page<T>, Refusal> {
        let window = cursor.window.as_ref().expect("the caller opened it");
        let answer = self.upstream.call(&self.job_request(&job.poll, window, id), priority).await?;
        if text_at(&answer, &job.ready).is_none() {
            let waited = (self.upstream.now() - ordered_at).to_std().unwrap_or_default();
            if waited <= job.give_up.0 {
                return Ok(page::without_records(cursor.clone(), Progress::Wait(next_poll(job, waited))));
            }
            return self.ordered_again(cursor, "does not finish what was ordered");
        }
        let announced = job.size.as_ref().and_then(|path| text_at(&answer, path)).and_then(|size| size.parse().ok());
        let answer = self.upstream.call(&self.job_request(&job.download, window, id), priority).await?;
        match self.decode_file(&answer, announced, window, refine) {
            File::Whole(decoded) => {
                let mut read = cursor.clone();
                let window = read.window.as_mut().expect("it was there before");
                window.note_page(decoded.items.len(), None, None);
                let (next, progress) = self.finished(&read);
                Ok(page::in_order(decoded.items, next, progress, decoded.own_reads))
            }
            File::Part(flaw) => self.downloaded_again(cursor, job, &flaw),
        }
    }

    fn decode_file<T>(
        &self,
        answer: &Answer,
        announced: Option<u64>,
        window: &Window,
        refine: Refine<'_, T>,
    ) -> File<T> {
        let arena = Arena::with_capacity(answer.body.len() * 2);
        let records = match decode::whole_csv(&answer.body, announced, &self.definition().decode, &arena) {
            Ok(records) => records,
            Err(flaw) => return File::Part(flaw),
        };
        let mut decoded = Decoded::new();
        for record in records {
            self.decode_record(record, window, refine, &arena, &mut decoded);
        }
        File::Whole(decoded)
    }

    /// Nothing of a part is kept: the file is downloaded again, and after a few times ordered again.
    fn downloaded_again<T>(&self, cursor: &Cursor, job: &Job, flaw: &str) -> Result<Page<T>, Refusal> {
        let mut next = cursor.clone();
        let window = next.window.as_mut().expect("it was there before");
        let Place::Job { halves, .. } = &mut window.place else { unreachable!("the caller looked") };
        *halves = halves.saturating_add(1);
        if *halves > MOST_HALVES {
            return self.ordered_again(cursor, &format!("sends a file {flaw}"));
        }
        let vendor = &self.definition().connector.vendor;
        tracing::warn!(vendor, flaw, "only a part of a file came: it is downloaded again");
        Ok(page::without_records(next, Progress::Wait(job.every.0)))
    }

    fn ordered_again<T>(&self, cursor: &Cursor, why: &str) -> Result<Page<T>, Refusal> {
        let next = self.order_again(cursor).ok_or_else(|| self.stuck(why))?;
        tracing::warn!(vendor = self.definition().connector.vendor, why, "ordering again");
        Ok(page::without_records(next, Progress::More))
    }

    /// The cursor about to order anew; `None` when that was done often enough for now.
    pub(super) fn order_again(&self, cursor: &Cursor) -> Option<Cursor> {
        let job = self.way(&cursor.window.as_ref()?.read).job.as_ref()?;
        let patience = TimeDelta::from_std(job.give_up.0).unwrap_or(TimeDelta::MAX / 2) * 2;
        cursor.order_again(self.upstream.now(), MOST_RESETS, patience)
    }
}

/// The cursor at another place of its window.
fn at(cursor: &Cursor, place: Place) -> Cursor {
    let mut next = cursor.clone();
    if let Some(window) = &mut next.window {
        window.place = place;
    }
    next
}

/// A job is asked after again when it has taken as long again: a small report is done in a moment.
fn next_poll(job: &Job, waited: Duration) -> Duration {
    waited.max(Duration::from_secs(1)).min(job.every.0)
}

fn text_at(answer: &Answer, path: &Path) -> Option<String> {
    let arena = Arena::new();
    let page = json::decode(String::from_utf8_lossy(&answer.body).as_bytes(), &arena).ok()?;
    text_of(path.find(page)?)
}

fn text_of(value: Value<'_>) -> Option<String> {
    match value {
        Value::String(text) | Value::Number(text) if !text.is_empty() => Some(text.to_owned()),
        _ => None,
    }
}

/// What stands at a path, also where a part of the way is JSON in a text.
fn find_unpacking<'a>(parts: &[String], value: Value<'a>, arena: &'a Arena) -> Option<Value<'a>> {
    let Some((part, below)) = parts.split_first() else { return Some(value) };
    let value = match value {
        Value::String(text) => json::decode(text.as_bytes(), arena).ok()?,
        value => value,
    };
    find_unpacking(below, value.get(part)?, arena)
}

/// Whether two texts say the same, instants in whichever form they are written.
fn is_same(expected: &str, found: &str) -> bool {
    expected == found || time::from_text(expected).is_some_and(|expected| time::from_text(found) == Some(expected))
}
