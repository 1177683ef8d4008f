//! A budget against vendors in miniature, on tokio's paused time.

mod drain;
mod laws;
mod learning;
mod order;
mod refusals;
mod vendor;

use tokio::time::sleep;

use self::vendor::{Tells, Vendor, Windows, headers, standard};
use super::*;

const MINUTE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

fn terms(requests: u32, per: Duration, in_flight: u32) -> Terms {
    Terms { rate: Rate { requests, per }, in_flight, reserve: 0.0, block: Duration::ZERO }
}

fn reserving(reserve: f64, terms: Terms) -> Terms {
    Terms { reserve, ..terms }
}

/// The shares of those pipelines in a budget of their own.
fn shares<const N: usize>(terms: Terms, pipelines: [&str; N]) -> [Share; N] {
    let budget = Arc::new(Budget::new(terms));
    pipelines.map(|pipeline| budget.share(&pipeline.into()))
}

/// Reads as a source does: one page after the other, each asked for until it is there. Latencies vary, and so does the
/// time that a page takes to be kept.
async fn read(share: Share, priority: Priority, pages: u64, vendor: Arc<Vendor>) -> Instant {
    for page in 0..pages {
        let millis = |salt: u64| Duration::from_millis((page * 7919 + salt * 104_729) % 97);
        loop {
            let permit = share.acquire(priority).await;
            let answer = vendor.ask(millis(1), millis(2)).await;
            permit.answered(answer.status, &answer.headers, Utc::now());
            if answer.status == StatusCode::OK {
                break;
            }
            permit.throttled(advice::retry_after(&answer.headers, Utc::now()));
        }
        sleep(millis(3)).await;
    }
    Instant::now()
}

/// One request, answered at once with those headers.
async fn ask(share: &Share, headers: &HeaderMap) {
    let permit = share.acquire(Priority::Live).await;
    permit.answered(StatusCode::OK, headers, Utc::now());
}

/// One request, refused at once.
async fn be_refused(share: &Share, asked: Option<Duration>) {
    let permit = share.acquire(Priority::Live).await;
    permit.answered(StatusCode::TOO_MANY_REQUESTS, &HeaderMap::new(), Utc::now());
    permit.throttled(asked);
}

/// How long a live request waits now.
async fn wait_of(share: &Share) -> f64 {
    let start = Instant::now();
    drop(share.acquire(Priority::Live).await);
    start.elapsed().as_secs_f64()
}
