//! `enrich = { … }`: what is added to every event, and the files it is looked up in.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::library::Library;
use super::review::Asked;
use crate::document::{Context, Node, Place, Problem, Spanned};
use crate::event::Path;
use crate::transform::enrich::{Agent, Enrich, Fixed, Geo, Intel, Lookup, Match, Shape, Spots, Wanted};
use crate::transform::normalize::Form;

/// What to do where something is added in clear.
const BEFORE_REDACT: &str = "put this `enrich` before `redact`, which then sees what was added";

/// A table that holds addresses has one early.
const ROWS_LOOKED_AT: usize = 10_000;

/// As the file says it. Each field is the documentation of the key of that name.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Written {
    /// Words such as `prod`.
    labels: Vec<Spanned<String>>,
    /// Names and values such as `region = "eu"`.
    fields: BTreeMap<String, Spanned<String>>,
    /// Tables of the operator's own: a list.
    lookup: Option<Node>,
    /// Where addresses are: `{ database = … }`.
    geoip: Option<Node>,
    /// The autonomous systems that addresses belong to: `{ database = … }`.
    asn: Option<Node>,
    /// What user agents' texts name: `true`, or `{ from = … }`.
    user_agent: Option<Node>,
    /// Lists of addresses, networks and domains: a list of them.
    threat_intel: Option<Node>,
}

/// `lookup = [{ … }]`
#[derive(Debug, Deserialize)]
struct WrittenLookup {
    /// The table: `.csv`, `.tsv` or `.ndjson`. Relative to this file.
    file: Spanned<String>,
    /// The column that rows are found by.
    by: Spanned<String>,
    /// Where in the event the value stands: a path, or several, of which the first that the table knows counts.
    from: Node,
    /// How a row is found.
    #[serde(default, rename = "match")]
    matching: Match,
    /// Whether `A` is another letter than `a`.
    #[serde(default)]
    case_sensitive: Option<Spanned<bool>>,
    /// What is taken from the row: columns, or names in the event with the column that each is.
    take: Node,
}

/// `geoip = { … }` and `asn = { … }`
#[derive(Debug, Deserialize)]
struct WrittenDatabase {
    /// A database in MaxMind's format. Relative to this file.
    database: Spanned<String>,
    /// Where in the event addresses stand.
    #[serde(default)]
    from: Option<Node>,
}

/// `threat_intel = [{ … }]`
#[derive(Debug, Deserialize)]
struct WrittenList {
    /// An address, a network or a domain on each line. Relative to this file.
    file: Spanned<String>,
    /// What the list is called in the event.
    name: Spanned<String>,
    /// Where in the event to look.
    #[serde(default)]
    from: Option<Node>,
}

/// `user_agent = { … }`
#[derive(Debug, Deserialize)]
struct WrittenAgent {
    /// Where in the event the text stands.
    from: Node,
}

impl Written {
    /// The paths whose values it looks up, as far as they can be read.
    pub fn asked(&self, is_ecs: bool) -> Vec<Asked> {
        let tables = |node: &Option<Node>| node.iter().filter_map(|node| node.as_array()).flatten().cloned().collect();
        let one = |node: &Option<Node>| node.iter().cloned().collect::<Vec<_>>();
        let usual_ip = if is_ecs { "source.ip" } else { "src_endpoint.ip" };
        let usual_agent = if is_ecs { "user_agent.original" } else { "http_request.user_agent" };
        let kinds: [(Vec<Node>, Option<&str>, bool); 5] = [
            (tables(&self.lookup), None, true),
            (one(&self.geoip), Some(usual_ip), false),
            (one(&self.asn), Some(usual_ip), false),
            (one(&self.user_agent), Some(usual_agent), true),
            // Lists have addresses, and domains.
            (tables(&self.threat_intel), Some(usual_ip), true),
        ];
        let mut asked = Vec::new();
        for (nodes, usual, needs_all) in kinds {
            for node in nodes {
                // A part of an address may be in a network, and a part of an e-mail address has its domain.
                let needs_all = needs_all && node.get("match").is_none();
                let Some(from) = node.get("from") else {
                    let place = ["database", "file"].iter().find_map(|key| node.get(key)).unwrap_or(&node).place();
                    asked.extend(usual.and_then(|usual| Asked::usual(usual, &place, needs_all)));
                    continue;
                };
                for written in from.as_array().unwrap_or(std::slice::from_ref(from)) {
                    let path = written.as_str().and_then(|text| text.parse().ok());
                    let path = path.map(|path| Spanned::new(path, written.place()));
                    asked.extend(path.map(|path| Asked { path, is_usual: false, needs_all }));
                }
            }
        }
        asked
    }

    /// Makes the step for events that `normalize` brings into `form`. `None` when something in it is wrong: that it adds
    /// nothing is said at `place`, if at all.
    pub fn build(
        &self,
        form: Form,
        place: Option<&Place>,
        library: &Library,
        hides: &dyn Fn(&str) -> bool,
        context: &Context<'_>,
    ) -> Option<Enrich> {
        let builder = Builder { form, library, hides, context };
        // All of them are looked at before the first that is wrong counts.
        let fixed = builder.fixed(&self.labels, &self.fields);
        let lookups = builder.all(self.lookup.as_ref(), "lookup", |lookup| builder.lookup(lookup));
        let geoip = self.geoip.as_ref().map(|written| builder.database(written, "geoip", Wanted::Place));
        let asn = self.asn.as_ref().map(|written| builder.database(written, "asn", Wanted::System));
        let agent = match &self.user_agent {
            Some(written) => builder.agent(written),
            None => Some(None),
        };
        let lists = builder.all(self.threat_intel.as_ref(), "threat_intel", |list| builder.list(list));

        let (fixed, lookups, lists) = (fixed?, lookups?, lists?);
        let says_fixed = !fixed.labels.is_empty() || !fixed.fields.is_empty();
        let looks = !lookups.is_empty() || !lists.is_empty() || geoip.is_some() || asn.is_some();
        if let Some(place) = place
            && !(says_fixed || looks)
            && matches!(agent, Some(None))
        {
            let problem = Problem::error("this adds nothing").at(place);
            let hint = "say what to add: `labels`, `fields`, `lookup`, `geoip`, `asn`, `user_agent` or `threat_intel`";
            builder.problem(problem, hint);
            return None;
        }
        let mut enrich = Enrich::default().and(fixed);
        for lookup in lookups {
            enrich = enrich.and(lookup);
        }
        for geo in [geoip, asn].into_iter().flatten() {
            enrich = enrich.and(geo?);
        }
        if let Some(agent) = agent? {
            enrich = enrich.and(agent);
        }
        for list in lists {
            enrich = enrich.and(list);
        }
        Some(enrich)
    }
}

/// Makes the kinds of one step.
struct Builder<'c> {
    form: Form,
    library: &'c Library,
    /// Whether a text would have been redacted, had it been there before.
    hides: &'c dyn Fn(&str) -> bool,
    context: &'c Context<'c>,
}

impl Builder<'_> {
    /// Without a word a label says nothing, and a field has no place.
    fn fixed(&self, labels: &[Spanned<String>], fields: &BTreeMap<String, Spanned<String>>) -> Option<Fixed> {
        let mut is_well = true;
        let mut empty = |place: &Place, message: &str, hint: &str| {
            is_well = false;
            self.problem(Problem::error(message).at(place), hint);
        };
        for label in labels.iter().filter(|label| label.trim().is_empty()) {
            empty(&label.place, "this label is empty", "a label is a word, such as `\"prod\"`");
        }
        for (_, value) in fields.iter().filter(|(name, _)| name.trim().is_empty()) {
            empty(&value.place, "this field has no name", "a field has a name and a value: `region = \"eu\"`");
        }
        for text in labels.iter().chain(fields.values()).filter(|text| (self.hides)(text)) {
            let message = "a `redact` before this hides what this says, and this goes on in clear";
            self.problem(Problem::warning(message).at(&text.place), BEFORE_REDACT);
        }
        let labels = labels.iter().map(|label| label.value.clone()).collect();
        let fields = fields.iter().map(|(name, value)| (name.clone(), value.value.clone())).collect();
        is_well.then_some(Fixed { labels, fields })
    }

    /// All that stand in a list. `None` when one of them is wrong.
    fn all<W: DeserializeOwned, T>(
        &self,
        written: Option<&Node>,
        key: &str,
        make: impl Fn(&W) -> Option<T>,
    ) -> Option<Vec<T>> {
        let Some(written) = written else { return Some(Vec::new()) };
        if written.as_table().is_some() {
            let problem = Problem::error("expected a list of tables, found a table").at(&written.head());
            self.problem(problem, &format!("write `{key} = [{{ … }}]`"));
            return None;
        }
        let written: Vec<W> = written.decode(self.context)?;
        let made: Vec<Option<T>> = written.iter().map(make).collect();
        made.into_iter().collect()
    }

    fn lookup(&self, written: &WrittenLookup) -> Option<Lookup> {
        let WrittenLookup { file, by, from, matching, case_sensitive, take } = written;
        if let Some(flag) = case_sensitive
            && *matching != Match::Exact
        {
            let problem = Problem::error("addresses and domains have no case").at(&flag.place);
            self.problem(problem, "leave it out");
        }
        let (from, taken) = (self.spots(from), self.taken(take));
        let taken = taken?;
        let case_sensitive = case_sensitive.as_ref().is_some_and(|flag| flag.value);
        let columns: Vec<String> = taken.iter().map(|taken| taken.column.value.clone()).collect();
        let shape = Shape { by: by.value.clone(), take: columns, matching: *matching, case_sensitive };
        let place_of = |name: &str| {
            let taken = taken.iter().map(|taken| &taken.column);
            std::iter::once(by).chain(taken).find(|column| column.value == name).map(|column| column.place.clone())
        };
        let table = self.library.table(file, shape, &place_of, self.context)?;
        for (at, taken) in taken.iter().enumerate() {
            if table.now().column(at).take(ROWS_LOOKED_AT).any(|text| (self.hides)(text)) {
                let message = format!(
                    "a `redact` before this hides what `{}` of this table says, and it goes on in clear",
                    taken.column.value
                );
                self.problem(Problem::warning(message).at(&taken.column.place), BEFORE_REDACT);
            }
        }
        Some(Lookup::new(table, from?, taken.into_iter().map(|taken| taken.name).collect()))
    }

    fn database(&self, written: &Node, key: &str, wanted: Wanted) -> Option<Geo> {
        let as_it_is = format!("write `{key} = {{ database = \"….mmdb\" }}`");
        let Some(mut members) = written.as_table() else {
            let message = format!("expected a table, found {}", written.kind());
            self.problem(Problem::error(message).at(&written.place()), &as_it_is);
            return None;
        };
        // As `lookup` and `threat_intel` call it.
        if let Some((name, file)) = members.find(|(name, _)| name.as_str() == "file")
            && written.get("database").is_none()
        {
            file.cover();
            self.problem(Problem::error("unknown key `file`").at(&name.place), &as_it_is);
            return None;
        }
        let written: WrittenDatabase = written.decode(self.context)?;
        let from = self.spots_or_usual(written.from.as_ref(), &written.database.place);
        let database = self.library.database(&written.database, wanted, self.context)?;
        Some(Geo::new(database, from?))
    }

    /// Nothing where it is switched off.
    fn agent(&self, written: &Node) -> Option<Option<Agent>> {
        if written.as_table().is_some() {
            let written: WrittenAgent = written.decode(self.context)?;
            return Some(Some(Agent::new(Some(self.spots(&written.from)?))));
        }
        if written.as_str().is_some() {
            let problem = Problem::error("expected `true` or a table, found a string").at(&written.place());
            self.problem(problem, "where the text stands is said by `user_agent = { from = \"…\" }`");
            return None;
        }
        let is_wanted: bool = written.decode(self.context)?;
        if !is_wanted {
            return Some(None);
        }
        Some(Some(Agent::new(self.spots_or_usual(None, &written.place())?)))
    }

    fn list(&self, written: &WrittenList) -> Option<Intel> {
        if written.name.trim().is_empty() {
            self.problem(Problem::error("a list needs a name").at(&written.name.place), "events name it by this");
            return None;
        }
        let from = self.spots_or_usual(written.from.as_ref(), &written.file.place);
        let list = self.library.list(&written.file, self.context)?;
        Some(Intel::new(list, written.name.value.clone(), from?))
    }

    /// One path, or a list of them.
    fn spots(&self, written: &Node) -> Option<Spots> {
        let paths = match written.as_array() {
            Some([]) => {
                let problem = Problem::error("this looks nowhere").at(&written.place());
                self.problem(problem, "name a path in the event, as in `\"actor.user.email_addr\"`");
                return None;
            }
            Some(_) => written.decode::<Vec<Path>>(self.context)?,
            None => vec![written.decode::<Path>(self.context)?],
        };
        Some(Spots::own(paths))
    }

    /// The paths that are named, if any are. OCSF and ECS can do without, and the envelope cannot.
    fn spots_or_usual(&self, written: Option<&Node>, place: &Place) -> Option<Option<Spots>> {
        if let Some(written) = written {
            return Some(Some(self.spots(written)?));
        }
        if self.form == Form::None {
            let problem = Problem::error("nobody knows where to look in a record that is not normalized").at(place);
            self.problem(problem, "name it: `from = \"record.…\"`");
            return None;
        }
        Some(None)
    }

    fn taken(&self, written: &Node) -> Option<Vec<Taken>> {
        let taken: Vec<Taken> = match written.as_array() {
            Some(_) => {
                let columns: Vec<Spanned<String>> = written.decode(self.context)?;
                columns.into_iter().map(|column| Taken { name: column.value.clone(), column }).collect()
            }
            None if written.as_table().is_some() => {
                let columns: BTreeMap<String, Spanned<String>> = written.decode(self.context)?;
                columns.into_iter().map(|(name, column)| Taken { name, column }).collect()
            }
            None => {
                let problem = Problem::error(format!("expected columns, found {}", written.kind()));
                self.problem(problem.at(&written.place()), "write `[\"team\"]`, or `{ team = \"Team name\" }`");
                return None;
            }
        };
        let nameless: Vec<_> = taken.iter().filter(|taken| taken.name.trim().is_empty()).collect();
        for taken in &nameless {
            let problem = Problem::error("a column is taken under no name").at(&taken.column.place);
            self.problem(problem, "say what it is called in the event: `{ team = \"Team name\" }`");
        }
        if !nameless.is_empty() {
            return None;
        }
        if taken.is_empty() {
            let problem = Problem::error("nothing is taken from the table").at(&written.head());
            self.problem(problem, "name its columns: `[\"team\"]`, or `{ team = \"Team name\" }`");
            return None;
        }
        Some(taken)
    }

    fn problem(&self, problem: Problem, hint: &str) {
        self.context.problems.push(problem.hint(hint));
    }
}

/// A column, and what it is called in the event.
struct Taken {
    name: String,
    column: Spanned<String>,
}
