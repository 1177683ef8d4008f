//! Does everything answer that a plan needs? Asks, and changes nothing.

use std::sync::Arc;

use super::outcome::Failure;
use super::run::source;
use crate::config::{LanePlan, Plan};
use crate::source::budget::Budgets;
use crate::source::file::FileSource;

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
        check_lanes(&pipeline.lanes, &mut checked, &mut failed).await;
    }
    for pipeline in &plan.files {
        if let Err(error) = FileSource::new(pipeline.source.clone()).check().await {
            failed.push(Failure::of_source(&pipeline.name, &error));
        }
        check_lanes(&pipeline.lanes, &mut checked, &mut failed).await;
    }
    failed
}

/// Asks every sink that was not asked yet.
async fn check_lanes(lanes: &[LanePlan], checked: &mut Vec<Arc<str>>, failed: &mut Vec<Failure>) {
    for lane in lanes {
        if checked.contains(&lane.name) {
            continue;
        }
        checked.push(Arc::clone(&lane.name));
        if let Err(error) = lane.sink.check().await {
            failed.push(Failure::of_sink(&format!("sink {}", lane.name), &error));
        }
    }
}
