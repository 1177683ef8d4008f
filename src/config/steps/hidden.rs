//! What a `redact` makes of the value at a path, as far as that can be said before an event is there.

use crate::event::Path;
use crate::transform::sight::Content;

/// What becomes of what is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// Another text, and a different one for each.
    StandIn,
    /// A part of it stays: values that have it in common become the same.
    Part,
    /// Nothing of it stays: all become the same.
    Gone,
}

impl Effect {
    /// Whether two values can become one.
    pub fn merges(self) -> bool {
        self != Self::StandIn
    }
}

/// How sure it is that a value is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Chance {
    /// Where the vendor has there what is looked for.
    Possible,
    /// It is what is looked for with many vendors.
    Likely,
    /// It is what is looked for.
    Sure,
}

/// What happens to a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// What it becomes.
    pub effect: Effect,
    /// Whether it does.
    pub chance: Chance,
    /// The key of `redact` that says so.
    pub key: &'static str,
}

/// What one `redact` does.
#[derive(Clone, Debug, Default)]
pub struct Hidden {
    /// To e-mail addresses.
    pub emails: Option<Effect>,
    /// To IP addresses.
    pub ips: Option<Effect>,
    /// To whatever else is found in texts: the key, and the effect.
    pub texts: Vec<(&'static str, Effect)>,
    /// To fields. `None` for one that is kept.
    pub fields: Vec<(Path, Option<Effect>)>,
}

impl Hidden {
    /// All that may happen to the value at `path`.
    pub fn changes(&self, path: &Path, content: Content) -> Vec<Change> {
        let parts = path.parts();
        let covering = self.fields.iter().filter(|(pattern, _)| is_prefix(pattern.parts(), parts));
        // The longest counts, and of two that are as long the one with a name where the other has `*`.
        let rank = |pattern: &Path| {
            let stars: Vec<bool> = pattern.parts().iter().map(|part| part != "*").collect();
            (pattern.parts().len(), stars)
        };
        match covering.max_by_key(|(pattern, _)| rank(pattern)) {
            Some((_, None)) => return Vec::new(),
            Some((_, Some(effect))) => return vec![Change { effect: *effect, chance: Chance::Sure, key: "fields" }],
            None => {}
        }
        let mut changes = Vec::new();
        let mut add = |key: &'static str, effect: Option<Effect>, chance: Option<Chance>| {
            if let (Some(effect), Some(chance)) = (effect, chance) {
                changes.push(Change { effect, chance, key });
            }
        };
        let email = match content {
            Content::Email => Some(Chance::Sure),
            Content::Name => Some(Chance::Likely),
            Content::Id | Content::Text | Content::Mixed => Some(Chance::Possible),
            Content::Plain | Content::Ip => None,
        };
        let ip = match content {
            Content::Ip => Some(Chance::Sure),
            Content::Text | Content::Mixed => Some(Chance::Possible),
            Content::Plain | Content::Id | Content::Name | Content::Email => None,
        };
        let text = (content > Content::Plain && content < Content::Email).then_some(Chance::Possible);
        add("emails", self.emails, email);
        add("ips", self.ips, ip);
        for (key, effect) in &self.texts {
            add(key, Some(*effect), text);
        }
        for (pattern, effect) in &self.fields {
            add("fields", *effect, is_prefix(parts, pattern.parts()).then_some(Chance::Possible));
        }
        changes
    }
}

/// Whether `path` is what `start` names, or stands below it. `*` is any part.
fn is_prefix(start: &[String], path: &[String]) -> bool {
    start.len() <= path.len() && start.iter().zip(path).all(|(a, b)| a == b || a == "*" || b == "*")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(hidden: &Hidden, path: &str, content: Content) -> Vec<(Effect, Chance, &'static str)> {
        let changes = hidden.changes(&path.parse().unwrap(), content);
        changes.into_iter().map(|change| (change.effect, change.chance, change.key)).collect()
    }

    #[test]
    fn what_a_value_is_says_what_may_happen_to_it() {
        let hidden = Hidden { emails: Some(Effect::StandIn), ips: Some(Effect::Part), ..Hidden::default() };
        assert_eq!(changes(&hidden, "src_endpoint.ip", Content::Ip), [(Effect::Part, Chance::Sure, "ips")]);
        assert_eq!(changes(&hidden, "a.email", Content::Email), [(Effect::StandIn, Chance::Sure, "emails")]);
        assert_eq!(changes(&hidden, "a.name", Content::Name), [(Effect::StandIn, Chance::Likely, "emails")]);
        assert_eq!(changes(&hidden, "api.operation", Content::Plain), []);
        assert_eq!(changes(&hidden, "unmapped.x", Content::Mixed).len(), 2);
    }

    #[test]
    fn the_longest_path_of_fields_counts() {
        let path = |text: &str| text.parse::<Path>().unwrap();
        let fields = vec![
            (path("a.*"), Some(Effect::Gone)),
            (path("a.b"), None),
            (path("a.c.d"), Some(Effect::StandIn)),
            (path("z"), None),
        ];
        let hidden = Hidden { fields, ..Hidden::default() };
        assert_eq!(changes(&hidden, "a.b.x", Content::Email), []);
        assert_eq!(changes(&hidden, "a.x.y", Content::Plain), [(Effect::Gone, Chance::Sure, "fields")]);
        assert_eq!(changes(&hidden, "a.c.d.e", Content::Plain), [(Effect::StandIn, Chance::Sure, "fields")]);
        assert_eq!(changes(&hidden, "a", Content::Plain).len(), 2);
        assert_eq!(changes(&hidden, "b", Content::Text), []);
    }
}
