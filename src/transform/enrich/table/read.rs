//! The kinds of file that tables are kept in.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use super::super::kept::Unread;
use super::{Rows, Shape};
use crate::event::{Arena, Value, json};

/// A longer one has swallowed those behind it.
const LONGEST_ROW: usize = 64 << 10;

/// A first line that names the columns, and a row on each of the others.
pub fn separated(path: &Path, separator: u8, shape: &Shape, rows: &mut Rows) -> Result<(), Unread> {
    let mut builder = csv::ReaderBuilder::new();
    builder.delimiter(separator).trim(csv::Trim::All);
    let mut reader = builder.from_reader(File::open(path)?);
    let header = reader.headers().map_err(csv_error)?.clone();
    if header.is_empty() {
        let reason = "it is empty".to_owned();
        return Err(Unread::Wrong { line: None, reason, hint: "the first line of a table names its columns" });
    }
    let column = |name: &String| {
        let there = || header.iter().map(ToOwned::to_owned).collect();
        let mut at = header.iter().enumerate().filter(|(_, known)| known == name).map(|(at, _)| at);
        let first = at.next().ok_or_else(|| Unread::NoColumn { name: name.clone(), there: there() })?;
        // One of them would count, and nobody has said which.
        match at.next() {
            Some(_) => {
                let reason = format!("it has more than one column `{name}`");
                Err(Unread::Wrong { line: Some(1), reason, hint: "give each column a name of its own" })
            }
            None => Ok(first),
        }
    };
    let by = column(&shape.by)?;
    let take: Vec<usize> = shape.take.iter().map(column).collect::<Result<_, _>>()?;
    let mut record = csv::StringRecord::new();
    let mut has_many_lines = None;
    while reader.read_record(&mut record).map_err(csv_error)? {
        let line = record.position().map_or(0, csv::Position::line);
        if record.as_slice().len() > LONGEST_ROW {
            return Err(endless(line));
        }
        has_many_lines = record.iter().next_back().is_some_and(|cell| cell.contains('\n')).then_some(line);
        let cell = |at: usize| record.get(at).unwrap_or_default();
        rows.add(line, cell(by), take.iter().map(|at| cell(*at)))?;
    }
    // To the end of the file, a quote that is not closed is one value.
    match has_many_lines {
        Some(line) if !ends_with_quote(path)? => Err(endless(line)),
        _ => Ok(()),
    }
}

fn endless(line: u64) -> Unread {
    let reason = "the row that begins here does not end".to_owned();
    Unread::Wrong { line: Some(line), reason, hint: "a double quote is not closed" }
}

/// Whether a file closes a quote at its very end. A value with line breaks that is the last of a file does.
fn ends_with_quote(path: &Path) -> std::io::Result<bool> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(256)))?;
    let mut end = Vec::new();
    file.read_to_end(&mut end)?;
    Ok(end.trim_ascii_end().ends_with(b"\""))
}

fn csv_error(error: csv::Error) -> Unread {
    let at = error.position().map(csv::Position::line);
    match error.into_kind() {
        csv::ErrorKind::Io(error) => Unread::Io(error),
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => Unread::Wrong {
            line: at,
            reason: format!("the table has {expected_len} columns, and this line {len}"),
            hint: match len > expected_len {
                true => "a value with a comma in it stands in double quotes",
                false => "a value is missing, or a double quote is not closed",
            },
        },
        csv::ErrorKind::Utf8 { .. } => {
            Unread::Wrong { line: at, reason: "this is not UTF-8".to_owned(), hint: "save the table as UTF-8" }
        }
        _ => Unread::Wrong { line: at, reason: "this is not CSV".to_owned(), hint: "save the table as CSV" },
    }
}

/// A JSON object on each line.
pub fn lines(path: &Path, shape: &Shape, rows: &mut Rows) -> Result<(), Unread> {
    let mut reader = BufReader::new(File::open(path)?);
    // Files that come from Windows may begin with a mark that is no part of their text.
    let has_mark = reader.fill_buf()?.starts_with("\u{feff}".as_bytes());
    std::io::copy(&mut reader.by_ref().take(if has_mark { 3 } else { 0 }), &mut std::io::sink())?;
    let (mut line, mut number, mut arena) = (Vec::new(), 0, Arena::new());
    let mut members = Members::of(shape);
    while reader.read_until(b'\n', &mut line)? > 0 {
        number += 1;
        if !line.trim_ascii().is_empty() {
            members.read(&line, number, &arena, rows)?;
        }
        line.clear();
        arena.reset();
    }
    members.all_were_there()
}

/// The members that make a row.
struct Members<'s> {
    shape: &'s Shape,
    /// Those that no line has had yet.
    awaited: Vec<&'s String>,
    /// Those of the first line.
    first: Vec<String>,
}

impl<'s> Members<'s> {
    fn of(shape: &'s Shape) -> Self {
        Self { shape, awaited: std::iter::once(&shape.by).chain(&shape.take).collect(), first: Vec::new() }
    }

    fn read(&mut self, line: &[u8], number: u64, arena: &Arena, rows: &mut Rows) -> Result<(), Unread> {
        let wrong = |reason: String, hint| Unread::Wrong { line: Some(number), reason, hint };
        let one_each = "each line of the table is one JSON object";
        let row = json::decode(line, arena).map_err(|error| wrong(error.to_string(), one_each))?;
        let Some(members) = row.as_object() else {
            return Err(wrong(format!("expected an object, found {}", row.kind()), one_each));
        };
        if self.first.is_empty() {
            self.first = members.iter().map(|member| member.key.to_owned()).collect();
        }
        self.awaited.retain(|name| row.get(name).is_none());
        let cell = |name: &String| match row.get(name) {
            Some(Value::String(text) | Value::Number(text)) => Ok(text),
            Some(Value::Bool(flag)) => Ok(if flag { "true" } else { "false" }),
            Some(Value::Null) | None => Ok(""),
            Some(value) => {
                let hint = "a table holds texts, numbers, `true` and `false`";
                Err(wrong(format!("`{name}` is {}", value.kind()), hint))
            }
        };
        let cells: Vec<&str> = self.shape.take.iter().map(cell).collect::<Result<_, _>>()?;
        rows.add(number, cell(&self.shape.by)?, cells.into_iter())
    }

    fn all_were_there(self) -> Result<(), Unread> {
        match self.awaited.first() {
            _ if self.first.is_empty() => {
                let reason = "it is empty".to_owned();
                Err(Unread::Wrong { line: None, reason, hint: "each line of the table is one JSON object" })
            }
            Some(name) => Err(Unread::NoColumn { name: (*name).clone(), there: self.first }),
            None => Ok(()),
        }
    }
}
