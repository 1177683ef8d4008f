//! A bounded page of lines, and which files they stand in.

use std::ops::Range;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

/// How much is taken at a time.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Lines in a page.
    pub lines: usize,
    /// Bytes at which a page is full. One more line may go beyond.
    pub bytes: usize,
    /// The longest line that is read.
    pub line: usize,
}

/// What a source reads by.
pub const LIMITS: Limits = Limits { lines: 1000, bytes: 4 << 20, line: 4 << 20 };

/// A page of lines, in one piece of memory.
#[derive(Debug, Default)]
pub struct Lines {
    text: Vec<u8>,
    files: Vec<(PathBuf, DateTime<Utc>)>,
    lines: Vec<(usize, u64, Range<usize>, Kind)>,
}

/// One line of a page.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// The file it stands in.
    pub path: &'a Path,
    /// When that was last written to.
    pub modified: DateTime<Utc>,
    /// Its number there, from 1.
    pub number: u64,
    /// What it says, without the line break.
    pub text: &'a [u8],
    /// What it is.
    pub kind: &'a Kind,
}

/// What a line is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A record, as it should be.
    Record,
    /// The beginning of a line of so many bytes.
    TooLong(u64),
    /// The beginning of a last line, of which there is no more.
    CutOff,
    /// The same of one that is too long.
    Endless,
    /// The last there is of a content that cannot be unpacked any further, and why.
    Damaged(String),
}

impl Lines {
    /// Whether no more is to be added.
    #[must_use]
    pub fn is_full(&self, limits: &Limits) -> bool {
        self.lines.len() >= limits.lines || self.text.len() >= limits.bytes
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Says which file the next lines are from.
    pub fn begin_file(&mut self, path: &Path, modified: DateTime<Utc>) {
        // One without lines leaves nothing behind: there may be any number of them.
        let used = self.lines.last().map_or(0, |(file, ..)| file + 1);
        self.files.truncate(used);
        self.files.push((path.to_owned(), modified));
    }

    /// Adds a line of that file.
    pub fn push(&mut self, number: u64, text: &[u8], kind: Kind) {
        let from = self.text.len();
        self.text.extend_from_slice(text);
        self.lines.push((self.files.len() - 1, number, from..self.text.len(), kind));
    }

    /// The lines, in the order in which they were read.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Line<'_>> {
        self.lines.iter().map(|(file, number, span, kind)| {
            let (path, modified) = &self.files[*file];
            Line { path, modified: *modified, number: *number, text: &self.text[span.clone()], kind }
        })
    }
}
