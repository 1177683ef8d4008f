//! Reading files: an archive of a vendor's raw records that is replayed, or a log of them that still grows.
//!
//! ```text
//! FilePosition ─► survey ─► the next file ─► content ─► lines ─► records ─► refine
//!                 pattern    shelf, resume    plain,      └─► the next FilePosition
//!                                             gzip, zstd
//! ```
//!
//! A line is a record as the connector's API gives it, one JSON object. What is none, or longer than 4 MiB, becomes a
//! dead letter that names file and line.
//!
//! **Order.** Files that were begun come first, in the order in which they were begun; then the others, in the order of
//! their names. Each is read to where it ended when it was looked at, so that one that grows faster than it is read does
//! not keep the others waiting.
//!
//! **Which file is which.** A file is known by device, inode and time of birth, and by fingerprints of its first bytes and
//! of those that were read last. So a renamed file is followed to its end, under whatever name in the same folder; a new
//! one in its place, or with its inode, is read from the beginning, as is one that was truncated. A copy of what was read,
//! packed or not, goes on where that was left: a rotation that copies or compresses does not bring everything twice. What
//! was appended between our last look and a rotation that truncates is in the copy only, and what came and went between
//! two looks is under a rotated name only: the pattern should match those names too.
//!
//! **The last line** may have no line break. It is read at once when it is a whole JSON object. Half a line waits for its
//! other half; only where there cannot be one (`follow = false`, or a packed file that is whole) does it become a dead
//! letter.
//!
//! **Packed files** are unpacked as they are read, and the offset counts what they unpack to. One that is cut off is taken
//! to be still on its way, unless `follow = false`; one that is damaged ends there, with a dead letter that says so.

mod content;
#[cfg(test)]
mod laws;
mod lines;
mod marks;
mod page;
mod position;
mod record;
mod resume;
mod settings;
mod shelf;
mod survey;

use std::sync::{Arc, Mutex, MutexGuard};

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

pub use self::position::{FileId, FilePosition, Head, Mark};
pub use self::settings::{FilePattern, FileSettings, PatternError};
use self::shelf::{Gathered, Shelf};
use super::{Progress, Refine, SourceError};
use crate::event::Arena;

/// Reads files. Holds no position: reading the same one twice is harmless.
pub struct FileSource {
    settings: FileSettings,
    /// Held while a page is gathered, by a thread that may wait for the disk; never across an await.
    shelf: Arc<Mutex<Shelf>>,
}

/// What one read brought.
#[derive(Debug)]
pub struct FilePage<T> {
    /// The refined records, as they stand in the files.
    pub items: Vec<T>,
    /// Where the next read goes on. To be kept with the items, wholly or not at all.
    pub next: FilePosition,
    /// Whether there is more to read now.
    pub progress: Progress,
    /// The newest time of a record so far. No promise that everything before it was read: files promise nothing.
    pub watermark: Option<DateTime<Utc>>,
    /// How many bytes on disk were read of all files there are, as far as is known: no more than
    /// [`total_bytes`](Self::total_bytes).
    pub read_bytes: u64,
    /// How many bytes all files have on disk.
    pub total_bytes: u64,
}

impl FileSource {
    /// A source of the files that `settings` mean.
    #[must_use]
    pub fn new(settings: FileSettings) -> Self {
        Self { shelf: Arc::new(Mutex::new(Shelf::new(settings.clone()))), settings }
    }

    /// What this source was told.
    #[must_use]
    pub fn settings(&self) -> &FileSettings {
        &self.settings
    }

    /// The position of a source that has not read anything.
    #[must_use]
    pub fn start(&self) -> FilePosition {
        FilePosition::default()
    }

    /// Reads the first lines, to see that there is something that can be read.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub async fn check(&self) -> Result<(), SourceError> {
        self.gather(&self.start(), true).await.map(drop)
    }

    /// Reads the page that begins at `position`: about 1000 lines or 4 MiB, of as many files as that takes. Every record of
    /// it goes through `refine`. `to_the_end` says that nobody waits for what will be added: what cannot be read is then an
    /// error, once everything else was read.
    ///
    /// # Errors
    /// When what is left cannot be read. Nothing was skipped: the same position leads there again.
    pub async fn read<T: Send>(
        &self,
        position: &FilePosition,
        to_the_end: bool,
        refine: Refine<'_, T>,
    ) -> Result<FilePage<T>, SourceError> {
        let Gathered { lines, mut next, progress, read_bytes, total_bytes } =
            self.gather(position, to_the_end || !self.settings.follow).await?;
        let rules = &self.settings.connector.definition.decode;
        let mut arena = Arena::new();
        let mut items = Vec::with_capacity(lines.iter().len());
        for line in lines.iter() {
            let (time, item) = record::hand_out(&line, rules, &arena, refine);
            next.newest = next.newest.max(time);
            items.push(item);
            arena.reset();
        }
        Ok(FilePage { items, watermark: next.newest, next, progress, read_bytes, total_bytes })
    }

    async fn gather(&self, position: &FilePosition, to_the_end: bool) -> Result<Gathered, SourceError> {
        let (shelf, position) = (Arc::clone(&self.shelf), position.clone());
        let stop = CancellationToken::new();
        // A thread cannot be dropped as a future can: it is told.
        let _told_when_dropped = stop.clone().drop_guard();
        let gathering = tokio::task::spawn_blocking(move || held(&shelf).gather(&position, to_the_end, &stop));
        gathering.await.unwrap_or_else(|failed| match failed.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(SourceError::Retryable { message: "reading files was stopped".to_owned(), after: None }),
        })
    }
}

/// The shelf, without what a panic may have left half done.
fn held(shelf: &Mutex<Shelf>) -> MutexGuard<'_, Shelf> {
    shelf.lock().unwrap_or_else(|poisoned| {
        shelf.clear_poison();
        let mut shelf = poisoned.into_inner();
        shelf.forget();
        shelf
    })
}

impl std::fmt::Debug for FileSource {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("FileSource").field("pattern", &self.settings.pattern).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::connector::Connector;
    use crate::event::{Clock, json};
    use crate::source::Raw;
    use crate::transform::normalize::{Form, Normalize};
    use crate::transform::{Notes, Transform};

    fn source(folder: &Path, pattern: &str, connector: &str) -> FileSource {
        FileSource::new(FileSettings {
            connector: Connector::embedded(connector).unwrap(),
            pattern: FilePattern::new(folder, pattern).unwrap(),
            follow: true,
            clock: Clock::system(),
        })
    }

    #[tokio::test]
    async fn an_archive_is_mapped_like_what_the_api_gives() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/replay/pipelines");
        let source = source(&folder, "../archive/*.ndjson*", "cloudflare");
        let connector = &source.settings().connector;
        let normalize = Normalize::new(Form::Ocsf, Arc::clone(&connector.map), connector.identity.clone());
        let refine = |raw: Raw<'_>, arena: &Arena| match raw {
            Raw::Event(event) => {
                let event = normalize.apply(event, arena, &mut Notes::default()).unwrap();
                let class = event.body.get("class_name").map(|name| json::to_string(&name)).unwrap();
                format!("{} {class}", event.time.format("%d %H:%M"))
            }
            Raw::Unreadable { reason, .. } => panic!("{reason}"),
        };
        let page = source.read(&source.start(), true, &refine).await.unwrap();
        let expected = [
            "13 07:58 \"Authentication\"",
            "13 08:01 \"API Activity\"",
            "13 16:40 \"API Activity\"",
            "14 08:22 \"Account Change\"",
            "14 09:05 \"API Activity\"",
            "14 11:47 \"API Activity\"",
        ];
        assert_eq!((page.items, page.progress), (expected.map(str::to_owned).into(), Progress::CaughtUp));
    }

    #[tokio::test]
    async fn records_are_read_with_their_ids_and_times_and_what_is_none_says_where_it_stands() {
        let folder = tempfile::tempdir().unwrap();
        let text = "{\"id\":\"e-1\",\"created_at\":\"2026-09-14T08:22:31Z\"}\nno JSON\n{\"id\":\"e-2\"}\n";
        fs::write(folder.path().join("a.json"), text).unwrap();
        let source = source(folder.path(), "*.json", "telnyx");
        source.check().await.unwrap();
        let refine = |raw: Raw<'_>, _: &Arena| match raw {
            Raw::Event(event) => event.id.to_owned(),
            Raw::Unreadable { reason, .. } => reason.to_owned(),
        };
        let page = source.read(&source.start(), false, &refine).await.unwrap();
        let place = folder.path().join("a.json");
        let reason = format!("line 2 of `{}` is not JSON at byte 1: expected ident", place.display());
        assert_eq!(page.items, ["e-1", reason.as_str(), "e-2"]);
        assert_eq!(page.watermark, Some("2026-09-14T08:22:31Z".parse().unwrap()));
        assert_eq!((page.progress, page.read_bytes, page.total_bytes), (Progress::CaughtUp, 70, 70));
        let next = source.read(&page.next, false, &refine).await.unwrap();
        assert_eq!((next.items.len(), next.watermark, next.next), (0, page.watermark, page.next));
    }
}
