//! Takes one walk through a vendor's log, page by page, into the journal.

use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use tracing::warn;

use super::counters::Progress as WalkProgress;
use super::pipeline::{FIRST_WAIT, Item, LONGEST_WAIT, Pipeline, Place, ReadError};
use super::refine::refine;
use super::sweep;
use super::told::Trouble;
use crate::config::Sweep;
use crate::journal::Walk;
use crate::source::{Cursor, Page, Priority, Progress, Source, SourceError};

/// A seen id is remembered this much longer than any read can reach back, for clocks and for vendors that correct times.
pub const REMEMBERED_LONGER: TimeDelta = TimeDelta::hours(25);

/// One walk through one pipeline's log.
pub struct Walker {
    pub pipeline: Arc<Pipeline>,
    pub source: Arc<Source>,
    pub walk: Walk,
    pub priority: Priority,
    /// What a sweep may hand out again must not be forgotten.
    pub sweep: Sweep,
    cursor: Cursor,
}

/// Why a walk paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reached {
    /// Everything was read that there is to read by now.
    TheEnd,
    /// The pipeline was stopped.
    Stop,
}

impl Walker {
    /// The walk from where the journal says that it is, or from `start` where it says nothing.
    pub async fn resume(
        pipeline: &Arc<Pipeline>,
        source: &Arc<Source>,
        (walk, priority): (Walk, Priority),
        sweep: Sweep,
        start: Cursor,
    ) -> Result<Self, ReadError> {
        let cursor = match pipeline.journal.cursor(&pipeline.name, &walk).await? {
            Some(bytes) => serde_json::from_slice(&bytes)?,
            None => start,
        };
        let (cursor, told) = source.adopt(&cursor);
        if let Some(told) = told {
            warn!(pipeline = %pipeline.name, %walk, "{told}");
        }
        let walker = Self { pipeline: pipeline.clone(), source: source.clone(), walk, priority, sweep, cursor };
        walker.note_progress();
        Ok(walker)
    }

    /// Where the walk is.
    pub fn cursor(&self) -> &Cursor {
        &self.cursor
    }

    /// Reads on until there is nothing more to read for now, or the pipeline is stopped.
    ///
    /// # Errors
    /// When the journal fails, or, in a run that is to end, when the vendor does.
    pub async fn read_on(&mut self) -> Result<Reached, ReadError> {
        let mut trouble = Trouble::none(FIRST_WAIT, LONGEST_WAIT);
        loop {
            if !self.pipeline.has_room().await? {
                return Ok(Reached::Stop);
            }
            let read = tokio::select! {
                () = self.pipeline.stop.cancelled() => return Ok(Reached::Stop),
                read = self.read() => read,
            };
            let kept = match read {
                Ok(page) => {
                    let progress = page.progress;
                    self.keep(page).await.map(|is_new| (progress, is_new))
                }
                Err(error) => Err(error.into()),
            };
            let wait = match kept {
                Ok((progress, is_new)) => {
                    // To read the same pages again up to the same failure is no getting on.
                    if is_new || progress == Progress::CaughtUp {
                        self.pipeline.recovered(&mut trouble);
                    }
                    match progress {
                        Progress::More => continue,
                        Progress::Wait(wait) => wait,
                        Progress::CaughtUp => return Ok(Reached::TheEnd),
                    }
                }
                Err(error) => {
                    // What the vendor gave us for this walk may be what it chokes on.
                    self.cursor = self.cursor.durable();
                    self.pipeline.outlast(error, self.walk.as_str(), &mut trouble)?
                }
            };
            if !self.pipeline.pause(wait).await {
                return Ok(Reached::Stop);
            }
        }
    }

    async fn read(&self) -> Result<Page<Item>, SourceError> {
        let transforms = &self.pipeline.transforms;
        self.source.read(&self.cursor, self.priority, &|raw, arena| refine(raw, transforms, arena)).await
    }

    /// Makes a page durable, and stands at the cursor after it. Returns whether the walk got further: by a record that is
    /// new or dropped for the first time, or by the end of a window.
    async fn keep(&mut self, page: Page<Item>) -> Result<bool, ReadError> {
        let next = page.next;
        let own_reads = page.own_reads;
        let place = self.place(&next)?;
        let appended = self.pipeline.keep(page.items, place).await?;
        self.pipeline.counters.own_reads.add(own_reads);
        let has_new = appended.added > 0 || !appended.dropped.is_empty();
        let is_new = has_new || next.complete_up_to > self.cursor.complete_up_to;
        self.cursor = next;
        self.note_progress();
        Ok(is_new)
    }

    fn place(&self, next: &Cursor) -> Result<Place, ReadError> {
        let before = &self.cursor;
        let window = next.window.as_ref().or(before.window.as_ref());
        let window_from = window.map_or(before.complete_up_to, |window| window.from);
        let cursor = Bytes::from(serde_json::to_vec(&next.durable())?);
        Ok(match self.priority {
            Priority::Live => {
                let reach = next.settled.min(next.complete_up_to).min(window_from);
                let last = self.pipeline.counters.walks().get(&Walk::sweep()).copied();
                let reach = sweep::reach(self.sweep, last, reach);
                Place {
                    walk: self.walk.clone(),
                    cursor,
                    forget_before: Some(reach - REMEMBERED_LONGER),
                    seen_at: window_from,
                    late_before: before.complete_up_to,
                }
            }
            Priority::Sweep => Place {
                walk: self.walk.clone(),
                cursor,
                forget_before: None,
                seen_at: window_from,
                late_before: self.pipeline.counters.watermark().unwrap_or(before.complete_up_to),
            },
            // The live walk has forgotten what is so old: a backfill's ids are kept by when it read them.
            Priority::Backfill => Place {
                walk: self.walk.clone(),
                cursor,
                forget_before: None,
                seen_at: self.source.settings().clock.now(),
                late_before: DateTime::<Utc>::MIN_UTC,
            },
        })
    }

    fn note_progress(&self) {
        let counters = &self.pipeline.counters;
        if self.priority == Priority::Live {
            counters.set_watermark(self.cursor.complete_up_to);
        }
        counters.note_walk(&self.walk, WalkProgress::of(&self.cursor));
    }
}
