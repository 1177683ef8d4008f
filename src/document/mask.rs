//! Which parts of a file are never printed.
//!
//! What is decoded as a secret is hidden when that happens. Here is hidden what looks like one by its name, since most
//! mistakes are reported before, or without, anybody asking for the secret that stands on the same line. What stands
//! under a key that nobody knows may be a secret, too, and so may what stands where a variable's name should.

use super::file::File;
use super::node::{Node, Value};

/// Whether a value under this key is likely a secret: `api_key`, `access_token`, `Authorization`, …
fn names_a_secret(key: &str) -> bool {
    let key = key.to_lowercase();
    let key = key.strip_suffix('s').unwrap_or(&key);
    // Without the `s` that was just taken away.
    ["key", "token", "secret", "password", "passwd", "passphrase", "credential", "authorization", "cookie"]
        .iter()
        .any(|name| key.ends_with(name))
}

/// What a library takes under names of its own: a misspelled password among them is known to nobody as one.
const OPTIONS: &str = "options";

/// Hides every literal that stands under a key named like a secret, and the credentials in every URL.
pub(super) fn hide_named_secrets(root: &Node) {
    walk(root, false);
}

fn walk(node: &Node, secret: bool) {
    match node.value() {
        Value::Table(entries) => {
            // A `[…key]` header is a heading: what stands below it has names of its own.
            let secret = secret && node.is_inline();
            let reference = secret && is_reference(node);
            for entry in entries {
                if entry.name.value == "env" && entry.value.as_str().is_some_and(|name| !is_plainly_a_variable(name)) {
                    hide_literal(&entry.value);
                }
                let names_place = reference && matches!(entry.name.value.as_str(), "env" | "file");
                let secret =
                    (secret && !names_place) || names_a_secret(&entry.name.value) || entry.name.value == OPTIONS;
                walk(&entry.value, secret);
            }
        }
        Value::Array(nodes) => nodes.iter().for_each(|node| walk(node, secret)),
        _ if secret => hide_literal(node),
        Value::String(text) if text.contains("://") => hide_url_parts(node),
        _ => {}
    }
}

fn is_reference(table: &Node) -> bool {
    table.get("env").is_some() || table.get("file").is_some()
}

/// Whether this is the name of an environment variable beyond doubt: `TELNYX_API_KEY`, `S3_KEY2`, `home`. Anything else
/// may be a secret that was written where its variable's name belongs.
pub(super) fn is_plainly_a_variable(name: &str) -> bool {
    let is_lower = |c: char| c.is_ascii_lowercase();
    let of_one_case = !name.contains(is_lower) || name.chars().all(|c| is_lower(c) || c == '_');
    is_variable(name) && of_one_case && name.split('_').all(is_word)
}

/// Whether this could be the name of an environment variable.
pub(super) fn is_variable(name: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !name.is_empty() && name.chars().all(is_part) && !name.starts_with(|c: char| c.is_ascii_digit())
}

/// Letters, with a number before or behind them. Short ones may be anything: `K8S`.
fn is_word(part: &str) -> bool {
    let letters = part.trim_matches(|c: char| c.is_ascii_digit());
    let digits = part.len() - letters.len();
    part.len() <= 4 || (part.len() <= 24 && digits <= 4 && !letters.contains(|c: char| c.is_ascii_digit()))
}

/// Hides every literal in `node` where its line is shown. What is said of an unknown key names the known ones and never
/// quotes the value, so messages are left as they are: `type = "kafka"` must not take `kafka` out of the hint.
pub(super) fn cover(node: &Node) {
    match node.value() {
        Value::Table(entries) => entries.iter().for_each(|entry| cover(&entry.value)),
        Value::Array(nodes) => nodes.iter().for_each(cover),
        Value::Boolean(_) => {}
        _ => node.file().cover(node.span()),
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
fn hide_url_parts(node: &Node) {
    let span = node.span();
    let Some(text) = node.file().text().get(span.clone()) else {
        return;
    };
    let Some(scheme) = text.find("://") else {
        return;
    };
    let authority = scheme + "://".len();
    let rest = &text[authority..];
    let path = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    if let Some(at) = rest[..path].rfind('@') {
        let start = span.start + authority;
        node.file().hide(start..start + at, None);
    }
    if let Some(query) = rest.find('?') {
        let end = span.end - (text.len() - text.trim_end_matches(['"', '\'']).len());
        node.file().hide(span.start + authority + query + 1..end, None);
    }
}

/// Hides what stands behind a key named like a secret in text that is not TOML.
///
/// Where quotes are out of step nobody can say where a value ends, so everything up to the end of the line goes, and
/// of what may span lines, everything up to its closing bracket or quotes.
pub(super) fn hide_in_broken_text(file: &File) {
    let text = file.text();
    let mut start = 0;
    while start < text.len() {
        let end = text[start..].find('\n').map_or(text.len(), |at| start + at + 1);
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
    let behind_separator = line.match_indices(['{', ',', '[']).map(|(at, _)| at + 1);
    std::iter::once(0).chain(behind_separator).find_map(|start| {
        let key_start = start + leading(&line[start..], |c| c.is_whitespace() || c == '[' || c == '#');
        let key = &line[key_start..];
        let key = &key[..leading(key, |c| c.is_alphanumeric() || "_-.\"'".contains(c))];
        let name = key.trim_matches(['"', '\'']);
        if !names_a_secret(name) {
            return None;
        }
        let behind = key_start + key.len();
        let value = behind + leading(&line[behind..], |c| c.is_whitespace() || "=:".contains(c));
        let rest = line[value..].trim_start_matches(|c: char| c == '{' || c.is_whitespace());
        let is_heading = line[behind..].starts_with(']');
        let is_reference = line[value..].starts_with('{') && names_a_place(rest);
        (value < line.len() && !is_heading && !is_reference).then_some(value)
    })
}

/// Whether a table that begins so says where a secret is, and does not hold it.
fn names_a_place(table: &str) -> bool {
    let Some(name) = table.strip_prefix("env") else { return table.starts_with("file") };
    let name = name.trim_start_matches(|c: char| c.is_whitespace() || "=\"'".contains(c));
    is_plainly_a_variable(&name[..leading(name, |c| !c.is_whitespace() && !"\"'},".contains(c))])
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
    fn secrets_are_known_by_their_keys() {
        for key in ["api_key", "token", "API-TOKEN", "client_secret", "passwords", "credentials", "Authorization"] {
            assert!(names_a_secret(key), "{key}");
        }
        for key in ["topic", "keyed", "tokenizer", "base_url", ""] {
            assert!(!names_a_secret(key), "{key}");
        }
    }

    #[test]
    fn a_variable_is_told_from_a_secret_in_its_place() {
        for name in ["TELNYX_API_KEY", "TOKEN2", "S3_KEY", "K8S_2FA_TOKEN", "SHA256_SALT", "_", "home", "api_token"] {
            assert!(is_plainly_a_variable(name), "{name}");
        }
        for name in [
            "KEY0123abcd",
            "key_0123abcd",
            "hunter2",
            "AKIAIOSFODNN7EXAMPLE",
            "F2C41D07BE84A6FB",
            "KEY_01234567",
            "CorrectHorseBattery",
            "JBSWYDPEHPKPXPQRSTUVWXYZABCD",
            "sk-live",
            "0123",
            "",
        ] {
            assert!(!is_plainly_a_variable(name), "{name}");
        }
    }

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
