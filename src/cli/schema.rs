//! `auditline schema`: what a file may say, for editors and checks; and what an index should know of our events.

use clap::{Args, Subcommand};

use super::index_template::IndexTemplate;
use super::print;
use crate::connector;

/// Print the JSON Schema of a kind of file, for editors; or an index template for our events.
#[derive(Debug, Args)]
pub struct Schema {
    #[command(subcommand)]
    kind: Kind,
}

/// What has a schema.
#[derive(Debug, Subcommand)]
enum Kind {
    /// The JSON Schema of a connector: `connectors/NAME.toml`.
    Connector,
    /// The index template with which Elasticsearch and OpenSearch take our events.
    IndexTemplate(IndexTemplate),
}

impl Schema {
    pub fn main(self) -> u8 {
        let schema = match self.kind {
            Kind::Connector => connector::schema(),
            Kind::IndexTemplate(template) => template.body(),
        };
        print(&format!("{schema:#}\n"))
    }
}
