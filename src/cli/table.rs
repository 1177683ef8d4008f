//! Plain tables: columns as wide as they need, numbers to the right.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;

/// A table with a header.
#[derive(Debug)]
pub struct Table<const COLUMNS: usize> {
    rows: Vec<[String; COLUMNS]>,
}

impl<const COLUMNS: usize> Table<COLUMNS> {
    /// A table without rows.
    pub fn new(header: [&str; COLUMNS]) -> Self {
        Self { rows: vec![header.map(str::to_owned)] }
    }

    /// Adds a row.
    pub fn row(&mut self, row: [String; COLUMNS]) {
        self.rows.push(row);
    }
}

impl<const COLUMNS: usize> fmt::Display for Table<COLUMNS> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: [usize; COLUMNS] = std::array::from_fn(width);
        // A column is one of numbers when every row but the header is one.
        let is_number = |column: usize| {
            self.rows.len() > 1
                && self.rows[1..]
                    .iter()
                    .all(|row| row[column].bytes().all(|byte| byte.is_ascii_digit() || byte == b','))
        };
        for row in &self.rows {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                let gap = " ".repeat(widths[column] - cell.chars().count());
                let cell = if is_number(column) { format!("{gap}{cell}") } else { format!("{cell}{gap}") };
                line.push_str(&cell);
                line.push_str("   ");
            }
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// A number with its thousands apart.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Counts by reason in one line, the largest first: `100 health checks, 20 sample`.
pub fn by_reason(counts: &BTreeMap<impl fmt::Display, u64>) -> String {
    let mut counts: Vec<_> = counts.iter().collect();
    counts.sort_by_key(|(_, count)| Reverse(**count));
    let parts: Vec<String> = counts.iter().map(|(reason, count)| format!("{} {reason}", thousands(**count))).collect();
    parts.join(", ")
}

/// So many dead letters, in words.
pub fn dead(letters: u64) -> String {
    let s = if letters == 1 { "" } else { "s" };
    format!("{} dead letter{s}", thousands(letters))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_to_the_right() {
        let mut table = Table::new(["NAME", "READ"]);
        table.row(["a".to_owned(), thousands(1_234_567)]);
        table.row(["bcdef".to_owned(), thousands(89)]);
        assert_eq!(table.to_string(), "NAME         READ\na       1,234,567\nbcdef          89\n");
    }
}
