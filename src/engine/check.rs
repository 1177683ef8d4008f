//! Does everything answer that a plan needs? Asks, and changes nothing.

use std::collections::BTreeSet;

use futures::future::join_all;
use futures::join;

use super::outcome::Failure;
use super::run::source;
use crate::config::{LanePlan, PipelinePlan, Plan};
use crate::source::budget::Budgets;
use crate::source::file::{FileSettings, FileSource};

/// Asks every vendor for a moment of its log and every sink for a sign of life; says what does not work, in the order of
/// the configuration. All are asked at the same time: one that is silent holds up nobody.
pub async fn check_online(plan: &Plan) -> Vec<Failure> {
    let budgets = Budgets::default();
    let vendors = plan.pipelines.iter().map(|pipeline| check_vendor(pipeline, &budgets));
    let files = plan.files.iter().map(check_files);
    let mut known = BTreeSet::new();
    let lanes = plan.pipelines.iter().flat_map(|pipeline| &pipeline.lanes);
    let lanes = lanes.chain(plan.files.iter().flat_map(|pipeline| &pipeline.lanes));
    let sinks = lanes.filter(|lane| known.insert(&lane.name)).map(check_sink);
    let (vendors, files, sinks) = join!(join_all(vendors), join_all(files), join_all(sinks));
    vendors.into_iter().chain(files).chain(sinks).flatten().collect()
}

async fn check_vendor(pipeline: &PipelinePlan, budgets: &Budgets) -> Option<Failure> {
    let answered = match source(pipeline, budgets, "check") {
        Ok(source) => source.check().await,
        Err(error) => Err(error),
    };
    answered.err().map(|error| Failure::of_source(&pipeline.name, &error))
}

async fn check_files(pipeline: &PipelinePlan<FileSettings>) -> Option<Failure> {
    let answered = FileSource::new(pipeline.source.clone()).check().await;
    answered.err().map(|error| Failure::of_source(&pipeline.name, &error))
}

async fn check_sink(lane: &LanePlan) -> Option<Failure> {
    let answered = lane.sink.check().await;
    answered.err().map(|error| Failure::of_sink(&format!("sink {}", lane.name), &error))
}
