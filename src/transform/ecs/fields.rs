//! The list of ECS: what fields there are.

use std::collections::BTreeMap;
use std::sync::OnceLock;

/// A field, as ECS has it.
#[derive(Debug)]
pub struct Field {
    /// `keyword`, `long`, `ip` …
    pub kind: &'static str,
    /// Whether it is always a list.
    pub list: bool,
    /// All values it may have, each with the types that go with it; none where any is allowed.
    pub words: Vec<(&'static str, Vec<&'static str>)>,
}

/// The fields of ECS that an audit log can use, by name.
pub fn fields() -> &'static BTreeMap<&'static str, Field> {
    static FIELDS: OnceLock<BTreeMap<&'static str, Field>> = OnceLock::new();
    FIELDS.get_or_init(|| {
        let lines = include_str!("fields-9.4.0.txt").lines().filter(|line| !line.starts_with('#'));
        lines.filter(|line| *line != format!("version {}", super::VERSION)).map(field).collect()
    })
}

fn field(line: &'static str) -> (&'static str, Field) {
    let (head, words) = line.split_once(" = ").unwrap_or((line, ""));
    let (name, kind) = head.split_once(' ').expect("a line has a name and a type");
    let (kind, list) = kind.strip_suffix("[]").map_or((kind, false), |kind| (kind, true));
    let word = |word: &'static str| match word.split_once(':') {
        Some((word, types)) => (word, types.split(',').collect()),
        None => (word, Vec::new()),
    };
    (name, Field { kind, list, words: words.split_whitespace().map(word).collect() })
}
