//! `enrich`: what the operator knows and the vendor does not, added to every event.
//!
//! ```text
//! event ─► each kind looks up what it knows ─► Draft ─► the event, built anew once
//!               ▲
//!               └─ Kept: tables, databases and lists, read again when their files change
//! ```

mod agent;
mod draft;
mod fixed;
mod geo;
mod hosts;
mod intel;
mod kept;
mod lookup;
mod names;
mod spots;
mod table;

use std::fmt;
use std::sync::Arc;

use self::draft::Draft;
use super::{Exit, Notes, Transform, Watched};
use crate::event::{Arena, Event, Value};

pub use self::agent::{Agent, quotes};
pub use self::fixed::Fixed;
pub use self::geo::{Database, Geo, Wanted};
pub use self::intel::{Indicators, Intel};
pub use self::kept::{Content, Kept, Read, Unread};
pub use self::lookup::Lookup;
pub use self::spots::Spots;
pub use self::table::{Match, Shape, Table};

/// Adds to every event what each of its kinds knows of it, after what it has already.
///
/// A value that is absent, or that no kind knows, adds nothing. Whether `redact` comes before or after decides whether what
/// was added is redacted, and whether lookups see what is in clear.
#[derive(Default)]
pub struct Enrich {
    kinds: Vec<Box<dyn Kind>>,
}

/// Something to be known of an event. One event sees one version of the file it is read from.
pub trait Kind: Send + Sync {
    /// Adds what it knows of `body`.
    fn add<'a>(&self, body: Value<'a>, draft: &mut Draft<'a>);

    /// The file it is read from.
    fn watched(&self) -> Option<Arc<dyn Watched>> {
        None
    }
}

impl Enrich {
    /// With one more kind, which adds after the others.
    #[must_use]
    pub fn and(mut self, kind: impl Kind + 'static) -> Self {
        self.kinds.push(Box::new(kind));
        self
    }
}

impl Transform for Enrich {
    fn apply<'a>(&self, event: Event<'a>, arena: &'a Arena, _: &mut Notes) -> Result<Event<'a>, Exit> {
        let mut draft = Draft::new(event.body, arena);
        for kind in &self.kinds {
            kind.add(event.body, &mut draft);
        }
        Ok(Event { body: draft.finish(), ..event })
    }

    fn watched(&self) -> Vec<Arc<dyn Watched>> {
        self.kinds.iter().filter_map(|kind| kind.watched()).collect()
    }
}

impl fmt::Display for Enrich {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("enrich")
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::Value as Json;

    use super::kept::Read;
    use super::*;
    use crate::event::json;
    use crate::transform::ocsf::{tests, validate};

    /// What becomes of an event.
    pub fn apply(kind: impl Kind + 'static, body: &str) -> String {
        let arena = Arena::new();
        let body = json::decode(body.as_bytes(), &arena).unwrap();
        let event = Event { id: "r-1", time: chrono::DateTime::UNIX_EPOCH, body };
        let enrich = Enrich::default().and(kind);
        assert_eq!(enrich.to_string(), "enrich");
        json::to_string(&enrich.apply(event, &arena, &mut Notes::default()).unwrap().body)
    }

    pub fn apply_json(kind: impl Kind + 'static, body: &Json) -> Json {
        serde_json::from_str(&apply(kind, &body.to_string())).unwrap()
    }

    /// An OCSF event with all that is looked up by default.
    pub fn ocsf() -> Json {
        let map = tests::load(tests::TINY, &tests::identity("Example", "example", &[], &[]));
        let arena = Arena::new();
        let event = Event { id: "r-1", time: chrono::DateTime::UNIX_EPOCH, body: Value::Null };
        let mut event: Json = serde_json::from_str(&json::to_string(&map.apply(&event, &arena).unwrap())).unwrap();
        event["src_endpoint"] = serde_json::json!({ "ip": "198.51.100.7" });
        event["http_request"] = serde_json::json!({ "user_agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) \
            Gecko/20100101 Firefox/128.0" });
        event["actor"] = serde_json::json!({ "user": { "uid": "u-1", "email_addr": "Anna@mail.corp.example" } });
        assert_eq!(validate::problems(&event), [""; 0]);
        event
    }

    /// What becomes of such an event, which must stay valid.
    pub fn valid_ocsf(kind: impl Kind + 'static) -> Json {
        let enriched = apply_json(kind, &ocsf());
        assert_eq!(validate::problems(&enriched), [""; 0], "{enriched:#}");
        enriched
    }

    /// An ECS event with all that is looked up by default.
    pub fn ecs() -> Json {
        serde_json::json!({
            "ecs": { "version": "8.17.0" },
            "source": { "ip": "198.51.100.7" },
            "user": { "email": "Anna@mail.corp.example" },
            "user_agent": { "original": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0" },
        })
    }

    /// A file with this text, as it is read.
    pub fn kept<T>(text: &str, read: Read<T>) -> (Kept<T>, Vec<String>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, text).unwrap();
        Kept::open(&path, read).unwrap()
    }

    /// The database of the example.
    pub fn example(name: &str) -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/enrich/data").join(name)
    }
}
