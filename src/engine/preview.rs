//! One page as it would be delivered, and nothing kept of it.

use super::refine::{Refined, refine};
use super::run::source;
use crate::config::PipelinePlan;
use crate::source::budget::Budgets;
use crate::source::{Cursor, Priority, Progress, SourceError};

/// Reads on from a cursor until a page has records, or there is nothing more to read.
///
/// # Errors
/// When the vendor cannot be read.
pub async fn preview(pipeline: &PipelinePlan, cursor: &Cursor) -> Result<Vec<Refined>, SourceError> {
    let source = source(pipeline, &Budgets::default(), "preview")?;
    let mut cursor = cursor.clone();
    loop {
        let refined = |raw: crate::source::Raw<'_>, arena: &_| refine(raw, &pipeline.transforms, arena).0;
        let page = source.read(&cursor, Priority::Live, &refined).await?;
        match page.progress {
            _ if !page.items.is_empty() => return Ok(page.items),
            Progress::CaughtUp => return Ok(Vec::new()),
            Progress::Wait(wait) => tokio::time::sleep(wait).await,
            Progress::More => {}
        }
        cursor = page.next;
    }
}
