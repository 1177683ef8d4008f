//! `auditline plan`: what a pipeline will ask of its vendor, before anything is asked.

use clap::Args;

use super::asked;
use super::input::Input;
use super::moment::{Moment, shown};
use super::table::thousands;
use super::{DONE, FAILED, WRONG};
use crate::config::{PipelinePlan, Plan as Configured};
use crate::server::in_words;
use crate::source::Cursor;
use crate::source::forecast::{Forecast, forecast, least_time};

/// Windows that are listed one by one at the beginning and at the end.
const LISTED: usize = 5;

/// Say what a pipeline will ask of its vendor: windows, requests, and the share of the quota. Asks the vendor nothing.
#[derive(Debug, Args)]
pub struct Plan {
    /// The pipeline.
    pipeline: String,
    /// Plan a backfill from here on (UTC), instead of what the pipeline reads next.
    #[arg(long, value_name = "WHEN", requires = "until", allow_hyphen_values = true)]
    since: Option<Moment>,
    /// Plan a backfill up to here (UTC).
    #[arg(long, value_name = "WHEN", requires = "since", allow_hyphen_values = true)]
    until: Option<Moment>,
    #[command(flatten)]
    input: Input,
}

impl Plan {
    pub async fn main(self) -> u8 {
        let Some(plan) = self.input.plan() else { return WRONG };
        let Some(pipeline) = asked::find(&plan, &self.pipeline) else { return WRONG };
        match self.text(&plan, pipeline).await {
            Ok(text) => {
                print!("{text}");
                DONE
            }
            Err(reason) => {
                eprintln!("error: {reason}");
                FAILED
            }
        }
    }

    async fn text(&self, plan: &Configured, pipeline: &PipelinePlan) -> Result<String, String> {
        let settings = &pipeline.source;
        let (live, per_day) = asked::live(plan, pipeline).await?;
        let cursor = match (self.since, self.until) {
            (Some(since), Some(until)) => Cursor::between(since.0, until.0),
            _ => live.unwrap_or_else(|| Cursor::at(settings.start)),
        };
        let forecast = forecast(settings, &cursor, settings.clock.now(), per_day);
        Ok(text(pipeline, &forecast, per_day))
    }
}

fn text(pipeline: &PipelinePlan, forecast: &Forecast, per_day: Option<f64>) -> String {
    let settings = &pipeline.source;
    let title = &settings.connector.definition.connector.title;
    let mut out = format!("{}: {title}\n", pipeline.name);
    let (Some(first), Some(last)) = (forecast.windows.first(), forecast.windows.last()) else {
        return out + "everything was read up to now minus the lag: nothing to ask for yet\n";
    };
    let count = forecast.windows.len();
    let windows = if count == 1 { "1 window".to_owned() } else { format!("{} windows", thousands(count as u64)) };
    out += &format!("from {} to {}: {windows}\n\n", shown(first.from), shown(last.until));
    for (index, window) in forecast.windows.iter().enumerate() {
        if index == LISTED && count > 2 * LISTED + 1 {
            out += &format!("  … {} more\n", thousands((count - 2 * LISTED) as u64));
        }
        if count > 2 * LISTED + 1 && (LISTED..count - LISTED).contains(&index) {
            continue;
        }
        let calls = if window.calls == 1 { "1 call".to_owned() } else { format!("{} calls", thousands(window.calls)) };
        out += &format!("  {} to {}  {calls} by `{}`\n", shown(window.from), shown(window.until), window.read);
    }
    let expected = match per_day {
        Some(per_day) => format!("at {} records a day, as read so far", thousands(per_day.round() as u64)),
        None => "if each window fits one page: how much there is shows with the first reads".to_owned(),
    };
    let calls = if forecast.calls == 1 { "1 call".to_owned() } else { format!("{} calls", thousands(forecast.calls)) };
    out += &format!("\n{calls}, {expected}\n");
    let rate = settings.rate;
    let period = in_words(i64::try_from(rate.per.as_secs()).unwrap_or(i64::MAX));
    let ours = (f64::from(rate.requests) * (1.0 - settings.reserve)).max(1.0);
    let share = forecast.calls as f64 / ours * 100.0;
    let least = least_time(settings, forecast.calls);
    out += &format!(
        "the quota is {} requests in {period}, {:.0} of them ours: {share:.0}% of one such period, so {} at least\n",
        thousands(u64::from(rate.requests)),
        ours,
        in_words(i64::try_from(least.as_secs_f64().ceil() as u64).unwrap_or(i64::MAX)),
    );
    out
}
