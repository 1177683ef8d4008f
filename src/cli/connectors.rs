//! `auditline connectors`: what can be read.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use super::coverage;
use super::input::report;
use super::table::Table;
use super::{WRONG, print};
use crate::config::catalogue;
use crate::connector::model::{Auth, Definition, FilterEncoding, Parameter};
use crate::connector::{Absent, Catalogue, Connector};
use crate::document::{Context, Problems};
use crate::source::auth::templates;

/// The main file of a folder.
const MAIN: &str = "auditline.toml";

/// List the connectors, or show one: those that come with auditline, and those of `connectors` in the main file.
#[derive(Debug, Args)]
pub struct Connectors {
    /// The connector to show.
    name: Option<String>,
    /// Print the connector's TOML as it is: what to copy for a vendor of your own.
    #[arg(long, requires = "name")]
    source: bool,
    /// Say what the connector's map makes of its examples: which rules and classes, what of OCSF and ECS is filled, where the
    /// vendor's fields go, and what stays unmapped.
    #[arg(long, requires = "name", conflicts_with = "source")]
    coverage: bool,
    /// The main file, or a folder that holds `auditline.toml` [default: `auditline.toml`, where there is one]
    #[arg(long, value_name = "PATH")]
    config: Option<PathBuf>,
}

impl Connectors {
    pub fn main(self) -> u8 {
        let problems = Problems::new();
        let here = Path::new(MAIN);
        let config = self.config.as_deref().or_else(|| here.is_file().then_some(here));
        // What is sound is shown all the same: a broken file must not hide the one it is to be mended after.
        let catalogue = config.and_then(|path| catalogue(path, &Context::new(&problems))).unwrap_or_default();
        report(&problems);
        let code = match &self.name {
            None => print(&list(&catalogue)),
            Some(name) if self.source => show_source(name, &catalogue),
            Some(name) if self.coverage => with(name, &catalogue, coverage::report),
            Some(name) => with(name, &catalogue, |connector| description(name, &connector.definition)),
        };
        if problems.has_errors() { WRONG } else { code }
    }
}

fn list(catalogue: &Catalogue) -> String {
    let mut table = Table::new(["NAME", "LOG", "VERIFIED ON", "FROM"]);
    for name in catalogue.names() {
        let Ok(connector) = catalogue.get(name) else { continue };
        let about = &connector.definition.connector;
        let from = catalogue.file(name).unwrap_or("auditline");
        table.row([name.to_owned(), about.title.clone(), about.verified_on.clone(), from.to_owned()]);
    }
    table.to_string()
}

fn with(name: &str, catalogue: &Catalogue, tell: impl Fn(&Arc<Connector>) -> String) -> u8 {
    match catalogue.get(name) {
        Ok(connector) => print(&tell(&connector)),
        Err(Absent::Broken) => WRONG,
        Err(Absent::Unknown { hint }) => unknown(name, &hint),
    }
}

fn show_source(name: &str, catalogue: &Catalogue) -> u8 {
    match (catalogue.source(name), catalogue.get(name)) {
        (Some(text), _) => print(text),
        (None, Err(Absent::Unknown { hint })) => unknown(name, &hint),
        (None, _) => WRONG,
    }
}

fn unknown(name: &str, hint: &str) -> u8 {
    eprintln!("error: there is no connector `{name}`\n\nhint: {hint}");
    WRONG
}

fn description(name: &str, definition: &Definition) -> String {
    let about = &definition.connector;
    let mut out = format!("{name}: {}\n\n", about.title);
    if !about.notes.trim().is_empty() {
        out.push_str(&format!("{}\n\n", about.notes.trim()));
    }
    out.push_str(&format!("[source.{name}]\n"));
    for (name, parameter) in &definition.parameters {
        out.push_str(&parameter_line(name, parameter));
    }
    if definition.read.len() > 1 {
        let names: Vec<&str> = definition.read.keys().map(|name| name.value.as_str()).collect();
        out.push_str(&format!("mode = \"auto\"  # or {}\n", names.join(", ")));
    }
    out.push_str(&format!("base_url = \"{}\"\n", about.base_url));
    let window = &definition.window;
    out.push_str(&format!(
        "start = \"-7d\"\npoll = \"1m\"\nlag = \"{}\"\noverlap = \"{}\"\nwindow = \"{}\"\n",
        window.lag, window.overlap, window.size
    ));
    out.push_str(&format!(
        "rate = \"{}/{}\"\nreserve = \"0%\"\n",
        definition.limits.rate.requests,
        span(definition.limits.rate.per)
    ));
    out.push_str(&filters(name, definition));
    out.push_str("\nAuthentication, the first that is complete:\n");
    for way in &definition.auth {
        out.push_str(&format!("- {}\n", authentication(&way.value)));
    }
    out.push_str(&format!("\nVerified on {} with\n", about.verified_on));
    for source in &about.sources {
        out.push_str(&format!("- {source}\n"));
    }
    out
}

fn parameter_line(name: &str, parameter: &Parameter) -> String {
    let example = match (parameter.secret, parameter.json.is_empty()) {
        (true, true) => "{ env = \"NAME\" }",
        (true, false) => "{ file = \"PATH\" }",
        (false, _) => "\"…\"",
    };
    let optional = if parameter.optional { "optional: " } else { "" };
    format!("{name} = {example}  # {optional}{}\n", parameter.about)
}

fn filters(source: &str, definition: &Definition) -> String {
    let filters = &definition.filters;
    let names: Vec<&str> = filters.all().collect();
    if names.is_empty() {
        return "\nThe vendor has no filters.\n".to_owned();
    }
    let form = match (filters.encode, filters.not.is_some()) {
        (FilterEncoding::Single, _) => "each takes one value",
        (_, true) => "each takes a value, a list, or { only = […], not = […] }",
        (_, false) => "each takes a value or a list",
    };
    format!("\n[source.{source}.filters]  # {form}\n{}\n", names.join(", "))
}

fn authentication(way: &Auth) -> String {
    let variables = templates(way).into_iter().flat_map(|template| template.variables());
    let mut names: Vec<String> = variables.map(|name| format!("`{name}`")).collect();
    names.dedup();
    let kind = match way {
        Auth::Bearer(_) => "a bearer token",
        Auth::Headers(_) => "headers of the vendor's",
        Auth::Basic { .. } => "HTTP Basic",
        Auth::Jwt(_) => "a signed token (JWT)",
        Auth::Oauth2(_) => "OAuth 2.0 client credentials",
    };
    format!("{kind}, from {}", names.join(" and "))
}

fn span(span: std::time::Duration) -> String {
    auditline_sinks::units::HumanDuration(span).to_string()
}
