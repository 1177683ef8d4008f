//! A vendor's clock that is not ours, as its `Date` tells it: never read into its future, and never silent for long.

use std::sync::{Arc, Mutex};

use chrono::{DateTime, Duration, Utc};

use super::server::{NOW, Reply, Vendor, at, source, step};
use crate::source::{Cursor, Progress, Source};

const PAGES: &str = r#"
[read.pages]
order = "ascending"

[read.pages.request]
method = "GET"
path = "/log"
query = { from = "{from}", until = "{until}" }
"#;

/// A vendor without records, and the `Date` of its answers: ours where there is none.
async fn vendor() -> (Vendor, Arc<Mutex<Option<DateTime<Utc>>>>) {
    let date: Arc<Mutex<Option<DateTime<Utc>>>> = Arc::default();
    let told = Arc::clone(&date);
    let vendor = Vendor::answering(move |_| {
        let reply = Reply::ok(r#"{"items":[]}"#);
        let date = *told.lock().unwrap();
        date.map_or(reply.clone(), |date| reply.with("date", date.format("%a, %d %b %Y %H:%M:%S GMT").to_string()))
    })
    .await;
    (vendor, date)
}

async fn poll(source: &Source, mut cursor: Cursor) -> Cursor {
    loop {
        let page = step(source, &cursor).await.unwrap();
        cursor = page.next;
        if page.progress == Progress::CaughtUp {
            return cursor;
        }
    }
}

#[tokio::test]
async fn one_wrong_date_does_not_keep_a_source_silent() {
    let (vendor, date) = vendor().await;
    let source = source(&vendor, PAGES);
    // Something on the way answers from what it kept years ago.
    *date.lock().unwrap() = Some(at("2020-01-01T00:00:00Z"));
    let cursor = poll(&source, source.start()).await;
    assert_eq!(cursor.complete_up_to, at("2026-09-14T11:00:00Z"));
    *date.lock().unwrap() = None;
    vendor.clock.set(at(NOW) + Duration::minutes(10));
    let cursor = poll(&source, cursor).await;
    assert_eq!(cursor.complete_up_to, at("2026-09-14T12:05:00Z"), "{:?}", vendor.targets());
}

#[tokio::test]
async fn a_clock_of_ours_that_is_set_right_does_not_keep_a_source_silent() {
    let (vendor, date) = vendor().await;
    let source = source(&vendor, PAGES);
    // Ours says noon, forty minutes ahead.
    *date.lock().unwrap() = Some(at("2026-09-14T11:20:00Z"));
    let cursor = poll(&source, source.start()).await;
    assert_eq!(cursor.complete_up_to, at("2026-09-14T11:15:00Z"));
    *date.lock().unwrap() = None;
    vendor.clock.set(at("2026-09-14T11:21:00Z"));
    let cursor = poll(&source, cursor).await;
    assert_eq!(cursor.complete_up_to, at("2026-09-14T11:16:00Z"), "{:?}", vendor.targets());
}

#[tokio::test]
async fn a_vendor_that_stays_behind_is_never_read_into_its_future() {
    let (vendor, date) = vendor().await;
    let source = source(&vendor, PAGES);
    let behind = Duration::minutes(40);
    let mut cursor = source.start();
    for minutes in [0, 1, 2, 20, 21] {
        let now = at(NOW) + Duration::minutes(minutes);
        vendor.clock.set(now);
        *date.lock().unwrap() = Some(now - behind);
        cursor = poll(&source, cursor).await;
        assert_eq!(cursor.complete_up_to, now - behind - Duration::minutes(5));
    }
}
