//! From a draft to a shape, once all is said: what its class requires has to be there.

use super::compile::{Compiler, said_names};
use super::draft::{Draft, Part, reads};
use super::schema::Attribute;
use super::shape::{Node, Shape};
use crate::transform::condition::Critic;

impl Compiler<'_> {
    /// Closes a draft. `None` if an object of it can never be there; that was reported unless it is inherited.
    pub fn close(&self, mut draft: Draft, eager: bool) -> Option<Shape> {
        let mut shape = Shape { spot: std::mem::take(&mut draft.spot), eager, ..Shape::default() };
        for (name, part) in draft.members {
            let required = draft.fields.and_then(|f| f.get(&name)).is_some_and(|attribute| attribute.required);
            let inherited = part.is_inherited();
            match self.close_part(part, eager && required) {
                Some(node) => {
                    shape.width += 1 + captions(&node);
                    shape.members.push((name, node));
                }
                None if inherited => {}
                None => draft.failed.push(name.into_owned()),
            }
        }
        let critic = Critic { silent: draft.inherited, ..self.critic };
        if shape.members.len() > 128 {
            critic.error(&draft.place, format!("`{}` has more than 128 members", draft.path), None);
            return None;
        }
        let Some(fields) = draft.fields else { return Some(shape) };
        let owner =
            if draft.path.is_empty() { format!("class `{}`", self.class.name) } else { format!("`{}`", draft.path) };
        let set = |names: &[&str]| {
            let members = shape.members.iter().enumerate().filter(|(_, (key, _))| names.contains(&key.as_ref()));
            members.fold(0_u128, |set, (at, _)| set | 1 << at)
        };
        let is_needed = |attribute: &&Attribute| attribute.required && attribute.exists_with(self.profiles);
        // The type comes with the activity, so that it need not be said.
        let required = fields.attributes.iter().filter(is_needed).filter(|attribute| attribute.name != "type_uid");
        let required = required.map(|attribute| vec![attribute.name]);
        let needs: Vec<_> =
            required.chain(fields.at_least_one.iter().cloned()).map(|names| (set(&names), names)).collect();
        let just_one: Vec<_> = fields.just_one.iter().map(|names| (set(names), names.clone())).collect();
        // Whoever tried and failed has been told why. In a small object a misspelt name was probably the one it needs.
        let was_tried = |name: &&str| draft.failed.iter().any(|failed| failed == name);
        let is_excused = |names: &[&str]| match draft.path.is_empty() {
            true => names.iter().any(&was_tried),
            false => !draft.failed.is_empty(),
        };
        for (_, names) in needs.iter().chain(&just_one).filter(|(set, names)| *set == 0 && !is_excused(names)) {
            let of = if names.len() > 1 { "one of " } else { "" };
            critic.error(&draft.place, format!("{owner} needs {of}{}", said_names(names)), None);
        }
        let is_possible = needs.iter().chain(&just_one).all(|(set, _)| *set != 0);
        shape.needs = needs.into_iter().map(|(set, _)| set).collect();
        shape.just_one = just_one.into_iter().map(|(set, _)| set).collect();
        is_possible.then_some(shape)
    }

    fn close_part(&self, part: Part, eager: bool) -> Option<Node> {
        match part {
            Part::Single { node, .. } => Some(node),
            Part::Items(items) => self.close_items(*items),
            Part::Object(draft) => {
                // What consists of constants alone waits for nothing in the record.
                let eager = eager || !reads(&draft);
                self.close(draft, eager).map(Node::Object)
            }
            Part::List(mut items) => {
                items.sort_by_key(|(at, _)| *at);
                let nodes: Vec<_> = items.into_iter().filter_map(|(_, part)| self.close_part(part, eager)).collect();
                (!nodes.is_empty()).then_some(Node::List(nodes))
            }
        }
    }
}

/// How many members a node adds beside its own.
fn captions(node: &Node) -> usize {
    match node {
        Node::Choice(choice) => usize::from(choice.sibling.is_some()) + if choice.types.is_empty() { 0 } else { 2 },
        _ => 0,
    }
}
