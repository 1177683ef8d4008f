//! Fields with an action of their own, by path: `actor.user.name`, `unmapped.raw.*`.
//!
//! A path is that of a map (`changes.0.field`, `'"key with.dots".id'`); `*` is every member of an object and every item of
//! a list. Where two paths lead to one field, a name goes before `*`, from the left. What is below a field that is kept
//! may have a path of its own; what is below any other goes with it.

use super::key::Key;
use super::policy::{FieldAction, PolicyError, TextAction, Treatment};
use crate::event::Path;

/// The part of a path that any name and any index is.
const ANY: &str = "*";

/// What becomes of which fields, as a tree of paths.
#[derive(Debug, Clone, Default)]
pub struct Fields {
    paths: Vec<(Path, FieldAction)>,
}

impl Fields {
    /// No field has an action of its own.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    /// Gives the field at `path` an action.
    pub fn add(&mut self, path: Path, action: FieldAction) {
        self.paths.push((path, action));
    }

    /// Whether some field is to hold less than the vendor said.
    pub(super) fn hide_something(&self) -> bool {
        self.paths.iter().any(|(_, action)| *action != FieldAction::Keep)
    }

    pub(super) fn compile(&self, key: Option<&Key>) -> Result<Tree, PolicyError> {
        let mut root = Tree::default();
        for (path, action) in &self.paths {
            let text = match action {
                FieldAction::Mask => Some(TextAction::Mask),
                FieldAction::Remove => Some(TextAction::Remove),
                FieldAction::Pseudonym => Some(TextAction::Pseudonym),
                FieldAction::Encrypt => Some(TextAction::Encrypt),
                FieldAction::Keep => None,
            };
            let treatment = text.map(|text| Treatment::new(text, &path.to_string(), key)).transpose()?;
            let node = path.parts().iter().fold(&mut root, |node, part| node.child(part));
            node.action = Some(treatment.map_or(FieldTreatment::Keep, FieldTreatment::Change));
        }
        Ok(root)
    }
}

/// What becomes of a field.
#[derive(Debug, Clone)]
pub(super) enum FieldTreatment {
    Keep,
    Change(Treatment),
}

/// The paths from some field on.
#[derive(Debug, Clone, Default)]
pub(super) struct Tree {
    pub(super) action: Option<FieldTreatment>,
    members: Vec<(String, Tree)>,
    any: Option<Box<Tree>>,
}

impl Tree {
    fn child(&mut self, part: &str) -> &mut Tree {
        if part == ANY {
            return self.any.get_or_insert_default();
        }
        let at = self.members.iter().position(|(name, _)| name == part).unwrap_or_else(|| {
            self.members.push((part.to_owned(), Tree::default()));
            self.members.len() - 1
        });
        &mut self.members[at].1
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty() && self.any.is_none()
    }

    /// Takes over what another says, but for what is said here already; what is kept here is hidden where `hides_more`.
    /// Nobody can tell the places of items in a list of which some are gone: each is any.
    fn take(&mut self, other: &Tree, hides_more: bool) {
        let goes_first = match (&self.action, &other.action) {
            (None, _) => true,
            (Some(FieldTreatment::Keep), Some(FieldTreatment::Change(_))) => hides_more,
            _ => false,
        };
        if goes_first {
            self.action.clone_from(&other.action);
        }
        for (name, tree) in &other.members {
            self.child(if is_place(name) { ANY } else { name }).take(tree, hides_more);
        }
        if let Some(tree) = &other.any {
            self.child(ANY).take(tree, hides_more);
        }
    }

    /// The first that hides something here or below.
    fn first(&self) -> Option<&Treatment> {
        if let Some(FieldTreatment::Change(treatment)) = &self.action {
            return Some(treatment);
        }
        self.members.iter().map(|(_, tree)| tree).chain(self.any.as_deref()).find_map(Self::first)
    }

    fn named(&self, part: &str) -> Option<&Tree> {
        self.members.iter().find(|(name, _)| name == part).map(|(_, tree)| tree)
    }
}

/// Where the walk through an event is in the tree of paths: at several places, the one that goes first first.
#[derive(Clone, Default)]
pub(super) struct Here<'t>(Vec<&'t Tree>);

impl<'t> Here<'t> {
    pub(super) fn at(tree: &'t Tree) -> Self {
        Self(if tree.is_empty() { Vec::new() } else { vec![tree] })
    }

    /// No path goes on from here.
    pub(super) fn is_nowhere(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn below(&self, part: &str) -> Self {
        let mut below = Vec::new();
        for tree in &self.0 {
            below.extend(tree.named(part));
            below.extend(tree.any.as_deref());
        }
        Self(below)
    }

    /// Where any item of a list leads.
    pub(super) fn below_each(&self) -> Self {
        let places = |tree: &'t Tree| tree.members.iter().filter(|(name, _)| is_place(name)).map(|(_, tree)| tree);
        Self(self.0.iter().flat_map(|tree| places(tree).chain(tree.any.as_deref())).collect())
    }

    /// The first that hides something below.
    pub(super) fn first_below(&self) -> Option<&'t Treatment> {
        self.0.iter().find_map(|tree| tree.first())
    }

    /// Has all that is said from here on hold at another place as well, if something is hidden by it.
    pub(super) fn plant(&self, root: &mut Tree, place: &[String]) {
        let mut said = Tree::default();
        self.0.iter().for_each(|tree| said.take(tree, false));
        if said.first().is_some() {
            let node = place.iter().fold(root, |node, part| node.child(if is_place(part) { ANY } else { part }));
            node.take(&said, true);
        }
    }

    pub(super) fn action(&self) -> Option<&'t FieldTreatment> {
        self.0.iter().find_map(|tree| tree.action.as_ref())
    }
}

fn is_place(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(paths: &[(&str, FieldAction)]) -> Tree {
        let mut fields = Fields::default();
        paths.iter().for_each(|(path, action)| fields.add(path.parse().unwrap(), *action));
        fields.compile(None).unwrap()
    }

    fn action(tree: &Tree, path: &str) -> &'static str {
        let here = path.split('.').fold(Here::at(tree), |here, part| here.below(part));
        match here.action() {
            None => "none",
            Some(FieldTreatment::Keep) => "keep",
            Some(FieldTreatment::Change(Treatment::Remove)) => "remove",
            Some(FieldTreatment::Change(_)) => "other",
        }
    }

    #[test]
    fn a_name_goes_before_any() {
        let tree = tree(&[
            ("a.*", FieldAction::Remove),
            ("a.b", FieldAction::Keep),
            ("*.c", FieldAction::Mask),
            ("a.b.*.d", FieldAction::Remove),
            ("list.0", FieldAction::Keep),
        ]);
        for (path, expected) in [
            ("a.x", "remove"),
            ("a.b", "keep"),
            ("a.c", "remove"),
            ("z.c", "other"),
            ("z.d", "none"),
            ("a.b.7.d", "remove"),
            ("a.b.d", "none"),
            ("list.0", "keep"),
            ("list.1", "none"),
        ] {
            assert_eq!(action(&tree, path), expected, "{path}");
        }
    }
}
