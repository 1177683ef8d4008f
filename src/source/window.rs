//! The window that is being read, and how far into it a walk is. Pure, and kept in the journal as part of the cursor.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::boundary::Span;
use super::cursor::whole_second;

/// A span of time being read: from the first instant to before the last one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// The first instant in it.
    pub from: DateTime<Utc>,
    /// The first instant after it.
    pub until: DateTime<Utc>,
    /// When its first page was asked for.
    pub asked_at: DateTime<Utc>,
    /// How it is read: the name of one of the connector's `[read.NAME]`.
    pub read: String,
    /// How far into it we are.
    pub place: Place,
    /// The vendor's order held so far, and everything up to this instant was read.
    #[serde(default)]
    pub read_up_to: Option<DateTime<Utc>>,
    /// How often the walk through it began again at the same place because the vendor refused its own cursor.
    #[serde(default)]
    pub resets: u32,
    /// The window goes on where another one ended that was too full, and the first of those was asked for then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<DateTime<Utc>>,
    /// What the pages so far were like.
    #[serde(default)]
    pub pages: Pages,
    /// Whose logs are read, where each of the vendor's things has one of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parents: Option<Parents>,
}

/// How far into a window a source is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// At its first page.
    Start,
    /// At the page of that number.
    Page(u64),
    /// That many records into it.
    Offset(u64),
    /// At the page the vendor's token leads to.
    Token {
        /// The vendor's opaque cursor, or the whole address of the page.
        token: String,
        /// The tokens before it, as far as it takes to notice that the vendor goes round in circles.
        before: Vec<String>,
    },
    /// Behind the record of that id.
    After {
        /// The id, as the vendor wrote it.
        id: String,
        /// When that record happened.
        #[serde(default)]
        time: Option<DateTime<Utc>>,
        /// The ids before it, as far as it takes to notice that the vendor goes round in circles.
        #[serde(default)]
        before: Vec<String>,
    },
    /// About to order a job, or just after: whether the order arrived is to be looked up.
    Ordering {
        /// When the order was decided upon.
        ordered_at: DateTime<Utc>,
        /// How often a job was ordered before.
        attempts: u32,
        /// Jobs that came to nothing, and are not to be taken for ours.
        #[serde(default)]
        refused: Vec<String>,
    },
    /// Waiting for the job of that id.
    Job {
        /// The vendor's id of the job.
        id: String,
        /// When it was ordered.
        ordered_at: DateTime<Utc>,
        /// How often one was ordered before.
        attempts: u32,
        /// How often its result came only in part.
        #[serde(default)]
        halves: u32,
        /// Jobs before it that came to nothing.
        #[serde(default)]
        refused: Vec<String>,
    },
}

/// What the pages of a walk were like so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pages {
    /// How many held records.
    #[serde(default)]
    pub count: u64,
    /// How many came without one after that, in a row.
    #[serde(default)]
    pub empty: u32,
    /// The highest total that the vendor told. It may change while we read, and a lower one is no reason to stop early.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// The window is not quiet: it has a page that was half full, or a second one.
    #[serde(default)]
    pub busy: bool,
    /// How many records a page has, where pages are counted: with another size the same number is another place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<usize>,
}

/// The things whose logs are read one after the other, each through the whole window.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parents {
    /// Those that are not read to the end. The first one is being read.
    pub left: Vec<String>,
    /// How many were read to the end.
    #[serde(default)]
    pub read: u64,
    /// How many were gone when their log was asked for.
    #[serde(default)]
    pub gone: u64,
}

impl Window {
    /// The time it covers.
    #[must_use]
    pub fn span(&self) -> Span {
        Span { from: self.from, until: self.until }
    }

    /// Goes on at the same place, or a little before it, with pages of another size, where pages are counted from `first`.
    pub fn resize_pages(&mut self, first: u64, size: usize) {
        if let (Place::Page(number), Some(before)) = (&mut self.place, self.pages.size) {
            let records = number.saturating_sub(first).saturating_mul(before as u64);
            *number = first + records / (size as u64).max(1);
            // What was told were pages of the other size.
            self.pages.total = None;
            self.pages.size = Some(size);
        }
    }

    /// Notes a page of so many records, of at most `asked`, and what total it told.
    pub fn note_page(&mut self, received: usize, asked: Option<usize>, total: Option<u64>) {
        let pages = &mut self.pages;
        pages.total = pages.total.max(total);
        pages.size = asked;
        if received == 0 {
            pages.empty = pages.empty.saturating_add(1);
            return;
        }
        pages.busy |= pages.count > 0 || asked.is_none_or(|asked| received.saturating_mul(2) >= asked);
        pages.count += 1;
        pages.empty = 0;
    }

    /// Notes up to where a page of records in the vendor's order read the window. Records out of order, or one that does not
    /// say when it happened, say that the order cannot be relied upon.
    pub fn note_order(&mut self, times: impl Iterator<Item = Option<DateTime<Utc>>>) {
        let begun = self.place != Place::Start;
        let mut newest = match (begun, self.read_up_to) {
            (true, None) => return,
            (_, newest) => newest,
        };
        for time in times {
            let Some(time) = time.filter(|time| newest.is_none_or(|newest| *time >= newest)) else {
                // It stays so: the next page is not at the start.
                self.read_up_to = None;
                return;
            };
            newest = Some(time);
        }
        self.read_up_to = newest;
    }

    /// Begins at the first page again.
    pub fn begin(&mut self) {
        self.place = Place::Start;
        self.read_up_to = None;
        self.pages = Pages { busy: self.pages.busy, ..Pages::default() };
    }

    /// Begins at the first page of what is not read yet: where the vendor's order held, at the last of its records.
    pub fn begin_at_the_rest(&mut self) {
        // The logs of other parents have not been read that far.
        if let (Some(read_up_to), None) = (self.read_up_to, &self.parents) {
            self.from = whole_second(read_up_to).clamp(self.from, self.until);
        }
        self.begin();
    }

    /// Begins with the log of the next parent; `false` when that was the last one, or there are none.
    pub fn begin_next_parent(&mut self, gone: bool) -> bool {
        let Some(parents) = &mut self.parents else { return false };
        if !parents.left.is_empty() {
            parents.left.remove(0);
            *(if gone { &mut parents.gone } else { &mut parents.read }) += 1;
        }
        if parents.left.is_empty() {
            return false;
        }
        if !gone {
            self.resets = 0;
        }
        self.begin();
        true
    }
}
