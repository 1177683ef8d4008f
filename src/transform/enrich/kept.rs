//! A file that is read beside the events: kept in memory, and read again when it has changed.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use arc_swap::{ArcSwap, Guard};

use super::super::Watched;

/// What a file holds, as it was when it could be read last.
pub struct Kept<T> {
    path: PathBuf,
    read: Read<T>,
    now: ArcSwap<T>,
    /// Held while the file is read, and never across an await.
    seen: Mutex<Seen>,
}

/// How a file is read.
pub type Read<T> = Box<dyn Fn(&Path) -> Result<Content<T>, Unread> + Send + Sync>;

/// A file that was read.
#[derive(Debug)]
pub struct Content<T> {
    /// What it holds.
    pub value: T,
    /// How many entries that are, where they are counted.
    pub entries: Option<usize>,
    /// What a person should look at; it was passed over. Names lines, and nothing of what stands in them.
    pub passed_over: Vec<String>,
}

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Unread {
    /// It is not there, or cannot be read.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It is not what it should be.
    #[error("{}{reason}", line.map(|line| format!("line {line}: ")).unwrap_or_default())]
    Wrong {
        /// Counted from one.
        line: Option<u64>,
        /// For a person; holds nothing of the file but names of columns.
        reason: String,
        /// What to do about it.
        hint: &'static str,
    },
    /// It lacks a column.
    #[error("there is no `{name}`")]
    NoColumn {
        /// The column that was asked for.
        name: String,
        /// Those that are there.
        there: Vec<String>,
    },
}

/// Lines that were passed over for the same reason.
#[derive(Debug, Default)]
pub struct Tally {
    first: Option<u64>,
    others: usize,
}

impl Tally {
    pub fn note(&mut self, line: u64) {
        match self.first {
            None => self.first = Some(line),
            Some(_) => self.others += 1,
        }
    }

    pub fn first(&self) -> Option<u64> {
        self.first
    }

    /// What to tell of them, if there are any.
    pub fn told(&self, what: &str) -> Option<String> {
        let first = self.first?;
        Some(match self.others {
            0 => format!("line {first} {what}"),
            1 => format!("line {first} {what}, and another line"),
            others => format!("line {first} {what}, and {others} other lines"),
        })
    }
}

#[derive(Debug)]
struct Seen {
    /// What the file looked like before it was read. Absent: it could not be looked at.
    stamp: Option<Stamp>,
    /// It could not be used when it was looked at last, and a person was told.
    is_troubled: bool,
}

/// What tells a file that was replaced or written to, through whatever links lead there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    place: (u64, u64),
    size: u64,
    written: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(path: &Path) -> io::Result<Self> {
        let about: Metadata = std::fs::metadata(path)?;
        Ok(Self {
            place: (about.dev(), about.ino()),
            size: about.len(),
            written: (about.mtime(), about.mtime_nsec()),
            changed: (about.ctime(), about.ctime_nsec()),
        })
    }
}

impl<T> Kept<T> {
    /// Reads a file for the first time; with what was passed over in it.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub fn open(path: &Path, read: Read<T>) -> Result<(Self, Vec<String>), Unread> {
        let stamp = Stamp::of(path)?;
        let content = read(path)?;
        let seen = Seen { stamp: Some(stamp), is_troubled: false };
        let now = ArcSwap::from_pointee(content.value);
        Ok((Self { path: path.to_owned(), read, now, seen: Mutex::new(seen) }, content.passed_over))
    }

    /// What it holds. Whoever keeps this sees one version of it.
    pub fn now(&self) -> Guard<Arc<T>> {
        self.now.load()
    }

    /// The name of the file without its folder.
    pub fn name(&self) -> &str {
        self.path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
    }

    fn read_again(&self, seen: &mut Seen) -> Result<(), Unread> {
        let stamp = Stamp::of(&self.path).inspect_err(|_| seen.stamp = None)?;
        if seen.stamp == Some(stamp) {
            return Ok(());
        }
        let content = (self.read)(&self.path);
        // Whoever writes it may be half way through: it is looked at again when it is at rest.
        if Stamp::of(&self.path).ok() != Some(stamp) {
            return Ok(());
        }
        seen.stamp = Some(stamp);
        let Content { value, entries, passed_over } = content?;
        self.now.store(Arc::new(value));
        let file = self.path.display();
        for passed_over in passed_over {
            tracing::warn!(%file, "{passed_over}");
        }
        tracing::info!(%file, entries, "the file has changed, and is used from now on");
        seen.is_troubled = false;
        Ok(())
    }
}

impl<T: Send + Sync> Watched for Kept<T> {
    /// Keeps the last good version while the file has none.
    fn look(&self) {
        let mut seen = self.seen.lock().expect("no panic while the lock is held");
        if let Err(reason) = self.read_again(&mut seen)
            && !std::mem::replace(&mut seen.is_troubled, true)
        {
            let file = self.path.display();
            tracing::warn!(%file, %reason, "cannot read the file again: what it held last goes on");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn read(path: &Path) -> Result<Content<String>, Unread> {
        let value = fs::read_to_string(path)?;
        if value.is_empty() {
            return Err(Unread::Wrong { line: None, reason: "it is empty".to_owned(), hint: "" });
        }
        Ok(Content { value, entries: Some(1), passed_over: Vec::new() })
    }

    /// Writes a version as Kubernetes does: a folder beside the others, and a link that is replaced in one step.
    fn mount(root: &Path, version: &str, text: &str) {
        fs::create_dir(root.join(version)).unwrap();
        fs::write(root.join(version).join("list"), text).unwrap();
        std::os::unix::fs::symlink(root.join(version), root.join("..data.new")).unwrap();
        fs::rename(root.join("..data.new"), root.join("..data")).unwrap();
    }

    #[test]
    fn a_mounted_file_changes_with_its_links_and_what_it_held_last_goes_on_while_it_has_nothing() {
        let root = tempfile::tempdir().unwrap();
        mount(root.path(), "1", "one");
        std::os::unix::fs::symlink("..data/list", root.path().join("list")).unwrap();
        let (kept, _) = Kept::open(&root.path().join("list"), Box::new(read)).unwrap();
        assert_eq!(kept.name(), "list");
        let seen = || {
            kept.look();
            (kept.now().as_str().to_owned(), kept.seen.lock().unwrap().is_troubled)
        };
        assert_eq!(seen(), ("one".to_owned(), false));
        mount(root.path(), "2", "two");
        assert_eq!(seen(), ("two".to_owned(), false));
        mount(root.path(), "3", "");
        assert_eq!(seen(), ("two".to_owned(), true));
        fs::remove_file(root.path().join("..data")).unwrap();
        assert_eq!(seen(), ("two".to_owned(), true));
        mount(root.path(), "4", "one");
        assert_eq!(seen(), ("one".to_owned(), false));
    }

    #[test]
    fn a_version_that_is_in_use_stays_as_it_is() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("list");
        fs::write(&path, "one").unwrap();
        let (kept, _) = Kept::open(&path, Box::new(read)).unwrap();
        let in_use = kept.now();
        fs::write(&path, "the next").unwrap();
        kept.look();
        assert_eq!((in_use.as_str(), kept.now().as_str()), ("one", "the next"));
    }

    #[test]
    fn what_comes_back_is_read_although_it_looks_as_before() {
        let root = tempfile::tempdir().unwrap();
        let (path, aside) = (root.path().join("list"), root.path().join("aside"));
        fs::write(&path, "one").unwrap();
        let (kept, _) = Kept::open(&path, Box::new(read)).unwrap();
        fs::rename(&path, &aside).unwrap();
        kept.look();
        fs::rename(&aside, &path).unwrap();
        kept.look();
        assert!(!kept.seen.lock().unwrap().is_troubled);
    }
}
