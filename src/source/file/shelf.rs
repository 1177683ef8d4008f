//! The files of one source: which of them is read next, and what is known of them from one page to the next.
//!
//! All that is kept here could be found out again from the position. Everything waits for the disk, so it is called where
//! that does no harm.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::path::{Path, PathBuf};

use chrono::TimeDelta;
use tokio_util::sync::CancellationToken;

use super::lines::Stopped;
use super::marks::Marks;
use super::page::{LIMITS, Limits, Lines};
use super::position::{FileId, FilePosition};
use super::resume::{Opened, Opening, open};
use super::settings::FileSettings;
use super::survey::{Found, Stamp, Survey};
use crate::source::{Progress, SourceError};

/// A file that was written to so short a time ago may be written to again without its times telling.
const STILL: TimeDelta = TimeDelta::seconds(2);
/// Somebody should know of half a line that has waited so long for its other half.
const LONG: TimeDelta = TimeDelta::minutes(10);

/// A page of lines, and where the next one begins.
#[derive(Debug)]
pub struct Gathered {
    /// The lines.
    pub lines: Lines,
    /// Where to go on.
    pub next: FilePosition,
    /// Whether there is more.
    pub progress: Progress,
    /// How many bytes on disk were read of all files.
    pub read_bytes: u64,
    /// How many bytes on disk all files have.
    pub total_bytes: u64,
}

/// The files of one source.
pub struct Shelf {
    settings: FileSettings,
    limits: Limits,
    /// The files that may have more, in the order in which they are read.
    queue: VecDeque<Found>,
    /// The digest of the position that the queue and the open file belong to.
    stands_at: Option<u64>,
    /// The file in the middle of which a page ended. In a packed one it would take long to find that place again.
    open: Option<Opened>,
    /// The files that had nothing more in them.
    settled: HashMap<FileId, Settled>,
    /// What could not be looked at, or not be read, since the last survey.
    unreadable: Vec<(PathBuf, io::Error)>,
    /// What was said of files, so that it is not said again.
    told: HashSet<(PathBuf, String)>,
    seen: Seen,
}

/// How a file was when there was nothing more in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Settled {
    stamp: Stamp,
    /// Up to where it had been read.
    offset: u64,
    /// The number of a last line that was not whole.
    half: Option<u64>,
}

/// What the last survey found.
#[derive(Debug, Default)]
struct Seen {
    files: usize,
    /// Bytes of all files on disk.
    total: u64,
    /// Bytes of those that have left the queue.
    read: u64,
}

/// Why a file is left.
#[derive(PartialEq, Eq)]
enum Left {
    /// The page is full, and the file perhaps not at its end.
    Full,
    /// There is nothing more in it, or nothing that was there when it was looked at.
    AtEnd,
    /// It is no longer where it was.
    Moved,
}

impl Shelf {
    /// The files that `settings` mean.
    pub fn new(settings: FileSettings) -> Self {
        Self {
            settings,
            limits: LIMITS,
            queue: VecDeque::new(),
            stands_at: None,
            open: None,
            settled: HashMap::new(),
            unreadable: Vec::new(),
            told: HashSet::new(),
            seen: Seen::default(),
        }
    }

    /// The same with pages and lines of another size.
    #[cfg(test)]
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Forgets what it knows, which is then found out again.
    pub fn forget(&mut self) {
        self.queue.clear();
        self.stands_at = None;
        self.open = None;
    }

    /// Gathers the lines that `position` stands before. `to_the_end` says that nobody will ask for what comes later.
    ///
    /// # Errors
    /// When nobody will ask again and nothing else is left than what cannot be read.
    pub fn gather(
        &mut self,
        position: &FilePosition,
        to_the_end: bool,
        stop: &CancellationToken,
    ) -> Result<Gathered, SourceError> {
        if self.stands_at.take() != Some(position.digest()) {
            self.forget();
        }
        let (mut marks, mut lines) = (Marks::new(position.files.clone()), Lines::default());
        let (mut surveys, mut has_moved) = (0, false);
        let progress = loop {
            if lines.is_full(&self.limits) || stop.is_cancelled() {
                break Progress::More;
            }
            let Some(found) = self.queue.pop_front() else {
                // What is renamed while we look is looked for once more, under its new name.
                if surveys == 0 || (surveys == 1 && std::mem::take(&mut has_moved)) {
                    self.look_around(&mut marks);
                    surveys += 1;
                    continue;
                }
                break Progress::CaughtUp;
            };
            match self.read_file(&found, &mut marks, &mut lines, to_the_end, stop) {
                Ok(Left::Full) => self.queue.push_front(found),
                Ok(left) => {
                    has_moved |= left == Left::Moved;
                    self.seen.read += found.stamp.size;
                }
                Err(error) => self.unreadable.push((found.path, error)),
            }
        };
        let next = FilePosition { newest: position.newest, files: marks.into_inner() };
        let progress = self.ended(progress, to_the_end, lines.is_empty() && *position == next)?;
        // A stop may have interrupted anything.
        self.stands_at = (!stop.is_cancelled()).then(|| next.digest());
        Ok(Gathered { lines, next, progress, read_bytes: self.read_bytes(), total_bytes: self.seen.total })
    }

    /// Makes the queue: first the files that were begun, in the order in which they were, then the others by name.
    fn look_around(&mut self, marks: &mut Marks) {
        let now = self.settings.clock.now();
        let survey = Survey::of(&self.settings.pattern, marks.iter().map(|mark| mark.id));
        let present: HashSet<FileId> = survey.files.iter().map(|found| found.id).collect();
        // What cannot be looked into may hold any of them.
        if survey.unreadable.is_empty() {
            marks.note_present(&present, now);
        }
        self.settled.retain(|id, _| present.contains(id));
        self.unreadable = survey.unreadable;
        self.seen = Seen { files: survey.files.len(), ..Seen::default() };
        let begun: HashMap<FileId, (usize, u64)> =
            marks.iter().enumerate().map(|(rank, mark)| (mark.id, (rank, mark.offset))).collect();
        let mut queue = Vec::new();
        for found in survey.files {
            let (rank, offset) = begun.get(&found.id).copied().unwrap_or((usize::MAX, 0));
            self.seen.total += found.stamp.size;
            match self.settled.get(&found.id).copied() {
                Some(settled) if (settled.stamp, settled.offset) == (found.stamp, offset) => {
                    self.seen.read += found.stamp.size;
                    if let Some(line) = settled.half.filter(|_| now - found.stamp.changed() > LONG) {
                        self.tell(&found.path, &not_whole(line));
                    }
                }
                _ => queue.push((rank, found)),
            }
        }
        // They come in the order of their names, and a stable sort keeps that.
        queue.sort_by_key(|(rank, _)| *rank);
        self.queue = queue.into_iter().map(|(_, found)| found).collect();
    }

    fn read_file(
        &mut self,
        found: &Found,
        marks: &mut Marks,
        lines: &mut Lines,
        to_the_end: bool,
        stop: &CancellationToken,
    ) -> io::Result<Left> {
        let mut opened = match self.open.take().filter(|open| open.is_still(found.id)) {
            Some(opened) => opened,
            None => match open(found, marks, self.settings.clock.now(), stop)? {
                Opening::At(opened) => opened,
                Opening::Unchanged(stamp) => {
                    self.settle(found.id, stamp, marks, None);
                    return Ok(Left::AtEnd);
                }
                Opening::Elsewhere => {
                    marks.begin(found.id);
                    return Ok(Left::Moved);
                }
                Opening::Stranger => return Ok(Left::AtEnd),
            },
        };
        lines.begin_file(&found.path, opened.stamp.modified());
        let filled = opened.splitter.fill(lines, &self.limits, !self.settings.follow, stop);
        let trail = opened.splitter.trail();
        let size = if matches!(filled, Ok(Stopped::AtEnd)) { opened.stamp.size } else { 0 };
        // Whatever went wrong then: what was added to the page was read.
        match trail.offset {
            0 => marks.begin(found.id),
            _ => marks.note(trail.mark(found.id, size)),
        }
        let half = match filled? {
            // One that grows as fast as it is read must not keep the others waiting.
            Stopped::Full if opened.splitter.has_passed(found.stamp.size) => return Ok(Left::AtEnd),
            Stopped::Full => {
                self.open = Some(opened);
                return Ok(Left::Full);
            }
            Stopped::AtEnd => None,
            Stopped::Unfinished => Some(trail.lines + 1),
        };
        if let Some(line) = half.filter(|_| to_the_end) {
            self.tell(&found.path, &not_whole(line));
        }
        self.settle(found.id, opened.stamp, marks, half);
        Ok(Left::AtEnd)
    }

    /// Remembers that a file has nothing more, where its times would tell if that changed.
    fn settle(&mut self, id: FileId, stamp: Stamp, marks: &Marks, half: Option<u64>) {
        if !self.settings.follow || self.settings.clock.now() - stamp.changed() > STILL {
            let offset = marks.find(id).map_or(0, |mark| mark.offset);
            self.settled.insert(id, Settled { stamp, offset, half });
        }
    }

    /// What a page comes to that ended so: where nobody will ask again, what cannot be read must not go unnoticed.
    fn ended(&mut self, progress: Progress, to_the_end: bool, is_empty: bool) -> Result<Progress, SourceError> {
        if progress != Progress::CaughtUp {
            return Ok(progress);
        }
        if !to_the_end {
            for (path, error) in std::mem::take(&mut self.unreadable) {
                self.tell(&path, &format!("it cannot be read: {error}"));
            }
        }
        match self.unreadable.first() {
            Some((path, error)) if is_empty => Err(unreadable(path, error)),
            Some(_) => Ok(Progress::More),
            None if self.seen.files == 0 && is_empty && !self.settings.follow => Err(nothing(&self.settings)),
            None => Ok(progress),
        }
    }

    fn tell(&mut self, path: &Path, what: &str) {
        if self.told.insert((path.to_owned(), what.to_owned())) {
            tracing::warn!(file = %path.display(), what, "a file was not read whole");
        }
    }

    fn read_bytes(&self) -> u64 {
        let first = self.queue.front().zip(self.open.as_ref());
        self.seen.read + first.map_or(0, |(found, open)| open.splitter.disk_offset().min(found.stamp.size))
    }
}

fn not_whole(line: u64) -> String {
    format!("line {line} is not whole: it is left until it is")
}

fn unreadable(path: &Path, error: &io::Error) -> SourceError {
    let message = format!("cannot read `{}`: {error}", path.display());
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            SourceError::Configuration { message, hint: "let the user that auditline runs as read it".to_owned() }
        }
        _ => SourceError::Retryable { message, after: None },
    }
}

fn nothing(settings: &FileSettings) -> SourceError {
    SourceError::Configuration {
        message: format!("no file matches `{}`", settings.pattern),
        hint: "check `path`, or leave `follow = false` out to wait for files".to_owned(),
    }
}

#[cfg(test)]
mod tests;
