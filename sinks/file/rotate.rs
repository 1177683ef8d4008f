//! When a file has had enough, and is put aside under a number for a new one to be begun.

use std::time::{Duration, SystemTime};

use serde::Deserialize;

use super::packed::Packing;
use crate::BuildError;
use crate::units::{ByteSize, HumanDuration};

/// `[sinks.NAME.file] rotate = { … }`
#[derive(Clone, Debug, Deserialize)]
pub struct Rotate {
    /// How large a file grows. One record that is larger has a file of its own.
    pub size: Option<ByteSize>,
    /// How long a file is added to.
    pub age: Option<HumanDuration>,
    /// How rotated files are compressed, `"none"` unless set.
    #[serde(default)]
    pub compression: Compression,
    /// How many rotated files stay. All of them unless set: nobody deletes an audit log unasked.
    pub keep: Option<usize>,
}

/// How rotated files are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// `.ndjson.000001`
    #[default]
    None,
    /// `.ndjson.000001.gz`
    Gzip,
    /// `.ndjson.000001.zst`
    Zstd,
}

impl Rotate {
    /// Says what cannot be meant.
    pub(super) fn validate(&self) -> Result<(), BuildError> {
        if self.size.is_none() && self.age.is_none() {
            return Err(BuildError::new(
                "rotate",
                "`rotate` does not say when",
                "add `size`, `age` or both: `rotate = { size = \"100MiB\", age = \"1d\" }`",
            ));
        }
        if self.size.is_some_and(|size| size.0 == 0) {
            let hint = "choose a size that holds many records, such as `\"100MiB\"`";
            return Err(BuildError::new("rotate.size", "no record fits into `0B`", hint));
        }
        if self.age.is_some_and(|age| age.0.is_zero()) {
            let hint = "choose how long a file is added to, such as `\"1d\"`";
            return Err(BuildError::new("rotate.age", "every file is older than `0s`", hint));
        }
        if self.keep == Some(0) {
            // The newest one tells which batch came last, and the next one's number.
            let hint = "keep at least 1, or leave out `keep` to keep all";
            return Err(BuildError::new("rotate.keep", "the newest rotated file cannot be spared", hint));
        }
        Ok(())
    }

    /// Whether a file of `end` bytes is put aside before `more` bytes come.
    pub(super) fn is_due(&self, end: u64, more: u64, begun: SystemTime) -> bool {
        let is_full = self.size.is_some_and(|size| end + more > size.0);
        // A clock that was set back makes a file younger, not older.
        let age = begun.elapsed().unwrap_or(Duration::ZERO);
        end > 0 && (is_full || self.age.is_some_and(|limit| age >= limit.0))
    }

    /// Whether a file that has `end` bytes is too large.
    pub(super) fn is_over(&self, end: u64) -> bool {
        self.size.is_some_and(|size| end > size.0)
    }
}

impl Compression {
    pub(super) fn packing(self) -> Option<Packing> {
        match self {
            Self::None => None,
            Self::Gzip => Some(Packing::Gzip),
            Self::Zstd => Some(Packing::Zstd),
        }
    }
}
