//! `redact = { … }`: what becomes of addresses, secrets and fields.

use std::collections::BTreeMap;

use auditline_sinks::secret::Secret;
use serde::Deserialize;

use super::hidden::{Effect, Hidden};
use crate::document::{Context, Place, Problem, Spanned};
use crate::event::Path;
use crate::transform::redact::{
    EmailAction, FieldAction, Fields, IpAction, Key, Pattern, PatternError, Policy, PolicyError, Redact, Redactor,
    TextAction,
};

/// The epoch of a key that stands alone.
const FIRST_EPOCH: u16 = 1;

/// As the file says it. Each field is the documentation of the key of that name.
#[derive(Debug, Deserialize)]
pub struct Written {
    /// What becomes of e-mail addresses.
    #[serde(default)]
    emails: Option<Spanned<EmailAction>>,
    /// What becomes of IP addresses.
    #[serde(default)]
    ips: Option<Spanned<IpAction>>,
    /// What becomes of telephone numbers.
    #[serde(default)]
    phones: Option<Spanned<TextAction>>,
    /// What becomes of JSON Web Tokens.
    #[serde(default)]
    jwts: Option<Spanned<TextAction>>,
    /// What becomes of API keys and private keys.
    #[serde(default)]
    api_keys: Option<Spanned<TextAction>>,
    /// What becomes of card numbers.
    #[serde(default)]
    cards: Option<Spanned<TextAction>>,
    /// Own expressions.
    #[serde(default)]
    patterns: Vec<WrittenPattern>,
    /// What becomes of single fields, by path.
    #[serde(default)]
    fields: BTreeMap<Spanned<String>, Spanned<FieldAction>>,
    /// The key of stand-ins.
    #[serde(default)]
    key: Option<Spanned<Secret>>,
    /// Several keys, by epoch.
    #[serde(default)]
    keys: Option<Spanned<BTreeMap<Spanned<String>, Spanned<Secret>>>>,
}

#[derive(Debug, Deserialize)]
struct WrittenPattern {
    /// What messages and masks call it.
    name: Spanned<String>,
    /// The expression.
    pattern: Spanned<String>,
    /// What becomes of what it matches.
    action: Spanned<TextAction>,
}

impl Written {
    /// The fields it names, and whether it hides them. What is no path is left out.
    pub fn paths(&self) -> impl Iterator<Item = (Spanned<Path>, bool)> {
        let parsed = |(path, action): (&Spanned<String>, &Spanned<FieldAction>)| {
            Some((Spanned::new(path.parse().ok()?, path.place.clone()), action.value != FieldAction::Keep))
        };
        self.fields.iter().filter_map(parsed)
    }

    /// What it makes of values.
    pub fn hidden(&self) -> Hidden {
        let of_text = |action: TextAction| match action {
            TextAction::Mask | TextAction::Remove => Effect::Gone,
            TextAction::Pseudonym | TextAction::Encrypt => Effect::StandIn,
        };
        let of_field = |action: FieldAction| match action {
            FieldAction::Mask | FieldAction::Remove => Some(Effect::Gone),
            FieldAction::Pseudonym | FieldAction::Encrypt => Some(Effect::StandIn),
            FieldAction::Keep => None,
        };
        let texts =
            [("phones", &self.phones), ("jwts", &self.jwts), ("api_keys", &self.api_keys), ("cards", &self.cards)];
        let found = texts.into_iter().filter_map(|(key, action)| Some((key, of_text(action.as_ref()?.value))));
        let patterns = self.patterns.iter().map(|pattern| ("patterns", of_text(pattern.action.value)));
        let fields = self.fields.iter().filter_map(|(path, action)| Some((path.parse().ok()?, of_field(action.value))));
        Hidden {
            emails: self.emails.as_ref().map(|action| match action.value {
                EmailAction::Mask | EmailAction::Remove => Effect::Gone,
                EmailAction::KeepDomain => Effect::Part,
                EmailAction::Pseudonym | EmailAction::Encrypt => Effect::StandIn,
            }),
            ips: self.ips.as_ref().map(|action| match action.value {
                IpAction::Mask | IpAction::Remove => Effect::Gone,
                IpAction::Truncate => Effect::Part,
                IpAction::Pseudonym | IpAction::Encrypt => Effect::StandIn,
            }),
            texts: found.chain(patterns).collect(),
            fields: fields.collect(),
        }
    }

    pub fn build(&self, step: &Place, context: &Context<'_>) -> Option<Redact> {
        if self.is_empty() {
            let problem = Problem::error("this step redacts nothing").at(step);
            context.problems.push(problem.hint("say what becomes of `emails`, of `ips`, or of both"));
            return None;
        }
        let patterns = self.patterns(context);
        let fields = self.fields(context);
        let keys = self.keys(context);
        let (patterns, fields, keys) = (patterns?, fields?, keys?);
        let policy = Policy {
            emails: self.emails.as_ref().map(|action| action.value),
            ips: self.ips.as_ref().map(|action| action.value),
            phones: self.phones.as_ref().map(|action| action.value),
            jwts: self.jwts.as_ref().map(|action| action.value),
            api_keys: self.api_keys.as_ref().map(|action| action.value),
            cards: self.cards.as_ref().map(|action| action.value),
            patterns,
            fields,
            key: keys.last().cloned(),
        };
        self.warn_of_idle_keys(context);
        match Redactor::new(policy) {
            Ok(redactor) => Some(Redact::new(redactor).with_keys(keys)),
            Err(error) => {
                let place = match &error {
                    PolicyError::MissingKey { option, .. } => self.place_of(option),
                    PolicyError::ShortKey { .. } => None,
                };
                refuse(&error, place.unwrap_or(step), context);
                None
            }
        }
    }

    fn is_empty(&self) -> bool {
        let texts = [&self.phones, &self.jwts, &self.api_keys, &self.cards];
        let none = self.emails.is_none() && self.ips.is_none() && texts.iter().all(|text| text.is_none());
        none && self.patterns.is_empty() && self.fields.is_empty()
    }

    /// Where the action of that option stands: a detector's name, a pattern's or a path.
    fn place_of(&self, option: &str) -> Option<&Place> {
        match option {
            "emails" => self.emails.as_ref().map(|action| &action.place),
            "ips" => self.ips.as_ref().map(|action| &action.place),
            "phones" => self.phones.as_ref().map(|action| &action.place),
            "jwts" => self.jwts.as_ref().map(|action| &action.place),
            "api_keys" => self.api_keys.as_ref().map(|action| &action.place),
            "cards" => self.cards.as_ref().map(|action| &action.place),
            option => {
                let pattern = self.patterns.iter().find(|pattern| *pattern.name == option);
                let is_field = |path: &str| path.parse::<Path>().is_ok_and(|path| path.to_string() == option);
                let field = || self.fields.iter().find(|(path, _)| is_field(path)).map(|(_, action)| &action.place);
                pattern.map(|pattern| &pattern.action.place).or_else(field)
            }
        }
    }

    fn patterns(&self, context: &Context<'_>) -> Option<Vec<Pattern>> {
        let mut names: Vec<&str> = Vec::new();
        let built = self.patterns.iter().map(|written| {
            if names.contains(&written.name.as_str()) {
                context.problems.error_at(&written.name.place, format!("two patterns are called `{}`", *written.name));
                return None;
            }
            names.push(&written.name);
            let built = Pattern::new(&written.name, &written.pattern, written.action.value);
            let of_name = matches!(built, Err(PatternError::Name(_)));
            let place = if of_name { &written.name.place } else { &written.pattern.place };
            built
                .map_err(|error| {
                    let problem = Problem::error(error.to_string()).at(place);
                    context.problems.push(problem.hint(error.hint()));
                })
                .ok()
        });
        let built: Vec<Option<Pattern>> = built.collect();
        built.into_iter().collect()
    }

    fn fields(&self, context: &Context<'_>) -> Option<Fields> {
        let mut fields = Fields::default();
        let mut is_sound = true;
        for (path, action) in &self.fields {
            match path.parse::<Path>() {
                Ok(parsed) => fields.add(parsed, action.value),
                Err(error) => {
                    let problem = Problem::error(error.to_string()).at(&path.place);
                    context
                        .problems
                        .push(problem.hint("a path is written as in `actor.user.name`, with `*` for any part"));
                    is_sound = false;
                }
            }
        }
        is_sound.then_some(fields)
    }

    /// The keys there are, by epoch. `None` when one of them is wrong.
    fn keys(&self, context: &Context<'_>) -> Option<Vec<Key>> {
        let mut written: Vec<(Option<u16>, &Spanned<Secret>)> = Vec::new();
        if let Some(key) = &self.key {
            written.push((Some(FIRST_EPOCH), key));
        }
        if let (Some(_), Some(keys)) = (&self.key, &self.keys) {
            let problem = Problem::error("`keys` beside `key`: only one can be meant").at(&keys.place);
            context.problems.push(problem.hint("`key` is epoch 1: write it as `1 = …` into `keys`"));
            return None;
        }
        for (epoch, secret) in self.keys.iter().flat_map(|keys| &keys.value) {
            let number = epoch.parse::<u16>().ok().filter(|number| *number > 0 && number.to_string() == epoch.value);
            if number.is_none() {
                let problem = Problem::error(format!("`{epoch}` is no epoch of a key")).at(&epoch.place);
                context
                    .problems
                    .push(problem.hint("epochs are numbers from 1 to 65535; the highest makes new stand-ins"));
            }
            written.push((number, secret));
        }
        let mut keys: Vec<Key> = Vec::new();
        let mut is_sound = true;
        for (epoch, secret) in written {
            match (epoch, Key::new(epoch.unwrap_or(FIRST_EPOCH), secret.expose().as_bytes())) {
                (_, Err(error)) => {
                    refuse(&error, &secret.place, context);
                    is_sound = false;
                }
                (Some(_), Ok(key)) => keys.push(key),
                (None, Ok(_)) => is_sound = false,
            }
        }
        keys.sort_by_key(Key::epoch);
        is_sound.then_some(keys)
    }

    fn warn_of_idle_keys(&self, context: &Context<'_>) {
        let texts = [&self.phones, &self.jwts, &self.api_keys, &self.cards];
        let keyed = |action: TextAction| matches!(action, TextAction::Pseudonym | TextAction::Encrypt);
        let is_used =
            self.emails.as_ref().is_some_and(|a| matches!(a.value, EmailAction::Pseudonym | EmailAction::Encrypt))
                || self.ips.as_ref().is_some_and(|a| matches!(a.value, IpAction::Pseudonym | IpAction::Encrypt))
                || texts.iter().any(|text| text.as_ref().is_some_and(|action| keyed(action.value)))
                || self.patterns.iter().any(|pattern| keyed(pattern.action.value))
                || self.fields.values().any(|a| matches!(a.value, FieldAction::Pseudonym | FieldAction::Encrypt));
        let place = self.key.as_ref().map(|key| &key.place).or(self.keys.as_ref().map(|keys| &keys.place));
        if let Some(place) = place.filter(|_| !is_used) {
            let message = "nothing here is made a pseudonym or encrypted, so this key is not used";
            let problem = Problem::warning(message).at(place);
            context.problems.push(problem.hint("leave it out, or choose \"pseudonym\" or \"encrypt\""));
        }
    }
}

fn refuse(error: &PolicyError, place: &Place, context: &Context<'_>) {
    context.problems.push(Problem::error(error.to_string()).at(place).hint(error.hint()));
}
