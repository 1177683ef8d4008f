//! Which records were handed out before: the ids of a pipeline, forgotten when no read can reach them again.
//!
//! Ids are hashes, so in one b-tree every new one would land on a page of its own, and forgetting would touch each of
//! those once more. They are therefore kept in *eras*: an era is named by the hour (since 1970) it ends at, and holds ids
//! that are kept by an instant before that. New ids of a page go to one or two eras, which are small enough to stay in
//! memory, and a forgotten era is one run of rows. Filters in memory say which eras need not be asked for an id. An id may
//! be kept for an era longer than asked for, and never for less.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, params};

use super::filter::Filters;
use crate::event::RecordKey;

/// An id as one page hands it out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sighting {
    pub key: RecordKey,
    /// What the id is kept by.
    pub kept_by: DateTime<Utc>,
    /// Which record of the page.
    pub index: usize,
}

/// Remembers what a page handed out; returns which of its records are new, each key once, in the page's order.
pub(super) fn remember(
    conn: &Connection,
    filters: &mut Filters,
    pipeline: i64,
    mut page: Vec<Sighting>,
    forget_hour: Option<i64>,
) -> rusqlite::Result<Vec<usize>> {
    let Some(newest) = page.iter().map(|seen| hour_after(seen.kept_by)).max() else { return Ok(Vec::new()) };
    // In the order of the b-tree, so that each of its pages is visited once.
    page.sort_unstable_by_key(|seen| (seen.key, seen.index));
    let eras = eras(conn, pipeline)?;
    load_filters(conn, filters, pipeline, &eras)?;
    let oldest = eras.first().copied().into_iter().chain(forget_hour).max().unwrap_or(newest);
    let length = era_length(newest - oldest);

    let mut insert = conn.prepare_cached("INSERT INTO seen (pipeline, era, key) VALUES (?1, ?2, ?3)")?;
    let mut delete = conn.prepare_cached("DELETE FROM seen WHERE pipeline = ?1 AND era = ?2 AND key = ?3")?;
    let mut new = Vec::with_capacity(page.len());
    for same in page.chunk_by(|one, next| one.key == next.key) {
        let first = same[0];
        let hour = same.iter().map(|seen| hour_after(seen.kept_by)).max().unwrap_or(newest);
        match find(conn, filters, pipeline, &eras, first.key)? {
            // The usual re-read of an overlap: its era lasts long enough, nothing is written.
            Some(era) if era >= hour => continue,
            Some(era) => {
                delete.execute(params![pipeline, era, first.key.0])?;
            }
            None => new.push(first.index),
        }
        let era = round_up(hour, length);
        filters.add(pipeline, era, first.key);
        insert.execute(params![pipeline, era, first.key.0])?;
    }
    new.sort_unstable();
    Ok(new)
}

/// Which of these ids a pipeline remembers.
pub(super) fn known(
    conn: &Connection,
    filters: &mut Filters,
    pipeline: i64,
    keys: impl IntoIterator<Item = RecordKey>,
) -> rusqlite::Result<HashSet<RecordKey>> {
    let mut keys = keys.into_iter().peekable();
    let mut known = HashSet::new();
    if keys.peek().is_none() {
        return Ok(known);
    }
    let eras = eras(conn, pipeline)?;
    load_filters(conn, filters, pipeline, &eras)?;
    for key in keys {
        if find(conn, filters, pipeline, &eras, key)?.is_some() {
            known.insert(key);
        }
    }
    Ok(known)
}

/// The era that has the id.
fn find(
    conn: &Connection,
    filters: &Filters,
    pipeline: i64,
    eras: &[i64],
    key: RecordKey,
) -> rusqlite::Result<Option<i64>> {
    for era in eras.iter().rev().filter(|era| filters.may_have(pipeline, **era, key)) {
        let mut find = conn.prepare_cached("SELECT 1 FROM seen WHERE pipeline = ?1 AND era = ?2 AND key = ?3")?;
        if find.exists(params![pipeline, era, key.0])? {
            return Ok(Some(*era));
        }
    }
    Ok(None)
}

/// Reads the eras that an earlier run wrote, once each.
fn load_filters(conn: &Connection, filters: &mut Filters, pipeline: i64, eras: &[i64]) -> rusqlite::Result<()> {
    filters.keep_only(pipeline, eras);
    for era in eras {
        if !filters.knows(pipeline, *era) {
            let mut select = conn.prepare_cached("SELECT key FROM seen WHERE pipeline = ?1 AND era = ?2")?;
            let keys = select.query_map([pipeline, *era], |row| Ok(RecordKey(row.get(0)?)))?;
            filters.load(pipeline, *era, keys)?;
        }
    }
    Ok(())
}

/// Forgets up to `piece` ids of eras that ended by `forget_hour`; returns whether there are more.
pub(super) fn forget(conn: &Connection, pipeline: i64, forget_hour: i64, piece: i64) -> rusqlite::Result<bool> {
    let Some(era) = eras(conn, pipeline)?.first().copied().filter(|era| *era <= forget_hour) else {
        return Ok(false);
    };
    let mut bound =
        conn.prepare_cached("SELECT key FROM seen WHERE pipeline = ?1 AND era = ?2 ORDER BY key LIMIT 1 OFFSET ?3")?;
    let bound: Option<[u8; 16]> = bound.query_row(params![pipeline, era, piece], |row| row.get(0)).optional()?;
    match bound {
        Some(bound) => conn
            .prepare_cached("DELETE FROM seen WHERE pipeline = ?1 AND era = ?2 AND key < ?3")?
            .execute(params![pipeline, era, bound])?,
        None => {
            conn.prepare_cached("DELETE FROM seen WHERE pipeline = ?1 AND era = ?2")?.execute(params![pipeline, era])?
        }
    };
    Ok(true)
}

/// The whole hours an instant is past 1970: an era with this name or a lower one ended by then.
pub(super) fn hour_of(time: DateTime<Utc>) -> i64 {
    time.timestamp().div_euclid(3600)
}

fn hour_after(time: DateTime<Utc>) -> i64 {
    hour_of(time) + 1
}

/// About a 32nd of all that is remembered, and a power of two, so that eras of one length end where those of another do.
/// At most 64 hours: one far outlier must not make the ids of today stay for months.
fn era_length(span: i64) -> i64 {
    let part = u64::try_from(span / 32).unwrap_or(0).clamp(1, 64);
    part.next_power_of_two() as i64
}

fn round_up(hour: i64, length: i64) -> i64 {
    (hour + length - 1).div_euclid(length) * length
}

/// The eras a pipeline has, oldest first: one seek each.
fn eras(conn: &Connection, pipeline: i64) -> rusqlite::Result<Vec<i64>> {
    let mut next = conn.prepare_cached("SELECT min(era) FROM seen WHERE pipeline = ?1 AND era > ?2")?;
    let mut eras = Vec::new();
    let mut after = i64::MIN;
    while let Some(era) = next.query_row(params![pipeline, after], |row| row.get::<_, Option<i64>>(0))? {
        eras.push(era);
        after = era;
    }
    Ok(eras)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::sqlite::schema;

    fn at(hour: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(hour * 3600 + 1800, 0).unwrap()
    }

    /// What is new, by the filters of a run that has just begun.
    fn see(conn: &Connection, ids: &[&str], hour: i64, forget: Option<i64>) -> Vec<usize> {
        see_by(conn, &mut Filters::default(), ids, hour, forget)
    }

    fn see_by(conn: &Connection, filters: &mut Filters, ids: &[&str], hour: i64, forget: Option<i64>) -> Vec<usize> {
        let sighting = |(index, id): (usize, &&str)| Sighting { key: RecordKey::of(id), kept_by: at(hour), index };
        remember(conn, filters, 1, ids.iter().enumerate().map(sighting).collect(), forget).unwrap()
    }

    fn writer() -> (tempfile::NamedTempFile, Connection) {
        let file = tempfile::NamedTempFile::new().unwrap();
        let conn = schema::open_writer(file.path()).unwrap();
        (file, conn)
    }

    fn written(conn: &Connection) -> u64 {
        conn.total_changes()
    }

    #[test]
    fn each_id_is_new_once() {
        let (_file, conn) = writer();
        assert_eq!(see(&conn, &["b", "a", "b", "c"], 100, None), [0, 1, 3]);
        assert_eq!(see(&conn, &["d", "c", "b"], 101, None), [0]);
    }

    #[test]
    fn reading_an_overlap_again_writes_nothing() {
        let (_file, conn) = writer();
        see(&conn, &["a", "b"], 100, None);
        let before = written(&conn);
        assert!(see(&conn, &["a", "b"], 100, None).is_empty());
        assert!(see(&conn, &["b"], 90, None).is_empty());
        assert_eq!(written(&conn), before);
    }

    #[test]
    fn an_id_is_kept_by_the_newest_time_it_was_handed_out() {
        let (_file, conn) = writer();
        see(&conn, &["old", "again"], 100, None);
        see(&conn, &["again"], 110, None);
        while forget(&conn, 1, 105, 10).unwrap() {}
        assert_eq!(see(&conn, &["old", "again"], 111, None), [0]);
    }

    #[test]
    fn forgetting_goes_in_pieces_and_leaves_other_eras() {
        let (_file, conn) = writer();
        let ids: Vec<_> = (0..25).map(|id| id.to_string()).collect();
        see(&conn, &ids.iter().map(String::as_str).collect::<Vec<_>>(), 100, None);
        see(&conn, &["young"], 200, None);
        let mut pieces = Vec::new();
        loop {
            let before = written(&conn);
            if !forget(&conn, 1, 150, 10).unwrap() {
                break;
            }
            pieces.push(written(&conn) - before);
        }
        assert_eq!(pieces, [10, 10, 5]);
        assert!(see(&conn, &["young"], 200, None).is_empty());
    }

    #[test]
    fn a_week_that_moves_on_for_a_year_has_few_eras() {
        let (_file, conn) = writer();
        let mut filters = Filters::default();
        for hour in 0..365 * 24 {
            assert_eq!(see_by(&conn, &mut filters, &[&hour.to_string()], hour, Some(hour - 168)), [0]);
            let known = hour.max(160) - 160;
            assert!(see_by(&conn, &mut filters, &[&known.to_string()], known, None).is_empty());
            while forget(&conn, 1, hour - 168, 100).unwrap() {}
            assert!(eras(&conn, 1).unwrap().len() <= 100, "at {hour}: {:?}", eras(&conn, 1));
        }
        let kept: i64 = conn.query_row("SELECT count(*) FROM seen", [], |row| row.get(0)).unwrap();
        assert!((168..=168 + 8).contains(&kept), "{kept}");
    }

    #[test]
    fn a_transaction_that_is_rolled_back_leaves_its_ids_new() {
        let (_file, conn) = writer();
        let mut filters = Filters::default();
        for _ in 0..2 {
            let tx = conn.unchecked_transaction().unwrap();
            assert_eq!(see_by(&tx, &mut filters, &["a", "b"], 100, None), [0, 1]);
        }
        assert_eq!(see_by(&conn, &mut filters, &["b", "a"], 100, None), [0, 1]);
        assert!(see_by(&conn, &mut filters, &["b", "a"], 100, None).is_empty());
    }
}
