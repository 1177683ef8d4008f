//! `auditline preview`: one page of a vendor's log as it would be delivered. Nothing is stored.

use std::io::Write;

use clap::Args;

use super::asked;
use super::input::Input;
use super::moment::{Moment, shown};
use super::run::tell;
use super::{DONE, FAILED, WRONG};
use crate::config::PipelinePlan;
use crate::engine::{Failure, Refined, preview};
use crate::source::Cursor;

/// Show one page of a pipeline's log on stdout, as it would be delivered. Stores nothing, delivers nothing.
#[derive(Debug, Args)]
pub struct Preview {
    /// The pipeline.
    pipeline: String,
    /// The page at this time (UTC).
    #[arg(long, value_name = "WHEN", default_value = "-1d", allow_hyphen_values = true)]
    since: Moment,
    /// Events to show at the most.
    #[arg(long, default_value_t = 10)]
    limit: usize,
    #[command(flatten)]
    input: Input,
}

impl Preview {
    pub async fn main(self) -> u8 {
        let Some(plan) = self.input.plan() else { return WRONG };
        let Some(position) = asked::find(&plan, &self.pipeline)
            .and_then(|found| plan.pipelines.iter().position(|pipeline| pipeline.name == found.name))
        else {
            return WRONG;
        };
        let mut plan = plan;
        let pipeline = plan.pipelines.swap_remove(position);
        let cursor = Cursor::at(self.since.0);
        match preview(&pipeline, &cursor).await {
            Ok(items) => self.print(&pipeline, items),
            Err(error) => {
                tell(&[Failure::of_source(&pipeline.name, &error)]);
                FAILED
            }
        }
    }

    fn print(&self, pipeline: &PipelinePlan, items: Vec<Refined>) -> u8 {
        let read = items.len();
        let events = items.iter().filter(|item| matches!(item, Refined::Record(_))).count();
        let mut shown_events = 0;
        let mut out = std::io::stdout().lock();
        for refined in items {
            // What is dropped before the last event that is shown is told, and no event is kept from view by it.
            let is_event = matches!(refined, Refined::Record(_));
            if is_event && shown_events == self.limit {
                break;
            }
            shown_events += usize::from(is_event);
            let written = match refined {
                Refined::Record(new) => {
                    if let Some(to) = &new.to {
                        eprintln!("to {}:", to.join(", "));
                    }
                    out.write_all(&new.record.json).and_then(|()| out.write_all(b"\n"))
                }
                Refined::Dead(letter) => {
                    eprintln!("a dead letter: {}: {}", letter.reason, String::from_utf8_lossy(&letter.body));
                    Ok(())
                }
                Refined::Dropped(dropped) => {
                    eprintln!("dropped: {}", dropped.reason);
                    Ok(())
                }
            };
            // Who reads stdout has seen enough.
            if written.is_err() {
                return DONE;
            }
        }
        match read {
            0 => eprintln!(
                "{} has nothing from {} on, as far as one request tells",
                pipeline.source.connector.definition.connector.vendor,
                shown(self.since.0)
            ),
            _ if events > self.limit => eprintln!("{} of the page's {events} events; --limit shows more", self.limit),
            _ => {}
        }
        DONE
    }
}
