//! The folder a file lies in: made where it is missing, and synced so that names last.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

/// Who may read the file may look for it: `r` of the file's mode is `rx` of the folder's.
pub(super) fn create_folder(folder: &Path, file_mode: u32) -> io::Result<()> {
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

/// A pipe or a device has no end to recover from.
pub(super) fn not_a_file() -> io::Error {
    io::Error::other("not a regular file")
}

/// To rename it would leave the file where it is.
pub(super) fn a_link() -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, "it is a symbolic link")
}

pub(super) fn folder_of(path: &Path) -> &Path {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

/// As [`sync_folder`], of the folder a file lies in.
pub(super) fn sync_folder_of(path: &Path) -> io::Result<()> {
    sync_folder(folder_of(path))
}

/// Makes the folder's entries survive a power cut, where the file system has a way to.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => Ok(()),
        // A folder we may write to and not read, such as a drop box.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(()),
        other => other,
    }
}
