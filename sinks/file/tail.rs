//! One file that is appended to, batch after batch: recovered, written, rotated and synced.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use super::open::{Append, Open, Outcome, doing};
use super::resume::Resume;
use super::rotated::Chores;
use super::step::step;

/// What is known of one file. Whatever goes wrong, knowledge is dropped and the file is asked again.
#[derive(Default)]
pub(super) struct Tail {
    open: Option<Open>,
    /// The last batch each pipeline has completed here: one that comes again has been written.
    done: HashMap<Arc<str>, String>,
    /// Bytes behind this were in a failed sync: the kernel forgets that they are not on the disk, so they must be
    /// written anew and cannot count as found.
    doubtful_from: Option<u64>,
    /// Nothing is left to do with the rotated files.
    is_tidy: bool,
}

impl Tail {
    /// Returns when the lines are in the file, once, and the disk has them.
    pub fn append(&mut self, append: &Append<'_>) -> Outcome<()> {
        if self.done.get(&append.pipeline) == Some(&append.key) {
            return Ok(());
        }
        // Taken out, so that an error and a panic both leave nothing known.
        let mut open = match self.open.take() {
            Some(open) if open.is_current(append.path) => open,
            _ => self.reopen(append)?,
        };
        let found = open.settle(append)?;
        let mut lines = &append.lines[found.lines..];
        let mut next = Resume { lines: 0, ..found };
        let mut rotations = 0;
        let mut first_rotated = None;
        loop {
            if let Some(number) = self.make_room(&mut open, append, lines, next)? {
                first_rotated = first_rotated.or(Some(number));
                rotations += 1;
                next = Resume::default();
            }
            let fitting = open.fitting(append.rotate, lines, next);
            let start = open.end;
            if fitting > 0 {
                open.write(&lines[..fitting], next).or_else(doing("write"))?;
            }
            step();
            if let Err(error) = open.file.sync_data() {
                self.doubtful_from = open.file.set_len(start).err().map(|_| start);
                return doing("sync")(error);
            }
            step();
            lines = &lines[fitting..];
            next = Resume::default();
            if lines.is_empty() {
                break;
            }
        }
        self.done.insert(append.pipeline.clone(), append.key.clone());
        self.open = Some(open);
        // A batch that was found in part began in a file we do not know.
        let removable_below = if found.lines > 0 { 0 } else { first_rotated.unwrap_or(u64::MAX) };
        self.tidy(append, rotations, removable_below);
        Ok(())
    }

    /// Rotates the file if it is time, and says under which number.
    fn make_room(
        &mut self,
        open: &mut Open,
        append: &Append<'_>,
        lines: &[Bytes],
        next: Resume,
    ) -> Outcome<Option<u64>> {
        let (Some(rotate), Some(line)) = (append.rotate, lines.first()) else {
            return Ok(None);
        };
        let more = u64::from(next.newline) + line.len() as u64 + 1;
        // A line that was begun is ended where it is.
        if next.bytes > 0 || !rotate.is_due(open.end, more, open.begun) {
            return Ok(None);
        }
        if next.newline {
            open.put(&mut vec![b'\n']).or_else(doing("write"))?;
        }
        self.is_tidy = false;
        open.rotate(append).map(Some)
    }

    /// Compresses and removes rotated files. What fails there keeps no record waiting, and is tried again when the next
    /// file is rotated.
    fn tidy(&mut self, append: &Append<'_>, rotations: usize, removable_below: u64) {
        let Some(rotate) = append.rotate.filter(|_| !self.is_tidy) else {
            return;
        };
        let chores = Chores { path: append.path, rotate, packs: rotations + 1, removable_below };
        self.is_tidy = chores.run().unwrap_or_else(|error| {
            let file = append.path.display();
            tracing::warn!(%error, %file, "rotated files stay as they are until the next rotation");
            true
        });
    }

    fn reopen(&mut self, append: &Append<'_>) -> Outcome<Open> {
        let mut open = Open::at(append.path, append.mode)?;
        if let Some(start) = self.doubtful_from.filter(|start| *start < open.end) {
            open.cut(start)?;
        }
        self.doubtful_from = None;
        Ok(open)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt;
    use std::path::Path;

    use super::*;

    fn append<'a>(path: &'a Path, pipeline: &str, key: &str, lines: &[&str]) -> Append<'a> {
        Append {
            path,
            mode: 0o600,
            pipeline: pipeline.into(),
            key: key.into(),
            lines: lines.iter().map(|line| Bytes::copy_from_slice(line.as_bytes())).collect(),
            may_be_there: true,
            shared: true,
            rotate: None,
        }
    }

    // A run that came after another wrote nothing, where its records had the same lines as the last ones.
    #[test]
    fn records_that_look_alike_are_not_taken_for_one_another() {
        let folder = tempfile::tempdir().unwrap();
        for shared in [false, true] {
            let path = folder.path().join(format!("{shared}.ndjson"));
            let deliver = |tail: &mut Tail, key: &str, may_be_there| {
                let batch = Append { shared, may_be_there, ..append(&path, "p", key, &["{\"a\":1}", "{\"a\":1}"]) };
                tail.append(&batch).unwrap();
            };
            deliver(&mut Tail::default(), "1", false);
            let mut next = Tail::default();
            deliver(&mut next, "2", false);
            deliver(&mut next, "3", false);
            // This one did not see that it had written.
            deliver(&mut Tail::default(), "3", true);
            assert_eq!(fs::read_to_string(&path).unwrap(), "{\"a\":1}\n".repeat(6));
            // A torn line of whoever it was gets its end, and what a power cut left goes.
            fs::write(&path, "{\"a\":1}\n{\"a\"\0\0").unwrap();
            deliver(&mut Tail::default(), "4", false);
            assert_eq!(fs::read_to_string(&path).unwrap(), "{\"a\":1}\n{\"a\"\n{\"a\":1}\n{\"a\":1}\n");
        }
    }

    #[test]
    fn after_every_possible_crash_each_line_is_there_once() {
        let folder = tempfile::tempdir().unwrap();
        let whole = "{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n{\"n\":4}\n";
        for cut in 0..=whole.len() {
            for padding in ["", "\0\0\0"] {
                let path = folder.path().join(format!("{cut}-{}", padding.len()));
                fs::write(&path, format!("{}{padding}", &whole[..cut])).unwrap();
                let mut tail = Tail::default();
                let [first, second] = [["{\"n\":1}", "{\"n\":2}"], ["{\"n\":3}", "{\"n\":4}"]];
                // A cut in the second batch means that the first one was acknowledged.
                if cut <= 16 {
                    tail.append(&append(&path, "p", "1", &first)).unwrap();
                }
                tail.append(&append(&path, "p", "2", &second)).unwrap();
                assert_eq!(fs::read_to_string(&path).unwrap(), whole, "cut at {cut}");
            }
        }
    }

    #[test]
    fn pipelines_that_share_a_file_find_their_own_batches_after_a_crash() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("all.ndjson");
        let (north, south) = (["{\"n\":1}", "{\"n\":2}"], ["{\"s\":1}", "{\"s\":2}"]);
        // North's batch was whole but not yet noted, South's had begun; then South comes back first.
        fs::write(&path, "{\"n\":1}\n{\"n\":2}\n{\"s\":1}\n{\"s\"").unwrap();
        let mut tail = Tail::default();
        tail.append(&append(&path, "south", "1", &south)).unwrap();
        tail.append(&append(&path, "north", "1", &north)).unwrap();
        tail.append(&append(&path, "north", "2", &["{\"n\":3}"])).unwrap();
        let expected = "{\"n\":1}\n{\"n\":2}\n{\"s\":1}\n{\"s\":2}\n{\"n\":3}\n";
        assert_eq!(fs::read_to_string(&path).unwrap(), expected);
    }

    #[test]
    fn the_neighbours_torn_line_costs_no_record() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("all.ndjson");
        fs::write(&path, "{\"s\":1}\n{\"s\"").unwrap();
        let mut tail = Tail::default();
        tail.append(&append(&path, "north", "1", &["{\"n\":1}"])).unwrap();
        tail.append(&append(&path, "south", "1", &["{\"s\":1}", "{\"s\":2}"])).unwrap();
        let expected = "{\"s\":1}\n{\"s\"\n{\"n\":1}\n{\"s\":2}\n";
        assert_eq!(fs::read_to_string(&path).unwrap(), expected);
    }

    #[test]
    fn a_torn_line_is_ended_also_by_who_has_looked_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("all.ndjson");
        fs::write(&path, "{\"n\":1}\n{\"s\"").unwrap();
        let mut tail = Tail::default();
        tail.append(&append(&path, "north", "1", &["{\"n\":1}"])).unwrap();
        tail.append(&append(&path, "north", "2", &["{\"n\":2}"])).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"n\":1}\n{\"s\"\n{\"n\":2}\n");
    }

    #[test]
    fn a_rotated_file_is_left_and_a_new_one_begun() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.ndjson");
        let mut tail = Tail::default();
        tail.append(&append(&path, "p", "1", &["{\"n\":1}"])).unwrap();
        let rotated = folder.path().join("audit.ndjson.1");
        fs::rename(&path, &rotated).unwrap();
        tail.append(&append(&path, "p", "2", &["{\"n\":2}"])).unwrap();
        assert_eq!(fs::read_to_string(&rotated).unwrap(), "{\"n\":1}\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"n\":2}\n");
    }

    #[test]
    fn what_a_failed_sync_left_is_written_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.ndjson");
        fs::write(&path, "{\"n\":0}\n{\"n\":1}\n").unwrap();
        let mut tail = Tail { doubtful_from: Some(8), ..Tail::default() };
        tail.append(&append(&path, "p", "1", &["{\"n\":1}", "{\"n\":2}"])).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"n\":0}\n{\"n\":1}\n{\"n\":2}\n");
        assert!(tail.doubtful_from.is_none());
    }

    #[test]
    fn modes_are_the_operators() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/audit.ndjson");
        let batch = Append { mode: 0o640, ..append(&path, "p", "1", &["{}"]) };
        Tail::default().append(&batch).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!(mode(&path), 0o640);
        assert_eq!(mode(path.parent().unwrap()) & 0o700, 0o700);
    }
}
