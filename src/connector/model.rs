//! What a connector file may say. Each field is the documentation of the key of that name.

mod example;

use std::collections::BTreeMap;

use auditline_sinks::units::HumanDuration;
use serde::Deserialize;
use serde_json::Value as Json;

pub use self::example::Example;
use super::template::Template;
use crate::document::{Node, Spanned};
use crate::event::Path;

/// A connector file: one vendor's audit log, described.
#[derive(Clone, Debug, Deserialize)]
pub struct Definition {
    /// What it is and where the facts come from.
    pub connector: About,
    /// What the operator sets under `[source.NAME]`, beside the keys every source takes.
    #[serde(default)]
    pub parameters: BTreeMap<Spanned<String>, Parameter>,
    /// Ways to authenticate. The first one whose parameters are all set is used.
    pub auth: Vec<Spanned<Auth>>,
    /// The vendor's own filters, set under `filters`.
    #[serde(default)]
    pub filters: Filters,
    /// Which spans of time are asked for.
    pub window: WindowRules,
    /// Ways to read a window, by name. With more than one the operator chooses by `mode`.
    pub read: BTreeMap<Spanned<String>, Read>,
    /// Where the records stand in an answer.
    pub decode: Decode,
    /// What an answer that is no page means.
    #[serde(default)]
    pub errors: Errors,
    /// What the vendor lets us ask.
    pub limits: Limits,
    /// The OCSF map; its language is the transform's.
    pub ocsf: Node,
    /// Recorded answers and what becomes of them: the connector's tests.
    #[serde(default)]
    pub example: Vec<Spanned<Example>>,
}

/// `[connector]`
#[derive(Clone, Debug, Deserialize)]
pub struct About {
    /// The log's full name.
    pub title: String,
    /// The vendor's name, `metadata.product.vendor_name`.
    pub vendor: String,
    /// Where the API is, unless the operator says otherwise.
    pub base_url: Spanned<String>,
    /// When somebody last held this file against the sources.
    pub verified_on: String,
    /// Where the facts come from.
    pub sources: Vec<String>,
    /// What an operator should know.
    #[serde(default)]
    pub notes: String,
}

/// `[parameters.NAME]`
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Parameter {
    /// What it is and where to find it.
    pub about: String,
    /// Read as a secret: from the environment, from a file, and never shown.
    #[serde(default)]
    pub secret: bool,
    /// May be left out.
    #[serde(default)]
    pub optional: bool,
    /// What it must look like.
    #[serde(default)]
    pub pattern: Option<Pattern>,
    /// It is a JSON object with these members, which templates name as `{parameter.member}`.
    #[serde(default)]
    pub json: Vec<String>,
}

/// The shapes a parameter can be asked to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pattern {
    /// 32 hexadecimal digits.
    Hex32,
}

/// `[[auth]]`
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Auth {
    /// `Authorization: Bearer …`
    Bearer(Template),
    /// Headers of the vendor's own.
    Headers(BTreeMap<String, Template>),
    /// `Authorization: Basic …`
    Basic {
        /// The user name.
        user: Template,
        /// The password, often empty.
        password: Template,
    },
    /// `Authorization: Bearer …` with a token we sign ourselves (RFC 7519).
    Jwt(Jwt),
}

/// A JSON Web Token made from a key of the operator's.
#[derive(Clone, Debug, Deserialize)]
pub struct Jwt {
    /// How it is signed.
    pub algorithm: JwtAlgorithm,
    /// The private key, PEM.
    pub key: Template,
    /// The header's `kid`.
    pub key_id: Template,
    /// Claims beside `iat` and `exp`.
    pub claims: BTreeMap<String, Template>,
    /// How long a token is good for.
    pub lifetime: HumanDuration,
    /// How far `iat` lies in the past, for clocks that differ.
    pub backdate: HumanDuration,
    /// A token with less than this left is replaced before it is used.
    pub renew_before: HumanDuration,
}

/// Signature algorithms (RFC 7518).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum JwtAlgorithm {
    /// RSA with SHA-256.
    RS256,
}

/// `[filters]`
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Filters {
    /// How a list of values travels.
    #[serde(default)]
    pub encode: FilterEncoding,
    /// What joins the values when `encode = "join"`.
    #[serde(default)]
    pub separator: String,
    /// The wire name of the excluding form, `{name}` being the filter's. Without it there is none.
    #[serde(default)]
    pub not: Option<Template>,
    /// The filters there are.
    #[serde(default)]
    pub names: Vec<String>,
    /// Filters that have no excluding form.
    #[serde(default)]
    pub without_not: Vec<String>,
    /// Filters that take a single value where others take a list.
    #[serde(default)]
    pub single: Vec<String>,
    /// Filters whose values are known.
    #[serde(default)]
    pub values: BTreeMap<String, Vec<String>>,
    /// How many values one filter takes.
    #[serde(default)]
    pub most: Option<usize>,
}

impl Filters {
    /// Every filter's name.
    pub fn all(&self) -> impl Iterator<Item = &str> {
        self.names.iter().chain(&self.without_not).map(String::as_str)
    }
}

/// How the values of a filter travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FilterEncoding {
    /// One value.
    #[default]
    Single,
    /// The key repeated for each value.
    Repeat,
    /// Values joined by `separator`.
    Join,
    /// A JSON list.
    List,
}

/// `[window]`
#[derive(Clone, Debug, Deserialize)]
pub struct WindowRules {
    /// How much time is asked for at once when catching up.
    pub size: HumanDuration,
    /// Never read closer to now than this: the vendor publishes late.
    pub lag: HumanDuration,
    /// Re-read this much behind the watermark: the vendor publishes out of order.
    pub overlap: HumanDuration,
    /// Asked for in addition on both sides, where it is not known whether the bounds are inclusive.
    pub slack: HumanDuration,
    /// How instants are written, in strftime's letters, UTC.
    pub time_format: Spanned<String>,
    /// How far back the vendor keeps or gives the log.
    #[serde(default)]
    pub retention: Option<HumanDuration>,
}

/// `[read.NAME]`
#[derive(Clone, Debug, Deserialize)]
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
    /// In `mode = "auto"`: use this way for windows that begin further back than this.
    #[serde(default)]
    pub beyond: Option<HumanDuration>,
}

/// The order of the records within a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Oldest first.
    Ascending,
    /// Newest first: the window is read whole before anything of it goes on.
    NewestFirst,
}

/// A request, with variables to fill in. A parameter whose variable has no value is left out.
#[derive(Clone, Debug, Deserialize)]
pub struct Request {
    /// The HTTP verb.
    pub method: Method,
    /// Below the base URL.
    pub path: Spanned<Template>,
    /// Headers beside the authentication.
    #[serde(default)]
    pub headers: BTreeMap<String, Spanned<Template>>,
    /// The query string.
    #[serde(default)]
    pub query: BTreeMap<String, Spanned<Template>>,
    /// A form body.
    #[serde(default)]
    pub form: BTreeMap<String, Spanned<Template>>,
    /// A JSON body.
    #[serde(default)]
    pub json: BTreeMap<String, Spanned<Template>>,
}

/// The HTTP verbs that reading takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// `GET`
    Get,
    /// `POST`
    Post,
}

/// How one page leads to the next.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Paginate {
    /// `{page}` counts up. The place survives a restart.
    Page {
        /// The number of the first page.
        first: u64,
        /// Where the answer says how many pages there are.
        #[serde(default)]
        total: Option<Path>,
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
}

/// `[read.NAME.job]`
#[derive(Clone, Debug, Deserialize)]
pub struct Job {
    /// Where the answer to the order has the job's id, `{job}` from then on.
    pub id: Path,
    /// Asks how the job is.
    pub poll: Request,
    /// Something stands there when the job is done.
    pub ready: Path,
    /// Fetches the result: CSV with a header line, perhaps gzipped.
    pub download: Request,
    /// How long to wait between two polls.
    pub every: HumanDuration,
    /// After this long the job is ordered again.
    pub give_up: HumanDuration,
}

/// `[decode]`
#[derive(Clone, Debug, Deserialize)]
pub struct Decode {
    /// Where the list of records stands.
    pub records: Path,
    /// Where a record has its id; the first that holds something counts. None: the content's fingerprint.
    pub id: Vec<Path>,
    /// Where a record has its time; the first that holds something counts. None: the end of its window.
    pub time: Vec<Path>,
    /// Members that do not count in a fingerprint, because they change.
    #[serde(default)]
    pub fingerprint_without: Vec<String>,
    /// Top-level members that may hold JSON in a text.
    #[serde(default)]
    pub json_texts: Vec<String>,
    /// CSV columns that are numbers in JSON.
    #[serde(default)]
    pub numbers: Vec<String>,
    /// Entries made by our own reading.
    #[serde(default)]
    pub own_reads: Option<OwnReads>,
}

/// How the entries that our own reading makes are told from everybody else's: by our user agent and the path.
#[derive(Clone, Debug, Deserialize)]
pub struct OwnReads {
    /// Where a record has the user agent.
    pub user_agent: Path,
    /// Where a record has the path.
    pub path: Path,
    /// The path we ask for; what follows it does not count.
    pub is: String,
}

/// `[errors]`
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Errors {
    /// Where an error's code stands; the first that holds something counts.
    #[serde(default)]
    pub code: Vec<Path>,
    /// Where an error's text stands; the first that holds something counts.
    #[serde(default)]
    pub message: Vec<Path>,
    /// How an error under HTTP 200 is told.
    #[serde(default)]
    pub failed: Option<Failed>,
    /// What to do, first match first.
    #[serde(default)]
    pub rule: Vec<Spanned<ErrorRule>>,
}

/// How an error under HTTP 200 is told.
#[derive(Clone, Debug, Deserialize)]
pub struct Failed {
    /// Where to look.
    pub path: Path,
    /// It is an error when this stands there.
    #[serde(default)]
    pub is: Option<Json>,
    /// It is an error when anything but `null` stands there.
    #[serde(default)]
    pub exists: bool,
}

/// `[[errors.rule]]`: all that is given must match.
#[derive(Clone, Debug, Deserialize)]
pub struct ErrorRule {
    /// HTTP statuses.
    #[serde(default)]
    pub status: Vec<u16>,
    /// The vendor's codes, as numbers or texts.
    #[serde(default)]
    pub code: Vec<Json>,
    /// Whether the request carried a cursor.
    #[serde(default)]
    pub cursor: Option<bool>,
    /// What to do.
    pub then: Then,
    /// What a person can do.
    #[serde(default)]
    pub hint: String,
}

/// What an error asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Then {
    /// The same request again, later.
    Retry,
    /// Nothing is wrong; the job or the vendor needs time.
    Wait,
    /// A new token, once; then it is a matter of configuration.
    RefreshCredential,
    /// The window from its first page, once.
    ResetCursor,
    /// Half the window.
    SplitWindow,
    /// The next smaller page size; half the window where there is none.
    SmallerPage,
    /// The job again, a few times.
    OrderAgain,
    /// A person has to change something.
    Configuration,
}

/// `[limits]`
#[derive(Clone, Debug, Deserialize)]
pub struct Limits {
    /// Requests per time.
    pub rate: Rate,
    /// Requests at the same time.
    pub in_flight: u32,
}

/// So many requests in so much time: `"1200/5m"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// At least 1.
    pub requests: u32,
    /// More than nothing.
    pub per: std::time::Duration,
}

impl std::str::FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fail = || format!("expected requests per time such as \"1200/5m\", found `{text}`");
        let (requests, per) = text.split_once('/').ok_or_else(fail)?;
        let requests: u32 = requests.trim().parse().map_err(|_| fail())?;
        let per: HumanDuration = per.trim().parse().map_err(|_| fail())?;
        if requests == 0 || per.0.is_zero() {
            return Err(fail());
        }
        Ok(Self { requests, per: per.0 })
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
