//! What the vendor's numbers change, and what they cannot do.

use super::*;

/// How many requests come through in so much time, each answered at once by `answer`.
async fn sent_in(share: &Share, time: Duration, mut answer: impl FnMut() -> HeaderMap) -> usize {
    let mut sent = 0;
    let asking = async {
        loop {
            let permit = share.acquire(Priority::Live).await;
            permit.answered(StatusCode::OK, &answer(), Utc::now());
            sent += 1;
        }
    };
    let _ = tokio::time::timeout(time, asking).await;
    sent
}

#[tokio::test(start_paused = true)]
async fn a_smaller_quota_slows_us_to_it() {
    for (reserve, expected) in [(0.0, 594), (0.5, 297)] {
        for tells in [Tells::Standard, Tells::Plain] {
            let [share] = shares(reserving(reserve, terms(100, SECOND, 1)), ["a"]);
            let vendor = Vendor::new(60, MINUTE, Windows::Fixed(Duration::ZERO)).telling(tells);
            let sent = sent_in(&share, MINUTE * 10, || vendor.count().headers).await;
            assert!(sent.abs_diff(expected) <= 6, "{tells:?}, reserve {reserve}: {sent} and not {expected}");
            assert_eq!(vendor.refused().len(), 0, "{tells:?}");
            assert_eq!(share.budget().state().interval, MINUTE.mul_f64(1.01 / 60.0 / (1.0 - reserve)));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn of_several_quotas_the_slowest_counts() {
    let [share] = shares(terms(100, SECOND, 1), ["a"]);
    let policies = headers(&[("ratelimit-policy", "\"s\";q=10;w=1, \"h\";q=3600;w=3600, \"m\";q=120;w=60")]);
    ask(&share, &policies).await;
    assert_eq!(share.budget().state().interval, Duration::from_millis(1010));
}

#[tokio::test(start_paused = true)]
async fn a_larger_quota_does_not_hurry_us() {
    let [share] = shares(terms(1, SECOND, 1), ["a"]);
    ask(&share, &standard(1000, 1, 999, 1)).await;
    assert_eq!(wait_of(&share).await, 1.01);
}

#[tokio::test(start_paused = true)]
async fn a_count_that_runs_out_is_waited_for() {
    let cases = [
        // The reserve is never touched.
        (0.1, standard(1000, 60, 100, 20), 20.0),
        (0.0, standard(1000, 60, 0, 20), 20.0),
        // Without a limit the most that was ever left stands for it.
        (0.5, headers(&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "20")]), 20.0),
        (0.0, headers(&[("ratelimit", "\"minute\";r=9;t=5, \"hour\";r=0;t=20")]), 20.0),
    ];
    for (reserve, headers, expected) in cases {
        let [share] = shares(reserving(reserve, terms(1000, SECOND, 1)), ["a"]);
        ask(&share, &headers).await;
        assert_eq!(share.budget().state().paused_for.as_secs_f64(), expected, "{headers:?}");
        assert_eq!(wait_of(&share).await, expected, "{headers:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_under_way_counts_as_used() {
    let [share] = shares(terms(1000, SECOND, 8), ["a"]);
    let first = share.acquire(Priority::Live).await;
    let second = share.acquire(Priority::Live).await;
    // The second one's answer: one more is left, which may be the first one's.
    second.answered(StatusCode::OK, &standard(1000, 60, 1, 20), Utc::now());
    assert_eq!(share.budget().state().learnt[0].left, Some(0));
    first.answered(StatusCode::OK, &standard(1000, 60, 2, 20), Utc::now());
    assert_eq!(share.budget().state().learnt[0].left, Some(0), "an answer that is older tells nothing new");
    drop((first, second));
    assert_eq!(wait_of(&share).await, 20.0);
}

#[tokio::test(start_paused = true)]
async fn what_others_leave_over_is_spread_until_the_reset() {
    let vendor = Vendor::new(600, MINUTE * 10, Windows::Fixed(Duration::ZERO)).telling(Tells::Standard);
    let [share] = shares(terms(600, MINUTE * 10, 1), ["a"]);
    let start = Instant::now();
    ask(&share, &vendor.count().headers).await;
    // Within the first minute somebody else takes most of it.
    sleep(SECOND * 30).await;
    for _ in 0..490 {
        vendor.count();
    }
    let sent = sent_in(&share, MINUTE * 9 + SECOND * 30, || vendor.count().headers).await;
    let state = share.budget().state();
    assert!(state.learnt[0].others, "{state:?}");
    let ours: Vec<f64> = vendor.arrived()[491..].iter().map(|at| (*at - start).as_secs_f64()).collect();
    let longest = ours.windows(2).map(|pair| pair[1] - pair[0]).fold(0.0, f64::max);
    assert!((100..=109).contains(&sent), "{sent} of the 109 that were left");
    assert!(longest < 8.0, "{longest} s without a request, where 109 over 570 s are 5.2 s each");
    assert_eq!(vendor.refused().len(), 0);
    // The next window is ours again.
    let sent = sent_in(&share, MINUTE * 5, || vendor.count().headers).await;
    assert!((290..=300).contains(&sent), "{sent}");
    assert!(!share.budget().state().learnt[0].others);
}

#[tokio::test(start_paused = true)]
async fn others_who_take_turns_with_us_cost_no_refusal() {
    for windows in [Windows::Fixed(Duration::ZERO), Windows::Sliding] {
        for tells in [Tells::Standard, Tells::Plain] {
            let vendor = Arc::new(Vendor::new(100, MINUTE, windows).telling(tells));
            let [share] = shares(terms(100, MINUTE, 1), ["a"]);
            // They take two fifths of the quota, regularly, and are refused themselves where it is short.
            let theirs = Arc::clone(&vendor);
            let others = tokio::spawn(async move {
                loop {
                    sleep(SECOND + SECOND / 2).await;
                    theirs.count();
                }
            });
            let mut refused = 0;
            let end = Instant::now() + MINUTE * 30;
            let mut sent = 0;
            while Instant::now() < end {
                let permit = share.acquire(Priority::Live).await;
                let answer = vendor.count();
                permit.answered(answer.status, &answer.headers, Utc::now());
                if answer.status != StatusCode::OK {
                    permit.throttled(advice::retry_after(&answer.headers, Utc::now()));
                    refused += 1;
                }
                sent += 1;
            }
            others.abort();
            let what = format!("{windows:?} {tells:?}: {sent} sent, {refused} refused");
            // In a sliding window what becomes free is whose who comes first, and that no header tells.
            let most = if windows == Windows::Sliding { sent / 33 } else { 0 };
            assert!(refused <= most, "{what}");
            assert!(sent >= 30 * 50, "{what}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_number_that_is_no_longer_sent_is_forgotten() {
    let [share] = shares(terms(10, SECOND, 1), ["a"]);
    ask(&share, &standard(60, 60, 59, 60)).await;
    assert_eq!(share.budget().state().interval, Duration::from_millis(1010));
    // An answer from some proxy in between does not make us forget.
    ask(&share, &HeaderMap::new()).await;
    assert_eq!(share.budget().state().interval, Duration::from_millis(1010));
    sleep(MINUTE).await;
    assert_eq!(share.budget().state().learnt.len(), 1);
    ask(&share, &HeaderMap::new()).await;
    assert_eq!((share.budget().state().interval, share.budget().state().learnt), (Duration::from_millis(101), vec![]));
}

#[tokio::test(start_paused = true)]
async fn numbers_that_make_no_sense_never_stop_us_for_long() {
    let plain = |limit, left, reset| {
        headers(&[("x-ratelimit-limit", limit), ("x-ratelimit-remaining", left), ("x-ratelimit-reset", reset)])
    };
    let cases = [
        plain("-1", "-1", "3600"),
        plain("0", "0", "3600"),
        plain("100", "0", "-5"),
        plain("100", "0", "900000"),
        plain("100", "0", "99999999999999999999"),
        plain("1e400", "NaN", "soon"),
        plain("1", "100", "86400"),
        // Milliseconds, which look like a reset in less than an hour.
        plain("100", "0", "3000"),
        headers(&[("ratelimit", "\"d\";r=0;t=86400"), ("ratelimit-policy", "\"d\";q=1;w=86400")]),
        headers(&[("ratelimit", "r=0"), ("ratelimit-policy", ";;;=,,,")]),
    ];
    for headers in cases {
        let [share] = shares(terms(1, SECOND, 1), ["a"]);
        let start = Instant::now();
        for _ in 0..60 {
            ask(&share, &headers).await;
        }
        let took = start.elapsed();
        assert!(took <= MINUTE * 62, "{took:?}: {headers:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_count_that_is_refuted_by_an_answer_stops_nobody_any_more() {
    let [share] = shares(terms(1, SECOND, 1), ["a"]);
    let nothing_left = headers(&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "3000")]);
    let start = Instant::now();
    ask(&share, &nothing_left).await;
    ask(&share, &nothing_left).await;
    assert_eq!(start.elapsed().as_secs_f64(), 600.0, "one request finds out after ten minutes");
    assert_eq!(wait_of(&share).await, 1.01);
    // Numbers that can be true are believed again.
    ask(&share, &headers(&[("x-ratelimit-remaining", "5"), ("x-ratelimit-reset", "30")])).await;
    ask(&share, &headers(&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "29")])).await;
    assert_eq!(wait_of(&share).await, 29.0);
}

#[tokio::test(start_paused = true)]
async fn the_state_is_for_people() {
    let [share, other] = shares(reserving(0.25, terms(600, MINUTE, 2)), ["a", "b"]);
    ask(&share, &standard(120, 60, 100, 45)).await;
    let _waiting = tokio::spawn(async move { drop(other.acquire(Priority::Sweep).await) });
    sleep(SECOND / 2).await;
    let expected = BudgetState {
        rate: Rate { requests: 600, per: MINUTE },
        reserve: 0.25,
        interval: MINUTE.mul_f64(1.01 / 120.0 / 0.75),
        learnt: vec![LearntCount {
            name: "default".to_owned(),
            limit: Some(120),
            window: Some(MINUTE),
            left: Some(70),
            resets_in: Some(SECOND * 44 + SECOND / 2),
            others: true,
        }],
        paused_for: Duration::from_secs_f64(44.0 / 71.0) - SECOND / 2,
        waiting: Waiting { live: 0, sweep: 1, backfill: 0 },
        in_flight: 0,
        sent: 1,
        throttled: 0,
    };
    assert_eq!(share.budget().state(), expected);
}
