//! A problem as plain text: what, where, the line with a caret under it, and a hint.

use std::fmt;
use std::ops::Range;

use super::file::{File, Mask, Place};
use super::problem::Problem;

/// Longer lines are cut around the caret.
const MAX_COLUMNS: usize = 160;
/// How much of a cut line stays in front of the caret.
const COLUMNS_BEFORE: usize = 60;
/// A secret this short is not looked for in messages: replacing it would garble them and protect nothing.
const MIN_SECRET_CHARS: usize = 3;
/// The same for one that stands in another line than what the message is about.
const MIN_SECRET_CHARS_AFAR: usize = 8;

pub(super) fn problem(problem: &Problem, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    writeln!(f, "{}: {}", problem.severity(), problem.message())?;
    let mut margin = 1;
    if let Some(place) = problem.place() {
        match place.span() {
            None => writeln!(f, " --> {place}")?,
            Some(span) => {
                margin = source(place, span, f)?;
                if problem.advice().is_some() {
                    writeln!(f, "{:margin$} |", "")?;
                }
            }
        }
    }
    let Some(hint) = problem.advice() else {
        return Ok(());
    };
    writeln!(f, "{:margin$} hint: {hint}", "")
}

/// Writes the line of `span` and a caret under it. Returns how wide the line number is.
fn source(place: &Place, span: &Range<usize>, f: &mut fmt::Formatter<'_>) -> Result<usize, fmt::Error> {
    let (number, bounds) = place.file().line_at(span.start);
    let number = (number + 1).to_string();
    let margin = number.len();
    let line = Line::new(place.file(), bounds, span);
    let (text, carets) = line.cut(line.columns(span));
    writeln!(f, "{:margin$}--> {place}", "")?;
    writeln!(f, "{:margin$} |", "")?;
    writeln!(f, "{}", format!("{number} | {text}").trim_end())?;
    writeln!(f, "{:margin$} | {:2$}{3}", "", "", carets.start, "^".repeat(carets.len()))?;
    Ok(margin)
}

/// A line as it is shown: one cell per column, each knowing the bytes it stands for.
struct Line {
    cells: Vec<(Range<usize>, char)>,
    end: usize,
}

impl Line {
    fn new(file: &File, bounds: Range<usize>, caret: &Range<usize>) -> Self {
        let hidden = file.hidden_in(&bounds, caret);
        let mut cells: Vec<(Range<usize>, char)> = Vec::new();
        let mut masked = false;
        for (at, char) in file.text()[bounds.clone()].char_indices() {
            let start = bounds.start + at;
            let bytes = start..start + char.len_utf8();
            if hidden.iter().any(|hidden| hidden.start < bytes.end && bytes.start < hidden.end) {
                if masked {
                    let stars = cells.len() - 3;
                    cells[stars..].iter_mut().for_each(|(cell, _)| cell.end = bytes.end);
                } else {
                    cells.extend("***".chars().map(|star| (bytes.clone(), star)));
                }
                masked = true;
                continue;
            }
            masked = false;
            match char {
                '\t' => cells.extend("    ".chars().map(|space| (bytes.clone(), space))),
                char if is_treacherous(char) => cells.push((bytes, char::REPLACEMENT_CHARACTER)),
                char => cells.push((bytes, char)),
            }
        }
        Self { cells, end: bounds.end }
    }

    /// The columns that show `span`, at least one; the one behind the line if it begins there.
    fn columns(&self, span: &Range<usize>) -> Range<usize> {
        let end = span.end.min(self.end).max(span.start + 1);
        let touches = |(bytes, _): &(Range<usize>, char)| bytes.start < end && span.start < bytes.end;
        let first = self.cells.iter().position(touches).unwrap_or(self.cells.len());
        let last = self.cells.iter().rposition(touches).unwrap_or(first);
        first..last + 1
    }

    fn cut(&self, carets: Range<usize>) -> (String, Range<usize>) {
        let text = |cells: &[(Range<usize>, char)]| cells.iter().map(|(_, c)| *c).collect::<String>();
        if self.cells.len() <= MAX_COLUMNS {
            return (text(&self.cells), carets);
        }
        let latest = self.cells.len() - MAX_COLUMNS;
        let start = carets.start.saturating_sub(COLUMNS_BEFORE).min(latest);
        let end = start + MAX_COLUMNS;
        let before = if start > 0 { "…" } else { "" };
        let after = if end < self.cells.len() { "…" } else { "" };
        let shift = |column: usize| column - start + before.chars().count();
        let carets = shift(carets.start)..shift(carets.end.min(end.max(carets.start + 1)));
        (format!("{before}{}{after}", text(&self.cells[start..end])), carets)
    }
}

/// Characters that would move the caret, or make a terminal show something else than what is there.
fn is_treacherous(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// `text` without the secrets that stand in the file of `place`: a message likes to quote what it is about.
pub(super) fn without_secrets(text: &str, place: Option<&Place>) -> String {
    let mut text = text.to_owned();
    let Some(place) = place else {
        return text;
    };
    let file = place.file();
    let lines = place.span().map(|span| file.line_at(span.start).1.start..file.line_at(span.end).1.end);
    let masks = file.masks_in(&(0..file.text().len()));
    let quoted = masks.iter().filter(|mask| mask.is_quoted);
    let mut secrets: Vec<&str> = quoted
        .flat_map(|mask| {
            let is_near =
                lines.as_ref().is_some_and(|lines| mask.span.start < lines.end && lines.start < mask.span.end);
            let least = if is_near { MIN_SECRET_CHARS } else { MIN_SECRET_CHARS_AFAR };
            spellings(file, mask).filter(move |secret| secret.chars().count() >= least)
        })
        .collect();
    // The longest first, so that one secret inside another does not leave the rest of it standing.
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    for secret in secrets {
        text = text.replace(secret, "***");
    }
    text
}

/// How a message may spell the secret: as written, with or without quotes, as it is meant, and line by line.
fn spellings<'a>(file: &'a File, mask: &'a Mask) -> impl Iterator<Item = &'a str> {
    let written = file.text().get(mask.span.clone()).unwrap_or_default();
    let bare = written.trim_matches(['"', '\'']);
    let lines = bare.lines().skip(usize::from(!bare.contains('\n')));
    [Some(bare), mask.value.as_deref()].into_iter().flatten().chain(lines)
}
