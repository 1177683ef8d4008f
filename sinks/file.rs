//! Lines of JSON in local files, each record once whatever happens to the process or the power.
//!
//! A batch comes again after a crash with the same lines, so what an append left behind is recognised in the file
//! itself and completed; see `file/resume.rs`. Two records whose JSON is the same to the byte are the one thing that
//! cannot be told apart, and only in the first batch after a crash: keep the record's id in the JSON. A path without
//! `{pipeline}` may be shared by pipelines; a line that was torn by a power cut then may stay behind torn, beside the
//! whole one.

mod folder;
#[cfg(test)]
mod laws;
mod open;
mod packed;
mod resume;
mod rotate;
mod rotated;
mod step;
mod tail;

use std::collections::HashMap;
use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};

use self::open::{Append, Trouble};
pub use self::rotate::{Compression, Rotate};
use self::tail::Tail;
use crate::progress::Progress;
use crate::template::{Place, Template};
use crate::{Batch, BatchLimits, BuildError, Closed, Delivery, DeliveryError, Sink};

/// One sync each, so neither too small nor so large that a reader of the file waits.
pub const BATCH: BatchLimits =
    BatchLimits { max_records: 5000, max_bytes: 4 * 1024 * 1024, max_wait: Duration::from_secs(1) };

/// How many files are held open.
const MAX_OPEN: usize = 64;

/// `[sinks.NAME.file]`
#[derive(Clone, Debug, Deserialize)]
pub struct Config {
    /// `/var/log/audit/{pipeline}/{date}.ndjson`. Folders are created.
    pub path: Template,
    /// The mode of files created, `"0600"` unless set. Folders get the matching one.
    #[serde(default)]
    pub mode: FileMode,
    /// When a file is put aside under a number and a new one begun. Never unless set.
    pub rotate: Option<Rotate>,
}

/// A file mode in octal digits, as `chmod` takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileMode(pub u32);

/// Appends to files, one writer at a time each.
pub struct FileSink {
    config: Config,
    tails: Arc<Tails>,
    /// What was begun, whatever came of it.
    begun: Progress<()>,
}

/// The files lately written to. Forgetting one costs a look at its end the next time.
#[derive(Default)]
struct Tails {
    // Held for a few lines, never across an await; the inner ones are held during disk work, on a blocking thread.
    by_path: Mutex<HashMap<PathBuf, Slot>>,
}

struct Slot {
    tail: Arc<Mutex<Tail>>,
    last_use: u64,
}

impl Config {
    /// Looks at the configuration only: whether the path can be written is for [`Sink::check`].
    pub fn build(&self) -> Result<FileSink, BuildError> {
        self.rotate.as_ref().map_or(Ok(()), Rotate::validate)?;
        let path = self.path.to_string();
        if matches!(path.rsplit('/').next(), None | Some("" | "." | "..")) {
            return Err(BuildError::new(
                "path",
                "`path` is no file's: it must end in a name",
                "add one, such as `{pipeline}.ndjson`",
            ));
        }
        Ok(FileSink { config: self.clone(), tails: Arc::default(), begun: Progress::default() })
    }
}

#[async_trait]
impl Sink for FileSink {
    async fn check(&self) -> Result<(), DeliveryError> {
        let path = &self.config.path;
        if let Some(file) = path.literal().map(PathBuf::from).filter(|file| file.exists()) {
            let rotates = self.config.rotate.is_some();
            return on_disk(move || probe_file(&file, rotates)).await;
        }
        // Up to the last `/`: what follows it is the beginning of a name.
        let folder = match path.literal_prefix().rsplit_once('/') {
            Some(("", _)) => "/",
            Some((folder, _)) => folder,
            None => ".",
        };
        let folder = PathBuf::from(folder);
        on_disk(move || probe_folder(&folder)).await
    }

    async fn deliver(&self, batch: &Batch) -> Result<Delivery, DeliveryError> {
        let groups = self.config.path.group(batch, Place::Path);
        let groups: Vec<_> = groups
            .into_iter()
            .map(|(path, records)| {
                let lines = records.into_iter().map(|record| record.json.clone());
                (PathBuf::from(path), lines.collect::<Vec<_>>())
            })
            .collect();
        let may_be_there = batch.closed == Closed::Before || self.begun.of(batch).is_some();
        self.begun.keep(batch, ());
        let (pipeline, key) = (batch.pipeline.clone(), batch.key());
        let (mode, shared) = (self.config.mode.0, self.config.path.is_shared());
        let rotate = self.config.rotate.clone();
        let tails = Arc::clone(&self.tails);
        // A dropped future leaves this running to its end. The batch that comes again waits for the file, and finds
        // itself done.
        on_disk(move || {
            for (path, lines) in groups {
                let tail = tails.of(&path);
                let (pipeline, key, rotate) = (Arc::clone(&pipeline), key.clone(), rotate.as_ref());
                let append = Append { path: &path, mode, pipeline, key, lines, may_be_there, shared, rotate };
                let mut tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
                tail.append(&append).map_err(|trouble| explain(trouble, &path))?;
            }
            Ok(Delivery::default())
        })
        .await
    }
}

impl fmt::Display for FileSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "file {}", self.config.path)
    }
}

impl Tails {
    fn of(&self, path: &Path) -> Arc<Mutex<Tail>> {
        let mut by_path = self.by_path.lock().unwrap_or_else(PoisonError::into_inner);
        let now = by_path.values().map(|slot| slot.last_use).max().unwrap_or(0) + 1;
        if by_path.len() >= MAX_OPEN && !by_path.contains_key(path) {
            // One that is being written to has a second owner and must stay the only lock of its file.
            let idle = by_path.iter().filter(|(_, slot)| Arc::strong_count(&slot.tail) == 1);
            let oldest = idle.min_by_key(|(_, slot)| slot.last_use).map(|(path, _)| path.clone());
            if let Some(oldest) = oldest {
                by_path.remove(&oldest);
            }
        }
        let slot = by_path.entry(path.to_owned()).or_insert_with(|| Slot { tail: Arc::default(), last_use: now });
        slot.last_use = now;
        Arc::clone(&slot.tail)
    }
}

async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, DeliveryError> + Send + 'static,
) -> Result<T, DeliveryError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(error) => Err(DeliveryError::retryable("the disk work did not finish", error)),
    }
}

/// Opens a file as a delivery will, and does in its folder what a rotation will.
fn probe_file(file: &Path, rotates: bool) -> Result<(), DeliveryError> {
    let refused = |doing, error| Err(explain(Trouble { doing, error }, file));
    if file.metadata().is_ok_and(|found| !found.is_file() && !found.is_dir()) {
        return refused("append to", folder::not_a_file());
    }
    if let Err(error) = std::fs::File::options().read(true).append(true).open(file) {
        return refused("append to", error);
    }
    if !rotates {
        return Ok(());
    }
    if file.is_symlink() {
        return refused("rotate", folder::a_link());
    }
    if let Err(error) = rotated::list(file) {
        return refused("list what was rotated of", error);
    }
    probe_folder(folder::folder_of(file))
}

/// Creates and removes a file where the first folder will be.
fn probe_folder(folder: &Path) -> Result<(), DeliveryError> {
    let existing = folder.ancestors().find(|folder| folder.exists());
    let existing = existing.filter(|folder| !folder.as_os_str().is_empty());
    let existing = existing.unwrap_or(Path::new("."));
    let path = existing.join(format!(".auditline-check-{}", std::process::id()));
    let created = std::fs::File::create(&path).and_then(|_| std::fs::remove_file(&path));
    created.map_err(|error| explain(Trouble { doing: "create files in", error }, existing))
}

fn explain(Trouble { doing, error }: Trouble, path: &Path) -> DeliveryError {
    let path = path.display();
    let message = format!("cannot {doing} `{path}`");
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            DeliveryError::retryable(format!("no space left on the disk for `{path}`"), error)
        }
        ErrorKind::PermissionDenied => {
            DeliveryError::refused(message, "give the user that runs auditline the right to write there", error)
        }
        ErrorKind::ReadOnlyFilesystem => DeliveryError::refused(message, "set `path` to a writable volume", error),
        ErrorKind::NotADirectory | ErrorKind::IsADirectory | ErrorKind::InvalidFilename => {
            DeliveryError::refused(message, "set `path` to the path of a file", error)
        }
        ErrorKind::FileTooLarge => DeliveryError::refused(message, "set `rotate = { size = \"1GiB\" }`", error),
        // The system's; ours, without a number, passes.
        ErrorKind::ResourceBusy if error.raw_os_error().is_some() => {
            DeliveryError::refused(message, "mount the folder of the file, not the file alone", error)
        }
        ErrorKind::InvalidInput if error.raw_os_error().is_none() => {
            DeliveryError::refused(message, "set `path` to what the link leads to", error)
        }
        // Ours, from `Tail`: a pipe or a device has no end to recover from.
        ErrorKind::Other if error.raw_os_error().is_none() => {
            DeliveryError::refused(message, "set `path` to a regular file; for a pipe, use the stdout sink", error)
        }
        _ => DeliveryError::retryable(message, error),
    }
}

impl Default for FileMode {
    fn default() -> Self {
        Self(0o600)
    }
}

impl<'de> Deserialize<'de> for FileMode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Any kind of value, so that a bare number is answered with the example as well.
        deserializer.deserialize_any(FileModeVisitor)
    }
}

struct FileModeVisitor;

impl Visitor<'_> for FileModeVisitor {
    type Value = FileMode;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a file mode such as `\"0640\"`")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<FileMode, E> {
        let digits = text.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
        match u32::from_str_radix(text, 8) {
            Ok(mode) if digits && mode <= 0o777 && mode & 0o600 == 0o600 => Ok(FileMode(mode)),
            Ok(mode) if digits && mode <= 0o777 => {
                Err(E::custom("the owner must be able to read and write: `\"0600\"` or wider"))
            }
            _ => Err(E::invalid_value(Unexpected::Str(text), &self)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;
    use tempfile::TempDir;

    use super::*;
    use crate::contract::{self, Destination, Guarantees};

    struct Folder {
        folder: TempDir,
        template: &'static str,
        rotate: Option<serde_json::Value>,
    }

    impl Folder {
        fn new(template: &'static str) -> Self {
            let folder = tempfile::tempdir().unwrap();
            Self { folder, template, rotate: None }
        }

        fn rotating(template: &'static str, rotate: serde_json::Value) -> Self {
            Self { rotate: Some(rotate), ..Self::new(template) }
        }

        fn config(&self) -> Config {
            let path = format!("{}/{}", self.folder.path().display(), self.template);
            serde_json::from_value(json!({ "path": path, "rotate": self.rotate })).unwrap()
        }
    }

    #[async_trait]
    impl Destination for Folder {
        fn sink(&self) -> Arc<dyn Sink> {
            Arc::new(self.config().build().unwrap())
        }

        async fn read_back(&self, _expected: usize) -> Vec<String> {
            let mut paths = Vec::new();
            collect(self.folder.path(), &mut paths);
            // The live file is the last of its name.
            paths.sort_by_key(|path| {
                let (name, number) = path.to_str().unwrap().split_once(".ndjson").unwrap();
                (name.to_owned(), number.is_empty(), number.to_owned())
            });
            let texts = paths.iter().map(|path| laws::text(path));
            texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
        }

        fn guarantees(&self) -> Guarantees {
            Guarantees { exactly_once: true, ..Guarantees::default() }
        }
    }

    fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, paths);
            } else {
                paths.push(path);
            }
        }
    }

    #[tokio::test]
    async fn keeps_the_contract_with_one_file() {
        contract::all(async |_| Folder::new("audit.ndjson")).await;
    }

    #[tokio::test]
    async fn keeps_the_contract_with_many_files() {
        contract::all(async |_| Folder::new("{vendor}/{pipeline}/{date}.ndjson")).await;
    }

    #[tokio::test]
    async fn keeps_the_contract_while_files_are_rotated() {
        for rotate in [
            json!({ "size": "16KiB", "compression": "gzip" }),
            json!({ "size": "16KiB", "age": "1ns", "compression": "zstd" }),
        ] {
            contract::all(async |_| Folder::rotating("{vendor}/{pipeline}/{date}.ndjson", rotate.clone())).await;
        }
    }

    #[tokio::test]
    async fn what_cannot_be_rotated_is_found_before_the_first_record() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("real.ndjson"), "").unwrap();
        std::os::unix::fs::symlink(at("real.ndjson"), at("link.ndjson")).unwrap();
        let rotate = json!({ "size": "1B" });
        let sink = |path: &Path| {
            let config = json!({ "path": path, "rotate": rotate });
            serde_json::from_value::<Config>(config).unwrap().build().unwrap()
        };
        sink(&at("real.ndjson")).check().await.unwrap();
        for (path, message) in [
            (at("link.ndjson"), "cannot rotate `PATH`: it is a symbolic link"),
            ("/dev/null".into(), "cannot append to `PATH`: not a regular file"),
        ] {
            let sink = sink(&path);
            let found = sink.check().await.unwrap_err();
            assert_eq!(contract::chain(&found), message.replace("PATH", path.to_str().unwrap()));
            assert!(matches!(found, DeliveryError::Refused { .. }), "{found}");
            // And if nobody checks, no later than when it comes to it.
            let found = sink.deliver(&contract::numbered("p", 1, 2)).await.unwrap_err();
            assert_eq!(contract::chain(&found), message.replace("PATH", path.to_str().unwrap()));
        }
    }

    #[test]
    fn a_path_that_names_no_file_is_a_mistake() {
        for path in ["", "out/", "/", "out/{date}/", ".", "out/.."] {
            for folder in ["", "/etc/auditline"] {
                let mut config: Config = serde_json::from_value(json!({ "path": path })).unwrap();
                config.path = config.path.rooted_in(Path::new(folder));
                assert_eq!(config.build().err().unwrap().key, "path", "{folder} {path}");
            }
        }
        assert!(Folder::new("{date}").config().build().is_ok());
    }

    #[test]
    fn a_rotation_that_cannot_be_meant_is_a_mistake() {
        for (rotate, key) in [
            (json!({}), "rotate"),
            (json!({ "compression": "gzip" }), "rotate"),
            (json!({ "size": "0B" }), "rotate.size"),
            (json!({ "age": "0s" }), "rotate.age"),
            (json!({ "size": "1MiB", "keep": 0 }), "rotate.keep"),
        ] {
            let error = Folder::rotating("a.ndjson", rotate.clone()).config().build().err().unwrap();
            assert_eq!(error.key, key, "{rotate}");
        }
        let config = json!({ "path": "a", "rotate": { "size": "1MiB", "compression": "bzip2" } });
        let error = serde_json::from_value::<Config>(config).unwrap_err();
        assert!(
            error.to_string().contains("unknown variant `bzip2`, expected one of `none`, `gzip`, `zstd`"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn forgets_old_files_and_still_writes_once() {
        let folder = Folder::new("{date}/{hour}.ndjson");
        let mut batch = contract::numbered("p", 1, MAX_OPEN * 2);
        for (hours, record) in (0..).zip(&mut batch.records) {
            record.time += chrono::TimeDelta::hours(hours);
        }
        let sink = folder.config().build().unwrap();
        sink.deliver(&batch).await.unwrap();
        sink.deliver(&batch).await.unwrap();
        assert_eq!(sink.tails.by_path.lock().unwrap().len(), MAX_OPEN);
        assert_eq!(folder.read_back(0).await, contract::texts(&[batch]));
    }

    #[tokio::test]
    async fn a_full_disk_may_pass() {
        let sink = serde_json::from_value::<Config>(json!({ "path": "/dev/full" })).unwrap().build().unwrap();
        let error = sink.deliver(&contract::numbered("p", 1, 1)).await.unwrap_err();
        // Not a file: refused before it can be full. The message of a full one is below.
        assert_eq!(contract::chain(&error), "cannot append to `/dev/full`: not a regular file");
        let full = Trouble { doing: "write", error: ErrorKind::StorageFull.into() };
        let error = explain(full, Path::new("/data/a.ndjson"));
        assert!(matches!(error, DeliveryError::Retryable { .. }));
        assert_eq!(error.to_string(), "no space left on the disk for `/data/a.ndjson`");
    }

    #[tokio::test]
    async fn a_file_in_the_way_needs_a_person() {
        let folder = Folder::new("taken/{date}.ndjson");
        fs::write(folder.folder.path().join("taken"), "").unwrap();
        for outcome in
            [folder.sink().check().await, folder.sink().deliver(&contract::numbered("p", 1, 1)).await.map(drop)]
        {
            let error = outcome.unwrap_err();
            assert!(matches!(error, DeliveryError::Refused { .. }), "{}", contract::chain(&error));
        }
    }

    // A path that is relative to the configuration's folder is whole only after it was rooted there.
    #[tokio::test]
    async fn a_relative_path_is_checked_where_it_will_be() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("taken"), "").unwrap();
        fs::create_dir(folder.path().join("a-folder.ndjson")).unwrap();
        for (path, fine) in [
            ("taken/{date}.ndjson", false),
            ("a-folder.ndjson", false),
            ("{date}.ndjson", true),
            ("new/a.ndjson", true),
        ] {
            let mut config: Config = serde_json::from_value(json!({ "path": path })).unwrap();
            config.path = config.path.rooted_in(folder.path());
            assert_eq!(config.build().unwrap().check().await.is_ok(), fine, "{path}");
        }
    }

    #[test]
    fn reads_modes() {
        let mode = |text: &str| serde_json::from_value::<FileMode>(json!(text)).map(|mode| mode.0);
        assert_eq!(mode("0640").unwrap(), 0o640);
        assert_eq!(mode("600").unwrap(), 0o600);
        for text in ["640x", "0o640", "9", "01777", "0400", "+600", ""] {
            assert!(mode(text).is_err(), "{text}");
        }
    }
}
