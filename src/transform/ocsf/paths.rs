//! What may stand at a path of an OCSF event, and which path was meant where nothing does.

use super::scalar::Scalar;
use super::schema::{Attribute, Fields, Kind, schema};
use crate::document::did_you_mean;
use crate::event::Path;
use crate::transform::sight::{Content, Sight};

/// The part of a path that any name and any index is.
const ANY: &str = "*";

/// Texts that name what the vendor's program does, and nobody.
const WORDS: [&str; 6] = ["operation", "event_code", "log_name", "log_level", "vendor_name", "tenant_uid"];

/// A path that events have, near one that was written.
struct Near {
    /// How many of its parts are others.
    changes: usize,
    parts: Vec<String>,
    content: Option<Content>,
}

impl Near {
    fn written(&self) -> String {
        let part = |part: &String| if part.contains('.') { format!("\"{part}\"") } else { part.clone() };
        self.parts.iter().map(part).collect::<Vec<_>>().join(".")
    }
}

/// What an event of some class, with whatever profiles, may have at `path`. `item` is how an item of a list is picked where
/// that was forgotten: `0`, or `*` where it may be any.
#[must_use]
pub fn look(path: &Path, item: &str) -> Sight {
    let mut best: Option<Near> = None;
    for class in &schema().classes {
        let Some(near) = nearest(&class.fields, path.parts(), item) else { continue };
        match &mut best {
            Some(best) if best.changes < near.changes => {}
            // What it may be in any class counts.
            Some(best) if best.changes == 0 && near.changes == 0 => best.content = best.content.max(near.content),
            _ => best = Some(near),
        }
    }
    match best {
        Some(Near { changes: 0, content: Some(content), .. }) => Sight::Known(content),
        Some(Near { changes: 0, content: None, .. }) => Sight::Free,
        near => Sight::Nothing { near: near.map(|near| near.written()) },
    }
}

fn nearest(fields: &Fields, path: &[String], item: &str) -> Option<Near> {
    let Some((name, below)) = path.split_first() else {
        return Some(Near { changes: 0, parts: Vec::new(), content: Some(Content::Mixed) });
    };
    if fields.attributes.is_empty() {
        return Some(Near { changes: 0, parts: path.to_vec(), content: None });
    }
    if name == ANY {
        let found = fields.attributes.iter().filter_map(|attribute| behind(fields, attribute, below, item));
        let exact = found.filter(|near| near.changes == 0).max_by_key(|near| near.content)?;
        return Some(Near { parts: path.to_vec(), ..exact });
    }
    let known = fields.get(name);
    let attribute = match known {
        Some(attribute) => attribute,
        None => fields.get(did_you_mean(name, fields.attributes.iter().map(|attribute| attribute.name))?)?,
    };
    let mut near = behind(fields, attribute, below, item)?;
    near.changes += usize::from(known.is_none());
    near.parts.insert(0, attribute.name.to_owned());
    Some(near)
}

/// What stands below an attribute of `fields`, its own name left out.
fn behind(fields: &Fields, attribute: &Attribute, below: &[String], item: &str) -> Option<Near> {
    let picks = |part: &String| part == ANY || part.parse::<usize>().is_ok();
    let (picked, below, forgotten) = match below {
        [first, below @ ..] if attribute.list && picks(first) => (Some(first.as_str()), below, false),
        // A list has no members, its items do.
        [_, ..] if attribute.list && matches!(attribute.kind, Kind::Object(_)) => (Some(item), below, true),
        below => (None, below, false),
    };
    let mut near = match attribute.kind {
        Kind::Object(name) => nearest(schema().object(name)?, below, item)?,
        Kind::Scalar(Scalar::Json) => Near { changes: 0, parts: below.to_vec(), content: None },
        Kind::Scalar(scalar) if below.is_empty() => {
            Near { changes: 0, parts: Vec::new(), content: Some(content(fields, attribute, scalar)) }
        }
        Kind::Scalar(_) => return None,
    };
    near.changes += usize::from(forgotten);
    near.parts.splice(0..0, picked.map(str::to_owned));
    Some(near)
}

fn content(fields: &Fields, attribute: &Attribute, scalar: Scalar) -> Content {
    let is_word = || {
        schema().words(attribute).is_some()
            || fields.chooser_of(attribute.name).is_some()
            || WORDS.contains(&attribute.name)
    };
    match scalar {
        Scalar::Email => Content::Email,
        Scalar::Ip | Scalar::Subnet => Content::Ip,
        Scalar::Text if is_word() => Content::Plain,
        Scalar::Text => match schema().observable(attribute).map(|kind| kind.caption) {
            Some("User Name") => Content::Name,
            Some("User Object: uid") => Content::Id,
            _ => Content::Text,
        },
        Scalar::Json => Content::Mixed,
        _ => Content::Plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sight(path: &str) -> Sight {
        look(&path.parse().unwrap(), "0")
    }

    #[test]
    fn what_stands_at_a_path_is_known() {
        for (path, content) in [
            ("actor.user.email_addr", Content::Email),
            ("actor.user.name", Content::Name),
            ("actor.user.uid", Content::Id),
            ("src_endpoint.ip", Content::Ip),
            ("http_request.x_forwarded_for.0", Content::Ip),
            ("http_request.user_agent", Content::Text),
            ("resources.0.uid", Content::Text),
            ("api.operation", Content::Plain),
            ("activity_name", Content::Plain),
            ("time", Content::Plain),
            ("status_id", Content::Plain),
            ("actor.user", Content::Mixed),
            ("observables.*.value", Content::Text),
            ("*.ip", Content::Ip),
        ] {
            assert_eq!(sight(path), Sight::Known(content), "{path}");
        }
        for path in ["unmapped.x.y", "unmapped.*", "entity.data.x", "enrichments.0.data.team", "metadata.tags.0.name"] {
            assert!(!matches!(sight(path), Sight::Nothing { .. }), "{path}");
        }
    }

    #[test]
    fn a_slip_is_told_with_what_was_meant() {
        for (path, near) in [
            ("actor.usr.name", Some("actor.user.name")),
            ("src_endpoint.ipp", Some("src_endpoint.ip")),
            ("unmaped.*", Some("unmapped.*")),
            ("api.operatoin", Some("api.operation")),
            ("actor.usr.nmae", Some("actor.user.name")),
            ("resources.uid", Some("resources.0.uid")),
            ("actor.user.name.first", None),
            ("client.address", None),
            ("actor.user.email_addr.*", None),
        ] {
            assert_eq!(sight(path), Sight::Nothing { near: near.map(str::to_owned) }, "{path}");
        }
    }
}
