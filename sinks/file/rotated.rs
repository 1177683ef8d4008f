//! The rotated files of a path, by their numbers: `audit.ndjson.000001`, the oldest, and so on.
//!
//! With the live file behind them they are one text that was cut between two lines. So a batch is looked for as if no
//! file had ever been rotated, and wherever the process dies there is nothing to repair but names.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Seek, SeekFrom};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::folder::sync_folder_of;
use super::packed::{self, Packing};
use super::rotate::Rotate;
use super::step::step;

const UNFINISHED: &str = ".tmp";

/// In which forms a rotated file is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Forms {
    plain: bool,
    packed: Vec<Packing>,
    unfinished: Vec<Packing>,
}

impl Forms {
    fn is_there(&self) -> bool {
        self.plain || !self.packed.is_empty()
    }
}

/// Where a rotated file lies.
pub(super) fn name(path: &Path, number: u64) -> PathBuf {
    with(path, &format!(".{number:06}"))
}

fn packed_name(path: &Path, number: u64, packing: Packing) -> PathBuf {
    with(&name(path, number), packing.suffix())
}

fn with(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// What is there, the oldest first. Also what is unfinished, so that no number is given twice.
pub(super) fn list(path: &Path) -> io::Result<BTreeMap<u64, Forms>> {
    let mut found: BTreeMap<u64, Forms> = BTreeMap::new();
    let Some(live) = path.file_name() else {
        return Ok(found);
    };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    for entry in fs::read_dir(folder.unwrap_or(Path::new(".")))? {
        let name = entry?.file_name().into_vec();
        let Some((number, form)) = name.strip_prefix(live.as_bytes()).and_then(number_and_form) else {
            continue;
        };
        let forms = found.entry(number).or_default();
        let packing = Packing::ALL.into_iter().find(|packing| form.starts_with(packing.suffix()));
        match packing.map(|packing| (packing, &form[packing.suffix().len()..])) {
            None if form.is_empty() => forms.plain = true,
            Some((packing, "")) => forms.packed.push(packing),
            Some((packing, UNFINISHED)) => forms.unfinished.push(packing),
            // Not a name of ours.
            _ => {
                if *forms == Forms::default() {
                    found.remove(&number);
                }
            }
        }
    }
    Ok(found)
}

/// `.000001.gz` → 1 and `.gz`
fn number_and_form(suffix: &[u8]) -> Option<(u64, &str)> {
    let suffix = std::str::from_utf8(suffix).ok()?.strip_prefix('.')?;
    let digits = suffix.find(|c: char| !c.is_ascii_digit()).unwrap_or(suffix.len());
    let (number, form) = suffix.split_at(digits);
    let value: u64 = number.parse().ok()?;
    // Written as we write it, so that two names never have one number.
    (format!("{value:06}") == number).then_some((value, form))
}

/// The end of the rotated files' text, up to `number` and there up to `length`, about `want` bytes of it; and whether
/// that is all there is.
pub(super) fn text_before(path: &Path, number: u64, length: u64, want: usize) -> io::Result<(Vec<u8>, bool)> {
    let mut text = Vec::new();
    for (at, forms) in list(path)?.range(..=number).rev() {
        if text.len() >= want {
            return Ok((text, false));
        }
        let limit = if *at == number { length } else { u64::MAX };
        let Some((mut older, is_all)) = end_of(path, *at, forms, limit, want - text.len())? else {
            continue;
        };
        if older.last().is_some_and(|last| *last != b'\n') {
            older.push(b'\n');
        }
        // A hole has no business in a file that was synced before it was renamed: nothing before it is looked at.
        let hole = older.iter().rposition(|byte| *byte == 0);
        if let Some(hole) = hole {
            older.drain(..=hole);
        }
        older.append(&mut text);
        text = older;
        if !is_all || hole.is_some() {
            return Ok((text, false));
        }
    }
    Ok((text, true))
}

fn end_of(path: &Path, number: u64, forms: &Forms, limit: u64, want: usize) -> io::Result<Option<(Vec<u8>, bool)>> {
    let named = |path: &Path, error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    if forms.plain {
        let plain = name(path, number);
        let read = || -> io::Result<_> {
            let mut file = File::open(&plain)?;
            let length = file.metadata()?.len().min(limit);
            let from = length.saturating_sub(want as u64);
            file.seek(SeekFrom::Start(from))?;
            let (text, _) = packed::last_bytes(file, length - from, want)?;
            Ok((text, from == 0))
        };
        return read().map(Some).map_err(|error| named(&plain, error));
    }
    let Some(packing) = forms.packed.first() else {
        return Ok(None);
    };
    let packed = packed_name(path, number, *packing);
    let read = || packed::last_bytes(packing.reader(File::open(&packed)?)?, limit, want);
    read().map(Some).map_err(|error| named(&packed, error))
}

/// What is to be done beside the records, and may be done later.
pub(super) struct Chores<'a> {
    pub path: &'a Path,
    pub rotate: &'a Rotate,
    /// How many files are compressed at most: records wait meanwhile.
    pub packs: usize,
    /// Files from this number on may hold what the next batch is looked for in, and stay.
    pub removable_below: u64,
}

impl Chores<'_> {
    /// Whether everything is done.
    pub fn run(&self) -> io::Result<bool> {
        let mut files = list(self.path)?;
        let removed = self.remove_old(&mut files)?;
        let mut packs = self.packs;
        for (number, forms) in &files {
            self.settle(*number, forms)?;
            let Some(packing) = self.rotate.compression.packing().filter(|_| forms.plain && forms.packed.is_empty())
            else {
                continue;
            };
            if packs == 0 {
                return Ok(false);
            }
            packs -= 1;
            let (plain, packed) = (name(self.path, *number), packed_name(self.path, *number, packing));
            packed::pack(packing, &plain, &with(&packed, UNFINISHED), &packed)?;
        }
        Ok(removed)
    }

    /// Ends what a process before us had begun.
    fn settle(&self, number: u64, forms: &Forms) -> io::Result<()> {
        for packing in &forms.unfinished {
            remove(&with(&packed_name(self.path, number, *packing), UNFINISHED))?;
        }
        if !forms.plain {
            return Ok(());
        }
        let plain = name(self.path, number);
        let mut packed = forms.packed.iter();
        // Compared, because it may be somebody else's, and unfinished.
        if packed.any(|packing| packed::is_same(*packing, &plain, &packed_name(self.path, number, *packing))) {
            remove(&plain)?;
            sync_folder_of(self.path)?;
        }
        Ok(())
    }

    /// Whether as few are left as the operator wants.
    fn remove_old(&self, files: &mut BTreeMap<u64, Forms>) -> io::Result<bool> {
        let Some(keep) = self.rotate.keep else {
            return Ok(true);
        };
        let there: Vec<u64> = files.iter().filter(|(_, forms)| forms.is_there()).map(|(number, _)| *number).collect();
        let surplus = &there[..there.len().saturating_sub(keep)];
        for number in surplus {
            if *number >= self.removable_below {
                return Ok(false);
            }
            for packing in &files[number].packed {
                remove(&packed_name(self.path, *number, *packing))?;
            }
            if files[number].plain {
                remove(&name(self.path, *number))?;
            }
            step();
            files.remove(number);
        }
        Ok(true)
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
