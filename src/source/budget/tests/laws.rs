//! What holds whatever is asked for and given up.

use std::sync::Mutex;

use proptest::prelude::*;

use super::*;

/// A request somebody makes.
#[derive(Clone, Debug)]
struct Wish {
    at: u64,
    pipeline: usize,
    priority: Priority,
    /// How long it is under way.
    takes: u64,
    /// Given up when it was not its turn within that time, or dropped in the middle of it.
    patience: Option<u64>,
    /// Refused with 429, asking for so long.
    refused: Option<u64>,
}

fn wish() -> impl Strategy<Value = Wish> {
    let priority = prop_oneof![Just(Priority::Live), Just(Priority::Sweep), Just(Priority::Backfill)];
    let patience = prop_oneof![3 => Just(None), 1 => (0..8000u64).prop_map(Some)];
    let refused = prop_oneof![20 => Just(None), 1 => (0..5000u64).prop_map(Some)];
    (0..15_000u64, 0..3usize, priority, 0..2500u64, patience, refused).prop_map(
        |(at, pipeline, priority, takes, patience, refused)| Wish { at, pipeline, priority, takes, patience, refused },
    )
}

/// When a wish was made, granted and over; and what it was.
#[derive(Clone, Debug)]
struct Seen {
    wish: Wish,
    made: Instant,
    granted: Option<Instant>,
    over: Instant,
}

async fn carry_out(share: Share, wish: Wish, seen: Arc<Mutex<Vec<Seen>>>) {
    sleep(Duration::from_millis(wish.at)).await;
    let made = Instant::now();
    let granted = Mutex::new(None);
    let asking = async {
        let permit = share.acquire(wish.priority).await;
        *granted.lock().unwrap() = Some(Instant::now());
        sleep(Duration::from_millis(wish.takes)).await;
        match wish.refused {
            Some(asked) => {
                permit.answered(StatusCode::TOO_MANY_REQUESTS, &HeaderMap::new(), Utc::now());
                permit.throttled(Some(Duration::from_millis(asked)));
            }
            None => permit.answered(StatusCode::OK, &HeaderMap::new(), Utc::now()),
        }
    };
    match wish.patience {
        Some(patience) => drop(tokio::time::timeout(Duration::from_millis(patience), asking).await),
        None => asking.await,
    }
    let granted = *granted.lock().unwrap();
    seen.lock().unwrap().push(Seen { wish, made, granted, over: Instant::now() });
}

/// Everything that came of the wishes, in the order of their grants.
fn carried_out(terms: Terms, wishes: Vec<Wish>) -> (Vec<Seen>, BudgetState) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime without sockets").block_on(async {
        let shares = shares(terms, ["a", "b", "c"]);
        let seen = Arc::default();
        let mut tasks = tokio::task::JoinSet::new();
        for wish in wishes {
            tasks.spawn(carry_out(shares[wish.pipeline].clone(), wish, Arc::clone(&seen)));
        }
        while tasks.join_next().await.is_some() {}
        let mut seen = seen.lock().unwrap().clone();
        seen.sort_by_key(|seen| seen.granted);
        (seen, shares[0].budget().state())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn the_laws_of_a_budget(
        requests in 1..20u32,
        seconds in 1..8u64,
        in_flight in 1..5u32,
        wishes in prop::collection::vec(wish(), 1..80),
    ) {
        let window = Duration::from_secs(seconds);
        let (seen, state) = carried_out(terms(requests, window, in_flight), wishes);
        let granted: Vec<&Seen> = seen.iter().filter(|seen| seen.granted.is_some()).collect();
        for one in &granted {
            let at = one.granted.unwrap();
            // Never more than may be under way.
            let under_way = granted.iter().filter(|other| other.granted.unwrap() <= at && other.over > at).count();
            prop_assert!(under_way <= in_flight as usize, "{under_way} under way");
            // Never more than the quota in any window.
            let within = granted.iter().filter(|other| (at..=at + window).contains(&other.granted.unwrap())).count();
            prop_assert!(within <= requests as usize, "more than {requests} in {window:?}");
            // Nobody is served while somebody more urgent waits, or the same pipeline has waited longer.
            let waited = |other: &Seen| other.made < at && other.granted.unwrap_or(other.over) > at;
            let overtaken = seen.iter().filter(|other| waited(other)).find(|other| {
                let longer = other.wish.pipeline == one.wish.pipeline && other.made < one.made;
                other.wish.priority < one.wish.priority || (other.wish.priority == one.wish.priority && longer)
            });
            prop_assert!(overtaken.is_none(), "{one:?} overtook {overtaken:?}");
        }
        // Who does not give up is served, and nothing is left behind.
        prop_assert!(seen.iter().all(|seen| seen.granted.is_some() || seen.wish.patience.is_some()));
        prop_assert_eq!((state.waiting, state.in_flight, state.sent), (Waiting::default(), 0, granted.len() as u64));
    }
}
