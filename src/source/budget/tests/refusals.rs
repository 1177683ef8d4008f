//! What a 429 does to everybody who shares the budget.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_pause_holds_for_everybody_and_a_shorter_one_does_not_end_it() {
    let [a, b] = shares(terms(100, SECOND, 4), ["a", "b"]);
    a.pause(SECOND * 30);
    a.pause(SECOND);
    assert_eq!(b.budget().state().paused_for, SECOND * 30);
    let start = Instant::now();
    tokio::join!(a.acquire(Priority::Live), b.acquire(Priority::Backfill));
    assert!(start.elapsed() >= SECOND * 30);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_pauses_for_what_it_asks() {
    let [a, b] = shares(terms(100, SECOND, 4), ["a", "b"]);
    be_refused(&a, Some(SECOND * 12)).await;
    assert_eq!(wait_of(&b).await, 12.0);
}

#[tokio::test(start_paused = true)]
async fn a_busy_vendor_is_not_waited_for_all_day() {
    let [share] = shares(terms(100, SECOND, 4), ["a"]);
    share.pause(24 * 60 * MINUTE);
    assert_eq!(share.budget().state().paused_for, LONGEST_HOLD);
}

#[tokio::test(start_paused = true)]
async fn two_that_are_refused_together_pause_once() {
    let [a, b] = shares(Terms { block: MINUTE * 5, ..terms(10, SECOND, 2) }, ["a", "b"]);
    let (first, second) = tokio::join!(a.acquire(Priority::Live), b.acquire(Priority::Live));
    let start = Instant::now();
    first.throttled(None);
    sleep(SECOND * 2).await;
    second.throttled(None);
    drop((first, second));
    assert_eq!(a.budget().state().throttled, 2);
    drop(a.acquire(Priority::Live).await);
    assert_eq!(start.elapsed().as_secs_f64(), 300.0);
}

#[tokio::test(start_paused = true)]
async fn a_vendor_that_blocks_for_five_minutes_is_met_by_silence() {
    // Somebody else has used up the quota, which the vendor keeps to itself.
    let vendor = Arc::new(Vendor::new(1200, MINUTE * 5, Windows::Sliding).blocking(MINUTE * 5));
    for _ in 0..1200 {
        vendor.count();
    }
    let [a, b] = shares(Terms { block: MINUTE * 5, ..terms(1200, MINUTE * 5, 2) }, ["a", "b"]);
    let start = Instant::now();
    tokio::join!(
        read(a, Priority::Live, 50, Arc::clone(&vendor)),
        read(b, Priority::Backfill, 50, Arc::clone(&vendor)),
    );
    let refused: Vec<u64> = vendor.refused().iter().map(|at| (*at - start).as_secs()).collect();
    assert_eq!(refused, [0], "what was under way when it happened, and nothing after it");
    let ours = &vendor.arrived()[1200..];
    assert!(ours[0] - start >= MINUTE * 5 && ours.len() == 100);
}

#[tokio::test(start_paused = true)]
async fn after_a_pause_one_finds_out_and_the_others_follow_one_by_one() {
    let [share] = shares(terms(10, SECOND, 8), ["a"]);
    be_refused(&share, Some(MINUTE)).await;
    let start = Instant::now();
    let vendor = Arc::new(Vendor::new(1_000_000, SECOND, Windows::Sliding));
    for _ in 0..40 {
        let (share, vendor) = (share.clone(), Arc::clone(&vendor));
        tokio::spawn(async move {
            let permit = share.acquire(Priority::Live).await;
            let answer = vendor.ask(SECOND / 2, SECOND / 2).await;
            permit.answered(answer.status, &answer.headers, Utc::now());
        });
    }
    sleep(MINUTE * 2).await;
    let arrived: Vec<u128> = vendor.arrived().iter().map(|at| (*at - start).as_millis() - 500).collect();
    assert_eq!(arrived[..2], [60_000, 61_000], "the second one waits for the first one's answer");
    // But for the few milliseconds that a late one is made up for.
    assert!(arrived.len() == 40 && arrived.windows(2).all(|pair| pair[1] - pair[0] > 95), "{arrived:?}");
}

#[tokio::test(start_paused = true)]
async fn a_vendor_that_never_says_how_long_is_asked_ever_more_seldom() {
    let [share] = shares(terms(10, SECOND, 2), ["a"]);
    let mut waits = Vec::new();
    for _ in 0..8 {
        be_refused(&share, None).await;
        waits.push(share.budget().state().paused_for.as_secs_f64());
    }
    assert_eq!(waits, [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]);
    ask(&share, &HeaderMap::new()).await;
    be_refused(&share, None).await;
    assert_eq!(share.budget().state().paused_for.as_secs_f64(), 0.5);
}

#[tokio::test(start_paused = true)]
async fn a_vendor_that_publishes_nothing_soon_refuses_little() {
    // We believe in twice of what it lets us ask.
    let vendor = Arc::new(Vendor::new(10, SECOND * 10, Windows::Sliding));
    let [share] = shares(terms(2, SECOND, 1), ["a"]);
    read(share, Priority::Live, 1000, Arc::clone(&vendor)).await;
    let refused = vendor.refused().len();
    assert!(refused <= 60, "{refused} of {}", 1000 + refused);
}

#[test]
fn only_cloudflare_is_known_to_block() {
    let blocks = crate::connector::Connector::embedded("cloudflare").unwrap().definition.limits.block;
    assert_eq!(blocks.map(|block| block.0), Some(MINUTE * 5));
}
