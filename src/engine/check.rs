//! Does everything answer that a plan needs? Asks, and changes nothing.

use std::sync::Arc;

use super::outcome::Failure;
use super::run::source;
use crate::config::Plan;
use crate::source::budget::Budgets;

/// Asks every vendor for a moment of its log and every sink for a sign of life; says what does not work.
pub async fn check_online(plan: &Plan) -> Vec<Failure> {
    let budgets = Budgets::default();
    let mut failed = Vec::new();
    let mut checked = Vec::new();
    for pipeline in &plan.pipelines {
        let answered = match source(pipeline, &budgets, "check") {
            Ok(source) => source.check().await,
            Err(error) => Err(error),
        };
        if let Err(error) = answered {
            failed.push(Failure::of_source(&pipeline.name, &error));
        }
        for lane in &pipeline.lanes {
            if checked.contains(&lane.name) {
                continue;
            }
            checked.push(Arc::clone(&lane.name));
            if let Err(error) = lane.sink.check().await {
                failed.push(Failure::of_sink(&format!("sink {}", lane.name), &error));
            }
        }
    }
    failed
}
