//! What the demo runs: the simulated vendors, and the real pipelines pointed at them.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use url::Url;

use crate::config::{Files, PipelineFile, Plan, resolve};
use crate::connector::model::Rate;
use crate::document::{Context, Document, Problems};
use crate::simulator::{Late, RetryAfter, Simulator, Throttle, Vendor, World, credentials};

/// The pipelines that an operator copies and edits, as they are in the repository.
const PIPELINES: &[(&str, &str)] = &[
    ("ashby", include_str!("../../../pipelines/ashby.toml")),
    ("cloudflare", include_str!("../../../pipelines/cloudflare.toml")),
    ("nirvana", include_str!("../../../pipelines/nirvana.toml")),
    ("telnyx", include_str!("../../../pipelines/telnyx.toml")),
    ("voximplant", include_str!("../../../pipelines/voximplant.toml")),
];

/// The sink that the pipelines name, as a file for each vendor.
const MAIN: &str = "[sinks.siem.file]\npath = \"{vendor}.ndjson\"\n";
/// Says that a folder is a demo's, so that it may be made anew.
const MARK: &str = ".auditline-demo";
/// What of the newest records may be late; the pipelines' overlap is made to reach as far.
const LATE_WITHIN: Duration = Duration::from_secs(4 * 3600);
/// How far back the simulated logs go.
const SPAN: TimeDelta = TimeDelta::days(7);

/// Makes the demo's folder, emptied of an earlier demo's files.
pub fn make_folder(out: &Path) -> Result<(), String> {
    let fail = |error: std::io::Error| format!("cannot make the folder `{}`: {error}", out.display());
    if out.exists() {
        let is_empty = fs::read_dir(out).map_err(fail)?.next().is_none();
        if !is_empty && !out.join(MARK).exists() {
            return Err(format!("`{}` is not a demo's folder: name another one with --out", out.display()));
        }
        fs::remove_dir_all(out).map_err(fail)?;
    }
    fs::create_dir_all(out).map_err(fail)?;
    fs::write(out.join(MARK), "").map_err(fail)
}

/// The vendors: a week of records, some of the last hours' late by seconds, a 429 now and then.
pub async fn simulator(records: u64, live: bool) -> Result<Simulator, String> {
    let world = World {
        records,
        until: Some(Utc::now()),
        span: SPAN.to_std().unwrap_or_default(),
        live_per_second: if live { 1.0 } else { 0.0 },
        late: Late {
            fraction: 0.3,
            delay_min: Duration::from_secs(3),
            delay_max: Duration::from_secs(8),
            within: LATE_WITHIN,
            ..Late::default()
        },
        throttle: Throttle { every: 9, retry_after: RetryAfter::Seconds(1), ..Throttle::default() },
        ..World::default()
    };
    Simulator::start(world).await.map_err(|error| format!("the simulator cannot start: {error}"))
}

/// The real pipelines, with the credentials and the addresses of the simulated vendors, and the main file's text.
pub fn plan(out: &Path, simulator: &Simulator) -> Result<(Plan, String), String> {
    let problems = Problems::new();
    let context = Context::new(&problems).with_environment(&environment);
    let plan = files(out, &problems).and_then(|files| resolve(&files, &context));
    let mut plan = plan.ok_or_else(|| problems.to_string())?;
    for pipeline in &mut plan.pipelines {
        let vendor = Vendor::ALL.into_iter().find(|vendor| vendor.name() == &*pipeline.name);
        let vendor = vendor.ok_or_else(|| format!("nobody simulates `{}`", pipeline.name))?;
        let source = &mut pipeline.source;
        source.base_url = Url::parse(&simulator.base_url(vendor)).map_err(|error| error.to_string())?;
        source.start = Utc::now() - SPAN - TimeDelta::minutes(1);
        // The simulated vendors publish at once but for the records that are meant to be late, and take more requests.
        source.rules.lag = TimeDelta::zero();
        source.rules.overlap = TimeDelta::from_std(LATE_WITHIN).unwrap_or_default() + TimeDelta::minutes(10);
        source.rate = Rate { requests: 20, per: Duration::from_secs(1) };
        if vendor == Vendor::Voximplant {
            // One report for the whole backlog: a vendor takes its time to write one.
            source.rules.size = SPAN + TimeDelta::days(1);
        }
        pipeline.poll = Duration::from_secs(1);
        for lane in &mut pipeline.lanes {
            lane.limits.max_wait = Duration::from_millis(300);
        }
    }
    Ok((plan, MAIN.to_owned()))
}

fn files(out: &Path, problems: &Problems) -> Option<Files> {
    let main = Document::parse(&out.join("auditline.toml").display().to_string(), MAIN, problems)?;
    let read = |(name, text): &(&str, &str)| {
        let document = Document::parse(&format!("pipelines/{name}.toml"), text, problems)?;
        Some(PipelineFile { name: (*name).to_owned(), document })
    };
    Some(Files { main, catalogue: Arc::default(), pipelines: PIPELINES.iter().map(read).collect::<Option<_>>()? })
}

/// What the pipelines take from the environment: the simulated vendors' credentials.
fn environment(name: &str) -> Option<String> {
    Some(match name {
        "TELNYX_API_KEY" => credentials::TELNYX_API_KEY.to_owned(),
        "CLOUDFLARE_API_TOKEN" => credentials::CLOUDFLARE_API_TOKEN.to_owned(),
        "VOXIMPLANT_CREDENTIALS" => credentials::voximplant_service_account(),
        "ASHBY_API_KEY" => credentials::ASHBY_API_KEY.to_owned(),
        "NIRVANA_API_KEY" => credentials::NIRVANA_API_KEY.to_owned(),
        "AUDITLINE_REDACTION_KEY" => "a demo's key, which protects nothing".to_owned(),
        _ => return None,
    })
}
