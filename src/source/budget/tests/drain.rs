//! A backlog drains as fast as the quota allows, and no request is one too many.

use super::*;

/// Cloudflare's numbers.
const QUOTA: u64 = 1200;
const WINDOW: Duration = Duration::from_secs(300);
const PAGES: u64 = 2000;

/// As many requests as the quota takes, over the time it gives.
fn ideal(requests: u64, quota: u64, window: Duration) -> f64 {
    requests as f64 / quota as f64 * window.as_secs_f64()
}

fn vendors() -> Vec<Vendor> {
    let mut vendors = Vec::new();
    for tells in [Tells::Nothing, Tells::Standard, Tells::Plain] {
        for windows in [Windows::Fixed(Duration::ZERO), Windows::Fixed(WINDOW / 3), Windows::Sliding] {
            vendors.push(Vendor::new(QUOTA, WINDOW, windows).telling(tells));
        }
    }
    vendors
}

/// Everybody's pages are there, in time, and nobody was refused.
fn has_drained(vendor: &Vendor, start: Instant, end: Instant) {
    let (took, ideal) = ((end - start).as_secs_f64(), ideal(PAGES, vendor.quota, vendor.window));
    let what = format!("{:?}, telling {:?}: {took:.1} s, ideally {ideal:.1} s", vendor.windows, vendor.tells);
    assert_eq!((vendor.arrived().len() as u64, vendor.refused().len()), (PAGES, 0), "{what}");
    assert!(took <= 1.02 * ideal, "{what}");
}

#[tokio::test(start_paused = true)]
async fn two_thousand_pages_take_what_the_quota_takes() {
    for vendor in vendors() {
        let vendor = Arc::new(vendor);
        let [share] = shares(terms(QUOTA as u32, WINDOW, 1), ["a"]);
        let start = Instant::now();
        let end = read(share, Priority::Live, PAGES, Arc::clone(&vendor)).await;
        has_drained(&vendor, start, end);
    }
}

#[tokio::test(start_paused = true)]
async fn two_pipelines_and_a_backfill_take_no_longer_together() {
    for vendor in vendors() {
        let vendor = Arc::new(vendor);
        let [a, b] = shares(terms(QUOTA as u32, WINDOW, 3), ["a", "b"]);
        let start = Instant::now();
        let (live, other, backfill) = tokio::join!(
            read(a, Priority::Live, 700, Arc::clone(&vendor)),
            read(b.clone(), Priority::Live, 700, Arc::clone(&vendor)),
            read(b, Priority::Backfill, 600, Arc::clone(&vendor)),
        );
        has_drained(&vendor, start, live.max(other).max(backfill));
    }
}

#[tokio::test(start_paused = true)]
async fn quotas_of_any_size_are_used_up_and_not_exceeded() {
    for (quota, window) in [(1, SECOND), (10, SECOND), (100, SECOND), (60, MINUTE), (1750, 60 * MINUTE)] {
        for windows in [Windows::Fixed(window / 2), Windows::Sliding] {
            let vendor = Vendor::new(quota, window, windows);
            let [share] = shares(terms(quota as u32, window, 1), ["a"]);
            let start = Instant::now();
            for _ in 0..PAGES {
                let _permit = share.acquire(Priority::Live).await;
                vendor.count();
            }
            has_drained(&vendor, start, Instant::now());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_reserve_is_left_alone_in_every_window() {
    for windows in [Windows::Fixed(WINDOW / 2), Windows::Sliding] {
        for tells in [Tells::Nothing, Tells::Standard, Tells::Plain] {
            // A vendor of which we may use three quarters refuses beyond them.
            let vendor = Arc::new(Vendor::new(QUOTA * 3 / 4, WINDOW, windows));
            let told = Vendor::new(QUOTA, WINDOW, windows).telling(tells);
            let [share] = shares(reserving(0.25, terms(QUOTA as u32, WINDOW, 1)), ["a"]);
            let start = Instant::now();
            for _ in 0..PAGES {
                let permit = share.acquire(Priority::Backfill).await;
                vendor.count();
                permit.answered(StatusCode::OK, &told.count().headers, Utc::now());
            }
            has_drained(&vendor, start, Instant::now());
        }
    }
}
