//! How many requests a walk will take: worked out from the settings, without asking the vendor anything.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::cursor::Cursor;
use super::settings::Settings;
use crate::connector::model::Read;

/// What a walk from a cursor to an instant will take.
#[derive(Clone, Debug, PartialEq)]
pub struct Forecast {
    /// The windows that will be asked for, in order.
    pub windows: Vec<Span>,
    /// Requests that all of them take.
    pub calls: u64,
}

/// One window of a forecast.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// The first instant of it.
    pub from: DateTime<Utc>,
    /// The first instant after it.
    pub until: DateTime<Utc>,
    /// How it is read: the name of one of the connector's `[read.NAME]`.
    pub read: String,
    /// Requests it takes.
    pub calls: u64,
}

/// An order, a look at how it is, and the download; before them, where jobs can be listed, a look for the order.
const CALLS_OF_A_JOB: u64 = 3;
/// Nobody reads further windows than these one by one; a walk this long is a mistake in `window` or `start`.
const MOST_WINDOWS: usize = 1_000_000;

/// What the walk from `cursor` takes until everything before `now - lag` is read. Without `per_day`, how many records a
/// day has, each window is taken to fit one page.
#[must_use]
pub fn forecast(settings: &Settings, cursor: &Cursor, now: DateTime<Utc>, per_day: Option<f64>) -> Forecast {
    let mut cursor = cursor.clone();
    let mut windows = Vec::new();
    while windows.len() < MOST_WINDOWS {
        let opened = match &cursor.window {
            Some(_) => cursor,
            None => match cursor.next_span(&settings.rules, now) {
                Some(span) => cursor.open(span, settings.choose(now - span.0).0, now),
                None => break,
            },
        };
        let Some(window) = &opened.window else { break };
        let (name, read) = settings.way(&window.read);
        let records = per_day.map(|per_day| per_day * days(window.until - window.from));
        let span = Span { from: window.from, until: window.until, read: name.to_owned(), calls: calls(read, records) };
        cursor = as_if_read(&opened, read, records).finish(&settings.rules);
        windows.push(span);
    }
    let calls = windows.iter().map(|window| window.calls).sum();
    Forecast { windows, calls }
}

/// How long so many requests take at least, within the share of the quota that is ours.
#[must_use]
pub fn least_time(settings: &Settings, calls: u64) -> Duration {
    let share = (1.0 - settings.reserve).clamp(0.01, 1.0);
    settings.rate.per.mul_f64(calls as f64 / (f64::from(settings.rate.requests) * share))
}

/// The cursor with what its window's pages will have been like.
fn as_if_read(cursor: &Cursor, read: &Read, records: Option<f64>) -> Cursor {
    let mut cursor = cursor.clone();
    let size = read.page_sizes.first().copied().map_or(f64::INFINITY, f64::from);
    if let (Some(window), Some(records)) = (&mut cursor.window, records) {
        window.pages.busy = records >= size / 2.0;
    }
    cursor
}

fn days(span: TimeDelta) -> f64 {
    span.num_seconds() as f64 / 86_400.0
}

fn calls(read: &Read, records: Option<f64>) -> u64 {
    if let Some(job) = &read.job {
        return CALLS_OF_A_JOB + u64::from(job.find.is_some());
    }
    let size = read.page_sizes.first().copied().unwrap_or(u32::MAX);
    let pages = records.map_or(1, |records| ((records / f64::from(size)).ceil() as u64).max(1));
    let details = records.filter(|_| read.detail.is_some()).map_or(0, |records| records.ceil() as u64);
    pages + details
}
