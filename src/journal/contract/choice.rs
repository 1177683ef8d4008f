//! What a journal promises where not every record goes to every sink.

use std::sync::Arc;

use auditline_sinks::BatchLimits;

use super::{ANY, dropped, ids, lane, limits, next, opened, page, record};
use crate::event::RecordKey;
use crate::journal::{Append, Appended, DEDUPE, Journal, JournalError, Lane, New, Waiting};

pub(super) async fn all<J: Journal>(open: &impl AsyncFn(&str) -> J) {
    each_record_reaches_the_sinks_it_goes_to_and_no_other(open("routed").await).await;
    what_goes_elsewhere_neither_waits_nor_parts_a_batch(open("elsewhere").await).await;
    what_goes_to_a_sink_that_is_gone_is_told(open("gone").await).await;
    a_record_for_no_lane_is_refused(open("no lane").await).await;
    what_is_dropped_is_counted_once_and_stays_new(open("counted").await).await;
    of_records_with_one_twin_the_first_is_added(open("twins").await).await;
}

/// A record for these sinks.
fn routed(id: impl ToString, to: &[&str]) -> New {
    New { to: Some(to.iter().map(|sink| Arc::from(*sink)).collect()), ..record(id) }
}

/// All that a lane gets, batch by batch.
async fn drain(journal: &impl Journal, lane: &Lane, limits: &BatchLimits) -> Vec<Vec<String>> {
    let mut batches = Vec::new();
    while let Some(batch) = journal.seal(lane, &"vendor".into(), limits).await.unwrap() {
        assert_eq!(batch.key(), next(journal, lane, &ANY).await.key());
        batches.push(ids(&batch).into_iter().map(str::to_owned).collect());
        journal.advance(lane, batch.last, vec![]).await.unwrap();
    }
    batches
}

async fn each_record_reaches_the_sinks_it_goes_to_and_no_other(journal: impl Journal) {
    let app: Arc<str> = "app".into();
    journal.open_pipeline(&app, &["a".into(), "b".into(), "ab".into()]).await.unwrap();
    let records = vec![
        routed(1, &["a"]),
        routed(2, &["b"]),
        record(3),
        routed(4, &["ab"]),
        routed(5, &["b", "a"]),
        routed(6, &["b"]),
        routed(7, &["a"]),
    ];
    journal.append(&app, Append { records, ..Append::default() }).await.unwrap();
    let [a, b, ab] = ["a", "b", "ab"].map(|sink| lane(&app, sink));
    assert_eq!(drain(&journal, &a, &limits(3, u64::MAX)).await, [vec!["1", "3", "5"], vec!["7"]]);
    assert_eq!(drain(&journal, &b, &limits(3, u64::MAX)).await, [vec!["2", "3", "5"], vec!["6"]]);
    assert_eq!(drain(&journal, &ab, &ANY).await, [["3", "4"]]);
}

async fn what_goes_elsewhere_neither_waits_nor_parts_a_batch(journal: impl Journal) {
    let app: Arc<str> = "app".into();
    journal.open_pipeline(&app, &["rare".into(), "busy".into()]).await.unwrap();
    let (rare, busy) = (lane(&app, "rare"), lane(&app, "busy"));
    for page in 0..20 {
        let to = |id: u64| if id % 25 == 7 { routed(id, &["rare"]) } else { routed(id, &["busy"]) };
        let records = (page * 10..page * 10 + 10).map(to).collect();
        journal.append(&app, Append { records, ..Append::default() }).await.unwrap();
    }
    let waiting = journal.waiting(&rare, &ANY).await.unwrap();
    let json: usize = [7, 32, 57, 82, 107, 132, 157, 182].map(|id| record(id).record.json.len()).iter().sum();
    assert_eq!((waiting.records, waiting.bytes), (8, json as u64));
    let batch = next(&journal, &rare, &limits(5, u64::MAX)).await;
    assert_eq!((batch.first, batch.last, ids(&batch)), (8, 108, vec!["7", "32", "57", "82", "107"]));
    // While the batch is on its way.
    journal.append(&app, Append { records: vec![routed(200, &["busy"])], ..Append::default() }).await.unwrap();
    journal.advance(&rare, 108, vec![]).await.unwrap();
    assert_eq!(next(&journal, &rare, &ANY).await.first, 133);
    assert_eq!(drain(&journal, &rare, &ANY).await, [["132", "157", "182"]]);
    assert_eq!(journal.waiting(&rare, &ANY).await.unwrap(), Waiting::default());
    assert_eq!(journal.oldest_waiting(&rare).await.unwrap(), None);
    let sizes: Vec<_> = drain(&journal, &busy, &limits(100, u64::MAX)).await.iter().map(Vec::len).collect();
    assert_eq!(sizes, [100, 93]);
}

async fn what_goes_to_a_sink_that_is_gone_is_told(journal: impl Journal) {
    let app: Arc<str> = "app".into();
    journal.open_pipeline(&app, &["old".into(), "other".into()]).await.unwrap();
    let records =
        vec![routed(1, &["old"]), record(2), routed(3, &["old"]), routed(4, &["other"]), routed(5, &["old", "other"])];
    journal.append(&app, Append { records, ..Append::default() }).await.unwrap();
    let forgotten = journal.open_pipeline(&app, &["new".into(), "other".into()]).await.unwrap();
    assert_eq!(forgotten, [(lane(&app, "old"), 4)]);
    assert_eq!(drain(&journal, &lane(&app, "new"), &ANY).await, [["2"]]);
    assert_eq!(drain(&journal, &lane(&app, "other"), &ANY).await, [["2", "4", "5"]]);
}

async fn a_record_for_no_lane_is_refused(journal: impl Journal) {
    let (app, siem) = opened(&journal).await;
    for to in [&["siem", "archive"][..], &["sie"], &[], &["siem\nsiem"]] {
        let records = vec![record("good"), routed("bad", to)];
        let refused = journal.append(&app, Append { records, ..Append::default() }).await;
        assert!(matches!(refused, Err(JournalError::Refused { .. })), "{to:?}");
    }
    assert_eq!(journal.waiting(&siem, &ANY).await.unwrap().records, 0);
    assert_eq!(journal.append(&app, page(["good"], "")).await.unwrap().added, 1);
}

async fn what_is_dropped_is_counted_once_and_stays_new(journal: impl Journal) {
    let (app, siem) = opened(&journal).await;
    let drop = |ids: &[&str], reason: &str| Append {
        dropped: ids.iter().map(|id| dropped(id, reason)).collect(),
        ..page([0; 0], "")
    };
    journal.append(&app, page(["before"], "")).await.unwrap();
    let first = journal.append(&app, drop(&["a", "before", "b", "a"], "noise")).await.unwrap();
    assert_eq!(first, Appended { dropped: [("noise".into(), 2)].into(), last: 1, ..Appended::default() });
    let again = journal.append(&app, drop(&["b", "c"], "sample")).await.unwrap();
    assert_eq!(again.dropped, [("sample".into(), 1)].into());
    let kept = journal.append(&app, page(["a", "before", "b"], "")).await.unwrap();
    assert_eq!((kept.added, kept.repeated), (2, 1));
    assert!(journal.append(&app, drop(&["a", "c"], "noise")).await.unwrap().dropped.is_empty());
    assert_eq!(drain(&journal, &siem, &ANY).await, [["before", "a", "b"]]);
    let expected = [("noise".into(), 2), ("sample".into(), 1)].into();
    assert_eq!(journal.totals(&app).await.unwrap().dropped, expected);
}

async fn of_records_with_one_twin_the_first_is_added(journal: impl Journal) {
    let (app, siem) = opened(&journal).await;
    let with = |twin: &str, ids: &[&str]| {
        let records = ids.iter().map(|id| New { twin: Some(RecordKey::of(twin)), ..record(id) }).collect();
        Append { records, ..Append::default() }
    };
    let first = journal.append(&app, with("t", &["a", "b", "a", "b"])).await.unwrap();
    assert_eq!((first.added, first.repeated), (1, 2));
    assert_eq!(first.dropped, [(DEDUPE.into(), 1)].into());
    // The page is read again, with one more.
    let again = journal.append(&app, with("t", &["a", "b", "c"])).await.unwrap();
    assert_eq!((again.added, again.repeated), (0, 2));
    assert_eq!(again.dropped, [(DEDUPE.into(), 1)].into());
    // Another twin, none any more, and an id that looks like one.
    assert_eq!(journal.append(&app, with("u", &["d"])).await.unwrap().added, 1);
    assert_eq!(journal.append(&app, page(["b", "t", "a"], "")).await.unwrap().added, 2);
    assert_eq!(drain(&journal, &siem, &ANY).await, [["a", "d", "b", "t"]]);
}
