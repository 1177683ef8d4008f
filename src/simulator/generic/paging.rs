//! Which part of a list an answer holds, and what in it leads to the next one.

use std::collections::HashMap;
use std::ops::Range;

use serde_json::Value as Json;
use url::form_urlencoded::Serializer;

use super::asked::{Asked, Incoming, What};
use super::pattern::Variables;
use super::trouble::Cursors;
use crate::connector::model::{Paginate, Read};
use crate::event::Path;

/// How a list is handed out.
#[derive(Clone, Debug)]
pub struct Paging {
    paginate: Option<Paginate>,
    /// The most that may be asked for.
    most: usize,
    /// What a page holds where nobody asks.
    unasked: usize,
}

/// How many records a page holds where the connector does not ask for a number.
const UNASKED: usize = 5;

/// What an answer holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Slice {
    /// Which part of the list.
    pub range: Range<usize>,
    /// What stands beside it in the answer.
    pub beside: Vec<(Path, Json)>,
    /// The header `Link`.
    pub link: Option<String>,
}

impl Paging {
    /// How the log itself is handed out.
    pub fn of(read: &Read) -> Self {
        let most = read.page_sizes.first().map_or(UNASKED, |size| *size as usize);
        Self { paginate: read.paginate.clone(), most, unasked: UNASKED }
    }

    /// How the list of those whose logs there are is handed out: as slowly as can be.
    pub fn of_parents(read: &Read) -> Self {
        Self { paginate: read.each.as_ref().and_then(|each| each.paginate.clone()), most: 1, unasked: 1 }
    }

    fn size(&self, asked: &Asked) -> Result<usize, String> {
        match asked.number("page_size")? {
            Some(size) if size == 0 || size > self.most as u64 => {
                Err(format!("a page of {size} records was asked for"))
            }
            Some(size) => Ok(size as usize),
            None => Ok(self.unasked),
        }
    }
}

/// The cursors that were handed out.
#[derive(Debug, Default)]
pub struct Walks {
    cursors: Cursors,
    tokens: HashMap<String, Token>,
    /// Whole addresses, and what they ask for.
    addresses: HashMap<String, (What, Variables, String)>,
}

/// What a cursor stands for.
#[derive(Clone, Debug)]
struct Token {
    offset: usize,
    /// What it goes with: with anything else it is good for nothing.
    list: Vec<Option<String>>,
    /// How many cursors lead to it from the first page.
    step: u32,
}

/// What tells a place in a list that a cursor leads to.
struct Leads {
    range: Range<usize>,
    /// There is more behind it.
    on: bool,
    token: String,
}

impl Walks {
    pub fn new(cursors: Cursors) -> Self {
        Self { cursors, ..Self::default() }
    }

    /// What an address that was handed out asks for; `None` for any other.
    pub fn followed(&self, incoming: &Incoming) -> Option<Asked> {
        let (what, variables, token) = self.addresses.get(&incoming.target)?.clone();
        Some(Asked { what, variables, address: incoming.address.clone(), token: Some(token) })
    }

    /// What the answer to `asked` holds of a list of what has these names; `None` when the cursor has expired.
    ///
    /// # Errors
    /// When nobody may ask like this.
    pub fn slice(&mut self, paging: &Paging, asked: &Asked, names: &[String]) -> Result<Option<Slice>, String> {
        let (size, total) = (paging.size(asked)?, names.len());
        let plain = |range, beside| Ok(Some(Slice { range, beside, link: None }));
        let from = |offset: usize| offset.min(total)..offset.saturating_add(size).min(total);
        let count = |path: &Option<Path>, count: usize| path.clone().map(|path| (path, Json::from(count)));
        match &paging.paginate {
            None => plain(0..total, Vec::new()),
            Some(Paginate::Page { first, total: path, ceiling }) => {
                let number = asked.number("page")?.unwrap_or(*first);
                let index = number.checked_sub(*first).ok_or_else(|| format!("page {number} was asked for"))?;
                below(*ceiling, number.saturating_sub(1))?;
                plain(from(index as usize * size), count(path, total.div_ceil(size)).into_iter().collect())
            }
            Some(Paginate::Offset { ceiling, total: path }) => {
                let offset = asked.number("offset")?.unwrap_or(0);
                below(*ceiling, offset)?;
                plain(from(offset as usize), count(path, total).into_iter().collect())
            }
            Some(Paginate::Keyset { .. }) => plain(from(behind(asked, names)?), Vec::new()),
            Some(Paginate::Cursor { next, more, empty_page_ends }) => {
                let Some(leads) = self.leads(asked, total, size)? else { return Ok(None) };
                let mut beside = told(more, leads.on);
                // Some hand out a cursor with the last page, too: it leads to an empty one.
                if leads.on || (*empty_page_ends && !leads.range.is_empty()) {
                    beside.extend(next.first().map(|path| (path.clone(), Json::from(leads.token))));
                }
                plain(leads.range, beside)
            }
            Some(Paginate::Url { next, more }) => {
                let Some(leads) = self.leads(asked, total, size)? else { return Ok(None) };
                let mut beside = told(more, leads.on);
                if leads.on {
                    let address = self.address(asked, leads.token);
                    beside.extend(next.first().map(|path| (path.clone(), Json::from(address))));
                }
                plain(leads.range, beside)
            }
            Some(Paginate::Link {}) => {
                let Some(leads) = self.leads(asked, total, size)? else { return Ok(None) };
                let link = leads.on.then(|| format!("<{}>; rel=\"next\"", self.address(asked, leads.token)));
                Ok(Some(Slice { range: leads.range, beside: Vec::new(), link }))
            }
        }
    }

    /// Where a request's cursor leads, and the cursor that leads on from there; `None` when it has expired.
    fn leads(&mut self, asked: &Asked, total: usize, size: usize) -> Result<Option<Leads>, String> {
        let Some(place) = self.place(asked)? else { return Ok(None) };
        let from = |offset: usize| offset.min(total)..offset.saturating_add(size).min(total);
        Ok(Some(match self.cursors {
            Cursors::Repeating => {
                let offset = size.min(total.saturating_sub(size));
                Leads { range: from(place.offset.min(offset)), on: true, token: self.mint(asked, offset, 1) }
            }
            Cursors::Steady | Cursors::LivingFor(_) => {
                let range = from(place.offset);
                let token = self.mint(asked, range.end, place.step + 1);
                Leads { on: range.end < total, range, token }
            }
        }))
    }

    fn place(&self, asked: &Asked) -> Result<Option<Token>, String> {
        let Some(cursor) = asked.token.as_ref().or_else(|| asked.variables.get("cursor")) else {
            return Ok(Some(Token { offset: 0, list: list(asked), step: 0 }));
        };
        let token = self.tokens.get(cursor).ok_or_else(|| format!("the cursor `{cursor}` was never handed out"))?;
        if token.list != list(asked) {
            return Err(format!("the cursor `{cursor}` was handed out for another window"));
        }
        let is_dead = matches!(self.cursors, Cursors::LivingFor(steps) if token.step > steps);
        Ok((!is_dead).then(|| token.clone()))
    }

    fn mint(&mut self, asked: &Asked, offset: usize, step: u32) -> String {
        let list = list(asked);
        let of: Vec<&str> = list.iter().flatten().map(String::as_str).collect();
        // With what a query, a form and JSON have to encode.
        let name = format!("at+{offset}/{step}&{}=\"", of.join(" "));
        self.tokens.insert(name.clone(), Token { offset, list, step });
        name
    }

    /// The whole address of a page.
    fn address(&mut self, asked: &Asked, token: String) -> String {
        let query = Serializer::new(String::new()).append_pair("continued", &token).finish();
        let address = format!("{}?{query}", asked.address);
        let host = address.match_indices('/').nth(2).map_or(0, |(at, _)| at);
        self.addresses.insert(address[host..].to_owned(), (asked.what, asked.variables.clone(), token));
        address
    }
}

fn told(path: &Option<Path>, more: bool) -> Vec<(Path, Json)> {
    path.clone().map(|path| (path, more.into())).into_iter().collect()
}

fn below(ceiling: Option<u64>, place: u64) -> Result<(), String> {
    match ceiling {
        Some(ceiling) if place >= ceiling => Err(format!("{place} is behind the ceiling")),
        _ => Ok(()),
    }
}

/// Where the list goes on behind what was named.
fn behind(asked: &Asked, names: &[String]) -> Result<usize, String> {
    let Some(name) = asked.variables.get("after_id") else { return Ok(0) };
    let place = names.iter().position(|known| known == name);
    place.map(|place| place + 1).ok_or_else(|| format!("`{name}` is not in the window that is asked for"))
}

/// What tells one list from another.
fn list(asked: &Asked) -> Vec<Option<String>> {
    ["from", "until", "each"].map(|name| asked.variables.get(name).cloned()).to_vec()
}
