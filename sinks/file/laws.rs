//! Wherever the process dies while files are rotated and compressed: every record is there, whole, and once.

use std::cell::Cell;
use std::collections::HashMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::json;

use super::open::Append;
use super::packed::Packing;
use super::rotate::Rotate;
use super::rotated;
use super::step::tests::die_after;
use super::tail::Tail;

/// The files of a path, the oldest first and the live one last, unpacked.
pub fn texts(path: &Path) -> Vec<String> {
    let mut found: Vec<(u64, PathBuf)> = Vec::new();
    for entry in fs::read_dir(path.parent().unwrap()).unwrap() {
        let entry = entry.unwrap().path();
        let name = entry.file_name().unwrap().to_str().unwrap().to_owned();
        let Some(suffix) = name.strip_prefix(path.file_name().unwrap().to_str().unwrap()) else {
            continue;
        };
        let number = suffix.strip_prefix('.').map_or(u64::MAX, |suffix| suffix[..6].parse().unwrap());
        found.push((number, entry));
    }
    found.sort();
    found.iter().map(|(_, path)| text(path)).collect()
}

pub fn text(path: &Path) -> String {
    let name = path.to_str().unwrap();
    assert!(!name.ends_with(".tmp"), "{name} was left");
    let mut text = String::new();
    let file = fs::File::open(path).unwrap();
    match Packing::ALL.into_iter().find(|packing| name.ends_with(packing.suffix())) {
        Some(packing) => packing.reader(file).unwrap().read_to_string(&mut text).unwrap(),
        None => (&file).read_to_string(&mut text).unwrap(),
    };
    text
}

fn rotate(size: u64, compression: &str, keep: Option<usize>) -> Rotate {
    serde_json::from_value(json!({ "size": format!("{size}B"), "compression": compression, "keep": keep })).unwrap()
}

/// Pipelines that write batches of records into one file, in turns.
struct Writers<'a> {
    path: PathBuf,
    rotate: &'a Rotate,
    pipelines: usize,
    /// How many records each batch has.
    batches: &'a [usize],
    /// How many batches were acknowledged.
    acknowledged: Cell<usize>,
    /// So many batches were begun by now.
    begun: Cell<usize>,
}

impl<'a> Writers<'a> {
    fn new(path: PathBuf, rotate: &'a Rotate, pipelines: usize, batches: &'a [usize]) -> Self {
        Self { path, rotate, pipelines, batches, acknowledged: Cell::default(), begun: Cell::default() }
    }

    fn pipeline(&self, batch: usize) -> usize {
        batch % self.pipelines
    }

    /// The records of all batches have numbers; their lengths vary.
    fn lines(&self, batch: usize) -> Vec<Bytes> {
        let first: usize = self.batches[..batch].iter().sum();
        let line = |n: usize| {
            let pipeline = self.pipeline(batch);
            format!(r#"{{"p":{pipeline},"n":{n},"text":"{}"}}"#, "x".repeat(n * 7 % 23))
        };
        (first..first + self.batches[batch]).map(|n| line(n).into()).collect()
    }

    fn deliver(&self, tail: &mut Tail, batch: usize) {
        let may_be_there = batch < self.begun.get();
        self.begun.set(self.begun.get().max(batch + 1));
        let append = Append {
            path: &self.path,
            mode: 0o600,
            pipeline: self.pipeline(batch).to_string().into(),
            key: batch.to_string(),
            lines: self.lines(batch),
            may_be_there,
            shared: self.pipelines > 1,
            rotate: Some(self.rotate),
        };
        tail.append(&append).unwrap();
    }

    /// Goes on where the last process died: first with the last batch of each other pipeline, whose acknowledgement may
    /// not have been noted.
    fn run(&self) {
        let mut tail = Tail::default();
        let done = self.acknowledged.get();
        for batch in done.saturating_sub(self.pipelines - 1)..done {
            self.deliver(&mut tail, batch);
        }
        for batch in done..self.batches.len() {
            self.deliver(&mut tail, batch);
            self.acknowledged.set(batch + 1);
        }
    }

    /// What an acknowledgement has not covered may be gone after a power cut, and pages may be there that were never
    /// written.
    fn cut_power(&self, lost: usize, padding: usize) {
        let Ok(live) = fs::read(&self.path) else {
            return;
        };
        let older: usize = self.older().iter().map(String::len).sum();
        let acknowledged = (0..self.acknowledged.get()).flat_map(|batch| self.lines(batch));
        let acknowledged: usize = acknowledged.map(|line| line.len() + 1).sum();
        let safe = acknowledged.saturating_sub(older).min(live.len());
        let mut left = live[..live.len().saturating_sub(lost).max(safe)].to_vec();
        left.extend(vec![0; padding]);
        fs::write(&self.path, left).unwrap();
    }

    /// The rotated files, each in one of its forms.
    fn older(&self) -> Vec<String> {
        let numbers = rotated::list(&self.path).unwrap().into_keys();
        let form = |number: u64| {
            let plain = rotated::name(&self.path, number);
            let packed = Packing::ALL.map(|packing| PathBuf::from(format!("{}{}", plain.display(), packing.suffix())));
            [plain].into_iter().chain(packed).find(|path| path.exists())
        };
        numbers.filter_map(form).map(|path| text(&path)).collect()
    }

    fn expected(&self, pipeline: usize) -> Vec<String> {
        let batches = (0..self.batches.len()).filter(|batch| self.pipeline(*batch) == pipeline);
        let lines = batches.flat_map(|batch| self.lines(batch));
        lines.map(|line| String::from_utf8(line.to_vec()).unwrap()).collect()
    }

    /// Each file has its size, and together they have every record once.
    fn expect_once(&self, size: u64) -> Result<(), TestCaseError> {
        let texts = texts(&self.path);
        let mut found: HashMap<usize, Vec<String>> = HashMap::new();
        for text in &texts {
            prop_assert!(text.is_empty() || text.ends_with('\n'), "a record in two files: {texts:?}");
            prop_assert!(text.len() as u64 <= size || text.lines().count() == 1, "too large: {texts:?}");
            for line in text.lines() {
                match serde_json::from_str::<serde_json::Value>(line) {
                    Ok(record) => {
                        let pipeline = usize::try_from(record["p"].as_u64().unwrap()).unwrap();
                        found.entry(pipeline).or_default().push(line.to_owned());
                    }
                    // What a power cut tore may stay behind where several write.
                    Err(_) => prop_assert!(self.pipelines > 1, "torn: {line}"),
                }
            }
        }
        for pipeline in 0..self.pipelines.min(self.batches.len()) {
            prop_assert_eq!(found.remove(&pipeline).unwrap_or_default(), self.expected(pipeline));
        }
        Ok(())
    }
}

#[test]
fn dying_at_any_step_costs_and_repeats_nothing() {
    for compression in ["none", "gzip", "zstd"] {
        let (size, batches) = (150, [3, 1, 9, 2, 4]);
        let rotate = rotate(size, compression, None);
        let mut steps = 0;
        loop {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("audit.ndjson");
            let writers = Writers::new(path, &rotate, 1, &batches);
            let survived = die_after(steps, || writers.run()).is_some();
            writers.run();
            writers.expect_once(size).unwrap_or_else(|error| panic!("{compression}, died at {steps}: {error}"));
            if survived {
                break;
            }
            steps += 1;
        }
        assert!(steps > 30, "{steps}");
    }
}

#[test]
fn as_many_files_are_kept_as_are_wanted() {
    let rotate = rotate(60, "gzip", Some(2));
    let batches = [1; 12];
    let mut steps = 0;
    loop {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.ndjson");
        let writers = Writers::new(path, &rotate, 1, &batches);
        let survived = die_after(steps, || writers.run()).is_some();
        writers.run();
        let text = texts(&writers.path).concat();
        let expected: String = writers.expected(0).iter().map(|line| format!("{line}\n")).collect();
        assert!(expected.ends_with(&text) && !text.is_empty(), "died at {steps}: {text}");
        let kept = rotated::list(&writers.path).unwrap().len();
        assert!((2..=3).contains(&kept), "died at {steps}: {kept} files");
        if survived {
            assert_eq!(kept, 2);
            break;
        }
        steps += 1;
    }
}

#[test]
fn a_batch_of_more_files_than_are_kept_is_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.ndjson");
    let rotate = rotate(30, "none", Some(1));
    let writers = Writers::new(path, &rotate, 1, &[6, 1, 1]);
    writers.deliver(&mut Tail::default(), 0);
    writers.deliver(&mut Tail::default(), 0);
    let lines = texts(&writers.path).concat();
    assert_eq!(lines.lines().count(), 6, "{lines}");
    let mut tail = Tail::default();
    writers.deliver(&mut tail, 1);
    writers.deliver(&mut tail, 2);
    assert_eq!(rotated::list(&writers.path).unwrap().len(), 1);
}

#[test]
fn unwritten_pages_do_not_hide_how_a_batch_began() {
    // Up to more than the batch's own length, and more than what is read at once.
    for padding in [1, 2, 50, 4096, 300_000] {
        for size in [1, 30, 400] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("audit.ndjson");
            let rotate = rotate(size, "gzip", None);
            let writers = Writers::new(path, &rotate, 1, &[3, 1]);
            writers.deliver(&mut Tail::default(), 0);
            writers.cut_power(0, padding);
            writers.run();
            writers.expect_once(size).unwrap_or_else(|error| panic!("{padding} zeros, files of {size}: {error}"));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn dying_again_and_again_costs_and_repeats_nothing(
        size in 1_u64..400,
        compression in prop::sample::select(vec!["none", "gzip", "zstd"]),
        pipelines in 1_usize..4,
        batches in prop::collection::vec(1_usize..7, 1..8),
        deaths in prop::collection::vec((0_usize..60, 0_usize..80, 0_usize..3), 0..5),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.ndjson");
        let rotate = rotate(size, compression, None);
        let writers = Writers::new(path, &rotate, pipelines, &batches);
        for (steps, lost, padding) in deaths {
            if die_after(steps, || writers.run()).is_none() {
                writers.cut_power(lost, padding);
            }
        }
        writers.run();
        writers.expect_once(size)?;
    }
}
