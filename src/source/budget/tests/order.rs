//! Who is served when.

use std::sync::Mutex;

use super::*;

/// Spawns a request that notes when it was served, and holds its permit for a moment.
fn spawn(share: &Share, priority: Priority, who: &'static str, served: &Arc<Mutex<Vec<&'static str>>>) {
    let (share, served) = (share.clone(), Arc::clone(served));
    tokio::spawn(async move {
        let _permit = share.acquire(priority).await;
        served.lock().unwrap().push(who);
        sleep(SECOND / 2).await;
    });
}

/// Lets everything that can go on now go on.
async fn settle() {
    sleep(Duration::from_millis(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_live_page_overtakes_a_thousand_waiting_ones() {
    let [share] = shares(terms(1, SECOND, 2), ["a"]);
    let served = Arc::default();
    for _ in 0..1000 {
        spawn(&share, Priority::Backfill, "backfill", &served);
    }
    sleep(SECOND * 3 + SECOND / 2).await;
    assert_eq!(served.lock().unwrap().len(), 4);
    spawn(&share, Priority::Sweep, "sweep", &served);
    spawn(&share, Priority::Live, "live", &served);
    settle().await;
    assert_eq!(share.budget().state().waiting, Waiting { live: 1, sweep: 1, backfill: 996 });
    sleep(SECOND * 3).await;
    assert_eq!(served.lock().unwrap()[4..], ["live", "sweep", "backfill"]);
}

#[tokio::test(start_paused = true)]
async fn a_live_page_takes_the_next_free_slot() {
    // Where the room is what is short, and not the rate.
    let [share] = shares(terms(1000, SECOND, 1), ["a"]);
    let served = Arc::default();
    for _ in 0..10 {
        spawn(&share, Priority::Backfill, "backfill", &served);
    }
    settle().await;
    spawn(&share, Priority::Live, "live", &served);
    sleep(SECOND * 20).await;
    assert_eq!(served.lock().unwrap()[..3], ["backfill", "live", "backfill"]);
    assert_eq!(served.lock().unwrap().len(), 11);
}

#[tokio::test(start_paused = true)]
async fn what_the_live_read_leaves_over_is_the_backfills() {
    let vendor = Arc::new(Vendor::new(60, MINUTE, Windows::Sliding));
    let [share] = shares(terms(60, MINUTE, 2), ["a"]);
    let polled = share.clone();
    let live = async {
        for _ in 0..60 {
            drop(polled.acquire(Priority::Live).await);
            sleep(SECOND * 10).await;
        }
    };
    let start = Instant::now();
    tokio::select! {
        () = live => {}
        _ = read(share, Priority::Backfill, 1000, Arc::clone(&vendor)) => panic!("a thousand pages take longer"),
    }
    let turns = start.elapsed().as_secs_f64() / 1.01;
    let used = vendor.arrived().len() as f64 + 60.0;
    assert!((turns - 5.0..=turns + 1.0).contains(&used), "{used} of {turns} turns were used");
}

#[tokio::test(start_paused = true)]
async fn pipelines_are_served_alike_however_many_requests_they_have_waiting() {
    let [greedy, modest] = shares(terms(10, SECOND, 4), ["greedy", "modest"]);
    let served = Arc::new(Mutex::new(Vec::new()));
    for _ in 0..500 {
        spawn(&greedy, Priority::Live, "greedy", &served);
    }
    let asking = Arc::clone(&served);
    tokio::spawn(async move {
        loop {
            let _permit = modest.acquire(Priority::Live).await;
            asking.lock().unwrap().push("modest");
        }
    });
    sleep(MINUTE).await;
    let served = served.lock().unwrap();
    for upto in 1..=served.len() {
        let greedy = served[..upto].iter().filter(|who| **who == "greedy").count();
        assert!(greedy.abs_diff(upto - greedy) <= 1, "{greedy} of the first {upto}");
    }
    assert!(served.len() > 500, "{}", served.len());
}

#[tokio::test(start_paused = true)]
async fn a_waiter_that_is_dropped_blocks_nobody_and_uses_nothing() {
    let [share] = shares(terms(1, SECOND, 1), ["a"]);
    drop(share.acquire(Priority::Live).await);
    let start = Instant::now();
    // The first in the queue, which alone waits for the time; and one behind it.
    let first = tokio::spawn({
        let share = share.clone();
        async move { drop(share.acquire(Priority::Live).await) }
    });
    settle().await;
    let second = tokio::spawn({
        let share = share.clone();
        async move { drop(share.acquire(Priority::Backfill).await) }
    });
    settle().await;
    first.abort();
    second.await.unwrap();
    assert_eq!(start.elapsed().as_millis(), 1010, "the turn of the one that left is the next one's");
    let state = share.budget().state();
    assert_eq!((state.sent, state.in_flight, state.waiting), (2, 0, Waiting::default()));
}

#[tokio::test(start_paused = true)]
async fn a_permit_that_is_dropped_with_its_task_is_given_back() {
    let [share] = shares(terms(1000, SECOND, 1), ["a"]);
    let stuck = tokio::spawn({
        let share = share.clone();
        async move {
            let _permit = share.acquire(Priority::Backfill).await;
            std::future::pending::<()>().await;
        }
    });
    settle().await;
    assert_eq!(share.budget().state().in_flight, 1);
    stuck.abort();
    drop(share.acquire(Priority::Live).await);
    assert_eq!(share.budget().state().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn pipelines_with_other_terms_keep_to_the_strictest() {
    let budget = Budget::new(terms(10, SECOND, 4));
    budget.keep_to(reserving(0.5, Terms { block: MINUTE, ..terms(20, SECOND, 2) }));
    let inner = budget.inner();
    assert_eq!(inner.terms, reserving(0.5, Terms { block: MINUTE, ..terms(10, SECOND, 2) }));
    assert_eq!(inner.pace.stride().interval, Duration::from_millis(202));
}
