//! Which records of a window an answer holds, and what in it leads to the next one.

use std::collections::HashMap;
use std::ops::Range;

use serde_json::Value as Json;

use super::NotCovered;
use super::asked::Asked;
use super::trouble::Cursors;
use crate::connector::model::{Paginate, Read};
use crate::event::Path;

/// How the connector pages.
#[derive(Clone, Debug)]
pub struct Paging {
    paginate: Option<Paginate>,
    /// The most records that may be asked for; what a page holds where nobody asks.
    size: usize,
}

/// How many records a page holds where the connector does not ask for a number.
pub const UNASKED: u32 = 5;

/// What an answer holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Slice {
    /// Those of the window's records, and what else stands in the answer.
    Records {
        /// Which of them.
        range: Range<usize>,
        /// What leads on.
        extras: Vec<(Path, Json)>,
    },
    /// The cursor is not good any more.
    Expired,
}

impl Paging {
    /// How that way to read pages. A new kind is to be answered by [`Walks::slice`], or to be named here.
    ///
    /// # Errors
    /// When that is not covered yet.
    pub fn of(read: &Read) -> Result<Self, NotCovered> {
        match &read.paginate {
            None | Some(Paginate::Page { .. } | Paginate::Offset { .. } | Paginate::Cursor { .. }) => {}
        }
        let size = read.page_sizes.first().copied().unwrap_or(UNASKED) as usize;
        Ok(Self { paginate: read.paginate.clone(), size })
    }

    fn size(&self, asked: &Asked) -> Result<usize, String> {
        match asked.number("page_size")? {
            Some(size) if size == 0 || size > self.size as u64 => {
                Err(format!("a page of {size} records was asked for"))
            }
            Some(size) => Ok(size as usize),
            None => Ok(self.size),
        }
    }
}

/// The cursors that were handed out.
#[derive(Debug, Default)]
pub struct Walks {
    cursors: Cursors,
    tokens: HashMap<String, Token>,
}

/// What a cursor stands for.
#[derive(Clone, Debug)]
struct Token {
    offset: usize,
    /// The bounds it goes with: with others it is good for nothing.
    window: [Option<String>; 2],
    /// How many cursors lead to it from the window's first page.
    step: u32,
}

impl Walks {
    pub fn new(cursors: Cursors) -> Self {
        Self { cursors, tokens: HashMap::new() }
    }

    /// What the answer to `asked` holds of a window of `total` records.
    ///
    /// # Errors
    /// When nobody may ask like this.
    pub fn slice(&mut self, paging: &Paging, asked: &Asked, total: usize) -> Result<Slice, String> {
        let size = paging.size(asked)?;
        let from = |offset: usize| offset.min(total)..(offset + size).min(total);
        let count = |path: &Option<Path>, count: usize| path.clone().map(|path| (path, Json::from(count)));
        match &paging.paginate {
            None => Ok(Slice::Records { range: 0..total, extras: Vec::new() }),
            Some(Paginate::Page { first, total: path }) => {
                let number = asked.number("page")?.unwrap_or(*first);
                let index = number.checked_sub(*first).ok_or_else(|| format!("page {number} was asked for"))?;
                let extras = count(path, total.div_ceil(size)).into_iter().collect();
                Ok(Slice::Records { range: from(index as usize * size), extras })
            }
            Some(Paginate::Offset { ceiling, total: path }) => {
                let offset = asked.number("offset")?.unwrap_or(0);
                if ceiling.is_some_and(|ceiling| offset >= ceiling) {
                    return Err(format!("{offset} is behind the ceiling"));
                }
                Ok(Slice::Records { range: from(offset as usize), extras: count(path, total).into_iter().collect() })
            }
            Some(Paginate::Cursor { next, more, empty_page_ends }) => {
                let place = match self.place(asked)? {
                    Some(place) => place,
                    None => return Ok(Slice::Expired),
                };
                let (range, leads_on, token) = match self.cursors {
                    Cursors::Repeating => {
                        let offset = size.min(total.saturating_sub(size));
                        (from(place.offset.min(offset)), true, self.mint(asked, offset, 1))
                    }
                    Cursors::Steady | Cursors::LivingFor(_) => {
                        let range = from(place.offset);
                        let end = range.end;
                        (range, end < total, self.mint(asked, end, place.step + 1))
                    }
                };
                let mut extras: Vec<(Path, Json)> =
                    more.clone().map(|path| (path, leads_on.into())).into_iter().collect();
                // Some hand out a cursor with the last page, too: it leads to an empty one.
                if leads_on || (*empty_page_ends && !range.is_empty()) {
                    extras.extend(next.first().map(|path| (path.clone(), Json::from(token))));
                }
                Ok(Slice::Records { range, extras })
            }
        }
    }

    /// Where a request's cursor leads; `None` when that has expired.
    fn place(&self, asked: &Asked) -> Result<Option<Token>, String> {
        let Some(cursor) = asked.variables.get("cursor") else {
            return Ok(Some(Token { offset: 0, window: window(asked), step: 0 }));
        };
        let token = self.tokens.get(cursor).ok_or_else(|| format!("the cursor `{cursor}` was never handed out"))?;
        if token.window != window(asked) {
            return Err(format!("the cursor `{cursor}` was handed out for another window"));
        }
        let is_dead = matches!(self.cursors, Cursors::LivingFor(steps) if token.step > steps);
        Ok((!is_dead).then(|| token.clone()))
    }

    fn mint(&mut self, asked: &Asked, offset: usize, step: u32) -> String {
        let window = window(asked);
        let bounds = window.iter().map(|bound| bound.as_deref().unwrap_or("-")).collect::<Vec<_>>().join(" ");
        // With what a query, a form and JSON have to encode.
        let name = format!("at+{offset}/{step}&{bounds}=\"");
        self.tokens.insert(name.clone(), Token { offset, window, step });
        name
    }
}

fn window(asked: &Asked) -> [Option<String>; 2] {
    ["from", "until"].map(|name| asked.variables.get(name).cloned())
}
