//! The lanes of a pipeline: which sinks follow its records, and which of them are whose.

use std::sync::Arc;

use rusqlite::{Connection, TransactionBehavior, params};

use super::append::{Pipeline, make_pipeline};
use super::schema::{place, sequence};
use crate::journal::{JournalError, Lane, New};

/// Whether a record goes to the sink `?3`.
macro_rules! is_own {
    () => {
        "(sinks IS NULL OR instr(sinks, char(10) || ?3 || char(10)))"
    };
}
pub(super) use is_own;

/// Registers the lanes of a pipeline; returns its number and the lanes it no longer has.
pub(super) fn open_pipeline(
    conn: &mut Connection,
    pipeline: &Arc<str>,
    sinks: &[Arc<str>],
) -> Result<(i64, Vec<(Lane, u64)>), JournalError> {
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let row = make_pipeline(&tx, pipeline)?;
    let before = of_pipeline(&tx, row.no)?;
    let passed: i64 = tx.query_row("SELECT passed FROM pipelines WHERE no = ?1", [row.no], |row| row.get(0))?;
    // `passed` still counts the lanes forgotten below: a sink in another's place is given what that one was not.
    for sink in sinks.iter().filter(|sink| before.iter().all(|lane| lane.sink != ***sink)) {
        let (records, bytes, first) = own(&tx, row.no, sink, passed, row.last)?;
        let position = first.map_or(row.last, |first| first - 1);
        // The same sink named twice is one lane.
        tx.execute(
            "INSERT OR IGNORE INTO lanes (pipeline, sink, position, records, bytes, sealed, next)
             VALUES (?1, ?2, ?3, ?4, ?5, ?3, ?6)",
            params![row.no, sink, position, records, bytes, first],
        )?;
    }
    let mut forgotten = Vec::new();
    for gone in before.into_iter().filter(|lane| sinks.iter().all(|sink| **sink != *lane.sink)) {
        tx.execute("DELETE FROM lanes WHERE pipeline = ?1 AND sink = ?2", params![row.no, gone.sink])?;
        forgotten.push((Lane { pipeline: pipeline.clone(), sink: gone.sink.into() }, gone.records as u64));
    }
    move_passed(&tx, row.no)?;
    tx.commit()?;
    Ok((row.no, forgotten))
}

/// The own records of a sink beyond a position: how many, their bytes, and the first of them.
fn own(
    conn: &Connection,
    pipeline: i64,
    sink: &str,
    after: i64,
    last: i64,
) -> rusqlite::Result<(i64, i64, Option<i64>)> {
    conn.prepare_cached(concat!(
        "SELECT count(*), coalesce(sum(length(body)), 0), min(place) FROM records
         WHERE place BETWEEN ?1 AND ?2 AND ",
        is_own!()
    ))?
    .query_row(params![place(pipeline, after + 1), place(pipeline, last), sink], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get::<_, Option<i64>>(2)?.map(sequence)))
    })
}

/// A lane as a page finds it.
#[derive(Debug)]
pub(super) struct Standing {
    pub sink: String,
    position: i64,
    records: i64,
    sealed: i64,
    next: Option<i64>,
}

/// The lanes of a pipeline, by name.
pub(super) fn of_pipeline(conn: &Connection, pipeline: i64) -> rusqlite::Result<Vec<Standing>> {
    conn.prepare_cached("SELECT sink, position, records, sealed, next FROM lanes WHERE pipeline = ?1 ORDER BY sink")?
        .query_map([pipeline], |row| {
            Ok(Standing {
                sink: row.get(0)?,
                position: row.get(1)?,
                records: row.get(2)?,
                sealed: row.get(3)?,
                next: row.get(4)?,
            })
        })?
        .collect()
}

/// Counts records that follow the pipeline's last for the lanes they go to. A lane that waits for nothing passes what is
/// not its own at once. Says whether there is more now that all lanes have passed.
pub(super) fn welcome(
    conn: &Connection,
    pipeline: &Pipeline,
    lanes: &[Standing],
    new: &[&New],
) -> rusqlite::Result<bool> {
    let last = pipeline.last + new.len() as i64;
    for lane in lanes.iter().filter(|_| !new.is_empty()) {
        let own = || new.iter().zip(pipeline.last + 1..).filter(|(new, _)| new.goes_to(&lane.sink));
        let first = own().next().map(|(_, sequence)| sequence);
        let bytes: i64 = own().map(|(new, _)| new.record.json.len() as i64).sum();
        let (position, sealed) = match lane.records {
            0 => (first.map_or(last, |first| first - 1), first.map_or(last, |first| first - 1)),
            _ => (lane.position, lane.sealed),
        };
        if first.is_none() && position == lane.position {
            continue;
        }
        conn.prepare_cached(
            "UPDATE lanes SET position = ?3, sealed = ?4, records = records + ?5, bytes = bytes + ?6, next = ?7
             WHERE pipeline = ?1 AND sink = ?2",
        )?
        .execute(params![
            pipeline.no,
            lane.sink,
            position,
            sealed,
            own().count() as i64,
            bytes,
            lane.next.or(first)
        ])?;
    }
    if new.is_empty() { Ok(false) } else { move_passed(conn, pipeline.no) }
}

/// Without lanes nothing has been passed, and `passed` stays where it is. Says whether it moved.
pub(super) fn move_passed(conn: &Connection, pipeline: i64) -> rusqlite::Result<bool> {
    let moved = conn
        .prepare_cached(
            "UPDATE pipelines SET passed = (SELECT min(position) FROM lanes WHERE pipeline = ?1)
             WHERE no = ?1 AND passed < (SELECT min(position) FROM lanes WHERE pipeline = ?1)",
        )?
        .execute([pipeline])?;
    Ok(moved > 0)
}
