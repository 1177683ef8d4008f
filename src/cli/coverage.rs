//! `auditline connectors NAME --coverage`: what a connector's map makes of its examples, and what it leaves open.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::table::Table;
use crate::connector::Connector;
use crate::event::{Arena, Event, Value, json};
use crate::source::example::samples;
use crate::transform::ecs;
use crate::transform::ocsf::coverage::ClassFacts;

/// A list is broken into lines of about this many characters.
const WIDTH: usize = 100;

/// How much of a rule's `match` is shown.
const MOST_OF_A_MATCH: usize = 60;

/// What the examples show.
#[derive(Debug, Default)]
struct Seen {
    events: usize,
    /// How many events each rule took, by its place.
    rules: BTreeMap<usize, usize>,
    /// How many events had each of the vendor's fields, and where it went.
    fields: BTreeMap<String, (usize, BTreeSet<String>)>,
    /// How many observables there were of each type.
    observables: BTreeMap<String, usize>,
    /// How many events had each field of ECS.
    ecs: BTreeMap<String, usize>,
}

/// The whole report, in an order that only the connector decides.
pub fn report(connector: &Arc<Connector>) -> String {
    let mut seen = Seen::default();
    for example in &connector.definition.example {
        for sample in samples(connector, example) {
            let arena = Arena::new();
            // It was encoded by us.
            let Ok(body) = json::decode(sample.body.as_bytes(), &arena) else { continue };
            seen.add(connector, &Event { id: arena.alloc_str(&sample.id), time: sample.time, body }, &arena);
        }
    }
    let title = &connector.definition.connector.title;
    let examples = connector.definition.example.len();
    let parts = [
        format!("{}: {title}\n{} in {}", connector.name, some(seen.events, "event"), some(examples, "example")),
        seen.rules(connector),
        classes(&connector.map.classes()),
        seen.fields(),
        seen.observables(),
        seen.ecs(),
    ];
    parts.iter().map(|part| part.trim_end()).collect::<Vec<_>>().join("\n\n") + "\n"
}

fn some(count: usize, one: &str) -> String {
    format!("{count} {one}{}", if count == 1 { "" } else { "s" })
}

impl Seen {
    fn add<'a>(&mut self, connector: &Connector, event: &Event<'a>, arena: &'a Arena) {
        let (Some(trace), Some(ocsf)) = (connector.map.trace(event, arena), connector.map.apply(event, arena)) else {
            return;
        };
        self.events += 1;
        *self.rules.entry(trace.rule).or_default() += 1;
        for (field, places) in trace.fields {
            let (count, known) = self.fields.entry(field).or_default();
            *count += 1;
            known.extend(places);
        }
        for observable in ocsf.get("observables").and_then(|all| all.as_array()).unwrap_or_default() {
            let kind = observable.get("type").and_then(|kind| kind.as_str()).unwrap_or("Unknown");
            *self.observables.entry(kind.to_owned()).or_default() += 1;
        }
        leaves(ecs::from_ocsf(ocsf, arena), "", &mut self.ecs);
    }

    fn rules(&self, connector: &Connector) -> String {
        let mut table = Table::new(["RULE", "CLASS", "EVENTS", "MATCH"]);
        let mut untaken = String::new();
        for (at, rule) in connector.map.rules().iter().enumerate() {
            let name = rule.name.line.map_or_else(|| "otherwise".to_owned(), |line| format!("line {line}"));
            let asks = shortened(&rule.name.asks);
            let events = self.rules.get(&at).copied().unwrap_or_default();
            if events == 0 {
                let asks = if asks.is_empty() { String::new() } else { format!(": {asks}") };
                untaken.push_str(&format!("  {name}, {}{asks}\n", rule.class));
            }
            table.row([name, rule.class.to_owned(), events.to_string(), asks]);
        }
        match untaken.is_empty() {
            true => table.to_string(),
            false => format!("{table}\nNo example takes:\n{untaken}"),
        }
    }

    fn fields(&self) -> String {
        let mut table = Table::new(["VENDOR'S FIELD", "EVENTS", "GOES TO"]);
        for (field, (count, places)) in &self.fields {
            let places: Vec<&str> = places.iter().map(String::as_str).collect();
            table.row([field.clone(), count.to_string(), places.join(", ")]);
        }
        table.to_string()
    }

    fn observables(&self) -> String {
        if self.observables.is_empty() {
            return "The events have no observables.".to_owned();
        }
        counts(["OBSERVABLE", "TIMES"], &self.observables)
    }

    fn ecs(&self) -> String {
        counts(["FIELD OF ECS", "EVENTS"], &self.ecs)
    }
}

/// The beginning of a text, as much as a line of a table has room for.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(MOST_OF_A_MATCH) {
        Some((end, _)) => format!("{}…", text[..end].trim_end()),
        None => text.to_owned(),
    }
}

fn counts(head: [&str; 2], counts: &BTreeMap<String, usize>) -> String {
    let mut table = Table::new(head);
    for (name, count) in counts {
        table.row([name.clone(), count.to_string()]);
    }
    table.to_string()
}

fn classes(classes: &BTreeMap<&'static str, ClassFacts>) -> String {
    let mut table = Table::new(["CLASS", "REQUIRED", "RECOMMENDED", "OPTIONAL"]);
    let mut lacking = String::new();
    for (name, facts) in classes {
        let share = |(filled, all): (usize, usize)| format!("{filled} of {all}");
        let shares = [facts.required, facts.recommended, facts.optional].map(share);
        let [required, recommended, optional] = shares;
        table.row([(*name).to_owned(), required, recommended, optional]);
        if !facts.lacking.is_empty() {
            lacking.push_str(&format!("\nRecommended, and not in {name}:\n{}", list(&facts.lacking)));
        }
    }
    format!("{table}{lacking}")
}

/// Names, a line of them at a time.
fn list(names: &[String]) -> String {
    let mut out = String::new();
    let mut line = String::new();
    for name in names {
        if !line.is_empty() && line.len() + name.len() + 2 > WIDTH {
            out.push_str(&format!("  {line},\n"));
            line.clear();
        }
        let comma = if line.is_empty() { "" } else { ", " };
        line.push_str(comma);
        line.push_str(name);
    }
    out + &format!("  {line}\n")
}

/// The names of what an ECS event has, without what ECS has no name for.
fn leaves(value: Value<'_>, path: &str, out: &mut BTreeMap<String, usize>) {
    let Some(members) = value.as_object() else {
        *out.entry(path.to_owned()).or_default() += 1;
        return;
    };
    for member in members.iter().filter(|member| !(path.is_empty() && member.key == ecs::OWN)) {
        let dot = if path.is_empty() { "" } else { "." };
        leaves(member.value, &format!("{path}{dot}{}", member.key), out);
    }
}
