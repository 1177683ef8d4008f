//! The order in which the model declares its keys, which JSON Schema does not keep.

use std::fs;
use std::path::Path;

use super::root;

/// The model's source.
pub struct Order {
    text: String,
}

impl Order {
    pub fn new() -> Self {
        let mut text = String::new();
        for folder in ["src/connector", "src/transform/ocsf"] {
            collect(&root().join(folder), &mut text);
        }
        Self { text }
    }

    /// Sorts the keys of a table: as its type declares them, and by their names where it does not.
    pub fn sort<T>(&self, keys: &mut [(String, T)], definition: &str, variant: Option<&str>) {
        let declared = self.declared(definition, variant);
        let place = |key: &String| declared.iter().position(|known| known == key).unwrap_or(usize::MAX);
        keys.sort_by_key(|(key, _)| (place(key), key.clone()));
    }

    /// The fields of a struct, or of an enum's variant.
    fn declared(&self, definition: &str, variant: Option<&str>) -> Vec<&str> {
        let kind = if variant.is_some() { "enum" } else { "struct" };
        let Some((_, rest)) = self.text.split_once(&format!("pub {kind} {definition} {{\n")) else { return Vec::new() };
        let body = rest.split("\n}").next().unwrap_or_default();
        let body = match variant {
            None => body,
            Some(variant) => {
                let opening = format!("\n    {} {{\n", camel_case(variant));
                let Some((_, rest)) = body.split_once(&opening) else { return Vec::new() };
                rest.split("\n    }").next().unwrap_or_default()
            }
        };
        body.lines().filter_map(field).collect()
    }
}

fn collect(folder: &Path, text: &mut String) {
    let mut paths: Vec<_> =
        fs::read_dir(folder).expect("the folder is there").map(|entry| entry.expect("it can be read").path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            collect(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&fs::read_to_string(path).expect("it can be read"));
        }
    }
}

/// The name of the field that a line declares.
fn field(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let line = line.strip_prefix("pub ").unwrap_or(line);
    let (name, rest) = line.split_once(": ")?;
    let name = name.strip_prefix("r#").unwrap_or(name);
    let is_name = name.chars().all(|char| char.is_ascii_alphanumeric() || char == '_');
    (is_name && rest.ends_with(',')).then_some(name)
}

fn camel_case(snake: &str) -> String {
    let capital = |word: &str| word[..1].to_uppercase() + &word[1..];
    snake.split('_').filter(|word| !word.is_empty()).map(capital).collect()
}
