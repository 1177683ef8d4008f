//! The conformance suite over one connector, one line a case.

use tracing::instrument::WithSubscriber;
use tracing::subscriber::NoSubscriber;

use super::subject::Subject;
use super::{Tally, say};
use crate::simulator::conformance::{self, Outcome};

/// Puts a connector through the suite, and says what came of each case.
pub async fn run(subject: &Subject, tally: &mut Tally) {
    let name = &subject.connector.name;
    // What the source would tell of all that goes wrong is what was set up.
    let lines = conformance::run(&subject.connector).with_subscriber(NoSubscriber::default()).await;
    for line in lines {
        let what = format!("{name}: {}: {}", line.read, line.case);
        match line.outcome {
            Outcome::Passed => {
                tally.passed += 1;
                say(&format!("{what} ... ok"));
            }
            Outcome::Failed(reason) => {
                tally.failed += 1;
                say(&format!("{what} ... FAILED\n    {reason}"));
            }
            Outcome::Skipped(reason) => {
                tally.skipped += 1;
                say(&format!("{what} ... skipped: {reason}"));
            }
            Outcome::NotCovered(kind) => {
                tally.not_covered += 1;
                say(&format!("{name}: {}: not covered yet: {kind}", line.read));
            }
        }
    }
}
