//! Where a pipeline stands: up to when it is complete, and what it waits for.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::config::PipelinePlan;
use crate::engine::Handle;
use crate::journal::{Journal, JournalError, Lane, Walk};
use crate::source::Cursor;

/// What the configuration says of a pipeline, as far as people ask for it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct About {
    /// The pipeline's name.
    pub name: String,
    /// The log's full name.
    pub title: String,
    /// The vendor's name.
    pub vendor: String,
    /// Nothing closer to now is read. In seconds.
    pub lag: i64,
    /// So much is read again. In seconds.
    pub overlap: i64,
    /// How long the live walk waits when everything was read. In seconds.
    pub poll: f64,
    /// How much time lies between two sweeps, and how far each reaches back. In seconds.
    pub sweep: (i64, i64),
    /// The sinks it goes to.
    pub sinks: Vec<String>,
}

impl About {
    /// What a plan says of a pipeline.
    #[must_use]
    pub fn of(plan: &PipelinePlan) -> Self {
        let connector = &plan.source.connector.definition.connector;
        Self {
            name: plan.name.to_string(),
            title: connector.title.clone(),
            vendor: connector.vendor.clone(),
            lag: plan.source.rules.lag.num_seconds(),
            overlap: plan.source.rules.overlap.num_seconds(),
            poll: plan.poll.as_secs_f64(),
            sweep: (plan.sweep.every.num_seconds(), plan.sweep.back.num_seconds()),
            sinks: plan.lanes.iter().map(|lane| lane.name.to_string()).collect(),
        }
    }
}

/// Where a pipeline stands.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PipelineStatus {
    /// What the configuration says of it.
    pub about: About,
    /// When this was asked.
    pub now: DateTime<Utc>,
    /// Whether a process reads it now.
    pub running: bool,
    /// Its walks, by name.
    pub walks: Vec<WalkStatus>,
    /// Its sinks.
    pub lanes: Vec<LaneStatus>,
    /// Records it ever appended to the journal.
    pub records: u64,
    /// Dead letters that are kept.
    pub dead_letters: u64,
    /// What the operator does not want of it, by reason.
    #[serde(default)]
    pub dropped: BTreeMap<String, u64>,
    /// Late records since the process started: what they were less behind than in seconds, and how many.
    pub late: Vec<(Option<i64>, u64)>,
    /// Those of them that only the sweep found.
    pub swept: u64,
    /// Why reading does not get on.
    pub trouble: Option<String>,
    /// What the upstream may be asked, in words.
    pub budget: Option<String>,
    /// When the credential ends, as far as the vendor or the operator told.
    pub credential_expires: Option<DateTime<Utc>>,
    /// Bytes the journal holds, and bytes at which reading stops.
    pub journal: (u64, u64),
}

/// Where a walk is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WalkStatus {
    /// `live`, `sweep`, or a backfill with its span.
    pub name: String,
    /// Where it is.
    pub cursor: Cursor,
}

/// Where a sink stands.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LaneStatus {
    /// The sink's name.
    pub sink: String,
    /// Records that wait for it.
    pub waiting: u64,
    /// When the first of them was appended.
    pub since: Option<DateTime<Utc>>,
    /// The time of the oldest of them.
    pub oldest: Option<DateTime<Utc>>,
    /// Why it takes nothing.
    pub trouble: Option<String>,
}

impl PipelineStatus {
    /// The live walk's cursor; `None` before the first page.
    #[must_use]
    pub fn live(&self) -> Option<&Cursor> {
        self.walk(&Walk::live())
    }

    /// The cursor of a walk.
    #[must_use]
    pub fn walk(&self, walk: &Walk) -> Option<&Cursor> {
        self.walks.iter().find(|known| known.name == walk.as_str()).map(|walk| &walk.cursor)
    }

    /// *Complete up to*: what the vendor had published of the time before is in the journal, or beyond it.
    #[must_use]
    pub fn watermark(&self) -> Option<DateTime<Utc>> {
        self.live().map(|cursor| cursor.complete_up_to)
    }

    /// *Complete up to*, at the sink.
    #[must_use]
    pub fn delivered(&self, lane: &LaneStatus) -> Option<DateTime<Utc>> {
        let watermark = self.watermark()?;
        Some(lane.oldest.map_or(watermark, |oldest| oldest.min(watermark)))
    }
}

/// A time span of the status in words that fit a configuration: `5m`, `1h30m`.
#[must_use]
pub fn in_words(seconds: i64) -> String {
    let span = TimeDelta::seconds(seconds.max(0)).to_std().unwrap_or(Duration::ZERO);
    auditline_sinks::units::HumanDuration(span).to_string()
}

/// Asks the journal, and the run that has it where there is one, how a pipeline stands.
///
/// # Errors
/// When the journal cannot be read, or holds a cursor of another version.
pub async fn standing(
    about: &About,
    journal: &dyn Journal,
    handle: Option<&Handle>,
    now: DateTime<Utc>,
) -> Result<PipelineStatus, JournalError> {
    let name: Arc<str> = about.name.as_str().into();
    let mut walks = Vec::new();
    for (walk, cursor) in journal.walks(&name).await? {
        let cursor = serde_json::from_slice(&cursor).map_err(|error| JournalError::Storage(Box::new(error)))?;
        walks.push(WalkStatus { name: walk.to_string(), cursor });
    }
    let mut lanes = Vec::new();
    for sink in &about.sinks {
        lanes.push(lane(&name, sink, journal, handle).await?);
    }
    let totals = journal.totals(&name).await?;
    let fill = journal.fill().await?;
    let counters = handle.map(|handle| &handle.counters);
    let late = counters.map(|counters| counters.lateness());
    Ok(PipelineStatus {
        about: about.clone(),
        now,
        running: handle.is_some(),
        walks,
        lanes,
        records: totals.records,
        dead_letters: totals.dead_letters,
        dropped: totals.dropped.iter().map(|(reason, count)| (reason.to_string(), *count)).collect(),
        late: late
            .iter()
            .flat_map(|late| late.counts())
            .map(|(bound, count)| (bound.map(|b| b.num_seconds()), count))
            .collect(),
        swept: counters.map_or(0, |counters| counters.swept.get()),
        trouble: counters.and_then(|counters| counters.trouble()),
        budget: handle.and_then(|handle| Some(handle.source.as_ref()?.budget().to_string())),
        credential_expires: handle.and_then(|handle| handle.source.as_ref()?.credential_expires()),
        journal: (fill.bytes, fill.limit),
    })
}

async fn lane(
    pipeline: &Arc<str>,
    sink: &str,
    journal: &dyn Journal,
    handle: Option<&Handle>,
) -> Result<LaneStatus, JournalError> {
    let lane = Lane { pipeline: pipeline.clone(), sink: sink.into() };
    let all = auditline_sinks::BatchLimits { max_records: usize::MAX, max_bytes: u64::MAX, max_wait: Duration::ZERO };
    let (waiting, oldest) = match journal.waiting(&lane, &all).await {
        // A sink that was never run has had nothing, and nothing waits for it yet.
        Err(JournalError::Refused { .. }) => Default::default(),
        waiting => (waiting?, journal.oldest_waiting(&lane).await?),
    };
    let counters = handle.and_then(|handle| handle.counters.lanes.iter().find(|known| &*known.sink == sink));
    Ok(LaneStatus {
        sink: sink.to_owned(),
        waiting: waiting.records,
        since: waiting.since,
        oldest,
        trouble: counters.and_then(|counters| counters.trouble()),
    })
}
