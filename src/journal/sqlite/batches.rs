//! How each sink follows a pipeline's records: its sealed batch and its position.

use auditline_sinks::{BatchLimits, Closed, Record};
use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params};

use super::append::keep_dead_letters;
use super::lanes::{is_own, move_passed};
use super::schema::{LAST_SEQUENCE, place, sequence};
use crate::journal::{DeadLetter, JournalError, Lane, Sequence, Waiting};

/// A batch as it was read, and where its lane stood then.
#[derive(Debug)]
pub(super) struct Draft {
    pub records: Vec<Record>,
    at: Position,
    /// The sequence of the last record.
    until: i64,
    bytes: i64,
    /// The lane's first own record behind it, if there was one.
    next: Option<i64>,
}

impl Draft {
    /// The sequence of the first record.
    pub(super) fn first(&self) -> Sequence {
        self.at.position as Sequence + 1
    }

    /// The sequence of the last record.
    pub(super) fn last(&self) -> Sequence {
        self.until as Sequence
    }

    /// What closed it, as far as the records tell. One that is shorter than it might be was old enough.
    pub(super) fn closed(&self, limits: &BatchLimits) -> Closed {
        if self.is_sealed() {
            Closed::Before
        } else if self.records.len() >= limits.max_records {
            Closed::Records
        } else if self.next.is_some() || self.bytes as u64 >= limits.max_bytes {
            Closed::Bytes
        } else {
            Closed::Age
        }
    }

    /// Whether its bounds are written down already.
    pub(super) fn is_sealed(&self) -> bool {
        self.at.is_sealed()
    }
}

/// Where a lane stands. The columns are explained in `schema.rs`.
#[derive(Clone, Copy, Debug)]
struct Position {
    pipeline: i64,
    position: i64,
    records: i64,
    bytes: i64,
    sealed: i64,
    sealed_records: i64,
    sealed_bytes: i64,
    next: Option<i64>,
    last: i64,
}

impl Position {
    fn is_sealed(&self) -> bool {
        self.sealed > self.position
    }
}

fn find(conn: &Connection, lane: &Lane) -> Result<Position, JournalError> {
    let find = |row: &Row<'_>| {
        Ok(Position {
            pipeline: row.get(0)?,
            position: row.get(1)?,
            records: row.get(2)?,
            bytes: row.get(3)?,
            sealed: row.get(4)?,
            sealed_records: row.get(5)?,
            sealed_bytes: row.get(6)?,
            next: row.get(7)?,
            last: row.get(8)?,
        })
    };
    let found = conn
        .prepare_cached(
            "SELECT no, position, records, bytes, sealed, sealed_records, sealed_bytes, next, last
             FROM pipelines JOIN lanes ON pipeline = no WHERE name = ?1 AND sink = ?2",
        )?
        .query_row(params![lane.pipeline, lane.sink], find)
        .optional()?;
    found.ok_or_else(|| JournalError::Refused {
        reason: format!("the pipeline `{}` was not opened with the sink `{}`", lane.pipeline, lane.sink),
    })
}

/// Reads the sealed batch of a lane, or else what its next one would be.
pub(super) fn draft(conn: &mut Connection, lane: &Lane, limits: &BatchLimits) -> Result<Option<Draft>, JournalError> {
    // One snapshot for the lane and its records.
    let tx = conn.transaction()?;
    let at = find(&tx, lane)?;
    if at.records == 0 {
        return Ok(None);
    }
    let mut draft = Draft { records: Vec::new(), at, until: at.position, bytes: 0, next: None };
    let sealed = at.is_sealed();
    let (end, wanted) = if sealed { (at.sealed, at.sealed_records) } else { (at.last, at.records) };
    let fits = |records: usize, bytes: i64| {
        sealed || records == 0 || (records < limits.max_records && (bytes as u64) <= limits.max_bytes)
    };

    // What is not the lane's own is not read, but has to be there: it goes when all lanes have passed it.
    let mut select = tx.prepare_cached(concat!(
        "SELECT place, ",
        is_own!(),
        ", time, id, length(body), CASE WHEN ",
        is_own!(),
        " THEN body END FROM records WHERE place BETWEEN ?1 AND ?2 ORDER BY place"
    ))?;
    let mut rows = select.query(params![place(at.pipeline, at.position + 1), place(at.pipeline, end), lane.sink])?;
    let mut found = at.position;
    while (draft.records.len() as i64) < wanted
        && let Some(row) = rows.next()?
    {
        if sequence(row.get(0)?) != found + 1 {
            break;
        }
        found += 1;
        if !row.get::<_, bool>(1)? {
            continue;
        }
        let bytes = draft.bytes + row.get::<_, i64>(4)?;
        if !fits(draft.records.len(), bytes) {
            draft.next = Some(found);
            break;
        }
        draft.records.push(record(row)?);
        (draft.until, draft.bytes) = (found, bytes);
    }
    let is_whole = draft.next.is_some() || draft.records.len() as i64 == wanted;
    if !is_whole || (sealed && draft.until != at.sealed) {
        return Err(missing(lane, found + 1));
    }
    Ok(Some(draft))
}

/// A hole in the file must stop the lane, for a batch without the record would be taken for the whole.
fn missing(lane: &Lane, sequence: i64) -> JournalError {
    JournalError::Storage(format!("the file is damaged: record {sequence} of `{}` is missing", lane.pipeline).into())
}

fn record(row: &Row<'_>) -> rusqlite::Result<Record> {
    Ok(Record { id: row.get(3)?, time: instant(2, row.get(2)?)?, json: row.get::<_, Vec<u8>>(5)?.into() })
}

fn instant(column: usize, micros: i64) -> rusqlite::Result<DateTime<Utc>> {
    DateTime::from_timestamp_micros(micros).ok_or(rusqlite::Error::IntegralValueOutOfRange(column, micros))
}

/// Writes down the bounds of a draft. `false` if the lane has moved since it was read: then it has to be read again.
pub(super) fn seal(conn: &mut Connection, lane: &Lane, draft: &Draft) -> Result<bool, JournalError> {
    let at = draft.at;
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let next = match draft.next {
        Some(next) => Some(next),
        // Perhaps one has come since.
        None => tx
            .prepare_cached(concat!(
                "SELECT place FROM records WHERE place BETWEEN ?1 AND ?2 AND ",
                is_own!(),
                " ORDER BY place LIMIT 1"
            ))?
            .query_row(params![place(at.pipeline, at.last + 1), place(at.pipeline, LAST_SEQUENCE), lane.sink], |row| {
                row.get(0).map(sequence)
            })
            .optional()?,
    };
    let changed = tx
        .prepare_cached(
            "UPDATE lanes SET sealed = ?4, sealed_records = ?5, sealed_bytes = ?6, next = ?7
             WHERE pipeline = ?1 AND sink = ?2 AND position = ?3 AND sealed = ?3",
        )?
        .execute(params![
            at.pipeline,
            lane.sink,
            at.position,
            draft.until,
            draft.records.len() as i64,
            draft.bytes,
            next
        ])?;
    tx.commit()?;
    Ok(changed == 1)
}

/// Moves a lane past its sealed batch; returns the pipeline's number if anything changed.
pub(super) fn advance(
    conn: &mut Connection,
    lane: &Lane,
    to: Sequence,
    rejected: &[DeadLetter],
    now: DateTime<Utc>,
) -> Result<Option<i64>, JournalError> {
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let at = find(&tx, lane)?;
    if to <= at.position as Sequence {
        return Ok(None);
    }
    if to != at.sealed as Sequence {
        let reason = format!("the position {to} of `{}` is not the end of a sealed batch ({})", lane.sink, at.sealed);
        return Err(JournalError::Refused { reason });
    }
    tx.prepare_cached(
        "UPDATE lanes SET position = ?3, sealed = ?3, sealed_records = 0, sealed_bytes = 0, records = ?4, bytes = ?5
         WHERE pipeline = ?1 AND sink = ?2",
    )?
    .execute(params![
        at.pipeline,
        lane.sink,
        at.next.map_or(at.last, |next| next - 1),
        at.records - at.sealed_records,
        at.bytes - at.sealed_bytes
    ])?;
    keep_dead_letters(&tx, at.pipeline, rejected, now)?;
    move_passed(&tx, at.pipeline)?;
    tx.commit()?;
    Ok(Some(at.pipeline))
}

/// What lies beyond a lane's position: two sums kept up to date, and one look at the oldest record.
pub(super) fn waiting(conn: &mut Connection, lane: &Lane) -> Result<Waiting, JournalError> {
    let tx = conn.transaction()?;
    let at = find(&tx, lane)?;
    let since: Option<i64> = tx
        .prepare_cached("SELECT appended FROM records WHERE place = ?1")?
        .query_row([place(at.pipeline, at.position + 1)], |row| row.get(0))
        .optional()?;
    Ok(Waiting {
        records: at.records as u64,
        bytes: at.bytes as u64,
        since: since.map(|micros| instant(0, micros)).transpose()?,
    })
}

/// The time of the oldest own record beyond a lane's position.
pub(super) fn oldest_waiting(conn: &mut Connection, lane: &Lane) -> Result<Option<DateTime<Utc>>, JournalError> {
    let tx = conn.transaction()?;
    let at = find(&tx, lane)?;
    let oldest: Option<i64> = tx
        .prepare_cached(concat!("SELECT min(time) FROM records WHERE place BETWEEN ?1 AND ?2 AND ", is_own!()))?
        .query_row(params![place(at.pipeline, at.position + 1), place(at.pipeline, at.last), lane.sink], |row| {
            row.get(0)
        })?;
    Ok(oldest.map(|micros| instant(0, micros)).transpose()?)
}
