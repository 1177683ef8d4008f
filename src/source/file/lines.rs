//! From a content to its lines, a bounded page of them at a time.

use std::io;

use memchr::memchr;
use tokio_util::sync::CancellationToken;

use super::content::{Content, PIECE, Piece};
use super::page::{Kind, Limits, Lines};
use super::position::Trail;
use super::record;

/// So much is kept of a line that is too long, for a person to see what it is.
const KEPT: usize = 64 << 10;
/// What some programs write before the first line, to say that it is UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Takes the lines out of a content.
pub struct Splitter {
    content: Content,
    /// What was made lines of. It ends within a line only where that is the content's last.
    trail: Trail,
    buffer: Vec<u8>,
    /// Where in the buffer begins what was not made lines of.
    start: usize,
    /// Up to where in the buffer there is no line break behind the start.
    searched: usize,
}

/// Why a [`Splitter`] stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// The page is full.
    Full,
    /// Everything in the content was read.
    AtEnd,
    /// What is left of the content is not whole: the beginning of a line, or of what is packed.
    Unfinished,
}

impl Splitter {
    /// Goes on with `content`, of which `trail` was read.
    pub fn new(content: Content, trail: Trail) -> Self {
        Self { content, trail, buffer: Vec::new(), start: 0, searched: 0 }
    }

    /// What was made lines of.
    pub fn trail(&self) -> &Trail {
        &self.trail
    }

    /// Up to which byte the file was read, as it is on disk.
    pub fn disk_offset(&self) -> u64 {
        match self.content.form().is_packed() {
            true => self.content.disk_offset(),
            false => self.trail.offset,
        }
    }

    /// Whether everything was made lines of that a plain file of that size has.
    pub fn has_passed(&self, size: u64) -> bool {
        !self.content.form().is_packed() && self.trail.offset >= size
    }

    /// Fills `page` with lines. `is_finished` says that nobody writes to the file any more.
    ///
    /// The last line may have no line break. When it is a whole JSON object it is read all the same, since nothing that
    /// could follow would make it another one. Otherwise it waits for its other half, unless there will be none: in a
    /// finished file, and in a packed one that is whole.
    ///
    /// # Errors
    /// When the file cannot be read, or when stopped. What was added to the page until then counts.
    pub fn fill(
        &mut self,
        page: &mut Lines,
        limits: &Limits,
        is_finished: bool,
        stop: &CancellationToken,
    ) -> io::Result<Stopped> {
        loop {
            while let Some(length) = self.next_line() {
                self.take(length, page, limits);
                if page.is_full(limits) {
                    return Ok(Stopped::Full);
                }
            }
            let is_too_long = self.ahead().len() > limits.line;
            let piece = if is_too_long { self.pass_over(page, stop)? } else { self.fetch(stop)? };
            if !matches!(piece, Piece::Bytes(_)) {
                return Ok(self.finish(piece, is_too_long, page, limits, is_finished));
            }
            if page.is_full(limits) {
                return Ok(Stopped::Full);
            }
        }
    }

    fn ahead(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    /// How long the next line is, with its line break.
    fn next_line(&mut self) -> Option<usize> {
        let found = memchr(b'\n', &self.buffer[self.searched..]);
        match found {
            Some(at) => self.searched += at + 1,
            None => self.searched = self.buffer.len(),
        }
        found.map(|_| self.searched - self.start)
    }

    fn fetch(&mut self, stop: &CancellationToken) -> io::Result<Piece> {
        if stop.is_cancelled() {
            return Err(io::Error::other("stopped"));
        }
        self.buffer.drain(..self.start);
        (self.start, self.searched) = (0, self.searched - self.start);
        let length = self.buffer.len();
        self.buffer.resize(length + PIECE, 0);
        let piece = self.content.read(&mut self.buffer[length..]);
        let more = if let Ok(Piece::Bytes(more)) = piece { more } else { 0 };
        self.buffer.truncate(length + more);
        piece
    }

    /// Makes a line of what lies ahead, up to `length`.
    fn take(&mut self, length: usize, page: &mut Lines, limits: &Limits) {
        let is_first = self.trail.offset == 0;
        let number = self.trail.lines + 1;
        let mut text = &self.buffer[self.start..self.start + length];
        self.trail.pass(text);
        self.start += length;
        if let Some(before) = text.strip_suffix(b"\n") {
            self.trail.lines += 1;
            text = before.strip_suffix(b"\r").unwrap_or(before);
        }
        if is_first {
            text = without_mark(text);
        }
        if text.len() > limits.line {
            page.push(number, beginning(text), Kind::TooLong(text.len() as u64));
        } else if !text.trim_ascii().is_empty() {
            page.push(number, text, Kind::Record);
        }
    }

    /// Goes past a line that is too long to be kept in memory. Where the content ends first, its beginning still lies
    /// ahead.
    fn pass_over(&mut self, page: &mut Lines, stop: &CancellationToken) -> io::Result<Piece> {
        let kept = beginning(self.ahead()).to_vec();
        // A line without an end is read again when it has one: until then the trail stays before it.
        let mut trail = self.trail.clone();
        loop {
            let found = memchr(b'\n', self.ahead());
            let passed = found.map_or(self.ahead().len(), |at| at + 1);
            trail.pass(&self.ahead()[..passed]);
            self.start += passed;
            self.searched = self.start;
            if found.is_some() {
                let length = trail.offset - self.trail.offset - 1;
                page.push(self.trail.lines + 1, &kept, Kind::TooLong(length));
                trail.lines += 1;
                self.trail = trail;
                return Ok(Piece::Bytes(passed));
            }
            let piece = self.fetch(stop)?;
            if !matches!(piece, Piece::Bytes(_)) {
                self.buffer = kept;
                return Ok(piece);
            }
        }
    }

    /// Whether a content that ended so does not go on some time.
    fn is_final(&self, end: &Piece, is_finished: bool) -> bool {
        match end {
            Piece::Bytes(_) => false,
            Piece::End => is_finished || self.content.form().is_packed(),
            Piece::CutOff => is_finished,
            Piece::Damaged(_) => true,
        }
    }

    /// Makes of what is left what can be made of it. What is no record stays before the trail all the same: should the
    /// file be completed against what was said of it, the record is read.
    fn finish(
        &mut self,
        end: Piece,
        is_too_long: bool,
        page: &mut Lines,
        limits: &Limits,
        is_finished: bool,
    ) -> Stopped {
        let is_final = self.is_final(&end, is_finished);
        if !is_too_long && record::is_whole(without_mark(self.ahead())) {
            self.take(self.ahead().len(), page, limits);
        }
        let (number, rest) = (self.trail.lines + 1, self.ahead());
        let is_blank = rest.trim_ascii().is_empty() && !is_too_long;
        let kind = match end {
            Piece::End if is_blank => return Stopped::AtEnd,
            Piece::Damaged(reason) => Kind::Damaged(reason),
            _ if !is_final => return Stopped::Unfinished,
            _ if is_too_long => Kind::Endless,
            _ => Kind::CutOff,
        };
        page.push(number, beginning(rest), kind);
        Stopped::AtEnd
    }
}

fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text)
}

/// What is kept of a line for a person to see. It ends where a word does: half an address would not be known for one.
fn beginning(text: &[u8]) -> &[u8] {
    let text = &text[..text.len().min(KEPT)];
    let end = text.iter().rposition(|byte| matches!(byte, b' ' | b'"' | b',')).unwrap_or(0);
    &text[..end]
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;
    use std::path::Path;
    use std::sync::Arc;

    use chrono::DateTime;
    use proptest::prelude::*;

    use super::super::content::Form;
    use super::super::page::LIMITS;
    use super::*;

    const SMALL: Limits = Limits { lines: 1000, bytes: 4 << 20, line: 40 };

    fn splitter(text: &[u8]) -> Splitter {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text).unwrap();
        let file: Arc<File> = Arc::new(file);
        let form = Form::of_file(&file).unwrap();
        Splitter::new(Content::begin(&file, form).unwrap(), Trail::default())
    }

    /// All lines with their numbers, what it ended with, and up to where it was read.
    fn split(text: &[u8], limits: &Limits, is_finished: bool) -> (Vec<String>, Stopped, u64) {
        let mut splitter = splitter(text);
        let mut lines = Vec::new();
        loop {
            let mut page = Lines::default();
            page.begin_file(Path::new("x"), DateTime::UNIX_EPOCH);
            let stopped = splitter.fill(&mut page, limits, is_finished, &CancellationToken::new()).unwrap();
            lines.extend(page.iter().map(|line| {
                let text = String::from_utf8_lossy(line.text);
                match line.kind {
                    Kind::Record => format!("{}: {text}", line.number),
                    kind => format!("{}: {text} {kind:?}", line.number),
                }
            }));
            if stopped != Stopped::Full {
                return (lines, stopped, splitter.trail().offset);
            }
        }
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn line_breaks_of_both_kinds_blank_lines_and_a_mark_at_the_beginning() {
        let (lines, stopped, offset) = split(b"\xef\xbb\xbf{}\r\n\n \n[1]\n", &LIMITS, false);
        assert_eq!((lines, stopped, offset), (vec!["1: {}".to_owned(), "4: [1]".to_owned()], Stopped::AtEnd, 14));
    }

    #[test]
    fn a_last_line_without_a_line_break_is_read_when_it_is_whole_or_nothing_can_follow() {
        let whole = |packed: &[u8], is_finished| split(packed, &LIMITS, is_finished);
        let (one, both) = (vec!["1: {}".to_owned()], vec!["1: {}".to_owned(), "2: {\"a CutOff".to_owned()]);
        assert_eq!(whole(b"{}", false), (one.clone(), Stopped::AtEnd, 2));
        assert_eq!(whole(b"{}\n{\"a\":{}", false), (one.clone(), Stopped::Unfinished, 3));
        assert_eq!(whole(b"{}\n{\"a\":{}", true), (both.clone(), Stopped::AtEnd, 3));
        assert_eq!(whole(&gzip(b"{}\n{\"a\":{}"), false), (both, Stopped::AtEnd, 3));
        assert_eq!(whole(b"{}\n12", false), (one, Stopped::Unfinished, 3));
        assert_eq!(whole(b"\n \t", true), (vec![], Stopped::AtEnd, 1));
    }

    #[test]
    fn a_packed_content_that_is_cut_off_waits_unless_the_file_is_finished() {
        let text: String = (0..5_000).map(|number| format!("{{\"n\":{}}}\n", number * 7919 % 5003)).collect();
        let packed = gzip(text.as_bytes());
        let cut = &packed[..packed.len() - 2000];
        let (lines, stopped, offset) = split(cut, &LIMITS, false);
        assert_eq!((stopped, text.as_bytes()[usize::try_from(offset).unwrap() - 1]), (Stopped::Unfinished, b'\n'));
        let (all, stopped, again) = split(cut, &LIMITS, true);
        assert!((stopped, all.len()) == (Stopped::AtEnd, lines.len() + 1) && again >= offset);
        assert!(all.last().unwrap().ends_with(" CutOff"), "{:?}", all.last());
        assert!(lines.len() > 1000 && all.starts_with(&lines));
    }

    #[test]
    fn what_is_damaged_ends_there() {
        let packed = [gzip(b"{}\n{\"a"), b"no more of it".to_vec()].concat();
        let (lines, stopped, offset) = split(&packed, &LIMITS, false);
        assert_eq!(lines, ["1: {}", "2: { Damaged(\"invalid gzip header\")"]);
        assert_eq!((stopped, offset), (Stopped::AtEnd, 3));
    }

    #[test]
    fn a_line_that_is_too_long_is_passed_over_with_its_beginning_kept() {
        for length in [41, 100, 200_000] {
            let long = format!("id, {}", "x".repeat(length - 4));
            let text = format!("{{}}\n{long}\n{{}}\n");
            let (lines, stopped, offset) = split(text.as_bytes(), &SMALL, false);
            assert_eq!(lines, ["1: {}".to_owned(), format!("2: id, TooLong({length})"), "3: {}".to_owned()]);
            assert_eq!((stopped, offset), (Stopped::AtEnd, text.len() as u64));
            let begun = &text.as_bytes()[..length + 3];
            assert_eq!(split(begun, &SMALL, false), (vec!["1: {}".to_owned()], Stopped::Unfinished, 3));
            let cut_off = vec!["1: {}".to_owned(), "2: id Endless".to_owned()];
            assert_eq!(split(begun, &SMALL, true), (cut_off, Stopped::AtEnd, 3));
        }
    }

    #[test]
    fn what_is_kept_of_a_line_ends_with_a_word() {
        let kept = |text: &str| String::from_utf8(beginning(text.as_bytes()).to_vec()).unwrap();
        assert_eq!(kept(&format!("{}, anna@example.com", "x".repeat(KEPT - 8))), format!("{},", "x".repeat(KEPT - 8)));
        assert_eq!(kept("short anna@"), "short");
    }

    proptest! {
        /// Whatever the text and the size of the pages, the lines are those of the text, and it is passed whole.
        #[test]
        fn lines_are_those_of_the_text(text in "([a-z{}]{0,60}\n){0,20}", lines in 1usize..5, bytes in 1usize..100) {
            let limits = Limits { lines, bytes, line: 40 };
            let (found, stopped, offset) = split(text.as_bytes(), &limits, false);
            let expected: Vec<String> = text.lines().enumerate().filter(|(_, line)| !line.is_empty()).map(|(index, line)| {
                let is_long = line.len() > 40;
                let shown = if is_long { format!(" TooLong({})", line.len()) } else { line.to_owned() };
                format!("{}: {shown}", index + 1)
            }).collect();
            prop_assert_eq!((found, stopped, offset), (expected, Stopped::AtEnd, text.len() as u64));
        }
    }
}
