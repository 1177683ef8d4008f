//! Connectors: a vendor's API described in TOML.
//!
//! A file says where the log is, how to authenticate, how to page, which windows to ask, where records stand, what
//! errors mean and how a record becomes OCSF. There is no script in it: a new need becomes a new primitive here.

mod catalogue;
mod check;
pub mod model;
mod schema;
mod template;

use std::sync::Arc;

pub use self::catalogue::{Absent, Catalogue, names, source};
pub use self::model::Definition;
pub use self::schema::schema;
pub use self::template::{Template, Tree, as_text, encoded, fill_members};
use crate::document::{Context, Document};
use crate::transform::ocsf;

/// A connector that was read and found sound.
#[derive(Debug)]
pub struct Connector {
    /// The name pipelines use, and `{vendor}` in templates.
    pub name: Arc<str>,
    /// What the file says.
    pub definition: Definition,
    /// What its events say of where they come from.
    pub identity: ocsf::Identity,
    /// Its OCSF map, checked and compiled.
    pub map: Arc<ocsf::Map>,
}

impl Connector {
    /// The embedded connector of that name; `None` when there is none.
    ///
    /// # Panics
    /// When an embedded connector is unsound, which a test rules out.
    #[must_use]
    pub fn embedded(name: &str) -> Option<Arc<Self>> {
        let text = source(name)?;
        let problems = crate::document::Problems::new();
        let connector = Self::parse(name, &format!("connectors/{name}.toml"), text, &Context::new(&problems));
        assert!(!problems.has_errors(), "{problems}");
        connector.map(Arc::new)
    }

    /// Reads a connector's text, which messages call `file`. `None` when it is unsound: why is then among the problems.
    pub fn parse(name: &str, file: &str, text: &str, context: &Context<'_>) -> Option<Self> {
        Self::from_document(name, &Document::parse(file, text, context.problems)?, context)
    }

    /// Reads a connector that was parsed already. `None` when it is unsound: why is then among the problems.
    pub fn from_document(name: &str, document: &Document, context: &Context<'_>) -> Option<Self> {
        let Some(definition) = document.decode::<Definition>(context) else {
            // The map is a language of its own: its mistakes are told whatever else is wrong.
            if let Some(map) = document.root().get("ocsf") {
                ocsf::Map::load(map, &ocsf::Identity::default(), context.problems);
            }
            return None;
        };
        let name: Arc<str> = name.into();
        let identity = ocsf::Identity {
            vendor: definition.connector.vendor.clone(),
            connector: name.to_string(),
            id: definition.decode.id.clone(),
            time: definition.decode.time.clone(),
        };
        let sound = check::check(&definition, context.problems);
        let map = ocsf::Map::load(&definition.ocsf, &identity, context.problems)?;
        sound.then(|| Self { name, definition, identity, map: Arc::new(map) })
    }
}
