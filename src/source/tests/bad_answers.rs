//! Answers that no documentation knows: bounded, named, and never a page that is passed over.

use std::convert::Infallible;
use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

const BEARER: &str = r#"bearer = "{token}""#;

async fn source(rest: &str, answer: impl Fn() -> Response + Clone + Send + Sync + 'static) -> (Vendor, Source) {
    let vendor = Vendor::start(move |_, _| answer()).await;
    let settings = settings(&connector(BEARER, rest), &vendor.address, &[("token", secret("one"))]);
    let source = super::source(settings);
    (vendor, source)
}

/// What is read of a page with that body, without the records' bodies.
async fn items(rest: &str, body: impl Into<Vec<u8>>) -> Result<Vec<String>, String> {
    let body = body.into();
    let (_vendor, source) = source(rest, move || answer(200, body.clone())).await;
    match read(&source, &source.start()).await {
        Ok(page) => Ok(page.items),
        Err(error) => Err(told(&error)),
    }
}

#[tokio::test]
async fn one_bad_record_is_told_of_and_the_others_are_read() {
    let page = format!(
        r#"{{"items":[
            {{"id":9007199254740993,"at":"2026-03-01T10:00:00Z","n":123456789012345678901234567890}},
            {{"id":"2","at":"01.03.2026 10:00"}},
            {{"id":"3","at":20260301100000}},
            {{"id":"4","at":"2026-03-01T10:00:01Z","text":"cut \ud83d"}},
            "five",
            {{"id":"6","at":"2026-03-01T10:00:02Z","deep":{}{}}}
        ]}}"#,
        "[".repeat(200),
        "]".repeat(200),
    );
    let mut items = items(ITEMS, page).await.unwrap();
    let deep = items.iter().position(|item| item.starts_with("6 ")).expect("it is read");
    let deep = items.remove(deep);
    assert!(deep.starts_with("6 2026-03-01T10:00:02+00:00 ") && deep.contains(r#""[[["#), "{deep}");
    let expected = [
        r#"9007199254740993 2026-03-01T10:00:00+00:00 {"id":9007199254740993,"at":"2026-03-01T10:00:00Z","n":123456789012345678901234567890}"#,
        "4 2026-03-01T10:00:01+00:00 {\"id\":\"4\",\"at\":\"2026-03-01T10:00:01Z\",\"text\":\"cut \u{fffd}\"}",
        r#"`at` holds no time in a known form: "01.03.2026 10:00": {"id":"2","at":"01.03.2026 10:00"}"#,
        r#"`at` holds no time in a known form: 20260301100000: {"id":"3","at":20260301100000}"#,
        r#"expected an object, found a string: "five""#,
    ];
    assert_eq!(items, expected);
}

#[tokio::test]
async fn what_is_no_page_is_named_and_stays_where_it_is() {
    for (body, expected) in [
        (
            "<!doctype html><title>Sign in</title>",
            "Acme answered with a web page (HTML): not JSON at byte 0: expected value",
        ),
        ("", "Acme answered with nothing: not JSON at byte 0: EOF while parsing a value"),
        (r#"{"items":[{"id":1}"#, "Acme answered with broken JSON: not JSON at byte 18: EOF while parsing a list"),
        (r#"{"entries":[]}"#, "Acme answered without the list `items`"),
        ("[]", "Acme answered without the list `items`"),
    ] {
        assert_eq!(items(ITEMS, body).await.unwrap_err(), expected, "{body}");
    }
}

#[tokio::test]
async fn an_answer_may_be_the_list_itself_and_text_may_be_broken() {
    let rest = "id = [\"id\"]\ntime = [\"at\"]\n";
    let items_of = |body: &'static [u8]| items(rest, body);
    let read = items_of(b"[{\"id\":\"a\xff\",\"at\":\"2026-03-01\"}]").await.unwrap();
    assert_eq!(read, ["a\u{fffd} 2026-03-01T00:00:00+00:00 {\"id\":\"a\u{fffd}\",\"at\":\"2026-03-01\"}"]);
    assert_eq!(items_of(b"\xef\xbb\xbf[]").await.unwrap(), [""; 0]);
    assert_eq!(items_of(b"{}").await.unwrap_err(), "Acme answered with something that is no list");
}

#[tokio::test]
async fn a_broken_line_is_told_of_and_half_an_answer_is_none() {
    let rest = "format = \"ndjson\"\nid = [\"id\"]\ntime = [\"at\"]\n";
    let page = "{\"id\":\"1\",\"at\":\"2026-03-01\"}\n\n{\"id\":\n{\"id\":\"2\",\"at\":\"2026-03-02\"}\n";
    let expected = [
        r#"1 2026-03-01T00:00:00+00:00 {"id":"1","at":"2026-03-01"}"#,
        r#"2 2026-03-02T00:00:00+00:00 {"id":"2","at":"2026-03-02"}"#,
        r#"a line that is not JSON at byte 6: EOF while parsing a value: "{\"id\":""#,
    ];
    assert_eq!(items(rest, page).await.unwrap(), expected);
    let told = items(rest, "<html>\n<body>\n").await.unwrap_err();
    assert_eq!(told, "Acme answered with a web page (HTML): not JSON at byte 0: no line of it is a record");
    let told = items(rest, &page[..page.len() - 5]).await.unwrap_err();
    assert_eq!(told, "Acme answered with broken JSON: not JSON at byte 24: the last line breaks off");
}

/// A body without an end, which counts what was taken of it.
fn endless(taken: &Arc<AtomicUsize>) -> Body {
    let taken = Arc::clone(taken);
    Body::from_stream(futures::stream::repeat_with(move || {
        taken.fetch_add(1 << 16, Ordering::Relaxed);
        Ok::<_, Infallible>(Bytes::from(vec![b' '; 1 << 16]))
    }))
}

#[tokio::test]
async fn an_answer_without_an_end_is_let_go_and_a_smaller_window_is_asked_for() {
    let taken = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&taken);
    let (vendor, source) = source(ITEMS, move || answer(200, endless(&counted))).await;
    let start = source.start();
    let page = read(&source, &start).await.unwrap();
    let window = page.next.window.expect("it goes on in the window");
    let width = window.until - window.from;
    assert!(page.items.is_empty() && window.from == start.complete_up_to && width < TimeDelta::minutes(31), "{width}");
    assert_eq!(page.next.complete_up_to, start.complete_up_to);
    assert_eq!(vendor.asked().len(), 1);
    assert!(taken.load(Ordering::Relaxed) < 64 << 20, "{taken:?}");
}

#[tokio::test]
async fn an_error_without_an_end_is_known_by_its_beginning() {
    let taken = Arc::new(AtomicUsize::new(0));
    let (_vendor, source) = source(ITEMS, move || answer(400, endless(&taken))).await;
    let error = read(&source, &source.start()).await.unwrap_err();
    assert_eq!(told(&error), "Acme answered HTTP 400 | the vendor's documentation says what this answer means");
}

#[tokio::test]
async fn what_was_packed_to_burst_does_not() {
    let mut packer = GzEncoder::new(Vec::new(), Compression::best());
    for _ in 0..256 {
        packer.write_all(&vec![b' '; 1 << 20]).unwrap();
    }
    let packed = packer.finish().unwrap();
    for named in [true, false] {
        let packed = packed.clone();
        let reply = move || match named {
            true => with(answer(200, packed.clone()), "content-encoding", "gzip"),
            false => answer(200, packed.clone()),
        };
        let (_vendor, source) = source(ITEMS, reply).await;
        let page = read(&source, &source.start()).await.unwrap();
        assert!(page.items.is_empty() && page.next.window.is_some());
    }
}

#[tokio::test]
async fn an_error_under_200_is_one_unless_the_list_of_errors_is_empty() {
    let rest = format!(
        "{ITEMS}\n[errors]\ncode = [\"errors.0.extensions.code\"]\nmessage = [\"errors.0.message\"]\nfailed = {{ path = \"errors\", exists = true }}\n\
         [[errors.rule]]\ncode = [\"FORBIDDEN\"]\nthen = \"configuration\"\nhint = \"grant it\"\n\
         [[errors.rule]]\nthen = \"configuration\"\nhint = \"mend it\"\n"
    );
    let refused = r#"{"items":[],"errors":[{"message":"no","extensions":{"code":"FORBIDDEN"}}]}"#;
    assert_eq!(items(&rest, refused).await.unwrap_err(), "Acme answered HTTP 200: FORBIDDEN: no | grant it");
    for page in [r#"{"items":[],"errors":[]}"#, r#"{"items":[],"errors":null}"#, r#"{"items":[]}"#] {
        assert_eq!(items(&rest, page).await.unwrap(), [""; 0], "{page}");
    }
    // Whatever is read as a page is looked at for errors.
    for broken in
        [&b"{\"items\":[],\"errors\":[{\"message\":\"\xff\"}]}"[..], br#"{"items":[],"errors":[{"message":"\ud800"}]}"#]
    {
        assert_eq!(items(&rest, broken).await.unwrap_err(), "Acme answered HTTP 200: \u{fffd} | mend it");
    }
}
