//! The journal in one SQLite file.
//!
//! One connection writes, one reads batches, one answers small questions, so that a large batch holds up nobody. Each
//! call runs whole on a thread for blocking work once it has its connection: a future that is dropped before leaves
//! nothing behind, and one that is dropped later does not interrupt it.
//!
//! The file belongs on a local disk: the log's index is shared memory, and the lock is the kernel's.

mod append;
mod batches;
mod filter;
mod folder;
mod lanes;
mod schema;
mod seen;
mod sorting;
mod sweep;
#[cfg(test)]
mod tests;
mod walks;

use std::path::Path;
use std::sync::{Arc, PoisonError};

use async_trait::async_trait;
use auditline_sinks::{Batch, BatchLimits};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, params};
use tokio::sync::Mutex;

use self::filter::Filters;
use self::sweep::Sweeper;
use super::{Append, Appended, DeadLetter, Fill, Journal, JournalError, Lane, Sequence, Totals, Waiting, Walk};
use crate::event::RecordKey;

/// What an operator may set.
#[derive(Clone, Debug)]
pub struct Options {
    /// Bytes at which [`Fill::is_full`] says that reading has to wait. The log beside the file, 4 MiB and the largest page,
    /// comes on top.
    pub limit_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { limit_bytes: 10 << 30 }
    }
}

/// A [`Journal`] in one file, with a log, its index and a lock beside it.
#[derive(Debug)]
pub struct SqliteJournal {
    id: Arc<str>,
    limit_bytes: u64,
    page_bytes: u64,
    // Before the connections: its thread lets go of the writer before this process lets go of the lock.
    sweeper: Sweeper,
    writer: Shared,
    batches: Shared,
    questions: Shared,
    // Locked by who holds the writer, so never waited for.
    filters: Arc<std::sync::Mutex<Filters>>,
}

/// A connection in turns. tokio's lock is fair, so the sweeper cannot starve a page.
type Shared = Arc<Mutex<Locked>>;

/// A connection, and the lock that outlives it.
#[derive(Debug)]
struct Locked {
    conn: Connection,
    _lock: Arc<folder::Lock>,
}

impl From<rusqlite::Error> for JournalError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Storage(Box::new(error))
    }
}

impl SqliteJournal {
    /// Opens the journal at `path`, or makes it, its folder included. Blocks for a moment.
    ///
    /// # Errors
    /// [`InUse`](JournalError::InUse) while another one has it open, in this process or another;
    /// [`Unreadable`](JournalError::Unreadable) if the file is not ours or too new, which then stays as it is.
    pub fn open(path: &Path, options: Options) -> Result<Self, JournalError> {
        let lock = Arc::new(folder::claim(path)?);
        let share = |conn| Arc::new(Mutex::new(Locked { conn, _lock: lock.clone() }));
        let writer = schema::open_writer(path)?;
        let id: String = writer.query_row("SELECT id FROM journal", [], |row| row.get(0))?;
        let page_bytes: i64 = writer.pragma_query_value(None, "page_size", |row| row.get(0))?;
        let (batches, questions) = (share(schema::open_reader(path)?), share(schema::open_reader(path)?));
        let writer = share(writer);
        let sweeper = Sweeper::start(writer.clone()).map_err(|error| JournalError::Storage(Box::new(error)))?;
        let (limit_bytes, page_bytes) = (options.limit_bytes, page_bytes as u64);
        let filters = Arc::default();
        Ok(Self { id: id.into(), limit_bytes, page_bytes, sweeper, writer, batches, questions, filters })
    }
}

/// Runs `work` with a connection of its own, off the async threads.
async fn with<T: Send + 'static>(
    shared: &Shared,
    work: impl FnOnce(&mut Connection) -> Result<T, JournalError> + Send + 'static,
) -> Result<T, JournalError> {
    let mut locked = shared.clone().lock_owned().await;
    match tokio::task::spawn_blocking(move || work(&mut locked.conn)).await {
        Ok(done) => done,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // The runtime is going down and has not begun it.
        Err(error) => Err(JournalError::Storage(Box::new(error))),
    }
}

#[async_trait]
impl Journal for SqliteJournal {
    fn id(&self) -> Arc<str> {
        self.id.clone()
    }

    async fn open_pipeline(&self, pipeline: &Arc<str>, sinks: &[Arc<str>]) -> Result<Vec<(Lane, u64)>, JournalError> {
        let (pipeline, sinks) = (pipeline.clone(), sinks.to_vec());
        let (no, forgotten) = with(&self.writer, move |conn| lanes::open_pipeline(conn, &pipeline, &sinks)).await?;
        // What the last run had not removed yet.
        self.sweeper.wake(no);
        Ok(forgotten)
    }

    async fn cursor(&self, pipeline: &Arc<str>, walk: &Walk) -> Result<Option<Bytes>, JournalError> {
        let (pipeline, walk) = (pipeline.clone(), walk.clone());
        with(&self.questions, move |conn| Ok(walks::cursor(conn, &pipeline, &walk)?)).await
    }

    async fn walks(&self, pipeline: &Arc<str>) -> Result<Vec<(Walk, Bytes)>, JournalError> {
        let pipeline = pipeline.clone();
        with(&self.questions, move |conn| Ok(walks::all(conn, &pipeline)?)).await
    }

    async fn end_walk(&self, pipeline: &Arc<str>, walk: &Walk) -> Result<(), JournalError> {
        let (pipeline, walk) = (pipeline.clone(), walk.clone());
        with(&self.writer, move |conn| Ok(walks::end(conn, &pipeline, &walk)?)).await
    }

    async fn append(&self, pipeline: &Arc<str>, append: Append) -> Result<Appended, JournalError> {
        let (pipeline, filters) = (pipeline.clone(), self.filters.clone());
        let (appended, removable) = with(&self.writer, move |conn| {
            let mut filters = filters.lock().unwrap_or_else(PoisonError::into_inner);
            append::append(conn, &mut filters, &pipeline, &append, Utc::now())
        })
        .await?;
        if let Some(no) = removable {
            self.sweeper.wake(no);
        }
        Ok(appended)
    }

    async fn seal(&self, lane: &Lane, vendor: &Arc<str>, limits: &BatchLimits) -> Result<Option<Batch>, JournalError> {
        loop {
            let (of, at_most) = (lane.clone(), *limits);
            let Some(draft) = with(&self.batches, move |conn| batches::draft(conn, &of, &at_most)).await? else {
                return Ok(None);
            };
            let of = lane.clone();
            let sealed = match draft.is_sealed() {
                true => Some(draft),
                false => with(&self.writer, move |conn| Ok(batches::seal(conn, &of, &draft)?.then_some(draft))).await?,
            };
            // Another call sealed or advanced the lane in between.
            let Some(draft) = sealed else { continue };
            return Ok(Some(Batch {
                journal: self.id.clone(),
                pipeline: lane.pipeline.clone(),
                sink: lane.sink.clone(),
                vendor: vendor.clone(),
                first: draft.first(),
                last: draft.last(),
                closed: draft.closed(limits),
                records: draft.records.into(),
            }));
        }
    }

    async fn waiting(&self, lane: &Lane, _limits: &BatchLimits) -> Result<Waiting, JournalError> {
        let lane = lane.clone();
        with(&self.questions, move |conn| batches::waiting(conn, &lane)).await
    }

    async fn advance(&self, lane: &Lane, to: Sequence, rejected: Vec<DeadLetter>) -> Result<(), JournalError> {
        let lane = lane.clone();
        let moved = with(&self.writer, move |conn| batches::advance(conn, &lane, to, &rejected, Utc::now())).await?;
        if let Some(no) = moved {
            self.sweeper.wake(no);
        }
        Ok(())
    }

    async fn oldest_waiting(&self, lane: &Lane) -> Result<Option<DateTime<Utc>>, JournalError> {
        let lane = lane.clone();
        with(&self.batches, move |conn| batches::oldest_waiting(conn, &lane)).await
    }

    async fn totals(&self, pipeline: &Arc<str>) -> Result<Totals, JournalError> {
        let pipeline = pipeline.clone();
        with(&self.questions, move |conn| {
            let tx = conn.transaction()?;
            let totals = tx
                .prepare_cached(
                    "SELECT last, (SELECT count(*) FROM dead_letters WHERE pipeline = of.no), of.no
                     FROM pipelines AS of WHERE name = ?1",
                )?
                .query_row([pipeline], |row| {
                    Ok((row.get::<_, i64>(0)? as u64, row.get::<_, i64>(1)? as u64, row.get::<_, i64>(2)?))
                })
                .optional()?;
            let Some((records, dead_letters, no)) = totals else { return Ok(Totals::default()) };
            let dropped = tx
                .prepare_cached("SELECT reason, count FROM dropped WHERE pipeline = ?1")?
                .query_map([no], |row| Ok((row.get(0)?, row.get::<_, i64>(1)? as u64)))?
                .collect::<Result<_, _>>()?;
            Ok(Totals { records, dead_letters, dropped })
        })
        .await
    }

    async fn fill(&self) -> Result<Fill, JournalError> {
        let (pages, free) = with(&self.questions, |conn| {
            let tx = conn.transaction()?;
            Ok(sweep::pages(&tx)?)
        })
        .await?;
        Ok(Fill { bytes: (pages - free) as u64 * self.page_bytes, limit: self.limit_bytes })
    }

    async fn dead_letters(&self, pipeline: &Arc<str>, limit: usize) -> Result<Vec<DeadLetter>, JournalError> {
        let pipeline = pipeline.clone();
        with(&self.questions, move |conn| {
            let mut select = conn.prepare_cached(
                "SELECT key, stage, reason, body FROM dead_letters
                 WHERE pipeline = (SELECT no FROM pipelines WHERE name = ?1) ORDER BY no LIMIT ?2",
            )?;
            let letters = select.query_map(params![pipeline, i64::try_from(limit).unwrap_or(i64::MAX)], |row| {
                Ok(DeadLetter {
                    key: RecordKey(row.get(0)?),
                    stage: row.get(1)?,
                    reason: row.get(2)?,
                    body: row.get::<_, Vec<u8>>(3)?.into(),
                })
            })?;
            Ok(letters.collect::<Result<_, _>>()?)
        })
        .await
    }
}
