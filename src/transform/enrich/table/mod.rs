//! A table of the operator's: rows that are found by the value of one column.

mod read;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::path::Path;

use serde::Deserialize;

use super::hosts::{self, Networks};
use super::kept::{Content, Tally, Unread};
use super::names::Names;

/// How a value of the event is held against the column that rows are found by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Match {
    /// Both are the same.
    #[default]
    Exact,
    /// The column has networks: the longest that the value is in.
    Cidr,
    /// The column has domains: the longest that the value is or stands under.
    Domain,
}

/// What is read of a table, and how.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shape {
    /// The column that rows are found by.
    pub by: String,
    /// The columns that are kept.
    pub take: Vec<String>,
    /// How rows are found.
    pub matching: Match,
    /// Whether `A` is another letter than `a`.
    pub case_sensitive: bool,
}

/// A table in memory.
#[derive(Debug)]
pub struct Table {
    matching: Match,
    case_sensitive: bool,
    /// The names by which rows are found. Their numbers are the rows.
    names: Names,
    /// The networks by which rows are found.
    networks: Networks,
    /// The cells row by row, each the number of its text.
    cells: Vec<u32>,
    width: usize,
    texts: Names,
}

impl Table {
    /// Reads `.csv` and `.tsv`, whose first line names the columns, and `.ndjson`, each of whose lines is an object.
    ///
    /// Of rows with the same key the last counts.
    ///
    /// # Errors
    /// Says where the file is not such a table.
    pub fn read(path: &Path, shape: &Shape) -> Result<Content<Self>, Unread> {
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        let mut rows = Rows::new(shape);
        match extension.to_ascii_lowercase().as_str() {
            "csv" => read::separated(path, b',', shape, &mut rows)?,
            "tsv" => read::separated(path, b'\t', shape, &mut rows)?,
            "ndjson" | "jsonl" => read::lines(path, shape, &mut rows)?,
            _ => {
                let reason = "its name does not say what kind of table it is".to_owned();
                return Err(Unread::Wrong { line: None, reason, hint: "name it `.csv`, `.tsv` or `.ndjson`" });
            }
        }
        Ok(rows.finish())
    }

    /// The row that a value of the event belongs to.
    pub fn find(&self, text: &str) -> Option<u32> {
        match self.matching {
            Match::Exact => self.names.find(&folded(text, self.case_sensitive)),
            Match::Cidr => self.networks.find(hosts::address(text)?).map(|(_, row)| row),
            Match::Domain => hosts::longest_suffix(&self.names, &hosts::host(text)?),
        }
    }

    /// What stands in a column that was taken, row by row; empty where nothing does.
    pub fn column(&self, at: usize) -> impl Iterator<Item = &str> {
        self.cells.iter().skip(at).step_by(self.width.max(1)).map(|text| self.texts.get(*text))
    }

    /// What stands in a row, column by column; empty where nothing does.
    pub fn row(&self, row: u32) -> impl Iterator<Item = &str> {
        let start = row as usize * self.width;
        self.cells[start..start + self.width].iter().map(|text| self.texts.get(*text))
    }
}

/// A text as it is compared.
fn folded(text: &str, case_sensitive: bool) -> Cow<'_, str> {
    let text = text.trim();
    match !case_sensitive && text.chars().any(char::is_uppercase) {
        true => Cow::Owned(text.to_lowercase()),
        false => Cow::Borrowed(text),
    }
}

/// A table while it is read.
struct Rows {
    table: Table,
    count: u32,
    doubled: Tally,
    keyless: Tally,
}

impl Rows {
    fn new(shape: &Shape) -> Self {
        let table = Table {
            matching: shape.matching,
            case_sensitive: shape.case_sensitive,
            names: Names::default(),
            networks: Networks::default(),
            cells: Vec::new(),
            width: shape.take.len(),
            texts: Names::default(),
        };
        Self { table, count: 0, doubled: Tally::default(), keyless: Tally::default() }
    }

    fn add<'c>(&mut self, line: u64, key: &str, cells: impl Iterator<Item = &'c str>) -> Result<(), Unread> {
        let wrong = |reason: &str, hint| Err(Unread::Wrong { line: Some(line), reason: reason.to_owned(), hint });
        let full = || Unread::Wrong { line: Some(line), reason: "the table is too large".to_owned(), hint: "split it" };
        let key = key.trim();
        if key.is_empty() {
            self.keyless.note(line);
            return Ok(());
        }
        let table = &mut self.table;
        let row = match table.matching {
            Match::Exact => table.names.add(&folded(key, table.case_sensitive)).ok_or_else(full)?.0,
            Match::Domain => {
                let Some(name) = hosts::name(key.strip_prefix("*.").or(key.strip_prefix('.')).unwrap_or(key)) else {
                    return wrong("this is no domain", "a domain is written as in `corp.example`");
                };
                table.names.add(&name).ok_or_else(full)?.0
            }
            Match::Cidr => {
                let Some(network) = hosts::network(key) else {
                    return wrong("this is no network", "a network is written as in `10.0.0.0/8` or `2001:db8::/32`");
                };
                let known = table.networks.add(network, self.count);
                if let Some(known) = known {
                    table.networks.add(network, known);
                }
                known.unwrap_or(self.count)
            }
        };
        let start = row as usize * table.width;
        if row == self.count {
            self.count = self.count.checked_add(1).ok_or_else(full)?;
            table.cells.resize(start + table.width, 0);
        } else {
            self.doubled.note(line);
        }
        for (cell, text) in table.cells[start..].iter_mut().zip(cells) {
            *cell = table.texts.add(text.trim()).ok_or_else(full)?.0;
        }
        Ok(())
    }

    fn finish(self) -> Content<Table> {
        let Self { mut table, count, doubled, keyless } = self;
        table.names.shrink();
        table.cells.shrink_to_fit();
        table.texts.shrink_to_texts();
        let doubled = doubled.told("has a key that stands above already: the last one counts");
        let keyless = keyless.told("has no key, and is passed over");
        let empty = (count == 0).then(|| "there is no row in it".to_owned());
        let passed_over = [doubled, keyless, empty].into_iter().flatten().collect();
        Content { value: table, entries: Some(count as usize), passed_over }
    }
}
