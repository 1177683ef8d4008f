//! The files that enrichments read, each once however many pipelines use it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::document::{Context, Place, Problem, Spanned, did_you_mean};
use crate::transform::enrich::{Database, Indicators, Kept, Read, Shape, Table, Unread, Wanted};

/// The files of one configuration.
#[derive(Default)]
pub struct Library {
    tables: Shelf<(PathBuf, Shape), Table>,
    databases: Shelf<(PathBuf, Wanted), Database>,
    lists: Shelf<PathBuf, Indicators>,
}

type Shelf<K, T> = RefCell<BTreeMap<K, Arc<Kept<T>>>>;

/// Says where the configuration names a column.
pub type PlaceOf<'p> = &'p dyn Fn(&str) -> Option<Place>;

impl Library {
    /// The table in a file. `None` when it cannot be used: why, is then among the problems.
    pub fn table(
        &self,
        file: &Spanned<String>,
        shape: Shape,
        place_of: PlaceOf<'_>,
        context: &Context<'_>,
    ) -> Option<Arc<Kept<Table>>> {
        let key = (path(file), shape.clone());
        let read: Read<Table> = Box::new(move |path: &Path| Table::read(path, &shape));
        open(&self.tables, key, read, file, place_of, context)
    }

    /// The database in a file, as above.
    pub fn database(
        &self,
        file: &Spanned<String>,
        wanted: Wanted,
        context: &Context<'_>,
    ) -> Option<Arc<Kept<Database>>> {
        let read: Read<Database> = Box::new(move |path: &Path| Database::read(path, wanted));
        open(&self.databases, (path(file), wanted), read, file, &|_| None, context)
    }

    /// The list in a file, as above.
    pub fn list(&self, file: &Spanned<String>, context: &Context<'_>) -> Option<Arc<Kept<Indicators>>> {
        open(&self.lists, path(file), Box::new(Indicators::read), file, &|_| None, context)
    }
}

fn path(file: &Spanned<String>) -> PathBuf {
    file.place.file().folder().join(&file.value)
}

/// Takes what is on the shelf, or reads the file and puts it there.
fn open<K: Ord, T>(
    shelf: &Shelf<K, T>,
    key: K,
    read: Read<T>,
    file: &Spanned<String>,
    place_of: PlaceOf<'_>,
    context: &Context<'_>,
) -> Option<Arc<Kept<T>>> {
    if let Some(known) = shelf.borrow().get(&key) {
        return Some(Arc::clone(known));
    }
    let path = path(file);
    let shown = path.display().to_string();
    match Kept::open(&path, read) {
        Ok((kept, passed_over)) => {
            for passed_over in passed_over {
                context.problems.warning_at(&file.place, format!("`{shown}`: {passed_over}"));
            }
            let kept = Arc::new(kept);
            shelf.borrow_mut().insert(key, Arc::clone(&kept));
            Some(kept)
        }
        Err(error) => {
            context.problems.push(problem(&error, &shown, file, place_of));
            None
        }
    }
}

fn problem(error: &Unread, shown: &str, file: &Spanned<String>, place_of: PlaceOf<'_>) -> Problem {
    match error {
        Unread::Io(error) => {
            let problem = Problem::error(format!("cannot read `{shown}`: {error}")).at(&file.place);
            problem.hint("relative paths begin at the folder of this file")
        }
        Unread::Wrong { line, reason, hint } => {
            let line = line.map(|line| format!(":{line}")).unwrap_or_default();
            Problem::error(format!("`{shown}{line}`: {reason}")).at(&file.place).hint(*hint)
        }
        Unread::NoColumn { name, there } => {
            let hint = match (did_you_mean(name, there.iter().map(String::as_str)), there.as_slice()) {
                (Some(near), _) => format!("did you mean `{near}`?"),
                (None, [only]) if only.contains(';') => {
                    "its columns are separated by `;`: save it with commas, or with tabs as `.tsv`".to_owned()
                }
                (None, there) => format!("it has: {}", there.join(", ")),
            };
            let place = place_of(name).unwrap_or_else(|| file.place.clone());
            Problem::error(format!("`{shown}` has no column `{name}`")).at(&place).hint(hint)
        }
    }
}
