//! Reading a vendor: from a cursor to a page and the next cursor.
//!
//! ```text
//! Cursor ─► window ─► request ─► budget ─► vendor ─► answer ─► records ─► refine
//!                                                      └─► the next Cursor
//! ```

pub mod advice;
pub mod auth;
pub mod boundary;
pub mod budget;
pub mod cursor;
pub mod decode;
mod download;
pub mod example;
mod expiry;
pub mod file;
pub mod forecast;
mod link;
mod paginate;
mod reading;
mod request;
pub mod secrets;
mod settings;
#[cfg(test)]
mod tests;
mod troubles;
mod upstream;
mod verdict;
mod walk;
mod window;
mod wire;

use std::time::Duration;

pub use self::budget::Priority;
pub use self::cursor::{Cursor, Identity, Rules};
pub use self::decode::Raw;
pub use self::reading::{Refine, Source};
pub use self::settings::{Filter, Mode, Setting, Settings};
pub use self::wire::is_loopback;

/// What one read brought.
#[derive(Debug)]
pub struct Page<T> {
    /// The refined records, oldest first.
    pub items: Vec<T>,
    /// Where the next read goes on. To be kept with the items, wholly or not at all.
    pub next: Cursor,
    /// Whether there is more to read.
    pub progress: Progress,
    /// Entries left out because our own reading made them.
    pub own_reads: u64,
}

/// Whether there is more to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Read again at once.
    More,
    /// The vendor is preparing what we ordered: read again after this.
    Wait(Duration),
    /// Everything up to now minus the lag was read.
    CaughtUp,
}

/// Why a page could not be read. No record was skipped: the same cursor leads to the same page.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// The same read may succeed later: a timeout, a throttle, a 5xx.
    #[error("{message}")]
    Retryable {
        /// What happened, in one sentence that names the vendor.
        message: String,
        /// How long the vendor asked us to wait.
        after: Option<Duration>,
    },
    /// No read will succeed until a person changes something. It may be tried again from time to time: where a vendor must
    /// not be asked again (`then = "stop"`), the source gives this answer by itself until the process is restarted.
    #[error("{message}")]
    Configuration {
        /// What happened, in one sentence that names the vendor.
        message: String,
        /// What the person can do.
        hint: String,
    },
}
