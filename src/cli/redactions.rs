//! The redaction of a pipeline, for the verbs that try it out or undo it.

use super::input::Input;
use crate::config::Plan;
use crate::document::did_you_mean;
use crate::transform::Transform;

/// The transforms of that pipeline, those that redact being among them. Says on stderr what is wrong when there are none.
pub fn of_pipeline(input: &Input, name: &str) -> Option<Vec<Box<dyn Transform>>> {
    let plan = input.plan()?;
    let names: Vec<String> = names(&plan).map(ToOwned::to_owned).collect();
    let Some(transforms) = transforms(plan, name) else {
        eprintln!("error: there is no pipeline `{name}`");
        match did_you_mean(name, names.iter().map(String::as_str)) {
            Some(near) => eprintln!("\nhint: did you mean `{near}`?"),
            None => eprintln!("\nhint: there are: {}", names.join(", ")),
        }
        return None;
    };
    if transforms.iter().all(|transform| transform.as_redact().is_none()) {
        eprintln!(
            "error: the pipeline `{name}` redacts nothing\n\nhint: add `redact = {{ … }}` to it as a `[[transform]]`"
        );
        return None;
    }
    Some(transforms)
}

fn names(plan: &Plan) -> impl Iterator<Item = &str> {
    plan.pipelines.iter().map(|pipeline| &*pipeline.name).chain(plan.files.iter().map(|pipeline| &*pipeline.name))
}

fn transforms(plan: Plan, name: &str) -> Option<Vec<Box<dyn Transform>>> {
    let apis = plan.pipelines.into_iter().map(|pipeline| (pipeline.name, pipeline.transforms));
    let files = plan.files.into_iter().map(|pipeline| (pipeline.name, pipeline.transforms));
    apis.chain(files).find(|(known, _)| **known == *name).map(|(_, transforms)| transforms)
}
