//! Redaction as a step of a pipeline: every text of an event, wherever it stands, keys too.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, OnceLock};

use super::copies::{self, Hidden};
use super::fields::{Here, Tree};
use super::id::Id;
use super::walk::Walk;
use super::{Hits, Key, Redactor, Tally, left, versions};
use crate::event::{Arena, Event, Value};
use crate::transform::{Exit, Left, Notes, Transform};

/// Redacts every text of an event.
#[derive(Debug)]
pub struct Redact {
    redactor: Redactor,
    keys: Vec<Key>,
    /// What becomes of what normalizing left, and by what it said of where that is: the same for all events.
    left: OnceLock<(Arc<[Left]>, Tree)>,
}

impl Redact {
    /// Redacts as `redactor` does.
    #[must_use]
    pub fn new(redactor: Redactor) -> Self {
        Self { redactor, keys: Vec::new(), left: OnceLock::new() }
    }

    /// With the keys that its stand-ins were made with, this epoch and before.
    #[must_use]
    pub fn with_keys(mut self, keys: Vec<Key>) -> Self {
        self.keys = keys;
        self
    }

    /// The keys that its stand-ins were made with.
    #[must_use]
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// The redacted value, `None` when there is nothing in it to redact: nothing is copied then. `tally` learns what was
    /// replaced, and where.
    pub fn value<'a>(&self, value: Value<'a>, arena: &'a Arena, tally: &mut impl Tally) -> Option<Value<'a>> {
        self.walk(value, None, &mut Walk::new(&self.redactor, arena, tally))
    }

    fn walk<'a, T: Tally>(
        &self,
        value: Value<'a>,
        left: Option<&Arc<[Left]>>,
        walk: &mut Walk<'_, 'a, T>,
    ) -> Option<Value<'a>> {
        let here = Here::at(&self.redactor.fields);
        walk.versions = versions::told(value, &self.redactor, walk.arena);
        if !self.redactor.hides_fields {
            return walk.value(value, &here, true);
        }
        // Before anything else, for copies are known by what the fields held.
        let places = left.map(|left| self.left(left));
        let places = places.as_deref().map(Here::at).unwrap_or_default();
        let mut hidden = Hidden::of(value, &here);
        let left = walk.left(value, &here, &places, &mut hidden).changed();
        let value = left.unwrap_or(value);
        if let Some(id) = &mut walk.id
            && let Some(by) = hidden.find(id.text())
        {
            id.copied(by);
        }
        let copies = hidden.hide(value, &here, walk.arena, walk.tally);
        walk.value(copies.unwrap_or(value), &here, true).or(copies).or(left)
    }

    fn left(&self, left: &Arc<[Left]>) -> Cow<'_, Tree> {
        let tree = || left::tree(&self.redactor.fields, left);
        let (of, known) = self.left.get_or_init(|| (Arc::clone(left), tree()));
        if Arc::ptr_eq(of, left) { Cow::Borrowed(known) } else { Cow::Owned(tree()) }
    }

    /// The text as it would be inside an event; `None` when there is nothing in it to redact.
    pub fn line(&self, text: &str, tally: &mut impl Tally) -> Option<String> {
        self.redactor.text(text, tally)
    }
}

impl fmt::Display for Redact {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("redact")
    }
}

impl Transform for Redact {
    fn apply<'a>(&self, event: Event<'a>, arena: &'a Arena, notes: &mut Notes) -> Result<Event<'a>, Exit> {
        let Notes { hits, left, .. } = notes;
        let mut walk = Walk::new(&self.redactor, arena, hits);
        walk.id = Some(Id::new(event.id, &self.redactor, arena));
        let body = self.walk(event.body, left.as_ref(), &mut walk).unwrap_or(event.body);
        let id = walk.id.map_or(event.id, |id| id.becomes());
        Ok(Event { id, body, ..event })
    }

    fn text(&self, text: String) -> String {
        self.redactor.text(&text, &mut Hits::default()).unwrap_or(text)
    }

    fn dead_body(&self, text: String) -> String {
        if !self.redactor.hides_fields {
            return self.text(text);
        }
        copies::masked_record(&text)
    }

    fn dead_reason(&self, text: String) -> String {
        let text = if self.redactor.hides_fields { copies::masked_reason(&text) } else { text };
        self.text(text)
    }

    fn as_redact(&self) -> Option<&Redact> {
        Some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::super::walk::MOST_KNOWN;
    use super::*;
    use crate::event::{RecordKey, json};
    use crate::transform::redact::{Detector, EmailAction, FieldAction, IpAction, Policy, TextAction};

    fn redact(fields: &[(&str, FieldAction)]) -> Redact {
        let key = Key::new(1, b"0123456789abcdef").unwrap();
        let mut policy = Policy { emails: Some(EmailAction::Mask), cards: Some(TextAction::Mask), ..Policy::default() };
        fields.iter().for_each(|(path, action)| policy.fields.add(path.parse().unwrap(), *action));
        Redact::new(Redactor::new(Policy { key: Some(key), ..policy }).unwrap())
    }

    /// What becomes of an event's id and body.
    fn apply(redact: &Redact, id: &str, body: &str) -> (String, String) {
        let arena = Arena::new();
        let body = json::decode(body.as_bytes(), &arena).unwrap();
        let event = Event { id: arena.alloc_str(id), time: chrono::DateTime::UNIX_EPOCH, body };
        let done = redact.apply(event, &arena, &mut Notes::default()).unwrap();
        let again = redact.apply(done, &arena, &mut Notes::default()).unwrap();
        assert_eq!(again.body, done.body, "twice is once");
        (done.id.to_owned(), json::to_string(&done.body))
    }

    #[test]
    fn what_is_remembered_and_what_is_not_becomes_the_same_and_counts_the_same() {
        let redact = redact(&[]);
        let arena = Arena::new();
        let address = |at: usize| format!("by person{}@example.com", at % (2 * MOST_KNOWN));
        let texts: Vec<String> = (0..5 * MOST_KNOWN).map(address).collect();
        let body = json::decode(serde_json::to_string(&texts).unwrap().as_bytes(), &arena).unwrap();
        let mut notes = Notes::default();
        let event = Event { id: "1", time: chrono::DateTime::UNIX_EPOCH, body };
        let done = redact.apply(event, &arena, &mut notes).unwrap();
        let expected: Vec<String> = texts.iter().map(|text| redact.line(text, &mut Hits::default()).unwrap()).collect();
        assert_eq!(json::to_string(&done.body), serde_json::to_string(&expected).unwrap());
        assert_eq!(notes.hits[Detector::Email], texts.len() as u64);
    }

    #[test]
    fn texts_and_keys_at_any_depth_are_redacted_and_the_rest_is_shared() {
        let redact = redact(&[]);
        let arena = Arena::new();
        let text = br#"{"a":[1,{"anna@example.com":{"b":"by anna@example.com"}}],"c":{"d":"x"}}"#;
        let event = Event { id: "1", time: chrono::DateTime::UNIX_EPOCH, body: json::decode(text, &arena).unwrap() };
        let mut notes = Notes::default();
        let done = redact.apply(event, &arena, &mut notes).unwrap();
        assert!(!json::to_string(&done.body).contains("anna"));
        assert_eq!(notes.hits[Detector::Email], 2);
        assert!(std::ptr::eq(
            event.body.get("c").unwrap().as_object().unwrap(),
            done.body.get("c").unwrap().as_object().unwrap()
        ));
    }

    #[test]
    fn a_number_can_hold_a_card() {
        let (_, body) = apply(&redact(&[]), "1", r#"{"a":4111111111111111,"b":1789374151000}"#);
        assert_eq!(body, r#"{"a":"masked-card","b":1789374151000}"#);
    }

    #[test]
    fn fields_have_an_action_of_their_own() {
        let redact = redact(&[
            ("user.name", FieldAction::Mask),
            ("user.age", FieldAction::Mask),
            ("raw.*", FieldAction::Remove),
            ("raw.safe", FieldAction::Keep),
            ("list.0", FieldAction::Remove),
            ("all", FieldAction::Mask),
        ]);
        let (_, body) = apply(
            &redact,
            "1",
            r#"{"user":{"name":"Ada","age":36,"mail":"ada@example.com"},"raw":{"x":[1],"safe":"ada@example.com"},
                "list":["a","b"],"all":{"k":["v",7,true,null,"ada@example.com","203.0.113.4",""],"ada@example.com":1}}"#,
        );
        assert_eq!(
            body,
            concat!(
                r#"{"user":{"name":"masked","age":0,"mail":"masked@masked.invalid"},"raw":{"safe":"ada@example.com"},"#,
                r#""list":[null,"b"],"all":{"k":["masked",0,false,null,"masked@masked.invalid","0.0.0.0",""],"#,
                r#""masked@masked.invalid":0}}"#
            )
        );
    }

    #[test]
    fn stand_ins_of_fields_have_the_shape_of_what_they_replace() {
        let key = Key::new(1, b"0123456789abcdef").unwrap();
        let redact = redact(&[("p.*", FieldAction::Pseudonym), ("x.*", FieldAction::Encrypt)]);
        let (_, body) = apply(&redact, "1", r#"{"p":{"m":"Ada@example.com","i":"203.0.113.4","n":7},"x":{"t":"Ada"}}"#);
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["p"]["m"], format!("{}@pseudonym.invalid", key.pseudonym("email", b"ada@example.com")));
        assert_eq!(body["p"]["i"], key.ip_pseudonym("203.0.113.4".parse().unwrap()).to_string());
        assert_eq!(body["p"]["n"], key.pseudonym("text", b"7"));
        assert_eq!(body["x"]["t"], key.seal(b"Ada"));
    }

    #[test]
    fn the_id_goes_with_the_field_that_holds_it() {
        let key = Key::new(1, b"0123456789abcdef").unwrap();
        let body = r#"{"metadata":{"uid":"r-7"}}"#;
        for (action, expected) in [
            (FieldAction::Pseudonym, key.pseudonym("text", b"r-7")),
            (FieldAction::Mask, RecordKey::of("r-7").to_string()),
            (FieldAction::Remove, RecordKey::of("r-7").to_string()),
            (FieldAction::Keep, "r-7".to_owned()),
        ] {
            assert_eq!(apply(&redact(&[("metadata.*", action)]), "r-7", body).0, expected);
        }
    }

    // The id told in other letters what the field was not to tell.
    #[test]
    fn an_id_that_says_the_same_as_a_hidden_field_goes_with_it() {
        let key = Key::new(1, b"0123456789abcdef").unwrap();
        let body = r#"{"who":" Ada-7","n":1}"#;
        for (action, expected) in [
            (FieldAction::Pseudonym, key.pseudonym("text", b"ada-7")),
            (FieldAction::Mask, RecordKey::of("ada-7").to_string()),
            (FieldAction::Remove, RecordKey::of("ada-7").to_string()),
            (FieldAction::Keep, "ada-7".to_owned()),
        ] {
            assert_eq!(apply(&redact(&[("who", action)]), "ada-7", body).0, expected);
        }
    }

    // Three people's records were one to a destination that knows records by their ids.
    #[test]
    fn ids_that_are_different_stay_different() {
        let policy = || Policy {
            emails: Some(EmailAction::Mask),
            ips: Some(IpAction::Truncate),
            cards: Some(TextAction::Remove),
            ..Policy::default()
        };
        let key = Key::new(1, b"0123456789abcdef").unwrap();
        let plain = Redact::new(Redactor::new(policy()).unwrap());
        let keyed = Redact::new(Redactor::new(Policy { key: Some(key.clone()), ..policy() }).unwrap());
        let ids = ["ada@example.com", "bob@example.com", "203.0.113.4", "203.0.113.5", "evt-4111111111111111", "r-7"];
        let mut seen = std::collections::HashSet::new();
        for id in ids {
            for redact in [&plain, &keyed] {
                let (becomes, body) = apply(redact, id, &format!(r#"{{"uid":"{id}","text":"about {id}"}}"#));
                assert!(body.contains(&format!(r#"{{"uid":"{becomes}","#)), "{body}");
                assert_eq!(becomes == id, id == "r-7", "{becomes}");
                assert_eq!(body.contains(id), id == "r-7", "{body}");
                seen.insert(becomes);
            }
        }
        assert_eq!(seen.len(), 2 * ids.len() - 1);
        assert_eq!(apply(&plain, ids[0], "{}").0, RecordKey::of(ids[0]).to_string());
        assert_eq!(apply(&keyed, ids[0], "{}").0, key.pseudonym("id", ids[0].as_bytes()));
        let number = r#"{"n":4111111111111111}"#;
        let (becomes, body) = apply(&redact(&[]), "4111111111111111", number);
        assert_eq!(body, format!(r#"{{"n":"{becomes}"}}"#));
        let kept = redact(&[("n", FieldAction::Keep)]);
        assert_eq!(apply(&kept, "4111111111111111", number), ("4111111111111111".to_owned(), number.to_owned()));
    }

    #[test]
    fn a_dead_letter_holds_nothing_that_a_field_would_have_hidden() {
        let hides = redact(&[("actor.user.name", FieldAction::Remove)]);
        let body = r#"{"who":"Ada","at":1789374151,"ok":true,"in":["x"]}"#;
        assert_eq!(hides.dead_body(body.to_owned()), r#"{"who":"masked","at":0,"ok":false,"in":["masked"]}"#);
        assert_eq!(hides.dead_body("half a {record".to_owned()), copies::UNREADABLE);
        assert_eq!(hides.dead_body("\"Ada\"".to_owned()), copies::UNREADABLE);
        let keeps = redact(&[("actor.user.name", FieldAction::Keep)]);
        assert_eq!(keeps.dead_body("by ada@example.com".to_owned()), "by masked@masked.invalid");
    }

    // Our own copies of what a field holds told what the field was not to tell.
    #[test]
    fn a_field_is_hidden_wherever_the_event_tells_it_again() {
        let key = Key::new(1, b"0123456789abcdef").unwrap();
        let redact = redact(&[
            ("actor.user.name", FieldAction::Pseudonym),
            ("device.hostname", FieldAction::Remove),
            ("device.ok", FieldAction::Mask),
        ]);
        let (_, body) = apply(
            &redact,
            "1",
            r#"{"actor":{"user":{"name":"Ada"}},"device":{"hostname":"ada-mac","ok":"ok"},"note":"Ada",
                "observables":[{"name":"actor.user.name","value":"Ada"},{"value":"ada-mac"},{"value":"ok"}],
                "related":{"user":["ada","bob"]},"client":{"address":"ada-mac"},
                "raw_data":"{\"who\":\"Ada\",\"n\":7}","event":{"original":"[\"Ada\"]","kind":"event"}}"#,
        );
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        let ada = key.pseudonym("text", b"Ada");
        assert_eq!(body["actor"]["user"]["name"], ada);
        assert_eq!(body["observables"][0]["value"], ada);
        assert_eq!(body["observables"][0]["name"], "actor.user.name");
        assert_eq!(
            (&body["observables"][1]["value"], &body["observables"][2]["value"]),
            (&"masked".into(), &"ok".into())
        );
        assert!(body["related"]["user"][0].as_str().unwrap().starts_with("e1-"));
        assert_eq!(body["related"]["user"][1], "bob");
        assert_eq!(body["client"]["address"], "masked");
        assert_eq!(body["raw_data"], r#"{"who":"masked","n":0}"#);
        assert_eq!(body["event"], serde_json::json!({ "original": r#"["masked"]"#, "kind": "event" }));
        assert_eq!(body["note"], ada);
        let kept = r#"{"raw_data":"{\"who\":\"Ada\"}"}"#;
        assert_eq!(
            apply(&self::redact(&[("a", FieldAction::Mask), ("raw_data", FieldAction::Keep)]), "1", kept).1,
            kept
        );
    }

    // The reason of a dead letter quoted the value that its body was not to show.
    #[test]
    fn the_reason_of_a_dead_letter_quotes_nothing_where_fields_are_hidden() {
        let hides = redact(&[("actor.user.name", FieldAction::Remove)]);
        let reason = |text: &str| hides.dead_reason(text.to_owned());
        assert_eq!(
            reason(r#"`at` holds no time in a known form: "Ada: x""#),
            r#"`at` holds no time in a known form: "masked""#
        );
        assert_eq!(reason("`at` holds no time in a known form: 20260301"), "`at` holds no time in a known form: 0");
        let kept = "normalize: no rule of the OCSF map fits this record";
        assert_eq!(reason(kept), kept);
        assert_eq!(redact(&[]).dead_reason("at \"Ada\": \"Ada\"".to_owned()), "at \"Ada\": \"Ada\"");
    }
}
