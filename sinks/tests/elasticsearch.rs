//! The Elasticsearch sink against a real OpenSearch, and against answers no healthy server gives.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use auditline_sinks::contract::{self, Destination, Guarantees, server};
use auditline_sinks::{BuildError, Delivery, DeliveryError, Sink, SinkConfig};
use reqwest::Client;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::net::TcpListener;

mod siem;
use siem::{Gate, Mock, deliver, refused, retryable};

const OPENSEARCH: &str = "AUDITLINE_TEST_OPENSEARCH";

fn build(config: Value) -> Result<Arc<dyn Sink>, BuildError> {
    let config: SinkConfig = serde_json::from_value(json!({ "elasticsearch": config })).unwrap();
    config.build()
}

fn sink(config: Value) -> Arc<dyn Sink> {
    build(config).unwrap_or_else(|error| panic!("{}: {}", error.key, error.message))
}

async fn ask(method: &str, url: String, body: Option<Value>) -> Value {
    let request = Client::new().request(method.parse().unwrap(), &url);
    let request = match body {
        Some(body) => request.header("content-type", "application/json").body(body.to_string()),
        None => request,
    };
    let answer = request.send().await.unwrap();
    let (status, text) = (answer.status(), answer.text().await.unwrap());
    assert!(status.is_success(), "{method} {url}: {status} {text}");
    serde_json::from_str(&text).unwrap()
}

/// An index or a data stream of its own.
struct Index {
    url: String,
    name: String,
    config: Value,
}

impl Index {
    /// An index that looks into no document.
    async fn new(url: &str, name: &str) -> Self {
        let settings = json!({
            "settings": { "number_of_shards": 1, "number_of_replicas": 0 },
            "mappings": { "enabled": false },
        });
        Self::with(url, name, settings).await
    }

    async fn with(url: &str, name: &str, settings: Value) -> Self {
        ask("PUT", format!("{url}/{name}"), Some(settings)).await;
        Self { url: url.to_owned(), name: name.to_owned(), config: json!({ "url": url, "index": name }) }
    }

    /// A data stream, by a template for its name.
    async fn stream(url: &str, name: &str) -> Self {
        let template = json!({
            "index_patterns": [name],
            "data_stream": {},
            "priority": 500,
            "template": {
                "settings": { "number_of_shards": 1, "number_of_replicas": 0 },
                "mappings": { "dynamic": false },
            },
        });
        ask("PUT", format!("{url}/_index_template/{name}"), Some(template)).await;
        Self { url: url.to_owned(), name: name.to_owned(), config: json!({ "url": url, "data_stream": name }) }
    }

    /// What is there, as it was sent, in the order of arrival, and under which ids.
    async fn documents(&self) -> Vec<(String, String)> {
        #[derive(serde::Deserialize)]
        struct Found {
            hits: Hits,
        }
        #[derive(serde::Deserialize)]
        struct Hits {
            hits: Vec<Hit>,
        }
        #[derive(serde::Deserialize)]
        struct Hit {
            _id: String,
            _source: Box<RawValue>,
        }
        let Self { url, name, .. } = self;
        let client = Client::new();
        let refreshed = client.post(format!("{url}/{name}/_refresh")).send().await.unwrap();
        if refreshed.status() == 404 {
            return Vec::new();
        }
        assert!(refreshed.status().is_success(), "{refreshed:?}");
        let query = json!({ "size": 10_000, "sort": [{ "_seq_no": "asc" }] });
        let request = client.post(format!("{url}/{name}/_search")).header("content-type", "application/json");
        let answer = request.body(query.to_string()).send().await.unwrap().text().await.unwrap();
        let found: Found = serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{error}: {answer}"));
        found.hits.hits.into_iter().map(|hit| (hit._id, hit._source.get().to_owned())).collect()
    }

    async fn texts(&self) -> Vec<String> {
        let without_timestamp = |text: String| match text.strip_prefix("{\"@timestamp\":\"") {
            Some(rest) => format!("{{{}", rest.split_once('"').unwrap().1.trim_start_matches(',')),
            None => text,
        };
        self.documents().await.into_iter().map(|(_, text)| without_timestamp(text)).collect()
    }
}

#[async_trait]
impl Destination for Index {
    fn sink(&self) -> Arc<dyn Sink> {
        sink(self.config.clone())
    }

    async fn read_back(&self, _expected: usize) -> Vec<String> {
        self.texts().await
    }

    fn guarantees(&self) -> Guarantees {
        Guarantees { exactly_once: true, ..Guarantees::default() }
    }
}

#[tokio::test]
async fn keeps_the_contract() {
    let Some(url) = server("keeps_the_contract", "opensearch", OPENSEARCH) else { return };
    contract::all(async |name: &str| Index::new(&url, name).await).await;
}

#[tokio::test]
async fn keeps_the_contract_in_a_data_stream() {
    let Some(url) = server("keeps_the_contract_in_a_data_stream", "opensearch", OPENSEARCH) else { return };
    let fresh = async |name: &str| Index::stream(&url, name).await;
    // The other promises hold of bytes that no mapping looks into, which a data stream has none of.
    contract::check_writes_nothing(fresh(&contract::unique("check")).await).await;
    contract::batches_arrive_in_order(fresh(&contract::unique("order")).await).await;
    contract::a_second_delivery_does_no_harm(fresh(&contract::unique("twice")).await).await;
    contract::a_new_instance_goes_on(fresh(&contract::unique("restart")).await).await;
    contract::a_dropped_delivery_does_no_harm(fresh(&contract::unique("dropped")).await).await;
    contract::a_big_batch_arrives(fresh(&contract::unique("big")).await).await;
    contract::days_and_hours_may_vary(fresh(&contract::unique("days")).await).await;
}

#[tokio::test]
async fn one_bad_record_is_rejected_and_the_others_are_there() {
    let Some(url) = server("one_bad_record_is_rejected_and_the_others_are_there", "opensearch", OPENSEARCH) else {
        return;
    };
    let settings = json!({ "mappings": { "properties": { "n": { "type": "long" } } } });
    let index = Index::with(&url, &contract::unique("bad"), settings).await;
    let batch = contract::batch_of("p", 1, [r#"{"n":1}"#, r#"{"n":"one"}"#, r#"{"n":3}"#, r#"{"":4}"#, r#"{"n":5}"#]);
    for _ in 0..2 {
        let Delivery { rejected } = deliver(&*index.sink(), &batch).await.unwrap();
        let places: Vec<usize> = rejected.iter().map(|rejected| rejected.at).collect();
        assert_eq!(places, [1, 3], "{rejected:?}");
        let reason = &rejected[0].reason;
        assert!(reason.starts_with("mapper_parsing_exception: failed to parse field [n] of type [long]"), "{reason}");
    }
    assert_eq!(index.texts().await, [r#"{"n":1}"#, r#"{"n":3}"#, r#"{"n":5}"#]);
}

#[tokio::test]
async fn an_id_says_which_pipeline_and_is_never_too_long() {
    let Some(url) = server("an_id_says_which_pipeline_and_is_never_too_long", "opensearch", OPENSEARCH) else {
        return;
    };
    let index = Index::new(&url, &contract::unique("ids")).await;
    let sink = index.sink();
    let mut batch = contract::batch_of("corp", 1, ["{}", "{}", "{}"]);
    let ids = ["same", "", &"ü".repeat(400)];
    batch.records.iter_mut().zip(ids).for_each(|(record, id)| record.id = id.to_owned());
    deliver(&*sink, &batch).await.unwrap();
    batch.pipeline = "other".into();
    deliver(&*sink, &batch).await.unwrap();
    let ids: Vec<String> = index.documents().await.into_iter().map(|(id, _)| id).collect();
    assert_eq!((ids[0].as_str(), ids[1].as_str(), ids[2].len()), ("corp/same", "corp/", 64));
    assert_eq!((ids.len(), ids[3].as_str()), (6, "other/same"));
}

#[tokio::test]
async fn each_record_goes_to_the_index_of_its_day() {
    let Some(url) = server("each_record_goes_to_the_index_of_its_day", "opensearch", OPENSEARCH) else { return };
    let name = contract::unique("days");
    let mut batch = contract::batch_of("p", 1, [r#"{"n":1}"#, r#"{"n":2}"#, r#"{"n":3}"#]);
    batch.records[1].time += chrono::TimeDelta::days(1);
    batch.pipeline = "Büro/West".into();
    let sink = sink(json!({ "url": url, "index": format!("{name}-{{pipeline}}-{{vendor}}-{{date}}") }));
    deliver(&*sink, &batch).await.unwrap();
    for (day, expected) in [("2026-03-14", &[r#"{"n":1}"#, r#"{"n":3}"#][..]), ("2026-03-15", &[r#"{"n":2}"#])] {
        let name = format!("{name}-b_ro_west-example-{day}");
        let index = Index { url: url.clone(), name, config: json!({}) };
        assert_eq!(index.texts().await, expected, "{day}");
    }
}

#[tokio::test]
async fn a_record_with_a_bad_timestamp_of_its_own_holds_up_no_data_stream() {
    let test = "a_record_with_a_bad_timestamp_of_its_own_holds_up_no_data_stream";
    let Some(url) = server(test, "opensearch", OPENSEARCH) else { return };
    let stream = Index::stream(&url, &contract::unique("stamped")).await;
    let bodies = [r#"{"@timestamp":["2026-01-01","2026-01-02"]}"#, r#"{"n":2}"#, r#"{"@timestamp":"soon"}"#];
    let Delivery { rejected } = deliver(&*stream.sink(), &contract::batch_of("p", 1, bodies)).await.unwrap();
    assert_eq!(rejected.iter().map(|rejected| rejected.at).collect::<Vec<_>>(), [0, 2], "{rejected:?}");
    assert_eq!(stream.texts().await, [r#"{"n":2}"#]);
}

// A cluster may be shut against names it does not know, and a template is easily forgotten.
#[tokio::test]
async fn what_no_record_can_get_into_needs_a_person() {
    let Some(url) = server("what_no_record_can_get_into_needs_a_person", "opensearch", OPENSEARCH) else { return };
    let batch = contract::numbered("p", 1, 3);

    let missing = contract::unique("missing");
    let missing_pipeline = sink(json!({ "url": url, "index": missing, "ingest_pipeline": "absent" }));
    let (message, hint) = refused(deliver(&*missing_pipeline, &batch).await);
    assert!(message.contains("pipeline with id [absent] does not exist"), "{message}");
    assert!(hint.contains("`ingest_pipeline`"), "{hint}");

    let closed = Index::new(&url, &contract::unique("closed")).await;
    ask("POST", format!("{url}/{}/_close", closed.name), None).await;
    let (message, hint) = refused(deliver(&*closed.sink(), &batch).await);
    assert!(message.contains("index_closed_exception") && hint.contains("open the index"), "{message}: {hint}");

    let blocked = Index::new(&url, &contract::unique("blocked")).await;
    ask("PUT", format!("{url}/{}/_settings", blocked.name), Some(json!({ "index.blocks.write": true }))).await;
    let (message, hint) = refused(deliver(&*blocked.sink(), &batch).await);
    assert!(message.contains("cluster_block_exception") && hint.contains("`index.blocks`"), "{message}: {hint}");
    ask("PUT", format!("{url}/{}/_settings", blocked.name), Some(json!({ "index.blocks.write": false }))).await;
    deliver(&*blocked.sink(), &batch).await.unwrap();
    assert_eq!(blocked.texts().await, contract::texts(std::slice::from_ref(&batch)));

    let stream = Index::stream(&url, &contract::unique("stream")).await;
    let (message, hint) = refused(deliver(&*sink(json!({ "url": url, "index": stream.name })), &batch).await);
    assert!(hint.contains("set `data_stream`"), "{message}: {hint}");
    assert_eq!(stream.texts().await, [""; 0]);
}

#[tokio::test]
async fn a_data_stream_without_its_template_is_noticed() {
    let Some(url) = server("a_data_stream_without_its_template_is_noticed", "opensearch", OPENSEARCH) else {
        return;
    };
    let name = contract::unique("stream");
    let config = json!({ "url": url, "data_stream": name });
    let (message, hint) = refused(sink(config.clone()).check().await);
    assert!(message.contains("neither a data stream"), "{message}");
    assert!(hint.contains("auditline schema index-template --data-stream"), "{hint}");
    let batch = contract::numbered("p", 1, 3);
    for _ in 0..2 {
        let (message, hint) = refused(deliver(&*sink(config.clone()), &batch).await);
        assert!(message.contains("is an index and no data stream"), "{message}");
        assert!(hint.contains(&format!("delete the index `{name}`")), "{hint}");
    }
    // What the hint says is what helps.
    ask("DELETE", format!("{url}/{name}"), None).await;
    let stream = Index::stream(&url, &name).await;
    stream.sink().check().await.unwrap();
    deliver(&*stream.sink(), &batch).await.unwrap();
    assert_eq!(stream.texts().await, contract::texts(&[batch]));
    stream.sink().check().await.unwrap();
}

#[tokio::test]
async fn a_request_that_is_too_large_goes_in_halves() {
    let Some(url) = server("a_request_that_is_too_large_goes_in_halves", "opensearch", OPENSEARCH) else { return };
    let index = Index::new(&url, &contract::unique("halves")).await;
    let gate = Gate::before(&url, 20_000).await;
    let mut config = index.config.clone();
    config["url"] = json!(gate.url());
    config["compression"] = json!("none");
    let mut batch = contract::numbered("p", 1, 500);
    batch.records[77].json = format!(r#"{{"large":"{}"}}"#, "x".repeat(30_000)).into();
    let Delivery { rejected } = deliver(&*sink(config), &batch).await.unwrap();
    assert_eq!(rejected.len(), 1);
    assert_eq!(rejected[0].at, 77);
    assert!(rejected[0].reason.contains("more than the server takes"), "{rejected:?}");
    batch.records.remove(77);
    assert_eq!(index.texts().await, contract::texts(&[batch]));
}

fn bulk(items: &[(u16, Option<&str>)]) -> String {
    let item = |(status, kind): &(u16, Option<&str>)| match kind {
        Some(kind) => json!({ "create": { "status": status, "error": { "type": kind, "reason": "because" } } }),
        None => json!({ "create": { "status": status } }),
    };
    let items: Vec<Value> = items.iter().map(item).collect();
    json!({ "errors": true, "items": items }).to_string()
}

#[tokio::test]
async fn only_what_is_certain_counts() {
    let done = (201, None);
    let busy = (429, Some("es_rejected_execution_exception"));
    for (answer, expected) in [
        (bulk(&[done, busy, done]), "did not take 1 of 3 records: a record for `audit-example` (429): es_rejected"),
        (bulk(&[done, (400, Some("mapper_parsing_exception")), busy]), "did not take 1 of 3"),
        (bulk(&[done, done]), "told of 2 records where 3 were sent"),
        ("{}".to_owned(), "no answer to a bulk request: {}"),
        ("<html><title>Welcome</title></html>".to_owned(), "no answer to a bulk request: Welcome"),
        (r#"{"errors":false,"items":[]}"#.to_owned(), "told of 0 records where 3 were sent"),
        (String::new(), "no answer to a bulk request"),
    ] {
        let mock = Mock::answering(vec![(200, "Retry-After: 7\r\n", answer)]).await;
        let outcome = deliver(&*sink(json!({ "url": mock.url() })), &contract::numbered("p", 1, 3)).await;
        let (message, _) = retryable(outcome);
        assert!(message.contains(expected), "{message}");
    }
    let mock = Mock::answering(vec![(200, "Retry-After: 7\r\n", bulk(&[busy]))]).await;
    let outcome = deliver(&*sink(json!({ "url": mock.url() })), &contract::numbered("p", 1, 1)).await;
    assert_eq!(retryable(outcome).1, Some(Duration::from_secs(7)));
}

#[tokio::test]
async fn a_server_that_takes_no_request_is_not_asked_about_each_record() {
    let mock = Mock::answering(vec![(413, "", "<title>413 Request Entity Too Large</title>".to_owned())]).await;
    let sink = sink(json!({ "url": mock.url() }));
    let Delivery { rejected } = deliver(&*sink, &contract::numbered("p", 1, 2000)).await.unwrap();
    assert_eq!(rejected.len(), 2000);
    assert!(mock.requests().len() < 60, "{} requests", mock.requests().len());
}

#[tokio::test]
async fn what_needs_a_person_goes_before_what_may_pass() {
    let items = [(429, Some("es_rejected_execution_exception")), (403, Some("security_exception"))];
    let mock = Mock::answering(vec![(200, "", bulk(&items))]).await;
    let outcome = deliver(&*sink(json!({ "url": mock.url() })), &contract::numbered("p", 1, 2)).await;
    let (message, hint) = refused(outcome);
    assert!(message.contains("security_exception: because"), "{message}");
    assert!(hint.contains("`create_doc`"), "{hint}");
}

#[tokio::test]
async fn wrong_credentials_need_a_person_and_are_not_repeated() {
    let said = r#"{"error":{"reason":"unable to authenticate with hunter2-secret / dXNlcjpodW50ZXIyLXNlY3JldA=="}}"#;
    for credentials in [
        json!({ "api_key": "hunter2-secret" }),
        json!({ "username": "user", "password": "hunter2-secret" }),
        json!({ "bearer_token": "hunter2-secret" }),
    ] {
        let mock = Mock::answering(vec![(401, "", said.to_owned()); 3]).await;
        let mut config = json!({ "url": mock.url() });
        config.as_object_mut().unwrap().extend(credentials.as_object().unwrap().clone());
        let sink = sink(config);
        for (message, hint) in
            [refused(sink.check().await), refused(deliver(&*sink, &contract::numbered("p", 1, 1)).await)]
        {
            assert!(message.contains("401 Unauthorized") && hint.contains("`api_key`"), "{message}: {hint}");
            assert!(!message.contains("hunter2"), "{message}");
            // The header's own form of them, where that is what went out.
            assert!(credentials["username"].is_null() || !message.contains("dXNlcjpodW50"), "{message}");
        }
        let authorization = mock.header("authorization");
        let expected = match credentials["username"].is_string() {
            true => "Basic dXNlcjpodW50ZXIyLXNlY3JldA==".to_owned(),
            false if credentials["api_key"].is_string() => "ApiKey hunter2-secret".to_owned(),
            false => "Bearer hunter2-secret".to_owned(),
        };
        assert_eq!(authorization, Some(expected));
    }
}

#[tokio::test]
async fn an_api_key_of_two_parts_is_encoded() {
    let mock = Mock::answering(vec![(200, "", bulk(&[(201, None)]))]).await;
    let sink = sink(json!({ "url": mock.url(), "api_key": "id:key" }));
    deliver(&*sink, &contract::numbered("p", 1, 1)).await.unwrap();
    assert_eq!(mock.header("authorization").as_deref(), Some("ApiKey aWQ6a2V5"));
    assert_eq!(mock.header("content-encoding").as_deref(), Some("gzip"));
    let path = mock.path();
    assert!(path.starts_with("/_bulk?filter_path=errors%2Citems.*.status%2Citems.*.error"), "{path}");
}

#[tokio::test]
async fn a_check_tells_what_is_missing() {
    let no = r#"{"username":"a","has_all_requested":false}"#.to_owned();
    let mock = Mock::answering(vec![(200, "", no)]).await;
    let (message, hint) = refused(sink(json!({ "url": mock.url(), "api_key": "k" })).check().await);
    assert!(message.contains("does not let us create documents in `audit-*`") && hint.contains("`create_doc`"));

    let yes = r#"{"username":"a","has_all_requested":true}"#.to_owned();
    let mock = Mock::answering(vec![(200, "", yes)]).await;
    sink(json!({ "url": mock.url(), "api_key": "k" })).check().await.unwrap();

    // OpenSearch with users: it cannot be asked for rights, and need not show its version to everyone.
    let mock = Mock::answering(vec![(400, "", "no handler found".to_owned()), (403, "", "no".to_owned())]).await;
    sink(json!({ "url": mock.url(), "username": "a", "password": "b" })).check().await.unwrap();

    let mock = Mock::answering(vec![(200, "", "<html><title>nginx</title></html>".to_owned())]).await;
    let (message, hint) = refused(sink(json!({ "url": mock.url() })).check().await);
    assert!(message.ends_with("is neither Elasticsearch nor OpenSearch: nginx"), "{message}");
    assert!(hint.contains("`url`"), "{hint}");
}

#[tokio::test]
async fn whole_answers_are_sorted_too() {
    for (status, is_retryable) in
        [(429, true), (500, true), (502, true), (503, true), (400, false), (403, false), (404, false), (301, false)]
    {
        let mock = Mock::answering(vec![(status, "", "{}".to_owned())]).await;
        let outcome = deliver(&*sink(json!({ "url": mock.url() })), &contract::numbered("p", 1, 3)).await;
        assert_eq!(matches!(outcome, Err(DeliveryError::Retryable { .. })), is_retryable, "{status}: {outcome:?}");
        assert!(outcome.is_err());
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_may_come() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let sink = sink(json!({ "url": format!("http://{address}"), "timeout": "500ms" }));
    // It accepts, by its system, and never answers.
    let (message, _) = retryable(deliver(&*sink, &contract::numbered("p", 1, 2)).await);
    assert!(message.contains("did not answer within 500ms"), "{message}");
    drop(listener);
    let (message, _) = retryable(deliver(&*sink, &contract::numbered("p", 1, 2)).await);
    assert!(message.contains("nobody listens"), "{message}");
    assert!(matches!(sink.check().await, Err(DeliveryError::Retryable { .. })));
}

#[test]
fn a_configuration_that_cannot_work_is_refused() {
    for (config, key) in [
        (json!({ "url": "http://search.example.com:9200" }), "url"),
        (json!({ "url": "https://a", "index": "Audit" }), "index"),
        (json!({ "url": "https://a", "data_stream": "_a" }), "data_stream"),
        (json!({ "url": "https://a", "index": "a", "data_stream": "b" }), "index"),
        (json!({ "url": "https://a", "compression": "zstd" }), "compression"),
        (json!({ "url": "https://a", "max_request_bytes": "1B" }), "max_request_bytes"),
        (json!({ "url": "https://a", "username": "a" }), "username"),
        (json!({ "url": "https://a", "password": "a" }), "password"),
        (json!({ "url": "https://a", "username": "a:b", "password": "a" }), "username"),
        (json!({ "url": "https://a", "api_key": "a", "bearer_token": "b" }), "bearer_token"),
        (json!({ "url": "https://a", "bearer_token": "a\nb" }), "bearer_token"),
        (json!({ "url": "http://127.0.0.1:1", "tls": {} }), "tls"),
        (json!({ "url": "https://a", "tls": { "ca": "/nowhere.pem" } }), "tls.ca"),
    ] {
        let error = build(config.clone()).map(|_| ()).unwrap_err();
        assert_eq!(error.key, key, "{config}: {}", error.message);
        assert!(!error.hint.is_empty());
    }
    let sink = sink(json!({ "url": "https://search.example.com:9200/", "api_key": "hunter2" }));
    assert_eq!(sink.to_string(), "elasticsearch https://search.example.com:9200 index audit-{vendor}");
}
