//! Voximplant's reports: ordered, awaited, downloaded as CSV.

use std::io::Write;
use std::ops::Range;
use std::sync::Arc;

use axum::body::Body;
use axum::http::header;
use axum::response::Response;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::{Stream, stream};
use serde_json::{Map, Value, json};

use super::content::voximplant::{self, stamp};
use super::http::{self, Answer, Handed, Params, Verdict};
use super::timeline::{Micros, Order, SECOND, date, micros};
use super::voximplant::{Selection, flag, instant, items, number, refuse};
use super::world::Packing;
use super::{Shared, Vendor, credentials, faults};

const FIRST_ID: u64 = 234_254;
const KEPT_DAYS: i64 = 30;
/// Rows made between two chances for other tasks to run.
const ROWS_AT_ONCE: usize = 500;
/// Reports of more rows do not tell their size, since they would have to be made twice for it.
const MOST_ROWS_SIZED: u64 = 20_000;

const COLUMNS: [&str; 9] = [
    "audit_log_id",
    "account_id",
    "subuser_id",
    "subuser_name",
    "requested",
    "ip",
    "cmd_name",
    "cmd_args",
    "cmd_result",
];

#[derive(Debug, Clone)]
struct Report {
    id: u64,
    selection: Selection,
    with_header: bool,
    filters: Value,
    fingerprint: u64,
    created: Micros,
    polls: u32,
    listed: u32,
    fails: bool,
    completed: Option<Micros>,
    sizes: Option<(u64, u64)>,
    downloads: u64,
    last_download: Option<Micros>,
}

/// All reports ordered so far.
#[derive(Debug, Default)]
pub(crate) struct Reports(Vec<Report>);

impl Reports {
    /// What was ordered, by the bounds of each order.
    pub fn bounds(&self) -> Vec<String> {
        let text = |report: &Report, name: &str| report.filters[name].as_str().unwrap_or_default().to_string();
        self.0.iter().map(|report| format!("{} - {}", text(report, "from_date"), text(report, "to_date"))).collect()
    }
}

/// `GetAuditLogAsync`, whose answer may be lost on the way.
pub(crate) async fn order(shared: &Shared, params: &Params) -> Answer {
    let answer = take_order(shared, params)?;
    let taken = shared.reports.lock().expect("no code panics with the reports").0.len() as u64;
    Ok(if taken <= shared.world.voximplant.lost_orders { faults::cut(answer).await } else { answer })
}

fn take_order(shared: &Shared, params: &Params) -> Answer {
    let selection = Selection::parse(shared, params)?;
    let with_header = flag(params, "with_header", true)?;
    if params.get("output").is_some_and(|output| output != "csv") {
        return Err(refuse(Verdict::Invalid, 496, "The 'output' parameter is invalid."));
    }
    let kept = params.0.iter().filter(|(name, _)| !matches!(name.as_str(), "cmd" | "account_id"));
    let filters: Map<_, _> = kept.map(|(name, value)| (name.clone(), json!(value))).collect();
    let fingerprint = params.fingerprint(&["cmd", "account_id"]);

    let now = shared.now();
    let mut reports = shared.reports.lock().expect("no code panics with the reports");
    let quirks = &shared.world.voximplant;
    let is_repeat = |report: &&Report| {
        // A failed report may be ordered again at once: there is nothing else to do.
        report.fingerprint == fingerprint && !report.fails && now - report.created < micros(quirks.repeat_within)
    };
    if reports.0.iter().rev().any(|report| is_repeat(&report)) {
        return Err(refuse(Verdict::Invalid, quirks.repeat_code, "The same operation was requested recently."));
    }
    let id = FIRST_ID + reports.0.len() as u64;
    let fails = quirks.fail_first_report && reports.0.is_empty();
    reports.0.push(Report {
        id,
        selection,
        with_header,
        filters: filters.into(),
        fingerprint,
        created: now,
        polls: 0,
        listed: 0,
        fails,
        completed: None,
        sizes: None,
        downloads: 0,
        last_download: None,
    });
    Ok(http::json(200, json!({ "result": 1, "history_report_id": id }).to_string()))
}

/// `GetHistoryReports`: looking is what makes a report ripen.
pub(crate) fn list(shared: &Arc<Shared>, params: &Params) -> Answer {
    let id = match params.get("history_report_id").map(str::parse::<u64>) {
        Some(Err(_)) => return Err(refuse(Verdict::Invalid, 355, "The report id is invalid.")),
        id => id.and_then(Result::ok),
    };
    let types = items(params, "history_type");
    let (from, to) = (instant(params, "created_from")?, instant(params, "created_to")?);
    let is_completed = params.get("is_completed").map(|_| flag(params, "is_completed", true)).transpose()?;
    let (count, offset) = (number(params, "count", 20, 1_000)?, number(params, "offset", 0, 9_999)?);

    let mut reports = shared.reports.lock().expect("no code panics with the reports");
    let mut found = Vec::new();
    for report in &mut reports.0 {
        let created = report.created / SECOND * SECOND;
        let asked_for = id.is_none_or(|id| id == report.id)
            && (types.is_empty() || types.contains(&"audit"))
            && from.is_none_or(|from| created >= from)
            && to.is_none_or(|to| created <= to);
        if asked_for && (id.is_some() || report.is_listed(shared)) {
            report.look(shared);
            if is_completed.is_none_or(|wanted| wanted == report.completed.is_some()) {
                found.push(report.describe());
            }
        }
    }
    if flag(params, "desc_order", false)? {
        found.reverse();
    }
    let total = found.len();
    let result: Vec<_> = found.into_iter().skip(offset as usize).take(count as usize).collect();
    let count = result.len();
    Ok(http::json(200, json!({ "result": result, "total_count": total, "count": count }).to_string()))
}

impl Report {
    fn is_listed(&mut self, shared: &Shared) -> bool {
        self.listed += 1;
        self.listed > shared.world.voximplant.listed_after
    }

    fn look(&mut self, shared: &Shared) {
        self.polls += 1;
        let quirks = &shared.world.voximplant;
        let now = shared.now();
        let is_ripe = self.polls > quirks.report_polls && now - self.created >= micros(quirks.report_delay);
        if self.completed.is_none() && is_ripe && !self.fails {
            self.completed = Some(now);
            self.sizes = self.measure(shared);
        }
    }

    /// Size as it is and as it is sent.
    fn measure(&self, shared: &Shared) -> Option<(u64, u64)> {
        let mut rows = Rows::new(self, shared);
        if rows.range.end - rows.range.start > MOST_ROWS_SIZED {
            return None;
        }
        let (mut plain, mut packed) = (0, Packer::new(Packing::GzipBody));
        let mut size = 0;
        while let Some(chunk) = rows.next_chunk(shared) {
            plain += chunk.len() as u64;
            size += packed.pack(&chunk).len() as u64;
        }
        Some((plain, size + packed.finish().len() as u64))
    }

    fn describe(&self) -> Value {
        let mut described = json!({
            "history_report_id": self.id,
            "history_type": "audit",
            "created": stamp(self.created),
            "format": "csv",
            "filters": self.filters,
        });
        if let Some(completed) = self.completed {
            described["completed"] = json!(stamp(completed));
            described["file_name"] = json!(format!("audit_log_{}.csv", self.id));
            described["download_count"] = json!(self.downloads);
            let until = date(completed + KEPT_DAYS * 24 * 3600 * SECOND);
            described["store_until"] = json!(until.format("%Y-%m-%d").to_string());
        }
        if let Some((plain, packed)) = self.sizes {
            described["file_size"] = json!(plain);
            described["download_size"] = json!(packed);
        }
        if let Some(time) = self.last_download {
            described["last_downloaded"] = json!(stamp(time));
        }
        described
    }
}

/// `DownloadHistoryReport`: the file, made while it is sent.
pub(crate) fn download(shared: &Arc<Shared>, params: &Params) -> Answer {
    let id = params.get("history_report_id").and_then(|id| id.parse::<u64>().ok());
    let id = id.ok_or_else(|| refuse(Verdict::Invalid, 355, "The report id is invalid."))?;
    let mut reports = shared.reports.lock().expect("no code panics with the reports");
    let report = reports.0.iter_mut().find(|report| report.id == id);
    let report = report.ok_or_else(|| refuse(Verdict::Invalid, 557, "The report is not found."))?;
    let now = shared.now();
    if report.fails && now - report.created >= micros(shared.world.voximplant.report_delay) {
        return Err(refuse(Verdict::Invalid, 357, "The report generation has failed."));
    }
    if report.completed.is_none() {
        return Err(refuse(Verdict::Invalid, 356, "The report is in progress."));
    }
    report.downloads += 1;
    report.last_download = Some(now);
    let rows = Rows::new(report, shared);
    let packing = shared.world.voximplant.packing;
    let handed = if report.selection.is_filtered() {
        rows.range.clone().filter(|&index| rows.shows(shared, index)).count() as u64
    } else {
        shared.of(Vendor::Voximplant).line.count_visible(rows.range.clone(), rows.now)
    };
    let mut response = Response::builder().header(header::CONTENT_TYPE, "application/octet-stream");
    if packing == Packing::ContentEncoding {
        response = response.header(header::CONTENT_ENCODING, "gzip");
    }
    let downloads: u64 = reports.0.iter().map(|report| report.downloads).sum();
    let is_half = downloads <= shared.world.voximplant.half_files;
    let body = Body::from_stream(send(Arc::clone(shared), rows, Packer::new(packing), is_half));
    let mut response = response.body(body).expect("status and headers are constants of ours");
    response.extensions_mut().insert(Handed(handed));
    Ok(response)
}

/// The rows of a report, as the log stood when it was ordered.
struct Rows {
    selection: Selection,
    range: Range<u64>,
    now: Micros,
    header: bool,
    separator: u8,
}

impl Rows {
    fn new(report: &Report, shared: &Shared) -> Self {
        let Report { selection, created, with_header, .. } = report.clone();
        let line = &shared.of(Vendor::Voximplant).line;
        let range = line.window(Some(selection.from), Some(selection.to), created);
        let separator = u8::try_from(shared.world.voximplant.separator).unwrap_or(b',');
        Self { selection, range, now: created, header: with_header, separator }
    }

    fn shows(&self, shared: &Shared, index: u64) -> bool {
        let state = shared.of(Vendor::Voximplant);
        state.line.visible(index, self.now) && self.selection.accepts(state.salt, index)
    }

    /// The next lines; `None` after the last.
    fn next_chunk(&mut self, shared: &Shared) -> Option<Vec<u8>> {
        if self.range.is_empty() && !self.header {
            return None;
        }
        let terminator = csv::Terminator::CRLF;
        let mut lines =
            csv::WriterBuilder::new().delimiter(self.separator).terminator(terminator).from_writer(Vec::new());
        let written = self.write_lines(shared, &mut lines);
        written.expect("a Vec takes everything");
        Some(lines.into_inner().expect("a Vec takes everything"))
    }

    fn write_lines(&mut self, shared: &Shared, lines: &mut csv::Writer<Vec<u8>>) -> csv::Result<()> {
        if std::mem::take(&mut self.header) {
            lines.write_record(COLUMNS)?;
        }
        let state = shared.of(Vendor::Voximplant);
        for _ in 0..ROWS_AT_ONCE {
            let index = match self.selection.order {
                Order::Ascending => self.range.next(),
                Order::Descending => self.range.next_back(),
            };
            let Some(index) = index else { break };
            if !state.line.visible(index, self.now) {
                continue;
            }
            if self.selection.is_filtered() && !self.selection.accepts(state.salt, index) {
                continue;
            }
            let facts = voximplant::facts(state.salt, index);
            let row = facts.row();
            lines.write_record([
                voximplant::id(index).to_string(),
                credentials::VOXIMPLANT_ACCOUNT_ID.to_string(),
                facts.subuser_id().map(|id| id.to_string()).unwrap_or_default(),
                row.subuser_name.unwrap_or_default(),
                stamp(state.line.time(index)),
                facts.ip.to_string(),
                facts.cmd.to_string(),
                row.args.unwrap_or_default(),
                row.result.unwrap_or_default(),
            ])?;
        }
        Ok(())
    }
}

/// Compresses what passes, or does not.
enum Packer {
    Plain { begun: bool },
    Gzip(Box<GzEncoder<Vec<u8>>>),
}

impl Packer {
    fn new(packing: Packing) -> Self {
        match packing {
            Packing::Plain => Self::Plain { begun: false },
            _ => Self::Gzip(Box::new(GzEncoder::new(Vec::new(), Compression::fast()))),
        }
    }

    fn pack(&mut self, chunk: &[u8]) -> Vec<u8> {
        match self {
            Self::Plain { begun } => {
                let mark: &[u8] = if std::mem::replace(begun, true) { b"" } else { b"\xef\xbb\xbf" };
                [mark, chunk].concat()
            }
            Self::Gzip(encoder) => {
                encoder.write_all(chunk).expect("a Vec takes everything");
                std::mem::take(encoder.get_mut())
            }
        }
    }

    fn finish(self) -> Vec<u8> {
        match self {
            Self::Plain { .. } => Vec::new(),
            Self::Gzip(encoder) => encoder.finish().expect("a Vec takes everything"),
        }
    }
}

/// The file, or only what is in the middle of its first lines and before.
fn send(
    shared: Arc<Shared>,
    rows: Rows,
    packer: Packer,
    is_half: bool,
) -> impl Stream<Item = Result<Bytes, std::io::Error>> {
    stream::unfold(Some((rows, packer)), move |state| {
        let shared = Arc::clone(&shared);
        async move {
            let (mut rows, mut packer) = state?;
            // Thousands of chunks with never a wait would hold the runtime's other tasks up.
            tokio::task::yield_now().await;
            let chunk = rows.next_chunk(&shared);
            if is_half {
                let chunk = chunk.unwrap_or_default();
                let half = [packer.pack(&chunk[..chunk.len() / 2]), packer.finish()].concat();
                return Some((Ok(half.into()), None));
            }
            match chunk {
                Some(chunk) => Some((Ok(packer.pack(&chunk).into()), Some((rows, packer)))),
                None => Some((Ok(packer.finish().into()), None)),
            }
        }
    })
}
