//! Sinks whose secrets lie in files: each is made anew when one of the files has changed, so that a credential rotates
//! without a restart.

use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use auditline_sinks::{Batch, Delivery, DeliveryError, Sink, SinkConfig};
use sha2::{Digest as _, Sha256};
use tracing::{info, warn};

use super::raw;
use crate::chain;
use crate::document::{Context, Node, Problems};

/// Digests of what the files of a sink's secrets hold, in their order; nothing for one that cannot be read.
type Contents = Vec<Option<[u8; 32]>>;

/// A sink's table, and what the files of its secrets held when it was read.
pub(super) struct Secrets {
    node: Node,
    files: Vec<PathBuf>,
    contents: Contents,
}

impl Secrets {
    /// Looks at the files. To be called before the table is decoded: what is written in between is then seen later.
    pub fn of(node: &Node) -> Self {
        let mut files = Vec::new();
        find(node, &mut files);
        // A pipe gives what it holds to one reader, and whoever reads it again may wait for ever.
        files.retain(|file| fs::metadata(file).is_ok_and(|about| about.is_file()));
        let contents = read(&files);
        Self { node: node.clone(), files, contents }
    }

    /// The sink, which from now on looks at the files before each batch. As it is where there are none.
    pub fn renew(self, sink: Arc<dyn Sink>) -> Arc<dyn Sink> {
        if self.files.is_empty() {
            return sink;
        }
        let Self { node, files, contents } = self;
        Arc::new(Renewed { node, files, held: Mutex::new(Held { sink, contents, in_vain: None }) })
    }
}

/// All `{ file = "…" }` below a node.
fn find(node: &Node, files: &mut Vec<PathBuf>) {
    for item in node.as_array().unwrap_or_default() {
        find(item, files);
    }
    let entries: Vec<_> = node.as_table().into_iter().flatten().collect();
    if let [(name, value)] = entries.as_slice()
        && name.value == "file"
        && let Some(path) = value.as_str()
    {
        files.push(node.file().folder().join(path));
    }
    for (_, value) in entries {
        find(value, files);
    }
}

fn read(files: &[PathBuf]) -> Contents {
    files.iter().map(|file| fs::read(file).ok().map(|text| Sha256::digest(text).into())).collect()
}

struct Renewed {
    node: Node,
    files: Vec<PathBuf>,
    /// Held while small files are read, and never across an await.
    held: Mutex<Held>,
}

struct Held {
    sink: Arc<dyn Sink>,
    /// What it was made of.
    contents: Contents,
    /// What no sink could be made of: a person was told.
    in_vain: Option<Contents>,
}

impl Renewed {
    /// The sink, with the secrets as they are now. Batches that are under way end with the one they began with.
    fn now(&self) -> Arc<dyn Sink> {
        let contents = read(&self.files);
        let mut held = self.held.lock().expect("no panic while the lock is held");
        if contents == held.contents || held.in_vain.as_ref() == Some(&contents) {
            return Arc::clone(&held.sink);
        }
        match self.make() {
            Ok(sink) => {
                info!(%sink, "a secret has changed, and is used from now on");
                *held = Held { sink, contents, in_vain: None };
            }
            // Whoever replaces the file may be half way through.
            Err(reason) => {
                warn!(sink = %held.sink, reason, "a secret has changed and cannot be used: the last one goes on");
                held.in_vain = Some(contents);
            }
        }
        Arc::clone(&held.sink)
    }

    fn make(&self) -> Result<Arc<dyn Sink>, String> {
        let problems = Problems::new();
        let config: Option<SinkConfig> = raw::sink(&self.node, &Context::new(&problems));
        match config.filter(|_| !problems.has_errors()) {
            Some(config) => config.build().map_err(|error| chain(&error)),
            None => Err(problems.to_string()),
        }
    }
}

#[async_trait]
impl Sink for Renewed {
    async fn check(&self) -> Result<(), DeliveryError> {
        self.now().check().await
    }

    async fn deliver(&self, batch: &Batch) -> Result<Delivery, DeliveryError> {
        self.now().deliver(batch).await
    }

    fn wanted_bytes(&self, pipeline: &str) -> Option<u64> {
        self.held.lock().expect("no panic while the lock is held").sink.wanted_bytes(pipeline)
    }
}

impl fmt::Display for Renewed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.held.lock().expect("no panic while the lock is held").sink.fmt(out)
    }
}
