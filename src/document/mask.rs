//! Which parts of a file are never printed.
//!
//! What is decoded as a secret is hidden when that happens. Here is hidden what looks like one by its name, since most
//! mistakes are reported before, or without, anybody asking for the secret that stands on the same line. What stands
//! under a key that nobody knows may be a secret, too, and so may what stands where a variable's name should.

use std::ops::Range;

use super::file::File;
use super::literals::{Literal, literals};
use super::names::{self, OPTIONS, Rank};
use super::node::{Node, Value};

/// Hides every literal that stands under a key named like a secret, and the credentials in every URL.
pub(super) fn hide_named_secrets(root: &Node) {
    walk(root, Rank::Harmless);
}

fn walk(node: &Node, rank: Rank) {
    match node.value() {
        Value::Table(entries) => {
            // A `[…key]` header is a heading: what stands below it has names of its own.
            let rank = if node.is_inline() { rank } else { Rank::Harmless };
            let reference = rank == Rank::Secret && is_reference(node);
            for entry in entries {
                let name = entry.name.value.as_str();
                if name == "env" && entry.value.as_str().is_some_and(|name| !names::is_plainly_a_variable(name)) {
                    hide_literal(&entry.value);
                }
                let names_place = reference && matches!(name, "env" | "file");
                let around = if names_place { Rank::Harmless } else { rank };
                walk(&entry.value, around.max(names::rank(name)));
            }
        }
        Value::Array(nodes) => nodes.iter().for_each(|node| walk(node, rank)),
        _ if rank == Rank::Secret => hide_literal(node),
        Value::String(text) if rank == Rank::Doubtful && !names::is_plainly_a_setting(text) => hide_literal(node),
        Value::String(_) => hide_url_parts(node.file(), node.span()),
        _ => {}
    }
}

fn is_reference(table: &Node) -> bool {
    table.get("env").is_some() || table.get("file").is_some()
}

/// Hides what `node` holds where its line is shown, but for what can be no secret: `protocol = "grpc"`. For a value whose
/// key nobody knows. What is said of it never quotes the value, so messages are left as they are: `type = "kafka"` must
/// not take `kafka` out of the hint.
pub(super) fn cover(node: &Node) {
    cover_below(node, false);
}

fn cover_below(node: &Node, named: bool) {
    let file = node.file();
    let key = node.key_span().and_then(|key| file.text().get(key)).unwrap_or_default().trim_matches(['"', '\'']);
    let is_variable = key == "env" && node.as_str().is_some_and(names::is_plainly_a_variable);
    let named = named || names::names_a_secret(key) || key == OPTIONS;
    match node.value() {
        Value::Table(entries) => entries.iter().for_each(|entry| cover_below(&entry.value, named)),
        Value::Array(nodes) => nodes.iter().for_each(|node| cover_below(node, named)),
        Value::Boolean(_) => {}
        _ if is_variable => {}
        _ => {
            let written = file.text().get(node.span()).unwrap_or_default();
            if named || !names::is_plainly_a_setting(node.as_str().unwrap_or(written)) {
                file.cover(node.span());
            }
        }
    }
}

/// Hides every literal in `node`, except for the names in `{ env = … }` and `{ file = … }`.
pub(super) fn hide_secret(node: &Node) {
    match node.value() {
        Value::Table(entries) => {
            for entry in entries {
                if !matches!(entry.name.value.as_str(), "env" | "file") {
                    hide_all(&entry.value);
                }
            }
        }
        _ => hide_all(node),
    }
}

fn hide_all(node: &Node) {
    match node.value() {
        Value::Table(entries) => entries.iter().for_each(|entry| hide_all(&entry.value)),
        Value::Array(nodes) => nodes.iter().for_each(hide_all),
        _ => hide_literal(node),
    }
}

pub(super) fn hide_literal(node: &Node) {
    let value = node.as_str().map(str::to_owned);
    if node.as_bool().is_none() {
        node.file().hide(node.span(), value);
    }
}

/// Hides `user:password` and the query of a URL, where tokens are wont to be.
fn hide_url_parts(file: &File, span: Range<usize>) {
    let Some(text) = file.text().get(span.clone()) else {
        return;
    };
    let Some(authority) = authority(text) else {
        return;
    };
    let rest = &text[authority..];
    let path = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let start = span.start + authority;
    // A password may have a `/` or a `#` that should have been escaped.
    if let Some(at) = rest.rfind('@') {
        file.hide(start..start + at, None);
    } else if let Some(colon) = rest[..path].find(':')
        && !rest[colon + 1..path].trim_end_matches(['"', '\'']).chars().all(|c| c.is_ascii_digit())
    {
        // No port, so a password whose `@` is missing.
        file.hide(start..start + path, None);
    }
    if let Some(query) = rest.find(['?', '=']) {
        let end = span.end - (text.len() - text.trim_end_matches(['"', '\'']).len());
        file.hide(start + query + 1..end, None);
    }
}

/// Where the authority of a URL begins in `text`, whose `://` may be damaged.
fn authority(text: &str) -> Option<usize> {
    let whole = text.find("://").map(|at| at + "://".len());
    let damaged = || {
        let scheme = text.len() - text.trim_start_matches(['"', '\'']).len();
        let is_web = text[scheme..].starts_with("htt");
        let is_slash = |c: char| c == ':' || c == '/';
        is_web.then(|| text.find(is_slash).map(|at| at + leading(&text[at..], is_slash))).flatten()
    };
    whole.or_else(damaged)
}

/// Hides what the text alone shows to be a secret, or to be likely one: a mistake is told before anybody has asked for
/// the secret beside it, and of what does not parse nobody ever asks.
pub(super) fn hide_by_text(file: &File, is_broken: bool) {
    let text = file.text();
    let all = literals(text);
    for literal in &all {
        let written = &text[literal.span.clone()];
        let is_hidden = match literal.rank {
            Rank::Harmless => false,
            Rank::Doubtful => is_broken || !names::is_plainly_a_setting(written),
            Rank::Secret => true,
        };
        if is_hidden && is_broken {
            // Where quotes are out of step nobody can say where a value ends.
            let line = text[literal.span.end..].find('\n').map_or(text.len(), |at| literal.span.end + at);
            file.hide(literal.span.start..line, None);
        }
        if is_hidden && written.starts_with('#') {
            file.cover(literal.span.clone());
        } else if is_hidden {
            file.hide(literal.span.clone(), None);
        } else if literal.is_string {
            hide_url_parts(file, literal.span.clone());
        }
    }
    if is_broken {
        hide_in_broken_text(file);
    }
    file.keep_literals(all, is_broken);
}

/// Whether `literal` is shown in a line that is shown for the sake of `caret`.
pub(super) fn is_shown(literal: &Literal, written: &str, caret: &Range<usize>, is_broken: bool) -> bool {
    let touches = |span: &Range<usize>| span.start < caret.end.max(caret.start + 1) && caret.start < span.end;
    let is_meant = touches(&literal.span) || literal.key.as_ref().is_some_and(touches);
    is_meant || !literal.is_string || literal.is_reference || (!is_broken && names::are_plainly_settings(written))
}

/// Hides what stands behind a key named like a secret in text that is not TOML: everything up to the end of the line, and
/// of what may span lines, everything up to its closing bracket or quotes.
fn hide_in_broken_text(file: &File) {
    let text = file.text();
    let mut start = 0;
    while start < text.len() {
        let end = text[start..].find('\n').map_or(text.len(), |at| start + at + 1);
        if let Some(at) = credentials_in_line(&text[start..end]) {
            file.hide(start + at..end, None);
        }
        let hidden = secret_in_line(&text[start..end]).map(|at| {
            let end = end_of_value(text, start + at, end);
            file.hide(start + at..end, None);
            end
        });
        start = hidden.unwrap_or(end).max(end);
    }
}

/// Where in `line` the first secret begins, if any.
fn secret_in_line(line: &str) -> Option<usize> {
    let belongs = |c: char| c.is_alphanumeric() || "_-".contains(c);
    let mut at = 0;
    while at < line.len() {
        let start = at + leading(&line[at..], |c| !belongs(c));
        let name = &line[start..start + leading(&line[start..], belongs)];
        at = start + name.len();
        if name.is_empty() || !(name == OPTIONS || names::names_a_secret(name)) {
            continue;
        }
        // A quote right behind the name may be the first one of its value.
        let is_quoted = line[..start].ends_with(['"', '\'']);
        let behind = at + if is_quoted { leading(&line[at..], |c| "\"'".contains(c)) } else { 0 };
        let value = behind + leading(&line[behind..], |c| c.is_whitespace() || "=:".contains(c));
        let is_separated = line[behind..value].contains(['=', ':']);
        // A name within a text is followed by no value.
        let before = line[..start].trim_end_matches(['"', '\'']).trim_end();
        let is_first = before.is_empty() || before.ends_with(['{', ',', '[', '#', '.']);
        let is_heading = line[behind..].starts_with(']');
        let is_reference = names_a_place(line[value..].trim_start_matches(|c: char| c == '{' || c.is_whitespace()));
        let is_reference = is_reference && line[value..].starts_with('{');
        let is_path = line[behind..].starts_with('.');
        if value < line.len() && (is_separated || is_first) && !is_heading && !is_reference && !is_path {
            return Some(value);
        }
    }
    None
}

/// Where in `line` a URL has a password, or a query.
fn credentials_in_line(line: &str) -> Option<usize> {
    let authority = line.find("://")? + "://".len();
    let url = &line[authority..];
    let query = || url.find('?').map(|at| authority + at + 1);
    if url.contains('@') { Some(authority) } else { query() }
}

/// Whether a table that begins so says where a secret is, and does not hold it.
fn names_a_place(table: &str) -> bool {
    let Some(name) = table.strip_prefix("env") else { return table.starts_with("file") };
    let name = name.trim_start_matches(|c: char| c.is_whitespace() || "=\"'".contains(c));
    names::is_plainly_a_variable(&name[..leading(name, |c| !c.is_whitespace() && !"\"'},".contains(c))])
}

fn leading(text: &str, belongs: impl Fn(char) -> bool) -> usize {
    text.find(|c| !belongs(c)).unwrap_or(text.len())
}

fn end_of_value(text: &str, start: usize, line_end: usize) -> usize {
    let value = &text[start..];
    for (open, close) in [("\"\"\"", "\"\"\""), ("'''", "'''"), ("[", "]"), ("{", "}")] {
        if let Some(rest) = value.strip_prefix(open) {
            let length = rest.find(close).map_or(rest.len(), |at| at + close.len());
            let end = start + open.len() + length;
            // And on to the end of that line, for the same reason.
            let line = text[end..].find('\n').map_or(text.len(), |at| end + at);
            return line.max(line_end);
        }
    }
    line_end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_found_in_lines_that_are_not_toml() {
        for (line, rest) in [
            ("api_key = \"a\" b\n", "\"a\" b\n"),
            ("  token: abc\n", "abc\n"),
            ("x = { a = 1, token = 'b'\n", "'b'\n"),
            ("auth.\"password\" hunter2", "hunter2"),
            ("# token = abc", "abc"),
            ("api_key = { env = \"KEY0123abcd\" x }", "{ env = \"KEY0123abcd\" x }"),
        ] {
            assert_eq!(secret_in_line(line).map(|at| &line[at..]), Some(rest), "{line}");
        }
        for line in ["topic = \"a\" b", "[api_key]", "api_key = { env = \"A\" x }", "api_key"] {
            assert_eq!(secret_in_line(line), None, "{line}");
        }
    }
}
