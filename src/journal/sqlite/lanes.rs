//! How each sink follows a pipeline's records: lanes, their sealed batches and their positions.

use std::collections::BTreeMap;
use std::sync::Arc;

use auditline_sinks::{BatchLimits, Record};
use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params};

use super::append::{keep_dead_letters, make_pipeline};
use super::schema::{place, sequence};
use crate::journal::{DeadLetter, JournalError, Lane, Sequence, Waiting};

/// Registers the lanes of a pipeline; returns its number and the lanes it no longer has.
pub(super) fn open_pipeline(
    conn: &mut Connection,
    pipeline: &Arc<str>,
    sinks: &[Arc<str>],
) -> Result<(i64, Vec<(Lane, u64)>), JournalError> {
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let row = make_pipeline(&tx, pipeline)?;
    let before: BTreeMap<Arc<str>, i64> = tx
        .prepare_cached("SELECT sink, position FROM lanes WHERE pipeline = ?1")?
        .query_map([row.no], |lane| Ok((lane.get(0)?, lane.get(1)?)))?
        .collect::<Result<_, _>>()?;

    for sink in sinks.iter().filter(|sink| !before.contains_key(*sink)) {
        // `passed` still counts the lanes forgotten below: a sink in another's place is given what that one was not.
        // The same sink named twice is one lane.
        tx.execute(
            "INSERT OR IGNORE INTO lanes (pipeline, sink, position, position_bytes, sealed, sealed_bytes)
             SELECT no, ?2, passed, passed_bytes, passed, passed_bytes FROM pipelines WHERE no = ?1",
            params![row.no, sink],
        )?;
    }
    let mut forgotten = Vec::new();
    for (sink, position) in before.into_iter().filter(|(sink, _)| !sinks.contains(sink)) {
        tx.execute("DELETE FROM lanes WHERE pipeline = ?1 AND sink = ?2", params![row.no, sink])?;
        forgotten.push((Lane { pipeline: pipeline.clone(), sink }, (row.last - position) as u64));
    }
    move_passed(&tx, row.no)?;
    tx.commit()?;
    Ok((row.no, forgotten))
}

/// Without lanes nothing has been passed, and `passed` stays where it is.
fn move_passed(conn: &Connection, pipeline: i64) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "UPDATE pipelines SET (passed, passed_bytes) = (
             SELECT min(position), min(position_bytes) FROM lanes WHERE pipeline = ?1
         ) WHERE no = ?1 AND passed < (SELECT min(position) FROM lanes WHERE pipeline = ?1)",
    )?
    .execute([pipeline])?;
    Ok(())
}

/// A batch as it was read, and where its lane stood then.
#[derive(Debug)]
pub(super) struct Draft {
    pub records: Vec<Record>,
    position: Position,
    until: i64,
    until_bytes: i64,
}

impl Draft {
    /// The sequence of the first record.
    pub(super) fn first(&self) -> Sequence {
        self.position.position as Sequence + 1
    }

    /// Whether its bounds are written down already.
    pub(super) fn is_sealed(&self) -> bool {
        self.position.sealed > self.position.position
    }
}

/// Where a lane stands.
#[derive(Clone, Copy, Debug)]
struct Position {
    pipeline: i64,
    position: i64,
    position_bytes: i64,
    sealed: i64,
    sealed_bytes: i64,
    last: i64,
    last_bytes: i64,
}

fn find(conn: &Connection, lane: &Lane) -> Result<Position, JournalError> {
    let find = |row: &Row<'_>| {
        Ok(Position {
            pipeline: row.get(0)?,
            position: row.get(1)?,
            position_bytes: row.get(2)?,
            sealed: row.get(3)?,
            sealed_bytes: row.get(4)?,
            last: row.get(5)?,
            last_bytes: row.get(6)?,
        })
    };
    let found = conn
        .prepare_cached(
            "SELECT no, position, position_bytes, sealed, sealed_bytes, last, last_bytes
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
    let position = find(&tx, lane)?;
    if position.last == position.position {
        return Ok(None);
    }
    let mut draft =
        Draft { records: Vec::new(), position, until: position.position, until_bytes: position.position_bytes };
    let sealed = draft.is_sealed();
    let end = if sealed { position.sealed } else { position.last };
    let fits = |records: usize, bytes: i64| {
        sealed || records == 0 || (records < limits.max_records && (bytes as u64) <= limits.max_bytes)
    };

    let mut select = tx.prepare_cached(
        "SELECT place, bytes, time, id, body FROM records WHERE place BETWEEN ?1 AND ?2 ORDER BY place",
    )?;
    let mut rows =
        select.query(params![place(position.pipeline, position.position + 1), place(position.pipeline, end)])?;
    while let Some(row) = rows.next()? {
        let bytes: i64 = row.get(1)?;
        if !fits(draft.records.len(), bytes - position.position_bytes) {
            break;
        }
        let found = sequence(row.get(0)?);
        if found != draft.until + 1 {
            return Err(missing(lane, draft.until + 1));
        }
        draft.records.push(record(row)?);
        (draft.until, draft.until_bytes) = (found, bytes);
    }
    if draft.records.is_empty() || (sealed && draft.until != position.sealed) {
        return Err(missing(lane, draft.until + 1));
    }
    Ok(Some(draft))
}

/// A hole in the file must stop the lane, for a batch without the record would be taken for the whole.
fn missing(lane: &Lane, sequence: i64) -> JournalError {
    JournalError::Storage(format!("the file is damaged: record {sequence} of `{}` is missing", lane.pipeline).into())
}

fn record(row: &Row<'_>) -> rusqlite::Result<Record> {
    Ok(Record { id: row.get(3)?, time: instant(2, row.get(2)?)?, json: row.get::<_, Vec<u8>>(4)?.into() })
}

fn instant(column: usize, micros: i64) -> rusqlite::Result<DateTime<Utc>> {
    DateTime::from_timestamp_micros(micros).ok_or(rusqlite::Error::IntegralValueOutOfRange(column, micros))
}

/// Writes down the bounds of a draft. `false` if the lane has moved since it was read: then it has to be read again.
pub(super) fn seal(conn: &Connection, lane: &Lane, draft: &Draft) -> Result<bool, JournalError> {
    let position = draft.position;
    let changed = conn
        .prepare_cached(
            "UPDATE lanes SET sealed = ?4, sealed_bytes = ?5
             WHERE pipeline = ?1 AND sink = ?2 AND position = ?3 AND sealed = ?3",
        )?
        .execute(params![position.pipeline, lane.sink, position.position, draft.until, draft.until_bytes])?;
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
    tx.prepare_cached("UPDATE lanes SET position = ?3, position_bytes = ?4 WHERE pipeline = ?1 AND sink = ?2")?
        .execute(params![at.pipeline, lane.sink, at.sealed, at.sealed_bytes])?;
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
        records: (at.last - at.position) as u64,
        bytes: (at.last_bytes - at.position_bytes) as u64,
        since: since.map(|micros| instant(0, micros)).transpose()?,
    })
}

/// The time of the oldest record beyond a lane's position.
pub(super) fn oldest_waiting(conn: &mut Connection, lane: &Lane) -> Result<Option<DateTime<Utc>>, JournalError> {
    let tx = conn.transaction()?;
    let at = find(&tx, lane)?;
    let oldest: Option<i64> = tx
        .prepare_cached("SELECT min(time) FROM records WHERE place BETWEEN ?1 AND ?2")?
        .query_row(params![place(at.pipeline, at.position + 1), place(at.pipeline, at.last)], |row| row.get(0))?;
    Ok(oldest.map(|micros| instant(0, micros)).transpose()?)
}
