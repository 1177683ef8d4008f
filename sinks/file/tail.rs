//! One file that is appended to: opened, recovered, written and synced, with the disk's own errors.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::resume::{Resume, resume};

/// How far back the lines of a batch are looked for in a file that several pipelines write to.
const SHARED_LOOK_BACK: u64 = 4 * 1024 * 1024;
const CHUNK: usize = 128 * 1024;

/// What is known of one file. Whatever goes wrong, knowledge is dropped and the file is asked again.
#[derive(Default)]
pub(super) struct Tail {
    open: Option<Open>,
    /// The last batch each pipeline has completed here: one that comes again has been written.
    done: HashMap<Arc<str>, String>,
    /// Bytes behind this were in a failed sync: the kernel forgets that they are not on the disk, so they must be
    /// written anew and cannot count as found.
    doubtful_from: Option<u64>,
}

struct Open {
    file: File,
    identity: (u64, u64),
    /// Its length as we left it. Another length means that somebody else wrote.
    end: u64,
    /// Its length as we found it: what an earlier process may have left of a batch lies before.
    inherited: u64,
    /// The pipelines that have looked there.
    settled: HashSet<Arc<str>>,
}

/// The lines of one batch that belong into one file.
pub(super) struct Append<'a> {
    pub path: &'a Path,
    pub mode: u32,
    pub pipeline: Arc<str>,
    pub key: String,
    pub lines: Vec<Bytes>,
    pub shared: bool,
}

/// A disk error, and what we were doing.
#[derive(Debug)]
pub(super) struct Trouble {
    pub doing: &'static str,
    pub error: io::Error,
}

type Outcome<T> = Result<T, Trouble>;

fn doing<T>(doing: &'static str) -> impl FnOnce(io::Error) -> Result<T, Trouble> {
    move |error| Err(Trouble { doing, error })
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
        let start = open.end;
        let found = open.settle(append)?;
        open.write(append, found).or_else(doing("write"))?;
        if let Err(error) = open.file.sync_data() {
            self.doubtful_from = open.file.set_len(start).err().map(|_| start);
            return doing("sync")(error);
        }
        self.done.insert(append.pipeline.clone(), append.key.clone());
        self.open = Some(open);
        Ok(())
    }

    fn reopen(&mut self, append: &Append<'_>) -> Outcome<Open> {
        let open = Open::at(append.path, append.mode)?;
        let Some(start) = self.doubtful_from.filter(|start| *start < open.end) else {
            self.doubtful_from = None;
            return Ok(open);
        };
        open.file.set_len(start).or_else(doing("shorten"))?;
        self.doubtful_from = None;
        Ok(Open { end: start, inherited: start, ..open })
    }
}

impl Open {
    fn at(path: &Path, mode: u32) -> Outcome<Self> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
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
        // Also for a file that was there: the process that created it may have died before it came here.
        sync_folder(folder).or_else(doing("sync the folder of"))?;
        let found = file.metadata().or_else(doing("read"))?;
        if !found.is_file() {
            return doing("append to")(io::Error::other("not a regular file"));
        }
        Ok(Self {
            identity: (found.dev(), found.ino()),
            end: found.len(),
            inherited: found.len(),
            settled: HashSet::new(),
            file,
        })
    }

    /// Whether the path still leads to this file, and nobody else wrote to it.
    fn is_current(&self, path: &Path) -> bool {
        fs::metadata(path).is_ok_and(|found| (found.dev(), found.ino()) == self.identity && found.len() == self.end)
    }

    /// Finds what is there of a batch that an earlier process may have begun.
    fn settle(&mut self, append: &Append<'_>) -> Outcome<Resume> {
        let unwritten = Resume { keep: usize::MAX, ..Resume::default() };
        if self.inherited == 0 || !self.settled.insert(append.pipeline.clone()) {
            return Ok(unwritten);
        }
        let mut reach: u64 = append.lines.iter().map(|line| line.len() as u64 + 1).sum();
        if append.shared {
            reach += SHARED_LOOK_BACK;
        }
        let (from, text) = self.lines_before(self.inherited, reach).or_else(doing("read"))?;
        let found = resume(&text, &append.lines, append.shared);
        if self.inherited < self.end {
            // Another pipeline has written behind, and ended the torn line.
            return Ok(Resume { bytes: 0, newline: false, ..found });
        }
        if found.keep < text.len() {
            let length = from + found.keep as u64;
            self.file.set_len(length).or_else(doing("shorten"))?;
            self.end = length;
            self.inherited = length;
        }
        Ok(found)
    }

    /// The text of `reach` bytes before `end`, from the first line start on, and where it begins.
    fn lines_before(&self, end: u64, reach: u64) -> io::Result<(u64, Vec<u8>)> {
        // One byte more tells whether a line starts right there.
        let mut from = end.saturating_sub(reach + 1);
        let mut text = vec![0; usize::try_from(end - from).map_err(io::Error::other)?];
        self.file.read_exact_at(&mut text, from)?;
        if from > 0 {
            // Without a line start the text is one torn, foreign line; its end is all that matters of it.
            if let Some(line_end) = text.iter().position(|byte| *byte == b'\n') {
                text.drain(..=line_end);
                from += line_end as u64 + 1;
            }
        }
        Ok((from, text))
    }

    fn write(&mut self, append: &Append<'_>, found: Resume) -> io::Result<()> {
        let start = self.end;
        let written = self.write_chunks(append, found);
        if written.is_err() {
            // Best effort: a torn line that another pipeline comes upon would stay torn.
            let reached = self.file.metadata()?.len();
            let whole = last_line_end(append, found, start, reached);
            if whole < reached {
                self.file.set_len(whole)?;
            }
        }
        written
    }

    fn write_chunks(&mut self, append: &Append<'_>, found: Resume) -> io::Result<()> {
        let mut chunk = Vec::with_capacity(CHUNK);
        if found.newline {
            chunk.push(b'\n');
        }
        let mut skip = found.bytes;
        for line in &append.lines[found.lines..] {
            chunk.extend_from_slice(&line[skip..]);
            chunk.push(b'\n');
            skip = 0;
            if chunk.len() >= CHUNK {
                self.put(&mut chunk)?;
            }
        }
        self.put(&mut chunk)
    }

    fn put(&mut self, chunk: &mut Vec<u8>) -> io::Result<()> {
        self.file.write_all(chunk)?;
        self.end += chunk.len() as u64;
        chunk.clear();
        Ok(())
    }
}

/// The last place up to `reached` where a line of the batch ends, or where it began.
fn last_line_end(append: &Append<'_>, found: Resume, start: u64, reached: u64) -> u64 {
    let mut end = start + u64::from(found.newline);
    if end > reached {
        return start;
    }
    let mut whole = end;
    let mut skip = found.bytes as u64;
    for line in &append.lines[found.lines..] {
        end += line.len() as u64 + 1 - skip;
        skip = 0;
        if end > reached {
            break;
        }
        whole = end;
    }
    whole
}

/// Who may read the file may look for it: `r` of the file's mode is `rx` of the folder's.
fn create_folder(folder: &Path, file_mode: u32) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let mode = 0o700 | (file_mode & 0o444) | ((file_mode & 0o444) >> 2);
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    create_folder(parent, file_mode)?;
    match fs::DirBuilder::new().mode(mode).create(folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => sync_folder(parent),
    }
}

/// Makes the folder's entries survive a power cut, where the file system has a way to.
fn sync_folder(folder: &Path) -> io::Result<()> {
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => Ok(()),
        // A folder we may write to and not read, such as a drop box.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn append<'a>(path: &'a Path, pipeline: &str, key: &str, lines: &[&str]) -> Append<'a> {
        Append {
            path,
            mode: 0o600,
            pipeline: pipeline.into(),
            key: key.into(),
            lines: lines.iter().map(|line| Bytes::copy_from_slice(line.as_bytes())).collect(),
            shared: true,
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
    fn an_error_leaves_whole_lines_and_the_rest_follows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.ndjson");
        let batch = append(&path, "p", "1", &["{\"n\":1}", "{\"n\":2}", "{\"n\":3}"]);
        for (reached, whole) in [(0, 0), (7, 0), (8, 8), (15, 8), (16, 16), (24, 24)] {
            assert_eq!(last_line_end(&batch, Resume::default(), 0, reached), whole);
            assert_eq!(last_line_end(&batch, Resume::default(), 100, 100 + reached), 100 + whole);
        }
        let found = Resume { newline: true, ..Resume::default() };
        assert_eq!(last_line_end(&batch, found, 5, 5), 5);
        assert_eq!(last_line_end(&batch, found, 5, 13), 6);
        assert_eq!(last_line_end(&batch, found, 5, 14), 14);
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
