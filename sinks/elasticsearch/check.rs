//! Whether the server is there, knows us and lets us write, found out without writing.

use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Elasticsearch, HINTS};
use crate::DeliveryError;
use crate::http_client::{Answer, Verdict};

pub(super) async fn check(sink: &Elasticsearch) -> Result<(), DeliveryError> {
    // An Elasticsearch with users tells everyone what they may do. OpenSearch tells nobody.
    if !may_write(sink).await? {
        is_there(sink).await?;
    }
    if sink.target.is_stream {
        has_stream(sink).await?;
    }
    Ok(())
}

/// The name with a star for each placeholder.
fn pattern(sink: &Elasticsearch) -> String {
    sink.target.name.filled_with("*")
}

/// `false` where the server cannot tell.
async fn may_write(sink: &Elasticsearch) -> Result<bool, DeliveryError> {
    if sink.authorization.is_none() && sink.config.tls.as_ref().is_none_or(|tls| tls.cert.is_none()) {
        return Ok(false);
    }
    let name = pattern(sink);
    let asked = json!({ "index": [{ "names": [name], "privileges": ["create_doc"] }] });
    let answer = ask(sink, Method::POST, "/_security/user/_has_privileges", Some(&asked)).await?;
    if answer.status == StatusCode::UNAUTHORIZED {
        return Err(answer.refused(HINTS.credentials));
    }
    let told = answer.json().filter(|_| answer.status.is_success());
    match told.as_ref().and_then(|told| told["has_all_requested"].as_bool()) {
        Some(false) => Err(DeliveryError::Refused {
            message: format!("`{}` does not let us create documents in `{name}`", answer.origin),
            hint: "grant the privileges `create_doc` and `auto_configure` on it".to_owned(),
            source: None,
        }),
        Some(true) => Ok(true),
        None => Ok(false),
    }
}

async fn is_there(sink: &Elasticsearch) -> Result<(), DeliveryError> {
    let answer = ask(sink, Method::GET, "/", None).await?;
    // Who may write need not be allowed to ask for the version. With wrong credentials it is a 401.
    if answer.status == StatusCode::FORBIDDEN && sink.authorization.is_some() {
        return Ok(());
    }
    match answer.judge(&HINTS) {
        Verdict::Taken => {}
        Verdict::Failed(error) => return Err(error),
        Verdict::TooLarge | Verdict::Malformed => return Err(answer.refused(HINTS.target)),
    }
    match answer.json() {
        Some(told) if told["version"]["number"].is_string() => Ok(()),
        _ => Err(DeliveryError::Refused {
            message: format!(
                "what answers at `{}` is neither Elasticsearch nor OpenSearch: {}",
                answer.origin,
                answer.excerpt()
            ),
            hint: HINTS.target.to_owned(),
            source: None,
        }),
    }
}

/// A data stream of the name is there, or a template that makes one. Where we may not ask, it is not held against us.
async fn has_stream(sink: &Elasticsearch) -> Result<(), DeliveryError> {
    let name = pattern(sink);
    let streams = ask(sink, Method::GET, &format!("/_data_stream/{name}"), None).await?;
    let is_there = |told: &Value| told["data_streams"].as_array().is_some_and(|streams| !streams.is_empty());
    if streams.status.is_success() && streams.json().as_ref().is_none_or(is_there) {
        return Ok(());
    }
    let templates = ask(sink, Method::GET, "/_index_template", None).await?;
    let Some(told) = templates.json().filter(|_| templates.status.is_success()) else { return Ok(()) };
    let makes_ours = |template: &Value| {
        let template = &template["index_template"];
        let patterns = template["index_patterns"].as_array().into_iter().flatten().filter_map(Value::as_str);
        template["data_stream"].is_object() && patterns.into_iter().any(|pattern| matches(pattern, &name))
    };
    if told["index_templates"].as_array().is_none_or(|templates| templates.iter().any(makes_ours)) {
        return Ok(());
    }
    Err(DeliveryError::Refused {
        message: format!("`{}` has neither a data stream `{name}` nor a template that makes one", templates.origin),
        hint: format!(
            "`auditline schema index-template --data-stream --pattern '{name}'` prints a template to put there; or use \
             `index` in place of `data_stream`"
        ),
        source: None,
    })
}

/// Whether a pattern with stars takes every name that `name`, which may have stars itself, stands for. A star of the name
/// is taken by a star only.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((before, rest)) => name
            .strip_prefix(before)
            .is_some_and(|name| rest.is_empty() || name.char_indices().any(|(at, _)| matches(rest, &name[at..]))),
    }
}

async fn ask(sink: &Elasticsearch, method: Method, path: &str, body: Option<&Value>) -> Result<Answer, DeliveryError> {
    let mut request = sink.request(method, sink.config.url.below(path))?;
    if let Some(body) = body {
        request = request.header(CONTENT_TYPE, "application/json").body(body.to_string());
    }
    sink.client.send(request).await
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_template_makes_what_its_pattern_takes() {
        for (pattern, name) in [
            ("logs-*-*", "logs-auditline.*-default"),
            ("logs-auditline.*", "logs-auditline.*-default"),
            ("*", "a*"),
            ("audit", "audit"),
            ("logs-*-default", "logs-auditline.*-default"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in
            [("metrics-*-*", "logs-a-default"), ("audit", "audit-x"), ("logs-*-prod", "logs-a-default")]
        {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }
}
