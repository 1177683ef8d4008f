//! What is no longer needed goes, in the background and in small pieces: passed records, forgotten ids, free pages.
//!
//! What there is to remove is always read from the journal itself, so a crash, an error or a lost wake-up only delays it
//! until the next one. Nothing here has to survive a power cut.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use tracing::warn;

use super::schema::{place, sequence};
use super::{Shared, seen};

/// Rows removed in one transaction: a few milliseconds of holding up others.
const PIECE: i64 = 2000;
/// JSON removed in one transaction, if the records are large.
const PIECE_BYTES: i64 = 8 << 20;
/// Free pages given back to the file system in one transaction.
const PIECE_PAGES: i64 = 256;
/// After a failure, which is mostly a full disk.
const PAUSE: Duration = Duration::from_secs(5);

/// The thread that removes. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Sweeper {
    desk: Arc<Desk>,
    thread: Option<JoinHandle<()>>,
}

/// What is to be done.
#[derive(Debug, Default)]
struct Desk {
    // Locked for a few lines only.
    chores: Mutex<Chores>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Chores {
    /// First come, first served, and to the back of the line after each piece: no pipeline holds up another.
    waiting: VecDeque<Chore>,
    busy: bool,
    stop: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chore {
    Pipeline(i64),
    Shrink,
}

impl Sweeper {
    pub(super) fn start(writer: Shared) -> std::io::Result<Self> {
        let desk = Arc::new(Desk::default());
        let theirs = desk.clone();
        let thread =
            std::thread::Builder::new().name("journal-sweep".to_owned()).spawn(move || run(&theirs, &writer))?;
        Ok(Self { desk, thread: Some(thread) })
    }

    /// Says that a pipeline may have something to remove.
    pub(super) fn wake(&self, pipeline: i64) {
        self.desk.add(Chore::Pipeline(pipeline));
    }

    /// Waits until all that can be removed has been.
    #[cfg(test)]
    pub(super) fn settle(&self) {
        let idle = |chores: &mut Chores| chores.busy || !chores.waiting.is_empty();
        drop(self.desk.changed.wait_while(self.desk.chores.lock().unwrap(), idle).unwrap());
    }
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        self.desk.edit(|chores| chores.stop = true);
        if let Some(thread) = self.thread.take() {
            // Its panic has been printed, and there is nobody to tell.
            drop(thread.join());
        }
    }
}

impl Desk {
    fn edit(&self, change: impl FnOnce(&mut Chores)) {
        change(&mut self.chores.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_all();
    }

    fn add(&self, chore: Chore) {
        self.edit(|chores| {
            if !chores.waiting.contains(&chore) {
                chores.waiting.push_back(chore);
            }
        });
    }

    /// The next chore, once there is one; `None` at the end.
    fn next(&self) -> Option<Chore> {
        let chores = self.chores.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = |chores: &mut Chores| !chores.stop && chores.waiting.is_empty();
        let mut chores = self.changed.wait_while(chores, idle).unwrap_or_else(PoisonError::into_inner);
        chores.busy = true;
        if chores.stop { None } else { chores.waiting.pop_front() }
    }

    fn pause(&self) {
        let chores = self.chores.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.changed.wait_timeout_while(chores, PAUSE, |chores| !chores.stop));
    }
}

fn run(desk: &Desk, writer: &Shared) {
    while let Some(chore) = desk.next() {
        let done = {
            let writer = writer.blocking_lock();
            match chore {
                Chore::Pipeline(pipeline) => sweep(&writer.conn, pipeline),
                Chore::Shrink => shrink(&writer.conn),
            }
        };
        match (done, chore) {
            (Ok(true), _) => desk.add(chore),
            (Ok(false), Chore::Pipeline(_)) => desk.add(Chore::Shrink),
            (Ok(false), Chore::Shrink) => {}
            (Err(error), _) => {
                warn!(%error, "cannot remove delivered records yet");
                desk.add(chore);
                desk.pause();
            }
        }
        desk.edit(|chores| chores.busy = false);
    }
}

/// Removes one piece of a pipeline; returns whether there is more.
fn sweep(conn: &Connection, pipeline: i64) -> rusqlite::Result<bool> {
    let _relaxed = Relaxed::begin(conn)?;
    let tx = Transaction::new_unchecked(conn, TransactionBehavior::Immediate)?;
    let (passed, forget_hour): (i64, Option<i64>) = tx
        .prepare_cached("SELECT passed, forget_hour FROM pipelines WHERE no = ?1")?
        .query_row([pipeline], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let records = remove_passed(&tx, pipeline, passed)?;
    let ids = forget_hour.map_or(Ok(false), |hour| seen::forget(&tx, pipeline, hour, PIECE))?;
    tx.commit()?;
    Ok(records || ids)
}

fn remove_passed(conn: &Connection, pipeline: i64, passed: i64) -> rusqlite::Result<bool> {
    let first: Option<(i64, i64)> = conn
        .prepare_cached("SELECT place, bytes FROM records WHERE place BETWEEN ?1 AND ?2 ORDER BY place LIMIT 1")?
        .query_row(params![place(pipeline, 1), place(pipeline, passed)], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((first, bytes)) = first else { return Ok(false) };
    let last = passed.min(sequence(first) + PIECE - 1);
    let last: i64 = conn
        .prepare_cached(
            "SELECT place FROM records WHERE place BETWEEN ?1 AND ?2 AND bytes <= ?3 ORDER BY place DESC LIMIT 1",
        )?
        .query_row(params![first, place(pipeline, last), bytes + PIECE_BYTES], |row| row.get(0))?;
    conn.prepare_cached("DELETE FROM records WHERE place BETWEEN ?1 AND ?2")?.execute([first, last])?;
    Ok(sequence(last) < passed)
}

/// Gives a piece of the free pages back; returns whether there are still more of them than the next pages will need.
fn shrink(conn: &Connection) -> rusqlite::Result<bool> {
    let (pages, free) = pages(conn)?;
    // Free pages are the cheapest to write to, so a good part stays.
    let spare = free - ((pages - free) / 2).max(4 * PIECE_PAGES);
    if spare <= 0 {
        return Ok(false);
    }
    let _relaxed = Relaxed::begin(conn)?;
    conn.execute_batch(&format!("PRAGMA incremental_vacuum({})", spare.min(PIECE_PAGES)))?;
    Ok(spare > PIECE_PAGES)
}

/// The pages of the file, and how many of them are free.
pub(super) fn pages(conn: &Connection) -> rusqlite::Result<(i64, i64)> {
    let count = |name| conn.pragma_query_value(None, name, |row| row.get(0));
    Ok((count("page_count")?, count("freelist_count")?))
}

/// While it lives, a commit does not wait for the disk. The next one that does takes the earlier ones with it, for the
/// log is written in order.
struct Relaxed<'a>(&'a Connection);

impl<'a> Relaxed<'a> {
    fn begin(conn: &'a Connection) -> rusqlite::Result<Self> {
        conn.pragma_update(None, "synchronous", "NORMAL")?;
        Ok(Self(conn))
    }
}

impl Drop for Relaxed<'_> {
    fn drop(&mut self) {
        self.0.pragma_update(None, "synchronous", "FULL").expect("a setting in memory");
    }
}
