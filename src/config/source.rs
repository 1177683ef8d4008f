//! `[source.NAME]`: the keys every source takes, and the parameters of its connector.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use auditline_sinks::secret::Secret;
use auditline_sinks::units::HumanDuration;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value as Json;
use url::Url;

use super::file_source;
use super::plan::{SourcePlan, Sweep};
use super::raw;
use crate::connector::model::{Definition, FilterEncoding, Parameter, Pattern, Rate};
use crate::connector::{Absent, Catalogue, Connector};
use crate::document::{Context, Node, Problem, Spanned, did_you_mean};
use crate::event::{Clock, time};
use crate::source::auth::{choose, templates};
use crate::source::secrets::{Rotating, lacking_member};
use crate::source::{Filter, Mode, Rules, Setting, Settings, is_loopback};

/// The keys that every source takes.
const COMMON: &[&str] = &[
    "base_url",
    "start",
    "poll",
    "lag",
    "overlap",
    "window",
    "rate",
    "reserve",
    "credential_expires",
    "mode",
    "filters",
    "sweep",
];
/// Less than this is a mistake; how often the vendor is asked is bounded by its budget all the same.
pub const SHORTEST_POLL: Duration = Duration::from_millis(100);
/// What is said of a shorter one.
pub const POLLS_TOO_OFTEN: &str = "expected at least `100ms`: less would keep asking for nothing";
/// What is read instead of a connector's API.
const FILE: &str = "file";
/// Sweeps closer together would be all that is asked.
const SHORTEST_SWEEP: Duration = Duration::from_secs(60);
/// How long a source waits when it has read everything and nobody says.
const POLL: Duration = Duration::from_secs(60);
/// Where reading begins when nobody says.
const START: TimeDelta = TimeDelta::days(7);

/// A source and how often it looks for more.
pub struct ResolvedSource {
    pub settings: SourcePlan,
    pub poll: Duration,
    pub sweep: Sweep,
}

/// Resolves `[source.NAME]`. `None` when something in it is wrong.
pub fn resolve(source: &raw::Source, catalogue: &Catalogue, context: &Context<'_>) -> Option<ResolvedSource> {
    let (name, node) = only(source, catalogue, context)?;
    if name.value == FILE {
        return file_source::resolve(node, catalogue, context);
    }
    let connector = connector(name, &[FILE], catalogue, context);
    if connector.is_none() {
        node.cover();
    }
    Section { name, node, connector: &connector?, context }.resolve()
}

/// The connector whose records a source reads, and nothing else of it. `None` when that is wrong.
pub fn whose(source: &raw::Source, catalogue: &Catalogue, context: &Context<'_>) -> Option<Arc<Connector>> {
    let (name, node) = only(source, catalogue, context)?;
    if name.value == FILE {
        return connector(&node.decode::<raw::FileSource>(context)?.connector, &[], catalogue, context);
    }
    connector(name, &[FILE], catalogue, context)
}

/// The one source there is.
fn only<'s>(
    source: &'s raw::Source,
    catalogue: &Catalogue,
    context: &Context<'_>,
) -> Option<(&'s Spanned<String>, &'s Node)> {
    let mut entries: Vec<_> = source.value.iter().collect();
    entries.sort_by_key(|(name, _)| name.place.span().map(|span| span.start));
    match entries.as_slice() {
        [(name, node)] => Some((*name, *node)),
        [] => {
            let problem = Problem::error("this pipeline reads nothing").at(&source.place);
            context.problems.push(problem.hint(which_connector(catalogue)));
            None
        }
        [(first, _), (second, node), ..] => {
            node.cover();
            let message = format!("`{second}` beside `{first}`: a pipeline reads from one source");
            let hint = format!("move `[source.{second}]` into a pipeline file of its own");
            context.problems.push(Problem::error(message).at(&second.place).hint(hint));
            None
        }
    }
}

/// The connector of that name, where one may also have meant something else.
pub fn connector(
    name: &Spanned<String>,
    beside: &[&'static str],
    catalogue: &Catalogue,
    context: &Context<'_>,
) -> Option<Arc<Connector>> {
    match catalogue.get(name) {
        Ok(connector) => Some(connector),
        Err(absent) => {
            if let Absent::Unknown { hint } = absent {
                let hint = match did_you_mean(name, beside.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => hint,
                };
                let problem = Problem::error(format!("there is no connector `{name}`"));
                context.problems.push(problem.at(&name.place).hint(hint));
            }
            None
        }
    }
}

/// Says how a source is written, and of which connectors.
pub fn which_connector(catalogue: &Catalogue) -> String {
    let names = catalogue.names().collect::<Vec<_>>().join(", ");
    format!("add `[source.NAME]`, NAME being one of: {names}; or `[source.{FILE}]`")
}

struct Section<'a> {
    name: &'a Spanned<String>,
    node: &'a Node,
    connector: &'a Arc<Connector>,
    context: &'a Context<'a>,
}

impl Section<'_> {
    fn resolve(&self) -> Option<ResolvedSource> {
        let before = self.context.problems.count(crate::document::Severity::Error);
        self.unknown_keys();
        let definition = self.definition();
        let window = &definition.window;
        let rules = Rules {
            size: self.span("window").unwrap_or_else(|| delta(window.size.0)),
            grow_to: self.grow_to(),
            lag: self.span("lag").unwrap_or_else(|| delta(window.lag.0)),
            overlap: self.span("overlap").unwrap_or_else(|| delta(window.overlap.0)),
        };
        if rules.size < TimeDelta::seconds(1) {
            self.error_at_key("window", "a window is at least one second wide");
        }
        let parameters = self.parameters();
        let base_url = self.base_url(&parameters);
        let filters = self.filters();
        let start = self.within_retention(self.start());
        let mode = self.mode();
        let rate = self.decode::<Rate>("rate").unwrap_or(definition.limits.rate);
        let reserve = self.reserve();
        let credential_expires = self.credential_expires();
        let poll = self.decode::<HumanDuration>("poll").map_or(POLL, |poll| poll.0);
        if poll < SHORTEST_POLL {
            self.error_at_key("poll", POLLS_TOO_OFTEN);
        }
        let sweep = self.sweep();
        if self.context.problems.count(crate::document::Severity::Error) > before {
            return None;
        }
        let settings = Settings {
            connector: Arc::clone(self.connector),
            base_url: base_url?,
            parameters,
            filters,
            start,
            rules,
            mode,
            rate,
            reserve,
            clock: Clock::system(),
            credential_expires,
        };
        self.authentication(&settings)?;
        Some(ResolvedSource { settings: SourcePlan::Api(settings), poll, sweep })
    }

    fn definition(&self) -> &Definition {
        &self.connector.definition
    }

    fn error_at_key(&self, key: &str, message: &str) {
        if let Some(node) = self.node.get(key) {
            self.context.problems.error_at(&node.place(), message);
        }
    }

    fn decode<T: serde::de::DeserializeOwned>(&self, key: &str) -> Option<T> {
        self.node.get(key)?.decode(self.context)
    }

    fn span(&self, key: &str) -> Option<TimeDelta> {
        self.decode::<HumanDuration>(key).map(|span| delta(span.0))
    }

    /// A width that the operator chose is kept to.
    fn grow_to(&self) -> TimeDelta {
        let grow_to = self.definition().window.grow_to.as_ref().filter(|_| self.node.get("window").is_none());
        grow_to.map_or(TimeDelta::zero(), |grow_to| delta(grow_to.value.0))
    }

    fn unknown_keys(&self) {
        let own = || self.definition().parameters.keys().map(|name| name.value.as_str());
        let known: Vec<&str> =
            own().chain(COMMON.iter().copied().filter(|key| *key != "mode" || self.has_modes())).collect();
        let Some(table) = self.node.as_table() else {
            self.context.problems.error_at(&self.name.place, format!("expected the table `[source.{}]`", self.name));
            return;
        };
        for (key, value) in table.filter(|(key, _)| !known.contains(&key.value.as_str())) {
            value.cover();
            let hint = match did_you_mean(key, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`? known keys: {}", quoted(&known)),
                None => format!("known keys: {}", quoted(&known)),
            };
            self.context.problems.push(Problem::error(format!("unknown key `{key}`")).at(&key.place).hint(hint));
        }
    }

    fn has_modes(&self) -> bool {
        self.definition().read.len() > 1
    }

    /// `None` when it is wrong, or when a parameter in it is: that was told then.
    fn base_url(&self, parameters: &BTreeMap<String, Setting>) -> Option<Url> {
        let about = &self.definition().connector;
        let Some(node) = self.node.get("base_url") else {
            let address = about.base_url.fill_address(&|name| match parameters.get(name)? {
                Setting::Plain(text) => Some(Json::String(text.clone())),
                Setting::Secret(_) => None,
            })?;
            let url = Url::parse(&address);
            if url.is_err() {
                let problem = Problem::error(format!("`{address}` is no address")).at(&self.name.place);
                self.context.problems.push(problem.hint(format!("check what stands in `{}`", about.base_url)));
            }
            return url.ok();
        };
        let text: String = node.decode(self.context)?;
        let fail = |message: String, hint: &str| {
            self.context.problems.push(Problem::error(message).at(&node.place()).hint(hint));
            None
        };
        let example = format!("for example \"{}\"", about.base_url);
        match Url::parse(&text) {
            Ok(url) if !url.username().is_empty() || url.password().is_some() || url.query().is_some() => {
                fail("a base URL has no user, password or query".to_owned(), &example)
            }
            Ok(url) if url.scheme() == "https" || (url.scheme() == "http" && is_loopback(&url)) => Some(url),
            Ok(url) if url.scheme() == "http" => {
                let message =
                    format!("plain http to `{}`: the credential would travel in clear", url.host_str().unwrap_or(""));
                fail(message, "use https://; http is allowed to this machine only")
            }
            _ => fail(format!("expected a URL, found `{text}`"), &example),
        }
    }

    fn parameters(&self) -> BTreeMap<String, Setting> {
        let mut settings = BTreeMap::new();
        for (name, parameter) in &self.definition().parameters {
            match self.node.get(name) {
                Some(node) => {
                    settings.extend(self.setting(name, parameter, node).map(|setting| (name.value.clone(), setting)));
                }
                None if parameter.optional => {}
                None => {
                    let example = if parameter.secret { "{ env = \"NAME\" }" } else { "\"…\"" };
                    let hint = format!("add `{name} = {example}`: {}", parameter.about);
                    let problem = Problem::error(format!("missing key `{name}`")).at(&self.name.place);
                    self.context.problems.push(problem.hint(hint));
                }
            }
        }
        settings
    }

    fn setting(&self, name: &str, parameter: &Parameter, node: &Node) -> Option<Setting> {
        let fail = |message: String| {
            let advice = parameter.pattern.and_then(Pattern::advice);
            let hint =
                advice.map_or_else(|| parameter.about.clone(), |advice| format!("{}: {advice}", parameter.about));
            self.context.problems.push(Problem::error(message).at(&node.place()).hint(hint));
            None
        };
        if parameter.secret {
            let secret: Secret = node.decode(self.context)?;
            if let Some(member) = lacking_member(&secret, &parameter.json) {
                return fail(format!("`{name}` is not a JSON object with the member `{member}`"));
            }
            return Some(Setting::Secret(Rotating::new(secret, &parameter.json)));
        }
        let text: String = node.decode(self.context)?;
        let fits = !text.is_empty() && parameter.pattern.is_none_or(|pattern| pattern.fits(&text));
        if fits { Some(Setting::Plain(text)) } else { fail(format!("`{text}` is not what `{name}` looks like")) }
    }

    fn authentication(&self, settings: &Settings) -> Option<()> {
        let ways = || self.definition().auth.iter().map(|way| &way.value);
        if choose(ways(), &|name| settings.parameter(name)).is_some() {
            return Some(());
        }
        let names = |way| {
            let variables =
                templates(way).into_iter().flat_map(|template| template.variables()).map(|name| format!("`{name}`"));
            variables.collect::<Vec<_>>().join(" and ")
        };
        let hint = format!("give {}", ways().map(names).collect::<Vec<_>>().join(", or "));
        let problem = Problem::error(format!("no credential for `{}`", self.name)).at(&self.name.place);
        self.context.problems.push(problem.hint(hint));
        None
    }

    fn credential_expires(&self) -> Option<DateTime<Utc>> {
        let node = self.node.get("credential_expires")?;
        let text = node.decode::<String>(self.context)?;
        let Some(expires) = time::from_text(&text) else {
            let problem = Problem::error(format!("`{text}` is not a date")).at(&node.place());
            self.context
                .problems
                .push(problem.hint("for example \"2027-01-31\": when the vendor lets the credential end"));
            return None;
        };
        if expires <= Utc::now() {
            let problem = Problem::warning(format!("by `{text}` the credential is no longer good")).at(&node.place());
            self.context
                .problems
                .push(problem.hint("renew the credential with the vendor, and note its new date here"));
        }
        Some(expires)
    }

    fn start(&self) -> DateTime<Utc> {
        let Some(node) = self.node.get("start") else { return Utc::now() - START };
        let Some(text) = node.decode::<String>(self.context) else { return Utc::now() - START };
        let past = text.strip_prefix('-').and_then(|span| HumanDuration::from_str(span).ok());
        match past.map(|span| Utc::now() - delta(span.0)).or_else(|| time::from_text(&text)) {
            Some(start) if start > Utc::now() => {
                let problem = Problem::error(format!("`{text}` lies in the future")).at(&node.place());
                self.context.problems.push(problem.hint("reading begins at `start` and goes on to now"));
                start
            }
            Some(start) => start,
            None => {
                let problem = Problem::error(format!("`{text}` is not an instant")).at(&node.place());
                self.context
                    .problems
                    .push(problem.hint("for example \"-7d\", \"2026-01-01\" or \"2026-01-01T00:00:00Z\""));
                Utc::now()
            }
        }
    }

    /// What the vendor no longer has need not be asked for, and some refuse to be asked.
    fn within_retention(&self, start: DateTime<Utc>) -> DateTime<Utc> {
        let Some(retention) = self.definition().window.retention else { return start };
        let oldest = Utc::now() - delta(retention.0);
        if start < oldest
            && let Some(node) = self.node.get("start")
        {
            let title = &self.definition().connector.title;
            let problem = Problem::warning(format!("{title} reach back {retention}: reading begins there"));
            self.context.problems.push(problem.at(&node.place()));
        }
        start.max(oldest)
    }

    fn sweep(&self) -> Sweep {
        let default = Sweep::default();
        let Some(written) = self.decode::<raw::Sweep>("sweep") else { return default };
        if let Some(every) = written.every.as_ref().filter(|every| every.value.0 < SHORTEST_SWEEP) {
            let problem = Problem::error("expected at least `1m` between two sweeps").at(&every.place);
            self.context.problems.push(problem.hint("each one reads again all that lies within `back`"));
        }
        Sweep {
            every: written.every.map_or(default.every, |every| delta(every.value.0)),
            back: written.back.map_or(default.back, |back| delta(back.0)),
        }
    }

    fn mode(&self) -> Mode {
        let Some(node) = self.node.get("mode").filter(|_| self.has_modes()) else { return Mode::Auto };
        let Some(text) = node.decode::<String>(self.context) else { return Mode::Auto };
        if text == "auto" {
            return Mode::Auto;
        }
        if self.definition().read.contains_key(text.as_str()) {
            return Mode::Named(text);
        }
        let names = self.definition().read.keys().map(|name| name.value.as_str()).chain(["auto"]).collect::<Vec<_>>();
        let problem = Problem::error(format!("there is no mode `{text}`")).at(&node.place());
        self.context.problems.push(problem.hint(format!("one of: {}", quoted(&names))));
        Mode::Auto
    }

    fn reserve(&self) -> f64 {
        let Some(node) = self.node.get("reserve") else { return 0.0 };
        let share = node
            .as_float()
            .or_else(|| node.as_str()?.strip_suffix('%')?.trim().parse::<f64>().ok().map(|percent| percent / 100.0));
        match share.filter(|share| (0.0..=0.95).contains(share)) {
            Some(share) => share,
            None => {
                let found = node.as_str().map_or_else(|| node.to_json().to_string(), ToOwned::to_owned);
                let message = format!("expected a share from `0%` to `95%`, found `{found}`");
                let hint = "for example \"20%\": the share of the quota that is left to the account's other automation";
                self.context.problems.push(Problem::error(message).at(&node.place()).hint(hint));
                0.0
            }
        }
    }

    fn filters(&self) -> Vec<Filter> {
        let Some(node) = self.node.get("filters") else { return Vec::new() };
        let Some(table) = node.as_table() else {
            self.context.problems.error_at(&node.place(), "expected a table of the vendor's filters");
            return Vec::new();
        };
        table.flat_map(|(name, value)| self.filter(name, value)).collect()
    }

    fn filter(&self, name: &Spanned<String>, value: &Node) -> Vec<Filter> {
        let rules = &self.definition().filters;
        let known: Vec<&str> = rules.all().collect();
        if !known.contains(&name.value.as_str()) {
            value.cover();
            let hint = match (did_you_mean(name, known.iter().copied()), known.is_empty()) {
                (Some(near), _) => format!("did you mean `{near}`? there are: {}", quoted(&known)),
                (None, true) => format!("`{}` has no filters: leave `filters` out", self.name),
                (None, false) => format!("there are: {}", quoted(&known)),
            };
            self.context
                .problems
                .push(Problem::error(format!("there is no filter `{name}`")).at(&name.place).hint(hint));
            return Vec::new();
        }
        let mut filters = Vec::new();
        if value.as_table().is_none() {
            filters.extend(self.filter_values(name, value).map(|values| Filter { name: name.value.clone(), values }));
            return filters;
        }
        for (form, value) in value.as_table().into_iter().flatten() {
            let wire = match form.value.as_str() {
                "only" => Some(name.value.clone()),
                "not" if !rules.without_not.contains(&name.value) => {
                    let lookup = |_: &str| Some(Json::String(name.value.clone()));
                    rules.not.as_ref().and_then(|template| template.fill_text(&lookup))
                }
                _ => None,
            };
            let Some(wire) = wire else {
                value.cover();
                let hint =
                    if rules.not.is_some() { "a filter takes `only` and `not`" } else { "give the values themselves" };
                let problem = Problem::error(format!("the filter `{name}` does not take `{form}`")).at(&form.place);
                self.context.problems.push(problem.hint(hint));
                continue;
            };
            filters.extend(self.filter_values(name, value).map(|values| Filter { name: wire, values }));
        }
        filters
    }

    fn filter_values(&self, name: &str, node: &Node) -> Option<Vec<Json>> {
        let rules = &self.definition().filters;
        let nodes: Vec<&Node> = match node.as_array() {
            Some(items) => items.iter().collect(),
            None => vec![node],
        };
        let single = rules.encode == FilterEncoding::Single || rules.single.iter().any(|known| known == name);
        if single && nodes.len() != 1 {
            self.context.problems.error_at(&node.place(), format!("the filter `{name}` takes one value"));
            return None;
        }
        if let Some(most) = rules.most.filter(|most| nodes.len() > *most) {
            self.context.problems.error_at(&node.place(), format!("the filter `{name}` takes at most {most} values"));
            return None;
        }
        nodes.into_iter().map(|node| self.filter_value(name, node)).collect()
    }

    fn filter_value(&self, name: &str, node: &Node) -> Option<Json> {
        if let Some(number) = node.as_integer() {
            return Some(number.into());
        }
        let Some(text) = node.as_str() else {
            self.context
                .problems
                .error_at(&node.place(), format!("expected a text or a number, found {}", node.kind()));
            return None;
        };
        if let Some(known) =
            self.definition().filters.values.get(name).filter(|known| !known.iter().any(|value| value == text))
        {
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            let problem = Problem::error(format!("`{text}` is not a value of the filter `{name}`")).at(&node.place());
            self.context.problems.push(problem.hint(format!("one of: {}", quoted(&known))));
            return None;
        }
        Some(text.into())
    }
}

fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn delta(span: Duration) -> TimeDelta {
    TimeDelta::from_std(span).unwrap_or(TimeDelta::MAX)
}

#[cfg(test)]
mod tests;
