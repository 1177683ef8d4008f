//! `[read.NAME]`: a way to read a window.

use std::collections::BTreeMap;

use auditline_sinks::units::HumanDuration;
use schemars::JsonSchema;
use serde::Deserialize;

use super::Request;
use crate::connector::Template;
use crate::document::Spanned;
use crate::event::Path;

/// `[read.NAME]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Read {
    /// In which order the records come.
    pub order: Order,
    /// Page sizes to ask for, largest first; the next one is tried when the vendor refuses.
    #[serde(default)]
    pub page_sizes: Vec<u32>,
    /// How one page leads to the next. Without it an answer is the whole window.
    #[serde(default)]
    pub paginate: Option<Paginate>,
    /// What is asked.
    pub request: Request,
    /// The request only orders the answer, which is fetched when it is ready.
    #[serde(default)]
    pub job: Option<Job>,
    /// The log is kept apart for each of the vendor's things (projects, sites): all of them are read, one after the other.
    #[serde(default)]
    pub each: Option<Each>,
    /// What is listed are summaries: each record is fetched by itself.
    #[serde(default)]
    pub detail: Option<Detail>,
    /// In `mode = "auto"`: use this way for windows that begin further back than this.
    #[serde(default)]
    pub beyond: Option<HumanDuration>,
}

/// The order of the records within a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Oldest first.
    Ascending,
    /// Newest first: the window is read whole before anything of it goes on.
    NewestFirst,
}

/// How one page leads to the next.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Paginate {
    /// `{page}` counts up. The place survives a restart.
    Page {
        /// The number of the first page.
        first: u64,
        /// Where the answer says how many pages there are.
        #[serde(default)]
        total: Option<Path>,
        /// The last page that the vendor hands out; the window is split behind it.
        #[serde(default)]
        ceiling: Option<u64>,
    },
    /// `{offset}` moves by the records received. The place survives a restart.
    Offset {
        /// The vendor refuses offsets from here on; the window is split before it gets there.
        #[serde(default)]
        ceiling: Option<u64>,
        /// Where the answer says how many records there are.
        #[serde(default)]
        total: Option<Path>,
    },
    /// `{cursor}` is what the last answer gave. It does not survive a restart: the vendors say nothing of its life.
    Cursor {
        /// Where the answer has it; the first that holds something counts.
        next: Vec<Path>,
        /// Where the answer says whether there is more.
        #[serde(default)]
        more: Option<Path>,
        /// A page without records is the last one, even with a cursor.
        #[serde(default)]
        empty_page_ends: bool,
    },
    /// The answer's header `Link: <url>; rel="next"` (RFC 8288) leads on. The address must be at the origin of the base URL.
    /// Like a cursor it does not survive a restart.
    Link {},
    /// The address of the next page stands in the answer. It must be at the origin of the base URL. Like a cursor it does
    /// not survive a restart.
    Url {
        /// Where the answer has it; the first that holds something counts.
        next: Vec<Path>,
        /// Where the answer says whether there is more.
        #[serde(default)]
        more: Option<Path>,
    },
    /// `{after_id}` and `{after_time}` are of the last record that was read: the vendor goes on behind it. Ends at an empty
    /// page, or at one shorter than asked for. The place survives a restart.
    Keyset {
        /// Where a record has the id that is asked behind.
        id: Path,
        /// Where a record has the time that is asked behind. It is written in `window.time_format`, which has to be as fine
        /// as the vendor's clock: what is cut off leads back to records that were read.
        #[serde(default)]
        time: Option<Path>,
    },
}

/// `[read.NAME.each]`: the parents whose logs are read one after the other, each to its end.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Each {
    /// Lists the parents, at the beginning of each window.
    pub request: Request,
    /// Where the list stands in the answer. Without it the answer itself is the list.
    #[serde(default)]
    pub records: Option<Path>,
    /// Where a parent has its id, `{each}` in the requests that read its log.
    pub id: Path,
    /// How one page of the list leads to the next.
    #[serde(default)]
    pub paginate: Option<Paginate>,
}

/// `[read.NAME.detail]`: each listed record is fetched by itself. One that is gone (404, 410) is kept as it was listed.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Detail {
    /// What is asked; `{record.PATH}` is of the listed record.
    pub request: Request,
    /// Where the record stands in the answer. Without it the whole answer is the record.
    #[serde(default)]
    pub record: Option<Path>,
}

/// `[read.NAME.job]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Job {
    /// Where the answer to the order has the job's id, `{job}` from then on.
    pub id: Path,
    /// Asks how the job is.
    pub poll: Request,
    /// Something stands there when the job is done.
    pub ready: Path,
    /// Fetches the result: CSV with a header line, perhaps gzipped.
    pub download: Request,
    /// Where the answer to `poll` has the size of the unpacked result in bytes. One that is shorter is fetched again.
    #[serde(default)]
    pub size: Option<Path>,
    /// Looks for our order among the vendor's jobs when it is not known whether it arrived.
    #[serde(default)]
    pub find: Option<Find>,
    /// How long to wait between two polls.
    pub every: HumanDuration,
    /// After this long the job is ordered again.
    pub give_up: HumanDuration,
}

/// `[read.NAME.job.find]`: asked before an order goes out, after a crash or a lost answer too. A job that is found is waited
/// for, and not ordered a second time.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Find {
    /// Lists the vendor's jobs; `{ordered_at}` is a little before the order.
    pub request: Request,
    /// Where the list stands in the answer. Without it the answer itself is the list.
    #[serde(default)]
    pub records: Option<Path>,
    /// Where a listed job has its id.
    pub id: Path,
    /// What a listed job must say to be ours, where it says anything there. One that says nothing at any of these places is
    /// not ours.
    #[serde(default)]
    pub matches: BTreeMap<Path, Spanned<Template>>,
    /// Where a listed job says when it was ordered.
    #[serde(default)]
    pub time: Option<Path>,
}
