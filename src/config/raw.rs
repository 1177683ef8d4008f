//! The files as written. Each field is the documentation of the key of that name.

use std::collections::BTreeMap;

use auditline_sinks::SinkConfig;
use auditline_sinks::units::{ByteSize, HumanDuration};
use serde::Deserialize;

use crate::document::{Context, Document, Node, Spanned};

/// `auditline.toml`
#[derive(Debug, Deserialize)]
pub struct Main {
    /// Where the journal is kept. The folder is made when it is not there.
    #[serde(default)]
    pub state_dir: Option<String>,
    /// The pipelines' files, `*` standing for any run of characters in a name. Relative to this file.
    #[serde(default)]
    #[expect(dead_code, reason = "read before the rest of the file, and here only checked to be a list of texts")]
    pub pipelines: Option<Vec<Spanned<String>>>,
    /// Files of connectors of the operator's own, named as `pipelines` are.
    #[serde(default)]
    #[expect(dead_code, reason = "read before the rest of the file, and here only checked to be a list of texts")]
    pub connectors: Option<Vec<Spanned<String>>>,
    /// How big the journal may grow.
    #[serde(default)]
    pub journal: Journal,
    /// How long sinks may take to finish after SIGTERM.
    #[serde(default)]
    pub grace: Option<HumanDuration>,
    /// The destinations, by the names pipelines use.
    #[serde(default)]
    #[expect(
        dead_code,
        reason = "read apart, so that a mistake elsewhere in the file does not hide those of the sinks"
    )]
    pub sinks: Option<Node>,
}

/// `[journal]`
#[derive(Debug, Default, Deserialize)]
pub struct Journal {
    /// Reading stops when the journal holds so much that the sinks have not taken.
    #[serde(default)]
    pub max_size: Option<Spanned<ByteSize>>,
}

/// A pipeline's file. Its parts are read apart, so that a mistake in one does not hide those of another.
#[derive(Debug, Deserialize)]
pub struct Pipeline {
    /// One connector's name and its settings.
    #[serde(default)]
    pub source: Option<Node>,
    /// What happens to each event, in this order.
    #[serde(default)]
    pub transform: Option<Node>,
    /// The sinks it goes to.
    #[serde(default)]
    pub to: Option<Node>,
    /// Its own tests: records, and what becomes of them.
    #[serde(default)]
    pub example: Option<Node>,
}

/// `[source]`: a connector's name and its settings.
pub type Source = Spanned<BTreeMap<Spanned<String>, Node>>;

/// `sweep = { … }`: how late records are looked for that the overlap does not reach.
#[derive(Debug, Default, Deserialize)]
pub struct Sweep {
    /// How much time lies between two sweeps.
    #[serde(default)]
    pub every: Option<Spanned<HumanDuration>>,
    /// How far a sweep reaches back; `"0s"` for none.
    #[serde(default)]
    pub back: Option<HumanDuration>,
}

/// `[source.file]`
#[derive(Debug, Deserialize)]
pub struct FileSource {
    /// The files: a path, or a pattern with `*`, `?` and `**`. Relative to this file.
    pub path: Spanned<String>,
    /// The connector whose records they hold, one a line.
    pub connector: Spanned<String>,
    /// Whether files may still grow, and others be added.
    #[serde(default)]
    pub follow: Option<bool>,
    /// How long it waits when it has read everything.
    #[serde(default)]
    pub poll: Option<Spanned<HumanDuration>>,
}

/// `[to]`: sinks by name, each with a [`To`].
pub type Targets = Spanned<BTreeMap<Spanned<String>, Node>>;

/// `[to.NAME]`
#[derive(Debug, Default, Deserialize)]
pub struct To {
    /// How much is gathered before it is delivered.
    #[serde(default)]
    pub batch: Batch,
    /// What it means when the destination takes no record at all.
    #[serde(default)]
    pub all_rejected: AllRejected,
}

/// What it means when a destination refuses one record after the other and takes none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AllRejected {
    /// Something is set wrong there or here: they are kept until a person has mended it.
    #[default]
    Wait,
    /// These records are like that: each becomes a dead letter.
    DeadLetter,
}

/// `batch = { … }`: whatever is reached first closes a batch.
#[derive(Debug, Default, Deserialize)]
pub struct Batch {
    /// Records in a batch.
    #[serde(default)]
    pub max_records: Option<Spanned<u32>>,
    /// JSON bytes in a batch.
    #[serde(default)]
    pub max_bytes: Option<ByteSize>,
    /// How long the oldest record waits.
    #[serde(default)]
    pub max_wait: Option<HumanDuration>,
}

/// Only `pipelines` or `connectors` of the main file, so that the files it names are read before everything is checked.
pub fn globs(main: &Document, key: &str) -> Vec<Spanned<String>> {
    let node = main.root().get(key);
    let items = node.and_then(Node::as_array).unwrap_or_default();
    // What is no text is reported when the whole file is decoded.
    items.iter().filter_map(|item| Some(Spanned::new(item.as_str()?.to_owned(), item.place()))).collect()
}

/// The sinks of the main file by name, each to be decoded on its own.
pub fn sinks(main: &Document, context: &Context<'_>) -> Option<BTreeMap<Spanned<String>, Node>> {
    main.root().get("sinks").map_or_else(|| Some(BTreeMap::new()), |node| node.decode(context))
}

/// A sink's own table, decoded by its kind. The files it names lie beside the file it stands in.
pub fn sink(node: &Node, context: &Context<'_>) -> Option<SinkConfig> {
    let config: SinkConfig = node.decode(context)?;
    Some(config.rooted_in(node.file().folder()))
}
