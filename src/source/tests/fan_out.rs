//! One log for each parent, and records that are listed first and fetched after.

use std::collections::BTreeSet;

use super::server::{Asked, Reply, Vendor, at, items, read_all, record, restarted, source, step};
use crate::source::{Progress, SourceError};

const EACH: &str = r#"
[read.pages]
order = "ascending"
page_sizes = [2]
paginate.page = { first = 1 }

[read.pages.request]
method = "GET"
path = "/projects/{each}/log"
query.page = "{page}"

[read.pages.each]
request = { method = "GET", path = "/projects" }
records = "projects"
id = "key"
paginate.link = {}
"#;

fn projects(keys: &[&str]) -> Reply {
    let list: Vec<String> = keys.iter().map(|key| format!("{{\"key\":\"{key}\"}}")).collect();
    Reply::ok(format!("{{\"projects\":[{}]}}", list.join(",")))
}

/// `log` on pages of two.
fn page_of(log: &[&str], asked: &Asked) -> Reply {
    let number: usize = asked.query("page").unwrap().parse().unwrap();
    let ids = log.iter().skip((number - 1) * 2).take(2).copied();
    Reply::ok(format!("{{\"items\":{}}}", items(ids)))
}

fn three_projects(asked: &Asked) -> Reply {
    match asked.target.as_str() {
        "/v1/projects" => projects(&["a", "b/1"]).with("link", "</v1/projects?page=2>; rel=\"next\""),
        "/v1/projects?page=2" => projects(&["b/1", "c"]),
        _ => match asked.path() {
            "/v1/projects/a/log" => page_of(&["a1", "a2", "a3"], asked),
            "/v1/projects/b%2F1/log" => page_of(&[], asked),
            "/v1/projects/c/log" => page_of(&["c1"], asked),
            other => panic!("{other}"),
        },
    }
}

#[tokio::test]
async fn every_parents_log_is_read_and_a_restart_resumes() {
    for with_restarts in [false, true] {
        let vendor = Vendor::answering(three_projects).await;
        let (ids, cursor) = read_all(&source(&vendor, EACH), with_restarts).await.unwrap();
        assert_eq!(ids, ["a1", "a2", "a3", "c1"]);
        assert_eq!(cursor.complete_up_to, at("2026-09-14T11:55:00Z"));
        let pages: Vec<_> = vendor.targets().into_iter().filter(|target| target.contains("/log")).collect();
        let expected = [
            "/v1/projects/a/log?page=1",
            "/v1/projects/a/log?page=2",
            "/v1/projects/a/log?page=3",
            "/v1/projects/b%2F1/log?page=1",
            "/v1/projects/c/log?page=1",
            "/v1/projects/c/log?page=2",
        ];
        assert_eq!(pages, expected, "nothing is read twice");
    }
}

#[tokio::test]
async fn a_window_is_complete_when_every_parents_log_is() {
    let vendor = Vendor::answering(three_projects).await;
    let source = source(&vendor, EACH);
    let mut cursor = source.start();
    let mut before_the_last = 0;
    loop {
        let page = step(&source, &cursor).await.unwrap();
        cursor = page.next;
        if page.progress == Progress::CaughtUp {
            break;
        }
        before_the_last += 1;
        assert_eq!(cursor.complete_up_to, at("2026-09-14T11:00:00Z"), "{cursor:?}");
    }
    // The list of parents, and six pages of logs.
    assert_eq!(before_the_last, 6);
}

#[tokio::test]
async fn a_parent_that_is_gone_is_passed_over() {
    let vendor = Vendor::answering(|asked| match asked.path() {
        "/v1/projects" => projects(&["a", "b", "c"]),
        "/v1/projects/b/log" => Reply::status(404),
        "/v1/projects/a/log" => page_of(&["a1"], asked),
        _ => page_of(&["c1"], asked),
    })
    .await;
    let (ids, _) = read_all(&source(&vendor, EACH), true).await.unwrap();
    assert_eq!(ids, ["a1", "c1"]);
}

#[tokio::test]
async fn when_no_parent_is_there_a_person_is_told() {
    let vendor = Vendor::answering(|asked| match asked.path() {
        "/v1/projects" => projects(&["a", "b"]),
        _ => Reply::status(404),
    })
    .await;
    let error = read_all(&source(&vendor, EACH), true).await.unwrap_err();
    assert!(matches!(&error, SourceError::Configuration { message, .. } if message.contains("HTTP 404")), "{error:?}");

    // One that has vanished since it was listed is not listed again.
    let mut listed = 0;
    let vendor = Vendor::answering(move |asked| {
        listed += u64::from(asked.path() == "/v1/projects");
        match (asked.path(), listed) {
            ("/v1/projects", 1) => projects(&["a"]),
            ("/v1/projects", _) => projects(&[]),
            _ => Reply::status(410),
        }
    })
    .await;
    let (ids, cursor) = read_all(&source(&vendor, EACH), true).await.unwrap();
    assert_eq!((ids.len(), cursor.complete_up_to), (0, at("2026-09-14T11:55:00Z")));
}

#[tokio::test]
async fn too_many_parents_are_an_error_with_a_name() {
    let vendor = Vendor::answering(|_| {
        let keys: Vec<String> = (0..10_001).map(|n| n.to_string()).collect();
        projects(&keys.iter().map(String::as_str).collect::<Vec<_>>())
    })
    .await;
    let error = read_all(&source(&vendor, EACH), false).await.unwrap_err();
    let expected = SourceError::Configuration {
        message: "Example lists more than 10000 things to read the log of, which is more than one pipeline reads"
            .to_owned(),
        hint: "narrow what is listed, or divide it among several pipelines".to_owned(),
    };
    assert_eq!(error, expected);
}

#[tokio::test]
async fn a_parent_without_an_id_is_not_left_out() {
    for odd in ["{\"name\":\"x\"}", "{\"key\":\"..\"}", "17"] {
        let vendor = Vendor::answering(move |_| Reply::ok(format!("{{\"projects\":[{odd}]}}"))).await;
        let error = read_all(&source(&vendor, EACH), false).await.unwrap_err();
        assert_eq!(error.to_string(), "Example lists something to read the log of that has no `key`");
    }
}

#[tokio::test]
async fn each_parents_walk_begins_at_the_windows_start_whatever_was_read_of_another() {
    let read = EACH.replace("paginate.page = { first = 1 }", "paginate.cursor = { next = [\"next\"] }");
    let read = read.replace("query.page = \"{page}\"", "query.cursor = \"{cursor}\"\nquery.from = \"{from}\"");
    let mut refused = BTreeSet::new();
    let vendor = Vendor::answering(move |asked| match (asked.path(), asked.query("cursor")) {
        ("/v1/projects", _) => projects(&["a", "b"]),
        // Cursors are refused once, so that every walk begins anew after records were read.
        (path, Some(_)) if refused.insert(path.to_owned()) => Reply::status(400),
        (path, Some(_)) => Reply::ok(format!("{{\"items\":[{}]}}", record(&format!("{path}-2"), 500))),
        (path, None) => Reply::ok(format!("{{\"items\":[{}],\"next\":\"n\"}}", record(&format!("{path}-1"), 400))),
    })
    .await;
    let (ids, _) = read_all(&source(&vendor, &read), false).await.unwrap();
    let distinct: BTreeSet<_> = ids.into_iter().collect();
    assert_eq!(distinct.len(), 4, "{distinct:?}");
    let from: BTreeSet<_> = vendor.asked().iter().filter_map(|asked| asked.query("from")).collect();
    assert_eq!(from, BTreeSet::from(["2026-09-14T11:00:00Z".to_owned()]));
}

const DETAIL: &str = r#"
[read.pages]
order = "ascending"
page_sizes = [3]
paginate.cursor = { next = ["next"] }

[read.pages.request]
method = "GET"
path = "/log"
query.cursor = "{cursor}"

[read.pages.detail]
request = { method = "GET", path = "/events/{record.id}", query = { part = "{record.meta.part}" } }
record = "event"
"#;

#[tokio::test]
async fn what_is_listed_is_fetched_one_by_one() {
    let vendor = Vendor::answering(|asked| match asked.path() {
        "/v1/log" if asked.query("cursor").is_none() => Reply::ok(
            r#"{"items":[{"id":"a/b","at":"2026-09-14T11:30:00Z","meta":{"part":7}},{"id":"gone","at":"2026-09-14T11:30:01Z"},
               {"id":"..","at":"2026-09-14T11:30:02Z"}],"next":"n"}"#,
        ),
        "/v1/log" => Reply::ok(r#"{"items":[{"id":"bare","at":"2026-09-14T11:30:03Z"},17]}"#),
        "/v1/events/gone" => Reply::status(404),
        "/v1/events/bare" => Reply::ok("{}"),
        path => Reply::ok(format!(r#"{{"event":{{"id":"full {path}","at":"2026-09-14T11:29:59Z"}}}}"#)),
    })
    .await;
    let (ids, _) = read_all(&source(&vendor, DETAIL), false).await.unwrap();
    // What is gone, what cannot be asked for and what has no record in its place are kept as they were listed.
    assert_eq!(ids, ["full /v1/events/a%2Fb", "gone", "..", "bare", "unreadable 17"]);
    let details: BTreeSet<_> = vendor.targets().into_iter().filter(|target| target.contains("/events")).collect();
    let asked = ["/v1/events/a%2Fb?part=7", "/v1/events/bare", "/v1/events/gone"].map(str::to_owned);
    assert_eq!(details, asked.into());
}

#[tokio::test]
async fn a_detail_that_cannot_be_had_leaves_the_page_unread() {
    let mut times = 0;
    let vendor = Vendor::answering(move |asked| match asked.path() {
        "/v1/log" => Reply::ok(format!("{{\"items\":{}}}", items(["a", "b"]))),
        "/v1/events/b" => {
            times += 1;
            if times == 1 { Reply::ok("<html>") } else { Reply::ok(format!("{{\"event\":{}}}", record("b", 1))) }
        }
        _ => Reply::ok(format!("{{\"event\":{}}}", record("a", 0))),
    })
    .await;
    let source = source(&vendor, DETAIL);
    let error = step(&source, &source.start()).await.unwrap_err();
    assert!(error.to_string().starts_with("Example answered with something that is not JSON"), "{error}");
    let page = step(&source, &restarted(&source.start())).await.unwrap();
    assert_eq!(page.items, ["a", "b"]);
}
