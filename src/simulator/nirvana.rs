//! Nirvana Labs: `GET /v1/audit_logs`, inclusive bounds in whole seconds, cursors, and reads that are logged.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::Range;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, Uri, header};
use axum::response::Response;
use axum::routing::get;
use serde_json::json;

use super::content::nirvana::{self, Facts};
use super::content::{index_of, put, uuid};
use super::http::{self, Answer, Cursor, Params, Refusal, Verdict, settle};
use super::timeline::{MILLISECOND, Micros, Order, SECOND, Timeline};
use super::{Shared, Vendor, VendorState, credentials};

pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new().route("/v1/audit_logs", get(list)).route("/v1/audit_logs/{id}", get(one)).fallback(not_found)
}

/// The vendor's error form is not documented; a `message` is likely.
pub(crate) fn error(status: u16, message: &str) -> Response {
    http::json(status, json!({ "message": message }).to_string())
}

fn refuse(verdict: Verdict, status: u16, message: &str) -> Refusal {
    http::refuse(verdict, error(status, message))
}

fn invalid(message: &str) -> Refusal {
    refuse(Verdict::Invalid, 422, message)
}

async fn not_found() -> Response {
    refuse(Verdict::Invalid, 404, "not found").into_response()
}

/// A read of the audit log, itself an entry of the audit log.
#[derive(Debug, Clone)]
struct Read {
    time: Micros,
    path: Arc<str>,
    user_agent: Arc<str>,
}

/// No more than this many reads are remembered, so that a long run costs little.
const MOST_READS: usize = 100_000;

/// The reads so far, oldest first.
#[derive(Debug)]
pub(crate) struct Reads {
    salt: u64,
    // Held for a few lines, never over an await.
    list: Mutex<Vec<Read>>,
}

impl Reads {
    /// A simulator started again makes other entries, hence other ids.
    pub fn new(started: Micros) -> Self {
        Self { salt: started as u64, list: Mutex::default() }
    }

    pub fn len(&self) -> u64 {
        self.list.lock().expect("no code panics while pushing").len() as u64
    }

    fn push(&self, path: &str, headers: &HeaderMap, now: Micros) {
        let agent = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let mut list = self.list.lock().expect("no code panics while pushing");
        if list.len() < MOST_READS {
            let time = now / MILLISECOND * MILLISECOND;
            let time = list.last().map_or(time, |last| last.time.max(time));
            list.push(Read { time, path: path.into(), user_agent: agent.into() });
        }
    }

    fn window(&self, from: Option<Micros>, to: Option<Micros>) -> Range<u64> {
        let list = self.list.lock().expect("no code panics while pushing");
        let position = |time| list.partition_point(|read| read.time < time) as u64;
        let high = to.map_or(list.len() as u64, position);
        from.map_or(0, position).min(high)..high
    }

    fn get(&self, index: u64) -> Option<(Micros, Facts)> {
        let read = self.list.lock().expect("no code panics while pushing").get(index as usize)?.clone();
        let facts = Facts {
            id: uuid(self.salt, index),
            action: "audit_log.listed",
            actor_id: credentials::NIRVANA_API_KEY_ID.to_string(),
            actor_name: "audit reader",
            actor_type: "api_key",
            client_ip: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10)),
            method: "GET",
            path: read.path.to_string(),
            status: 200,
            user_agent: read.user_agent.to_string(),
            target: None,
            old: false,
        };
        Some((read.time, facts))
    }
}

fn authorize(headers: &HeaderMap) -> Result<(), Refusal> {
    match http::bearer(headers) {
        Some(credentials::NIRVANA_API_KEY) => Ok(()),
        Some(credentials::NIRVANA_API_KEY_WITHOUT_PERMISSION) => {
            Err(refuse(Verdict::Refused, 403, "the API key lacks read on audit_log"))
        }
        _ => Err(refuse(Verdict::Refused, 401, "unauthorized")),
    }
}

async fn list(State(shared): State<Arc<Shared>>, headers: HeaderMap, uri: Uri, RawQuery(query): RawQuery) -> Response {
    let params = Params::parse(query.unwrap_or_default().as_bytes());
    let answer = authorize(&headers).and_then(|()| answer(&shared, &params));
    log_read(&shared, &answer, uri.path(), &headers);
    settle(answer)
}

async fn one(State(shared): State<Arc<Shared>>, headers: HeaderMap, uri: Uri, Path(id): Path<String>) -> Response {
    let answer = authorize(&headers).and_then(|()| entry(&shared, &id));
    log_read(&shared, &answer, uri.path(), &headers);
    settle(answer)
}

fn log_read(shared: &Shared, answer: &Answer, path: &str, headers: &HeaderMap) {
    if shared.world.nirvana.log_own_reads && answer.is_ok() {
        shared.nirvana_reads.push(path, headers, shared.now());
    }
}

fn entry(shared: &Shared, id: &str) -> Answer {
    let (state, now) = (shared.of(Vendor::Nirvana), shared.now());
    let index = index_of(state.salt, id, uuid).filter(|&index| index < state.line.end(now));
    let found = match index.filter(|&index| state.line.visible(index, now)) {
        Some(index) => Some((state.line.time(index), nirvana::facts(state.salt, index))),
        None => index_of(shared.nirvana_reads.salt, id, uuid).and_then(|index| shared.nirvana_reads.get(index)),
    };
    let (time, facts) = found.ok_or_else(|| refuse(Verdict::Invalid, 404, "audit log not found"))?;
    let mut body = String::new();
    facts.write(time, &mut body);
    Ok(http::page(body, 1))
}

/// What a request asks for.
struct Asked<'a> {
    params: &'a Params,
    order: Order,
    status: (u16, u16),
    filtered: bool,
}

const FILTERS: [&str; 10] = [
    "action",
    "actor_id",
    "actor_type",
    "client_ip",
    "method",
    "path",
    "status_code_min",
    "status_code_max",
    "target_id",
    "target_type",
];

impl<'a> Asked<'a> {
    fn parse(params: &'a Params) -> Result<Self, Refusal> {
        let order = match params.get("sort") {
            None => Order::Descending,
            Some(sort) => match sort.split(',').next() {
                Some("created_at:asc") => Order::Ascending,
                Some("created_at:desc") => Order::Descending,
                _ => return Err(invalid("sort must begin with created_at:asc or created_at:desc here")),
            },
        };
        let status = |name, default| match params.get(name).map(str::parse) {
            None => Ok(default),
            Some(Ok(code)) => Ok(code),
            Some(Err(_)) => Err(invalid(&format!("{name} must be an integer"))),
        };
        if params.get("actor_type").is_some_and(|kind| !matches!(kind, "user" | "api_key")) {
            return Err(invalid("actor_type must be user or api_key"));
        }
        let filtered = FILTERS.iter().any(|name| params.get(name).is_some());
        Ok(Self {
            params,
            order,
            status: (status("status_code_min", 0)?, status("status_code_max", u16::MAX)?),
            filtered,
        })
    }

    fn accepts(&self, facts: &Facts) -> bool {
        let is = |name, value: &str| self.params.get(name).is_none_or(|wanted| wanted == value);
        let target = |name, part: Option<&str>| self.params.get(name).is_none_or(|wanted| part == Some(wanted));
        let path = self.params.get("path").unwrap_or_default().to_lowercase();
        is("action", facts.action)
            && is("actor_id", &facts.actor_id)
            && is("actor_type", facts.actor_type)
            && is("client_ip", &facts.client_ip.to_string())
            && is("method", facts.method)
            && facts.path.to_lowercase().contains(&path)
            && (self.status.0..=self.status.1).contains(&facts.status)
            && target("target_id", facts.target.as_ref().map(|target| target.1.as_str()))
            && target("target_type", facts.target.as_ref().map(|target| target.0))
    }
}

/// Where a walk stands in the records and in the reads.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    records: Range<u64>,
    reads: Range<u64>,
}

/// The next `take` entries of both kinds in one order, and where to go on.
fn walk(
    state: &VendorState,
    reads: &Reads,
    asked: &Asked<'_>,
    place: Place,
    take: usize,
    now: Micros,
) -> (Vec<(Micros, Facts)>, Place) {
    let line: &Timeline = &state.line;
    let accepts = |index| asked.accepts(&nirvana::facts(state.salt, index));
    let filter: Option<&dyn Fn(u64) -> bool> = if asked.filtered { Some(&accepts) } else { None };
    let picked = line.pick(place.records.clone(), asked.order, (0, take), filter, now);
    let mut records = picked.indexes.iter().copied().peekable();
    let mut rest = place;
    let mut entries = Vec::with_capacity(take);
    while entries.len() < take {
        let index = match asked.order {
            Order::Ascending => Some(rest.reads.start),
            Order::Descending => rest.reads.end.checked_sub(1),
        };
        let read = index.filter(|_| !rest.reads.is_empty()).and_then(|index| reads.get(index));
        let record = records.peek().map(|&index| (index, line.time(index)));
        let record_first = match (&record, &read) {
            (None, None) => break,
            (Some((_, at)), Some((read_at, _))) if asked.order == Order::Ascending => at <= read_at,
            (Some((_, at)), Some((read_at, _))) => at > read_at,
            (record, None) => record.is_some(),
            (None, Some(_)) => false,
        };
        if let (true, Some((index, at))) = (record_first, record) {
            records.next();
            match asked.order {
                Order::Ascending => rest.records.start = index + 1,
                Order::Descending => rest.records.end = index,
            }
            entries.push((at, nirvana::facts(state.salt, index)));
        } else if let Some(read) = read {
            match asked.order {
                Order::Ascending => rest.reads.start += 1,
                Order::Descending => rest.reads.end -= 1,
            }
            if asked.accepts(&read.1) {
                entries.push(read);
            }
        }
    }
    if records.peek().is_none() {
        // Also passes over what the filter refused, so that the next page does not look at it again.
        rest.records = picked.rest;
    }
    (entries, rest)
}

fn answer(shared: &Shared, params: &Params) -> Answer {
    let limit = match params.get("limit").map(str::parse) {
        None => 10,
        Some(Ok(limit)) if (10..=100).contains(&limit) => limit,
        Some(_) => return Err(invalid("limit must be between 10 and 100")),
    };
    let asked = Asked::parse(params)?;
    // Bounds have second precision, stored times are finer: 31.9 s lies outside `created_at_max=…:31Z`.
    let second = |name| match params.get(name).map(http::rfc3339) {
        Some(None) => Err(invalid(&format!("{name} must be an RFC 3339 time"))),
        Some(time) => Ok(time.map(|time| time - time.rem_euclid(SECOND))),
        None => Ok(None),
    };
    let (from, to) = (second("created_at_min")?, second("created_at_max")?.map(|time| time + 1));
    let (state, reads, now) = (shared.of(Vendor::Nirvana), &shared.nirvana_reads, shared.now());
    let bound_to = params.fingerprint(&["cursor", "limit"]);
    let (place, total, before) = match params.get("cursor").filter(|token| !token.is_empty()) {
        None => {
            let place = Place { records: state.line.window_half_open(from, to, now), reads: reads.window(from, to) };
            let total = total(state, reads, &asked, &place, now);
            (place, total, None)
        }
        Some(token) => {
            let cursor = Cursor::decode(token).filter(|cursor| cursor.bound_to == bound_to);
            let cursor = cursor.filter(|cursor| !shared.expired(cursor.issued, now));
            match cursor.as_ref().map(|cursor| cursor.numbers.as_slice()) {
                Some(&[a, b, c, d, total]) => (Place { records: a..b, reads: c..d }, total, Some(token)),
                _ => return Err(invalid("the cursor is not valid for this request")),
            }
        }
    };
    let (entries, rest) = walk(state, reads, &asked, place, limit, now);
    let more = !walk(state, reads, &asked, rest.clone(), 1, now).0.is_empty();

    let mut body = String::from(r#"{"items":["#);
    for (number, (time, facts)) in entries.iter().enumerate() {
        if number > 0 {
            body.push(',');
        }
        facts.write(*time, &mut body);
    }
    let numbers = vec![rest.records.start, rest.records.end, rest.reads.start, rest.reads.end, total];
    let next = more.then(|| Cursor { bound_to, issued: now, numbers }.encode());
    // Only its presence is simulated: it leads to the page it came with.
    put!(
        body,
        r#"],"pagination":{{"next_cursor":{},"previous_cursor":{},"total_count":{total}}}}}"#,
        json!(next),
        json!(before)
    );
    Ok(http::page(body, entries.len()))
}

/// How many entries match; counted once per walk, since the cursor carries it.
fn total(state: &VendorState, reads: &Reads, asked: &Asked<'_>, place: &Place, now: Micros) -> u64 {
    if !asked.filtered {
        return state.line.count_visible(place.records.clone(), now) + place.reads.end - place.reads.start;
    }
    let matches = |index: &u64| asked.accepts(&nirvana::facts(state.salt, *index)) && state.line.visible(*index, now);
    let own = |index: &u64| reads.get(*index).is_some_and(|(_, facts)| asked.accepts(&facts));
    (place.records.clone().filter(matches).count() + place.reads.clone().filter(own).count()) as u64
}
