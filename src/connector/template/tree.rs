//! JSON with templates in it: the body of a request, whose tables and lists may nest.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value as Json};

use super::Template;
use crate::document::{Place, Spanned};

/// A value of a JSON body.
#[derive(Clone, Debug)]
pub enum Tree {
    /// A text, with variables or without.
    Text(Template),
    /// A number or a boolean, as it was written.
    Constant(Json),
    /// A list.
    List(Vec<Spanned<Tree>>),
    /// A table.
    Table(BTreeMap<String, Spanned<Tree>>),
}

impl Tree {
    /// Fills in. `None` when it is a template without a value, or when nothing is left of what was written into it: the
    /// caller leaves it out.
    pub fn fill(&self, lookup: &dyn Fn(&str) -> Option<Json>) -> Option<Json> {
        match self {
            Tree::Text(template) => template.fill(lookup),
            Tree::Constant(value) => Some(value.clone()),
            Tree::List(items) => {
                let filled: Vec<Json> = items.iter().filter_map(|item| item.fill(lookup)).collect();
                (items.is_empty() || !filled.is_empty()).then_some(Json::Array(filled))
            }
            Tree::Table(members) => {
                let filled = fill_members(members, lookup);
                (members.is_empty() || !filled.is_empty()).then_some(Json::Object(filled))
            }
        }
    }

    /// Adds every template in it, and where it stands. `place` is the tree's own.
    pub fn templates<'t>(&'t self, place: &'t Place, found: &mut Vec<(&'t Template, &'t Place)>) {
        match self {
            Tree::Text(template) => found.push((template, place)),
            Tree::Constant(_) => {}
            Tree::List(items) => items.iter().for_each(|item| item.value.templates(&item.place, found)),
            Tree::Table(members) => members.values().for_each(|member| member.value.templates(&member.place, found)),
        }
    }
}

/// Fills in the members of a table, leaving out those without a value.
pub fn fill_members<'t, K: Borrow<str> + 't>(
    members: impl IntoIterator<Item = (&'t K, &'t Spanned<Tree>)>,
    lookup: &dyn Fn(&str) -> Option<Json>,
) -> Map<String, Json> {
    let filled = |(name, tree): (&K, &Spanned<Tree>)| Some((name.borrow().to_owned(), tree.fill(lookup)?));
    members.into_iter().filter_map(filled).collect()
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a text, a number, a boolean, a list or a table")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Tree, E> {
        text.parse().map(Tree::Text).map_err(E::custom)
    }

    fn visit_i64<E>(self, number: i64) -> Result<Tree, E> {
        Ok(Tree::Constant(number.into()))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Tree, E> {
        let number = serde_json::Number::from_f64(number).ok_or_else(|| E::custom("JSON has no such number"))?;
        Ok(Tree::Constant(number.into()))
    }

    fn visit_bool<E>(self, yes: bool) -> Result<Tree, E> {
        Ok(Tree::Constant(yes.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Tree, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Tree::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Tree, A::Error> {
        let mut table = BTreeMap::new();
        while let Some((name, member)) = members.next_entry()? {
            table.insert(name, member);
        }
        Ok(Tree::Table(table))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::document::{Context, Document, Problems};

    fn members(text: &str) -> BTreeMap<String, Spanned<Tree>> {
        let problems = Problems::new();
        let document = Document::parse("body.toml", text, &problems).unwrap();
        document.decode(&Context::new(&problems)).unwrap_or_else(|| panic!("{problems}"))
    }

    fn filled(text: &str) -> Json {
        let lookup = |name: &str| (name == "size").then(|| json!(100));
        Json::Object(fill_members(&members(text), &lookup))
    }

    #[test]
    fn what_has_no_value_is_left_out_with_what_is_empty_without_it() {
        let body = filled(
            r#"
            limit = "{size}"
            text = "n={size}"
            deep.er.cursor = "{cursor}"
            deep.er.list = ["{cursor}", ["{cursor}"]]
            filter = { from = "{cursor}", limit = "{size}", tags = ["a", "{cursor}", { size = "{size}" }] }
            none = []
            nothing = {}
            "#,
        );
        let expected = json!({
            "limit": 100,
            "text": "n=100",
            "filter": { "limit": 100, "tags": ["a", { "size": 100 }] },
            "none": [],
            "nothing": {},
        });
        assert_eq!(body, expected);
    }

    #[test]
    fn a_broken_template_is_told_at_its_place() {
        let problems = Problems::new();
        let document = Document::parse("body.toml", "a.b = [1, \"{\"]\n", &problems).unwrap();
        assert!(document.decode::<BTreeMap<String, Spanned<Tree>>>(&Context::new(&problems)).is_none());
        let expected = "error: a brace is not closed or not opened in `{`\n --> body.toml:1:11\n";
        assert!(problems.to_string().starts_with(expected), "{problems}");
    }

    fn any_body() -> impl Strategy<Value = Json> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Json::from),
            any::<i64>().prop_map(Json::from),
            "[a-z ]{0,8}".prop_map(Json::from)
        ];
        leaf.prop_recursive(3, 32, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
                proptest::collection::btree_map("[a-z]{1,6}", inner, 0..4)
                    .prop_map(|map| Json::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_has_no_variables_is_sent_as_it_was_written(body in any_body()) {
            let written = toml::to_string(&json!({ "body": body })).unwrap();
            prop_assert_eq!(filled(&written), json!({ "body": body }));
        }
    }
}
