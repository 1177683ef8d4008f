//! Whatever a log's writer, its rotation and our restarts do: every whole line is read, and none twice.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

use proptest::prelude::*;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::page::{Kind, Limits, Line};
use super::position::{FileId, FilePosition};
use super::shelf::Shelf;
use super::{FilePattern, FileSettings};
use crate::connector::Connector;
use crate::event::Clock;
use crate::source::Progress;

/// Small, so that pages end everywhere.
const LIMITS: Limits = Limits { lines: 3, bytes: 4000, line: 4 << 20 };

#[derive(Clone, Copy, Debug)]
enum Step {
    /// The writer writes whole lines, of which some are longer than a fingerprint.
    Write {
        lines: u8,
        longer: bool,
    },
    /// The writer writes the first half of a line.
    WriteHalf,
    /// The log is renamed; its writer goes on in it until it opens the new one.
    Rename,
    Reopen,
    /// The log is copied and then truncated, when everything in it was read.
    CopyAndTruncate,
    /// The oldest rotated log is compressed; when everything in it was read, if its copy is not asked for.
    Compress,
    /// The oldest rotated log is removed, when everything in it was read.
    Remove,
    ReadPage,
    ReadAll,
    /// A page is read, and forgotten before it is durable.
    ReadInVain,
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (1u8..8, prop::bool::weighted(0.2)).prop_map(|(lines, longer)| Step::Write { lines, longer }),
        2 => Just(Step::WriteHalf),
        3 => Just(Step::Rename),
        3 => Just(Step::Reopen),
        2 => Just(Step::CopyAndTruncate),
        2 => Just(Step::Compress),
        1 => Just(Step::Remove),
        6 => Just(Step::ReadPage),
        2 => Just(Step::ReadAll),
        2 => Just(Step::ReadInVain),
        2 => Just(Step::Restart),
    ];
    proptest::collection::vec(step, 1..60)
}

/// A log with its writer and its rotation, and a source that reads it.
struct World {
    folder: TempDir,
    pattern: &'static str,
    writer: File,
    /// What is still to be written of a line.
    half: Option<String>,
    written: u32,
    shelf: Shelf,
    position: FilePosition,
    /// How often each line was read.
    read: BTreeMap<u32, u32>,
}

impl World {
    fn new(pattern: &'static str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let writer = append_to(&folder.path().join("app.log"));
        // Where files do not tell when they were made, those of which nothing was read have to be asked for.
        let born = FileId::of(&writer.metadata().unwrap()).born;
        let pattern = if born > 0 { pattern } else { "app.log*" };
        let shelf = shelf(&folder, pattern);
        let position = FilePosition::default();
        Self { folder, pattern, writer, half: None, written: 0, shelf, position, read: BTreeMap::new() }
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("app.log")
    }

    /// The rotated log of that age, and its compressed form.
    fn rotated(&self, age: usize) -> [PathBuf; 2] {
        ["", ".gz"].map(|end| self.folder.path().join(format!("app.log.{age}{end}")))
    }

    fn ages(&self) -> usize {
        (1..).find(|age| !self.rotated(*age).iter().any(|path| path.exists())).unwrap() - 1
    }

    /// Makes room for a rotated log of age 1.
    fn shift(&self) {
        for age in (1..=self.ages()).rev() {
            for (from, to) in self.rotated(age).into_iter().zip(self.rotated(age + 1)) {
                if from.exists() {
                    fs::rename(from, to).unwrap();
                }
            }
        }
    }

    fn line(&mut self, longer: bool) -> String {
        self.written += 1;
        let more = if longer { "x".repeat(1500) } else { String::new() };
        format!("{{\"id\":{},\"more\":\"{more}\"}}\n", self.written)
    }

    fn write(&mut self, text: &str) {
        self.writer.write_all(text.as_bytes()).unwrap();
    }

    fn finish_half(&mut self) {
        if let Some(rest) = self.half.take() {
            self.write(&rest);
        }
    }

    /// A file whose name is not asked for is known only when it was begun under one that is.
    fn begin_what_has_to_be(&mut self) {
        let id = FileId::of(&fs::metadata(self.log()).unwrap());
        if self.pattern == "app.log" && self.position.files.iter().all(|mark| mark.id != id) {
            self.read_all();
        }
    }

    fn gather(&mut self) -> (Vec<u32>, FilePosition, Progress) {
        let gathered = self.shelf.gather(&self.position, false, &CancellationToken::new()).unwrap();
        assert!(gathered.read_bytes <= gathered.total_bytes);
        let number = |line: Line<'_>| {
            assert_eq!(line.kind, &Kind::Record);
            let record: serde_json::Value = serde_json::from_slice(line.text).unwrap();
            u32::try_from(record["id"].as_u64().unwrap()).unwrap()
        };
        (gathered.lines.iter().map(number).collect(), gathered.next, gathered.progress)
    }

    fn read_page(&mut self) -> Progress {
        let (numbers, next, progress) = self.gather();
        for number in numbers {
            *self.read.entry(number).or_default() += 1;
        }
        self.position = next;
        progress
    }

    fn read_all(&mut self) {
        for _ in 0..10_000 {
            if self.read_page() == Progress::CaughtUp {
                return;
            }
        }
        panic!("reading has no end");
    }

    fn restart(&mut self) {
        self.shelf = shelf(&self.folder, self.pattern);
        self.position = serde_json::from_str(&serde_json::to_string(&self.position).unwrap()).unwrap();
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Write { lines, longer } => {
                self.finish_half();
                for _ in 0..lines {
                    let line = self.line(longer);
                    self.write(&line);
                }
            }
            Step::WriteHalf => {
                self.finish_half();
                let line = self.line(false);
                let (first, rest) = line.split_at(1 + self.written as usize % (line.len() - 1));
                self.write(first);
                self.half = Some(rest.to_owned());
            }
            Step::Rename if self.log().exists() => {
                self.begin_what_has_to_be();
                self.shift();
                fs::rename(self.log(), &self.rotated(1)[0]).unwrap();
            }
            Step::Rename => {}
            Step::Reopen => {
                self.finish_half();
                self.writer = append_to(&self.log());
            }
            Step::CopyAndTruncate => {
                self.step(Step::Reopen);
                self.read_all();
                self.shift();
                fs::copy(self.log(), &self.rotated(1)[0]).unwrap();
                self.writer.set_len(0).unwrap();
            }
            Step::Compress => {
                self.step(Step::Reopen);
                if self.pattern == "app.log" {
                    self.read_all();
                }
                self.compress_oldest();
            }
            Step::Remove => {
                self.step(Step::Reopen);
                self.read_all();
                let age = self.ages();
                self.rotated(age).iter().filter(|path| path.exists()).for_each(|path| fs::remove_file(path).unwrap());
            }
            Step::ReadPage => drop(self.read_page()),
            Step::ReadAll => self.read_all(),
            Step::ReadInVain => drop(self.gather()),
            Step::Restart => self.restart(),
        }
    }

    fn compress_oldest(&self) {
        let plain = (1..=self.ages()).rev().map(|age| self.rotated(age)).find(|[plain, _]| plain.exists());
        let Some([plain, packed]) = plain else { return };
        let mut encoder = flate2::write::GzEncoder::new(File::create(packed).unwrap(), flate2::Compression::fast());
        encoder.write_all(&fs::read(&plain).unwrap()).unwrap();
        encoder.finish().unwrap();
        fs::remove_file(plain).unwrap();
    }
}

fn append_to(path: &std::path::Path) -> File {
    OpenOptions::new().create(true).append(true).open(path).unwrap()
}

fn shelf(folder: &TempDir, pattern: &str) -> Shelf {
    let settings = FileSettings {
        connector: Connector::embedded("telnyx").unwrap(),
        pattern: FilePattern::new(folder.path(), pattern).unwrap(),
        follow: true,
        clock: Clock::system(),
    };
    Shelf::new(settings).with_limits(LIMITS)
}

proptest! {
    #[test]
    fn every_whole_line_is_read_once(steps in steps(), pattern in prop_oneof![Just("app.log"), Just("app.log*")]) {
        let mut world = World::new(pattern);
        for step in steps {
            world.step(step);
        }
        world.finish_half();
        world.read_all();
        world.restart();
        world.read_all();
        let expected: BTreeMap<u32, u32> = (1..=world.written).map(|number| (number, 1)).collect();
        prop_assert_eq!(world.read, expected);
    }
}
