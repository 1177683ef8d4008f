//! What a map says, before it is known what it says it about: expressions and constants.

use std::borrow::Cow;

use super::scalar::Scalar;
use super::shape::Constant;
use crate::document::Node;
use crate::event::Path;
use crate::transform::condition::{Critic, Pattern};

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
    entries.map(|(word, meaning)| Some((Pattern::understand(word, &word.place, critic)?, meaning.clone()))).collect()
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
