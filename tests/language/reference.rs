//! `docs/connectors.md`: written by hand down to a mark, and made of the schema behind it.
//!
//! `UPDATE_EXPECT=1 cargo test --test language` rewrites what is made: read the difference before it is committed.

use std::fmt::Write as _;
use std::fs;

use auditline::connector::schema;

use super::table::{Section, sections, values};
use super::{connectors, root};

const FILE: &str = "docs/connectors.md";
const MARK: &str = "<!-- What follows is made of the model: UPDATE_EXPECT=1 cargo test --test language -->\n";
/// The example that the hand-written part shows.
const EXAMPLE: &str = "examples/own-vendor/connectors/example-dns.toml";
/// A longer table is no example.
const MOST_LINES: usize = 24;

#[test]
fn the_reference_is_what_the_model_says() {
    let (path, expected) = (root().join(FILE), expected());
    if fs::read_to_string(&path).expect("it can be read") == expected {
        return;
    }
    assert!(std::env::var_os("UPDATE_EXPECT").is_some(), "{FILE} is stale: UPDATE_EXPECT=1 cargo test --test language");
    fs::write(path, expected).expect("it can be written");
}

#[test]
fn the_introduction_shows_the_example_as_it_runs() {
    let written = fs::read_to_string(root().join(FILE)).expect("it can be read");
    let example = fs::read_to_string(root().join(EXAMPLE)).expect("it can be read");
    assert!(written.contains(&format!("```toml\n{example}```\n")), "{FILE} does not show {EXAMPLE}");
}

#[test]
fn every_link_within_it_leads_somewhere() {
    let written = expected();
    let headings = written.lines().filter(|line| line.starts_with('#')).map(|line| {
        let line = line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
        line.chars().filter(|char| char.is_alphanumeric() || matches!(char, '-' | '_')).collect::<String>()
    });
    let headings: Vec<String> = headings.collect();
    let links = written.split("](#").skip(1).filter_map(|rest| rest.split(')').next());
    let dead: Vec<&str> = links.filter(|link| !headings.iter().any(|heading| heading == link)).collect();
    assert!(dead.is_empty(), "{dead:?}");
}

/// The file as it should be.
fn expected() -> String {
    let written = fs::read_to_string(root().join(FILE)).expect("it can be read");
    let (by_hand, _) = written.split_once(MARK).expect("the mark is there");
    format!("{by_hand}{MARK}{}", reference())
}

fn reference() -> String {
    let schema = schema();
    let mut out = String::from("\n## Values\n\nWhat a text may have to look like:\n\n| | |\n|---|---|\n");
    for (name, text) in values(&schema) {
        let text = text.replace('|', "\\|");
        writeln!(out, "| {name} | {text} |").expect("a string grows");
    }
    out.push_str("\n## Tables\n");
    for section in sections(&schema) {
        out.push_str(&told(&section));
    }
    out.push_str(&ocsf());
    out
}

fn told(section: &Section) -> String {
    let title = if section.path.is_empty() { "The file".to_owned() } else { format!("`{}`", section.header()) };
    let mut out = format!("\n### {title}\n\n");
    if !section.text.is_empty() {
        write!(out, "{}\n\n", section.text).expect("a string grows");
    }
    out.push_str("| key | type | default | |\n|---|---|---|---|\n");
    for row in &section.rows {
        writeln!(out, "| `{}` | {} | {} | {} |", row.key, row.kind, row.default, row.meaning).expect("a string grows");
    }
    if let Some((connector, text)) = example(&section.path) {
        write!(out, "\nAs `{connector}` has it:\n\n```toml\n{text}\n```\n").expect("a string grows");
    }
    out
}

/// The fullest table of that header among the embedded connectors.
fn example(path: &[String]) -> Option<(String, String)> {
    let mut best: Option<(usize, String, String)> = None;
    for (name, text) in connectors() {
        for table in tables(&text).filter(|table| is_at(table, path)) {
            let keys = table.lines().filter(|line| line.contains(" = ")).count();
            let fits = table.lines().count() <= MOST_LINES;
            if fits && best.as_ref().is_none_or(|(most, ..)| keys > *most) {
                best = Some((keys, name.clone(), table));
            }
        }
    }
    best.map(|(_, name, text)| (name, text))
}

/// The tables of a file, each from its header on, without the comments that belong to the next one.
fn tables(text: &str) -> impl Iterator<Item = String> {
    let mut tables: Vec<Vec<&str>> = Vec::new();
    for line in text.lines() {
        match tables.last_mut() {
            _ if line.starts_with('[') => tables.push(vec![line]),
            Some(table) => table.push(line),
            None => {}
        }
    }
    tables.into_iter().map(|mut table| {
        while table.last().is_some_and(|line| line.is_empty() || line.starts_with('#')) {
            table.pop();
        }
        table.join("\n")
    })
}

/// Whether a table has that header, whatever it has for a `NAME`.
fn is_at(table: &str, path: &[String]) -> bool {
    let header = table.lines().next().unwrap_or_default().trim_matches(['[', ']']);
    let parts: Vec<&str> = header.split('.').collect();
    parts.len() == path.len() && parts.iter().zip(path).all(|(part, known)| known == "NAME" || part == known)
}

/// The language of the map, from where it is implemented.
fn ocsf() -> String {
    let source = fs::read_to_string(root().join("src/transform/ocsf/mod.rs")).expect("it can be read");
    let lines = source.lines().map_while(|line| line.strip_prefix("//!"));
    let lines: Vec<&str> = lines.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
    format!("\n## The OCSF map\n\n{}\n", lines.join("\n"))
}
