//! `normalize`: one form for the records of all vendors.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use bumpalo::collections::Vec as ArenaVec;
use chrono::SecondsFormat;
use serde::Deserialize;

use super::ocsf::{Identity, Map, Origin};
use super::{Exit, Left, Notes, Transform, ecs};
use crate::event::{Arena, Event, Member, Value, json};

/// The form that events are given, as the configuration says it: `normalize = "ocsf"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// An OCSF event, by the connector's map.
    #[default]
    Ocsf,
    /// An ECS event, made of the OCSF event.
    Ecs,
    /// The vendor's record as it is, under an envelope: `id`, `time` (RFC 3339), `vendor`, `log`, `record`.
    None,
}

/// Gives events their form.
#[derive(Clone, Debug)]
pub struct Normalize {
    form: Form,
    map: Arc<Map>,
    identity: Identity,
    raw_data: bool,
    left: Option<Arc<[Left]>>,
}

impl Normalize {
    /// Gives events of the connector that `map` and `identity` belong to this form.
    #[must_use]
    pub fn new(form: Form, map: Arc<Map>, identity: Identity) -> Self {
        let left = (form != Form::None).then(|| left(form, &map.origins()).into());
        Self { form, map, identity, raw_data: false, left }
    }

    /// Whether OCSF events carry the vendor's record, whole and as JSON text, in `raw_data`, and ECS events in `event.original`.
    #[must_use]
    pub fn raw_data(self, raw_data: bool) -> Self {
        Self { raw_data, ..self }
    }

    fn ocsf<'a>(&self, event: &Event<'a>, arena: &'a Arena) -> Result<Value<'a>, Exit> {
        let unfit = || Exit::Dead { reason: "no rule of the OCSF map fits this record".to_owned() };
        let body = self.map.apply(event, arena).ok_or_else(unfit)?;
        Ok(if self.raw_data { with_raw_data(body, event.body, arena) } else { body })
    }

    fn envelope<'a>(&self, event: &Event<'a>, arena: &'a Arena) -> Value<'a> {
        let time = event.time.to_rfc3339_opts(SecondsFormat::AutoSi, true);
        let text = |text: &str| Value::String(arena.alloc_str(text));
        Value::Object(arena.alloc([
            Member::new("id", Value::String(event.id)),
            Member::new("time", text(&time)),
            Member::new("vendor", text(&self.identity.vendor)),
            Member::new("log", text(&self.identity.connector)),
            Member::new("record", event.body),
        ]))
    }
}

impl Transform for Normalize {
    fn apply<'a>(&self, event: Event<'a>, arena: &'a Arena, notes: &mut Notes) -> Result<Event<'a>, Exit> {
        notes.left.clone_from(&self.left);
        let body = match self.form {
            Form::None => self.envelope(&event, arena),
            Form::Ocsf => self.ocsf(&event, arena)?,
            Form::Ecs => ecs::from_ocsf(self.ocsf(&event, arena)?, arena),
        };
        Ok(Event { body, ..event })
    }
}

/// Where an event of that form has what its fields did not take, by where the record has it.
fn left(form: Form, origins: &BTreeSet<Origin>) -> Vec<Left> {
    let path = |parts: &[&str], more: &[String]| -> Vec<String> {
        parts.iter().map(|part| (*part).to_owned()).chain(more.iter().cloned()).collect()
    };
    let ocsf: &[&str] = if form == Form::Ecs { &[ecs::OWN, "ocsf"] } else { &[] };
    let unmapped: &[&str] = if form == Form::Ecs { &[ecs::OWN, ecs::UNMAPPED] } else { &[ecs::UNMAPPED] };
    let mut all = Vec::new();
    for Origin { attribute, record, .. } in origins {
        let mut fields = vec![path(ocsf, attribute)];
        if form == Form::Ecs {
            fields.extend(ecs::fields_of(attribute).map(|field| field.split('.').map(str::to_owned).collect()));
        }
        // It may have gone along with something larger that another attribute took.
        let larger = origins.iter().filter(|larger| larger.takes_anything).filter_map(|larger| {
            let rest = record.strip_prefix(larger.record.as_slice()).filter(|rest| !rest.is_empty())?;
            Some(path(ocsf, &[larger.attribute.as_slice(), rest].concat()))
        });
        let places: Vec<_> = larger.chain([path(unmapped, record)]).collect();
        for place in places {
            all.extend(fields.iter().map(|field| Left { field: field.clone(), place: place.clone() }));
        }
    }
    all
}

/// `body` with `record` in its `raw_data`. What steps after this one do to texts they do inside of it, too.
fn with_raw_data<'a>(body: Value<'a>, record: Value<'a>, arena: &'a Arena) -> Value<'a> {
    let known = body.as_object().unwrap_or_default();
    let mut members = ArenaVec::with_capacity_in(known.len() + 1, arena);
    members.extend_from_slice(known);
    members.push(Member::new("raw_data", Value::String(arena.alloc_str(&json::to_string(&record)))));
    Value::Object(members.into_bump_slice())
}

impl fmt::Display for Normalize {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("normalize")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transform::ocsf::tests::{TINY, identity, load};
    use crate::transform::ocsf::validate;

    fn normalize(form: Form) -> Normalize {
        let identity = identity("Example", "example", &["id"], &["at"]);
        Normalize::new(form, Arc::new(load(TINY, &identity)), identity)
    }

    fn apply(normalize: &Normalize, record: &str) -> String {
        assert_eq!(normalize.to_string(), "normalize");
        let arena = Arena::new();
        let body = json::decode(record.as_bytes(), &arena).unwrap();
        let event = Event { id: "r-1", time: "2026-09-14T08:22:31.25Z".parse().unwrap(), body };
        let event = normalize.apply(event, &arena, &mut Notes::default()).unwrap();
        assert_eq!(event.id, "r-1");
        json::to_string(&event.body)
    }

    #[test]
    fn none_keeps_the_record_under_an_envelope() {
        assert_eq!(
            apply(&normalize(Form::None), r#"{"id":"r-1","n":1.50,"x":null}"#),
            r#"{"id":"r-1","time":"2026-09-14T08:22:31.250Z","vendor":"Example","log":"example","record":{"id":"r-1","n":1.50,"x":null}}"#
        );
    }

    #[test]
    fn ocsf_is_the_map() {
        let text = apply(&normalize(Form::Ocsf), r#"{"id":"r-1","zone":"z"}"#);
        let event: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(event["entity"]["uid"], "z");
        assert_eq!(event["time"], 1_789_374_151_250_i64);
    }

    #[test]
    fn the_record_goes_along_whole_on_request() {
        let normalize = normalize(Form::Ocsf).raw_data(true);
        for record in [r#"{"id":"r-1","zone":"z","n":1.50,"n":null,"e":{}}"#, "[7]", "null"] {
            let event: serde_json::Value = serde_json::from_str(&apply(&normalize, record)).unwrap();
            assert_eq!(event["raw_data"], record);
            assert_eq!(validate::problems(&event), [""; 0]);
        }
    }

    #[test]
    fn redaction_works_in_the_record_that_goes_along_and_in_observables() {
        use crate::transform::redact::{EmailAction, Policy, Redact, Redactor};
        let text = TINY.replace("[ocsf.map]", "[ocsf.map]\nactor.user.email_addr = \"by\"\nactor.user.uid = \"n\"");
        let identity = identity("Example", "example", &["id"], &["at"]);
        let normalize = Normalize::new(Form::Ocsf, Arc::new(load(&text, &identity)), identity).raw_data(true);
        let policy = Policy { emails: Some(EmailAction::Mask), ..Policy::default() };
        let redact = Redact::new(Redactor::new(policy).unwrap());
        let arena = Arena::new();
        let body = json::decode(br#"{"by":"anna@example.com","n":7}"#, &arena).unwrap();
        let event = Event { id: "r-1", time: chrono::DateTime::UNIX_EPOCH, body };
        let event = normalize.apply(event, &arena, &mut Notes::default()).unwrap();
        let event = redact.apply(event, &arena, &mut Notes::default()).unwrap();
        let event: serde_json::Value = serde_json::from_str(&json::to_string(&event.body)).unwrap();
        assert_eq!(event["raw_data"], r#"{"by":"masked@masked.invalid","n":7}"#);
        assert_eq!(event["observables"][0]["value"], "masked@masked.invalid");
        assert_eq!(validate::problems(&event), [""; 0]);
    }

    #[test]
    fn ecs_is_made_of_ocsf() {
        let normalize = normalize(Form::Ecs).raw_data(true);
        let record = r#"{"id":"r-1","zone":"z"}"#;
        let event: serde_json::Value = serde_json::from_str(&apply(&normalize, record)).unwrap();
        assert_eq!(ecs::validate::problems(&event), [""; 0]);
        assert_eq!(event["@timestamp"], "2026-09-14T08:22:31.250Z");
        assert_eq!(event["event"]["original"], record);
        assert_eq!(event["auditline"]["ocsf"]["entity"]["uid"], "z");
    }

    #[test]
    fn the_configuration_names_the_form() {
        assert_eq!(serde_json::from_str::<Form>("\"ocsf\"").unwrap(), Form::default());
        assert_eq!(serde_json::from_str::<Form>("\"ecs\"").unwrap(), Form::Ecs);
        assert_eq!(serde_json::from_str::<Form>("\"none\"").unwrap(), Form::None);
        assert!(serde_json::from_str::<Form>("\"other\"").is_err());
    }
}
