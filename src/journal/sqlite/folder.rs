//! The place on disk: made private, made durable, and ours alone.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::journal::JournalError;

/// Held while a connection to the journal is open.
///
/// The kernel lets go of it when the process ends, however that happens. It is a file of its own, because closing any
/// handle of a database file would release SQLite's own locks on it.
#[derive(Debug)]
pub(super) struct Lock(#[allow(dead_code, reason = "the open file is the lock")] File);

/// Makes the folder and the file if they are missing, for the owner's eyes only, and takes the lock.
pub(super) fn claim(path: &Path) -> Result<Lock, JournalError> {
    let storage = |error: io::Error| JournalError::Storage(Box::new(error));
    make_folder(folder_of(path)).map_err(storage)?;
    let lock = open_private(&lock_path(path)).map_err(storage)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(JournalError::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(error)) => return Err(storage(error)),
    }
    // Before SQLite does it, which would ask for 0644. The files it makes beside this one take over its mode.
    drop(open_private(path).map_err(storage)?);
    sync_folder(folder_of(path)).map_err(storage)?;
    Ok(Lock(lock))
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn lock_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}

fn open_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

fn make_folder(folder: &Path) -> io::Result<()> {
    let missing: Vec<_> =
        folder.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists()).collect();
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    // A folder's name is an entry of the folder above, and that is what a power cut would lose.
    missing.into_iter().try_for_each(|made| sync_folder(folder_of(made)))
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn what_is_made_is_for_the_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state/deep/journal.db");
        let _lock = claim(&path).unwrap();
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(&lock_path(&path)), 0o600);
        assert_eq!(mode(&dir.path().join("state")), 0o700);
        assert_eq!(mode(&dir.path().join("state/deep")), 0o700);
    }

    #[test]
    fn the_second_one_is_told_and_the_next_one_after_it_is_let_in() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.db");
        let lock = claim(&path).unwrap();
        assert!(matches!(claim(&path), Err(JournalError::InUse { path: told }) if told == path));
        drop(lock);
        claim(&path).unwrap();
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_a_storage_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(matches!(claim(&file.path().join("journal.db")), Err(JournalError::Storage(_))));
    }
}
