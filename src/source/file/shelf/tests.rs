//! A folder of files, and what a shelf makes of it.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;

use tempfile::TempDir;

use super::super::page::Line;
use super::super::{FilePattern, FileSettings};
use super::*;
use crate::connector::Connector;
use crate::event::Clock;

/// A page: its lines with the names of their files, how it ended, and how far reading is.
type Read = (Vec<String>, Progress, (u64, u64));

/// A folder of files, and the shelf that reads them.
struct Archive {
    folder: TempDir,
    shelf: Shelf,
    position: FilePosition,
    clock: Clock,
}

impl Archive {
    fn new(pattern: &str, follow: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::standing_at(chrono::Utc::now());
        let settings = FileSettings {
            connector: Connector::embedded("telnyx").unwrap(),
            pattern: FilePattern::new(folder.path(), pattern).unwrap(),
            follow,
            clock: clock.clone(),
        };
        Self { folder, shelf: Shelf::new(settings), position: FilePosition::default(), clock }
    }

    fn with_pages_of(mut self, lines: usize) -> Self {
        self.shelf.limits.lines = lines;
        self
    }

    fn add(&self, name: &str, bytes: &[u8]) {
        let path = self.folder.path().join(name);
        fs::OpenOptions::new().create(true).append(true).open(path).unwrap().write_all(bytes).unwrap();
    }

    fn later(&self, span: TimeDelta) {
        self.clock.set(self.clock.now() + span);
    }

    /// The next page.
    fn read(&mut self, to_the_end: bool) -> Result<Read, SourceError> {
        let gathered = self.shelf.gather(&self.position, to_the_end, &CancellationToken::new())?;
        self.position = gathered.next;
        let name = |path: &Path| path.strip_prefix(self.folder.path()).unwrap().display().to_string();
        let shown =
            |line: Line<'_>| format!("{}:{} {}", name(line.path), line.number, String::from_utf8_lossy(line.text));
        let lines = gathered.lines.iter().map(shown).collect();
        Ok((lines, gathered.progress, (gathered.read_bytes, gathered.total_bytes)))
    }

    fn look_around(&mut self) {
        let mut marks = Marks::new(std::mem::take(&mut self.position.files));
        self.shelf.look_around(&mut marks);
        self.position.files = marks.into_inner();
    }

    fn lines(&mut self) -> Vec<String> {
        self.read(false).unwrap().0
    }

    fn error(&mut self) -> String {
        let text = |error: &SourceError| match error {
            SourceError::Configuration { message, hint } => format!("{message} ({hint})"),
            SourceError::Retryable { message, .. } => message.clone(),
        };
        text(&self.read(true).unwrap_err()).replace(&format!("{}/", self.folder.path().display()), "")
    }
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_page_takes_from_as_many_files_as_it_needs_in_the_order_of_their_names() {
    let mut archive = Archive::new("*.json", true).with_pages_of(3);
    let packed = gzip(b"{\"b\":1}\n{\"b\":2}\n{\"b\":3}\n");
    archive.add("b.json", &packed);
    archive.add("a.json", b"{\"a\":1}\n{\"a\":2}\n");
    archive.add("c.json", b"{\"c\":1}\n");
    let (packed, total) = (packed.len() as u64, packed.len() as u64 + 24);
    let page = |lines: &[&str], progress, read| {
        (lines.iter().map(|line| (*line).to_owned()).collect(), progress, (read, total))
    };
    let first = ["a.json:1 {\"a\":1}", "a.json:2 {\"a\":2}", "b.json:1 {\"b\":1}"];
    assert_eq!(archive.read(true).unwrap(), page(&first, Progress::More, 16 + packed));
    let second = ["b.json:2 {\"b\":2}", "b.json:3 {\"b\":3}", "c.json:1 {\"c\":1}"];
    assert_eq!(archive.read(true).unwrap(), page(&second, Progress::More, 16 + packed + 8));
    assert_eq!(archive.read(true).unwrap(), page(&[], Progress::CaughtUp, total));
}

#[test]
fn a_packed_file_goes_on_after_a_restart_and_when_it_grows() {
    let mut archive = Archive::new("*", true).with_pages_of(2);
    for (name, pack) in [("a.gz", gzip as fn(&[u8]) -> Vec<u8>), ("b.zst", |text| zstd::encode_all(text, 3).unwrap())] {
        archive.add(name, &pack(b"{\"n\":1}\n{\"n\":2}\n{\"n\":3}"));
        assert_eq!(archive.lines(), [format!("{name}:1 {{\"n\":1}}"), format!("{name}:2 {{\"n\":2}}")]);
        archive.shelf.forget();
        assert_eq!(archive.lines(), [format!("{name}:3 {{\"n\":3}}")]);
        archive.add(name, &pack(b"\n{\"n\":4}\n"));
        assert_eq!(archive.lines(), [format!("{name}:4 {{\"n\":4}}")]);
        archive.shelf.forget();
        assert_eq!(archive.read(false).unwrap().1, Progress::CaughtUp);
    }
}

#[test]
fn reading_the_same_position_again_gives_the_same_page() {
    let mut archive = Archive::new("*", true).with_pages_of(2);
    archive.add("a.gz", &gzip(b"{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n{\"n\":4}\n{\"n\":5}\n"));
    archive.lines();
    let (position, second) = (archive.position.clone(), archive.lines());
    archive.position = position;
    assert_eq!(archive.lines(), second);
    assert_eq!(archive.lines(), ["a.gz:5 {\"n\":5}"]);
}

#[test]
fn a_file_that_has_been_still_is_not_opened_again_until_it_changes() {
    let mut archive = Archive::new("*", true);
    archive.add("a", b"{\"n\":1}\n");
    archive.later(TimeDelta::minutes(1));
    assert_eq!(archive.lines(), ["a:1 {\"n\":1}"]);
    assert_eq!(archive.shelf.settled.len(), 1);
    archive.look_around();
    assert!(archive.shelf.queue.is_empty());
    archive.add("a", b"{\"n\":2}\n");
    assert_eq!(archive.lines(), ["a:2 {\"n\":2}"]);
    // What was read since may not have become durable.
    archive.position.files.clear();
    assert_eq!(archive.lines(), ["a:1 {\"n\":1}", "a:2 {\"n\":2}"]);
}

#[test]
fn a_person_is_told_once_of_half_a_line_that_waits_for_long() {
    let mut archive = Archive::new("*", true);
    archive.add("a", b"{\"n\":1}\n{\"n\"");
    archive.later(TimeDelta::minutes(1));
    assert_eq!(archive.lines(), ["a:1 {\"n\":1}"]);
    assert_eq!(archive.lines(), Vec::<String>::new());
    assert!(archive.shelf.told.is_empty());
    archive.later(TimeDelta::minutes(10));
    assert_eq!(archive.lines(), Vec::<String>::new());
    let told: Vec<_> = archive.shelf.told.iter().map(|(_, what)| what.as_str()).collect();
    assert_eq!(told, ["line 2 is not whole: it is left until it is"]);
    archive.add("a", b":2}\n");
    assert_eq!(archive.lines(), ["a:2 {\"n\":2}"]);
}

#[test]
fn a_truncated_file_and_one_in_its_place_begin_again() {
    let mut archive = Archive::new("*", true);
    archive.add("a", b"{\"n\":1}\n{\"n\":2}\n");
    assert_eq!(archive.lines().len(), 2);
    let path = archive.folder.path().join("a");
    fs::write(&path, b"{\"n\":3}\n{\"n\":4}\n").unwrap();
    assert_eq!(archive.lines(), ["a:1 {\"n\":3}", "a:2 {\"n\":4}"]);
    fs::remove_file(&path).unwrap();
    archive.add("a", b"{\"n\":5}\n{\"n\":6}\n");
    assert_eq!(archive.lines(), ["a:1 {\"n\":5}", "a:2 {\"n\":6}"]);
    // A copy is known even then.
    archive.add("b", &gzip(b"{\"n\":3}\n{\"n\":4}\n{\"n\":7}\n"));
    assert_eq!(archive.lines(), ["b:3 {\"n\":7}"]);
}

#[test]
fn what_cannot_be_read_fails_a_run_that_is_to_end_when_everything_else_was_read() {
    let mut archive = Archive::new("*", true);
    symlink("a", archive.folder.path().join("a")).unwrap();
    archive.add("b", b"{\"n\":1}\n");
    assert_eq!(archive.read(true).unwrap().1, Progress::More);
    let error = "cannot read `a`: Too many levels of symbolic links (os error 40)";
    assert_eq!(archive.error(), error);
    assert_eq!(archive.error(), error);
    assert_eq!(archive.read(false).unwrap().1, Progress::CaughtUp);
    assert_eq!(archive.shelf.told.len(), 1);
    // Who is gone cannot be said where not everything can be seen.
    fs::remove_file(archive.folder.path().join("b")).unwrap();
    archive.lines();
    assert_eq!(archive.position.files[0].gone, None);
    fs::remove_file(archive.folder.path().join("a")).unwrap();
    archive.lines();
    assert!(archive.position.files[0].gone.is_some());
}

#[test]
fn no_file_at_all_is_waited_for_unless_they_are_said_to_be_finished() {
    let mut archive = Archive::new("*.json", true);
    assert_eq!(archive.read(true).unwrap(), (vec![], Progress::CaughtUp, (0, 0)));
    let mut archive = Archive::new("*.json", false);
    assert_eq!(
        archive.error(),
        "no file matches `*.json` (check `path`, or leave `follow = false` out to wait for files)"
    );
}

#[test]
fn half_a_line_in_a_finished_file_is_told_of_once() {
    let mut archive = Archive::new("*", false);
    archive.add("a", b"{\"n\":1}\n{\"n\": 2");
    assert_eq!(archive.lines(), ["a:1 {\"n\":1}", "a:2 {\"n\":"]);
    assert_eq!(archive.lines(), Vec::<String>::new());
}

#[test]
fn a_stop_leaves_everything_as_it_was() {
    let mut archive = Archive::new("*", true);
    archive.add("a", b"{\"n\":1}\n");
    let stop = CancellationToken::new();
    stop.cancel();
    let gathered = archive.shelf.gather(&archive.position, false, &stop).unwrap();
    assert!(gathered.lines.is_empty() && gathered.progress == Progress::More);
    assert_eq!(archive.lines(), ["a:1 {\"n\":1}"]);
}

#[test]
fn a_file_that_grows_as_it_is_read_does_not_keep_the_others_waiting() {
    let mut archive = Archive::new("*", true).with_pages_of(1);
    archive.add("a", b"{\"n\":1}\n");
    archive.add("b", b"{\"n\":9}\n");
    archive.look_around();
    archive.shelf.stands_at = Some(archive.position.digest());
    archive.add("a", b"{\"n\":2}\n");
    let read = [archive.lines(), archive.lines(), archive.lines()].concat();
    assert_eq!(read, ["a:1 {\"n\":1}", "b:1 {\"n\":9}", "a:2 {\"n\":2}"]);
}
