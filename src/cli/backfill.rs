//! `auditline backfill`: reads a span of the past once, beside what is read anyway.

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use tokio_util::sync::CancellationToken;

use super::input::Input;
use super::moment::{Moment, shown};
use super::run::{ready, report};
use super::table::thousands;
use super::{DONE, FAILED, WRONG, asked, stop};
use crate::config::{PipelinePlan, Plan};
use crate::engine::{Backfill as Span, RunOptions};
use crate::journal::{Journal, Walk};
use crate::server::control::{AskError, Client, Span as Asked};
use crate::server::{LaneStatus, PipelineStatus, in_words};
use crate::source::Cursor;
use crate::source::forecast::{forecast, least_time};

/// How often progress is looked at, and how often a plain line is printed.
const TICK: Duration = Duration::from_millis(500);
const PLAIN_TICKS: u32 = 10;
/// What the live walk has delivered is known for so long behind the sweep; see the engine.
const REMEMBERED: TimeDelta = TimeDelta::hours(25);

/// Read a span of the past, beside what is read anyway: live traffic goes first. Ends when the span is delivered; when it is
/// interrupted, the same command goes on.
#[derive(Debug, Args)]
pub struct Backfill {
    /// The pipeline.
    pipeline: String,
    /// The first instant to read (UTC).
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true)]
    since: Moment,
    /// The first instant not to read (UTC).
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true)]
    until: Moment,
    /// Read it although it was read before: what was delivered so long ago that its ids are forgotten is delivered again.
    #[arg(long)]
    again: bool,
    #[command(flatten)]
    input: Input,
}

impl Backfill {
    pub async fn main(self) -> u8 {
        let Some(plan) = self.input.plan() else { return WRONG };
        if asked::find(&plan, &self.pipeline).is_none() {
            return WRONG;
        }
        match self.read(plan).await {
            Ok(code) => code,
            Err(Wrong { reason, hint }) => {
                eprintln!("error: {reason}");
                if let Some(hint) = hint {
                    eprintln!("\nhint: {hint}");
                }
                FAILED
            }
        }
    }

    async fn read(&self, plan: Plan) -> Result<u8, Wrong> {
        let Some(pipeline) = plan.pipelines.iter().find(|pipeline| *pipeline.name == *self.pipeline) else {
            return Ok(WRONG);
        };
        let (since, until) = (self.since.0, self.until.0);
        let horizon = Utc::now() - pipeline.source.rules.lag;
        if since >= until {
            return Err(Wrong::new("`--since` has to lie before `--until`", None));
        }
        if until > horizon {
            let hint = format!("`--until {}` or earlier: what is newer is the live walk's", shown(horizon));
            return Err(Wrong::new("`--until` is too close to now", Some(hint)));
        }
        let standings =
            asked::standings(&plan, Some(&self.pipeline)).await.map_err(|reason| Wrong { reason, hint: None })?;
        let walk = Walk::backfill(since, until);
        if let Some(status) = standings.first() {
            self.refuse_what_was_read(status, &walk, pipeline)?;
        }
        let estimate = Estimate::of(pipeline, since, until);
        eprintln!("{}", estimate.sentence());
        let span = Span { since, until };
        let client = Client::new(&plan.state_dir).map_err(|error| Wrong::of(&error))?;
        match client.backfill(&self.pipeline, Asked { since, until, again: self.again }).await {
            Ok(()) => self.follow(&client, &walk, &estimate).await,
            Err(AskError::Nobody { .. }) => self.run(plan, span, &walk, &estimate).await,
            Err(error) => Err(Wrong::of(&error)),
        }
    }

    /// What was delivered and is forgotten would be delivered twice.
    fn refuse_what_was_read(&self, status: &PipelineStatus, walk: &Walk, pipeline: &PipelinePlan) -> Result<(), Wrong> {
        let (since, until) = (self.since.0, self.until.0);
        let again = "`--again` reads it all the same";
        if let Some(before) = status.walk(walk)
            && before.has_ended()
        {
            let reason = "this span was read by an earlier backfill";
            return if self.again { Ok(()) } else { Err(Wrong::new(reason, Some(again.to_owned()))) };
        }
        if self.again {
            return Ok(());
        }
        let Some(live) = status.live() else { return Ok(()) };
        let begin = live.begin.unwrap_or(live.complete_up_to);
        let known_from = live.settled.min(live.complete_up_to) - pipeline.sweep.back - REMEMBERED;
        let twice = (since.max(begin), until.min(known_from));
        if twice.0 < twice.1 {
            let reason = format!(
                "what lies between {} and {} was read before, and its ids are forgotten: it would be delivered twice",
                shown(twice.0),
                shown(twice.1)
            );
            let hint = format!("`--until {}` reads only what was not; {again}", begin.format("%Y-%m-%dT%H:%M:%SZ"));
            return Err(Wrong { reason, hint: Some(hint) });
        }
        Ok(())
    }

    /// The running process reads; this shows how far it is.
    async fn follow(&self, client: &Client, walk: &Walk, estimate: &Estimate) -> Result<u8, Wrong> {
        eprintln!("the running auditline reads it; this may be interrupted, and that goes on");
        let bar = Bar::new(estimate);
        let stop = stop::on_signal();
        loop {
            let all = client.pipelines().await.map_err(|error| Wrong::of(&error))?;
            let status = all.into_iter().find(|status| status.about.name == self.pipeline);
            let Some(status) = status else {
                return Err(Wrong::new("the running auditline has no such pipeline", None));
            };
            if let Some(cursor) = status.walk(walk) {
                bar.show(cursor, status.trouble.as_deref());
                // What waits besides is the live walk's, and there may always be some of it.
                let is_delivered = |lane: &LaneStatus| lane.oldest.is_none_or(|oldest| oldest >= self.until.0);
                if cursor.has_ended() && status.lanes.iter().all(is_delivered) {
                    bar.finish();
                    eprintln!("the backfill is complete");
                    return Ok(DONE);
                }
            }
            tokio::select! {
                () = stop.cancelled() => return Ok(DONE),
                () = tokio::time::sleep(TICK) => {}
            }
        }
    }

    /// No process runs: this one reads it.
    async fn run(&self, plan: Plan, span: Span, walk: &Walk, estimate: &Estimate) -> Result<u8, Wrong> {
        let name: Arc<str> = self.pipeline.as_str().into();
        if self.again
            && let Some(journal) = asked::journal(&plan).map_err(|reason| Wrong { reason, hint: None })?
        {
            journal.end_walk(&name, walk).await.map_err(|error| Wrong::of(&error))?;
        }
        let options = RunOptions { once: true, stop: stop::on_signal(), only: Some((Arc::clone(&name), span)) };
        let run = ready(plan, options).map_err(|error| Wrong::of(&error))?;
        let handle = run.handles().into_iter().find(|handle| handle.name == name);
        let end = CancellationToken::new();
        let shown = handle.map(|handle| {
            let (bar, end, walk) = (Bar::new(estimate), end.clone(), walk.clone());
            tokio::spawn(async move {
                while !end.is_cancelled() {
                    if let Some(progress) = handle.counters.walks().get(&walk) {
                        bar.show_at(progress.complete_up_to, handle.counters.trouble().as_deref());
                    }
                    tokio::time::sleep(TICK).await;
                }
                bar.finish();
            })
        });
        let outcome = run.go().await.map_err(|error| Wrong::of(&error))?;
        end.cancel();
        if let Some(shown) = shown {
            let _ = shown.await;
        }
        Ok(report(&outcome))
    }
}

/// What stands in the way.
struct Wrong {
    reason: String,
    hint: Option<String>,
}

impl Wrong {
    fn new(reason: &str, hint: Option<String>) -> Self {
        Self { reason: reason.to_owned(), hint }
    }

    fn of(error: &dyn std::error::Error) -> Self {
        Self { reason: crate::chain(error), hint: None }
    }
}

/// What a span takes, by the budget.
struct Estimate {
    since: DateTime<Utc>,
    until: DateTime<Utc>,
    calls: u64,
    least: Duration,
}

impl Estimate {
    fn of(pipeline: &PipelinePlan, since: DateTime<Utc>, until: DateTime<Utc>) -> Self {
        let settings = &pipeline.source;
        let calls = forecast(settings, &Cursor::between(since, until), settings.clock.now(), None).calls;
        Self { since, until, calls, least: least_time(settings, calls) }
    }

    fn sentence(&self) -> String {
        let least = in_words(i64::try_from(self.least.as_secs_f64().ceil() as u64).unwrap_or(i64::MAX));
        let calls = if self.calls == 1 { "1 call".to_owned() } else { format!("{} calls", thousands(self.calls)) };
        format!("{calls} at least, which the quota lets through in {least} if nothing else asks")
    }
}

/// Progress through a span.
struct Bar {
    bar: ProgressBar,
    since: DateTime<Utc>,
    until: DateTime<Utc>,
    least: Duration,
    started: std::time::Instant,
    ticks: std::sync::atomic::AtomicU32,
}

impl Bar {
    fn new(estimate: &Estimate) -> Self {
        let seconds = (estimate.until - estimate.since).num_seconds().unsigned_abs();
        let bar = if std::io::stderr().is_terminal() { ProgressBar::new(seconds) } else { ProgressBar::hidden() };
        if let Ok(style) = ProgressStyle::with_template("[{bar:40}] {percent}% {msg}") {
            bar.set_style(style.progress_chars("=> "));
        }
        let Estimate { since, until, least, .. } = *estimate;
        Self { bar, since, until, least, started: std::time::Instant::now(), ticks: 0.into() }
    }

    fn show(&self, cursor: &Cursor, trouble: Option<&str>) {
        self.show_at(cursor.complete_up_to, trouble);
    }

    fn show_at(&self, at: DateTime<Utc>, trouble: Option<&str>) {
        let done = (at - self.since).num_seconds().max(0).unsigned_abs();
        let all = (self.until - self.since).num_seconds().max(1).unsigned_abs();
        let share = (done as f64 / all as f64).clamp(0.0, 1.0);
        // What the budget needs at least, or what the pace so far says, whichever is more.
        let by_budget = self.least.mul_f64(1.0 - share);
        let by_pace = if share > 0.0 { self.started.elapsed().mul_f64((1.0 - share) / share) } else { by_budget };
        let left = in_words(i64::try_from(by_budget.max(by_pace).as_secs() + 1).unwrap_or(i64::MAX));
        let trouble = trouble.map(|trouble| format!("; {trouble}")).unwrap_or_default();
        let message = format!("read up to {}, about {left} left{trouble}", shown(at));
        self.bar.set_position(done);
        self.bar.set_message(message.clone());
        let ticks = self.ticks.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        if self.bar.is_hidden() && ticks.is_multiple_of(PLAIN_TICKS) && ticks > 0 {
            eprintln!("{:.0}% {message}", share * 100.0);
        }
    }

    fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
