//! How severe an event is, by the numbers of OpenTelemetry's log data model.

use opentelemetry_proto::tonic::common::v1::AnyValue;
use opentelemetry_proto::tonic::logs::v1::SeverityNumber;

use super::value;

/// A severity and the event's own word for it. Unspecified where the event tells none.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Severity {
    pub number: SeverityNumber,
    pub text: String,
}

impl Severity {
    /// OCSF's `severity_id`, or the `log.level` of ECS.
    pub fn of(event: &AnyValue) -> Self {
        if let Some(id) = value::integer(event, &["severity_id"]) {
            let number = by_ocsf(id);
            let text = value::text(event, &["severity"]).unwrap_or_default().to_owned();
            return Self { number, text };
        }
        let level = value::text(event, &["log", "level"]).or_else(|| value::text(event, &["log.level"]));
        level.map(|level| Self { number: by_name(level), text: level.to_owned() }).unwrap_or_default()
    }
}

/// From 1, informational, to 6, fatal; 0 is unknown and 99 another.
fn by_ocsf(id: i64) -> SeverityNumber {
    match id {
        1 => SeverityNumber::Info,
        2 => SeverityNumber::Info2,
        3 => SeverityNumber::Warn,
        4 => SeverityNumber::Error,
        5 => SeverityNumber::Error2,
        6 => SeverityNumber::Fatal,
        _ => SeverityNumber::Unspecified,
    }
}

fn by_name(level: &str) -> SeverityNumber {
    match level.to_ascii_lowercase().as_str() {
        "trace" => SeverityNumber::Trace,
        "debug" => SeverityNumber::Debug,
        "info" | "information" | "informational" => SeverityNumber::Info,
        "notice" => SeverityNumber::Info2,
        "warn" | "warning" => SeverityNumber::Warn,
        "error" | "err" => SeverityNumber::Error,
        "critical" | "crit" => SeverityNumber::Error2,
        "alert" => SeverityNumber::Error3,
        "fatal" | "emergency" | "emerg" => SeverityNumber::Fatal,
        _ => SeverityNumber::Unspecified,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(json: &str) -> (SeverityNumber, String) {
        let severity = Severity::of(&value::read(json.as_bytes()).unwrap());
        (severity.number, severity.text)
    }

    #[test]
    fn is_told_by_ocsf_or_ecs() {
        assert_eq!(of(r#"{"severity_id":1}"#), (SeverityNumber::Info, String::new()));
        assert_eq!(of(r#"{"severity_id":6,"severity":"Fatal"}"#), (SeverityNumber::Fatal, "Fatal".to_owned()));
        assert_eq!(of(r#"{"severity_id":99}"#), (SeverityNumber::Unspecified, String::new()));
        assert_eq!(of(r#"{"log":{"level":"WARNING"}}"#), (SeverityNumber::Warn, "WARNING".to_owned()));
        assert_eq!(of(r#"{"message":"x"}"#), (SeverityNumber::Unspecified, String::new()));
    }
}
