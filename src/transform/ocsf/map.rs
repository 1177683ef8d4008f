//! A connector's `[ocsf]` table, loaded and applied.

use std::borrow::Cow;
use std::fmt;

use bumpalo::collections::Vec as ArenaVec;

use super::Identity;
use super::compile::{Compiler, Said, said_names};
use super::draft::Draft;
use super::leaf::fixed;
use super::run::Run;
use super::schema::{Class, schema};
use super::shape::{Constant, Node, Shape};
use super::source::{Source, Taken};
use crate::document::{self, Place, Problem, Problems};
use crate::event::{Arena, Event, Member, Value};
use crate::transform::condition::{Condition, Critic, suggest};

/// How the records of one vendor become OCSF events. Loaded once, then nothing of the schema is looked up any more.
pub struct Map {
    pub(super) source: Source,
    /// In the order they are tried. The last one fits every record.
    pub(super) rules: Vec<Rule>,
}

pub(super) struct Rule {
    /// Of these sets of conditions one must hold: the slots that are looked at, and what must stand there.
    pub(super) conditions: Vec<Vec<(usize, Condition)>>,
    pub(super) event: Shape,
    /// What tells it from the others: its line, and the beginning of its `match`.
    pub(super) name: RuleName,
}

/// What tells a rule from the others of its map.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleName {
    /// Where it stands in the connector's file, counted from one. `None` for what fits every record.
    pub line: Option<usize>,
    /// What its `match` asks for: `action login, sso_*`. Empty where it has none.
    pub asks: String,
}

/// The keys that both `[ocsf]` and `[[ocsf.when]]` have.
pub const LAYER: [&str; 5] = ["class", "activity", "severity", "status", "map"];
/// What `[ocsf]` has beside them.
pub const OF_TABLE: [&str; 3] = ["product", "profiles", "when"];
/// What `[[ocsf.when]]` has beside them.
pub const OF_RULE: [&str; 1] = ["match"];

impl Map {
    /// Reads the `[ocsf]` table of a connector and checks every word of it against OCSF.
    ///
    /// `None` if there is a mistake; all mistakes are in `problems`, each at its place.
    pub fn load(node: &document::Node, identity: &Identity, problems: &Problems) -> Option<Self> {
        let before = problems.count(document::Severity::Error);
        let map = Loader::new(node, identity, problems).load();
        map.filter(|_| problems.count(document::Severity::Error) == before)
    }

    /// The OCSF event of a record. `None` only for a record no rule fits, which loading has ruled out.
    ///
    /// What the map does not name, or what is not in the event as it was, is under `unmapped`: nothing is lost but
    /// `null` and empty values.
    #[must_use]
    pub fn apply<'a>(&self, event: &Event<'a>, arena: &'a Arena) -> Option<Value<'a>> {
        let slots = arena.alloc_slice_fill_copy(self.source.slots(), &Value::Null);
        let doubled = self.source.read(&event.body, slots);
        let mut run = Run::new(event, slots, arena);
        let mut fitting = self.rules.iter().filter(|rule| rule.holds(slots));
        let mut members = fitting.find_map(|rule| {
            let known = run.known_misfits();
            let members = rule.event.fill(&mut run, 2);
            if members.is_none() {
                run.drop_rule(known);
            }
            members
        })?;
        if let Some(tag) = run.misfits(&self.source) {
            members.iter_mut().filter(|member| member.key == "metadata").for_each(|metadata| {
                metadata.value = with_tag(metadata.value, tag, arena);
            });
        }
        members.extend(run.observables().map(|all| Member::new("observables", all)));
        let taken = arena.alloc_slice_fill_copy(slots.len(), false);
        for slot in &run.taken {
            taken[*slot] = true;
        }
        let taken = Taken { slots: taken, held: run.held.iter().copied().collect(), doubled };
        let rest = self.source.rest(&event.body, &taken, arena);
        members.extend(rest.map(|rest| Member::new("unmapped", as_object(rest, arena))));
        Some(Value::Object(members.into_bump_slice()))
    }
}

/// `metadata` with one more tag, after those it has.
fn with_tag<'a>(metadata: Value<'a>, tag: Value<'a>, arena: &'a Arena) -> Value<'a> {
    let known = metadata.as_object().unwrap_or_default();
    let tags = metadata.get("tags").and_then(|tags| tags.as_array()).unwrap_or_default();
    let mut all = ArenaVec::with_capacity_in(tags.len() + 1, arena);
    all.extend_from_slice(tags);
    all.push(tag);
    let mut members = ArenaVec::with_capacity_in(known.len() + 1, arena);
    members.extend(known.iter().copied().filter(|member| member.key != "tags"));
    members.push(Member::new("tags", Value::Array(all.into_bump_slice())));
    Value::Object(members.into_bump_slice())
}

impl fmt::Debug for Map {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Map of {} rules", self.rules.len())
    }
}

/// A record that is no object is a member of one.
fn as_object<'a>(rest: Value<'a>, arena: &'a Arena) -> Value<'a> {
    match rest {
        Value::Object(_) => rest,
        other => Value::Object(std::slice::from_ref(arena.alloc(Member::new("record", other)))),
    }
}

impl Rule {
    pub(super) fn holds(&self, slots: &[&Value]) -> bool {
        let all = |set: &Vec<(usize, Condition)>| set.iter().all(|(slot, condition)| condition.holds(*slots[*slot]));
        self.conditions.is_empty() || self.conditions.iter().any(all)
    }
}

struct Loader<'l> {
    node: &'l document::Node,
    identity: &'l Identity,
    critic: Critic<'l>,
    profiles: Vec<&'static str>,
    source: Source,
}

impl<'l> Loader<'l> {
    fn new(node: &'l document::Node, identity: &'l Identity, problems: &'l Problems) -> Self {
        let critic = Critic { problems, silent: false };
        Self { node, identity, critic, profiles: Vec::new(), source: Source::default() }
    }

    fn load(mut self) -> Option<Map> {
        self.critic.keys(self.node, &[&LAYER[..], &OF_TABLE[..]].concat());
        self.profiles = self.profiles();
        let product = self.product();
        let base = self.class_of(self.node)?;
        let product = product?;
        let whens = self.node.get("when").and_then(document::Node::as_array).unwrap_or_default();
        if let Some(when) = self.node.get("when").filter(|when| when.as_array().is_none()) {
            self.critic.error(&when.head(), "expected a list of rules", Some("write `[[ocsf.when]]`".to_owned()));
        }
        let mut rules: Vec<_> = whens.iter().map(|when| self.rule(when, base, product)).collect();
        self.check_reached(whens, &rules);
        let last = self.event(self.node, None, base, product);
        if let Some(shape) = &last {
            self.check_certain(shape, base);
        }
        rules.push(last.map(|event| Rule { conditions: Vec::new(), event, name: RuleName::default() }));
        Some(Map { rules: rules.into_iter().collect::<Option<_>>()?, source: self.source })
    }

    fn profiles(&self) -> Vec<&'static str> {
        let Some(node) = self.node.get("profiles") else { return Vec::new() };
        let Some(names) = node.as_array() else {
            self.critic.error(&node.place(), format!("expected a list of profiles, found {}", node.kind()), None);
            return Vec::new();
        };
        let known = &schema().profiles;
        let profile = |node: &document::Node| {
            let name = node.as_str().unwrap_or_default();
            let profile = known.iter().find(|profile| **profile == name);
            if profile.is_none() {
                let message = format!("OCSF has no profile `{name}`");
                self.critic.error(&node.place(), message, Some(suggest(name, known, "profiles")));
            }
            profile.copied()
        };
        names.iter().filter_map(profile).collect()
    }

    fn product(&self) -> Option<&'l str> {
        let Some(node) = self.node.get("product") else {
            let hint = "say `product = …`, the name of what the vendor sells".to_owned();
            self.critic.error(&self.node.head(), "missing key `product`", Some(hint));
            return None;
        };
        let product = node.as_str().filter(|product| !product.is_empty());
        if product.is_none() {
            self.critic.error(&node.place(), "expected the name of a product", None);
        }
        product
    }

    fn class_of(&self, layer: &document::Node) -> Option<&'static Class> {
        let Some(node) = layer.get("class") else {
            self.critic.error(&layer.head(), "missing key `class`", Some("say `class = …`".to_owned()));
            return None;
        };
        let name = node.as_str().unwrap_or_default();
        let class = schema().class(name);
        if class.is_none() {
            let known: Vec<_> = schema().classes.iter().map(|class| class.name).collect();
            let message = format!("there is no class `{name}` for audit logs");
            self.critic.error(&node.place(), message, Some(suggest(name, &known, "classes")));
        }
        class
    }

    fn rule(&mut self, when: &document::Node, base: &'static Class, product: &str) -> Option<Rule> {
        self.critic.keys(when, &[&LAYER[..], &OF_RULE[..]].concat());
        let wanted = when.get("match").map(|node| node.as_array().unwrap_or(std::slice::from_ref(node)));
        let mut conditions = Vec::new();
        for table in wanted.unwrap_or_default() {
            let set = Condition::read_all(table, self.critic).into_iter();
            conditions.push(set.map(|condition| (self.source.slot(&condition.path), condition)).collect());
        }
        let class = if when.get("class").is_some() { self.class_of(when)? } else { base };
        let name = RuleName {
            line: when.head().line(),
            asks: when.get("match").map(Condition::describe_all).unwrap_or_default(),
        };
        Some(Rule { conditions, event: self.event(self.node, Some(when), class, product)?, name })
    }

    /// Behind a rule that every record fits, no other is ever tried.
    fn check_reached(&self, whens: &[document::Node], rules: &[Option<Rule>]) {
        let takes_all = |rule: &Rule| {
            let no_conditions = rule.conditions.is_empty() || rule.conditions.iter().any(Vec::is_empty);
            no_conditions && rule.event.uncertain().next().is_none()
        };
        let first = rules.iter().position(|rule| rule.as_ref().is_some_and(takes_all));
        let Some((at, behind)) = first.map(|at| (at, whens.len() - at - 1)).filter(|(_, behind)| *behind > 0) else {
            return;
        };
        let rest = if behind == 1 { "the rule".to_owned() } else { format!("the {behind} rules") };
        let problem = Problem::warning(format!("every record fits this rule: {rest} after it will never be tried"));
        let problem = problem.hint("say in `match` which records it is for, or put it last");
        self.critic.problems.push(problem.at(&whens[at].head()));
    }

    /// The shape of the events of `class`: what `base` says, and what `over` says instead or beside it.
    fn event(
        &mut self,
        base: &document::Node,
        over: Option<&document::Node>,
        class: &'static Class,
        product: &str,
    ) -> Option<Shape> {
        let top = over.unwrap_or(base);
        let place = top.get("class").map_or_else(|| top.head(), document::Node::place);
        let mut draft = Draft::event(class, &place);
        let inherited = over.map(|_| base);
        self.put_key(&mut draft, class, inherited, top, "activity");
        let text = |text: &'static str| fixed(Constant::Text(Cow::Borrowed(text)));
        let number = |digits: &'static str| fixed(Constant::Number(Cow::Borrowed(digits)));
        draft.fix("category_uid", number(class.category_uid));
        draft.fix("category_name", text(class.category_name));
        draft.fix("class_uid", number(class.uid));
        draft.fix("class_name", text(class.caption));
        self.put_key(&mut draft, class, inherited, top, "severity");
        draft.fix("time", Node::Time);
        self.put_key(&mut draft, class, inherited, top, "status");
        self.put_metadata(draft.required("metadata"), product);
        for (layer, silent) in inherited.map(|layer| (layer, true)).into_iter().chain([(top, false)]) {
            if let Some(map) = layer.get("map") {
                self.compiler(class, silent).put_table(&mut draft, map);
            }
        }
        self.compiler(class, false).close(draft, true)
    }

    /// Puts one of the keys that stand beside the map. A bare text is a word of OCSF.
    fn put_key(
        &mut self,
        draft: &mut Draft,
        class: &'static Class,
        inherited: Option<&document::Node>,
        top: &document::Node,
        key: &str,
    ) {
        let own = top.get(key).map(|node| (node, false));
        let found = own.or_else(|| inherited.and_then(|layer| layer.get(key)).map(|node| (node, true)));
        if let Some((node, silent)) = found {
            let place = node.head();
            let parts = [format!("{key}_id")];
            self.compiler(class, silent).put(draft, &parts, Said { node, place: &place, bare_word: true });
        }
    }

    fn put_metadata(&mut self, metadata: &mut Draft, product: &str) {
        let text = |text: &str| fixed(Constant::Text(Cow::Owned(text.to_owned())));
        let mut slots = |paths: &[crate::event::Path]| paths.iter().map(|path| self.source.slot(path)).collect();
        metadata.fix("version", fixed(Constant::Text(Cow::Borrowed(schema().version))));
        metadata.fix("uid", Node::Id(slots(&self.identity.id)));
        metadata.fix("original_time", Node::OriginalTime(slots(&self.identity.time)));
        metadata.fix("log_name", text(&self.identity.connector));
        if !self.profiles.is_empty() {
            let names = self.profiles.iter().map(|name| Constant::Text(Cow::Borrowed(name)));
            metadata.fix("profiles", fixed(Constant::List(names.collect())));
        }
        let about = metadata.required("product");
        about.fix("name", text(product));
        about.fix("vendor_name", text(&self.identity.vendor));
    }

    fn compiler(&mut self, class: &'static Class, silent: bool) -> Compiler<'_> {
        let critic = Critic { silent, ..self.critic };
        Compiler { class, profiles: &self.profiles, source: &mut self.source, critic }
    }

    /// Without a record that fits no rule, every event is valid: the last rule may not depend on the record.
    fn check_certain(&self, shape: &Shape, class: &Class) {
        let place = self.class_place();
        for set in shape.uncertain() {
            let members = shape.members.iter().enumerate().filter(|(at, _)| set & (1 << at) != 0);
            let names: Vec<_> = members.map(|(_, (name, _))| name.as_ref()).collect();
            let message = format!(
                "class `{}` needs {}, which a record may not have, and there is no other class to choose then",
                class.name,
                said_names(&names)
            );
            let hint = "give what it needs an `otherwise`, or move this class to a `[[ocsf.when]]`";
            self.critic.problems.push(Problem::error(message).at(&place).hint(hint));
        }
    }

    fn class_place(&self) -> Place {
        self.node.get("class").map_or_else(|| self.node.head(), document::Node::place)
    }
}
