//! The connector language as it is published: its JSON Schema, and the reference made of it.

mod order;
mod program;
mod reference;
mod schema;
mod table;

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The embedded connectors: their names and files, in the order of their names.
fn connectors() -> Vec<(String, String)> {
    let entries = fs::read_dir(root().join("connectors")).expect("the folder is there");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("it can be read").path()).collect();
    paths.sort();
    let name = |path: &Path| path.file_stem().and_then(|stem| stem.to_str()).expect("a name in UTF-8").to_owned();
    paths.iter().map(|path| (name(path), fs::read_to_string(path).expect("it can be read"))).collect()
}
