//! Every connector passes, and one that is not whole does not.

use super::*;
use crate::connector::{names, source};
use crate::document::{Context, Problems};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_connector_conforms() {
    let connectors: Vec<_> = names().filter_map(Connector::embedded).collect();
    let runs = connectors.iter().map(|connector| async move { (connector.name.clone(), run(connector).await) });
    for (name, lines) in futures::future::join_all(runs).await {
        let wrong: Vec<&Line> = lines.iter().filter(|line| matches!(line.outcome, Outcome::Failed(_))).collect();
        assert_eq!(wrong, Vec::<&Line>::new(), "{name}");
        let passed = lines.iter().filter(|line| line.outcome == Outcome::Passed).count();
        assert!(passed >= 14, "{name} passed {passed} cases only: {lines:#?}");
    }
}

/// What a case comes to for an embedded connector with pieces of it replaced.
async fn outcome(name: &str, changes: &[(&str, &str)], read: &str, case: Case) -> Outcome {
    let mut text = source(name).unwrap().to_owned();
    for (piece, instead) in changes {
        assert!(text.contains(piece), "{piece}");
        text = text.replacen(piece, instead, 1);
    }
    let problems = Problems::new();
    let connector = Connector::parse(name, "changed.toml", &text, &Context::new(&problems));
    let connector = Arc::new(connector.unwrap_or_else(|| panic!("{problems}")));
    one(&connector, read.to_owned(), case).await.outcome
}

#[tokio::test]
async fn what_does_not_go_together_is_found_out() {
    // Without a total, and without saying how many are wanted, the last page looks like any other.
    let total = "paginate.offset = { ceiling = 10000, total = \"total_count\" }";
    let sizes = "page_sizes = [1000, 500, 100]";
    let changes = [(total, "paginate.offset = {}"), (sizes, "")];
    let endless = outcome("voximplant", &changes, "pages", Case::EveryPage).await;
    let failed = Outcome::Failed("19 of 32 records do not arrive, the first one of 2025-06-13 06:10:39 UTC".to_owned());
    assert_eq!(endless, failed);

    // Every page is taken for an error.
    let (error, result) = ("{ path = \"error\", exists = true }", "{ path = \"result\", exists = true }");
    let refused = outcome("voximplant", &[(error, result)], "pages", Case::EveryPage).await;
    assert!(
        matches!(&refused, Outcome::Failed(reason) if reason.starts_with("Voximplant answered HTTP 200")),
        "{refused:?}"
    );

    // A rule before the one for cursors takes its answer.
    let rule = "[[errors.rule]]\nstatus = [400, 422]\n";
    let before = format!("[[errors.rule]]\nstatus = [400]\nthen = \"configuration\"\n\n{rule}");
    let stopped = outcome("nirvana", &[(rule, &before)], "pages", Case::ExpiredCursors).await;
    assert_eq!(stopped, Outcome::Failed("Nirvana Labs answered HTTP 400: the cursor has expired".to_owned()));
}

#[tokio::test]
async fn what_does_not_concern_a_connector_is_named() {
    let rule = "then = \"reset_cursor\"";
    let without = outcome("ashby", &[(rule, "then = \"retry\"")], "pages", Case::ExpiredCursors).await;
    let reason = "no rule says `reset_cursor`, so that an expired one stops the pipeline until it is restarted";
    assert_eq!(without, Outcome::Skipped(reason.to_owned()));
    let overlap = outcome("nirvana", &[("overlap = \"30m\"", "overlap = \"0s\"")], "pages", Case::Late).await;
    assert_eq!(overlap, Outcome::Skipped("it has no overlap".to_owned()));
    let pages = outcome("telnyx", &[], "pages", Case::RepeatedCursor).await;
    assert_eq!(pages, Outcome::Skipped("it has no cursors".to_owned()));
}
