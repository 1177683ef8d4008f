//! The record's id, which may stand in the event too. It must not tell what the event is not to tell, must tell records apart,
//! and becomes the same wherever it stands.

use super::policy::Treatment;
use super::{Redactor, stand_in};
use crate::event::{Arena, RecordKey, Value};

/// What is known of an event's id while its texts are looked at.
pub(super) struct Id<'a> {
    text: &'a str,
    /// What stands for it where the detectors find something in it.
    detected: Option<&'a str>,
    /// What stands for it by the action of a field that holds it.
    by_field: Option<&'a str>,
    /// A field that holds it is kept as it is.
    is_kept: bool,
    arena: &'a Arena,
}

impl<'a> Id<'a> {
    pub fn new(text: &'a str, redactor: &Redactor, arena: &'a Arena) -> Self {
        let detected = redactor.id(text).map(|id| &*arena.alloc_str(&id));
        Self { text, detected, by_field: None, is_kept: false, arena }
    }

    /// As the vendor gave it.
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// What it is from now on.
    pub fn becomes(&self) -> &'a str {
        let detected = self.detected.filter(|_| !self.is_kept);
        self.by_field.or(detected).unwrap_or(self.text)
    }

    /// What stands for a text in which the detectors find something, if it is the id.
    pub fn detected_in(&self, text: &str) -> Option<&'a str> {
        self.detected.filter(|_| self.text == text)
    }

    /// A field that is kept holds the text.
    pub fn kept(&mut self, text: &str) {
        self.is_kept |= self.text == text;
    }

    /// A field holds the text, and has that in its place from now on; nothing that tells records apart if that is `None`.
    pub fn hidden(&mut self, text: &str, stand_in: Option<&'a str>) {
        if self.text == text {
            self.by_field = Some(stand_in.unwrap_or_else(|| self.arena.alloc_str(&RecordKey::of(text).to_string())));
        }
    }

    /// A field held the value, and is gone.
    pub fn removed(&mut self, value: Value<'_>) {
        match value {
            Value::String(text) | Value::Number(text) => self.hidden(text, None),
            Value::Array(items) => items.iter().for_each(|item| self.removed(*item)),
            Value::Object(members) => members.iter().for_each(|member| self.removed(member.value)),
            Value::Null | Value::Bool(_) => {}
        }
    }

    /// It says the same as what a field hides, if in other letters.
    pub fn copied(&mut self, by: &Treatment) {
        let stand_in = match by {
            Treatment::Pseudonym(_) | Treatment::Encrypt(_) => stand_in::whole(self.text, by),
            Treatment::Mask | Treatment::Remove | Treatment::Coarsen => None,
        };
        self.hidden(self.text, stand_in.map(|stand_in| &*self.arena.alloc_str(&stand_in)));
    }
}
