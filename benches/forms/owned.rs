//! `serde_json::Value` and `sonic_rs::Value` as [`Tree`]s.

use auditline::transform::redact::{Hits, Redactor};
use sonic_rs::{JsonContainerTrait, JsonValueMutTrait, JsonValueTrait};

use super::tree::Tree;

impl Tree for serde_json::Value {
    fn parse(text: &[u8]) -> Self {
        serde_json::from_slice(text).expect("the page is JSON")
    }

    fn write(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(2048);
        serde_json::to_writer(&mut out, self).expect("writing to memory does not fail");
        out
    }

    fn object() -> Self {
        Self::Object(serde_json::Map::new())
    }

    fn text(text: &str) -> Self {
        text.into()
    }

    fn number(number: i64) -> Self {
        number.into()
    }

    fn list(items: Vec<Self>) -> Self {
        items.into()
    }

    fn put(&mut self, key: &'static str, value: Self) {
        self.as_object_mut().expect("an object").insert(key.to_owned(), value);
    }

    fn at(&self, key: &str) -> Option<&Self> {
        self.get(key)
    }

    fn inner(&mut self, key: &str) -> Option<&mut Self> {
        self.get_mut(key)
    }

    fn take(&mut self, key: &str) -> Option<Self> {
        self.get_mut(key).map(Self::take).filter(|value| !is_empty(value))
    }

    fn into_items(self) -> Vec<Self> {
        match self {
            Self::Array(items) => items,
            _ => Vec::new(),
        }
    }

    fn as_text(&self) -> Option<&str> {
        self.as_str()
    }

    fn as_number(&self) -> Option<i64> {
        self.as_i64()
    }

    fn has_members(&self) -> bool {
        !is_empty(self)
    }

    fn prune(&mut self) {
        let members = self.as_object_mut().expect("an object");
        for inner in members.values_mut().filter_map(Self::as_object_mut) {
            inner.retain(|_, value| !is_empty(value));
        }
        members.retain(|_, value| !is_empty(value));
    }

    fn redact(&mut self, redactor: &Redactor, hits: &mut Hits) {
        match self {
            Self::String(text) => {
                if let Some(redacted) = redactor.text(text, hits) {
                    *text = redacted;
                }
            }
            Self::Array(items) => items.iter_mut().for_each(|item| item.redact(redactor, hits)),
            Self::Object(members) => {
                let mut renamed = Vec::new();
                for (key, value) in members.iter_mut() {
                    value.redact(redactor, hits);
                    renamed.extend(redactor.text(key, hits).map(|new| (key.clone(), new)));
                }
                for (old, new) in renamed {
                    let value = members.remove(&old).unwrap_or_default();
                    members.insert(new, value);
                }
            }
            Self::Null | Self::Bool(_) | Self::Number(_) => {}
        }
    }
}

fn is_empty(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::Null => true,
        serde_json::Value::String(text) => text.is_empty(),
        serde_json::Value::Array(items) => items.is_empty(),
        serde_json::Value::Object(members) => members.is_empty(),
        _ => false,
    }
}

impl Tree for sonic_rs::Value {
    fn parse(text: &[u8]) -> Self {
        sonic_rs::from_slice(text).expect("the page is JSON")
    }

    fn write(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(2048);
        sonic_rs::to_writer(&mut out, self).expect("writing to memory does not fail");
        out
    }

    fn object() -> Self {
        Self::new_object_with(16)
    }

    fn text(text: &str) -> Self {
        text.into()
    }

    fn number(number: i64) -> Self {
        number.into()
    }

    fn list(items: Vec<Self>) -> Self {
        items.into()
    }

    fn put(&mut self, key: &'static str, value: Self) {
        self.insert(key, value);
    }

    fn at(&self, key: &str) -> Option<&Self> {
        self.get(key)
    }

    fn inner(&mut self, key: &str) -> Option<&mut Self> {
        self.get_mut(key)
    }

    fn take(&mut self, key: &str) -> Option<Self> {
        self.get_mut(key).map(Self::take).filter(|value| !is_bare(value))
    }

    fn into_items(mut self) -> Vec<Self> {
        let items = self.as_array_mut().map(|items| items.iter_mut().map(Self::take).collect());
        items.unwrap_or_default()
    }

    fn as_text(&self) -> Option<&str> {
        self.as_str()
    }

    fn as_number(&self) -> Option<i64> {
        self.as_i64()
    }

    fn has_members(&self) -> bool {
        !is_bare(self)
    }

    fn prune(&mut self) {
        let members = self.as_object_mut().expect("an object");
        for inner in members.iter_mut().filter_map(|(_, value)| value.as_object_mut()) {
            drop_bare(inner);
        }
        drop_bare(members);
    }

    fn redact(&mut self, redactor: &Redactor, hits: &mut Hits) {
        if let Some(text) = self.as_str() {
            if let Some(redacted) = redactor.text(text, hits) {
                *self = redacted.as_str().into();
            }
        } else if let Some(items) = self.as_array_mut() {
            items.iter_mut().for_each(|item| item.redact(redactor, hits));
        } else if let Some(members) = self.as_object_mut() {
            let mut renamed = Vec::new();
            for (key, value) in members.iter_mut() {
                value.redact(redactor, hits);
                renamed.extend(redactor.text(key, hits).map(|new| (key.to_owned(), new)));
            }
            for (old, new) in renamed {
                let value = members.remove(&old).unwrap_or_default();
                members.insert(&new, value);
            }
        }
    }
}

fn drop_bare(members: &mut sonic_rs::Object) {
    let bare: Vec<String> = members.iter().filter(|(_, value)| is_bare(value)).map(|(key, _)| key.to_owned()).collect();
    for key in bare {
        members.remove(&key);
    }
}

fn is_bare(value: &sonic_rs::Value) -> bool {
    value.is_null()
        || value.as_str().is_some_and(str::is_empty)
        || value.as_array().is_some_and(|items| items.is_empty())
        || value.as_object().is_some_and(|members| members.is_empty())
}
