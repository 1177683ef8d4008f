//! The same work on values that own their texts and are changed in place, as one would write it by hand: the map of
//! Cloudflare's connector as code, and redaction of every text and key.

use auditline::event::{Record, RecordKey, time};
use auditline::transform::redact::{Hits, Redactor};

use super::clock::Lap;

/// What the map and the redaction need of a form.
pub trait Tree: Sized {
    fn parse(text: &[u8]) -> Self;
    fn write(&self) -> Vec<u8>;
    fn object() -> Self;
    fn text(text: &str) -> Self;
    fn number(number: i64) -> Self;
    fn list(items: Vec<Self>) -> Self;
    fn put(&mut self, key: &'static str, value: Self);
    fn at(&self, key: &str) -> Option<&Self>;
    /// Takes the value out and leaves `null`. `null` and empty values are none.
    fn take(&mut self, key: &str) -> Option<Self>;
    fn inner(&mut self, key: &str) -> Option<&mut Self>;
    fn into_items(self) -> Vec<Self>;
    fn as_text(&self) -> Option<&str>;
    fn as_number(&self) -> Option<i64>;
    fn has_members(&self) -> bool;
    /// Drops members that are `null` or empty, here and in the objects right below.
    fn prune(&mut self);
    fn redact(&mut self, redactor: &Redactor, hits: &mut Hits);

    fn put_some(&mut self, key: &'static str, value: Option<Self>) {
        if let Some(value) = value {
            self.put(key, value);
        }
    }

    fn copy_of(&self, path: &[&str]) -> Option<Self> {
        let found = path.iter().try_fold(self, |value, key| value.at(key))?;
        let text = found.as_text().filter(|text| !text.is_empty());
        text.map(Self::text).or_else(|| found.as_number().map(Self::number))
    }

    fn text_at(&self, outer: &str, key: &str) -> Option<&str> {
        self.at(outer)?.at(key)?.as_text().filter(|text| !text.is_empty())
    }

    fn take_at(&mut self, outer: &str, key: &str) -> Option<Self> {
        self.inner(outer)?.take(key)
    }
}

/// The records of a page, and how many addresses were redacted.
pub fn run<T: Tree>(page: &[u8], redactor: &Redactor) -> (Vec<Record>, Hits) {
    let mut hits = Hits::default();
    let records = T::parse(page).take("result").expect("the page has records").into_items();
    let mut done = Vec::with_capacity(records.len());
    for record in records {
        let (id, mut event, time) = map(record);
        event.redact(redactor, &mut hits);
        std::hint::black_box(RecordKey::of(&id));
        let id = redactor.text(&id, &mut Hits::default()).unwrap_or(id);
        done.push(Record { id, time, json: event.write().into() });
    }
    (done, hits)
}

/// The same work part by part over the whole page: decode, map, redact, encode.
pub fn parts<T: Tree>(page: &[u8], redactor: &Redactor) -> [f64; 4] {
    let mut hits = Hits::default();
    let mut lap = Lap::start();
    let records = T::parse(page).take("result").expect("the page has records").into_items();
    let decoded = lap.next();
    let mut events: Vec<_> = records.into_iter().map(map).collect();
    let mapped = lap.next();
    for (_, event, _) in &mut events {
        event.redact(redactor, &mut hits);
    }
    let redacted = lap.next();
    let frozen: Vec<Vec<u8>> = events.iter().map(|(_, event, _)| event.write()).collect();
    std::hint::black_box(frozen);
    [decoded, mapped, redacted, lap.next()]
}

type Mapped<T> = (String, T, chrono::DateTime<chrono::Utc>);

/// What `[ocsf]` in `connectors/cloudflare.toml` says, as far as the records of this benchmark go.
fn map<T: Tree>(mut record: T) -> Mapped<T> {
    let id = record.at("id").and_then(T::as_text).expect("an id").to_owned();
    let at = record.text_at("action", "time").and_then(time::from_text).expect("a time");
    let class = class_of(&record);
    let mut event = T::object();
    put_class(&mut event, &class, &mut record);
    event.put("severity_id", T::number(1));
    event.put("severity", T::text("Informational"));
    event.put("time", T::number(at.timestamp_millis()));
    put_status(&mut event, &mut record);
    put_metadata(&mut event, &class, &mut record);
    match class.uid {
        3002 => put_authentication(&mut event, &record),
        6003 => put_api(&mut event, &mut record),
        _ => put_entity(&mut event, &mut record),
    }
    put_actor(&mut event, &mut record);
    put_http(&mut event, &mut record);
    record.prune();
    if record.has_members() {
        event.put("unmapped", record);
    }
    (id, event, at)
}

struct Class {
    uid: i64,
    name: &'static str,
    category: (i64, &'static str),
}

const ENTITY_MANAGEMENT: Class =
    Class { uid: 3004, name: "Entity Management", category: (3, "Identity & Access Management") };
const AUTHENTICATION: Class =
    Class { uid: 3002, name: "Authentication", category: (3, "Identity & Access Management") };
const API_ACTIVITY: Class = Class { uid: 6003, name: "API Activity", category: (6, "Application Activity") };

fn class_of<T: Tree>(record: &T) -> Class {
    let is = |key: &str, words: &[&str]| {
        record.text_at("action", key).is_some_and(|text| words.iter().any(|word| word.eq_ignore_ascii_case(text)))
    };
    if is("type", &["login", "logout"]) || is("description", &["login", "sso_login"]) {
        AUTHENTICATION
    } else if record.text_at("actor", "ip_address").is_some() {
        API_ACTIVITY
    } else {
        ENTITY_MANAGEMENT
    }
}

fn put_class<T: Tree>(event: &mut T, class: &Class, record: &mut T) {
    let kind = record.text_at("action", "type").unwrap_or_default();
    let (activity, name, whole) = match (class.uid, kind) {
        (3002, "logout") => (2, "Logoff", false),
        (3002, _) => (1, "Logon", false),
        (_, "create") => (1, "Create", true),
        (_, "view") => (2, "Read", false),
        (_, "update") => (3, "Update", true),
        (_, "delete") => (4, "Delete", true),
        (_, other) => panic!("no record is a `{other}`"),
    };
    event.put("activity_id", T::number(activity));
    event.put("activity_name", T::text(name));
    event.put("type_uid", T::number(class.uid * 100 + activity));
    event.put("type_name", T::text(&format!("{}: {name}", class.name)));
    event.put("category_uid", T::number(class.category.0));
    event.put("category_name", T::text(class.category.1));
    event.put("class_uid", T::number(class.uid));
    event.put("class_name", T::text(class.name));
    if whole {
        record.take_at("action", "type");
    }
}

fn put_status<T: Tree>(event: &mut T, record: &mut T) {
    let status = record
        .text_at("action", "result")
        .map(|result| if result == "success" { (1, "Success") } else { (2, "Failure") });
    let (number, caption) = status.unwrap_or((0, "Unknown"));
    event.put("status_id", T::number(number));
    event.put("status", T::text(caption));
    record.take_at("action", "result");
}

fn put_metadata<T: Tree>(event: &mut T, class: &Class, record: &mut T) {
    let mut product = T::object();
    product.put("name", T::text("Cloudflare"));
    product.put("vendor_name", T::text("Cloudflare"));
    let mut metadata = T::object();
    metadata.put("version", T::text("1.8.0"));
    metadata.put_some("uid", record.take("id"));
    metadata.put_some("original_time", record.take_at("action", "time"));
    metadata.put("log_name", T::text("cloudflare"));
    metadata.put("product", product);
    metadata.put_some("tenant_uid", record.copy_of(&["account", "id"]));
    if class.uid == 3002 {
        metadata.put_some("event_code", record.take_at("action", "description"));
    }
    event.put("metadata", metadata);
}

/// A person of OCSF; `name` is beside the address where the class asks for one.
fn user<T: Tree>(record: &T, named: bool) -> T {
    let mut user = T::object();
    user.put_some("uid", record.copy_of(&["actor", "id"]));
    if named {
        user.put_some("name", record.copy_of(&["actor", "email"]));
    }
    user.put_some("email_addr", record.copy_of(&["actor", "email"]));
    let (number, caption) = match record.text_at("actor", "type") {
        Some("user") => (1, "User"),
        Some("system") => (3, "System"),
        Some(other) => (99, other),
        None => (0, "Unknown"),
    };
    user.put("type_id", T::number(number));
    user.put("type", T::text(caption));
    user
}

fn put_authentication<T: Tree>(event: &mut T, record: &T) {
    event.put("user", user(record, true));
    let mut service = T::object();
    service.put("name", T::text("Cloudflare"));
    event.put("service", service);
}

fn put_api<T: Tree>(event: &mut T, record: &mut T) {
    let mut resources = Vec::new();
    let mut target = T::object();
    target.put_some("uid", record.take_at("resource", "id"));
    target.put_some("type", record.take_at("resource", "type"));
    target.put("role_id", T::number(1));
    target.put("role", T::text("Target"));
    resources.push(target);
    if record.text_at("zone", "id").is_some() {
        let mut zone = T::object();
        zone.put_some("uid", record.take_at("zone", "id"));
        zone.put_some("name", record.take_at("zone", "name"));
        zone.put("type", T::text("zone"));
        zone.put("role_id", T::number(4));
        zone.put("role", T::text("Related"));
        resources.push(zone);
    }
    let mut request = T::object();
    request.put_some("uid", record.copy_of(&["raw", "cf_ray_id"]));
    request.put_some("data", record.take_at("resource", "request"));
    let mut response = T::object();
    response.put_some("code", record.copy_of(&["raw", "status_code"]));
    response.put_some("data", record.take_at("resource", "response"));
    let mut api = T::object();
    api.put_some("operation", record.take_at("action", "description"));
    let mut service = T::object();
    service.put_some("name", record.take_at("resource", "product"));
    api.put("service", service);
    if record.text_at("actor", "token_id").is_some() {
        let mut token = T::object();
        token.put_some("uid", record.take_at("actor", "token_id"));
        token.put_some("name", record.take_at("actor", "token_name"));
        api.put("token", token);
    }
    api.put("request", request);
    api.put("response", response);
    event.put("api", api);
    event.put("resources", T::list(resources));
}

fn put_entity<T: Tree>(event: &mut T, record: &mut T) {
    event.put_some("comment", record.take_at("action", "description"));
    let mut entity = T::object();
    entity.put_some("uid", record.take_at("resource", "id"));
    entity.put("type_id", T::number(99));
    entity.put_some("type", record.take_at("resource", "type"));
    event.put("entity", entity);
}

fn put_actor<T: Tree>(event: &mut T, record: &mut T) {
    let mut actor = T::object();
    actor.put("user", user(record, false));
    for key in ["id", "email", "type"] {
        record.take_at("actor", key);
    }
    record.take_at("account", "id");
    event.put("actor", actor);
}

fn put_http<T: Tree>(event: &mut T, record: &mut T) {
    if let Some(address) = record.take_at("actor", "ip_address") {
        let mut endpoint = T::object();
        endpoint.put("ip", address);
        event.put("src_endpoint", endpoint);
    }
    let mut url = T::object();
    url.put_some("path", record.take_at("raw", "uri"));
    let mut request = T::object();
    request.put_some("uid", record.take_at("raw", "cf_ray_id"));
    request.put_some("http_method", record.take_at("raw", "method"));
    request.put("url", url);
    request.put_some("user_agent", record.take_at("raw", "user_agent"));
    event.put("http_request", request);
    let status = record.take_at("raw", "status_code");
    event.put_some("status_code", status.as_ref().and_then(T::as_number).map(|code| T::text(&code.to_string())));
    let mut response = T::object();
    response.put_some("code", status);
    event.put("http_response", response);
}
