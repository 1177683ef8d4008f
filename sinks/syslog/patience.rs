//! How long it is waited that nothing happens.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Lasts for as long as something happens now and then. So a receiver that is slow is only slow, and one that has hung is
/// given up.
pub(super) struct Patience {
    limit: Duration,
    // For a look, and never held over an await.
    end: Mutex<Instant>,
}

impl Patience {
    pub fn new(limit: Duration) -> Self {
        Self { limit, end: Mutex::new(Instant::now() + limit) }
    }

    /// Something has happened.
    pub fn renew(&self) {
        *self.end.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now() + self.limit;
    }

    /// What `work` comes to; `None` if nothing has happened for too long.
    pub async fn with<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::pin!(work);
        loop {
            let end = *self.end.lock().unwrap_or_else(PoisonError::into_inner);
            tokio::select! {
                biased;
                outcome = &mut work => return Some(outcome),
                () = sleep_until(end) => {}
            }
            if *self.end.lock().unwrap_or_else(PoisonError::into_inner) <= end {
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn lasts_while_something_happens() {
        let patience = Patience::new(Duration::from_secs(10));
        let slow = async {
            for _ in 0..100 {
                sleep(Duration::from_secs(9)).await;
                patience.renew();
            }
            7
        };
        assert_eq!(patience.with(slow).await, Some(7));
        assert_eq!(patience.with(sleep(Duration::from_secs(11))).await, None);
    }
}
