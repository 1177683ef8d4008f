//! `auditline schema`: what a file may say, in JSON Schema, for editors and checks.

use clap::{Args, ValueEnum};

use super::print;
use crate::connector;

/// Print the JSON Schema of a kind of file, for editors.
#[derive(Debug, Args)]
pub struct Schema {
    /// The kind of file.
    kind: Kind,
}

/// The kinds of files that have a schema.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    /// A connector: `connectors/NAME.toml`.
    Connector,
}

impl Schema {
    pub fn main(self) -> u8 {
        let schema = match self.kind {
            Kind::Connector => connector::schema(),
        };
        print(&format!("{schema:#}\n"))
    }
}
