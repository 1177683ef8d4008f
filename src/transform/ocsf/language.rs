//! What a map says, before it is known what it says it about: expressions, conditions, constants.

use std::borrow::Cow;

use super::scalar::Scalar;
use super::shape::Constant;
use super::words::{Pattern, Words};
use crate::document::{Node, Place, Problem, Problems, did_you_mean};
use crate::event::{Path, Value};

/// Where mistakes go, unless somebody else has reported them already.
#[derive(Clone, Copy)]
pub struct Critic<'p> {
    /// All there are.
    pub problems: &'p Problems,
    /// Whether to keep silent.
    pub silent: bool,
}

impl Critic<'_> {
    /// Reports a mistake.
    pub fn error(&self, place: &Place, message: impl Into<String>, hint: Option<String>) {
        if self.silent {
            return;
        }
        let problem = Problem::error(message).at(place);
        self.problems.push(match hint {
            Some(hint) => problem.hint(hint),
            None => problem,
        });
    }

    /// Reports the keys of `table` that are not in `known`, and a table that is none. Says whether all is well.
    pub fn keys(&self, table: &Node, known: &[&str]) -> bool {
        let Some(entries) = table.as_table() else {
            self.error(&table.place(), format!("expected a table, found {}", table.kind()), None);
            return false;
        };
        let mut unknown = entries.filter(|(name, _)| !known.contains(&name.as_str())).peekable();
        let is_well = unknown.peek().is_none();
        for (name, _) in unknown {
            self.error(&name.place, format!("unknown key `{}`", name.value), Some(suggest(name, known, "keys")));
        }
        is_well
    }
}

/// A hint that names what would have been right.
#[must_use]
pub fn suggest(word: &str, known: &[&str], noun: &str) -> String {
    match did_you_mean(word, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => {
            format!("known {noun}: {}", known.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "))
        }
    }
}

/// Where a value comes from.
#[derive(Debug, Default)]
pub struct Expression {
    /// The paths in the vendor's record, the best first.
    pub from: Vec<Path>,
    /// What the vendor's words mean.
    pub values: Vec<(Pattern, Node)>,
    /// What it is if the record has none of it.
    pub otherwise: Option<Node>,
    /// What it always is.
    pub value: Option<Node>,
}

impl Expression {
    /// Reads one. A bare text is a path, or with `bare_word` the value itself.
    pub fn read(node: &Node, bare_word: bool, critic: Critic) -> Option<Self> {
        if bare_word && node.as_table().is_none() {
            return Some(Self { value: Some(node.clone()), ..Self::default() });
        }
        if node.as_str().is_some() || node.as_array().is_some() {
            return Some(Self { from: paths(node, critic)?, ..Self::default() });
        }
        if node.as_table().is_none() {
            let message = format!("expected a path in the vendor's record, found {}", node.kind());
            critic.error(&node.place(), message, Some("a constant is written `{ value = … }`".to_owned()));
            return None;
        }
        Self::of_table(node, critic)
    }

    /// Reads what stands beside `each`: where an item has the value, the item itself if it does not say.
    pub fn of_item(node: &Node, critic: Critic) -> Option<Self> {
        let from = match node.get("from") {
            Some(from) => paths(from, critic)?,
            None => Vec::new(),
        };
        Some(Self { from, values: meanings(node, critic)?, ..Self::default() })
    }

    fn of_table(node: &Node, critic: Critic) -> Option<Self> {
        if !critic.keys(node, &["from", "values", "otherwise", "value"]) {
            return None;
        }
        let mut expression =
            Self { value: node.get("value").cloned(), otherwise: node.get("otherwise").cloned(), ..Self::default() };
        match node.get("from") {
            Some(from) if expression.value.is_none() => expression.from = paths(from, critic)?,
            None if expression.value.is_some() => {}
            _ => {
                critic.error(&node.head(), "expected either `from` or `value`", None);
                return None;
            }
        }
        if expression.value.is_some() && (node.get("values").is_some() || expression.otherwise.is_some()) {
            critic.error(&node.head(), "a constant has no `values` and no `otherwise`", None);
        }
        expression.values = meanings(node, critic)?;
        Some(expression)
    }
}

/// What the words under `values` mean.
fn meanings(node: &Node, critic: Critic) -> Option<Vec<(Pattern, Node)>> {
    let Some(values) = node.get("values") else { return Some(Vec::new()) };
    let Some(entries) = values.as_table() else {
        critic.error(&values.place(), format!("expected a table, found {}", values.kind()), None);
        return None;
    };
    entries.map(|(word, meaning)| Some((pattern(word, &word.place, critic)?, meaning.clone()))).collect()
}

fn paths(node: &Node, critic: Critic) -> Option<Vec<Path>> {
    let nodes = node.as_array().unwrap_or(std::slice::from_ref(node));
    if nodes.is_empty() {
        critic.error(&node.place(), "there is no path in this list", None);
    }
    let paths: Vec<_> = nodes.iter().filter_map(|node| path(node, critic)).collect();
    (!paths.is_empty() && paths.len() == nodes.len()).then_some(paths)
}

/// Reads a path in the vendor's record.
pub fn path(node: &Node, critic: Critic) -> Option<Path> {
    let Some(text) = node.as_str() else {
        critic.error(&node.place(), format!("expected a path, found {}", node.kind()), None);
        return None;
    };
    let path = text.parse::<Path>();
    path.map_err(|error| critic.error(&node.place(), error.to_string(), None)).ok()
}

fn pattern(text: &str, place: &Place, critic: Critic) -> Option<Pattern> {
    let pattern = Pattern::read(text);
    if pattern.is_none() {
        critic.error(place, format!("`{text}` has a `*` that is neither its first nor its last character"), None);
    }
    pattern
}

/// What a record must be like for a rule to apply.
#[derive(Debug)]
pub struct Condition {
    /// What is looked at.
    pub path: Path,
    test: Test,
}

#[derive(Debug)]
enum Test {
    OneOf(Words<()>),
    NoneOf(Words<()>),
    Exists(bool),
}

impl Condition {
    /// Whether it holds for what stands at the path.
    #[must_use]
    pub fn holds(&self, value: Value) -> bool {
        let is_one_of = |words: &Words<()>| super::scalar::word(value).is_some_and(|word| words.get(word).is_some());
        match &self.test {
            Test::OneOf(words) => is_one_of(words),
            Test::NoneOf(words) => !is_one_of(words),
            Test::Exists(wanted) => *wanted != value.is_empty(),
        }
    }

    /// Reads a `match` table, in which a dotted key may be quoted or not.
    pub fn read_all(table: &Node, critic: Critic) -> Vec<Self> {
        let mut conditions = Vec::new();
        match table.as_table() {
            Some(_) => Self::collect(table, "", critic, &mut conditions),
            None => critic.error(&table.place(), format!("expected a table, found {}", table.kind()), None),
        }
        conditions
    }

    fn collect(table: &Node, above: &str, critic: Critic, out: &mut Vec<Self>) {
        for (key, node) in table.as_table().into_iter().flatten() {
            let text = if above.is_empty() { key.value.clone() } else { format!("{above}.{}", key.value) };
            // A key that is nearly the name of a test was probably meant to be one.
            let mut keys = node.as_table().into_iter().flatten();
            let is_test = keys.any(|(key, _)| did_you_mean(key, ["exists", "not"]).is_some());
            if node.as_table().is_some() && !is_test {
                Self::collect(node, &text, critic, out);
                continue;
            }
            match text.parse() {
                Ok(path) => out.extend(Test::read(node, critic).map(|test| Self { path, test })),
                Err(error) => critic.error(&key.place, error.to_string(), None),
            }
        }
    }
}

impl Test {
    fn read(node: &Node, critic: Critic) -> Option<Self> {
        if node.as_table().is_none() {
            return words(node, critic).map(Self::OneOf);
        }
        match (node.get("exists"), node.get("not")) {
            (Some(exists), None) if exists.as_bool().is_some() => exists.as_bool().map(Self::Exists),
            (None, Some(not)) => words(not, critic).map(Self::NoneOf),
            _ => {
                critic.error(&node.head(), "expected `{ exists = true }`, `{ exists = false }` or `{ not = … }`", None);
                None
            }
        }
    }
}

fn words(node: &Node, critic: Critic) -> Option<Words<()>> {
    let nodes = node.as_array().unwrap_or(std::slice::from_ref(node));
    let mut entries = Vec::new();
    for node in nodes {
        let text = match (node.as_str(), node.as_integer(), node.as_bool()) {
            (Some(text), _, _) => text.to_owned(),
            (_, Some(number), _) => number.to_string(),
            (_, _, Some(flag)) => flag.to_string(),
            _ => {
                critic.error(&node.place(), format!("expected a word or a list of words, found {}", node.kind()), None);
                return None;
            }
        };
        entries.push((pattern(&text, &node.place(), critic)?, ()));
    }
    Some(Words::new(entries))
}

/// A constant of that type.
pub fn constant(node: &Node, scalar: Scalar, list: bool, critic: Critic) -> Option<Constant> {
    if let Some(nodes) = node.as_array().filter(|nodes| !nodes.is_empty())
        && (list || scalar == Scalar::Json)
    {
        return nodes
            .iter()
            .map(|node| constant(node, scalar, false, critic))
            .collect::<Option<_>>()
            .map(Constant::List);
    }
    let text = |text: String| Constant::Text(Cow::Owned(text));
    let number = |digits: String| Constant::Number(Cow::Owned(digits));
    let integer = node.as_integer();
    let known = match scalar {
        Scalar::Boolean => node.as_bool().map(Constant::Bool),
        Scalar::Integer => integer.map(|n| number(n.to_string())),
        Scalar::Port => integer.filter(|n| u16::try_from(*n).is_ok()).map(|n| number(n.to_string())),
        Scalar::Float => node.as_float().filter(|n| n.is_finite()).map(|n| number(n.to_string())),
        Scalar::Timestamp => {
            let written = node.as_datetime().map(ToString::to_string);
            let time = written.and_then(|written| crate::event::time::from_text(&written));
            time.map(|time| number(time.timestamp_millis().to_string()))
        }
        Scalar::Json => match (node.as_str(), integer, node.as_bool()) {
            (Some(word), _, _) => Some(text(word.to_owned())),
            (_, Some(n), _) => Some(number(n.to_string())),
            (_, _, flag) => flag.map(Constant::Bool),
        },
        _ => node.as_str().filter(|text| !text.is_empty() && scalar.takes(text)).map(|word| text(word.to_owned())),
    };
    let Some(known) = known else {
        let found = node.as_str().map_or(node.kind().to_owned(), |text| format!("`{text}`"));
        critic.error(&node.place(), format!("expected {}, found {found}", scalar.describe()), None);
        return None;
    };
    Some(if list { Constant::List(vec![known]) } else { known })
}
