//! Values for a connector's parameters. They open nothing anywhere.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use auditline_sinks::secret::Secret;
use serde_json::{Map, Value as Json};

use super::super::credentials::VOXIMPLANT_PRIVATE_KEY;
use super::Terms;
use crate::connector::Template;
use crate::connector::model::{Auth, Definition, Parameter, Pattern};
use crate::source::Setting;
use crate::source::secrets::Rotating;

/// Every parameter of a connector.
#[must_use]
pub fn made_up(definition: &Definition) -> BTreeMap<String, Setting> {
    let keys = private_keys(definition);
    let settings = definition.parameters.iter();
    settings.map(|(name, parameter)| (name.value.clone(), setting(name, parameter, &keys))).collect()
}

/// The parameters that authenticate in that way, and those that have no part in any.
#[must_use]
pub fn made_up_for(definition: &Definition, way: &Auth) -> BTreeMap<String, Setting> {
    let names = |way: &Auth| -> BTreeSet<String> {
        let templates = way.needed().into_iter().chain(way.optional());
        templates.flat_map(Template::variables).map(str::to_owned).collect()
    };
    let needed = names(way);
    let of_any: BTreeSet<String> = definition.auth.iter().flat_map(|way| names(&way.value)).collect();
    let mut settings = made_up(definition);
    settings.retain(|name, _| needed.contains(name) || !of_any.contains(name));
    settings
}

fn setting(name: &str, parameter: &Parameter, keys: &BTreeSet<String>) -> Setting {
    let value = |name: &str| match keys.contains(name) {
        true => VOXIMPLANT_PRIVATE_KEY.to_owned(),
        false => format!("made-up-{}", name.replace(['.', '_'], "-")),
    };
    let text = if parameter.json.is_empty() {
        match parameter.pattern {
            Some(Pattern::Hex32) => "0123456789abcdef".repeat(2),
            Some(Pattern::Host) => "api.example.com".to_owned(),
            None => value(name),
        }
    } else {
        let member = |member: &String| (member.clone(), Json::String(value(&format!("{name}.{member}"))));
        Json::Object(parameter.json.iter().map(member).collect::<Map<_, _>>()).to_string()
    };
    match parameter.secret {
        true => Setting::Secret(Rotating::from(Secret::literal(text).expect("it is not empty"))),
        false => Setting::Plain(text),
    }
}

/// The variables that stand for keys which sign: they have to be keys.
fn private_keys(definition: &Definition) -> BTreeSet<String> {
    let found = RefCell::new(BTreeSet::new());
    let note = |name: &str| {
        found.borrow_mut().insert(name.to_owned());
        Some(Json::Null)
    };
    for way in &definition.auth {
        if let Auth::Jwt(jwt) = &way.value {
            jwt.key.fill(&note);
        }
    }
    found.into_inner()
}

impl Terms {
    /// What a parameter, or a member of a JSON one, stands for.
    pub(super) fn parameter(&self, name: &str) -> Option<Json> {
        let text = |name: &str| match self.parameters.get(name)? {
            Setting::Plain(text) => Some(text.clone()),
            Setting::Secret(secret) => Some(secret.now().expose().to_owned()),
        };
        match name.split_once('.') {
            Some((name, member)) => {
                let object: Json = serde_json::from_str(&text(name)?).ok()?;
                object.get(member).cloned()
            }
            None => text(name).map(Json::String),
        }
    }
}
