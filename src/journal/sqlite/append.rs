//! A page becomes durable: records, ids, dead letters and the cursor in one transaction.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::filter::Filters;
use super::lanes::{self, Standing};
use super::schema::{LAST_SEQUENCE, place};
use super::seen;
use super::sorting::{Memory, Sorted};
use crate::journal::{Append, Appended, DeadLetter, JournalError, Lateness, New, Sequence};

/// A pipeline as its row says.
#[derive(Debug)]
pub(super) struct Pipeline {
    pub no: i64,
    pub last: i64,
    pub last_bytes: i64,
    pub forget_hour: Option<i64>,
}

/// The pipeline of that name, if the journal has one.
pub(super) fn find_pipeline(conn: &Connection, name: &str) -> rusqlite::Result<Option<Pipeline>> {
    conn.prepare_cached("SELECT no, last, last_bytes, forget_hour FROM pipelines WHERE name = ?1")?
        .query_row([name], |row| {
            Ok(Pipeline { no: row.get(0)?, last: row.get(1)?, last_bytes: row.get(2)?, forget_hour: row.get(3)? })
        })
        .optional()
}

/// The pipeline of that name, made if it is missing.
pub(super) fn make_pipeline(conn: &Connection, name: &str) -> rusqlite::Result<Pipeline> {
    if let Some(found) = find_pipeline(conn, name)? {
        return Ok(found);
    }
    conn.execute("INSERT INTO pipelines (name) VALUES (?1)", [name])?;
    Ok(Pipeline { no: conn.last_insert_rowid(), last: 0, last_bytes: 0, forget_hour: None })
}

/// The whole of [`Journal::append`](crate::journal::Journal::append). Returns the pipeline's number too, if there may
/// be something to remove since: ids that are forgotten, or records that no lane takes.
pub(super) fn append(
    conn: &mut Connection,
    filters: &mut Filters,
    pipeline: &str,
    page: &Append,
    now: DateTime<Utc>,
) -> Result<(Appended, Option<i64>), JournalError> {
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let pipeline = make_pipeline(&tx, pipeline)?;
    let forget_hour = pipeline.forget_hour.max(page.forget_before.map(seen::hour_of));
    let lanes = lanes::of_pipeline(&tx, pipeline.no)?;
    refuse_strangers(page, &lanes)?;

    let mut memory = Memory { conn: &tx, filters, pipeline: pipeline.no, forget_hour };
    let Sorted { new, dropped, repetitions } = memory.sort(page, now)?;
    let new: Vec<&New> = new.iter().map(|index| &page.records[*index]).collect();
    let (last, last_bytes) = add_records(&tx, &pipeline, &new, now)?;
    let passed = lanes::welcome(&tx, &pipeline, &lanes, &new)?;
    let dead_letters = keep_dead_letters(&tx, pipeline.no, &page.dead_letters, now)?;
    // A page that says nothing new is not written at all, and so costs the disk nothing.
    tx.prepare_cached(
        "UPDATE pipelines SET last = ?2, last_bytes = ?3, forget_hour = ?4
         WHERE no = ?1 AND (last <> ?2 OR forget_hour IS NOT ?4)",
    )?
    .execute(params![pipeline.no, last, last_bytes, forget_hour])?;
    tx.prepare_cached(
        "INSERT INTO walks (pipeline, name, cursor) VALUES (?1, ?2, ?3)
         ON CONFLICT DO UPDATE SET cursor = excluded.cursor WHERE cursor <> excluded.cursor",
    )?
    .execute(params![pipeline.no, page.walk.as_str(), page.cursor.as_ref()])?;
    tx.commit()?;

    let added = new.len() as u64;
    let mut late = Lateness::default();
    let times = new.iter().map(|new| new.record.time);
    times.filter(|time| *time < page.late_before).for_each(|time| late.note(page.late_before - time));
    let repeated = page.records.len() as u64 - added - repetitions;
    let appended = Appended { added, late, repeated, dropped, last: last as Sequence, dead_letters };
    Ok((appended, (passed || forget_hour != pipeline.forget_hour).then_some(pipeline.no)))
}

/// A record that no lane takes would be passed by all of them, and so be lost.
fn refuse_strangers(page: &Append, lanes: &[Standing]) -> Result<(), JournalError> {
    for to in page.records.iter().filter_map(|new| new.to.as_deref()) {
        let stranger = to.iter().find(|sink| sink.contains('\n') || lanes.iter().all(|lane| lane.sink != ***sink));
        let reason = match stranger {
            Some(sink) if !lanes.is_empty() || sink.contains('\n') => {
                format!("a record is to go to `{sink}`, which its pipeline was not opened with")
            }
            None if to.is_empty() => "a record is to go nowhere".to_owned(),
            _ => continue,
        };
        return Err(JournalError::Refused { reason });
    }
    Ok(())
}

/// The sinks of a record as they are kept: each between line breaks, so that one is found without splitting.
fn sinks(new: &New) -> Option<String> {
    let to = new.to.as_deref()?;
    Some(to.iter().fold("\n".to_owned(), |all, sink| all + sink + "\n"))
}

/// Writes the new records of a page; returns the pipeline's last sequence and the bytes up to it.
fn add_records(
    conn: &Connection,
    pipeline: &Pipeline,
    new: &[&New],
    now: DateTime<Utc>,
) -> Result<(i64, i64), JournalError> {
    let (mut last, mut bytes) = (pipeline.last, pipeline.last_bytes);
    if last + new.len() as i64 > LAST_SEQUENCE {
        return Err(JournalError::Refused { reason: "a pipeline cannot have more than 2^40 records".to_owned() });
    }
    let mut insert = conn.prepare_cached(
        "INSERT INTO records (place, bytes, time, appended, id, body, sinks) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    for new in new {
        let record = &new.record;
        last += 1;
        bytes += record.json.len() as i64;
        insert.execute(params![
            place(pipeline.no, last),
            bytes,
            record.time.timestamp_micros(),
            now.timestamp_micros(),
            record.id,
            record.json.as_ref(),
            sinks(new),
        ])?;
    }
    Ok((last, bytes))
}

/// Keeps dead letters, each key of a stage once; returns which of them are new.
pub(super) fn keep_dead_letters(
    conn: &Connection,
    pipeline: i64,
    letters: &[DeadLetter],
    now: DateTime<Utc>,
) -> rusqlite::Result<Vec<usize>> {
    let mut new = Vec::new();
    let mut insert = conn.prepare_cached(
        "INSERT OR IGNORE INTO dead_letters (pipeline, stage, key, at, reason, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    for (index, letter) in letters.iter().enumerate() {
        let inserted = insert.execute(params![
            pipeline,
            letter.stage,
            letter.key.0,
            now.timestamp_micros(),
            letter.reason,
            letter.body.as_ref(),
        ])?;
        if inserted == 1 {
            new.push(index);
        }
    }
    Ok(new)
}
