//! Windows that are ordered, awaited and downloaded.

use std::sync::{Arc, Mutex};

use chrono::Duration;

use super::server::{Asked, NOW, Reply, Vendor, at, restarted, source, step};
use crate::source::cursor::{Cursor, Place};
use crate::source::{Page, Progress, Source, SourceError};

const REPORT: &str = r#"
[read.report]
order = "ascending"

[read.report.request]
method = "POST"
path = "/order"
json = { from = "{from}", until = "{until}" }

[read.report.job]
id = "job"
poll = { method = "GET", path = "/jobs/{job}" }
ready = "done"
size = "size"
download = { method = "GET", path = "/jobs/{job}/file" }
every = "15s"
give_up = "1h"
"#;

const FIND: &str = r#"
[read.report.job.find]
request = { method = "GET", path = "/jobs", query = { since = "{ordered_at}" } }
records = "jobs"
id = "id"
matches = { "asked.from" = "{from}", "asked.until" = "{until}" }
time = "created"
"#;

fn with_find() -> String {
    format!("{REPORT}{FIND}")
}

const FILE: &str = "id,at,text\r\na,2026-09-14 11:10:00,\"one\r\ntwo\"\r\nb,2026-09-14 11:20:00,three\r\n";

/// What a vendor of jobs has, and how it is disposed.
#[derive(Default)]
struct Jobs {
    /// What is said of each in the list, by number.
    listed: Vec<String>,
    orders: usize,
    /// The next answers to an order, a poll or a download, instead of the good one.
    instead: Vec<(&'static str, Reply)>,
}

impl Jobs {
    fn answer(&mut self, asked: &Asked) -> Reply {
        let is_order = asked.path() == "/v1/order";
        let what = match asked.path() {
            "/v1/order" => "order",
            "/v1/jobs" => return Reply::ok(format!("{{\"jobs\":[{}]}}", self.listed.join(","))),
            path if path.ends_with("/file") => "file",
            _ => "poll",
        };
        if is_order {
            let id = self.orders;
            self.orders += 1;
            self.listed.push(format!(r#"{{"id":{id},"created":"{NOW}","asked":{}}}"#, asked.body));
        }
        if let Some(at) = self.instead.iter().position(|(when, _)| *when == what) {
            return self.instead.remove(at).1;
        }
        match what {
            "order" => Reply::ok(format!("{{\"job\":{}}}", self.orders - 1)),
            "poll" => Reply::ok(format!("{{\"done\":\"yes\",\"size\":{}}}", FILE.len())),
            _ => Reply::ok(FILE),
        }
    }
}

async fn vendor_of(jobs: Jobs) -> (Vendor, Arc<Mutex<Jobs>>) {
    let jobs = Arc::new(Mutex::new(jobs));
    let shared = Arc::clone(&jobs);
    (Vendor::answering(move |asked| shared.lock().unwrap().answer(asked)).await, jobs)
}

fn refused(code: u16) -> Reply {
    Reply::ok(format!("{{\"error\":{code}}}"))
}

/// Reads on from what a restart finds, whatever comes, until the window was read; returns what it held, and the errors.
async fn finish(source: &Source, mut cursor: Cursor) -> (Vec<String>, Vec<String>) {
    let mut errors = Vec::new();
    for _ in 0..100 {
        match step(source, &restarted(&cursor)).await {
            Ok(page) if page.progress == Progress::CaughtUp => return (page.items, errors),
            Ok(page) => {
                assert_eq!(page.items, [""; 0]);
                cursor = page.next;
            }
            Err(error) => errors.push(error.to_string()),
        }
    }
    panic!("no end: {cursor:?} {errors:?}");
}

fn place(page: &Page<String>) -> Place {
    page.next.window.clone().unwrap().place
}

#[tokio::test]
async fn the_intention_is_durable_before_the_order_goes_out() {
    let (vendor, jobs) = vendor_of(Jobs::default()).await;
    let source = source(&vendor, REPORT);
    let page = step(&source, &source.start()).await.unwrap();
    let expected = Place::Ordering { ordered_at: at(NOW), attempts: 0, refused: Vec::new() };
    assert_eq!((place(&page), page.progress), (expected, Progress::More));
    assert_eq!(vendor.asked(), []);
    let (ids, errors) = finish(&source, page.next).await;
    assert_eq!((ids, errors, jobs.lock().unwrap().orders), (vec!["a".to_owned(), "b".to_owned()], Vec::new(), 1));
}

#[tokio::test]
async fn after_a_crash_the_jobs_are_looked_through_before_anything_is_ordered() {
    let (vendor, jobs) = vendor_of(Jobs::default()).await;
    let source = source(&vendor, &with_find());
    let before = step(&source, &source.start()).await.unwrap().next;
    // The order goes out, and nobody hears of it: what it led to never reaches the journal.
    step(&source, &before).await.unwrap();
    step(&source, &before).await.unwrap();
    let (ids, errors) = finish(&source, before).await;
    assert_eq!((ids.len(), errors.len(), jobs.lock().unwrap().orders), (2, 0, 1));
    let looked = vendor.targets().into_iter().filter(|target| target.starts_with("/v1/jobs?")).collect::<Vec<_>>();
    assert_eq!(looked, ["/v1/jobs?since=2026-09-14T11%3A55%3A00Z"; 3]);
}

#[tokio::test]
async fn an_order_whose_answer_is_lost_is_not_sent_again_by_itself() {
    for broken in
        [Reply::status(500), Reply::status(502), Reply::ok("not JSON"), Reply::status(429), refused(484), refused(515)]
    {
        let what = format!("{broken:?}");
        let jobs = Jobs { instead: vec![("order", broken)], ..Jobs::default() };
        let (vendor, jobs) = vendor_of(jobs).await;
        let source = source(&vendor, &with_find());
        let (ids, errors) = finish(&source, source.start()).await;
        assert_eq!((ids.len(), jobs.lock().unwrap().orders), (2, 1), "{what} {errors:?}");
    }
}

#[tokio::test]
async fn only_a_job_that_is_ours_is_taken() {
    let asked = r#"{"from":"2026-09-14T11:00:00Z","until":"2026-09-14T11:55:00Z"}"#;
    let strangers = [
        // Of another window, of no window at all, ordered long before, without an id.
        format!(
            r#"{{"id":"x","created":"{NOW}","asked":{{"from":"2026-09-13T11:00:00Z","until":"2026-09-14T11:55:00Z"}}}}"#
        ),
        format!(
            r#"{{"id":"x","created":"{NOW}","asked":{{"from":"2026-09-14T11:00:00Z","until":"2026-09-14T11:54:59Z"}}}}"#
        ),
        format!(r#"{{"id":"x","created":"{NOW}"}}"#),
        format!(r#"{{"id":"x","created":"2026-09-14T11:54:59Z","asked":{asked}}}"#),
        format!(r#"{{"created":"{NOW}","asked":{asked}}}"#),
    ];
    for stranger in strangers {
        let (vendor, jobs) = vendor_of(Jobs { listed: vec![stranger.clone()], ..Jobs::default() }).await;
        let source = source(&vendor, &with_find());
        finish(&source, source.start()).await;
        assert_eq!(jobs.lock().unwrap().orders, 1, "{stranger}");
    }
    let ours = [
        format!(r#"{{"id":7,"created":"{NOW}","asked":{asked}}}"#),
        // In a text, in another form, and with only one of the bounds.
        format!(r#"{{"id":7,"created":"{NOW}","asked":"{}"}}"#, asked.replace('"', "\\\"")),
        r#"{"id":7,"created":"2026-09-14 12:00:30","asked":{"from":"2026-09-14 11:00:00"}}"#.to_owned(),
        format!(r#"{{"id":7,"asked":{asked}}}"#),
    ];
    for ours in ours {
        let (vendor, jobs) = vendor_of(Jobs { listed: vec![ours.clone()], ..Jobs::default() }).await;
        let source = source(&vendor, &with_find());
        finish(&source, source.start()).await;
        assert_eq!(jobs.lock().unwrap().orders, 0, "{ours}");
        assert!(vendor.targets().contains(&"/v1/jobs/7/file".to_owned()));
    }
}

#[tokio::test]
async fn a_job_that_came_to_nothing_is_ordered_again_and_not_taken_for_the_new_one() {
    for code in [355, 357, 557] {
        for when in ["poll", "file"] {
            let jobs = Jobs { instead: vec![(when, refused(code)), (when, refused(code))], ..Jobs::default() };
            let (vendor, jobs) = vendor_of(jobs).await;
            let source = source(&vendor, &with_find());
            let (ids, errors) = finish(&source, source.start()).await;
            assert_eq!((ids.len(), errors.len(), jobs.lock().unwrap().orders), (2, 0, 3), "{code} {when}");
            assert!(vendor.targets().contains(&"/v1/jobs/2/file".to_owned()));
        }
    }
}

#[tokio::test]
async fn what_fails_each_time_is_ordered_a_few_times_and_then_a_person_is_told() {
    let jobs = Jobs { instead: vec![("file", refused(357)); 1000], ..Jobs::default() };
    let (vendor, jobs) = vendor_of(jobs).await;
    let source = source(&vendor, REPORT);
    let mut cursor = source.start();
    let mut errors = Vec::new();
    for _ in 0..30 {
        match step(&source, &restarted(&cursor)).await {
            Ok(page) => cursor = page.next,
            Err(error) => errors.push(error.to_string()),
        }
    }
    assert_eq!(jobs.lock().unwrap().orders, 4);
    assert!(errors.len() > 10 && errors.iter().all(|error| error == "Example answered HTTP 200: 357"), "{errors:?}");
    // The vendor may be mended by itself: once in a while it is tried again.
    vendor.clock.set(at(NOW) + Duration::hours(3));
    jobs.lock().unwrap().instead.truncate(1);
    let (ids, _) = finish(&source, cursor).await;
    assert_eq!((ids.len(), jobs.lock().unwrap().orders), (2, 5));
}

#[tokio::test]
async fn a_job_in_progress_is_waited_for_until_it_takes_too_long() {
    let not_ready = || ("poll", Reply::ok("{\"done\":null}"));
    let instead = vec![not_ready(), ("poll", refused(356)), ("file", refused(356))];
    let (vendor, jobs) = vendor_of(Jobs { instead, ..Jobs::default() }).await;
    let source = source(&vendor, REPORT);
    let mut cursor = source.start();
    let mut waits = Vec::new();
    for _ in 0..5 {
        let page = step(&source, &cursor).await.unwrap();
        waits.push(page.progress);
        cursor = page.next;
    }
    let wait = |seconds| Progress::Wait(std::time::Duration::from_secs(seconds));
    assert_eq!(waits, [Progress::More, wait(1), wait(1), wait(15), wait(15)]);
    jobs.lock().unwrap().instead.push(not_ready());
    vendor.clock.set(at(NOW) + Duration::minutes(61));
    let page = step(&source, &cursor).await.unwrap();
    let expected =
        Place::Ordering { ordered_at: at(NOW) + Duration::minutes(61), attempts: 1, refused: vec!["0".to_owned()] };
    assert_eq!(place(&page), expected);
    let (ids, _) = finish(&source, page.next).await;
    assert_eq!((ids.len(), jobs.lock().unwrap().orders), (2, 2));
}

#[tokio::test]
async fn an_order_that_is_refused_as_a_repetition_and_shown_nowhere_is_told_to_a_person() {
    let jobs = Jobs { instead: vec![("order", refused(515)); 9], ..Jobs::default() };
    let (vendor, _) = vendor_of(jobs).await;
    let source = source(&vendor, REPORT);
    let cursor = step(&source, &source.start()).await.unwrap().next;
    assert_eq!(step(&source, &cursor).await.unwrap().progress, Progress::Wait(std::time::Duration::from_secs(15)));
    vendor.clock.set(at(NOW) + Duration::minutes(61));
    let error = step(&source, &cursor).await.unwrap_err();
    assert_eq!(error.to_string(), "Example takes our order for one that it has, and shows none");
}

#[tokio::test]
async fn half_a_file_is_downloaded_again_and_never_kept() {
    let halves = [
        &FILE[..40],
        &FILE[..FILE.len() - 9],
        &FILE[..FILE.find("b,").unwrap()],
        "",
        "<html>busy</html>",
        "id,at\r\na,b,c\r\n",
    ];
    for half in halves {
        let jobs = Jobs { instead: vec![("file", Reply::ok(half)), ("file", Reply::ok(half))], ..Jobs::default() };
        let (vendor, jobs) = vendor_of(jobs).await;
        let source = source(&vendor, REPORT);
        let (ids, errors) = finish(&source, source.start()).await;
        assert_eq!((ids.len(), errors.len(), jobs.lock().unwrap().orders), (2, 0, 1), "{half}");
    }
    // What comes in part each time is ordered again, and told to a person in the end.
    let jobs = Jobs { instead: vec![("file", Reply::ok(&FILE[..40])); 1000], ..Jobs::default() };
    let (vendor, jobs) = vendor_of(jobs).await;
    let source = source(&vendor, REPORT);
    let mut cursor = source.start();
    let error = loop {
        match step(&source, &restarted(&cursor)).await {
            Ok(page) => cursor = page.next,
            Err(error) => break error,
        }
    };
    assert_eq!(jobs.lock().unwrap().orders, 4);
    let expected = format!("Example sends a file of 40 bytes that was to have {}", FILE.len());
    assert!(matches!(error, SourceError::Retryable { message, .. } if message == expected));
}

#[tokio::test]
async fn a_size_that_is_not_told_is_not_missed() {
    let unsized_poll = ("poll", Reply::ok("{\"done\":1}"));
    for (file, records) in [(FILE, 2), ("id,at\r\n", 0)] {
        let jobs = Jobs { instead: vec![unsized_poll.clone(), ("file", Reply::ok(file))], ..Jobs::default() };
        let (vendor, _) = vendor_of(jobs).await;
        let source = source(&vendor, REPORT);
        let (ids, _) = finish(&source, source.start()).await;
        assert_eq!(ids.len(), records, "{file}");
    }
}

#[tokio::test]
async fn a_vendor_whose_clock_is_behind_is_looked_through_from_its_own_time_on() {
    // Its clock shows only with its first answer, which is to the first look.
    let behind = at("2026-09-14T11:00:00Z");
    let date = behind.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let mut orders = 0;
    let vendor = Vendor::answering(move |asked| {
        let asked_for = r#"{"from":"2026-09-14T11:00:00Z","until":"2026-09-14T11:55:00Z"}"#;
        let reply = match asked.path() {
            "/v1/order" => {
                orders += 1;
                Reply::ok(format!("{{\"job\":{orders}}}"))
            }
            "/v1/jobs" if orders == 0 => Reply::ok("{\"jobs\":[]}"),
            "/v1/jobs" => {
                Reply::ok(format!(r#"{{"jobs":[{{"id":1,"created":"2026-09-14T11:00:01Z","asked":{asked_for}}}]}}"#))
            }
            "/v1/jobs/1" => Reply::ok("{\"done\":1}"),
            _ => Reply::ok(FILE),
        };
        reply.with("date", date.clone())
    })
    .await;
    let first = source(&vendor, &with_find());
    let intended = step(&first, &first.start()).await.unwrap().next;
    let corrected = step(&first, &intended).await.unwrap();
    assert_eq!(place(&corrected), Place::Ordering { ordered_at: behind, attempts: 0, refused: Vec::new() });
    // The order goes out and the program ends; the next one knows nothing of the vendor's clock.
    step(&first, &corrected.next).await.unwrap();
    let second = source(&vendor, &with_find());
    let page = step(&second, &restarted(&corrected.next)).await.unwrap();
    assert!(matches!(place(&page), Place::Job { id, .. } if id == "1"));
}

// The order's answer is lost with the program, and the next one finds the report by what it was asked for. What it holds is
// as of when it was made, by the vendor's clock, and not as of when we thought that we asked.
#[tokio::test]
async fn a_report_that_is_found_again_is_as_old_as_it_says() {
    let report = |created: &str| {
        let asked = r#"{"from":"2026-09-14T11:00:00Z","until":"2026-09-14T11:55:00Z"}"#;
        Jobs { listed: vec![format!(r#"{{"id":7,"created":"{created}","asked":{asked}}}"#)], ..Jobs::default() }
    };
    for (created, complete, settled) in [
        // By a vendor whose clock is a little before ours, or by another of our programs.
        ("2026-09-14T11:58:00Z", "2026-09-14T11:53:00Z", "2026-09-14T11:23:00Z"),
        // By ours.
        (NOW, "2026-09-14T11:55:00Z", "2026-09-14T11:25:00Z"),
        ("2026-09-14T12:00:30Z", "2026-09-14T11:55:00Z", "2026-09-14T11:25:00Z"),
    ] {
        let (vendor, _) = vendor_of(report(created)).await;
        let source = source(&vendor, &with_find());
        let mut cursor = source.start();
        while cursor.complete_up_to == at("2026-09-14T11:00:00Z") {
            cursor = restarted(&step(&source, &cursor).await.unwrap().next);
        }
        assert_eq!((cursor.complete_up_to, cursor.settled), (at(complete), at(settled)), "{created}");
    }
}

#[tokio::test]
async fn a_report_that_is_found_again_with_a_clock_ahead_of_the_vendors_says_nothing_of_the_vendors_future() {
    // We thought that it was noon, an hour ahead of the vendor. Until the program is there again, an hour passes.
    let vendor = Vendor::answering(|asked| {
        let asked_for = r#"{"from":"2026-09-14T11:00:00Z","until":"2026-09-14T11:55:00Z"}"#;
        let reply = match asked.path() {
            "/v1/jobs" => {
                Reply::ok(format!(r#"{{"jobs":[{{"id":1,"created":"2026-09-14T11:00:01Z","asked":{asked_for}}}]}}"#))
            }
            "/v1/jobs/1" => Reply::ok("{\"done\":1}"),
            _ => Reply::ok("id,at,text\r\n"),
        };
        reply.with("date", "Mon, 14 Sep 2026 12:00:00 GMT")
    })
    .await;
    let before = source(&vendor, &with_find());
    let mut cursor = step(&before, &before.start()).await.unwrap().next;
    // As the look before the order corrects it.
    if let Some(window) = &mut cursor.window
        && let Place::Ordering { ordered_at, .. } = &mut window.place
    {
        *ordered_at = at("2026-09-14T11:00:00Z");
    }
    vendor.clock.set(at("2026-09-14T13:00:00Z"));
    let after = source(&vendor, &with_find());
    while cursor.window.is_some() {
        cursor = restarted(&step(&after, &cursor).await.unwrap().next);
    }
    assert!(cursor.complete_up_to <= at("2026-09-14T11:00:00Z"), "{cursor:?}");
    assert!(cursor.settled <= at("2026-09-14T11:00:00Z"), "{cursor:?}");
}
