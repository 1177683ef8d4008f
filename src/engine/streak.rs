//! When a destination takes nothing at all, it is not the records that are wrong.

use auditline_sinks::{Batch, Delivery, DeliveryError};

/// So many records in a row, and none of them taken: that is how a mapping, an index or a limit looks that is set wrong.
const MANY: usize = 10;

/// Records that a sink has refused since it last took one.
#[derive(Debug, Default)]
pub struct Streak {
    records: usize,
}

impl Streak {
    /// What a delivery came to, unless the destination has now refused so many records in a row that a person should
    /// look before they are given up. The batch then counts as not delivered, and is tried again.
    ///
    /// # Errors
    /// [`DeliveryError::Refused`], in the words with which the last record was refused.
    pub fn judge(&mut self, batch: &Batch, delivery: Delivery) -> Result<Delivery, DeliveryError> {
        let takes_none = delivery.rejected.len() >= batch.records.len();
        let Some(last) = delivery.rejected.last().filter(|_| takes_none) else {
            self.records = 0;
            return Ok(delivery);
        };
        let records = self.records + batch.records.len();
        if records < MANY {
            self.records = records;
            return Ok(delivery);
        }
        let sink = &batch.sink;
        Err(DeliveryError::Refused {
            message: format!("none of the last {records} records was taken: {}", last.reason),
            hint: format!(
                "mend what it objects to, there or in this configuration: the records wait. Where the records themselves \
                 are to be given up, have `all_rejected = \"dead_letter\"` in the pipeline's `[to.{sink}]`"
            ),
            source: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use auditline_sinks::Rejected;
    use auditline_sinks::contract::numbered;

    use super::*;

    fn rejecting(places: impl IntoIterator<Item = usize>) -> Delivery {
        Delivery { rejected: places.into_iter().map(|at| Rejected { at, reason: format!("no to {at}") }).collect() }
    }

    #[test]
    fn a_batch_of_which_nothing_is_taken_waits_and_comes_again() {
        let (mut streak, batch) = (Streak::default(), numbered("p", 1, 12));
        for _ in 0..3 {
            let error = streak.judge(&batch, rejecting(0..12)).unwrap_err();
            assert_eq!(error.to_string(), "none of the last 12 records was taken: no to 11");
        }
        assert_eq!(streak.judge(&batch, rejecting(0..11)).unwrap(), rejecting(0..11));
    }

    #[test]
    fn small_batches_count_together_until_one_record_is_taken() {
        let mut streak = Streak::default();
        let batch = |first| numbered("p", first, 3);
        for first in [1, 4, 7] {
            assert_eq!(streak.judge(&batch(first), rejecting(0..3)).unwrap(), rejecting(0..3));
        }
        assert!(streak.judge(&batch(10), rejecting(0..3)).unwrap_err().to_string().contains("last 12 records"));
        assert!(streak.judge(&batch(10), rejecting([0, 2])).is_ok());
        for first in [13, 16, 19] {
            assert!(streak.judge(&batch(first), rejecting(0..3)).is_ok());
        }
        assert!(streak.judge(&batch(22), rejecting(0..3)).is_err());
    }
}
