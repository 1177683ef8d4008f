//! Which walks a pipeline takes: the live one, the sweep behind it, and the backfills that a person asked for.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use tokio::sync::mpsc;
use tracing::info;

use super::counters::Progress;
use super::pipeline::{Pipeline, Place, ReadError};
use super::sweep::{self, Due};
use super::walker::{Reached, Walker};
use crate::config::Sweep;
use crate::journal::Walk;
use crate::source::{Cursor, Priority, Source};

/// How often it is asked whether a sweep is due.
const LOOK_FOR_SWEEPS: Duration = Duration::from_secs(30);

/// A span that is to be read once, beside the live walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backfill {
    /// The first instant of it.
    pub since: DateTime<Utc>,
    /// The first instant after it.
    pub until: DateTime<Utc>,
}

impl Backfill {
    /// The walk through it.
    #[must_use]
    pub fn walk(self) -> Walk {
        Walk::backfill(self.since, self.until)
    }
}

/// All walks of one pipeline.
pub struct Walks {
    pub pipeline: Arc<Pipeline>,
    pub source: Arc<Source>,
    pub sweep: Sweep,
    /// How long the live walk waits when everything was read.
    pub poll: Duration,
    /// Backfills that are asked for while this runs.
    pub requests: mpsc::UnboundedReceiver<Backfill>,
    /// Nothing but this backfill is to be read.
    pub only: Option<Backfill>,
}

impl Walks {
    /// Reads until stopped, or until everything was read.
    ///
    /// # Errors
    /// When the journal fails, or, in a run that is to end, when the vendor does.
    pub async fn run(self) -> Result<(), ReadError> {
        for (walk, cursor) in self.pipeline.journal.walks(&self.pipeline.name).await? {
            let cursor: Cursor = serde_json::from_slice(&cursor)?;
            self.pipeline.counters.note_walk(&walk, Progress::of(&cursor));
        }
        let Self { pipeline, source, sweep, poll, requests, only } = self;
        let walks = Taken { pipeline, source, sweep };
        match (only, walks.pipeline.must_end) {
            (Some(backfill), _) => walks.backfill(&backfill.walk()).await.map(|_| ()),
            (None, true) => walks.once().await,
            (None, false) => tokio::try_join!(walks.live(poll), walks.sweeps(), walks.backfills(requests)).map(|_| ()),
        }
    }
}

/// What the walks themselves need.
struct Taken {
    pipeline: Arc<Pipeline>,
    source: Arc<Source>,
    sweep: Sweep,
}

impl Taken {
    async fn walker(&self, walk: Walk, priority: Priority, start: Cursor) -> Result<Walker, ReadError> {
        Walker::resume(&self.pipeline, &self.source, (walk, priority), self.sweep, start).await
    }

    async fn live_walker(&self) -> Result<Walker, ReadError> {
        self.walker(Walk::live(), Priority::Live, self.source.start()).await
    }

    async fn live(&self, poll: Duration) -> Result<(), ReadError> {
        let mut walker = self.live_walker().await?;
        while walker.read_on().await? == Reached::TheEnd && self.pipeline.pause(poll).await {}
        Ok(())
    }

    async fn sweeps(&self) -> Result<(), ReadError> {
        while self.pipeline.pause(LOOK_FOR_SWEEPS).await {
            self.sweep_if_due().await?;
        }
        Ok(())
    }

    async fn sweep_if_due(&self) -> Result<(), ReadError> {
        let (Some(live), last) = (self.cursor(&Walk::live()).await?, self.cursor(&Walk::sweep()).await?) else {
            return Ok(());
        };
        let cursor = match sweep::due(self.sweep, &live, last.as_ref(), self.source.settings().clock.now()) {
            Due::Nothing => return Ok(()),
            Due::Resume => None,
            Due::CountFrom(cursor) => {
                self.stand_at(&Walk::sweep(), &cursor).await?;
                return Ok(());
            }
            Due::Begin(cursor) => Some(cursor),
        };
        if let Some(cursor) = &cursor {
            self.stand_at(&Walk::sweep(), cursor).await?;
        }
        let before = self.pipeline.counters.swept.get();
        let mut walker = self.walker(Walk::sweep(), Priority::Sweep, live).await?;
        if walker.read_on().await? == Reached::TheEnd {
            let found = self.pipeline.counters.swept.get() - before;
            info!(pipeline = %self.pipeline.name, found, "swept what lies behind the overlap");
        }
        Ok(())
    }

    /// Finishes the backfills that were begun, then those that are asked for, one after the other.
    async fn backfills(&self, mut requests: mpsc::UnboundedReceiver<Backfill>) -> Result<(), ReadError> {
        for walk in self.begun_backfills().await? {
            if self.backfill(&walk).await? == Reached::Stop {
                return Ok(());
            }
        }
        loop {
            let asked = tokio::select! {
                () = self.pipeline.stop.cancelled() => return Ok(()),
                asked = requests.recv() => asked,
            };
            let Some(backfill) = asked else {
                // Nobody can ask any more; the pipeline goes on without.
                self.pipeline.stop.cancelled().await;
                return Ok(());
            };
            self.backfill(&backfill.walk()).await?;
        }
    }

    async fn begun_backfills(&self) -> Result<Vec<Walk>, ReadError> {
        let mut begun = Vec::new();
        for (walk, cursor) in self.pipeline.journal.walks(&self.pipeline.name).await? {
            if walk.span().is_some() && !serde_json::from_slice::<Cursor>(&cursor)?.has_ended() {
                begun.push(walk);
            }
        }
        Ok(begun)
    }

    async fn backfill(&self, walk: &Walk) -> Result<Reached, ReadError> {
        let Some((since, until)) = walk.span() else { return Ok(Reached::TheEnd) };
        let start = Cursor::between(since, until);
        if self.cursor(walk).await?.is_none() {
            // Written down before it begins, so that a restart goes on with it.
            self.stand_at(walk, &start).await?;
        }
        let mut walker = self.walker(walk.clone(), Priority::Backfill, start).await?;
        if walker.cursor().has_ended() {
            return Ok(Reached::TheEnd);
        }
        info!(pipeline = %self.pipeline.name, %since, %until, "backfilling");
        let reached = walker.read_on().await?;
        if walker.cursor().has_ended() {
            info!(pipeline = %self.pipeline.name, %since, %until, "the backfill is complete");
        }
        Ok(reached)
    }

    /// Reads everything there is now, each walk once.
    async fn once(&self) -> Result<(), ReadError> {
        if self.live_walker().await?.read_on().await? == Reached::Stop {
            return Ok(());
        }
        self.sweep_if_due().await?;
        for walk in self.begun_backfills().await? {
            self.backfill(&walk).await?;
        }
        Ok(())
    }

    async fn cursor(&self, walk: &Walk) -> Result<Option<Cursor>, ReadError> {
        let cursor = self.pipeline.journal.cursor(&self.pipeline.name, walk).await?;
        Ok(cursor.map(|bytes| serde_json::from_slice(&bytes)).transpose()?)
    }

    /// Writes down where a walk is, without a page.
    async fn stand_at(&self, walk: &Walk, cursor: &Cursor) -> Result<(), ReadError> {
        let place = Place {
            walk: walk.clone(),
            cursor: Bytes::from(serde_json::to_vec(cursor)?),
            forget_before: None,
            seen_at: cursor.complete_up_to,
            late_before: DateTime::<Utc>::MIN_UTC,
        };
        self.pipeline.keep(Vec::new(), place).await?;
        self.pipeline.counters.note_walk(walk, Progress::of(cursor));
        Ok(())
    }
}
