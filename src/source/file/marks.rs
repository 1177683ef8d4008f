//! The marks of a position while a page is gathered: found by file, and by what the file begins with.

use std::collections::{BTreeSet, HashMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};

use super::position::{FileId, Head, Mark, Trail};

/// A file that is gone is remembered for so long: an archive that was not mounted for a while is not read again, and the
/// compressed copy of a log is known when it appears.
const REMEMBERED: TimeDelta = TimeDelta::days(7);

/// Marks, each found in no time however many there are.
#[derive(Debug, Default)]
pub struct Marks {
    /// In the order in which the files were begun.
    marks: Vec<Mark>,
    by_id: HashMap<FileId, usize>,
    /// Where there may be a mark of that head: one that has grown since has another.
    by_head: HashMap<Head, Vec<usize>>,
    /// How long those heads are.
    lengths: BTreeSet<usize>,
}

impl Marks {
    /// Marks as a position has them.
    #[must_use]
    pub fn new(marks: Vec<Mark>) -> Self {
        let mut found = Self { marks, ..Self::default() };
        (0..found.marks.len()).for_each(|index| found.enter(index));
        found
    }

    /// The marks as a position has them.
    #[must_use]
    pub fn into_inner(self) -> Vec<Mark> {
        self.marks
    }

    /// All of them, in the order in which the files were begun.
    pub fn iter(&self) -> impl Iterator<Item = &Mark> {
        self.marks.iter()
    }

    /// How far that file was read; `None` when it was not begun.
    #[must_use]
    pub fn find(&self, id: FileId) -> Option<&Mark> {
        self.by_id.get(&id).map(|index| &self.marks[*index])
    }

    /// Those of contents that begin as one does that begins with `bytes`.
    #[must_use]
    pub fn beginning_with(&self, bytes: &[u8]) -> Vec<&Mark> {
        let heads = self.lengths.iter().filter_map(|length| bytes.get(..*length)).map(Head::of);
        let found = heads.filter_map(|head| Some((head, self.by_head.get(&head)?)));
        let marks = found.flat_map(|(head, found)| found.iter().map(move |index| (head, &self.marks[*index])));
        marks.filter(|(head, mark)| mark.head == *head && mark.offset > 0).map(|(_, mark)| mark).collect()
    }

    /// Notes how far a file was read.
    pub fn note(&mut self, mark: Mark) {
        match self.by_id.get(&mark.id).copied() {
            Some(index) => {
                let head = std::mem::replace(&mut self.marks[index], mark).head;
                if self.marks[index].head != head {
                    self.enter(index);
                }
            }
            None => {
                self.marks.push(mark);
                self.enter(self.marks.len() - 1);
            }
        }
    }

    /// Notes that a file was seen, so that it is known again when it is renamed before anything of it was read. Without
    /// a content to tell it by, that takes an identity that no other file gets.
    pub fn begin(&mut self, id: FileId) {
        if id.born > 0 && self.find(id).is_none() {
            self.note(Trail::default().mark(id, 0));
        }
    }

    /// The file has another content now. What was read of the old one is remembered: a copy of it may turn up.
    pub fn detach(&mut self, id: FileId, now: DateTime<Utc>) {
        if let Some(index) = self.by_id.remove(&id) {
            let mark = &mut self.marks[index];
            mark.id = FileId::NONE;
            mark.gone = mark.gone.or(Some(now));
        }
    }

    /// Notes which files there are, and forgets those that have been gone for long.
    pub fn note_present(&mut self, present: &HashSet<FileId>, now: DateTime<Utc>) {
        let mut marks = std::mem::take(self).into_inner();
        for mark in &mut marks {
            mark.gone = match present.contains(&mark.id) {
                true => None,
                false => mark.gone.or(Some(now)),
            };
        }
        marks.retain(|mark| mark.gone.is_none_or(|gone| now - gone < REMEMBERED));
        *self = Self::new(marks);
    }

    fn enter(&mut self, index: usize) {
        let Mark { id, head, .. } = &self.marks[index];
        if *id != FileId::NONE {
            self.by_id.insert(*id, index);
        }
        self.lengths.insert(head.bytes);
        self.by_head.entry(*head).or_default().push(index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(inode: u64) -> FileId {
        FileId { device: 1, inode, born: 5 }
    }

    fn mark(inode: u64, text: &str) -> Mark {
        let mut trail = Trail::default();
        trail.pass(text.as_bytes());
        trail.mark(id(inode), 0)
    }

    #[test]
    fn a_file_is_noted_once_and_stays_at_its_place() {
        let mut marks = Marks::default();
        marks.begin(id(1));
        for (inode, text) in [(1, "a"), (2, "b"), (1, "aa")] {
            marks.note(mark(inode, text));
        }
        marks.begin(id(2));
        marks.begin(FileId { born: 0, ..id(3) });
        assert_eq!(marks.find(id(1)), Some(&mark(1, "aa")));
        assert_eq!(marks.into_inner(), [mark(1, "aa"), mark(2, "b")]);
    }

    #[test]
    fn a_content_is_found_by_how_it_begins() {
        let mut marks = Marks::new(vec![mark(1, "a"), mark(2, "ab"), mark(3, "b"), mark(4, "ab")]);
        marks.begin(id(5));
        let found = |marks: &Marks, text: &str| {
            marks.beginning_with(text.as_bytes()).iter().map(|mark| mark.id.inode).collect::<Vec<_>>()
        };
        assert_eq!(found(&marks, "abc"), [1, 2, 4]);
        assert_eq!(found(&marks, ""), Vec::<u64>::new());
        marks.note(mark(2, "abx"));
        assert_eq!(found(&marks, "abc"), [1, 4]);
        assert_eq!(found(&marks, "abx"), [1, 4, 2]);
        marks.detach(id(4), DateTime::UNIX_EPOCH);
        assert_eq!((found(&marks, "abc"), marks.find(id(4))), (vec![1, 0], None));
    }

    #[test]
    fn what_is_gone_is_remembered_for_a_week() {
        let begin = DateTime::from_timestamp(1_789_000_000, 0).unwrap();
        let mut marks = Marks::new(vec![mark(1, "a"), mark(2, "a"), mark(3, "a")]);
        marks.detach(id(3), begin);
        let mut left = |present: &[u64], days| {
            marks.note_present(&present.iter().copied().map(id).collect(), begin + TimeDelta::days(days));
            marks.iter().map(|mark| (mark.id.inode, mark.gone.is_some())).collect::<Vec<_>>()
        };
        assert_eq!(left(&[1], 0), [(1, false), (2, true), (0, true)]);
        assert_eq!(left(&[1, 2], 6), [(1, false), (2, false), (0, true)]);
        assert_eq!(left(&[1], 7), [(1, false), (2, true)]);
        assert_eq!(left(&[1], 13), [(1, false), (2, true)]);
        assert_eq!(left(&[1], 14), [(1, false)]);
    }
}
