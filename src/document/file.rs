//! The text mistakes are found in, and places in it.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::literals::Literal;
use super::mask;

/// A file as it was read. Its `Debug` leaves the text out, because secrets may be in it.
pub struct File {
    name: String,
    folder: PathBuf,
    text: String,
    /// What must not be printed. Grows while values are decoded; held for a few lines, never across an await.
    masks: Mutex<Vec<Mask>>,
    /// The literals in it, and whether it is no TOML; of a document only.
    literals: OnceLock<(Vec<Literal>, bool)>,
}

/// A part of a file that is never printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mask {
    pub(super) span: Range<usize>,
    /// What the part means where that differs from how it is written: a message may quote it either way.
    pub(super) value: Option<String>,
    /// Whether it is looked for in messages, too.
    pub(super) is_quoted: bool,
}

impl File {
    pub(super) fn new(name: &str, folder: &Path, text: &str) -> Self {
        Self {
            name: name.to_owned(),
            folder: folder.to_owned(),
            text: text.to_owned(),
            masks: Mutex::default(),
            literals: OnceLock::new(),
        }
    }

    /// A file that is no TOML and is read beside one: mistakes in it are shown as those of a document are.
    ///
    /// # Errors
    /// It cannot be read, or is not UTF-8.
    pub fn read(path: &Path) -> std::io::Result<Arc<Self>> {
        let text = std::fs::read_to_string(path)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        Ok(Arc::new(Self::new(&path.display().to_string(), folder, &text)))
    }

    /// What messages call it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What relative paths in it are relative to.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The whole text: secrets that are written out in it, too, so none for messages.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn hide(&self, span: Range<usize>, value: Option<String>) {
        self.mask(Mask { span, value, is_quoted: true });
    }

    /// Hides a part where its line is shown, and leaves messages as they are.
    pub(super) fn cover(&self, span: Range<usize>) {
        self.mask(Mask { span, value: None, is_quoted: false });
    }

    fn mask(&self, mask: Mask) {
        let mut masks = self.masks();
        if !mask.span.is_empty() && !masks.contains(&mask) {
            masks.push(mask);
        }
    }

    /// The masks that touch `span`.
    pub(super) fn masks_in(&self, span: &Range<usize>) -> Vec<Mask> {
        let touches = |mask: &&Mask| mask.span.start < span.end && span.start < mask.span.end;
        self.masks().iter().filter(touches).cloned().collect()
    }

    /// What is not shown in `line` for the sake of `caret`: the masks, and the strings beside what it is about.
    pub(super) fn hidden_in(&self, line: &Range<usize>, caret: &Range<usize>) -> Vec<Range<usize>> {
        let touches = |span: &Range<usize>| span.start < line.end && line.start < span.end;
        let mut hidden: Vec<_> = self.masks_in(line).into_iter().map(|mask| mask.span).collect();
        let Some((literals, is_broken)) = self.literals.get() else { return hidden };
        let beside = literals.iter().filter(|literal| touches(&literal.span));
        let beside = beside.filter(|literal| {
            let written = &self.text[literal.span.clone()];
            !mask::is_shown(literal, written, caret, *is_broken)
        });
        hidden.extend(beside.map(|literal| literal.span.clone()));
        hidden
    }

    pub(super) fn keep_literals(&self, literals: Vec<Literal>, is_broken: bool) {
        let _ = self.literals.set((literals, is_broken));
    }

    fn masks(&self) -> MutexGuard<'_, Vec<Mask>> {
        self.masks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The line `offset` stands in, counted from zero, and its bounds without the line break.
    pub(super) fn line_at(&self, offset: usize) -> (usize, Range<usize>) {
        let bytes = self.text.as_bytes();
        let (before, after) = bytes.split_at(offset.min(bytes.len()));
        let start = before.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        let length = after.iter().position(|b| *b == b'\n').unwrap_or(after.len());
        let end = before.len() + length;
        let line = &bytes[start..end];
        let end = start + line.strip_suffix(b"\r").unwrap_or(line).len();
        let number = before.iter().filter(|b| **b == b'\n').count();
        (number, start..end)
    }
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Where in which file something stands. `Display` is `name:line:column`, counted from one, columns in characters.
#[derive(Clone)]
pub struct Place {
    file: Arc<File>,
    /// Absent for the file as a whole.
    span: Option<Range<usize>>,
}

impl Place {
    /// Those bytes of the file.
    #[must_use]
    pub fn new(file: &Arc<File>, span: Range<usize>) -> Self {
        Self { file: file.clone(), span: Some(span) }
    }

    /// The file as a whole, where no line is to blame.
    #[must_use]
    pub fn whole(file: &Arc<File>) -> Self {
        Self { file: file.clone(), span: None }
    }

    /// The file it is in.
    #[must_use]
    pub fn file(&self) -> &Arc<File> {
        &self.file
    }

    /// The line it begins in, counted from one, unless it is the file as a whole.
    #[must_use]
    pub fn line(&self) -> Option<usize> {
        self.span.as_ref().map(|span| self.file.line_at(span.start).0 + 1)
    }

    /// The bytes of the file it covers, unless it is the file as a whole.
    #[must_use]
    pub fn span(&self) -> Option<&Range<usize>> {
        self.span.as_ref()
    }
}

impl PartialEq for Place {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.file, &other.file) && self.span == other.span
    }
}

impl Eq for Place {}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.file.name())?;
        let Some(span) = &self.span else {
            return Ok(());
        };
        let (number, line) = self.file.line_at(span.start);
        let text = &self.file.text()[line.clone()];
        let before = text.char_indices().filter(|(at, _)| line.start + at < span.start);
        write!(f, ":{}:{}", number + 1, before.count() + 1)
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
