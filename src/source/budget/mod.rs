//! Which requests we may send, and when: the vendor's published quota, corrected by what it answers.
//!
//! There is one budget per upstream, that is connector, host and credential, and every pipeline that uses the upstream
//! has a share in it: the vendor counts them together.
//!
//! ```text
//! Share ─► queue ─► room ─► pause ─► learnt ─► pace ─► Permit ─► vendor
//!          whose    in      after    what the  the       │
//!          turn     flight  a 429    vendor    limiter   └─► answer: pause, learnt
//!          it is                     counts
//! ```

mod learnt;
mod pace;
mod pause;
mod queue;
mod state;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use tokio::time::Instant;

use self::learnt::{Heard, Learnt};
use self::pace::{Pace, Stride};
use self::pause::Pause;
pub use self::queue::Priority;
use self::queue::{Queue, Waiter};
pub use self::state::{BudgetState, LearntCount, Waiting};
use super::advice;
use super::settings::Settings;
use crate::connector::model::Rate;

/// Longer than this nobody is held up by a vendor that is only busy.
const LONGEST_HOLD: Duration = Duration::from_secs(3600);

/// All budgets of this process, by upstream.
#[derive(Debug, Default)]
pub struct Budgets {
    known: Mutex<HashMap<String, Arc<Budget>>>,
}

impl Budgets {
    /// The share of `pipeline` in the budget of its upstream. Pipelines that share one and were told different terms
    /// all keep to the strictest.
    ///
    /// # Panics
    /// Never: nothing panics while the lock is held.
    pub fn share(&self, settings: &Settings, pipeline: &Arc<str>) -> Share {
        let terms = Terms::of(settings);
        let mut known = self.known.lock().expect("no panic while the lock is held");
        let budget = known.entry(settings.upstream()).or_insert_with(|| Arc::new(Budget::new(terms)));
        budget.keep_to(terms);
        budget.share(pipeline)
    }
}

/// What an upstream lets us ask.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Terms {
    /// Requests per time.
    pub rate: Rate,
    /// Requests at the same time.
    pub in_flight: u32,
    /// The share of every quota that is left to others, 0 to below 1.
    pub reserve: f64,
    /// After a 429 that says nothing of its own nobody asks for at least so long.
    pub block: Duration,
}

impl Terms {
    fn of(settings: &Settings) -> Self {
        let limits = &settings.connector.definition.limits;
        let block = limits.block.map_or(Duration::ZERO, |block| block.0);
        Self { rate: settings.rate, in_flight: limits.in_flight, reserve: settings.reserve, block }
    }

    fn share(&self) -> f64 {
        (1.0 - self.reserve).clamp(0.01, 1.0)
    }

    fn stride(&self) -> Stride {
        Stride::over(f64::from(self.rate.requests), self.rate.per, self.share())
    }

    fn stricter(self, other: Self) -> Self {
        let slower = |rate: Rate| rate.per.as_secs_f64() / f64::from(rate.requests);
        Self {
            rate: if slower(other.rate) > slower(self.rate) { other.rate } else { self.rate },
            in_flight: self.in_flight.min(other.in_flight),
            reserve: self.reserve.max(other.reserve),
            block: self.block.max(other.block),
        }
    }
}

/// What may be asked of one upstream, by everybody.
pub struct Budget {
    /// Held for a few lines, never over an await.
    inner: Mutex<Inner>,
}

struct Inner {
    terms: Terms,
    queue: Queue,
    pause: Pause,
    learnt: Learnt,
    pace: Pace,
    /// Requests under way, each by its number.
    under_way: BTreeSet<u64>,
    /// Requests sent so far, which is the number of the newest.
    sent: u64,
}

/// What a waiter is told.
enum Turn {
    /// Send the request of this number.
    Now(u64),
    /// Ask again then, or when woken.
    At(Instant),
    /// Ask again when woken.
    Later,
}

impl Budget {
    /// A budget on these terms.
    #[must_use]
    pub fn new(terms: Terms) -> Self {
        let inner = Inner {
            pace: Pace::new(terms.stride()),
            terms,
            queue: Queue::default(),
            pause: Pause::default(),
            learnt: Learnt::default(),
            under_way: BTreeSet::new(),
            sent: 0,
        };
        Self { inner: Mutex::new(inner) }
    }

    /// The share of a pipeline.
    #[must_use]
    pub fn share(self: &Arc<Self>, pipeline: &Arc<str>) -> Share {
        Share { budget: Arc::clone(self), pipeline: Arc::clone(pipeline) }
    }

    /// How things stand.
    #[must_use]
    pub fn state(&self) -> BudgetState {
        self.inner().state(Instant::now())
    }

    fn keep_to(&self, terms: Terms) {
        let mut inner = self.inner();
        inner.terms = inner.terms.stricter(terms);
        inner.keep_pace();
        inner.wake_next();
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no panic while the lock is held")
    }
}

impl std::fmt::Debug for Budget {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_tuple("Budget").field(&self.state()).finish()
    }
}

impl Inner {
    /// Decides about a waiter. Whoever is not next is woken when it is.
    fn turn(&mut self, waiter: &Waiter, now: Instant) -> Turn {
        if !self.queue.is_next(waiter) || self.under_way.len() >= self.room() {
            return Turn::Later;
        }
        if let Some(at) = self.not_before(now) {
            return Turn::At(at);
        }
        if let Err(at) = self.pace.pass(now) {
            return Turn::At(at);
        }
        self.queue.serve(waiter);
        self.sent += 1;
        self.under_way.insert(self.sent);
        Turn::Now(self.sent)
    }

    fn room(&self) -> usize {
        if self.pause.is_on_trial() { 1 } else { self.terms.in_flight.max(1) as usize }
    }

    /// Nobody asks before this, the pace apart.
    fn not_before(&self, now: Instant) -> Option<Instant> {
        let learnt = self.learnt.not_before(self.sent, self.pace.last(), self.terms.reserve, now);
        learnt.max(self.pause.until(now)).filter(|at| *at > now)
    }

    fn keep_pace(&mut self) {
        let allowed = self.learnt.slowest(self.terms.stride(), self.terms.share());
        let slowness = self.pause.slowness();
        // Multiplied by one it would still be rounded, and a limiter that is made anew forgets what was late.
        self.pace.change(if slowness > 1.0 { allowed.slower(slowness) } else { allowed });
    }

    fn wake_next(&self) {
        if let Some(next) = self.queue.next() {
            next.wake.notify_one();
        }
    }

    fn state(&self, now: Instant) -> BudgetState {
        let count = |count: &learnt::Count| LearntCount {
            name: count.told.name.clone(),
            limit: count.told.limit,
            window: count.told.window,
            left: count.left(self.sent, self.terms.reserve),
            resets_in: count.resets_in(now),
            others: count.others,
        };
        let waiting = |priority| self.queue.waiting(priority);
        BudgetState {
            rate: self.terms.rate,
            reserve: self.terms.reserve,
            interval: self.pace.stride().interval,
            learnt: self.learnt.counts().iter().map(count).collect(),
            paused_for: self.not_before(now).map_or(Duration::ZERO, |at| at - now),
            waiting: Waiting {
                live: waiting(Priority::Live),
                sweep: waiting(Priority::Sweep),
                backfill: waiting(Priority::Backfill),
            },
            in_flight: self.under_way.len(),
            sent: self.sent,
            throttled: self.pause.refusals(),
        }
    }
}

/// One pipeline's part in a budget: its turns.
#[derive(Clone, Debug)]
pub struct Share {
    budget: Arc<Budget>,
    pipeline: Arc<str>,
}

impl Share {
    /// The budget that is shared.
    #[must_use]
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Returns when the next request may be sent. To be called before every attempt: the vendor counts our retries too.
    ///
    /// The most urgent priority is served first, and nothing below it as long as somebody waits; among equals the
    /// pipelines take turns, and within one the first to come is first. May be dropped at any time: whoever waits
    /// behind goes on, and nothing is used up.
    pub async fn acquire(&self, priority: Priority) -> Permit {
        let place = Place::take(&self.budget, priority, &self.pipeline);
        loop {
            let turn = self.budget.inner().turn(&place.waiter, Instant::now());
            let woken = place.waiter.wake.notified();
            match turn {
                Turn::Now(number) => return Permit { budget: Arc::clone(&self.budget), number },
                Turn::Later => woken.await,
                Turn::At(at) => tokio::select! {
                    () = tokio::time::sleep_until(at) => {}
                    () = woken => {}
                },
            }
        }
    }

    /// Nobody asks for that long, because the vendor said so without counting us out. A longer pause that is already
    /// under way stays.
    pub fn pause(&self, wait: Duration) {
        self.budget.inner().pause.hold(Instant::now() + wait.min(LONGEST_HOLD));
    }
}

/// A place in the queue, left when it is dropped.
struct Place<'a> {
    budget: &'a Budget,
    waiter: Waiter,
}

impl<'a> Place<'a> {
    fn take(budget: &'a Budget, priority: Priority, pipeline: &Arc<str>) -> Self {
        Self { budget, waiter: budget.inner().queue.join(priority, pipeline) }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut inner = self.budget.inner();
        inner.queue.leave(&self.waiter);
        inner.wake_next();
    }
}

/// The right to have one request under way. Given back when it is dropped.
#[derive(Debug)]
pub struct Permit {
    budget: Arc<Budget>,
    /// Which request it is, counted as they were sent.
    number: u64,
}

impl Permit {
    /// Learns from the status and headers of the answer, whatever it is; `now` is our time.
    pub fn answered(&self, status: StatusCode, headers: &HeaderMap, now: DateTime<Utc>) {
        let told = advice::told(headers, now);
        let accepted = status != StatusCode::TOO_MANY_REQUESTS;
        let mut inner = self.budget.inner();
        let older = inner.under_way.range(..self.number).count() as u64;
        let newest = inner.sent;
        let uncounted = newest - self.number + older;
        inner.learnt.hear(told, Heard { request: self.number, newest, uncounted, accepted, now: Instant::now() });
        if accepted {
            inner.pause.answered(self.number);
        }
        inner.keep_pace();
        inner.wake_next();
    }

    /// The vendor has counted us out: everybody who shares the budget waits, for what it `asked`, or where it says
    /// nothing for the connector's block, or ever longer, and then asks more slowly for a while. Requests that were
    /// under way together pause once.
    pub fn throttled(&self, asked: Option<Duration>) {
        let mut inner = self.budget.inner();
        let (block, newest) = (inner.terms.block, inner.sent);
        inner.pause.refused(self.number, asked, block, newest, Instant::now());
        inner.keep_pace();
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut inner = self.budget.inner();
        inner.under_way.remove(&self.number);
        inner.wake_next();
    }
}
