//! What a real server cannot be made to answer.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use auditline_sinks::contract::{self, chain};
use auditline_sinks::{Batch, Delivery, DeliveryError};
use serde_json::json;

use crate::place::{large, offline, sink};
use crate::server::{Answer, Request, Server, answers, one_answer};

fn answer(head: &str, body: &str) -> Answer {
    Some((head.to_owned(), body.to_owned()))
}

/// An answer to HEAD tells of a body and has none.
fn answer_of_length(head: &str, length: &str) -> Answer {
    answer(&format!("{head}\r\ncontent-length: {length}"), "")
}

fn stored() -> Answer {
    answer("200 OK\r\netag: \"e\"\r\nx-amz-request-id: 1", "")
}

fn error(head: &str, code: &str) -> Answer {
    answer(head, &format!("<Error><Code>{code}</Code><Message>in words</Message></Error>"))
}

/// A batch of which each record is an object of its own: `0/…`, `1/…`
fn scattered(objects: usize) -> Batch {
    contract::batch_of("corp", 1, (0..objects).map(|n| format!(r#"{{"n":{n}}}"#)))
}

// One that failed threw away what the others had done.
#[tokio::test]
async fn of_a_batch_that_failed_in_part_only_the_rest_is_sent_again() {
    for head in ["503 Slow Down", "403 Forbidden"] {
        let failures = AtomicUsize::new(2);
        let server = Server::start(move |request| {
            let fails = request.line().starts_with("PUT /audit/2/")
                && failures.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok();
            if fails { error(head, "SomeTrouble") } else { stored() }
        })
        .await;
        let mut config = offline(&server.endpoint);
        config["prefix"] = json!("{.n}/");
        let (sink, batch) = (sink(config), scattered(20));
        for _ in 0..2 {
            let outcome = sink.deliver(&batch).await;
            let Err(error) = outcome else { panic!("{outcome:?}") };
            assert_eq!(error.to_string(), "S3 answered `SomeTrouble` for bucket `audit`");
        }
        assert_eq!(sink.deliver(&batch).await.unwrap(), Delivery::default());
        for n in 0..20 {
            let times = server.seen(&format!("PUT /audit/{n}/")).len();
            assert_eq!(times, if n == 2 { 3 } else { 1 }, "object {n}");
        }
        // It is done with, and may come again all the same.
        sink.deliver(&batch).await.unwrap();
        assert_eq!(server.seen("PUT /audit/7/").len(), 2);
    }
}

#[tokio::test]
async fn a_server_that_takes_nothing_is_not_asked_for_every_object() {
    let server = Server::start(|_| error("503 Slow Down\r\nretry-after: 1773480413", "SlowDown")).await;
    let mut config = offline(&server.endpoint);
    config["prefix"] = json!("{.n}/");
    let outcome = sink(config).deliver(&scattered(100)).await;
    let Err(DeliveryError::Retryable { retry_after, .. }) = outcome else { panic!("{outcome:?}") };
    // A time that was taken for a span of time is no reason to wait for years.
    assert_eq!(retry_after, Some(Duration::from_secs(3600)));
    let asked = server.seen("PUT ").len();
    assert!((4..8).contains(&asked), "{asked} uploads were begun");
}

// A person has to do something about one of them; the others need not wait for that.
#[tokio::test]
async fn what_needs_a_person_is_told_before_what_may_pass() {
    let server = Server::start(|request| match request.line() {
        line if line.starts_with("PUT /audit/1/") => error("503 Slow Down", "SlowDown"),
        line if line.starts_with("PUT /audit/4/") => error("403 Forbidden", "AccessDenied"),
        line if line.starts_with("PUT /audit/7/") => error("500 Oh", "InternalError"),
        _ => stored(),
    })
    .await;
    let mut config = offline(&server.endpoint);
    config["prefix"] = json!("{.n}/");
    let outcome = sink(config).deliver(&scattered(10)).await;
    let Err(DeliveryError::Refused { message, .. }) = outcome else { panic!("{outcome:?}") };
    assert_eq!(message, "S3 answered `AccessDenied` for bucket `audit`");
    assert_eq!(server.seen("PUT ").len(), 10);
}

/// What a server says that knows uploads in parts, but to a request that begins so.
fn of_parts(request: &Request, but: &str, answer_to_it: Answer) -> Answer {
    let line = request.line();
    match request.method() {
        _ if line.starts_with(but) => answer_to_it,
        "GET" => answer("200 OK", "<ListMultipartUploadsResult></ListMultipartUploadsResult>"),
        "POST" if line.contains("?uploads") => {
            answer("200 OK", "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>")
        }
        "POST" => answer("200 OK", "<CompleteMultipartUploadResult><ETag>e</ETag></CompleteMultipartUploadResult>"),
        "DELETE" => answer("204 No Content", ""),
        _ => stored(),
    }
}

async fn deliver_in_parts(but: &'static str, answer_to_it: Answer) -> (Server, Result<Delivery, DeliveryError>) {
    let server = Server::start(move |request| of_parts(request, but, answer_to_it.clone())).await;
    let mut config = offline(&server.endpoint);
    config["compression"] = json!("none");
    config["prefix"] = json!("x");
    config["session_token"] = json!("a-token-to-tell-nobody");
    let outcome = sink(config).deliver(&large("corp", 6)).await;
    if let Err(error) = &outcome {
        let told = format!("{} {error:?}", chain(error));
        assert!(!told.contains("opens-nothing") && !told.contains("a-token-to-tell-nobody"), "{told}");
    }
    (server, outcome)
}

// The server answers before it begins to put the parts together, and says in the body what came of it.
#[tokio::test]
async fn an_upload_that_is_refused_under_200_is_no_delivery() {
    let (server, outcome) = deliver_in_parts("nothing", None).await;
    assert_eq!(outcome.unwrap(), Delivery::default());
    assert_eq!((server.seen("PUT ").len(), server.seen("DELETE ").len()), (2, 0));

    let complete = "POST /audit/xcorp-j7k2-000000000001-000000000006-";
    let asked = |server: &Server| server.seen(complete).iter().filter(|line| line.contains("uploadId=u")).count();
    let under_200 = |code| {
        let failing = error("200 OK", code);
        Server::start(move |request| {
            let completes = request.method() == "POST" && request.line().contains("uploadId=");
            if completes { failing.clone() } else { of_parts(request, "nothing", None) }
        })
    };
    for (code, refused) in [("InternalError", false), ("SlowDown", false), ("AccessDenied", true)] {
        let server = under_200(code).await;
        let mut config = offline(&server.endpoint);
        config["compression"] = json!("none");
        config["prefix"] = json!("x");
        let outcome = sink(config).deliver(&large("corp", 6)).await;
        let Err(failed) = outcome else { panic!("{code}: {outcome:?}") };
        assert_eq!(failed.to_string(), format!("S3 answered `{code}` for bucket `audit`"));
        assert_eq!(matches!(failed, DeliveryError::Refused { .. }), refused, "{code}");
        assert_eq!(asked(&server), 1);
        // Ended only where it is known that nothing will come of it.
        assert_eq!(server.seen("DELETE ").len(), usize::from(refused), "{code}");
    }
}

// What a server compares with what has arrived, and refuses where it differs: see `the_server_refuses_a_wrong_checksum`.
#[tokio::test]
async fn every_upload_tells_its_checksum() {
    let server = Server::start(|request| {
        let head = request.0.to_lowercase();
        match request.method() {
            "PUT" if !head.contains("\r\nx-amz-checksum-crc32: ") => error("400 Bad Request", "InvalidRequest"),
            _ => of_parts(request, "nothing", None),
        }
    })
    .await;
    let mut config = offline(&server.endpoint);
    config["compression"] = json!("none");
    let sink = sink(config);
    assert_eq!(sink.deliver(&scattered(3)).await.unwrap(), Delivery::default());
    assert_eq!(sink.deliver(&large("corp", 6)).await.unwrap(), Delivery::default());
    let uploads = server.seen("PUT ");
    let parts = uploads.iter().filter(|line| line.contains("partNumber=")).count();
    assert!(parts >= 2 && uploads.len() > parts, "{uploads:?}");
}

// A lifecycle rule, or a person, ended it meanwhile: it is begun anew, and nobody has to do anything.
#[tokio::test]
async fn an_upload_that_is_gone_is_begun_anew() {
    for (but, code) in [("PUT ", "NoSuchUpload"), ("PUT ", "InvalidPart")] {
        let (server, outcome) = deliver_in_parts(but, error("404 Not Found", code)).await;
        let Err(DeliveryError::Retryable { message, .. }) = outcome else { panic!("{outcome:?}") };
        assert_eq!(message, format!("S3 answered `{code}` for bucket `audit`"));
        drop(server);
    }
}

// Nothing can be done about what stays there, and it is no reason to call the delivery anything else than it is.
#[tokio::test]
async fn a_key_that_may_not_end_uploads_fails_for_its_own_reason() {
    let server = Server::start(|request| match request.method() {
        "DELETE" | "GET" => error("403 Forbidden", "AccessDenied"),
        "PUT" => error("400 Bad Request", "ExpiredToken"),
        _ => of_parts(request, "nothing", None),
    })
    .await;
    let mut config = offline(&server.endpoint);
    config["compression"] = json!("none");
    let outcome = sink(config).deliver(&large("corp", 6)).await;
    let Err(DeliveryError::Refused { message, hint, .. }) = outcome else { panic!("{outcome:?}") };
    assert_eq!(message, "S3 answered `ExpiredToken` for bucket `audit`");
    assert_eq!(hint, "give fresh keys with their `session_token`");
}

#[tokio::test]
async fn a_connection_that_is_cut_within_an_upload_may_hold_the_next_time() {
    let (_server, outcome) = deliver_in_parts("PUT ", None).await;
    let Err(DeliveryError::Retryable { message, .. }) = outcome else { panic!("{outcome:?}") };
    assert!(message.contains("broke before an answer was complete"), "{message}");
}

#[tokio::test]
async fn answers_are_told_apart_by_who_can_mend_them() {
    for (head, code, person) in [
        ("400 Bad Request", "ExpiredToken", Some("fresh keys")),
        ("403 Forbidden", "RequestTimeTooSkewed", Some("clock")),
        ("403 Forbidden", "QuotaExceeded", Some("quota")),
        ("400 Bad Request", "KeyTooLongError", Some("`prefix`")),
        ("400 Bad Request", "KMS.NotFoundException", Some("`sse_kms_key_id`")),
        ("400 Bad Request", "KMS.KMSInvalidStateException", Some("`sse_kms_key_id`")),
        ("400 Bad Request", "KMS.ThrottlingException", None),
        ("400 Bad Request", "Throttling", None),
        ("400 Bad Request", "RequestTimeout", None),
        ("409 Conflict", "ConditionalRequestConflict", None),
        ("429 Too Many Requests", "TooManyRequests", None),
        ("503 Slow Down", "SlowDown", None),
    ] {
        let server = Server::start(move |_| error(head, code)).await;
        let failed = sink(offline(&server.endpoint)).deliver(&contract::numbered("p", 1, 2)).await.unwrap_err();
        assert_eq!(failed.to_string(), format!("S3 answered `{code}` for bucket `audit`"));
        match (failed, person) {
            (DeliveryError::Refused { hint, .. }, Some(expected)) => assert!(hint.contains(expected), "{code}: {hint}"),
            (DeliveryError::Retryable { .. }, None) => {}
            (failed, _) => panic!("{failed:?}"),
        }
    }
}

#[tokio::test]
async fn a_server_without_the_condition_is_asked_once() {
    let unknown = "<Error><Code>NotImplemented</Code><Message>A header you provided implies…</Message></Error>";
    let stored = || ("200 OK\r\netag: \"e\"\r\nx-amz-request-id: 1".to_owned(), String::new());
    let refused = ("501 Not Implemented".to_owned(), unknown.to_owned());
    let (endpoint, answering) = answers(vec![refused, stored(), stored()]).await;
    let sink = sink(offline(&endpoint));
    sink.deliver(&contract::numbered("p", 1, 2)).await.unwrap();
    sink.deliver(&contract::numbered("p", 3, 2)).await.unwrap();
    let conditional: Vec<bool> =
        answering.await.unwrap().iter().map(|head| head.to_lowercase().contains("if-none-match: *")).collect();
    assert_eq!(conditional, [true, false, false]);
}

// A key that may write and not read cannot tell whose object it is. Its name is that of our batch.
#[tokio::test]
async fn an_object_that_may_not_be_looked_at_is_written_again() {
    let taken = "<Error><Code>PreconditionFailed</Code></Error>".to_owned();
    let (endpoint, answering) = answers(vec![
        ("412 Precondition Failed".to_owned(), taken),
        ("403 Forbidden".to_owned(), String::new()),
        ("200 OK\r\netag: \"e\"\r\nx-amz-request-id: 1".to_owned(), String::new()),
    ])
    .await;
    sink(offline(&endpoint)).deliver(&contract::numbered("p", 1, 2)).await.unwrap();
    let heads = answering.await.unwrap();
    let methods: Vec<&str> = heads.iter().map(|head| head.split(' ').next().unwrap()).collect();
    assert_eq!(methods, ["PUT", "HEAD", "PUT"]);
}

// Its metadata says that it is ours, so the batch would have found it there and called it delivered.
#[tokio::test]
async fn an_object_that_is_not_what_was_sent_is_written_over() {
    let spoilt = ("200 OK\r\netag: \"e\"\r\nx-amz-checksum-crc32: AAAAAA==".to_owned(), String::new());
    let stored = || ("200 OK\r\netag: \"e\"\r\nx-amz-request-id: 1".to_owned(), String::new());
    let (endpoint, answering) = answers(vec![spoilt, stored(), stored()]).await;
    let (sink, batch) = (sink(offline(&endpoint)), contract::numbered("p", 1, 2));
    let outcome = sink.deliver(&batch).await;
    let Err(DeliveryError::Retryable { message, .. }) = outcome else { panic!("{outcome:?}") };
    assert!(message.contains("was stored with CRC32 AAAAAA=="), "{message}");
    sink.deliver(&batch).await.unwrap();
    sink.deliver(&contract::numbered("p", 3, 2)).await.unwrap();
    let conditional: Vec<bool> =
        answering.await.unwrap().iter().map(|head| head.to_lowercase().contains("if-none-match: *")).collect();
    assert_eq!(conditional, [true, false, true]);
}

// A page of a proxy under a status that means all is well: nothing was stored.
#[tokio::test]
async fn a_friendly_page_is_no_delivery() {
    let page = "<html>Please sign in to the guest network</html>";
    let (endpoint, _) = answers(vec![("200 OK".to_owned(), page.to_owned()); 2]).await;
    let sink = sink(offline(&endpoint));
    let outcome = sink.deliver(&contract::numbered("p", 1, 2)).await;
    let Err(DeliveryError::Retryable { message, .. }) = outcome else { panic!("{outcome:?}") };
    assert!(message.ends_with("but not as S3 does: is `endpoint` an S3 server?"), "{message}");
    let outcome = sink.check().await;
    let Err(DeliveryError::Retryable { message, .. }) = outcome else { panic!("{outcome:?}") };
    assert_eq!(message, "what answers is no S3 server: is `endpoint` right, or is a proxy between?");
}

#[tokio::test]
async fn a_throttled_upload_tells_how_long_to_wait() {
    let body = "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>";
    let (endpoint, busy) = one_answer("503 Slow Down\r\nretry-after: 7", body).await;
    let outcome = sink(offline(&endpoint)).deliver(&contract::numbered("p", 1, 2)).await;
    match outcome {
        Err(DeliveryError::Retryable { retry_after, message, .. }) => {
            assert_eq!(retry_after, Some(std::time::Duration::from_secs(7)));
            assert_eq!(message, "S3 answered `SlowDown` for bucket `audit`");
        }
        other => panic!("{other:?}"),
    }
    busy.await.unwrap();
}

// A proxy says so by the status alone, in words of its own.
#[tokio::test]
async fn an_object_that_is_too_large_needs_the_servers_limit_raised() {
    let entity = "<Error><Code>EntityTooLarge</Code><Message>Your proposed upload is too large.</Message></Error>";
    for (head, body, name) in [
        ("400 Bad Request", entity, "EntityTooLarge"),
        ("413 Payload Too Large", entity, "EntityTooLarge"),
        ("413 Request Entity Too Large", "<html>413</html>", "HTTP 413"),
    ] {
        let (endpoint, refusing) = one_answer(head, body).await;
        let outcome = sink(offline(&endpoint)).deliver(&contract::numbered("p", 1, 2)).await;
        let Err(DeliveryError::Refused { message, hint, .. }) = outcome else { panic!("{outcome:?}") };
        assert_eq!(message, format!("S3 answered `{name}` for bucket `audit`"));
        assert_eq!(
            hint,
            "raise the limit of the server, or of the proxy before it, for one object; a lower `batch.max_bytes` \
             counts only for later batches, as this one keeps its bounds"
        );
        refusing.await.unwrap();
    }
}

// A portal's page with a tag of its own was taken for a stored object, and the journal went on without it.
#[tokio::test]
async fn a_page_with_a_tag_is_no_delivery() {
    let page = "<html><head><title>Please sign in</title></head></html>";
    let weak = "200 OK\r\ncontent-type: text/html\r\netag: W/\"5c-abc\"";
    let strong = "200 OK\r\ncontent-type: text/html\r\netag: \"5c\"";
    for (head, body) in [(weak, page), (weak, ""), (strong, page), (strong, "")] {
        let server = Server::start(move |_| answer(head, body)).await;
        let outcome = sink(offline(&server.endpoint)).deliver(&contract::numbered("p", 1, 2)).await;
        let Err(DeliveryError::Retryable { message, .. }) = outcome else { panic!("{head} {body}: {outcome:?}") };
        assert!(message.ends_with("but not as S3 does: is `endpoint` an S3 server?"), "{message}");
        let server = Server::start(move |request| of_parts(request, "PUT ", answer(head, body))).await;
        let mut config = offline(&server.endpoint);
        config["timeout"] = json!("20s");
        config["compression"] = json!("none");
        let outcome = sink(config).deliver(&large("corp", 6)).await;
        // A part is asked for again by the tag when the object is put together.
        assert_eq!(outcome.is_ok(), head == strong && body.is_empty(), "{head} {body}: {outcome:?}");
    }
}

#[tokio::test]
async fn where_no_answer_tells_of_an_s3_the_object_does() {
    let batch = contract::numbered("p", 1, 2);
    let stored = Arc::new(Mutex::new(None));
    let kept = stored.clone();
    let server = Server::start(move |request| {
        let header = |name: &str| {
            let head = request.0.to_lowercase();
            head.lines().find_map(|line| line.strip_prefix(name).map(|value| value.trim().to_owned()))
        };
        let mut kept = kept.lock().unwrap();
        match (request.method(), &*kept) {
            ("PUT", _) => {
                *kept = Some((header("content-length:").unwrap(), header("x-amz-meta-auditline-sha256:").unwrap()));
                answer("200 OK\r\netag: \"e\"", "")
            }
            ("HEAD", Some((length, digest))) => {
                answer_of_length(&format!("200 OK\r\nx-amz-meta-auditline-sha256: {digest}"), length)
            }
            _ => answer("404 Not Found", ""),
        }
    })
    .await;
    let sink = sink(offline(&server.endpoint));
    sink.deliver(&batch).await.unwrap();
    assert_eq!((server.seen("PUT ").len(), server.seen("HEAD ").len()), (1, 1));

    for (status, refused) in [("404 Not Found", false), ("403 Forbidden", true), ("503 Slow Down", false)] {
        let server = Server::start(move |request| match request.method() {
            "HEAD" => answer(status, ""),
            _ => answer("200 OK\r\netag: \"e\"", ""),
        })
        .await;
        let error = crate::place::sink(offline(&server.endpoint)).deliver(&batch).await.unwrap_err();
        assert_eq!(matches!(error, DeliveryError::Refused { .. }), refused, "{status}: {error}");
    }
}

// The end of it might have said that it failed.
#[tokio::test]
async fn an_upload_whose_last_answer_is_cut_off_is_no_delivery() {
    let cut = "<CompleteMultipartUploadResult><ETag>\"abc-2\"</ETag>";
    let page = "<html><head><title>Please sign in</title></head></html>";
    for body in [cut, page] {
        let server = Server::start(move |request| match request.method() {
            "POST" if request.line().contains("uploadId=") => answer("200 OK\r\netag: \"x\"", body),
            _ => of_parts(request, "nothing", None),
        })
        .await;
        let mut config = offline(&server.endpoint);
        config["timeout"] = json!("20s");
        config["compression"] = json!("none");
        let outcome = sink(config).deliver(&large("corp", 6)).await;
        assert!(matches!(outcome, Err(DeliveryError::Retryable { .. })), "{outcome:?}");
        // The object may come into being yet.
        assert_eq!(server.seen("DELETE ").len(), 0);
    }
}

// The folder and the bucket became one name: `/storage/v1/s3audit/…`.
#[tokio::test]
async fn a_server_in_a_folder_has_its_buckets_there() {
    for (slash, path_style) in [("", true), ("/", true), ("", false)] {
        let server = Server::start(|request| match request.method() {
            "HEAD" => answer("404 Not Found", ""),
            "PUT" if request.line().contains("small") => answer("200 OK\r\netag: \"e\"", ""),
            _ => of_parts(request, "nothing", None),
        })
        .await;
        let mut config =
            offline(&format!("{}/storage/v1/s3{slash}", server.endpoint.replace("127.0.0.1", "localhost")));
        config["path_style"] = json!(path_style);
        config["timeout"] = json!("20s");
        config["compression"] = json!("none");
        let sink = sink(config);
        sink.check().await.ok();
        sink.deliver(&large("corp", 6)).await.unwrap();
        // Asks by HEAD, as no answer tells of an S3.
        sink.deliver(&contract::numbered("small", 1, 2)).await.unwrap_err();
        for method in ["GET ", "POST ", "PUT ", "HEAD "] {
            let asked = server.seen(method);
            let in_place = |line: &String| line.starts_with(&format!("{method}/storage/v1/s3/audit"));
            assert!(!asked.is_empty() && asked.iter().all(in_place), "{asked:?}");
        }
    }
}

// A server that repeats what it refuses had the token printed.
#[tokio::test]
async fn a_token_that_the_server_repeats_is_not_told_again() {
    let server = Server::start(|request| {
        let token = request.0.lines().find_map(|line| line.strip_prefix("x-amz-security-token: ")).unwrap_or("none");
        let said =
            format!("<Error><Code>InvalidToken</Code><Message>The token {token} is malformed.</Message></Error>");
        answer("400 Bad Request", &said)
    })
    .await;
    let mut config = offline(&server.endpoint);
    config["session_token"] = json!("a-token/to+tell=nobody");
    let sink = sink(config);
    let delivered = sink.deliver(&contract::numbered("p", 1, 2)).await.map(drop);
    for outcome in [delivered, sink.check().await] {
        let error = outcome.unwrap_err();
        assert!(matches!(error, DeliveryError::Refused { .. }), "{error:?}");
        let told = format!("{} {error:?}", chain(&error));
        assert!(told.contains("The token *** is malformed"), "{told}");
        assert!(!told.contains("tell=nobody"), "{told}");
    }
}
