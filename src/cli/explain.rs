//! `auditline explain`: up to when everything is there, and why there is no more.

use std::fmt::Write as _;

use chrono::{DateTime, TimeDelta, Utc};
use clap::Args;

use super::asked;
use super::input::Input;
use super::moment::{Moment, shown};
use super::table::{by_reason, dead, thousands};
use super::{DONE, FAILED, WRONG};
use crate::journal::Walk;
use crate::server::{LaneStatus, PipelineStatus, in_words};
use crate::source::Cursor;

/// Say up to when a pipeline's log is complete, at each sink, and what it waits for.
#[derive(Debug, Args)]
pub struct Explain {
    /// The pipeline; all of them without.
    pipeline: Option<String>,
    /// Is everything there that happened before this (UTC)? Exit code 0 says yes, 1 no.
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true)]
    up_to: Option<Moment>,
    #[command(flatten)]
    input: Input,
}

impl Explain {
    pub async fn main(self) -> u8 {
        let Some(plan) = self.input.plan() else { return WRONG };
        if let Some(name) = &self.pipeline
            && asked::find(&plan, name).is_none()
        {
            return WRONG;
        }
        let standings = match asked::standings(&plan, self.pipeline.as_deref()).await {
            Ok(standings) => standings,
            Err(reason) => {
                eprintln!("error: {reason}");
                return FAILED;
            }
        };
        if standings.is_empty() {
            println!("nothing was read yet");
            return if self.up_to.is_some() { FAILED } else { DONE };
        }
        let Some(Moment(up_to)) = self.up_to else {
            let texts: Vec<String> = standings.iter().map(explanation).collect();
            print!("{}", texts.join("\n"));
            return DONE;
        };
        let answers: Vec<(bool, String)> = standings.iter().map(|status| answer(status, up_to)).collect();
        answers.iter().for_each(|(_, text)| print!("{text}"));
        let complete = answers.iter().all(|(complete, _)| *complete);
        let dead_letters = standings.iter().map(|status| status.dead_letters).sum();
        println!("{} before {}", verdict(complete, dead_letters), shown(up_to));
        if complete { DONE } else { FAILED }
    }
}

fn verdict(complete: bool, dead_letters: u64) -> String {
    if !complete {
        return "no: not everything is there that happened".to_owned();
    }
    let but = if dead_letters > 0 { format!(", but for {}", dead(dead_letters)) } else { String::new() };
    format!("yes{but}: everything is there that the vendors had published of the time")
}

/// Whether everything before `up_to` is at every sink, and a line that says it.
fn answer(status: &PipelineStatus, up_to: DateTime<Utc>) -> (bool, String) {
    let name = &status.about.name;
    let Some(live) = status.live() else { return (false, format!("{name}: nothing was read yet\n")) };
    let mut text = format!("{name}: read up to {}", shown(live.complete_up_to));
    let mut complete = live.complete_up_to >= up_to;
    for lane in &status.lanes {
        let delivered = status.delivered(lane);
        complete &= delivered.is_some_and(|delivered| delivered >= up_to);
        let shown_time = delivered.map_or("never".to_owned(), shown);
        let _ = match delivered {
            Some(delivered) if delivered == live.complete_up_to => write!(text, ", all of it in {}", lane.sink),
            _ => write!(text, ", in {} up to {shown_time}", lane.sink),
        };
    }
    if let Some(begin) = live.begin {
        let _ = write!(text, "; begun at {}", shown(begin));
    }
    if status.dead_letters > 0 {
        let are = if status.dead_letters == 1 { "is" } else { "are" };
        let _ = write!(text, "; {} {are} not among it", dead(status.dead_letters));
    }
    if let Some(trouble) = &status.trouble {
        let _ = write!(text, "; {trouble}");
    }
    text.push('\n');
    (complete, text)
}

fn explanation(status: &PipelineStatus) -> String {
    let about = &status.about;
    let mut text = format!("{} ({})\n", about.name, about.title);
    let mut line = |label: &str, value: String| {
        let _ = writeln!(text, "  {label:<15} {value}");
    };
    match status.live() {
        None => line("complete up to", "never: nothing was read yet".to_owned()),
        Some(live) => {
            line(
                "complete up to",
                format!("{} ({} ago)", shown(live.complete_up_to), ago(status, live.complete_up_to)),
            );
            line("reading", reading(status, live));
            line("cursor", cursor(live));
        }
    }
    line("sweep", sweep(status));
    for walk in status.walks.iter().filter(|walk| Walk::named(&walk.name).span().is_some()) {
        line("backfill", backfill(&walk.cursor));
    }
    if status.late.iter().any(|(_, count)| *count > 0) {
        line("late records", late(status));
    }
    if let Some(budget) = &status.budget {
        line("budget", budget.clone());
    }
    if let Some(end) = status.credential_expires {
        let left = match (end - status.now).num_seconds() {
            past if past <= 0 => "over".to_owned(),
            left => format!("in {}", in_words(left - left % 60)),
        };
        line("credential", format!("ends at {} ({left})", shown(end)));
    }
    let (bytes, limit) = status.journal;
    let full = if bytes >= limit { ": full, so reading waits for the sinks" } else { "" };
    line("journal", format!("{} of {}{full}", mebibytes(bytes), mebibytes(limit)));
    if !status.dropped.is_empty() {
        line("dropped", dropped(status));
    }
    for lane in &status.lanes {
        line(&format!("to {}", lane.sink), delivering(status, lane));
    }
    if status.dead_letters > 0 {
        line("dead letters", thousands(status.dead_letters));
    }
    text
}

fn reading(status: &PipelineStatus, live: &Cursor) -> String {
    let about = &status.about;
    if !status.running {
        return "no process runs this pipeline".to_owned();
    }
    if let Some(trouble) = &status.trouble {
        return format!("does not get on: {trouble}");
    }
    if let Some(window) = &live.window {
        return format!("in the window from {} to {}, by `{}`", shown(window.from), shown(window.until), window.read);
    }
    let behind = (status.now - live.complete_up_to).num_seconds() - about.lag;
    if behind as f64 > about.poll + 60.0 {
        return format!("catching up: {} behind", in_words(behind));
    }
    let poll = in_words(about.poll.ceil() as i64);
    format!("caught up: looks again within {poll}; nothing closer to now than {} is read (lag)", in_words(about.lag))
}

fn cursor(live: &Cursor) -> String {
    let again = live.settled.min(live.complete_up_to);
    let mut text = format!("goes on at {}", shown(live.complete_up_to));
    if again < live.complete_up_to {
        let _ = write!(text, "; what lies after {} is read again, for late records (overlap)", shown(again));
    }
    if let Some(begin) = live.begin {
        let _ = write!(text, "; begun at {}", shown(begin));
    }
    text
}

fn sweep(status: &PipelineStatus) -> String {
    let (every, back) = status.about.sweep;
    if back == 0 {
        return "none: what comes later than the overlap is missed".to_owned();
    }
    let found = if status.swept > 0 { format!("; {} records found", thousands(status.swept)) } else { String::new() };
    match status.walk(&Walk::sweep()) {
        None => format!("every {}, {} back, once everything was read", in_words(every), in_words(back)),
        Some(sweep) if !sweep.has_ended() => format!("under way at {}{found}", shown(sweep.complete_up_to)),
        Some(sweep) => {
            let next = sweep.complete_up_to + TimeDelta::seconds(every + status.about.lag + status.about.overlap);
            format!(
                "done up to {}, {} back; the next after {}{found}",
                shown(sweep.complete_up_to),
                in_words(back),
                shown(next)
            )
        }
    }
}

fn backfill(cursor: &Cursor) -> String {
    let (begin, end) = (cursor.begin.unwrap_or(cursor.complete_up_to), cursor.end.unwrap_or(cursor.complete_up_to));
    let span = format!("{} to {}", shown(begin), shown(end));
    if cursor.has_ended() {
        format!("{span}: complete")
    } else {
        format!("{span}: read up to {}", shown(cursor.complete_up_to))
    }
}

fn late(status: &PipelineStatus) -> String {
    let total: u64 = status.late.iter().map(|(_, count)| count).sum();
    let parts: Vec<String> = status
        .late
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(bound, count)| match bound {
            Some(bound) => format!("{} by less than {}", thousands(*count), in_words(*bound)),
            None => format!("{} by more", thousands(*count)),
        })
        .collect();
    format!("{} since the start: {}", thousands(total), parts.join(", "))
}

fn dropped(status: &PipelineStatus) -> String {
    format!("{}: {}", thousands(status.dropped.values().sum()), by_reason(&status.dropped))
}

fn delivering(status: &PipelineStatus, lane: &LaneStatus) -> String {
    let trouble = lane.trouble.as_ref().map(|trouble| format!(": {trouble}")).unwrap_or_default();
    if lane.waiting == 0 {
        return "everything is delivered".to_owned();
    }
    let since = lane.since.map(|since| format!(" since {}", shown(since))).unwrap_or_default();
    let complete = status.delivered(lane).map_or("never".to_owned(), shown);
    format!("complete up to {complete}; {} records wait{since}{trouble}", thousands(lane.waiting))
}

fn ago(status: &PipelineStatus, time: DateTime<Utc>) -> String {
    in_words((status.now - time).num_seconds())
}

fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", thousands(bytes.div_ceil(1 << 20)))
}
