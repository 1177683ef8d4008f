//! How far a run is, on stderr: a line that renews itself on a terminal, a plain line now and then elsewhere.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio_util::sync::CancellationToken;

use super::table::thousands;
use crate::engine::Handle;

/// How often a terminal's line is renewed.
const TICK: Duration = Duration::from_millis(200);
/// How often a plain line is printed.
const PLAIN: Duration = Duration::from_secs(5);

/// Shows progress until `end` is cancelled.
pub async fn show(handles: Vec<Handle>, end: CancellationToken) {
    let terminal = std::io::stderr().is_terminal();
    let bar = if terminal { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
        bar.set_style(style);
    }
    loop {
        tokio::select! {
            () = end.cancelled() => break,
            () = tokio::time::sleep(if terminal { TICK } else { PLAIN }) => {}
        }
        let line = line(&handles);
        if terminal {
            bar.set_message(line);
            bar.tick();
        } else {
            eprintln!("{line}");
        }
    }
    bar.finish_and_clear();
}

fn line(handles: &[Handle]) -> String {
    let counters = || handles.iter().map(|handle| &handle.counters);
    let read: u64 = counters().map(|pipeline| pipeline.read.get()).sum();
    let delivered: u64 = counters().flat_map(|pipeline| &pipeline.lanes).map(|lane| lane.delivered.get()).sum();
    let behind = counters().filter_map(|pipeline| pipeline.watermark()).min();
    let behind =
        behind.map(|time| format!(", complete up to {}", time.format("%Y-%m-%d %H:%M:%S UTC"))).unwrap_or_default();
    let sum = |(read, total): (u64, u64), (more, of): (u64, u64)| (read + more, total + of);
    let files = counters().filter_map(|pipeline| pipeline.bytes()).reduce(sum);
    let files = files.map(|(read, total)| format!(", {}% of the files", read * 100 / total.max(1))).unwrap_or_default();
    format!("{} records read, {} delivered{files}{behind}", thousands(read), thousands(delivered))
}
