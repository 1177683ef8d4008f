//! A file that is open for appending: found, looked into, written, put aside for a new one. With the disk's own errors.

use std::collections::HashSet;
use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;

use super::folder::{a_link, create_folder, folder_of, not_a_file, sync_folder};
use super::resume::{Resume, resume};
use super::rotate::Rotate;
use super::rotated;
use super::step::step;

/// How far back the lines of a batch are looked for in a file that several pipelines write to.
const SHARED_LOOK_BACK: u64 = 4 * 1024 * 1024;
const CHUNK: usize = 128 * 1024;

/// The lines of one batch that belong into one file.
pub(super) struct Append<'a> {
    pub path: &'a Path,
    pub mode: u32,
    pub pipeline: Arc<str>,
    pub key: String,
    pub lines: Vec<Bytes>,
    /// It may have been begun before, by this process or an earlier one. Only then is it looked for in the file: other
    /// records may have the same lines.
    pub may_be_there: bool,
    pub shared: bool,
    pub rotate: Option<&'a Rotate>,
}

/// A disk error, and what we were doing.
#[derive(Debug)]
pub(super) struct Trouble {
    pub doing: &'static str,
    pub error: io::Error,
}

pub(super) type Outcome<T> = Result<T, Trouble>;

pub(super) fn doing<T>(doing: &'static str) -> impl FnOnce(io::Error) -> Result<T, Trouble> {
    move |error| Err(Trouble { doing, error })
}

pub(super) struct Open {
    pub file: File,
    identity: (u64, u64),
    /// Its length as we left it. Another length means that somebody else wrote.
    pub end: u64,
    /// When it was begun. As we found it where the file system does not tell.
    pub begun: SystemTime,
    /// How far it was written when we found it: what an earlier process may have left of a batch lies before.
    inherited: Mark,
    /// The pipelines that have looked there.
    settled: HashSet<Arc<str>>,
    /// It ends in a part of a line.
    torn: bool,
}

/// A place in a file, which may have been rotated since.
#[derive(Clone, Copy)]
struct Mark {
    /// The file's number, once it has one.
    number: Option<u64>,
    length: u64,
}

impl Open {
    pub fn at(path: &Path, mode: u32) -> Outcome<Self> {
        let folder = folder_of(path);
        create_folder(folder, mode).or_else(doing("create the folder of"))?;
        let mut options = File::options();
        options.read(true).append(true).mode(mode);
        let file = match options.clone().create_new(true).open(path) {
            Ok(file) => {
                // The umask has narrowed the mode; what the operator wrote is meant.
                file.set_permissions(Permissions::from_mode(mode)).or_else(doing("set the mode of"))?;
                file
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => options.open(path).or_else(doing("open"))?,
            Err(error) => return doing("create")(error),
        };
        step();
        // Also for a file that was there: the process that created it may have died before it came here.
        sync_folder(folder).or_else(doing("sync the folder of"))?;
        let found = file.metadata().or_else(doing("read"))?;
        if !found.is_file() {
            return doing("append to")(not_a_file());
        }
        Ok(Self {
            identity: (found.dev(), found.ino()),
            end: found.len(),
            begun: found.created().unwrap_or_else(|_| SystemTime::now()),
            inherited: Mark { number: None, length: found.len() },
            settled: HashSet::new(),
            torn: false,
            file,
        })
    }

    /// Takes away what lies behind `length`, as if it had never been found.
    pub fn cut(&mut self, length: u64) -> Outcome<()> {
        self.file.set_len(length).or_else(doing("shorten"))?;
        self.torn = self.torn_at(length).or_else(doing("read"))?;
        self.end = length;
        self.inherited = Mark { number: None, length };
        Ok(())
    }

    /// Whether the path still leads to this file, and nobody else wrote to it.
    pub fn is_current(&self, path: &Path) -> bool {
        fs::metadata(path).is_ok_and(|found| (found.dev(), found.ino()) == self.identity && found.len() == self.end)
    }

    /// Finds what is there of a batch that an earlier process may have begun.
    pub fn settle(&mut self, append: &Append<'_>) -> Outcome<Resume> {
        if !self.settled.insert(append.pipeline.clone()) {
            return Ok(Resume { newline: self.torn, ..Resume::default() });
        }
        let mut reach: u64 = append.lines.iter().map(|line| line.len() as u64 + 1).sum();
        if append.shared {
            reach += SHARED_LOOK_BACK;
        }
        let Before { text, live, from } = self.lines_before(append, reach).or_else(doing("read"))?;
        let wanted = if append.may_be_there { append.lines.as_slice() } else { &[] };
        let found = resume(&text, wanted, append.shared);
        if self.inherited.number.is_some() || self.inherited.length < self.end {
            // Another pipeline has written behind, and ended the torn line.
            return Ok(Resume { bytes: 0, newline: self.torn, ..found });
        }
        let length = from + (found.keep.max(live) - live) as u64;
        if length < self.end {
            self.file.set_len(length).or_else(doing("shorten"))?;
            self.end = length;
            self.inherited.length = length;
        }
        self.torn = self.torn_at(self.end).or_else(doing("read"))?;
        Ok(Resume { newline: self.torn && found.bytes == 0, ..found })
    }

    /// The text of `reach` bytes before what we found, from the first line start on.
    fn lines_before(&self, append: &Append<'_>, reach: u64) -> io::Result<Before> {
        // One byte more tells whether a line starts right there.
        let want = reach + 1;
        let Mark { number, length } = self.inherited;
        let is_live = number.is_none();
        // Pages that a power cut left unwritten are no text: they must not hide how the batch began.
        let length = if is_live { self.solid(length)? } else { length };
        let mut from = if is_live { length.saturating_sub(want) } else { 0 };
        let mut live = vec![0; usize::try_from(if is_live { length - from } else { 0 }).map_err(io::Error::other)?];
        self.file.read_exact_at(&mut live, from)?;
        let (mut text, is_all) = if from > 0 {
            (Vec::new(), false)
        } else {
            let want = usize::try_from(want - live.len() as u64).map_err(io::Error::other)?;
            let older = rotated::text_before(append.path, number.unwrap_or(u64::MAX), length, want);
            match older {
                // A folder we may write to and not read, such as a drop box: nothing was ever rotated there.
                Err(error) if error.kind() == ErrorKind::PermissionDenied && append.rotate.is_none() => {
                    (Vec::new(), true)
                }
                other => other?,
            }
        };
        let mut start_of_live = text.len();
        text.append(&mut live);
        if !is_all {
            // Without a line start the text is one torn, foreign line; its end is all that matters of it.
            if let Some(line_end) = text.iter().position(|byte| *byte == b'\n') {
                let cut = line_end + 1;
                text.drain(..cut);
                from += cut.saturating_sub(start_of_live) as u64;
                start_of_live = start_of_live.saturating_sub(cut);
            }
        }
        Ok(Before { text, live: start_of_live, from })
    }

    /// Where what was written ends, in the first `length` bytes: what lies behind are zeros, which JSON never has.
    fn solid(&self, length: u64) -> io::Result<u64> {
        let mut end = length;
        let mut chunk = vec![0; CHUNK];
        while end > 0 {
            let from = end.saturating_sub(CHUNK as u64);
            let part = &mut chunk[..usize::try_from(end - from).map_err(io::Error::other)?];
            self.file.read_exact_at(part, from)?;
            if let Some(last) = part.iter().rposition(|byte| *byte != 0) {
                return Ok(from + last as u64 + 1);
            }
            end = from;
        }
        Ok(0)
    }

    /// Whether the file would end in a part of a line if it ended there.
    fn torn_at(&self, end: u64) -> io::Result<bool> {
        let mut last = [b'\n'];
        if end > 0 {
            self.file.read_exact_at(&mut last, end - 1)?;
        }
        Ok(last != [b'\n'])
    }

    /// How many of the lines go into this file: all, or those that fit. One at least.
    pub fn fitting(&self, rotate: Option<&Rotate>, lines: &[Bytes], next: Resume) -> usize {
        let Some(rotate) = rotate else {
            return lines.len();
        };
        let mut end = self.end + u64::from(next.newline) - next.bytes as u64;
        let fits = |line: &Bytes| {
            end += line.len() as u64 + 1;
            !rotate.is_over(end)
        };
        let fitting = lines.iter().position({
            let mut fits = fits;
            move |line| !fits(line)
        });
        fitting.unwrap_or(lines.len()).max(1).min(lines.len())
    }

    /// Puts the file aside under the next number and begins a new one. Its text is whole lines.
    pub fn rotate(&mut self, append: &Append<'_>) -> Outcome<u64> {
        let path = append.path;
        // What is looked for in it one day must be there after a power cut, or the new file must not be.
        self.file.sync_data().or_else(doing("sync"))?;
        if fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink()) {
            return doing("rotate")(a_link());
        }
        if !self.is_current(path) {
            return doing("rotate")(io::Error::new(ErrorKind::ResourceBusy, "somebody else writes to it or moves it"));
        }
        let last = rotated::list(path).or_else(doing("list what was rotated of"))?.into_keys().next_back();
        let number = last.unwrap_or(0) + 1;
        step();
        fs::rename(path, rotated::name(path, number)).or_else(doing("rotate"))?;
        step();
        sync_folder(folder_of(path)).or_else(doing("sync the folder of"))?;
        step();
        let begun = Self::at(path, append.mode)?;
        step();
        let aside = std::mem::replace(self, begun);
        if self.end == 0 {
            let number = aside.inherited.number.or(Some(number));
            self.inherited = Mark { number, ..aside.inherited };
            self.settled = aside.settled;
        }
        Ok(number)
    }

    pub fn write(&mut self, lines: &[Bytes], next: Resume) -> io::Result<()> {
        let start = self.end;
        let written = self.write_chunks(lines, next);
        if written.is_err() {
            // Best effort: a torn line that another pipeline comes upon would stay torn.
            let reached = self.file.metadata()?.len();
            let whole = last_line_end(lines, next, start, reached);
            if whole < reached {
                self.file.set_len(whole)?;
            }
        }
        self.torn = false;
        written
    }

    fn write_chunks(&mut self, lines: &[Bytes], next: Resume) -> io::Result<()> {
        let mut chunk = Vec::with_capacity(CHUNK);
        if next.newline {
            chunk.push(b'\n');
        }
        let mut skip = next.bytes;
        for line in lines {
            chunk.extend_from_slice(&line[skip..]);
            chunk.push(b'\n');
            skip = 0;
            if chunk.len() >= CHUNK {
                self.put(&mut chunk)?;
            }
        }
        self.put(&mut chunk)
    }

    pub fn put(&mut self, chunk: &mut Vec<u8>) -> io::Result<()> {
        step();
        self.file.write_all(chunk)?;
        self.end += chunk.len() as u64;
        chunk.clear();
        Ok(())
    }
}

/// The text before a place, looked into for what a batch has left there.
struct Before {
    /// Whole lines, but for the last.
    text: Vec<u8>,
    /// Where in the text the live file's part begins.
    live: usize,
    /// Where that part begins in the live file.
    from: u64,
}

/// The last place up to `reached` where one of the lines ends, or where they began.
fn last_line_end(lines: &[Bytes], next: Resume, start: u64, reached: u64) -> u64 {
    let mut end = start + u64::from(next.newline);
    if end > reached {
        return start;
    }
    let mut whole = end;
    let mut skip = next.bytes as u64;
    for line in lines {
        end += line.len() as u64 + 1 - skip;
        skip = 0;
        if end > reached {
            break;
        }
        whole = end;
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_leaves_whole_lines_and_the_rest_follows() {
        let lines: Vec<Bytes> = ["{\"n\":1}", "{\"n\":2}", "{\"n\":3}"].map(Bytes::from).into();
        for (reached, whole) in [(0, 0), (7, 0), (8, 8), (15, 8), (16, 16), (24, 24)] {
            assert_eq!(last_line_end(&lines, Resume::default(), 0, reached), whole);
            assert_eq!(last_line_end(&lines, Resume::default(), 100, 100 + reached), 100 + whole);
        }
        let found = Resume { newline: true, ..Resume::default() };
        assert_eq!(last_line_end(&lines, found, 5, 5), 5);
        assert_eq!(last_line_end(&lines, found, 5, 13), 6);
        assert_eq!(last_line_end(&lines, found, 5, 14), 14);
    }
}
