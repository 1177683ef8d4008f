//! What a file source was told: the operator's words, already checked.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use glob::{MatchOptions, Pattern};

use crate::connector::Connector;
use crate::event::Clock;

/// Everything a file source needs to know.
#[derive(Clone, Debug)]
pub struct FileSettings {
    /// Whose records the files hold.
    pub connector: Arc<Connector>,
    /// Which files.
    pub pattern: FilePattern,
    /// Whether files may still grow, and others be added. Without it the files are finished: what is cut off in them
    /// stays so.
    pub follow: bool,
    /// What time it is.
    pub clock: Clock,
}

/// A path, or a pattern of paths: `*` and `?` stand for characters of a name, `[abc]` for one of them, and `**` for any
/// folders. What begins with a dot is meant only by what begins with a dot itself, so that files on their way in are
/// left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePattern {
    /// The pattern as `glob` takes it, with the folder it is relative to.
    text: String,
    /// The same as people read it.
    shown: PathBuf,
    /// Whether it is a path, in which nothing stands for anything else.
    is_path: bool,
    /// The folder of all files it means, when there is only one.
    folder: Option<PathBuf>,
}

/// A text that is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a pattern: {reason}")]
pub struct PatternError {
    text: String,
    reason: &'static str,
}

/// What is special in a pattern.
const SPECIAL: [char; 3] = ['*', '?', '['];

const OPTIONS: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };

impl FilePattern {
    /// The files that `text` means in a configuration file that lies in `folder`.
    ///
    /// # Errors
    /// When `text` is no pattern.
    pub fn new(folder: &Path, text: &str) -> Result<Self, PatternError> {
        let path = Path::new(text);
        let escaped = match path.is_absolute() || folder.as_os_str().is_empty() {
            true => String::new(),
            false => format!("{}/", Pattern::escape(&folder.to_string_lossy())),
        };
        let whole = format!("{escaped}{text}");
        if let Err(error) = Pattern::new(&whole) {
            return Err(PatternError { text: text.to_owned(), reason: error.msg });
        }
        let parent = path.parent().filter(|parent| !parent.to_string_lossy().contains(SPECIAL));
        let parent = parent.map(|parent| folder.join(parent));
        Ok(Self {
            text: whole,
            shown: folder.join(path),
            is_path: !text.contains(SPECIAL),
            folder: parent.map(|parent| if parent.as_os_str().is_empty() { PathBuf::from(".") } else { parent }),
        })
    }

    /// The path, when it is one and not a pattern.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.is_path.then_some(&self.shown)
    }

    /// The folder of all files it means, when there is only one.
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// What it means now: paths of files, folders and whatever else there is, and folders that cannot be looked into. A
    /// path means itself, whether anything is there or not.
    pub fn paths(&self) -> Vec<Result<PathBuf, (PathBuf, std::io::Error)>> {
        if let Some(path) = self.path() {
            return vec![Ok(path.to_owned())];
        }
        let paths = glob::glob_with(&self.text, OPTIONS).expect("it was a pattern when it was made");
        paths.map(|path| path.map_err(|error| (error.path().to_owned(), error.into()))).collect()
    }
}

impl std::fmt::Display for FilePattern {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.shown.display().fmt(out)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn found(folder: &Path, text: &str) -> Vec<String> {
        let pattern = FilePattern::new(folder, text).unwrap();
        let mut paths: Vec<_> = pattern.paths().into_iter().map(|path| path.unwrap()).collect();
        paths.sort();
        paths.iter().map(|path| path.strip_prefix(folder).unwrap().display().to_string()).collect()
    }

    #[test]
    fn a_pattern_means_files_in_the_folder_of_the_configuration_whatever_that_is_called() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("odd [1]*");
        fs::create_dir_all(folder.join("a/b")).unwrap();
        for name in ["x.json", "y.json", ".hidden.json", "a/x.json", "a/b/z.json", "a/b/[q].json"] {
            fs::write(folder.join(name), "").unwrap();
        }
        assert_eq!(found(&folder, "*.json"), ["x.json", "y.json"]);
        assert_eq!(found(&folder, "**/?.json"), ["a/b/z.json", "a/x.json", "x.json", "y.json"]);
        assert_eq!(found(&folder, "x.json"), ["x.json"]);
        assert_eq!(found(&folder, ".hidden.json"), [".hidden.json"]);
        assert_eq!(found(&folder, "a/b/[[]q].json"), ["a/b/[q].json"]);
        assert_eq!(found(&folder, "none*"), Vec::<String>::new());
        assert_eq!(found(&folder, "none"), ["none"]);
    }

    #[test]
    fn a_pattern_knows_its_folder_when_there_is_one() {
        let pattern = |folder: &str, text| FilePattern::new(Path::new(folder), text).unwrap();
        assert_eq!(pattern("/etc", "x.json").path(), Some(Path::new("/etc/x.json")));
        assert_eq!(pattern("/etc", "/var/*.json").path(), None);
        assert_eq!(pattern("/etc", "/var/*.json").folder(), Some(Path::new("/var")));
        assert_eq!(pattern("/etc", "a/*/x.json").folder(), None);
        assert_eq!(pattern("", "x.json").folder(), Some(Path::new(".")));
        assert_eq!(pattern("/etc", "a/*.json").to_string(), "/etc/a/*.json");
    }

    #[test]
    fn what_is_no_pattern_says_why() {
        let error = |text| FilePattern::new(Path::new("/etc"), text).unwrap_err().to_string();
        assert_eq!(error("a**/x"), "`a**/x` is not a pattern: recursive wildcards must form a single path component");
        assert_eq!(error("a[x"), "`a[x` is not a pattern: invalid range pattern");
    }
}
