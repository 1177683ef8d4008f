//! What may stand at a path of an ECS event, and which path was meant where nothing does.

use super::OWN;
use super::fields::{Field, fields};
use crate::document::did_you_mean;
use crate::event::Path;
use crate::transform::sight::{Content, Sight};

/// Where names are ours, the vendor's or the operator's: everything that ECS has no place for, and what `enrich` adds.
const FREE: [&str; 3] = [OWN, "labels", "threat"];

/// What an event may have at `path`.
#[must_use]
pub fn look(path: &Path) -> Sight {
    let is_index = |part: &str| part.parse::<usize>().is_ok();
    let parts: Vec<&str> = path.parts().iter().map(String::as_str).filter(|part| !is_index(part)).collect();
    if parts.first().is_none_or(|first| FREE.contains(first)) {
        return Sight::Free;
    }
    let found = fields().iter().filter_map(|(name, field)| content(name, field, &parts));
    match found.max() {
        Some(content) => Sight::Known(content),
        None => {
            let near = did_you_mean(&parts.join("."), fields().keys().copied());
            Sight::Nothing { near: near.map(str::to_owned) }
        }
    }
}

/// What stands at the path if it leads to this field, or to what holds it.
fn content(name: &str, field: &Field, path: &[&str]) -> Option<Content> {
    let own: Vec<&str> = name.split('.').collect();
    let is_alike = path.iter().zip(&own).all(|(part, own)| *part == "*" || part == own);
    if !is_alike || (path.len() > own.len() && field.kind != "geo_point" && path.get(own.len()) != Some(&"*")) {
        return None;
    }
    let last = own.last().copied().unwrap_or_default();
    Some(match field.kind {
        _ if path.len() < own.len() => Content::Mixed,
        "ip" => Content::Ip,
        "keyword" if !field.words.is_empty() || own.first() == Some(&"event") => Content::Plain,
        "keyword" if last == "email" => Content::Email,
        "keyword" if own.contains(&"user") && last == "name" => Content::Name,
        "keyword" if own.contains(&"user") && last == "id" => Content::Id,
        "keyword" | "wildcard" | "match_only_text" => Content::Text,
        _ => Content::Plain,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_at_a_path_is_known_and_a_slip_is_told() {
        let sight = |path: &str| look(&path.parse().unwrap());
        for (path, content) in [
            ("source.ip", Content::Ip),
            ("user.email", Content::Email),
            ("user.target.name", Content::Name),
            ("event.action", Content::Plain),
            ("source.geo.location.lat", Content::Plain),
            ("user", Content::Mixed),
            ("related.ip.0", Content::Ip),
            ("tags.*", Content::Text),
        ] {
            assert_eq!(sight(path), Sight::Known(content), "{path}");
        }
        for path in ["auditline.unmapped.x", "labels.team", "threat.enrichments.0.indicator.ip"] {
            assert_eq!(sight(path), Sight::Free, "{path}");
        }
        assert_eq!(sight("user.emial"), Sight::Nothing { near: Some("user.email".to_owned()) });
        assert!(matches!(sight("actor.user.uid"), Sight::Nothing { .. }));
    }
}
