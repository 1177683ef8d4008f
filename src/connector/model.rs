//! What a connector file may say. Each field is the documentation of the key of that name.

mod example;
mod read;

use std::collections::BTreeMap;

use auditline_sinks::units::HumanDuration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

pub use self::example::Example;
pub use self::read::{Detail, Each, Find, Job, Order, Paginate, Read};
use super::template::{Template, Tree};
use crate::document::{Node, Place, Spanned};
use crate::event::Path;
use crate::transform::ocsf;

mod auth;

pub use self::auth::{Auth, Jwt, JwtAlgorithm, Oauth2, SendClient};

/// A connector file: one vendor's audit log, described.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Definition {
    /// What it is and where the facts come from.
    pub connector: About,
    /// What the operator sets under `[source.NAME]`, beside the keys every source takes.
    #[serde(default)]
    pub parameters: BTreeMap<Spanned<String>, Parameter>,
    /// Ways to authenticate. The first one whose parameters are all set is used.
    pub auth: Vec<Spanned<Auth>>,
    /// What the vendor tells of the credential in use.
    #[serde(default)]
    pub credential: Credential,
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
    /// What a record becomes. The language of this table is told [below](#the-ocsf-map).
    #[schemars(with = "ocsf::Form")]
    pub ocsf: Node,
    /// Recorded answers and what becomes of them: the connector's tests.
    #[serde(default)]
    pub example: Vec<Spanned<Example>>,
}

/// `[connector]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct About {
    /// The log's full name.
    pub title: String,
    /// The vendor's name, `metadata.product.vendor_name`.
    pub vendor: String,
    /// Where the API is, an https URL, unless the operator says otherwise. Parameters may stand in it, but no secrets.
    pub base_url: Spanned<Template>,
    /// When somebody last held this file against the sources.
    pub verified_on: String,
    /// Where the facts come from.
    pub sources: Vec<String>,
    /// What an operator should know.
    #[serde(default)]
    pub notes: String,
}

/// `[parameters.NAME]`
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Pattern {
    /// 32 hexadecimal digits.
    Hex32,
    /// A bare host name: no scheme, user, port or path. What stands in the host of an address has to be one.
    Host,
}

impl Pattern {
    /// Whether `text` has that shape.
    #[must_use]
    pub fn fits(self, text: &str) -> bool {
        match self {
            Pattern::Hex32 => text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit()),
            Pattern::Host => text.len() <= 253 && text.split('.').all(is_label),
        }
    }

    /// What to write, in addition to what the parameter is about.
    #[must_use]
    pub fn advice(self) -> Option<&'static str> {
        match self {
            Pattern::Hex32 => None,
            Pattern::Host => Some("a bare host name such as `example.com`, without `https://`, port or path"),
        }
    }
}

/// A part of a host name (RFC 1123 2.1).
fn is_label(label: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (1..=63).contains(&label.len()) && label.bytes().all(inner) && !label.starts_with('-') && !label.ends_with('-')
}

/// `[credential]`
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
pub struct Credential {
    /// The header in which answers say when the credential ends: RFC 3339, the same with a space and `UTC` or an offset,
    /// an HTTP date, or seconds since 1970.
    #[serde(default)]
    pub expires_header: Option<Spanned<String>>,
}

/// `[filters]`
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct WindowRules {
    /// How much time is asked for at once when catching up.
    pub size: HumanDuration,
    /// A quiet log is asked for in ever wider windows, up to this; a busy one in windows of `size` again. Without it every
    /// window is of `size`.
    #[serde(default)]
    pub grow_to: Option<Spanned<HumanDuration>>,
    /// Never read closer to now than this: the vendor publishes late.
    pub lag: HumanDuration,
    /// Re-read this much behind the watermark: the vendor publishes out of order.
    pub overlap: HumanDuration,
    /// Asked for in addition on both sides, where the vendor's clock or its rounding are not known well enough.
    pub slack: HumanDuration,
    /// Whether a record that happened at the very instant asked for is handed out.
    #[serde(default)]
    pub bounds: Bounds,
    /// How instants are written, in strftime's letters, UTC.
    pub time_format: Spanned<String>,
    /// How far back the vendor keeps or gives the log.
    #[serde(default)]
    pub retention: Option<HumanDuration>,
}

/// Whether a record that happened at the very instant asked for is handed out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Bounds {
    /// Nobody says: it is asked as if it was not, and what comes twice is told by its id.
    #[default]
    Unknown,
    /// At both ends.
    Inclusive,
    /// At neither end.
    Exclusive,
    /// At the first instant and not at the last.
    HalfOpen,
}

/// A request, with variables to fill in. A parameter whose variable has no value is left out.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
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
    /// A form body. A request has one body at the most.
    #[serde(default)]
    pub form: BTreeMap<String, Spanned<Template>>,
    /// A JSON body. Tables and lists may nest; what has no value is left out of them, and they too when nothing is left.
    #[serde(default)]
    pub json: BTreeMap<String, Spanned<Tree>>,
    /// A GraphQL query (graphql.org/learn/serving-over-http), sent as a JSON body.
    #[serde(default)]
    pub graphql: Option<GraphQl>,
}

impl Request {
    /// Every text with variables, and where it stands.
    pub fn templates(&self) -> Vec<(&Template, &Place)> {
        let texts = [&self.headers, &self.query, &self.form].into_iter().flat_map(BTreeMap::values);
        let mut found: Vec<_> = texts.chain([&self.path]).map(|template| (&template.value, &template.place)).collect();
        let variables = self.graphql.iter().flat_map(|graphql| graphql.variables.values());
        for tree in self.json.values().chain(variables) {
            tree.value.templates(&tree.place, &mut found);
        }
        found
    }
}

/// `graphql` of a request.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct GraphQl {
    /// The query as it is sent: braces are GraphQL's.
    pub query: Spanned<String>,
    /// What it declares as `$name`. A variable without a value is left out, so that the query's default counts.
    #[serde(default)]
    pub variables: BTreeMap<Spanned<String>, Spanned<Tree>>,
}

/// The HTTP verbs that reading takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// `GET`
    Get,
    /// `POST`
    Post,
}

/// `[decode]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Decode {
    /// How an answer is written.
    #[serde(default)]
    pub format: Format,
    /// Where the list of records stands. Absent: the answer itself is the list.
    #[serde(default)]
    pub records: Option<Spanned<Path>>,
    /// Where a record has its id; the first that holds something counts. None: the content's fingerprint.
    pub id: Vec<Path>,
    /// Where a record has its time; the first that holds something counts. None: the end of its window, in a file the time
    /// of its last change, and then the event has no `original_time`. A time in no known form makes a dead letter of the
    /// record.
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
    /// Entries made by our own reading, which are left out.
    #[serde(default)]
    pub own_reads: Option<OwnReads>,
}

/// How an answer is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// One JSON value.
    #[default]
    Json,
    /// A record a line. A line that is none becomes a dead letter, and the others are read.
    Ndjson,
}

/// How the entries that our own reading makes are told from everybody else's: by our user agent and the path.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct OwnReads {
    /// Where a record has the user agent.
    pub user_agent: Path,
    /// Where a record has the path.
    pub path: Path,
    /// The path we ask for; what follows it does not count.
    pub is: String,
}

/// `[errors]`
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
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
    /// What to do, first match first. Where none matches, 408, 425, 429 and 5xx are tried again, and the rest is for a person.
    #[serde(default)]
    pub rule: Vec<Spanned<ErrorRule>>,
}

/// How an error under HTTP 200 is told.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Failed {
    /// Where to look.
    pub path: Path,
    /// It is an error when this stands there.
    #[serde(default)]
    pub is: Option<Json>,
    /// It is an error when something stands there: anything but `null`, `""`, `[]` and `{}`.
    #[serde(default)]
    pub exists: bool,
}

/// `[[errors.rule]]`: all that is given must match.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
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
    /// The vendor counts us out, so that everybody who shares the budget has to wait. 429 always means that, and 403 where
    /// it says when to come again.
    #[serde(default)]
    pub throttled: bool,
    /// What a person can do.
    #[serde(default)]
    pub hint: String,
}

/// What an error asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Then {
    /// The same request again, later.
    Retry,
    /// Nothing is wrong; the job or the vendor needs time.
    Wait,
    /// A new token or a secret that has changed, once; then it is a matter of configuration.
    RefreshCredential,
    /// The window from its first page, once.
    ResetCursor,
    /// Half the window.
    SplitWindow,
    /// The next smaller page size; half the window where there is none.
    SmallerPage,
    /// The job again, a few times.
    OrderAgain,
    /// A person has to change something. It is tried again from time to time.
    Configuration,
    /// To ask again would do harm, such as locking an account out: the pipeline reads no more until it is restarted.
    Stop,
}

/// `[limits]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Limits {
    /// Requests per time: what is published, else something modest.
    pub rate: Rate,
    /// Requests at the same time.
    pub in_flight: u32,
    /// After a 429 that does not say how long to wait, nobody asks for at least this long: the vendor refuses everything
    /// for so long once a quota was exceeded.
    #[serde(default)]
    pub block: Option<HumanDuration>,
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
