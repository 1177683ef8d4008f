//! What the simulated world holds and how it misbehaves: plain options, every one with a harmless default.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::event::Clock;

/// Everything that decides what a [`Simulator`](super::Simulator) serves and when it refuses.
///
/// Two simulators started with the same `seed`, `records`, `span` and `until` serve the same records with the same ids
/// and times, whatever the other options say.
#[derive(Debug, Clone)]
pub struct World {
    /// What all content and all ids are derived from.
    pub seed: u64,
    /// Records each vendor holds before `until`. Nothing is stored per record, so millions cost no memory.
    pub records: u64,
    /// The time over which those records spread, ending at `until`.
    pub span: Duration,
    /// End of the historic records; `None` means the moment the simulator starts.
    pub until: Option<DateTime<Utc>>,
    /// What time it is: what of the records can be seen, how old a cursor, a token or a report is, what `Date` says. A
    /// reader that is given the same clock stands in the same time.
    pub clock: Clock,
    /// How far each request moves a standing clock on, at the most: so that records appear, and cursors expire, while a
    /// walk is paging.
    pub pace: Duration,
    /// New records per second and vendor after `until`, appearing as the clock passes their time. 0 for none.
    pub live_per_second: f64,
    /// Records that vendors publish later than their event time.
    pub late: Late,
    /// Requests refused with 429 although no quota was exceeded.
    pub throttle: Throttle,
    /// A real quota, enforced per vendor and credential. `None` for as many requests as one can make.
    pub quota: Option<Quota>,
    /// Requests that fail for no reason of the caller's.
    pub flaky: Flaky,
    /// Real time each request takes at least.
    pub latency: Duration,
    /// How long a paging cursor is valid; `None` for ever.
    pub cursor_lifetime: Option<Duration>,
    /// How the vendors whose documentation does not say treat a record exactly on a time bound.
    pub bounds: Bounds,
    /// What only Cloudflare does.
    pub cloudflare: CloudflareQuirks,
    /// What only Voximplant does.
    pub voximplant: VoximplantQuirks,
    /// What only Ashby does.
    pub ashby: AshbyQuirks,
    /// What only Nirvana Labs does.
    pub nirvana: NirvanaQuirks,
}

impl Default for World {
    fn default() -> Self {
        Self {
            seed: 1,
            records: 10_000,
            span: Duration::from_secs(7 * 24 * 3600),
            until: None,
            clock: Clock::system(),
            pace: Duration::ZERO,
            live_per_second: 0.0,
            late: Late::default(),
            throttle: Throttle::default(),
            quota: None,
            flaky: Flaky::default(),
            latency: Duration::ZERO,
            cursor_lifetime: None,
            bounds: Bounds::Exclusive,
            cloudflare: CloudflareQuirks::default(),
            voximplant: VoximplantQuirks::default(),
            ashby: AshbyQuirks::default(),
            nirvana: NirvanaQuirks::default(),
        }
    }
}

/// Late publication: a record keeps its event time, but no answer shows it before a delay has passed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Late {
    /// Share of the eligible records that are late, 0.0 to 1.0.
    pub fraction: f64,
    /// Shortest delay.
    pub delay_min: Duration,
    /// Longest delay.
    pub delay_max: Duration,
    /// Only records whose event time lies within this much of `until` (and live ones) are eligible.
    pub within: Duration,
    /// What the delay counts from.
    pub counts_from: CountsFrom,
}

/// What the delay of a late record counts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CountsFrom {
    /// The simulator's start, or the event time of a record that is newer. A delay is as likely as any other.
    Start,
    /// The event time, however long ago that is at the start. Short delays are likelier than long ones.
    Event,
}

impl Late {
    /// That share of all records, wherever in the span, published so long after their event time.
    pub fn by_event(fraction: f64, delay_min: Duration, delay_max: Duration) -> Self {
        Self { fraction, delay_min, delay_max, within: Duration::MAX, counts_from: CountsFrom::Event }
    }
}

impl Default for Late {
    fn default() -> Self {
        Self {
            fraction: 0.0,
            delay_min: Duration::from_millis(200),
            delay_max: Duration::from_millis(1500),
            within: Duration::from_secs(600),
            counts_from: CountsFrom::Start,
        }
    }
}

/// Refusals that were not earned: the vendor is busy, says so, and names a time to come back.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Throttle {
    /// Refuse every Nth request of a vendor; 0 for never.
    pub every: u64,
    /// Also refuse with this probability (0.0 to 1.0), decided by the seed and the request's number.
    pub probability: f64,
    /// What the refusal asks the caller to wait.
    pub retry_after: RetryAfter,
}

impl Default for Throttle {
    fn default() -> Self {
        Self { every: 0, probability: 0.0, retry_after: RetryAfter::Seconds(1) }
    }
}

/// The form of the `Retry-After` header on an injected 429.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RetryAfter {
    /// Whole seconds, as vendors send it; 0 is allowed.
    Seconds(u64),
    /// Seconds with a fraction, which no RFC knows and some servers send.
    Fraction(f64),
    /// An HTTP date this many seconds ahead.
    Date(u64),
    /// No such header. Telnyx then still sends `x-ratelimit-reset`.
    Absent,
}

/// So many requests per period, in fixed periods that begin with the first request after the last one ended. They run by
/// the runtime's time, as a reader's budget does: a test can pause both.
///
/// A request over the quota is answered 429 and counted as *earned* in the statistics. Cloudflare, as documented,
/// then refuses everything for a whole period more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Requests allowed in one period.
    pub requests: u64,
    /// Length of the period.
    pub period: Duration,
}

/// Requests that fail although they were right.
#[derive(Debug, Clone, PartialEq)]
pub struct Flaky {
    /// Fail every Nth request of a vendor; 0 for never.
    pub every: u64,
    /// The failures, used in turn.
    pub faults: Vec<Fault>,
}

impl Default for Flaky {
    fn default() -> Self {
        Self { every: 0, faults: vec![Fault::ServerError, Fault::HtmlBadGateway, Fault::CutBody] }
    }
}

/// One way for a right request to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// HTTP 500 in the vendor's own error form. The request had no effect.
    ServerError,
    /// HTTP 502 with an HTML page from some proxy. The request had no effect.
    HtmlBadGateway,
    /// The request is carried out, and the connection is cut in the middle of the answer's body.
    CutBody,
}

/// Whether a record exactly on a time bound belongs to the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bounds {
    /// Neither bound belongs to it: the least a vendor may mean, and the hardest on a reader. The default.
    Exclusive,
    /// The lower bound belongs to it, the upper one does not.
    HalfOpen,
    /// Both bounds belong to it.
    Inclusive,
}

/// What only Cloudflare does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CloudflareQuirks {
    /// The last page still carries a cursor, which leads to an empty page.
    pub cursor_on_last_page: bool,
    /// Put the cursor under `result_info.cursors.after`, where the SDK looks, and not under `result_info.cursor`.
    pub cursor_under_cursors: bool,
    /// Put the reference sample's placeholder into `errors` beside `success: true`.
    pub placeholder_error: bool,
}

impl Default for CloudflareQuirks {
    fn default() -> Self {
        Self { cursor_on_last_page: true, cursor_under_cursors: false, placeholder_error: false }
    }
}

/// What only Voximplant does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VoximplantQuirks {
    /// A report is ready only after this many looks at it with `GetHistoryReports`…
    pub report_polls: u32,
    /// …and this much time.
    pub report_delay: Duration,
    /// The same order within this time is refused…
    pub repeat_within: Duration,
    /// …with this code: 515, or 484 for what looks like an automatic resend.
    pub repeat_code: u16,
    /// The answers to the first so many orders are lost on the way. The reports are made.
    pub lost_orders: u64,
    /// A report is listed only after so many looks at the list; one that is asked for by its id is always shown.
    pub listed_after: u32,
    /// The first so many downloads bring only half of the file, and nothing in the answer says so.
    pub half_files: u64,
    /// The first report ordered never completes, and its download answers 357.
    pub fail_first_report: bool,
    /// How a report is packed.
    pub packing: Packing,
    /// The separator of the CSV.
    pub separator: char,
    /// A window longer than this is refused with 569. `None` for any length.
    pub max_range: Option<Duration>,
    /// `cmd_args` and `cmd_result` come as JSON inside a string, as the Java SDK types them.
    pub args_as_text: bool,
    /// The server's clock is this many seconds ahead of the world's (its `Date` header tells so).
    pub clock_skew_secs: i64,
}

impl Default for VoximplantQuirks {
    fn default() -> Self {
        Self {
            report_polls: 2,
            report_delay: Duration::from_millis(200),
            repeat_within: Duration::from_secs(30),
            repeat_code: 515,
            lost_orders: 0,
            listed_after: 0,
            half_files: 0,
            fail_first_report: false,
            packing: Packing::GzipBody,
            separator: ',',
            max_range: None,
            args_as_text: false,
            clock_skew_secs: 0,
        }
    }
}

/// How Voximplant packs a downloaded report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// The body is a gzip file; no header says so.
    GzipBody,
    /// `Content-Encoding: gzip`.
    ContentEncoding,
    /// Plain text, with a byte order mark.
    Plain,
}

/// What only Ashby does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AshbyQuirks {
    /// Now and then an empty page says `moreDataAvailable: true`.
    pub empty_pages: bool,
}

impl Default for AshbyQuirks {
    fn default() -> Self {
        Self { empty_pages: true }
    }
}

/// What only Nirvana Labs does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NirvanaQuirks {
    /// Each successful read of the audit log adds an entry to it.
    ///
    /// Those entries are not among [`expected_ids`](super::Simulator::expected_ids).
    pub log_own_reads: bool,
}

impl Default for NirvanaQuirks {
    fn default() -> Self {
        Self { log_own_reads: true }
    }
}
