//! What becomes of a walk after a page: on to the next one, to the window's end, or back to its beginning. Pure: a cursor
//! and a step give the next cursor.

use super::cursor::Cursor;
use super::paginate::Step;
use crate::connector::model::Order;

/// A window that comes newest first is read whole before any of it goes on. Beyond this many records it is halved, so
/// that memory stays bounded.
pub const MOST_HELD: usize = 10_000;
/// The same, in bytes of the vendor's answers.
pub const MOST_HELD_BYTES: usize = 8 << 20;
/// How often a walk may begin again, or a job be ordered again, before a person is told.
pub const MOST_RESETS: u32 = 3;
/// A vendor that leads from one empty page to the next so often leads nowhere.
pub const MOST_EMPTY: u32 = 1000;

/// Where a walk goes after a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Nothing goes on yet: the next page is read first.
    Read(Cursor),
    /// What was read goes on, and the walk with it.
    HandOut(Cursor),
    /// What was read is dropped, to be read again in smaller pieces.
    Drop(Cursor),
    /// What was read goes on, and with it the window is at its end.
    Finish(Cursor),
    /// The walk gets no further; the sentence goes on from the vendor's name.
    Stuck(&'static str),
    /// The vendor leads to another host.
    Elsewhere(String),
}

/// Where a walk goes after a page whose `step` it is, with so many records of so many bytes held that have not gone on
/// yet, that page's included. The cursor knows of the page already, but for the place.
#[must_use]
pub fn turn(cursor: &Cursor, step: Step, order: Order, held: usize, bytes: usize) -> Turn {
    let empty = cursor.window.as_ref().map_or(0, |window| window.pages.empty);
    match step {
        Step::Next(_) if empty > MOST_EMPTY => Turn::Stuck("gives empty pages without end"),
        Step::Next(place) => {
            let mut next = cursor.clone();
            if let Some(window) = &mut next.window {
                window.place = place;
            }
            match order {
                Order::Ascending => Turn::HandOut(next),
                Order::NewestFirst if held <= MOST_HELD && bytes <= MOST_HELD_BYTES => Turn::Read(next),
                // A single second with so many records: they go on in the vendor's order.
                Order::NewestFirst => cursor.halve().map_or(Turn::HandOut(next), Turn::Drop),
            }
        }
        Step::End => next_log(cursor, false),
        Step::Ceiling => cursor.narrow().map_or(Turn::Stuck("lets us no further into a single second"), Turn::HandOut),
        Step::Circle => {
            let what = "repeats its cursor, so that its pages have no end";
            cursor.begin_again(MOST_RESETS).map_or(Turn::Stuck(what), Turn::HandOut)
        }
        Step::Nameless => Turn::Stuck("has no id in a page's last record, behind which the next page begins"),
        Step::Elsewhere(host) => Turn::Elsewhere(host),
    }
}

/// Where a walk goes that is at the end of one log: to the next parent's, where there are parents, or to the window's end.
#[must_use]
pub fn next_log(cursor: &Cursor, gone: bool) -> Turn {
    let mut next = cursor.clone();
    match next.window.as_mut().is_some_and(|window| window.begin_next_parent(gone)) {
        true => Turn::HandOut(next),
        false => Turn::Finish(next),
    }
}
