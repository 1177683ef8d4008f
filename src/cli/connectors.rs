//! `auditline connectors`: what can be read.

use clap::Args;

use super::table::Table;
use super::{DONE, WRONG};
use crate::connector::model::{Auth, Definition, FilterEncoding, Parameter};
use crate::connector::{self, Connector};
use crate::document::did_you_mean;
use crate::source::auth::templates;

/// List the connectors, or show one.
#[derive(Debug, Args)]
pub struct Connectors {
    /// The connector to show.
    name: Option<String>,
}

impl Connectors {
    pub fn main(self) -> u8 {
        match self.name {
            None => {
                list();
                DONE
            }
            Some(name) => show(&name),
        }
    }
}

fn list() {
    let mut table = Table::new(["NAME", "LOG", "VERIFIED ON"]);
    for connector in connector::names().filter_map(Connector::embedded) {
        let about = &connector.definition.connector;
        table.row([connector.name.to_string(), about.title.clone(), about.verified_on.clone()]);
    }
    print!("{table}");
}

fn show(name: &str) -> u8 {
    let Some(connector) = Connector::embedded(name) else {
        eprintln!("error: there is no connector `{name}`");
        let names: Vec<&str> = connector::names().collect();
        match did_you_mean(name, names.iter().copied()) {
            Some(near) => eprintln!("\nhint: did you mean `{near}`?"),
            None => eprintln!("\nhint: there are: {}", names.join(", ")),
        }
        return WRONG;
    };
    print!("{}", description(name, &connector.definition));
    DONE
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
