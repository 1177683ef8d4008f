//! Where each walk through a pipeline's log resumes.

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, params};

use crate::journal::Walk;

/// The cursor of a walk.
pub(super) fn cursor(conn: &Connection, pipeline: &str, walk: &Walk) -> rusqlite::Result<Option<Bytes>> {
    let cursor: Option<Vec<u8>> = conn
        .prepare_cached(
            "SELECT cursor FROM walks JOIN pipelines ON no = pipeline WHERE pipelines.name = ?1 AND walks.name = ?2",
        )?
        .query_row(params![pipeline, walk.as_str()], |row| row.get(0))
        .optional()?;
    Ok(cursor.map(Bytes::from))
}

/// Every walk of a pipeline, by name.
pub(super) fn all(conn: &Connection, pipeline: &str) -> rusqlite::Result<Vec<(Walk, Bytes)>> {
    conn.prepare_cached(
        "SELECT walks.name, cursor FROM walks JOIN pipelines ON no = pipeline WHERE pipelines.name = ?1 ORDER BY walks.name",
    )?
    .query_map([pipeline], |row| {
        let name: String = row.get(0)?;
        Ok((Walk::named(&name), Bytes::from(row.get::<_, Vec<u8>>(1)?)))
    })?
    .collect()
}

/// Forgets a walk.
pub(super) fn end(conn: &Connection, pipeline: &str, walk: &Walk) -> rusqlite::Result<()> {
    conn.execute(
        "DELETE FROM walks WHERE pipeline = (SELECT no FROM pipelines WHERE name = ?1) AND name = ?2",
        params![pipeline, walk.as_str()],
    )?;
    Ok(())
}
