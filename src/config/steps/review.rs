//! What the steps say together: paths that no event has, and steps that need what a step before them took away.

use super::hidden::{Chance, Change, Effect, Hidden};
use super::{Written, dedupe, enrich, redact};
use crate::document::{Context, Place, Problem, Spanned};
use crate::event::Path;
use crate::transform::condition::Condition;
use crate::transform::normalize::Form;
use crate::transform::sight::{Content, Sight};
use crate::transform::{ecs, ocsf};

/// What stands at the top of the envelope: what `normalize` puts there, and what `enrich` does.
const ENVELOPE: [&str; 8] = ["id", "time", "vendor", "log", "record", "labels", "fields", "enrichments"];
/// What texts of our own begin with or hold: who asks for one of them knows what stands there.
const STAND_INS: [&str; 4] = [".invalid", "3fff:a", "masked", "0.0.0.0"];

/// What is known of the event at the step that is looked at.
pub struct Review<'c> {
    /// `None`: the vendor's record, as it is.
    form: Option<Form>,
    /// Whether a program has made of the event what it wanted to.
    is_free: bool,
    before: Vec<Hidden>,
    context: &'c Context<'c>,
}

impl<'c> Review<'c> {
    /// At the first step, where the event has that form.
    pub fn new(form: Option<Form>, context: &'c Context<'c>) -> Self {
        Self { form, is_free: false, before: Vec::new(), context }
    }

    /// Looks at a step, and goes on behind it. `form` is that of the pipeline.
    pub fn pass(&mut self, step: &Spanned<Written>, form: Form) {
        match &step.value {
            Written::Normalize(_) => self.form = Some(form),
            Written::Remap(_) => self.is_free = true,
            Written::Redact(redact) => {
                self.redact(redact);
                self.before.push(redact.hidden());
            }
            Written::Enrich(enrich) => self.enrich(enrich),
            Written::Filter(filter) => filter.conditions().for_each(|node| self.conditions(node)),
            Written::Route(route) => route.conditions().for_each(|node| self.conditions(node)),
            Written::Sample(sample) => sample.conditions().for_each(|node| self.conditions(node)),
            Written::Dedupe(dedupe) => {
                dedupe.conditions().for_each(|node| self.conditions(node));
                self.dedupe(dedupe);
            }
        }
    }

    fn look(&self, path: &Path, item: &str) -> Sight {
        match self.form {
            None => Sight::Free,
            Some(Form::Ocsf) => ocsf::paths::look(path, item),
            Some(Form::Ecs) => ecs::paths::look(path),
            Some(Form::None)
                if path.parts().first().is_some_and(|first| first == "*" || ENVELOPE.contains(&first.as_str())) =>
            {
                Sight::Free
            }
            Some(Form::None) => Sight::Nothing { near: Some(format!("record.{path}")) },
        }
    }

    /// What stands at a path that a step reads. That no event has it is told.
    fn seen(&self, path: &Spanned<Path>) -> Content {
        let sight = self.look(path, "0");
        if let Sight::Nothing { near } = &sight
            && !self.is_free
        {
            let problem = Problem::warning(format!("{} `{}`", self.nobody_has(), path.value)).at(&path.place);
            self.context.problems.push(problem.hint(self.meant(near.as_deref())));
        }
        sight.content()
    }

    fn nobody_has(&self) -> &'static str {
        match self.form {
            Some(Form::Ecs) => "no ECS event has",
            Some(Form::None) => "the envelope has no",
            _ => "no OCSF event has",
        }
    }

    fn meant(&self, near: Option<&str>) -> String {
        match (near, self.form) {
            (Some(near), _) => format!("did you mean `{near}`?"),
            (None, Some(Form::Ecs)) => "what ECS has no place for is below `auditline`".to_owned(),
            (None, _) => {
                "what the vendor has and OCSF has not is below `unmapped`; `auditline preview` shows events".to_owned()
            }
        }
    }

    /// A field that is never there hides nothing, and the one that was meant goes on in clear.
    fn redact(&self, redact: &redact::Written) {
        for (path, hides) in redact.paths() {
            let Sight::Nothing { near } = self.look(&path, "*") else { continue };
            if self.is_free {
                continue;
            }
            let message = format!("{} `{}`", self.nobody_has(), path.value);
            let problem = match hides {
                true => Problem::error(message + ", so this would hide nothing"),
                false => Problem::warning(message),
            };
            self.context.problems.push(problem.at(&path.place).hint(self.meant(near.as_deref())));
        }
    }

    fn conditions(&self, wanted: &crate::document::Node) {
        for (path, test) in Condition::paths(wanted) {
            let content = self.seen(&path);
            let told = Condition::describe_test(test);
            if told.starts_with("exists") || STAND_INS.iter().any(|stand_in| told.contains(stand_in)) {
                continue;
            }
            let is_lost = |change: &Change| match change.effect {
                // A network or a domain may be asked for.
                Effect::Part => false,
                _ => change.chance == Chance::Sure || (change.chance == Chance::Likely && told.contains('@')),
            };
            if let Some(change) = self.changes(&path, content).find(is_lost) {
                let message = format!("`{}` of a `redact` before this has changed what stands here", change.key);
                let hint = "this asks for what it was: put this step before `redact`";
                self.context.problems.push(Problem::warning(message).at(&path.place).hint(hint));
            }
        }
    }

    fn enrich(&self, enrich: &enrich::Written) {
        for asked in enrich.asked(self.form == Some(Form::Ecs)) {
            let content = if asked.is_usual { self.look(&asked.path, "0").content() } else { self.seen(&asked.path) };
            let is_lost =
                |change: &Change| change.chance == Chance::Sure && (change.effect != Effect::Part || asked.needs_all);
            if let Some(change) = self.changes(&asked.path, content).find(is_lost) {
                let message = format!(
                    "`{}` of a `redact` before this has changed `{}`, which is looked up here",
                    change.key, asked.path.value
                );
                let hint = "put this `enrich` before `redact`";
                self.context.problems.push(Problem::warning(message).at(&asked.path.place).hint(hint));
            }
        }
    }

    /// Two events are one when they have the same values, and these values may be what all have.
    fn dedupe(&self, dedupe: &dedupe::Written) {
        for path in dedupe.by() {
            let content = self.seen(path);
            let merging = self.changes(path, content).filter(|change| change.effect.merges());
            let Some(change) = merging.max_by_key(|change| change.chance) else { continue };
            let key = change.key;
            let problem = match change.chance {
                Chance::Possible => Problem::warning(format!(
                    "`{key}` of a `redact` before this makes one value of several, where there are such in here, and \
                     different events could be dropped as repetitions"
                )),
                _ => Problem::error(format!(
                    "`{key}` of a `redact` before this makes one value of several here, and different events would be \
                     dropped as repetitions"
                )),
            };
            let hint = "put `dedupe` before `redact`, or choose \"pseudonym\" or \"encrypt\" there";
            self.context.problems.push(problem.at(&path.place).hint(hint));
        }
    }

    fn changes<'s>(&'s self, path: &'s Path, content: Content) -> impl Iterator<Item = Change> + 's {
        self.before.iter().flat_map(move |hidden| hidden.changes(path, content))
    }
}

/// A path whose value `enrich` looks up.
pub struct Asked {
    /// Where it is told: the path as it is written, or else what is looked up there.
    pub path: Spanned<Path>,
    /// Whether nobody has written it.
    pub is_usual: bool,
    /// Whether a part of the value is not enough.
    pub needs_all: bool,
}

impl Asked {
    /// A path of those that are looked at when nobody says where.
    pub fn usual(path: &str, place: &Place, needs_all: bool) -> Option<Self> {
        let path = Spanned::new(path.parse().ok()?, place.clone());
        Some(Self { path, is_usual: true, needs_all })
    }
}
