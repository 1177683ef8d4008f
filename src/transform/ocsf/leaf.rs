//! From what a map says of a single value to how it is made.

use super::compile::{Compiler, Said};
use super::language::{Expression, constant};
use super::run::Spot;
use super::scalar::Scalar;
use super::schema::{Attribute, Fields, Word, schema};
use super::shape::{Choice, Constant, Leaf, Node};
use crate::document;
use crate::transform::condition::{Words, suggest};

impl Compiler<'_> {
    pub(super) fn single(
        &mut self,
        fields: &Fields,
        attribute: &'static Attribute,
        scalar: Scalar,
        spot: Spot,
        said: Said,
    ) -> Option<Node> {
        match schema().words(attribute) {
            None => self.leaf(scalar, attribute.list, spot, said),
            Some(known) if !attribute.list => self.choice(fields, attribute, known, scalar, spot, said),
            Some(_) => {
                self.critic.error(said.place, format!("`{}` is a list of enum numbers", attribute.name), None);
                None
            }
        }
    }

    pub(super) fn leaf(&mut self, scalar: Scalar, list: bool, spot: Spot, said: Said) -> Option<Node> {
        let expression = Expression::read(said.node, said.bare_word, self.critic)?;
        self.leaf_of(expression, scalar, list, spot)
    }

    pub(super) fn leaf_of(&mut self, expression: Expression, scalar: Scalar, list: bool, spot: Spot) -> Option<Node> {
        let mut values = Vec::new();
        for (pattern, node) in expression.values {
            values.push((pattern, constant(&node, scalar, false, self.critic)?));
        }
        let fixed = expression.value.or(expression.otherwise);
        let otherwise = match fixed {
            Some(node) => Some(constant(&node, scalar, list, self.critic)?),
            None => None,
        };
        let slots = expression.from.iter().map(|path| self.source.slot(path)).collect();
        let values = Words::new(values);
        let (objects_only, keeps_empty) = (false, false);
        Some(Node::Leaf(Leaf { spot, slots, values, otherwise, scalar, list, objects_only, keeps_empty }))
    }

    fn choice(
        &mut self,
        fields: &Fields,
        attribute: &'static Attribute,
        known: &'static [Word],
        scalar: Scalar,
        spot: Spot,
        said: Said,
    ) -> Option<Node> {
        let expression = Expression::read(said.node, said.bare_word, self.critic)?;
        // An inherited word that the class of a rule lacks is left out; all others were reported.
        let meaning = |(pattern, node)| Some((pattern, self.known_word(attribute, known, &node)?));
        let values = expression.values.into_iter().filter_map(meaning).collect();
        let unknown = known.iter().position(|word| word.key == "0" && word.caption == "Unknown");
        let otherwise = match expression.value.or(expression.otherwise) {
            Some(node) => Some(self.known_word(attribute, known, &node)?),
            None => unknown,
        };
        let types = (attribute.name == "activity_id").then(|| fields.get("type_uid").and_then(|a| schema().words(a)));
        Some(Node::Choice(Choice {
            spot,
            slots: expression.from.iter().map(|path| self.source.slot(path)).collect(),
            values: Words::new(values),
            otherwise,
            other: known.iter().position(|word| word.key == "99"),
            known,
            textual: scalar == Scalar::Text,
            sibling: attribute.sibling,
            types: types.flatten().unwrap_or_default(),
        }))
    }

    /// The place of an enum's word that the map gives by caption or by number.
    fn known_word(&self, attribute: &Attribute, known: &[Word], node: &document::Node) -> Option<usize> {
        let number = node.as_integer().map(|number| number.to_string());
        let Some(text) = node.as_str().or(number.as_deref()) else {
            let message = format!("expected a word of `{}`, found {}", attribute.name, node.kind());
            self.critic.error(&node.place(), message, None);
            return None;
        };
        let at = known.iter().position(|word| word.caption.eq_ignore_ascii_case(text) || word.key == text);
        if at.is_none() {
            let captions: Vec<_> = known.iter().map(|word| word.caption).collect();
            let message = format!("`{}` of class `{}` has no `{text}`", attribute.name, self.class.name);
            self.critic.error(&node.place(), message, Some(suggest(text, &captions, "words")));
        }
        at
    }
}

/// A constant text or number of OCSF's own.
pub fn fixed(constant: Constant) -> Node {
    let scalar = if matches!(constant, Constant::Number(_)) { Scalar::Integer } else { Scalar::Text };
    Node::Leaf(Leaf {
        spot: Spot::default(),
        slots: Vec::new(),
        values: Words::default(),
        otherwise: Some(constant),
        scalar,
        list: false,
        objects_only: false,
        keeps_empty: false,
    })
}
