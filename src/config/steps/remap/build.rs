//! Compiling the program, with its mistakes told where they are written.

use std::ops::Range;
use std::sync::Arc;

use super::{OnError, Written};
use crate::document::{Context, File, Place, Problem, Spanned};
use crate::transform::Transform;
use crate::transform::remap::{self, Mistake, Program, Remap};

impl Written {
    pub fn build(&self, step: &Place, context: &Context<'_>) -> Option<Box<dyn Transform>> {
        let program = match (&self.source, &self.file) {
            (Some(source), None) => compile(&source.value, |span| source.place.within(span), context)?,
            (None, Some(path)) => {
                let file = read(path, context)?;
                compile(file.text(), |span| Place::new(&file, span), context)?
            }
            (Some(_), Some(file)) => {
                context.problems.error_at(&file.place, "`file` beside `source`: only one can be meant");
                return None;
            }
            (None, None) => {
                let problem = Problem::error("this step has no program").at(step);
                context.problems.push(problem.hint("write `source = '''…'''` or `file = \"path\"`"));
                return None;
            }
        };
        let on_error = match self.on_error {
            OnError::Mark => remap::OnError::Mark,
            OnError::DeadLetter => remap::OnError::DeadLetter,
        };
        Some(Box::new(Remap::new(program, on_error)))
    }
}

/// The file; its path is relative to the file that names it.
fn read(path: &Spanned<String>, context: &Context<'_>) -> Option<Arc<File>> {
    let found = path.place.file().folder().join(&path.value);
    let told = |error| context.problems.error_at(&path.place, format!("cannot read `{}`: {error}", found.display()));
    File::read(&found).map_err(told).ok()
}

fn compile(source: &str, place: impl Fn(Range<usize>) -> Place, context: &Context<'_>) -> Option<Program> {
    let (program, mistakes) = match Program::compile(source) {
        Ok((program, doubtful)) => (Some(program), doubtful),
        Err(mistakes) => (None, mistakes),
    };
    for Mistake { is_error, message, span, hint } in mistakes {
        let problem = if is_error { Problem::error(message) } else { Problem::warning(message) };
        let problem = problem.at(&place(span));
        context.problems.push(match hint {
            Some(hint) => problem.hint(hint),
            None => problem,
        });
    }
    program
}
