//! What an operator would write to read a simulated vendor, and what of its connector is made small for a small world.

use std::sync::Arc;

use serde_json::json;
use url::Url;

use super::{Scenario, day_0};
use crate::config::{Files, PipelineFile, resolve};
use crate::connector::{self, Connector};
use crate::document::{Context, Document, Problems};
use crate::event::Clock;
use crate::simulator::{Simulator, Vendor, credentials};
use crate::source::Settings;

/// The settings of a source that reads from a week before the first day.
pub fn of(simulator: &Simulator, scenario: &Scenario, clock: Clock) -> Settings {
    let problems = Problems::new();
    let context = Context::new(&problems);
    let name = scenario.vendor.name();
    let document = |file: &str, text: &str| Document::parse(file, text, &problems).expect("TOML");
    let files = Files {
        catalogue: Arc::default(),
        main: document("auditline.toml", "[sinks.siem.stdout]\n"),
        pipelines: vec![PipelineFile { name: name.to_owned(), document: document("week.toml", &pipeline(scenario)) }],
    };
    let plan = resolve(&files, &context).unwrap_or_else(|| panic!("{problems}"));
    let mut settings = plan.pipelines.into_iter().next().expect("a pipeline").source;
    let connector = Connector::parse(name, "connector.toml", &connector(scenario), &context);
    settings.connector = Arc::new(connector.unwrap_or_else(|| panic!("{problems}")));
    settings.base_url = Url::parse(&simulator.base_url(scenario.vendor)).expect("a URL");
    settings.start = day_0() - chrono::TimeDelta::days(7);
    settings.clock = clock;
    settings
}

fn pipeline(scenario: &Scenario) -> String {
    let key = |name: &str, value: &str| format!("{name} = {}\n", json!(value));
    let mut source = match scenario.vendor {
        Vendor::Telnyx => key("api_key", credentials::TELNYX_API_KEY),
        Vendor::Cloudflare => {
            key("account_id", credentials::CLOUDFLARE_ACCOUNT_ID) + &key("api_token", credentials::CLOUDFLARE_API_TOKEN)
        }
        Vendor::Voximplant => key("credentials", &credentials::voximplant_service_account()),
        Vendor::Ashby => key("api_key", credentials::ASHBY_API_KEY),
        Vendor::Nirvana => key("api_key", credentials::NIRVANA_API_KEY),
    };
    source.extend(scenario.mode.map(|mode| key("mode", mode)));
    format!("[source.{}]\n{source}\n[to.siem]\n", scenario.vendor)
}

/// The vendor's connector with small pages, and with little that can be reached by an offset.
fn connector(scenario: &Scenario) -> String {
    let text = connector::source(scenario.vendor.name()).expect("a connector");
    let page_sizes = format!("page_sizes = [{}]", scenario.page_size);
    let line = |line: &str| if line.starts_with("page_sizes = ") { page_sizes.clone() } else { line.to_owned() };
    let lines: Vec<String> = text.lines().map(line).collect();
    lines.join("\n").replace("ceiling = 10000", &format!("ceiling = {}", 4 * scenario.page_size))
}
