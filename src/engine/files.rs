//! Takes files of a vendor's records, page by page, into the journal.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};

use super::pipeline::{FIRST_WAIT, Item, LONGEST_WAIT, Pipeline, Place, ReadError};
use super::refine::refine;
use super::told::Trouble;
use crate::journal::Walk;
use crate::source::file::{FilePage, FilePosition, FileSource};
use crate::source::{Progress, SourceError};

/// A file may hold records of any age, so their ids are kept by when they were read, for as long as an API's are.
const REMEMBERED: TimeDelta = TimeDelta::hours(49);

/// Reads the files of one pipeline.
pub struct FileReader {
    pub pipeline: Arc<Pipeline>,
    pub source: FileSource,
    /// How long to wait when everything was read.
    pub poll: Duration,
}

impl FileReader {
    /// Reads until stopped, or, where files are not followed, to their end.
    ///
    /// # Errors
    /// When the journal fails, or, in a run that is to end, when a file cannot be read.
    pub async fn run(self) -> Result<(), ReadError> {
        let mut position = match self.pipeline.journal.cursor(&self.pipeline.name, &Walk::live()).await? {
            Some(bytes) => serde_json::from_slice(&bytes)?,
            None => self.source.start(),
        };
        let mut trouble = Trouble::none(FIRST_WAIT, LONGEST_WAIT);
        while self.pipeline.has_room().await? {
            let read = tokio::select! {
                () = self.pipeline.stop.cancelled() => return Ok(()),
                read = self.read(&position) => read,
            };
            let kept = match read {
                Ok(page) => self.keep(page).await,
                Err(error) => Err(error.into()),
            };
            let wait = match kept {
                Ok((next, progress)) => {
                    self.pipeline.recovered(&mut trouble);
                    position = next;
                    match progress {
                        Progress::More => continue,
                        Progress::Wait(wait) => wait,
                        Progress::CaughtUp if self.to_the_end() => return Ok(()),
                        Progress::CaughtUp => self.poll,
                    }
                }
                Err(error) => self.pipeline.outlast(error, "files", &mut trouble)?,
            };
            if !self.pipeline.pause(wait).await {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Nobody waits for what will be added.
    fn to_the_end(&self) -> bool {
        self.pipeline.must_end || !self.source.settings().follow
    }

    async fn read(&self, position: &FilePosition) -> Result<FilePage<Item>, SourceError> {
        let transforms = &self.pipeline.transforms;
        self.source.read(position, self.to_the_end(), &|raw, arena| refine(raw, transforms, arena)).await
    }

    async fn keep(&self, page: FilePage<Item>) -> Result<(FilePosition, Progress), ReadError> {
        let now = self.source.settings().clock.now();
        let place = Place {
            walk: Walk::live(),
            cursor: Bytes::from(serde_json::to_vec(&page.next)?),
            forget_before: Some(now - REMEMBERED),
            seen_at: now,
            late_before: DateTime::<Utc>::MIN_UTC,
        };
        self.pipeline.keep(page.items, place).await?;
        self.pipeline.counters.set_bytes(page.read_bytes, page.total_bytes);
        Ok((page.next, page.progress))
    }
}
