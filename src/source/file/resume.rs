//! Opening a file where it was left, or where a copy of it was.

use std::fs::File;
use std::io;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use super::content::{self, Content, Form};
use super::lines::Splitter;
use super::marks::Marks;
use super::position::{FileId, Mark, Trail};
use super::survey::{Found, Stamp};

/// Files that all begin alike are not compared each with each: what of a copy is read again has ids that were seen.
const MOST_COMPARED: usize = 8;

/// What became of opening a file.
pub enum Opening {
    /// It is read from here.
    At(Opened),
    /// It was read to its end, and nothing was added: it is as this says.
    Unchanged(Stamp),
    /// It is not there any more, or another one is.
    Elsewhere,
    /// It is not what was begun, and nobody asked for it by its name.
    Stranger,
}

/// A file that is being read.
pub struct Opened {
    /// Which.
    pub id: FileId,
    /// Where it is.
    pub splitter: Splitter,
    /// How the file was before that.
    pub stamp: Stamp,
    file: Arc<File>,
}

impl Opened {
    /// Whether it is this file, as it was when it was opened.
    pub fn is_still(&self, id: FileId) -> bool {
        self.id == id && self.file.metadata().is_ok_and(|metadata| Stamp::of(&metadata) == self.stamp)
    }
}

/// Opens a file that was found. `marks` learn when it is not what was begun under the same identity.
///
/// # Errors
/// When it cannot be read, or when stopped: to find a place in what is packed takes as long as to read it.
pub fn open(found: &Found, marks: &mut Marks, now: DateTime<Utc>, stop: &CancellationToken) -> io::Result<Opening> {
    let file = match File::open(&found.path) {
        Ok(file) => Arc::new(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Opening::Elsewhere),
        Err(error) => return Err(error),
    };
    let metadata = file.metadata()?;
    if FileId::of(&metadata) != found.id {
        return Ok(Opening::Elsewhere);
    }
    let form = Form::of_file(&file)?;
    let head = content::head(&file, form)?;
    let candidate = Candidate { id: found.id, stamp: Stamp::of(&metadata), form, head, stop, file };
    // Of what was only seen nothing is known but that it is the same file.
    if let Some(mark) = marks.find(found.id).filter(|mark| mark.offset > 0) {
        if let Some(opening) = candidate.again(mark)? {
            return Ok(opening);
        }
        marks.detach(found.id, now);
        // Where a later file may have got the identity, that of one nobody asked for says nothing.
        if found.is_renamed && found.id.born == 0 {
            return Ok(Opening::Stranger);
        }
        tracing::info!(file = %found.path.display(), "the file has another content: it is read from its beginning");
    }
    if let Some(splitter) = candidate.copy(marks)? {
        return Ok(candidate.at(splitter));
    }
    let content = Content::begin(&candidate.file, form)?;
    Ok(candidate.at(Splitter::new(content, Trail::default())))
}

/// A file of which it is to be found out how much was read.
struct Candidate<'a> {
    id: FileId,
    file: Arc<File>,
    stamp: Stamp,
    form: Form,
    head: Vec<u8>,
    stop: &'a CancellationToken,
}

impl Candidate<'_> {
    fn at(&self, splitter: Splitter) -> Opening {
        Opening::At(Opened { id: self.id, splitter, stamp: self.stamp, file: Arc::clone(&self.file) })
    }

    /// The place of `mark` in the same file; `None` when it has another content now.
    fn again(&self, mark: &Mark) -> io::Result<Option<Opening>> {
        if self.form.is_packed() {
            // To unpack an archive again at every start only to find that nothing was added would be too much.
            if mark.size == self.stamp.size && mark.head.begins(&self.head) {
                return Ok(Some(Opening::Unchanged(self.stamp)));
            }
            return Ok(self.same(mark)?.map(|splitter| self.at(splitter)));
        }
        if self.stamp.size < mark.offset {
            return Ok(None);
        }
        let tail = content::tail(&self.file, mark.offset)?;
        let trail = Trail::resume(mark, &self.head, &tail);
        Ok(trail.map(|trail| self.at(Splitter::new(Content::plain_from(&self.file, mark.offset), trail))))
    }

    /// The place up to which this content was read in another file, of which it is a copy, packed or not: a log that was
    /// copied before it was truncated, or compressed after it was rotated.
    fn copy(&self, known: &Marks) -> io::Result<Option<Splitter>> {
        let mut marks = known.beginning_with(&self.head);
        marks.retain(|mark| self.form.is_packed() || mark.offset <= self.stamp.size);
        marks.sort_by_key(|mark| (std::cmp::Reverse(mark.offset), mark.sum));
        marks.dedup_by_key(|mark| (mark.offset, mark.sum));
        for mark in marks.into_iter().take(MOST_COMPARED) {
            if let Some(splitter) = self.same(mark)? {
                return Ok(Some(splitter));
            }
        }
        Ok(None)
    }

    /// The place of `mark`, when everything before it is what was read.
    fn same(&self, mark: &Mark) -> io::Result<Option<Splitter>> {
        if !mark.head.begins(&self.head) {
            return Ok(None);
        }
        let Some((content, mut trail)) = content::replay(&self.file, self.form, mark.offset, self.stop)? else {
            return Ok(None);
        };
        trail.lines = mark.lines;
        Ok((trail.sum == mark.sum).then(|| Splitter::new(content, trail)))
    }
}
