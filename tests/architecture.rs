//! Each module uses only those before it in the flow of the data, and the sinks know nothing of the engine.

use std::fs;
use std::path::{Path, PathBuf};

/// The modules of `src/`, each allowed to use those before it.
const ORDER: [&str; 11] = [
    "document",
    "event",
    "journal",
    "transform",
    "connector",
    "source",
    "config",
    "engine",
    "server",
    "simulator",
    "cli",
];
/// Helpers that everybody may use, being no module of the flow.
const SHARED: [&str; 1] = ["chain"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// The text without comments, so that what is only talked about does not count.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// The first names of every path that begins with `crate::`, those in braces too.
fn used(code: &str) -> Vec<String> {
    let is_name = |char: &char| char.is_ascii_alphanumeric() || *char == '_';
    let mut names = Vec::new();
    for (at, prefix) in code.match_indices("crate::") {
        // `auditline_crate::` would be another word.
        if code[..at].chars().next_back().is_some_and(|before| is_name(&before)) {
            continue;
        }
        let rest = &code[at + prefix.len()..];
        match rest.strip_prefix('{') {
            Some(group) => names.extend(first_names(group)),
            None => names.push(rest.chars().take_while(is_name).collect()),
        }
    }
    names
}

/// The first name of each path in a group, up to its closing brace.
fn first_names(group: &str) -> Vec<String> {
    let (mut depth, mut names, mut name) = (0, Vec::new(), String::new());
    let mut is_first = true;
    for char in group.chars() {
        match char {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                names.push(std::mem::take(&mut name));
                is_first = true;
            }
            ':' if depth == 0 => is_first = false,
            _ if depth == 0 && is_first && !char.is_whitespace() => name.push(char),
            _ => {}
        }
    }
    names.push(name);
    names.retain(|name| !name.is_empty());
    names
}

/// How many modules deep a file lies below the crate: `src/event/mod.rs` is 1, `src/event/json.rs` is 2.
fn depth(inner: &Path) -> usize {
    let parts = inner.components().count();
    if inner.ends_with("mod.rs") { parts - 1 } else { parts }
}

/// Whether a chain of `super::` leads out of the file's top module, past all that this test can see.
fn climbs_out(code: &str, depth: usize) -> bool {
    // An inline `mod tests` is one level more.
    let is_too_high = |text: &str, depth: usize| text.contains(&"super::".repeat(depth));
    match code.split_once("mod tests {") {
        Some((before, tests)) => is_too_high(before, depth) || is_too_high(tests, depth + 1),
        None => is_too_high(code, depth),
    }
}

#[test]
fn modules_use_only_those_before_them() {
    let source = root().join("src");
    let mut seen = 0;
    let mut wrong = Vec::new();
    for path in rust_files(&source) {
        let inner = path.strip_prefix(&source).unwrap();
        let module = inner.components().next().unwrap().as_os_str().to_str().unwrap();
        let Some(place) = ORDER.iter().position(|known| *known == module) else {
            assert!(
                ["lib.rs", "main.rs"].contains(&module) || SHARED.iter().any(|name| module == format!("{name}.rs")),
                "`{module}` has no place in the order"
            );
            continue;
        };
        let code = code(&path);
        for name in used(&code) {
            seen += 1;
            let allowed = SHARED.contains(&name.as_str()) || ORDER[..=place].contains(&name.as_str());
            if !allowed {
                wrong.push(format!("{} uses `{name}`", inner.display()));
            }
        }
        if climbs_out(&code, depth(inner)) {
            wrong.push(format!("{} climbs out by `super::`: name the module from `crate::`", inner.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen > 100, "only {seen} uses were found");
}

#[test]
fn the_flow_is_told_as_it_is() {
    let lib = code(&root().join("src/lib.rs"));
    let told: Vec<&str> = lib.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    assert_eq!(told, ORDER, "the order of `src/lib.rs` is the one its first lines promise");
}

#[test]
fn sinks_know_nothing_of_the_engine() {
    let manifest = fs::read_to_string(root().join("sinks/Cargo.toml")).unwrap();
    let manifest: toml::Table = manifest.parse().unwrap();
    for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
        let names = manifest.get(section).and_then(toml::Value::as_table).into_iter().flat_map(toml::Table::keys);
        assert!(names.into_iter().all(|name| name != "auditline"), "[{section}] has `auditline`");
    }
    for path in rust_files(&root().join("sinks")) {
        let code = code(&path);
        // In quotes it is a name, not a path.
        let used = code.lines().any(|line| line.contains("auditline::") && !line.contains("\"$auditline::"));
        assert!(!used, "{} uses `auditline`", path.display());
    }
}

#[test]
fn groups_and_single_names_are_found() {
    let code =
        "use crate::event::Value;\nuse crate::{chain, source::{Cursor, Page}, config};\nlet x = crate::engine::run();";
    assert_eq!(used(code), ["event", "chain", "source", "config", "engine"]);
    assert!(climbs_out("use super::event;", 1) && !climbs_out("use super::event;", 2));
    assert!(!climbs_out("mod tests {\n use super::*;", 1));
}
