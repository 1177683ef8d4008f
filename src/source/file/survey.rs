//! Which files there are, and which of those that were begun have another name now.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{DirEntryExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use chrono::{DateTime, Utc};

use super::position::FileId;
use super::settings::FilePattern;

/// How many files are tried before the run in which they are read.
const TRIED: usize = 1000;

/// A file, as it was when it was looked at.
#[derive(Clone, Debug)]
pub struct Found {
    /// Where.
    pub path: PathBuf,
    /// Which.
    pub id: FileId,
    /// What would be different if its content were.
    pub stamp: Stamp,
    /// Its name is no longer one of those asked for: it was renamed since it was begun. It is read to its end, and only
    /// if it is what was begun.
    pub is_renamed: bool,
}

/// What changes when a content does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Bytes on disk.
    pub size: u64,
    /// When it was last written to, in seconds and nanoseconds since 1970.
    modified: (i64, i64),
    /// When anything of it last changed, in seconds and nanoseconds since 1970.
    changed: (i64, i64),
}

/// What there is.
#[derive(Debug, Default)]
pub struct Survey {
    /// The files, in the order of their names, each once whatever the number of its names.
    pub files: Vec<Found>,
    /// What could not be looked at.
    pub unreadable: Vec<(PathBuf, io::Error)>,
}

impl FilePattern {
    /// Whether it means any file now, which can be read.
    ///
    /// # Errors
    /// With what cannot be, if there is anything: in an archive of very many files, among the first of them.
    pub fn has_files(&self) -> Result<bool, (PathBuf, io::Error)> {
        let Survey { files, unreadable } = Survey::of(self, std::iter::empty());
        if let Some(unreadable) = unreadable.into_iter().next() {
            return Err(unreadable);
        }
        for Found { path, .. } in files.iter().take(TRIED) {
            fs::File::open(path).map_err(|error| (path.clone(), error))?;
        }
        Ok(!files.is_empty())
    }
}

impl FileId {
    /// Which file that is.
    #[must_use]
    pub fn of(metadata: &Metadata) -> Self {
        let born = metadata.created().ok().and_then(|born| born.duration_since(SystemTime::UNIX_EPOCH).ok());
        let born = born.and_then(|born| u64::try_from(born.as_micros()).ok()).unwrap_or(0);
        Self { device: metadata.dev(), inode: metadata.ino(), born }
    }
}

impl Stamp {
    /// The stamp of that file.
    #[must_use]
    pub fn of(metadata: &Metadata) -> Self {
        let modified = (metadata.mtime(), metadata.mtime_nsec());
        Self { size: metadata.len(), modified, changed: (metadata.ctime(), metadata.ctime_nsec()) }
    }

    /// When it was last written to.
    #[must_use]
    pub fn modified(&self) -> DateTime<Utc> {
        instant(self.modified)
    }

    /// When anything of it last changed.
    #[must_use]
    pub fn changed(&self) -> DateTime<Utc> {
        instant(self.modified.max(self.changed))
    }
}

fn instant((seconds, nanos): (i64, i64)) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, u32::try_from(nanos).unwrap_or_default()).unwrap_or_default()
}

impl Survey {
    /// Looks for the files of `pattern`, and for those of `begun` that have another name in the same folders now.
    #[must_use]
    pub fn of(pattern: &FilePattern, begun: impl Iterator<Item = FileId>) -> Self {
        let mut survey = Self::default();
        let mut folders: BTreeSet<PathBuf> = pattern.folder().map(Path::to_owned).into_iter().collect();
        let mut paths = Vec::new();
        for path in pattern.paths() {
            match path {
                Ok(path) => paths.push(path),
                Err(unreadable) => survey.unreadable.push(unreadable),
            }
        }
        paths.sort();
        let mut seen = HashSet::new();
        for path in paths {
            folders.extend(path.parent().filter(|folder| !folder.as_os_str().is_empty()).map(Path::to_owned));
            survey.look_at(path, false, &mut seen);
        }
        let missing: HashMap<u64, FileId> =
            begun.filter(|id| *id != FileId::NONE && !seen.contains(id)).map(|id| (id.inode, id)).collect();
        if !missing.is_empty() {
            folders.iter().for_each(|folder| survey.look_for(&missing, folder, &mut seen));
        }
        survey
    }

    fn look_at(&mut self, path: PathBuf, is_renamed: bool, seen: &mut HashSet<FileId>) {
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_file() => {
                let id = FileId::of(&metadata);
                if seen.insert(id) {
                    self.files.push(Found { path, id, stamp: Stamp::of(&metadata), is_renamed });
                }
            }
            // Folders, and pipes, which would have us wait for somebody to write to them.
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => self.unreadable.push((path, error)),
        }
    }

    /// A folder that cannot be read holds nothing that is missing: what is asked for was found without it.
    fn look_for(&mut self, missing: &HashMap<u64, FileId>, folder: &Path, seen: &mut HashSet<FileId>) {
        for entry in fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
            let Some(id) = missing.get(&entry.ino()) else { continue };
            if fs::metadata(entry.path()).is_ok_and(|metadata| FileId::of(&metadata) == *id) {
                self.look_at(entry.path(), true, seen);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// The names a survey finds; in brackets those of renamed files.
    fn names(folder: &Path, text: &str, begun: &[FileId]) -> Vec<String> {
        let survey = Survey::of(&FilePattern::new(folder, text).unwrap(), begun.iter().copied());
        let name = |found: &Found| found.path.strip_prefix(folder).unwrap().display().to_string();
        let shown = |found: &Found| if found.is_renamed { format!("[{}]", name(found)) } else { name(found) };
        let unreadable = survey.unreadable.iter().map(|(path, error)| format!("{}: {error}", path.display()));
        survey.files.iter().map(shown).chain(unreadable).collect()
    }

    #[test]
    fn files_are_found_in_the_order_of_their_names_and_each_once() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        for name in ["b.log", "a.log", "c.txt"] {
            fs::write(folder.join(name), "x").unwrap();
        }
        fs::create_dir(folder.join("d.log")).unwrap();
        symlink(folder.join("a.log"), folder.join("current.log")).unwrap();
        symlink(folder.join("nowhere"), folder.join("dangling.log")).unwrap();
        symlink("circle.txt", folder.join("circle.txt")).unwrap();
        assert_eq!(names(folder, "*.log", &[]), ["a.log", "b.log"]);
        let circle = names(folder, "circle.txt", &[]);
        assert!(circle.len() == 1 && circle[0].contains("circle.txt: "), "{circle:?}");
    }

    #[test]
    fn a_file_that_was_begun_is_found_under_its_new_name() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        fs::write(folder.join("app.log"), "x").unwrap();
        let id = FileId::of(&fs::metadata(folder.join("app.log")).unwrap());
        fs::rename(folder.join("app.log"), folder.join("app.old")).unwrap();
        fs::write(folder.join("app.log"), "y").unwrap();
        assert_eq!(names(folder, "app.log", &[]), ["app.log"]);
        assert_eq!(names(folder, "app.log", &[id]), ["app.log", "[app.old]"]);
        assert_eq!(names(folder, "app.*", &[id]), ["app.log", "app.old"]);
        assert_eq!(names(folder, "*/nothing", &[id]), Vec::<String>::new());
    }
}
