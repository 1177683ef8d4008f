//! The journal's file: how it is told apart from other files, its tables, and how an older one becomes today's.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use crate::journal::JournalError;

/// `audl`, in the header of every journal.
const APPLICATION_ID: i64 = 0x6175_646c;

/// What turns version `n` into version `n + 1`, oldest first. Only ever added to.
const MIGRATIONS: &[&str] = &[V1, V2, V3];

/// * A record's `place` is the pipeline's number and the record's sequence in one integer, so that one b-tree keeps each
///   pipeline's records side by side: they are added at the end of their run and read and removed from its start, whole
///   pages at a time, and no second index has to find them.
/// * `bytes` (of a record, and `last_bytes` beside a sequence) is the JSON of all the pipeline's records up to and with
///   that one.
/// * `passed` is the sequence all lanes have passed. It moves in the transaction that moves a lane; the records go later.
/// * `seen` is explained in `seen.rs`.
const V1: &str = "
    CREATE TABLE journal (id TEXT NOT NULL) STRICT;
    INSERT INTO journal VALUES (lower(hex(randomblob(6))));

    CREATE TABLE pipelines (
        no           INTEGER PRIMARY KEY,
        name         TEXT    NOT NULL UNIQUE,
        cursor       BLOB,
        last         INTEGER NOT NULL DEFAULT 0,
        last_bytes   INTEGER NOT NULL DEFAULT 0,
        passed       INTEGER NOT NULL DEFAULT 0,
        passed_bytes INTEGER NOT NULL DEFAULT 0,
        forget_hour  INTEGER
    ) STRICT;

    CREATE TABLE lanes (
        pipeline       INTEGER NOT NULL,
        sink           TEXT    NOT NULL,
        position       INTEGER NOT NULL,
        position_bytes INTEGER NOT NULL,
        sealed         INTEGER NOT NULL,
        sealed_bytes   INTEGER NOT NULL,
        PRIMARY KEY (pipeline, sink)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE records (
        place    INTEGER PRIMARY KEY,
        bytes    INTEGER NOT NULL,
        time     INTEGER NOT NULL,
        appended INTEGER NOT NULL,
        id       TEXT    NOT NULL,
        body     BLOB    NOT NULL
    ) STRICT;

    CREATE TABLE seen (
        pipeline INTEGER NOT NULL,
        era      INTEGER NOT NULL,
        key      BLOB    NOT NULL,
        PRIMARY KEY (pipeline, era, key)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE dead_letters (
        no       INTEGER PRIMARY KEY,
        pipeline INTEGER NOT NULL,
        stage    TEXT    NOT NULL,
        key      BLOB    NOT NULL,
        at       INTEGER NOT NULL,
        reason   TEXT    NOT NULL,
        body     BLOB    NOT NULL,
        UNIQUE (pipeline, stage, key)
    ) STRICT;
    CREATE INDEX dead_letters_in_order ON dead_letters (pipeline, no);
";

/// Each walk of a pipeline has a cursor of its own.
const V2: &str = "
    CREATE TABLE walks (
        pipeline INTEGER NOT NULL,
        name     TEXT    NOT NULL,
        cursor   BLOB    NOT NULL,
        PRIMARY KEY (pipeline, name)
    ) STRICT, WITHOUT ROWID;
    INSERT INTO walks SELECT no, 'live', cursor FROM pipelines WHERE cursor IS NOT NULL;
    ALTER TABLE pipelines DROP COLUMN cursor;
";

/// Records may go to some of a pipeline's sinks only, so what waits for a lane is counted and no subtraction any more.
///
/// * A record's `sinks` are the names of those it goes to, each between line breaks; `NULL` for all, which takes no room.
/// * A lane's `records` and `bytes` are its own beyond its position, with those of the sealed batch, which are
///   `sealed_records` and `sealed_bytes`. `sealed` is the last record of that batch, or the position when there is none.
/// * `next` is the lane's first own record beyond `sealed`. The record after a lane's position is always its own, or there
///   is none: whatever moves a position moves it past what is not the lane's.
/// * `dropped` counts what was left out by the operator's wish.
const V3: &str = "
    ALTER TABLE records ADD COLUMN sinks TEXT;

    ALTER TABLE lanes RENAME TO lanes_by_bytes;
    CREATE TABLE lanes (
        pipeline       INTEGER NOT NULL,
        sink           TEXT    NOT NULL,
        position       INTEGER NOT NULL,
        records        INTEGER NOT NULL,
        bytes          INTEGER NOT NULL,
        sealed         INTEGER NOT NULL,
        sealed_records INTEGER NOT NULL DEFAULT 0,
        sealed_bytes   INTEGER NOT NULL DEFAULT 0,
        next           INTEGER,
        PRIMARY KEY (pipeline, sink)
    ) STRICT, WITHOUT ROWID;
    INSERT INTO lanes
        SELECT pipeline, sink, position, last - position, last_bytes - position_bytes,
               sealed, sealed - position, sealed_bytes - position_bytes, CASE WHEN sealed < last THEN sealed + 1 END
        FROM lanes_by_bytes JOIN pipelines ON no = pipeline;
    DROP TABLE lanes_by_bytes;
    ALTER TABLE pipelines DROP COLUMN passed_bytes;

    CREATE TABLE dropped (
        pipeline INTEGER NOT NULL,
        reason   TEXT    NOT NULL,
        count    INTEGER NOT NULL,
        PRIMARY KEY (pipeline, reason)
    ) STRICT, WITHOUT ROWID;
";

/// Room for sequences in a place: a million million records, and eight million pipelines beside each other.
const SEQUENCE_BITS: u32 = 40;

/// The highest sequence a pipeline can reach.
pub(super) const LAST_SEQUENCE: i64 = (1 << SEQUENCE_BITS) - 1;

/// Where a pipeline's record is kept.
pub(super) fn place(pipeline: i64, sequence: i64) -> i64 {
    (pipeline << SEQUENCE_BITS) | sequence
}

/// The sequence of the record at a place.
pub(super) fn sequence(place: i64) -> i64 {
    place & LAST_SEQUENCE
}

/// Opens the connection that writes, and makes the file a journal of today's version.
pub(super) fn open_writer(path: &Path) -> Result<Connection, JournalError> {
    let unreadable = |reason: String| JournalError::Unreadable { path: path.to_owned(), reason };
    let damaged = |error: rusqlite::Error| match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => unreadable(format!(
            "it is damaged or not a journal ({error}); move it away to begin with an empty one, or set another `state_dir`"
        )),
        _ => error.into(),
    };
    let mut conn = connect(path).map_err(damaged)?;
    let version = identify(&conn).map_err(damaged)?.ok_or_else(|| {
        unreadable("it is a database of another program; set another `state_dir`, or move it away".to_owned())
    })?;
    if version > MIGRATIONS.len() {
        return Err(unreadable(format!(
            "it has format {version} of a newer auditline, and this one knows {}; run that version or a later one",
            MIGRATIONS.len()
        )));
    }
    let mode = prepare(&conn).map_err(damaged)?;
    if mode != "wal" {
        return Err(unreadable(
            "its file system cannot hold a log beside it; set `state_dir` to a local disk".to_owned(),
        ));
    }
    migrate(&mut conn, version).map_err(damaged)?;
    Ok(conn)
}

/// Opens a connection that only reads.
pub(super) fn open_reader(path: &Path) -> Result<Connection, JournalError> {
    let conn = connect(path)?;
    conn.pragma_update(None, "cache_size", -1024)?;
    conn.pragma_update(None, "query_only", true)?;
    Ok(conn)
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    // We are the only process and have one writer, so nothing is ever waited for but a checkpoint's last moment.
    conn.busy_timeout(Duration::from_secs(10))?;
    // A container's root is often read-only: no temporary files. Nothing of ours sorts or spills.
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    conn.pragma_update(None, "mmap_size", 0)?;
    conn.set_prepared_statement_cache_capacity(32);
    Ok(conn)
}

/// The version of the journal in the file, 0 for an empty one, `None` if it is something else.
fn identify(conn: &Connection) -> rusqlite::Result<Option<usize>> {
    let application: i64 = conn.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let version: i64 = conn.pragma_query_value(None, "user_version", |row| row.get(0))?;
    // A crash between the first write and the first commit leaves a database without anything in it.
    let tables: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok(match application {
        APPLICATION_ID => usize::try_from(version).ok(),
        0 if tables == 0 && version == 0 => Some(0),
        _ => None,
    })
}

/// Returns the journal mode the file has got.
fn prepare(conn: &Connection) -> rusqlite::Result<String> {
    // These two only take effect on an empty file. Pages go back to the file system in steps, never by a full rewrite.
    conn.pragma_update(None, "page_size", PAGE_SIZE)?;
    conn.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    let mode: String = conn.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    // FULL: a commit has reached the disk when it returns. NORMAL would lose the last pages to a power cut.
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.pragma_update(None, "cache_size", -2048)?;
    // The log is emptied into the file every 4 MiB, and cut back to that after a page that was larger. It is not cut to
    // nothing while we run: its room on the disk is what a full one leaves to note what was delivered, and to remove it.
    conn.pragma_update(None, "wal_autocheckpoint", LOG_BYTES / PAGE_SIZE)?;
    conn.pragma_update(None, "journal_size_limit", LOG_BYTES)?;
    Ok(mode)
}

const PAGE_SIZE: i64 = 8192;
const LOG_BYTES: i64 = 4 << 20;

fn migrate(conn: &mut Connection, from: usize) -> rusqlite::Result<()> {
    for (version, step) in MIGRATIONS.iter().enumerate().skip(from) {
        let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        tx.execute_batch(step)?;
        tx.pragma_update(None, "application_id", APPLICATION_ID)?;
        tx.pragma_update(None, "user_version", version as i64 + 1)?;
        tx.commit()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(error: JournalError) -> String {
        match error {
            JournalError::Unreadable { reason, .. } => reason,
            other => panic!("{other:?}"),
        }
    }

    fn file(content: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        file
    }

    #[test]
    fn a_text_file_is_not_a_journal() {
        for content in ["hello".to_owned(), "not a database\n".repeat(1000)] {
            let file = file(content.as_bytes());
            assert!(reason(open_writer(file.path()).unwrap_err()).contains("move it away"));
            assert_eq!(std::fs::read(file.path()).unwrap(), content.as_bytes());
        }
    }

    #[test]
    fn a_database_of_another_program_is_left_alone() {
        let file = file(b"");
        Connection::open(file.path()).unwrap().execute_batch("CREATE TABLE cats (name)").unwrap();
        let before = std::fs::read(file.path()).unwrap();
        assert!(reason(open_writer(file.path()).unwrap_err()).contains("another program"));
        assert_eq!(std::fs::read(file.path()).unwrap(), before);
    }

    #[test]
    fn a_newer_journal_is_left_alone() {
        let file = file(b"");
        let conn = open_writer(file.path()).unwrap();
        conn.pragma_update(None, "user_version", MIGRATIONS.len() as i64 + 1).unwrap();
        drop(conn);
        let before = std::fs::read(file.path()).unwrap();
        assert!(reason(open_writer(file.path()).unwrap_err()).contains("newer auditline"));
        assert_eq!(std::fs::read(file.path()).unwrap(), before);
    }

    #[test]
    fn the_file_keeps_the_settings_it_was_made_with() {
        let file = file(b"");
        drop(open_writer(file.path()).unwrap());
        let conn = open_writer(file.path()).unwrap();
        let setting = |name| conn.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!([setting("auto_vacuum"), setting("page_size"), setting("synchronous")], [2, PAGE_SIZE, 2]);
        assert_eq!(setting("user_version"), MIGRATIONS.len() as i64);
    }

    #[test]
    fn a_file_that_a_crash_left_empty_becomes_a_journal() {
        let file = file(b"");
        prepare(&connect(file.path()).unwrap()).unwrap();
        let conn = open_writer(file.path()).unwrap();
        let id: String = conn.query_row("SELECT id FROM journal", [], |row| row.get(0)).unwrap();
        assert_eq!(id.len(), 12);
    }

    #[test]
    fn the_cursor_of_an_older_journal_is_the_live_walks() {
        let file = file(b"");
        let conn = connect(file.path()).unwrap();
        prepare(&conn).unwrap();
        conn.execute_batch(V1).unwrap();
        conn.execute_batch("INSERT INTO pipelines (name, cursor) VALUES ('read', x'0102'), ('new', NULL)").unwrap();
        conn.pragma_update(None, "application_id", APPLICATION_ID).unwrap();
        conn.pragma_update(None, "user_version", 1).unwrap();
        drop(conn);
        let conn = open_writer(file.path()).unwrap();
        let walk = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        let walks: Vec<(String, String, Vec<u8>)> = conn
            .prepare("SELECT pipelines.name, walks.name, cursor FROM walks JOIN pipelines ON no = pipeline")
            .unwrap()
            .query_map([], walk)
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        assert_eq!(walks, [("read".to_owned(), "live".to_owned(), vec![1, 2])]);
    }

    #[tokio::test]
    async fn what_waits_in_an_older_journal_waits_in_todays() {
        use crate::journal::contract::{ANY, ids, lane, next};
        use crate::journal::sqlite::{Options, SqliteJournal};
        use crate::journal::{Journal, Totals, Waiting};

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.db");
        std::fs::write(&path, "").unwrap();
        let conn = connect(&path).unwrap();
        prepare(&conn).unwrap();
        conn.execute_batch(V1).unwrap();
        conn.execute_batch(V2).unwrap();
        conn.execute_batch(
            "INSERT INTO pipelines (no, name, last, last_bytes, passed, passed_bytes) VALUES (1, 'app', 5, 50, 1, 10);
             INSERT INTO lanes VALUES (1, 'siem', 1, 10, 3, 30), (1, 'archive', 3, 30, 3, 30), (1, 'idle', 5, 50, 5, 50);",
        )
        .unwrap();
        for number in 2..=5 {
            conn.execute(
                "INSERT INTO records (place, bytes, time, appended, id, body) VALUES (?1, ?2, 0, 7, ?3, zeroblob(10))",
                rusqlite::params![place(1, number), number * 10, number.to_string()],
            )
            .unwrap();
        }
        conn.pragma_update(None, "application_id", APPLICATION_ID).unwrap();
        conn.pragma_update(None, "user_version", 2).unwrap();
        drop(conn);

        let journal = SqliteJournal::open(&path, Options::default()).unwrap();
        let app = "app".into();
        let [siem, archive, idle] = ["siem", "archive", "idle"].map(|sink| lane(&app, sink));
        let since = chrono::DateTime::from_timestamp_micros(7);
        assert_eq!(journal.waiting(&siem, &ANY).await.unwrap(), Waiting { records: 4, bytes: 40, since });
        assert_eq!(journal.waiting(&archive, &ANY).await.unwrap(), Waiting { records: 2, bytes: 20, since });
        assert_eq!(journal.waiting(&idle, &ANY).await.unwrap(), Waiting::default());
        assert_eq!(journal.totals(&app).await.unwrap(), Totals { records: 5, ..Totals::default() });
        let batch = next(&journal, &siem, &ANY).await;
        assert_eq!((batch.first, batch.last, ids(&batch)), (2, 3, vec!["2", "3"]));
        journal.advance(&siem, 3, vec![]).await.unwrap();
        for lane in [&siem, &archive] {
            let batch = next(&journal, lane, &ANY).await;
            assert_eq!((batch.first, batch.last), (4, 5));
            journal.advance(lane, 5, vec![]).await.unwrap();
        }
    }

    #[test]
    fn places_keep_pipelines_apart_and_sequences_in_order() {
        assert!(place(1, LAST_SEQUENCE) < place(2, 1));
        assert_eq!(sequence(place(7, 123)), 123);
    }
}
