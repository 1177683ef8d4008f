//! Which attribute of OCSF becomes which field of ECS, and how: a line each, in the order of the event.
//!
//! Fields are those of `fields-9.4.0.txt`; a test holds every line against it, and against OCSF.

use super::how::How::{self, *};
use super::how::When::{self, *};

/// A line of the table.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The field, dotted. Of several lines of a field the first that gives something counts.
    pub field: &'static str,
    /// The events it is for.
    pub when: When,
    /// What becomes of the value.
    pub how: How,
    /// Where the OCSF event may have it. The first that fits counts.
    pub from: &'static [&'static str],
    /// Where the OCSF event may say the same once more. It is then not kept twice.
    pub also: &'static [&'static str],
}

const fn row(field: &'static str, how: How, from: &'static [&'static str]) -> Row {
    Row { field, when: Always, how, from, also: &[] }
}

impl Row {
    const fn when(self, when: When) -> Self {
        Self { when, ..self }
    }

    const fn also(self, also: &'static [&'static str]) -> Self {
        Self { also, ..self }
    }
}

/// The whole of it. Where an event has a user beside the one who acts, that is `user.target`; whoever signs in, or has a
/// session, acts for himself, unless the actor is somebody else, who ends it, say; and one who becomes another has that
/// other's rights, `user.effective`.
#[rustfmt::skip]
pub const TABLE: &[Row] = &[
    row("@timestamp", Time, &["time"]),
    row("message", Text, &["message"]),
    row("tags", List, &["metadata.labels"]),
    row("labels", Labels, &["metadata.tags"]),
    row("ecs.version", Version, &[]),

    row("event.kind", Fixed("event"), &[]),
    row("event.category", Category, &[]),
    row("event.type", Type, &[]),
    row("event.action", Text, &["metadata.event_code", "api.operation"]),
    row("event.action", Activity, &["activity_name"]),
    row("event.code", Text, &["metadata.event_code"]),
    row("event.outcome", Outcome, &[]),
    row("event.reason", Text, &["status_detail"]),
    row("event.severity", Long, &["severity_id"]),
    row("event.risk_score", Float, &["risk_score"]),
    row("event.id", Text, &["metadata.uid"]),
    row("event.sequence", Long, &["metadata.sequence"]),
    row("event.start", Time, &["start_time"]),
    row("event.end", Time, &["end_time"]),
    row("event.module", Text, &["metadata.log_name"]),
    row("event.dataset", Dataset, &["metadata.log_name"]),
    row("event.provider", Text, &["metadata.product.name"]),
    row("event.original", Text, &["raw_data"]),

    row("log.level", Text, &["metadata.log_level"]),

    row("error.code", Text, &["status_code"]).when(Failed),
    row("error.code", Text, &["api.response.error"]),
    row("error.message", Text, &["api.response.error_message"]),

    row("user.id", Text, &["actor.user.uid"]).when(ByActor),
    row("user.name", Text, &["actor.user.name"]).when(ByActor),
    row("user.email", Text, &["actor.user.email_addr"]).when(ByActor),
    row("user.full_name", Text, &["actor.user.full_name"]).when(ByActor),
    row("user.domain", Text, &["actor.user.domain"]).when(ByActor),
    row("user.group.id", Text, &["actor.user.groups.0.uid"]).when(ByActor),
    row("user.group.name", Text, &["actor.user.groups.0.name"]).when(ByActor),
    row("user.risk.static_level", Text, &["actor.user.risk_level"]).when(ByActor),
    row("user.risk.static_score", Float, &["actor.user.risk_score"]).when(ByActor),
    row("user.id", Text, &["user.uid"]).when(Own).also(&["actor.user.uid"]),
    row("user.name", Text, &["user.name"]).when(Own).also(&["actor.user.name"]),
    row("user.email", Text, &["user.email_addr"]).when(Own).also(&["actor.user.email_addr"]),
    row("user.full_name", Text, &["user.full_name"]).when(Own).also(&["actor.user.full_name"]),
    row("user.domain", Text, &["user.domain"]).when(Own).also(&["actor.user.domain"]),
    row("user.group.id", Text, &["user.groups.0.uid"]).when(Own),
    row("user.group.name", Text, &["user.groups.0.name"]).when(Own),
    row("user.risk.static_level", Text, &["user.risk_level"]).when(Own),
    row("user.risk.static_score", Float, &["user.risk_score"]).when(Own),
    row("user.effective.id", Text, &["user.uid"]).when(Switched),
    row("user.effective.name", Text, &["user.name"]).when(Switched),
    row("user.effective.email", Text, &["user.email_addr"]).when(Switched),
    row("user.effective.full_name", Text, &["user.full_name"]).when(Switched),
    row("user.effective.domain", Text, &["user.domain"]).when(Switched),
    row("user.target.id", Text, &["user.uid", "entity.user.uid"]).when(OnOthers),
    row("user.target.id", Text, &["entity.uid"]).when(OnUser),
    row("user.target.name", Text, &["user.name", "entity.user.name"]).when(OnOthers),
    row("user.target.name", Text, &["entity.name"]).when(OnUser),
    row("user.target.email", Text, &["user.email_addr", "entity.user.email_addr"]).when(OnOthers),
    row("user.target.full_name", Text, &["user.full_name", "entity.user.full_name"]).when(OnOthers),
    row("user.target.domain", Text, &["user.domain", "entity.user.domain"]).when(OnOthers),
    row("user.changes.id", Text, &["user_result.uid", "entity_result.user.uid"]),
    row("user.changes.name", Text, &["user_result.name", "entity_result.user.name"]),
    row("user.changes.email", Text, &["user_result.email_addr", "entity_result.user.email_addr"]),
    row("user.changes.full_name", Text, &["user_result.full_name", "entity_result.user.full_name"]),
    row("user.changes.domain", Text, &["user_result.domain", "entity_result.user.domain"]),
    row("group.id", Text, &["group.uid", "entity.group.uid"]),
    row("group.id", Text, &["entity.uid"]).when(OnGroup),
    row("group.name", Text, &["group.name", "entity.group.name"]),
    row("group.name", Text, &["entity.name"]).when(OnGroup),
    row("group.domain", Text, &["group.domain", "entity.group.domain"]),
    row("organization.id", Text, &["metadata.tenant_uid"]),

    row("source.address", Text, &["src_endpoint.ip", "src_endpoint.hostname", "src_endpoint.domain"]),
    row("source.ip", Ip, &["src_endpoint.ip"]),
    row("source.port", Long, &["src_endpoint.port"]),
    row("source.domain", Text, &["src_endpoint.hostname", "src_endpoint.domain"]),
    row("source.geo.continent_name", Text, &["src_endpoint.location.continent"]),
    row("source.geo.country_iso_code", CountryCode, &["src_endpoint.location.country"]),
    row("source.geo.country_name", CountryName, &["src_endpoint.location.country"]),
    row("source.geo.region_iso_code", Text, &["src_endpoint.location.region"]),
    row("source.geo.city_name", Text, &["src_endpoint.location.city"]),
    row("source.geo.postal_code", Text, &["src_endpoint.location.postal_code"]),
    row("source.geo.name", Text, &["src_endpoint.location.desc"]),
    row("source.geo.location", Point, &["src_endpoint.location.lat", "src_endpoint.location.long"]),
    row("source.as.number", Long, &["src_endpoint.autonomous_system.number"]),
    row("source.as.organization.name", Text, &["src_endpoint.autonomous_system.name"]),
    row("client.address", Text, &["src_endpoint.ip", "src_endpoint.hostname", "src_endpoint.domain"]),
    row("client.ip", Ip, &["src_endpoint.ip"]),
    row("destination.address", Text, &["dst_endpoint.ip", "dst_endpoint.hostname", "dst_endpoint.domain"]),
    row("destination.ip", Ip, &["dst_endpoint.ip"]),
    row("destination.port", Long, &["dst_endpoint.port"]),
    row("destination.domain", Text, &["dst_endpoint.hostname", "dst_endpoint.domain"]),
    row("host.id", Text, &["device.uid"]),
    row("host.name", Text, &["device.name", "device.hostname"]),
    row("host.hostname", Text, &["device.hostname"]),
    row("host.domain", Text, &["device.domain"]),
    row("host.ip", Ips, &["device.ip"]),
    row("host.os.name", Text, &["device.os.name"]),
    row("host.os.version", Text, &["device.os.version"]),
    row("user_agent.original", Text, &["http_request.user_agent"]),

    row("http.version", Text, &["http_request.version"]),
    row("http.request.id", Text, &["http_request.uid", "api.request.uid"]),
    row("http.request.method", Text, &["http_request.http_method"]),
    row("http.request.referrer", Text, &["http_request.referrer"]),
    row("http.request.bytes", Long, &["http_request.length"]),
    row("http.request.body.bytes", Long, &["http_request.body_length"]),
    row("http.response.status_code", Long, &["http_response.code", "api.response.code"]),
    row("http.response.mime_type", Text, &["http_response.content_type"]),
    row("http.response.bytes", Long, &["http_response.length"]),
    row("http.response.body.bytes", Long, &["http_response.body_length"]),
    row("url.original", Text, &["http_request.url.url_string", "http_request.url.path"]),
    row("url.scheme", Text, &["http_request.url.scheme"]),
    row("url.domain", Text, &["http_request.url.hostname", "http_request.url.domain"]),
    row("url.subdomain", Text, &["http_request.url.subdomain"]),
    row("url.port", Long, &["http_request.url.port"]),
    row("url.path", BeforeQuery, &["http_request.url.path"]),
    row("url.query", Text, &["http_request.url.query_string"]),
    row("url.query", Query, &["http_request.url.path"]),

    row("service.id", Text, &["service.uid", "api.service.uid"]),
    row("service.name", Text, &["service.name", "api.service.name"]),
    row("service.version", Text, &["service.version", "api.service.version"]),
    row("cloud.provider", Text, &["cloud.provider"]),
    row("cloud.region", Text, &["cloud.region"]),
    row("cloud.availability_zone", Text, &["cloud.zone"]),
    row("cloud.account.id", Text, &["cloud.account.uid"]),
    row("cloud.account.name", Text, &["cloud.account.name"]),
    row("observer.vendor", Text, &["metadata.product.vendor_name"]),
    row("observer.product", Text, &["metadata.product.name"]),
    row("observer.version", Text, &["metadata.product.version"]),
    row("trace.id", Text, &["trace.uid", "metadata.correlation_uid"]),
    row("span.id", Text, &["trace.span.uid"]),

    row("related.ip", AllIps, &[
        "src_endpoint.ip", "src_endpoint.intermediate_ips", "dst_endpoint.ip", "device.ip", "http_request.x_forwarded_for",
        "observables",
    ]),
    row("related.hosts", AllHosts, &[
        "src_endpoint.hostname", "src_endpoint.domain", "dst_endpoint.hostname", "dst_endpoint.domain", "device.hostname",
        "device.name", "http_request.url.hostname", "observables",
    ]),
    row("related.user", AllUsers, &[
        "actor.user.uid", "actor.user.name", "actor.user.email_addr", "entity.uid", "entity.name", "observables",
    ]).when(OnUser),
    row("related.user", AllUsers, &[
        "actor.user.uid", "actor.user.name", "actor.user.email_addr", "user.uid", "user.name", "user.email_addr",
        "entity.user.uid", "entity.user.name", "entity.user.email_addr", "user_result.uid", "user_result.name",
        "user_result.email_addr", "observables",
    ]),
];
