//! What is often written in the shape of another tool, and how it is written here.

use crate::document::{Context, Node, Problem};

/// Where a value stands in a step, whether it has the shape it needs, and how to write it.
type Shape = (&'static str, &'static str, fn(&Node) -> bool, &'static str);

const SHAPES: [Shape; 10] = [
    (
        "filter",
        "",
        is_table,
        "write `filter = { keep = { PATH = \"login\" } }`, or `drop`; PATH says where the word stands",
    ),
    ("redact", "", is_table, "write `redact = { emails = \"mask\", ips = \"mask\" }`: what becomes of what"),
    ("remap", "", is_table, "write `remap = { source = \'\'\'…\'\'\' }`, or `remap = { file = \"PATH\" }`"),
    ("enrich", "", is_table, "write `enrich = { labels = [\"prod\"] }`, or `lookup`, `geoip` and the like"),
    ("sample", "", is_table, "write `sample = { keep = \"10%\" }`"),
    ("dedupe", "", is_table, "write `dedupe = { by = [\"PATH\"], within = \"5m\" }`"),
    ("route", "", is_table, "write `[transform.route]`, and below it `rules = [{ match = { … }, to = [\"NAME\"] }]`"),
    ("sample", "keep", is_text, "a share is a text with its sign: `\"10%\"`"),
    ("dedupe", "within", is_text, "a span is a text with its unit: `\"5m\"`"),
    ("route", "rules", is_list, "rules are a list, of one too: `rules = [{ match = { … }, to = [\"NAME\"] }]`"),
];

/// Whether a step is written in another shape than it needs. Tells how to write it.
pub fn is_mistaken(step: &Node, context: &Context<'_>) -> bool {
    let value = |kind: &str, key: &str| match step.get(kind)? {
        kind if key.is_empty() => Some(kind),
        kind => kind.get(key),
    };
    let mistaken = SHAPES.iter().find_map(|(kind, key, has_shape, hint)| {
        let value = value(kind, key).filter(|value| !has_shape(value))?;
        Some((value, if key.is_empty() { kind } else { key }, hint))
    });
    let Some((value, name, hint)) = mistaken else { return false };
    let problem = Problem::error(format!("`{name}` cannot be {}", value.kind())).at(&value.place());
    context.problems.push(problem.hint(*hint));
    true
}

fn is_table(node: &Node) -> bool {
    node.as_table().is_some()
}

fn is_text(node: &Node) -> bool {
    node.as_str().is_some()
}

fn is_list(node: &Node) -> bool {
    node.as_array().is_some()
}
