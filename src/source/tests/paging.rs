//! Every way from one page to the next, with a vendor on the other side.

use std::collections::BTreeSet;

use chrono::Duration;

use super::server::{Asked, Reply, Vendor, at, items, read_all, record, source, step};
use crate::source::SourceError;
use crate::source::cursor::Place;

fn way(paginate: &str, request: &str) -> String {
    format!(
        "[read.pages]\norder = \"ascending\"\npage_sizes = [3, 2]\n{paginate}\n\n[read.pages.request]\nmethod = \"GET\"\n\
         path = \"/log\"\nquery.from = \"{{from}}\"\nquery.until = \"{{until}}\"\nquery.limit = \"{{page_size}}\"\n{request}\n"
    )
}

fn link() -> String {
    way("paginate.link = {}", "")
}

fn cursor() -> String {
    way("paginate.cursor = { next = [\"next\"] }", "query.cursor = \"{cursor}\"")
}

fn keyset() -> String {
    let request = "query.after = \"{after_id}\"\nquery.after_time = \"{after_time}\"";
    way("paginate.keyset = { id = \"id\", time = \"at\" }", request)
}

fn page(items: &str, rest: &str) -> Reply {
    Reply::ok(format!("{{\"items\":{items}{rest}}}"))
}

fn message(error: SourceError) -> String {
    match error {
        SourceError::Retryable { message, .. } => format!("retryable: {message}"),
        SourceError::Configuration { message, hint } => format!("configuration: {message} ({hint})"),
    }
}

const FIRST: &str = "/v1/log?from=2026-09-14T11%3A00%3A00Z&limit=3&until=2026-09-14T11%3A55%3A00Z";

#[tokio::test]
async fn a_link_is_followed_as_it_was_given_and_with_our_credential() {
    let vendor = Vendor::answering(|asked| match asked.query("after").as_deref() {
        None => page(&items(["a", "b", "c"]), "")
            .with("link", "</v1/log?self>; rel=\"self\", </v1/log?after=x%2Fy+z&k=%5B%5D>; rel=\"next\""),
        Some("x/y z") => page(&items(["d"]), "").with("link", "<?after=2>; rel=next"),
        _ => page("[]", ""),
    })
    .await;
    let (ids, cursor) = read_all(&source(&vendor, &link()), false).await.unwrap();
    assert_eq!(ids, ["a", "b", "c", "d"]);
    assert_eq!(vendor.targets(), [FIRST, "/v1/log?after=x%2Fy+z&k=%5B%5D", "/v1/log?after=2"]);
    assert!(vendor.asked().iter().all(|asked| asked.authorization == "Bearer s3cret"));
    assert_eq!(cursor.complete_up_to, at("2026-09-14T11:55:00Z"));
}

#[tokio::test]
async fn the_next_address_in_an_answer_is_followed_until_there_is_no_more() {
    let read = way("paginate.url = { next = [\"paging.next\"], more = \"paging.more\" }", "");
    let vendor = Vendor::answering(|asked| match asked.query("p").as_deref() {
        None => page(&items(["a"]), ",\"paging\":{\"next\":\"/v1/log?p=2\",\"more\":true}"),
        Some("2") => page("[]", ",\"paging\":{\"next\":\"/v1/log?p=3\"}"),
        _ => page(&items(["b"]), ",\"paging\":{\"next\":\"/v1/log?p=4\",\"more\":false}"),
    })
    .await;
    let (ids, _) = read_all(&source(&vendor, &read), false).await.unwrap();
    assert_eq!(ids, ["a", "b"]);
    assert_eq!(vendor.targets(), [FIRST, "/v1/log?p=2", "/v1/log?p=3"]);
}

#[tokio::test]
async fn an_address_at_another_host_is_never_asked() {
    let other = Vendor::answering(|_| page("[]", "")).await;
    let elsewhere = other.url("/v1/log?after=2&token=private");
    for read in [link(), way("paginate.url = { next = [\"next\"] }", "")] {
        let elsewhere = elsewhere.clone();
        let vendor = Vendor::answering(move |_| {
            page(&items(["a"]), &format!(",\"next\":\"{elsewhere}\""))
                .with("link", format!("<{elsewhere}>; rel=\"next\""))
        })
        .await;
        let error = read_all(&source(&vendor, &read), false).await.unwrap_err();
        assert_eq!(
            message(error),
            "configuration: Example leads to `127.0.0.1` for its next page, and a credential is not taken there (check \
             `base_url`: the vendor's pages are at another address)"
        );
    }
    assert_eq!(other.targets(), [""; 0]);
}

/// A log of records at these seconds, which goes on behind a record as it is asked to.
fn keyset_of(seconds: &[i64]) -> impl FnMut(&Asked) -> Reply + Send + 'static {
    let log: Vec<(String, i64)> = seconds.iter().enumerate().map(|(n, second)| (format!("r{n:02}"), *second)).collect();
    move |asked: &Asked| {
        let behind = asked.query("after").map(|id| {
            let time = at(&asked.query("after_time").unwrap());
            ((time - at("2026-09-14T11:30:00Z")).num_seconds(), id)
        });
        let rest = log
            .iter()
            .filter(|(id, second)| behind.as_ref().is_none_or(|behind| (*second, id) > (behind.0, &behind.1)));
        let records: Vec<String> = rest.take(3).map(|(id, second)| record(id, *second)).collect();
        page(&format!("[{}]", records.join(",")), "")
    }
}

#[tokio::test]
async fn a_keyset_survives_restarts_and_loses_nothing_at_a_pages_edge() {
    // Five records of one second lie across the edges of two pages.
    let seconds = [0, 1, 2, 2, 2, 2, 2, 3];
    let all: Vec<String> = (0..seconds.len()).map(|n| format!("r{n:02}")).collect();
    for with_restarts in [false, true] {
        let vendor = Vendor::answering(keyset_of(&seconds)).await;
        let (ids, _) = read_all(&source(&vendor, &keyset()), with_restarts).await.unwrap();
        assert_eq!(ids, all);
        let asked: Vec<_> = vendor.asked().iter().map(|asked| asked.query("after").unwrap_or_default()).collect();
        assert_eq!(asked, ["", "r02", "r05"], "a short page is the last");
    }
    // A full last page is followed by an empty one.
    let vendor = Vendor::answering(keyset_of(&seconds[..6])).await;
    read_all(&source(&vendor, &keyset()), true).await.unwrap();
    assert_eq!(vendor.asked().len(), 3);
}

#[tokio::test]
async fn a_keyset_that_does_not_move_is_an_error_and_no_loop() {
    let vendor = Vendor::answering(|_| page(&items(["a", "b", "c"]), "")).await;
    let source = source(&vendor, &keyset());
    let error = read_all(&source, false).await.unwrap_err();
    assert_eq!(message(error), "retryable: Example repeats its cursor, so that its pages have no end");
    // The first walk begins at what it read in order, and is not counted; three more end it.
    assert_eq!(vendor.asked().len(), 10);
}

#[tokio::test]
async fn a_cursor_that_comes_twice_is_an_error_and_no_loop() {
    let vendor = Vendor::answering(|asked| match asked.query("cursor").as_deref() {
        None => page(&items(["a"]), ",\"next\":\"1\""),
        Some("1") => page(&items(["b"]), ",\"next\":\"2\""),
        _ => page(&items(["c"]), ",\"next\":\"1\""),
    })
    .await;
    let error = read_all(&source(&vendor, &cursor()), false).await.unwrap_err();
    assert!(message(error.clone()).contains("repeats its cursor"), "{error}");
    assert!(vendor.asked().len() < 20, "{}", vendor.asked().len());
}

#[tokio::test]
async fn pages_without_records_are_followed_but_not_for_ever() {
    let vendor = Vendor::answering(|asked| match asked.query("cursor").as_deref() {
        None => page("[]", ",\"next\":\"1\""),
        Some("1") => page("[]", ",\"next\":\"2\""),
        Some("2") => page(&items(["a"]), ",\"next\":\"last\""),
        // The last page has a cursor too.
        _ => page("[]", ",\"next\":\"last\""),
    })
    .await;
    let (ids, _) = read_all(&source(&vendor, &cursor()), false).await.unwrap();
    assert_eq!(ids, ["a"]);

    let vendor = Vendor::answering(|asked| {
        let number: u64 = asked.query("cursor").map_or(0, |cursor| cursor.parse().unwrap());
        page("[]", &format!(",\"next\":\"{}\"", number + 1))
    })
    .await;
    let source = source(&vendor, &cursor());
    let mut cursor = source.start();
    let error = loop {
        match step(&source, &cursor).await {
            Ok(page) => cursor = page.next,
            Err(error) => break error,
        }
    };
    assert_eq!(message(error), "retryable: Example gives empty pages without end");
}

#[tokio::test]
async fn a_cursor_that_is_refused_in_mid_walk_costs_nothing() {
    // Every cursor is refused once: the walk goes on from the last record that came.
    for status in [400, 410] {
        let mut refused = BTreeSet::new();
        let vendor = Vendor::answering(move |asked| {
            let from = at(&asked.query("from").unwrap());
            let base = at("2026-09-14T11:30:00Z");
            let begin: usize = match asked.query("cursor") {
                Some(cursor) if refused.insert(cursor.clone()) => return Reply::status(status),
                Some(cursor) => cursor.parse().unwrap(),
                None => (0..20).find(|n| base + Duration::seconds(*n * 10) >= from).unwrap_or(20) as usize,
            };
            let records: Vec<String> =
                (begin..20.min(begin + 3)).map(|n| record(&format!("r{n:02}"), n as i64 * 10)).collect();
            page(
                &format!("[{}]", records.join(",")),
                &format!(",\"next\":{}", if begin + 3 < 20 { format!("\"{}\"", begin + 3) } else { "null".to_owned() }),
            )
        })
        .await;
        let (ids, _) = read_all(&source(&vendor, &cursor()), false).await.unwrap();
        let distinct: BTreeSet<_> = ids.iter().cloned().collect();
        assert_eq!(distinct, (0..20).map(|n| format!("r{n:02}")).collect());
    }
}

#[tokio::test]
async fn a_window_that_is_too_long_is_split() {
    let vendor = Vendor::answering(|asked| {
        let (from, until) = (at(&asked.query("from").unwrap()), at(&asked.query("until").unwrap()));
        let halves = until - from <= Duration::minutes(20);
        if halves { page(&items([from.format("%H:%M").to_string().as_str()]), "") } else { Reply::status(422) }
    })
    .await;
    let (ids, cursor) = read_all(&source(&vendor, &link()), true).await.unwrap();
    assert_eq!(cursor.complete_up_to, at("2026-09-14T11:55:00Z"));
    assert_eq!(ids.first().map(String::as_str), Some("11:00"));
    assert!(ids.len() > 3, "{ids:?}");
}

#[tokio::test]
async fn a_ceiling_is_passed_from_the_last_record_on() {
    let read = way("paginate.offset = { ceiling = 6, total = \"total\" }", "query.offset = \"{offset}\"");
    let vendor = Vendor::answering(|asked| {
        let from = at(&asked.query("from").unwrap());
        let offset: i64 = asked.query("offset").unwrap().parse().unwrap();
        assert!(offset < 6, "{asked:?}");
        let base = at("2026-09-14T11:30:00Z");
        let log: Vec<i64> = (0..20).filter(|n| base + Duration::seconds(*n) >= from).collect();
        let records: Vec<String> =
            log.iter().skip(offset as usize).take(3).map(|n| record(&format!("r{n:02}"), *n)).collect();
        page(&format!("[{}]", records.join(",")), &format!(",\"total\":{}", log.len()))
    })
    .await;
    let (ids, _) = read_all(&source(&vendor, &read), true).await.unwrap();
    let distinct: BTreeSet<_> = ids.iter().cloned().collect();
    assert_eq!(distinct, (0..20).map(|n| format!("r{n:02}")).collect());
    // Each walk but the last goes six records far, of which one comes again.
    assert_eq!(vendor.asked().len(), 8);
}

/// A log by page number, newest first, into which records are put while it is read.
#[tokio::test]
async fn newest_first_with_records_that_are_put_in_while_paging() {
    let read = way("paginate.page = { first = 1 }", "query.page = \"{page}\"").replace("ascending", "newest_first");
    let mut log: Vec<(String, i64)> = (0..10).map(|n| (format!("r{n:02}"), n * 10)).collect();
    let mut late = vec![("late2".to_owned(), 95), ("late1".to_owned(), 93)];
    let vendor = Vendor::answering(move |asked| {
        let number: usize = asked.query("page").unwrap().parse().unwrap();
        let mut shown = log.clone();
        shown.sort_by_key(|(_, second)| -*second);
        let records: Vec<String> =
            shown.iter().skip((number - 1) * 3).take(3).map(|(id, second)| record(id, *second)).collect();
        log.extend(late.pop());
        page(&format!("[{}]", records.join(",")), "")
    })
    .await;
    let source = source(&vendor, &read);
    let page = step(&source, &source.start()).await.unwrap();
    // One page of what was held, oldest first. What moved to a later page came twice.
    assert_eq!(page.items.first().map(String::as_str), Some("r00"));
    let distinct: BTreeSet<_> = page.items.iter().cloned().collect();
    assert!((0..10).all(|n| distinct.contains(&format!("r{n:02}"))), "{distinct:?}");
    // What was put in behind the reading position comes with the next window, which begins before it.
    let (from, _) = page.next.next_span(&source.settings().rules, at("2026-09-14T12:01:00Z")).unwrap();
    assert!(from <= at("2026-09-14T11:30:00Z"), "{from}");
}

/// A log by page number, oldest first, into which a record is put behind the position that was read.
#[tokio::test]
async fn a_record_that_is_put_in_behind_us_comes_with_the_next_window() {
    let read = way("paginate.page = { first = 1, total = \"pages\" }", "query.page = \"{page}\"");
    let mut log: Vec<(String, i64)> = (0..7).map(|n| (format!("r{n:02}"), n * 10)).collect();
    let mut late = Some(("late".to_owned(), 5));
    let vendor = Vendor::answering(move |asked| {
        let number: usize = asked.query("page").unwrap().parse().unwrap();
        log.sort_by_key(|(_, second)| *second);
        let records: Vec<String> =
            log.iter().skip((number - 1) * 3).take(3).map(|(id, second)| record(id, *second)).collect();
        let pages = log.len().div_ceil(3);
        log.extend(late.take());
        page(&format!("[{}]", records.join(",")), &format!(",\"pages\":{pages}"))
    })
    .await;
    let source = source(&vendor, &read);
    let (ids, cursor) = read_all(&source, true).await.unwrap();
    // What the late one moved to a later page came twice, and nothing was skipped.
    assert_eq!(ids, ["r00", "r01", "r02", "r02", "r03", "r04", "r05", "r06"]);
    vendor.clock.set(vendor.clock.now() + Duration::minutes(1));
    let page = step(&source, &cursor).await.unwrap();
    assert_eq!(page.items, ["r00", "late", "r01"]);
}

/// The last record of a page has no time, and then the vendor refuses its cursor.
#[tokio::test]
async fn a_walk_that_begins_again_does_not_go_by_a_record_without_a_time() {
    let mut refused = false;
    let vendor = Vendor::answering(move |asked| match asked.query("cursor") {
        Some(_) if !std::mem::replace(&mut refused, true) => Reply::status(400),
        Some(_) => page(&format!("[{}]", record("b", 20)), ""),
        None => page(&format!("[{},{{\"id\":\"bare\"}}]", record("a", 10)), ",\"next\":\"n\""),
    })
    .await;
    let (ids, _) = read_all(&source(&vendor, &cursor()), false).await.unwrap();
    assert_eq!(ids, ["a", "bare", "a", "bare", "b"]);
    let from: Vec<_> = vendor.asked().iter().filter_map(|asked| asked.query("from")).collect();
    assert_eq!(from, ["2026-09-14T11:00:00Z"; 4]);
}

#[tokio::test]
async fn page_numbers_keep_their_place_when_the_vendor_wants_smaller_pages() {
    let read = way("paginate.page = { first = 1 }", "query.page = \"{page}\"");
    let vendor = Vendor::answering(|asked| {
        let (number, size): (usize, usize) =
            (asked.query("page").unwrap().parse().unwrap(), asked.query("limit").unwrap().parse().unwrap());
        if number > 2 && size > 2 {
            return Reply::status(400);
        }
        let ids: Vec<String> = ((number - 1) * size..12.min(number * size)).map(|n| format!("r{n:02}")).collect();
        page(&items(ids.iter().map(String::as_str)), "")
    })
    .await;
    let (ids, _) = read_all(&source(&vendor, &read), true).await.unwrap();
    assert_eq!(ids, (0..12).map(|n| format!("r{n:02}")).collect::<Vec<_>>());

    // After a restart the size is the one that the page's number is of.
    let again = source(&vendor, &read);
    let mut cursor = again.start();
    for _ in 0..5 {
        cursor = step(&again, &cursor).await.unwrap().next;
    }
    let window = cursor.window.as_ref().unwrap();
    assert_eq!((&window.place, window.pages.size), (&Place::Page(6), Some(2)));
    let page = step(&source(&vendor, &read), &cursor).await.unwrap();
    assert_eq!(page.items, ["r10", "r11"]);
}
