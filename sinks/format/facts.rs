//! What CEF and LEEF have a place for, and where an event has it.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::{Batch, Record};

/// What both formats begin with. None of it is empty.
pub(super) struct Head<'a> {
    pub vendor: Cow<'a, str>,
    pub product: Cow<'a, str>,
    pub version: Cow<'a, str>,
    /// Which kind of event it is: the vendor's word, else OCSF's number.
    pub code: Cow<'a, str>,
    /// The same for people.
    pub name: Cow<'a, str>,
}

/// Something an event may say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Fact {
    Vendor,
    Product,
    Version,
    Code,
    Name,
    Severity,
    Class,
    Type,
    Category,
    Action,
    Outcome,
    Reason,
    Message,
    ActorId,
    ActorName,
    ActorKind,
    ActorDomain,
    ActorApp,
    TargetId,
    TargetName,
    SourceIp,
    SourcePort,
    SourceHost,
    DestinationIp,
    DestinationPort,
    DestinationHost,
    Service,
    Url,
    Method,
    UserAgent,
    Referrer,
    ObjectId,
    ObjectName,
    ObjectKind,
    Group,
    Privileges,
    Correlation,
    Tenant,
    Log,
}

/// Where it stands: in OCSF, in ECS, and in any other JSON, the envelope of `normalize = "none"` among it. The first
/// place that has something counts.
struct Row {
    fact: Fact,
    ocsf: &'static [&'static str],
    ecs: &'static [&'static str],
    other: &'static [&'static str],
}

const fn row(
    fact: Fact,
    ocsf: &'static [&'static str],
    ecs: &'static [&'static str],
    other: &'static [&'static str],
) -> Row {
    Row { fact, ocsf, ecs, other }
}

#[rustfmt::skip]
const TABLE: &[Row] = &[
    row(Fact::Vendor, &["metadata.product.vendor_name"], &["observer.vendor"], &["vendor"]),
    row(Fact::Product, &["metadata.product.name", "metadata.log_name"], &["observer.product", "event.provider", "event.module"], &["log"]),
    row(Fact::Version, &["metadata.product.version"], &["observer.version"], &[]),
    row(Fact::Code, &["metadata.event_code"], &["event.code", "event.action"], &[]),
    row(Fact::Name, &["type_name", "class_name"], &["event.action", "event.code"], &[]),
    row(Fact::Severity, &["severity_id"], &["event.severity"], &[]),
    row(Fact::Class, &["class_uid"], &["auditline.ocsf.class_uid"], &[]),
    row(Fact::Type, &["type_uid"], &["auditline.ocsf.type_uid"], &[]),
    row(Fact::Category, &["class_name"], &["event.category"], &[]),
    row(Fact::Action, &["activity_name"], &["event.type"], &[]),
    row(Fact::Outcome, &["status"], &["event.outcome"], &[]),
    row(Fact::Reason, &["status_detail", "status_code"], &["event.reason", "error.message", "error.code"], &[]),
    row(Fact::Message, &["message"], &["message"], &["message"]),
    row(Fact::ActorId, &["actor.user.uid"], &["user.id"], &[]),
    row(Fact::ActorName, &["actor.user.name", "actor.user.email_addr"], &["user.name", "user.email"], &[]),
    row(Fact::ActorKind, &["actor.user.type"], &["user.roles"], &[]),
    row(Fact::ActorDomain, &["actor.user.domain"], &["user.domain"], &[]),
    row(Fact::ActorApp, &["actor.app_name", "actor.app_uid"], &[], &[]),
    row(Fact::TargetId, &["user.uid"], &["user.target.id", "user.effective.id"], &[]),
    row(Fact::TargetName, &["user.name", "user.email_addr"], &["user.target.name", "user.target.email", "user.effective.name", "user.effective.email"], &[]),
    row(Fact::SourceIp, &["src_endpoint.ip"], &["source.ip"], &[]),
    row(Fact::SourcePort, &["src_endpoint.port"], &["source.port"], &[]),
    row(Fact::SourceHost, &["src_endpoint.hostname", "src_endpoint.domain"], &["source.domain"], &[]),
    row(Fact::DestinationIp, &["dst_endpoint.ip"], &["destination.ip"], &[]),
    row(Fact::DestinationPort, &["dst_endpoint.port"], &["destination.port"], &[]),
    row(Fact::DestinationHost, &["dst_endpoint.hostname", "dst_endpoint.domain"], &["destination.domain"], &[]),
    row(Fact::Service, &["service.name", "api.service.name"], &["service.name"], &[]),
    row(Fact::Url, &["http_request.url.url_string", "http_request.url.path"], &["url.original", "url.full", "url.path"], &[]),
    row(Fact::Method, &["http_request.http_method"], &["http.request.method"], &[]),
    row(Fact::UserAgent, &["http_request.user_agent"], &["user_agent.original"], &[]),
    row(Fact::Referrer, &["http_request.referrer"], &["http.request.referrer"], &[]),
    row(Fact::ObjectId, &["entity.uid", "resources.uid", "group.uid"], &["auditline.ocsf.entity.uid", "auditline.ocsf.resources.uid", "group.id"], &[]),
    row(Fact::ObjectName, &["entity.name", "resources.name", "group.name"], &["auditline.ocsf.entity.name", "auditline.ocsf.resources.name", "group.name"], &[]),
    row(Fact::ObjectKind, &["entity.type", "resources.type"], &["auditline.ocsf.entity.type", "auditline.ocsf.resources.type"], &[]),
    row(Fact::Group, &["group.uid", "group.name"], &["group.id", "group.name"], &[]),
    row(Fact::Privileges, &["privileges"], &["auditline.ocsf.privileges"], &[]),
    row(Fact::Correlation, &["metadata.correlation_uid"], &["trace.id"], &[]),
    row(Fact::Tenant, &["metadata.tenant_uid"], &["organization.id"], &[]),
    row(Fact::Log, &["metadata.log_name"], &["event.module"], &["log"]),
];

/// What one record says.
pub(super) struct Facts<'a> {
    event: Node<'a>,
    form: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Ocsf,
    Ecs,
    Other,
    /// No JSON object that can be read.
    None,
}

impl<'a> Facts<'a> {
    pub fn of(record: &'a Record) -> Self {
        let text = std::str::from_utf8(&record.json).unwrap_or_default();
        let event = Node::read(text, LEVELS);
        let form = match &event {
            Node::Leaf(_) => Form::None,
            event if event.at("class_uid").is_some() => Form::Ocsf,
            event if event.at("ecs.version").is_some() => Form::Ecs,
            _ => Form::Other,
        };
        Self { event, form }
    }

    /// Whether the record's JSON could be looked into at all.
    pub fn are_readable(&self) -> bool {
        self.form != Form::None
    }

    /// A text that is not empty.
    pub fn get(&self, fact: Fact) -> Option<Cow<'a, str>> {
        let row = TABLE.iter().find(|row| row.fact == fact)?;
        let places = match self.form {
            Form::Ocsf => row.ocsf,
            Form::Ecs => row.ecs,
            Form::Other => row.other,
            Form::None => &[],
        };
        let mut texts = places.iter().filter_map(|place| self.event.at(place)?.text());
        texts.find(|text| !text.trim().is_empty())
    }

    pub fn head(&self, batch: &'a Batch) -> Head<'a> {
        let vendor = self.get(Fact::Vendor).unwrap_or(Cow::Borrowed(&batch.vendor));
        let code = self.get(Fact::Code).or_else(|| self.get(Fact::Type)).or_else(|| self.get(Fact::Class));
        let code = code.unwrap_or(Cow::Borrowed("record"));
        Head {
            product: self.get(Fact::Product).unwrap_or_else(|| vendor.clone()),
            // Vendors of a service do not tell, and ours would be taken for theirs.
            version: self.get(Fact::Version).unwrap_or(Cow::Borrowed("-")),
            name: self.get(Fact::Name).unwrap_or_else(|| code.clone()),
            vendor,
            code,
        }
    }

    /// How bad it is on a scale of 0 to 10, where OCSF and ECS have 1 *Informational* to 5 *Critical* and 6 *Fatal*.
    /// `None` for *Unknown*, *Other* and what says nothing.
    pub fn severity(&self) -> Option<u8> {
        match self.get(Fact::Severity)?.as_ref() {
            "1" => Some(1),
            "2" => Some(3),
            "3" => Some(5),
            "4" => Some(7),
            "5" => Some(9),
            "6" => Some(10),
            _ => None,
        }
    }

    /// Whether it is about somebody who signed in, so that the address is that person's.
    pub fn is_sign_in(&self) -> bool {
        self.get(Fact::Type).is_some_and(|it| it == "300201")
            && self.get(Fact::Outcome).is_some_and(|it| it.eq_ignore_ascii_case("success"))
    }
}

/// The deepest place of the table.
const LEVELS: usize = 5;

/// JSON that is looked into only where the table points: an event may be nested deeper than a stack is.
enum Node<'a> {
    Object(Vec<(Cow<'a, str>, Node<'a>)>),
    /// The JSON of anything else.
    Leaf(&'a str),
}

impl<'a> Node<'a> {
    fn read(json: &'a str, levels: usize) -> Self {
        let json = json.trim();
        if levels == 0 || !json.starts_with('{') {
            return Self::Leaf(json);
        }
        let Ok(Entries(entries)) = serde_json::from_str(json) else {
            return Self::Leaf(json);
        };
        Self::Object(entries.into_iter().map(|(key, value)| (key, Self::read(value.get(), levels - 1))).collect())
    }

    /// What stands at a path. In a list of objects, the first one counts.
    fn at(&self, path: &str) -> Option<Node<'a>> {
        let (name, rest) = path.split_once('.').unwrap_or((path, ""));
        let Self::Object(entries) = self else {
            return None;
        };
        // Of a name that is there twice, readers of JSON take the last.
        let (_, found) = entries.iter().rfind(|(key, _)| key == name)?;
        match found {
            found if rest.is_empty() => Some(found.shallow()),
            Self::Leaf(list) if list.starts_with('[') => {
                let first = *serde_json::from_str::<Vec<&RawValue>>(list).ok()?.first()?;
                Node::read(first.get(), 1).at(rest)
            }
            found => found.at(rest),
        }
    }

    fn shallow(&self) -> Self {
        match self {
            Self::Object(_) => Self::Object(Vec::new()),
            Self::Leaf(json) => Self::Leaf(json),
        }
    }

    /// A value as text: of a list its items.
    fn text(&self) -> Option<Cow<'a, str>> {
        match self {
            Self::Object(_) => None,
            Self::Leaf(list) if list.starts_with('[') => {
                let items: Vec<&RawValue> = serde_json::from_str(list).ok()?;
                let texts: Vec<_> = items.iter().filter_map(|item| scalar(item.get())).collect();
                Some(Cow::Owned(texts.join(", ")))
            }
            Self::Leaf(json) => scalar(json),
        }
    }
}

/// A text, or the JSON of what is none or cannot be read.
pub(super) fn scalar(json: &str) -> Option<Cow<'_, str>> {
    match json.as_bytes().first()? {
        b'n' => None,
        b'"' => Some(serde_json::from_str(json).map_or(Cow::Borrowed(json), Cow::Owned)),
        _ => Some(Cow::Borrowed(json)),
    }
}

/// An object's names and the JSON of their values.
struct Entries<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Entries<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;

        impl<'de> Visitor<'de> for Read {
            type Value = Entries<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Entries<'de>, M::Error> {
                let mut entries = Vec::new();
                while let Some((Name(name), value)) = map.next_entry()? {
                    entries.push((name, value));
                }
                Ok(Entries(entries))
            }
        }

        deserializer.deserialize_map(Read)
    }
}

#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract;

    fn says(json: &str, fact: Fact) -> Option<String> {
        let batch = contract::batch_of("p", 1, [json]);
        let facts = Facts::of(&batch.records[0]);
        facts.get(fact).map(Cow::into_owned)
    }

    #[test]
    fn the_first_place_that_has_something_counts() {
        let json = r#"{"class_uid":3001,"user":{"name":" ","email_addr":"a@example.com"}}"#;
        assert_eq!(says(json, Fact::TargetName).as_deref(), Some("a@example.com"));
        assert_eq!(says(json, Fact::ActorName), None);
        assert_eq!(says(json, Fact::Class).as_deref(), Some("3001"));
    }

    #[test]
    fn users_of_ecs_are_others_than_users_of_ocsf() {
        let json = r#"{"ecs":{"version":"9.4.0"},"user":{"name":"anna","target":{"name":"bert"}}}"#;
        assert_eq!(says(json, Fact::ActorName).as_deref(), Some("anna"));
        assert_eq!(says(json, Fact::TargetName).as_deref(), Some("bert"));
    }

    #[test]
    fn lists_are_texts_and_their_first_object_is_looked_into() {
        let json = r#"{"class_uid":6003,"privileges":["read",1,null],"resources":[{"uid":"r-1"},{"uid":"r-2"}]}"#;
        assert_eq!(says(json, Fact::Privileges).as_deref(), Some("read, 1"));
        assert_eq!(says(json, Fact::ObjectId).as_deref(), Some("r-1"));
    }

    #[test]
    fn what_is_no_object_says_nothing_and_breaks_nothing() {
        let deep = format!("{}1{}", r#"{"user":"#.repeat(200_000), "}".repeat(200_000));
        let list = format!(r#"{{"class_uid":1,"privileges":{}{}}}"#, "[".repeat(200_000), "]".repeat(200_000));
        for json in ["", "[]", "7", r#"{"a":"#, r#"{"\ud83e":1}"#, &deep, &list] {
            assert_eq!(says(json, Fact::ActorName), None);
        }
        assert_eq!(says(&list, Fact::Privileges).map(|text| text.len()), Some(399_998));
        let lone = r#"{"class_uid":1,"message":"\ud83e"}"#;
        assert_eq!(says(lone, Fact::Message).as_deref(), Some(r#""\ud83e""#));
    }

    #[test]
    fn every_fact_has_its_row_and_no_place_is_too_deep() {
        for row in TABLE {
            assert_eq!(TABLE.iter().filter(|other| other.fact == row.fact).count(), 1, "{:?}", row.fact);
            let places = row.ocsf.iter().chain(row.ecs).chain(row.other);
            assert!(places.into_iter().all(|place| place.split('.').count() <= LEVELS), "{:?}", row.fact);
        }
    }
}
