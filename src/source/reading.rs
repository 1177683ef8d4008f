//! Reading: one step at a time, from a cursor to a page and the next cursor.

mod asking;
mod detail;
mod each;
mod job;
mod page;
mod pages;

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::boundary::Boundary;
use super::budget::{BudgetState, Priority, Share};
use super::cursor::{Cursor, Place, Window};
use super::decode::Raw;
use super::settings::Settings;
use super::upstream::{Refusal, Upstream};
use super::walk::MOST_RESETS;
use super::{Page, Progress, SourceError};
use crate::connector::model::{Definition, Paginate, Read, Then};
use crate::event::Arena;

/// Reads one vendor's log. Holds no position: reading the same cursor twice is harmless.
#[derive(Debug)]
pub struct Source {
    upstream: Upstream,
    /// When this source was made.
    began: DateTime<Utc>,
    boundary: Boundary,
    /// Which of the page sizes the vendor takes.
    page_size: AtomicUsize,
    /// Parents that were gone when their log was asked for, so that a person is told once. Held for one line.
    gone: Mutex<BTreeSet<String>>,
    /// A person was told that the vendor hands out what was not asked for.
    told_of_strangers: AtomicBool,
}

/// Turns a record into what the caller keeps, while the page's arena lives.
pub type Refine<'r, T> = &'r (dyn for<'a> Fn(Raw<'a>, &'a Arena) -> T + Sync);

impl Source {
    /// A source that asks within `budget`, naming itself `user_agent`.
    ///
    /// # Errors
    /// When the settings cannot work: no credential is complete.
    pub fn new(settings: Settings, budget: Share, user_agent: &str) -> Result<Self, SourceError> {
        Ok(Self {
            boundary: Boundary::of(&settings.connector.definition.window),
            began: settings.clock.now(),
            upstream: Upstream::new(settings, budget, user_agent)?,
            page_size: AtomicUsize::new(0),
            gone: Mutex::default(),
            told_of_strangers: AtomicBool::new(false),
        })
    }

    /// What this source was told.
    pub fn settings(&self) -> &Settings {
        self.upstream.settings()
    }

    /// The cursor of a source that has not read anything.
    #[must_use]
    pub fn start(&self) -> Cursor {
        Cursor { of: Some(self.settings().identity()), ..Cursor::at(self.settings().start) }
    }

    /// What the upstream may be asked, and how that goes.
    #[must_use]
    pub fn budget(&self) -> BudgetState {
        self.upstream.budget()
    }

    /// When the credential ends, as far as the vendor or the operator told.
    #[must_use]
    pub fn credential_expires(&self) -> Option<DateTime<Utc>> {
        self.upstream.credential_expires()
    }

    /// The cursor as this source can go on with it, and what a person is to be told of that. A cursor of another account's
    /// log says nothing of this one; and a place among other filters' records is none among these.
    #[must_use]
    pub fn adopt(&self, cursor: &Cursor) -> (Cursor, Option<&'static str>) {
        cursor.adopted_by(&self.settings().identity(), self.settings().start)
    }

    /// The newest instant that may be read now.
    #[must_use]
    pub fn horizon(&self) -> DateTime<Utc> {
        self.upstream.now() - self.settings().rules.lag
    }

    /// Asks for one page of the last minutes, to see that the vendor takes our credential. Orders nothing.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub async fn check(&self) -> Result<(), SourceError> {
        let until = self.horizon();
        let (name, read) = self.settings().pages();
        let cursor =
            Cursor::at(until - TimeDelta::minutes(5)).open((until - TimeDelta::minutes(5), until), name, until);
        let window = cursor.window.as_ref().expect("a window was just opened");
        let request = match (&read.each, &read.job) {
            (Some(each), _) => self.parents_request(each, window, &Place::Start),
            (None, Some(job)) => match &job.find {
                Some(find) => Ok(self.find_request(find, window, until)),
                None => return Ok(()),
            },
            (None, None) => self.page_request(read, window),
        };
        let answer = match request {
            Ok(request) => self.upstream.call(&request, Priority::Live).await,
            Err(refusal) => Err(refusal),
        };
        answer.map(drop).map_err(|refusal| self.failure(refusal))
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
            return Ok(page::without_records(cursor.clone(), Progress::CaughtUp));
        };
        let window = cursor.window.as_ref().expect("a window was just opened");
        let read = self.way(&window.read);
        let outcome = match (&read.job, &read.each) {
            (Some(job), _) => self.read_job(&cursor, (read, job), priority, refine).await,
            (None, Some(each)) if window.parents.is_none() => self.list_parents(&cursor, each, priority).await,
            (None, _) => self.read_pages(&cursor, read, priority, refine).await,
        };
        match outcome {
            Ok(page) => Ok(page),
            Err(refusal) => {
                let (next, progress) = self.recover(&cursor, refusal)?;
                Ok(page::without_records(next, progress))
            }
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
        let now = self.upstream.now();
        let span = cursor.next_span(&self.settings().rules, now)?;
        Some(cursor.open(span, self.settings().choose(now - span.0).0, now))
    }

    fn way(&self, name: &str) -> &Read {
        self.settings().way(name).1
    }

    /// The cursor after a window's last page, and whether that window reached as far as there was to read.
    fn finished(&self, cursor: &Cursor) -> (Cursor, Progress) {
        let rules = &self.settings().rules;
        let next = cursor.finish(rules);
        // A window that was begun before we were says nothing of what happened since.
        let asked_at = cursor.window.as_ref().map_or(self.began, |window| window.asked_at.max(self.began));
        let progress = if next.next_span(rules, asked_at).is_some() { Progress::More } else { Progress::CaughtUp };
        (next, progress)
    }

    /// What a refusal means for the walk: where it goes on, if it does.
    fn recover(&self, cursor: &Cursor, refusal: Refusal) -> Result<(Cursor, Progress), SourceError> {
        let then = match &refusal {
            Refusal::Asked(verdict) => verdict.then,
            Refusal::TooLarge => Then::SmallerPage,
            Refusal::Failed(_) => return Err(self.failure(refusal)),
        };
        let read = cursor.window.as_ref().map(|window| self.way(&window.read));
        let next = match then {
            // A walk that outlives the vendor's cursors each time has to become shorter.
            Then::ResetCursor => cursor.begin_again(MOST_RESETS).or_else(|| cursor.halve()),
            Then::OrderAgain => self.order_again(cursor),
            Then::SplitWindow => cursor.halve(),
            Then::SmallerPage => self.with_smaller_pages(cursor, read).or_else(|| cursor.halve()),
            Then::Wait => return self.wait(cursor, &refusal).map(|wait| (cursor.clone(), Progress::Wait(wait))),
            // A refused first page may be too large a page for this vendor's endpoint.
            Then::Configuration if refusal.is_bad_request() => self.with_smaller_pages(cursor, read),
            Then::Configuration | Then::RefreshCredential | Then::Retry | Then::Stop => None,
        };
        next.map(|next| (next, Progress::More)).ok_or_else(|| self.failure(refusal))
    }

    /// How long to wait when nothing is wrong and the vendor needs time.
    fn wait(&self, cursor: &Cursor, refusal: &Refusal) -> Result<Duration, SourceError> {
        let asked = match refusal {
            Refusal::Asked(verdict) => verdict.wait,
            _ => None,
        };
        let job = cursor.window.as_ref().and_then(|window| self.way(&window.read).job.as_ref());
        let place = cursor.window.as_ref().map(|window| &window.place);
        if let (Some(job), Some(Place::Ordering { ordered_at, .. })) = (job, place)
            && (self.upstream.now() - *ordered_at).to_std().is_ok_and(|waited| waited > job.give_up.0)
        {
            return Err(self.upstream.trouble("takes our order for one that it has, and shows none"));
        }
        Ok(asked.or(job.map(|job| job.every.0)).unwrap_or(Duration::from_secs(15)))
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

    fn mistake(&self, what: &str, hint: &str) -> Refusal {
        let vendor = &self.definition().connector.vendor;
        Refusal::Failed(SourceError::Configuration { message: format!("{vendor} {what}"), hint: hint.to_owned() })
    }

    /// How many records a page may have at that place, where the connector says so.
    fn page_size_of(&self, read: &Read, window: &Window) -> Option<usize> {
        let last = read.page_sizes.len().checked_sub(1)?;
        let chosen = self.page_size.load(Ordering::Relaxed).min(last);
        let counted = window.pages.size.filter(|_| matches!(window.place, Place::Page(_)));
        counted.or(Some(read.page_sizes[chosen] as usize))
    }

    /// The cursor at the same place with the next smaller page from now on; `None` when there is none.
    fn with_smaller_pages(&self, cursor: &Cursor, read: Option<&Read>) -> Option<Cursor> {
        let read = read?;
        let chosen = self.page_size.load(Ordering::Relaxed) + 1;
        let size = *read.page_sizes.get(chosen)?;
        self.page_size.store(chosen, Ordering::Relaxed);
        let mut next = cursor.clone();
        if let (Some(window), Some(Paginate::Page { first, .. })) = (&mut next.window, &read.paginate) {
            window.resize_pages(*first, size as usize);
        }
        Some(next)
    }
}
